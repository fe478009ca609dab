//! Commits what stands in a work tree, by the user's own git and at the user's word.
//!
//! [`look`] reads where the repository stands, [`plan`] decides what enters a commit and what is left out
//! ([`Guard`] has the only list of what holds secrets), and [`Hands`] have git do it: hooks and signing run
//! as they would without us, and one that fails leaves the index and the work tree as they were. Nothing is
//! ever forced. The client comes here when the user says so; the daemon by [`by_itself`] alone, where the user
//! agreed to it for a project (`autosave.code`). All else that the daemon saves is `capture`'s matter.

mod alone;
mod branch;
mod facts;
mod hands;
mod plan;

use std::path::PathBuf;

pub use alone::{Done, Stays, by_itself};
pub use branch::{Known, Switched};
pub use facts::{Change, Facts, Obstacle, look};
pub use hands::{Alone, Committed, Hands, Pushed, Way};
pub use plan::{LARGE_COMMIT, LARGE_FILE, Left, Manner, Plan, Reason, Refusal, message, plan};

use crate::code::Guard;
use crate::disk::DiskError;
use crate::git::{Git, GitError, Output};
use crate::project::{Project, ProjectError};

/// A work tree that is committed from.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Its repository.
    pub project: &'a Project,
    /// The git program.
    pub git: &'a Git,
    /// What never enters a commit of ours.
    pub guard: &'a Guard,
}

/// Why a work tree could not be looked at or committed from. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// There is no git, or it gave no answer.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The settings of the repository cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A scratch file cannot be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Git refused to do what is needed.
    #[error("have git {deed} in `{}`: {said}", root.display())]
    Refused {
        /// What.
        deed: &'static str,
        /// Where.
        root: PathBuf,
        /// What it said.
        said: String,
    },
}

impl CommitError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Git(GitError::TooMuchOutput { .. }) => {
                Some("have `.gitignore` name what need not be committed".to_owned())
            }
            Self::Git(source) => source.hint(),
            Self::Project(source) => source.hint(),
            Self::Disk(source) => source.hint(),
            Self::Refused { .. } => {
                Some("`git status` shows how things stand; nothing was committed".to_owned())
            }
        }
    }
}

impl Site<'_> {
    /// What a child printed, if it did what it was asked.
    fn done(&self, deed: &'static str, output: Output) -> Result<Vec<u8>, CommitError> {
        if output.success() {
            return Ok(output.stdout);
        }
        let root = self.project.root.clone();
        Err(CommitError::Refused { deed, root, said: output.said() })
    }
}
