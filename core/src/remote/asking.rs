//! Asks where refs stand.

use super::{LIST_MAX_BYTES, Output, PORTAL, Remote, RemoteError, Traffic, outcome, patience};
use crate::id::Oid;

/// What stands in the trace of a child that spoke git's own protocol.
const TRACED: &str = "packet: ";

/// The answer to one question.
pub(super) struct Refs {
    pub(super) refs: Vec<(String, Oid)>,
    pub(super) traffic: Traffic,
}

impl Remote<'_> {
    pub(super) fn ls_remote(&self, patterns: Vec<String>) -> Result<Refs, RemoteError> {
        let command = self
            .command(&self.store.own_dir())
            .args(["ls-remote", "--refs", "--", self.url])
            .args(patterns)
            .stdout_limit(LIST_MAX_BYTES);
        let command = patience::for_a_question(command, self.list_deadline);
        if !may_be_a_page(self.url) {
            return refs_of(&command.run()?);
        }
        // Git takes a web page for an empty list of a server without git's own protocol: the page of a
        // network that wants a login would pass for a remote that lost everything.
        let mut output = command.traced().run()?;
        let (trace, said): (Vec<_>, Vec<_>) =
            output.stderr.lines().partition(|line| line.contains(TRACED));
        let is_git = !trace.is_empty();
        output.stderr = said.join("\n");
        let found = refs_of(&output)?;
        if found.refs.is_empty() && !is_git {
            return Err(RemoteError::Transient { why: PORTAL.to_owned() });
        }
        Ok(found)
    }
}

impl Remote<'_> {
    /// Asks anything, so that a web page in the remote's place is told as what it is, and not as a remote
    /// that does not have what was asked for.
    pub(super) fn make_sure_of_git(&self) -> Result<(), RemoteError> {
        if may_be_a_page(self.url) {
            self.ls_remote(vec!["HEAD".to_owned()])?;
        }
        Ok(())
    }
}

/// Whether `url` may lead to a web server: what is rewritten by the user's settings may.
fn may_be_a_page(url: &str) -> bool {
    !["ssh://", "file://", "/"].iter().any(|start| url.starts_with(start))
}

fn refs_of(output: &Output) -> Result<Refs, RemoteError> {
    if !output.success() {
        return Err(outcome::failure(&output.stderr).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let refs = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(id, name)| Some((name.to_owned(), id.parse().ok()?)));
    let traffic = Traffic { sent: 0, received: output.stdout.len() as u64 };
    Ok(Refs { refs: refs.collect(), traffic })
}
