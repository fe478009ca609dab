//! The main job: saved on idle here, resumed there, byte for byte, and back.

use convosync_tests::home::IMPATIENT;
use convosync_tests::synthetic::Conversation;
use convosync_tests::tree::Times;
use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Opened, Tree, World, Writer, files};

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
    let mut world = World::new(&["ada", "bob"], Way::Any);
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
    let mut world = World::new(&["ada", "bob"], Way::Any);
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
    let mut world = World::new(&["ada", "bob"], Way::Any);
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
    let mut world = World::new(&["ada", "bob"], Way::Any);
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
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let (ada, _) = world.pair();
    files::write(&ada.home.project().join("untracked.txt"), "mine");
    files::write(&ada.home.project().join("README.md"), "# app, changed\n");
    files::write(&ada.home.convosync_dir().join("config.toml"), IMPATIENT);
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
    let mut world = World::new(&["ada", "bob"], Way::Any);
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

/// Waits until the daemon has looked at everything, and returns what it says of the session.
fn synced(device: &Device, id: &str) -> Option<serde_json::Value> {
    device.ctl_json(&["sync"]);
    device.session(id)
}

#[test]
fn a_transcript_without_a_complete_line_stops_nothing() {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let (empty, torn) = ("00000000-0000-4000-8000-000000000001", "only-half-a-line");
    files::append(&ada.home.transcripts().join(format!("{empty}.jsonl")), b"");
    let half = format!("{{\"cwd\":\"{}\",\"type\":\"us", ada.home.project().display());
    files::append(&ada.home.transcripts().join(format!("{torn}.jsonl")), half.as_bytes());
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    assert_eq!(ada.ctl_json(&["status"])["problems"], serde_json::json!([]));

    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    assert_restored(ada, bob, &writer.files());

    let rest = "er\"}\n";
    files::append(&ada.home.transcripts().join(format!("{torn}.jsonl")), rest.as_bytes());
    ada.saved_eventually(torn, (half.len() + rest.len()) as u64, SAVED_WITHIN);
    synced(bob, torn).expect("it has arrived");
    bob.ctl_json(&["resume", torn]);
    let restored = files::read(&bob.home.transcripts().join(format!("{torn}.jsonl")));
    assert_eq!(restored, [half.as_bytes(), rest.as_bytes()].concat());
}

#[test]
fn every_configured_root_is_saved_and_the_old_places_of_side_files_too() {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    ada.home.write_config("[claude]\nroots = [\"~/.claude\", \"~/.claude-work\"]\n");
    ada.start();
    let phrase = ada.init();
    let folder = ada
        .home
        .dir()
        .join(".claude-work/projects")
        .join(ada.home.transcripts().file_name().expect("a slug"));
    let mut writers =
        [ada.writer(1), Writer::new(&folder, Conversation::new(2, ada.home.project()))];
    for writer in &mut writers {
        writer.turn();
    }
    let [first, second] = &writers;
    let agent = format!(
        "{{\"type\":\"user\",\"isSidechain\":true,\"sessionId\":\"{}\",\"cwd\":\"{}\"}}\n",
        first.session(),
        ada.home.project().display()
    );
    let beside = ada.home.transcripts().join("agent-0123abcd.jsonl");
    files::append(&beside, agent.as_bytes());
    let total = first.total_bytes() + agent.len() as u64;
    ada.saved_eventually(first.session(), total, SAVED_WITHIN);
    ada.saved_eventually(second.session(), second.total_bytes(), SAVED_WITHIN);

    bob.start();
    bob.join(&phrase);
    for writer in &writers {
        bob.ctl_json(&["resume", writer.session()]);
        let restored =
            files::read(&bob.home.transcripts().join(format!("{}.jsonl", writer.session())));
        assert!(restored == saved_bytes(&writer.path()), "{} differs", writer.session());
    }
    assert_eq!(files::read(&bob.home.transcripts().join("agent-0123abcd.jsonl")), agent.as_bytes());
}

#[test]
fn saves_for_repository_changes_leave_the_repository_as_it_was() {
    let world = World::new(&["ada"], Way::Any);
    world.devices[0].home.write_config("[watch]\ncode_check_every = \"1s\"\n");
    let Opened { mut world, writer, .. } = Opened::of(world);
    let ada = &mut world.devices[0];
    let told = ada.watch();
    let home = &ada.home;
    let changes: [&dyn Fn(); 5] = [
        &|| files::write(&home.project().join("README.md"), "# app, edited\n"),
        &|| files::write(&home.project().join("new.txt"), "untracked"),
        &|| drop(home.git(&["add", "new.txt"]).ok()),
        &|| drop(home.git(&["commit", "--quiet", "--all", "--message", "mine"]).ok()),
        &|| drop(home.git(&["switch", "--quiet", "--create", "idea"]).ok()),
    ];
    for change in changes {
        change();
        let before = Tree::of(home.project(), Times::Counted);
        told.expect("saved", SAVED_WITHIN);
        told.expect("on-remote", SAVED_WITHIN);
        Tree::of(home.project(), Times::Counted).assert_same(&before);
    }
    let saved = ada.session(writer.session()).expect("it is saved");
    assert_eq!((&saved["branch"], &saved["dirty"]), (&"idea".into(), &false.into()));
}
