//! A saved state carried onward to another commit than its own: to a merge with the branch here, or to where the
//! remote's branch stands by now. Objects come into the clone; no ref, no index and no file changes.

use std::collections::BTreeSet;

use super::objects::{Listing, release, told};
use super::step::{Fetching, Step};
use super::{CheckoutError, Opened, Place, Prepared, Restoring, fetch};
use crate::code::{RepoPath, State};
use crate::git::Version;
use crate::id::Oid;

/// The git from which on a merge can be tried without a work tree.
const MERGES_TREES: Version = Version { major: 2, minor: 38 };
/// How much room there is for the names of files in conflict.
const NAMES_MAX: usize = 16 << 20;

/// What came of trying a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The saved state, standing on the merge.
    Clean(Box<Opened>),
    /// The files that both sides changed.
    Conflicts(Vec<RepoPath>),
    /// It cannot be tried, and why.
    Not(String),
}

/// Where a branch goes with what is new at the remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing is newer than the saved commit.
    Same,
    /// The branch as it stands at the remote.
    Newer(Box<Opened>),
    /// The saved state cannot go there, and why.
    Not(String),
}

impl Prepared<'_> {
    /// Merges the saved commit into the branch of its name here, without touching either.
    ///
    /// # Errors
    /// What git said, where it could not merge for another reason than a conflict.
    pub fn merge(&self) -> Result<Merged, CheckoutError> {
        let saved = &self.opened.state;
        let tip = saved.head.branch.as_ref().and_then(|name| self.facts.branches.tips.get(name));
        let (Some(ours), Some(theirs)) = (tip.copied(), saved.head.commit) else {
            return Ok(Merged::Not("there is no branch to merge into".to_owned()));
        };
        if saved.operation.is_some() {
            return Ok(Merged::Not("a merge or the like was not finished there".to_owned()));
        }
        if self.place.git.version() < MERGES_TREES {
            return Ok(Merged::Not(format!("git {MERGES_TREES} is needed to try a merge")));
        }
        let kept = self.objects.settle()?;
        let merged = self.merge_commits(ours, theirs);
        // Nothing reaches them until the branch moves; git spares what is as young as this.
        release(&kept)?;
        let commit = match merged? {
            Ok(commit) => commit,
            Err(conflicts) => return Ok(Merged::Conflicts(conflicts)),
        };
        let listing = self.objects.listing(Some(commit))?;
        let conflicts = in_the_way(saved, &self.facts.there_listing, &listing);
        if !conflicts.is_empty() {
            return Ok(Merged::Conflicts(conflicts));
        }
        let mut opened = self.opened.clone();
        opened.state.head.commit = Some(commit);
        (opened.state.packs, opened.state.bases) = (Vec::new(), Vec::new());
        Ok(Merged::Clean(Box::new(opened)))
    }

    /// Makes the commit of a merge, or returns the files in conflict.
    fn merge_commits(
        &self,
        ours: Oid,
        theirs: Oid,
    ) -> Result<Result<Oid, Vec<RepoPath>>, CheckoutError> {
        if self.facts.branches.apart.as_ref().is_some_and(|apart| apart.theirs == 0) {
            return Ok(Ok(ours));
        }
        let command = self.objects.in_the_clone().stdout_limit(NAMES_MAX);
        let command =
            command.args(["merge-tree", "--write-tree", "--name-only", "-z", "--no-messages"]);
        let output = command.args([ours.to_string(), theirs.to_string()]).watched().run()?;
        let mut words = output.stdout.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let tree = words.next().map(|tree| String::from_utf8_lossy(tree).into_owned());
        match (output.code, tree) {
            (Some(0), Some(tree)) => Ok(Ok(self.commit(&tree, ours, theirs)?)),
            (Some(1), Some(_)) => {
                let paths: BTreeSet<RepoPath> =
                    words.filter_map(|name| RepoPath::new(name).ok()).collect();
                Ok(Err(paths.into_iter().collect()))
            }
            _ => Err(CheckoutError::GitSaid { deed: "try the merge", why: output.said() }),
        }
    }

    /// Makes the commit as `git merge` would name it, signed where the user's settings say so.
    fn commit(&self, tree: &str, ours: Oid, theirs: Oid) -> Result<Oid, CheckoutError> {
        let branch = self.opened.state.head.branch.as_deref().unwrap_or_default();
        let message = format!("Merge branch '{branch}' of a ConvoSync session");
        let asked = ["config", "--type=bool", "--get", "commit.gpgSign"];
        let signs = self.objects.in_the_clone().args(asked).run()?.stdout.starts_with(b"true");
        let command = self.objects.in_the_clone().args(["commit-tree", "-m", &message]);
        let command = command.args(["-p", &ours.to_string(), "-p", &theirs.to_string()]);
        let command = if signs { command.arg("-S") } else { command };
        let deed = "make the commit of the merge";
        let output = told(command.arg(tree).run(), deed)?;
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        name.parse().map_err(|_| CheckoutError::GitSaid { deed, why: output.said() })
    }
}

