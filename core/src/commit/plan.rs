//! What enters a commit, what is left out and why, and how git is asked. Pure.

use super::{Facts, Obstacle};
use crate::code::{OperationKind, RepoPath, Why, some};
use crate::id::Oid;

/// A file of more bytes is warned of: GitHub warns from here on, and refuses twice as much.
pub const LARGE_FILE: u64 = 50 << 20;
/// More bytes in one commit are warned of: what most hosts take in one push without trouble.
pub const LARGE_COMMIT: u64 = 100 << 20;
/// Of more paths git is told "all that is tracked": it compares each with each.
const LISTED_MAX: usize = 2000;
/// As many paths are named in a message.
const SHOWN: usize = 3;

/// What is to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The branch it is committed to.
    pub branch: Option<String>,
    /// How many tracked files differ.
    pub modified: usize,
    /// Files that git does not know yet.
    pub new: Vec<RepoPath>,
    /// What stays as it is.
    pub left: Vec<Left>,
    /// How git is asked; `None` when nothing is to be committed.
    pub manner: Option<Manner>,
    /// Files that are large.
    pub large: Vec<(RepoPath, u64)>,
    /// Bytes of all of it.
    pub bytes: u64,
}

/// How `git commit` is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// What the index has.
    AsStaged,
    /// All that is tracked.
    All,
    /// What the index has, and these paths as they stand in the work tree.
    Include(Vec<RepoPath>),
    /// These paths as they stand in the work tree, whatever else the index has.
    Only(Vec<RepoPath>),
}

/// A path that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub path: RepoPath,
    /// Why.
    pub why: Reason,
}

/// Why a path stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// As of a code state.
    Kept(Why),
    /// Its removal from the index cannot be committed beside a staged secret.
    Removal,
}

impl Reason {
    /// What people are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept(why) => why.as_str(),
            Self::Removal => {
                "its removal is staged, and git cannot commit that beside a staged secret"
            }
        }
    }
}

/// Why nothing can be committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// HEAD is on no branch.
    #[error("cannot commit: HEAD is on no branch, but at {}", commit.map_or_else(|| "no commit".to_owned(), |id| id.short()))]
    Detached {
        /// Where it is.
        commit: Option<Oid>,
    },
    /// There is nowhere to push to.
    #[error("the repository has no remote")]
    NoRemote,
    /// Conflicts.
    #[error("conflicts are not resolved in {}", some(.0, SHOWN))]
    Conflicts(Vec<RepoPath>),
    /// Something is under way.
    #[error("{}", describe(.0))]
    Obstacle(Obstacle),
}

impl Refusal {
    /// What the user can do about it who saves.
    pub fn hint(&self) -> String {
        let is_saved_anyway = match self {
            Self::Detached { .. } | Self::NoRemote | Self::Conflicts(_) => true,
            Self::Obstacle(obstacle) => matches!(obstacle, Obstacle::Unfinished(_)),
        };
        let instead = "`convosyncctl save --stash` saves everything as it stands";
        let way_out = self.way_out();
        if is_saved_anyway { format!("{way_out}; {instead}") } else { way_out }
    }

    /// What makes the commit possible.
    pub fn way_out(&self) -> String {
        match self {
            Self::Detached { .. } => "switch to a branch (`git switch main`), or make one with \
                 `convosyncctl save -b NAME`"
                .to_owned(),
            Self::NoRemote => "add one with `git remote add origin URL`".to_owned(),
            Self::Conflicts(_) => "resolve them and `git add` them".to_owned(),
            Self::Obstacle(Obstacle::Restoring) => {
                "run `convosyncctl undo`, if no resume is running".to_owned()
            }
            Self::Obstacle(Obstacle::Locked(lock)) => {
                format!("wait until it is done; if no git is running, remove `{}`", lock.display())
            }
            Self::Obstacle(Obstacle::Bisecting) => {
                "end it with `git bisect reset`, then save".to_owned()
            }
            Self::Obstacle(Obstacle::Unfinished(kind)) => {
                format!("finish it or end it (`{}`)", way_out(*kind))
            }
        }
    }
}

