//! The index where it says more than a status: flags, what is only meant to be added, submodules.

use std::collections::BTreeMap;

use super::blobs::sizes;
use super::contents::Memory;
use super::repository::Repository;
use super::status::{Changed, Entry, Seen};
use super::{Scope, Stop, answer, oid};
use crate::code::{ENTRIES_MAX, Flags, IndexEntry, Mode, Omission, RepoPath, Why, Withheld};
use crate::disk::Stamp;
use crate::id::Oid;

/// How much of an index is read: 100 bytes for each of three million files.
const LISTING_MAX: usize = 300 << 20;
/// How many deleted empty files are looked for in HEAD: as many as fit into one command.
const SUSPECTS_MAX: usize = 200;
/// The blob without any bytes: what is only meant to be added has it in the index.
const EMPTY: Oid = Oid([
    0xe6, 0x9d, 0xe2, 0x9b, 0xb2, 0xd1, 0xd6, 0x43, 0x4b, 0x8b, 0x29, 0xae, 0x77, 0x5a, 0xd8, 0xc2,
    0xe4, 0x8c, 0x53, 0x91,
]);

/// What is kept of the index's entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) flagged: BTreeMap<RepoPath, (Entry, Flags)>,
    pub(super) modules: BTreeMap<RepoPath, Oid>,
    /// Entries whose blob is empty.
    empty: BTreeMap<RepoPath, Entry>,
}

/// Lists the index, unless it is the same as last time.
pub(super) fn list(
    scope: &Scope<'_>,
    repository: &Repository,
    stamp: Option<Stamp>,
    memory: &Memory,
) -> Result<Listing, Stop> {
    if let Some((known, listing)) = &memory.listing
        && Some(*known) == stamp
    {
        return Ok(listing.clone());
    }
    let command = scope.ask().args(["ls-files", "-v", "--stage", "-z"]).stdout_limit(LISTING_MAX);
    let bytes = answer(command)?;
    let (is_sparse, empty) = (repository.notes().sparse, EMPTY.to_string());
    let mut listing = Listing::default();
    // Nearly every line is of a plain file with nothing special about it.
    let is_plain = |line: &&[u8]| {
        line.starts_with(b"H 100") && line.get(9..49).is_some_and(|id| id != empty.as_bytes())
    };
    let lines = bytes.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    for line in lines.filter(|line| !is_plain(line)) {
        take(&mut listing, line, is_sparse)
            .ok_or_else(|| Withheld::Unreadable("its index is not understood".to_owned()))?;
    }
    Ok(listing)
}

/// Takes in `H 100644 <id> 0<tab><path>`.
fn take(listing: &mut Listing, line: &[u8], is_sparse: bool) -> Option<()> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let fields: Vec<&[u8]> = line[..tab].split(|byte| *byte == b' ').collect();
    let [[tag], mode, id, _stage] = fields[..] else { return None };
    // What a sparse checkout leaves out is the other clone's own choice.
    let (is_skipped, is_assumed) = (tag.eq_ignore_ascii_case(&b'S'), tag.is_ascii_lowercase());
    let is_left_out = is_skipped && is_sparse;
    let flags = Flags {
        intent_to_add: false,
        assume_unchanged: is_assumed && !is_left_out,
        skip_worktree: is_skipped && !is_left_out,
    };
    let id = oid(id)?;
    let is_module = mode == b"160000";
    if flags == Flags::default() && !is_module && id != EMPTY {
        return Some(());
    }
    let Ok(path) = RepoPath::new(&line[tab + 1..]) else { return Some(()) };
    let mode = Mode::from_bits(u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?)?;
    if is_module {
        listing.modules.insert(path.clone(), id);
    }
    if id == EMPTY {
        listing.empty.insert(path.clone(), (mode, id));
    }
    if flags != Flags::default() {
        listing.flagged.insert(path, ((mode, id), flags));
    }
    Some(())
}

