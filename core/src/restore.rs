//! A session's files on disk again, byte for byte, and never over anything that is not saved.
//!
//! ```text
//! examine (reads) ─► plan (decides) ─► apply (writes, main transcript last, reads again)
//! ```
//!
//! A transcript here that is a beginning of theirs is extended by an append; what is absent is created
//! whole or not at all; anything else is refused and named. Interrupted anywhere, the same three steps
//! finish it: what is done already is found equal. Links are never followed, and a path that is not
//! harmless on every device is refused before anything is written.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::disk::DiskError;
use crate::id::{Digest, LogId, Role, SessionId};
use crate::log::LogError;
use crate::transcript::BadPath;

mod apply;
mod examine;
mod plan;

pub use apply::{APPEND_MAX, LEFTOVER_AFTER_MS, Report, apply};
pub use examine::examine;
pub use plan::{Compared, Decision, Plan, Refusal, Relation, Step, plan};

/// Where a session's files belong on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The project's directory; need not exist.
    pub slug_dir: PathBuf,
    /// The session, which names the main transcript.
    pub session: SessionId,
}

impl Target {
    /// Returns where a log's file lies. The log's path must have been checked.
    fn path_of(&self, log: &LogId) -> PathBuf {
        match log.role {
            Role::Main => self.slug_dir.join(format!("{}.jsonl", self.session)),
            Role::Inside => self.slug_dir.join(self.session.as_str()).join(&log.path),
            Role::Beside | Role::Code => self.slug_dir.join(&log.path),
        }
    }
}

/// Bytes that can be read from any place, as often as needed.
pub trait Source {
    /// Opens the bytes from offset `from` on.
    ///
    /// # Errors
    /// What opening them says.
    fn open(&self, from: u64) -> io::Result<Box<dyn Read + '_>>;
}

impl Source for Vec<u8> {
    fn open(&self, from: u64) -> io::Result<Box<dyn Read + '_>> {
        let mut reader = Cursor::new(self.as_slice());
        reader.set_position(from);
        Ok(Box::new(reader))
    }
}

/// A file that holds what is to be restored.
impl Source for PathBuf {
    fn open(&self, from: u64) -> io::Result<Box<dyn Read + '_>> {
        let mut file = File::open(self)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }
}

/// One file of the session as it was saved.
#[derive(Clone)]
pub struct Incoming<'a> {
    /// Which file.
    pub log: LogId,
    /// Its length in bytes.
    pub length: u64,
    /// The digest of its bytes.
    pub content: Digest,
    /// The digests of its earlier saved contents, also with a torn line that was saved apart: a file here
    /// that equals one of them holds nothing unsaved.
    pub older: Vec<Digest>,
    /// Its bytes.
    pub source: &'a dyn Source,
}

/// Why a restore stopped. What was written before stands, and trying again continues.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A saved path that must not be written anywhere.
    #[error("the saved path `{}` {reason}", path.escape_debug())]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: BadPath,
    },
    /// Two saved files would be one file here.
    #[error("two saved files belong at `{}`", .0.display())]
    Twice(PathBuf),
    /// More files than a session ever has.
    #[error("the session has {0} files")]
    TooMany(usize),
    /// The main transcript is not among the files.
    #[error("the main transcript is not among the session's files")]
    NoTranscript,
    /// A saved transcript does not end with a newline: Claude Code would glue its next line to it.
    #[error("the saved bytes of `{}` end within a line", .0.display())]
    Torn(PathBuf),
    /// The bytes are not those that were announced.
    #[error("the saved bytes of `{}` are not what their digest says", .0.display())]
    OtherContent(PathBuf),
    /// The file here changed since it was compared.
    #[error("`{}` changed meanwhile", .0.display())]
    Changed(PathBuf),
    /// The session was started here meanwhile.
    #[error("the session is running here")]
    Live,
    /// Saved bytes cannot be read.
    #[error("read the saved bytes of `{}`", path.display())]
    Source {
        /// Where they belong.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file here cannot be read.
    #[error("read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: LogError,
    },
    /// A file here cannot be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl RestoreError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Changed(_) => Some("try again when nothing writes to the session".to_owned()),
            Self::Live => {
                Some("end the session here first, or continue it where it runs".to_owned())
            }
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}

fn unreadable(path: &Path) -> impl Fn(LogError) -> RestoreError + '_ {
    move |source| RestoreError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
