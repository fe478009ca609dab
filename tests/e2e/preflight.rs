//! What `resume` finds before it touches anything: each finding with each of its ways out, by option and by
//! question, and nothing decided where nobody said so.

mod boxes;
mod onward;

use convosync_tests::told::told;
use convosync_tests::work::{seen, write};
use convosync_tests::{Device, files, work};

use crate::stage::{Stage, commit, diverged, git, on_a_topic, own_work, transcript};

#[test]
fn another_branch_is_left_only_when_the_user_says_so() {
    let mut stage = Stage::new(on_a_topic);
    let (ada, bob, session) = stage.pair();
    let before = seen(bob);

    let undecided = told(&bob.ctl(&["resume", session]));
    insta::assert_snapshot!(undecided, @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit]
        --- errors
        convosyncctl: the session is on feature/oauth, and you are on main
        hint: `--switch-branch` goes to the session's branch, `--stay-on-branch` brings the conversation only, `--worktree DIR` puts the code into a new work tree
        --- exit code 4
        "#);
    assert_eq!(seen(bob), before);
    assert!(!transcript(bob, session).exists());
    assert_eq!(told(&bob.ctl(&["resume", "--dry-run", session])), undecided);

    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--switch-branch", "--dry-run", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit]
        ✓ would restore the code
          → feature/oauth at [commit], 1 new commit
          → 1 file to write, 0 files to remove
        ✓ would restore the conversation: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: convosyncctl resume [session]
        --- errors
        --- exit code 0
        "#);
    assert_eq!(seen(bob), before);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--switch-branch", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit]
        ✓ code restored
          → feature/oauth at [commit], 1 new commit
          → 1 file written, 0 files removed
          → verified: it is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        --- exit code 0
        "#);
    assert_eq!(seen(bob), seen(ada));
    bob.ctl(&["resume", session]).ok();
    bob.ctl(&["undo"]).ok();
    assert_eq!(seen(bob), before);
}

#[test]
fn staying_on_a_branch_brings_the_conversation_and_warns_loudly() {
    let mut stage = Stage::new(on_a_topic);
    let (_, bob, session) = stage.pair();
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--stay-on-branch", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit]
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ┏━━ WARNING: NOT THE SAME CODE ━━━━━━━━━━━━━━━━━
        ┃ the session is on feature/oauth, and you are on main: the code here is not the code of the conversation
        ┃
        ┃ hint: `convosyncctl resume --switch-branch [session]` brings it
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        --- exit code 0
        "#);
    assert_eq!(seen(bob), before);
    assert!(transcript(bob, session).exists());
}

