//! Transcripts as they are met: moved, compacted, cut, cleaned away, in two places, of two processes.

use std::path::{Path, PathBuf};

use convosync_tests::synthetic::Conversation;
use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Remote, World, Writer, eventually, files, program};
use serde_json::Value;

use crate::SAVED_WITHIN;

/// Makes another repository of this user, with a remote of its own, and enables it.
fn other_project(device: &Device) -> PathBuf {
    let remote = device.home.root().join("other.git");
    Remote::create(&remote);
    let project = device.home.dir().join("code/other");
    files::make_dir(&project);
    for arguments in [
        vec!["init", "-q"],
        vec!["remote", "add", "origin", remote.to_str().expect("text")],
        vec!["commit", "-q", "--allow-empty", "-m", "begin"],
    ] {
        let mut git = device.home.command("git");
        program::run(git.args(arguments).current_dir(&project), b"", program::DEADLINE).ok();
    }
    let mut enable = device.home.command(program::binary("convosyncctl"));
    enable.args(["enable", "--json"]).current_dir(&project);
    program::run(&mut enable, b"", program::DEADLINE).ok();
    project
}

/// What is listed of one session, in every project.
fn listed(device: &Device, id: &str) -> Vec<Value> {
    device.sessions().into_iter().filter(|session| session["session"] == id).collect()
}

/// Brings the session back on another device and compares the main transcript.
#[track_caller]
fn assert_comes_back(ada: &Device, bob: &mut Device, phrase: &str, writer: &Writer) {
    bob.start();
    bob.join(phrase);
    bob.ctl_json(&["resume", writer.session()]);
    let name = format!("{}.jsonl", writer.session());
    let restored = files::read(&bob.home.transcripts().join(name));
    assert!(restored == saved_bytes(&writer.path()), "bytes differ\n{}", ada.log());
}

/// Writes turns and waits until they are on the remote.
fn talk(device: &Device, writer: &mut Writer, turns: usize) {
    (0..turns).for_each(|_| writer.turn());
    device.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

#[test]
fn a_session_that_moves_into_a_worktree_and_back_goes_on_as_one_and_costs_what_is_new() {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let side = ada.home.project().join(".claude/worktrees/side");
    ada.home.git(&["worktree", "add", "-q", side.to_str().expect("text")]).ok();
    let mut writer = ada.writer(1);
    writer.subagent();
    talk(ada, &mut writer, 30);
    let before = Remote::traffic(&ada.home).sent;

    for folder in [ada.home.slug_dir(&side), ada.home.transcripts()] {
        writer.move_to(&folder);
        talk(ada, &mut writer, 1);
    }

    let sent = Remote::traffic(&ada.home).sent - before;
    println!("{sent} bytes sent for two moves and two turns; {before} before");
    assert!(sent < before / 2, "{sent} after the moves, {before} before");
    assert_eq!(listed(ada, writer.session()).len(), 1);
    assert_comes_back(ada, bob, &phrase, &writer);
}

#[test]
fn a_session_that_moves_into_another_project_stays_one_of_the_project_it_began_in() {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let other = other_project(ada);
    let nobodys = ada.home.dir().join("elsewhere");
    files::make_dir(&nobodys);
    let mut writer = ada.writer(1);
    talk(ada, &mut writer, 30);
    let before = Remote::traffic(&ada.home).sent;

    for place in [&other, &nobodys, &other] {
        writer.move_to(&ada.home.slug_dir(place));
        talk(ada, &mut writer, 1);
        ada.stop();
        ada.start();
        talk(ada, &mut writer, 1);
    }

    let sent = Remote::traffic(&ada.home).sent - before;
    println!("{sent} bytes sent for three moves and six turns; {before} before");
    assert!(sent < before, "{sent} after the moves, {before} before");
    let listed = listed(ada, writer.session());
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_comes_back(ada, bob, &phrase, &writer);
}

#[test]
fn a_session_that_is_in_two_folders_for_a_moment_is_saved_once() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let part = ada.home.project().join("part");
    files::make_dir(&part);
    let mut writer = ada.writer(1);
    talk(ada, &mut writer, 3);
    let saves = |device: &Device| listed(device, writer.session())[0]["save"].as_u64();
    let before = saves(ada);

    let name = writer.path().file_name().expect("a file").to_owned();
    let stub = writer.path();
    let there = ada.home.slug_dir(&part).join(name);
    files::append(&there, &files::read(&stub));
    ada.ctl(&["sync", "--json"]).ok();
    ada.ctl(&["save", "--session", writer.session(), "--json"]).ok();
    assert!(saves(ada) <= before.map(|before| before + 1), "{:?} after {before:?}", saves(ada));

    let mut moved = Writer::resumed(&ada.home.slug_dir(&part), &writer, ada.home.project());
    moved.turn();
    ada.saved_eventually(moved.session(), moved.total_bytes(), SAVED_WITHIN);
    files::remove_file(&stub);
    talk(ada, &mut moved, 1);
    assert_comes_back(ada, bob, &phrase, &moved);
}

