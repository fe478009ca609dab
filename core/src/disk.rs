//! Stands in for the room that writes files until the branches meet.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("{deed} `{}`", path.display())]
pub struct DiskError {
    deed: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

fn failed(deed: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DiskError {
    move |source| DiskError { deed, path: path.to_owned(), source }
}

/// Makes a directory only we can enter.
///
/// # Errors
/// [`DiskError`] when it cannot be made.
pub fn private_dir(path: &Path) -> Result<(), DiskError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("make directory", path))
}

/// Writes a file whole or not at all.
///
/// # Errors
/// [`DiskError`] when it cannot be written.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed("write", path))?;
    file.write_all(bytes).map_err(failed("write", path))?;
    file.as_file().sync_all().map_err(failed("sync", path))?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o600))
        .map_err(failed("restrict", path))?;
    file.persist(path).map_err(|error| failed("write", path)(error.error))?;
    fsync_dir(dir)
}

/// Makes a directory's entries durable.
///
/// # Errors
/// [`DiskError`] when the directory cannot be synced.
pub fn fsync_dir(path: &Path) -> Result<(), DiskError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(failed("sync", path))
}

/// Removes a file; one that is not there is fine.
///
/// # Errors
/// [`DiskError`] when it is there and stays.
pub fn remove_file(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes a folder with all it holds; one that is not there is fine.
///
/// # Errors
/// [`DiskError`] when something of it stays.
#[expect(clippy::disallowed_methods, reason = "this is the room that removes files")]
pub fn remove_tree(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", path)(error))
        }
        _ => Ok(()),
    }
}
