//! Everything a plan is made of, gathered before anything is decided.

use std::collections::{BTreeMap, BTreeSet};

use super::branch::Branches;
use super::objects::{Listing, Objects, told};
use super::record::Record;
use super::spelling::Eyes;
use super::{CheckoutError, Place, Purpose, Refusal, lock, met};
use crate::code::{Flags, IndexEntry, Mode, RepoPath, State};
use crate::disk::{Beneath, Found};
use crate::git::Version;
use crate::id::Oid;

/// The most files below a directory that stands where a file must be: with more of them, it stays.
const BELOW_MAX: usize = 500_000;
/// How much room there is for the names of all tracked files.
const LIST_MAX: usize = 300 << 20;
/// How much room there is for the names of branches.
const BRANCHES_MAX: usize = 16 << 20;
/// How much room there is for the names of what is staged: half a million of them.
const STAGED_MAX: usize = 128 << 20;

/// The git from which on it tells what its rules for sparse checkouts take in.
const KNOWS_THE_RULES: Version = Version { major: 2, minor: 41 };

/// What was looked at.
#[derive(Debug)]
pub(super) struct Facts {
    /// What stands here.
    pub(super) here: State,
    /// Paths whose entries differ from HEAD's and were not recorded: what is guarded.
    pub(super) unrecorded: BTreeSet<RepoPath>,
    /// The files of HEAD's commit here.
    pub(super) here_listing: Listing,
    /// The files of the saved commit.
    pub(super) there_listing: Listing,
    /// The branches here.
    pub(super) branches: Branches,
    /// Whether names that differ by case only are the same here.
    pub(super) folds: bool,
    /// Whether not every tracked file is checked out here.
    pub(super) is_sparse: bool,
    /// The tracked files that are not checked out here because of that.
    pub(super) skipped: BTreeSet<RepoPath>,
    /// The directories among all those that are repositories of their own.
    pub(super) nested: BTreeSet<RepoPath>,
    /// Whether git gives files other line ends as it checks them out.
    pub(super) converts: bool,
    /// What lies at every path that may change, and at those above it.
    pub(super) standing: BTreeMap<RepoPath, Found>,
    /// What the disk finds at such a path though it is spelled otherwise.
    pub(super) others: BTreeMap<RepoPath, RepoPath>,
    /// The files below directories that stand where something else may have to.
    pub(super) below: BTreeMap<RepoPath, Vec<RepoPath>>,
}

/// One entry of a whole index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stage: u8,
    pub(super) mode: Mode,
    pub(super) id: Oid,
    pub(super) flags: Flags,
}

/// A whole index: HEAD's files, and where it differs from them.
#[derive(Debug)]
pub(super) struct Index<'a> {
    listing: &'a Listing,
    differing: BTreeMap<&'a RepoPath, Vec<&'a IndexEntry>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(state: &'a State, listing: &'a Listing) -> Self {
        let mut differing: BTreeMap<&RepoPath, Vec<&IndexEntry>> = BTreeMap::new();
        for entry in &state.index {
            differing.entry(&entry.path).or_default().push(entry);
        }
        Self { listing, differing }
    }

    /// The entries of a path: none, one, or one for each stage.
    pub(super) fn entries(&self, path: &RepoPath) -> Vec<Entry> {
        let whole = |entry: &&IndexEntry| {
            let (mode, id) = entry.entry?;
            Some(Entry { stage: entry.stage, mode, id, flags: entry.flags })
        };
        match (self.differing.get(path), self.listing.get(path)) {
            (Some(entries), _) => entries.iter().filter_map(whole).collect(),
            (None, Some((mode, id))) => {
                vec![Entry { stage: 0, mode: *mode, id: *id, flags: Flags::default() }]
            }
            (None, None) => Vec::new(),
        }
    }

    /// The entry of a path that is not being merged.
    pub(super) fn entry(&self, path: &RepoPath) -> Option<Entry> {
        self.entries(path).into_iter().find(|entry| entry.stage == 0)
    }

    /// The paths that differ from HEAD's.
    pub(super) fn differing(&self) -> impl Iterator<Item = &'a RepoPath> {
        self.differing.keys().copied()
    }

    /// Every path of it that is not being merged, ascending within its two halves.
    pub(super) fn paths(&self) -> impl Iterator<Item = &'a RepoPath> {
        let unlike = |path: &&RepoPath| !self.differing.contains_key(*path);
        let own = self.differing.keys().copied().filter(|path| self.entry(path).is_some());
        self.listing.keys().filter(unlike).chain(own)
    }

    /// A path of it that lies below `folder`.
    pub(super) fn one_below(&self, folder: &RepoPath) -> Option<&'a RepoPath> {
        // No name begins with a smaller byte.
        let first = RepoPath::new([folder.as_bytes(), b"/\x01"].concat()).ok()?;
        let listed = self.listing.range(first.clone()..).map(|(path, _)| path);
        let listed = listed.take_while(|path| path.is_below(folder));
        let mut listed = listed.filter(|path| !self.differing.contains_key(*path));
        let own = self.differing.range::<RepoPath, _>(first..).map(|(path, _)| *path);
        let mut own = own.take_while(|path| path.is_below(folder));
        listed.next().or_else(|| own.find(|path| self.entry(path).is_some()))
    }
}

