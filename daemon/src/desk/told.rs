//! What the user was told of a remote, so that each cause is told once: again when it changes, or when it
//! comes back after it was mended. What was notified of outlives the daemon.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use convosync_core::disk;
use convosync_core::id::SessionName;
use serde::{Deserialize, Serialize};

use crate::fail::Cause;

/// Arrivals of other devices' saves are told so far apart: a device that is worked on saves every minute.
const ARRIVALS_APART_MS: i64 = 60 * 60 * 1_000;

/// A conversation of so many messages is very large: the original specification's figure.
const LARGE_MESSAGES: u32 = 500;

/// So many very large conversations are remembered, the last ones that were told.
const LARGE_TOLD_MAX: usize = 256;

/// The file in a store's folder that says what was notified of. Without it, what stands is told once more.
const TOLD_FILE: &str = "told.json";

/// More than two causes, an address and the names of sessions take, however their characters are written.
const TOLD_FILE_MAX: u64 = 32 << 10;

/// A longer address of a remote is not kept.
const ADDRESS_MAX: usize = 1 << 10;

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
    notified: Notified,
    /// Where that is kept; nowhere in tests.
    file: Option<PathBuf>,
}

/// What was notified of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Notified {
    /// The last refusal of either, for notifications: the network being away in between changes nothing.
    refused: [Option<Cause>; 2],
    moved_to: Option<String>,
    arrivals_ms: Option<i64>,
    /// Sessions that are very large, by their names on the remote.
    large: Vec<String>,
}

impl Told {
    /// Goes on from what was notified of about the store in `dir`; nothing where that cannot be read.
    pub fn open(dir: &Path) -> Self {
        let file = dir.join(TOLD_FILE);
        let notified = read(&file).unwrap_or_default();
        Self { last: Default::default(), notified, file: Some(file) }
    }

    /// Notes a failure; whether it is another one than the last.
    pub fn is_news(&mut self, doing: Doing, cause: &Cause) -> bool {
        let known = self.last.contains(&Some(cause.clone()));
        self.last[doing as usize] = Some(cause.clone());
        !known
    }

    /// Notes a refusal; whether it is another one than the user was notified of.
    pub fn is_new_refusal(&mut self, doing: Doing, cause: &Cause) -> bool {
        let known = self.notified.refused.contains(&Some(cause.clone()));
        self.change(|notified| notified.refused[doing as usize] = Some(cause.clone()));
        !known
    }

    /// Notes that it works; whether it was refused before.
    pub fn mended(&mut self, doing: Doing) -> bool {
        self.last[doing as usize] = None;
        self.change(|notified| notified.refused[doing as usize].take().is_some())
    }

    /// The refusal of our saves that stands.
    pub fn refusal(&self) -> Option<&Cause> {
        self.notified.refused[Doing::Sending as usize].as_ref()
    }

    /// Notes where the remote says it has moved to; whether that is news.
    pub fn is_new_address(&mut self, moved_to: Option<&str>) -> bool {
        let moved_to = moved_to.filter(|address| address.len() <= ADDRESS_MAX);
        let is_news = moved_to.is_some() && self.moved_to() != moved_to;
        self.change(|notified| notified.moved_to = moved_to.map(str::to_owned));
        is_news
    }

    /// Where the remote says it has moved to.
    pub fn moved_to(&self) -> Option<&str> {
        self.notified.moved_to.as_deref()
    }

    /// Notes that other devices' saves arrived; whether the last time that was told is long enough ago. What
    /// was told at a time that is yet to come was told by a clock that was wrong.
    pub fn is_time_for_arrivals(&mut self, now_ms: i64) -> bool {
        let apart = 0..ARRIVALS_APART_MS;
        let told = self.notified.arrivals_ms;
        let is_time = told.is_none_or(|told| !apart.contains(&now_ms.saturating_sub(told)));
        if is_time {
            self.change(|notified| notified.arrivals_ms = Some(now_ms));
        }
        is_time
    }

    /// Whether a session is very large, and nobody was told yet.
    pub fn is_large_news(&self, session: SessionName, messages: u32) -> bool {
        messages >= LARGE_MESSAGES && !self.notified.large.contains(&session.to_string())
    }

    /// Notes that somebody is told of a session if it is very large; whether that is news.
    pub fn is_first_told_large(&mut self, session: SessionName, messages: u32) -> bool {
        let is_news = self.is_large_news(session, messages);
        if is_news {
            self.change(|notified| {
                let before = notified.large.len().saturating_sub(LARGE_TOLD_MAX - 1);
                notified.large.drain(..before);
                notified.large.push(session.to_string());
            });
        }
        is_news
    }

