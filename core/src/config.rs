//! What the user decides, and where our files lie.
//!
//! What was typed (`raw`) and what was decided ([`Config`]) are two types: a [`Config`] only holds
//! values that make sense. This room reads one file and makes none; nothing below the two mains
//! reads files or the environment to learn a setting.
//!
//! `config.example.toml` lists every key with its default, `docs/config.md` explains them.

mod autosave;
mod exclude;
mod nearest;
mod paths;
mod raw;
mod value;

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use autosave::{Autosave, AutosaveCode, Unfit};
pub use exclude::excluded_by;
pub use paths::{Paths, SOCKET_NAME, SOCKET_PATH_MAX};
use raw::RawConfig;

/// The largest configuration file that is read, in bytes: a hundred times what all keys need.
pub const FILE_MAX: u64 = 256 << 10;

/// Everything that can be configured. The defaults are those of `config.example.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Claude Code's folders as typed; empty means the one Claude Code itself would use. See
    /// [`Paths::claude_roots`].
    pub claude_roots: Vec<String>,
    /// A session that was quiet for so long is idle, and saved.
    pub idle_after_ms: i64,
    /// Uninterrupted work is saved at least so often.
    pub save_at_least_every_ms: i64,
    /// How chunks are compressed.
    pub codec: Codec,
    /// Projects that are never saved, as patterns of their folders. See [`excluded_by`].
    pub exclude: Vec<String>,
    /// What stands behind the message of a commit that `save` makes; may be empty.
    pub commit_suffix: String,
    /// What the daemon does about the code by itself.
    pub autosave: Autosave,
    /// What of the code is saved with a conversation.
    pub code: Code,
    /// Names of variables that travel with a session; see [`crate::environment`].
    pub environment: Vec<String>,
    /// Whether what its user types into the shell travels with a session; see [`crate::shell_history`].
    pub shell_history: bool,
    /// Whether the operating system is asked for events; otherwise only rescans notice anything.
    pub events: bool,
    /// All transcripts are looked at so often, whatever events said.
    pub rescan_every_ms: i64,
    /// The repository of a recent session is compared with its last save so often.
    pub code_check_every_ms: i64,
    /// A session is recent for so long after its last line.
    pub recent_ms: i64,
    /// One private repository for everything, instead of each project's own remote.
    pub store_remote: Option<String>,
    /// Pushes to one remote are at least so far apart on average.
    pub push_at_most_every_ms: i64,
    /// Other devices' news are asked for so often.
    pub poll_every_ms: i64,
    /// Whether the user is notified of a remote that refuses.
    pub notify_trouble: bool,
    /// Whether the user is notified of other devices' saves.
    pub notify_arrivals: bool,
    /// The program that is told instead of the desktop's notifier.
    pub notify_program: Option<PathBuf>,
    /// The git to run, instead of the one on `PATH`.
    pub git_program: Option<PathBuf>,
    /// A git command on the network that runs for longer, beyond the time its bytes need, is stopped.
    pub git_deadline_ms: i64,
    /// How much is logged.
    pub log_level: LogLevel,
}

impl Default for Config {
    fn default() -> Self {
        const SECOND: i64 = 1_000;
        const MINUTE: i64 = 60 * SECOND;
        Self {
            claude_roots: Vec::new(),
            idle_after_ms: 30 * SECOND,
            save_at_least_every_ms: 5 * MINUTE,
            codec: Codec::Zstd,
            exclude: Vec::new(),
            commit_suffix: "[ConvoSync]".to_owned(),
            autosave: Autosave::default(),
            code: Code::default(),
            environment: Vec::new(),
            shell_history: false,
            events: true,
            rescan_every_ms: MINUTE,
            code_check_every_ms: MINUTE,
            recent_ms: 60 * MINUTE,
            store_remote: None,
            push_at_most_every_ms: MINUTE,
            poll_every_ms: 5 * MINUTE,
            notify_trouble: true,
            notify_arrivals: true,
            notify_program: None,
            git_program: None,
            git_deadline_ms: 2 * MINUTE,
            log_level: LogLevel::Info,
        }
    }
}

/// What of a project's code is saved with its conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Whether any is.
    pub capture: bool,
    /// The largest single file in bytes.
    pub file_max: u64,
    /// All changed files, or all commits that are not pushed, together, in bytes.
    pub total_max: u64,
    /// How many changed files.
    pub files_max: u32,
    /// Files that are never saved beside those whose names say that they hold a secret; as [`excluded_by`].
    pub guard: Vec<String>,
    /// Such files that are saved all the same: patterns that begin with a project's folder.
    pub include_secrets: Vec<String>,
}

