//! The boxes that `resume` shows on a terminal, and what each of their answers does.

use convosync_tests::work::seen;
use convosync_tests::{files, work};

use crate::stage::{
    NEEDS_DECISION, Stage, commit, diverged, git, on_a_topic, own_work, transcript,
};
use crate::terminal::{ASKED, DOWN, ENTER, Terminal, boxed, plain};

/// The box of a conflict, with all its answers.
const CONFLICT: &str = "Merge Conflict Detected(?s).*What now.*Cancel: don't resume";

#[test]
fn on_a_terminal_a_box_asks_which_branch() {
    let mut stage = Stage::new(on_a_topic);
    let (ada, bob, session) = stage.pair();
    let before = seen(bob);

    let mut terminal = Terminal::open(bob, &["resume", session]);
    insta::assert_snapshot!(boxed(&terminal.sees(ASKED)), @r"
        ┏━━ Branch Mismatch ━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ┃ Session is on: feature/oauth
        ┃ You're on:     main
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? What now?
        > Switch to feature/oauth (recommended)
          Continue on main (risky, the context may be wrong)
          Cancel: don't resume
        ");
    terminal.types(&format!("{DOWN}{DOWN}{ENTER}"));
    assert_eq!(terminal.ends(), NEEDS_DECISION);
    assert_eq!(seen(bob), before);
    assert!(!transcript(bob, session).exists());

    let mut terminal = Terminal::open(bob, &["resume", session]);
    terminal.sees("What now");
    terminal.types(&format!("{DOWN}{ENTER}"));
    assert_eq!(terminal.ends(), 0);
    assert_eq!(seen(bob), before, "stayed");

    let mut terminal = Terminal::open(bob, &["resume", session]);
    terminal.sees("What now");
    terminal.types(ENTER);
    assert_eq!(terminal.ends(), 0);
    assert_eq!(seen(bob), seen(ada));
}

#[test]
fn on_a_terminal_a_box_names_the_changes_and_stashes_them() {
    let mut stage = Stage::new(work::leave);
    let (ada, bob, session) = stage.pair();
    own_work(bob);
    let mut terminal = Terminal::open(bob, &["resume", session]);
    insta::assert_snapshot!(boxed(&terminal.sees(ASKED)), @r"
        ┏━━ Safety Check: Uncommitted Changes Detected ━━━
        ┃ You have uncommitted changes in:
        ┃   README.md (modified)
        ┃   elsewhere.txt (new file)
        ┃   new/untracked file.txt (new file)
        ┃
        ┃ The session brings other code.
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? What now?
        > Stash & continue: save the changes with `git stash`
          Commit & continue: commit the changes to `main` first
          Replace & continue: `convosyncctl undo` brings the changes back
          Cancel: don't resume
        ");
    terminal.types(ENTER);
    let told = plain(&terminal.sees("brings them back"));
    assert!(told.contains("are in `git stash`"), "{told}");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(seen(bob), seen(ada));
    assert!(git(bob, &["stash", "list"]).contains("convosync: before a resume"));
}

#[test]
fn on_a_terminal_a_box_counts_the_commits_on_both_sides() {
    let mut stage = diverged();
    let (ada, bob, session) = stage.pair();
    let mut terminal = Terminal::open(bob, &["resume", session]);
    insta::assert_snapshot!(boxed(&terminal.sees(ASKED)), @r"
        ┏━━ Branch Divergence Detected ━━━━━━━━━━━━━━━━━
        ┃ `main` here and in the session have diverged.
        ┃
        ┃ Here:    1 commit ahead
        ┃ Session: 2 commits ahead
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? What now?
        > Merge the session into `main` (recommended)
          Put the code on a new branch `main-[session]` beside it
          Move `main` to the session's commit: `convosyncctl undo` moves it back
          Cancel: don't resume
        ");
    terminal.types(&format!("{DOWN}{DOWN}{ENTER}"));
    assert_eq!(terminal.ends(), 0);
    assert_eq!(seen(bob), seen(ada));
}

/// The files as they stand here, for the merge was only tried.
#[test]
fn on_a_terminal_the_files_in_conflict_are_opened_in_the_users_editor() {
    let mut stage = Stage::new(|ada| commit(ada, "README.md", "of ada\n"));
    let (ada, bob, session) = stage.pair();
    commit(bob, "README.md", "of bob\n");
    let before = seen(bob);
    let editor = bob.home.root().join("my editor");
    files::write_program(&editor, "#!/bin/sh\nprintf '%s|' \"$PWD\" \"$@\" >\"$0.log\"\n");
    let mut command = bob.home.command(convosync_tests::program::binary("convosyncctl"));
    command.args(["resume", session]).env("VISUAL", format!("'{}' --wait", editor.display()));
    let mut terminal = Terminal::run(command);
    terminal.sees("Branch Divergence Detected(?s).*What now.*Cancel");
    terminal.types(ENTER);
    insta::assert_snapshot!(boxed(&terminal.sees(CONFLICT)), @r"
        ┏━━ Merge Conflict Detected ━━━━━━━━━━━━━━━━━━━━
        ┃ Cannot merge the session because of conflicts in:
        ┃   README.md
        ┃
        ┃ Nothing was touched.
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? What now?
        > Open the files here in your editor, and don't resume
          Put the code on a new branch beside `main`
          Cancel: don't resume
        ");
    terminal.types(ENTER);
    assert_eq!(terminal.ends(), NEEDS_DECISION);
    let log = files::read(&editor.with_extension("log"));
    let opened = format!("{}|--wait|./README.md|", bob.home.project().display());
    assert_eq!(String::from_utf8_lossy(&log), opened);
    assert_eq!(seen(bob), before);

    // Without an editor there are two ways.
    let mut terminal = Terminal::open(bob, &["resume", session]);
    terminal.sees("Branch Divergence Detected(?s).*What now.*Cancel");
    terminal.types(ENTER);
    insta::assert_snapshot!(boxed(&terminal.sees(CONFLICT)), @r"
        ┏━━ Merge Conflict Detected ━━━━━━━━━━━━━━━━━━━━
        ┃ Cannot merge the session because of conflicts in:
        ┃   README.md
        ┃
        ┃ Nothing was touched.
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? What now?
        > Put the code on a new branch beside `main`
          Cancel: don't resume
        ");
    terminal.types(ENTER);
    assert_eq!(terminal.ends(), 0);
    assert_eq!(seen(bob)[2..], seen(ada)[2..]);
    assert_eq!(git(bob, &["rev-parse", "main"]), before[0]);
}
