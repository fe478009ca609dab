//! Turns the rooms' errors into what a client is told: one line, a kind, and the way out.

use std::error::Error;

use convosync_core::cause::with_causes;
use convosync_core::disk::DiskError;
use convosync_core::history::HistoryError;
use convosync_core::inbound::{BringError, InboundError};
use convosync_core::outbound::OutboundError;
use convosync_core::project::ProjectError;
use convosync_core::protocol::{ErrorKind, Failure, Problem};
use convosync_core::remote::{Outcome, PORTAL, Passing, PermanentKind, RemoteError};
use convosync_core::store::StoreError;
use convosync_core::vault::VaultError;
use serde::{Deserialize, Serialize};

use crate::engine::Fault;
use crate::lists::ListError;

/// Builds a failure from an error and its hint.
pub fn failure(kind: ErrorKind, error: &dyn Error, hint: Option<String>) -> Failure {
    let failure = Failure::new(kind, with_causes(error));
    let hint = machine_hint(&failure.message).map(str::to_owned).or(hint);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// What to do when the machine itself is at fault, whichever library or child said so.
pub fn machine_hint(message: &str) -> Option<&'static str> {
    const SAYINGS: [(&str, &str); 6] = [
        (
            "No space left on device",
            "free some disk space: what waits is saved as soon as there is room",
        ),
        (
            "Disk quota exceeded",
            "free some of your disk quota: what waits is saved as soon as there is room",
        ),
        (
            "Read-only file system",
            "ConvoSync's folder cannot be written (`convosyncctl config path` names it): mount it writable",
        ),
        (
            "Too many open files",
            "raise the limit of open files (`ulimit -n`), or close some: it is tried again",
        ),
        ("Resource temporarily unavailable", "too many processes run: it is tried again"),
        ("Cannot allocate memory", "the machine is out of memory: it is tried again"),
    ];
    SAYINGS.iter().find(|(saying, _)| message.contains(saying)).map(|(_, hint)| *hint)
}

/// A [`Failure`] as a standing problem.
pub fn problem_of(failure: &Failure, since_ms: i64) -> Problem {
    Problem { message: failure.message.clone(), hint: failure.data.hint.clone(), since_ms }
}

/// Tells what a [`DiskError`] means for the user.
pub fn disk(error: &DiskError) -> Failure {
    failure(ErrorKind::Failed, error, error.hint())
}

/// Tells what a [`ListError`] means for the user.
pub fn list(error: &ListError) -> Failure {
    failure(ErrorKind::Failed, error, error.hint())
}

/// Tells what a [`StoreError`] means for the user.
pub fn store(error: &StoreError) -> Failure {
    let kind = if matches!(error, StoreError::NewerFormat { .. }) {
        ErrorKind::Damaged
    } else {
        ErrorKind::Failed
    };
    failure(kind, error, error.hint())
}

/// Tells what a [`ProjectError`] means for the user.
pub fn project(error: &ProjectError) -> Failure {
    failure(ErrorKind::Failed, error, error.hint())
}

/// Tells what a [`VaultError`] means for the user.
pub fn vault(error: &VaultError) -> Failure {
    failure(ErrorKind::Failed, error, error.hint())
}

/// Tells what a [`HistoryError`] means for the user.
pub fn history(error: &HistoryError) -> Failure {
    let kind = if error.is_damage() { ErrorKind::Damaged } else { ErrorKind::Failed };
    let hint = error.is_damage().then(|| {
        "run `convosyncctl resume` on the device that made the save, and let it save again: its transcript is whole".to_owned()
    });
    failure(kind, error, hint)
}

/// Tells what a [`OutboundError`] means for the user.
pub fn outbound(error: &OutboundError) -> Failure {
    match error {
        OutboundError::Store(source) => failure(ErrorKind::Failed, error, source.hint()),
        OutboundError::History(source) => history(source),
        _ => failure(ErrorKind::Failed, error, None),
    }
}

/// Tells what a [`InboundError`] means for the user.
pub fn inbound(error: &InboundError) -> Failure {
    failure(ErrorKind::Damaged, error, error.hint())
}

/// Tells what a [`BringError`] means for the user.
pub fn bring(error: &BringError) -> Failure {
    failure(error.kind(), error, error.hint())
}

