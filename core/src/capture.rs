//! Reads a code state from a user's repository, strictly by looking.
//!
//! Not a byte under `.git` changes, and no program that the repository names runs. What was read before
//! and did not change is not read again ([`Memory`]); what was appended to the code log before is not
//! appended again ([`Spool`]). The room does not know when to look, nor what becomes of the log.

mod blobs;
mod contents;
mod draft;
mod unfolded;
mod untracked;
mod heard;
mod index;
mod objects;
mod reading;
mod repository;
mod restoring;
mod spool;
pub(crate) mod status;
mod submodules;

use std::collections::BTreeSet;

pub use contents::Memory;
pub use heard::{Heard, Reading};
pub(crate) use repository::{is_bisecting, unfinished};
pub use restoring::{RESTORE_MARK, is_restore_mark};
pub use spool::Spool;

use contents::Taking;
use draft::Draft;
use index::Listing;
use repository::Repository;
use status::Seen;
use untracked::Untracked;

use crate::code::{Guard, Head, Limits, Node, RepoPath, State, Upstream, Withheld};
use crate::disk::{DiskError, Stamp};
use crate::git::{Git, GitCommand, GitError, Output};
use crate::id::Oid;
use crate::project::{Project, ProjectError};

/// How often a repository is looked at of which something was missing: it may have been cleaned up meanwhile.
const ATTEMPTS: usize = 3;
/// How often a repository is looked at that does not hold still. Beside a user who runs one git command after
/// the other, without a pause, nearly every second look is in vain.
const ATTEMPTS_WHILE_CHANGING: usize = 10;

/// Why a code state could not be captured, though nothing is wrong with the repository.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The code log cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no git.
    #[error(transparent)]
    Git(GitError),
    /// There is less room than what is to be copied takes.
    #[error(
        "{needed} bytes are to be copied, there is room for {room}; the largest file is `{largest}`"
    )]
    NoRoom {
        /// How many bytes are to be copied.
        needed: u64,
        /// How many may be.
        room: u64,
        /// The largest of the files.
        largest: String,
    },
}

/// What is captured, and how much of it.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Whose repository.
    pub project: &'a Project,
    /// The git program.
    pub git: &'a Git,
    /// What is left out by its name.
    pub guard: &'a Guard,
    /// How much may be taken.
    pub limits: Limits,
    /// How many bytes of files may be copied before it is given up as hopeless; `None` tries.
    pub room: Option<u64>,
    /// Which objects are taken along.
    pub objects: Objects,
    /// Branches (`refs/heads/…`) that the remote was seen without: whatever git remembers of them, it is not
    /// relied on that the remote has their commits.
    pub gone: &'a BTreeSet<String>,
    /// Files, and folders of files, of the work tree that are not read and count as too large.
    pub passed_over: Option<&'a BTreeSet<RepoPath>>,
    /// Who hears how the reading of files goes.
    pub heard: Option<Heard<'a>>,
    /// The present time: a file that changed just now may change again without a new stamp.
    pub now_ms: i64,
}

/// No branch that a remote was seen without.
pub const NONE_GONE: &BTreeSet<String> = &BTreeSet::new();

/// Which objects of the repository a state takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objects {
    /// All that the user's remote is not known to hold: for another clone.
    Unpushed,
    /// Those of the index only: for this clone, which has its commits.
    Staged,
}

/// A state that was captured.
#[derive(Debug, Clone)]
pub struct Captured {
    /// The state, as it now stands at the end of the code log.
    pub state: State,
    /// Whether it differs from the one before; if not, the log is as it was. How far the branch is ahead or
    /// behind changes by a mere fetch, and is no difference.
    pub is_changed: bool,
    /// How many bytes were new: contents and packs, without the manifest.
    pub fresh: u64,
    /// How many files were read.
    pub read: usize,
}

/// Captures the state of a work tree and appends it to the code log, if it changed. What is special about
/// a repository is in `docs/code-state.md`.
///
/// # Errors
/// [`CaptureError`]; a repository that cannot be captured is [`Withheld`], and the log stays as it is.
pub fn capture(
    scope: &Scope<'_>,
    spool: &mut Spool,
    memory: &mut Memory,
) -> Result<Result<Captured, Withheld>, CaptureError> {
    // Another device's log may have taken the place of the one that all this was learned from.
    if memory.log != spool.mark() {
        *memory = Memory::default();
    }
    attempts(|| {
        let (seen, draft) = look(scope, spool, memory, false)?;
        let captured = finish(spool, seen.state, draft, seen.read)?;
        *memory = Memory { log: spool.mark(), ..seen.memory };
        Ok(captured)
    })
}

