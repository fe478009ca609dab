//! The code comes along with the conversation: staged, unstaged, untracked and unpushed work arrives on the
//! other device, and `undo` there brings back what stood before.

use std::time::Duration;

use convosync_core::checkout::RECORDS_TOLD;
use convosync_tests::synthetic::Conversation;
use convosync_tests::told::told;
use convosync_tests::work::{seen, seen_in, write};
use convosync_tests::world::Way;
use convosync_tests::{Device, World, Writer, eventually, files, large, skip, work};
use rustix::fs::FallocateFlags;
use serde_json::json;

use crate::SAVED_WITHIN;
use crate::repositories::{Stage, lib, text};

/// Two devices of one vault, and a conversation of the first one with work around it, saved.
fn saved_work() -> (World, Writer) {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    ada.home.write_config("[watch]\ncode_check_every = \"1s\"\n");
    ada.start();
    let phrase = ada.init();
    work::leave(ada);
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    bob.start();
    bob.join(&phrase);
    (world, writer)
}

#[test]
fn the_code_of_a_conversation_arrives_and_undo_takes_it_back() {
    let (mut world, writer) = saved_work();
    let (ada, bob) = world.pair();
    write(bob, ".env", "TOKEN=of bob's own\n");
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", writer.session()])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ code restored
          → main at [commit], 1 new commit
          → 4 files written, 0 files removed
          → verified, but for 1 path: the rest is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! `.env` stays as it is here: its name says that it holds a secret
        --- exit code 0
        "#);
    assert_eq!(seen(bob), seen(ada));
    assert_eq!(files::read(&bob.home.project().join(".env")), b"TOKEN=of bob's own\n");
    bob.ctl(&["undo"]).ok();
    assert_eq!(seen(bob), before);
}

#[test]
fn the_code_of_every_repository_arrives_and_one_undo_takes_all_of_it_back() {
    let mut stage = Stage::with_both(Way::Any);
    let session = stage.writer.session().to_owned();
    let (ada, bob) = stage.pair();
    let before = (seen(bob), seen_in(bob, &lib(bob)));
    let theirs = (seen(ada), seen_in(ada, &lib(ada)));

    let reply = bob.ctl_json(&["resume", &session]);
    assert_eq!(reply["code"]["differences"], json!([]), "{reply}");
    assert_eq!(reply["repositories"][0]["name"], "lib", "{reply}");
    assert_eq!(reply["repositories"][0]["differences"], json!([]), "{reply}");
    assert!(!lib(bob).join(".env").exists());
    assert_eq!((seen(bob), seen_in(bob, &lib(bob))), theirs);

    bob.ctl(&["undo"]).ok();
    assert_eq!((seen(bob), seen_in(bob, &lib(bob))), before);
    let run = bob.ctl(&["-C", text(&lib(bob)), "undo"]).ok();
    assert!(run.text().contains("app"), "the other one is named: {run}");
    assert_eq!((seen(bob), seen_in(bob, &lib(bob))), theirs, "undone from the other one, too");

    let told = bob.ctl(&["resume", &session]).ok();
    assert!(format!("{told}").contains("the code of `lib` is here already"), "{told}");
}

#[test]
fn undo_says_what_one_more_would_bring_back_and_when_only_a_lock_was_left() {
    let (mut world, writer) = saved_work();
    let (_, bob) = world.pair();
    let before = seen(bob);
    bob.ctl(&["resume", writer.session()]).ok();
    let restored = seen(bob);
    let lock = bob.home.project().join(".git/index.lock");
    files::write(&lock, convosync_core::capture::RESTORE_MARK);
    let run = bob.ctl(&["undo"]).ok();
    assert!(run.text().contains("no file was touched"), "{run}");
    assert!(!lock.exists());
    assert_eq!(seen(bob), restored);
    let run = bob.ctl(&["undo"]).ok();
    assert!(run.text().contains("what stood here until now"), "{run}");
    assert_eq!(seen(bob), before);
}

