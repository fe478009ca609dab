//! How a run ends, as a number.

use convosync_core::protocol::ErrorKind;

/// What the program's exit status means; `docs/commands.md` lists the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Done.
    Ok = 0,
    /// Failed.
    Failed = 1,
    /// The command line is wrong, or needs an option that was not given.
    Usage = 2,
    /// The daemon does not run and was not or could not be started.
    NoDaemon = 3,
    /// Nothing was done, because the user has to decide first.
    NeedsDecision = 4,
    /// This device has no keys yet.
    NotInitialised = 5,
    /// Everything is kept on this device, but the remote does not have it.
    KeptLocally = 6,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

impl From<ErrorKind> for ExitCode {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotInitialised => Self::NotInitialised,
            ErrorKind::NeedsDecision
            | ErrorKind::Live
            | ErrorKind::OtherRepository
            | ErrorKind::Ambiguous => Self::NeedsDecision,
            ErrorKind::Offline => Self::KeptLocally,
            ErrorKind::BadRequest
            | ErrorKind::OtherProtocol
            | ErrorKind::AlreadyInitialised
            | ErrorKind::WrongPhrase
            | ErrorKind::NotEnabled
            | ErrorKind::NoRemote
            | ErrorKind::UnknownSession
            | ErrorKind::Refused
            | ErrorKind::Damaged
            | ErrorKind::BadConfig
            | ErrorKind::Failed => Self::Failed,
        }
    }
}
