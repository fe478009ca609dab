//! Finds out, before anything depends on it, whether and where a host keeps our refs.

use super::{Outcome, PermanentKind, Remote, RemoteError, words};
use crate::id::{Oid, Random, hex};
use crate::store::RefKind;

/// What a host was found to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Where our refs may stand: a branch is warned of (branch lists, CI).
    pub kind: RefKind,
    /// Why the host does not keep refs outside of `refs/heads`, when it does not.
    pub refused: Option<String>,
    /// The probing ref, when the host would not remove it again.
    pub left_behind: Option<String>,
}

enum Answer {
    Keeps { left_behind: Option<String> },
    Refuses { why: String },
}

impl Remote<'_> {
    /// Pushes a ref that is nobody's, reads it back and removes it; first as a ref of its own kind, then as
    /// a branch. A host that takes the push and then does not list the ref counts as refusing: it hides it.
    ///
    /// # Errors
    /// [`RemoteError`] when the remote is not reached, or refuses both.
    pub fn probe(&self, random: &mut dyn Random) -> Result<Probe, RemoteError> {
        let commit = self.store.probe_commit()?;
        let mut name = [0; 8];
        random.fill(&mut name);
        let name = format!("probe/{}", hex(&name));
        let refused = match self.try_kind(RefKind::Custom, &name, commit)? {
            Answer::Keeps { left_behind } => {
                return Ok(Probe { kind: RefKind::Custom, refused: None, left_behind });
            }
            Answer::Refuses { why } => why,
        };
        match self.try_kind(RefKind::Branch, &name, commit)? {
            Answer::Keeps { left_behind } => {
                Ok(Probe { kind: RefKind::Branch, refused: Some(refused), left_behind })
            }
            Answer::Refuses { why } => Err(RemoteError::Permanent {
                kind: PermanentKind::RefRefused,
                why: words::printable(&format!("{refused}; as a branch: {why}")),
            }),
        }
    }

    fn try_kind(&self, kind: RefKind, name: &str, commit: Oid) -> Result<Answer, RemoteError> {
        let name = format!("{}{name}", kind.prefix());
        match self.push_one(&name, Some(commit), None, false) {
            Outcome::Sent(_) => {}
            Outcome::Permanent { kind, why } if kind.is_of_the_name() => {
                return Ok(Answer::Refuses { why });
            }
            Outcome::Behind => {
                return Ok(Answer::Refuses { why: "another ref is in the way".to_owned() });
            }
            Outcome::Permanent { kind, why } => return Err(RemoteError::Permanent { kind, why }),
            Outcome::Transient { why } => return Err(RemoteError::Transient { why }),
        }
        let listed = self.find(&name)? == Some(commit);
        let removed = matches!(self.push_one(&name, None, Some(commit), false), Outcome::Sent(_));
        if listed {
            return Ok(Answer::Keeps { left_behind: (!removed).then_some(name) });
        }
        Ok(Answer::Refuses { why: "the host takes the ref and then hides it".to_owned() })
    }
}
