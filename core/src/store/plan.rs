//! How much a push has to carry, and in which steps.

use std::collections::HashSet;

use git2::Repository;

use super::{Store, StoreError, Where, object, repository, tip, tree};
use crate::id::Oid;

/// How much one push carries, where our tips allow it: what a connection that breaks off may cost. Sent at
/// 1 Mbit/s in a minute.
pub(crate) const STEP_BYTES_MAX: u64 = 8 << 20;

/// How a push is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PushPlan {
    /// What our ref is moved to, one after the other.
    pub(crate) steps: Vec<Step>,
    /// Whether the remote is asked first which commits it has.
    pub(crate) negotiate: bool,
}

/// One push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where our ref is moved to.
    pub(crate) tip: Oid,
    /// How many bytes of objects it brings at most; what was adopted the remote may have already.
    pub(crate) bytes: u64,
}

/// A tip on the way, with what it adds to the one before.
struct Stage {
    tip: Oid,
    bytes: u64,
    brings_adopted: bool,
}

impl Store {
    /// Plans a push from `lease` to `new`: in one go, unless it carries more than [`STEP_BYTES_MAX`], or
    /// something in between was adopted from another device. Each tip that brings adopted commits is pushed
    /// for itself, for git finds out only about few commits in one push that the remote has them already.
    pub(crate) fn push_plan(&self, lease: Option<Oid>, new: Oid) -> Result<PushPlan, StoreError> {
        let repo = self.lock(Where::Own);
        let adopted = repository::adopted_between(&repo, lease, new)
            .map_err(object::failed("look for adopted commits"))?;
        let mut steps = Vec::new();
        let mut next: Option<Step> = None;
        for Stage { tip, bytes, brings_adopted } in stages(&repo, lease, new, &adopted)? {
            steps.extend(next.take_if(|step| step.bytes + bytes > STEP_BYTES_MAX));
            let before = next.map_or(0, |step| step.bytes);
            next = Some(Step { tip, bytes: before + bytes });
            if brings_adopted {
                steps.extend(next.take());
            }
        }
        steps.extend(next);
        Ok(PushPlan { steps, negotiate: !adopted.is_empty() })
    }
}

/// Lists the tips after `lease` up to `new`, the oldest first; `new` is always among them.
fn stages(
    repo: &Repository,
    lease: Option<Oid>,
    new: Oid,
    adopted: &HashSet<Oid>,
) -> Result<Vec<Stage>, StoreError> {
    let mut chain = vec![new];
    let mut next = new;
    while let Ok(before) = object::commit(repo, next)?.parent_id(0) {
        let before = object::from_git2(before);
        if [Some(before), Some(next)].contains(&lease) || !tip::is_tip(repo, before)? {
            break;
        }
        chain.push(before);
        next = before;
    }
    let mut stages = Vec::new();
    let mut before = lease;
    for tip in chain.into_iter().rev() {
        let commit = object::commit(repo, tip)?;
        let brings_adopted =
            commit.parent_ids().any(|parent| adopted.contains(&object::from_git2(parent)));
        let mut bytes = 0;
        for commit in repository::between(repo, before, tip)
            .map_err(object::failed("look for what a push brings"))?
        {
            bytes += added_by(repo, commit)?;
        }
        stages.push(Stage { tip, bytes, brings_adopted });
        before = Some(tip);
    }
    Ok(stages)
}

/// Counts the bytes of the files in a commit that its first parent does not have.
fn added_by(repo: &Repository, commit: Oid) -> Result<u64, StoreError> {
    let parent = object::commit(repo, commit)?.parent_id(0).ok().map(object::from_git2);
    let before = parent.map(|parent| object::tree_of(repo, parent)).transpose()?;
    added(repo, object::tree_of(repo, commit)?, before)
}

fn added(repo: &Repository, tree: Oid, before: Option<Oid>) -> Result<u64, StoreError> {
    let odb = repo.odb().map_err(object::failed("open the objects"))?;
    let old = before.map(|before| tree::read(repo, before)).transpose()?.unwrap_or_default();
    let mut bytes = 0;
    for (name, entry) in tree::read(repo, tree)? {
        let known = old.get(&name).filter(|known| known.is_tree == entry.is_tree);
        if known.is_some_and(|known| known.id == entry.id) {
            continue;
        }
        bytes += match entry.is_tree {
            true => added(repo, entry.id, known.map(|known| known.id))?,
            false => {
                let header = odb.read_header(object::to_git2(entry.id));
                header.map_err(object::failed("measure an object"))?.0 as u64
            }
        };
    }
    Ok(bytes)
}
