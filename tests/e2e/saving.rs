//! `save` in the user's own repository: what is committed, pushed and left alone, and how far it says it got.

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use convosync_tests::work::{seen, write};
use convosync_tests::world::Way;
use convosync_tests::{Device, Opened, Run, SAVED_WITHIN, World, eventually, files, program, work};
use rustix::process::{Pid, Signal};
use serde_json::Value;

/// Nothing was done, because the user has to decide first.
const NEEDS_DECISION: i32 = 4;
/// Everything is kept on this device, but the remote does not have it.
const KEPT_LOCALLY: i32 = 6;

fn opened() -> World {
    Opened::new(&["ada"], Way::Any).world
}

pub(crate) fn git(device: &Device, arguments: &[&str]) -> String {
    device.home.git(arguments).ok().text()
}

fn subject(device: &Device) -> String {
    git(device, &["log", "-1", "--format=%s"])
}

/// Where the remote's branch is.
pub(crate) fn there(device: &Device, branch: &str) -> String {
    let line = git(device, &["ls-remote", "origin", &format!("refs/heads/{branch}")]);
    line.split_whitespace().next().unwrap_or_default().to_owned()
}

pub(crate) fn here(device: &Device) -> String {
    git(device, &["rev-parse", "HEAD"])
}

fn hook(device: &Device, name: &str, body: &str) {
    let path = device.home.project().join(".git/hooks").join(name);
    files::write_program(&path, &format!("#!/bin/sh\n{body}\n"));
}

fn unhook(device: &Device, name: &str) {
    files::remove_file(&device.home.project().join(".git/hooks").join(name));
}

/// Which save the only session is at, and its message.
fn saved(device: &Device) -> (Value, Value) {
    let sessions = device.sessions();
    let [session] = sessions.as_slice() else { panic!("one session: {sessions:?}") };
    (session["save"].clone(), session["message"].clone())
}

#[track_caller]
pub(crate) fn assert_left_to_the_user(run: &Run, said: &str, hint: &str) {
    assert_eq!(run.status.code(), Some(NEEDS_DECISION), "{run}");
    let errors = run.errors();
    assert!(errors.contains(said) && errors.contains("hint: ") && errors.contains(hint), "{run}");
}

#[test]
fn a_save_commits_pushes_and_says_who_will_see_it() {
    let Opened { mut world, phrase, writer } = Opened::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    bob.ctl(&["save", "--session", writer.session(), "--stash", "seen"]).ok();
    ada.ctl(&["sync"]).ok();
    work::leave(ada);

    let run = ada.ctl(&["save", "sign-in works"]).ok();
    assert_eq!(subject(ada), "sign-in works [ConvoSync]");
    assert_eq!(git(ada, &["status", "--porcelain"]), "?? .env");
    assert_eq!(there(ada, "main"), here(ada));
    let text = run.text();
    for said in [
        "committed 2 changed files and 1 new file to main as ",
        "pushed to origin/main",
        "will be seen by bob",
        "Next: convosyncctl resume ",
    ] {
        assert!(text.contains(said), "{said}: {run}");
    }
    assert!(run.errors().contains("not committed: `.env`: its name says"), "{run}");
    assert_eq!(saved(ada).1, "sign-in works");
}

#[test]
fn the_commit_has_the_configured_suffix_and_a_message_where_none_is_given() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, "a", "1");
    ada.ctl(&["save"]).ok();
    assert_eq!(subject(ada), "WIP: sync session [ConvoSync]");
    ada.home.write_config("");
    let config = ada.home.convosync_dir().join("config.toml");
    let text = String::from_utf8(files::read(&config)).unwrap();
    files::write(&config, text.replace("[save]", "[save]\ncommit_suffix = \"\""));
    write(ada, "a", "2");
    let reply = ada.ctl_json(&["save", "-m", "plain\n\nand more"]);
    assert_eq!(git(ada, &["log", "-1", "--format=%B"]), "plain\n\nand more");
    assert_eq!(reply["committed"]["commit"], here(ada));
    assert_eq!(reply["pushed"]["result"], "done");
}

#[test]
fn nothing_to_commit_saves_the_session_alone() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    let before = here(ada);
    let run = ada.ctl(&["save", "a word"]).ok();
    assert!(!format!("{run}").contains("committed"), "{run}");
    assert_eq!((here(ada), saved(ada).1), (before, "a word".into()));

    write(ada, "a", "1");
    git(ada, &["add", "a"]);
    git(ada, &["commit", "-q", "-m", "by hand"]);
    let run = ada.ctl(&["save"]).ok();
    assert!(run.errors().contains("1 commit of main not pushed"), "{run}");
    assert_ne!(there(ada, "main"), here(ada));
    let run = ada.ctl(&["save", "--retry"]).ok();
    assert!(run.text().contains("pushed to origin/main"), "{run}");
    assert_eq!(there(ada, "main"), here(ada));
}

