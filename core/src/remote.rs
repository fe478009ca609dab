//! One remote: pushes to it with a lease, lists it, fetches from it, and says how that went.
//!
//! All traffic goes through the `git` program, which knows the user's credential helpers, ssh
//! configuration and proxies. The room knows sealed bytes only by their commits' ids; it decides nothing
//! about when to push or what a moved ref means.
//!
//! What is counted as [`Traffic`]: packs in both directions, as git itself measures them on the wire
//! (before compression by ssh, without the framing of ssh, TLS and HTTP), to a hundredth of the unit git
//! prints, and the lists of refs that are printed. What is not: the list of *all* refs that a host sends
//! at the beginning of each push.

mod asking;
mod error;
mod moved;
mod outcome;
mod own;
mod passing;
mod patience;
mod probe;
mod progress;
mod vaults;
mod whole;
mod words;

use std::path::Path;
use std::time::Duration;

pub use error::RemoteError;
pub use outcome::{Outcome, PermanentKind, Sent};
pub use passing::{PORTAL, Passing};
pub use probe::Probe;
pub use progress::{Sending, Traffic};
pub use words::{address_to_tell, without_credentials};

use crate::git::{Git, GitCommand, Output};
use crate::id::{Oid, SessionName, VaultId};
use crate::project::{GitSettings, normalise};
use crate::store::{PushPlan, RefKind, RefName, Step, Store};

/// How long a list of refs may take.
const LIST_DEADLINE: Duration = Duration::from_secs(60);
/// How long a push or a fetch may take beyond the time its bytes need on the slowest line.
const PACK_DEADLINE: Duration = Duration::from_secs(2 * 60);
/// How much of a list is read: 10 000 refs of 100 bytes.
const LIST_MAX_BYTES: usize = 1 << 20;
/// How many refs of one vault are looked at: nobody has a thousand devices.
const LIST_MAX_REFS: usize = 1000;

/// How many commits adopted from other devices one tip may bring, as parents of its own.
///
/// The remote has them, but git finds that out only by naming them (`push.negotiate`), and it stops asking
/// after the first round in which anything it named was known there: 16 commits, first the tip and the one
/// before it. What was not named by then is sent again with all it reaches. It names parents in their order.
pub const ADOPTED_PER_TIP: usize = 16 - 2;

/// The most that is downloaded of an enrolled device's tip: 10 000 summaries of 1 KiB, with room.
pub const TIP_DOWNLOAD_MAX: u64 = 16 << 20;
/// The most that is downloaded of a device nobody enrolled: a card and the objects around it.
pub const CARD_DOWNLOAD_MAX: u64 = 64 << 10;
/// The most that is downloaded for one session: what the larger hosts take in one push.
pub const SESSION_DOWNLOAD_MAX: u64 = 2 << 30;

/// What a remote holds of a vault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Devices' refs and where they stand.
    pub tips: Vec<(RefName, Oid)>,
    /// Refs that are nobody's and keep ours from existing: above or below our names.
    pub blocking: Vec<(String, Oid)>,
    /// Those of the branches asked for that there are.
    pub branches: Vec<String>,
    /// What the list cost.
    pub traffic: Traffic,
}

/// What came of fetching several tips.
#[derive(Debug, Default)]
pub struct TipsFetched {
    /// What it cost, refused ones included as far as git tells.
    pub traffic: Traffic,
    /// The refs that could not be fetched, and why; the others are in the store.
    pub refused: Vec<(RefName, RemoteError)>,
}

/// One remote, seen by one vault.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    git: &'a Git,
    store: &'a Store,
    settings: &'a GitSettings,
    url: &'a str,
    vault: VaultId,
    list_deadline: Duration,
    pack_deadline: Duration,
    sending: Option<&'a Sending>,
}

impl<'a> Remote<'a> {
    /// Names the remote at `url`, reached with the user's `settings`, mirrored by `store`.
    ///
    /// # Errors
    /// [`RemoteError::BadUrl`] for what is no address, or one that starts a program.
    pub fn new(
        git: &'a Git,
        store: &'a Store,
        settings: &'a GitSettings,
        url: &'a str,
        vault: VaultId,
    ) -> Result<Self, RemoteError> {
        if normalise(url).is_none() {
            return Err(RemoteError::BadUrl { url: words::printable(url) });
        }
        let (list_deadline, pack_deadline) = (LIST_DEADLINE, PACK_DEADLINE);
        let sending = None;
        Ok(Self { git, store, settings, url, vault, list_deadline, pack_deadline, sending })
    }

