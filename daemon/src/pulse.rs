//! What the engine is about for one store, where other threads can see it and wait for it.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::ProjectKey;

/// The state of a store's work, as the engine last had it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// Sessions that wait to be saved, by project.
    pub unsaved: BTreeMap<ProjectKey, u32>,
    /// Whether a save or a push runs.
    pub busy: bool,
    /// Whether something waits to be sent.
    pub unsent: bool,
    /// Pushes that have ended since the start, well or not.
    pub pushes: u64,
}

/// Publishes a store's [`Beat`].
#[derive(Debug, Default)]
pub struct Pulse {
    beat: Mutex<Beat>,
    changed: Condvar,
}

impl Pulse {
    /// The state now.
    pub fn now(&self) -> Beat {
        self.lock().clone()
    }

    /// Publishes a new state.
    pub fn set(&self, change: impl FnOnce(&mut Beat)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until everything is saved and sent, or a push has ended since `before` without that; returns
    /// the state then, or after `within`.
    pub fn settle(&self, before: &Beat, within: Duration) -> Beat {
        let deadline = Instant::now() + within;
        let mut beat = self.lock();
        loop {
            let tried = beat.pushes > before.pushes && !beat.busy;
            let done = !beat.busy && !beat.unsent && beat.unsaved.values().all(|count| *count == 0);
            let left = deadline.saturating_duration_since(Instant::now());
            if tried || done || left.is_zero() {
                return beat.clone();
            }
            beat = self.changed.wait_timeout(beat, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Beat> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_waits_for_the_push_that_is_under_way() {
        let pulse = Pulse::default();
        pulse.set(|beat| (beat.busy, beat.unsent) = (true, true));
        let before = pulse.now();
        assert_eq!(pulse.settle(&before, Duration::ZERO), before);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pulse.set(|beat| (beat.busy, beat.unsent, beat.pushes) = (false, false, 1))
            });
            assert!(!pulse.settle(&before, Duration::from_secs(30)).unsent);
        });
    }

    #[test]
    fn a_push_that_failed_is_not_waited_for_again() {
        let pulse = Pulse::default();
        pulse.set(|beat| beat.unsent = true);
        let before = pulse.now();
        pulse.set(|beat| beat.pushes = 1);
        assert!(pulse.settle(&before, Duration::from_secs(30)).unsent);
    }
}
