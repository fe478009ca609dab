//! Why a command failed: every error with its hint and the number it ends with.

use std::io;

use convosync_core::cause::with_causes;
use convosync_core::checkout::CheckoutError;
use convosync_core::commit::CommitError;
use convosync_core::config::ConfigError;
use convosync_core::disk::DiskError;
use convosync_core::git::GitError;
use convosync_core::project::ProjectError;
use convosync_core::protocol::Failure;
use convosync_core::seal::PhraseError;

use crate::ask::AskError;
use crate::exit::ExitCode;
use crate::service::ServiceError;
use crate::socket::SocketError;
use crate::start::StartError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CtlError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Something failed after changes that stood here were stashed or committed.
    #[error("{}", cause.message())]
    PutAside { cause: Box<CtlError>, way_back: String },
    /// The answer could not be printed.
    #[error("write the output")]
    Output(#[from] io::Error),
    /// A command ended in a way of its own.
    #[error("{message}")]
    Refused { code: ExitCode, message: String, hint: Option<String> },
}

impl CtlError {
    /// Builds the failure of a command.
    pub(crate) fn refused(code: ExitCode, message: &str, hint: &str) -> Self {
        Self::Refused { code, message: message.to_owned(), hint: Some(hint.to_owned()) }
    }

    /// Returns what the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::Ok,
            Self::Socket(source) => source.exit_code(),
            Self::Start(source) => source.exit_code(),
            Self::Ask(_) => ExitCode::NeedsDecision,
            Self::Refused { code, .. } => *code,
            Self::PutAside { cause, .. } => cause.exit_code(),
            Self::Checkout(CheckoutError::Refused(_)) => ExitCode::NeedsDecision,
            Self::Config(_)
            | Self::Checkout(_)
            | Self::Commit(_)
            | Self::Git(_)
            | Self::Project(_)
            | Self::Disk(_)
            | Self::Phrase(_)
            | Self::Service(_)
            | Self::Output(_) => ExitCode::Failed,
        }
    }

    /// Returns what the user can do, if anything.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Config(source) => source.hint(),
            Self::Disk(DiskError::Exists(_)) => {
                Some("move it to a safe place, or name another file".to_owned())
            }
            Self::Disk(source) => source.hint(),
            Self::Git(source) => source.hint(),
            Self::Project(source) => source.hint(),
            Self::Checkout(source) => source.hint(),
            Self::Commit(source) => source.hint(),
            Self::Socket(source) => source.hint(),
            Self::Start(source) => source.hint(),
            Self::Service(source) => source.hint(),
            Self::Ask(source) => source.hint(),
            Self::Refused { hint, .. } => hint.clone(),
            // First what is wrong is mended: an undo, for one, comes before what was stashed.
            Self::PutAside { cause, way_back } => {
                let hint = cause.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
                Some(format!("{hint}{way_back}"))
            }
            Self::Phrase(source) => source.hint(),
            Self::Output(_) => None,
        }
    }

    /// Returns the daemon's failure, if it is one.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Socket(SocketError::Failed(failure)) => Some(failure),
            Self::PutAside { cause, .. } => cause.failure(),
            _ => None,
        }
    }

    /// Returns the message with all its causes.
    pub(crate) fn message(&self) -> String {
        with_causes(self)
    }
}