/// Whoever pays for each megabyte can still stop it, also where no terminal shows progress.
#[test]
fn a_large_download_is_announced_with_its_size_before_it_begins() {
    const LARGE: u64 = 6 << 20;
    let mut world = World::new(&["ada", "bob", "eve"], Way::Any);
    let [ada, bob, eve] = world.devices.as_mut_slice() else { panic!() };
    ada.start();
    let phrase = ada.init();
    large::write_noise(&ada.home.project().join("noise.raw"), 1, LARGE);
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    for device in [&mut *bob, &mut *eve] {
        device.start();
        device.join(&phrase);
    }

    let run = bob.ctl(&["resume", writer.session()]).ok();
    let said = run.errors();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("to download")).collect();
    assert!(lines.len() == 1 && lines[0].starts_with("6."), "{run}");

    let run = eve.ctl(&["resume", "--json", writer.session()]).ok();
    let reply: serde_json::Value = serde_json::from_str(&run.text()).unwrap();
    assert!(reply["announced"].as_u64() > Some(LARGE), "{run}");
    assert_eq!(run.errors(), "", "{run}");
    let reply = eve.ctl_json(&["resume", writer.session()]);
    assert_eq!(reply.get("announced"), None, "it is here already: {reply}");
}

/// The record was all that could have ended it.
#[test]
fn undo_says_that_a_record_is_gone_and_frees_git_with_force() {
    let (mut world, writer) = saved_work();
    let (_, bob) = world.pair();
    bob.ctl(&["resume", writer.session()]).ok();
    let restored = seen(bob);
    let lock = bob.home.project().join(".git/index.lock");
    let mark = convosync_core::capture::RESTORE_MARK;
    files::write(&lock, [mark, b"/nowhere/undo/abc/1\nsomething was changed\n"].concat());

    let run = bob.ctl(&["undo"]);

    assert!(!run.status.success(), "{run}");
    assert!(run.errors().contains("/nowhere/undo/abc/1"), "{run}");
    assert!(run.errors().contains("undo --force"), "{run}");
    assert!(lock.exists());
    let run = bob.ctl(&["undo", "--force"]).ok();
    assert!(run.text().contains("every file stays"), "{run}");
    assert!(!lock.exists());
    assert_eq!(seen(bob), restored);
}

/// For a week nothing but the disk bounds them.
#[test]
fn status_names_records_that_take_much_room() {
    let (mut world, writer) = saved_work();
    let (_, bob) = world.pair();
    bob.ctl(&["resume", writer.session()]).ok();
    assert!(!bob.ctl(&["status"]).ok().errors().contains("for `undo`"));
    let mut found = files::under(&bob.home.convosync_dir()).into_iter();
    let facts = found.find(|path| path.ends_with("1/facts")).unwrap();
    let place = facts.with_file_name("large");
    files::write(&place, "");
    let large = std::fs::OpenOptions::new().write(true).open(&place).unwrap();
    let taken = rustix::fs::fallocate(&large, FallocateFlags::empty(), 0, RECORDS_TOLD);
    if taken.is_err() {
        skip::report("the disk has not 1 GiB free");
        return;
    }

    let run = bob.ctl(&["status"]).ok();

    assert!(run.errors().contains("1 record for `undo`"), "{run}");
    assert!(run.errors().contains("rm -r"), "{run}");
    let reply = bob.ctl_json(&["status"]);
    assert!(reply["records"][0]["bytes"].as_u64() >= Some(RECORDS_TOLD), "{reply}");
}

#[test]
fn work_that_stands_here_is_replaced_only_when_the_user_says_so() {
    let (mut world, writer) = saved_work();
    let (ada, bob) = world.pair();
    write(bob, "README.md", "bob's own change\n");
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", writer.session()])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        --- errors
        convosyncctl: an uncommitted change stands here: `README.md` (modified)
        hint: `--stash` puts the changes into `git stash`, `--commit` commits the changes here first, `--theirs` replaces the changes (`convosyncctl undo` brings them back), `--worktree DIR` puts the code into a new work tree
        --- exit code 4
        "#);
    assert_eq!(seen(bob), before);
    assert!(!bob.home.transcripts().join(format!("{}.jsonl", writer.session())).exists());
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--force", writer.session()])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ code restored
          → main at [commit], 1 new commit
          → 4 files written, 0 files removed
          → verified, but for 1 path: the rest is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! `.env` stays as it is here: its name says that it holds a secret
        --- exit code 0
        "#);
    assert_eq!(seen(bob), seen(ada));
    bob.ctl(&["undo"]).ok();
    assert_eq!(seen(bob), before);
}

