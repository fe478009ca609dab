//! What stood in a work tree before it was changed, and what was done to it: `undo` takes it from here.
//!
//! A record is a folder: `log`, a code log of the state before; `aside/`, files that git does not know;
//! `facts`, written before the first change and again after the last one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::aside::Aside;
use super::bounds::FREELY;
use super::branch::RefMove;
use super::step::Recorded;
use super::{CheckoutError, Opened, Place, Refusal};
use crate::capture::{
    CaptureError, Heard, Memory, NONE_GONE, Objects, Reading, Scope, Spool, capture, look_only,
};
use crate::cause::with_causes;
use crate::code::{self, Limits, OperationKind, RepoPath, State, Why};
use crate::disk::{self, Beneath, DiskError, FileLock};
use crate::id::{Digest, Oid, hex};

/// The largest file of facts: a list of all files that were set aside.
const FACTS_MAX: u64 = 64 << 20;
/// How much room a record leaves on the disk: for what is restored, and for everybody else.
const RESERVE: u64 = 64 << 20;
/// A restore that has not removed its quarantine for so long is gone.
const SCRATCH_KEPT_MS: i64 = 24 * 3_600 * 1_000;
/// How many bytes of a work tree's digest name its folder.
const NAME_BYTES: usize = 12;

/// What was done, and how far it came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deeds {
    /// The work tree, for people who look into the folder.
    pub(super) root: String,
    /// When.
    pub(super) at_ms: i64,
    /// Whether the last step was done.
    pub(super) is_done: bool,
    /// Whether this is what an interrupted restore left behind: kept, but no undo leads there.
    pub(super) is_rest: bool,
    /// The ref that was moved.
    pub(super) moved: Option<RefMove>,
    /// The operation whose files were written.
    pub(super) operation: Option<String>,
    /// What was set aside.
    pub(super) aside: Vec<Aside>,
    /// Files and links that were written.
    pub(super) written: Vec<PathBytes>,
    /// Permissions of files that were replaced or removed.
    pub(super) permissions: Vec<(PathBytes, u32)>,
    /// What git was to check out.
    #[serde(default)]
    pub(super) checked_out: Vec<(PathBytes, Oid)>,
    /// Directories that were made, those above others first: git may ignore them here.
    #[serde(default)]
    pub(super) made: Vec<PathBytes>,
    /// Directories that may have been taken away, though git does not know them.
    #[serde(default)]
    pub(super) pruned: Vec<PathBytes>,
    /// Git's own files that were replaced by those of an operation: name and bytes in hex.
    #[serde(default)]
    pub(super) git_files: Vec<(String, String)>,
}

/// A path's bytes, as hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PathBytes(pub(super) RepoPath);

impl Serialize for PathBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(self.0.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for PathBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let path = bytes_of(&text).and_then(|bytes| RepoPath::new(bytes).ok());
        path.map(Self).ok_or_else(|| serde::de::Error::custom("no path"))
    }
}

/// The bytes that hex stands for.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.as_bytes().chunks(2).map(pair).collect()
}

/// A record.
#[derive(Debug)]
pub(super) struct Record {
    dir: PathBuf,
    memory: Memory,
    passed_over: BTreeSet<RepoPath>,
    pub(super) deeds: Deeds,
    is_kept: bool,
}

/// The folder of a work tree's records.
fn folder(place: Place<'_>) -> PathBuf {
    place.records.join(name(place))
}

/// What tells this work tree from others.
pub(super) fn name(place: Place<'_>) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let digest = Digest::of(place.project.root.as_os_str().as_bytes());
    hex(&digest.0[..NAME_BYTES])
}

/// Lets nobody else restore into this work tree.
pub(super) fn lock(place: Place<'_>) -> Result<FileLock, CheckoutError> {
    let folder = folder(place);
    disk::private_dir(place.records)?;
    disk::private_dir(&folder)?;
    Ok(disk::lock(&folder.join("lock"))?.ok_or(Refusal::Busy)?)
}

