//! The code log of a session on this device: what captures append to.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::draft::{Draft, Piece, copy};
use super::{CaptureError, Stop};
use crate::code::{
    self, Bytes, CodeError, Content, Node, Part, Rope, State, TRAILER, Withheld, manifest_length,
};
use crate::disk::{self, DiskError, NewFile};
use crate::id::Digest;

/// How many bytes nothing refers to may lie in a log, if what it holds is smaller still.
const GARBAGE_MAX: u64 = 1 << 20;

/// A code log: contents and packs, each followed at last by the manifest of the newest state.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    length: u64,
    state: Option<State>,
    /// What tells its newest manifest from any other.
    manifest: Digest,
}

impl Spool {
    /// Opens the log at `path`. One that is missing, torn or strange counts as empty: the next capture
    /// begins it anew.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let mut spool =
            Self { path: path.to_owned(), length: 0, state: None, manifest: Digest::NONE };
        if let Some((length, manifest)) = spool.read()?
            && let Ok(state) = code::read(&manifest, length)
        {
            (spool.length, spool.state) = (length, Some(state));
            spool.manifest = Digest::of(&manifest);
        }
        Ok(spool)
    }

    /// The newest state in it.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// How many bytes it has; 0 while it is to be begun anew.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells it, as it stands, from any other log.
    pub(super) fn mark(&self) -> Option<(u64, Digest)> {
        self.state.as_ref().map(|_| (self.length, self.manifest))
    }

    /// How long the log is, and the manifest at its end.
    fn read(&self) -> Result<Option<(u64, Vec<u8>)>, CaptureError> {
        let file = match disk::open_regular(&self.path) {
            Ok(file) => file,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let length = file.metadata().map_err(|error| self.failed(error))?.len();
        let Some(end) = length.checked_sub(TRAILER) else { return Ok(None) };
        let trailer = self.bytes(&file, end..length)?;
        let Ok(size) = manifest_length(&trailer, length) else { return Ok(None) };
        Ok(Some((length, self.bytes(&file, end - size..end)?)))
    }

    fn failed(&self, source: std::io::Error) -> CaptureError {
        DiskError::Io { deed: "read", path: self.path.clone(), source }.into()
    }

    fn bytes(&self, file: &File, range: Range<u64>) -> Result<Vec<u8>, CaptureError> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, range.start).map_err(|error| self.failed(error))?;
        Ok(bytes)
    }

    /// The bytes of a content whose blob, if it needs one, is `blob`.
    pub(super) fn content<'a>(
        &self,
        content: &'a Content,
        blob: Option<&'a dyn Bytes>,
    ) -> Result<Kept<'a>, CaptureError> {
        Ok(Kept { log: disk::open_regular(&self.path)?, content, blob })
    }

    /// Appends what was drafted and the manifest of `state`, whose pieces lie in the log with the draft at its
    /// end; or, where too much in it means nothing any more, writes the log anew. Returns the state as it
    /// stands.
    pub(super) fn append(&mut self, draft: Draft, mut state: State) -> Result<State, Stop> {
        let length = self.length + draft.length();
        let live = live(&state);
        let used: u64 = live.iter().map(|range| range.end - range.start).sum();
        let is_new = self.state.is_none();
        let (end, after) = if !is_new && length - used <= used.max(GARBAGE_MAX) {
            let end = manifest(&state, length)?;
            let piece = draft.piece(self.length..length);
            let fresh = Reading::of(&piece);
            let added = disk::append_from(&self.path, self.length, &mut fresh.chain(&end[..]))?;
            let after = self.length + added;
            (end, after)
        } else {
            let mut file = draft.into_log(&live).or_else(|draft| self.gather(&live, &draft))?;
            relocate(&mut state, &live);
            let end = manifest(&state, used)?;
            let written = file.file().seek(SeekFrom::End(0)).and_then(|_| file.write_all(&end));
            written.map_err(|source| self.unwritten(source))?;
            file.finish_replacing()?;
            let after = used + end.len() as u64;
            (end, after)
        };
        let manifest = end.len().saturating_sub(TRAILER as usize);
        (self.length, self.manifest) = (after, Digest::of(&end[..manifest]));
        self.state = Some(state.clone());
        Ok(state)
    }

    /// A new log with the bytes of `ranges` of this one with the draft at its end.
    fn gather(&self, ranges: &[Range<u64>], draft: &Draft) -> Result<NewFile, CaptureError> {
        let mut new = NewFile::create(&self.path)?;
        for range in ranges {
            let old = range.start..range.end.min(self.length);
            if old.start < old.end {
                let file = disk::open_regular(&self.path)?;
                copy(&Piece::of(&file, old), &mut new).map_err(|source| self.unwritten(source))?;
            }
            let fresh = range.start.max(self.length)..range.end;
            if fresh.start < fresh.end {
                draft.copy(fresh, &mut new)?;
            }
        }
        Ok(new)
    }

    fn unwritten(&self, source: io::Error) -> CaptureError {
        DiskError::Io { deed: "write", path: self.path.clone(), source }.into()
    }
}

