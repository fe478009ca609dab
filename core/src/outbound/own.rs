//! Our own ref in one store: the tip it points to, and how the next one is made.

use std::collections::BTreeMap;

use super::{OutboundError, Pen, Recorded};
use crate::id::{DeviceId, Digest, Oid, Random, SessionName, StoreId, draw};
use crate::seal::{
    Card, Head, Sealed, Seen, Summary, grants_of, open_head, open_summary, root_of, seal_head,
};
use crate::store::{RefName, Store, Where};
use crate::vault::Vault;

/// After so many tips the chain of tips is squashed into one whose parents are the sessions themselves:
/// old heads and summaries can then be collected, chunks cannot (DESIGN 5).
pub const SQUASH_EVERY: u64 = 200;

/// The tree's first file: what it says never changes for a version of the format.
const FORMAT: &[u8] = b"convosync 1\n";

/// Our own ref: what it points to and what stands there.
#[derive(Debug)]
pub struct Own {
    /// The ref, here and on the remote.
    pub reference: RefName,
    /// The tip, once there is one.
    pub tip: Option<Oid>,
    /// The head in it, with its digest as sealed.
    pub head: Option<(Head, Digest)>,
    /// Every session in it, with the digest of its sealed summary.
    pub sessions: BTreeMap<SessionName, (Summary, Digest)>,
    /// The plain files of the tip as they stand, so that only changed ones are written again.
    files: BTreeMap<String, Vec<u8>>,
    /// What the vault's other devices call this store.
    store: Option<StoreId>,
}

impl Own {
    /// Reads our ref from the store; a store without one is an empty start.
    ///
    /// # Errors
    /// [`OutboundError`] when the tip is there and not readable: going on without it would lose its
    /// sessions.
    pub fn load(store: &Store, vault: &Vault, reference: RefName) -> Result<Self, OutboundError> {
        match store.own_tip(&reference)? {
            Some(tip) => Self::read_from(store, vault, reference, tip),
            None => Ok(Self::empty(reference, None)),
        }
    }

    /// Goes on from our ref as the remote has it, in a store that lost its own: checks that the tip is one
    /// that this device signed, and moves our ref there.
    ///
    /// # Errors
    /// [`OutboundError`] when it is not ours or not whole; the store then stays empty.
    pub fn take_back(
        store: &Store,
        vault: &Vault,
        reference: RefName,
        tip: Oid,
    ) -> Result<Self, OutboundError> {
        let own = Self::read_from(store, vault, reference, tip)?;
        store.move_ref(&reference, None, tip)?;
        Ok(own)
    }

