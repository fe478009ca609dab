//! What is done to a work tree. Pure: decides over facts that were gathered before.

use std::collections::{BTreeMap, BTreeSet};

use super::branch::{self, Move};
use super::facts::{Entry, Facts, Index};
use super::spelling::folded;
use super::{Change, Outlook, Purpose, Refusal, met, submodules};
use crate::code::{Flags, Guard, Mode, Node, Omission, OperationKind, RepoPath, State, Why};
use crate::disk::Found;
use crate::id::Oid;

/// What is done, in the order in which it is done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Where HEAD goes.
    pub(super) head: Option<Move>,
    /// Files and links that are copied into the record, because git does not know them.
    pub(super) aside: BTreeSet<RepoPath>,
    /// Files and links that are removed.
    pub(super) remove: BTreeSet<RepoPath>,
    /// Files of those that stand as the index has them, with its blob: as git would check them out, or not.
    pub(super) tracked: BTreeMap<RepoPath, Oid>,
    /// Directories that are removed if nothing is in them.
    pub(super) prune: BTreeSet<RepoPath>,
    /// Files that git checks out as the index has them.
    pub(super) check_out: BTreeMap<RepoPath, Oid>,
    /// Files and links that are written as the state has them.
    pub(super) write: BTreeSet<RepoPath>,
    /// Directories that are made.
    pub(super) make: BTreeSet<RepoPath>,
    /// Paths of the index that change, with all entries they will have.
    pub(super) index: BTreeMap<RepoPath, Vec<Entry>>,
    /// Paths that stay as they are here, and why.
    pub(super) left: BTreeMap<RepoPath, Why>,
    /// Changes that were not committed here and are replaced.
    pub(super) changes: BTreeMap<RepoPath, Change>,
}

/// What stands, or is to stand, at a path.
#[derive(Debug, PartialEq, Eq)]
enum Thing<'a> {
    /// Nothing that git knows: an ignored file may be there.
    Nothing,
    /// A directory with nothing in it.
    Directory,
    /// A submodule.
    Module,
    /// A file as the index has it.
    Indexed(Mode, Oid),
    /// A file or link that the state describes.
    Own(&'a Node),
}

struct Planner<'a> {
    saved: &'a State,
    facts: &'a Facts,
    guard: &'a Guard,
    here: Index<'a>,
    there: Index<'a>,
    /// What the restore that is undone had written.
    written: BTreeSet<RepoPath>,
    plan: Plan,
}

/// Decides.
///
/// # Errors
/// A [`Refusal`] when it cannot or must not be done.
pub(super) fn plan(
    saved: &State,
    facts: &Facts,
    guard: &Guard,
    purpose: &Purpose<'_>,
) -> Result<Plan, Refusal> {
    let here = Index::new(&facts.here, &facts.here_listing);
    let there = Index::new(saved, &facts.there_listing);
    let written = purpose.written();
    let mut planner = Planner { saved, facts, guard, here, there, written, plan: Plan::default() };
    planner.check_index()?;
    for path in facts.paths(saved).into_iter().chain(purpose.written()) {
        planner.decide_index(&path);
        planner.decide(&path);
    }
    planner.check_ways()?;
    planner.check_names()?;
    planner.check_purpose(purpose)?;
    let mut plan = planner.plan;
    plan.head = Some(match purpose {
        Purpose::Resume(restoring) => {
            let short = restoring.session.short();
            branch::decide(&saved.head, &facts.branches, short, restoring.take)
        }
        Purpose::Undo(past) => match branch::back(&saved.head, past.moved(), &facts.branches) {
            // What was begun has to be ended somehow: HEAD stays where the user went with it.
            Err(Refusal::Moved(_)) if purpose.is_ending() => Move::none(&facts.here.head),
            back => back?,
        },
    });
    Ok(plan)
}

impl Facts {
    fn paths(&self, saved: &State) -> BTreeSet<RepoPath> {
        super::facts::touched(&self.here, saved, &self.here_listing, &self.there_listing)
    }

