//! What a plan meets here that is the user's to decide. Whoever plans with
//! [`replace`](super::Restoring::replace) looks at it before applying.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::branch::Branches;
use super::objects::{Objects, told};
use super::{CheckoutError, Prepared};
use crate::code::{Head, Node, RepoPath, State};
use crate::id::Oid;

/// What was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Met {
    /// Where HEAD is here.
    pub here: Head,
    /// Where it was when the state was saved.
    pub saved: Head,
    /// Changes that were not committed and will be replaced, but for those that stand here as they were saved.
    pub changes: BTreeMap<RepoPath, Change>,
    /// Set when the saved branch has commits here that the saved commit has not.
    pub apart: Option<Apart>,
}

/// How a file differs from the commit here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It has other content.
    Modified,
    /// It is not in the commit.
    New,
    /// It is gone.
    Deleted,
}

/// A branch of the same name that went two ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// Its name.
    pub branch: String,
    /// How many commits only the branch here has.
    pub ours: u32,
    /// How many commits only the saved state has.
    pub theirs: u32,
}

impl Prepared<'_> {
    /// What the plan meets here that is the user's to decide.
    pub fn met(&self) -> Met {
        Met {
            here: self.facts.here.head.clone(),
            saved: self.opened.state.head.clone(),
            changes: self.plan.changes.clone(),
            apart: self.facts.branches.apart.clone(),
        }
    }
}

/// How a path that is not as it was committed differs.
pub(super) fn change(here: &State, is_committed: bool, path: &RepoPath) -> Change {
    let staged = here.index.iter().find(|entry| entry.path == *path);
    let is_gone = match here.tree.get(path) {
        Some(node) => *node == Node::Gone,
        None => staged.is_some_and(|entry| entry.entry.is_none()),
    };
    match (is_gone, is_committed) {
        (true, _) => Change::Deleted,
        (false, true) => Change::Modified,
        (false, false) => Change::New,
    }
}

/// Counts the commits on both sides, where the branch here has some of its own; and notes whether git
/// remembers where it stood.
pub(super) fn look(
    objects: &Objects<'_>,
    saved: &State,
    branches: &mut Branches,
) -> Result<(), CheckoutError> {
    let Head { branch: Some(branch), commit: Some(commit) } = &saved.head else { return Ok(()) };
    let Some(tip) = branches.tips.get(branch).filter(|tip| *tip != commit) else { return Ok(()) };
    if branches.held.contains(branch) {
        return Ok(());
    }
    let (ours, theirs) = count(objects, *tip, *commit)?;
    branches.apart = Some(Apart { branch: branch.clone(), ours, theirs });
    let asked = ["reflog", "exists", &format!("refs/heads/{branch}")];
    branches.is_logged = objects.in_the_clone().args(asked).run()?.success();
    Ok(())
}

fn count(objects: &Objects<'_>, ours: Oid, theirs: Oid) -> Result<(u32, u32), CheckoutError> {
    let command = objects.git().args(["rev-list", "--left-right", "--count"]);
    let output = told(command.arg(format!("{ours}...{theirs}")).run(), "count the commits")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(u32::MAX));
    Ok((numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()))
}