/// The numbers of all records of a work tree, ascending.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u64>, CheckoutError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| io_failed("list", folder, source))?,
    };
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    let mut numbers: Vec<u64> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes what somebody left who is gone. We hold the folder's lock: a record without facts changed nothing.
fn remove_unfinished(folder: &Path) -> Result<(), CheckoutError> {
    for number in numbers(folder)? {
        let dir = folder.join(number.to_string());
        if !is_there(&dir) {
            disk::remove_tree(&dir)?;
        } else {
            disk::remove_leftovers(&dir, i64::MAX)?;
        }
    }
    Ok(())
}

/// Removes what killed restores of other work trees left, where nobody works now: it may be gigabytes. What
/// cannot be removed is left to the next one.
pub(super) fn sweep(place: Place<'_>) {
    let own = folder(place);
    for entry in fs::read_dir(place.records).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_scratch =
            entry.file_name().as_encoded_bytes().starts_with(disk::TEMP_PREFIX.as_bytes());
        let is_old = entry
            .metadata()
            .is_ok_and(|found| disk::modified_ms(&found) < place.now_ms - SCRATCH_KEPT_MS);
        if is_scratch && is_old {
            disk::remove_tree(&path).ok();
        } else if !is_scratch
            && path != own
            && path.join("lock").exists()
            && let Ok(Some(_lock)) = disk::lock(&path.join("lock"))
        {
            remove_unfinished(&path).ok();
        }
    }
}

/// All records of a work tree, the newest first; one may be damaged.
fn all(place: Place<'_>) -> Result<Vec<Result<Record, CheckoutError>>, CheckoutError> {
    let folder = folder(place);
    let record = |number: u64| {
        let dir = folder.join(number.to_string());
        let deeds = read_deeds(&dir).transpose()?;
        Some(deeds.map(|deeds| Record::new(dir, deeds, true)))
    };
    Ok(numbers(&folder)?.into_iter().rev().filter_map(record).collect())
}

/// All records of a work tree that can be read, the newest first.
pub(super) fn readable(place: Place<'_>) -> Result<Vec<Record>, CheckoutError> {
    Ok(all(place)?.into_iter().flatten().collect())
}

/// The record that an undo takes: the newest of those that are not done, else the newest. One that is damaged
/// matters only where it would be that.
pub(super) fn newest(place: Place<'_>) -> Result<Option<Record>, CheckoutError> {
    let mut newest = None;
    for record in all(place)? {
        match record {
            Err(error) if newest.is_none() => return Err(error),
            Err(_) => {}
            Ok(record) if record.deeds.is_rest => {}
            Ok(record) if !record.deeds.is_done => return Ok(Some(record)),
            Ok(record) => newest = newest.or(Some(record)),
        }
    }
    Ok(newest)
}

/// Whether something is to be ended here.
pub(super) fn is_unfinished(place: Place<'_>) -> Result<bool, CheckoutError> {
    Ok(newest(place)?.is_some_and(|record| !record.deeds.is_done))
}

/// The work tree of a record that is not done, where it is not one of this work tree's.
pub(super) fn unfinished_elsewhere(place: Place<'_>, record: &Path) -> Option<String> {
    let is_own = record.starts_with(folder(place)) || !record.is_absolute();
    let deeds = read_deeds(record).ok().flatten().filter(|deeds| !deeds.is_done && !is_own);
    deeds.map(|deeds| deeds.root)
}

/// Whether there is a record: one that is damaged is there, too.
pub(super) fn is_there(record: &Path) -> bool {
    fs::symlink_metadata(record.join("facts")).is_ok()
}

/// What was done, by the record in a folder; nothing, where it never began.
pub(super) fn read_deeds(dir: &Path) -> Result<Option<Deeds>, CheckoutError> {
    let path = dir.join("facts");
    let bytes = match disk::read_at_most(&path, FACTS_MAX) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let deeds = serde_json::from_slice(&bytes);
    deeds.map(Some).map_err(|error| damaged(dir, &io_failed("read", &path, error.into())))
}

