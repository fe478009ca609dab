//! Service files and logs: the only files the client writes besides `core::disk`'s secrets.
//!
//! They lie in folders of other programs and have modes of their own, which `core::disk` has not.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A log that is longer when the daemon starts is put aside; one older log is kept.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// Why a file could not be written or removed.
#[derive(Debug, thiserror::Error)]
#[error("{deed} `{}`", path.display())]
pub(crate) struct FileError {
    deed: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    fn from(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { deed, path: path.to_owned(), source }
    }
}

/// Writes a file with `mode`, whole or not at all, making missing folders.
pub(crate) fn put(path: &Path, text: &str, mode: u32, folder_mode: u32) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder, folder_mode)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = folder.join(name);
    let written = write_fresh(&fresh, text, mode).and_then(|()| fs::rename(&fresh, path));
    written.map_err(FileError::from("write", path))
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
        .map_err(FileError::from("make folder", path))
}

/// Opens a log for a child to append to, and returns how long it is already.
pub(crate) fn append_log(path: &Path) -> Result<(fs::File, u64), FileError> {
    let length = || path.metadata().map_or(0, |meta| meta.len());
    if length() > LOG_BYTES_MAX {
        fs::rename(path, path.with_extension("log.old"))
            .map_err(FileError::from("put aside", path))?;
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    Ok((file.map_err(FileError::from("open", path))?, length()))
}

/// Removes a file; a missing one is fine.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if !is_missing(&source) => Err(FileError::from("remove", path)(source)),
        _ => Ok(()),
    }
}

/// Removes a folder if nothing is left in it.
pub(crate) fn remove_empty(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir(path) {
        Err(source) if source.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(source) if !is_missing(&source) => Err(FileError::from("remove", path)(source)),
        _ => Ok(()),
    }
}

/// Reads a text; `None` when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, FileError> {
    read_from(path, 0)
}

/// Reads a text from an offset on; `None` when there is no such file.
pub(crate) fn read_from(path: &Path, offset: u64) -> Result<Option<String>, FileError> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(source) if is_missing(&source) => Ok(None),
        Err(source) => Err(FileError::from("read", path)(source)),
    }
}

/// Whether nothing is there, or something else than the folder that would have to hold it.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
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

    #[test]
    fn a_long_log_is_put_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("convosyncd.log");
        let (mut file, start) = append_log(&path).unwrap();
        assert_eq!(start, 0);
        file.write_all(b"first\n").unwrap();
        let (_, start) = append_log(&path).unwrap();
        assert_eq!(start, 6);
        file.write_all(&vec![b'x'; LOG_BYTES_MAX as usize]).unwrap();
        let (_, start) = append_log(&path).unwrap();
        assert_eq!(start, 0);
        assert!(dir.path().join("convosyncd.log.old").exists());
        assert_eq!(
            read_from(&dir.path().join("convosyncd.log.old"), 6).unwrap().unwrap().len(),
            1 << 20
        );
    }
}