/// Tells what a [`RemoteError`] means for the user.
pub fn remote(error: &RemoteError) -> Failure {
    let kind = if error.is_transient() { ErrorKind::Offline } else { ErrorKind::Refused };
    failure(kind, error, error.hint())
}

/// How much of what was said tells two causes apart: a host may say a lot.
const WORDS_MAX: usize = 400;

/// What makes two failures of a remote one and the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The kind of a refusal; `None` for what passes by itself.
    pub kind: Option<PermanentKind>,
    /// What was said, without numbers, where that tells two causes of a kind apart.
    words: String,
}

impl Cause {
    /// The cause of a refusal.
    pub fn refused(kind: PermanentKind, why: &str) -> Self {
        let words = if kind.is_told_apart_by_words() { lasting(why) } else { String::new() };
        Self { kind: Some(kind), words }
    }

    /// The cause of what passes by itself.
    pub fn passing(why: &str) -> Self {
        Self { kind: None, words: lasting(why) }
    }
}

/// The words that stay the same from one try to the next: times, sizes and requests' numbers do not.
fn lasting(why: &str) -> String {
    let lasting =
        why.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    let words = lasting.collect::<Vec<_>>().join(" ");
    words.chars().take(WORDS_MAX).collect()
}

/// A remote that cannot be used, as it stands in `status`.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// What the user is told.
    pub problem: Problem,
    /// What it means for when to try again.
    pub fault: Fault,
    /// What makes it the same trouble as another.
    pub cause: Cause,
}

impl Trouble {
    /// A refusal; one that passes by itself is told with the way out all the same, and tried again soon.
    fn refused(kind: PermanentKind, why: &str, passing: Option<Passing>, since_ms: i64) -> Self {
        let problem = Problem {
            message: format!("{}: {why}", kind.cause()),
            hint: Some(kind.hint().to_owned()),
            since_ms,
        };
        Self { problem, fault: fault(passing), cause: Cause::refused(kind, why) }
    }

    fn passing(why: &str, since_ms: i64) -> Self {
        let passing = Passing::of(why);
        let hint = Passing::way_out(why).unwrap_or("nothing to do: it is tried again");
        let why = if passing == Passing::Portal { PORTAL } else { why };
        let message = format!("cannot reach the remote: {why}");
        let trouble = Self::other(message, Some(hint.to_owned()), since_ms);
        Self { fault: fault(Some(passing)), ..trouble }
    }

    /// What has no kind of its own.
    pub fn other(message: String, hint: Option<String>, since_ms: i64) -> Self {
        let cause = Cause::passing(&message);
        Self { problem: Problem { message, hint, since_ms }, fault: Fault::Failing, cause }
    }

    /// What it means that a remote could not be listed or fetched from.
    pub fn of_listing(error: &RemoteError, since_ms: i64) -> Self {
        match error {
            RemoteError::Permanent { kind, why } => {
                Self::refused(*kind, why, error.passing(), since_ms)
            }
            RemoteError::Transient { why } => Self::passing(why, since_ms),
            other => {
                let trouble = Self::other(with_causes(other), other.hint(), since_ms);
                Self { fault: fault(error.passing()), ..trouble }
            }
        }
    }

    /// What an unsuccessful push means; `None` when it was successful.
    pub fn of_push(outcome: &Outcome, since_ms: i64) -> Option<Self> {
        match outcome {
            Outcome::Sent(_) => None,
            Outcome::Behind => {
                let message = "the remote's copy of this device's ref moved without us".to_owned();
                Some(Self::other(message, None, since_ms))
            }
            Outcome::Transient { why } => Some(Self::passing(why, since_ms)),
            Outcome::Permanent { kind, why } => {
                Some(Self::refused(*kind, why, outcome.passing(), since_ms))
            }
        }
    }
}

/// What a failure means for when to try again.
fn fault(passing: Option<Passing>) -> Fault {
    match passing {
        Some(Passing::Unreached | Passing::Portal) => Fault::Unreached,
        Some(Passing::Limited) => Fault::Limited,
        Some(Passing::Failing) => Fault::Failing,
        None => Fault::Refused,
    }
}
