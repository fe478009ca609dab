//! The answer of `log`.

use serde::{Deserialize, Serialize};

use super::{SaveInfo, SessionInfo, UsedInfo};

/// Answer of `log`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogReply {
    /// The session.
    pub session: SessionInfo,
    /// With what it was written.
    #[serde(default, skip_serializing_if = "UsedInfo::is_nothing")]
    pub used: UsedInfo,
    /// Its saves, newest first, from the one that was asked for on.
    pub saves: Vec<SaveInfo>,
    /// Where the code stood while it was written, in order; they cover the whole conversation.
    pub passages: Vec<PassageInfo>,
    /// Where the code stands in the clone of its repository here, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<HereInfo>,
}

/// A part of a conversation that was written while HEAD stood at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassageInfo {
    /// The byte of the main transcript that it begins at.
    pub from: u64,
    /// The byte that it ends at; it is the same where no line was written there.
    pub until: u64,
    /// How many messages there are before it.
    pub messages_before: u32,
    /// How many messages begin in it.
    pub messages: u32,
    /// The branch; absent when HEAD was detached, or it is not known.
    pub branch: Option<String>,
    /// The commit; absent when it is not known, or there was none yet.
    pub commit: Option<String>,
    /// What the user said first in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The shell commands that were run in it, the newest ones. Not told by `diff`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandInfo>,
    /// How many were run before those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub commands_left_out: u32,
    /// What was typed into the shell while it was written, where that travels with the session. Not told by `diff`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub typed: Vec<TypedInfo>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's own form")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A shell command that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandInfo {
    /// The command, on one line; a long one is cut.
    pub command: String,
    /// Whether the user typed it, not Claude.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_user: bool,
    /// Whether a subagent ran it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_agent: bool,
    /// What became of it.
    pub result: CommandResult,
    /// Its exit code, where it failed and that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// A line that somebody typed into the shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedInfo {
    /// When, in Unix milliseconds, to the second.
    pub at_ms: i64,
    /// The name of the device.
    pub device: String,
    /// The line, on one line; a long one is cut.
    pub line: String,
}

/// What became of a shell command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandResult {
    /// It is not known, or it went on in the background.
    Unknown,
    /// It ended well.
    Ok,
    /// It failed; without an exit code it may have been refused.
    Failed,
}

/// Where the code stands here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HereInfo {
    /// The clone.
    pub root: std::path::PathBuf,
    /// The branch, unless HEAD is detached.
    pub branch: Option<String>,
    /// The commit, unless there is none yet.
    pub commit: Option<String>,
    /// Whether anything differs from the commit.
    pub dirty: bool,
    /// Whether everything stands as it was saved.
    pub in_sync: bool,
}
