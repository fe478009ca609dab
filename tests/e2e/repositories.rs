//! A session may work in several repositories: what is not saved of them, or not here, is named and kept. That
//! the code of each arrives is driven over every way, beside the code of one (`code.rs`).

use std::path::{Path, PathBuf};

use convosync_tests::work::{seen, seen_in};
use convosync_tests::world::Way;
use convosync_tests::{Device, Remote, World, Writer, eventually, files, work};
use serde_json::{Value, json};

use crate::SAVED_WITHIN;

/// Two devices, and beside their project a second repository that the first device has cloned.
pub(crate) struct Stage {
    world: World,
    pub(crate) writer: Writer,
    phrase: String,
    /// The second repository's address.
    url: String,
}

/// The second repository's clone of a device.
pub(crate) fn lib(device: &Device) -> PathBuf {
    device.home.dir().join("code/lib")
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the tests' paths are text")
}

/// Runs git in a clone.
pub(crate) fn git_in(device: &Device, clone: &Path, words: &[&str]) {
    device.home.git(&[&["-C", text(clone)], words].concat()).ok();
}

fn enable(device: &Device, clone: &Path) {
    device.ctl(&["-C", text(clone), "enable"]).ok();
}

impl Stage {
    /// Lets the first device begin; the conversation has a turn, and the second repository a commit.
    pub(crate) fn new(way: Way) -> Self {
        let mut world = World::new(&["ada", "bob"], way);
        let second = Remote::create(&world.remote.folder().join("lib.git"));
        if let convosync_tests::way::Host::Web(_) = world.host {
            second.git(&["config", "http.receivepack", "true"]).ok();
        }
        let url = world.host.url(&second);
        let (ada, _) = world.pair();
        ada.home.write_config("[watch]\ncode_check_every = \"1s\"\n");
        let clone = lib(ada);
        ada.home.git(&["clone", "-q", &url, text(&clone)]).ok();
        files::write(&clone.join("lib.txt"), "one\n");
        git_in(ada, &clone, &["add", "."]);
        git_in(ada, &clone, &["commit", "-q", "-m", "begin"]);
        git_in(ada, &clone, &["push", "-q", "-u", "origin", "HEAD"]);
        ada.start();
        let phrase = ada.init();
        let mut writer = ada.writer(1);
        writer.turn();
        Self { world, writer, phrase, url }
    }

    /// Lets the first device save both, and the second one join with clones of both.
    pub(crate) fn with_both(way: Way) -> Self {
        let mut stage = Self::new(way);
        stage.enable();
        stage.work();
        stage.saved();
        stage.told("both are saved", |lib| lib["is_saved"] == true);
        stage.join(true);
        stage
    }

    /// The devices.
    pub(crate) fn pair(&mut self) -> (&mut Device, &mut Device) {
        self.world.pair()
    }

    /// Leaves unfinished work in both repositories of the first device, and lets its session say so.
    pub(crate) fn work(&mut self) {
        let (ada, _) = self.world.pair();
        let clone = lib(ada);
        work::leave(ada);
        files::write(&clone.join("more.txt"), "not pushed\n");
        git_in(ada, &clone, &["add", "."]);
        git_in(ada, &clone, &["commit", "-q", "-m", "not pushed"]);
        files::write(&clone.join("lib.txt"), "one\ntwo\n");
        files::write(&clone.join("new.txt"), "nobody added it\n");
        files::write(&clone.join(".env"), "TOKEN=canary\n");
        edit(&self.writer, &clone.join("lib.txt"));
    }

    /// Enables the second repository on the first device.
    pub(crate) fn enable(&mut self) {
        let (ada, _) = self.pair();
        enable(ada, &lib(ada));
    }

    /// Waits until the first device's session is on the remote.
    pub(crate) fn saved(&mut self) {
        let (session, bytes) = (self.writer.session().to_owned(), self.writer.total_bytes());
        self.pair().0.saved_eventually(&session, bytes, SAVED_WITHIN);
    }

    /// Waits until the newest save of the first device says this of the second repository.
    pub(crate) fn told(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) {
        let session = self.writer.session().to_owned();
        let (ada, _) = self.pair();
        eventually(what, SAVED_WITHIN, || {
            let shown = ada.ctl_json(&["show", &session]);
            is_it(&shown["repositories"][0]).then_some(())
        });
        eventually("it is on the remote", SAVED_WITHIN, || {
            ada.session(&session).filter(|session| session["on_remote"] == true)
        });
    }

