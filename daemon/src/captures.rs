//! What is remembered of captured code between two saves.

use std::collections::{BTreeMap, HashMap};

use convosync_core::capture::Memory;
use convosync_core::code::{Omission, RepoPath, Withheld};
use convosync_core::id::SessionId;

use crate::engine::ProjectKey;

/// Of so many sessions it is remembered which files were read: those of a busy hour.
const MEMORIES_MAX: usize = 8;

/// What is known of the code of a store's projects between two saves; all of it can be found out again.
#[derive(Debug, Default)]
pub struct Captures {
    memories: HashMap<SessionId, Memory>,
}

/// What was left out when each project was last captured.
pub type Reports = BTreeMap<ProjectKey, Report>;

/// What a capture left out.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Paths that are not in the state, and why.
    pub omitted: BTreeMap<RepoPath, Omission>,
    /// Why there is no state at all.
    pub withheld: Option<Withheld>,
}

impl Captures {
    /// What is remembered of a session.
    pub fn memory(&mut self, session: &SessionId) -> &mut Memory {
        if self.memories.len() >= MEMORIES_MAX && !self.memories.contains_key(session) {
            self.memories.clear();
        }
        self.memories.entry(session.clone()).or_default()
    }
}
