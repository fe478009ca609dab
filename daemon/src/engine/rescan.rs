//! When all transcripts are looked at, whatever the watcher said.

use super::Timing;

/// While nothing changes and changes are reported, the looks get rarer, up to so many times their usual
/// distance: ten thousand transcripts cost a tenth of a second each time.
const STRETCH_MAX: i64 = 10;

/// A project that could not be opened is tried again after this time, then after twice as long, and so on: a
/// disk that was full has room again, or never has.
const OPEN_AGAIN_MS: i64 = 5_000;

/// The looks at everything: when the next one is due.
#[derive(Debug)]
pub(super) struct Rescan {
    at_ms: i64,
    pub(super) running: bool,
    /// Looks in a row before which nothing had changed.
    quiet: u32,
    /// How often in a row not every project could be opened.
    unopened: u32,
}

impl Rescan {
    pub(super) fn new(now_ms: i64) -> Self {
        Self { at_ms: now_ms, running: false, quiet: 0, unopened: 0 }
    }

    pub(super) fn due_at_ms(&self) -> Option<i64> {
        (!self.running).then_some(self.at_ms)
    }

    /// Whether a look starts now.
    pub(super) fn may_start(&mut self, timing: &Timing, now_ms: i64) -> bool {
        if self.running || now_ms < self.at_ms {
            return false;
        }
        let stretch = if timing.changes_are_reported {
            (1 << self.quiet.min(STRETCH_MAX.ilog2() + 1)).min(STRETCH_MAX)
        } else {
            1
        };
        self.at_ms = now_ms + timing.rescan_every_ms * stretch;
        self.quiet = self.quiet.saturating_add(1);
        self.running = true;
        true
    }

    /// Everything is looked at now: nobody knows what was missed.
    pub(super) fn hurry(&mut self, now_ms: i64) {
        (self.at_ms, self.quiet) = (now_ms, 0);
    }

    /// The enabled projects were opened, or not all of them.
    pub(super) fn note_opened(&mut self, all: bool, now_ms: i64) {
        const DOUBLINGS_MAX: u32 = 16;
        if all {
            self.unopened = 0;
        } else {
            self.at_ms = self.at_ms.min(now_ms + (OPEN_AGAIN_MS << self.unopened));
            self.unopened = (self.unopened + 1).min(DOUBLINGS_MAX);
        }
    }

    /// Something grew: where there is work, what the watcher misses is noticed soon.
    pub(super) fn grew(&mut self, timing: &Timing, now_ms: i64) {
        self.at_ms = self.at_ms.min(now_ms + timing.rescan_every_ms);
        self.quiet = 0;
    }
}
