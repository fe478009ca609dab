//! What the daemon answers when a session is to be saved, and how it tells a save.

use serde::{Deserialize, Serialize};

use super::{CodeLeftOut, MakerInfo, Problem, SessionInfo, SyncState};
use crate::id::{DeviceId, SessionId};
use crate::shell_history::Typed;

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
    /// Whether the conversation has become very large, which is told now and not again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub large: bool,
    /// How many lines of the shell's history it took along.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shell_lines: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's own form")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A session whose conversation is very large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeSession {
    /// Which.
    pub session: SessionId,
    /// The first eight characters.
    pub short: String,
    /// How many messages it has.
    pub messages: u32,
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
    /// What lines of the shell's history are chosen by, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell_history: Option<ShellOutlook>,
}

/// What a client chooses lines of the shell's history by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellOutlook {
    /// When the session began, in Unix milliseconds; none is chosen where that is not known.
    pub began_ms: Option<i64>,
    /// The time of its last message, likewise.
    #[serde(default)]
    pub ended_ms: Option<i64>,
    /// The lines of this device that the session has.
    pub known: Vec<Typed>,
    /// The lines of other devices that it has, with which those of this one share their room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Typed>,
}

/// One save of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SaveInfo {
    /// Its number.
    pub save: u32,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// Who made it.
    pub device: DeviceId,
    /// What the user said about it.
    pub message: Option<String>,
    /// Messages so far.
    pub messages: u32,
    /// Branch then.
    pub branch: Option<String>,
    /// Commit then.
    pub commit: Option<String>,
    /// Whether there were uncommitted changes.
    pub dirty: bool,
    /// Why its code is named only, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
    /// What made it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<MakerInfo>,
}