fn describe(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Restoring => "a `resume` is under way here, or was interrupted".to_owned(),
        Obstacle::Locked(lock) => {
            format!("another git works here, or was killed: `{}` is there", lock.display())
        }
        Obstacle::Bisecting => "a `git bisect` is running".to_owned(),
        Obstacle::Unfinished(kind) => format!("a {} is not finished", name(*kind)),
    }
}

fn name(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Merge => "merge",
        OperationKind::CherryPick => "cherry-pick",
        OperationKind::Revert => "revert",
        OperationKind::Series => "rebase or a series of commits",
    }
}

fn way_out(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Merge => "git merge --abort",
        OperationKind::CherryPick => "git cherry-pick --abort",
        OperationKind::Revert => "git revert --abort",
        OperationKind::Series => "git rebase --abort",
    }
}

/// Decides what is committed. `needs_remote`: whether it has to be pushed somewhere.
///
/// # Errors
/// [`Refusal`] when something is to be committed and cannot be.
pub fn plan(facts: &Facts, needs_remote: bool) -> Result<Plan, Refusal> {
    let plan = choose(facts);
    if !facts.conflicts.is_empty() {
        return Err(Refusal::Conflicts(facts.conflicts.clone()));
    }
    if let Some(obstacle) = &facts.obstacle {
        return Err(Refusal::Obstacle(obstacle.clone()));
    }
    if plan.manner.is_none() {
        return Ok(plan);
    }
    if facts.head.branch.is_none() {
        return Err(Refusal::Detached { commit: facts.head.commit });
    }
    if needs_remote && facts.remote.is_none() {
        return Err(Refusal::NoRemote);
    }
    Ok(plan)
}

fn choose(facts: &Facts) -> Plan {
    let guarded = || facts.changes.iter().filter(|change| change.is_guarded);
    let hides_staged = guarded().any(|change| change.is_staged);
    let hides_unstaged = guarded().any(|change| change.is_unstaged && !change.is_new);
    let mut left: Vec<Left> = guarded()
        .map(|change| Left { path: change.path.clone(), why: Reason::Kept(Why::Guarded) })
        .collect();
    let odd = facts.odd.iter();
    left.extend(odd.map(|(path, odd)| Left { path: path.clone(), why: Reason::Kept(odd.why) }));
    let is_new =
        |path: &RepoPath| facts.changes.iter().any(|change| change.is_new && change.path == *path);
    let mut taken = Vec::new();
    for change in facts.changes.iter().filter(|change| !change.is_guarded) {
        // Named beside `--only`, a file that lies there would be added again.
        if hides_staged && change.is_untracked_anew && !is_new(&change.path) {
            left.push(Left { path: change.path.clone(), why: Reason::Removal });
        } else {
            taken.push(change);
        }
    }
    left.sort_by(|a, b| a.path.cmp(&b.path));
    let paths_of = |is_wanted: &dyn Fn(&super::Change) -> bool| {
        let mut paths: Vec<RepoPath> = taken
            .iter()
            .filter(|change| is_wanted(change))
            .map(|change| change.path.clone())
            .collect();
        paths.dedup();
        paths
    };
    let unstaged = paths_of(&|change| change.is_unstaged);
    let manner = match () {
        () if taken.is_empty() => None,
        () if hides_staged => Some(Manner::Only(paths_of(&|_| true))),
        () if unstaged.is_empty() => Some(Manner::AsStaged),
        () if unstaged.len() > LISTED_MAX && !hides_unstaged => Some(Manner::All),
        () => Some(Manner::Include(unstaged)),
    };
    let large = taken.iter().filter(|change| change.size > LARGE_FILE);
    Plan {
        branch: facts.head.branch.clone(),
        modified: paths_of(&|change| !change.is_new).len(),
        new: paths_of(&|change| change.is_new),
        left,
        manner,
        large: large.map(|change| (change.path.clone(), change.size)).collect(),
        bytes: taken.iter().map(|change| change.size).sum(),
    }
}

