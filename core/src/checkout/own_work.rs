//! Tells what a user did since a restore was interrupted from what the restore left.

use std::collections::BTreeSet;

use super::facts::{Entry, Facts, Index, touched};
use super::objects::{Listing, Objects};
use super::plan::same_node;
use super::record::{self, Record};
use super::verify::stands;
use super::{CheckoutError, Place};
use crate::code::{Node, RepoPath, State};
use crate::disk::{Beneath, Found};
use crate::id::Oid;

/// Whether anything stands here that is neither as the restore left it, nor as it was `before`, nor as what
/// was being put in place has it. Where nobody knows, it does.
pub(super) fn is_there(
    facts: &Facts,
    before: &State,
    past: &Record,
    objects: &Objects<'_>,
    place: Place<'_>,
) -> Result<bool, CheckoutError> {
    let here = &facts.here;
    let aside = Aside::of(place)?;
    if has_ignored(facts, past, place, &aside)? {
        return Ok(true);
    }
    let Some(target) = &past.target() else { return Ok(true) };
    let heads = [before.head.commit, target.head.commit];
    if !heads.contains(&here.head.commit) {
        return Ok(true);
    }
    // Before its commits came into the clone, nothing of it could be checked out.
    let has_begun = objects.is_connected(target.head.commit.as_slice())?;
    let listing = if has_begun { objects.listing(target.head.commit)? } else { Listing::new() };
    let target = if has_begun { target } else { before };
    let listing = if has_begun { &listing } else { &facts.there_listing };
    let states = [(before, &facts.there_listing), (target, listing)];
    let [was, will] = states.map(|(state, listing)| Index::new(state, listing));
    let now = Index::new(here, &facts.here_listing);
    let is_own = |path: &RepoPath| -> Result<bool, CheckoutError> {
        let entries = plain(&now, path);
        if entries != plain(&was, path) && entries != plain(&will, path) {
            return Ok(true);
        }
        let Some(node) = here.tree.get(path) else { return Ok(false) };
        let known = [before, target].map(|state| state.tree.get(path));
        if known.into_iter().flatten().any(|known| same_node(known, node)) {
            return Ok(false);
        }
        let is_known = match node {
            Node::Gone | Node::EmptyDirectory => true,
            Node::Link(_) => false,
            Node::File { .. } => {
                let ids = [&was, &will].map(|index| index.entry(path).map(|entry| entry.id));
                blob_at(place, path).is_some_and(|found| ids.contains(&Some(found)))
            }
        };
        Ok(!is_known && !aside.has(path)?)
    };
    for path in paths(facts, before, target, listing) {
        if is_own(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What restores of this work tree set aside: an undo brings back what an older record has, too.
struct Aside {
    beneath: Beneath,
    records: Vec<Record>,
}

impl Aside {
    fn of(place: Place<'_>) -> Result<Self, CheckoutError> {
        let beneath = Beneath::open(&place.project.root)?;
        Ok(Self { beneath, records: record::readable(place)? })
    }

    /// Whether what stands at a path is what was set aside from there.
    fn has(&self, path: &RepoPath) -> Result<bool, CheckoutError> {
        for record in &self.records {
            if record.stands_aside(&self.beneath, path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a file that git does not know here is neither what was set aside nor what was being put in place.
fn has_ignored(
    facts: &Facts,
    past: &Record,
    place: Place<'_>,
    aside: &Aside,
) -> Result<bool, CheckoutError> {
    let index = Index::new(&facts.here, &facts.here_listing);
    let target = past.target();
    for path in past.deeds.written.iter().map(|path| &path.0) {
        if facts.here.tree.contains_key(path) || !index.entries(path).is_empty() {
            continue;
        }
        let found = aside.beneath.look(path.as_path())?;
        if !matches!(found, Found::File(_) | Found::Link(_)) || aside.has(path)? {
            continue;
        }
        let node = target.as_ref().and_then(|target| target.tree.get(path));
        let is_as_saved = node.is_some_and(|node| stands(&aside.beneath, path, node));
        if !is_as_saved && !is_checked_out(past, place, path) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a file holds what git was to check out there.
fn is_checked_out(past: &Record, place: Place<'_>, path: &RepoPath) -> bool {
    let checked_out = past.deeds.checked_out.iter().find(|(own, _)| own.0 == *path);
    checked_out.is_some_and(|(_, id)| blob_at(place, path) == Some(*id))
}

/// The name that git has for a file's bytes as they stand.
fn blob_at(place: Place<'_>, path: &RepoPath) -> Option<Oid> {
    let file = place.project.root.join(path.as_path());
    let id = git2::Oid::hash_file(git2::ObjectType::Blob, file).ok()?;
    Some(Oid(id.as_bytes().try_into().ok()?))
}

fn paths(facts: &Facts, before: &State, target: &State, listing: &Listing) -> BTreeSet<RepoPath> {
    let mut paths = touched(&facts.here, before, &facts.here_listing, &facts.there_listing);
    paths.extend(touched(&facts.here, target, &facts.here_listing, listing));
    paths
}

/// The entries of a path without their flags, which are set last.
fn plain(index: &Index<'_>, path: &RepoPath) -> Vec<(u8, crate::code::Mode, Oid)> {
    let entries = index.entries(path).into_iter();
    entries.map(|Entry { stage, mode, id, .. }| (stage, mode, id)).collect()
}
