//! Why a state is not put in place, and what the user can do about it.

use std::path::PathBuf;

use crate::capture::CaptureError;
use crate::code::{CodeError, Withheld, some};
use crate::disk::DiskError;
use crate::git::GitError;
use crate::id::Oid;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// It was decided not to; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The saved state cannot be read; nothing was changed.
    #[error("read the saved code")]
    Code(#[from] CodeError),
    /// A file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Git gave no answer.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Git refused.
    #[error("{deed}: {why}")]
    GitSaid {
        /// What was being done.
        deed: &'static str,
        /// What git said, made printable.
        why: String,
    },
    /// What stands here could not be read.
    #[error("read what stands here")]
    Capture(#[from] CaptureError),
    /// Something failed after the first change; the record holds what stood before.
    #[error("the code is half restored; what stood before is recorded at `{}`", record.display())]
    Halfway {
        /// The record.
        record: PathBuf,
        /// What failed.
        source: Box<CheckoutError>,
    },
}

impl CheckoutError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.hint(),
            Self::Disk(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::Halfway { .. } => {
                Some("run `convosyncctl undo` to bring back what stood before".to_owned())
            }
            _ => None,
        }
    }
}

/// Why a state is not put in place. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no work tree under git.
    #[error("there is no work tree here")]
    NoWorkTree,
    /// What stands here cannot be recorded first.
    #[error("what stands here cannot be recorded: {0}")]
    Unrecordable(Withheld),
    /// What stands here is more than there is room for to record it.
    #[error("what stands here cannot be recorded first: {needed} bytes (the largest file is `{largest}`), and `{}` has room for {room}", folder.display())]
    NoRoomToRecord {
        /// How many bytes would be copied.
        needed: u64,
        /// How many may be.
        room: u64,
        /// The largest of the files.
        largest: String,
        /// Where they would be copied to.
        folder: PathBuf,
    },
    /// Changes stand here that were not committed.
    #[error("{count} changed files stand here, the first is `{first}`")]
    Dirty {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// A merge or the like is not finished here.
    #[error("a merge, rebase or the like is not finished here")]
    Operation,
    /// Somebody has the index, or a crash left its lock.
    #[error("`{}` exists: another git program works here, or crashed", .0.display())]
    Locked(PathBuf),
    /// A restore was interrupted here, and is neither ended nor undone.
    #[error("an earlier restore was interrupted here")]
    Interrupted,
    /// A restore was interrupted here, and its record is not where records of this work tree are looked for.
    #[error("an earlier restore was interrupted here when this was `{root}`, and its record is `{}`", record.display())]
    Elsewhere {
        /// The record.
        record: PathBuf,
        /// Where the work tree stood.
        root: String,
    },
    /// A restore was interrupted after its first change, and its record is gone: nothing can take it back.
    #[error("an earlier restore was interrupted half-way here, and its record `{}` is gone", record.display())]
    RecordGone {
        /// The record.
        record: PathBuf,
    },
    /// Another restore works on this work tree.
    #[error("another restore works on this work tree")]
    Busy,
    /// Commits that the state builds on are not here.
    #[error(
        "commit {} is not in this clone, and could not be fetched{}",
        commit.map(|id| id.short()).unwrap_or_default(),
        why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
    )]
    MissingCommits {
        /// The commit that HEAD would stand at.
        commit: Option<Oid>,
        /// What was in the way of a fetch, if anything was.
        why: Option<String>,
    },
    /// Files that must be checked out are not here: this clone left them with its remote.
    #[error(
        "{count} files of the saved code are not in this clone, the first is `{first}`{}",
        unfetched(why.as_deref())
    )]
    MissingFiles {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
        /// What was in the way of a fetch, if anything was.
        why: Option<String>,
    },
    /// Folders of a commit are not here: this clone left them with its remote.
    #[error(
        "folders of the saved commit {} are not in this clone{}",
        commit.short(),
        unfetched(why.as_deref())
    )]
    MissingTrees {
        /// The commit.
        commit: Oid,
        /// What was in the way of a fetch, if anything was.
        why: Option<String>,
    },
    /// Its objects are broken.
    #[error("the saved commits cannot be read: {0}")]
    BadPack(String),
    /// A saved content is not what its digest says.
    #[error("the saved content of `{0}` is damaged")]
    BadContent(String),
    /// More than may come in.
    #[error(
        "the saved code has {size} bytes in {files} files, and at most {limit} bytes are taken"
    )]
    TooLarge {
        /// How many bytes.
        size: u64,
        /// How many files.
        files: usize,
        /// What is allowed.
        limit: u64,
    },
    /// There is no room for it.
    #[error(
        "the saved code needs {needed} bytes, and {free} bytes are free where `{}` lies",
        root.display()
    )]
    NoRoom {
        /// How many bytes.
        needed: u64,
        /// How many there are.
        free: u64,
        /// Where.
        root: PathBuf,
    },
    /// Something that is not recorded stands where a file must be written.
    #[error("{} {} in the way", some(paths, 1), if paths.len() == 1 { "is" } else { "are" })]
    InTheWay {
        /// Which.
        paths: Vec<String>,
    },
    /// Symbolic links, on a disk that has none.
    #[error("{count} symbolic links cannot be made on this disk, the first is `{first}`")]
    NoLinks {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// Two saved paths that are the same on this disk.
    #[error("`{0}` and `{1}` are the same name on this disk")]
    SameName(String, String),
    /// Two saved paths that cannot stand beside each other.
    #[error("`{0}` is a file and a folder in the saved code")]
    Clash(String),
    /// The work tree changed while it was looked at.
    #[error("the work tree changed in the meantime")]
    Changing,
    /// The record that an undo needs cannot be read any more.
    #[error("the record at `{}` is damaged: {why}", record.display())]
    Damaged {
        /// Where it lies.
        record: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no record of this work tree.
    #[error("there is nothing to undo in this work tree")]
    NothingToUndo,
    /// A ref was moved since.
    #[error("`{0}` was moved since the restore")]
    Moved(String),
}

impl Refusal {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Dirty { .. } => {
                "commit or stash them, or run with `--force` (they are recorded, and `convosyncctl undo` brings them back), or `--worktree DIR`"
            }
            Self::NoRoomToRecord { .. } => {
                "free some disk space, move the largest files out of the work tree, or run with `--worktree DIR`"
            }
            Self::Operation => "finish or abort it, or run with `--worktree DIR`",
            Self::Locked(_) => "wait for the other program; if there is none, remove the file",
            Self::Interrupted => "run `convosyncctl undo` to bring back what stood before it",
            Self::Elsewhere { .. } => {
                "put the work tree, and ConvoSync's state folder, back where they were, then run `convosyncctl undo`"
            }
            Self::RecordGone { .. } => {
                "if ConvoSync's state folder was moved, put it back and run `convosyncctl undo`; else `convosyncctl undo --force` gives up what stood before: every file stays as it is now, and git works here again"
            }
            Self::MissingCommits { .. } => {
                "it was not pushed, or to another remote: push the branch on the other device, or run `git fetch` here with the remote that has it, and resume again"
            }
            Self::MissingFiles { .. } | Self::MissingTrees { .. } => {
                "this is a partial clone: resume again when the project's remote can be reached, without `--no-pull`"
            }
            Self::TooLarge { .. } => "raise `code.total_max` or `code.files_max` here",
            Self::NoRoom { .. } => {
                "free some room, or run with `--worktree DIR` where there is more"
            }
            Self::InTheWay { .. } => "move it elsewhere, or run with `--worktree DIR`",
            Self::NoLinks { .. } => "run with `--worktree DIR` on a disk that has symbolic links",
            Self::SameName(..) => "rename one of them on the other device",
            Self::Changing => "try again when nothing writes here",
            Self::Moved(_) => "move it back yourself: `git reflog` lists where it stood",
            Self::Unrecordable(withheld) => return withheld.hint(),
            Self::Damaged { record, .. } => {
                return Some(format!(
                    "what can be saved of it lies in `{0}`; `rm -r '{0}'` lets you go on without it",
                    record.display()
                ));
            }
            Self::NoWorkTree => "run it in a clone of the project",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// Why something was not fetched, behind what is missing.
fn unfetched(why: Option<&str>) -> String {
    why.map(|why| format!(", and could not be fetched: {why}")).unwrap_or_default()
}
