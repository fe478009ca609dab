//! Appends that land where they were meant: at the end of a file as long as it was when it was looked at.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, Write as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::{DiskError, failed, open_checked};

/// How much is appended at once.
pub(super) const BLOCK: usize = 1 << 18;

/// Appends `bytes` to a file that must be `expected_len` bytes long, in one write, and checks where
/// they landed; returns when they are durable.
///
/// # Errors
/// [`DiskError::OtherLength`] before anything is written; [`DiskError::Landed`] when somebody wrote
/// between the look and the write; [`DiskError::Short`] when the disk is full.
pub fn append_verified(path: &Path, expected_len: u64, bytes: &[u8]) -> Result<(), DiskError> {
    let mut file = open_to_append(path, expected_len)?;
    append_once(&mut file, path, expected_len, bytes)?;
    file.sync_all().map_err(failed("write", path))
}

/// Appends all that `from` has to a file that must be `expected_len` bytes long, block by block, each checked
/// as [`append_verified`] does; returns how many bytes these were when they are durable.
///
/// # Errors
/// As [`append_verified`], or what kept `from` from being read. What was appended is taken back, unless
/// somebody has written after it.
pub fn append_from(path: &Path, expected_len: u64, from: &mut dyn Read) -> Result<u64, DiskError> {
    let mut file = open_to_append(path, expected_len)?;
    let mut end = expected_len;
    let done = append_blocks(&mut file, path, &mut end, from)
        .and_then(|()| file.sync_all().map_err(failed("write", path)));
    if let Err(error) = done {
        take_back(&file, expected_len, end).map_err(failed("shorten", path))?;
        return Err(error);
    }
    Ok(end - expected_len)
}

fn append_blocks(
    file: &mut File,
    path: &Path,
    end: &mut u64,
    from: &mut dyn Read,
) -> Result<(), DiskError> {
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(size) => {
                append_once(file, path, *end, &block[..size])?;
                *end += size as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("read what goes into", path)(error)),
        }
    }
}

fn open_to_append(path: &Path, expected_len: u64) -> Result<File, DiskError> {
    let file =
        open_checked(path, OpenOptions::new().append(true), OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
    let found = file.metadata().map_err(failed("look at", path))?.len();
    if found == expected_len {
        Ok(file)
    } else {
        Err(DiskError::OtherLength { path: path.to_owned(), expected: expected_len, found })
    }
}

/// Appends `bytes` in one write, at `expected_len` and nowhere else.
fn append_once(
    file: &mut File,
    path: &Path,
    expected_len: u64,
    bytes: &[u8],
) -> Result<(), DiskError> {
    let written = write_once(file, bytes).map_err(failed("append to", path))?;
    // An appending write leaves the offset at the end of what it wrote, wherever that was.
    let end = file.stream_position().map_err(failed("append to", path))?;
    let landed = end - written as u64;
    if landed != expected_len {
        return Err(DiskError::Landed { path: path.to_owned(), expected: expected_len, landed });
    }
    if written < bytes.len() {
        take_back(file, expected_len, end).map_err(failed("shorten", path))?;
        return Err(DiskError::Short { path: path.to_owned(), written, wanted: bytes.len() });
    }
    Ok(())
}

/// Writes once and never a second time: the caller checks where it went and how much of it.
fn write_once(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Removes a half-written append, unless somebody has written after it.
pub(super) fn take_back(file: &File, before: u64, end: u64) -> io::Result<()> {
    if file.metadata()?.len() == end { file.set_len(before) } else { Ok(()) }
}
