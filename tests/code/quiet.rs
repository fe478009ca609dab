//! Captures are not noticed: nothing changes, nothing runs, and nobody has to wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use convosync_core::code::{Node, State, Withheld};
use convosync_tests::files;

use crate::observer::{Observer, check_tree, files_below, fresh_clone};
use crate::states::{Place, lines};

/// How many captures race with a user in the gate, each of them taken apart; a longer campaign sets
/// `CONVOSYNC_CODE_CAPTURES`, and takes every tenth apart.
const CAPTURES: usize = 12;

/// The hooks of git that a look could start.
const HOOKS: [&str; 8] = [
    "post-index-change",
    "reference-transaction",
    "post-checkout",
    "pre-auto-gc",
    "post-rewrite",
    "fsmonitor-watchman",
    "pre-commit",
    "post-commit",
];

/// Lets every program that a repository can name leave a trace.
fn plant_canaries(place: &Place) {
    place.write("a/.gitattributes", "* filter=canary diff=canary merge=canary\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "attributes"]);
    let trace = place.path("ran").display().to_string();
    let script = format!("#!/bin/sh\necho \"$0 $*\" >>'{trace}'\ncat\n");
    place.program("canary", &script);
    let canary = place.path("canary").display().to_string();
    for hook in HOOKS {
        place.program(&format!("a/.git/hooks/{hook}"), &script);
    }
    for key in [
        "filter.canary.clean",
        "filter.canary.smudge",
        "filter.canary.process",
        "diff.canary.textconv",
        "diff.canary.command",
        "merge.canary.driver",
        "diff.external",
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.askPass",
        "core.sshCommand",
        "core.alternateRefsCommand",
        "credential.helper",
        "gpg.program",
        "sequence.editor",
        "uploadpack.packObjectsHook",
    ] {
        place.git("a", &["config", key, &canary]);
    }
    place.git("a", &["config", "filter.canary.required", "true"]);
    place.git("a", &["config", "core.untrackedCache", "true"]);
}

#[test]
fn a_hundred_captures_of_a_changing_work_tree_change_nothing_and_run_nothing() {
    let place = Place::new();
    plant_canaries(&place);
    place.write("ran", "");
    let before = files_below(&place, "a/.git");
    let mut device = Observer::new(&place, "a");

    for round in 0..100 {
        match round % 5 {
            0 => place.write("a/src/main.txt", lines(200 + round)),
            1 => place.write(&format!("a/new {round}.txt"), lines(round)),
            2 => place.remove(&format!("a/new {}.txt", round - 1)),
            3 => place.mode("a/README", if round % 10 == 3 { 0o755 } else { 0o644 }),
            _ => place.folder(&format!("a/folder {round}")),
        }
        let captured = device.capture();
        assert!(captured.is_changed, "{round}");
        if round % 10 == 0 {
            check_tree(&device, &captured.state);
        }
    }

    assert_eq!(String::from_utf8_lossy(&place.read("ran")), "", "nothing ran");
    let after = files_below(&place, "a/.git");
    let changed = after.iter().filter(|(path, file)| before.get(*path) != Some(file));
    assert_eq!(changed.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(before.len(), after.len());
}

/// What a user does all day, one step after the other. Every command must succeed.
fn work(place: &Place, is_over: &AtomicBool) -> usize {
    let mut steps = 0;
    while !is_over.load(Ordering::Relaxed) {
        steps += 1;
        let text = format!("version {steps}\n").repeat(400);
        match steps % 12 {
            0 => drop(place.git("a", &["gc", "-q", "--prune=now"])),
            1 | 4 | 7 | 10 => save_by_rename(place, "a/src/main.txt", &text),
            2 => save_by_rename(place, "a/scratch.txt", &text),
            3 => drop(place.git("a", &["add", "."])),
            5 => drop(place.git("a", &["commit", "-q", "-a", "-m", &format!("step {steps}")])),
            6 => drop(place.git("a", &["checkout", "-q", "-B", &format!("topic-{}", steps % 3)])),
            8 => drop(place.git("a", &["stash", "-q"])),
            9 => drop(place.git("a", &["status"])),
            _ => drop(place.git("a", &["reset", "-q", "--hard"])),
        }
    }
    steps
}

/// Saves as editors do: a new file that takes the old one's name.
fn save_by_rename(place: &Place, file: &str, text: &str) {
    place.write(&format!("{file}~"), text);
    files::rename(&place.path(&format!("{file}~")), &place.path(file));
}

/// Everything a state holds can be had from its log and what the remote has, and every file of the user's
/// is one that he saved: all its lines are alike.
#[track_caller]
fn check_self_consistent(device: &Observer<'_>, state: &State) {
    let fresh = fresh_clone(device, state);
    for (path, node) in &state.tree {
        let Node::File { content, .. } = node else { continue };
        let bytes = device.bytes_in(&fresh, content);
        let text = String::from_utf8(bytes).unwrap();
        let lines: std::collections::BTreeSet<&str> = text.lines().collect();
        assert!(lines.len() == 1, "{}: {} versions in one", path.shown(), lines.len());
    }
    files::remove_tree(&device.place.path(&fresh));
}

#[test]
fn a_user_at_work_never_notices_captures_and_each_of_them_is_whole() {
    let place = Place::new();
    place.write("a/src/main.txt", "version 0\n".repeat(400));
    place.git("a", &["commit", "-q", "-am", "begin"]);
    let count = std::env::var("CONVOSYNC_CODE_CAPTURES").ok();
    let count = count.map_or(CAPTURES, |count| count.parse().unwrap());
    let is_over = AtomicBool::new(false);
    let mut device = Observer::new(&place, "a");
    device.now_ms = 0;

    let (steps, outcomes) = std::thread::scope(|threads| {
        let user = threads.spawn(|| work(&place, &is_over));
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for turn in 0..count {
            let outcome = match device.try_capture() {
                Ok(captured) => {
                    if count == CAPTURES || turn % 10 == 0 {
                        check_self_consistent(&device, &captured.state);
                    }
                    "captured".to_owned()
                }
                Err(Withheld::Changing) => "moved".to_owned(),
                Err(other) => panic!("{other}"),
            };
            *outcomes.entry(outcome).or_default() += 1;
            if user.is_finished() {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        (user.join().expect("every command of the user succeeded"), outcomes)
    });

    println!("{steps} steps of the user beside {outcomes:?}");
    assert!(outcomes.contains_key("captured"), "{outcomes:?}");
    let fsck = place.try_git("a", &["fsck", "--full", "--strict"]).ok();
    assert!(!fsck.errors().contains("missing"), "{fsck}");
}
