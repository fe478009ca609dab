//! Waits for something to become true, with a deadline; the only place of the tests that polls.

use std::thread;
use std::time::{Duration, Instant};

/// Pause between two looks: short beside any deadline, long beside a look.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks `probe` until it answers, and returns the answer.
///
/// # Panics
/// When `deadline` passes without an answer; the message says `what` was awaited.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(started.elapsed() < deadline, "not within {deadline:?}: {what}");
        thread::park_timeout(PAUSE);
    }
}
