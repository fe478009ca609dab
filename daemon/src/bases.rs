//! Which branches of a remote the saved code stands on, and which of them the remote was seen without.
//!
//! Git keeps a branch's last known place long after it was deleted at the remote, where its commits may be
//! gone too. What was seen to be gone bounds no code state any more: its commits travel.

use std::collections::{BTreeMap, BTreeSet};

use convosync_core::code::Base;
use convosync_core::id::SessionId;

/// For so many sessions it is remembered what their code stands on: those of a busy day.
const SESSIONS_MAX: usize = 64;

/// So many branches are asked for at once: each makes the question longer.
const ASKED_MAX: usize = 64;

/// What is known of the branches of one remote. May be forgotten at any time: it is learned anew.
#[derive(Debug, Default)]
pub struct Bases {
    relied: BTreeMap<SessionId, BTreeSet<String>>,
    gone: BTreeSet<String>,
    /// Sessions whose code stands on what is gone because too much would have to travel otherwise.
    given_up: BTreeSet<SessionId>,
}

impl Bases {
    /// Notes what the newest code state of a session stands on.
    pub fn note(&mut self, session: &SessionId, bases: &[Base]) {
        if self.relied.len() >= SESSIONS_MAX && !self.relied.contains_key(session) {
            self.relied.clear();
            self.given_up.clear();
        }
        let names = bases.iter().map(|base| base.reference.clone());
        let names = names.filter(|name| !name.is_empty()).collect();
        self.relied.insert(session.clone(), names);
    }

    /// Notes that the code of a session cannot do without what is gone, until something changes there.
    pub fn give_up(&mut self, session: &SessionId) {
        self.given_up.insert(session.clone());
    }

    /// Forgets what the code of a session stands on: it is not told by this remote.
    pub fn forget(&mut self, session: &SessionId) {
        self.relied.remove(session);
        self.given_up.remove(session);
    }

    /// Whether the code of a session stands on branches of this remote.
    pub fn has(&self, session: &SessionId) -> bool {
        self.relied.contains_key(session)
    }

    /// The branches that the remote is to be asked for.
    pub fn asked(&self) -> Vec<String> {
        let all: BTreeSet<&String> =
            self.gone.iter().chain(self.relied.values().flatten()).collect();
        all.into_iter().take(ASKED_MAX).cloned().collect()
    }

    /// Takes in which of the asked branches the remote has.
    pub fn listed(&mut self, asked: &[String], found: &[String]) {
        for name in asked {
            let is_new = if found.contains(name) {
                self.gone.remove(name)
            } else {
                self.gone.insert(name.clone())
            };
            if is_new {
                self.given_up.clear();
            }
        }
    }

    /// The branches that the code of a session is not to stand on.
    pub fn gone_for(&self, session: &SessionId) -> BTreeSet<String> {
        if self.given_up.contains(session) { BTreeSet::new() } else { self.gone.clone() }
    }

    /// Whether the newest code state of a session stands on what is gone, and need not.
    pub fn is_lost(&self, session: &SessionId) -> bool {
        let is_on = |names: &BTreeSet<String>| !names.is_disjoint(&self.gone);
        !self.given_up.contains(session) && self.relied.get(session).is_some_and(is_on)
    }
}

#[cfg(test)]
mod tests {
    use convosync_core::id::Oid;

    use super::*;

    fn session(name: &str) -> SessionId {
        name.parse().unwrap()
    }

    fn base(reference: &str) -> Base {
        Base { commit: Oid([7; 20]), reference: reference.to_owned() }
    }

    #[test]
    fn a_session_is_lost_when_a_branch_it_stands_on_is_not_listed_and_found_when_it_is() {
        let (mut bases, session) = (Bases::default(), session("1"));
        bases.note(&session, &[base("refs/heads/main"), base("refs/heads/topic"), base("")]);
        let asked = bases.asked();
        assert_eq!(asked, ["refs/heads/main", "refs/heads/topic"]);
        bases.listed(&asked, &asked);
        assert!(!bases.is_lost(&session));

        bases.listed(&asked, &asked[..1]);
        assert!(bases.is_lost(&session));
        assert!(bases.gone_for(&session).contains("refs/heads/topic"));

        // Captured again without it, and the branch is asked for all the same: it may come back.
        bases.note(&session, &[base("refs/heads/main")]);
        assert!(!bases.is_lost(&session));
        assert_eq!(bases.asked(), asked);
        bases.listed(&asked, &asked);
        assert!(bases.gone_for(&session).is_empty());
    }

    #[test]
    fn a_branch_that_nobody_stands_on_is_not_asked_for() {
        let (mut bases, session) = (Bases::default(), session("1"));
        bases.note(&session, &[base("refs/heads/old")]);
        bases.note(&session, &[base("refs/heads/new")]);
        assert_eq!(bases.asked(), ["refs/heads/new"]);
    }

    #[test]
    fn what_cannot_do_without_a_branch_that_is_gone_is_left_alone_until_something_changes() {
        let (mut bases, session) = (Bases::default(), session("1"));
        bases.note(&session, &[base("refs/heads/main"), base("refs/heads/topic")]);
        let asked = bases.asked();
        bases.listed(&asked, &asked[..1]);
        bases.give_up(&session);
        bases.listed(&asked, &asked[..1]);
        assert!(!bases.is_lost(&session) && bases.gone_for(&session).is_empty());

        bases.listed(&asked, &[]);
        assert!(bases.is_lost(&session));
        assert_eq!(bases.gone_for(&session).len(), 2);
    }
}
