//! Reads ranges of a file block by block, however long they are.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use memchr::memrchr;
use sha2::{Digest as _, Sha256};

use super::LogError;
use crate::id::Digest;

/// How much is read at once.
pub(super) const BLOCK: usize = 1 << 20;

/// What identifies a file's content without reading it: if this is equal, so is the content, nearly
/// always (a clock tick may hide a change in place until the next one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stat {
    /// Which file it is.
    pub inode: u64,
    /// Its length in bytes.
    pub length: u64,
    /// When its content changed, in seconds and nanoseconds.
    pub modified: (i64, i64),
    /// When anything about it changed, in seconds and nanoseconds.
    pub changed: (i64, i64),
}

/// A file that can be read anywhere and asked how it is.
pub trait Look: Read + Seek {
    /// Says how the file is now.
    ///
    /// # Errors
    /// What the operating system says.
    fn stat(&self) -> io::Result<Stat>;
}

impl Look for File {
    fn stat(&self) -> io::Result<Stat> {
        let found = self.metadata()?;
        Ok(Stat {
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// Gives the bytes of `range` to `each`, block by block.
///
/// # Errors
/// [`LogError::Changed`] when the file ends before the range does.
pub fn stream(
    file: &mut (impl Read + Seek),
    range: Range<u64>,
    each: &mut dyn FnMut(&[u8]),
) -> Result<(), LogError> {
    let mut at = range.start;
    file.seek(SeekFrom::Start(at)).map_err(|source| LogError::Read { at, source })?;
    let mut block = vec![0; block_size(range.end.saturating_sub(at))];
    while at < range.end {
        let wanted = block_size(range.end - at);
        let count = read_some(file, &mut block[..wanted], at)?;
        each(&block[..count]);
        at += count as u64;
    }
    Ok(())
}

fn block_size(left: u64) -> usize {
    usize::try_from(left).unwrap_or(BLOCK).min(BLOCK)
}

fn read_some(file: &mut impl Read, block: &mut [u8], at: u64) -> Result<usize, LogError> {
    loop {
        match file.read(block) {
            Ok(0) => return Err(LogError::Changed { at }),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(LogError::Read { at, source }),
        }
    }
}

/// Reads the bytes of a range that fits into memory.
pub(super) fn read_range(
    file: &mut (impl Read + Seek),
    range: Range<u64>,
) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
    stream(file, range, &mut |block| bytes.extend_from_slice(block))?;
    Ok(bytes)
}

/// Finds the last newline in a range and returns the offset after it, reading backwards.
///
/// # Errors
/// [`LogError::Changed`] when the file ends before the range does.
pub fn last_newline(
    file: &mut (impl Read + Seek),
    range: Range<u64>,
) -> Result<Option<u64>, LogError> {
    let mut end = range.end;
    while end > range.start {
        let start = end - block_size(end - range.start) as u64;
        let block = read_range(file, start..end)?;
        if let Some(index) = memrchr(b'\n', &block) {
            return Ok(Some(start + index as u64 + 1));
        }
        end = start;
    }
    Ok(None)
}

/// Computes the digest of a range.
///
/// # Errors
/// [`LogError::Changed`] when the file ends before the range does.
pub fn digest_of(file: &mut (impl Read + Seek), range: Range<u64>) -> Result<Digest, LogError> {
    let mut sum = Sha256::new();
    stream(file, range, &mut |block| sum.update(block))?;
    Ok(Digest(sum.finalize().into()))
}

/// Computes the digests of several beginnings of one stream in a single pass; the lengths must
/// ascend. Also returns the digest and the length of all of it.
///
/// # Errors
/// What reading says; a length beyond the end gives no digest.
pub fn digests_at(
    reader: &mut dyn Read,
    lengths: &[u64],
) -> Result<(Vec<Digest>, Digest, u64), LogError> {
    let (mut sum, mut at, mut digests) = (Sha256::new(), 0, Vec::new());
    let mut block = vec![0; BLOCK];
    loop {
        while lengths.get(digests.len()) == Some(&at) {
            digests.push(Digest(sum.clone().finalize().into()));
        }
        let left = lengths.get(digests.len()).map_or(BLOCK, |next| block_size(next - at));
        match read_some(&mut &mut *reader, &mut block[..left], at) {
            Ok(count) => {
                sum.update(&block[..count]);
                at += count as u64;
            }
            Err(LogError::Changed { .. }) => {
                return Ok((digests, Digest(sum.finalize().into()), at));
            }
            Err(error) => return Err(error),
        }
    }
}