impl Plan {
    /// Whether it is so large that the user is asked first.
    pub fn is_large(&self) -> bool {
        !self.large.is_empty() || self.bytes > LARGE_COMMIT
    }
}

/// The commit's message: what the user said, with `suffix` behind its first line.
pub fn message(said: &str, suffix: &str) -> String {
    let said = said.trim();
    let (subject, rest) =
        said.split_once('\n').map_or((said, ""), |(subject, rest)| (subject, rest));
    let subject = subject.trim_end();
    let subject = match suffix {
        "" => subject.to_owned(),
        suffix => format!("{subject} {suffix}"),
    };
    if rest.is_empty() { subject } else { format!("{subject}\n{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{Head, Omission};
    use crate::commit::Change;

    fn path(text: &str) -> RepoPath {
        RepoPath::new(text).unwrap()
    }

    /// `M.` and the like as git's short status has it, and a path; names with `.env` are guarded.
    fn change(line: &str) -> Change {
        let (code, name) = line.split_at(2);
        let name = name.trim();
        let is_new = code == "??";
        Change {
            path: path(name),
            is_staged: !is_new && !code.starts_with('.'),
            is_unstaged: !code.ends_with('.'),
            is_new,
            is_untracked_anew: code == "D.",
            is_guarded: name.contains(".env"),
            size: 1,
        }
    }

    fn facts(lines: &[&str]) -> Facts {
        let head = Head { branch: Some("main".to_owned()), commit: None };
        let mut changes: Vec<Change> = lines.iter().map(|line| change(line)).collect();
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        Facts { head, changes, remote: Some("origin".to_owned()), ..Facts::default() }
    }

    fn paths(names: &[&str]) -> Vec<RepoPath> {
        names.iter().map(|name| path(name)).collect()
    }

    #[track_caller]
    fn check(lines: &[&str], manner: Option<&Manner>, left: &[&str]) {
        let plan = plan(&facts(lines), true).unwrap();
        assert_eq!(plan.manner.as_ref(), manner, "{lines:?}");
        let names: Vec<String> = plan.left.iter().map(|left| left.path.shown()).collect();
        assert_eq!(names, left, "{lines:?}");
    }

    #[test]
    fn everything_is_committed_but_what_holds_secrets() {
        check(&[], None, &[]);
        check(&["M. a"], Some(&Manner::AsStaged), &[]);
        check(&["M. a", ".M b", "?? c"], Some(&Manner::Include(paths(&["b", "c"]))), &[]);
        check(&["D. a", ".D b"], Some(&Manner::Include(paths(&["b"]))), &[]);
        check(&["?? .env"], None, &[".env"]);
        check(&[".M .env"], None, &[".env"]);
        check(&["A. .env"], None, &[".env"]);
        check(&[".M .env", "M. a"], Some(&Manner::AsStaged), &[".env"]);
        check(&["?? .env", "?? a"], Some(&Manner::Include(paths(&["a"]))), &[".env"]);
        check(&["A. .env", "M. a", ".M b"], Some(&Manner::Only(paths(&["a", "b"]))), &[".env"]);
    }

    #[test]
    fn a_removal_from_the_index_alone_is_never_turned_into_an_addition() {
        check(&["D. a", ".M b"], Some(&Manner::Include(paths(&["b"]))), &[]);
        check(&["D. a", ".M b", "A. .env"], Some(&Manner::Only(paths(&["b"]))), &[".env", "a"]);
    }

    #[test]
    fn of_very_many_paths_none_is_named() {
        let lines: Vec<String> = (0..LISTED_MAX + 1).map(|n| format!(".M f{n}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        check(&lines, Some(&Manner::All), &[]);
        let with_secret = [&lines[..], &[".M .env"]].concat();
        let plan = plan(&facts(&with_secret), true).unwrap();
        assert!(matches!(plan.manner, Some(Manner::Include(_))), "git would take the secret, too");
    }

    #[track_caller]
    fn check_refused(facts: &Facts, needs_remote: bool, said: &str, hint: &str) {
        let refusal = plan(facts, needs_remote).unwrap_err();
        assert!(refusal.to_string().contains(said), "{refusal}");
        assert!(refusal.hint().contains(hint), "{}", refusal.hint());
    }

    #[test]
    fn what_keeps_from_committing_is_told_with_its_way_out() {
        let dirty = || facts(&[".M a"]);
        let commit = "0123456789abcdef0123456789abcdef01234567".parse().ok();
        let detached = Facts { head: Head { branch: None, commit }, ..dirty() };
        check_refused(&detached, true, "HEAD is on no branch, but at 0123456", "git switch main");
        check_refused(
            &Facts { remote: None, ..dirty() },
            true,
            "no remote",
            "git remote add origin",
        );
        assert!(plan(&Facts { remote: None, ..dirty() }, false).is_ok());
        let conflicts = paths(&["a", "b", "c", "d", "e"]);
        let conflicts = Facts { conflicts, ..dirty() };
        check_refused(&conflicts, true, "`a`, `b`, `c` and 2 more", "git add");
        for (obstacle, said, hint) in [
            (Obstacle::Restoring, "a `resume` is under way", "convosyncctl undo"),
            (Obstacle::Locked("/r/.git/index.lock".into()), "another git", "remove `/r/.git"),
            (Obstacle::Bisecting, "git bisect", "git bisect reset"),
            (Obstacle::Unfinished(OperationKind::Merge), "a merge", "git merge --abort"),
            (Obstacle::Unfinished(OperationKind::Series), "rebase", "git rebase --abort"),
            (Obstacle::Unfinished(OperationKind::CherryPick), "a cherry-pick", "--abort"),
            (Obstacle::Unfinished(OperationKind::Revert), "a revert", "--stash"),
        ] {
            let facts = Facts { obstacle: Some(obstacle), ..dirty() };
            check_refused(&facts, true, said, hint);
        }
    }

    #[test]
    fn a_clean_work_tree_needs_neither_branch_nor_remote() {
        let clean = Facts { remote: None, head: Head::default(), ..Facts::default() };
        assert_eq!(plan(&clean, true).unwrap().manner, None);
    }

    #[test]
    fn what_is_left_out_for_its_nature_is_named() {
        let nested = Omission { why: Why::Nested, size: None };
        let facts = Facts { odd: vec![(path("lib"), nested)], ..facts(&["?? a"]) };
        let plan = plan(&facts, true).unwrap();
        assert_eq!(plan.left, [Left { path: path("lib"), why: Reason::Kept(Why::Nested) }]);
        assert_eq!((plan.modified, plan.new.len()), (0, 1));
    }

    #[test]
    fn what_is_large_is_noticed() {
        let mut facts = facts(&["?? a", ".M b", "?? .env"]);
        assert!(!plan(&facts, true).unwrap().is_large());
        facts.changes.iter_mut().for_each(|change| change.size = LARGE_FILE);
        assert!(!plan(&facts, true).unwrap().is_large(), "exactly what is allowed");
        facts.changes.iter_mut().for_each(|change| change.size = LARGE_FILE + 1);
        let plan = plan(&facts, true).unwrap();
        assert!(plan.is_large() && plan.large.len() == 2 && plan.bytes > LARGE_COMMIT);
    }

    #[test]
    fn the_suffix_stands_behind_the_first_line() {
        assert_eq!(message("sign-in works", "[ConvoSync]"), "sign-in works [ConvoSync]");
        assert_eq!(message(" a \n\nbody\n", "[C]"), "a [C]\n\nbody");
        assert_eq!(message("a", ""), "a");
    }
}