    /// Waits at most this long for a list of refs, and for a push or fetch.
    #[must_use]
    pub fn with_deadlines(self, list: Duration, pack: Duration) -> Self {
        Self { list_deadline: list, pack_deadline: pack, ..self }
    }

    /// Tells `sending` how far a push is.
    #[must_use]
    pub fn telling(self, sending: &'a Sending) -> Self {
        Self { sending: Some(sending), ..self }
    }

    /// Lists the refs of our vault.
    ///
    /// # Errors
    /// [`RemoteError`] when the remote is not reached or refuses.
    pub fn list(&self) -> Result<Listing, RemoteError> {
        self.list_with(&[])
    }

    /// Lists the refs of our vault, and says which of the `branches` (`refs/heads/…`) there are.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn list_with(&self, branches: &[String]) -> Result<Listing, RemoteError> {
        let kinds = [RefKind::Custom, RefKind::Branch];
        let patterns = kinds.iter().flat_map(|kind| {
            let above = kind.prefix().trim_end_matches('/');
            [
                above.to_owned(),
                format!("{above}/{}", self.vault),
                format!("{above}/{}/*", self.vault),
            ]
        });
        let found = self.ls_remote(patterns.chain(branches.iter().cloned()).collect())?;
        let mut listing = Listing { traffic: found.traffic, ..Listing::default() };
        let is_asked = |(name, _): &(String, Oid)| branches.contains(name);
        let (asked, ours): (Vec<_>, Vec<_>) = found.refs.into_iter().partition(is_asked);
        listing.branches = asked.into_iter().map(|(name, _)| name).collect();
        for (name, id) in ours.into_iter().take(LIST_MAX_REFS) {
            match name.parse::<RefName>() {
                Ok(reference) if reference.vault == self.vault => {
                    listing.tips.push((reference, id))
                }
                _ => listing.blocking.push((name, id)),
            }
        }
        Ok(listing)
    }

    /// Asks the remote where one ref stands: only this says that a push has arrived.
    ///
    /// # Errors
    /// [`RemoteError`] when the remote is not reached or refuses.
    pub fn read_back(&self, reference: &RefName) -> Result<Option<Oid>, RemoteError> {
        self.find(&reference.to_string())
    }

    fn find(&self, name: &str) -> Result<Option<Oid>, RemoteError> {
        let found = self.ls_remote(vec![name.to_owned()])?;
        Ok(found.refs.into_iter().find(|(other, _)| other == name).map(|(_, id)| id))
    }

    /// Fetches the tips of other devices, without their past, into the store; `limit` bytes at most for
    /// each. One that cannot be fetched does not stop the others. A host that gives no tip without its past
    /// is fetched whole instead.
    ///
    /// # Errors
    /// [`RemoteError`] when the remote is not reached or refuses all of them.
    pub fn fetch_tips(&self, wanted: &[RefName], limit: u64) -> Result<TipsFetched, RemoteError> {
        if wanted.is_empty() {
            return Ok(TipsFetched::default());
        }
        let _turn = self.store.fetching()?;
        let seen = self.store.seen_dir();
        let tips = |refs: &[RefName]| self.fetch(&seen, Known::Tips, &refspecs(refs), limit);
        match together_or_each(wanted, tips) {
            Err(RemoteError::Permanent { kind: PermanentKind::PastRequired, .. }) => {
                together_or_each(wanted, |refs| self.fetch_tips_whole(refs, limit))
            }
            other => other,
        }
    }

    /// Fetches a session's commit with all its past into the store and keeps it there as adopted from the
    /// device that wrote `from`. What comes before `ours`, this device's own last commit of the session, and
    /// before those that were adopted earlier is not fetched again. A host that gives no commit by its id
    /// is fetched whole instead.
    ///
    /// # Errors
    /// [`RemoteError::Gone`] when the remote has no such commit; else why it was not reached.
    pub fn fetch_session(
        &self,
        name: SessionName,
        commit: Oid,
        from: &RefName,
        ours: Option<Oid>,
    ) -> Result<Traffic, RemoteError> {
        if self.store.has_commit(commit) {
            return Ok(Traffic::default());
        }
        let _turn = self.store.fetching()?;
        let adopted = self.store.adopted(name)?.into_iter().map(|(_, commit)| commit);
        let known: Vec<Oid> = ours.into_iter().chain(adopted).collect();
        let own = self.store.own_dir();
        let wanted = [commit.to_string()];
        let fetched = self.fetch(&own, Known::Commits(&known), &wanted, SESSION_DOWNLOAD_MAX);
        let traffic = match fetched {
            Err(RemoteError::Permanent { kind: PermanentKind::IdsRefused, .. }) => {
                self.fetch_session_whole(commit, from, &known)?
            }
            Err(RemoteError::Permanent { kind: PermanentKind::NotThere, .. }) => {
                return Err(RemoteError::Gone { commit });
            }
            other => other?,
        };
        self.store.adopt(name, from.device, commit)?;
        Ok(traffic)
    }

    fn fetch(
        &self,
        into: &Path,
        known: Known<'_>,
        refspecs: &[String],
        limit: u64,
    ) -> Result<Traffic, RemoteError> {
        let fixed = [
            "--progress",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--no-prune",
            "--refmap=",
        ];
        let command = self.command(into).arg("fetch").args(fixed);
        let command = known.tell(command).args(["--", self.url]).args(refspecs.iter().cloned());
        let patient = patience::for_a_fetch(command, self.pack_deadline, limit);
        let output = patient.file_size_limit(limit).run()?;
        let traffic = progress::traffic(&output.stderr);
        if output.success() {
            return Ok(traffic);
        }
        // Git does not always say that its child died of a file too large: the file tells.
        let half = self.store.clear_half_packs(into)?;
        if was_cut(&output) || half >= limit {
            return Err(RemoteError::TooLarge { limit });
        }
        let error = RemoteError::from(outcome::failure(&output.stderr));
        if error.is_of_the_ref() || error.is_of_ids() {
            self.make_sure_of_git()?;
        }
        Err(error)
    }

    /// Moves our ref on the remote from `lease` (`None`: it must not exist) to `new`, with all that `new`
    /// reaches; over earlier tips where that keeps other devices' chunks from being sent again (see
    /// [`ADOPTED_PER_TIP`]). [`Outcome::Sent`] means the remote said so; [`Remote::read_back`] makes sure.
    pub fn push(&self, reference: &RefName, new: Oid, lease: Option<Oid>) -> Outcome {
        let whole = |_| PushPlan { steps: vec![Step { tip: new, bytes: 0 }], negotiate: true };
        let plan = self.store.push_plan(lease, new).unwrap_or_else(whole);
        let (mut sent, mut there) = (Sent::default(), lease);
        let all = plan.steps.iter().map(|step| step.bytes).sum();
        let _until_the_end = self.sending.map(|sending| sending.begin(all));
        for Step { tip, bytes } in plan.steps {
            let name = reference.to_string();
            if bytes > patience::KNOCK_FROM_BYTES {
                match self.find(&name) {
                    Ok(found) if found == there => {}
                    Ok(_) => return Outcome::Behind,
                    Err(error) => return error.into(),
                }
            }
            match self.push_bytes(&name, Some(tip), there, plan.negotiate, bytes) {
                Outcome::Sent(more) => {
                    sent.traffic += more.traffic;
                    let is_another = |address: &String| moved::is_another(address, self.url);
                    sent.moved_to = more.moved_to.filter(is_another);
                }
                other => return other,
            }
            self.sending.into_iter().for_each(|sending| sending.stepped(bytes));
            there = Some(tip);
        }
        Outcome::Sent(sent)
    }

    /// Removes a ref that stands at `lease` and blocks ours (see [`Listing::blocking`]).
    pub fn remove(&self, name: &str, lease: Oid) -> Outcome {
        let is_ours = [RefKind::Custom, RefKind::Branch]
            .iter()
            .any(|kind| format!("{name}/").starts_with(kind.prefix()));
        if !is_ours {
            return Outcome::Permanent {
                kind: PermanentKind::RefRefused,
                why: format!("`{}` is none of our refs", words::printable(name)),
            };
        }
        self.push_one(name, None, Some(lease), false)
    }

    fn push_one(
        &self,
        name: &str,
        new: Option<Oid>,
        lease: Option<Oid>,
        negotiate: bool,
    ) -> Outcome {
        self.push_bytes(name, new, lease, negotiate, 0)
    }

    /// Pushes something that carries so many bytes.
    fn push_bytes(
        &self,
        name: &str,
        new: Option<Oid>,
        lease: Option<Oid>,
        negotiate: bool,
        bytes: u64,
    ) -> Outcome {
        let show = |id: Option<Oid>| id.map(|id| id.to_string()).unwrap_or_default();
        let fixed = [
            "push",
            "--porcelain",
            "--progress",
            "--no-verify",
            "--no-follow-tags",
            "--no-signed",
            "--recurse-submodules=no",
        ];
        let command = self
            .command(&self.store.own_dir())
            .args(fixed)
            .arg(format!("--force-with-lease={name}:{}", show(lease)));
        let command = command
            .args(["--", self.url])
            .arg(format!("{}:{name}", show(new)))
            .config("push.negotiate", negotiate.to_string());
        let command = if negotiate { self.knowing_others(command) } else { command };
        let command = match self.sending {
            Some(sending) => command.listened_to(progress::note_written, sending.written()),
            None => command,
        };
        match patience::for_a_push(command, self.pack_deadline, bytes).run() {
            Ok(output) => outcome::of_push(
                output.code,
                &String::from_utf8_lossy(&output.stdout),
                &output.stderr,
                name,
            ),
            Err(error) => RemoteError::from(error).into(),
        }
    }

    /// A child on the network, working on one of our repositories.
    fn command(&self, git_dir: &Path) -> GitCommand {
        let command = self.git.command().git_dir(git_dir).network(protocols(self.url));
        // The far end of a directory is a child too, and needs the user's `safe.directory`.
        let is_directory = self.url.starts_with('/') || self.url.starts_with("file:");
        let command = if is_directory { command } else { command.own_config_only() };
        self.settings.0.iter().fold(command, |command, (key, value)| command.config(key, value))
    }
}