/// Paths with uncommitted changes in the session that the merge changed, too.
fn in_the_way(saved: &State, there: &Listing, merged: &Listing) -> Vec<RepoPath> {
    let index = saved.index.iter().map(|entry| &entry.path);
    let paths: BTreeSet<&RepoPath> = saved.tree.keys().chain(index).collect();
    let moved = paths.into_iter().filter(|path| there.get(*path) != merged.get(*path));
    moved.cloned().collect()
}

impl Restoring<'_> {
    /// Asks the remote where the saved branch stands by now, and fetches it.
    ///
    /// # Errors
    /// When git gives no answer.
    pub fn pull(&self) -> Result<Pulled, CheckoutError> {
        let state = &self.opened.state;
        let not = |why: &str| Ok(Pulled::Not(why.to_owned()));
        let (Some(branch), Some(commit)) = (&state.head.branch, state.head.commit) else {
            return not("the session is not on a branch with a commit");
        };
        if !state.index.is_empty() || !state.tree.is_empty() || state.operation.is_some() {
            return not("the session has uncommitted changes, which stand on its own commit");
        }
        let route = match self.fetch {
            Ok(route) => route,
            Err(why) => return not(why),
        };
        let reference = format!("refs/heads/{branch}");
        let command = route.open(self.place.git.command().dir(&self.place.project.root));
        let output = command
            .args(["ls-remote", "--quiet", fetch::UPLOAD_PACK, "--", route.url, &reference])
            .run()?;
        if !output.success() {
            return Ok(Pulled::Not(format!("the remote does not answer: {}", output.said())));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let listed = text.lines().filter_map(|line| line.split_once('\t'));
        let mut tips = listed.filter(|(_, name)| *name == reference).map(|(id, _)| id.parse());
        let Some(Ok(tip)) = tips.next() else {
            return Ok(Pulled::Not(format!("the remote has no branch `{branch}`")));
        };
        if tip == commit {
            return Ok(Pulled::Same);
        }
        let command = fetch::fetching(self.place, route).arg("--").arg(route.url).arg(&reference);
        (self.place.tell.0)(Step::Fetch(Fetching::Commits));
        let output = command.run()?;
        if !output.success() {
            return Ok(Pulled::Not(format!("the branch cannot be fetched: {}", output.said())));
        }
        if !is_ancestor(self.place, commit, tip)? {
            return Ok(Pulled::Not(format!(
                "the remote's `{branch}` does not hold the session's commit"
            )));
        }
        let upstream = format!("origin/{branch}");
        Ok(Pulled::Newer(Box::new(Opened::plain(Some(branch), tip, Some(&upstream)))))
    }
}

fn is_ancestor(place: Place<'_>, commit: Oid, tip: Oid) -> Result<bool, CheckoutError> {
    let command = place.git.command().dir(&place.project.root);
    let asked = ["merge-base", "--is-ancestor", &commit.to_string(), &tip.to_string()];
    Ok(command.args(asked).run()?.success())
}
