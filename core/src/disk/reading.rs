//! Reads what may be larger than it should be.

use std::io::Read as _;
use std::path::Path;

use super::{DiskError, open_regular};

/// Reads a regular file, but no more than so many bytes of it.
///
/// # Errors
/// As [`open_regular`], or when it cannot be read.
pub fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, DiskError> {
    let file = open_regular(path)?;
    let mut bytes = Vec::new();
    let failed = |source| DiskError::Io { deed: "read", path: path.to_owned(), source };
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
