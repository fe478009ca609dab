//! Turns the rooms' errors into what a client is told: one line, a kind, and the way out.

use std::error::Error;

use convosync_core::history::HistoryError;
use convosync_core::inbound::{BringError, InboundError};
use convosync_core::outbound::OutboundError;
use convosync_core::project::ProjectError;
use convosync_core::protocol::{ErrorKind, Failure, Problem};
use convosync_core::remote::{Outcome, PORTAL, Passing, RemoteError};
use convosync_core::store::StoreError;
use convosync_core::vault::VaultError;

use crate::engine::Fault;

/// Joins an error and its causes into one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let line = next.to_string();
        if !text.ends_with(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = next.source();
    }
    text
}

/// Builds a failure from an error and its hint.
pub fn failure(kind: ErrorKind, error: &dyn Error, hint: Option<String>) -> Failure {
    let failure = Failure::new(kind, chain(error));
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// A [`Failure`] as a standing problem.
pub fn problem_of(failure: &Failure, since_ms: i64) -> Problem {
    Problem { message: failure.message.clone(), hint: failure.data.hint.clone(), since_ms }
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

/// What an unsuccessful push means, and whether it is final; `None` when it was successful.
pub fn outcome(outcome: &Outcome, since_ms: i64) -> Option<(Problem, bool)> {
    let problem = |message: String, hint: Option<String>| Problem { message, hint, since_ms };
    match outcome {
        Outcome::Sent(_) => None,
        Outcome::Behind => Some((
            problem("the remote's copy of this device's ref moved without us".to_owned(), None),
            false,
        )),
        Outcome::Transient { why } => Some((passing(Passing::of(why), why, since_ms), false)),
        Outcome::Permanent { kind, why } => {
            // What passes by itself is told with the way out all the same, and tried again soon.
            let is_final = outcome.passing().is_none();
            Some((problem(why.clone(), Some(kind.hint().to_owned())), is_final))
        }
    }
}

fn passing(passing: Passing, why: &str, since_ms: i64) -> Problem {
    let (why, hint) = match passing {
        Passing::Portal => {
            (PORTAL, "open any page in a browser; if no login comes up, check the remote's address")
        }
        _ => (why, "nothing to do: it is tried again"),
    };
    let message = format!("cannot reach the remote: {why}");
    Problem { message, hint: Some(hint.to_owned()), since_ms }
}

/// What a failure means for when to try again.
pub fn fault(passing: Option<Passing>) -> Fault {
    match passing {
        Some(Passing::Unreached | Passing::Portal) => Fault::Unreached,
        Some(Passing::Limited) => Fault::Limited,
        Some(Passing::Failing) => Fault::Failing,
        None => Fault::Refused,
    }
}
