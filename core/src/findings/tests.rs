//! Every finding with its box, its line and its ways out.

use std::collections::BTreeMap;

use super::*;
use crate::id::Oid;

fn on(branch: &str, commit: u8) -> Head {
    Head { branch: Some(branch.to_owned()), commit: Some(Oid([commit; 20])) }
}

fn detached(commit: u8) -> Head {
    Head { branch: None, commit: Some(Oid([commit; 20])) }
}

/// A plan that puts the code on `branch`.
fn to(branch: Option<&str>) -> Outlook {
    Outlook { branch: branch.map(str::to_owned), ..Outlook::default() }
}

fn met(here: Head, saved: Head) -> Met {
    Met { here, saved, ..Met::default() }
}

fn changes(files: &[(&str, Change)]) -> BTreeMap<RepoPath, Change> {
    files.iter().map(|(path, change)| (RepoPath::new(*path).unwrap(), *change)).collect()
}

/// The box as the terminal frames it, and the answers below.
fn drawn(finding: &Finding) -> String {
    let mut lines = vec![finding.title().to_owned()];
    lines.extend(finding.lines());
    lines.extend(finding.ways().into_iter().map(|way| format!("[{}]", way.label)));
    lines.join("\n")
}

#[test]
fn the_same_branch_with_nothing_of_its_own_asks_nothing() {
    assert_eq!(findings(&met(on("main", 1), on("main", 2)), &to(Some("main"))), []);
}

#[test]
fn what_is_here_already_asks_nothing() {
    let outlook = Outlook { is_here: true, ..to(Some("main")) };
    assert_eq!(findings(&met(on("topic", 1), on("main", 1)), &outlook), []);
}

#[test]
fn another_branch_is_the_users_to_leave() {
    let found = findings(&met(on("main", 1), on("feature/oauth", 2)), &to(Some("feature/oauth")));
    assert_eq!(
        drawn(&found[0]),
        "Branch Mismatch\n\
         Session is on: feature/oauth\n\
         You're on:     main\n\
         [Switch to feature/oauth (recommended)]\n\
         [Continue on main (risky, the context may be wrong)]\n\
         [Cancel: don't resume]"
    );
    assert_eq!(
        undecided(&[&found[0]]),
        (
            "the session is on feature/oauth, and you are on main".to_owned(),
            "`--switch-branch` goes to the session's branch, `--stay-on-branch` brings the conversation only, \
             `--worktree DIR` puts the code into a new work tree"
                .to_owned()
        )
    );
}

#[test]
fn a_detached_head_on_either_side_is_another_branch() {
    let found = findings(&met(detached(1), on("main", 2)), &to(Some("main")));
    assert_eq!(
        found[0].message(),
        "the session is on main, and you are on a detached HEAD at 010101010101"
    );
    let found = findings(&met(on("main", 1), detached(2)), &to(None));
    assert_eq!(
        found[0].message(),
        "the session is on a detached HEAD at 020202020202, and you are on main"
    );
    assert_eq!(findings(&met(detached(1), detached(2)), &to(None)), []);
}

#[test]
fn a_branch_without_a_commit_has_nothing_to_leave() {
    let unborn = Head { branch: Some("main".to_owned()), commit: None };
    assert_eq!(findings(&met(unborn, on("topic", 2)), &to(Some("topic"))), []);
}

/// The branch that an earlier resume made because this one had gone apart is where the code goes again.
#[test]
fn the_branch_that_the_code_goes_on_anyway_is_not_left() {
    let found = findings(&met(on("main-1a2b3c4d", 1), on("main", 1)), &to(Some("main-1a2b3c4d")));
    assert_eq!(found, []);
}

#[test]
fn uncommitted_changes_are_named_and_never_replaced_unasked() {
    let mut met = met(on("main", 1), on("main", 2));
    met.changes = changes(&[("auth.js", Change::Modified), ("config.js", Change::New)]);
    let found = findings(&met, &to(Some("main")));
    assert_eq!(
        drawn(&found[0]),
        "Safety Check: Uncommitted Changes Detected\n\
         You have uncommitted changes in:\n  \
         auth.js (modified)\n  \
         config.js (new file)\n\n\
         The session brings other code.\n\
         [Stash & continue: save the changes with `git stash`]\n\
         [Commit & continue: commit the changes to `main` first]\n\
         [Replace & continue: `convosyncctl undo` brings the changes back]\n\
         [Cancel: don't resume]"
    );
    assert_eq!(found[0].default_answer(), None);
    assert_eq!(
        found[0].message(),
        "2 uncommitted changes stand here, the first is `auth.js` (modified)"
    );
    met.changes = changes(&[("gone.js", Change::Deleted)]);
    let found = findings(&met, &to(Some("main")));
    assert_eq!(found[0].message(), "an uncommitted change stands here: `gone.js` (deleted)");
    met.here = detached(1);
    met.saved = detached(2);
    let (_, hint) = undecided(&[&findings(&met, &to(None))[0]]);
    assert!(!hint.contains("--commit"), "there is no branch to commit to: {hint}");
}

