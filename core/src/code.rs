//! What a code state is: where a repository stands and what in it differs from its commit.
//!
//! Pure: nothing here reads a repository (`capture` does) or changes one (`checkout` does). A [`State`]
//! is written into a *code log*, which is one more log of a session: each capture appends the bytes that
//! were not in it yet, then a manifest that describes the whole state ([`write()`]). Contents are
//! [`Content`]s: pieces of the log, or of git blobs that every clone has, so that a changed line costs a
//! line. `docs/code-state.md` says what is captured of each state of a repository, and what is restored.

mod content;
mod format;
mod guard;
mod pack;
mod path;

use std::collections::BTreeMap;

pub use content::{Bytes, Content, PARTS_MAX, Part, Patch, Rope};
pub use format::{
    CodeError, ENTRIES_MAX, MANIFEST_MAX, OPERATION_FILE_MAX, TRAILER, manifest_length, read, write,
};
pub use guard::{Guard, Limits};
pub use pack::unfolded;
pub use path::{BadPath, DEPTH_MAX, RepoPath, some};

use crate::id::Oid;

/// The state of one work tree at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Where HEAD points.
    pub head: Head,
    /// What the branch follows, and how far it was from it.
    pub upstream: Option<Upstream>,
    /// Commits that the user's remote was known to hold: the packs hold what lies above them.
    pub bases: Vec<Base>,
    /// Packs of git objects that the remote was not known to hold: pieces of the log. None of them has a
    /// delta against an object outside of it.
    pub packs: Vec<Pack>,
    /// Where the index differs from HEAD's tree, or has flags; ascending by path and stage.
    pub index: Vec<IndexEntry>,
    /// Where the work tree differs from the index; ascending by path.
    pub tree: BTreeMap<RepoPath, Node>,
    /// A merge, rebase or the like that was not finished.
    pub operation: Option<Operation>,
    /// What is not in the state, and why; ascending by path.
    pub omitted: BTreeMap<RepoPath, Omission>,
    /// Submodules that stand elsewhere than the index says.
    pub submodules: BTreeMap<RepoPath, Submodule>,
    /// What else is special about the clone.
    pub notes: Notes,
}

impl State {
    /// Whether branch and commit say everything: the remote had the commit, and nothing differs from it.
    pub fn is_plain(&self) -> bool {
        let is_there = self.head.commit.is_some() && !self.bases.is_empty();
        is_there
            && self.packs.is_empty()
            && self.index.is_empty()
            && self.tree.is_empty()
            && self.operation.is_none()
            && self.omitted.is_empty()
            && self.submodules.is_empty()
    }
}

/// Where HEAD points.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The branch without `refs/heads/`; `None` when HEAD is detached.
    pub branch: Option<String>,
    /// The commit; `None` while the branch is unborn.
    pub commit: Option<Oid>,
}

/// The branch of a remote that a branch follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// As git shows it: `origin/main`.
    pub name: String,
    /// Commits that only the branch has.
    pub ahead: u32,
    /// Commits that only the upstream has.
    pub behind: u32,
}

/// A commit that the user's remote was known to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The commit.
    pub commit: Oid,
    /// A branch of the remote that reached it, as the remote names it (`refs/heads/main`); empty if none is known.
    pub reference: String,
}

/// A pack of git objects in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Where it begins in the log.
    pub start: u64,
    /// How many bytes it has.
    pub length: u64,
    /// The commits it was made for: everything they reach above the bases is in this pack or those before.
    pub tips: Vec<Oid>,
}

/// One entry of the index that differs from HEAD's tree or has a flag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// Which path.
    pub path: RepoPath,
    /// 0, or 1 to 3 while a merge of it is not resolved.
    pub stage: u8,
    /// What stands there; `None` when HEAD's entry was removed.
    pub entry: Option<(Mode, Oid)>,
    /// Its flags.
    pub flags: Flags,
}

/// What git calls a file's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// 100644.
    File,
    /// 100755.
    Executable,
    /// 120000.
    Link,
    /// 160000: a submodule's commit.
    Module,
}

impl Mode {
    /// Reads git's number.
    pub fn from_bits(bits: u32) -> Option<Self> {
        [Self::File, Self::Executable, Self::Link, Self::Module]
            .into_iter()
            .find(|mode| mode.bits() == bits)
    }

    /// Git's number.
    pub fn bits(self) -> u32 {
        match self {
            Self::File => 0o100_644,
            Self::Executable => 0o100_755,
            Self::Link => 0o120_000,
            Self::Module => 0o160_000,
        }
    }
}

/// Flags of an index entry that `git status` does not show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flags {
    /// `git add -N`: the path is known, its content is not.
    pub intent_to_add: bool,
    /// `git update-index --assume-unchanged`.
    pub assume_unchanged: bool,
    /// `git update-index --skip-worktree`, or outside of a sparse checkout.
    pub skip_worktree: bool,
}

/// What stands at a path of the work tree, where that differs from the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Its bytes.
        content: Content,
    },
    /// A symbolic link with its target.
    Link(Vec<u8>),
    /// A directory without anything in it that git would see.
    EmptyDirectory,
    /// Nothing, though the index has the path.
    Gone,
}

/// An operation that was not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which.
    pub kind: OperationKind,
    /// Git's own files about it by name, only those of [`OperationKind::files`]: heads and a message, never
    /// anything that git would run.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Which operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// `git merge`.
    Merge,
    /// `git cherry-pick` of one commit.
    CherryPick,
    /// `git revert` of one commit.
    Revert,
    /// `git rebase`, `git am`, or a series of commits: its list of steps stays where it is.
    Series,
}