/// Looks at everything. What stands here is captured into `record` first.
pub(super) fn gather(
    place: Place<'_>,
    saved: &State,
    objects: &Objects<'_>,
    record: &mut Record,
    purpose: &Purpose<'_>,
) -> Result<Facts, CheckoutError> {
    let here = record.capture(place, saved)?;
    let git_dir = place.project.git_dir.as_ref().ok_or(Refusal::NoWorkTree)?;
    if let Some(lock) = lock::foreign(git_dir) {
        return Err(Refusal::Locked(lock).into());
    }
    let (is_sparse, folds) = (is_set(objects, "core.sparseCheckout")?, folds(place)?);
    let converts = is_set(objects, "core.autocrlf")?;
    let unrecorded = unrecorded(place, objects, &here)?;
    let here_listing = objects.listing(here.head.commit)?;
    let there_listing = objects.listing(saved.head.commit)?;
    let beneath = Beneath::open(&place.project.root)?;
    let mut paths = touched(&here, saved, &here_listing, &there_listing);
    paths.extend(purpose.written());
    let eyes = Eyes::new(&beneath, folds);
    let standing = look(&eyes, &paths)?;
    let mut others = BTreeMap::new();
    for path in &paths {
        others.extend(eyes.other(path)?.map(|other| (path.clone(), other)));
    }
    let below = look_below(&beneath, &paths, &standing)?;
    let nested = nested(&beneath, &standing)?;
    let skipped = if is_sparse {
        skipped(place, objects, saved, &Index::new(&here, &here_listing), &there_listing, purpose)?
    } else {
        BTreeSet::new()
    };
    let branches = branches(place, saved, objects)?;
    Ok(Facts {
        here,
        unrecorded,
        here_listing,
        there_listing,
        branches,
        folds,
        is_sparse,
        skipped,
        nested,
        converts,
        standing,
        others,
        below,
    })
}

/// Which paths git calls staged and the captured state does not know as such.
fn unrecorded(
    place: Place<'_>,
    objects: &Objects<'_>,
    here: &State,
) -> Result<BTreeSet<RepoPath>, CheckoutError> {
    let command = objects.in_the_clone();
    let command = match here.head.commit {
        Some(commit) => command
            .args(["diff-index", "--cached", "--no-renames", "--no-ext-diff", "-z", "--name-only"])
            .arg(commit.to_string()),
        None => command.args(["ls-files", "--cached", "-z"]),
    };
    let output = told(command.stdout_limit(STAGED_MAX).run(), "list what is staged")?;
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let staged = names.filter_map(|name| RepoPath::new(name).ok());
    let known: BTreeSet<&RepoPath> = here.index.iter().map(|entry| &entry.path).collect();
    let mut unrecorded: BTreeSet<RepoPath> = staged.filter(|path| !known.contains(path)).collect();
    // Flags of what is guarded are recorded no more than its content.
    let command = objects.in_the_clone().args(["ls-files", "-v", "-z"]);
    let output = told(command.stdout_limit(STAGED_MAX).run(), "list the flags of the index")?;
    for line in output.stdout.split(|byte| *byte == 0) {
        let [tag, b' ', name @ ..] = line else { continue };
        if (tag.is_ascii_lowercase() || *tag == b'S')
            && let Ok(path) = RepoPath::new(name)
            && place.guard.covers(&path)
            && !known.contains(&path)
        {
            unrecorded.insert(path);
        }
    }
    Ok(unrecorded)
}