/// What stands on the first device was saved by it: to go on with what the second one made of it, nobody has
/// to be asked.
#[test]
fn code_that_goes_back_and_forth_asks_nothing() {
    let (mut world, writer) = saved_work();
    let (ada, bob) = world.pair();
    bob.ctl(&["resume", writer.session()]).ok();
    write(bob, "README.md", "changed by bob\n");
    bob.home.git(&["add", "--", "new"]).ok();
    bob.home.git(&["commit", "-q", "-m", "bob's"]).ok();
    let talk = Conversation::resumed(2, bob.home.project(), writer.session(), None);
    let mut there = Writer::new(&bob.home.transcripts(), talk);
    there.turn();
    bob.saved_eventually(there.session(), there.total_bytes(), SAVED_WITHIN);
    let reply = ada.ctl_json(&["resume", writer.session()]);
    assert_eq!(reply["action"], "extended", "{reply}");
    assert_eq!(seen(ada), seen(bob));
    write(ada, "README.md", "changed by ada, and saved nowhere\n");
    write(bob, "README.md", "changed by bob again\n");
    there.turn();
    bob.saved_eventually(there.session(), there.total_bytes(), SAVED_WITHIN);
    let run = ada.ctl(&["resume", writer.session()]);
    assert_eq!(run.status.code(), Some(4), "{run}");
}

#[test]
fn the_conversation_comes_alone_where_the_user_wants_no_code() {
    let (mut world, writer) = saved_work();
    let (_, bob) = world.pair();
    let before = seen(bob);
    let reply = bob.ctl_json(&["resume", "--no-code", writer.session()]);
    assert_eq!(reply["action"], "created", "{reply}");
    assert!(reply.get("code").is_none(), "{reply}");
    assert_eq!(seen(bob), before);
}

