//! How far a restore is, for whoever waits for it.

use std::fmt;

/// A step, announced before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something is fetched from the remote. How large it is nobody can say: git's protocol does not.
    Fetch(Fetching),
    /// What stands here is recorded: so many bytes of so many.
    Record {
        /// How many are read or copied.
        done: u64,
        /// How many there are.
        total: u64,
    },
    /// Saved commits go into the clone.
    Objects,
    /// Files are removed.
    Remove {
        /// How many.
        files: usize,
    },
    /// Git checks files out.
    CheckOut {
        /// How many.
        files: usize,
    },
    /// Files are written.
    Write {
        /// How many.
        files: usize,
    },
    /// Empty directories go and come.
    Directories,
    /// The index as it will be is made.
    Index,
    /// A branch and HEAD move.
    Refs,
    /// Git's files about an unfinished merge are written.
    Operation,
    /// The index is put in its place.
    Finish,
}

/// What a clone fetches that has not all that the saved code builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetching {
    /// Commits that were pushed and are not here.
    Commits,
    /// So many files that a partial clone left with its remote.
    Files(usize),
    /// The folders of a commit, which a treeless clone left there.
    Folders,
}

/// Hears of steps, from any thread.
#[derive(Clone, Copy)]
pub struct Tell<'a>(pub &'a (dyn Fn(Step) + Sync));

impl Tell<'_> {
    /// Nobody waits.
    pub const NOBODY: Self = Self(&|_| {});
}

impl fmt::Debug for Tell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tell")
    }
}

/// Counts bytes that are recorded, and tells it now and then.
#[derive(Debug)]
pub(super) struct Recorded<'a> {
    tell: Tell<'a>,
    done: u64,
    total: u64,
}

/// So many bytes further it is worth telling.
const STRIDE: u64 = 1 << 20;

impl<'a> Recorded<'a> {
    pub(super) fn of(tell: Tell<'a>, total: u64) -> Self {
        Self { tell, done: 0, total }
    }

    /// So many more were recorded. What is read a second time is not counted beyond the total.
    pub(super) fn more(&mut self, bytes: u64) {
        let before = self.done;
        self.done = before.saturating_add(bytes).min(self.total);
        if self.done / STRIDE > before / STRIDE {
            (self.tell.0)(Step::Record { done: self.done, total: self.total });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_megabyte_that_is_recorded_is_told_once_and_never_more_than_there_is() {
        let told = Mutex::new(Vec::new());
        let hear = |step| told.lock().unwrap().push(step);
        let mut recorded = Recorded::of(Tell(&hear), 3 * STRIDE);
        for bytes in [STRIDE / 2, STRIDE / 2, 1, 2 * STRIDE, STRIDE] {
            recorded.more(bytes);
        }
        let step = |done| Step::Record { done: done * STRIDE, total: 3 * STRIDE };
        assert_eq!(*told.lock().unwrap(), [step(1), step(3)]);
    }
}