/// What the remote is told that we have, so that it sends the rest only.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// What all refs of the repository reach.
    AllRefs,
    /// The same, of tips without their past.
    Tips,
    /// What these commits reach: with hundreds of sessions in the store, naming every one costs more than
    /// what is new of one of them.
    Commits(&'a [Oid]),
}

impl Known<'_> {
    fn tell(self, command: GitCommand) -> GitCommand {
        match self {
            Self::AllRefs => command,
            Self::Tips => command.arg("--depth=1"),
            Self::Commits([]) => command.config("fetch.negotiationAlgorithm", "noop"),
            Self::Commits(known) => {
                command.args(known.iter().map(|id| format!("--negotiation-tip={id}")))
            }
        }
    }
}

/// What may be used to reach `url`; rewriting by the user's settings may choose among them. The bare git
/// protocol has neither encryption nor authentication and is used only when asked for.
fn protocols(url: &str) -> &'static str {
    if url.starts_with("git://") { "file:https:http:ssh:git" } else { "file:https:http:ssh" }
}

/// Fetches all of `wanted` at once; where the fault lies with one of them, each for itself.
fn together_or_each(
    wanted: &[RefName],
    fetch: impl Fn(&[RefName]) -> Result<Traffic, RemoteError>,
) -> Result<TipsFetched, RemoteError> {
    let mut fetched = TipsFetched::default();
    match fetch(wanted) {
        Ok(traffic) => fetched.traffic = traffic,
        Err(error) if !error.is_of_the_ref() => return Err(error),
        Err(_) => {
            for reference in wanted {
                match fetch(&[*reference]) {
                    Ok(traffic) => fetched.traffic += traffic,
                    Err(error) if error.is_of_the_ref() => {
                        fetched.refused.push((*reference, error));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(fetched)
}

fn refspecs(wanted: &[RefName]) -> Vec<String> {
    wanted.iter().map(|reference| format!("+{reference}:{reference}")).collect()
}

/// Whether a file reached its limit: the signal is 25 wherever we run.
fn was_cut(output: &Output) -> bool {
    const FILE_SIZE_SIGNAL: i32 = 25;
    output.signal == Some(FILE_SIZE_SIGNAL)
        || ["died of signal 25", "File too large", "File size limit exceeded"]
            .iter()
            .any(|words| output.stderr.contains(words))
}

#[cfg(test)]
mod tests;
