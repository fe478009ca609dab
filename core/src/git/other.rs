//! The one other program that is started: the desktop's notifier.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::child::{self, Limits};
use super::command::WATCH;
use super::{Git, GitError, Output, search};

/// How much a notifier may print.
const STDOUT_MAX: usize = 64 << 10;

impl Git {
    /// Finds another program where git was looked for: on the `PATH` its children get.
    pub fn find_other(&self, name: &str) -> Option<PathBuf> {
        search(self.variable("PATH"), name)
    }

    /// The environment that children get.
    pub fn variables(&self) -> BTreeMap<OsString, OsString> {
        let own = |(name, value): &(&'static str, OsString)| ((*name).into(), value.clone());
        self.inner.variables.iter().map(own).collect()
    }

    /// Runs another program to its end, in a process group of its own that does not outlive us or the
    /// `deadline`, with no more environment than git gets.
    ///
    /// # Errors
    /// What the system said, or [`io::ErrorKind::TimedOut`].
    pub fn run_other(
        &self,
        program: &Path,
        args: &[OsString],
        stdin: Option<Vec<u8>>,
        deadline: Duration,
    ) -> io::Result<Output> {
        let mut command = self.other(program);
        command.args(args).stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let watcher = self.watcher(WATCH);
        let limits = Limits::within(deadline, STDOUT_MAX);
        let run = child::run(command, stdin, Some(watcher), "notifier", &limits);
        run.map_err(|error| match error {
            GitError::Start { source, .. } => source,
            GitError::Deadline { .. } => io::ErrorKind::TimedOut.into(),
            other => io::Error::other(other),
        })
    }

    /// The shell that ends a child should we die.
    pub(super) fn watcher(&self, script: &str) -> Command {
        let mut watcher = self.other(Path::new("sh"));
        watcher.args(["-c", script]).stdin(Stdio::piped());
        watcher.stdout(Stdio::null()).stderr(Stdio::null());
        watcher
    }

    #[expect(clippy::disallowed_methods, reason = "this is the builder of the one other program")]
    fn other(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let inherited = self.inner.variables.iter().map(|(name, value)| (*name, value));
        command.env_clear().envs(inherited);
        command
    }
}
