//! Commits and pushes with nobody to ask: by the rules of a save, and only where nothing speaks against it.
//!
//! What is in doubt stays as it is, and says why: a branch that others build upon or that is not meant, an index
//! that was put together by hand, much at once, a remote that has other commits or cannot be asked.

use std::ops::Range;
use std::path::Path;

use super::{
    CommitError, Committed, Facts, Hands, Manner, Obstacle, Plan, Pushed, Refusal, Way, look,
    message, plan,
};
use crate::code::RepoPath;
use crate::config::{Autosave, Unfit};
use crate::disk;
use crate::id::Oid;
use crate::project::Project;

/// Git's own locks in a repository's folder, beside that of the index.
const LOCKS: [&str; 3] = ["HEAD.lock", "packed-refs.lock", "config.lock"];
/// What git writes whenever somebody works with it.
const TRACES: [&str; 3] = ["index", "HEAD", "logs/HEAD"];

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// The commit that was made.
    pub commit: Option<Oid>,
    /// Whether the branch was pushed.
    pub is_pushed: bool,
}

/// Why nothing was committed, or a commit is not pushed.
#[derive(Debug, thiserror::Error)]
pub enum Stays {
    /// A save could not commit here either.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The branch, or the one it is pushed to, is not meant.
    #[error("{}", unfit(.branch, *.why))]
    Branch {
        /// Which.
        branch: String,
        /// Why not.
        why: Unfit,
    },
    /// The index was put together by hand.
    #[error("some changes are staged and others are not: a commit of all would undo that choice")]
    Staged,
    /// It is so much that a save would ask.
    #[error("it is large ({bytes} bytes)")]
    Large {
        /// How much.
        bytes: u64,
    },
    /// Somebody works with git here.
    #[error("another git works here")]
    Busy,
    /// The remote cannot be asked.
    #[error("`{remote}` cannot be reached: {said}")]
    Unreachable {
        /// Which.
        remote: String,
        /// What git said.
        said: String,
    },
    /// The remote does not let us in.
    #[error("`{remote}` does not let this device in without a question")]
    Closed {
        /// Which.
        remote: String,
    },
    /// The branch the user's one follows is gone.
    #[error("`{there}` was deleted at the remote")]
    Gone {
        /// Which.
        there: String,
    },
    /// The remote has commits that are not here.
    #[error("`{there}` has commits that are not here")]
    Behind {
        /// Which.
        there: String,
    },
    /// Git, a hook or signing refused to commit.
    #[error("git or a hook did not commit: {said}")]
    NotCommitted {
        /// What was said.
        said: String,
    },
    /// Commits stand, and are not pushed.
    #[error("{}: {why}", standing(*.commit))]
    NotPushed {
        /// The one that was made just now.
        commit: Option<Oid>,
        /// Why not.
        why: Box<Stays>,
    },
    /// The remote or a hook refused the push.
    #[error("git or a hook refused: {said}")]
    PushRefused {
        /// What was said.
        said: String,
    },
    /// Commits that are not pushed hold what must not leave the device.
    #[error("commits that are not pushed hold `{}`, whose name says that it holds a secret", path.shown())]
    Guarded {
        /// The first of it.
        path: RepoPath,
    },
    /// Git could not be asked.
    #[error(transparent)]
    Failed(#[from] CommitError),
}

impl Stays {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        const BY_HAND: &str = "`convosyncctl save` commits by hand";
        Some(match self {
            Self::Refused(refusal) => refusal.hint(),
            Self::Branch { why: Unfit::Protected, .. } => format!(
                "work on a branch of your own (`git switch -c NAME`); {BY_HAND}, and `autosave.protected_branches` says which are protected"
            ),
            Self::Branch { why: Unfit::Unnamed, .. } => {
                format!("name it in `autosave.sync_branches`; {BY_HAND}")
            }
            Self::Staged => format!("commit what is staged, or unstage it; {BY_HAND}"),
            Self::Large { .. } => {
                format!("keep large files out with `git lfs track` or `.gitignore`; {BY_HAND}")
            }
            Self::Busy | Self::Unreachable { .. } => "it is tried again by itself".to_owned(),
            Self::Closed { remote } => {
                format!("see that `git ls-remote {remote}` asks nothing, then save again")
            }
            Self::Gone { .. } => {
                "push it by hand if it is to be there again, or go on on another branch".to_owned()
            }
            Self::Behind { .. } => "`git pull`, and resolve what conflicts".to_owned(),
            Self::NotCommitted { .. } => format!("mend it; {BY_HAND}, with what a hook says"),
            Self::NotPushed { why, .. } => return why.hint(),
            Self::PushRefused { .. } => "mend it, then `convosyncctl save --retry`".to_owned(),
            Self::Guarded { .. } => {
                "take it out of the commits, push them yourself, or allow it under `code.include_secrets`"
                    .to_owned()
            }
            Self::Failed(error) => return error.hint(),
        })
    }

