//! What should be looked at and was not handed on yet: a set, so that it cannot grow without bound.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::places::Places;
use super::{Hint, Mode, Why};

/// With more changed paths than this a scan of everything is cheaper.
pub(super) const TRANSCRIPTS_MAX: usize = 4096;

/// What the callback, the thread and the receiver share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pending: Mutex<Pending>,
    places: Mutex<Places>,
    /// Wakes the receiver.
    pub(super) ready: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    modes: BTreeMap<PathBuf, Mode>,
    rescan: Option<Why>,
    others: BTreeSet<Hint>,
    transcripts: BTreeSet<PathBuf>,
}

impl Shared {
    /// Adds a hint and wakes the receiver. Never waits for anybody but the other holders of the lock,
    /// who do not wait either.
    pub(super) fn hint(&self, hint: Hint) {
        self.pending().add(hint);
        self.ready.notify_one();
    }

    /// Takes everything, most urgent first.
    pub(super) fn take(&self) -> Vec<Hint> {
        std::mem::take(&mut *self.pending()).into_hints()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn add(&mut self, hint: Hint) {
        match hint {
            Hint::Mode { root, mode } => {
                self.modes.insert(root, mode);
            }
            Hint::Rescan(why) => {
                self.rescan = self.rescan.max(Some(why));
                self.transcripts.clear();
            }
            Hint::Transcript(_) if self.rescan.is_some() => {}
            Hint::Transcript(path) => {
                self.transcripts.insert(path);
                if self.transcripts.len() > TRANSCRIPTS_MAX {
                    self.add(Hint::Rescan(Why::TooMany));
                }
            }
            other => {
                self.others.insert(other);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.modes.is_empty()
            && self.rescan.is_none()
            && self.others.is_empty()
            && self.transcripts.is_empty()
    }

    fn into_hints(self) -> Vec<Hint> {
        let modes = self.modes.into_iter().map(|(root, mode)| Hint::Mode { root, mode });
        modes
            .chain(self.rescan.map(Hint::Rescan))
            .chain(self.others)
            .chain(self.transcripts.into_iter().map(Hint::Transcript))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(n: usize) -> Hint {
        Hint::Transcript(PathBuf::from(format!("/p/{n}")))
    }

    fn check_taken(added: impl IntoIterator<Item = Hint>, taken: &[Hint]) {
        let shared = Shared::default();
        added.into_iter().for_each(|hint| shared.hint(hint));
        assert_eq!(shared.take(), taken);
        assert!(shared.is_empty());
    }

    #[test]
    fn a_hint_that_waits_is_not_added_twice() {
        check_taken([transcript(1), transcript(2), transcript(1)], &[transcript(1), transcript(2)]);
    }

    #[test]
    fn a_scan_of_everything_stands_for_all_transcripts_but_not_for_the_rest() {
        let (rescan, registry) = (Hint::Rescan(Why::Overflow), Hint::Registry("/c".into()));
        let added = [transcript(1), registry.clone(), rescan.clone(), transcript(2)];
        check_taken(added, &[rescan, registry]);
    }

    #[test]
    fn too_many_transcripts_become_one_scan() {
        let added = (0..TRANSCRIPTS_MAX * 3).map(transcript);
        check_taken(added, &[Hint::Rescan(Why::TooMany)]);
    }

    #[test]
    fn of_several_modes_the_last_counts() {
        let mode = |mode| Hint::Mode { root: "/c".into(), mode };
        let missing = Mode::Missing("x".into());
        check_taken([mode(missing), mode(Mode::Events)], &[mode(Mode::Events)]);
    }
}
