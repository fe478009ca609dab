//! What travels on the local socket between `convosyncctl` and `convosyncd`.
//!
//! Newline-delimited JSON-RPC 2.0. The first request of a connection is [`Hello`]; a daemon of
//! another protocol answers with [`ErrorKind::OtherProtocol`]. Long requests are answered by any
//! number of `progress` notifications and then the response. Unknown fields are ignored, so that a
//! newer client and an older daemon of the same protocol understand each other.
//!
//! `docs/protocol.md` lists the methods with an example of each.

pub mod reply;
pub mod request;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use reply::*;
pub use request::*;

/// The version both sides must share. Raised only when an old client would misunderstand.
pub const PROTOCOL: u32 = 1;

/// The longest line either side accepts, in bytes: larger answers are paged.
pub const LINE_MAX: usize = 1 << 20;

/// One request as it stands on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestLine {
    /// Always "2.0".
    pub jsonrpc: String,
    /// Chosen by the client; repeated in the answer.
    pub id: u64,
    /// Method and parameters.
    #[serde(flatten)]
    pub request: Request,
}

impl RequestLine {
    /// Wraps `request` under `id`.
    pub fn new(id: u64, request: Request) -> Self {
        Self { jsonrpc: "2.0".to_owned(), id, request }
    }
}

/// One line from the daemon: an answer or a notification.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerLine {
    /// Always "2.0".
    pub jsonrpc: String,
    /// Which request is answered; absent in notifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The answer of a request that went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why a request failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// "progress" or "event", in notifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A [`Progress`] or an [`Event`], in notifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
}

impl AnswerLine {
    fn empty() -> Self {
        Self {
            jsonrpc: "2.0".to_owned(),
            id: None,
            result: None,
            error: None,
            method: None,
            params: None,
        }
    }

    /// Answers request `id` with `result`.
    pub fn result(id: u64, result: Value) -> Self {
        Self { id: Some(id), result: Some(result), ..Self::empty() }
    }

    /// Answers request `id` with a failure; without an id when the request could not be read.
    pub fn failure(id: Option<u64>, failure: Failure) -> Self {
        Self { id, error: Some(failure), ..Self::empty() }
    }

    /// Tells how far a long request is.
    pub fn progress(progress: &Progress) -> Self {
        Self {
            method: Some("progress".to_owned()),
            params: serde_json::to_value(progress).ok(),
            ..Self::empty()
        }
    }

    /// Tells what happened, to a client that watches.
    pub fn event(event: &Event) -> Self {
        Self {
            method: Some("event".to_owned()),
            params: serde_json::to_value(event).ok(),
            ..Self::empty()
        }
    }
}

/// Why a request failed, in words for a person and a kind for a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// JSON-RPC's number; [`ErrorKind::code`] of the kind.
    pub code: i32,
    /// What failed and where: a lowercase fragment without a full stop.
    pub message: String,
    /// Kind and hint.
    pub data: FailureData,
}

/// The machine-readable half of a [`Failure`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureData {
    /// What sort of failure it is.
    pub kind: ErrorKind,
    /// What to do next, if anything can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// Builds a failure without a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { code: kind.code(), message: message.into(), data: FailureData { kind, hint: None } }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = Some(hint.into());
        self
    }
}

/// Sorts of failure; the client's exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The line is not a request of this protocol.
    BadRequest,
    /// The other side speaks another protocol.
    OtherProtocol,
    /// This device has no keys yet: `convosyncctl init`.
    NotInitialised,
    /// This device has keys already.
    AlreadyInitialised,
    /// The recovery phrase is not one, or opens nothing on this remote.
    WrongPhrase,
    /// The directory belongs to no enabled project.
    NotEnabled,
    /// The project has no remote to save to.
    NoRemote,
    /// No session answers to that name.
    UnknownSession,
    /// Several sessions answer to that name.
    Ambiguous,
    /// The user has to decide: local and saved conversation both moved, or something would be lost.
    NeedsDecision,
    /// The session is running on this device.
    Live,
    /// The session belongs to another repository.
    OtherRepository,
    /// The remote cannot be reached at the moment; work is kept locally.
    Offline,
    /// The remote refuses, and will refuse again until somebody acts.
    Refused,
    /// Sealed data is damaged, forged or made by a newer version.
    Damaged,
    /// The configuration is wrong.
    BadConfig,
    /// Something else failed on this device.
    Failed,
}

impl ErrorKind {
    /// Returns the JSON-RPC code: the reserved range for protocol errors, 1 and up for ours.
    pub fn code(self) -> i32 {
        match self {
            Self::BadRequest => -32600,
            Self::OtherProtocol => -32000,
            other => other as i32,
        }
    }
}

/// How far a long request is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done now, as in "uploading conversation".
    pub step: String,
    /// Units done, where there is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// Units in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Set before a large download begins: so many bytes it has, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download: Option<u64>,
}

/// What a watching client is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A session was saved on this device.
    Saved {
        /// Its id.
        session: crate::id::SessionId,
        /// The number of the save.
        save: u32,
        /// Messages so far.
        messages: u32,
        /// Sealed bytes of this save.
        sealed_bytes: u64,
    },
    /// The remote was read back and holds everything saved here.
    OnRemote {
        /// The remote's address, without credentials.
        remote: String,
        /// Bytes sent and received for it.
        sent: u64,
        /// Bytes received.
        received: u64,
    },
    /// Another device saved.
    Arrived {
        /// Whose save it is, by name.
        device: String,
        /// Which session.
        session: crate::id::SessionId,
    },
    /// Something is wrong that the user should know.
    Trouble {
        /// What, and where.
        message: String,
        /// What to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

#[cfg(test)]
mod tests;
