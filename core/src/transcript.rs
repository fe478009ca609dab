//! Which files make up a session, and what their lines say about it.
//!
//! Reads only, and never takes a line apart further than its facts need: a transcript is bytes that
//! other rooms carry unchanged. What has grown since the last look is `log`'s to say.

use std::io;
use std::path::{Path, PathBuf};

use crate::claude;
use crate::id::{LogId, SessionId};

mod account;
mod commands;
mod discover;
mod facts;
mod headings;
mod outline;
mod path;
mod prompt;
mod reading;
mod touched;
mod used;

pub use account::{Account, AgentCommands, Told, is_agents};
pub use commands::{Commands, Ended, Ran, ShellCommand};
pub use discover::{
    DEPTH_MAX, Discovery, FILES_MAX, Scanner, Skipped, Why, discover, discover_dir,
};
pub use facts::{Facts, LineFacts, Scan, TEXT_MAX};
pub use headings::{Heading, part_at};
pub use outline::{Outline, Rest};
pub use path::{BadPath, PATH_MAX, check_log, check_path};
pub use reading::{Reading, ShownText};
pub use touched::Touched;
pub use used::Used;

/// Why transcripts cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// The directory is not there (now): an unmounted home, or no Claude Code here.
    #[error("`{}` is not there", .0.display())]
    Missing(PathBuf),
    /// The directory is there but cannot be listed.
    #[error("list `{}`", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl TranscriptError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(path) => Some(format!(
                "nothing is saved until `{}` is back; if Claude Code keeps its files elsewhere, set `claude.roots`",
                path.display()
            )),
            Self::Unreadable { path, .. } => {
                Some(format!("check who may read `{}`", path.display()))
            }
        }
    }
}

/// A session and the files that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFiles {
    /// Which one: the stem of its main transcript.
    pub id: SessionId,
    /// The directory its main transcript lies in.
    pub slug_dir: PathBuf,
    /// Its files, the main transcript first, then by role and path.
    pub files: Vec<LogFile>,
}

impl SessionFiles {
    /// The main transcript.
    pub fn main(&self) -> Option<&LogFile> {
        self.files.first().filter(|file| file.log == LogId::main())
    }

    /// When any of the files last changed, in Unix milliseconds.
    pub fn modified_ms(&self) -> i64 {
        self.files.iter().map(|file| file.modified_ms).max().unwrap_or(i64::MIN)
    }
}

/// One file of a session, as it was when it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// What it is within its session.
    pub log: LogId,
    /// Where it lies.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length: u64,
    /// When it last changed, in Unix milliseconds.
    pub modified_ms: i64,
    /// Which file it is: another number at the same path is another file.
    pub inode: u64,
}

/// Returns the first working directory a transcript names, reading only as far as needed.
pub fn cwd_of(path: &Path) -> Option<PathBuf> {
    claude::recorded_cwd(path)
}

/// Returns the first time a transcript names, in Unix milliseconds, reading only as far as needed.
pub fn began_ms(path: &Path) -> Option<i64> {
    claude::recorded_ms(path)
}

/// Returns the latest time that the end of a transcript names, in Unix milliseconds.
pub fn ended_ms(path: &Path) -> Option<i64> {
    claude::recorded_last_ms(path)
}