    /// Whether it passes by itself, so that it is worth another try though nothing changes here.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NotPushed { why, .. } => why.is_passing(),
            Self::Busy | Self::Unreachable { .. } => true,
            Self::Refused(Refusal::Obstacle(obstacle)) => {
                matches!(obstacle, Obstacle::Locked(_) | Obstacle::Restoring)
            }
            _ => false,
        }
    }
}

fn standing(commit: Option<Oid>) -> String {
    match commit {
        Some(commit) => format!("committed as {}, but not pushed", commit.short()),
        None => "commits of before are not pushed".to_owned(),
    }
}

fn unfit(branch: &str, why: Unfit) -> String {
    match why {
        Unfit::Protected => format!("`{branch}` is a protected branch"),
        Unfit::Unnamed => format!("`{branch}` is not among `autosave.sync_branches`"),
    }
}

/// Commits what a save would commit, and pushes the branch, where nothing speaks against it. Git was not used
/// here for `quiet_ms`.
///
/// # Errors
/// [`Stays`] when nothing was done, or a commit stands that is not pushed; index and work tree are as before,
/// or as the commit has them.
pub fn by_itself(
    hands: &Hands<'_>,
    rules: &Autosave,
    said: &str,
    suffix: &str,
    (now_ms, quiet_ms): (i64, i64),
) -> Result<Done, Stays> {
    let Some(facts) = look(&hands.site)? else { return Ok(Done::default()) };
    let plan = plan(&facts, true)?;
    if hands.site.project.git_dir.is_none() || facts.head.branch.is_none() {
        return Ok(Done::default());
    }
    let Some(way) = way(hands, &facts)? else { return Ok(Done::default()) };
    let has_unpushed = facts.head.commit.is_some() && hands.unpushed("HEAD", &way.remote)? > 0;
    if plan.manner.is_none() && !has_unpushed {
        return Ok(Done::default());
    }
    object(&facts, &plan, &way, rules)?;
    if is_in_use(hands.site.project, &way.branch, now_ms - quiet_ms..now_ms) {
        return Err(Stays::Busy);
    }
    ask_remote(hands, &way, facts.upstream.as_deref())?;
    let commit = match &plan.manner {
        None => None,
        Some(_) => match hands.commit(&plan, &message(said, suffix))? {
            Committed::Done(commit) => Some(commit),
            Committed::Refused(said) => {
                return Err(Stays::NotCommitted { said: said.unwrap_or_default() });
            }
        },
    };
    push(hands, &way).map_err(|why| Stays::NotPushed { commit, why: Box::new(why) })?;
    Ok(Done { commit, is_pushed: true })
}

fn way(hands: &Hands<'_>, facts: &Facts) -> Result<Option<Way>, CommitError> {
    let (Some(branch), Some(remote)) = (&facts.head.branch, &facts.remote) else { return Ok(None) };
    hands.way(branch, remote, facts.upstream.as_deref()).map(Some)
}

/// What speaks against it, by what is known here.
fn object(facts: &Facts, plan: &Plan, way: &Way, rules: &Autosave) -> Result<(), Stays> {
    let there = way.reference.strip_prefix("refs/heads/").unwrap_or(&way.reference);
    for branch in [&*way.branch, there] {
        rules.admits(branch).map_err(|why| Stays::Branch { branch: branch.to_owned(), why })?;
    }
    let taken = || facts.changes.iter().filter(|change| !change.is_guarded);
    let is_chosen = taken().any(|change| change.is_staged)
        && (taken().any(|change| change.is_unstaged)
            || matches!(plan.manner, Some(Manner::Only(_))));
    if is_chosen {
        return Err(Stays::Staged);
    }
    if plan.is_large() {
        return Err(Stays::Large { bytes: plan.bytes });
    }
    Ok(())
}

