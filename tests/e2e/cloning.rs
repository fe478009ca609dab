//! `resume --clone`: a session goes on where no clone of its repository is on the device.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use convosync_core::disk;
use convosync_tests::told::told;
use convosync_tests::work::{seen, seen_in, write};
use convosync_tests::{Device, Run, eventually, files, program};
use rustix::process::Pid;

use crate::SAVED_WITHIN;
use crate::stage::{NEEDS_DECISION, Stage, git, on_a_topic, save};
use crate::terminal::{DOWN, ENTER, Terminal, plain};

const ESCAPE: &str = "\u{1b}";
const CTRL_C: &str = "\u{3}";

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
        ✓ would clone [remote]/app.git into `[world]/bob/home/bob/app`: its whole history takes about [size] on `ada`, and what its files were before stays at the remote until it is needed
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
        cloning [remote]/app.git into `[world]/bob/home/bob/fresh`: its whole history takes about [size] on `ada`, and what its files were before stays at the remote until it is needed
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
        Cloning into '[world]/bob/home/bob/.fresh.convosync-[process]/fresh'...
        --- exit code 0
        "#);
    assert_eq!(seen_in(bob, &clone), seen(ada));
    let place = clone.to_str().expect("the tests' paths are text");
    assert_eq!(git(bob, &["-C", place, "config", "remote.origin.partialclonefilter"]), "blob:none");
    assert_eq!(entries(&bob.home.dir()).len(), before.len() + 1, "nothing else is left");

    insta::assert_snapshot!(told(&at_home(bob, &["resume", "--clone=again", session])), @r"
        --- errors
        convosyncctl: its repository is on this device already, in `[world]/bob/home/bob/fresh`
        hint: `convosyncctl resume [session]`, without `--clone`, goes on there
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
        hint: name another folder: `--clone=DIR`; where it is a clone of yours, run `convosyncctl enable` in it, and resume there
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

/// Opens a terminal in the home directory.
pub(crate) fn terminal_at_home(device: &Device, arguments: &[&str]) -> Terminal {
    let mut command = device.home.command(program::binary("convosyncctl"));
    command.args(arguments).current_dir(device.home.dir());
    Terminal::run(command)
}

/// Where the transcript of a session lies that goes on in `clone`.
pub(crate) fn transcript_in(device: &Device, clone: &Path, session: &str) -> PathBuf {
    device.home.slug_dir(clone).join(format!("{session}.jsonl"))
}

#[test]
fn on_a_terminal_a_list_asks_which_session_is_cloned_for() {
    let mut stage = without_a_clone();
    let (ada, bob, older) = stage.pair();
    let older = older.to_owned();
    let mut writer = ada.writer(9);
    save(ada, &mut writer);
    let newer = writer.session().to_owned();
    let before = entries(&bob.home.dir());

    let mut terminal = terminal_at_home(bob, &["resume", "--clone"]);
    terminal.sees("Which session");
    let told = plain(&terminal.sees("2 messages|ago|just now"));
    assert!(told.contains("ada"), "{told}");
    terminal.types(ESCAPE);
    assert_eq!(terminal.ends(), NEEDS_DECISION);
    assert_eq!(entries(&bob.home.dir()), before);

    let mut terminal = terminal_at_home(bob, &["resume", "--clone=fresh"]);
    terminal.sees("Which session");
    terminal.types(&format!("{DOWN}{ENTER}"));
    terminal.sees("Did you set these");
    terminal.types(&format!("y{ENTER}"));
    assert_eq!(terminal.ends(), 0);
    let clone = bob.home.dir().join("fresh");
    assert!(transcript_in(bob, &clone, &older).exists());
    assert!(!transcript_in(bob, &clone, &newer).exists());
}

/// Has the remote stall in the middle of what it gives to git; returns the file that says when, and what puts the
/// user's settings back.
fn stalling(device: &Device) -> (PathBuf, impl FnOnce()) {
    let (begun, hook) = (device.home.root().join("begun"), device.home.root().join("stalls"));
    let script = format!("#!/bin/sh\n: > '{}'\nexec tail -f /dev/null\n", begun.display());
    files::write_program(&hook, &script);
    let settings = device.home.dir().join(".gitconfig");
    let kept = files::read(&settings);
    let stalls = format!("[uploadpack]\n\tpackObjectsHook = {}\n", hook.display());
    files::append(&settings, stalls.as_bytes());
    (begun, move || files::write(&settings, kept))
}

#[test]
fn ctrl_c_in_the_middle_of_a_clone_leaves_nothing_behind_and_says_so() {
    let mut stage = without_a_clone();
    let (_, bob, session) = stage.pair();
    let before = entries(&bob.home.dir());
    let (begun, put_back) = stalling(bob);

    let mut terminal = terminal_at_home(bob, &["resume", "--clone=fresh", session]);
    terminal.sees("cloning file://");
    eventually("the clone is under way", SAVED_WITHIN, || begun.exists().then_some(()));
    terminal.types(CTRL_C);
    terminal.sees("cancelled: nothing of the clone is left");
    assert_eq!(terminal.ends(), NEEDS_DECISION);
    assert_eq!(entries(&bob.home.dir()), before);
    put_back();
    at_home(bob, &["resume", "--clone=fresh", session]).ok();
}

#[test]
fn what_a_killed_clone_left_is_taken_away_by_the_next_one() {
    let mut stage = without_a_clone();
    let (ada, bob, session) = stage.pair();
    let before = entries(&bob.home.dir());
    let (begun, put_back) = stalling(bob);

    let mut command = bob.home.command(program::binary("convosyncctl"));
    command.args(["resume", "--clone=fresh", session]).current_dir(bob.home.dir());
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the client was built");
    eventually("the clone is under way", SAVED_WITHIN, || begun.exists().then_some(()));
    program::kill_group(Pid::from_child(&child));
    child.wait().expect("it is ours");
    let left: Vec<_> =
        entries(&bob.home.dir()).into_iter().filter(|path| !before.contains(path)).collect();
    assert_eq!(left.len(), 1, "one folder, beside where the clone was to be: {left:?}");
    assert!(!bob.home.dir().join("fresh").exists());

    put_back();
    // Of somebody else, whatever it is called.
    let other = bob.home.dir().join(".fresh.convosync-notes");
    files::make_dir(&other);
    // Of one that is at work in another container: its number is nobody's here.
    let at_work = bob.home.dir().join(".fresh.convosync-4194305");
    files::make_dir(&at_work);
    let held = disk::lock(&at_work.join("lock")).expect("the folder is there");
    assert!(held.is_some(), "nobody else holds it");
    let run = at_home(bob, &["resume", "--clone=fresh", session]).ok();
    let told = [run.text(), run.errors()].concat();
    assert!(told.contains("removed what an interrupted clone had left"), "{run}");
    assert!(other.is_dir() && at_work.is_dir() && !left[0].exists());
    assert_eq!(entries(&bob.home.dir()).len(), before.len() + 3);
    assert_eq!(seen_in(bob, &bob.home.dir().join("fresh")), seen(ada));
}