/// Looks at the state of a work tree, and copies nothing: where contents are not those of the log, their
/// pieces lie nowhere. Returns it with whether it differs from the log's.
///
/// # Errors
/// As [`capture()`].
pub fn look_only(
    scope: &Scope<'_>,
    spool: &Spool,
    memory: &Memory,
) -> Result<Result<(State, bool), Withheld>, CaptureError> {
    let nothing = Memory::default();
    let memory = if memory.log == spool.mark() { memory } else { &nothing };
    attempts(|| {
        let (mut seen, _) = look(scope, spool, memory, true)?;
        let is_changed = !is_last(spool, &mut seen.state);
        Ok((seen.state, is_changed))
    })
}

/// Tries again while the repository does not hold still.
fn attempts<T>(
    mut attempt: impl FnMut() -> Result<T, Stop>,
) -> Result<Result<T, Withheld>, CaptureError> {
    let mut last = Withheld::Changing;
    let mut failures = 0;
    for _ in 0..ATTEMPTS_WHILE_CHANGING {
        match attempt() {
            Ok(done) => return Ok(Ok(done)),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Withheld(Withheld::Changing)) => last = Withheld::Changing,
            // Something may have been cleaned up while we read it.
            Err(Stop::Withheld(withheld @ (Withheld::Unreadable(_) | Withheld::Missing(_)))) => {
                last = withheld;
                failures += 1;
            }
            Err(Stop::Withheld(withheld)) => return Ok(Err(withheld)),
        }
        if failures == ATTEMPTS {
            break;
        }
    }
    Ok(Err(last))
}

/// Why a look ended early.
#[derive(Debug)]
enum Stop {
    Withheld(Withheld),
    Error(CaptureError),
}

impl From<Withheld> for Stop {
    fn from(withheld: Withheld) -> Self {
        Self::Withheld(withheld)
    }
}

impl From<CaptureError> for Stop {
    fn from(error: CaptureError) -> Self {
        Self::Error(error)
    }
}

impl From<DiskError> for Stop {
    fn from(error: DiskError) -> Self {
        Self::Error(error.into())
    }
}

impl From<GitError> for Stop {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Deadline { .. } | GitError::TooMuchOutput { .. } => {
                Self::Withheld(Withheld::Unreadable(error.to_string()))
            }
            other => Self::Error(CaptureError::Git(other)),
        }
    }
}

impl From<ProjectError> for Stop {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Git { source, .. } => source.into(),
            other => Self::Withheld(Withheld::Unreadable(other.to_string())),
        }
    }
}

impl Scope<'_> {
    fn tell(&self, reading: Reading) {
        if let Some(Heard(hear)) = self.heard {
            hear(reading);
        }
    }

    /// Begins a question about the repository.
    fn ask(&self) -> GitCommand {
        self.git.command().dir(&self.project.root).config("core.useReplaceRefs", "false")
    }
}

/// Runs a question that must have an answer.
fn answer(command: GitCommand) -> Result<Vec<u8>, Stop> {
    said(command.run()?)
}

/// What a child printed, if it did what it was asked.
fn said(output: Output) -> Result<Vec<u8>, Stop> {
    if output.success() {
        return Ok(output.stdout);
    }
    Err(Withheld::Unreadable(output.said()).into())
}

/// Reads an object id in hexadecimal.
fn oid(text: &[u8]) -> Option<Oid> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What git answers beside a status.
struct Beside {
    head: Head,
    known: objects::Known,
    apart: (u32, u32),
    untracked: Untracked,
}

/// Asks git all that can be asked at the same time: one child looks at what is tracked, another at what is
/// not, so that both together take about as long as a whole status.
fn ask_all(
    scope: &Scope<'_>,
    repository: &Repository,
    stamp: Option<Stamp>,
    memory: &Memory,
) -> Result<(Seen, Listing, Beside), Stop> {
    let ask_beside = || {
        let head = repository.head(scope)?;
        let known = objects::known(scope, repository, head.branch.as_deref())?;
        let apart = repository.apart(scope, &head);
        Ok(Beside { head, known, apart, untracked: untracked::untracked(scope)? })
    };
    let (beside, rest) = std::thread::scope(|threads| {
        let beside = threads.spawn(ask_beside);
        let seen = status::look(scope, repository).and_then(|mut seen| {
            index::find_intents(scope, &mut seen)?;
            Ok((seen, index::list(scope, repository, stamp, memory)?))
        });
        (beside.join(), seen)
    });
    let beside: Result<Beside, Stop> =
        beside.map_err(|_| Withheld::Unreadable("a look at it failed".to_owned()))?;
    let ((seen, listing), beside) = (rest?, beside?);
    if seen.head != beside.head {
        return Err(Withheld::Changing.into());
    }
    Ok((seen, listing, beside))
}

