//! Decides what a restore does with each file. Reads and writes nothing.

use crate::id::{Digest, LogId};
use crate::log::{Kind, Survey};

/// How a file here relates to the saved one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// There is none here.
    Absent,
    /// Both are equal.
    Same,
    /// Ours is the beginning of theirs.
    Behind {
        /// Our length.
        length: u64,
    },
    /// Theirs is the beginning of ours.
    Ahead {
        /// How many bytes more we have.
        by: u64,
    },
    /// Our complete lines are the beginning of theirs, but an unfinished line follows here.
    Unfinished,
    /// Neither is the beginning of the other.
    Apart,
    /// Something that is no regular file stands in the way, on it or above it.
    Blocked,
}

impl Relation {
    /// Compares two contents; `theirs` must have been surveyed at our two lengths, and `ours` at theirs.
    pub fn between(ours: &Survey, theirs: &Survey) -> Self {
        let begins_theirs = |length, digest| theirs.digest_at(length) == Some(digest);
        if (ours.length, ours.content) == (theirs.length, theirs.content) {
            Self::Same
        } else if ours.length < theirs.length && begins_theirs(ours.length, ours.content) {
            Self::Behind { length: ours.length }
        } else if ours.length > theirs.length
            && ours.digest_at(theirs.length) == Some(theirs.content)
        {
            Self::Ahead { by: ours.length - theirs.length }
        } else if ours.complete < ours.length && begins_theirs(ours.complete, ours.complete_content)
        {
            Self::Unfinished
        } else {
            Self::Apart
        }
    }
}

/// One file, compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Which file.
    pub log: LogId,
    /// How ours relates to theirs.
    pub relation: Relation,
    /// The digest of ours, if there is one.
    pub ours: Option<Digest>,
    /// Whether ours is an earlier saved content of the same file.
    pub is_older: bool,
}

/// Why a file is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The session runs here, and would not see the change but write over it.
    #[error("the session is running here")]
    Live,
    /// There is more here than was saved there.
    #[error("it has {by} bytes here that the other device does not have")]
    Ahead {
        /// How many.
        by: u64,
    },
    /// Both sides went on from a common beginning, or never had one.
    #[error("it went on differently here")]
    Diverged,
    /// Claude Code stopped within a line here; theirs does not continue it.
    #[error("its last line here is unfinished and not part of what was saved")]
    Unfinished,
    /// A link, a directory or something else is in its place.
    #[error("something that is not a regular file is in its place")]
    Blocked,
}

/// What to do with one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Write it anew.
    Create,
    /// Add what is missing.
    Append {
        /// The length of ours.
        from: u64,
        /// The digest of ours.
        ours: Digest,
    },
    /// Put the saved content in place of an earlier saved one.
    Replace {
        /// The digest of ours.
        ours: Digest,
    },
    /// Only make it young: it is equal.
    Nothing,
    /// Leave ours and say so.
    Keep(Refusal),
}

/// One file and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which file.
    pub log: LogId,
    /// What to do.
    pub decision: Decision,
}

/// What to do with all files, in this order: the main transcript is last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether nothing is left to be written.
    pub fn is_done(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.decision, Decision::Nothing | Decision::Keep(_)))
    }
}

/// Decides about a session's files.
///
/// # Errors
/// The reason when the main transcript cannot be written; then nothing may be. Another file that cannot
/// be written is kept as it is here.
pub fn plan(files: &[Compared], is_live: bool) -> Result<Plan, Refusal> {
    if is_live {
        return Err(Refusal::Live);
    }
    let mut steps = Vec::new();
    for file in files {
        let decision = match decide(file) {
            Err(refusal) if file.log == LogId::main() => return Err(refusal),
            decided => decided.unwrap_or_else(Decision::Keep),
        };
        steps.push(Step { log: file.log.clone(), decision });
    }
    steps.sort_by_key(|step| step.log == LogId::main());
    Ok(Plan { steps })
}

fn decide(file: &Compared) -> Result<Decision, Refusal> {
    let is_lines = Kind::of(&file.log) == Kind::Lines;
    match (file.relation, file.ours) {
        (Relation::Absent, _) => Ok(Decision::Create),
        (Relation::Same, _) => Ok(Decision::Nothing),
        (Relation::Behind { length }, Some(ours)) if is_lines => {
            Ok(Decision::Append { from: length, ours })
        }
        (Relation::Blocked, _) => Err(Refusal::Blocked),
        (_, Some(ours)) if !is_lines && file.is_older => Ok(Decision::Replace { ours }),
        // The torn line is saved as such: taking it out of the transcript loses nothing.
        (Relation::Unfinished, Some(ours)) if file.is_older => Ok(Decision::Replace { ours }),
        (Relation::Ahead { by }, _) => Err(Refusal::Ahead { by }),
        (Relation::Unfinished, _) if is_lines => Err(Refusal::Unfinished),
        _ => Err(Refusal::Diverged),
    }
}