    fn at(&self, path: &RepoPath) -> Found {
        self.standing.get(path).copied().unwrap_or(Found::Nothing)
    }

    /// Whether a path lies in a repository of the user's inside of this one.
    fn is_in_another_repository(&self, path: &RepoPath) -> bool {
        let mut above = std::iter::successors(path.parent(), RepoPath::parent);
        above.any(|folder| self.nested.contains(&folder))
    }
}

/// Why a path, or a folder it lies in, was left out.
fn omitted(state: &State, path: &RepoPath) -> Option<Omission> {
    let mut above = std::iter::successors(Some(path.clone()), RepoPath::parent);
    above.find_map(|path| state.omitted.get(&path).copied())
}

impl<'a> Planner<'a> {
    /// Refuses an index in which a file has something below it.
    fn check_index(&self) -> Result<(), Refusal> {
        let whole = self.saved.index.iter().filter(|entry| entry.stage == 0);
        for path in whole.filter(|entry| entry.entry.is_some()).map(|entry| &entry.path) {
            let mut above = std::iter::successors(path.parent(), RepoPath::parent);
            let clash = above.find(|folder| self.there.entry(folder).is_some());
            if clash.is_some() || self.there.one_below(path).is_some() {
                return Err(Refusal::Clash(clash.as_ref().unwrap_or(path).shown()));
            }
        }
        Ok(())
    }

    fn decide_index(&mut self, path: &RepoPath) {
        let here = self.here.entries(path);
        let mut there = self.there.entries(path);
        // Which tracked files are checked out is each clone's own matter.
        for entry in &mut there {
            let own = self.facts.skipped.contains(path)
                || here.iter().any(|entry| entry.flags.skip_worktree);
            if self.saved.notes.sparse || self.facts.is_sparse {
                entry.flags.skip_worktree = own && !self.saved.tree.contains_key(path);
            }
        }
        // What could not be recorded is not replaced.
        if self.facts.unrecorded.contains(path) {
            self.plan.left.extend(self.left(path).map(|why| (path.clone(), why)));
        } else if here != there {
            self.plan.index.insert(path.clone(), there);
        }
    }

    /// Why a path stays as it is here.
    fn left(&self, path: &RepoPath) -> Option<Why> {
        if self.facts.unrecorded.contains(path) {
            return Some(omitted(&self.facts.here, path).map_or(Why::Guarded, |found| found.why));
        }
        if self.here.entries(path).is_empty() {
            if self.facts.is_in_another_repository(path) {
                return Some(Why::Nested);
            }
            if self.facts.at(path) == Found::Nothing {
                return None;
            }
        }
        if let Some(omission) = omitted(&self.facts.here, path) {
            return Some(omission.why);
        }
        if self.guard.covers(path) {
            return Some(Why::Guarded);
        }
        let is_clean = !self.facts.here.tree.contains_key(path) && self.here.entry(path).is_some();
        omitted(self.saved, path).map(|omission| omission.why).filter(|_| !is_clean)
    }

