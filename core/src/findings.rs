//! What the user has to decide before a saved state is put in place, with every way out. Pure: facts in, findings out.
//!
//! Nothing is asked and nothing is done here: the client shows each finding, or names its flags. What refuses
//! whatever the answer is stays `checkout`'s matter ([`Refusal`](crate::checkout::Refusal)).

mod ways;

use crate::checkout::{Apart, Change, Met, Outlook};
use crate::code::{Head, RepoPath, some};

pub use ways::Way;

/// How many files are named.
const FILES_SHOWN_MAX: usize = 5;

/// Something that is the user's to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// HEAD would leave the branch it is on.
    OtherBranch {
        /// Where the session is.
        session: String,
        /// Where HEAD is here.
        here: String,
    },
    /// Changes that were not committed would be replaced.
    Changes {
        /// How many files.
        count: usize,
        /// The first of them.
        first: Vec<(String, Change)>,
        /// The branch that they could be committed to.
        branch: Option<String>,
    },
    /// The branch of the session has commits of its own here.
    Diverged {
        /// How far.
        apart: Apart,
        /// The new branch that the code goes on, unless it is decided otherwise.
        beside: String,
    },
    /// The merge that was asked for cannot be made.
    NotMerged {
        /// The branch.
        branch: String,
        /// The files that both sides changed.
        conflicts: Vec<String>,
        /// Why it was not even tried.
        why: Option<String>,
    },
    /// Not the newest save was named: what goes on from an older one goes another way than the newest.
    NewerSave {
        /// The number that was named.
        named: u32,
        /// The newest.
        newest: u32,
        /// Who made that, and when, in words.
        made: String,
    },
}

/// What can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go to the session's branch.
    Switch,
    /// Leave the code here alone.
    Stay,
    /// Put the changes into `git stash`.
    Stash,
    /// Commit the changes to the branch here.
    Commit,
    /// Replace the changes; they are recorded.
    Replace,
    /// Merge the session's commits into the branch.
    Merge,
    /// Put the code on a new branch beside.
    Beside,
    /// Move the branch to where the session is.
    Take,
    /// Take the newest save.
    Newest,
    /// Take the save that was named.
    Named,
    /// Open the files in the user's editor, and do nothing else.
    Open,
    /// Do nothing.
    Cancel,
}

/// Returns what has to be decided before a plan is carried out.
pub fn findings(met: &Met, outlook: &Outlook) -> Vec<Finding> {
    if outlook.is_here {
        return Vec::new();
    }
    let mut found = Vec::new();
    let is_left = met.here.commit.is_some()
        && met.here.branch != met.saved.branch
        && (met.here.branch.is_none() || met.here.branch != outlook.branch);
    if is_left {
        found.push(Finding::OtherBranch { session: shown(&met.saved), here: shown(&met.here) });
    }
    if !met.changes.is_empty() {
        let named = |(path, change): (&RepoPath, &Change)| (path.shown(), *change);
        let first = met.changes.iter().take(FILES_SHOWN_MAX).map(named).collect();
        let (count, branch) = (met.changes.len(), met.here.branch.clone());
        found.push(Finding::Changes { count, first, branch });
    }
    if let (Some(apart), Some(_), Some(beside)) = (&met.apart, &outlook.instead_of, &outlook.branch)
    {
        found.push(Finding::Diverged { apart: apart.clone(), beside: beside.clone() });
    }
    found
}

/// Says where HEAD is.
fn shown(head: &Head) -> String {
    match (&head.branch, head.commit) {
        (Some(branch), _) => branch.clone(),
        (None, Some(commit)) => {
            format!("a detached HEAD at {}", commit.short())
        }
        (None, None) => "a detached HEAD".to_owned(),
    }
}

