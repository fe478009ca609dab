//! What the user was told of a remote, so that each cause is told once: again when it changes, or when it
//! comes back after it was mended.

use crate::fail::Cause;

/// Arrivals of other devices' saves are told so far apart: a device that is worked on saves every minute.
const ARRIVALS_APART_MS: i64 = 60 * 60 * 1_000;

/// What was tried with the remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Sending our saves.
    Sending,
    /// Listing and fetching other devices' saves.
    Listing,
}

/// What was told.
#[derive(Debug, Default)]
pub struct Told {
    /// The last cause of either failure, for watching clients.
    last: [Option<Cause>; 2],
    /// The last refusal of either, for notifications: the network being away in between changes nothing.
    refused: [Option<Cause>; 2],
    moved_to: Option<String>,
    arrivals_ms: Option<i64>,
}

impl Told {
    /// Notes a failure; whether it is another one than the last.
    pub fn is_news(&mut self, doing: Doing, cause: &Cause) -> bool {
        let known = self.last.contains(&Some(cause.clone()));
        self.last[doing as usize] = Some(cause.clone());
        !known
    }

    /// Notes a refusal; whether it is another one than the user was notified of.
    pub fn is_new_refusal(&mut self, doing: Doing, cause: &Cause) -> bool {
        let known = self.refused.contains(&Some(cause.clone()));
        self.refused[doing as usize] = Some(cause.clone());
        !known
    }

    /// Notes that it works; whether it was refused before.
    pub fn mended(&mut self, doing: Doing) -> bool {
        self.last[doing as usize] = None;
        self.refused[doing as usize].take().is_some()
    }

    /// The refusal of our saves that stands.
    pub fn refusal(&self) -> Option<&Cause> {
        self.refused[Doing::Sending as usize].as_ref()
    }

    /// Notes where the remote says it has moved to; whether that is news.
    pub fn is_new_address(&mut self, moved_to: Option<&str>) -> bool {
        let is_news = moved_to.is_some() && self.moved_to.as_deref() != moved_to;
        self.moved_to = moved_to.map(str::to_owned);
        is_news
    }

    /// Where the remote says it has moved to.
    pub fn moved_to(&self) -> Option<&str> {
        self.moved_to.as_deref()
    }

    /// Notes that other devices' saves arrived; whether the last time that was told is long enough ago.
    pub fn is_time_for_arrivals(&mut self, now_ms: i64) -> bool {
        let is_time = self.arrivals_ms.is_none_or(|told| now_ms - told >= ARRIVALS_APART_MS);
        if is_time {
            self.arrivals_ms = Some(now_ms);
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use convosync_core::remote::PermanentKind::{self, *};

    use super::*;

    fn cause(kind: PermanentKind, why: &str) -> Cause {
        Cause::refused(kind, why)
    }

    #[test]
    fn a_cause_is_told_once_until_it_changes_or_was_mended() {
        let mut told = Told::default();
        let mut is_new = |kind, why| told.is_new_refusal(Doing::Sending, &cause(kind, why));
        assert!(is_new(Quota, "over by 1 GB"));
        assert!(!is_new(Quota, "over by 2 GB"));
        assert!(is_new(Login, "no"));
        assert!(is_new(HookDeclined, "not on sundays, request 1234"));
        assert!(!is_new(HookDeclined, "not on sundays, request 5678"));
        assert!(is_new(HookDeclined, "only on fridays"));
        assert!(told.mended(Doing::Sending));
        assert!(told.is_new_refusal(Doing::Sending, &cause(HookDeclined, "only on fridays")));
    }

    #[test]
    fn one_cause_of_two_failures_is_told_once() {
        let mut told = Told::default();
        assert!(told.is_new_refusal(Doing::Listing, &cause(Login, "no")));
        assert!(!told.is_new_refusal(Doing::Sending, &cause(Login, "no")));
        assert!(told.mended(Doing::Listing));
        assert!(!told.is_new_refusal(Doing::Sending, &cause(Login, "no")));
    }

    #[test]
    fn arrivals_are_told_an_hour_apart() {
        let mut told = Told::default();
        assert!(told.is_time_for_arrivals(0));
        assert!(!told.is_time_for_arrivals(ARRIVALS_APART_MS - 1));
        assert!(told.is_time_for_arrivals(ARRIVALS_APART_MS));
    }
}
