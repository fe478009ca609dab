//! Where the daemon's files lie: a thin stand-in for `convosync_core::config`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where everything lies on this device.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The configuration file.
    pub(crate) config_file: PathBuf,
    /// Keys.
    pub(crate) data_dir: PathBuf,
    /// What can be rebuilt, and the log.
    pub(crate) state_dir: PathBuf,
    /// The daemon's socket.
    pub(crate) socket: PathBuf,
}

/// Why the places are unknown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlacesError {
    /// Nothing says where the user's files are.
    #[error("no home directory: HOME is not set")]
    NoHome,
    /// The configuration cannot be read.
    #[error("read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
}

impl PlacesError {
    /// Returns what the user can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("set HOME or CONVOSYNC_HOME to a folder of yours".to_owned()),
            Self::Read { .. } => None,
        }
    }
}

impl Paths {
    /// Reads the places from the environment.
    pub(crate) fn from_env(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, PlacesError> {
        let base = match env("CONVOSYNC_HOME") {
            Some(base) => PathBuf::from(base),
            None => PathBuf::from(env("HOME").ok_or(PlacesError::NoHome)?).join(".convosync"),
        };
        Ok(Self {
            config_file: base.join("config.toml"),
            data_dir: base.join("data"),
            state_dir: base.join("state"),
            socket: base.join("run").join("convosyncd.sock"),
        })
    }
}

/// Reads and checks the configuration; a missing file means the defaults.
pub(crate) fn check_config(path: &Path) -> Result<Option<String>, PlacesError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PlacesError::Read { path: path.to_owned(), source }),
    }
}
