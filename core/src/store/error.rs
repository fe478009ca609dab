//! What can go wrong in the store, and the way out where there is one.

use std::path::PathBuf;

use crate::disk::DiskError;
use crate::git::GitError;
use crate::id::Oid;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of the store could not be written or read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file of the store could not be written or read.
    #[error("{deed} `{}`", path.display())]
    Io {
        /// What was tried.
        deed: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// libgit2 failed.
    #[error("{deed}")]
    Git2 {
        /// What was tried, on what.
        deed: String,
        /// What libgit2 said.
        source: git2::Error,
    },
    /// A git child gave no answer.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A git child failed.
    #[error("pack the store `{}`: {why}", path.display())]
    Pack {
        /// The repository.
        path: PathBuf,
        /// What git said.
        why: String,
    },
    /// An object that must be there is not, or is damaged.
    #[error("read object {id}: missing or damaged")]
    Missing {
        /// The object.
        id: Oid,
    },
    /// An object, or a list of them, is larger than anything we write.
    #[error("read {what}: {found} is more than {limit}")]
    TooLarge {
        /// What it is.
        what: String,
        /// Its size or count.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A tree holds something we never write, such as a link or a file where a folder belongs.
    #[error("read `{path}`: not what belongs there")]
    Strange {
        /// The path in the tree.
        path: String,
    },
    /// A tip of a format newer than ours.
    #[error("read tip {tip}: its format is `{format}`")]
    NewerFormat {
        /// The tip.
        tip: Oid,
        /// What it says.
        format: String,
    },
    /// A path that cannot stand in a tree.
    #[error("write `{path}`: not a path for a tree")]
    BadPath {
        /// The path.
        path: String,
    },
    /// The ref is not where the caller believes it is.
    #[error("move ref `{reference}`: it is at {}, not at {}", show(*.found), show(*.expected))]
    Moved {
        /// The ref.
        reference: String,
        /// Where it was believed to be.
        expected: Option<Oid>,
        /// Where it is.
        found: Option<Oid>,
    },
}

fn show(id: Option<Oid>) -> String {
    id.map_or_else(|| "nothing".to_owned(), |id| id.to_string())
}

impl StoreError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NewerFormat { .. } => {
                Some("another device runs a newer ConvoSync: update this one".to_owned())
            }
            Self::Git(source) => source.hint(),
            Self::Missing { .. } => Some(
                "a disk lost it, here or where the remote lies: `git fsck` there tells".to_owned(),
            ),
            _ => None,
        }
    }
}
