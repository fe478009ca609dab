//! New bytes on their way into the code log. They lie in a file beside it, for they may be many; what is
//! left of it when we are killed is named as all unfinished files are.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::{Spool, Stop};
use crate::code::{Bytes, Withheld};
use crate::disk::{DiskError, NewFile};
use crate::git::{GitCommand, Output};

/// How much is copied at once.
pub(super) const BLOCK: u64 = 1 << 18;

/// What git says when the disk is full.
const FULL: &str = "No space left on device";

/// What new bytes the log gets, and where they will stand.
#[derive(Debug)]
pub(super) struct Draft {
    log: PathBuf,
    at: u64,
    length: u64,
    /// Made with the first byte: most captures have none.
    file: Option<NewFile>,
    is_dry: bool,
}

impl Draft {
    /// Begins with nothing new; a dry one counts its bytes, and has none of them.
    pub(super) fn begin(spool: &Spool, is_dry: bool) -> Self {
        let (log, at) = (spool.path().to_owned(), spool.length());
        Self { log, at, length: 0, file: None, is_dry }
    }

    pub(super) fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// How many bytes are new.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Where in the log the next byte will stand.
    pub(super) fn end(&self) -> u64 {
        self.at + self.length
    }

    /// The new bytes that will stand there in the log.
    pub(super) fn piece(&self, range: Range<u64>) -> Piece<'_> {
        let (start, length) = (range.start - self.at, range.end - range.start);
        Piece { file: self.file.as_ref().map(NewFile::file), start, length }
    }

    /// Takes in more bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        if !self.is_dry && !bytes.is_empty() {
            let at = self.length;
            let written = self.file()?.write_all_at(bytes, at);
            written.map_err(|source| self.failed("write beside", source))?;
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Takes in what a child prints, which is at most `limit` bytes; `None` when it is more.
    pub(super) fn put_output(
        &mut self,
        command: GitCommand,
        limit: u64,
    ) -> Result<Option<Output>, Stop> {
        let start = self.length;
        let mut file = self.file()?.try_clone().map_err(|source| self.failed("open", source))?;
        file.seek(SeekFrom::Start(start)).map_err(|source| self.failed("write beside", source))?;
        // No file has more bytes than that, and no shell can say so.
        let most = start.checked_add(limit).filter(|most| i64::try_from(*most).is_ok());
        let command = most.into_iter().fold(command, GitCommand::file_size_limit);
        let output = command.stdout_file(file).run()?;
        let found = self.file()?.metadata().map_err(|source| self.failed("look beside", source))?;
        self.length = found.len().max(start);
        if output.success() {
            return Ok(Some(output));
        }
        let is_cut = most.is_some_and(|most| found.len() >= most);
        self.cut(start)?;
        if is_cut {
            return Ok(None);
        }
        if output.stderr.contains(FULL) {
            let source = rustix::io::Errno::NOSPC.into();
            return Err(self.failed("write beside", source).into());
        }
        Err(Withheld::Unreadable(output.said()).into())
    }

    /// Forgets all but the first `length` new bytes.
    pub(super) fn cut(&mut self, length: u64) -> Result<(), DiskError> {
        self.length = length;
        let Some(file) = &self.file else { return Ok(()) };
        file.file().set_len(length).map_err(|source| self.failed("shorten what is beside", source))
    }

    /// Of the bytes that will stand at `start` and beyond, keeps these pieces, counted from there.
    pub(super) fn keep(&mut self, start: u64, pieces: &[Range<u64>]) -> Result<(), DiskError> {
        let start = start - self.at;
        let mut end = start;
        if let Some(file) = self.file.as_ref().map(NewFile::file) {
            for piece in pieces {
                // Pieces ascend, so that nothing is written over before it was read.
                let from = start + piece.start;
                let copied = move_within(file, from, end, piece.end - piece.start);
                copied.map_err(|source| self.failed("write beside", source))?;
                end += piece.end - piece.start;
            }
        }
        self.cut(end)
    }

    /// Writes the new bytes that will stand there in the log.
    pub(super) fn copy(&self, range: Range<u64>, to: &mut dyn Write) -> Result<(), DiskError> {
        let piece = self.piece(range);
        copy(&piece, to).map_err(|source| self.failed("copy what is beside", source))
    }

    /// The file itself, if it begins with the log's first byte and has nothing but `live`.
    pub(super) fn into_log(self, live: &[Range<u64>]) -> Result<NewFile, Self> {
        let is_log = self.at == 0 && live == [Range { start: 0, end: self.length }];
        match self.file {
            Some(file) if is_log => Ok(file),
            file => Err(Self { file, ..self }),
        }
    }

    fn file(&mut self) -> Result<&File, DiskError> {
        if self.file.is_none() {
            self.file = Some(NewFile::create(&self.log)?);
        }
        Ok(self.file.as_ref().expect("it was just made").file())
    }

    fn failed(&self, deed: &'static str, source: io::Error) -> DiskError {
        DiskError::Io { deed, path: self.log.clone(), source }
    }
}

/// Some bytes of a file.
pub(super) struct Piece<'a> {
    file: Option<&'a File>,
    start: u64,
    length: u64,
}

impl<'a> Piece<'a> {
    pub(super) fn of(file: &'a File, range: Range<u64>) -> Self {
        Self { file: Some(file), start: range.start, length: range.end - range.start }
    }
}

impl Bytes for Piece<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        match self.file {
            Some(file) => file.read_exact_at(into, self.start + at),
            None if into.is_empty() => Ok(()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Writes bytes block by block.
pub(super) fn copy(bytes: &(impl Bytes + ?Sized), to: &mut dyn Write) -> io::Result<()> {
    let length = bytes.length();
    let mut block = vec![0; usize::try_from(length.min(BLOCK)).unwrap_or_default()];
    let mut at = 0;
    while at < length {
        let size = usize::try_from((length - at).min(BLOCK)).unwrap_or_default();
        bytes.read_at(at, &mut block[..size])?;
        to.write_all(&block[..size])?;
        at += size as u64;
    }
    Ok(())
}

fn move_within(file: &File, from: u64, to: u64, length: u64) -> io::Result<()> {
    let mut block = vec![0; usize::try_from(length.min(BLOCK)).unwrap_or_default()];
    let mut moved = 0;
    while moved < length && from != to {
        let size = usize::try_from((length - moved).min(BLOCK)).unwrap_or_default();
        file.read_exact_at(&mut block[..size], from + moved)?;
        file.write_all_at(&block[..size], to + moved)?;
        moved += size as u64;
    }
    Ok(())
}
