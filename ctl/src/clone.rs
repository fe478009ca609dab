//! The user's clone: what the client needs to put code there, and to take it back.
//!
//! Only `resume` and `undo`, which the user runs, come here; the daemon never changes a repository.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use convosync_core::checkout::{CheckoutError, Place, Step};
use convosync_core::code::{Guard, Limits};
use convosync_core::config::Config;
use convosync_core::git::Git;
use convosync_core::project::{self, Project};
use convosync_core::protocol::Progress;

use crate::call::Call;
use crate::error::CtlError;
use crate::print::Wait;
use crate::socket::Watcher as _;

/// The folder of what stood in work trees before, below the state directory.
pub(crate) const RECORDS: &str = "undo";

/// A clone with everything that is needed to work on it.
pub(crate) struct Clone {
    pub(crate) project: Project,
    pub(crate) git: Git,
    pub(crate) limits: Limits,
    guard: Guard,
    records: PathBuf,
    now_ms: i64,
}

impl Clone {
    /// Finds the clone of a directory.
    pub(crate) fn of(call: &Call<'_>, directory: &Path) -> Result<Self, CtlError> {
        let paths = call.paths()?;
        let config = Config::load(&paths.config_file)?;
        let git = Git::find(config.git_program.as_deref(), &|name| call.env.get(name))?;
        let project = project::discover(directory, &git)?;
        let home = call.env.home().unwrap_or_default();
        let guard = Guard::of(&config.code, &project.root, &home);
        let limits = Limits::of(&config.code);
        let (records, now_ms) = (paths.state_dir.join(RECORDS), (call.env.now_ms)());
        Ok(Self { project, git, limits, guard, records, now_ms })
    }

    /// The clone as a place to put code.
    pub(crate) fn place(&self) -> Place<'_> {
        let Self { project, git, guard, records, now_ms, .. } = self;
        Place { project, git, guard, records, now_ms: *now_ms }
    }
}

/// Shows on the terminal how far a change of the work tree is.
pub(crate) struct Steps(RefCell<Wait>);

impl Steps {
    pub(crate) fn of(call: &Call<'_>) -> Self {
        let mut wait = Wait::new(call.env.terminal.errors && !call.print.json);
        wait.slow();
        Self(RefCell::new(wait))
    }

    /// Announces a step, which is then taken: what could stop one was found out before.
    pub(crate) fn take(&self, step: Step) -> Result<(), CheckoutError> {
        let step = match step {
            Step::Objects => "unpacking commits".to_owned(),
            Step::Remove { files } => format!("removing {files} files"),
            Step::CheckOut { files } => format!("checking out {files} files"),
            Step::Write { files } => format!("writing {files} files"),
            Step::Directories => "making folders".to_owned(),
            Step::Index | Step::Finish => "writing the index".to_owned(),
            Step::Refs | Step::Operation => "moving the branch".to_owned(),
        };
        self.0.borrow_mut().progress(&Progress { step, done: None, total: None });
        Ok(())
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.0.borrow_mut().done();
    }
}
