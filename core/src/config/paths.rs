//! Where our files lie on this device.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Config, ConfigError};

/// The socket's name in the runtime directory.
pub const SOCKET_NAME: &str = "convosyncd.sock";

/// The longest path a socket can have, in bytes: `sun_path` of macOS less the final NUL (Linux
/// allows four more).
pub const SOCKET_PATH_MAX: usize = 103;

/// The name of our folder below each of the system's.
const FOLDER: &str = "convosync";

/// Where everything lies on this device. Nothing is made here: whoever writes makes the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The user's home directory.
    pub home: PathBuf,
    /// The configuration file; it need not exist.
    pub config_file: PathBuf,
    /// Keys and the device's identity: what cannot be rebuilt.
    pub data_dir: PathBuf,
    /// What can be rebuilt from transcripts and remotes.
    pub state_dir: PathBuf,
    /// What lives no longer than the daemon.
    pub runtime_dir: PathBuf,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// The folder Claude Code itself would use: `CLAUDE_CONFIG_DIR`, or `~/.claude`.
    pub claude_default: PathBuf,
}

impl Paths {
    /// Reads the places from the environment: everything below `CONVOSYNC_HOME` where that is set,
    /// otherwise where the platform keeps such files.
    ///
    /// # Errors
    /// When there is no home directory, when `CONVOSYNC_HOME` is relative, or when the socket's path
    /// would be too long.
    pub fn from_env(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let uid = rustix::process::geteuid().as_raw();
        Self::locate(env, &|dir: &Path| {
            std::fs::metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == uid)
        })
    }

    /// `is_ours` tells whether a directory exists and belongs to this user.
    pub(super) fn locate(
        env: &dyn Fn(&str) -> Option<OsString>,
        is_ours: &dyn Fn(&Path) -> bool,
    ) -> Result<Self, ConfigError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // Relative values are invalid and to be ignored, says the XDG base directory specification.
        let absolute = |name: &str| env(name).filter(|path| path.is_absolute());
        let home = absolute("HOME")
            .or_else(|| directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()));
        let base = env("CONVOSYNC_HOME");
        let home = home.or_else(|| base.clone()).ok_or(ConfigError::NoHome)?;
        let claude_default = absolute("CLAUDE_CONFIG_DIR").unwrap_or_else(|| home.join(".claude"));
        match base {
            Some(base) if base.is_absolute() => Self::below(&base, home, claude_default),
            Some(value) => Err(ConfigError::NotAbsolute { variable: "CONVOSYNC_HOME", value }),
            None => Self::of_platform(&absolute, is_ours, home, claude_default),
        }
    }

    fn below(base: &Path, home: PathBuf, claude_default: PathBuf) -> Result<Self, ConfigError> {
        let paths = Self {
            home,
            config_file: base.join("config.toml"),
            data_dir: base.join("keys"),
            state_dir: base.join("state"),
            runtime_dir: base.join("run"),
            socket: base.join("run").join(SOCKET_NAME),
            claude_default,
        };
        paths.check("CONVOSYNC_HOME")
    }

    fn of_platform(
        absolute: &dyn Fn(&str) -> Option<PathBuf>,
        is_ours: &dyn Fn(&Path) -> bool,
        home: PathBuf,
        claude_default: PathBuf,
    ) -> Result<Self, ConfigError> {
        let dir = |variable: &str, default: &str| {
            absolute(variable).map_or_else(|| home.join(default), |dir| dir.join(FOLDER))
        };
        let state_dir = dir("XDG_STATE_HOME", defaults::STATE);
        let (runtime_dir, variable) = runtime_dir(absolute, is_ours, &state_dir);
        let paths = Self {
            config_file: dir("XDG_CONFIG_HOME", defaults::CONFIG).join("config.toml"),
            data_dir: dir("XDG_DATA_HOME", defaults::DATA),
            socket: runtime_dir.join(SOCKET_NAME),
            runtime_dir,
            state_dir,
            home,
            claude_default,
        };
        paths.check(variable)
    }

    fn check(self, variable: &'static str) -> Result<Self, ConfigError> {
        if self.socket.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(ConfigError::SocketPathTooLong { path: self.socket, variable });
        }
        Ok(self)
    }

    /// Returns the folders of Claude Code that are looked after, each once.
    pub fn claude_roots(&self, config: &Config) -> Vec<PathBuf> {
        if config.claude_roots.is_empty() {
            return vec![self.claude_default.clone()];
        }
        let mut roots: Vec<PathBuf> = Vec::new();
        for root in &config.claude_roots {
            let root = self.expand(root);
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        roots
    }

    /// Replaces a leading `~` by the home directory.
    pub fn expand(&self, path: &str) -> PathBuf {
        match path.strip_prefix('~') {
            Some("") => self.home.clone(),
            Some(rest) if rest.starts_with('/') => self.home.join(rest.trim_start_matches('/')),
            _ => PathBuf::from(path),
        }
    }
}

/// Returns where the socket goes, and the variable that would move it. A client without
/// `XDG_RUNTIME_DIR` (cron, `su`) must find the daemon that had it, so the standard place counts
/// whether or not the variable is set.
fn runtime_dir(
    absolute: &dyn Fn(&str) -> Option<PathBuf>,
    is_ours: &dyn Fn(&Path) -> bool,
    state_dir: &Path,
) -> (PathBuf, &'static str) {
    let standard = PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw()));
    let given = absolute("XDG_RUNTIME_DIR");
    if let Some(dir) = given.into_iter().chain([standard]).find(|dir| is_ours(dir)) {
        return (dir.join(FOLDER), "XDG_RUNTIME_DIR");
    }
    // Termux has a prefix of its own instead of the root directory.
    let termux = absolute("PREFIX").map(|prefix| prefix.join("var/run")).filter(|dir| is_ours(dir));
    match termux {
        Some(dir) => (dir.join(FOLDER), "CONVOSYNC_HOME"),
        None => (state_dir.join("run"), "CONVOSYNC_HOME"),
    }
}

/// Where the platform keeps such files, below the home directory.
#[cfg(not(target_os = "macos"))]
mod defaults {
    pub(super) const CONFIG: &str = ".config/convosync";
    pub(super) const DATA: &str = ".local/share/convosync";
    pub(super) const STATE: &str = ".local/state/convosync";
}

/// Where macOS keeps such files, below the home directory. Not in its caches, which it empties:
/// saves that were not pushed yet are state.
#[cfg(target_os = "macos")]
mod defaults {
    pub(super) const CONFIG: &str = "Library/Application Support/convosync";
    pub(super) const DATA: &str = "Library/Application Support/convosync/keys";
    pub(super) const STATE: &str = "Library/Application Support/convosync/state";
}