impl OperationKind {
    /// The files in the git directory that carry the operation to another clone.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Self::Merge => &["MERGE_HEAD", "MERGE_MODE", "MERGE_MSG"],
            Self::CherryPick => &["CHERRY_PICK_HEAD", "MERGE_MSG"],
            Self::Revert => &["REVERT_HEAD", "MERGE_MSG"],
            Self::Series => &[],
        }
    }
}

/// Something that is not in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Omission {
    /// Why.
    pub why: Why,
    /// How many bytes it has, where that is known.
    pub size: Option<u64>,
}

/// Why something is not in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its name says that it holds a secret.
    Guarded,
    /// It is larger than a single file may be.
    TooLarge,
    /// Everything before it filled the room for all files.
    NoRoom,
    /// There were more files than may be taken.
    TooMany,
    /// It is a repository of its own.
    Nested,
    /// It could not be read.
    Unreadable,
    /// It did not hold still while it was read.
    Changing,
    /// It is a pipe, a socket or a device.
    Special,
    /// It is a submodule with changes of its own.
    Module,
    /// Its name cannot stand in another clone.
    BadName,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Guarded,
        Self::TooLarge,
        Self::NoRoom,
        Self::TooMany,
        Self::Nested,
        Self::Unreadable,
        Self::Changing,
        Self::Special,
        Self::Module,
        Self::BadName,
    ];

    /// What people are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guarded => "its name says that it holds a secret",
            Self::TooLarge => "it is larger than `code.file_max`",
            Self::NoRoom => "all changed files together are larger than `code.total_max`",
            Self::TooMany => "there are more changed files than `code.files_max`",
            Self::Nested => "it is a repository of its own",
            Self::Unreadable => "it cannot be read",
            Self::Changing => "it changed while it was read",
            Self::Special => "it is a pipe, a socket or a device",
            Self::Module => "it is a submodule with changes of its own",
            Self::BadName => "its name cannot stand in another clone",
        }
    }
}

/// A submodule that stands elsewhere than the index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submodule {
    /// The commit that is checked out in it; `None` when nothing is.
    pub commit: Option<Oid>,
}

/// What else is special about the clone a state was captured in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notes {
    /// Its history is cut off.
    pub shallow: bool,
    /// It fetches objects when they are needed.
    pub partial: bool,
    /// Not every tracked file is checked out.
    pub sparse: bool,
    /// It is a further work tree of a repository.
    pub linked: bool,
}

/// Why the code of a project cannot be captured at all; the conversation is saved all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// There is no work tree under git.
    #[error("the project is no git repository")]
    NoRepository,
    /// The user wants none.
    #[error("code is not saved here (`code.capture`)")]
    Off,
    /// Its refs are kept in a way that we do not read.
    #[error("the repository keeps its refs as `{0}`, which is not supported yet")]
    RefStorage(String),
    /// It names its objects otherwise.
    #[error("the repository names its objects by `{0}`, which is not supported yet")]
    ObjectFormat(String),
    /// A bisection runs.
    #[error("a `git bisect` is running")]
    Bisecting,
    /// Commits that are not pushed hold something that must not leave the device.
    #[error("commits that are not pushed hold {}, and {}", some(paths, 1), Why::Guarded.as_str())]
    GuardedCommits {
        /// What they hold.
        paths: Vec<RepoPath>,
    },
    /// Commits that are not pushed are too large.
    #[error("commits that are not pushed have {size} bytes, and at most {limit} are saved")]
    CommitsTooLarge {
        /// How large.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// More is not pushed than we look through.
    #[error("more commits are not pushed than are looked through")]
    TooManyCommits,
    /// Commits that are not pushed, and what is staged, bring more files than may be restored.
    #[error("commits that are not pushed bring {files} files, and at most {limit} are saved")]
    TooManyFiles {
        /// How many.
        files: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The index differs in more places than we take.
    #[error("the index differs from the commit in more than {0} places")]
    IndexTooLarge(usize),
    /// Commits that are not pushed lie where the history is cut off.
    #[error("the history is cut off (a shallow clone) at a commit that is not pushed")]
    Shallow,
    /// Commits that are not pushed, or what is staged, need an object that the clone does not have.
    #[error("object {0} is not in the clone")]
    Missing(Oid),
    /// A restore is under way, or was interrupted: what stands there is nobody's work.
    #[error("a restore of code is under way here, or was interrupted")]
    Restoring,
    /// The repository did not hold still.
    #[error("the repository changed while it was read")]
    Changing,
    /// Git could not read it.
    #[error("git cannot read the repository: {0}")]
    Unreadable(String),
    /// It could not be written down on this device.
    #[error("it cannot be written on this device: {0}")]
    Unwritten(String),
}

impl Withheld {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::GuardedCommits { .. } => {
                "take it out of the commits, push them yourself, or allow it under `code.include_secrets`"
            }
            Self::CommitsTooLarge { .. } => "push the commits, or raise `code.total_max`",
            Self::Shallow => "run `git fetch --unshallow`, or push the commits",
            Self::Missing(_) => "run `git fsck` to see what is missing",
            Self::TooManyCommits => "push the commits",
            Self::TooManyFiles { .. } => "push the commits, or raise `code.files_max`",
            Self::Bisecting => "end it with `git bisect reset`",
            Self::IndexTooLarge(_) => "commit what is staged",
            Self::Restoring => "run `convosyncctl undo` there, if none is running",
            _ => return None,
        };
        Some(text.to_owned())
    }
}