    /// Lets the second device join, with a clone of the second repository that is enabled where it `has` one.
    pub(crate) fn join(&mut self, has: bool) {
        let (phrase, url) = (self.phrase.clone(), self.url.clone());
        let (_, bob) = self.pair();
        bob.home.write_config("[watch]\ncode_check_every = \"1s\"\n");
        bob.start();
        bob.join(&phrase);
        if has {
            bob.home.git(&["clone", "-q", &url, text(&lib(bob))]).ok();
            enable(bob, &lib(bob));
        }
    }
}

/// Has the session write to a file, as the client notes it.
pub(crate) fn edit(writer: &Writer, file: &Path) {
    let call =
        json!({"type": "tool_use", "id": "t1", "name": "Edit", "input": {"file_path": file}});
    let line = json!({"type": "assistant", "uuid": "00000000-0000-4000-8000-0000000000ed", "message": {"id": "m-edit", "role": "assistant", "content": [call]}});
    files::append(&writer.path(), format!("{line}\n").as_bytes());
}

#[test]
fn a_repository_that_is_not_enabled_is_named_and_nothing_of_it_leaves() {
    let mut stage = Stage::new(Way::File);
    stage.work();
    stage.saved();
    stage.told("it is named", |lib| {
        lib["name"] == "lib" && lib["is_saved"] == false && lib["commit"].is_null()
    });
    let (ada, _) = stage.pair();
    let told = format!("{}", ada.ctl(&["status"]).ok());
    let way_out = format!("convosyncctl enable` in `{}`", lib(ada).display());
    assert!(told.contains("worked in `lib` too") && told.contains(&way_out), "{told}");
    stage.join(true);
    let session = stage.writer.session().to_owned();
    let (ada, bob) = stage.pair();
    let before = seen_in(bob, &lib(bob));
    let told = format!("{}", bob.ctl(&["resume", &session]).ok());
    assert!(told.contains("worked in `lib` too") && told.contains("not enabled"), "{told}");
    assert_eq!((seen(bob), seen_in(bob, &lib(bob))), (seen(ada), before));

    // Once it is enabled, the next save has it: the session need not work there again.
    stage.enable();
    stage.writer.turn();
    stage.saved();
    stage.told("it is saved", |lib| lib["is_saved"] == true);
    let (ada, bob) = stage.pair();
    bob.ctl(&["resume", &session]).ok();
    assert_eq!(seen_in(bob, &lib(bob)), seen_in(ada, &lib(ada)));
    let told = format!("{}", ada.ctl(&["status"]).ok());
    assert!(!told.contains("worked in `lib` too"), "{told}");
}

#[test]
fn a_repository_that_is_not_here_is_named_with_its_address_and_its_code_is_carried_on() {
    let mut stage = Stage::new(Way::File);
    stage.enable();
    stage.work();
    stage.saved();
    stage.told("both are saved", |lib| lib["is_saved"] == true);
    stage.join(false);
    let (session, url) = (stage.writer.session().to_owned(), stage.url.clone());
    let (ada, bob) = stage.world.pair();
    let told = format!("{}", bob.ctl(&["resume", &session]).ok());
    assert!(told.contains(&format!("git clone {url}")), "{told}");
    assert_eq!(seen(bob), seen(ada));

    // The other device goes on without it, and what the first one saved of it stays with the session.
    let mut there = Writer::resumed(&bob.home.transcripts(), &stage.writer, bob.home.project());
    there.turn();
    let (ada, bob) = stage.world.pair();
    let saved = bob.saved_eventually(&session, there.total_bytes(), SAVED_WITHIN);
    assert_eq!(saved["this_device"], true, "{saved}");
    let shown = bob.ctl_json(&["show", &session]);
    assert_eq!(shown["repositories"][0]["is_saved"], true, "{shown}");
    bob.home.git(&["clone", "-q", &url, text(&lib(bob))]).ok();
    enable(bob, &lib(bob));
    let earlier = format!("{session}@{}", saved["save"].as_u64().unwrap_or_default() - 1);
    bob.ctl(&["resume", "--force", &earlier]).ok();
    assert_eq!(seen_in(bob, &lib(bob)), seen_in(ada, &lib(ada)));

    // The first device has it as it left it, and nothing of it is put back there.
    files::write(&lib(ada).join("lib.txt"), "changed since, and nobody asked\n");
    let reply = ada.ctl_json(&["resume", &session]);
    assert!(reply.get("repositories").is_none(), "{reply}");
    let kept = files::read(&lib(ada).join("lib.txt"));
    assert_eq!(kept, b"changed since, and nobody asked\n");
}

