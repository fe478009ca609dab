//! Looks again after a restore: does everything stand as it was saved?

use std::collections::{BTreeMap, BTreeSet};

use super::apply::Done;
use super::facts::{Index, touched};
use super::plan::same_node;
use super::{CheckoutError, Prepared, submodules};
use crate::code::{Node, RepoPath, State};
use crate::disk::{Beneath, Found};
use crate::id::Digest;

/// What differs from what was saved: `HEAD`, or paths. Of files that were made just now, git does not go by
/// their stamps, and without their filters takes them for changed: they are `made` unless they changed since. Second,
/// the submodules that stand elsewhere than the index says, and than they stood where this was saved.
pub(super) fn verify(
    prepared: &Prepared<'_>,
    Done { made, not_back, .. }: &Done,
) -> Result<(Vec<String>, Vec<String>), CheckoutError> {
    let (after, _) = prepared.record.look(prepared.place)?;
    let saved = &prepared.opened.state;
    let mut differences = Vec::new();
    let wanted = prepared.plan.head.as_ref().map(|to| &to.head);
    if wanted.is_some_and(|head| *head != after.head) {
        differences.push("HEAD".to_owned());
    }
    let paths = paths(prepared, saved, &after, made)?;
    let paths = paths.iter().map(RepoPath::shown);
    let paths = paths.chain(not_back.iter().map(|file| file.path.clone()));
    differences.extend(paths.collect::<BTreeSet<String>>());
    Ok((differences, submodules::behind(&after, saved)))
}

fn paths(
    prepared: &Prepared<'_>,
    saved: &State,
    after: &State,
    made: &BTreeMap<RepoPath, Found>,
) -> Result<BTreeSet<RepoPath>, CheckoutError> {
    let beneath = Beneath::open(&prepared.place.project.root)?;
    let listing = &prepared.facts.there_listing;
    // The end of an interrupted restore leaves HEAD where the user moved it.
    let is_there = after.head.commit == saved.head.commit;
    let other = if is_there { None } else { Some(prepared.objects.listing(after.head.commit)?) };
    let found_listing = other.as_ref().unwrap_or(listing);
    let (wanted, found) = (Index::new(saved, listing), Index::new(after, found_listing));
    let mut differing = BTreeSet::new();
    let moved =
        if is_there { BTreeSet::new() } else { touched(after, saved, found_listing, listing) };
    for path in wanted.differing().chain(found.differing()).chain(&moved) {
        let strip = |index: &Index<'_>| {
            let mut entries = index.entries(path);
            // Which tracked files are checked out is each clone's own matter.
            if saved.notes.sparse || prepared.facts.is_sparse {
                entries.iter_mut().for_each(|entry| entry.flags.skip_worktree = false);
            }
            entries
        };
        if strip(&wanted) != strip(&found) {
            differing.insert(path.clone());
        }
    }
    for path in saved.tree.keys().chain(after.tree.keys()) {
        let is_same = match (saved.tree.get(path), after.tree.get(path)) {
            (Some(a), Some(b)) => same_node(a, b),
            // Where the index has nothing, gone is how it should be.
            (Some(Node::Gone), None) => found.entries(path).is_empty(),
            // Git may ignore here what it did not ignore there.
            (Some(node), None) => stands(&beneath, path, node),
            (None, Some(Node::File { .. })) => {
                made.get(path).is_some_and(|made| beneath.look(path.as_path()).ok() == Some(*made))
            }
            _ => false,
        };
        if !is_same {
            differing.insert(path.clone());
        }
    }
    differing.retain(|path| !prepared.is_left(path));
    Ok(differing)
}

/// Whether a file or link is there with the right bytes.
pub(super) fn stands(beneath: &Beneath, path: &RepoPath, node: &Node) -> bool {
    let digest = || {
        let mut file = beneath.read(path.as_path()).ok()?;
        Digest::of_reader(&mut file).ok()
    };
    match node {
        Node::File { content, .. } => digest() == Some(content.digest),
        Node::Link(target) => beneath.read_link(path.as_path()).is_ok_and(|found| found == *target),
        Node::EmptyDirectory => {
            beneath.look(path.as_path()).is_ok_and(|found| found == Found::Directory)
        }
        Node::Gone => false,
    }
}
