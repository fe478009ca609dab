//! Symbolic links on a disk that has none.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::facts::{Facts, Index};
use super::objects::Objects;
use super::plan::Plan;
use super::{CheckoutError, Purpose, Refusal};
use crate::code::{Mode, Node, RepoPath, State};
use crate::disk::Beneath;

/// Refuses links that cannot be made here. One that is left out would be taken for deleted by the next save, and
/// one that is written as a file for that file; where git itself does so (`core.symlinks`), it knows what it is.
pub(super) fn check(
    purpose: &Purpose<'_>,
    saved: &State,
    facts: &Facts,
    plan: &Plan,
    objects: &Objects<'_>,
) -> Result<(), CheckoutError> {
    let Purpose::Resume(restoring) = purpose else { return Ok(()) };
    let is_written = |path: &&RepoPath| matches!(saved.tree.get(*path), Some(Node::Link(_)));
    let mut links: Vec<&RepoPath> = plan.write.iter().filter(is_written).collect();
    let there = Index::new(saved, &facts.there_listing);
    let is_link = |path: &&RepoPath| there.entry(path).is_some_and(|own| own.mode == Mode::Link);
    let checked_out: Vec<&RepoPath> = plan.check_out.keys().filter(is_link).collect();
    if !checked_out.is_empty() && makes_links(objects)? {
        links.extend(checked_out);
    }
    let Some(first) = links.first().map(|path| path.shown()) else { return Ok(()) };
    let project = restoring.place.project;
    let git_dir = project.git_dir.as_deref().ok_or(Refusal::NoWorkTree)?;
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    // Where nobody sees it, if that is the same disk.
    let is_same = device(git_dir) == device(&project.root);
    let folder = if is_same { git_dir } else { &project.root };
    if Beneath::open(folder)?.has_links()? {
        return Ok(());
    }
    Err(Refusal::NoLinks { count: links.len(), first }.into())
}

/// Whether git checks links out as such.
fn makes_links(objects: &Objects<'_>) -> Result<bool, CheckoutError> {
    let asked = ["config", "--type=bool", "--get", "core.symlinks"];
    Ok(!objects.in_the_clone().args(asked).run()?.stdout.starts_with(b"false"))
}