    /// Joins our ref with another state of it that this device signed too: the store was lost and begun
    /// anew, or the disk was copied. The next tip goes on from theirs, in a new epoch, and holds the
    /// sessions of both; of a session in both, ours counts and theirs stays in its history.
    ///
    /// # Errors
    /// [`OutboundError`] when theirs is not ours by signature or not whole; nothing is changed then.
    pub fn rejoin(
        &mut self,
        pen: Pen<'_>,
        theirs: Oid,
        seen: Vec<Seen>,
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<Oid, OutboundError> {
        let (store, vault) = (pen.store, pen.vault);
        let mut joined = Self::read_from(store, vault, self.reference, theirs)?;
        let mut put: Vec<(String, Vec<u8>)> = Vec::new();
        if let Some(tip) = self.tip {
            let ours = store.read_tip(Where::Own, tip)?.sessions.into_iter();
            put.extend(ours.map(|(name, bytes)| (summary_path(name), bytes)));
        }
        joined.sessions.extend(self.sessions.clone());
        put.extend(self.files.iter().map(owned));
        let before = self.head.as_ref().map(|(head, _)| head);
        let seen = newest_seen(before.map_or(&[], |head| &head.seen), seen);
        let mut head = joined.next_head(vault, &joined.sessions, seen, now_ms, random);
        // Newer than both: theirs may be an old one that somebody put back.
        head.epoch = head.epoch.max(before.map_or(0, |head| head.epoch)) + 1;
        let sealed = seal_head(&vault.keys, &vault.identity, &head, random)
            .map_err(OutboundError::OwnHead)?;
        put.push(("head".to_owned(), sealed.as_bytes().to_vec()));
        let commits: Vec<Oid> = self.sessions.values().map(|(summary, _)| summary.commit).collect();
        let tip = store.commit_tip(Some(theirs), &commits, &put, &[])?;
        store.move_ref(&self.reference, self.tip, tip)?;
        (joined.tip, joined.files) = (Some(tip), self.files.clone());
        joined.head = Some((head, sealed.digest()));
        *self = joined;
        Ok(tip)
    }

    /// Returns for which store this device signed a listed tip, if it did; asked before anything of it is
    /// downloaded whole. One that belongs to another remote must not be joined here.
    pub fn signed_for(vault: &Vault, store: &Store, tip: Oid) -> Option<StoreId> {
        let head = store.read_tip(Where::Seen, tip).ok()?.head?;
        let sealed = Sealed::from_bytes(head).ok()?;
        let card = Card::open(&vault.card).ok()?;
        open_head(&vault.keys, &card, &sealed).ok().map(|head| head.store)
    }

    fn empty(reference: RefName, tip: Option<Oid>) -> Self {
        let (head, sessions, files) = (None, BTreeMap::new(), BTreeMap::new());
        Self { reference, tip, head, sessions, files, store: None }
    }

    fn read_from(
        store: &Store,
        vault: &Vault,
        reference: RefName,
        tip: Oid,
    ) -> Result<Self, OutboundError> {
        let mut own = Self::empty(reference, Some(tip));
        own.read(store, vault, tip)?;
        Ok(own)
    }

    fn read(&mut self, store: &Store, vault: &Vault, at: Oid) -> Result<(), OutboundError> {
        let tip = store.read_tip(Where::Own, at)?;
        let sealed =
            Sealed::from_bytes(tip.head.unwrap_or_default()).map_err(OutboundError::OwnHead)?;
        let card = Card::open(&vault.card).map_err(OutboundError::OwnHead)?;
        let head = open_head(&vault.keys, &card, &sealed).map_err(OutboundError::OwnHead)?;
        self.head = Some((head, sealed.digest()));
        for (name, bytes) in tip.sessions {
            let sealed = Sealed::from_bytes(bytes).map_err(OutboundError::OwnHead)?;
            let summary = open_summary(&vault.keys, vault.device(), name, &sealed)
                .map_err(OutboundError::OwnHead)?;
            self.sessions.insert(name, (summary, sealed.digest()));
        }
        self.files.insert("format".to_owned(), FORMAT.to_vec());
        self.files.extend(tip.card.map(|bytes| ("card".to_owned(), bytes)));
        self.files.extend(tip.roster.map(|bytes| ("roster".to_owned(), bytes)));
        let grants = tip.grants.into_iter();
        self.files.extend(grants.map(|(device, bytes)| (grant_path(device), bytes)));
        Ok(())
    }

    /// Makes the next tip with these sessions in it and moves our ref there. When this returns, they are
    /// saved on this device for good.
    ///
    /// # Errors
    /// [`OutboundError`]; our ref then stands where it stood.
    pub fn publish(
        &mut self,
        store: &Store,
        vault: &Vault,
        seen: Vec<Seen>,
        recorded: &[Recorded],
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<Oid, OutboundError> {
        let mut sessions = self.sessions.clone();
        let mut put = Vec::new();
        for one in recorded {
            put.push((summary_path(one.name), one.sealed_summary.as_bytes().to_vec()));
            sessions.insert(one.name, (one.summary.clone(), one.sealed_summary.digest()));
        }
        let files = self.plain_files(vault);
        put.extend(
            files.iter().filter(|(path, bytes)| self.files.get(*path) != Some(bytes)).map(owned),
        );
        let head = self.next_head(vault, &sessions, seen, now_ms, random);
        let sealed = seal_head(&vault.keys, &vault.identity, &head, random)
            .map_err(OutboundError::OwnHead)?;
        put.push(("head".to_owned(), sealed.as_bytes().to_vec()));
        let commits: Vec<Oid> = recorded.iter().map(|one| one.commit).collect();
        let tip = match self.tip.filter(|_| head.sequence.is_multiple_of(SQUASH_EVERY)) {
            Some(before) => {
                let all: Vec<Oid> = sessions.values().map(|(summary, _)| summary.commit).collect();
                store.squash_tip(before, &all, &put, &[])?
            }
            None => store.commit_tip(self.tip, &commits, &put, &[])?,
        };
        store.move_ref(&self.reference, self.tip, tip)?;
        (self.tip, self.sessions, self.files) = (Some(tip), sessions, files);
        self.head = Some((head, sealed.digest()));
        Ok(tip)
    }

    /// The store's id: ours from the last head, or the one the vault's other devices use there.
    pub fn store_id(&self) -> Option<StoreId> {
        self.head.as_ref().map(|(head, _)| head.store).or(self.store)
    }

    /// Calls the store what the vault's other devices call it, unless we named it before.
    pub fn call_store(&mut self, store: StoreId) {
        self.store.get_or_insert(store);
    }

    /// Whether a tip is an older one of ours, however the chain of tips was squashed since: a head that we
    /// signed, of a sequence that we went on from.
    pub fn went_on_from(&self, store: &Store, vault: &Vault, tip: Oid) -> bool {
        let Some((now, _)) = &self.head else { return false };
        let Ok(then) = Self::read_from(store, vault, self.reference, tip) else { return false };
        then.head.is_some_and(|(then, _)| {
            then.store == now.store && (then.epoch, then.sequence) < (now.epoch, now.sequence)
        })
    }

    fn plain_files(&self, vault: &Vault) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::from([
            ("format".to_owned(), FORMAT.to_vec()),
            ("card".to_owned(), vault.card.clone()),
            ("roster".to_owned(), vault.sealed_roster.as_bytes().to_vec()),
        ]);
        files.extend(
            vault.grants.iter().map(|(device, bytes)| (grant_path(*device), bytes.clone())),
        );
        files
    }

    fn next_head(
        &self,
        vault: &Vault,
        sessions: &BTreeMap<SessionName, (Summary, Digest)>,
        seen: Vec<Seen>,
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Head {
        let before = self.head.as_ref();
        let digests = sessions.iter().map(|(name, (_, digest))| (*name, *digest)).collect();
        Head {
            vault: vault.id(),
            store: self.store_id().unwrap_or_else(|| StoreId(draw(random))),
            device: vault.device(),
            name: vault.name.clone(),
            kind: vault.kind,
            epoch: before.map_or(1, |(head, _)| head.epoch),
            sequence: before.map_or(1, |(head, _)| head.sequence + 1),
            previous: before.map_or(Digest::NONE, |(_, digest)| *digest),
            root: root_of(&digests),
            roster: vault.roster.head(),
            grants: grants_of(&vault.grants),
            tombstones: before.map_or_else(Vec::new, |(head, _)| head.tombstones.clone()),
            seen: newest_seen(before.map_or(&[], |(head, _)| &head.seen), seen),
            at_ms: now_ms,
        }
    }
}

/// The newest head seen of each device: what is not listed now was seen all the same, and nobody may put
/// back an older one.
fn newest_seen(before: &[Seen], now: Vec<Seen>) -> Vec<Seen> {
    let mut newest: BTreeMap<DeviceId, Seen> = BTreeMap::new();
    for seen in before.iter().copied().chain(now) {
        let known = newest.entry(seen.device).or_insert(seen);
        if (known.epoch, known.sequence) < (seen.epoch, seen.sequence) {
            *known = seen;
        }
    }
    newest.into_values().collect()
}

/// Where a session's summary lies in a tip.
pub(crate) fn summary_path(name: SessionName) -> String {
    let name = name.to_string();
    format!("sessions/{}/{name}", &name[..1])
}

fn grant_path(device: DeviceId) -> String {
    format!("grants/{device}")
}

fn owned((path, bytes): (&String, &Vec<u8>)) -> (String, Vec<u8>) {
    (path.clone(), bytes.clone())
}