impl Default for Code {
    fn default() -> Self {
        Self {
            capture: true,
            file_max: 10 << 20,
            total_max: 100 << 20,
            files_max: 10_000,
            guard: Vec::new(),
            include_secrets: Vec::new(),
        }
    }
}

/// How chunks are compressed before they are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// zstd with the log's own past as prefix: a third smaller than gzip on transcripts.
    #[default]
    Zstd,
    /// gzip, for those who want nothing else.
    Gzip,
}

/// How much is logged, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// What may need the user.
    Warn,
    /// What was done.
    #[default]
    Info,
    /// How, with paths.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// Returns the word that stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Config {
    /// Reads and checks the file; a missing one means the defaults.
    ///
    /// # Errors
    /// Unknown keys and bad values name their file, line and column.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(read(error)),
        };
        let mut bytes = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() as u64 > FILE_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned() });
        }
        match str::from_utf8(&bytes) {
            Ok(text) => Self::parse(text, path),
            Err(error) => {
                let (good, _) = bytes.split_at(error.valid_up_to());
                let place = Place::of(path, &String::from_utf8_lossy(good), good.len());
                Err(ConfigError::Syntax { place, message: "this is not UTF-8".to_owned() })
            }
        }
    }

    /// Checks the text of a file; `file` is only named in errors.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        raw::parse(text)
            .and_then(RawConfig::check)
            .map_err(|wrong| ConfigError::from_wrong(wrong, text, file))
    }

    /// Writes every key as it is in force, in the file's own form.
    pub fn to_toml(&self) -> String {
        toml::to_string(&RawConfig::from(self)).expect("strings, lists and tables are always TOML")
    }
}

/// Where in the configuration file something stands; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    fn of(file: &Path, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// What is wrong with the configuration, or with the environment that says where it is.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is no configuration of ours.
    #[error("`{}` is larger than {FILE_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// A key or section that does not exist.
    #[error("{place}: unknown key `{key}`")]
    UnknownKey {
        /// Where.
        place: Place,
        /// What was typed.
        key: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// A value that makes no sense for its key.
    #[error("{place}: {}{message}", key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default())]
    BadValue {
        /// Where.
        place: Place,
        /// For which key, where that is known.
        key: Option<String>,
        /// What is wrong with it.
        message: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// Nothing says where the user's files are.
    #[error("no home directory: HOME is not set")]
    NoHome,
    /// A variable that must name a folder from the root on does not.
    #[error("`{variable}` is not an absolute path: `{}`", value.display())]
    NotAbsolute {
        /// Which variable.
        variable: &'static str,
        /// What it says.
        value: PathBuf,
    },
    /// The operating system limits the length of a socket's path.
    #[error(
        "socket path `{}` has {} bytes, but at most {SOCKET_PATH_MAX} are possible",
        path.display(),
        path.as_os_str().len()
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// The variable that it follows from, to be set to something shorter.
        variable: &'static str,
    },
}

impl ConfigError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { suggestion, .. } | Self::BadValue { suggestion, .. } => {
                suggestion.clone()
            }
            Self::NoHome => {
                Some("set HOME, or CONVOSYNC_HOME to a folder for all of ConvoSync".to_owned())
            }
            Self::NotAbsolute { variable, .. } => {
                Some(format!("let {variable} begin with `/`, or unset it"))
            }
            Self::SocketPathTooLong { variable, .. } => Some(format!(
                "set {variable} to a shorter path, for the daemon and for the client alike"
            )),
            Self::TooLarge { .. } => Some("is this another program's file?".to_owned()),
            Self::Read { .. } | Self::Syntax { .. } => None,
        }
    }

    fn from_wrong(wrong: raw::Wrong, text: &str, file: &Path) -> Self {
        let place = Place::of(file, text, wrong.at);
        match wrong.what {
            raw::What::Syntax(message) => Self::Syntax { place, message },
            raw::What::Key { key, suggestion } => Self::UnknownKey { place, key, suggestion },
            raw::What::Value { key, message, suggestion } => {
                Self::BadValue { place, key, message, suggestion }
            }
        }
    }
}

#[cfg(test)]
mod tests;
