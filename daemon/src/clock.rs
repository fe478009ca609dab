//! The only room that asks what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall-clock time in Unix milliseconds: shown to people, never used to order data.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// So far apart the two clocks are after a sleep, or when somebody set one: what is less is their ordinary
/// correction.
const LEAP_MS: i64 = 60_000;

/// Notices a leap: the machine slept (only the clock on the wall went on), or somebody set that clock.
#[derive(Debug)]
pub struct Leap(i64);

impl Leap {
    /// Begins with the time on the wall and the one that never goes back.
    pub fn start(wall_ms: i64, monotonic_ms: i64) -> Self {
        Self(wall_ms.saturating_sub(monotonic_ms))
    }

    /// Whether there was one since the last question.
    pub fn noticed(&mut self, wall_ms: i64, monotonic_ms: i64) -> bool {
        let apart_ms = wall_ms.saturating_sub(monotonic_ms);
        let is_leap = apart_ms.abs_diff(self.0) > LEAP_MS.unsigned_abs();
        // Small corrections add up to no leap.
        self.0 = apart_ms;
        is_leap
    }
}

/// A clock that never goes back.
#[derive(Debug, Clone, Copy)]
pub struct Monotonic(Instant);

impl Monotonic {
    /// Starts at zero.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The moment that lies `at_ms` after the start.
    pub fn instant(&self, at_ms: i64) -> Instant {
        self.0 + std::time::Duration::from_millis(u64::try_from(at_ms).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_and_a_clock_that_is_set_are_noticed_once() {
        const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 3_600 * 1_000;
        let mut leap = Leap::start(1_000_000, 0);
        assert!(!leap.noticed(1_030_000, 30_000));
        assert!(!leap.noticed(1_095_000, 60_000), "35 s of correction");
        assert!(leap.noticed(8_000_000, 61_000), "two hours asleep");
        assert!(!leap.noticed(8_001_000, 62_000));
        assert!(leap.noticed(8_001_000 + TEN_YEARS_MS, 63_000));
        assert!(leap.noticed(8_002_000 - TEN_YEARS_MS, 64_000));
        assert!(!leap.noticed(8_003_000 - TEN_YEARS_MS, 65_000));
    }
}
