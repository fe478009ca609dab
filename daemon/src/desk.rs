//! One store's working memory: our own sessions there, other devices' as last listed, and what is known
//! of the remote. Saving and finding happen here; the network never does.

mod board;
mod brought;
mod lineage;
mod peers;
mod sent;
mod told;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convosync_core::disk;
use convosync_core::history::{History, Reader};
use convosync_core::id::{DeviceId, Digest, Oid, Random, SessionId, SessionName};
use convosync_core::inbound::Peer;
use convosync_core::merge::{self, Side};
use convosync_core::outbound::{self, Ledger, OutboundError, Own, Pen, Recorded, Request};
use convosync_core::protocol::{Failure, Problem, SessionQuery};
use convosync_core::remote::Traffic;
use convosync_core::seal::{Codec, Further, Seen, Summary};
use convosync_core::store::{RefKind, RefName, Store};
use convosync_core::transcript::SessionFiles;
use convosync_core::vault::Vault;

use crate::fail;
pub use board::{Board, Listed, Seat, SharedDesk};
use brought::Brought;
pub use sent::was_sent;
pub use told::{Doing, Told};

/// How many sessions' ledgers are kept in memory: those of a busy day. Others are rebuilt when their
/// transcripts grow again.
const LEDGERS_KEPT_MAX: usize = 64;

/// About how many new bytes go into one save. What is more follows in the next ones, so that a transcript of
/// gigabytes holds up neither the other sessions nor whoever asks, and is never begun anew after a stop.
pub const SAVE_BYTES_MAX: u64 = 32 << 20;

/// One store's working memory.
pub struct Desk {
    /// The store's repositories.
    pub store: Store,
    /// Who we are.
    pub vault: Arc<Vault>,
    /// Our ref.
    pub own: Own,
    /// Other devices as last listed.
    pub peers: BTreeMap<DeviceId, Peer>,
    /// Where our ref stood on the remote when it was last read back.
    pub confirmed: Option<Oid>,
    /// When that was, in Unix milliseconds.
    pub confirmed_ms: Option<i64>,
    /// When a save was last made, in Unix milliseconds.
    pub saved_ms: Option<i64>,
    /// When the remote was last listed, in Unix milliseconds.
    pub listed_ms: Option<i64>,
    /// Bytes to and from the remote since the start.
    pub traffic: Traffic,
    /// Why the remote does not get our saves, or refuses to.
    pub stuck: Option<(Problem, bool)>,
    /// Why other devices' saves are not seen.
    pub unlisted: Option<Problem>,
    /// What the user was told of the remote.
    pub told: Told,
    /// Refs of other devices that are not believed.
    pub doubts: BTreeMap<DeviceId, Problem>,
    /// About how many new bytes go into one save.
    pub room: u64,
    /// Sessions that cannot be saved.
    pub ailing: BTreeMap<SessionId, Problem>,
    dir: PathBuf,
    asked_own: bool,
    /// The tips that were last fetched, believed or not, so that none is fetched twice.
    looked_at: BTreeMap<RefName, Oid>,
    /// All refs of the vault, as last listed.
    shown: Vec<(RefName, Oid)>,
    /// The left-over tip that the remote was last asked to remove.
    asked_to_remove: Option<Oid>,
    ledgers: HashMap<SessionId, Ledger>,
    brought: Brought,
}

/// A session as one device holds it.
#[derive(Debug, Clone)]
pub struct Holding {
    /// Whose.
    pub device: DeviceId,
    /// What its summary says.
    pub summary: Arc<Summary>,
}

/// What a save came to.
#[derive(Default)]
pub struct Saved {
    /// Sessions in the new tip.
    pub recorded: Vec<Recorded>,
    /// Sessions without anything new.
    pub unchanged: Vec<SessionId>,
    /// Sessions of which more waits for the next save, with the bytes of them that are saved.
    pub waiting: Vec<(SessionId, u64)>,
    /// Sessions that failed.
    pub failed: Vec<(SessionId, OutboundError)>,
}