#[test]
fn side_files_that_stay_behind_when_a_session_moves_are_kept() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.subagent();
    writer.spill(20);
    talk(ada, &mut writer, 2);
    let side_files: Vec<PathBuf> = writer.files().split_off(1);
    let part = ada.home.project().join("part");
    files::make_dir(&part);

    writer.move_alone(&ada.home.slug_dir(&part));
    let events = ada.watch();
    writer.turn();
    events.expect("on-remote", SAVED_WITHIN);

    assert_comes_back(ada, bob, &phrase, &writer);
    for file in side_files {
        let below = file.strip_prefix(ada.home.transcripts()).expect("it lies there");
        let restored = bob.home.transcripts().join(below);
        assert_eq!(files::read(&restored), files::read(&file), "{}", below.display());
    }
}

#[test]
fn a_compaction_that_replays_the_history_costs_what_is_new() {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    talk(ada, &mut writer, 40);
    let history = files::read(&writer.path());
    for _ in 0..3 {
        let (sent, length) = (Remote::traffic(&ada.home).sent, writer.total_bytes());
        writer.compact();
        files::append(&writer.path(), &history);
        talk(ada, &mut writer, 1);
        let new = writer.total_bytes() - length;
        let sent = Remote::traffic(&ada.home).sent - sent;
        println!("{sent} bytes sent for {new} new ones");
        assert!(sent * 10 <= new * 11, "{sent} sent for {new} new bytes");
    }
    assert_comes_back(ada, bob, &phrase, &writer);
}

/// Cuts the last complete line off.
fn take_back_a_line(path: &Path) {
    let bytes = files::read(path);
    let body = &bytes[..bytes.len() - 1];
    let end = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    files::truncate(path, end as u64);
}

#[test]
fn a_line_taken_back_and_a_file_written_anew_come_back_as_they_are() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    talk(ada, &mut writer, 5);

    // Shorter; then longer than before between two looks; then another file under the same name.
    take_back_a_line(&writer.path());
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    take_back_a_line(&writer.path());
    talk(ada, &mut writer, 2);
    let text = String::from_utf8(files::read(&writer.path())).expect("it is text");
    let anew = writer.path().with_extension("anew");
    files::write(&anew, text.replacen("\"type\"", "\"kind\"", 1));
    files::rename(&anew, &writer.path());
    talk(ada, &mut writer, 1);

    assert_eq!(listed(ada, writer.session()).len(), 1);
    assert_comes_back(ada, bob, &phrase, &writer);
}

#[test]
fn a_transcript_that_claude_cleaned_away_is_still_listed_and_comes_back_here() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let (mut old, mut new) = (ada.writer(1), ada.writer(2));
    old.subagent();
    talk(ada, &mut old, 2);
    let bytes: Vec<(PathBuf, Vec<u8>)> =
        old.files().into_iter().map(|file| (file.clone(), saved_bytes(&file))).collect();

    files::remove_file(&old.path());
    files::remove_tree(&old.path().with_extension(""));
    talk(ada, &mut new, 1);
    ada.stop();
    ada.start();
    talk(ada, &mut new, 1);
    ada.ctl(&["sync", "--json"]).ok();

    let known = listed(ada, old.session());
    assert!(known.len() == 1 && known[0]["on_remote"] == true, "{known:?}");
    ada.ctl_json(&["resume", old.session()]);
    for (file, bytes) in bytes {
        assert!(files::read(&file) == bytes, "{} differs", file.display());
    }
}

