//! The ways out of a finding: how each is called in a list, and the option that takes it.

use super::{Answer, Finding};
use crate::checkout::Apart;

/// A way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// What is decided.
    pub answer: Answer,
    /// How it is called in a list.
    pub label: String,
    /// The option that decides it, if it has one.
    pub flag: Option<&'static str>,
    /// What the option does, as a hint says it.
    pub effect: String,
}

impl Finding {
    /// The ways out, the recommended one first.
    pub fn ways(&self) -> Vec<Way> {
        let mut ways = match self {
            Self::OtherBranch { session, here } => of_another_branch(session, here),
            Self::Changes { branch, .. } => of_changes(branch.as_deref()),
            Self::Diverged { apart, beside } => of_a_divergence(apart, beside),
            Self::NotMerged { branch, conflicts, .. } => of_conflicts(branch, conflicts),
            Self::NewerSave { named, newest, .. } => of_a_newer_save(*named, *newest),
        };
        let (answer, label) = (Answer::Cancel, "Cancel: don't resume".to_owned());
        ways.push(Way { answer, label, flag: None, effect: String::new() });
        ways
    }
}

fn way(answer: Answer, flag: &'static str, label: String, effect: &str) -> Way {
    Way { answer, label, flag: Some(flag), effect: effect.to_owned() }
}

fn of_another_branch(session: &str, here: &str) -> Vec<Way> {
    let switch = format!("Switch to {session} (recommended)");
    let stay = format!("Continue on {here} (risky, the context may be wrong)");
    vec![
        way(Answer::Switch, "--switch-branch", switch, "goes to the session's branch"),
        way(Answer::Stay, "--stay-on-branch", stay, "brings the conversation only"),
    ]
}

fn of_changes(branch: Option<&str>) -> Vec<Way> {
    let commit = |branch: &str| {
        let label = format!("Commit & continue: commit the changes to `{branch}` first");
        way(Answer::Commit, "--commit", label, "commits the changes here first")
    };
    let stash = way(
        Answer::Stash,
        "--stash",
        "Stash & continue: save the changes with `git stash`".to_owned(),
        "puts the changes into `git stash`",
    );
    let replace = way(
        Answer::Replace,
        "--theirs",
        "Replace & continue: `convosyncctl undo` brings the changes back".to_owned(),
        "replaces the changes (`convosyncctl undo` brings them back)",
    );
    [Some(stash), branch.map(commit), Some(replace)].into_iter().flatten().collect()
}

fn of_a_divergence(apart: &Apart, beside: &str) -> Vec<Way> {
    let branch = &apart.branch;
    vec![
        way(
            Answer::Merge,
            "--merge",
            format!("Merge the session into `{branch}` (recommended)"),
            "merges the session into it",
        ),
        way(
            Answer::Beside,
            "--beside",
            format!("Put the code on a new branch `{beside}` beside it"),
            "puts the code on a new branch",
        ),
        way(
            Answer::Take,
            "--theirs",
            format!("Move `{branch}` to the session's commit: `convosyncctl undo` moves it back"),
            "moves the branch (`convosyncctl undo` moves it back)",
        ),
    ]
}

fn of_conflicts(branch: &str, conflicts: &[String]) -> Vec<Way> {
    let open = Way {
        answer: Answer::Open,
        label: "Open the files here in your editor, and don't resume".to_owned(),
        flag: None,
        effect: String::new(),
    };
    let beside = way(
        Answer::Beside,
        "--beside",
        format!("Put the code on a new branch beside `{branch}`"),
        "puts the code on a new branch, to be merged there",
    );
    let open = Some(open).filter(|_| !conflicts.is_empty());
    open.into_iter().chain([beside]).collect()
}

fn of_a_newer_save(named: u32, newest: u32) -> Vec<Way> {
    vec![
        way(
            Answer::Newest,
            "--newest",
            format!("Take save {newest} (recommended)"),
            "takes the newest save",
        ),
        way(
            Answer::Named,
            "--exact",
            format!("Take save {named}"),
            "takes the save that was named",
        ),
    ]
}
