//! Reads ranges of a file block by block, however long they are.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use memchr::{memchr, memrchr};
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
        let count = read_or_end(file, &mut block[..wanted], at)?;
        if count == 0 {
            return Err(LogError::Changed { at });
        }
        each(&block[..count]);
        at += count as u64;
    }
    Ok(())
}

fn block_size(left: u64) -> usize {
    usize::try_from(left).unwrap_or(BLOCK).min(BLOCK)
}

fn read_or_end(
    file: &mut (impl Read + ?Sized),
    block: &mut [u8],
    at: u64,
) -> Result<usize, LogError> {
    loop {
        match file.read(block) {
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

/// Returns where the last line ends that is within the first `room` bytes of `range`, which ends with a
/// newline; where the first line alone is longer, its end.
///
/// # Errors
/// [`LogError::Changed`] when the file ends before the range does, or the newline is gone.
pub fn lines_within(
    file: &mut (impl Read + Seek),
    range: Range<u64>,
    room: u64,
) -> Result<u64, LogError> {
    let within = range.start..range.end.min(range.start.saturating_add(room));
    if let Some(end) = last_newline(file, within.clone())? {
        return Ok(end);
    }
    let mut at = within.end;
    while at < range.end {
        let end = at + block_size(range.end - at) as u64;
        let block = read_range(file, at..end)?;
        if let Some(index) = memchr(b'\n', &block) {
            return Ok(at + index as u64 + 1);
        }
        at = end;
    }
    Err(LogError::Changed { at })
}

/// Computes the digest of a range.
///
/// # Errors
/// [`LogError::Changed`] when the file ends before the range does.
pub fn digest_of(file: &mut (impl Read + Seek), range: Range<u64>) -> Result<Digest, LogError> {
    let mut sum = Sha256::new();
    stream(file, range, &mut |block| sum.update(block))?;
    Ok(finish(sum))
}

/// What one pass over a whole stream finds: enough to compare it with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Its length in bytes.
    pub length: u64,
    /// The digest of all of it.
    pub content: Digest,
    /// Where its complete lines end: just after the last newline.
    pub complete: u64,
    /// The digest of its complete lines.
    pub complete_content: Digest,
    /// The lengths that were asked for and are not beyond the end, with the digests of so much of it.
    beginnings: Vec<(u64, Digest)>,
}

impl Survey {
    /// The digest of the first `length` bytes, if that length is known.
    pub fn digest_at(&self, length: u64) -> Option<Digest> {
        let known = [
            (self.length, self.content),
            (self.complete, self.complete_content),
            (0, Digest::of(&[])),
        ];
        known
            .iter()
            .chain(&self.beginnings)
            .find(|(at, _)| *at == length)
            .map(|(_, digest)| *digest)
    }
}

/// Reads a whole stream once; also computes the digests of its beginnings of the given `lengths`.
///
/// # Errors
/// What reading says.
pub fn survey(reader: &mut dyn Read, lengths: &[u64]) -> Result<Survey, LogError> {
    let (mut sum, mut at, mut beginnings) = (Sha256::new(), 0, Vec::new());
    let (mut complete, mut complete_sum) = (0, sum.clone());
    let mut block = vec![0; BLOCK];
    loop {
        let next = lengths.iter().copied().filter(|length| *length > at).min();
        let wanted = next.map_or(BLOCK, |next| block_size(next - at));
        let count = read_or_end(reader, &mut block[..wanted], at)?;
        if count == 0 {
            let (content, complete_content) = (finish(sum), finish(complete_sum));
            return Ok(Survey { length: at, content, complete, complete_content, beginnings });
        }
        let lines = memrchr(b'\n', &block[..count]).map_or(0, |index| index + 1);
        sum.update(&block[..lines]);
        if lines > 0 {
            (complete, complete_sum) = (at + lines as u64, sum.clone());
        }
        sum.update(&block[lines..count]);
        at += count as u64;
        if next == Some(at) {
            beginnings.push((at, finish(sum.clone())));
        }
    }
}

fn finish(sum: Sha256) -> Digest {
    Digest(sum.finalize().into())
}