/// Every path that a plan may have something to do with.
pub(super) fn touched(
    here: &State,
    saved: &State,
    here_listing: &Listing,
    there_listing: &Listing,
) -> BTreeSet<RepoPath> {
    let changed = |a: &Listing, b: &Listing| -> Vec<RepoPath> {
        let differs = |(path, entry): &(&RepoPath, &(Mode, Oid))| b.get(*path) != Some(*entry);
        a.iter().filter(differs).map(|(path, _)| path.clone()).collect()
    };
    let mut paths = BTreeSet::new();
    for state in [here, saved] {
        paths.extend(state.tree.keys().cloned());
        paths.extend(state.index.iter().map(|entry| entry.path.clone()));
    }
    paths.extend(changed(here_listing, there_listing));
    paths.extend(changed(there_listing, here_listing));
    paths
}

/// Looks at the paths and at everything above them.
fn look(
    eyes: &Eyes<'_>,
    paths: &BTreeSet<RepoPath>,
) -> Result<BTreeMap<RepoPath, Found>, CheckoutError> {
    let mut standing = BTreeMap::new();
    for path in paths {
        for path in std::iter::successors(Some(path.clone()), RepoPath::parent) {
            if standing.contains_key(&path) {
                break;
            }
            let found = eyes.look(&path)?;
            standing.insert(path, found);
        }
    }
    Ok(standing)
}

/// Which directories have a git directory, or a file that names one. Git itself says nothing of those that
/// it ignores.
fn nested(
    beneath: &Beneath,
    standing: &BTreeMap<RepoPath, Found>,
) -> Result<BTreeSet<RepoPath>, CheckoutError> {
    let mut nested = BTreeSet::new();
    for (path, _) in standing.iter().filter(|(_, found)| **found == Found::Directory) {
        if beneath.look(&path.as_path().join(".git"))? != Found::Nothing {
            nested.insert(path.clone());
        }
    }
    Ok(nested)
}

/// Which tracked files a sparse checkout leaves out, and which of those that come.
fn skipped(
    place: Place<'_>,
    objects: &Objects<'_>,
    saved: &State,
    here: &Index<'_>,
    there_listing: &Listing,
    purpose: &Purpose<'_>,
) -> Result<BTreeSet<RepoPath>, CheckoutError> {
    let command = objects.in_the_clone().args(["ls-files", "-t", "-z"]).stdout_limit(LIST_MAX);
    let output = told(command.run(), "list the files that are not checked out")?;
    let lines = output.stdout.split(|byte| *byte == 0);
    let skipped = lines.filter_map(|line| line.strip_prefix(b"S "));
    let mut skipped: BTreeSet<RepoPath> =
        skipped.filter_map(|path| RepoPath::new(path).ok()).collect();
    let mut known: BTreeSet<&RepoPath> = saved.index.iter().map(|entry| &entry.path).collect();
    if let Purpose::Undo(past) = purpose {
        // They were checked out here before.
        known.extend(past.deeds.permissions.iter().map(|(path, _)| &path.0));
    }
    let is_new = |path: &&RepoPath| here.entries(path).is_empty() && !known.contains(path);
    let new = there_listing.keys().filter(is_new);
    skipped.extend(outside(place, objects, &new.collect::<Vec<_>>())?);
    Ok(skipped)
}

/// Which of these paths are outside of what this clone checks out: git leaves them so when a commit brings them.
fn outside(
    place: Place<'_>,
    objects: &Objects<'_>,
    paths: &[&RepoPath],
) -> Result<BTreeSet<RepoPath>, CheckoutError> {
    if paths.is_empty() || place.git.version() < KNOWS_THE_RULES {
        return Ok(BTreeSet::new());
    }
    let lines: Vec<u8> = paths.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
    let command = objects.in_the_clone().args(["sparse-checkout", "check-rules", "-z"]);
    let output = command.stdout_limit(lines.len() + 1).stdin(lines).run()?;
    if !output.success() {
        // Rules that git cannot read leave nothing out.
        return Ok(BTreeSet::new());
    }
    let inside: BTreeSet<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
    let outside = paths.iter().filter(|path| !inside.contains(path.as_bytes()));
    Ok(outside.map(|path| (*path).clone()).collect())
}

