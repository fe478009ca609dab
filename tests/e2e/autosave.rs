//! What the daemon does about the code by itself: a snapshot, a commit, or nothing.

use convosync_tests::work::{seen, write};
use convosync_tests::world::Way;
use convosync_tests::{Device, Opened, SAVED_WITHIN, World, Writer, eventually, files};

use crate::saving::{git, here, there};

fn configure(device: &Device, autosave: &str) {
    device.home.write_config(&format!("[autosave]\n{autosave}\n"));
    device.ctl(&["config", "reload"]).ok();
}

/// A world in which the first device commits by itself in its project, on a branch of its own.
fn committing() -> (World, Writer) {
    let Opened { world, writer, .. } = Opened::new(&["ada", "bob"], Way::Any);
    let ada = &world.devices[0];
    let project = ada.home.project().canonicalize().unwrap();
    configure(ada, &format!("code = \"commit\"\ncommit_in = [\"{}\"]", project.display()));
    git(ada, &["switch", "-q", "-c", "wip"]);
    (world, writer)
}

/// What `status` says of the code of automatic saves.
fn told(device: &Device) -> String {
    let warning = device.ctl_json(&["status"])["projects"][0]["autosave"].clone();
    format!("{} / {}", warning["message"], warning["hint"])
}

#[test]
fn an_idle_branch_is_committed_and_pushed_with_hooks_and_without_secrets() {
    let (world, mut writer) = committing();
    let ada = &world.devices[0];
    let hook = ada.home.project().join(".git/hooks/pre-commit");
    files::write_program(&hook, "#!/bin/sh\necho formatted > formatted && git add formatted\n");
    write(ada, "README.md", "changed\n");
    write(ada, "new/file.txt", "new\n");
    write(ada, ".env", "TOKEN=canary\n");
    let main = there(ada, "main");
    writer.turn();
    let pushed = eventually("the branch is pushed", SAVED_WITHIN, || {
        Some(there(ada, "wip")).filter(|there| !there.is_empty())
    });
    assert_eq!(pushed, here(ada));
    assert_eq!(git(ada, &["log", "-1", "--format=%s"]), "WIP: sync session [ConvoSync]");
    let names = git(ada, &["show", "--format=", "--name-only", "HEAD"]);
    assert_eq!(names, "README.md\nformatted\nnew/file.txt");
    assert_eq!(git(ada, &["rev-parse", "--abbrev-ref", "@{upstream}"]), "origin/wip");
    assert_eq!(git(ada, &["status", "--porcelain"]), "?? .env");
    assert_eq!(there(ada, "main"), main);
    assert_eq!(told(ada), "null / null");
    eventually("the commit belongs to the session", SAVED_WITHIN, || {
        let session = ada.session(writer.session())?;
        (session["commit"] == pushed && session["on_remote"] == true).then_some(())
    });
}