#[test]
fn a_stash_goes_into_the_session_and_touches_nothing() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    work::leave(ada);
    let before = (seen(ada), there(ada, "main"));
    ada.ctl(&["save", "--stash", "experimental"]).ok();
    assert_eq!((seen(ada), there(ada, "main")), before);
    assert_eq!(saved(ada).1, "experimental");
}

#[test]
fn what_is_not_to_be_pushed_stays_here_until_sync_also_when_the_daemon_starts_anew() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    let before = (there(ada, "main"), world_refs(ada));
    write(ada, "a", "1\n");
    let run = ada.ctl(&["save", "--no-push", "not yet"]).ok();
    assert!(
        run.text().contains("kept on this device") && run.text().contains("convosyncctl sync"),
        "{run}"
    );
    assert_eq!(subject(ada), "not yet [ConvoSync]");
    ada.stop();
    ada.start();
    let mut writer = ada.writer(2);
    writer.turn();
    eventually("a later session is saved here", SAVED_WITHIN, || ada.session(writer.session()));
    let status = ada.ctl(&["status"]).ok();
    assert!(status.text().contains("since `save --no-push`"), "{status}");
    ada.stop();
    assert_eq!((there(ada, "main"), world_refs(ada)), before);

    ada.start();
    ada.ctl(&["sync"]).ok();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    assert_eq!(there(ada, "main"), before.0, "the branch is the user's to push");
    assert_ne!(world_refs(ada), before.1);
    ada.ctl(&["save", "--retry"]).ok();
    assert_eq!(there(ada, "main"), here(ada));
}

/// All refs of the remote.
fn world_refs(device: &Device) -> String {
    git(device, &["ls-remote", "origin", "refs/convosync/*"])
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    work::leave(ada);
    let before = (seen(ada), there(ada, "main"), saved(ada).1);
    let run = ada.ctl(&["save", "--dry-run", "--branch", "other", "sign-in"]).ok();
    for said in [
        "go to the branch other",
        "would commit 2 changed files and 1 new file",
        "would push to origin/other",
    ] {
        assert!(run.text().contains(said), "{said}: {run}");
    }
    let reply = ada.ctl_json(&["save", "--dry-run"]);
    assert_eq!(
        (&reply["commit"]["changed_files"], &reply["left_out"][0]["path"]),
        (&2.into(), &".env".into())
    );
    ada.ctl(&["save", "--stash", "--dry-run"]).ok();
    assert_eq!((seen(ada), there(ada, "main"), saved(ada).1), before);
}

#[test]
fn secrets_are_never_committed_whatever_git_knows_of_them() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, ".env", "TOKEN=1\n");
    write(ada, "server.pem", "1\n");
    git(ada, &["add", ".env", "server.pem"]);
    git(ada, &["commit", "-q", "-m", "they are tracked"]);
    git(ada, &["push", "-q"]);
    write(ada, ".env", "TOKEN=changed\n");
    write(ada, "server.pem", "staged\n");
    git(ada, &["add", "server.pem"]);
    write(ada, "id_rsa", "new\n");
    write(ada, "README.md", "changed\n");
    let run = ada.ctl(&["save", "--force", "no secrets"]).ok();
    assert_eq!(git(ada, &["status", "--porcelain"]), " M .env\nM  server.pem\n?? id_rsa");
    assert_eq!(git(ada, &["show", "HEAD:README.md"]), "changed");
    for name in [".env", "server.pem", "id_rsa"] {
        assert!(run.errors().contains(&format!("not committed: `{name}`")), "{name}: {run}");
    }
}

#[test]
fn commits_with_secrets_are_kept_here_until_the_user_decides() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, ".env", "TOKEN=1\n");
    git(ada, &["add", ".env"]);
    git(ada, &["commit", "-q", "-m", "oops"]);
    write(ada, "README.md", "changed\n");
    let before = there(ada, "main");
    let run = ada.ctl(&["save"]);
    assert_eq!(run.status.code(), Some(KEPT_LOCALLY), "{run}");
    assert!(run.errors().contains("hold `.env`, whose name says"), "{run}");
    assert_eq!(there(ada, "main"), before);
}