    fn there(&self, path: &RepoPath) -> Thing<'a> {
        if let Some(node) = self.saved.tree.get(path) {
            return match node {
                Node::Gone => Thing::Nothing,
                Node::EmptyDirectory => Thing::Directory,
                node => Thing::Own(node),
            };
        }
        indexed(self.there.entry(path))
    }

    fn here(&self, path: &RepoPath) -> Thing<'a> {
        match self.facts.here.tree.get(path) {
            Some(Node::Gone) => Thing::Nothing,
            Some(Node::EmptyDirectory) => Thing::Directory,
            Some(node) => Thing::Own(node),
            None => indexed(self.here.entry(path)),
        }
    }

    fn decide(&mut self, path: &RepoPath) {
        let (here, there) = (self.here(path), self.there(path));
        let is_merging = self.there.entries(path).iter().any(|entry| entry.stage > 0);
        if is_same(&here, &there) && !self.is_hidden(path) {
            // An ignored file may stand where the saved state has a tracked one deleted.
            if !(there == Thing::Nothing
                && self.is_deleted(path)
                && matches!(self.facts.at(path), Found::File(_) | Found::Link(_)))
            {
                return;
            }
        }
        if let Some(why) = self.left(path) {
            self.plan.left.insert(path.clone(), why);
            return;
        }
        if there == Thing::Nothing && is_merging && !self.saved.tree.contains_key(path) {
            return;
        }
        self.replace(path, &here, &there);
    }

    /// Whether git was told not to look at a file here, so that nobody knows what is in it.
    fn is_hidden(&self, path: &RepoPath) -> bool {
        let hidden = |flags: Flags| flags.assume_unchanged || flags.skip_worktree;
        let entries = self.here.entries(path);
        entries.iter().any(|entry| hidden(entry.flags)) && self.plan.index.contains_key(path)
    }

    /// Whether nothing must stand at a path, though git may not know what does.
    fn is_deleted(&self, path: &RepoPath) -> bool {
        self.saved.tree.get(path) == Some(&Node::Gone) || self.written.contains(path)
    }

    fn replace(&mut self, path: &RepoPath, here: &Thing<'_>, there: &Thing<'_>) {
        let found = self.facts.at(path);
        let is_file = matches!(found, Found::File(_) | Found::Link(_));
        let is_known = matches!(here, Thing::Own(_) | Thing::Indexed(..)) && !self.is_hidden(path);
        let is_wanted =
            *there != Thing::Nothing || self.is_deleted(path) || is_known || self.is_hidden(path);
        if is_file && is_wanted {
            if !is_known {
                self.plan.aside.insert(path.clone());
            }
            if let Thing::Indexed(_, id) = here {
                self.plan.tracked.insert(path.clone(), *id);
            }
            self.plan.remove.insert(path.clone());
        }
        if *here == Thing::Directory || *here == Thing::Module {
            self.plan.prune.insert(path.clone());
        }
        match there {
            Thing::Nothing => {}
            Thing::Directory | Thing::Module => drop(self.plan.make.insert(path.clone())),
            Thing::Own(_) => drop(self.plan.write.insert(path.clone())),
            Thing::Indexed(_, id) => {
                let entries = self.plan.index.get(path).cloned();
                let entries = entries.unwrap_or_else(|| self.there.entries(path));
                if !entries.iter().any(|entry| entry.flags.skip_worktree) {
                    self.plan.check_out.insert(path.clone(), *id);
                } else {
                    self.plan.remove.remove(path);
                    self.plan.aside.remove(path);
                }
            }
        }
    }

    /// Makes sure that nothing stands in the way of what is written: ignored files and links are set aside,
    /// anything else refuses.
    fn check_ways(&mut self) -> Result<(), Refusal> {
        let plan = &self.plan;
        let targets: Vec<RepoPath> =
            plan.write.iter().chain(plan.check_out.keys()).chain(&plan.make).cloned().collect();
        let mut in_the_way = BTreeSet::new();
        for path in &targets {
            for folder in std::iter::successors(path.parent(), RepoPath::parent) {
                self.check_folder(&folder, &mut in_the_way)?;
            }
            // Another name for the same file on this disk: it goes, or it is in the way.
            let other = self.facts.others.get(path).filter(|_| !self.plan.make.contains(path));
            if let Some(other) = other.filter(|other| !self.plan.remove.contains(*other)) {
                in_the_way.insert(other.shown());
            }
            let is_folder = self.plan.make.contains(path);
            match self.facts.at(path) {
                Found::Other => drop(in_the_way.insert(path.shown())),
                Found::Directory if !is_folder => {
                    let below = self.facts.below.get(path).into_iter().flatten();
                    let left = below.filter(|path| !self.plan.remove.contains(*path));
                    in_the_way.extend(left.map(RepoPath::shown));
                    self.plan.prune.insert(path.clone());
                }
                _ => {}
            }
        }
        if in_the_way.is_empty() {
            Ok(())
        } else {
            Err(Refusal::InTheWay { paths: in_the_way.into_iter().collect() })
        }
    }

    fn check_folder(
        &mut self,
        folder: &RepoPath,
        in_the_way: &mut BTreeSet<String>,
    ) -> Result<(), Refusal> {
        // A file of the saved state itself must not be a folder of another.
        if matches!(self.there(folder), Thing::Own(_) | Thing::Indexed(..) | Thing::Module) {
            return Err(Refusal::Clash(folder.shown()));
        }
        match self.facts.at(folder) {
            Found::Directory | Found::Nothing => {}
            Found::File(_) | Found::Link(_) if self.plan.remove.contains(folder) => {}
            Found::File(_) | Found::Link(_)
                if self.here(folder) == Thing::Nothing && self.left(folder).is_none() =>
            {
                self.plan.aside.insert(folder.clone());
                self.plan.remove.insert(folder.clone());
            }
            _ => drop(in_the_way.insert(folder.shown())),
        }
        Ok(())
    }

    /// Refuses names that are the same on this disk.
    fn check_names(&self) -> Result<(), Refusal> {
        if !self.facts.folds {
            return Ok(());
        }
        let stays = |path: &&RepoPath| !matches!(self.there(path), Thing::Nothing);
        let paths = self.there.paths().filter(stays).chain(self.saved.tree.keys().filter(stays));
        same_names(paths)
    }

    fn check_purpose(&mut self, purpose: &Purpose<'_>) -> Result<(), Refusal> {
        match purpose {
            Purpose::Resume(_) if self.facts.here.operation.is_some() => Err(Refusal::Operation),
            Purpose::Resume(restoring) => {
                self.plan.changes = self.changes(restoring.known);
                match self.plan.changes.keys().next() {
                    Some(first) if !restoring.replace => {
                        let count = self.plan.changes.len();
                        Err(Refusal::Dirty { count, first: first.shown() })
                    }
                    _ => Ok(()),
                }
            }
            Purpose::Undo(past) => {
                let kind = |operation: &Option<_>| {
                    operation.as_ref().map(|found: &crate::code::Operation| found.kind)
                };
                let now = kind(&self.facts.here.operation);
                let is_ours = past.operation().is_some() && past.operation() == now;
                let is_same = kind(&self.saved.operation) == now;
                if now.is_none() || is_ours || is_same { Ok(()) } else { Err(Refusal::Operation) }
            }
        }
    }

    /// Changes that would be replaced, but for those that stand here as they were saved.
    fn changes(&self, known: Option<&State>) -> BTreeMap<RepoPath, Change> {
        let plan = &self.plan;
        let is_touched = |path: &RepoPath| {
            plan.index.contains_key(path)
                || plan.remove.contains(path)
                || plan.check_out.contains_key(path)
                || plan.write.contains(path)
        };
        let here = &self.facts.here;
        let is_known = |path: &RepoPath, node: &Node| {
            known.and_then(|known| known.tree.get(path)).is_some_and(|then| same_node(then, node))
        };
        let changed = here
            .tree
            .iter()
            .filter(|(path, node)| **node != Node::EmptyDirectory && !is_known(path, node));
        let staged = here.index.iter().filter(|entry| {
            let is_known = known.is_some_and(|known| known.index.contains(entry));
            let is_staged = entry.entry != self.facts.here_listing.get(&entry.path).copied();
            (is_staged || entry.stage > 0) && !is_known
        });
        let changed = changed.map(|(path, _)| path).chain(staged.map(|entry| &entry.path));
        let committed = |path: &RepoPath| self.facts.here_listing.contains_key(path);
        let named = |path: &RepoPath| (path.clone(), met::change(here, committed(path), path));
        changed.filter(|path| is_touched(path)).map(named).collect()
    }
}