#[track_caller]
fn assert_stays(ada: &Device, writer: &mut Writer, said: &str) {
    let before = (seen(ada), there(ada, "wip"), there(ada, "main"));
    writer.turn();
    let told = eventually(&format!("status says: {said}"), SAVED_WITHIN, || {
        Some(told(ada)).filter(|told| told.contains(said))
    });
    assert!(told.contains("not committed by itself: "), "{told}");
    assert_eq!((seen(ada), there(ada, "wip"), there(ada, "main")), before, "{told}");
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

#[test]
fn whatever_speaks_against_a_commit_is_told_and_everything_is_saved_as_it_stands() {
    let (mut world, mut writer) = committing();
    let (ada, bob) = world.pair();
    git(ada, &["switch", "-q", "main"]);
    write(ada, "README.md", "changed\n");
    assert_stays(ada, &mut writer, "`main` is a protected branch");

    // Where it would be pushed to counts as well. Each step is ready before the one before it is over: the daemon
    // may look in between.
    git(ada, &["config", "remote.origin.push", "refs/heads/wip:refs/heads/release/1"]);
    git(ada, &["switch", "-q", "wip"]);
    assert_stays(ada, &mut writer, "`release/1` is a protected branch");

    write(ada, "staged", "1\n");
    git(ada, &["add", "staged"]);
    git(ada, &["config", "--unset", "remote.origin.push"]);
    assert_stays(ada, &mut writer, "some changes are staged and others are not");

    let hook = ada.home.project().join(".git/hooks/pre-commit");
    files::write_program(&hook, "#!/bin/sh\necho not today >&2; exit 1\n");
    git(ada, &["add", "."]);
    assert_stays(ada, &mut writer, "did not commit: not today");

    git(bob, &["switch", "-q", "-c", "wip"]);
    git(bob, &["commit", "-q", "--allow-empty", "-m", "theirs"]);
    git(bob, &["push", "-q", "origin", "wip"]);
    files::remove_file(&hook);
    assert_stays(ada, &mut writer, "`origin/wip` has commits that are not here");

    git(ada, &["checkout", "-q", "--detach"]);
    assert_stays(ada, &mut writer, "HEAD is on no branch");
    let told = ada.ctl(&["status"]).ok();
    assert!(format!("{told}").contains("HEAD is on no branch"), "{told}");
}

#[test]
fn a_daemon_that_is_killed_while_it_commits_leaves_no_lock_and_the_next_one_commits() {
    let (mut world, mut writer) = committing();
    let ada = &mut world.devices[0];
    let hook = ada.home.project().join(".git/hooks/pre-commit");
    let mark = ada.home.root().join("hook-runs");
    files::write_program(
        &hook,
        &format!("#!/bin/sh\ntouch '{}'; exec sleep 600\n", mark.display()),
    );
    write(ada, "README.md", "changed\n");
    let before = here(ada);
    writer.turn();
    eventually("the hook runs", SAVED_WITHIN, || mark.exists().then_some(()));
    ada.kill_alone();
    let lock = ada.home.project().join(".git/index.lock");
    eventually("git took its lock away", SAVED_WITHIN, || (!lock.exists()).then_some(()));
    assert_eq!(here(ada), before);
    assert_eq!(git(ada, &["--no-optional-locks", "status", "--porcelain"]), " M README.md");

    files::remove_file(&hook);
    ada.start();
    writer.turn();
    eventually("the branch is pushed", SAVED_WITHIN, || {
        let there = there(ada, "wip");
        (!there.is_empty() && there == here(ada)).then_some(())
    });
    assert_eq!(git(ada, &["status", "--porcelain"]), "");
}

#[test]
fn a_project_that_is_not_named_is_never_committed_in() {
    let Opened { world, mut writer, .. } = Opened::new(&["ada"], Way::Any);
    let ada = &world.devices[0];
    git(ada, &["switch", "-q", "-c", "wip"]);
    let above = ada.home.project().canonicalize().unwrap();
    let above = above.parent().unwrap();
    configure(ada, &format!("code = \"commit\"\ncommit_in = [\"{}\"]", above.display()));
    write(ada, "README.md", "changed\n");
    let before = seen(ada);
    for _ in 0..2 {
        writer.turn();
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    }
    assert_eq!((seen(ada), there(ada, "wip")), (before, String::new()));
    let problems = ada.ctl_json(&["status"])["problems"].to_string();
    let said = format!("`autosave.commit_in` names `{}`, which is not the folder", above.display());
    assert!(problems.contains(&said), "{problems}");
}

#[test]
fn where_code_is_off_only_a_save_by_hand_takes_it_along() {
    let Opened { mut world, phrase, mut writer } = Opened::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    configure(ada, "code = \"off\"");
    write(ada, "README.md", "changed\n");
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    assert!(told(ada).contains("the code is not saved by itself"), "{}", told(ada));
    let show = ada.ctl(&["show", writer.session()]).ok();
    assert!(show.text().contains("named only: only a save by hand takes"), "{show}");
    bob.start();
    bob.join(&phrase);
    let run = bob.ctl(&["resume", writer.session(), "--force"]).ok();
    assert!(format!("{run}").contains("only a save by hand takes the code along"), "{run}");
    let read = || files::read(&bob.home.project().join("README.md"));
    assert_ne!(read(), b"changed\n");

    ada.ctl(&["save", "--stash"]).ok();
    bob.ctl(&["sync"]).ok();
    bob.ctl(&["resume", writer.session(), "--force"]).ok();
    assert_eq!(read(), b"changed\n");
}