#[test]
fn changes_go_into_the_stash_and_come_back_from_it() {
    let mut stage = Stage::new(work::leave);
    let (ada, bob, session) = stage.pair();
    own_work(bob);
    let before = seen(bob);

    insta::assert_snapshot!(told(&bob.ctl(&["resume", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        --- errors
        convosyncctl: 3 uncommitted changes stand here, the first is `README.md` (modified)
        hint: `--stash` puts the changes into `git stash`, `--commit` commits the changes here first, `--theirs` replaces the changes (`convosyncctl undo` brings them back), `--worktree DIR` puts the code into a new work tree
        --- exit code 4
        "#);
    assert_eq!(seen(bob), before);
    assert_eq!(git(bob, &["stash", "list"]), "");

    let run = bob.ctl(&["resume", "--stash", session]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ code restored
          → main at [commit], 1 new commit
          → 4 files written, 0 files removed
          → verified, but for 1 path: the rest is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! `.env` stays as it is here: its name says that it holds a secret
        ! your changes of `[world]/bob/home/bob/work/src/my_app` are in `git stash`
        hint: `git stash apply --index [commit 2]` there brings them back
        --- exit code 0
        "#);
    assert_eq!(seen(bob), seen(ada));
    let stash = git(bob, &["rev-parse", "--short=12", "stash@{0}"]);
    assert!(run.errors().contains(&format!("git stash apply --index {stash}")), "{run}");
    assert_eq!(
        files::read(&bob.home.project().join(".env")),
        b"TOKEN=of bob's own\n",
        "a secret stays where it is"
    );
    bob.ctl(&["undo"]).ok();
    git(bob, &["stash", "pop", "-q", "--index"]);
    assert_eq!(seen(bob), before);
}

#[test]
fn changes_are_replaced_when_the_user_says_so_and_undo_brings_them_back() {
    let mut stage = Stage::new(work::leave);
    let (ada, bob, session) = stage.pair();
    own_work(bob);
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--theirs", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ code restored
          → main at [commit], 1 new commit
          → 4 files written, 1 file removed
          → verified, but for 1 path: the rest is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! `.env` stays as it is here: its name says that it holds a secret
        --- exit code 0
        "#);
    assert_eq!(seen(bob), seen(ada));
    bob.ctl(&["undo"]).ok();
    assert_eq!(seen(bob), before);
}

/// Nothing is stashed while anything else would refuse.
#[test]
fn nothing_is_stashed_where_the_restore_is_refused_for_another_reason() {
    let mut stage = Stage::new(work::leave);
    let (_, bob, session) = stage.pair();
    own_work(bob);
    let lock = bob.home.project().join(".git/index.lock");
    files::write(&lock, "");
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--stash", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        --- errors
        convosyncctl: `[world]/bob/home/bob/work/src/my_app/.git/index.lock` exists: another git program works here, or crashed
        hint: wait for the other program; if there is none, remove the file
        --- exit code 4
        "#);
    files::remove_file(&lock);
    assert_eq!(git(bob, &["stash", "list"]), "");
}

/// Every option of all that is undecided is named at once.
#[test]
fn several_findings_are_told_together_and_answered_together() {
    let mut stage = Stage::new(|ada| {
        on_a_topic(ada);
        write(ada, "README.md", "ada's change\n");
    });
    let (ada, bob, session) = stage.pair();
    own_work(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit] with uncommitted changes
        --- errors
        convosyncctl: the session is on feature/oauth, and you are on main; 3 uncommitted changes stand here, the first is `README.md` (modified)
        hint: `--switch-branch` goes to the session's branch, `--stay-on-branch` brings the conversation only, `--stash` puts the changes into `git stash`, `--commit` commits the changes here first, `--theirs` replaces the changes (`convosyncctl undo` brings them back), `--worktree DIR` puts the code into a new work tree
        --- exit code 4
        "#);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--switch-branch", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: feature/oauth @ [commit] with uncommitted changes
        --- errors
        convosyncctl: 3 uncommitted changes stand here, the first is `README.md` (modified)
        hint: `--stash` puts the changes into `git stash`, `--commit` commits the changes here first, `--theirs` replaces the changes (`convosyncctl undo` brings them back), `--worktree DIR` puts the code into a new work tree
        --- exit code 4
        "#);
    bob.ctl(&["resume", "--switch-branch", "--stash", session]).ok();
    assert_eq!(seen(bob)[..3], seen(ada)[..3]);
}

#[test]
fn a_branch_that_went_two_ways_stays_and_the_code_goes_beside() {
    let mut stage = diverged();
    let (ada, bob, session) = stage.pair();
    let own = git(bob, &["rev-parse", "main"]);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ code restored
          → main-[session] at [commit], 2 new commits
          → 2 files written, 1 file removed
          → verified: it is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! `main` has other commits here, so the code is on `main-[session]`
        hint: `git log main..main-[session]` shows what is new
        --- exit code 0
        "#);
    assert_eq!(git(bob, &["rev-parse", "main"]), own);
    assert_eq!(git(bob, &["rev-parse", "HEAD"]), git(ada, &["rev-parse", "HEAD"]));
    let beside = format!("main-{}", &session[..8]);
    assert_eq!(git(bob, &["rev-parse", "--abbrev-ref", "HEAD"]), beside);
}

#[test]
fn a_branch_that_went_two_ways_is_moved_when_the_user_says_so_and_undo_moves_it_back() {
    let mut stage = diverged();
    let (ada, bob, session) = stage.pair();
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--theirs", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ code restored
          → main at [commit], 2 new commits
          → 2 files written, 1 file removed
          → verified: it is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        --- exit code 0
        "#);
    assert_eq!(seen(bob), seen(ada));
    insta::assert_snapshot!(told(&bob.ctl(&["undo"])), @r"
        ✓ what stood here before is back
          → main at [commit]
          → 1 file written, 2 files removed
          → verified: it is what was saved

        Next: convosyncctl undo (once more brings back what stood here until now)
        --- errors
        --- exit code 0
        ");
    assert_eq!(seen(bob), before);
}

#[test]
fn a_branch_that_went_two_ways_is_merged_with_what_was_not_committed_and_undo_takes_it_back() {
    let mut stage = Stage::new(|ada| {
        commit(ada, "one.txt", "of ada\n");
        write(ada, "README.md", "ada's change\n");
        write(ada, "staged.txt", "ada's\n");
        git(ada, &["add", "staged.txt"]);
        write(ada, "untracked.txt", "ada's\n");
    });
    let (ada, bob, session) = stage.pair();
    commit(bob, "three.txt", "of bob\n");
    let before = seen(bob);
    let own = git(bob, &["rev-parse", "main"]);

    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--merge", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
          → the session is merged into `main`
        ✓ code restored
          → main at [commit 2], 2 new commits
          → 4 files written, 0 files removed
          → verified: it is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        --- exit code 0
        "#);
    assert_eq!(git(bob, &["rev-parse", "--abbrev-ref", "HEAD"]), "main");
    let parents = git(bob, &["rev-parse", "main^1", "main^2"]);
    assert_eq!(parents, format!("{own}\n{}", git(ada, &["rev-parse", "HEAD"])));
    let tracked = git(bob, &["ls-tree", "--name-only", "HEAD"]);
    assert_eq!(tracked, "README.md\none.txt\nthree.txt");
    let status = |device: &Device| git(device, &["status", "--porcelain"]);
    assert_eq!(status(bob), status(ada));
    assert_eq!(files::read(&bob.home.project().join("README.md")), b"ada's change\n");
    assert_eq!(git(bob, &["fsck", "--connectivity-only"]), "");
    bob.ctl(&["undo"]).ok();
    assert_eq!(seen(bob), before);
}

#[test]
fn conflicts_are_told_before_anything_is_touched() {
    let mut stage = Stage::new(|ada| commit(ada, "README.md", "of ada\n"));
    let (_, bob, session) = stage.pair();
    commit(bob, "README.md", "of bob\n");
    write(bob, "README.md", "of bob, and not committed\n");
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--merge", "--stash", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        --- errors
        convosyncctl: the session cannot be merged into `main`: conflicts in `README.md`
        hint: `--beside` puts the code on a new branch, to be merged there, `--worktree DIR` puts the code into a new work tree
        --- exit code 4
        "#);
    assert_eq!(seen(bob), before);
    assert_eq!(git(bob, &["stash", "list"]), "");
    assert!(!transcript(bob, session).exists());
}

/// Has git sign every commit with a program that says it did, or fails.
fn sign(device: &Device, succeeds: bool) {
    let program = device.home.root().join("gpg");
    let script = "cat >/dev/null\nprintf '\\n[GNUPG:] SIG_CREATED D\\n' >&2\n\
                  printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nnone\\n-----END PGP SIGNATURE-----\\n'\n";
    let script = if succeeds { script } else { "echo 'no key' >&2\nexit 1\n" };
    files::write_program(&program, &format!("#!/bin/sh\n{script}"));
    git(device, &["config", "commit.gpgSign", "true"]);
    git(device, &["config", "gpg.program", program.to_str().expect("the tests' paths are text")]);
}

#[test]
fn a_merge_is_signed_where_commits_are_and_is_not_made_where_signing_fails() {
    let mut stage = diverged();
    let (_, bob, session) = stage.pair();
    let before = seen(bob);
    sign(bob, false);
    let run = bob.ctl(&["resume", "--merge", session]);
    assert_eq!(run.status.code(), Some(1), "{run}");
    assert!(run.errors().contains("make the commit of the merge"), "{run}");
    assert_eq!(seen(bob), before);
    assert!(!transcript(bob, session).exists());
    sign(bob, true);
    bob.ctl(&["resume", "--merge", session]).ok();
    assert!(git(bob, &["cat-file", "commit", "main"]).contains("gpgsig"));
    assert_eq!(git(bob, &["rev-parse", "main^1"]), before[0]);
}

/// A merge that was not finished there cannot be merged here.
#[test]
fn what_cannot_be_tried_to_merge_is_told_with_its_reason() {
    let mut stage = Stage::new(|ada| {
        git(ada, &["switch", "-q", "-c", "side"]);
        commit(ada, "README.md", "of the side\n");
        git(ada, &["switch", "-q", "main"]);
        commit(ada, "README.md", "of main\n");
        ada.home.git(&["merge", "-q", "side"]);
    });
    let (_, bob, session) = stage.pair();
    commit(bob, "three.txt", "of bob\n");
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--merge", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        --- errors
        convosyncctl: the session cannot be merged into `main`: a merge or the like was not finished there
        hint: `--beside` puts the code on a new branch, to be merged there, `--worktree DIR` puts the code into a new work tree
        --- exit code 4
        "#);
    assert_eq!(seen(bob), before);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--beside", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        ✓ code restored
          → main-[session] at [commit], 1 new commit
          → 1 file written, 1 file removed
          → verified: it is what was saved
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! `main` has other commits here, so the code is on `main-[session]`
        hint: `git log main..main-[session]` shows what is new
        --- exit code 0
        "#);
    assert!(git(bob, &["status", "--porcelain"]).contains("UU README.md"));
}

/// A change in the session that was not committed is as good as one that was.
#[test]
fn a_merge_that_changed_what_the_session_left_uncommitted_is_a_conflict() {
    let mut stage = Stage::new(|ada| {
        commit(ada, "one.txt", "of ada\n");
        write(ada, "README.md", "of ada, and not committed\n");
    });
    let (_, bob, session) = stage.pair();
    commit(bob, "README.md", "of bob\n");
    let before = seen(bob);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--merge", session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit] with uncommitted changes
        --- errors
        convosyncctl: the session cannot be merged into `main`: conflicts in `README.md`
        hint: `--beside` puts the code on a new branch, to be merged there, `--worktree DIR` puts the code into a new work tree
        --- exit code 4
        "#);
    assert_eq!(seen(bob), before);
}
