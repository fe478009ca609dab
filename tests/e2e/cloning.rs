//! `resume --clone`: a session goes on where no clone of its repository is on the device.

use std::path::{Path, PathBuf};

use convosync_tests::told::told;
use convosync_tests::work::{seen, seen_in, write};
use convosync_tests::{Device, Run, files, program};

use crate::stage::{Stage, git, on_a_topic};

/// The second device had a clone, and has none any more.
fn without_a_clone() -> Stage {
    let mut stage = Stage::new(|ada| {
        on_a_topic(ada);
        write(ada, "README.md", "ada's change\n");
        write(ada, "untracked.txt", "ada's\n");
        git(ada, &["repack", "-a", "-d", "-q"]);
    });
    stage.world.remote.git(&["config", "uploadpack.allowFilter", "true"]).ok();
    let (_, bob, _) = stage.pair();
    files::remove_tree(bob.home.project());
    files::make_dir(bob.home.project());
    stage
}

/// Runs the client in the home directory.
pub(crate) fn at_home(device: &Device, arguments: &[&str]) -> Run {
    run_in(device, &device.home.dir(), arguments)
}

pub(crate) fn run_in(device: &Device, directory: &Path, arguments: &[&str]) -> Run {
    let mut command = device.home.command(program::binary("convosyncctl"));
    command.args(arguments).current_dir(directory);
    program::run(&mut command, b"", program::DEADLINE)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("it is there");
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    entries.sort();
    entries
}

#[test]
fn a_session_goes_on_in_a_new_clone_of_its_repository() {
    let mut stage = without_a_clone();
    let (ada, bob, session) = stage.pair();
    let before = entries(&bob.home.dir());
    insta::assert_snapshot!(told(&at_home(bob, &["resume", "--clone", "--dry-run", session])), @r"
        ✓ would clone [remote]/app.git into `[world]/bob/home/bob/app`: its whole history takes [size] on `ada`, and what its files were before stays at the remote until it is needed
        --- errors
        --- exit code 0
        ");
    let packed = bob.ctl_json(&["list", "--all"])["sessions"][0]["packed"].as_u64();
    assert!(packed.is_some_and(|bytes| (100..100_000).contains(&bytes)), "{packed:?}");
    assert_eq!(entries(&bob.home.dir()), before);

    let claude = bob.home.root().join("bin/claude");
    files::make_dir(claude.parent().expect("it lies in a folder"));
    files::write_program(&claude, "#!/bin/sh\necho \"claude in $PWD: $*\"\n");
    let path = std::env::var("PATH").expect("there is one");
    let bin = claude.parent().expect("it lies in a folder").display();
    let mut command = bob.home.command(program::binary("convosyncctl"));
    command.args(["resume", "--clone=fresh", "--launch", session]).current_dir(bob.home.dir());
    command.env("PATH", format!("{bin}:{path}"));
    let run = program::run(&mut command, b"", program::DEADLINE).ok();
    let clone = bob.home.dir().join("fresh");
    insta::assert_snapshot!(told(&run), @r#"
        ✓ cloning [remote]/app.git into `[world]/bob/home/bob/fresh`: its whole history takes [size] on `ada`, and what its files were before stays at the remote until it is needed
        ✓ app is saved from now on
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit] with uncommitted changes
        ✓ code restored
          → feature/oauth at [commit], 1 new commit
          → 3 files written, 0 files removed
          → verified: it is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-fresh/[session id].jsonl
        claude in [world]/bob/home/bob/fresh: --resume [session id]
        --- errors
        Cloning into '[world]/bob/home/bob/.fresh.convosync-[process]'...
        --- exit code 0
        "#);
    assert_eq!(seen_in(bob, &clone), seen(ada));
    let place = clone.to_str().expect("the tests' paths are text");
    assert_eq!(git(bob, &["-C", place, "config", "remote.origin.partialclonefilter"]), "blob:none");
    assert_eq!(entries(&bob.home.dir()).len(), before.len() + 1, "nothing else is left");

    insta::assert_snapshot!(told(&at_home(bob, &["resume", "--clone=again", session])), @r"
        --- errors
        convosyncctl: its repository is on this device already: `[world]/bob/home/bob/fresh`
        hint: resume without `--clone`
        --- exit code 4
        ");
    run_in(bob, &clone, &["undo"]).ok();
    run_in(bob, &clone, &["resume", session, "--switch-branch"]).ok();
    assert_eq!(seen_in(bob, &clone), seen(ada));
}

#[test]
fn where_the_clone_is_gone_the_conversation_comes_alone_and_the_way_to_a_clone_is_told() {
    let mut stage = without_a_clone();
    let (_, bob, session) = stage.pair();
    insta::assert_snapshot!(told(&at_home(bob, &["resume", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit] with uncommitted changes
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ┏━━ WARNING: NOT THE SAME CODE ━━━━━━━━━━━━━━━━━
        ┃ there is no work tree here
        ┃
        ┃ hint: run it in a clone of the project; `convosyncctl resume [session] --clone` makes one
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        --- exit code 0
        "#);
}

#[test]
fn a_folder_that_holds_something_is_not_cloned_into() {
    let mut stage = without_a_clone();
    let (_, bob, session) = stage.pair();
    let dir = bob.home.dir().join("mine");
    files::make_dir(&dir);
    files::write(&dir.join("note.txt"), "mine\n");
    let before = entries(&bob.home.dir());
    insta::assert_snapshot!(told(&at_home(bob, &["resume", "--clone=mine", session])), @r"
        --- errors
        convosyncctl: `[world]/bob/home/bob/mine` is there already
        hint: name another folder: `--clone=DIR`
        --- exit code 4
        ");
    insta::assert_snapshot!(told(&at_home(bob, &["resume", "--clone=no/where", session])), @r"
        --- errors
        convosyncctl: the folder of `[world]/bob/home/bob/no/where` is not there
        hint: make it first
        --- exit code 4
        ");
    assert_eq!(entries(&bob.home.dir()), before);
    assert_eq!(entries(&dir), [dir.join("note.txt")]);
}

#[test]
fn a_clone_that_fails_leaves_nothing_behind() {
    let mut stage = without_a_clone();
    let away = stage.world.remote.folder().join("nothing");
    let (_, bob, session) = stage.pair();
    let before = entries(&bob.home.dir());
    // The user's own git goes elsewhere, where there is nothing.
    let settings = bob.home.dir().join(".gitconfig");
    let kept = files::read(&settings);
    let elsewhere = format!("[url \"file://{}/\"]\n\tinsteadOf = \"file://\"\n", away.display());
    files::append(&settings, elsewhere.as_bytes());
    let run = at_home(bob, &["resume", "--clone=fresh", session]);
    assert_eq!(run.status.code(), Some(1), "{run}");
    assert!(run.errors().contains("git did not clone file://"), "{run}");
    assert_eq!(entries(&bob.home.dir()), before);
    files::write(&settings, kept);
    at_home(bob, &["resume", "--clone=fresh", session]).ok();
}
