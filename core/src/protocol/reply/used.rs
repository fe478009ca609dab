//! With what a conversation was written, and what saved it.

use serde::{Deserialize, Serialize};

/// With what a conversation was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedInfo {
    /// Versions of Claude Code, in the order in which they came.
    pub clients: Vec<String>,
    /// Models that answered, likewise.
    pub models: Vec<String>,
    /// The permission mode it was in last. Nobody applies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    /// Names of the variables that travel with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// How many lines of the shell's history travel with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shell_lines: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's own form")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl UsedInfo {
    /// Whether nothing is told: so an older daemon answers.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What made a save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakerInfo {
    /// The version of ConvoSync.
    pub convosync: String,
    /// The version of git.
    pub git: String,
    /// The operating system and the processor's kind.
    pub system: String,
}
