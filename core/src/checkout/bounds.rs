//! How much a plan may put on the disk: a small log can name one blob under any number of paths.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::objects::Objects;
use super::plan::Plan;
use super::{CheckoutError, Purpose, Refusal};
use crate::code::{Limits, Node, RepoPath, State};
use crate::disk::{Beneath, Found};
use crate::id::Oid;

/// So little is tried without asking how much is free.
pub(super) const FREELY: u64 = 16 << 20;
/// What stays free for the user and for the record: less, and everything on the device gets into trouble.
const RESERVE: u64 = 32 << 20;

/// Refuses what the saved state itself brings to be checked out, where that is more than may come in, each
/// path counted; and everything, where there is no room for it. An undo brings back what there was.
pub(super) fn check(
    purpose: &Purpose<'_>,
    saved: &State,
    facts: &Facts,
    plan: &Plan,
    objects: &Objects<'_>,
) -> Result<(), CheckoutError> {
    let Purpose::Resume(restoring) = purpose else { return Ok(()) };
    let ids: BTreeSet<Oid> = plan.check_out.values().copied().collect();
    let sizes = objects.sizes(&ids)?;
    let size = |id: &Oid| sizes.get(id).copied().unwrap_or_default();
    let elsewhere = objects.not_in_the_clone(&ids)?;
    let staged: BTreeSet<&RepoPath> = saved.index.iter().map(|entry| &entry.path).collect();
    let is_own = |(path, id): &(&RepoPath, &Oid)| staged.contains(path) || elsewhere.contains(id);
    let own = plan.check_out.iter().filter(is_own).map(|(_, id)| size(id));
    check_own(own, restoring.limits)?;
    let checked_out = sum(plan.check_out.values().map(size));
    let written = sum(plan.write.iter().map(|path| match saved.tree.get(path) {
        Some(Node::File { content, .. }) => content.length,
        _ => 0,
    }));
    let removed = sum(plan.remove.iter().map(|path| match facts.standing.get(path) {
        Some(Found::File(stamp)) => stamp.size,
        _ => 0,
    }));
    let needed = checked_out.saturating_add(written).saturating_sub(removed);
    let root = &restoring.place.project.root;
    match Beneath::open(root)?.room() {
        Some(free) if !fits(needed, free) => {
            Err(Refusal::NoRoom { needed, free, root: root.clone() }.into())
        }
        _ => Ok(()),
    }
}

fn check_own(sizes: impl Iterator<Item = u64> + Clone, limits: Limits) -> Result<(), Refusal> {
    let (files, size) = (sizes.clone().count(), sum(sizes));
    if size > limits.total || files > limits.files {
        return Err(Refusal::TooLarge { size, files, limit: limits.total });
    }
    Ok(())
}

fn fits(needed: u64, free: u64) -> bool {
    needed <= FREELY || needed.checked_add(RESERVE).is_some_and(|needed| needed <= free)
}

fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_room_stays_free_and_little_is_always_tried() {
        assert!(fits(FREELY, 0) && fits(1 << 30, (1 << 30) + RESERVE));
        assert!(!fits(1 << 30, (1 << 30) + RESERVE - 1) && !fits(u64::MAX, u64::MAX));
    }
}
