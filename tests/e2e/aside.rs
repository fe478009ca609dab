//! Changes that stand where a session is resumed, put aside before other code comes, and what is told of them
//! where something fails afterwards.

use convosync_tests::told::told;
use convosync_tests::work::{seen, write};
use convosync_tests::{Device, files, work};

use crate::stage::{NEEDS_DECISION, Stage, commit, git, on_a_topic, own_work, transcript};
use crate::terminal::{ASKED, DOWN, ENTER, Terminal, boxed, plain};

fn hook(device: &Device, name: &str, body: &str) {
    let path = device.home.project().join(".git/hooks").join(name);
    files::make_dir(path.parent().expect("hooks lie in a folder"));
    files::write_program(&path, &format!("#!/bin/sh\n{body}\n"));
}

#[test]
fn changes_are_committed_with_the_users_hooks_and_the_code_comes_after_that() {
    let mut stage = Stage::new(work::leave);
    let (ada, bob, session) = stage.pair();
    own_work(bob);
    hook(bob, "pre-commit", "echo ran >>.git/ran");

    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--commit", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ committed 1 changed file and 2 new files to main as [commit 2]: "WIP: before resuming a session [ConvoSync]"
        ✓ code restored
          → main-[session] at [commit], 1 new commit
          → 4 files written, 1 file removed
          → verified, but for 1 path: the rest is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! not committed: `.env`: its name says that it holds a secret
        ! `main` has other commits here, so the code is on `main-[session]`
        hint: `git log main..main-[session]` shows what is new
        ! `.env` stays as it is here: its name says that it holds a secret
        ! your changes of `[world]/bob/home/bob/work/src/my_app` are in commit [commit 2] of `main`, which is not pushed
        hint: `git reset [commit 2]~` there, on `main`, makes them uncommitted again
        --- exit code 0
        "#);
    let subject = git(bob, &["log", "-1", "--format=%s", "main"]);
    assert_eq!(subject, "WIP: before resuming a session [ConvoSync]");
    assert_eq!(files::read(&bob.home.project().join(".git/ran")), b"ran\n");
    let held = git(bob, &["ls-tree", "-r", "--name-only", "main"]);
    assert!(held.contains("elsewhere.txt") && held.contains("untracked file"), "{held}");
    assert!(!held.contains(".env"), "{held}");
    // The commit has the branch go two ways, so the code is beside it.
    assert_eq!(seen(bob)[0], seen(ada)[0]);
    assert_eq!(seen(bob)[2..], seen(ada)[2..]);
    let beside = format!("main-{}", &session[..8]);
    assert_eq!(git(bob, &["rev-parse", "--abbrev-ref", "HEAD"]), beside);
    bob.ctl(&["undo"]).ok();
    assert_eq!(git(bob, &["rev-parse", "--abbrev-ref", "HEAD"]), "main");
    assert_eq!(git(bob, &["status", "--porcelain"]), "?? .env");
    let remote = git(bob, &["ls-remote", "origin", "refs/heads/main"]);
    assert!(!remote.contains(&git(bob, &["rev-parse", "main"])), "not pushed");
}

#[test]
fn changes_that_are_committed_are_merged_with_the_session() {
    let mut stage = Stage::new(|ada| commit(ada, "one.txt", "of ada\n"));
    let (ada, bob, session) = stage.pair();
    write(bob, "one.txt", "of bob, and in the way\n");
    write(bob, "README.md", "bob's own change\n");
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--commit", "--dry-run", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
          → the changes would be committed here first; the branch may go two ways by it, and the code beside it
        ✓ would restore the code
          → main at [commit], 1 new commit
          → 2 files to write, 0 files to remove
        ✓ would restore the conversation: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: convosyncctl resume [session]
        --- errors
        --- exit code 0
        "#);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--commit", "--merge", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ committed 1 changed file and 1 new file to main as [commit 2]: "WIP: before resuming a session [ConvoSync]"
        --- errors
        convosyncctl: the session cannot be merged into `main`: conflicts in `one.txt`
        hint: `--beside` puts the code on a new branch, to be merged there, `--worktree DIR` puts the code into a new work tree; your changes of `[world]/bob/home/bob/work/src/my_app` are in commit [commit 2] of `main`, which is not pushed: `git reset [commit 2]~` there, on `main`, makes them uncommitted again
        --- exit code 4
        "#);
    git(bob, &["reset", "-q", "--hard", "HEAD~"]);

    write(bob, "one.txt", "of ada\n");
    write(bob, "README.md", "bob's own change\n");
    bob.ctl(&["resume", "--commit", "--merge", session]).ok();
    assert_eq!(git(bob, &["rev-parse", "main^2"]), git(ada, &["rev-parse", "HEAD"]));
    assert_eq!(git(bob, &["status", "--porcelain"]), "");
    assert_eq!(files::read(&bob.home.project().join("README.md")), b"bob's own change\n");
}

