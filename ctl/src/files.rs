//! The only room of the client that writes files: secrets the user takes away, and service files.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Why a file could not be written or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// A secret is never written over something.
    #[error("`{}` exists already", path.display())]
    Exists { path: PathBuf },
    /// The operating system refused.
    #[error("{deed} `{}`", path.display())]
    Io { deed: &'static str, path: PathBuf, source: io::Error },
}

impl FileError {
    /// Returns what the user can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some("move it to a safe place, or name another file".to_owned()),
            Self::Io { .. } => None,
        }
    }

    fn io(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { deed, path: path.to_owned(), source }
    }
}

/// Writes a secret into a new file that only the user can read; nothing is ever overwritten.
pub(crate) fn create_private(path: &Path, text: &str) -> Result<(), FileError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists { path: path.to_owned() },
        _ => FileError::io("create", path)(source),
    })?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(FileError::io("write", path))
}

/// Writes a file with `mode`, whole or not at all, making missing folders.
pub(crate) fn put(path: &Path, text: &str, mode: u32, folder_mode: u32) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder, folder_mode)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = folder.join(name);
    let written = write_fresh(&fresh, text, mode).and_then(|()| fs::rename(&fresh, path));
    written.map_err(FileError::io("write", path))
}

fn write_fresh(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // The mode given at opening is narrowed by the umask, and ignored when the file was left behind.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a folder and its parents where they are missing.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<(), FileError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(FileError::io("make folder", path))
}

/// Opens a log for a child to append to.
pub(crate) fn append_log(path: &Path) -> Result<fs::File, FileError> {
    if let Some(folder) = path.parent() {
        make_folder(folder, 0o700)?;
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    file.map_err(FileError::io("open", path))
}

/// Removes a file; a missing one is fine.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FileError::io("remove", path)(source))
        }
        _ => Ok(()),
    }
}

/// Removes a folder if nothing is left in it.
pub(crate) fn remove_empty(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir(path) {
        Err(source)
            if ![io::ErrorKind::NotFound, io::ErrorKind::DirectoryNotEmpty]
                .contains(&source.kind()) =>
        {
            Err(FileError::io("remove", path)(source))
        }
        _ => Ok(()),
    }
}

/// Reads a text; `None` when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::io("read", path)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("phrase");
        create_private(&path, "one").unwrap();
        assert!(matches!(create_private(&path, "two"), Err(FileError::Exists { .. })));
        assert_eq!(read(&path).unwrap().as_deref(), Some("one"));
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_put_file_has_its_mode_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/run");
        put(&path, "old", 0o600, 0o700).unwrap();
        put(&path, "new", 0o700, 0o700).unwrap();
        assert_eq!((read(&path).unwrap().as_deref(), mode(&path)), (Some("new"), 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn removing_twice_is_fine_and_full_folders_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x/y");
        put(&path, "", 0o600, 0o700).unwrap();
        remove_empty(path.parent().unwrap()).unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        remove_empty(path.parent().unwrap()).unwrap();
        remove_empty(path.parent().unwrap()).unwrap();
        assert!(!path.parent().unwrap().exists());
    }
}
