//! What `resume` finds before it touches anything: each finding with each of its ways out, by option and by
//! question, and nothing decided where nobody said so.

use convosync_tests::work::{seen, write};
use convosync_tests::{Device, files, work};

use crate::stage::{
    NEEDS_DECISION, Stage, assert_undecided, commit, diverged, git, on_a_topic, own_work,
    transcript,
};
use crate::terminal::{DOWN, ENTER, Terminal, plain};

#[test]
fn another_branch_is_left_only_when_the_user_says_so() {
    let mut stage = Stage::new(on_a_topic);
    let (ada, bob, session) = stage.pair();
    let before = seen(bob);

    let run = bob.ctl(&["resume", session]);
    let said = "the session is on feature/oauth, and you are on main";
    assert_undecided(&run, said, &["--switch-branch", "--stay-on-branch", "--worktree DIR"]);
    assert_eq!(seen(bob), before);
    assert!(!transcript(bob, session).exists());
    let run = bob.ctl(&["resume", "--dry-run", session]);
    assert_undecided(&run, said, &["--switch-branch"]);

    bob.ctl(&["resume", "--switch-branch", session]).ok();
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
    let run = bob.ctl(&["resume", "--stay-on-branch", session]).ok();
    assert!(run.errors().contains("NOT THE SAME CODE"), "{run}");
    assert!(run.errors().contains("the session is on feature/oauth, and you are on main"), "{run}");
    assert!(run.errors().contains("--switch-branch"), "{run}");
    assert_eq!(seen(bob), before);
    assert!(transcript(bob, session).exists());
}