#[test]
fn of_many_changes_the_first_are_named_and_the_rest_counted() {
    let names: Vec<String> = (0..9).map(|number| format!("{number}.js")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), Change::New)).collect();
    let met = Met { changes: changes(&files), ..met(on("main", 1), on("main", 2)) };
    let found = findings(&met, &to(Some("main")));
    assert!(found[0].lines().contains(&"  and 4 more".to_owned()), "{:?}", found[0].lines());
}

#[test]
fn a_branch_that_went_two_ways_shows_both_sides() {
    let apart = Apart { branch: "feature/oauth".to_owned(), ours: 3, theirs: 1 };
    let met = Met { apart: Some(apart), ..met(on("feature/oauth", 1), on("feature/oauth", 2)) };
    let outlook = Outlook {
        instead_of: Some("feature/oauth".to_owned()),
        ..to(Some("feature/oauth-1a2b3c4d"))
    };
    let found = findings(&met, &outlook);
    assert_eq!(
        drawn(&found[0]),
        "Branch Divergence Detected\n\
         `feature/oauth` here and in the session have diverged.\n\n\
         Here:    3 commits ahead\n\
         Session: 1 commit ahead\n\
         [Merge the session into `feature/oauth` (recommended)]\n\
         [Put the code on a new branch `feature/oauth-1a2b3c4d` beside it]\n\
         [Move `feature/oauth` to the session's commit: `convosyncctl undo` moves it back]\n\
         [Cancel: don't resume]"
    );
    assert_eq!(found[0].default_answer(), Some(Answer::Beside));
}

#[test]
fn a_merge_with_conflicts_names_the_files_and_touches_nothing() {
    let conflicts: Vec<String> = ["auth.js", "config.js"].map(str::to_owned).into();
    let finding = Finding::NotMerged { branch: "main".to_owned(), conflicts, why: None };
    assert_eq!(
        drawn(&finding),
        "Merge Conflict Detected\n\
         Cannot merge the session because of conflicts in:\n  \
         auth.js\n  \
         config.js\n\n\
         Nothing was touched.\n\
         [Open the files here in your editor, and don't resume]\n\
         [Put the code on a new branch beside `main`]\n\
         [Cancel: don't resume]"
    );
    let (message, hint) = undecided(&[&finding]);
    assert_eq!(
        message,
        "the session cannot be merged into `main`: conflicts in `auth.js`, `config.js`"
    );
    assert!(hint.starts_with("`--beside` puts the code on a new branch"), "{hint}");
    assert_eq!(finding.default_answer(), None);
}

#[test]
fn an_older_save_that_was_named_is_taken_unless_the_user_says_otherwise() {
    let made = "ada, 3 minutes ago".to_owned();
    let finding = Finding::NewerSave { named: 3, newest: 7, made };
    assert_eq!(
        drawn(&finding),
        "A Newer Save Exists\n\
         You named: save 3\n\
         Newest:    save 7 (ada, 3 minutes ago)\n\n\
         What goes on from an older save goes another way than the newest.\n\
         [Take save 7 (recommended)]\n\
         [Take save 3]\n\
         [Cancel: don't resume]"
    );
    assert_eq!(
        finding.message(),
        "save 3 was named, and the newest is save 7 (ada, 3 minutes ago)"
    );
    assert_eq!(finding.default_answer(), Some(Answer::Named));
}

#[test]
fn one_hint_names_every_option_of_all_that_is_undecided() {
    let mut met = met(on("main", 1), on("topic", 2));
    met.changes = changes(&[("auth.js", Change::Modified)]);
    let found = findings(&met, &to(Some("topic")));
    let (message, hint) = undecided(&found.iter().collect::<Vec<_>>());
    assert_eq!(
        message,
        "the session is on topic, and you are on main; an uncommitted change stands here: `auth.js` (modified)"
    );
    for flag in
        ["--switch-branch", "--stay-on-branch", "--stash", "--commit", "--theirs", "--worktree DIR"]
    {
        assert!(hint.contains(flag), "{hint}");
    }
}
