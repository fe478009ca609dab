//! The mark of a restore that is under way, or was interrupted: the work tree is neither here nor there.

use std::fs;
use std::path::Path;

/// What the lock of an index holds while `checkout` works below it: git's own is empty or an index.
pub const RESTORE_MARK: &[u8] =
    b"convosync restores code here; `convosyncctl undo` ends what was interrupted\n";

/// Whether `lock` is the lock of a restore.
pub fn is_restore_mark(lock: &Path) -> bool {
    /// The record's path comes after it.
    const LENGTH_MAX: u64 = 8 << 10;
    let is_short =
        fs::symlink_metadata(lock).is_ok_and(|found| found.is_file() && found.len() <= LENGTH_MAX);
    is_short && fs::read(lock).is_ok_and(|bytes| bytes.starts_with(RESTORE_MARK))
}
