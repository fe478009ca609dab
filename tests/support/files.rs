//! Writes and removes the tests' own files; the only place of the tests that does.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Makes a directory and those above it, readable by nobody else.
#[track_caller]
pub fn make_dir(path: &Path) {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
}

/// Writes a file as a whole, and the directories above it.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the tests' files are written here")]
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    make_dir(path.parent().expect("a file lies in a directory"));
    fs::write(path, bytes)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// Writes a file that may be executed.
#[track_caller]
pub fn write_program(path: &Path, text: &str) {
    write(path, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .unwrap_or_else(|error| panic!("cannot make {} executable: {error}", path.display()));
}

/// Appends to a file in one write, making it (0600) and its directories when missing.
#[track_caller]
pub fn append(path: &Path, bytes: &[u8]) {
    make_dir(path.parent().expect("a file lies in a directory"));
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    file.write_all(bytes)
        .unwrap_or_else(|error| panic!("cannot append to {}: {error}", path.display()));
}

/// Cuts a file at `length`.
#[track_caller]
pub fn truncate(path: &Path, length: u64) {
    let file = fs::OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.set_len(length))
        .unwrap_or_else(|error| panic!("cannot cut {}: {error}", path.display()));
}

/// Reads a file as a whole.
#[track_caller]
pub fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Panics unless both hold the same bytes, and says from where on they differ instead of printing them.
#[track_caller]
pub fn assert_same(left: &[u8], right: &[u8]) {
    let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    assert!(left == right, "{} and {} bytes, the same up to {same}", left.len(), right.len());
}

/// Removes a directory with all it holds.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the tests' files are removed here")]
pub fn remove_tree(path: &Path) {
    fs::remove_dir_all(path)
        .unwrap_or_else(|error| panic!("cannot remove {}: {error}", path.display()));
}

/// Removes a file.
#[track_caller]
pub fn remove_file(path: &Path) {
    fs::remove_file(path)
        .unwrap_or_else(|error| panic!("cannot remove {}: {error}", path.display()));
}

/// Moves a file or a directory.
#[track_caller]
pub fn rename(from: &Path, to: &Path) {
    fs::rename(from, to)
        .unwrap_or_else(|error| panic!("cannot rename {}: {error}", from.display()));
}

/// Returns every file below `dir`, sorted; nothing when there is no such directory.
pub fn under(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .into_iter()
        .flat_map(|path| if path.is_dir() { under(&path) } else { vec![path] })
        .collect()
}

/// Returns `bytes` up to and including the last newline: what a save holds of a file.
pub fn complete(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    &bytes[..end]
}