    /// Changes what was notified of, and keeps it where it became another.
    fn change<T>(&mut self, change: impl FnOnce(&mut Notified) -> T) -> T {
        let before = self.notified.clone();
        let result = change(&mut self.notified);
        if let Some(file) = self.file.as_deref().filter(|_| self.notified != before) {
            keep(file, &self.notified);
        }
        result
    }
}

fn read(file: &Path) -> Option<Notified> {
    let mut text = String::new();
    File::open(file).ok()?.take(TOLD_FILE_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Without it a later daemon tells what stands once more, which is no failure.
fn keep(file: &Path, notified: &Notified) {
    let written = serde_json::to_vec(notified)
        .map_err(|error| error.to_string())
        .and_then(|text| disk::write_atomic(file, &text).map_err(|error| error.to_string()));
    if let Err(error) = written {
        tracing::debug!(error, "what was notified of could not be kept");
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

    #[test]
    fn a_clock_that_was_set_back_holds_up_no_arrivals() {
        let mut told = Told::default();
        assert!(told.is_time_for_arrivals(i64::MAX));
        assert!(told.is_time_for_arrivals(1_000));
    }

    #[test]
    fn a_conversation_that_became_very_large_is_told_once_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let session = |number: u16| {
            let [high, low] = number.to_be_bytes();
            SessionName([high, low, 0, 0, 0, 0, 0, 0])
        };
        let mut told = Told::open(dir.path());
        assert!(!told.is_first_told_large(session(0), LARGE_MESSAGES - 1));
        assert!(told.is_large_news(session(0), LARGE_MESSAGES));
        assert!(told.is_first_told_large(session(0), LARGE_MESSAGES));
        assert!(!told.is_first_told_large(session(0), LARGE_MESSAGES + 9));
        let mut told = Told::open(dir.path());
        assert!(!told.is_large_news(session(0), LARGE_MESSAGES + 9));
        for number in 1..1000 {
            assert!(told.is_first_told_large(session(number), LARGE_MESSAGES), "{number}");
        }
        let told = Told::open(dir.path());
        assert!(
            (999 - 250..1000).all(|number| !told.is_large_news(session(number), LARGE_MESSAGES))
        );
    }

    #[test]
    fn what_was_notified_of_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut told = Told::open(dir.path());
        assert!(told.is_new_refusal(Doing::Sending, &cause(HookDeclined, "not on sundays")));
        assert!(told.is_new_refusal(Doing::Listing, &cause(Login, "no")));
        assert!(told.is_new_address(Some("https://git.example/new.git")));
        assert!(told.is_time_for_arrivals(5));

        let mut told = Told::open(dir.path());
        assert!(!told.is_new_refusal(Doing::Sending, &cause(HookDeclined, "not on sundays")));
        assert!(!told.is_new_address(Some("https://git.example/new.git")));
        assert!(!told.is_time_for_arrivals(6));
        assert!(told.is_news(Doing::Sending, &cause(Login, "no")), "clients hear of it anew");
        assert!(told.mended(Doing::Listing));

        let mut told = Told::open(dir.path());
        assert!(!told.mended(Doing::Listing), "that it was mended is known, too");
        assert_eq!(told.refusal(), Some(&cause(HookDeclined, "not on sundays")));
        assert!(told.is_new_refusal(Doing::Sending, &cause(Quota, "over")));
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_cannot_be_read_is_told_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut told = Told::open(dir.path());
        let long = "\u{1}\u{10ffff} ".repeat(1 << 16);
        told.is_new_refusal(Doing::Sending, &cause(HookDeclined, &long));
        told.is_new_refusal(Doing::Listing, &cause(HookDeclined, &format!("x {long}")));
        told.is_new_address(Some(&"\u{1}".repeat(ADDRESS_MAX)));
        let file = dir.path().join(TOLD_FILE);
        assert!(file.metadata().unwrap().len() < TOLD_FILE_MAX);
        assert!(
            !Told::open(dir.path()).is_new_refusal(Doing::Sending, &cause(HookDeclined, &long))
        );
        assert!(!told.is_new_address(Some(&"a".repeat(ADDRESS_MAX + 1))));

        for broken in ["", "{", "[1]", r#"{"refused":[{"kind":"unheard-of","words":""},null]}"#] {
            disk::write_atomic(&file, broken.as_bytes()).unwrap();
            assert!(Told::open(dir.path()).is_new_refusal(Doing::Sending, &cause(Login, "no")));
        }
    }
}
