//! Fetches what a clone has left with its remote: objects only, no ref moves, and it stays as partial as it was.

use std::collections::BTreeSet;

use super::objects::{self, Objects, lines};
use super::step::{Fetching, Step};
use super::{CheckoutError, Opened, Place, Refusal};
use crate::git::GitCommand;
use crate::id::Oid;
use crate::project;

/// A fetch into the clone that moves nothing.
pub(super) fn fetching(place: Place<'_>, protocols: &str) -> GitCommand {
    let flags = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap="];
    let command = objects::in_the_clone(place).args(flags).arg("--no-recurse-submodules");
    let command = command.network(protocols);
    match own_ssh(place) {
        Some(ssh) => command.config("core.sshCommand", ssh),
        None => command,
    }
}

/// The ssh that the user's own configuration names. One that the repository names is not run: nobody agreed to it
/// here.
fn own_ssh(place: Place<'_>) -> Option<String> {
    let settings = project::settings(place.project, place.git).ok()?.with(&BTreeSet::new());
    let mut named = settings.0.into_iter().rev();
    named.find(|(key, _)| key.eq_ignore_ascii_case("core.sshCommand")).map(|(_, ssh)| ssh)
}

impl Objects<'_> {
    fn fetching(&self, protocols: &str) -> GitCommand {
        fetching(self.place, protocols)
    }

    /// Fetches the commits the state builds on: objects only, no ref moves.
    pub(super) fn fetch(
        &self,
        opened: &Opened,
        fetch: Option<(&str, &str)>,
    ) -> Result<(), CheckoutError> {
        let Some((url, protocols)) = fetch else { return Ok(()) };
        let references: BTreeSet<&str> =
            opened.state.bases.iter().map(|base| &*base.reference).collect();
        for reference in references.into_iter().filter(|reference| !reference.is_empty()) {
            let command = self.fetching(protocols).arg("--").arg(url).arg(reference);
            (self.place.tell.0)(Step::Fetch(Fetching::Commits));
            // What cannot be fetched is missing, and that is said.
            let output = command.run()?;
            tracing::debug!(reference, fetched = output.success(), "missing commits");
        }
        Ok(())
    }

    /// Fetches blobs that this clone has left with its remote, as git does when it needs one: no ref moves,
    /// and the clone stays a partial one.
    pub(super) fn fetch_blobs(
        &self,
        ids: &BTreeSet<Oid>,
        fetch: Option<(&str, &str)>,
    ) -> Result<(), CheckoutError> {
        let Some((url, protocols)) = fetch.filter(|_| !ids.is_empty()) else { return Ok(()) };
        let missing: BTreeSet<Oid> = self.missing(ids)?.into_iter().collect();
        if missing.is_empty() || !self.is_partial()? {
            return Ok(());
        }
        let command = self.fetching(protocols).args(["--no-filter", "--stdin", "--"]).arg(url);
        let command = command.stdin(lines(&missing));
        // What is asked for by its name is not what other commits bring.
        let command = command.config("fetch.negotiationAlgorithm", "noop");
        (self.place.tell.0)(Step::Fetch(Fetching::Files(missing.len())));
        let output = command.run()?;
        tracing::debug!(count = missing.len(), fetched = output.success(), "missing blobs");
        Ok(())
    }

    /// Makes sure that the folders of the saved commit are there, which a clone may have left out.
    pub(super) fn take_trees(
        &self,
        opened: &Opened,
        fetch: Option<(&str, &str)>,
    ) -> Result<(), CheckoutError> {
        let Some(commit) = opened.state.head.commit else { return Ok(()) };
        if !self.is_partial()? || self.has_trees(commit)? {
            return Ok(());
        }
        if let Some((_, protocols)) = fetch {
            // Of commits that the remote does not know, most lies in those below.
            let bases = opened.state.bases.iter().map(|base| base.commit);
            for base in bases.chain([commit]) {
                self.fetch_trees(base, protocols)?;
                if self.has_trees(commit)? {
                    return Ok(());
                }
            }
        }
        Err(Refusal::MissingTrees { commit }.into())
    }

    fn has_trees(&self, commit: Oid) -> Result<bool, CheckoutError> {
        let command = self.git().args(["rev-list", "--quiet", "--objects", "--no-walk"]);
        let command = command.arg("--filter=blob:none").arg(commit.to_string());
        Ok(command.run()?.success())
    }

    /// Fetches all folders of a commit, as git does when it needs one: from the remote that promised them.
    fn fetch_trees(&self, commit: Oid, protocols: &str) -> Result<(), CheckoutError> {
        let asked = ["config", "--name-only", "--get-regexp", r"^remote\..*\.promisor$"];
        let output = self.in_the_clone().args(asked).run()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let name =
            |line: &str| Some(line.strip_prefix("remote.")?.strip_suffix(".promisor")?.to_owned());
        let Some(remote) = text.lines().find_map(name) else { return Ok(()) };
        let command = self.git().args(["log", "-1", "--no-walk", "--format=%T"]);
        let output = command.arg(commit.to_string()).run()?;
        let Ok(tree) = String::from_utf8_lossy(&output.stdout).trim().parse::<Oid>() else {
            return Ok(());
        };
        // Not the program that the clone names for its remote.
        let command = self.fetching(protocols).arg("--upload-pack=git-upload-pack");
        let command = command.args(["--filter=blob:none", "--stdin", "--"]).arg(remote);
        let command = command.stdin(lines(&BTreeSet::from([tree])));
        let command = command.config("fetch.negotiationAlgorithm", "noop");
        (self.place.tell.0)(Step::Fetch(Fetching::Folders));
        let output = command.run()?;
        tracing::debug!(%commit, fetched = output.success(), "missing trees");
        Ok(())
    }
}