/// A record that cannot be read any more.
fn damaged(dir: &Path, error: &CheckoutError) -> CheckoutError {
    Refusal::Damaged { record: dir.to_owned(), why: with_causes(error) }.into()
}

impl Record {
    /// Begins a record; until [`Record::keep`] it is taken away again when dropped.
    pub(super) fn begin(place: Place<'_>) -> Result<Self, CheckoutError> {
        let folder = folder(place);
        let numbers = numbers(&folder)?;
        remove_unfinished(&folder)?;
        let dir = folder.join((numbers.last().unwrap_or(&0) + 1).to_string());
        disk::private_dir(&dir)?;
        let deeds = Deeds {
            root: place.project.root.to_string_lossy().into_owned(),
            at_ms: place.now_ms,
            ..Deeds::default()
        };
        Ok(Self::new(dir, deeds, false))
    }

    fn new(dir: PathBuf, deeds: Deeds, is_kept: bool) -> Self {
        Self { dir, memory: Memory::default(), passed_over: BTreeSet::new(), deeds, is_kept }
    }

    /// The same record, for one more who takes it back.
    pub(super) fn again(&self) -> Self {
        Self::new(self.dir.clone(), self.deeds.clone(), true)
    }

    /// Where it lies.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The state before, opened.
    pub(super) fn opened(&self) -> Result<Opened, CheckoutError> {
        Opened::read(&self.log())
    }

