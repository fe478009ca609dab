//! A directory is made under another name first, and moved to its place when it is whole.

use std::fs;
use std::path::Path;

use super::{DiskError, failed};

/// Moves a directory to a place where there is nothing, or an empty directory, on the same disk.
///
/// # Errors
/// What the operating system says: that something is there, above all.
pub fn move_dir(from: &Path, to: &Path) -> Result<(), DiskError> {
    fs::rename(from, to).map_err(failed("make", to))
}
