//! One git child as it is asked for: arguments, configuration, limits.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::child::{self, Limits, Listener};
use super::{Git, GitError};

/// How long a child may run when nothing else is said.
const DEADLINE: Duration = Duration::from_secs(30);
/// How much a child may print when nothing else is said.
const STDOUT_MAX: usize = 4 << 20;
/// As much of what git said as fits into a message.
const SAID_MAX: usize = 200;
/// The unit of `ulimit -f` in a POSIX shell.
const FILE_BLOCK_BYTES: u64 = 512;

/// What holds for every child, whatever the user's or the repository's configuration says.
const HARDENED: &[(&str, &str)] = &[
    // Git runs it in a shell with the path of an alternate behind: it is to do nothing with that.
    ("core.alternateRefsCommand", ": ;:"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.safecrlf", "false"),
    ("core.editor", "false"),
    ("core.fsync", "all"),
    ("color.ui", "false"),
    ("credential.interactive", "false"),
    ("fetch.bundleURI", ""),
    ("fetch.fsckObjects", "true"),
    ("fetch.prune", "false"),
    ("fetch.pruneTags", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.unpackLimit", "1"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    ("submodule.recurse", "false"),
];

/// What holds for a child on the network, unless the user set it otherwise: an answer that stays
/// away must become an error, not a wait.
const NETWORK_DEFAULTS: &[(&str, &str)] =
    &[("http.lowSpeedLimit", "1000"), ("http.lowSpeedTime", "30")];

/// How ssh is told not to ask and not to wait for ever.
const SSH_OPTIONS: &str =
    "-oBatchMode=yes -oConnectTimeout=15 -oServerAliveInterval=15 -oServerAliveCountMax=3";

/// Cuts every file the child writes at `$1` blocks.
const LIMITED: &str = "ulimit -f \"$1\" || exit 126; shift; exec \"$@\"";
/// The unit of `ulimit -v` in a POSIX shell.
const MEMORY_BLOCK_BYTES: u64 = 1024;
/// Lets the child have `$1` blocks of memory, where the system can count them.
const LEAN: &str = "ulimit -v \"$1\" 2>/dev/null; shift; exec \"$@\"";
/// Waits for the end of standard input, which is when we are gone, and kills its whole process group:
/// git's helpers (`git-remote-https`, `ssh`) would outlive us otherwise.
pub(super) const WATCH: &str = "read -r _; kill -KILL 0";

/// The same, with time for git to take its locks away.
pub(super) const WATCH_GENTLY: &str =
    "read -r _; trap '' TERM; kill -TERM 0; sleep 2; kill -KILL 0";

/// What a child left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// All it printed.
    pub stdout: Vec<u8>,
    /// The last of what it said, unreadable bytes replaced.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with exit code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// The first thing it said, made printable: why it failed. What ends with a colon goes on with the next line,
    /// unless that is gpg's for programs.
    pub fn said(&self) -> String {
        let is_said = |line: &&str| !line.trim().is_empty() && !line.starts_with("[GNUPG:]");
        let mut lines = self.stderr.lines().filter(is_said);
        let line = lines.next().unwrap_or("git failed without a word");
        let next = lines.next().filter(|_| line.trim_end().ends_with(':')).unwrap_or_default();
        let text = format!("{} {next}", line.trim_start_matches("fatal: ").trim_end());
        text.trim_end().chars().filter(|c| !c.is_control()).take(SAID_MAX).collect()
    }
}

/// A git command in the making.
#[derive(Debug, Clone)]
#[must_use = "a command does nothing until it is run"]
pub struct GitCommand {
    git: Git,
    dir: Option<PathBuf>,
    git_dir: Option<PathBuf>,
    args: Vec<OsString>,
    config: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    deadline: Duration,
    silence: Option<Duration>,
    listener: Option<Listener>,
    stdout_max: usize,
    file_size_max: Option<u64>,
    protocols: Option<String>,
    own_config_only: bool,
    more_objects: Vec<PathBuf>,
    new_objects: Option<PathBuf>,
    index: Option<PathBuf>,
    work_tree: Option<PathBuf>,
    stdin_file: Option<Arc<File>>,
    stdout_file: Option<Arc<File>>,
    memory_max: Option<u64>,
    traced: bool,
    watched: bool,
}

impl GitCommand {
    pub(super) fn new(git: Git) -> Self {
        Self {
            git,
            dir: None,
            git_dir: None,
            args: Vec::new(),
            config: Vec::new(),
            stdin: None,
            deadline: DEADLINE,
            silence: None,
            listener: None,
            stdout_max: STDOUT_MAX,
            file_size_max: None,
            protocols: None,
            own_config_only: false,
            more_objects: Vec::new(),
            new_objects: None,
            index: None,
            work_tree: None,
            stdin_file: None,
            stdout_file: None,
            memory_max: None,
            traced: false,
            watched: false,
        }
    }

    /// Runs in `path`.
    pub fn dir(mut self, path: &Path) -> Self {
        self.dir = Some(path.to_owned());
        self
    }

    /// Works on the repository whose git directory is `path`, and looks for no other.
    pub fn git_dir(mut self, path: &Path) -> Self {
        self.git_dir = Some(path.to_owned());
        self
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one configuration value, by environment: hooks and helpers started by git see it too, which
    /// `git -c` does not promise. A key may be set several times. Our hardening is not overridden.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    /// Gives the child these bytes as standard input; without, it reads nothing.
    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// Kills the child and its group after this long.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Kills the child and its group when it has said nothing for this long, on either output.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = Some(silence);
        self
    }

    /// Kills the child when it prints more than this many bytes.
    pub fn stdout_limit(mut self, bytes: usize) -> Self {
        self.stdout_max = bytes;
        self
    }

    /// Lets no file the child writes grow beyond this many bytes: a pack that would is cut, and the
    /// child dies of the signal or fails.
    pub fn file_size_limit(mut self, bytes: u64) -> Self {
        self.file_size_max = Some(bytes);
        self
    }

    /// Lets the child use these protocols (`https:ssh`), and ends it should we die.
    pub fn network(mut self, protocols: impl Into<String>) -> Self {
        self.protocols = Some(protocols.into());
        self
    }

    /// Hides the user's and the system's configuration: only the repository's own and what
    /// [`GitCommand::config`] hands over counts.
    pub fn own_config_only(mut self) -> Self {
        self.own_config_only = true;
        self
    }

    /// Lets the child read the objects of another repository too, as if they were in its own.
    pub fn more_objects(mut self, repository: &Path) -> Self {
        self.more_objects.push(repository.join("objects"));
        self
    }

    /// Hands each piece of what the child says on standard error to `note`, while it works.
    pub fn listened_to(mut self, note: fn(&str, &AtomicU64), at: Arc<AtomicU64>) -> Self {
        self.listener = Some((note, at));
        self
    }

    /// Takes this directory for the repository's own objects: what is not trusted yet is looked at there
    /// first, with [`GitCommand::more_objects`] beside those of the repository.
    pub fn objects(mut self, directory: &Path) -> Self {
        self.new_objects = Some(directory.to_owned());
        self
    }

    /// Works on this index instead of the repository's own.
    pub fn index(mut self, path: &Path) -> Self {
        self.index = Some(path.to_owned());
        self
    }

    /// Takes this directory for the work tree, with [`GitCommand::git_dir`] beside it.
    pub fn work_tree(mut self, path: &Path) -> Self {
        self.work_tree = Some(path.to_owned());
        self
    }

    /// Gives the child a file, from its present position on, as standard input.
    pub fn stdin_file(mut self, file: File) -> Self {
        self.stdin_file = Some(Arc::new(file));
        self
    }

    /// Lets the child print into a file: what is too large to be held in memory.
    pub fn stdout_file(mut self, file: File) -> Self {
        self.stdout_file = Some(Arc::new(file));
        self
    }

    /// Lets the child have no more memory than this many bytes; not every system keeps to it.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_max = Some(bytes);
        self
    }

    /// Ends the child should we die, though it has no network: it may work for a long time.
    pub fn watched(mut self) -> Self {
        self.watched = true;
        self
    }

    /// Lets the child map only a little of large packs at once: what it maps counts as its memory.
    pub fn lean(self) -> Self {
        self.config("core.packedGitLimit", "32m").config("core.packedGitWindowSize", "8m")
    }

    /// Lets the child write each packet of git's protocol to standard error.
    pub fn traced(mut self) -> Self {
        self.traced = true;
        self
    }

    /// Runs the command to its end.
    ///
    /// # Errors
    /// [`GitError`] when it did not start, ran too long, or printed too much. An exit code other than 0
    /// is not an error here.
    pub fn run(self) -> Result<Output, GitError> {
        let what = self.what();
        let limits = Limits {
            deadline: self.deadline,
            silence: self.silence.unwrap_or(self.deadline),
            stdout_max: self.stdout_max,
            listener: self.listener.clone(),
            is_gentle: false,
        };
        tracing::debug!(what, "git");
        let process =
            self.process().map_err(|source| GitError::Start { what: what.clone(), source })?;
        child::run(process, self.stdin.clone(), self.watcher(), &what, &limits)
    }

    /// The subcommand, for messages: never an argument, which may be a path or an address.
    fn what(&self) -> String {
        self.args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The process that ends the child's group when we are gone: a short one without network ends by itself.
    fn watcher(&self) -> Option<Command> {
        (self.protocols.is_some() || self.watched).then(|| self.git.watcher(WATCH))
    }

    fn inherited(&self) -> impl Iterator<Item = (&'static str, &OsString)> {
        self.git.inner.variables.iter().map(|(name, value)| (*name, value))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the builder every git child is made by")]
    fn process(&self) -> std::io::Result<Command> {
        let limits = [
            self.memory_max.map(|bytes| (LEAN, bytes.div_ceil(MEMORY_BLOCK_BYTES))),
            self.file_size_max.map(|bytes| (LIMITED, bytes.div_ceil(FILE_BLOCK_BYTES))),
        ];
        let mut line: Vec<OsString> = Vec::new();
        for (script, blocks) in limits.into_iter().flatten() {
            line.extend(["sh", "-c", script, "sh"].map(OsString::from));
            line.push(blocks.to_string().into());
        }
        line.push(self.git.program().into());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        command.args(&self.args).env_clear().envs(self.inherited());
        command.envs(self.environment());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.stdin(match &self.stdin_file {
            Some(file) => Stdio::from(file.try_clone()?),
            None if self.stdin.is_some() => Stdio::piped(),
            None => Stdio::null(),
        });
        command.stdout(match &self.stdout_file {
            Some(file) => Stdio::from(file.try_clone()?),
            None => Stdio::piped(),
        });
        command.stderr(Stdio::piped());
        Ok(command)
    }

    /// The environment beyond what is inherited.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut variables: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |name: &str, value: &str| variables.push((name.into(), value.into()));
        set("LC_ALL", "C");
        set("GIT_TERMINAL_PROMPT", "0");
        // Empty means "there is none": git then asks nobody, not even the program core.askPass names.
        set("GIT_ASKPASS", "");
        set("SSH_ASKPASS_REQUIRE", "never");
        set("GCM_INTERACTIVE", "never");
        set("GIT_OPTIONAL_LOCKS", "0");
        set("GIT_NO_LAZY_FETCH", "1");
        set("GIT_PAGER", "cat");
        set("GIT_ALLOW_PROTOCOL", self.protocols.as_deref().unwrap_or("none"));
        if self.traced {
            set("GIT_TRACE_PACKET", "1");
        }
        if self.own_config_only {
            set("GIT_CONFIG_NOSYSTEM", "1");
            set("GIT_CONFIG_SYSTEM", "/dev/null");
            set("GIT_CONFIG_GLOBAL", "/dev/null");
            set("GIT_ATTR_NOSYSTEM", "1");
        }
        if self.protocols.is_some() && !self.has("core.sshcommand") {
            set("GIT_SSH_COMMAND", &format!("ssh {SSH_OPTIONS}"));
        }
        let config = self.all_config();
        set("GIT_CONFIG_COUNT", &config.len().to_string());
        for (index, (key, value)) in config.iter().enumerate() {
            set(&format!("GIT_CONFIG_KEY_{index}"), key);
            set(&format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        if let Some(dir) = &self.git_dir {
            variables.push(("GIT_DIR".into(), dir.into()));
        }
        if let Some(dir) = &self.new_objects {
            variables.push(("GIT_OBJECT_DIRECTORY".into(), dir.into()));
        }
        if let Some(path) = &self.work_tree {
            variables.push(("GIT_WORK_TREE".into(), path.into()));
        }
        if let Some(path) = &self.index {
            variables.push(("GIT_INDEX_FILE".into(), path.into()));
        }
        // A path that cannot stand in a list is left out: the child then does without its objects.
        let listed = self.more_objects.iter().filter(|dir| std::env::join_paths([dir]).is_ok());
        if let Some(dirs) = std::env::join_paths(listed).ok().filter(|dirs| !dirs.is_empty()) {
            variables.push(("GIT_ALTERNATE_OBJECT_DIRECTORIES".into(), dirs));
        }
        variables
    }

    /// Defaults first and hardening last: git takes the last value of a key.
    fn all_config(&self) -> Vec<(String, String)> {
        let owned = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<Vec<_>>()
        };
        let mut config =
            if self.protocols.is_some() { owned(NETWORK_DEFAULTS) } else { Vec::new() };
        config.extend(self.config.iter().map(
            |(key, value)| match key.to_ascii_lowercase().as_str() {
                "core.sshcommand" => (key.clone(), quiet_ssh(value)),
                _ => (key.clone(), value.clone()),
            },
        ));
        config.extend(owned(HARDENED));
        config
    }

    fn has(&self, wanted: &str) -> bool {
        self.config.iter().any(|(key, value)| key.eq_ignore_ascii_case(wanted) && !value.is_empty())
    }
}

/// The user's own ssh command, told not to ask: ssh takes the first value of an option, so ours come
/// first. Any other program is left as it is, for we do not know its options.
pub(super) fn quiet_ssh(command: &str) -> String {
    match command.trim_start().strip_prefix("ssh") {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => {
            format!("ssh {SSH_OPTIONS}{rest}")
        }
        _ => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_with_a_colon_is_told_with_what_follows() {
        let said = |stderr: &str| {
            let stderr = stderr.to_owned();
            Output { code: Some(128), signal: None, stdout: Vec::new(), stderr }.said()
        };
        assert_eq!(said(""), "git failed without a word");
        assert_eq!(said("\nfatal: no such ref\nhint: x\n"), "no such ref");
        assert_eq!(said("fatal: it ended:\n"), "it ended:");
        let gpg = "error: gpg failed to sign the data:\n[GNUPG:] BEGIN_SIGNING\ngpg: no pinentry\n";
        assert_eq!(said(gpg), "error: gpg failed to sign the data: gpg: no pinentry");
    }

    #[test]
    fn the_users_ssh_keeps_its_options_and_asks_nothing() {
        assert_eq!(quiet_ssh("ssh -i ~/.ssh/work"), format!("ssh {SSH_OPTIONS} -i ~/.ssh/work"));
        assert_eq!(quiet_ssh("ssh"), format!("ssh {SSH_OPTIONS}"));
        assert_eq!(quiet_ssh("/opt/bin/tunnel --to"), "/opt/bin/tunnel --to");
        assert_eq!(quiet_ssh("sshpass x ssh"), "sshpass x ssh");
    }
}
