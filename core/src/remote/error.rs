//! Why a remote could not be used, and what the user can do about it.

use super::outcome::{Failure, Outcome};
use super::passing::{NO_ANSWER, Passing, plain};
use super::{PermanentKind, words};
use crate::cause::with_causes;
use crate::git::GitError;
use crate::id::Oid;
use crate::store::StoreError;

/// Why a remote could not be listed or fetched from.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address names nothing we would reach.
    #[error("use the remote `{url}`: not an address for https, ssh or a directory")]
    BadUrl {
        /// The address, without credentials.
        url: String,
    },
    /// Trying again later may work.
    #[error("reach the remote: {why}")]
    Transient {
        /// What was said, made printable.
        why: String,
    },
    /// Trying again is of no use before the user has done something.
    #[error("use the remote: {}: {why}", kind.cause())]
    Permanent {
        /// The cause.
        kind: PermanentKind,
        /// What was said, made printable.
        why: String,
    },
    /// There is more than we are ready to download.
    #[error("read from the remote: more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The remote does not have the commit any more.
    #[error("fetch commit {commit}: the remote does not have it")]
    Gone {
        /// The commit.
        commit: Oid,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Git could not be run.
    #[error(transparent)]
    Git(GitError),
}

impl RemoteError {
    /// Whether trying again later, without the user, may work.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    /// Whether the fault lies in what was asked for, so that other refs may still be fetched.
    pub(super) fn is_of_the_ref(&self) -> bool {
        let kinds = [PermanentKind::NotThere, PermanentKind::Damaged];
        matches!(self, Self::TooLarge { .. })
            || matches!(self, Self::Permanent { kind, .. } if kinds.contains(kind))
    }

    /// Whether the host gives no commit by its id.
    pub(super) fn is_of_ids(&self) -> bool {
        matches!(self, Self::Permanent { kind: PermanentKind::IdsRefused, .. })
    }

    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadUrl { .. } => {
                Some("name another repository under `store.remote` in the configuration".to_owned())
            }
            Self::Permanent { kind, .. } => Some(kind.hint().to_owned()),
            Self::Store(source) => source.hint(),
            Self::Git(source) => source.hint(),
            Self::Transient { why } => Passing::way_out(why).map(str::to_owned),
            Self::TooLarge { .. } | Self::Gone { .. } => None,
        }
    }
}

impl From<GitError> for RemoteError {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Deadline { after, .. } => {
                Self::Transient { why: format!("{NO_ANSWER} {} s", after.as_secs()) }
            }
            GitError::TooMuchOutput { limit, .. } => Self::TooLarge { limit: limit as u64 },
            other => Self::Git(other),
        }
    }
}

impl From<RemoteError> for Outcome {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Transient { why } => Self::Transient { why },
            RemoteError::Permanent { kind, why } => Self::Permanent { kind, why },
            other => Self::Transient { why: words::printable(&with_causes(&other)) },
        }
    }
}

impl From<Failure> for RemoteError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Transient(why) => Self::Transient { why: plain(why) },
            Failure::Permanent(kind, why) => Self::Permanent { kind, why },
        }
    }
}
