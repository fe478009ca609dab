//! What ends the daemon: everything else it survives.

use std::error::Error as _;
use std::io;

use convosync_core::config::ConfigError;
use convosync_core::git::GitError;
use convosync_core::vault::VaultError;

use crate::args::ExitCode;
use crate::instance::InstanceError;
use crate::log::LogError;
use crate::socket::SocketError;

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The configuration, or the environment that says where it is.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log's filter.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Another daemon, or no state directory.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// No socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// No git, or one that is too old.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The keys are there and cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The operating system gives no threads or signals.
    #[error("start the event loop")]
    Runtime(#[source] io::Error),
}

impl Fatal {
    /// Says what happened with all its causes, on one line.
    pub fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Log(_) => Some("write it like `debug` or `convosyncd=trace,warn`".to_owned()),
            Self::Instance(error) => error.hint(),
            Self::Socket(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::Vault(error) => error.hint(),
            Self::Runtime(_) => None,
        }
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Log(_) => ExitCode::BadConfig,
            Self::Instance(InstanceError::AlreadyRunning { .. }) => ExitCode::AlreadyRunning,
            Self::Instance(_)
            | Self::Socket(_)
            | Self::Runtime(_)
            | Self::Git(_)
            | Self::Vault(_) => ExitCode::Failed,
        }
    }
}
