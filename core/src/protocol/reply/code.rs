//! What is answered about a project's code.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{SessionInfo, Warning};

/// What of a project's code is not in a save.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeLeftOut {
    /// Why none of it is there, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Warning>,
    /// Paths that are not there, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<LeftOut>,
    /// How many there are in all.
    #[serde(default)]
    pub count: u32,
    /// Other repositories that its sessions worked in and whose code is not saved, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<Warning>,
}

impl CodeLeftOut {
    /// Whether everything was saved, as far as is known.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A path that is not in a save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The path, relative to the repository's top; what cannot be printed is replaced.
    pub path: String,
    /// Why, as in "it is larger than `code.file_max`".
    pub why: String,
    /// How many bytes it has, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Answer of `code`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CodeReply {
    /// The session the code belongs to.
    pub session: SessionInfo,
    /// The save the code is of.
    pub save: u32,
    /// The clone of the session's repository on this device.
    pub root: PathBuf,
    /// What there is.
    pub code: SavedCode,
    /// What the clone here stood at when this device last saved or resumed the session: that much of it is
    /// saved, and may be replaced unasked.
    pub known: SavedCode,
    /// How its remote is reached from inside of it.
    #[serde(default)]
    pub reach: CloneReach,
    /// Other repositories that the session worked in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<FurtherCode>,
    /// Bytes received for it.
    pub received: u64,
    /// As how large a large download was announced before it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<u64>,
    /// What may be wrong with it: a remote that could not be asked.
    pub warnings: Vec<Warning>,
}

/// The code of a further repository that the session worked in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FurtherCode {
    /// What people call the repository.
    pub name: String,
    /// Its clone on this device; absent where there is none that is enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// What there is.
    pub code: SavedCode,
    /// What the clone here is known to have stood at, as above.
    pub known: SavedCode,
    /// How its remote is reached from inside of it.
    #[serde(default)]
    pub reach: CloneReach,
    /// Why it cannot be put in place, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Warning>,
}

/// How a clone's remote is reached from inside of it, where git reads the clone's own settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneReach {
    /// The ssh that the settings name, if they name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// Why it is not reached at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<String>,
}

/// What of the code was saved with a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "saved", rename_all = "kebab-case")]
pub enum SavedCode {
    /// Nothing.
    Nothing {
        /// Why, as far as is known.
        why: Option<String>,
    },
    /// Branch and commit say everything.
    Plain {
        /// The branch, unless HEAD was detached.
        branch: Option<String>,
        /// The commit.
        commit: String,
        /// What the branch followed.
        upstream: Option<String>,
    },
    /// A whole state, in a file that only the user can read; it is replaced by the next such request.
    State {
        /// The opened code log.
        log: PathBuf,
    },
}
