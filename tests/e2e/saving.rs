//! `save` in the user's own repository: what is committed, pushed and left alone, and how far it says it got.

mod refused;

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use convosync_tests::told::told;
use convosync_tests::work::{seen, write};
use convosync_tests::world::Way;
use convosync_tests::{Device, Opened, Run, SAVED_WITHIN, World, eventually, files, program, work};
use rustix::process::{Pid, Signal};
use serde_json::Value;

/// Nothing was done, because the user has to decide first.
const NEEDS_DECISION: i32 = 4;

fn opened() -> World {
    let Opened { world, .. } = Opened::new(&["ada"], Way::Any);
    world.devices[0].hold_still();
    world
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
    ada.hold_still();
    work::leave(ada);

    let run = ada.ctl(&["save", "sign-in works"]).ok();
    assert_eq!(subject(ada), "sign-in works [ConvoSync]");
    assert_eq!(git(ada, &["status", "--porcelain"]), "?? .env");
    assert_eq!(there(ada, "main"), here(ada));
    insta::assert_snapshot!(told(&run), @r#"
        ✓ committed 2 changed files and 1 new file to main as [commit]: "sign-in works [ConvoSync]"
        ✓ pushed to origin/main: 2 commits not seen there yet, 1 of them made before
        ✓ saved "sign-in works" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit] with uncommitted changes
        ✓ on the remote, read back; will be seen by bob

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        ! not committed: `.env`: its name says that it holds a secret
        To [remote]/app.git
           [commits]  main -> main
        --- exit code 0
        "#);
    assert_eq!(saved(ada).1, "sign-in works");
}

#[test]
fn the_commit_has_the_configured_suffix_and_a_message_where_none_is_given() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, "a", "1");
    let run = ada.ctl(&["save"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ committed 1 new file to main as [commit]: "WIP: sync session [ConvoSync]"
        ✓ pushed to origin/main
        ✓ saved "Work on [session]" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        To [remote]/app.git
           [commits]  main -> main
        --- exit code 0
        "#);
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
    let run = ada.ctl(&["save", "a word"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ saved "a word" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        --- exit code 0
        "#);
    assert_eq!((here(ada), saved(ada).1), (before, "a word".into()));

    write(ada, "a", "1");
    git(ada, &["add", "a"]);
    git(ada, &["commit", "-q", "-m", "by hand"]);
    let run = ada.ctl(&["save"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ saved "Work on [session]" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        ! 1 commit of main not pushed
        hint: `convosyncctl save --retry` pushes it
        --- exit code 0
        "#);
    assert_ne!(there(ada, "main"), here(ada));
    let run = ada.ctl(&["save", "--retry"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ pushed to origin/main: 1 commit made before, not seen there yet
        ✓ nothing new since save [number] of "Work on [session]"
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        To [remote]/app.git
           [commits]  main -> main
        --- exit code 0
        "#);
    assert_eq!(there(ada, "main"), here(ada));
}

#[test]
fn a_stash_goes_into_the_session_and_touches_nothing() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    work::leave(ada);
    let before = (seen(ada), there(ada, "main"));
    let run = ada.ctl(&["save", "--stash", "experimental"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ saved "experimental" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit] with uncommitted changes
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        --- exit code 0
        "#);
    assert_eq!((seen(ada), there(ada, "main")), before);
    assert_eq!(saved(ada).1, "experimental");
}

#[test]
fn what_is_not_to_be_pushed_stays_here_until_sync_also_when_the_daemon_starts_anew() {
    let Opened { mut world, .. } = Opened::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    let before = (there(ada, "main"), world_refs(ada));
    write(ada, "a", "1\n");
    let run = ada.ctl(&["save", "--no-push", "not yet"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ committed 1 new file to main as [commit]: "not yet [ConvoSync]"
        ✓ saved "not yet" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ kept on this device

        Next: convosyncctl sync   (sends the session), convosyncctl save --retry   (pushes the commit)
        --- errors
        --- exit code 0
        "#);
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
    let run = ada.ctl(&["save", "--dry-run", "--branch", "other", "sign-in"]);
    insta::assert_snapshot!(told(&run), @r#"
        would go to the branch other, or make it
        would commit 2 changed files and 1 new file (57 B) to other
        would push to origin/other: 2 commits not seen there yet, 1 of them made before
        would save "Work on [session]"
        nothing was done
        --- errors
        ! not committed: `.env`: its name says that it holds a secret
        --- exit code 0
        "#);
    let reply = ada.ctl_json(&["save", "--dry-run"]);
    assert_eq!(
        (&reply["commit"]["changed_files"], &reply["left_out"][0]["path"]),
        (&2.into(), &".env".into())
    );
    let run = ada.ctl(&["save", "--stash", "--dry-run"]);
    insta::assert_snapshot!(told(&run), @r#"
        would save "Work on [session]"
        nothing was done
        --- errors
        --- exit code 0
        "#);
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
    let run = ada.ctl(&["save", "--force", "no secrets"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ committed 1 changed file to main as [commit]: "no secrets [ConvoSync]"
        ✓ pushed to origin/main
        ✓ saved "no secrets" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit] with uncommitted changes
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        ! not committed: `.env`: its name says that it holds a secret
        ! not committed: `id_rsa`: its name says that it holds a secret
        ! not committed: `server.pem`: its name says that it holds a secret
        To [remote]/app.git
           [commits]  main -> main
        --- exit code 0
        "#);
    assert_eq!(git(ada, &["status", "--porcelain"]), " M .env\nM  server.pem\n?? id_rsa");
    assert_eq!(git(ada, &["show", "HEAD:README.md"]), "changed");
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
