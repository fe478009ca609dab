//! The user's clone: what the client needs to put code there, and to take it back.
//!
//! Only `resume` and `undo`, which the user runs, come here; the daemon never changes a repository.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convosync_core::checkout::{
    CheckoutError, Fetching, Place, Prepared, Restoring, Route, Step, Tell,
};
use convosync_core::code::{Guard, Limits};
use convosync_core::config::Config;
use convosync_core::git::Git;
use convosync_core::project::{self, Project};
use convosync_core::protocol::{CloneReach, Progress};

use crate::call::Call;
use crate::error::CtlError;
use crate::print::{Wait, bytes};
use crate::socket::Watcher as _;

/// The folder of what stood in work trees before, below the state directory.
pub(crate) const RECORDS: &str = "undo";

/// The protocols that missing commits may be fetched by; the address is the clone's own.
const PROTOCOLS: &str = "file:git:http:https:ssh";
/// Why nothing is fetched where nobody said how.
const UNASKED: &str = "nothing is fetched for this";

/// A clone with everything that is needed to work on it.
pub(crate) struct Clone {
    pub(crate) project: Project,
    pub(crate) git: Git,
    pub(crate) limits: Limits,
    guard: Guard,
    records: PathBuf,
    now_ms: i64,
    reach: CloneReach,
    /// Shows how far it is.
    pub(crate) steps: Steps,
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
        let steps = Steps::of(call);
        let reach = CloneReach { ssh: None, not: Some(UNASKED.to_owned()) };
        Ok(Self { project, git, limits, guard, records, now_ms, reach, steps })
    }

    /// The same, with what the daemon says of how its remote is reached.
    pub(crate) fn reached_by(self, reach: &CloneReach) -> Self {
        Self { reach: reach.clone(), ..self }
    }

    /// How missing commits may be fetched into it, or why they are not.
    pub(crate) fn route(&self) -> Result<Route<'_>, &str> {
        if let Some(why) = &self.reach.not {
            return Err(why);
        }
        let url = self.project.push_url.as_deref().ok_or("there is no remote")?;
        Ok(Route { url, protocols: PROTOCOLS, ssh: self.reach.ssh.as_deref() })
    }

    /// The clone as a place to put code.
    pub(crate) fn place(&self) -> Place<'_> {
        let Self { project, git, guard, records, now_ms, steps, .. } = self;
        Place { project, git, guard, records, tell: Tell(&steps.tell), now_ms: *now_ms }
    }

    /// Looks at everything and decides; nothing is shown of it any more when that is done.
    pub(crate) fn plan<'a>(
        &self,
        restoring: &Restoring<'a>,
    ) -> Result<Prepared<'a>, CheckoutError> {
        let planned = restoring.plan();
        self.steps.rest();
        planned
    }
}

/// Shows on the terminal how far a change of the work tree is, and says everywhere what is fetched for it.
pub(crate) struct Steps {
    wait: Arc<Mutex<Wait>>,
    /// Hears of steps.
    tell: Box<dyn Fn(Step) + Send + Sync>,
}

impl Steps {
    fn of(call: &Call<'_>) -> Self {
        let is_told = !call.print.json;
        let wait = Wait::new(call.env.terminal.errors && is_told);
        let wait = Arc::new(Mutex::new(wait));
        let own = Arc::clone(&wait);
        let tell = Box::new(move |step| show(&mut locked(&own), step, is_told));
        Self { wait, tell }
    }

    /// Announces a step, which is then taken: what could stop one was found out before.
    pub(crate) fn take(&self, step: Step) -> Result<(), CheckoutError> {
        (self.tell)(step);
        Ok(())
    }

    /// Shows nothing until the next step.
    pub(crate) fn rest(&self) {
        locked(&self.wait).done();
    }
}

fn locked(wait: &Mutex<Wait>) -> MutexGuard<'_, Wait> {
    wait.lock().unwrap_or_else(PoisonError::into_inner)
}

fn show(wait: &mut Wait, step: Step, is_told: bool) {
    if let Step::Fetch(what) = step {
        if is_told {
            wait.line(&format!("{} (git cannot say how large they are)", fetching(what)));
        }
        return;
    }
    wait.slow();
    wait.progress(&Progress { step: doing(step), ..Progress::default() });
}

fn fetching(what: Fetching) -> String {
    match what {
        Fetching::Commits => "fetching commits that the saved code builds on".to_owned(),
        Fetching::Files(number) => {
            format!("fetching {number} files that this partial clone left with its remote")
        }
        Fetching::Folders => {
            "fetching folders that this partial clone left with its remote".to_owned()
        }
    }
}

fn doing(step: Step) -> String {
    match step {
        Step::Fetch(what) => fetching(what),
        Step::Record { done, total } => {
            format!("recording what stands here, {} of {}", bytes(done), bytes(total))
        }
        Step::Objects => "unpacking commits".to_owned(),
        Step::Remove { files } => format!("removing {files} files"),
        Step::CheckOut { files } => format!("checking out {files} files"),
        Step::Write { files } => format!("writing {files} files"),
        Step::Directories => "making folders".to_owned(),
        Step::Index | Step::Finish => "writing the index".to_owned(),
        Step::Refs | Step::Operation => "moving the branch".to_owned(),
    }
}
