//! Where HEAD goes. Pure.
//!
//! A branch that is here only moves forward: to a commit that holds all it had. Where it has more, or
//! another work tree has it checked out, the saved state goes on a branch of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{Apart, Refusal};
use crate::code::Head;
use crate::id::Oid;

/// How many names are tried for a new branch: one for every resume of the same session that diverged.
const NAMES_MAX: u32 = 1000;

/// What is known of the branches here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Branches {
    /// Where each stands.
    pub(super) tips: BTreeMap<String, Oid>,
    /// Those that other work trees have checked out.
    pub(super) elsewhere: BTreeSet<String>,
    /// Those that the saved commit holds whole.
    pub(super) held: BTreeSet<String>,
    /// How far the saved branch went another way here.
    pub(super) apart: Option<Apart>,
    /// Whether git's reflog remembers where that one stood.
    pub(super) is_logged: bool,
}

/// How HEAD and a branch move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    /// Where HEAD will be.
    pub(super) head: Head,
    /// The ref that moves, where it is and where it goes; `None` is "not there".
    pub(super) branch: Option<RefMove>,
    /// The saved branch's name, where another is made instead.
    pub(super) instead_of: Option<String>,
}

impl Move {
    /// Nothing moves.
    pub(super) fn none(here: &Head) -> Self {
        Self { head: here.clone(), branch: None, instead_of: None }
    }
}

/// One ref's move.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct RefMove {
    /// Its full name.
    pub(super) name: String,
    /// Where it stands.
    pub(super) from: Option<Oid>,
    /// Where it goes.
    pub(super) to: Option<Oid>,
}

/// Decides for a saved HEAD. `short` names the session; with `take` the branch moves even where it has commits of
/// its own, if they are remembered.
pub(super) fn decide(saved: &Head, branches: &Branches, short: &str, take: bool) -> Move {
    let Some(branch) = &saved.branch else {
        return Move { head: saved.clone(), branch: None, instead_of: None };
    };
    let is_taken = take
        && branches.is_logged
        && branches.apart.as_ref().is_some_and(|apart| apart.branch == *branch)
        && !branches.elsewhere.contains(branch);
    if is_taken || can_take(branch, saved.commit, branches) {
        return taken(branch.clone(), saved.commit, branches, None);
    }
    let stem = format!("{branch}-{short}");
    // A branch that is a folder of this name leaves room only for a name without folders.
    let stems = [stem.clone(), stem.replace('/', "-")];
    let names = stems.iter().flat_map(|stem| {
        std::iter::once(stem.clone())
            .chain((2..NAMES_MAX).map(move |number| format!("{stem}-{number}")))
    });
    let mut names = names.filter(|name| can_take(name, saved.commit, branches));
    let name = names.next().unwrap_or(stem);
    taken(name, saved.commit, branches, Some(branch.clone()))
}

fn taken(
    branch: String,
    commit: Option<Oid>,
    branches: &Branches,
    instead_of: Option<String>,
) -> Move {
    let from = branches.tips.get(&branch).copied();
    let moved = (from != commit).then(|| RefMove {
        name: format!("refs/heads/{branch}"),
        from,
        to: commit,
    });
    Move { head: Head { branch: Some(branch), commit }, branch: moved, instead_of }
}

fn can_take(branch: &str, commit: Option<Oid>, branches: &Branches) -> bool {
    if branches.elsewhere.contains(branch) {
        return false;
    }
    match (branches.tips.get(branch), commit) {
        (None, _) => !branches.tips.keys().any(|other| is_in_the_way(other, branch)),
        (Some(_), None) => false,
        (Some(tip), Some(commit)) => *tip == commit || branches.held.contains(branch),
    }
}