impl Finding {
    /// What stands above it.
    pub fn title(&self) -> &'static str {
        match self {
            Self::OtherBranch { .. } => "Branch Mismatch",
            Self::Changes { .. } => "Safety Check: Uncommitted Changes Detected",
            Self::Diverged { .. } => "Branch Divergence Detected",
            Self::NotMerged { .. } => "Merge Conflict Detected",
            Self::NewerSave { .. } => "A Newer Save Exists",
        }
    }

    /// What was found, line by line.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::OtherBranch { session, here } => {
                vec![format!("Session is on: {session}"), format!("You're on:     {here}")]
            }
            Self::Changes { count, first, .. } => {
                let mut lines = vec!["You have uncommitted changes in:".to_owned()];
                lines.extend(
                    first.iter().map(|(path, change)| format!("  {path} ({})", change.word())),
                );
                if *count > first.len() {
                    lines.push(format!("  and {} more", count - first.len()));
                }
                lines.extend([String::new(), "The session brings other code.".to_owned()]);
                lines
            }
            Self::Diverged { apart, .. } => vec![
                format!("`{}` here and in the session have diverged.", apart.branch),
                String::new(),
                format!("Here:    {} ahead", commits(apart.ours)),
                format!("Session: {} ahead", commits(apart.theirs)),
            ],
            Self::NewerSave { named, newest, made } => vec![
                format!("You named: save {named}"),
                format!("Newest:    save {newest} ({made})"),
                String::new(),
                "What goes on from an older save goes another way than the newest.".to_owned(),
            ],
            Self::NotMerged { why: Some(why), branch, .. } => {
                vec![format!("Cannot merge into `{branch}`: {why}.")]
            }
            Self::NotMerged { conflicts, .. } => {
                let mut lines =
                    vec!["Cannot merge the session because of conflicts in:".to_owned()];
                let shown = conflicts.iter().take(FILES_SHOWN_MAX);
                lines.extend(shown.map(|path| format!("  {path}")));
                if conflicts.len() > FILES_SHOWN_MAX {
                    lines.push(format!("  and {} more", conflicts.len() - FILES_SHOWN_MAX));
                }
                lines.extend([String::new(), "Nothing was touched.".to_owned()]);
                lines
            }
        }
    }

    /// What was found, in one line.
    pub fn message(&self) -> String {
        match self {
            Self::OtherBranch { session, here } => {
                format!("the session is on {session}, and you are on {here}")
            }
            Self::Changes { count, first, .. } => {
                let named =
                    first.first().map(|(path, change)| format!("`{path}` ({})", change.word()));
                let named = named.unwrap_or_default();
                match count {
                    1 => format!("an uncommitted change stands here: {named}"),
                    count => {
                        format!("{count} uncommitted changes stand here, the first is {named}")
                    }
                }
            }
            Self::Diverged { apart, .. } => format!(
                "`{}` has {} here that the session has not, and the session {}",
                apart.branch,
                commits(apart.ours),
                commits(apart.theirs)
            ),
            Self::NewerSave { named, newest, made } => {
                format!("save {named} was named, and the newest is save {newest} ({made})")
            }
            Self::NotMerged { why: Some(why), branch, .. } => {
                format!("the session cannot be merged into `{branch}`: {why}")
            }
            Self::NotMerged { branch, conflicts, .. } => {
                let files = some(conflicts, FILES_SHOWN_MAX);
                format!("the session cannot be merged into `{branch}`: conflicts in {files}")
            }
        }
    }

    /// What is decided where nobody can be asked and no option says: only what leaves everything of the user's
    /// where it is.
    pub fn default_answer(&self) -> Option<Answer> {
        match self {
            Self::OtherBranch { .. } | Self::Changes { .. } | Self::NotMerged { .. } => None,
            Self::Diverged { .. } => Some(Answer::Beside),
            Self::NewerSave { .. } => Some(Answer::Named),
        }
    }
}

impl Change {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Modified => "modified",
            Self::New => "new file",
            Self::Deleted => "deleted",
        }
    }
}

fn commits(number: u32) -> String {
    if number == 1 { "1 commit".to_owned() } else { format!("{number} commits") }
}

/// Returns message and hint of what nobody decided: the hint names every option.
pub fn undecided(findings: &[&Finding]) -> (String, String) {
    let messages: Vec<_> = findings.iter().map(|finding| finding.message()).collect();
    let ways = findings.iter().flat_map(|finding| finding.ways());
    let flags = ways.filter_map(|way| Some(format!("`{}` {}", way.flag?, way.effect)));
    let all = flags.chain(["`--worktree DIR` puts the code into a new work tree".to_owned()]);
    (messages.join("; "), all.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