/// Lists what lies below directories that a state knows as something else.
fn look_below(
    beneath: &Beneath,
    paths: &BTreeSet<RepoPath>,
    standing: &BTreeMap<RepoPath, Found>,
) -> Result<BTreeMap<RepoPath, Vec<RepoPath>>, CheckoutError> {
    let mut below = BTreeMap::new();
    for path in paths.iter().filter(|path| standing.get(*path) == Some(&Found::Directory)) {
        let mut files = Vec::new();
        walk(beneath, path, &mut files)?;
        below.insert(path.clone(), files);
    }
    Ok(below)
}

fn walk(
    beneath: &Beneath,
    folder: &RepoPath,
    files: &mut Vec<RepoPath>,
) -> Result<(), CheckoutError> {
    let mut folders = vec![folder.clone()];
    while let Some(folder) = folders.pop() {
        for name in beneath.list(folder.as_path())? {
            let path = RepoPath::new([folder.as_bytes(), b"/", &name].concat());
            // A repository of its own, or a name we could not write: either way not ours to replace.
            let Ok(path) = path else {
                files.push(folder.clone());
                continue;
            };
            match beneath.look(path.as_path())? {
                Found::Directory => folders.push(path),
                Found::Nothing => {}
                _ => files.push(path),
            }
            if files.len() + folders.len() > BELOW_MAX {
                files.push(folder);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether the disk takes names of either case for the same: it then finds `.git` under another one.
fn folds(place: Place<'_>) -> Result<bool, CheckoutError> {
    let beneath = Beneath::open(&place.project.root)?;
    let names = [".git", ".GIT"].map(std::path::Path::new);
    let found = [beneath.look(names[0])?, beneath.look(names[1])?];
    Ok(found[0] == found[1] && found[0] != Found::Nothing)
}

fn is_set(objects: &Objects<'_>, key: &str) -> Result<bool, CheckoutError> {
    let output = objects.in_the_clone().args(["config", "--type=bool", "--get", key]).run()?;
    Ok(output.stdout.starts_with(b"true"))
}

fn branches(
    place: Place<'_>,
    saved: &State,
    objects: &Objects<'_>,
) -> Result<Branches, CheckoutError> {
    let command = objects.in_the_clone();
    let asked = ["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/"];
    let output = told(command.args(asked).stdout_limit(BRANCHES_MAX).run(), "list the branches")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let branch = |line: &str| {
        let (id, name) = line.split_once(' ')?;
        Some((name.strip_prefix("refs/heads/")?.to_owned(), id.parse().ok()?))
    };
    let tips: BTreeMap<String, Oid> = text.lines().filter_map(branch).collect();
    let mut held = BTreeSet::new();
    if let (Some(name), Some(commit)) = (&saved.head.branch, saved.head.commit)
        && let Some(tip) = tips.get(name)
    {
        let asked = ["merge-base", "--is-ancestor", &tip.to_string(), &commit.to_string()];
        if objects.git().args(asked).run()?.success() {
            held.insert(name.clone());
        }
    }
    let elsewhere = elsewhere(place, objects)?;
    let mut branches = Branches { tips, elsewhere, held, ..Branches::default() };
    met::look(objects, saved, &mut branches)?;
    Ok(branches)
}

/// The branches that other work trees have checked out.
fn elsewhere(place: Place<'_>, objects: &Objects<'_>) -> Result<BTreeSet<String>, CheckoutError> {
    let command = objects.in_the_clone().args(["worktree", "list", "--porcelain"]);
    let output = told(command.run(), "list the work trees")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let own = place.project.root.to_string_lossy();
    let mut branches = BTreeSet::new();
    for block in text.split("\n\n") {
        let line = |key: &str| block.lines().find_map(|line| line.strip_prefix(key));
        if let (Some(root), Some(branch)) = (line("worktree "), line("branch refs/heads/"))
            && root != own
        {
            branches.insert(branch.to_owned());
        }
    }
    Ok(branches)
}
