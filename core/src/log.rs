//! What of a file is new since the last look, and whether it is still the same file.
//!
//! Only complete lines enter a log: up to the last newline, and a torn tail waits. A file that only
//! grew gives an append; one that was cut, rewritten or replaced begins a new generation. Whatever
//! happens to a file between two looks, the bytes recorded are bytes that stood in it.
//!
//! A [`Cursor`] checks the last [`PREFIX_MAX`] bytes before it on every look (what the next piece is packed
//! with must be what was recorded), and everything before it when the file is another one or the cursor
//! comes from a saved [`LogState`]. This room knows nothing of keys or git.

use std::ops::Range;

use crate::id::{LogId, Role};

mod cursor;
mod read;

pub use cursor::{Break, Cursor, Growth, Piece, TAIL_MAX};
pub use read::{Look, Stat, Survey, digest_of, last_newline, lines_within, stream, survey};

pub use crate::seal::{CHUNK_RAW_MAX, LogState, PREFIX_MAX};

/// How many bytes at its end a saved state has a digest of.
pub const WINDOW: u64 = 64 << 10;
/// From this average size on, a snapshot would not hold a log in fewer chunks worth the name.
pub const SNAPSHOT_CHUNK: u64 = 1 << 20;
/// How many messages must have come since a snapshot before the next is worth its size.
pub const SNAPSHOT_MESSAGES: u32 = 1000;
/// How many times as long as at its last snapshot a log must be before the next one.
pub const SNAPSHOT_GROWTH: u64 = 4;

/// What went wrong while a file was read. Which file it was, the caller knows.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("read at byte {at}")]
    Read {
        /// Where.
        at: u64,
        /// Why not.
        source: std::io::Error,
    },
    /// The file changed under the reader, other than by growing: look again later.
    #[error("the file changed at byte {at} while it was read")]
    Changed {
        /// Near where.
        at: u64,
    },
}

impl LogError {
    /// Whether looking again a little later may work without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }
}

/// When the bytes of a file are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A transcript: a line is complete when its newline is there.
    Lines,
    /// Any other file (tool results, `meta.json`): small, written at once, often without a last newline.
    Whole,
}

impl Kind {
    /// Tells a log's kind by its extension: only `.jsonl` files are lines.
    pub fn of(log: &LogId) -> Self {
        match log.role {
            Role::Main | Role::Beside => Self::Lines,
            Role::Inside if log.path.ends_with(".jsonl") => Self::Lines,
            Role::Inside | Role::Code => Self::Whole,
        }
    }
}

/// Whether the next chunk of a log should be a snapshot: enough messages came *and* the log has grown
/// enough. (Every thousand messages alone would send 5 to 16 times what a session holds.) A log that came
/// in large chunks has nothing to gain, and a code log is begun anew by whoever writes it.
pub fn needs_snapshot(state: &LogState, messages_now: u32, length_now: u64) -> bool {
    let chunks = u64::from(state.sequence.saturating_sub(state.snapshot)) + 1;
    state.log.role != Role::Code
        && state.length / chunks < SNAPSHOT_CHUNK
        && messages_now.saturating_sub(state.snapshot_messages) >= SNAPSHOT_MESSAGES
        && length_now >= state.snapshot_length.saturating_mul(SNAPSHOT_GROWTH)
}

/// Cuts a growth into the pieces that are sealed one by one.
pub fn cut(from: u64, to: u64) -> Vec<Range<u64>> {
    let size = CHUNK_RAW_MAX as u64;
    (0..to.saturating_sub(from).div_ceil(size))
        .map(|index| from + index * size)
        .map(|start| start..to.min(start + size))
        .collect()
}

#[cfg(test)]
mod tests;
