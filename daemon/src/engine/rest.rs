//! What has to be done before the daemon leaves or the machine sleeps, and after it woke.

use super::{Effect, Engine, STOP_WITHIN_MS, Why};

/// A machine that announced its sleep and did not tell that it woke is awake all the same after so long:
/// something kept it from sleeping.
const ASLEEP_MAX_MS: i64 = 60_000;

/// What follows when everything is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The daemon leaves.
    Leave,
    /// The machine sleeps.
    Sleep,
}

/// A stop, or a sleep, that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    then: Then,
    since_ms: i64,
    /// Looks at every transcript that still have to end: what was written just now is noticed by one that
    /// began after the rest was asked for.
    looks: u8,
    /// Whether it was said that the machine may sleep.
    is_told: bool,
}

impl Rest {
    /// When time is up.
    pub(super) fn until_ms(&self) -> i64 {
        self.since_ms + if self.is_told { ASLEEP_MAX_MS } else { STOP_WITHIN_MS }
    }
}

impl Engine {
    pub(super) fn rest(&mut self, then: Then, now_ms: i64) {
        if self.resting.is_some_and(|rest| rest.then == Then::Leave) {
            return;
        }
        let looks = 1 + u8::from(self.rescan.running);
        self.resting = Some(Rest { then, since_ms: now_ms, looks, is_told: false });
    }

    /// The machine was asleep, or its clock was set: everything is looked at once, every remote is asked
    /// once, and what was missed is not made up for one by one.
    pub(super) fn wake(&mut self, now_ms: i64) {
        self.resting = self.resting.filter(|rest| rest.then == Then::Leave);
        self.rescan.hurry(now_ms);
        // Their age was told by a clock that may have been wrong.
        self.sessions.retain(|_, track| !track.is_left_for_age());
        let keys: Vec<_> = self.stores.keys().copied().collect();
        for key in keys {
            let spread = self.spread();
            if let Some(upstream) = self.stores.get_mut(&key) {
                upstream.woke(spread, now_ms);
            }
        }
    }

    pub(super) fn note_rescanned(&mut self) {
        self.rescan.running = false;
        if let Some(rest) = &mut self.resting {
            rest.looks = rest.looks.saturating_sub(1);
        }
    }

    /// Looks once more, saves whatever is dirty, sends it if there is time, and says when that is done.
    pub(super) fn due_before_rest(&mut self, rest: Rest, now_ms: i64) -> Vec<Effect> {
        if now_ms >= rest.until_ms() {
            return self.end_rest(rest, now_ms);
        }
        if rest.is_told {
            return Vec::new();
        }
        let mut effects = self.saves(now_ms, Why::Stopping);
        if rest.looks > 0 && !self.rescan.running {
            self.rescan.running = true;
            effects.push(Effect::Rescan);
        }
        if effects.is_empty() && !self.stores.values().any(|store| store.saving) {
            effects.extend(self.last_pushes(now_ms));
        }
        let running = self.stores.values().any(|store| store.saving || store.pushing);
        if effects.is_empty() && !running && rest.looks == 0 {
            effects.extend(self.end_rest(rest, now_ms));
        }
        effects
    }

    fn end_rest(&mut self, rest: Rest, now_ms: i64) -> Vec<Effect> {
        match rest.then {
            Then::Leave => vec![Effect::Exit],
            Then::Sleep if rest.is_told => {
                self.wake(now_ms);
                Vec::new()
            }
            Then::Sleep => {
                self.resting = Some(Rest { is_told: true, ..rest });
                vec![Effect::Rested]
            }
        }
    }
}