#[test]
fn where_save_would_not_commit_nothing_is_committed_and_nothing_is_touched() {
    let mut stage = Stage::new(work::leave);
    let (_, bob, session) = stage.pair();
    own_work(bob);
    let refused = |options: &[&str], code: i32, said: &str, hint: &str| {
        let before = seen(bob);
        let run = bob.ctl(&[&["resume", "--commit", session], options].concat());
        assert_eq!(run.status.code(), Some(code), "{run}");
        assert!(run.errors().contains(said) && run.errors().contains(hint), "{run}");
        assert!(!run.errors().contains("your changes of"), "{run}");
        assert_eq!(seen(bob), before);
        assert!(!transcript(bob, session).exists());
    };

    hook(bob, "pre-commit", "echo 'the tests fail' >&2; exit 1");
    refused(&[], 1, "the tests fail", "mend it and resume again, or resume with `--stash`");
    files::remove_file(&bob.home.project().join(".git/hooks/pre-commit"));
    write(bob, "large.bin", &"x".repeat((50 << 20) + 1));
    refused(&[], NEEDS_DECISION, "`large.bin`", "`--force` commits them all the same");
    files::remove_file(&bob.home.project().join("large.bin"));
    git(bob, &["switch", "-q", "--detach"]);
    let out = "convosyncctl save -b NAME`, or resume with `--stash`";
    refused(&["--switch-branch"], NEEDS_DECISION, "HEAD is on no branch", out);
}