/// The entries of the index that differ from HEAD or have flags; what is guarded is left out and listed.
pub(super) fn entries(
    scope: &Scope<'_>,
    seen: &Seen,
    listing: &Listing,
    omitted: &mut BTreeMap<RepoPath, Omission>,
) -> Result<Vec<IndexEntry>, Stop> {
    let mut all: BTreeMap<(RepoPath, u8), IndexEntry> = BTreeMap::new();
    let mut put = |path: &RepoPath, stage: u8, entry: Option<Entry>, flags: Flags| {
        if scope.guard.covers(path) {
            omitted.insert(path.clone(), Omission { why: Why::Guarded, size: None });
            return;
        }
        let entry = IndexEntry { path: path.clone(), stage, entry, flags };
        all.insert((path.clone(), stage), entry);
    };
    for (path, (entry, flags)) in &listing.flagged {
        put(path, 0, Some(*entry), *flags);
    }
    for changed in &seen.changed {
        let own = listing.flagged.get(&changed.path).map(|(_, flags)| *flags).unwrap_or_default();
        if changed.is_staged {
            put(&changed.path, 0, changed.index, own);
        } else if changed.is_intent {
            let entry = listing.empty.get(&changed.path).copied();
            let flags = Flags { intent_to_add: true, ..own };
            put(&changed.path, 0, Some(entry.unwrap_or((Mode::File, EMPTY))), flags);
        }
    }
    for (path, stages) in &seen.unmerged {
        for (stage, entry) in (1..).zip(stages) {
            if entry.is_some() {
                put(path, stage, *entry, Flags::default());
            }
        }
    }
    if all.len() > ENTRIES_MAX {
        return Err(Withheld::IndexTooLarge(ENTRIES_MAX).into());
    }
    Ok(all.into_values().collect())
}

/// Leaves staged blobs out that are too large, and lists them. Returns the sizes of those that are there.
pub(super) fn fit(
    scope: &Scope<'_>,
    seen: &Seen,
    memory: &Memory,
    index: &mut Vec<IndexEntry>,
    omitted: &mut BTreeMap<RepoPath, Omission>,
) -> Result<BTreeMap<Oid, Option<u64>>, Stop> {
    let mut ids: Vec<Oid> = index.iter().filter_map(|entry| seen.own_blob(entry)).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut known = memory.sizes.clone();
    known.retain(|id, _| ids.binary_search(id).is_ok());
    ids.retain(|id| !known.contains_key(id));
    known.extend(sizes(scope, &ids, "%(objectsize)")?);
    let mut total = 0_u64;
    index.retain(|entry| {
        let size =
            seen.own_blob(entry).and_then(|id| known.get(&id).copied().flatten()).unwrap_or(0);
        let why = if size > scope.limits.file {
            Why::TooLarge
        } else if total.saturating_add(size) > scope.limits.total {
            Why::NoRoom
        } else {
            total += size;
            return true;
        };
        omitted.insert(entry.path.clone(), Omission { why, size: Some(size) });
        false
    });
    Ok(known)
}

/// Finds the deleted files among those that were only meant to be added: a status shows them as deleted
/// files of HEAD, which has none of that name.
pub(super) fn find_intents(scope: &Scope<'_>, seen: &mut Seen) -> Result<(), Stop> {
    let is_suspect = |changed: &&mut Changed| {
        !changed.is_staged
            && changed.tree == b'D'
            && changed.index.is_some_and(|(_, id)| id == EMPTY)
    };
    let mut suspects: Vec<&mut Changed> = seen.changed.iter_mut().filter(is_suspect).collect();
    if suspects.is_empty() {
        return Ok(());
    }
    let mut in_head: Vec<Vec<u8>> = Vec::new();
    if seen.head.commit.is_some() {
        let command = scope.ask().args(["ls-tree", "-z", "--name-only", "HEAD", "--"]);
        let names = suspects.iter().take(SUSPECTS_MAX).map(|changed| changed.path.as_path());
        let bytes = answer(command.args(names))?;
        in_head = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    }
    for changed in suspects.iter_mut().take(SUSPECTS_MAX) {
        changed.is_intent = !in_head.iter().any(|name| name == changed.path.as_bytes());
    }
    Ok(())
}