#[test]
fn a_root_that_is_away_for_a_while_is_named_and_nothing_is_deleted() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.home.write_config("[watch]\nrescan_every = \"1s\"\n");
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    talk(ada, &mut writer, 2);
    let before = listed(ada, writer.session());
    let (root, away) = (ada.home.claude_dir(), ada.home.dir().join("unmounted"));

    files::rename(&root, &away);
    let reason = |ada: &Device| ada.ctl_json(&["status"])["watching"][0]["reason"].clone();
    eventually("status says why", SAVED_WITHIN, || {
        reason(ada).as_str().filter(|reason| reason.contains("not there")).map(drop)
    });
    ada.ctl(&["sync", "--json"]).ok();
    ada.stop();
    ada.start();
    assert_eq!(listed(ada, writer.session()), before);

    files::rename(&away, &root);
    talk(ada, &mut writer, 1);
    eventually("status is content", SAVED_WITHIN, || reason(ada).is_null().then_some(()));
    assert_comes_back(ada, bob, &phrase, &writer);
}

#[test]
fn a_session_in_two_roots_is_saved_from_the_one_where_it_goes_on() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.home.write_config(
        "[claude]\nroots = [\"~/.claude\", \"~/.claude-work\"]\n[watch]\nrescan_every = \"1s\"\n",
    );
    ada.start();
    let phrase = ada.init();
    let mut first = ada.writer(1);
    talk(ada, &mut first, 2);
    let folder = ada
        .home
        .dir()
        .join(".claude-work/projects")
        .join(ada.home.transcripts().file_name().expect("a slug"));
    let name = first.path().file_name().expect("a file").to_owned();
    files::append(&folder.join(name), &files::read(&first.path()));
    let mut second = Writer::resumed(&folder, &first, ada.home.project());
    talk(ada, &mut second, 2);

    let saves = || listed(ada, first.session())[0]["save"].clone();
    let before = saves();
    ada.ctl(&["sync", "--json"]).ok();
    ada.stop();
    ada.start();
    // Several looks at both roots.
    let mut other = ada.writer(9);
    talk(ada, &mut other, 1);
    assert_eq!(listed(ada, first.session())[0]["save"], before, "saved again without need");
    assert_eq!(listed(ada, first.session()).len(), 1);
    assert_comes_back(ada, bob, &phrase, &second);
}

/// When the daemon started, it saved the older copy as soon as it had seen that, and then the newer one again.
#[test]
fn a_session_in_two_roots_is_not_saved_from_the_older_one_while_the_other_root_is_looked_at() {
    const STRANGERS: usize = 3000;
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.home.write_config("[claude]\nroots = [\"~/.claude\", \"~/.claude-work\"]\n");
    let projects = ada.home.dir().join(".claude-work/projects");
    for number in 0..STRANGERS {
        let name = format!("-other/{number:08x}-0000-4000-8000-000000000000.jsonl");
        files::write(&projects.join(name), "{\"type\":\"user\",\"cwd\":\"/other\"}\n");
    }
    ada.start();
    let phrase = ada.init();
    let mut first = ada.writer(1);
    talk(ada, &mut first, 2);
    let folder = projects.join(ada.home.transcripts().file_name().expect("a slug"));
    let name = first.path().file_name().expect("a file").to_owned();
    files::append(&folder.join(name), &files::read(&first.path()));
    let mut second = Writer::resumed(&folder, &first, ada.home.project());
    talk(ada, &mut second, 2);
    let before = listed(ada, first.session());

    for seed in 9..12 {
        ada.stop();
        ada.start();
        let mut other = ada.writer(seed);
        talk(ada, &mut other, 1);
        assert_eq!(listed(ada, first.session()), before, "saved again without need");
    }

    assert_comes_back(ada, bob, &phrase, &second);
}

#[test]
fn two_processes_that_write_into_one_file_lose_nothing() {
    const ROUNDS: usize = 12;
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    let mut second = Conversation::resumed(7, ada.home.project(), writer.session(), None);
    for round in 0..ROUNDS {
        // Half a line of the one, whole lines of the other on the same line, the rest of the first.
        let lines = second.turn();
        if round % 3 == 0 {
            writer.tear();
        } else {
            writer.turn();
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let text = if round % 4 == 1 { text.replacen("}\n{", "}{", 1) } else { text };
        files::append(&writer.path(), text.as_bytes());
        if round % 3 == 0 {
            writer.mend();
        }
    }
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    assert_eq!(listed(ada, writer.session()).len(), 1);
    assert_comes_back(ada, bob, &phrase, &writer);
}