#[test]
fn on_a_terminal_a_box_asks_which_branch() {
    let mut stage = Stage::new(on_a_topic);
    let (ada, bob, session) = stage.pair();
    let before = seen(bob);

    let mut terminal = Terminal::open(bob, &["resume", session]);
    let seen_there = plain(&terminal.sees("What now.*(?s).*Cancel"));
    let frame = "━━ Branch Mismatch ━";
    assert!(seen_there.contains(frame), "{seen_there}");
    assert!(
        seen_there.contains("┃ Session is on: feature/oauth\n┃ You're on:     main"),
        "{seen_there}"
    );
    assert!(seen_there.contains("Switch to feature/oauth (recommended)"), "{seen_there}");
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
fn changes_go_into_the_stash_and_come_back_from_it() {
    let mut stage = Stage::new(work::leave);
    let (ada, bob, session) = stage.pair();
    own_work(bob);
    let before = seen(bob);

    let run = bob.ctl(&["resume", session]);
    assert_undecided(
        &run,
        "uncommitted changes stand here, the first is `README.md` (modified)",
        &["--stash", "--theirs", "--worktree DIR"],
    );
    assert_eq!(seen(bob), before);
    assert_eq!(git(bob, &["stash", "list"]), "");

    let reply = bob.ctl_json(&["resume", "--stash", session]);
    assert_eq!(seen(bob), seen(ada));
    let stash = reply["stashed"][0]["commit"].as_str().expect("it is named").to_owned();
    assert_eq!(git(bob, &["rev-parse", "stash@{0}"]), stash);
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
    bob.ctl(&["resume", "--theirs", session]).ok();
    assert_eq!(seen(bob), seen(ada));
    bob.ctl(&["undo"]).ok();
    assert_eq!(seen(bob), before);
}

#[test]
fn on_a_terminal_a_box_names_the_changes_and_stashes_them() {
    let mut stage = Stage::new(work::leave);
    let (ada, bob, session) = stage.pair();
    own_work(bob);
    let mut terminal = Terminal::open(bob, &["resume", session]);
    let seen_there = plain(&terminal.sees("What now.*(?s).*Cancel"));
    assert!(seen_there.contains("━━ Safety Check: Uncommitted Changes Detected ━"), "{seen_there}");
    for line in [
        "┃ You have uncommitted changes in:",
        "┃   README.md (modified)",
        "┃   new/untracked file.txt (new file)",
        "Stash & continue",
        "Replace & continue",
    ] {
        assert!(seen_there.contains(line), "{line}: {seen_there}");
    }
    terminal.types(ENTER);
    let told = plain(&terminal.sees("brings them back"));
    assert!(told.contains("are in `git stash`"), "{told}");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(seen(bob), seen(ada));
    assert!(git(bob, &["stash", "list"]).contains("convosync: before a resume"));
}

/// Nothing is stashed while anything else would refuse.
#[test]
fn nothing_is_stashed_where_the_restore_is_refused_for_another_reason() {
    let mut stage = Stage::new(work::leave);
    let (_, bob, session) = stage.pair();
    own_work(bob);
    let lock = bob.home.project().join(".git/index.lock");
    files::write(&lock, "");
    let run = bob.ctl(&["resume", "--stash", session]);
    assert_eq!(run.status.code(), Some(NEEDS_DECISION), "{run}");
    assert!(run.errors().contains("index.lock"), "{run}");
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
    let run = bob.ctl(&["resume", session]);
    let options = ["--switch-branch", "--stay-on-branch", "--stash", "--theirs", "--worktree DIR"];
    assert_undecided(&run, "you are on main; ", &options);
    let run = bob.ctl(&["resume", "--switch-branch", session]);
    assert_undecided(&run, "README.md", &["--stash", "--theirs"]);
    bob.ctl(&["resume", "--switch-branch", "--stash", session]).ok();
    assert_eq!(seen(bob)[..3], seen(ada)[..3]);
}

#[test]
fn a_branch_that_went_two_ways_stays_and_the_code_goes_beside() {
    let mut stage = diverged();
    let (ada, bob, session) = stage.pair();
    let own = git(bob, &["rev-parse", "main"]);
    bob.ctl(&["resume", session]).ok();
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
    bob.ctl(&["resume", "--theirs", session]).ok();
    assert_eq!(seen(bob), seen(ada));
    bob.ctl(&["undo"]).ok();
    assert_eq!(seen(bob), before);
}

#[test]
fn on_a_terminal_a_box_counts_the_commits_on_both_sides() {
    let mut stage = diverged();
    let (ada, bob, session) = stage.pair();
    let mut terminal = Terminal::open(bob, &["resume", session]);
    let seen_there = plain(&terminal.sees("What now.*(?s).*Cancel"));
    for line in [
        "━━ Branch Divergence Detected ━",
        "┃ `main` here and in the session have diverged.",
        "┃ Here:    1 commit ahead",
        "┃ Session: 2 commits ahead",
        "Merge the session into `main` (recommended)",
        "Put the code on a new branch",
        "Move `main` to the session's commit",
    ] {
        assert!(seen_there.contains(line), "{line}: {seen_there}");
    }
    terminal.types(&format!("{DOWN}{DOWN}{ENTER}"));
    assert_eq!(terminal.ends(), 0);
    assert_eq!(seen(bob), seen(ada));
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

    let reply = bob.ctl_json(&["resume", "--merge", session]);
    assert_eq!(reply["code"]["differences"], serde_json::json!([]), "{reply}");
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
    let run = bob.ctl(&["resume", "--merge", "--stash", session]);
    assert_undecided(&run, "conflicts in `README.md`", &["--beside"]);
    assert_eq!(seen(bob), before);
    assert_eq!(git(bob, &["stash", "list"]), "");
    assert!(!transcript(bob, session).exists());
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
    let told = plain(&terminal.sees("Merge Conflict Detected(?s).*What now.*Cancel"));
    for line in ["┃   README.md", "┃ Nothing was touched.", "Open the files here in your editor"]
    {
        assert!(told.contains(line), "{line}: {told}");
    }
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
    let told = plain(&terminal.sees("Merge Conflict Detected(?s).*What now.*Cancel"));
    assert!(!told.contains("Open the files"), "{told}");
    terminal.types(ENTER);
    assert_eq!(terminal.ends(), 0);
    assert_eq!(seen(bob)[2..], seen(ada)[2..]);
    assert_eq!(git(bob, &["rev-parse", "main"]), before[0]);
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
    let run = bob.ctl(&["resume", "--merge", session]);
    assert_undecided(&run, "a merge or the like was not finished there", &["--beside"]);
    assert_eq!(seen(bob), before);
    bob.ctl(&["resume", "--beside", session]).ok();
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
    let run = bob.ctl(&["resume", "--merge", session]);
    assert_undecided(&run, "conflicts in `README.md`", &["--beside"]);
    assert_eq!(seen(bob), before);
}

#[test]
fn a_shell_goes_on_by_what_is_printed_for_it_alone() {
    let mut stage = Stage::new(|_| {});
    let (_, bob, session) = stage.pair();
    let run = bob.ctl(&["resume", "--shell", session]).ok();
    let line = format!("cd {} && claude --resume {session}", bob.home.project().display());
    assert_eq!(run.text(), line);
    assert!(run.errors().contains("conversation restored"), "{run}");
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
    let told = plain(&terminal.sees("claude in [^\r\n]*"));
    let wanted = format!("claude in {}: --resume {session}", bob.home.project().display());
    assert!(told.contains(&wanted), "{told}");
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
    bob.ctl(&["resume", "--pull", session]).ok();
    assert_eq!(seen(bob), seen(ada));
}

#[test]
fn what_cannot_be_pulled_is_told_and_nothing_is_touched() {
    let mut stage = Stage::new(work::leave);
    let (_, bob, session) = stage.pair();
    let before = seen(bob);
    let run = bob.ctl(&["resume", "--pull", session]);
    assert_undecided(&run, "the session has uncommitted changes", &["without `--pull`"]);
    assert_eq!(seen(bob), before);

    let mut stage = Stage::new(|ada| commit(ada, "unpushed.txt", "of ada\n"));
    let (_, bob, session) = stage.pair();
    let run = bob.ctl(&["resume", "--pull", session]);
    assert_undecided(&run, "does not hold the session's commit", &["without `--pull`"]);
}

#[test]
fn a_conversation_that_is_only_read_is_shown_in_the_pager_of_a_terminal() {
    let mut stage = Stage::new(|_| {});
    let (_, bob, session) = stage.pair();
    let before = seen(bob);
    let mut command = bob.home.command(convosync_tests::program::binary("convosyncctl"));
    command.args(["resume", "--read-only", session]).env("CONVOSYNC_PAGER", "sed 's/^/paged: /'");
    let mut terminal = Terminal::run(command);
    let told = plain(&terminal.sees("(?s)paged: user.*paged: assistant"));
    assert!(!told.contains("\nuser"), "{told}");
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
    let run = bob.ctl(&["resume", "--no-pull", session]).ok();
    let told = run.errors();
    assert!(told.contains("NOT THE SAME CODE") && told.contains("is not in this clone"), "{run}");
    assert!(told.contains("resume without `--no-pull`"), "{run}");
    assert_eq!(seen(bob), before);
    bob.ctl(&["resume", session]).ok();
    assert_eq!(seen(bob), seen(ada));
}
