//! The main job: saved on idle here, resumed there, byte for byte, and back.

use convosync_tests::synthetic::Conversation;
use convosync_tests::tree::Times;
use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Tree, World, Writer, files};

use crate::SAVED_WITHIN;

/// Starts both devices in one vault, with a session of `writer` saved by the first.
fn two_devices(world: &mut World, write: impl FnOnce(&mut Writer)) -> Writer {
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    write(&mut writer);
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    bob.start();
    bob.join(&phrase);
    writer
}

/// Panics unless every file of the session is on `there` what a save holds of it here.
#[track_caller]
fn assert_restored(here: &Device, there: &Device, files: &[std::path::PathBuf]) {
    for file in files {
        let below = file.strip_prefix(here.home.transcripts()).expect("it lies there");
        let restored = files::read(&there.home.transcripts().join(below));
        assert!(restored == saved_bytes(file), "{} differs", below.display());
    }
}

#[test]
fn a_session_saved_on_idle_is_resumed_byte_for_byte_and_goes_back() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let writer = two_devices(&mut world, |writer| {
        (0..5).for_each(|_| writer.turn());
        writer.subagent();
        writer.spill(500);
    });
    let (ada, bob) = world.pair();
    let id = writer.session();

    bob.ctl_json(&["resume", id]);
    assert_restored(ada, bob, &writer.files());

    let path = bob.home.transcripts().join(format!("{id}.jsonl"));
    let mut there = Writer::new(
        &bob.home.transcripts(),
        Conversation::resumed(2, bob.home.project(), id, None),
    );
    there.turn();
    let sidecars: u64 = writer.files()[1..].iter().map(|file| saved_bytes(file).len() as u64).sum();
    bob.saved_eventually(id, saved_bytes(&path).len() as u64 + sidecars, SAVED_WITHIN);

    ada.ctl_json(&["resume", id]);
    files::assert_same(&files::read(&writer.path()), &files::read(&path));
}

#[test]
fn a_torn_tail_waits_and_is_never_restored() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let writer = two_devices(&mut world, |writer| {
        writer.turn();
        writer.tear();
    });
    let (ada, bob) = world.pair();

    bob.ctl_json(&["resume", writer.session()]);

    assert_restored(ada, bob, &writer.files());
    assert!(
        files::read(&bob.home.transcripts().join(format!("{}.jsonl", writer.session())))
            .ends_with(b"\n")
    );
}

#[test]
fn a_rewritten_transcript_arrives_as_it_now_is() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let mut writer = two_devices(&mut world, |writer| (0..4).for_each(|_| writer.turn()));
    let (ada, bob) = world.pair();
    let whole = files::read(&writer.path());
    let half = files::complete(&whole[..whole.len() / 2]).to_vec();

    files::write(&writer.path(), &half);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    bob.ctl_json(&["resume", writer.session()]);
    assert_restored(ada, bob, &writer.files());
}

#[test]
fn bytes_that_are_no_text_survive() {
    let hostile: [&[u8]; 6] = [
        b"{\"type\":\"user\"}{\"type\":\"user\"}\n",
        b"\0\0\0\n",
        b"\xff\xfe\n",
        b"crlf\r\n",
        b"\"\\ud83d\"\n",
        b"\n\n\n",
    ];
    let mut world = World::new(&["ada", "bob"], Way::File);
    let writer = two_devices(&mut world, |writer| {
        writer.turn();
        hostile.iter().for_each(|line| files::append(&writer.path(), line));
    });
    let (ada, bob) = world.pair();

    bob.ctl_json(&["resume", writer.session()]);

    assert_restored(ada, bob, &writer.files());
}

#[test]
fn a_hundred_saves_leave_the_repository_as_it_was() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, _) = world.pair();
    files::write(&ada.home.project().join("untracked.txt"), "mine");
    files::write(&ada.home.project().join("README.md"), "# app, changed\n");
    files::write(
        &ada.home.convosync_dir().join("config.toml"),
        "[save]\nidle_after = \"100ms\"\n[store]\npush_at_most_every = \"0s\"\n",
    );
    ada.start();
    ada.init();
    let told = ada.watch();
    let mut writer = ada.writer(1);
    let before = Tree::of(ada.home.project(), Times::Counted);

    for _ in 0..100 {
        writer.turn();
        told.expect("saved", SAVED_WITHIN);
    }
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    before.assert_same(&Tree::of(ada.home.project(), Times::Counted));
}

#[test]
fn a_device_with_an_older_state_downloads_only_what_is_new() {
    const AROUND_IT: u64 = 16 << 10;
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let mut writer = two_devices(&mut world, |writer| (0..40).for_each(|_| writer.turn()));
    let (ada, bob) = world.pair();
    bob.ctl_json(&["resume", writer.session()]);

    let before = writer.total_bytes();
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    let earlier = convosync_tests::Remote::traffic(&bob.home);
    bob.ctl_json(&["resume", writer.session()]);
    let cost = convosync_tests::Remote::traffic(&bob.home).since(earlier);

    assert_restored(ada, bob, &writer.files());
    assert!(cost.received < writer.total_bytes() - before + AROUND_IT, "{cost:?}");
}

#[test]
fn a_local_transcript_that_went_on_is_never_overwritten() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let mut writer = two_devices(&mut world, |writer| (0..2).for_each(|_| writer.turn()));
    let (ada, bob) = world.pair();
    let id = writer.session().to_owned();
    bob.ctl_json(&["resume", &id]);
    let mut there = Writer::new(
        &bob.home.transcripts(),
        Conversation::resumed(2, bob.home.project(), &id, None),
    );
    there.turn();
    writer.turn();
    ada.saved_eventually(&id, writer.total_bytes(), SAVED_WITHIN);
    let mine = files::read(&there.path());

    bob.ctl(&["resume", &id, "--json"]).fails();

    files::assert_same(&files::read(&there.path()), &mine);
}
