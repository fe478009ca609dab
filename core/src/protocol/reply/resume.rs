//! What resuming a session came to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::SessionInfo;
use crate::environment::Variables;

/// Answer of `resume`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResumeReply {
    /// What was resumed.
    pub session: SessionInfo,
    /// What was done, or would be done in a dry run.
    pub action: ResumeAction,
    /// The main transcript on this device.
    pub transcript: PathBuf,
    /// Where `claude --resume` has to be started.
    pub directory: PathBuf,
    /// Messages that are new on this device.
    pub new_messages: u32,
    /// Bytes received for it.
    pub received: u64,
    /// As how large a large download was announced before it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<u64>,
    /// Files of the session, restored or already there.
    pub files: u32,
    /// Findings about code and folder; loud ones first.
    pub warnings: Vec<Warning>,
    /// Variables that travel with it, for the client to set where its user allows them.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub environment: Variables,
}

/// What resuming did to the local transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResumeAction {
    /// It was not here; now it is.
    Created,
    /// New lines were appended.
    Extended,
    /// Nothing was missing.
    Nothing,
    /// The local transcript is ahead of every save.
    LocalAhead,
}

/// A finding of a resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Whether the conversation may refer to code that is not here.
    pub loud: bool,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