#[test]
fn a_hook_or_signing_that_fails_leaves_everything_as_it_was() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    work::leave(ada);
    let before = (seen(ada), there(ada, "main"));
    let refused = |what: &str| {
        let run = ada.ctl(&["save", "never", "--branch", "other"]);
        assert_eq!(run.status.code(), Some(1), "{what}: {run}");
        assert!(run.errors().contains("git did not commit"), "{what}: {run}");
        assert_eq!((seen(ada), there(ada, "main")), before, "{what}");
        assert_eq!(git(ada, &["branch", "--list", "other"]), "", "{what}");
        assert_ne!(saved(ada).1, "never", "{what}");
        run
    };
    for name in ["pre-commit", "commit-msg"] {
        hook(ada, name, "echo the reason of the hook; exit 1");
        let run = refused(name);
        assert!(run.errors().contains("the reason of the hook"), "{run}");
        unhook(ada, name);
    }
    git(ada, &["config", "commit.gpgSign", "true"]);
    git(ada, &["config", "gpg.program", "/nowhere/gpg"]);
    refused("signing");
}

#[test]
fn hooks_run_as_the_users_own_and_what_they_add_is_committed() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    hook(ada, "pre-commit", "echo formatted > README.md && git add README.md");
    write(ada, "README.md", "not formatted\n");
    write(ada, "new", "1\n");
    ada.ctl(&["save", "with a hook"]).ok();
    assert_eq!(git(ada, &["show", "HEAD:README.md"]), "formatted");
    assert_eq!(git(ada, &["status", "--porcelain"]), "");
}

#[test]
fn a_push_that_is_rejected_leaves_the_commit_and_the_way_out() {
    let Opened { mut world, .. } = Opened::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    write(bob, "theirs", "1\n");
    git(bob, &["add", "."]);
    git(bob, &["commit", "-q", "-m", "theirs"]);
    git(bob, &["push", "-q", "origin", "main"]);
    let theirs = here(bob);

    write(ada, "ours", "1\n");
    let run = ada.ctl(&["save", "ours"]);
    assert_eq!(run.status.code(), Some(KEPT_LOCALLY), "{run}");
    for said in
        ["`origin/main` has commits that are not here", "`git pull origin main`", "save --retry"]
    {
        assert!(run.errors().contains(said), "{said}: {run}");
    }
    assert!(run.text().contains("committed 1 new file to main"), "{run}");
    assert_eq!((there(ada, "main"), subject(ada)), (theirs, "ours [ConvoSync]".to_owned()));
    assert_eq!(saved(ada).1, "ours");

    git(ada, &["pull", "-q", "--no-rebase", "--no-edit", "origin", "main"]);
    ada.ctl(&["save", "--retry"]).ok();
    assert_eq!(there(ada, "main"), here(ada));
}

#[test]
fn a_pre_push_hook_that_refuses_keeps_the_commit_here() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    hook(ada, "pre-push", "echo not today >&2; exit 1");
    write(ada, "a", "1\n");
    let before = there(ada, "main");
    let run = ada.ctl(&["save", "kept"]);
    assert_eq!(run.status.code(), Some(KEPT_LOCALLY), "{run}");
    assert!(
        run.errors().contains("not today") && run.errors().contains("did not take it"),
        "{run}"
    );
    assert_eq!((there(ada, "main"), subject(ada)), (before, "kept [ConvoSync]".to_owned()));
    unhook(ada, "pre-push");
    ada.ctl(&["save", "--retry"]).ok();
    assert_eq!(there(ada, "main"), here(ada));
}

#[test]
fn what_keeps_from_committing_is_told_with_its_way_out_and_a_stash_goes_through() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, "README.md", "changed\n");
    let git_dir = ada.home.project().join(".git");

    files::write(&git_dir.join("index.lock"), "");
    assert_left_to_the_user(&ada.ctl(&["save"]), "another git works here", "index.lock");
    files::write(&git_dir.join("index.lock"), convosync_core::capture::RESTORE_MARK);
    assert_left_to_the_user(&ada.ctl(&["save"]), "a `resume` is under way", "convosyncctl undo");
    files::remove_file(&git_dir.join("index.lock"));

    git(ada, &["bisect", "start"]);
    assert_left_to_the_user(&ada.ctl(&["save"]), "a `git bisect`", "git bisect reset");
    git(ada, &["bisect", "reset"]);

    git(ada, &["checkout", "-q", "--detach"]);
    assert_left_to_the_user(
        &ada.ctl(&["save"]),
        "HEAD is on no branch, but at ",
        "git switch main",
    );
    ada.ctl(&["save", "--stash", "detached"]).ok();
    assert_eq!(saved(ada).1, "detached");
    ada.ctl(&["save", "--branch", "rescued"]).ok();
    assert_eq!(git(ada, &["branch", "--show-current"]), "rescued");
    assert_eq!(there(ada, "rescued"), here(ada));
}

