//! How `resume` goes on where nothing is in the way: in a shell, in a pager, with the branch as it stands at the
//! remote, or without what is missing here.

use convosync_tests::told::told;
use convosync_tests::work::seen;
use convosync_tests::{files, work};

use crate::stage::{Stage, commit, git, on_a_topic, transcript};
use crate::terminal::{ENTER, Terminal, plain};

#[test]
fn a_shell_goes_on_by_what_is_printed_for_it_alone() {
    let mut stage = Stage::new(|_| {});
    let (_, bob, session) = stage.pair();
    let run = bob.ctl(&["resume", "--shell", session]).ok();
    let line = format!("cd {} && claude --resume {session}", bob.home.project().display());
    assert_eq!(run.text(), line);
    insta::assert_snapshot!(told(&run), @r#"
        cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ the code is here already
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl
        --- exit code 0
        "#);
}

/// The question is asked beside standard output, which the shell reads.
#[test]
fn a_shell_that_reads_the_output_can_still_be_asked() {
    let mut stage = Stage::new(on_a_topic);
    let (_, bob, session) = stage.pair();
    let claude = bob.home.root().join("claude");
    files::write_program(&claude, "#!/bin/sh\necho \"claude in $PWD: $*\"\n");
    let client = convosync_tests::program::binary("convosyncctl");
    let script = format!(
        "claude() {{ '{}' \"$@\"; }}; eval \"$('{}' resume --shell {session})\"",
        claude.display(),
        client.display()
    );
    let mut command = bob.home.command("sh");
    command.args(["-c", &script]);
    let mut terminal = Terminal::run(command);
    terminal.sees("What now");
    terminal.types(ENTER);
    let seen = plain(&terminal.sees("claude in [^\r\n]*"));
    let wanted = format!("claude in {}: --resume {session}", bob.home.project().display());
    assert!(seen.contains(&wanted), "{seen}");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn pulling_brings_the_branch_as_it_stands_at_the_remote() {
    let mut stage = Stage::new(|ada| {
        commit(ada, "saved.txt", "of ada\n");
        git(ada, &["push", "-q", "origin", "main"]);
    });
    let (ada, bob, session) = stage.pair();
    let saved = git(ada, &["rev-parse", "HEAD"]);
    ada.stop();
    commit(ada, "later.txt", "after the last save\n");
    git(ada, &["push", "-q", "origin", "main"]);
    bob.ctl(&["resume", session]).ok();
    assert_eq!(git(bob, &["rev-parse", "HEAD"]), saved, "the exact commit of the save");
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--pull", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
          → the branch is newer at the remote, and comes from there
        ✓ code restored
          → main at [commit 2], 1 new commit
          → 1 file written, 0 files removed
          → verified: it is what was saved
        ✓ the conversation is here already, word for word
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        fetching commits that the saved code builds on (git cannot say how large they are)
        --- exit code 0
        "#);
    assert_eq!(seen(bob), seen(ada));
}

#[test]
fn what_cannot_be_pulled_is_told_and_nothing_is_touched() {
    let mut stage = Stage::new(work::leave);
    let (_, bob, session) = stage.pair();
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--pull", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        --- errors
        convosyncctl: `--pull` cannot be done: the session has uncommitted changes, which stand on its own commit
        hint: without `--pull`, the code comes as it was saved
        --- exit code 4
        "#);
    assert_eq!(seen(bob), before);

    let mut stage = Stage::new(|ada| commit(ada, "unpushed.txt", "of ada\n"));
    let (_, bob, session) = stage.pair();
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--pull", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        --- errors
        fetching commits that the saved code builds on (git cannot say how large they are)
        convosyncctl: `--pull` cannot be done: the remote's `main` does not hold the session's commit
        hint: without `--pull`, the code comes as it was saved
        --- exit code 4
        "#);
}

#[test]
fn a_conversation_that_is_only_read_is_shown_in_the_pager_of_a_terminal() {
    let mut stage = Stage::new(|_| {});
    let (_, bob, session) = stage.pair();
    let before = seen(bob);
    let mut command = bob.home.command(convosync_tests::program::binary("convosyncctl"));
    command.args(["resume", "--read-only", session]).env("CONVOSYNC_PAGER", "sed 's/^/paged: /'");
    let mut terminal = Terminal::run(command);
    let paged = plain(&terminal.sees("(?s)paged: user.*paged: assistant"));
    assert!(!paged.contains("\nuser"), "{paged}");
    assert_eq!(terminal.ends(), 0);
    let run = bob.ctl(&["resume", "--read-only", session]).ok();
    assert!(run.text().contains("\nassistant") && !run.text().contains("paged"), "{run}");
    assert_eq!(seen(bob), before);
    assert!(!transcript(bob, session).exists());
}

/// A commit that is pushed travels by the project's remote, not with the session.
#[test]
fn without_pulling_a_commit_that_is_not_here_is_missing_and_told() {
    let mut stage = Stage::new(|ada| {
        commit(ada, "pushed.txt", "of ada\n");
        git(ada, &["push", "-q", "origin", "main"]);
    });
    let (ada, bob, session) = stage.pair();
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--no-pull", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ┏━━ WARNING: NOT THE SAME CODE ━━━━━━━━━━━━━━━━━
        ┃ commit [commit] is not in this clone, and `--no-pull` fetches none
        ┃
        ┃ hint: resume without `--no-pull`, or `git fetch` here and resume again
        ┃
        ┃ the conversation's code is at commit [commit], and here at [commit 2]
        ┃
        ┃ hint: `git fetch`, then `git merge --ff-only [commit]` (or `git switch --detach [commit]`); if git does not know it, push it on the other device
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        --- exit code 0
        "#);
    assert_eq!(seen(bob), before);
    bob.ctl(&["resume", session]).ok();
    assert_eq!(seen(bob), seen(ada));
}
