//! Waits for something to become true, with a deadline; the only place of the tests that polls.

use std::thread;
use std::time::{Duration, Instant};

/// Pause between two looks at first: short beside any deadline, long beside a look.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest one, after a while: most looks start a program, and what is waited for needs the processor too.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A pause is never longer than this part of what was waited so far.
const SHARE: u32 = 10;

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
        thread::park_timeout((started.elapsed() / SHARE).clamp(PAUSE, PAUSE_MAX));
    }
}
