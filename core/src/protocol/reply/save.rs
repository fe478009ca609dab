//! What the daemon answers when a session is to be saved.

use serde::{Deserialize, Serialize};

use super::{CodeLeftOut, Problem, SessionInfo, SyncState};
use crate::id::SessionId;

/// Answer of `save`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SaveReply {
    /// The session as it now stands.
    pub session: SessionInfo,
    /// Whether anything new had to be saved.
    pub changed: bool,
    /// New messages in this save.
    pub new_messages: u32,
    /// Sealed bytes of this save.
    pub sealed_bytes: u64,
    /// Where it has got to.
    pub sync: SyncState,
    /// Why it is not on the remote yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What of the code is not in it.
    #[serde(default, skip_serializing_if = "CodeLeftOut::is_nothing")]
    pub code: CodeLeftOut,
    /// The names of the other devices that will see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Whether it stays on this device until somebody says otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

/// Answer of `save-outlook`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SaveOutlookReply {
    /// The session that would be saved.
    pub session: SessionId,
    /// The first eight characters.
    pub short: String,
    /// Its title as of its last save.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How many messages it had when it was last saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u32>,
    /// The names of the other devices that would see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
}