/// A content as it lies in the log and in its blob.
pub(super) struct Kept<'a> {
    log: File,
    content: &'a Content,
    blob: Option<&'a dyn Bytes>,
}

impl Bytes for Kept<'_> {
    fn length(&self) -> u64 {
        self.content.length
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let (mut passed, mut filled) = (0, 0);
        for part in &self.content.rope.parts {
            let range = part.range();
            let length = range.end - range.start;
            let skip = (at + filled as u64).saturating_sub(passed).min(length);
            let size =
                usize::try_from(length - skip).unwrap_or(usize::MAX).min(into.len() - filled);
            let piece = &mut into[filled..filled + size];
            match part {
                _ if size == 0 => {}
                Part::Log(range) => self.log.read_exact_at(piece, range.start + skip)?,
                Part::Blob(range) => {
                    let blob = self.blob.ok_or(io::ErrorKind::UnexpectedEof)?;
                    blob.read_at(range.start + skip, piece)?;
                }
            }
            filled += size;
            passed += length;
        }
        if filled == into.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Reads bytes from their start to their end.
pub(super) struct Reading<'a, B> {
    bytes: &'a B,
    at: u64,
}

impl<'a, B: Bytes> Reading<'a, B> {
    pub(super) fn of(bytes: &'a B) -> Self {
        Self { bytes, at: 0 }
    }
}

impl<B: Bytes> Read for Reading<'_, B> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.bytes.length() - self.at).unwrap_or(usize::MAX);
        let size = into.len().min(left);
        self.bytes.read_at(self.at, &mut into[..size])?;
        self.at += size as u64;
        Ok(size)
    }
}

/// Writes a manifest, and makes sure that it will be read: another device has no other way to ask.
fn manifest(state: &State, length: u64) -> Result<Vec<u8>, Stop> {
    let bytes = code::write(state);
    let end = bytes.len().saturating_sub(TRAILER as usize);
    let total = length + bytes.len() as u64;
    let checked =
        manifest_length(&bytes[end..], total)
            .and_then(|_| code::read(&bytes[..end], total))
            .and_then(|read| {
                if read == *state { Ok(()) } else { Err(CodeError::Meaningless("difference")) }
            });
    checked.map_err(|error| Withheld::Unreadable(error.to_string()))?;
    Ok(bytes)
}

/// Which pieces of the log a state needs, without overlaps, ascending.
fn live(state: &State) -> Vec<Range<u64>> {
    let parts = state.tree.values().flat_map(|node| match node {
        Node::File { content, .. } => content.rope.parts.as_slice(),
        _ => &[],
    });
    let in_log = parts.filter_map(|part| match part {
        Part::Log(range) => Some(range.clone()),
        Part::Blob(_) => None,
    });
    let packs = state.packs.iter().map(|pack| pack.start..pack.start + pack.length);
    let mut all: Vec<Range<u64>> = in_log.chain(packs).filter(|range| !range.is_empty()).collect();
    all.sort_by_key(|range| (range.start, range.end));
    all.into_iter().fold(Vec::new(), |mut joined: Vec<Range<u64>>, range| {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
        joined
    })
}

/// Lets a state point into a log that holds nothing but `live`.
fn relocate(state: &mut State, live: &[Range<u64>]) {
    let starts: Vec<u64> = live
        .iter()
        .scan(0, |at, range| {
            let start = *at;
            *at += range.end - range.start;
            Some(start)
        })
        .collect();
    let moved = |at: u64| {
        let index = live.partition_point(|range| range.start <= at).saturating_sub(1);
        at - live[index].start + starts[index]
    };
    for pack in state.packs.iter_mut().filter(|pack| pack.length > 0) {
        pack.start = moved(pack.start);
    }
    for node in state.tree.values_mut() {
        let Node::File { content: Content { rope: Rope { parts, .. }, .. }, .. } = node else {
            continue;
        };
        for part in parts {
            if let Part::Log(range) = part {
                let start = moved(range.start);
                *range = start..start + (range.end - range.start);
            }
        }
    }
}
