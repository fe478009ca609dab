//! How much a transfer cost, and how far a push is, read from git's own progress lines.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that went over the wire; the room's doc says which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// From us to the remote.
    pub sent: u64,
    /// From the remote to us.
    pub received: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.received = self.received.saturating_add(other.received);
    }
}

/// How far a push is, for whoever asks meanwhile.
#[derive(Debug, Default)]
pub struct Sending {
    /// How much there is to send; 0 when nothing is being sent.
    of: AtomicU64,
    /// What earlier steps brought.
    brought: AtomicU64,
    /// What the running step has written.
    written: Arc<AtomicU64>,
}

impl Sending {
    /// How many bytes of how many are on their way or there; `None` when nothing is being sent. Git counts what
    /// it has handed to the connection, which may be a little ahead of what the host has.
    pub fn now(&self) -> Option<(u64, u64)> {
        let of = self.of.load(Ordering::Relaxed);
        let written = self.written.load(Ordering::Relaxed);
        let sent = self.brought.load(Ordering::Relaxed).saturating_add(written);
        (of > 0).then_some((sent.min(of), of))
    }

    /// Begins to send so many bytes; what is returned ends it.
    pub(super) fn begin(&self, of: u64) -> Begun<'_> {
        self.brought.store(0, Ordering::Relaxed);
        self.written.store(0, Ordering::Relaxed);
        self.of.store(of, Ordering::Relaxed);
        Begun(self)
    }

    /// Notes that a step brought so many bytes.
    pub(super) fn stepped(&self, bytes: u64) {
        self.written.store(0, Ordering::Relaxed);
        self.brought.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Where the running step is noted by [`note_written`].
    pub(super) fn written(&self) -> Arc<AtomicU64> {
        self.written.clone()
    }
}

/// A push that runs.
pub(super) struct Begun<'a>(&'a Sending);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.of.store(0, Ordering::Relaxed);
    }
}

/// Notes how much of a pack was written. A line that comes in pieces is passed over: another follows.
pub(super) fn note_written(said: &str, at: &AtomicU64) {
    let lines = said.split(['\r', '\n']).filter(|line| line.starts_with("Writing objects: "));
    let mut sizes = lines.filter_map(|line| size(line.split_once("), ")?.1));
    if let Some(bytes) = sizes.next_back() {
        at.store(bytes, Ordering::Relaxed);
    }
}

/// Adds up the packs a child sent and received, from what it said in the end about each. What the remote
/// says (`remote: …`) does not count.
pub(super) fn traffic(stderr: &str) -> Traffic {
    let mut traffic = Traffic::default();
    for line in stderr.split(['\r', '\n']).filter(|line| line.contains(", done.")) {
        let bytes = line.split_once("), ").and_then(|(_, rest)| size(rest)).unwrap_or(0);
        if line.starts_with("Writing objects: ") {
            traffic.sent += bytes;
        } else if line.starts_with("Receiving objects: ") || line.starts_with("Unpacking objects: ")
        {
            traffic.received += bytes;
        }
    }
    traffic
}

/// Reads `274 bytes | …` or `4.45 KiB | …`.
fn size(text: &str) -> Option<u64> {
    let (number, rest) = text.split_once(' ')?;
    let unit: u64 = match rest.split([' ', ',']).next()? {
        "bytes" | "byte" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let (whole, hundredths) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, hundredths): (u64, u64) = (whole.parse().ok()?, hundredths.parse().ok()?);
    whole.checked_mul(unit)?.checked_add(hundredths.min(99) * unit / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stderr: &str, sent: u64, received: u64) {
        assert_eq!(traffic(stderr), Traffic { sent, received }, "{stderr}");
    }

    #[test]
    fn the_last_word_about_each_pack_counts() {
        check(
            "Writing objects:  50% (1/2), 1.00 KiB | 1.00 MiB/s\rWriting objects: 100% (9/9), 4.45 KiB | 4.45 MiB/s, done.\n",
            4556,
            0,
        );
        check("Receiving objects: 100% (3/3), 274 bytes | 274.00 KiB/s, done.\n", 0, 274);
        check("Unpacking objects: 100% (3/3), 2.50 MiB | 1.00 MiB/s, done.\n", 0, 2_621_440);
        check(
            "Receiving objects: 100% (3/3), done.\nWriting objects: 100% (1/1), 1.00 GiB, done.\n",
            1 << 30,
            0,
        );
    }

    #[test]
    fn what_the_remote_says_does_not_count() {
        check("remote: Writing objects: 100% (9/9), 4.45 GiB | 4.45 MiB/s, done.\n", 0, 0);
        check("Writing objects: 100% (9/9), 99999999999999999999.45 GiB | x, done.\n", 0, 0);
        check("Everything up-to-date\n", 0, 0);
    }

    #[test]
    fn a_push_that_runs_tells_how_far_it_is() {
        let sending = Sending::default();
        assert_eq!(sending.now(), None);
        let begun = sending.begin(4096);
        assert_eq!(sending.now(), Some((0, 4096)));
        let written = sending.written();
        note_written("Writing objects:  50% (1/2), 1.00 KiB | 1.00 KiB/s\rWriting obj", &written);
        assert_eq!(sending.now(), Some((1024, 4096)));
        note_written(
            "ects:  60% (1/2), 1.20 KiB | 1.00 KiB/s\rWriting objects: 70% (1/2), 2",
            &written,
        );
        note_written("remote: Writing objects:  90% (1/2), 9.00 KiB | 1.00 KiB/s\r", &written);
        assert_eq!(sending.now(), Some((1024, 4096)));
        sending.stepped(2048);
        assert_eq!(sending.now(), Some((2048, 4096)));
        note_written("Writing objects: 100% (2/2), 9.00 MiB | 1.00 KiB/s, done.\n", &written);
        assert_eq!(sending.now(), Some((4096, 4096)), "never more than there is");
        drop(begun);
        assert_eq!(sending.now(), None);
    }
}
