//! The answer of `diff`.

use serde::{Deserialize, Serialize};

use super::{PassageInfo, SaveInfo};
use crate::id::SessionId;

/// Answer of `diff`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiffReply {
    /// How many messages both begin with.
    pub common_messages: u32,
    /// What only the first one has.
    pub a: DiffSide,
    /// What only the second one has.
    pub b: DiffSide,
}

/// One of two saves that are compared, and what it has behind the part that both begin with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiffSide {
    /// Which session.
    pub session: SessionId,
    /// Which save.
    pub save: SaveInfo,
    /// How many messages only this one has.
    pub messages: u32,
    /// What the user says there, the newest of many.
    pub said: Vec<String>,
    /// The files that Claude Code's tools wrote there, as it called them.
    pub files: Vec<String>,
    /// Where the code stood there.
    pub passages: Vec<PassageInfo>,
}