/// Whether git holds a lock here, or was used a moment ago.
fn is_in_use(project: &Project, branch: &str, fresh_ms: Range<i64>) -> bool {
    let git_dir = project.git_dir.as_deref();
    let common = project.common_dir.as_deref().or(git_dir);
    let dirs = || git_dir.into_iter().chain(common);
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let is_locked = dirs().any(|dir| LOCKS.iter().any(|lock| is_there(&dir.join(lock))))
        || common.is_some_and(|dir| is_there(&dir.join(format!("refs/heads/{branch}.lock"))));
    // What is said to be of the future was written by a clock that was wrong.
    let is_fresh = |path: &Path| {
        path.symlink_metadata().is_ok_and(|found| fresh_ms.contains(&disk::modified_ms(&found)))
    };
    is_locked || dirs().any(|dir| TRACES.iter().any(|trace| is_fresh(&dir.join(trace))))
}

/// Asks the remote before anything is committed: what cannot be pushed is better a snapshot.
fn ask_remote(hands: &Hands<'_>, way: &Way, upstream: Option<&str>) -> Result<(), Stays> {
    let remote = || way.remote.clone();
    match hands.there(way) {
        Err(Some(said)) => Err(Stays::Unreachable { remote: remote(), said }),
        Err(None) => Err(Stays::Closed { remote: remote() }),
        Ok(None) if upstream == Some(&*way.shown()) || hands.remembers(way)? => {
            Err(Stays::Gone { there: way.shown() })
        }
        Ok(None) => Ok(()),
        Ok(Some(there)) if hands.has_below(there)? => Ok(()),
        Ok(Some(_)) => Err(Stays::Behind { there: way.shown() }),
    }
}

fn push(hands: &Hands<'_>, way: &Way) -> Result<(), Stays> {
    match hands.push(way)? {
        Pushed::Done => Ok(()),
        Pushed::Behind => Err(Stays::Behind { there: way.shown() }),
        Pushed::Unreachable(said) => Err(Stays::Unreachable { remote: way.remote.clone(), said }),
        Pushed::Refused(said) => Err(Stays::PushRefused { said: said.unwrap_or_default() }),
        Pushed::Guarded(paths) => match paths.into_iter().next() {
            Some(path) => Err(Stays::Guarded { path }),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Head;
    use crate::commit::{Change, LARGE_FILE};

    fn change(code: &str, name: &str) -> Change {
        Change {
            path: RepoPath::new(name).unwrap(),
            is_staged: code != "??" && !code.starts_with('.'),
            is_unstaged: !code.ends_with('.'),
            is_new: code == "??",
            is_untracked_anew: false,
            is_guarded: name.contains(".env"),
            size: 1,
        }
    }

    fn way(branch: &str, there: &str) -> Way {
        Way {
            remote: "origin".to_owned(),
            reference: format!("refs/heads/{there}"),
            branch: branch.to_owned(),
            is_first: false,
        }
    }

    #[track_caller]
    fn check(way: &Way, changes: &[(&str, &str)], size: u64, said: Option<&str>) {
        let changes = changes.iter().map(|(code, name)| Change { size, ..change(code, name) });
        let head = Head { branch: Some(way.branch.clone()), commit: None };
        let remote = Some("origin".to_owned());
        let facts = Facts { head, remote, changes: changes.collect(), ..Facts::default() };
        let plan = plan(&facts, true).unwrap();
        let objected = object(&facts, &plan, way, &Autosave::default());
        match (objected, said) {
            (Ok(()), None) => {}
            (Err(stays), Some(said)) => {
                assert!(stays.to_string().contains(said), "{stays}");
                assert!(stays.hint().is_some() && !stays.is_passing());
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_in_doubt_stays_as_it_is() {
        let fine = way("wip", "wip");
        check(&fine, &[(".M", "a"), ("??", "b")], 1, None);
        check(&fine, &[("M.", "a"), ("A.", "b")], 1, None);
        check(&fine, &[("M.", "a"), ("??", ".env")], 1, None);
        check(&fine, &[("MM", "a")], 1, Some("staged"));
        check(&fine, &[("M.", "a"), (".M", "b")], 1, Some("staged"));
        check(&fine, &[("M.", "a"), ("??", "b")], 1, Some("staged"));
        check(&fine, &[("A.", ".env"), ("M.", "b")], 1, Some("staged"));
        check(&fine, &[("??", "a")], LARGE_FILE + 1, Some("large"));
        check(&way("main", "wip"), &[(".M", "a")], 1, Some("`main` is a protected branch"));
        check(&way("wip", "main"), &[(".M", "a")], 1, Some("`main` is a protected branch"));
    }
}