#[test]
fn work_in_a_further_repository_stays_unless_the_user_says_so_and_keeps_nobody_from_the_rest() {
    let mut stage = Stage::with_both(Way::File);
    let session = stage.writer.session().to_owned();
    let (ada, bob) = stage.pair();
    files::write(&lib(bob).join("lib.txt"), "bob's own change\n");
    let before = seen_in(bob, &lib(bob));

    let apart = bob.home.dir().join("elsewhere");
    let told = format!("{}", bob.ctl(&["resume", "--worktree", text(&apart), &session]).ok());
    assert!(told.contains("resume without `--worktree`"), "{told}");
    assert_eq!(seen_in(bob, &lib(bob)), before);
    let told = format!("{}", bob.ctl(&["resume", &session]).ok());
    assert!(told.contains("it stays as it is here") && told.contains("--theirs"), "{told}");
    assert_eq!((seen(bob), seen_in(bob, &lib(bob))), (seen(ada), before.clone()));

    bob.ctl(&["resume", "--force", &session]).ok();
    assert_eq!(seen_in(bob, &lib(bob)), seen_in(ada, &lib(ada)));
    let restored = seen(bob);
    bob.ctl(&["undo"]).ok();
    assert_eq!(seen_in(bob, &lib(bob)), before, "what the last resume changed");
    assert_eq!(seen(bob), restored, "and nothing else");
    let told = format!("{}", bob.ctl(&["undo"]).ok());
    assert_eq!(seen_in(bob, &lib(bob)), seen_in(ada, &lib(ada)), "{told}");
}

/// What the second device has there, and its session never worked in, is no business of the session's.
#[test]
fn a_repository_is_saved_from_another_device_only_once_the_session_works_in_it_there() {
    let mut stage = Stage::with_both(Way::File);
    let session = stage.writer.session().to_owned();
    let (ada, bob) = stage.world.pair();
    bob.ctl(&["resume", &session]).ok();
    files::write(&lib(bob).join("lib.txt"), "bob's own matter\n");
    let mut there = Writer::resumed(&bob.home.transcripts(), &stage.writer, bob.home.project());
    there.turn();
    bob.saved_eventually(&session, there.total_bytes(), SAVED_WITHIN);
    let before = seen_in(ada, &lib(ada));
    let reply = ada.ctl_json(&["resume", &session]);
    assert!(reply.get("repositories").is_none(), "{reply}");
    assert_eq!(seen_in(ada, &lib(ada)), before);

    edit(&there, &lib(bob).join("lib.txt"));
    bob.saved_eventually(&session, there.total_bytes(), SAVED_WITHIN);
    let reply = ada.ctl_json(&["resume", &session]);
    assert_eq!(reply["repositories"][0]["differences"], json!([]), "{reply}");
    assert_eq!(seen_in(ada, &lib(ada)), seen_in(bob, &lib(bob)));

    // From then on an edit there is saved, too, though the session says nothing more.
    let number = |device: &Device| device.session(&session).and_then(|one| one["save"].as_u64());
    let before = number(bob);
    files::write(&lib(bob).join("lib.txt"), "changed after the last message\n");
    eventually("the change is saved", SAVED_WITHIN, || (number(bob) > before).then_some(()));
    bob.saved_eventually(&session, there.total_bytes(), SAVED_WITHIN);
    ada.ctl(&["resume", &session]).ok();
    assert_eq!(files::read(&lib(ada).join("lib.txt")), b"changed after the last message\n");
}

/// Has every git of a device note where it was started, and returns the file that says so.
fn note_gits(device: &Device, more: &str) -> PathBuf {
    let (program, noted) = (device.home.root().join("noting-git"), device.home.root().join("gits"));
    let script = format!("#!/bin/sh\necho \"$PWD\" >>'{}'\nexec git \"$@\"\n", noted.display());
    files::write_program(&program, &script);
    let config = format!("[git]\nprogram = \"{}\"\n{more}", program.display());
    device.home.write_config(&config);
    noted
}

/// Whether a git was started in a folder.
fn was_in(noted: &Path, folder: &Path) -> bool {
    let noted = String::from_utf8(files::read(noted)).expect("paths are text");
    noted.lines().any(|line| Path::new(line).starts_with(folder))
}