    /// Records what stands here now, unless the disk has not the room for it. Files that were left out of
    /// `saved` as too large stay as they are here, and need not be copied.
    pub(super) fn capture(
        &mut self,
        place: Place<'_>,
        saved: &State,
    ) -> Result<State, CheckoutError> {
        let is_large = |why| matches!(why, Why::TooLarge | Why::NoRoom | Why::TooMany);
        let large = saved.omitted.iter().filter(|(_, omission)| is_large(omission.why));
        self.passed_over = large.map(|(path, _)| path.clone()).collect();
        let room = Some(room(&self.dir)?);
        let mut spool = Spool::open(&self.log())?;
        let recorded = Mutex::new(Recorded::of(place.tell, 0));
        let hear = |reading| {
            let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
            match reading {
                Reading::Begins(total) => *recorded = Recorded::of(place.tell, total),
                Reading::Read(bytes) => recorded.more(bytes),
            }
        };
        let scope = Scope { heard: Some(Heard(&hear)), ..scope(place, room, &self.passed_over) };
        match capture(&scope, &mut spool, &mut self.memory) {
            Ok(Ok(captured)) => Ok(captured.state),
            Ok(Err(withheld)) => Err(Refusal::Unrecordable(withheld).into()),
            Err(CaptureError::NoRoom { needed, room, largest }) => {
                Err(self.no_room(needed, room, largest).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether what stands here is still what was recorded.
    pub(super) fn is_current(&self, place: Place<'_>) -> Result<bool, CheckoutError> {
        Ok(!self.look(place)?.1)
    }

    /// Looks at what stands here now, and whether it differs from what was recorded. Nothing is copied.
    pub(super) fn look(&self, place: Place<'_>) -> Result<(State, bool), CheckoutError> {
        let spool = Spool::open(&self.log())?;
        let seen = look_only(&scope(place, None, &self.passed_over), &spool, &self.memory)?;
        Ok(seen.map_err(Refusal::Unrecordable)?)
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn no_room(&self, needed: u64, room: u64, largest: String) -> Refusal {
        Refusal::NoRoomToRecord { needed, room, largest, folder: self.dir.clone() }
    }

    /// Refuses to copy more files into the record than there is room for: these, with their sizes.
    pub(super) fn check_room(&self, files: &[(&RepoPath, u64)]) -> Result<(), CheckoutError> {
        let needed = files.iter().map(|(_, size)| *size).fold(0, u64::saturating_add);
        let largest = files.iter().max_by_key(|(_, size)| *size);
        let room = room(&self.dir)?;
        match largest {
            Some((path, _)) if needed > room => {
                Err(self.no_room(needed, room, path.shown()).into())
            }
            _ => Ok(()),
        }
    }

    /// What the user is told when it cannot be read any more.
    pub(super) fn damaged(&self, error: &CheckoutError) -> CheckoutError {
        damaged(&self.dir, error)
    }

    /// Makes the record durable: from now on there is something to undo. `target` is what is put in place.
    pub(super) fn keep(&mut self, target: &State) -> Result<(), CheckoutError> {
        disk::write_atomic(&self.dir.join("target"), &code::write(target))?;
        // The log and what was set aside, before what says that they are there.
        Beneath::open(&self.dir)?.settle();
        self.write_deeds()?;
        disk::fsync_dir(self.dir.parent().unwrap_or(&self.dir))?;
        self.is_kept = true;
        Ok(())
    }

    pub(super) fn write_deeds(&self) -> Result<(), CheckoutError> {
        let failed = |error: serde_json::Error| io_failed("write", &self.dir, error.into());
        let bytes = serde_json::to_vec_pretty(&self.deeds).map_err(failed)?;
        Ok(disk::write_atomic(&self.dir.join("facts"), &bytes)?)
    }

    /// Git's own files that were replaced by those of an operation.
    pub(super) fn git_files(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let file = |(name, bytes): &(String, String)| Some((name.clone(), bytes_of(bytes)?));
        self.deeds.git_files.iter().filter_map(file)
    }

    /// What was being put in place, if that can be read.
    pub(super) fn target(&self) -> Option<State> {
        self.manifest("target")
    }

    fn manifest(&self, name: &str) -> Option<State> {
        let bytes = fs::read(self.dir.join(name)).ok()?;
        let manifest = bytes.len().checked_sub(code::TRAILER as usize)?;
        code::read(&bytes[..manifest], u64::MAX).ok()
    }

    /// The ref that was moved.
    pub(super) fn moved(&self) -> Option<&RefMove> {
        self.deeds.moved.as_ref()
    }

    /// The permissions a file had.
    pub(super) fn permissions(&self, path: &RepoPath) -> Option<u32> {
        let own = self.deeds.permissions.iter().find(|(own, _)| own.0 == *path);
        own.map(|(_, permissions)| *permissions)
    }

    /// The operation whose files were written.
    pub(super) fn operation(&self) -> Option<OperationKind> {
        let kinds = [OperationKind::Merge, OperationKind::CherryPick, OperationKind::Revert];
        let name = self.deeds.operation.as_deref()?;
        kinds.into_iter().find(|kind| format!("{kind:?}") == name)
    }

    /// Takes it away: what it led to stands again, or what it records was never changed.
    pub(super) fn remove(&self) -> Result<(), CheckoutError> {
        Ok(disk::remove_tree(&self.dir)?)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_kept {
            // What stays is taken away by the next one.
            disk::remove_tree(&self.dir).ok();
        }
    }
}

/// How many bytes may be recorded there.
fn room(dir: &Path) -> Result<u64, DiskError> {
    Ok(disk::free(dir)?.saturating_sub(RESERVE).max(FREELY))
}

/// All that stands here, for this clone itself.
fn scope<'a>(
    place: Place<'a>,
    room: Option<u64>,
    passed_over: &'a BTreeSet<RepoPath>,
) -> Scope<'a> {
    Scope {
        project: place.project,
        git: place.git,
        guard: place.guard,
        limits: Limits::NONE,
        room,
        objects: Objects::Staged,
        gone: NONE_GONE,
        passed_over: Some(passed_over),
        heard: None,
        now_ms: place.now_ms,
    }
}

pub(super) fn io_failed(deed: &'static str, path: &Path, source: io::Error) -> CheckoutError {
    DiskError::Io { deed, path: path.to_owned(), source }.into()
}
