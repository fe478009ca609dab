//! Fetches what a clone has left with its remote: objects only, no ref moves, and it stays as partial as it was.

use std::collections::BTreeSet;

use super::objects::{self, Objects, lines};
use super::step::{Fetching, Step};
use super::{CheckoutError, Opened, Place, Refusal};
use crate::git::GitCommand;
use crate::id::Oid;

/// How a remote is reached from inside of the clone. Git reads the clone's own settings there, so that is for a
/// clone whose settings the user set or agreed to.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The remote's address.
    pub url: &'a str,
    /// The protocols that git may use.
    pub protocols: &'a str,
    /// The ssh that the settings name, if they name one.
    pub ssh: Option<&'a str>,
}

impl Route<'_> {
    /// Lets a child go that way.
    pub(super) fn open(self, command: GitCommand) -> GitCommand {
        let command = command.network(self.protocols);
        match self.ssh {
            Some(ssh) => command.config("core.sshCommand", ssh),
            None => command,
        }
    }
}

/// Not the program that the clone names for a remote of this name or address.
pub(super) const UPLOAD_PACK: &str = "--upload-pack=git-upload-pack";

/// A fetch into the clone that moves nothing.
pub(super) fn fetching(place: Place<'_>, route: Route<'_>) -> GitCommand {
    let flags = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap="];
    let command = objects::in_the_clone(place).args(flags).arg("--no-recurse-submodules");
    route.open(command.arg(UPLOAD_PACK))
}

impl Objects<'_> {
    /// Fetches the commits the state builds on: objects only, no ref moves. Returns why some did not come.
    pub(super) fn fetch(
        &self,
        opened: &Opened,
        fetch: Result<Route<'_>, &str>,
    ) -> Result<Option<String>, CheckoutError> {
        let route = match fetch {
            Ok(route) => route,
            Err(why) => return Ok(Some(why.to_owned())),
        };
        let references: BTreeSet<&str> =
            opened.state.bases.iter().map(|base| &*base.reference).collect();
        let mut why = None;
        for reference in references.into_iter().filter(|reference| !reference.is_empty()) {
            let command = fetching(self.place, route).arg("--").arg(route.url).arg(reference);
            (self.place.tell.0)(Step::Fetch(Fetching::Commits));
            let output = command.run()?;
            tracing::debug!(reference, fetched = output.success(), "missing commits");
            why = why.or_else(|| (!output.success()).then(|| output.said()));
        }
        Ok(why)
    }

    /// Fetches blobs that this clone has left with its remote, as git does when it needs one: no ref moves,
    /// and the clone stays a partial one. Returns why they did not come.
    pub(super) fn fetch_blobs(
        &self,
        ids: &BTreeSet<Oid>,
        fetch: Result<Route<'_>, &str>,
    ) -> Result<Option<String>, CheckoutError> {
        if ids.is_empty() {
            return Ok(None);
        }
        let missing: BTreeSet<Oid> = self.missing(ids)?.into_iter().collect();
        if missing.is_empty() || !self.is_partial()? {
            return Ok(None);
        }
        let route = match fetch {
            Ok(route) => route,
            Err(why) => return Ok(Some(why.to_owned())),
        };
        let command = fetching(self.place, route).args(["--no-filter", "--stdin", "--"]);
        let command = command.arg(route.url);
        let command = command.stdin(lines(&missing));
        // What is asked for by its name is not what other commits bring.
        let command = command.config("fetch.negotiationAlgorithm", "noop");
        (self.place.tell.0)(Step::Fetch(Fetching::Files(missing.len())));
        let output = command.run()?;
        tracing::debug!(count = missing.len(), fetched = output.success(), "missing blobs");
        Ok((!output.success()).then(|| output.said()))
    }

    /// Makes sure that the folders of the saved commit are there, which a clone may have left out.
    pub(super) fn take_trees(
        &self,
        opened: &Opened,
        fetch: Result<Route<'_>, &str>,
    ) -> Result<(), CheckoutError> {
        let Some(commit) = opened.state.head.commit else { return Ok(()) };
        if !self.is_partial()? || self.has_trees(commit)? {
            return Ok(());
        }
        let mut why = fetch.err().map(str::to_owned);
        if let Ok(route) = fetch {
            // Of commits that the remote does not know, most lies in those below.
            let bases = opened.state.bases.iter().map(|base| base.commit);
            for base in bases.chain([commit]) {
                why = self.fetch_trees(base, route)?;
                if self.has_trees(commit)? {
                    return Ok(());
                }
            }
        }
        Err(Refusal::MissingTrees { commit, why }.into())
    }

    fn has_trees(&self, commit: Oid) -> Result<bool, CheckoutError> {
        let command = self.git().args(["rev-list", "--quiet", "--objects", "--no-walk"]);
        let command = command.arg("--filter=blob:none").arg(commit.to_string());
        Ok(command.run()?.success())
    }

    /// Fetches all folders of a commit, as git does when it needs one: from the remote that promised them.
    /// Returns why they did not come.
    fn fetch_trees(&self, commit: Oid, route: Route<'_>) -> Result<Option<String>, CheckoutError> {
        let asked = ["config", "--name-only", "--get-regexp", r"^remote\..*\.promisor$"];
        let output = self.in_the_clone().args(asked).run()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let name =
            |line: &str| Some(line.strip_prefix("remote.")?.strip_suffix(".promisor")?.to_owned());
        let Some(remote) = text.lines().find_map(name) else { return Ok(None) };
        let command = self.git().args(["log", "-1", "--no-walk", "--format=%T"]);
        let output = command.arg(commit.to_string()).run()?;
        let Ok(tree) = String::from_utf8_lossy(&output.stdout).trim().parse::<Oid>() else {
            return Ok(None);
        };
        let command = fetching(self.place, route).args(["--filter=blob:none", "--stdin", "--"]);
        let command = command.arg(remote);
        let command = command.stdin(lines(&BTreeSet::from([tree])));
        let command = command.config("fetch.negotiationAlgorithm", "noop");
        (self.place.tell.0)(Step::Fetch(Fetching::Folders));
        let output = command.run()?;
        tracing::debug!(%commit, fetched = output.success(), "missing trees");
        Ok((!output.success()).then(|| output.said()))
    }
}
