//! What a push or fetch came to, decided from what git printed: a pure function and a table of answers.

mod answers;
mod kind;

use super::passing::plain;
use super::{Traffic, moved, progress, words};
use answers::TABLE;
pub use kind::PermanentKind;

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The remote took it.
    Sent(Sent),
    /// The ref is not where we thought: list, then decide anew.
    Behind,
    /// Trying again later may work.
    Transient {
        /// What was said, made printable.
        why: String,
    },
    /// Trying again is of no use before the user has done something.
    Permanent {
        /// The cause.
        kind: PermanentKind,
        /// What was said, made printable.
        why: String,
    },
}

/// What is known of a push that the remote took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// What it cost.
    pub traffic: Traffic,
    /// The address the remote said it has moved to, made printable.
    pub moved_to: Option<String>,
}

/// Why a child on the network failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    Transient(String),
    Permanent(PermanentKind, String),
}

/// Decides from standard error why a child on the network failed.
pub(super) fn failure(stderr: &str) -> Failure {
    judge(stderr, words::reason(stderr)).unwrap_or_else(Failure::Transient)
}

/// Looks the words up; without a match they are given back.
fn judge(text: &str, why: String) -> Result<Failure, String> {
    let text = words::without_names(text).to_lowercase();
    let found = TABLE.iter().find(|(words, _)| words.iter().any(|word| text.contains(word)));
    match found {
        Some((_, Some(kind))) => Ok(Failure::Permanent(*kind, why)),
        Some((_, None)) => Ok(Failure::Transient(why)),
        None => Err(why),
    }
}

/// Decides what a push came to: by the ref's own line of `--porcelain` if there is one, else by what was
/// said.
pub(super) fn of_push(code: Option<i32>, stdout: &str, stderr: &str, reference: &str) -> Outcome {
    match line_of(stdout, reference) {
        Some(('!', summary)) => rejected(summary, stderr),
        Some(_) if code == Some(0) => Outcome::Sent(Sent {
            traffic: progress::traffic(stderr),
            moved_to: moved::address(stderr),
        }),
        _ => failure(stderr).into(),
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Transient(why) => Self::Transient { why: plain(why) },
            Failure::Permanent(kind, why) => Self::Permanent { kind, why },
        }
    }
}

/// Finds `<flag> TAB <from>:<to> TAB <summary> (<reason>)`.
fn line_of<'a>(stdout: &'a str, reference: &str) -> Option<(char, &'a str)> {
    stdout.lines().find_map(|line| {
        let mut fields = line.splitn(3, '\t');
        let (flag, refs, summary) =
            (fields.next()?.chars().next()?, fields.next()?, fields.next()?);
        refs.rsplit_once(':').is_some_and(|(_, to)| to == reference).then_some((flag, summary))
    })
}

/// Reasons that mean that the ref is not where we thought, or blocked by another.
const BEHIND: &[&str] = &[
    "stale info",
    "failed to update ref",
    "fetch first",
    "non-fast-forward",
    "needs force",
    "already exists",
    "cannot lock ref",
    "incorrect old value",
    "failed to lock",
    "reference already exists",
    "remote ref updated since checkout",
];
/// Reasons that lie with the remote's disk or its mood.
const PASSING: &[&str] = &[
    "unpacker error",
    "internal server error",
    "missing necessary objects",
    "[remote failure]",
    "remote unpack failed",
    "failed to read",
    "timeout",
    "atomic push failed",
];

fn rejected(summary: &str, stderr: &str) -> Outcome {
    let lower = summary.to_lowercase();
    if BEHIND.iter().any(|reason| lower.contains(reason)) {
        return Outcome::Behind;
    }
    let said = words::reason(stderr);
    let from_remote = stderr.contains("remote: ");
    let why = if from_remote { said } else { words::printable(summary) };
    match judge(&format!("{summary}\n{stderr}"), why) {
        Ok(failure) => failure.into(),
        Err(why) if PASSING.iter().any(|reason| lower.contains(reason)) => {
            Outcome::Transient { why }
        }
        Err(why) => Outcome::Permanent { kind: PermanentKind::RefRefused, why },
    }
}

#[cfg(test)]
mod tests;
