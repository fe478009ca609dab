//! The only room that asks what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall-clock time in Unix milliseconds: shown to people, never used to order data.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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
