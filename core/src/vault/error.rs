//! What can be wrong with the keys on the disk.

use std::io;
use std::path::PathBuf;

use crate::disk::DiskError;
use crate::seal::{NAME_MAX, SealError};
use crate::wire::WireError;

/// Why keys could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There are keys already.
    #[error("`{path}` exists already")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Another process makes keys right now.
    #[error("another process is making keys in `{path}`")]
    Busy {
        /// The data directory.
        path: PathBuf,
    },
    /// A name no device can have.
    #[error(
        "`{0}` cannot name a device: it must be 1 to {NAME_MAX} bytes without control characters"
    )]
    BadName(String),
    /// Paper is not a kind one can choose.
    #[error("only a recovery phrase is of the kind paper")]
    Paper,
    /// Others may read a file or folder that holds keys.
    #[error("`{path}` has mode {mode:o}, so that others can reach your keys")]
    TooOpen {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        should_be: u32,
    },
    /// A file or folder that belongs to another user.
    #[error("`{path}` belongs to another user")]
    NotOurs {
        /// Which.
        path: PathBuf,
    },
    /// Something else stands where a file or folder should.
    #[error("`{path}` is not a {expected}")]
    WrongKind {
        /// Which.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// One of the files is missing.
    #[error("`{path}` is missing, while other key files are there")]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// A file that is not what was written.
    #[error("`{path}` is damaged")]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// A file of a newer version.
    #[error("`{path}` has format {format}, which is newer than this version knows")]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        format: u8,
    },
    /// A file that is whole but does not hold what it should.
    #[error("`{path}` is not well-formed")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Which rule it breaks.
        source: WireError,
    },
    /// Files that do not belong together.
    #[error("the key files in `{path}` do not belong together")]
    Disagree {
        /// The folder.
        path: PathBuf,
        /// In what.
        source: SealError,
    },
    /// The operating system refused.
    #[error("{deed} `{path}`")]
    Io {
        /// What was tried.
        deed: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl VaultError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => {
                Some("this device belongs to a vault already; nothing was changed. `convosyncctl status` shows it".into())
            }
            Self::Busy { .. } => Some("wait for the other `init` or `join` to end".into()),
            Self::TooOpen { path, should_be, .. } => Some(format!("run `chmod {should_be:o} '{}'`", path.display())),
            Self::NotOurs { .. } => Some("run ConvoSync as the user who made these keys".into()),
            Self::Newer { .. } => Some("update ConvoSync on this device".into()),
            Self::Missing { path } | Self::Damaged { path } | Self::Malformed { path, .. } => Some(broken(path)),
            Self::Disagree { path, .. } => Some(broken(path)),
            Self::Seal(source) => source.hint(),
            _ => None,
        }
    }
}

fn broken(path: &std::path::Path) -> String {
    format!(
        "restore `{}` from a backup, or move the whole folder away and run `convosyncctl join --recover` with your \
         recovery phrase",
        path.display()
    )
}
