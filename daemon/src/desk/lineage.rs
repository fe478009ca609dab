//! Which save the next one of a session goes on from: our own last one, or one of another device that the
//! transcript here was brought back from. Looks at what lies here; decides nothing about when to save.

use std::collections::BTreeMap;
use std::fs::File;

use convosync_core::context::Course;
use convosync_core::environment::Variables;
use convosync_core::history::History;
use convosync_core::id::{DeviceId, Digest, LogId, Oid, SessionId};
use convosync_core::log::digest_of;
use convosync_core::outbound::OutboundError;
use convosync_core::seal::{SaveRecord, Surroundings};
use convosync_core::shell_history::ShellLines;
use convosync_core::transcript::SessionFiles;

use super::Desk;

impl Desk {
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
        let own = match self.own_history(&files.id) {
            Err(OutboundError::History(error)) if error.is_damage() => self.healed(&files.id),
            own => own?,
        };
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

    /// What is left of our own last save of a session when its record is damaged: its place. The next save
    /// follows it and needs nothing of it, because the transcript here is whole.
    fn healed(&self, session: &SessionId) -> Option<History> {
        tracing::warn!(
            session = session.short(),
            "the last save is damaged: the next one holds everything anew"
        );
        let (summary, _) = self.own.sessions.get(&self.vault.keys.session_name(session))?;
        let record = SaveRecord {
            number: summary.save,
            at_ms: summary.at_ms,
            device: summary.device,
            message: None,
            previous: Digest::NONE,
            full: true,
            code: None,
            messages: summary.messages,
            further: Vec::new(),
            course: None,
            surroundings: Surroundings::default(),
            logs: Vec::new(),
            gone: Vec::new(),
            parents: Vec::new(),
        };
        let (commit, digest) = (summary.commit, summary.record);
        let (session, logs, course) = (session.clone(), BTreeMap::new(), Course::default());
        let (environment, shell) = (Variables::new(), ShellLines::new());
        Some(History { session, commit, record, digest, logs, course, environment, shell })
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
