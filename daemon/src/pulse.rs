//! What the engine is about for one store, where other threads can see it and wait for it.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{ProjectKey, Unsaved};

/// The state of a store's work, as the engine last had it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// What waits to be saved, by project.
    pub unsaved: BTreeMap<ProjectKey, Unsaved>,
    /// Whether a save or a push runs.
    pub busy: bool,
    /// When a remote that could not be used is tried again, in Unix milliseconds.
    pub retry_ms: Option<i64>,
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
    pub fn set(&self, beat: Beat) {
        *self.lock() = beat;
        self.changed.notify_all();
    }

    /// Waits until no save and no push runs, or until `within` has passed. The engine starts what is due
    /// in the moment it becomes due: what then is still unsaved or unsent has been tried and has to wait.
    pub fn settle(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut beat = self.lock();
        while beat.busy {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
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

    fn beat(busy: bool) -> Beat {
        Beat {
            unsaved: BTreeMap::from([(ProjectKey(1), Unsaved::default())]),
            busy,
            retry_ms: None,
        }
    }

    #[test]
    fn settling_waits_for_the_work_that_is_under_way_and_for_nothing_else() {
        let pulse = Pulse::default();
        pulse.set(beat(true));
        pulse.settle(Duration::ZERO);
        assert!(pulse.now().busy);
        std::thread::scope(|scope| {
            scope.spawn(|| pulse.set(beat(false)));
            pulse.settle(Duration::from_secs(30));
            assert!(!pulse.now().busy);
        });
    }
}
