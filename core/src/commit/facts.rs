//! Where a repository stands, as far as a commit is concerned.

use std::path::PathBuf;
use std::time::Duration;

use super::{CommitError, Site};
use crate::capture::status::{self, Seen};
use crate::capture::{is_bisecting, is_restore_mark, unfinished};
use crate::code::{Head, Omission, OperationKind, RepoPath};
use crate::project;

/// How long a status may take: a cold disk with many files is slow.
const STATUS_DEADLINE: Duration = Duration::from_secs(60);
/// How much it may print: some hundred thousand paths.
const STATUS_MAX: usize = 32 << 20;

/// How a repository stands.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Branch and commit.
    pub head: Head,
    /// The branch of a remote that the branch follows, as git shows it.
    pub upstream: Option<String>,
    /// How many commits the upstream does not have, as far as is known here.
    pub ahead: u32,
    /// What the user calls the remote that is pushed to.
    pub remote: Option<String>,
    /// What keeps anybody from committing.
    pub obstacle: Option<Obstacle>,
    /// Paths with conflicts.
    pub conflicts: Vec<RepoPath>,
    /// What differs from the commit, ascending by path.
    pub changes: Vec<Change>,
    /// What cannot be committed by its nature: repositories of their own, names no other clone takes.
    pub odd: Vec<(RepoPath, Omission)>,
}

/// What keeps anybody from committing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// A restore of code is under way, or was interrupted.
    Restoring,
    /// Another git works on the index, or was killed while it did.
    Locked(PathBuf),
    /// A bisection runs.
    Bisecting,
    /// An operation was not finished.
    Unfinished(OperationKind),
}

/// A path that differs from the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub path: RepoPath,
    /// Whether the index differs from the commit.
    pub is_staged: bool,
    /// Whether the work tree differs from the index.
    pub is_unstaged: bool,
    /// Whether git does not know it yet.
    pub is_new: bool,
    /// Whether the index has no such path any more, though it lies in the work tree.
    pub is_untracked_anew: bool,
    /// Whether its name says that it holds a secret.
    pub is_guarded: bool,
    /// How many bytes git would take in; nothing of what is gone or is stored elsewhere (LFS).
    pub size: u64,
}

/// Looks at a repository; not a byte of it changes. `None` where there is no work tree.
///
/// # Errors
/// [`CommitError`] when git does not read it.
pub fn look(site: &Site<'_>) -> Result<Option<Facts>, CommitError> {
    let project = site.project;
    let Some(git_dir) = project.git_dir.as_deref().filter(|_| project.root.is_dir()) else {
        return Ok(None);
    };
    let bytes = status_of(site)?;
    let seen = status::read(&bytes).ok_or_else(|| CommitError::Refused {
        deed: "tell the status",
        root: project.root.clone(),
        said: "it is not understood".to_owned(),
    })?;
    let settings = project::all_settings(project, site.git)?;
    let remote = project::push_remote(project, &settings, seen.head.branch.as_deref());
    let conflicts = seen.unmerged.keys().cloned().collect();
    let mut changes = changes(site, &seen);
    leave_out_stored_elsewhere(site, &mut changes)?;
    Ok(Some(Facts {
        head: seen.head,
        upstream: seen.upstream,
        ahead: ahead(&bytes),
        remote,
        obstacle: obstacle(git_dir),
        conflicts,
        changes,
        odd: seen.omitted.into_iter().collect(),
    }))
}

/// Asks for the status with what filters (git-lfs) say: the user's git would run them, too.
fn status_of(site: &Site<'_>) -> Result<Vec<u8>, CommitError> {
    let args = [
        "status",
        "--porcelain=v2",
        "-z",
        "--branch",
        "--ahead-behind",
        "--no-renames",
        "--untracked-files=all",
        "--ignore-submodules=dirty",
    ];
    let command = site.git.command().dir(&site.project.root).args(args);
    let output = command.watched().deadline(STATUS_DEADLINE).stdout_limit(STATUS_MAX).run()?;
    site.done("tell the status", output)
}

/// The number of `# branch.ab +1 -2`.
fn ahead(status: &[u8]) -> u32 {
    let line = status.split(|byte| *byte == 0).find_map(|line| line.strip_prefix(b"# branch.ab +"));
    let text = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
    text.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default()
}

fn changes(site: &Site<'_>, seen: &Seen) -> Vec<Change> {
    let root = &site.project.root;
    let found = |path: &RepoPath| std::fs::symlink_metadata(root.join(path.as_path())).ok();
    let size = |path: &RepoPath| {
        found(path).filter(std::fs::Metadata::is_file).map_or(0, |found| found.len())
    };
    let tracked = seen.changed.iter().map(|changed| {
        let is_deleted = changed.is_staged && changed.index.is_none();
        Change {
            path: changed.path.clone(),
            is_staged: changed.is_staged,
            is_unstaged: changed.tree != b'.',
            is_new: false,
            is_untracked_anew: is_deleted && found(&changed.path).is_some(),
            is_guarded: site.guard.covers(&changed.path),
            size: if is_deleted { 0 } else { size(&changed.path) },
        }
    });
    let untracked = seen.untracked.iter().map(|path| Change {
        path: path.clone(),
        is_staged: false,
        is_unstaged: true,
        is_new: true,
        is_untracked_anew: false,
        is_guarded: site.guard.covers(path),
        size: size(path),
    });
    let mut changes: Vec<Change> = tracked.chain(untracked).collect();
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

/// Of large files that a filter stores elsewhere (git-lfs) a commit takes in next to nothing.
fn leave_out_stored_elsewhere(site: &Site<'_>, changes: &mut [Change]) -> Result<(), CommitError> {
    let mut large: Vec<&mut Change> =
        changes.iter_mut().filter(|change| change.size > super::LARGE_FILE / 10).collect();
    if large.is_empty() {
        return Ok(());
    }
    let names = large.iter().flat_map(|change| [change.path.as_bytes(), b"\0"].concat()).collect();
    let command = site.git.command().dir(&site.project.root);
    let command = command.args(["check-attr", "--stdin", "-z", "filter"]).stdin(names);
    let bytes = site.done("tell the attributes", command.run()?)?;
    let fields: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    for fact in fields.chunks_exact(3).filter(|fact| fact[2] == b"lfs") {
        for change in large.iter_mut().filter(|change| change.path.as_bytes() == fact[0]) {
            change.size = 0;
        }
    }
    Ok(())
}

fn obstacle(git_dir: &std::path::Path) -> Option<Obstacle> {
    let lock = git_dir.join("index.lock");
    if is_restore_mark(&lock) {
        return Some(Obstacle::Restoring);
    }
    if std::fs::symlink_metadata(&lock).is_ok() {
        return Some(Obstacle::Locked(lock));
    }
    if is_bisecting(git_dir) {
        return Some(Obstacle::Bisecting);
    }
    unfinished(git_dir).map(Obstacle::Unfinished)
}