#[test]
fn a_conversation_goes_on_in_a_work_tree_of_its_own() {
    let (mut world, writer) = saved_work();
    let (ada, bob) = world.pair();
    let before = seen(bob);
    let dir = bob.home.dir().join("elsewhere");
    let place = dir.to_str().expect("a path of the test is text");
    let foreseen = bob.ctl(&["resume", "--worktree", place, "--dry-run", writer.session()]);
    insta::assert_snapshot!(told(&foreseen), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ would restore the code into a new work tree, `[world]/bob/home/bob/elsewhere`
          → main at [commit]
        ✓ would restore the conversation: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: convosyncctl resume [session]
        --- errors
        --- exit code 0
        "#);
    let run = bob.ctl(&["resume", "--worktree", place, writer.session()]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ code restored
          → main-[session] at [commit], 1 new commit
          → 4 files written, 0 files removed
          → verified, but for 1 path: the rest is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-elsewhere/[session id].jsonl

        Next: cd [world]/bob/home/bob/elsewhere && claude --resume [session id]
        --- errors
        ! `main` is checked out in another work tree, so the code is on `main-[session]`
        hint: `git log main..main-[session]` shows what is new
        ! `.env` stays as it is here: its name says that it holds a secret
        --- exit code 0
        "#);
    assert_eq!(seen(bob)[..3], before[..3]);
    let git = |arguments: &[&str]| {
        let all = [&["-C", place], arguments].concat();
        bob.home.git(&all).ok().text()
    };
    assert_eq!(git(&["rev-parse", "HEAD"]), seen(ada)[0]);
    assert_eq!(git(&["diff"]), seen(ada)[4]);
}

#[test]
fn an_edit_after_the_last_message_is_saved_too() {
    let (mut world, writer) = saved_work();
    let (ada, bob) = world.pair();
    let number = |device: &Device| {
        device.session(writer.session()).map(|session| session["save"].as_u64()).unwrap_or_default()
    };
    let before = number(ada);
    write(ada, "README.md", "changed again, and no message since\n");
    eventually("the change is saved", Duration::from_secs(60), || {
        (number(ada) > before).then_some(())
    });
    eventually("it is on the remote", SAVED_WITHIN, || {
        ada.session(writer.session()).filter(|session| session["on_remote"] == true)
    });
    bob.ctl(&["resume", writer.session()]).ok();
    let text = files::read(&bob.home.project().join("README.md"));
    assert_eq!(text, b"changed again, and no message since\n");
}

/// Git remembers `origin/topic` for ever; that its commits can be had from there ended with the branch.
#[test]
fn commits_of_a_branch_that_was_deleted_at_the_remote_travel_with_the_session() {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let remote = world.remote.dir().to_owned();
    let (ada, bob) = world.pair();
    ada.home.write_config("[watch]\ncode_check_every = \"1s\"\n");
    let git = |words: &[&str]| ada.home.git(words).ok().text();
    git(&["checkout", "-q", "-b", "topic"]);
    write(ada, "topic.txt", "only on the topic\n");
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "a topic"]);
    git(&["push", "-q", "-u", "origin", "topic"]);
    let commit = git(&["rev-parse", "HEAD"]);
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    let before = ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    let there =
        |words: &[&str]| bob.home.git(&[&["--git-dir", remote.to_str().unwrap()], words].concat());
    there(&["branch", "-q", "-D", "topic"]).ok();
    there(&["gc", "-q", "--prune=now"]).ok();
    assert!(!there(&["cat-file", "-e", commit.trim()]).status.success());
    ada.ctl(&["list", "--refresh"]).ok();
    eventually("the commits are on the remote", Duration::from_secs(60), || {
        let session = ada.session(writer.session())?;
        let is_newer = session["save"].as_u64() > before["save"].as_u64();
        (is_newer && session["on_remote"] == true).then_some(())
    });
    bob.start();
    bob.join(&phrase);
    let reply = bob.ctl_json(&["resume", "--switch-branch", writer.session()]);
    assert_eq!(reply["code"]["differences"], serde_json::json!([]), "{reply}");
    assert_eq!(seen(bob), seen(ada));
}

#[test]
fn code_that_is_withheld_is_told_with_the_way_out_and_the_conversation_is_saved() {
    const LOST: &str = "0123456789abcdef0123456789abcdef01234567";
    let (mut world, mut writer) = saved_work();
    let (ada, _) = world.pair();
    let entry = format!("100644,{LOST},lost.txt");
    ada.home.git(&["update-index", "--add", "--cacheinfo", &entry]).ok();
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    let withheld = eventually("`status` says why", Duration::from_secs(60), || {
        let status = ada.ctl_json(&["status"]);
        let withheld = status["projects"][0]["code"]["withheld"].clone();
        withheld["message"].as_str().is_some_and(|why| why.contains(LOST)).then_some(withheld)
    });
    assert!(withheld["hint"].as_str().is_some_and(|hint| hint.contains("git fsck")), "{withheld}");
    let told = ada.ctl(&["status"]).ok();
    let told = told.text() + &told.errors();
    assert!(told.contains(LOST) && told.contains("git fsck"), "{told}");
}

#[test]
fn what_was_left_out_is_named_with_its_reason() {
    let (mut world, _) = saved_work();
    let (ada, _) = world.pair();
    let status = ada.ctl_json(&["status"]);
    let left_out = &status["projects"][0]["code"]["paths"][0];
    assert_eq!(left_out["path"], ".env", "{status}");
    let told = ada.ctl(&["status"]).ok();
    assert!(told.text().contains(".env") || told.errors().contains(".env"), "{told}");
}

#[test]
fn what_stays_as_it_is_here_is_named_and_not_called_verified() {
    let (mut world, writer) = saved_work();
    let (_, bob) = world.pair();
    write(bob, ".env", "TOKEN=of bob's own\n");

    bob.ctl(&["resume", writer.session()]).ok();
    insta::assert_snapshot!(told(&bob.ctl(&["resume", writer.session()])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ the code is here already, but for 1 path
        ✓ the conversation is here already, word for word
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! `.env` stays as it is here: its name says that it holds a secret
        --- exit code 0
        "#);
}
