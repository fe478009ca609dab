//! When one session has to be saved.

use convosync_core::id::SessionId;

use super::{ProjectKey, Timing, Unsaved};

/// What a session's files looked like: all their lengths and times in one number each. Two equal
/// stamps mean that nothing has to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes of all files.
    pub bytes: u64,
    /// The newest modification time, in Unix milliseconds.
    pub modified_ms: i64,
    /// How many files.
    pub files: u32,
}

/// One look at a session's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which session.
    pub session: SessionId,
    /// The project it belongs to.
    pub project: ProjectKey,
    /// What its files look like.
    pub stamp: Stamp,
    /// How long ago they were written, in milliseconds of wall-clock time, never negative.
    pub age_ms: i64,
    /// Whether the last save covers exactly this many bytes; only asked at the first sighting.
    pub saved_before: bool,
}

/// Why saves are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// In the ordinary course.
    Due,
    /// Because the daemon has to leave: whatever is dirty.
    Stopping,
}

/// After a save failed here (a full disk, a file that moved), the session is tried again so much
/// later.
const SAVE_RETRY_MS: i64 = 10_000;

/// Sessions that are older than this when they are first seen unsaved are left alone until they grow:
/// enabling a project imports a month, not its whole past (DESIGN 11).
const IMPORT_AGE_MAX_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// What is known of one session.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) project: ProjectKey,
    pub(super) busy: bool,
    /// When it last grew, as far as was seen.
    pub(super) grown_ms: i64,
    stamp: Stamp,
    covered: Option<Stamp>,
    dirty_since_ms: Option<i64>,
    not_before_ms: i64,
    hurried: bool,
    /// Whether the last save left something of it for the next one.
    waits: bool,
    left_for_age: bool,
    /// How many bytes of it are saved.
    saved_bytes: u64,
}

impl Track {
    pub(super) fn first(sighting: &Sighting, now_ms: i64) -> Self {
        let grown_ms = now_ms - sighting.age_ms.max(0);
        let leave = sighting.saved_before || sighting.age_ms > IMPORT_AGE_MAX_MS;
        Self {
            project: sighting.project,
            busy: false,
            grown_ms,
            stamp: sighting.stamp,
            covered: leave.then_some(sighting.stamp),
            dirty_since_ms: (!leave).then_some(now_ms),
            not_before_ms: now_ms,
            hurried: false,
            waits: false,
            left_for_age: leave && !sighting.saved_before,
            saved_bytes: if leave { sighting.stamp.bytes } else { 0 },
        }
    }

    /// Takes in what was seen of it; whether that is another state than before.
    pub(super) fn see(&mut self, sighting: &Sighting, now_ms: i64) -> bool {
        self.project = sighting.project;
        if self.stamp == sighting.stamp {
            return false;
        }
        self.stamp = sighting.stamp;
        self.touched(now_ms);
        true
    }

    /// A repository change counts as growth: it is saved when it has settled.
    pub(super) fn code_changed(&mut self, now_ms: i64) {
        self.covered = None;
        self.touched(now_ms);
    }

    pub(super) fn covered(&mut self, stamp: Stamp) {
        self.covered = Some(stamp);
        (self.hurried, self.waits, self.left_for_age) = (false, false, false);
        self.saved_bytes = stamp.bytes;
        // Lines written while the save ran start a new wait of their own.
        self.dirty_since_ms = if self.stamp == stamp { None } else { Some(self.grown_ms) };
    }

    pub(super) fn failed(&mut self, now_ms: i64) {
        self.not_before_ms = now_ms + SAVE_RETRY_MS;
    }

    /// Part of it was saved: the rest goes into the next save.
    pub(super) fn waits(&mut self, saved_bytes: u64, now_ms: i64) {
        self.saved_bytes = saved_bytes;
        self.waits = true;
        self.hurry(now_ms);
    }

    /// Adds what of it is not saved.
    pub(super) fn count_into(&self, unsaved: &mut Unsaved) {
        unsaved.sessions += 1;
        unsaved.bytes += self.stamp.bytes;
        unsaved.saved_bytes += self.saved_bytes.min(self.stamp.bytes);
    }

    /// What is saved before what, when both are due: least first.
    pub(super) fn rank(&self) -> (bool, std::cmp::Reverse<i64>) {
        (self.waits, std::cmp::Reverse(self.grown_ms))
    }

    /// The user waits: what failed before is tried again now.
    pub(super) fn hurry(&mut self, now_ms: i64) {
        self.hurried = true;
        self.not_before_ms = self.not_before_ms.min(now_ms);
    }

    /// Whether it was never saved and is left alone because it is old.
    pub(super) fn is_left_for_age(&self) -> bool {
        self.left_for_age && !self.is_dirty()
    }

    /// When nobody works in it any more: it is saved, and quiet for long enough. `None` while that is open.
    pub(super) fn at_rest_ms(&self, timing: &Timing) -> Option<i64> {
        (!self.busy && !self.is_dirty()).then_some(self.grown_ms + timing.idle_after_ms)
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.covered != Some(self.stamp)
    }

    pub(super) fn is_due(&self, timing: &Timing, why: Why, now_ms: i64) -> bool {
        match why {
            Why::Stopping => self.is_dirty() && now_ms >= self.not_before_ms,
            Why::Due => self.due_at_ms(timing).is_some_and(|at_ms| now_ms >= at_ms),
        }
    }

    /// Idle and quiet, or too long without a save, whichever comes first.
    pub(super) fn due_at_ms(&self, timing: &Timing) -> Option<i64> {
        let since_ms = self.dirty_since_ms.filter(|_| self.is_dirty())?;
        let idle_ms = self.grown_ms + timing.idle_after_ms;
        let late_ms = since_ms + timing.save_at_least_every_ms;
        let due_ms = match (self.hurried, self.busy) {
            (true, _) => self.not_before_ms,
            (false, true) => late_ms,
            (false, false) => idle_ms.min(late_ms),
        };
        Some(due_ms.max(self.not_before_ms))
    }

    fn touched(&mut self, now_ms: i64) {
        self.grown_ms = now_ms;
        self.dirty_since_ms.get_or_insert(now_ms);
    }
}
