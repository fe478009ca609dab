//! Where we are in a file, and what that place looks like.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::read::{Look, Stat, digest_of, last_newline, read_range, stream};
use super::{Kind, LogError, LogState, PREFIX_MAX, WINDOW};
use crate::id::Digest;

/// The longest torn tail that is kept, in bytes: for rescue only.
pub const TAIL_MAX: u64 = 1 << 20;

/// How often a look is repeated when the file changes meanwhile, before it is left for later.
const ATTEMPTS: u32 = 3;

/// What a look at a file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// No complete line more than before.
    Nothing,
    /// The file is what it was, and complete lines follow.
    Append {
        /// Where the cursor stands.
        from: u64,
        /// Just after the last newline.
        to: u64,
    },
    /// The file is no longer what it was (or is seen for the first time): everything up to `to` is new.
    NewGeneration {
        /// Just after the last newline; 0 when there is no complete line (any more).
        to: u64,
        /// What happened to it.
        why: Break,
    },
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// There was none: the file was never recorded.
    First,
    /// The file is shorter than what was recorded.
    Shrunk,
    /// It is the same file, but bytes before the cursor changed.
    Rewritten,
    /// Another file with other content stands in its place.
    Replaced,
}

/// A piece of a growth, read and checked, ready to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which bytes of the file it holds.
    pub range: Range<u64>,
    /// Up to 1 MiB of what stands before it, of the same generation.
    pub prefix: Vec<u8>,
    /// The bytes themselves.
    pub raw: Vec<u8>,
}

/// How far a file is recorded, and how to know it again.
///
/// Cheap to clone: work on a clone, and keep it once its pieces are saved.
#[derive(Debug, Clone)]
pub struct Cursor {
    kind: Kind,
    /// Whether anything was ever recorded.
    is_begun: bool,
    length: u64,
    content: Content,
    window: Digest,
    /// The file that is known to hold what is recorded.
    inode: Option<u64>,
    /// How the file was at the last look, and where its complete lines ended.
    looked: Option<(Stat, u64)>,
    /// How the file was when a look found nothing: if it is still so, there is nothing to read.
    settled: Option<Stat>,
}

/// What is known of the recorded bytes.
#[derive(Debug, Clone)]
enum Content {
    /// Read here: can be continued.
    Read {
        /// Of all of them, so far.
        sum: Sha256,
        /// Of the last [`PREFIX_MAX`] of them: the next piece is packed with these before it, and whoever
        /// opens it must have the same.
        near: Digest,
    },
    /// Recorded earlier: must be read once before it can be continued.
    Recorded(Digest),
}

impl Cursor {
    /// Stands before a file of which nothing is recorded.
    pub fn start(kind: Kind) -> Self {
        let content = Content::Read { sum: Sha256::new(), near: Digest::of(&[]) };
        let window = Digest::of(&[]);
        Self {
            kind,
            is_begun: false,
            length: 0,
            content,
            window,
            inode: None,
            looked: None,
            settled: None,
        }
    }

    /// Stands where a saved state says. The next look reads all that is recorded, once.
    pub fn resume(state: &LogState) -> Self {
        Self {
            is_begun: true,
            length: state.length,
            content: Content::Recorded(state.content),
            window: state.window,
            ..Self::start(Kind::of(&state.log))
        }
    }

    /// Stands where a saved state says, of a file that looked like `stat` when all of it was recorded:
    /// as long as it still does, nothing is read.
    pub fn resume_settled(state: &LogState, stat: Stat) -> Self {
        Self { settled: Some(stat), ..Self::resume(state) }
    }

    /// Stands at the beginning of a new generation of the same file. Until a piece is accepted, a look
    /// says again that a new generation is due.
    #[must_use]
    pub fn restart(&self) -> Self {
        Self { looked: self.looked, ..Self::start(self.kind) }
    }

    /// How the file was when nothing was left to record, for [`Cursor::resume_settled`].
    pub fn settled(&self) -> Option<Stat> {
        self.settled
    }

    /// How many bytes are recorded.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest of all recorded bytes.
    pub fn content(&self) -> Digest {
        match &self.content {
            Content::Read { sum, .. } => Digest(sum.clone().finalize().into()),
            Content::Recorded(digest) => *digest,
        }
    }

    /// The digest of the last [`WINDOW`] recorded bytes.
    pub fn window(&self) -> Digest {
        self.window
    }

    /// Looks at the file and says what is new. Does not move: that is [`Cursor::accept`]'s.
    ///
    /// # Errors
    /// [`LogError::Changed`] when the file does not hold still; the cursor is as before.
    pub fn measure(&mut self, file: &mut impl Look) -> Result<Growth, LogError> {
        for _ in 0..ATTEMPTS {
            let before = look(file)?;
            if self.settled == Some(before) {
                return Ok(Growth::Nothing);
            }
            let (growth, after) = match self.compare(file, &before) {
                Err(LogError::Changed { .. }) => continue,
                found => (found?, look(file)?),
            };
            if is_as_before_or_longer(&before, &after) {
                self.settled = (growth == Growth::Nothing && before == after).then_some(before);
                return Ok(growth);
            }
        }
        Err(LogError::Changed { at: self.length })
    }

    fn compare(&mut self, file: &mut impl Look, stat: &Stat) -> Result<Growth, LogError> {
        let why = if self.is_begun { self.broken(file, stat)? } else { Some(Break::First) };
        let from = if why.is_some() { 0 } else { self.length };
        let to = match self.kind {
            Kind::Whole => stat.length,
            Kind::Lines => last_newline(file, from..stat.length)?.unwrap_or(from),
        };
        self.looked = Some((*stat, to));
        Ok(match why {
            Some(Break::First) if to == 0 => Growth::Nothing,
            Some(why) => Growth::NewGeneration { to, why },
            None if to == from => Growth::Nothing,
            None => Growth::Append { from, to },
        })
    }

