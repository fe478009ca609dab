//! Changes that stand here, put into the user's own `git stash` before other code comes.

use std::path::PathBuf;
use std::time::Duration;

use convosync_core::checkout::{CheckoutError, Place};
use convosync_core::code::RepoPath;
use convosync_core::id::short_commit;

use crate::error::CtlError;

/// How long stashing may take: of a large work tree every changed file is read and written.
const DEADLINE: Duration = Duration::from_secs(10 * 60);
/// How much room there is for the names of changed files: half a million of them.
const NAMES_MAX: usize = 64 << 20;

/// Changes that were put into `git stash`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Stash {
    /// The work tree they stood in.
    pub(super) root: PathBuf,
    /// The commit that holds them.
    pub(super) commit: String,
}

impl Stash {
    /// Says that they are there.
    pub(super) fn said(&self) -> String {
        format!("your changes of `{}` are in `git stash`", self.root.display())
    }

    /// How they come back.
    pub(super) fn way_back(&self) -> String {
        let commit = short_commit(&self.commit);
        format!("`git stash apply --index {commit}` there brings them back")
    }
}

/// Puts all changes and untracked files into the stash, but for those that are guarded: they stay as they are
/// here. What was stashed is noted even where git fails afterwards.
pub(super) fn push(place: Place<'_>, stashed: &mut Vec<Stash>) -> Result<(), CtlError> {
    let before = newest(place)?;
    let guarded = guarded(place)?;
    let command = place.git.command().dir(&place.project.root).deadline(DEADLINE).watched();
    let command = command.args(["stash", "push", "--quiet", "--include-untracked"]);
    let mut command = command.args(["--message", "convosync: before a resume"]);
    if !guarded.is_empty() {
        command = command.args(["--pathspec-from-file=-", "--pathspec-file-nul"]);
        let excluded = guarded
            .iter()
            .flat_map(|path| [b":(top,literal,exclude)", path.as_bytes(), b"\0"].concat());
        command = command.stdin(b":/\0".iter().copied().chain(excluded).collect());
    }
    let output = command.run()?;
    let after = newest(place)?;
    if let Some(commit) = after.filter(|after| before.as_ref() != Some(after)) {
        stashed.push(Stash { root: place.project.root.clone(), commit });
    }
    if output.success() {
        return Ok(());
    }
    let deed = "put the changes that stand here into `git stash`";
    Err(CheckoutError::GitSaid { deed, why: output.said() }.into())
}

/// The newest stash.
fn newest(place: Place<'_>) -> Result<Option<String>, CtlError> {
    let command = place.git.command().dir(&place.project.root);
    let output = command.args(["rev-parse", "--quiet", "--verify", "refs/stash"]).run()?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(Some(name).filter(|_| output.success()))
}

/// Changed and untracked files whose names say that they hold a secret.
fn guarded(place: Place<'_>) -> Result<Vec<RepoPath>, CtlError> {
    let command = place.git.command().dir(&place.project.root).stdout_limit(NAMES_MAX);
    let command = command.args(["ls-files", "-z", "--modified", "--others", "--exclude-standard"]);
    let output = command.run()?;
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths = names.filter_map(|name| RepoPath::new(name).ok());
    Ok(paths.filter(|path| place.guard.covers(path)).collect())
}
