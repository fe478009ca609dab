//! Changes that stand here, committed by the user's own git before other code comes.

use std::path::{Path, PathBuf};

use convosync_core::commit::Refusal;
use convosync_core::id::short_commit;

use crate::args;
use crate::call::Call;
use crate::commands::save::code::Work;
use crate::error::CtlError;
use crate::exit::ExitCode;

/// What the commit is called.
const MESSAGE: &str = "WIP: before resuming a session";

/// Changes that were committed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Commit {
    /// The work tree they stood in.
    pub(super) root: PathBuf,
    /// The branch they were committed to.
    pub(super) branch: String,
    /// The commit that holds them.
    pub(super) commit: String,
    /// Whether the branch had none before.
    #[serde(skip)]
    pub(super) is_first: bool,
}

impl Commit {
    /// Says that it stands.
    pub(super) fn said(&self) -> String {
        let (root, branch, commit) =
            (self.root.display(), &self.branch, short_commit(&self.commit));
        format!(
            "your changes of `{root}` are in commit {commit} of `{branch}`, which is not pushed"
        )
    }

    /// How the changes are uncommitted again.
    pub(super) fn way_back(&self) -> String {
        let command = match self.is_first {
            true => "git update-ref -d HEAD".to_owned(),
            false => format!("git reset {}~", short_commit(&self.commit)),
        };
        format!("`{command}` there, on `{}`, makes them uncommitted again", self.branch)
    }
}

/// Commits all that `save` would commit, and pushes nothing. What is guarded stays as it is.
pub(super) fn make(
    call: &mut Call<'_>,
    args: &args::Resume,
    root: &Path,
    made: &mut Vec<Commit>,
) -> Result<(), CtlError> {
    let Some(work) = Work::of(call, root, true)? else { return Ok(()) };
    let plan = work.decide(None).map_err(|refusal| refused(&refusal))?;
    work.confirm(call, &plan, args.force)?;
    let is_first = work.facts().head.commit.is_none();
    let done = work.carry_out(call, None, Some(MESSAGE)).map_err(|error| match error {
        CtlError::Refused { code, message, .. } => {
            let hint = "index and files are as before: mend it and resume again, or resume with \
                        `--stash`";
            CtlError::Refused { code, message, hint: Some(hint.to_owned()) }
        }
        error => error,
    })?;
    made.extend(done.commit.map(|commit| Commit {
        root: root.to_owned(),
        branch: commit.branch,
        commit: commit.id,
        is_first,
    }));
    Ok(())
}

fn refused(refusal: &Refusal) -> CtlError {
    let (code, message) = (ExitCode::NeedsDecision, refusal.to_string());
    let hint = Some(format!("{}, or resume with `--stash`", refusal.way_out()));
    CtlError::Refused { code, message, hint }
}
