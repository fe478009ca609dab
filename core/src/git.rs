//! Runs git: the only room that starts processes (and one other program, the desktop's notifier).
//!
//! Every child is made by one builder, [`GitCommand`], so that all of them keep the same rules: no
//! inherited `GIT_*` variable, no prompt, no hook, no fsmonitor, no automatic clean-up, one language,
//! bounded output, a deadline, and death of the whole process group when it passes. A child reaches
//! the network only when it is asked to ([`GitCommand::network`]). What the user does by name in the terminal
//! is another matter: [`UserGit`] is git with all that the user has set.
//!
//! The room decides nothing: what a status or a message means is for the rooms that ask.

pub mod command;
mod child;
mod other;
mod terminal;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use command::{GitCommand, Output};
pub use terminal::UserGit;

/// The oldest git that knows all we ask of it: `push.negotiate` (2.32), configuration by environment
/// (2.31), `GIT_CONFIG_GLOBAL` (2.32), and a `fetch` that negotiates for it without crashing (2.34).
pub const OLDEST: Version = Version { major: 2, minor: 34 };

/// How long a question about the version may take.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// What of our own environment a child gets: who and where the user is, how the network is reached,
/// where credentials are asked for. Nothing that starts with `GIT_`, except where git's programs and
/// the user's own configuration lie.
const KEPT_VARIABLES: &[&str] = &[
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "GNUPGHOME",
    "KRB5CCNAME",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "LD_LIBRARY_PATH",
    "GIT_EXEC_PATH",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    // Termux finds its programs and its shell's interpreter by these.
    "PREFIX",
    "LD_PRELOAD",
    "ANDROID_DATA",
    "ANDROID_ROOT",
    "TERMUX_VERSION",
];

/// A version of git, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl Version {
    /// Reads what `git version` prints.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix("git version ")?.split(['.', ' ', '\n', '-']);
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a git child gave no answer. A child that ran and failed is an [`Output`], not an error.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No program of that name.
    #[error("find the program `git`{}", place.as_ref().map(|path| format!(" at `{}`", path.display())).unwrap_or_default())]
    Missing {
        /// Where it was said to be, if anywhere.
        place: Option<PathBuf>,
    },
    /// The program is not a git we can use.
    #[error("use `{}`: it is git {found}, at least {OLDEST} is needed", program.display())]
    TooOld {
        /// The program asked.
        program: PathBuf,
        /// What it said.
        found: Version,
    },
    /// The program answered something else than a version.
    #[error("learn the version of `{}`: it answered `{answer}`", program.display())]
    NotGit {
        /// The program asked.
        program: PathBuf,
        /// The start of its answer.
        answer: String,
    },
    /// The child did not start, or could not be watched.
    #[error("start `git {what}`")]
    Start {
        /// The subcommand.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The child was still running when its time was over; it and its group were killed.
    #[error("wait for `git {what}`: no end after {} s", after.as_secs())]
    Deadline {
        /// The subcommand.
        what: String,
        /// How long it ran.
        after: Duration,
    },
    /// The child printed more than it may; it and its group were killed.
    #[error("read the answer of `git {what}`: more than {limit} bytes")]
    TooMuchOutput {
        /// The subcommand.
        what: String,
        /// The limit in bytes.
        limit: usize,
    },
}

impl GitError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("install git, or name it under `git.program` in the configuration".to_owned())
            }
            Self::TooOld { .. } | Self::NotGit { .. } => Some(format!(
                "install git {OLDEST} or newer, or name it under `git.program` in the configuration"
            )),
            _ => None,
        }
    }
}

/// The git program and the environment its children get. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Git {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    version: Version,
    variables: Vec<(&'static str, OsString)>,
}

impl Git {
    /// Finds git and asks its version. `program` names it outright; else `PATH` of `env` is searched.
    ///
    /// # Errors
    /// [`GitError::Missing`], [`GitError::TooOld`], [`GitError::NotGit`], or what kept it from running.
    pub fn find(
        program: Option<&Path>,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, GitError> {
        let variables: Vec<_> =
            KEPT_VARIABLES.iter().filter_map(|name| Some((*name, env(name)?))).collect();
        let program = match program {
            Some(path) => path.to_owned(),
            None => {
                search(env("PATH").as_deref(), "git").ok_or(GitError::Missing { place: None })?
            }
        };
        let unknown = Self {
            inner: Arc::new(Inner {
                program: program.clone(),
                version: OLDEST,
                variables: variables.clone(),
            }),
        };
        let version = unknown.ask_version()?;
        if version < OLDEST {
            return Err(GitError::TooOld { program, found: version });
        }
        Ok(Self { inner: Arc::new(Inner { program, version, variables }) })
    }

    /// Offers an ssh agent to the children where there is none, or one that is gone: a daemon of the
    /// service manager has none of its own, but a terminal's client may lend it one. `instead` of one that is
    /// there, too: it may not have the key.
    #[must_use]
    pub fn with_agent(&self, socket: &Path, instead: bool) -> Self {
        let has_one = self.variable("SSH_AUTH_SOCK").is_some_and(|own| Path::new(own).exists());
        if (has_one && !instead) || !socket.exists() {
            return self.clone();
        }
        let mut variables = self.inner.variables.clone();
        variables.retain(|(name, _)| *name != "SSH_AUTH_SOCK");
        variables.push(("SSH_AUTH_SOCK", socket.as_os_str().to_owned()));
        let Inner { program, version, .. } = &*self.inner;
        Self { inner: Arc::new(Inner { program: program.clone(), version: *version, variables }) }
    }

    fn ask_version(&self) -> Result<Version, GitError> {
        let output = self.command().arg("version").deadline(VERSION_DEADLINE).run();
        let output = output.map_err(|error| match error {
            GitError::Start { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                GitError::Missing { place: Some(self.inner.program.clone()) }
            }
            other => other,
        })?;
        let answer = String::from_utf8_lossy(&output.stdout);
        Version::parse(&answer).ok_or_else(|| GitError::NotGit {
            program: self.inner.program.clone(),
            answer: answer.chars().filter(|c| !c.is_control()).take(80).collect(),
        })
    }

    /// Starts a command. Until told otherwise it has no network and 30 seconds.
    pub fn command(&self) -> GitCommand {
        GitCommand::new(self.clone())
    }

    /// Returns the version that was found.
    pub fn version(&self) -> Version {
        self.inner.version
    }

    /// Returns the program that is run.
    pub fn program(&self) -> &Path {
        &self.inner.program
    }

    /// Returns the user's home directory, as the children see it.
    pub fn home(&self) -> Option<&Path> {
        self.variable("HOME").map(Path::new)
    }

    fn variable(&self, wanted: &str) -> Option<&OsStr> {
        self.inner
            .variables
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.as_os_str())
    }
}

/// Finds a program in the absolute directories of `path`: a relative one would mean whatever directory
/// we happen to be in.
fn search(path: Option<&OsStr>, name: &str) -> Option<PathBuf> {
    let directories = std::env::split_paths(path?);
    directories
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
pub(crate) mod sandbox;
#[cfg(test)]
mod tests;