#[test]
fn on_a_terminal_changes_are_committed_and_what_follows_from_it_is_asked() {
    let mut stage = Stage::new(|ada| {
        commit(ada, "one.txt", "of ada\n");
        write(ada, "README.md", "ada's change\n");
    });
    let (ada, bob, session) = stage.pair();
    write(bob, "README.md", "bob's own change\n");
    let mut terminal = Terminal::open(bob, &["resume", session]);
    insta::assert_snapshot!(boxed(&terminal.sees(ASKED)), @r"
        ┏━━ Safety Check: Uncommitted Changes Detected ━━━
        ┃ You have uncommitted changes in:
        ┃   README.md (modified)
        ┃
        ┃ The session brings other code.
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? What now?
        > Stash & continue: save the changes with `git stash`
          Commit & continue: commit the changes to `main` first
          Replace & continue: `convosyncctl undo` brings the changes back
          Cancel: don't resume
        ");
    terminal.types(&format!("{DOWN}{ENTER}"));
    let then = plain(&terminal.sees("(?s)Branch Divergence Detected.*What now.*Cancel"));
    assert!(then.contains("committed 1 changed file to main"), "{then}");
    insta::assert_snapshot!(boxed(&then), @r"
        ┏━━ Branch Divergence Detected ━━━━━━━━━━━━━━━━━
        ┃ `main` here and in the session have diverged.
        ┃
        ┃ Here:    1 commit ahead
        ┃ Session: 1 commit ahead
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? What now?
        > Merge the session into `main` (recommended)
          Put the code on a new branch `main-[session]` beside it
          Move `main` to the session's commit: `convosyncctl undo` moves it back
          Cancel
        ");
    terminal.types(&format!("{DOWN}{ENTER}"));
    let then = plain(&terminal.sees("makes them uncommitted again"));
    assert!(then.contains("of `main`, which is not pushed"), "{then}");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(seen(bob)[2..], seen(ada)[2..]);

    // Who leaves the second question is told that the commit stands.
    bob.ctl(&["undo"]).ok();
    git(bob, &["reset", "-q", "HEAD~"]);
    let before = seen(bob);
    let mut terminal = Terminal::open(bob, &["resume", session]);
    terminal.sees("What now");
    terminal.types(&format!("{DOWN}{ENTER}"));
    terminal.sees("(?s)Branch Divergence Detected.*What now.*Cancel");
    terminal.types("\u{1b}");
    terminal.sees("makes them uncommitted again");
    assert_eq!(terminal.ends(), NEEDS_DECISION);
    git(bob, &["reset", "-q", "HEAD~"]);
    assert_eq!(seen(bob), before);
}

/// The way back that an error names, as a shell runs it.
fn way_back(said: &str) -> String {
    let command = said
        .split('`')
        .find(|part| part.starts_with("git reset ") || part.starts_with("git stash "));
    command.unwrap_or_else(|| panic!("no way back: {said}")).to_owned()
}

fn run_in_the_project(device: &Device, command: &str) {
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    git(device, &words);
}

/// Has git run `script` whenever it checks `file` out.
fn trap(device: &Device, file: &str, script: &str) {
    let program = device.home.root().join("trap");
    files::write_program(&program, &format!("#!/bin/sh\n{script}\ncat\n"));
    let program = program.to_str().expect("the tests' paths are text");
    git(device, &["config", "filter.trap.smudge", program]);
    let attributes = device.home.project().join(".git/info/attributes");
    files::make_dir(attributes.parent().expect("it lies in a folder"));
    files::write(&attributes, format!("{file} filter=trap\n"));
}

#[test]
fn what_fails_after_the_changes_were_stashed_or_committed_says_how_to_get_them_back() {
    let mut stage = Stage::new(|ada| {
        on_a_topic(ada);
        write(ada, "README.md", "ada's change\n");
    });
    let (_, bob, session) = stage.pair();
    own_work(bob);
    let (before, main) = (seen(bob), git(bob, &["rev-parse", "main"]));
    // From then on nothing can be recorded, so that nothing may be replaced.
    let records = bob.home.convosync_dir().join("state/undo");
    let in_the_way = format!("rm -rf '{0}'; echo 'not a folder' >'{0}'", records.display());
    trap(bob, "README.md", &in_the_way);
    hook(bob, "post-commit", &in_the_way);

    let run = bob.ctl(&["resume", "--switch-branch", "--stash", session]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit] with uncommitted changes
        --- errors
        convosyncctl: `[world]/bob/cs/state/undo` is not a directory
        hint: your changes of `[world]/bob/home/bob/work/src/my_app` are in `git stash`: `git stash apply --index [commit 2]` there brings them back
        --- exit code 1
        "#);
    assert!(!transcript(bob, session).exists());
    assert_eq!(git(bob, &["rev-parse", "HEAD"]), main);
    run_in_the_project(bob, &way_back(&run.errors()));
    assert_eq!(seen(bob), before);
    git(bob, &["stash", "drop", "-q"]);
    files::remove_file(&records);

    let run = bob.ctl(&["resume", "--switch-branch", "--commit", session]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit] with uncommitted changes
        ✓ committed 1 changed file and 2 new files to main as [commit 2]: "WIP: before resuming a session [ConvoSync]"
        --- errors
        ! not committed: `.env`: its name says that it holds a secret
        convosyncctl: `[world]/bob/cs/state/undo` is not a directory
        hint: your changes of `[world]/bob/home/bob/work/src/my_app` are in commit [commit 2] of `main`, which is not pushed: `git reset [commit 2]~` there, on `main`, makes them uncommitted again
        --- exit code 1
        "#);
    let commit: String = git(bob, &["rev-parse", "main"]).chars().take(12).collect();
    assert!(run.errors().contains(&format!("in commit {commit} of `main`")), "{run}");
    assert!(!transcript(bob, session).exists());
    run_in_the_project(bob, &way_back(&run.errors()));
    assert_eq!(git(bob, &["rev-parse", "HEAD"]), main);
    assert_eq!(seen(bob), before);
}

#[test]
fn a_restore_that_stops_half_way_names_the_undo_and_the_stash() {
    let mut stage = Stage::new(|ada| {
        on_a_topic(ada);
        write(ada, "README.md", "ada's change\n");
    });
    let (_, bob, session) = stage.pair();
    own_work(bob);
    let before = seen(bob);
    trap(bob, "oauth.js", "echo 'somebody works here' >README.md");
    let run = bob.ctl(&["resume", "--switch-branch", "--stash", session]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit] with uncommitted changes
        --- errors
        convosyncctl: the code is half restored; what stood before is recorded at `[world]/bob/cs/state/undo/[work tree]/1`: `[world]/bob/home/bob/work/src/my_app/README.md` changed in the meantime
        hint: run `convosyncctl undo` to bring back what stood before; your changes of `[world]/bob/home/bob/work/src/my_app` are in `git stash`: `git stash apply --index [commit 2]` there brings them back
        --- exit code 1
        "#);
    bob.ctl(&["undo"]).ok();
    git(bob, &["reset", "-q", "--hard"]);
    run_in_the_project(bob, &way_back(&run.errors()));
    assert_eq!(seen(bob), before);
}

/// A hook that runs after the commit may do anything; what it did is met before anything is touched.
#[test]
fn a_hook_that_keeps_the_restore_from_coming_leaves_the_commit_and_says_so() {
    let mut stage = Stage::new(work::leave);
    let (_, bob, session) = stage.pair();
    own_work(bob);
    hook(bob, "post-commit", "touch .git/index.lock");
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--commit", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ committed 1 changed file and 2 new files to main as [commit 2]: "WIP: before resuming a session [ConvoSync]"
        --- errors
        ! not committed: `.env`: its name says that it holds a secret
        convosyncctl: `[world]/bob/home/bob/work/src/my_app/.git/index.lock` exists: another git program works here, or crashed
        hint: wait for the other program; if there is none, remove the file; your changes of `[world]/bob/home/bob/work/src/my_app` are in commit [commit 2] of `main`, which is not pushed: `git reset [commit 2]~` there, on `main`, makes them uncommitted again
        --- exit code 4
        "#);
    assert!(!transcript(bob, session).exists());
}