fn indexed<'a>(entry: Option<Entry>) -> Thing<'a> {
    match entry {
        None => Thing::Nothing,
        Some(entry) if entry.mode == Mode::Module => Thing::Module,
        Some(entry) => Thing::Indexed(entry.mode, entry.id),
    }
}

fn is_same(here: &Thing<'_>, there: &Thing<'_>) -> bool {
    match (here, there) {
        (Thing::Own(a), Thing::Own(b)) => same_node(a, b),
        (a, b) => a == b,
    }
}

/// Whether two nodes have the same bytes, wherever those come from.
pub(super) fn same_node(a: &Node, b: &Node) -> bool {
    match (a, b) {
        (
            Node::File { executable: is_a, content: a },
            Node::File { executable: is_b, content: b },
        ) => is_a == is_b && a.digest == b.digest && a.length == b.length,
        (a, b) => a == b,
    }
}

/// Refuses two paths that a disk takes for one, because it ignores case or how letters are composed.
fn same_names<'a>(paths: impl Iterator<Item = &'a RepoPath>) -> Result<(), Refusal> {
    let mut seen: BTreeMap<String, &RepoPath> = BTreeMap::new();
    for path in paths {
        match seen.insert(folded(path.as_bytes()), path) {
            Some(other) if other != path => {
                return Err(Refusal::SameName(other.shown(), path.shown()));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Plan {
    /// What the plan will do, for people.
    /// Whether everything stands as it was saved already.
    pub(super) fn is_nothing(&self, saved: &State, here: &State) -> bool {
        let paths = [&self.aside, &self.remove, &self.prune, &self.write, &self.make];
        let stays = |to: &Move| {
            to.head == here.head && to.branch.as_ref().is_none_or(|branch| branch.from == branch.to)
        };
        paths.iter().all(|paths| paths.is_empty())
            && self.check_out.is_empty()
            && self.index.is_empty()
            && self.head.as_ref().is_none_or(stays)
            && (saved.operation.is_none() || saved.operation == here.operation)
    }

    pub(super) fn outlook(&self, saved: &State) -> Outlook {
        let shown =
            |paths: &mut dyn Iterator<Item = &RepoPath>| paths.map(RepoPath::shown).collect();
        let written = || self.write.iter().chain(self.check_out.keys());
        let head = self.head.as_ref();
        let gone = self.remove.iter();
        let gone =
            gone.filter(|path| !self.write.contains(*path) && !self.check_out.contains_key(*path));
        let mut left: BTreeMap<RepoPath, Why> = self.left.clone();
        left.extend(saved.omitted.iter().map(|(path, omission)| (path.clone(), omission.why)));
        let left = left.iter().map(|(path, why)| (path.shown(), why.as_str().to_owned()));
        Outlook {
            is_here: false,
            branch: head.and_then(|head| head.head.branch.clone()),
            commit: head.map_or(saved.head.commit, |to| to.head.commit).map(|id| id.to_string()),
            commits: 0,
            instead_of: head.and_then(|head| head.instead_of.clone()),
            is_elsewhere: false,
            written: written().count(),
            removed: gone.count(),
            set_aside: shown(&mut self.aside.iter()),
            left: left.collect(),
            programs: Vec::new(),
            submodules: submodules::there(saved),
            notes: notes(saved),
        }
    }
}

fn notes(saved: &State) -> Vec<String> {
    let mut notes = Vec::new();
    if saved.operation.as_ref().is_some_and(|found| found.kind == OperationKind::Series) {
        notes.push("a rebase was not finished there: its list of steps stays there".to_owned());
    }
    if saved.notes.sparse {
        notes.push("not every file was checked out there: here that stays as it is".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_one_on_a_disk_that_folds_them_are_refused() {
        let paths = |names: &[&str]| -> Vec<RepoPath> {
            names.iter().map(|name| RepoPath::new(*name).unwrap()).collect()
        };
        for names in [["README", "readme"], ["a/B/c", "A/b/C"], ["caf\u{e9}", "cafe\u{301}"]] {
            assert!(same_names(paths(&names).iter()).is_err(), "{names:?}");
        }
        assert!(same_names(paths(&["a/b", "a/c", "b/a", "a/b"]).iter()).is_ok());
    }
}