/// Makes a repository with a remote of its own, enabled, beside the project of the first device.
fn one_more(world: &mut World, name: &str) -> PathBuf {
    let remote = Remote::create(&world.remote.folder().join(format!("{name}.git")));
    let url = world.host.url(&remote);
    let (ada, _) = world.pair();
    let clone = ada.home.dir().join("code").join(name);
    ada.home.git(&["clone", "-q", &url, text(&clone)]).ok();
    files::write(&clone.join("name.txt"), name);
    git_in(ada, &clone, &["add", "."]);
    git_in(ada, &clone, &["commit", "-q", "-m", name]);
    git_in(ada, &clone, &["push", "-q", "-u", "origin", "HEAD"]);
    enable(ada, &clone);
    clone
}

/// What the newest save of a session says of further repositories: name, and whether it is saved.
fn named(device: &Device, session: &str) -> Vec<(String, bool)> {
    let shown = device.ctl_json(&["show", session]);
    let named =
        |one: &Value| (one["name"].as_str().unwrap_or("").to_owned(), one["is_saved"] == true);
    shown["repositories"].as_array().into_iter().flatten().map(named).collect()
}

#[test]
fn twins_linked_work_trees_and_what_is_switched_off_are_named_and_no_git_runs_there() {
    let mut stage = Stage::new(Way::File);
    stage.enable();
    let (session, url) = (stage.writer.session().to_owned(), stage.url.clone());
    let off = one_more(&mut stage.world, "off");
    let (ada, _) = stage.world.pair();
    let twin = ada.home.dir().join("code/lib-too");
    ada.home.git(&["clone", "-q", &url, text(&twin)]).ok();
    enable(ada, &twin);
    let side = ada.home.dir().join("code/lib-side");
    git_in(ada, &lib(ada), &["worktree", "add", "-q", "-b", "side", text(&side)]);
    files::write(&off.join(".convosync/off"), "");
    let noted = note_gits(ada, "[watch]\ncode_check_every = \"1s\"\n");
    ada.stop();
    ada.start();
    files::write(&noted, "");

    for clone in [&lib(ada), &side, &twin, &off] {
        files::write(&clone.join("work.txt"), "of the session\n");
        edit(&stage.writer, &clone.join("work.txt"));
    }
    stage.writer.turn();
    stage.saved();

    let (ada, _) = stage.world.pair();
    let expected = [("lib", true), ("lib-side", false), ("lib-too", false), ("off", false)];
    let expected = expected.map(|(name, is_saved)| (name.to_owned(), is_saved));
    eventually("all of them are named", SAVED_WITHIN, || {
        (named(ada, &session) == expected).then_some(())
    });
    assert!(was_in(&noted, &lib(ada)), "gits are noted");
    assert!([&side, &twin, &off].iter().all(|clone| !was_in(&noted, clone)));
    let told = format!("{}", ada.ctl(&["status"]).ok());
    assert!(
        told.contains("worked in `lib-too` too") && told.contains("further work tree or clone")
    );
    assert!(told.contains(&format!("commit and push what is in `{}`", twin.display())), "{told}");
    assert!(
        told.contains("worked in `off` too") && told.contains("remove `.convosync/off`"),
        "{told}"
    );
    stage.join(true);
    let (_, bob) = stage.pair();
    let told = format!("{}", bob.ctl(&["resume", &session]).ok());
    assert!(
        told.contains("worked in `lib-too` too") && told.contains("worked in `off` too"),
        "{told}"
    );
    assert_eq!(files::read(&lib(bob).join("work.txt")), b"of the session\n");
}

#[test]
fn the_code_of_eight_repositories_is_saved_and_the_others_are_named() {
    let mut stage = Stage::new(Way::File);
    let session = stage.writer.session().to_owned();
    let names: Vec<String> = (1..=9).map(|number| format!("more-{number}")).collect();
    for name in &names {
        let clone = one_more(&mut stage.world, name);
        edit(&stage.writer, &clone.join("name.txt"));
    }
    stage.writer.turn();
    stage.saved();

    let (ada, _) = stage.world.pair();
    let expected: Vec<_> = names.iter().cloned().zip((1..=9).map(|number| number <= 7)).collect();
    eventually("all of them are named", SAVED_WITHIN, || {
        (named(ada, &session) == expected).then_some(())
    });
    let told = format!("{}", ada.ctl(&["status"]).ok());
    assert!(
        told.contains("worked in `more-9` too") && told.contains("at most 8 repositories"),
        "{told}"
    );
    assert!(told.contains("commit and push what is there"), "{told}");
}

