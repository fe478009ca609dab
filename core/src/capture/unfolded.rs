//! How much commits and staged blobs become where they are restored: what is refused there is not saved here, for
//! nobody may be here then to push it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;

use super::blobs::sizes;
use super::draft::Piece;
use super::objects::own_objects;
use super::repository::Repository;
use super::spool::Reading;
use super::{Draft, Objects, Scope, Spool, Stop, answer, oid};
use crate::code::{self, Mode, RepoPath, State, Withheld};
use crate::disk;
use crate::id::Oid;

/// How much a list of files may print.
const LISTING_MAX: usize = 64 << 20;
/// What git calls the tree without files, which it knows without having it.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Withholds packs whose objects have more bytes than may come in.
pub(super) fn check_packs(
    scope: &Scope<'_>,
    spool: &Spool,
    draft: &Draft,
    state: &State,
) -> Result<(), Stop> {
    if scope.objects != Objects::Unpushed || draft.is_dry() {
        return Ok(());
    }
    let limit = scope.limits.total;
    let mut size = 0_u64;
    for pack in &state.packs {
        let range = pack.start..pack.start + pack.length;
        let log;
        let piece = if range.start < spool.length() {
            log = disk::open_regular(spool.path())?;
            Piece::of(&log, range)
        } else {
            draft.piece(range)
        };
        let pack = BufReader::new(Reading::of(&piece));
        // One that git has made can be read, unless the disk fails: then so does what comes next.
        size = size.saturating_add(code::unfolded(pack, limit - size).unwrap_or_default());
        if size > limit {
            return Err(Withheld::CommitsTooLarge { size, limit }.into());
        }
    }
    Ok(())
}

/// Withholds commits and staged files of which more files would be made than may come in, each path counted.
pub(super) fn check_files(
    scope: &Scope<'_>,
    repository: &Repository,
    state: &State,
) -> Result<(), Stop> {
    if scope.objects != Objects::Unpushed || state.packs.is_empty() {
        return Ok(());
    }
    let blobs: BTreeMap<Oid, u64> = blobs(scope, repository, state)?;
    let files = files(scope, state)?;
    let sizes: Vec<u64> = files.iter().filter_map(|id| blobs.get(id).copied()).collect();
    let (files, size) = (sizes.len(), sizes.iter().copied().fold(0, u64::saturating_add));
    if files > scope.limits.files {
        return Err(Withheld::TooManyFiles { files, limit: scope.limits.files }.into());
    }
    if size > scope.limits.total {
        return Err(Withheld::CommitsTooLarge { size, limit: scope.limits.total }.into());
    }
    Ok(())
}

/// The blobs that the remote is not known to hold, and those of the index, with their sizes.
fn blobs(
    scope: &Scope<'_>,
    repository: &Repository,
    state: &State,
) -> Result<BTreeMap<Oid, u64>, Stop> {
    let mut ids = own_objects(scope, repository, state)?;
    let staged = state.index.iter().filter(|entry| !entry.flags.intent_to_add);
    ids.extend(staged.filter_map(|entry| Some(entry.entry?.1)));
    let sizes = sizes(scope, &ids, "%(objectsize)")?;
    Ok(sizes.into_iter().filter_map(|(id, size)| Some((id, size?))).collect())
}

/// What git would check out: of the index, where the work tree is as it says.
fn files(scope: &Scope<'_>, state: &State) -> Result<Vec<Oid>, Stop> {
    let mut files: Vec<Oid> = Vec::new();
    let staged: BTreeSet<&RepoPath> = state.index.iter().map(|entry| &entry.path).collect();
    for entry in state.index.iter().filter(|entry| entry.stage == 0) {
        if let Some((mode, id)) = entry.entry
            && mode != Mode::Module
            && !state.tree.contains_key(&entry.path)
        {
            files.push(id);
        }
    }
    let is_known = |path: &RepoPath| staged.contains(path) || state.tree.contains_key(path);
    let committed = committed(scope, state)?;
    files.extend(committed.into_iter().filter(|(path, _)| !is_known(path)).map(|(_, id)| id));
    Ok(files)
}

/// The files of the commit that may hold what the remote is not known to hold: those that differ from a base; all
/// of them, where there is none.
fn committed(scope: &Scope<'_>, state: &State) -> Result<Vec<(RepoPath, Oid)>, Stop> {
    let Some(commit) = state.head.commit else { return Ok(Vec::new()) };
    let base = state.bases.first().map(|base| base.commit);
    if base == Some(commit) {
        return Ok(Vec::new());
    }
    let base = base.map_or_else(|| EMPTY_TREE.to_owned(), |base| base.to_string());
    let command =
        scope.ask().args(["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev"]);
    let command = command.arg(base).arg(commit.to_string());
    let differing = answer(command.stdout_limit(LISTING_MAX))?;
    let mut parts = differing.split(|byte| *byte == 0);
    let mut files = Vec::new();
    // Modes, ids before and after, and what was done, then the path.
    while let (Some(facts), Some(path)) = (parts.next(), parts.next()) {
        let id = facts.split(|byte| *byte == b' ').nth(3).and_then(oid);
        if let (Some(id), Ok(path)) = (id, RepoPath::new(path)) {
            files.push((path, id));
        }
    }
    Ok(files)
}
