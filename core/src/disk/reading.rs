//! Reads what may be larger than it should be.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
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

/// Reads the last bytes of a file, no more than so many, and tells whether there are others before them.
///
/// # Errors
/// When it cannot be read.
pub fn read_end(file: &mut File, limit: u64) -> io::Result<(Vec<u8>, bool)> {
    let before = file.metadata()?.len().saturating_sub(limit);
    file.seek(SeekFrom::Start(before))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes, before > 0))
}