    /// Whether what is recorded no longer stands in the file, and why.
    fn broken(&mut self, file: &mut impl Look, stat: &Stat) -> Result<Option<Break>, LogError> {
        if stat.length < self.length {
            return Ok(Some(Break::Shrunk));
        }
        let is_same = match self.content {
            Content::Read { near, .. } if self.inode == Some(stat.inode) => {
                digest_of(file, self.near_start()..self.length)? == near
            }
            _ => self.all_stands(file)?,
        };
        if is_same {
            self.inode = Some(stat.inode);
            return Ok(None);
        }
        let is_other = self.inode.is_some_and(|inode| inode != stat.inode);
        Ok(Some(if is_other { Break::Replaced } else { Break::Rewritten }))
    }

    fn near_start(&self) -> u64 {
        self.length.saturating_sub(PREFIX_MAX as u64)
    }

    /// Reads all that is recorded; if it stands in the file, it can be continued from here.
    fn all_stands(&mut self, file: &mut impl Look) -> Result<bool, LogError> {
        let (mut sum, mut near) = (Sha256::new(), Sha256::new());
        stream(file, 0..self.near_start(), &mut |block| sum.update(block))?;
        stream(file, self.near_start()..self.length, &mut |block| {
            sum.update(block);
            near.update(block);
        })?;
        let is_same = Digest(sum.clone().finalize().into()) == self.content();
        if is_same {
            self.content = Content::Read { sum, near: Digest(near.finalize().into()) };
        }
        Ok(is_same)
    }

    /// Compares everything recorded with the file, which a look does only for the last [`PREFIX_MAX`] bytes:
    /// `false` means that a change far before the end went unnoticed, and a new generation is due.
    ///
    /// # Errors
    /// What reading says.
    pub fn audit(&mut self, file: &mut impl Look) -> Result<bool, LogError> {
        Ok(look(file)?.length >= self.length && self.all_stands(file)?)
    }

    /// Reads the piece at the cursor. A piece is one of [`super::cut`]'s ranges of a growth.
    ///
    /// # Errors
    /// [`LogError::Changed`] when the file is no longer what the last look saw.
    pub fn read(&self, file: &mut impl Look, range: Range<u64>) -> Result<Piece, LogError> {
        if range.start != self.length {
            return Err(LogError::Changed { at: range.start });
        }
        let prefix = read_range(file, self.near_start()..self.length)?;
        let raw = read_range(file, range.clone())?;
        // The file may have been rewritten since the look; these bytes then continue nothing.
        let is_same = self.looked.is_some_and(|(stat, to)| {
            let is_line = raw.is_empty() || raw.ends_with(b"\n");
            let ends_line = self.kind == Kind::Whole || range.end != to || is_line;
            ends_line && look(file).is_ok_and(|now| is_as_before_or_longer(&stat, &now))
        });
        let continues = match self.content {
            Content::Read { near, .. } => Digest::of(&prefix) == near,
            Content::Recorded(_) => false,
        };
        if !is_same || !continues {
            return Err(LogError::Changed { at: self.length });
        }
        Ok(Piece { range, prefix, raw })
    }

    /// Moves over a piece that was just read and is being saved.
    ///
    /// # Panics
    /// When the piece does not begin where the cursor stands, or nothing was looked at: a mistake of
    /// the caller that would record bytes twice or not at all.
    pub fn accept(&mut self, piece: &Piece) {
        assert_eq!(piece.range.start, self.length, "pieces are accepted in order");
        let Content::Read { sum, near } = &mut self.content else {
            panic!("a look comes before a piece")
        };
        sum.update(&piece.raw);
        *near = near_of(&piece.prefix, &piece.raw);
        self.length = piece.range.end;
        self.is_begun = true;
        self.inode = self.looked.map(|(stat, _)| stat.inode);
        self.settled = None;
        self.window = if piece.raw.len() as u64 >= WINDOW {
            Digest::of(last_of(&piece.raw))
        } else {
            Digest::of(last_of(&[piece.prefix.as_slice(), &piece.raw].concat()))
        };
    }

    /// Reads what follows the last newline, if there is no complete line to be recorded first: at most
    /// its first [`TAIL_MAX`] bytes. Files that are no lines have no torn tail.
    ///
    /// # Errors
    /// What reading says.
    pub fn torn_tail(&self, file: &mut impl Look) -> Result<Option<Vec<u8>>, LogError> {
        let end = look(file)?.length;
        if self.kind == Kind::Whole || end <= self.length {
            return Ok(None);
        }
        if last_newline(file, self.length..end)?.is_some() {
            return Ok(None);
        }
        read_range(file, self.length..end.min(self.length + TAIL_MAX)).map(Some)
    }
}

fn look(file: &impl Look) -> Result<Stat, LogError> {
    file.stat().map_err(|source| LogError::Read { at: 0, source })
}

/// Whether a file may have done no more than grow meanwhile: a change that left its length is none.
fn is_as_before_or_longer(before: &Stat, after: &Stat) -> bool {
    before == after || (before.inode == after.inode && before.length < after.length)
}

/// The digest of the last [`PREFIX_MAX`] bytes of both.
fn near_of(prefix: &[u8], raw: &[u8]) -> Digest {
    let surplus = (prefix.len() + raw.len()).saturating_sub(PREFIX_MAX);
    let from_raw = surplus.saturating_sub(prefix.len());
    let sum = Sha256::new().chain_update(&prefix[surplus.min(prefix.len())..]);
    Digest(sum.chain_update(&raw[from_raw..]).finalize().into())
}

fn last_of(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(usize::try_from(WINDOW).unwrap_or(usize::MAX))..]
}
