//! The lock of the user's index, as it stands while a restore works, and after one that was interrupted.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::record;
use super::{CheckoutError, Place, Refusal};
use crate::capture::{RESTORE_MARK, is_restore_mark};
use crate::disk;

/// The longest lock of ours: it names the record.
const LOCK_MAX: u64 = 8 << 10;
/// What follows the record's path once its restore may have changed something.
const BEGUN: &[u8] = b"\nsomething was changed\n";

/// A lock of ours.
#[derive(Debug, PartialEq, Eq)]
struct Lock {
    path: PathBuf,
    /// The record of the restore.
    record: PathBuf,
    /// Whether something may have been changed: the record was durable before.
    has_begun: bool,
}

/// What the lock of a restore holds.
pub(super) fn text(record: &Path, has_begun: bool) -> Vec<u8> {
    let end = if has_begun { BEGUN } else { b"\n" };
    [RESTORE_MARK, record.as_os_str().as_bytes(), end].concat()
}

/// The lock of an index that somebody else holds.
pub(super) fn foreign(git_dir: &Path) -> Option<PathBuf> {
    let lock = git_dir.join("index.lock");
    (fs::symlink_metadata(&lock).is_ok() && !is_restore_mark(&lock)).then_some(lock)
}

/// Refuses where the restore that was interrupted here is not recorded here: the work tree, or the folder of the
/// records, was moved since, or the record is gone.
pub(super) fn check_elsewhere(place: Place<'_>) -> Result<(), CheckoutError> {
    read(place)?.map_or(Ok(()), |lock| check(place, &lock))
}

/// Takes away the lock of a restore that is gone, if there is one. The lock of the work tree's records is held.
pub(super) fn release(place: Place<'_>) -> Result<bool, CheckoutError> {
    let Some(lock) = read(place)? else { return Ok(false) };
    check(place, &lock)?;
    disk::remove_file(&lock.path)?;
    Ok(true)
}

/// Takes away the lock of a restore whose record is gone, so that nothing can end it.
pub(super) fn forsake(place: Place<'_>) -> Result<bool, CheckoutError> {
    let Some(lock) = read(place)? else { return Ok(false) };
    match check(place, &lock) {
        Err(CheckoutError::Refused(Refusal::RecordGone { .. })) => {
            disk::remove_file(&lock.path)?;
            Ok(true)
        }
        found => found.map(|()| false),
    }
}

fn read(place: Place<'_>) -> Result<Option<Lock>, CheckoutError> {
    let git_dir = place.project.git_dir.as_ref().ok_or(Refusal::NoWorkTree)?;
    let path = git_dir.join("index.lock");
    if !is_restore_mark(&path) {
        return Ok(None);
    }
    let bytes = disk::read_at_most(&path, LOCK_MAX)?;
    Ok(Some(parsed(path, &bytes)))
}

fn parsed(path: PathBuf, bytes: &[u8]) -> Lock {
    let named = bytes.strip_prefix(RESTORE_MARK).unwrap_or_default();
    let begun = named.strip_suffix(BEGUN);
    let record = begun.unwrap_or_else(|| named.strip_suffix(b"\n").unwrap_or(named));
    Lock { path, record: OsStr::from_bytes(record).into(), has_begun: begun.is_some() }
}

fn check(place: Place<'_>, lock: &Lock) -> Result<(), CheckoutError> {
    let record = lock.record.clone();
    if let Some(root) = record::unfinished_elsewhere(place, &record) {
        return Err(Refusal::Elsewhere { record, root }.into());
    }
    // A record that is done, or none before anything was changed, is as it should be.
    if lock.has_begun && !record::is_there(&record) {
        return Err(Refusal::RecordGone { record }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_names_its_record_and_whether_something_was_changed() {
        for has_begun in [false, true] {
            let record = Path::new("/home/a b/undo/1\n/2");
            let lock = parsed("lock".into(), &text(record, has_begun));
            assert_eq!(lock, Lock { path: "lock".into(), record: record.into(), has_begun });
        }
        let old = parsed("lock".into(), RESTORE_MARK);
        assert_eq!((old.record, old.has_begun), (PathBuf::new(), false));
    }
}