/// Git remembers `origin/topic` for ever, there too; and nobody asks that remote for anything else.
#[test]
fn commits_of_a_further_branch_that_was_deleted_at_its_remote_travel_with_the_session() {
    let mut stage = Stage::new(Way::File);
    stage.enable();
    let session = stage.writer.session().to_owned();
    let remote = stage.world.remote.folder().join("lib.git");
    let (ada, _) = stage.pair();
    ada.home.write_config("[watch]\ncode_check_every = \"1s\"\n[fetch]\npoll_every = \"1s\"\n");
    ada.stop();
    ada.start();
    let clone = lib(ada);
    git_in(ada, &clone, &["checkout", "-q", "-b", "topic"]);
    files::write(&clone.join("topic.txt"), "only on the topic\n");
    git_in(ada, &clone, &["add", "."]);
    git_in(ada, &clone, &["commit", "-q", "-m", "a topic"]);
    git_in(ada, &clone, &["push", "-q", "-u", "origin", "topic"]);
    edit(&stage.writer, &clone.join("topic.txt"));
    stage.saved();
    stage.told("it is saved", |lib| lib["is_saved"] == true && lib["branch"] == "topic");
    let (ada, _) = stage.pair();
    let before = ada.session(&session).expect("it is saved");

    let there = |words: &[&str]| ada.home.git(&[&["--git-dir", text(&remote)], words].concat());
    there(&["branch", "-q", "-D", "topic"]).ok();
    there(&["gc", "-q", "--prune=now"]).ok();
    eventually("the commits are on the remote", SAVED_WITHIN, || {
        let session = ada.session(&session)?;
        let is_newer = session["save"].as_u64() > before["save"].as_u64();
        (is_newer && session["on_remote"] == true).then_some(())
    });

    stage.join(true);
    let (ada, bob) = stage.pair();
    let reply = bob.ctl_json(&["resume", "--switch-branch", &session]);
    assert_eq!(reply["repositories"][0]["differences"], json!([]), "{reply}");
    assert_eq!(seen_in(bob, &lib(bob)), seen_in(ada, &lib(ada)));
}

#[test]
fn a_dry_run_says_of_each_repository_what_would_be_done_and_does_nothing() {
    let mut stage = Stage::with_both(Way::File);
    let session = stage.writer.session().to_owned();
    let (_, bob) = stage.pair();
    let before = (seen(bob), seen_in(bob, &lib(bob)));
    let short = |clone: &Path| {
        let args = ["-C", text(clone), "rev-parse", "--short=8", "HEAD"];
        bob.home.git(&args).ok().text()
    };
    let heads = (short(bob.home.project()), short(&lib(bob)));

    let told = format!("{}", bob.ctl(&["resume", "--dry-run", &session]).ok());
    for words in [
        "would restore the code\n",
        "would restore the code of `lib`\n",
        "1 new commit\n",
        "4 files to write, 0 files to remove\n",
        "3 files to write, 0 files to remove\n",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let reply = bob.ctl_json(&["resume", "--dry-run", &session]);
    assert_eq!((&reply["code"]["commits"], &reply["code"]["written"]), (&json!(1), &json!(4)));
    let other = &reply["repositories"][0];
    assert_eq!(
        (&other["name"], &other["commits"], &other["written"]),
        (&json!("lib"), &json!(1), &json!(3))
    );
    let apart = bob.home.dir().join("elsewhere");
    let words = ["resume", "--dry-run", "--worktree", text(&apart), &session];
    let told = format!("{}", bob.ctl(&words).ok());
    assert!(told.contains(&format!("into a new work tree, `{}`", apart.display())), "{told}");
    assert!(!apart.exists());

    files::write(&lib(bob).join("lib.txt"), "bob's own change\n");
    let told = format!("{}", bob.ctl(&["resume", "--dry-run", &session]).ok());
    assert!(told.contains("would restore the code\n"), "{told}");
    assert!(
        told.contains("it stays as it is here") && told.contains("uncommitted change"),
        "{told}"
    );
    assert!(!told.contains("would restore the code of `lib`"), "{told}");
    files::write(&lib(bob).join("lib.txt"), "one\n");
    assert_eq!((seen(bob), seen_in(bob, &lib(bob))), before);
    assert_eq!((short(bob.home.project()), short(&lib(bob))), heads);
}
