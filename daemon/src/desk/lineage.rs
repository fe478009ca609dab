//! Which save the next one of a session goes on from.

use std::fs::File;

use convosync_core::history::History;
use convosync_core::id::{DeviceId, LogId, Oid, SessionId};
use convosync_core::log::digest_of;
use convosync_core::outbound::{Ledger, OutboundError};
use convosync_core::transcript::SessionFiles;

use super::Desk;

impl Desk {
    /// Lets the next save of a session go on from this state, which was just brought back. After an earlier
    /// save it goes on from the newest one of the same history: numbers and chunks are never given twice.
    pub fn rebase(&mut self, base: History) {
        let session = base.session.clone();
        let base = self.reader().newest_at(&session, base.commit).unwrap_or(base);
        let left = self.left_by(&session, Some(&base));
        let name = self.vault.keys.session_name(&session);
        let is_own = self.own.sessions.get(&name).is_some_and(|(own, _)| own.commit == base.commit);
        if !is_own && let Err(error) = self.store.adopt(name, self.vault.device(), base.commit) {
            tracing::warn!(%error, "what a session goes on from could not be noted");
        }
        self.ledgers.insert(session, Ledger::from_base(Some(base), left));
    }

    /// Our own last save of a session, if another one is gone on from that does not come after it.
    pub(super) fn left_by(&self, session: &SessionId, base: Option<&History>) -> Option<Oid> {
        let name = self.vault.keys.session_name(session);
        let own = self.own.sessions.get(&name).map(|(summary, _)| summary.commit)?;
        let base = base?.commit;
        (!self.store.descends_from(base, own).unwrap_or(false)).then_some(own)
    }

    /// Finds the save that a transcript goes on from: the newest one, of any device whose session commit
    /// lies here, whose bytes the transcript begins with; else the one it was last known to go on from,
    /// which then starts a new generation. What another device saved, and the transcript here does not
    /// begin with, is never gone on from: both are kept.
    pub(super) fn base(&self, files: &SessionFiles) -> Result<Option<History>, OutboundError> {
        let own = self.own_history(&files.id)?;
        let adopted = self.adopted_histories(&files.id);
        if adopted.is_empty() {
            return Ok(own);
        }
        let ours = self.vault.device();
        let mut candidates: Vec<&History> =
            own.iter().chain(adopted.iter().map(|(_, history)| history)).collect();
        candidates.sort_by_key(|history| std::cmp::Reverse(history.record.number));
        if let Some(fits) = candidates.into_iter().find(|history| begins_with(files, history)) {
            return Ok(Some(fits.clone()));
        }
        let resumed = adopted.into_iter().find(|(device, _)| *device == ours);
        Ok(match (own, resumed) {
            (Some(own), Some((_, resumed)))
                if !self.store.descends_from(own.commit, resumed.commit).unwrap_or(true) =>
            {
                Some(resumed)
            }
            (own, resumed) => own.or(resumed.map(|(_, history)| history)),
        })
    }

    /// Our own last save of a session.
    ///
    /// # Errors
    /// [`OutboundError::History`] when it cannot be read.
    pub fn own_history(&self, session: &SessionId) -> Result<Option<History>, OutboundError> {
        let name = self.vault.keys.session_name(session);
        let Some((summary, _)) = self.own.sessions.get(&name) else { return Ok(None) };
        Ok(Some(self.reader().history(session, summary.commit, summary.save, summary.record)?))
    }

    /// What was adopted of a session, by device; under our own id, what our transcript goes on from.
    fn adopted_histories(&self, session: &SessionId) -> Vec<(DeviceId, History)> {
        let name = self.vault.keys.session_name(session);
        let commits = self.store.adopted(name).unwrap_or_default();
        let read = |(device, commit)| {
            self.reader().newest_at(session, commit).ok().map(|history| (device, history))
        };
        commits.into_iter().filter_map(read).collect()
    }
}

/// Whether the main transcript begins with what a save holds of it.
fn begins_with(files: &SessionFiles, history: &History) -> bool {
    let main = LogId::main();
    let Some(state) = history.logs.values().find(|state| state.log == main) else { return false };
    let Some(mut file) = files.main().and_then(|main| File::open(&main.path).ok()) else {
        return false;
    };
    digest_of(&mut file, 0..state.length).is_ok_and(|digest| digest == state.content)
}