impl Desk {
    /// Opens the store below `dir`, making it if there is none, and reads what it holds.
    ///
    /// # Errors
    /// A [`Failure`] when the store or our own tip cannot be read.
    pub fn open(
        dir: &Path,
        vault: Arc<Vault>,
        branches_only: bool,
        now_ms: i64,
    ) -> Result<Self, Failure> {
        let store = Store::open(dir).map_err(|error| fail::store(&error))?;
        // What a killed daemon left of a small file; nobody else writes here.
        if let Err(error) = disk::remove_leftovers(dir, i64::MAX) {
            tracing::debug!(%error, "what a killed daemon left could not be removed");
        }
        let kind = if branches_only { RefKind::Branch } else { RefKind::Custom };
        let reference = RefName::new(kind, vault.id(), vault.device());
        let own = load_own(&store, &vault, reference).map_err(|error| fail::outbound(&error))?;
        let confirmed = sent::last_confirmed(dir);
        let mut desk = Self {
            store,
            vault,
            own,
            peers: BTreeMap::new(),
            confirmed,
            confirmed_ms: None,
            saved_ms: None,
            listed_ms: None,
            traffic: Traffic::default(),
            stuck: None,
            unlisted: None,
            told: Told::open(dir),
            doubts: BTreeMap::new(),
            room: SAVE_BYTES_MAX,
            ailing: BTreeMap::new(),
            dir: dir.to_owned(),
            asked_own: false,
            looked_at: BTreeMap::new(),
            shown: Vec::new(),
            asked_to_remove: None,
            ledgers: HashMap::new(),
            brought: Brought::open(dir),
        };
        desk.saved_ms = desk.own.sessions.values().map(|(summary, _)| summary.at_ms).max();
        desk.remember_peers(now_ms);
        Ok(desk)
    }

    /// The repository's fingerprint at our own last save of a session; `None` when the last save of it was
    /// another device's, or an earlier one was brought back: its code is another, and nothing new.
    pub fn own_code(&self, session: &SessionId) -> Option<Digest> {
        if self.brought.is_noted(session) {
            return None;
        }
        let record = self.base_of(session)?.record;
        let is_own = record.device == self.vault.device();
        record.code.map(|code| code.fingerprint).filter(|_| is_own)
    }

    /// What this device saved last of the further repositories of a session.
    pub fn own_further(&self, session: &SessionId) -> Vec<Further> {
        let device = self.vault.device();
        let record = self.base_of(session).map(|base| base.record);
        let own = record.filter(|record| record.device == device);
        let further = own.into_iter().flat_map(|record| record.further);
        further.filter(|further| further.device == device).collect()
    }

    /// The save that the next one of a session goes on from, as far as it is known without its files.
    pub fn base_of(&self, session: &SessionId) -> Option<History> {
        let known = self.ledgers.get(session).and_then(|ledger| ledger.base.clone());
        known.or_else(|| self.own_history(session).ok().flatten())
    }

    /// How many messages of a session are known to be here.
    pub fn known_messages(&self, session: &SessionId) -> u32 {
        let base = self.ledgers.get(session).and_then(|ledger| ledger.base.as_ref());
        let name = self.vault.keys.session_name(session);
        let own = self.own.sessions.get(&name).map(|(summary, _)| summary.messages);
        base.map(|base| base.record.messages).or(own).unwrap_or(0)
    }

    /// Whether this device saved a session here.
    pub fn has_saved(&self, session: &SessionId) -> bool {
        self.own.sessions.contains_key(&self.vault.keys.session_name(session))
    }

    /// Whether our newest save of a session covers exactly so many bytes, none of which was written since.
    /// Otherwise the files are read once, which finds out.
    pub fn covers(&self, session: &SessionId, bytes: u64, modified_ms: i64) -> bool {
        let name = self.vault.keys.session_name(session);
        let saved = self.own.sessions.get(&name).map(|(summary, _)| summary);
        saved.is_some_and(|summary| summary.total == bytes && modified_ms < summary.at_ms)
    }

