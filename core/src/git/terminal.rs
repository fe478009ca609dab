//! Git as the user runs it: in the terminal, with all that the user has set. Hooks, signing, editors and
//! credential helpers run as they would without us; nothing of the builder's hardening holds.
//!
//! Only for what the user asks for by name, in the terminal or, once and for all, in the configuration
//! (`autosave.code`): there is nobody to ask then, and what would ask fails.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::child::{self, Limits};
use super::command::{WATCH_GENTLY, quiet_ssh};
use super::{Git, GitError, Output};

/// Variables that would lead git to another repository than the one that was looked at.
const ELSEWHERE: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
];
/// What keeps a command without a terminal from asking anybody, or from opening an editor or a window.
const ALONE: &[(&str, &str)] = &[
    // English, for what git says is looked at, and text of every language for hooks.
    ("LC_ALL", "C.UTF-8"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("SSH_ASKPASS", ""),
    ("SSH_ASKPASS_REQUIRE", "never"),
    ("GCM_INTERACTIVE", "never"),
    ("GIT_EDITOR", "false"),
    ("GIT_SEQUENCE_EDITOR", "false"),
    ("GIT_PAGER", "cat"),
];
/// The same for settings, and what would go on behind us in the background.
const ALONE_CONFIG: &[(&str, &str)] = &[
    ("credential.interactive", "false"),
    ("core.fsmonitor", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
];
/// How long git may take to tell one setting.
const SETTING_DEADLINE: Duration = Duration::from_secs(10);
/// How much a question may print.
const STDOUT_MAX: usize = 64 << 20;

/// The user's git in one work tree.
#[derive(Debug, Clone, Copy)]
pub struct UserGit<'a> {
    git: &'a Git,
    dir: &'a Path,
    variables: &'a BTreeMap<OsString, OsString>,
}

impl Git {
    /// Git as the user runs it in `dir`, with `variables` as its environment.
    pub fn as_user<'a>(
        &'a self,
        dir: &'a Path,
        variables: &'a BTreeMap<OsString, OsString>,
    ) -> UserGit<'a> {
        UserGit { git: self, dir, variables }
    }
}

impl UserGit<'_> {
    /// Runs a command with the terminal attached: it may ask, and takes as long as it takes. What it prints
    /// goes to standard error, for standard output is our answer's. Returns its exit code; `None` when a
    /// signal ended it.
    ///
    /// # Errors
    /// When it did not start.
    pub fn run(&self, args: &[OsString]) -> Result<Option<i32>, GitError> {
        let what = args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
        let mut command = self.command(args);
        command.stdin(Stdio::inherit()).stdout(Stdio::from(std::io::stderr()));
        command.stderr(Stdio::inherit());
        tracing::debug!(what, "git, as the user");
        let failed = |source| GitError::Start { what: what.clone(), source };
        Ok(command.status().map_err(failed)?.code())
    }

    /// Asks something that needs the user's way to a remote, without the terminal: it asks nobody, and is
    /// stopped after `deadline`.
    ///
    /// # Errors
    /// [`GitError`] when it did not start, ran too long, or printed too much.
    pub fn ask(&self, args: &[OsString], deadline: Duration) -> Result<Output, GitError> {
        let what = args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in
            [("LC_ALL", "C"), ("GIT_TERMINAL_PROMPT", "0"), ("SSH_ASKPASS_REQUIRE", "never")]
        {
            command.env(name, value);
        }
        let limits = Limits::within(deadline, STDOUT_MAX);
        child::run(command, None, None, &what, &limits)
    }

    /// Runs a command with the user's settings and hooks, but without a terminal or anybody to ask. It is ended
    /// after `deadline`, or with us: asked first, so that it takes its locks away.
    ///
    /// # Errors
    /// [`GitError`] when it did not start, ran too long, or printed too much.
    pub fn run_alone(&self, args: &[OsString], deadline: Duration) -> Result<Output, GitError> {
        let what = args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
        let ssh = ["config", "--get", "core.sshCommand"].map(OsString::from);
        let ssh = self.ask(&ssh, SETTING_DEADLINE)?;
        let ssh = String::from_utf8_lossy(&ssh.stdout).trim().to_owned();
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(ALONE.iter().copied()).env_remove("GPG_TTY");
        command.env("GIT_SSH_COMMAND", quiet_ssh(if ssh.is_empty() { "ssh" } else { &ssh }));
        command.env("GIT_CONFIG_COUNT", ALONE_CONFIG.len().to_string());
        for (index, (key, value)) in ALONE_CONFIG.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        let watcher = self.git.watcher(WATCH_GENTLY);
        tracing::debug!(what, "git, as the user, without a terminal");
        let limits = Limits { is_gentle: true, ..Limits::within(deadline, STDOUT_MAX) };
        child::run(command, None, Some(watcher), &what, &limits)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the builder of the user's own commands")]
    fn command(&self, args: &[OsString]) -> Command {
        let mut command = Command::new(self.git.program());
        let own = |(name, _): &(&OsString, &OsString)| !ELSEWHERE.iter().any(|other| name == other);
        command.env_clear().envs(self.variables.iter().filter(own));
        command.args(args).current_dir(self.dir);
        command
    }
}