#[test]
fn conflicts_and_unfinished_operations_are_told_with_their_way_out() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    git(ada, &["checkout", "-q", "-b", "side"]);
    write(ada, "README.md", "side\n");
    git(ada, &["commit", "-q", "-a", "-m", "side"]);
    git(ada, &["checkout", "-q", "main"]);
    write(ada, "README.md", "main\n");
    git(ada, &["commit", "-q", "-a", "-m", "main"]);
    ada.home.git(&["merge", "side"]).fails();
    assert_left_to_the_user(
        &ada.ctl(&["save"]),
        "conflicts are not resolved in `README.md`",
        "git add",
    );
    write(ada, "README.md", "both\n");
    git(ada, &["add", "README.md"]);
    assert_left_to_the_user(&ada.ctl(&["save"]), "a merge is not finished", "git merge --abort");
    let before = seen(ada);
    ada.ctl(&["save", "--stash", "in the middle"]).ok();
    assert_eq!((seen(ada), saved(ada).1), (before, "in the middle".into()));
}

#[test]
fn a_repository_without_a_remote_is_told_how_to_get_one() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, "README.md", "changed\n");
    git(ada, &["remote", "remove", "origin"]);
    assert_left_to_the_user(
        &ada.ctl(&["save"]),
        "the repository has no remote",
        "git remote add origin",
    );
    assert_eq!(subject(ada), "begin");
}

#[test]
fn what_is_large_is_committed_only_when_the_user_insists() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    let path = ada.home.project().join("film.bin");
    files::write(&path, "");
    std::fs::File::options().write(true).open(&path).unwrap().set_len(51 << 20).unwrap();
    let before = seen(ada).len();
    let run = ada.ctl(&["save"]);
    assert_left_to_the_user(&run, "`film.bin` (51.0 MiB)", "git lfs track");
    assert!(run.errors().contains("--force"), "{run}");
    assert_eq!((seen(ada).len(), subject(ada)), (before, "begin".to_owned()));
    let run = ada.ctl(&["save", "--force"]).ok();
    assert!(run.errors().contains("git lfs track"), "{run}");
    assert_eq!(there(ada, "main"), here(ada));
}

#[test]
fn outside_of_an_enabled_project_nothing_is_committed() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    write(ada, "README.md", "changed\n");
    let before = seen(ada);
    let run = ada.ctl(&["save"]).fails();
    assert!(run.errors().contains("convosyncctl init"), "{run}");
    ada.init();
    ada.ctl(&["disable"]).ok();
    let run = ada.ctl(&["save"]).fails();
    assert!(run.errors().contains("convosyncctl enable"), "{run}");
    assert_eq!(seen(ada), before);
}

/// Starts a save whose hook never ends, and returns once the hook runs.
fn stuck_in_a_hook(ada: &Device) -> std::process::Child {
    let mark = ada.home.root().join("hook-runs");
    hook(ada, "pre-commit", &format!("touch '{}'; exec sleep 600", mark.display()));
    let mut command = ada.home.command(program::binary("convosyncctl"));
    command.args(["save", "never"]).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("the client was built");
    eventually("the hook runs", SAVED_WITHIN, || mark.exists().then_some(()));
    child
}

#[test]
fn ctrl_c_in_a_hook_leaves_everything_as_it_was() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    work::leave(ada);
    let before = seen(ada);
    let mut child = stuck_in_a_hook(ada);
    rustix::process::kill_process_group(Pid::from_child(&child), Signal::INT).unwrap();
    let status = eventually("save ends", SAVED_WITHIN, || child.try_wait().unwrap());
    assert_eq!((status.code(), seen(ada)), (Some(NEEDS_DECISION), before));
}

#[test]
fn a_save_that_is_killed_in_a_hook_loses_nothing_and_the_next_one_commits() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    work::leave(ada);
    let (before, staged) = (here(ada), git(ada, &["diff", "--cached"]));
    let mut child = stuck_in_a_hook(ada);
    program::kill_group(Pid::from_child(&child));
    child.wait().unwrap();
    unhook(ada, "pre-commit");
    assert_eq!((here(ada), git(ada, &["diff", "--cached"])), (before, staged));
    // Git's own lock, as after any git that was killed.
    let lock = ada.home.project().join(".git/index.lock");
    if lock.exists() {
        assert_left_to_the_user(&ada.ctl(&["save"]), "another git works here", "remove");
        files::remove_file(&lock);
    }
    ada.ctl(&["save", "after all"]).ok();
    assert_eq!(git(ada, &["status", "--porcelain"]), "?? .env");
    assert_eq!(there(ada, "main"), here(ada));
}