    /// Saves sessions in one move of our ref. A session that fails does not hold up the others, and one that
    /// is too large goes last and continues in the next save.
    ///
    /// # Errors
    /// [`OutboundError`] when nothing could be saved at all.
    pub fn save(
        &mut self,
        requests: &[Request<'_>],
        codec: Codec,
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<Saved, OutboundError> {
        let (mut saved, mut room) = (Saved::default(), self.room);
        let mut requests: Vec<&Request<'_>> = requests.iter().collect();
        requests.sort_by_key(|request| self.new_bytes(request.files));
        for request in requests {
            let session = request.files.id.clone();
            if room == 0 {
                let bytes = self.saved_bytes(&session);
                saved.waiting.push((session, bytes));
                continue;
            }
            match self.record(request, (codec, room), now_ms, random) {
                Ok(Some(recorded)) => {
                    room = room.saturating_sub(recorded.raw_bytes);
                    if recorded.is_cut {
                        saved.waiting.push((session, recorded.summary.total));
                    }
                    saved.recorded.push(recorded);
                }
                Ok(None) => saved.unchanged.push(session),
                // A transcript that is gone (Claude Code cleans up) has nothing left to save.
                Err(OutboundError::Open { source, .. }) if source.is_missing() => {
                    saved.unchanged.push(session)
                }
                Err(error) => saved.failed.push((session, error)),
            }
        }
        if !saved.recorded.is_empty() {
            self.publish(&saved.recorded, now_ms, random)?;
            self.saved_ms = Some(now_ms);
            for recorded in &saved.recorded {
                self.ledgers.insert(recorded.summary.session.clone(), recorded.ledger.clone());
            }
            self.forget_ledgers(&saved);
        }
        Ok(saved)
    }

    /// How many bytes of a session our newest save of it holds.
    fn saved_bytes(&self, session: &SessionId) -> u64 {
        let name = self.vault.keys.session_name(session);
        self.own.sessions.get(&name).map_or(0, |(summary, _)| summary.total)
    }

    /// About how many bytes a save of these files takes in.
    fn new_bytes(&self, files: &SessionFiles) -> u64 {
        let bytes: u64 = files.files.iter().map(|file| file.length).sum();
        bytes.saturating_sub(self.saved_bytes(&files.id))
    }

    /// Lets go of what can be rebuilt, when there is much of it.
    fn forget_ledgers(&mut self, saved: &Saved) {
        if self.ledgers.len() > LEDGERS_KEPT_MAX {
            let is_new = |session: &SessionId| {
                saved.recorded.iter().any(|one| one.summary.session == *session)
            };
            self.ledgers.retain(|session, _| is_new(session));
        }
    }

    /// Makes a first tip without sessions: this device's card, roster and grants, so that the vault's other
    /// devices know of it before it has anything to say. Returns whether there was none before.
    ///
    /// # Errors
    /// [`OutboundError`] when the store cannot be written.
    pub fn introduce(
        &mut self,
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<bool, OutboundError> {
        let is_first = self.own.tip.is_none();
        if is_first {
            self.publish(&[], now_ms, random)?;
        }
        Ok(is_first)
    }

    fn publish(
        &mut self,
        recorded: &[Recorded],
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<(), OutboundError> {
        let seen: Vec<Seen> = self.peers.values().map(Peer::seen).collect();
        if let Some(store) = self.peers.values().map(|peer| peer.head.store).min() {
            self.own.call_store(store);
        }
        let result =
            self.own.publish(&self.store, &self.vault, &seen, recorded, now_ms, random).map(drop);
        if result.is_err() {
            self.read_again();
        }
        result
    }

    /// After a failure nobody knows where our ref stands: what is remembered comes from the store again.
    fn read_again(&mut self) {
        match Own::load(&self.store, &self.vault, self.own.reference) {
            Ok(own) => self.own = own,
            Err(error) => tracing::warn!(%error, "our own ref cannot be read"),
        }
        self.ledgers.clear();
    }

    fn record(
        &mut self,
        request: &Request<'_>,
        (codec, room): (Codec, u64),
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<Option<Recorded>, OutboundError> {
        let session = &request.files.id;
        if !self.ledgers.contains_key(session) {
            let base = self.base(request.files)?;
            let left = self.left_by(session, base.as_ref());
            self.ledgers.insert(session.clone(), Ledger::from_base(base, left));
        }
        if !request.insist && self.is_as_it_came(request.files) {
            return Ok(None);
        }
        self.brought.note(session, None);
        let pen = Pen { store: &self.store, vault: &self.vault, codec, room };
        outbound::record(pen, &self.ledgers[session], request, now_ms, random)
    }

    /// Whether a session stands as an earlier save, of this device or another, which was brought back here.
    fn is_as_it_came(&self, files: &SessionFiles) -> bool {
        let base = self.ledgers.get(&files.id).and_then(|ledger| ledger.base.as_ref());
        base.is_some_and(|base| self.brought.is_as_it_came(&self.reader(), base, files))
    }

    /// Lets the next save of a session go on from this state, which was just brought back. After an earlier
    /// save it goes on from the newest one of the same history: numbers and chunks are never given twice.
    pub fn rebase(&mut self, base: History) {
        let (session, brought) = (base.session.clone(), base.record.number);
        let base = self.reader().newest_at(&session, base.commit).unwrap_or(base);
        self.brought.note(&session, Some(brought).filter(|number| *number != base.record.number));
        let left = self.left_by(&session, Some(&base));
        let name = self.vault.keys.session_name(&session);
        let is_own = self.own.sessions.get(&name).is_some_and(|(own, _)| own.commit == base.commit);
        if !is_own && let Err(error) = self.store.adopt(name, self.vault.device(), base.commit) {
            tracing::warn!(%error, "what a session goes on from could not be noted");
        }
        self.ledgers.insert(session, Ledger::from_base(Some(base), left));
    }

    /// Opens sessions from this store.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.store, &self.vault.keys)
    }

    /// Every session of every device, as (name, holdings).
    pub fn holdings(&self) -> BTreeMap<SessionName, Vec<Holding>> {
        let mut holdings: BTreeMap<SessionName, Vec<Holding>> = BTreeMap::new();
        for (name, (summary, _)) in &self.own.sessions {
            let device = self.vault.device();
            holdings.entry(*name).or_default().push(Holding { device, summary: summary.clone() });
        }
        for peer in self.peers.values() {
            for (name, summary) in &peer.sessions {
                let device = peer.reference.device;
                holdings
                    .entry(*name)
                    .or_default()
                    .push(Holding { device, summary: summary.clone() });
            }
        }
        holdings
    }

    /// The newest holding of every session.
    pub fn newest(&self) -> Vec<Holding> {
        self.holdings().into_values().filter_map(newest_of).collect()
    }

    /// What resuming a session means where our own state of it is the newest: another device's that ours
    /// does not go on from, if there is one, so that two conversations that went apart are noticed.
    pub fn apart_from(&self, holding: Holding) -> Holding {
        let ours = holding.summary.commit;
        if holding.device != self.vault.device() {
            return holding;
        }
        let name = self.vault.keys.session_name(&holding.summary.session);
        let mut others = self.holdings().remove(&name).unwrap_or_default();
        others
            .retain(|other| !self.store.descends_from(ours, other.summary.commit).unwrap_or(false));
        newest_of(others).unwrap_or(holding)
    }

    /// The newest holding of the sessions that answer to a name.
    pub fn find(&self, query: &SessionQuery) -> Vec<Holding> {
        self.newest()
            .into_iter()
            .filter(|holding| query.matches(&holding.summary.session))
            .collect()
    }
}

/// Reads our ref under the name that the store has it by, whatever the host took when it was enabled: a
/// store that has both was stopped while it was renamed.
fn load_own(store: &Store, vault: &Vault, reference: RefName) -> Result<Own, OutboundError> {
    let own = Own::load(store, vault, reference)?;
    let place = |own: &Own| own.head.as_ref().map(|(head, _)| (head.epoch, head.sequence));
    reference.others().try_fold(own, |own, other| {
        let other = Own::load(store, vault, other)?;
        Ok(if place(&other) > place(&own) { other } else { own })
    })
}

fn newest_of(holdings: Vec<Holding>) -> Option<Holding> {
    let side = |holding: &Holding| Side {
        device: holding.device,
        save: holding.summary.save,
        at_ms: holding.summary.at_ms,
    };
    let newest = merge::newest(holdings.iter().map(side))?;
    holdings.into_iter().find(|holding| holding.device == newest.device)
}
