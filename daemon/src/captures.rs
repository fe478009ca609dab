//! What is remembered of captured code between two saves.

use std::collections::{BTreeMap, HashMap};

use convosync_core::capture::Memory;
use convosync_core::code::{Omission, RepoPath, Withheld};
use convosync_core::id::{RepositoryKey, SessionId};

use crate::engine::ProjectKey;
use crate::touched::Look;

/// Of so many repositories of sessions it is remembered which files were read: those of a busy hour.
const MEMORIES_MAX: usize = 12;
/// Of so many sessions it is remembered where they worked.
const LOOKS_MAX: usize = 64;

/// What is known of the code of a store's projects between two saves; all of it can be found out again.
#[derive(Debug, Default)]
pub struct Captures {
    memories: HashMap<(SessionId, Option<RepositoryKey>), Memory>,
    looks: HashMap<SessionId, Look>,
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
    /// What is remembered of a session's own repository, or of a further one.
    pub fn memory(&mut self, session: &SessionId, further: Option<RepositoryKey>) -> &mut Memory {
        let name = (session.clone(), further);
        if self.memories.len() >= MEMORIES_MAX && !self.memories.contains_key(&name) {
            self.memories.clear();
        }
        self.memories.entry(name).or_default()
    }

    /// Where a session worked, as far as it was looked at.
    pub fn look(&mut self, session: &SessionId) -> &mut Look {
        if self.looks.len() >= LOOKS_MAX && !self.looks.contains_key(session) {
            self.looks.clear();
        }
        self.looks.entry(session.clone()).or_default()
    }
}