/// What was seen of a repository that held still meanwhile.
struct Sight {
    state: State,
    read: usize,
    memory: Memory,
}

/// Looks once. New bytes are in the draft; a dry one has none of them.
fn look(
    scope: &Scope<'_>,
    spool: &Spool,
    memory: &Memory,
    is_dry: bool,
) -> Result<(Sight, Draft), Stop> {
    let repository = Repository::open(scope)?;
    if scope.objects == Objects::Unpushed && repository.is_being_restored() {
        return Err(Withheld::Restoring.into());
    }
    let before = repository.index_stamp();
    let (mut seen, listing, mut beside) = ask_all(scope, &repository, before, memory)?;
    if repository.index_stamp() != before {
        return Err(Withheld::Changing.into());
    }
    let mut omitted = std::mem::take(&mut seen.omitted);
    omitted.append(&mut beside.untracked.omitted);
    let mut draft = Draft::begin(spool, is_dry);
    let mut state = State {
        head: seen.head.clone(),
        upstream: seen.upstream.clone().map(|name| {
            let (ahead, behind) = beside.apart;
            Upstream { name, ahead, behind }
        }),
        operation: repository.operation()?,
        notes: repository.notes(),
        index: index::entries(scope, &seen, &listing, &mut omitted)?,
        submodules: submodules::moved(scope, &seen)?,
        ..State::default()
    };
    let sizes = index::fit(scope, &seen, memory, &mut state.index, &mut omitted)?;
    submodules::dirty(scope, &listing, &mut omitted)?;
    let own = state.index.iter().filter_map(|entry| seen.own_blob(entry)).collect();
    let needed = objects::Needed { blobs: own, known: beside.known };
    let reach = objects::take(scope, &repository, needed, spool, memory, &mut state, &mut draft)?;
    beside.untracked.look_below(scope, swapped(scope, &seen))?;
    omitted.append(&mut beside.untracked.omitted);
    let mut wanted = contents::wanted(&seen, &listing, &beside.untracked.files);
    contents::forget(&mut wanted, &omitted);
    let taken = {
        let mut taking = Taking {
            scope,
            repository: &repository,
            spool,
            draft: &mut draft,
            omitted: &mut omitted,
        };
        contents::take(&mut taking, &wanted, memory)?
    };
    state.tree = taken.tree;
    let deleted = state.tree.iter().filter(|(_, node)| **node == Node::Gone);
    let deleted = deleted.map(|(path, _)| path);
    for folder in untracked::empty(scope, &beside.untracked, deleted, &mut omitted)? {
        if !scope.guard.covers(&folder) && !contents::is_behind_link(&scope.project.root, &folder) {
            state.tree.entry(folder).or_insert(Node::EmptyDirectory);
        }
    }
    state.omitted = contents::shortened(omitted);
    if memory.reach != Some(reach) {
        unfolded::check_files(scope, &repository, &state)?;
    }
    if repository.index_stamp() != before || repository.head(scope)? != seen.head {
        return Err(Withheld::Changing.into());
    }
    let memory = Memory {
        // Known when the state stands in the log.
        log: None,
        stamps: taken.stamps,
        hidden: taken.hidden,
        listing: before.map(|stamp| (stamp, listing)),
        reach: Some(reach),
        sizes,
    };
    Ok((Sight { state, read: taken.read, memory }, draft))
}

/// Files that git calls deleted because a directory stands in their place.
fn swapped(scope: &Scope<'_>, seen: &Seen) -> Vec<RepoPath> {
    let root = &scope.project.root;
    let is_swapped = |path: &RepoPath| {
        let found = std::fs::symlink_metadata(root.join(path.as_path()));
        found.is_ok_and(|found| found.is_dir()) && !contents::is_behind_link(root, path)
    };
    let deleted = seen.changed.iter().filter(|changed| changed.tree == b'D');
    deleted.map(|changed| &changed.path).filter(|path| is_swapped(path)).cloned().collect()
}

/// Appends a state to the log, if it says something new.
fn finish(
    spool: &mut Spool,
    mut state: State,
    draft: Draft,
    read: usize,
) -> Result<Captured, Stop> {
    if is_last(spool, &mut state) {
        return Ok(Captured { state, is_changed: false, fresh: 0, read });
    }
    let fresh = draft.length();
    let state = spool.append(draft, state)?;
    Ok(Captured { state, is_changed: true, fresh, read })
}

/// Whether a state is the log's newest. How far it is from its upstream it takes from there, if that is all.
fn is_last(spool: &Spool, state: &mut State) -> bool {
    let Some(last) = spool.state() else { return false };
    if let (Some(now), Some(then)) = (&mut state.upstream, &last.upstream)
        && now.name == then.name
        && state.head == last.head
    {
        now.clone_from(then);
    }
    state == last
}
