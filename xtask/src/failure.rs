//! Why a task did not succeed.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// What went wrong, one variant a cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A program that a task runs has failed.
    #[error("{what}: {status}")]
    Step {
        /// The step's name.
        what: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A program cannot be started.
    #[error("start `{program}`")]
    Start {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program of somebody else is missing.
    #[error("`{0}` is not installed")]
    NotInstalled(&'static str),
    /// A file cannot be dealt with.
    #[error("{deed} {}", path.display())]
    File {
        /// What was to be done.
        deed: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Something of somebody else is in the way.
    #[error("{} is not ours: it stays, and nothing was changed", .0.display())]
    NotOurs(PathBuf),
    /// There is nothing to play or to measure.
    #[error("no transcripts in {}", .0.display())]
    Empty(PathBuf),
    /// Tests were skipped although every one was asked for.
    #[error("{0} tests were skipped")]
    Skipped(usize),
    /// Files that must be equal are not.
    #[error("{} files differ:\n  {}", .0.len(), .0.join("\n  "))]
    Unequal(Vec<String>),
    /// Something costs more than it may.
    #[error("more than it may cost: {}", .0.join("; "))]
    Dear(Vec<String>),
    /// Nothing arrived in time.
    #[error("not within {seconds} s: {what}")]
    Late {
        /// What was awaited, and how far it got.
        what: String,
        /// The deadline.
        seconds: u64,
    },
    /// The home directory is unknown.
    #[error("HOME is not set: name a folder with --prefix")]
    NoHome,
}