/// Whether a branch's name is a folder of another's: git keeps refs as files, so both cannot be.
fn is_in_the_way(other: &str, branch: &str) -> bool {
    let is_below = |name: &str, folder: &str| {
        name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    is_below(other, branch) || is_below(branch, other)
}

/// Decides for an undo: what was moved moves back, if it still stands where it was put.
pub(super) fn back(
    before: &Head,
    moved: Option<&RefMove>,
    branches: &Branches,
) -> Result<Move, Refusal> {
    let back = match moved {
        None => None,
        Some(moved) => {
            let name = moved.name.strip_prefix("refs/heads/").unwrap_or(&moved.name);
            let now = branches.tips.get(name).copied();
            if now != moved.to && now != moved.from {
                return Err(Refusal::Moved(name.to_owned()));
            }
            if now != moved.from && branches.elsewhere.contains(name) {
                return Err(Refusal::Moved(name.to_owned()));
            }
            (now != moved.from).then(|| RefMove {
                name: moved.name.clone(),
                from: now,
                to: moved.from,
            })
        }
    };
    // HEAD's own branch may have been moved by hand since, too.
    if let Some(branch) = &before.branch {
        let is_moving =
            back.as_ref().is_some_and(|moved| moved.name == format!("refs/heads/{branch}"));
        let is_elsewhere = branches.elsewhere.contains(branch);
        let is_moved = !is_moving && branches.tips.get(branch).copied() != before.commit;
        if is_elsewhere || is_moved {
            return Err(Refusal::Moved(branch.clone()));
        }
    }
    Ok(Move { head: before.clone(), branch: back, instead_of: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Oid = Oid([1; 20]);
    const NEW: Oid = Oid([2; 20]);

    fn head(branch: &str, commit: Option<Oid>) -> Head {
        Head { branch: Some(branch.to_owned()), commit }
    }

    fn branches(tips: &[(&str, Oid)]) -> Branches {
        let tips = tips.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
        Branches { tips, ..Branches::default() }
    }

    #[test]
    fn a_branch_moves_forward_and_never_back() {
        let mut here = branches(&[("main", OLD)]);
        let decided = decide(&head("main", Some(NEW)), &here, "12345678", false);
        assert_eq!(decided.head.branch.as_deref(), Some("main-12345678"));
        assert_eq!(decided.instead_of.as_deref(), Some("main"));
        assert_eq!(decided.branch.unwrap().from, None);

        here.held.insert("main".to_owned());
        let decided = decide(&head("main", Some(NEW)), &here, "12345678", false);
        let moved = decided.branch.unwrap();
        assert_eq!((moved.from, moved.to, decided.instead_of), (Some(OLD), Some(NEW), None));
    }

    #[test]
    fn a_branch_with_commits_of_its_own_is_taken_only_when_told_and_remembered() {
        let apart = Apart { branch: "main".to_owned(), ours: 1, theirs: 1 };
        let mut here = Branches { apart: Some(apart), ..branches(&[("main", OLD)]) };
        let name = |here: &Branches| {
            decide(&head("main", Some(NEW)), here, "s", true).head.branch.unwrap_or_default()
        };
        assert_eq!(name(&here), "main-s");
        here.is_logged = true;
        assert_eq!(name(&here), "main");
        here.elsewhere.insert("main".to_owned());
        assert_eq!(name(&here), "main-s");
    }

    #[test]
    fn a_branch_that_stands_right_does_not_move() {
        let decided = decide(&head("main", Some(NEW)), &branches(&[("main", NEW)]), "s", false);
        assert_eq!((decided.branch, decided.instead_of), (None, None));
    }

    #[test]
    fn a_branch_of_another_work_tree_or_with_a_name_in_the_way_is_left_alone() {
        let mut here = branches(&[("main", NEW), ("topic/x", OLD), ("free-s", OLD)]);
        here.elsewhere.insert("main".to_owned());
        let name =
            |saved: &str| decide(&head(saved, Some(NEW)), &here, "s", false).head.branch.unwrap();
        assert_eq!(name("main"), "main-s");
        assert_eq!(name("topic"), "topic-s");
        assert_eq!(name("topic/x/y"), "topic-x-y-s");
        assert_eq!(name("free"), "free");
        let unborn = decide(&head("main", None), &here, "s", false);
        assert_eq!((unborn.head.branch.as_deref(), unborn.branch), (Some("main-s"), None));
    }

    #[test]
    fn an_undo_moves_back_only_what_nobody_moved_since() {
        let moved = RefMove { name: "refs/heads/main".to_owned(), from: Some(OLD), to: Some(NEW) };
        let undone =
            back(&head("main", Some(OLD)), Some(&moved), &branches(&[("main", NEW)])).unwrap();
        assert_eq!(undone.branch.unwrap().to, Some(OLD));
        let interrupted = back(&head("main", Some(OLD)), Some(&moved), &branches(&[("main", OLD)]));
        assert_eq!(interrupted.unwrap().branch, None);
        let committed = branches(&[("main", Oid([3; 20]))]);
        assert!(matches!(
            back(&head("main", Some(OLD)), Some(&moved), &committed),
            Err(Refusal::Moved(_))
        ));
    }
}
