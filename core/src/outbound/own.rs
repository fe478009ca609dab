//! Our own ref in one store: the tip it points to, and how the next one is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{OutboundError, Pen, Recorded};
use crate::id::{DeviceId, Digest, Oid, Random, SessionName, StoreId, draw};
use crate::remote::ADOPTED_PER_TIP;
use crate::seal::{
    Card, Head, Sealed, Seen, Summary, grants_of, open_head, open_summary, root_of, seal_head,
};
use crate::store::{RefName, SQUASH_EVERY, Store, Where};
use crate::vault::Vault;

/// The tree's first file: what it says never changes for a version of the format.
const FORMAT: &[u8] = b"convosync 1\n";

/// What goes into one tip.
#[derive(Default)]
struct Batch<'a> {
    recorded: Vec<&'a Recorded>,
    /// Commits of other devices that some of them go on from, which our ref does not reach yet.
    adopted: Vec<Oid>,
}

/// Our own ref: what it points to and what stands there.
#[derive(Debug, Clone)]
pub struct Own {
    /// The ref, here and on the remote.
    pub reference: RefName,
    /// The tip, once there is one.
    pub tip: Option<Oid>,
    /// The head in it, with its digest as sealed.
    pub head: Option<(Head, Digest)>,
    /// Every session in it, with the digest of its sealed summary.
    pub sessions: BTreeMap<SessionName, (Arc<Summary>, Digest)>,
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
            Some(tip) => Self::load_at(store, vault, reference, tip),
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
        let own = Self::load_at(store, vault, reference, tip)?;
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
        seen: &[Seen],
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<Oid, OutboundError> {
        let (store, vault) = (pen.store, pen.vault);
        let mut joined = Self::load_at(store, vault, self.reference, theirs)?;
        let mut put: Vec<(String, Vec<u8>)> = Vec::new();
        if let Some(tip) = self.tip {
            let ours = store.read_tip(Where::Own, tip)?.sessions.into_iter();
            put.extend(ours.map(|(name, bytes)| (summary_path(name), bytes)));
        }
        joined.sessions.extend(self.sessions.clone());
        put.extend(self.files.iter().map(owned));
        let before = self.head.as_ref().map(|(head, _)| head);
        let seen = newest_seen(before.map_or(&[], |head| &head.seen), seen);
        let mut head = joined.next_head(vault, &Batch::default(), &seen, now_ms, random);
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
            self.sessions.insert(name, (Arc::new(summary), sealed.digest()));
        }
        self.files.insert("format".to_owned(), FORMAT.to_vec());
        self.files.extend(tip.card.map(|bytes| ("card".to_owned(), bytes)));
        self.files.extend(tip.roster.map(|bytes| ("roster".to_owned(), bytes)));
        let grants = tip.grants.into_iter();
        self.files.extend(grants.map(|(device, bytes)| (grant_path(device), bytes)));
        Ok(())
    }

    /// Makes the next tip with these sessions in it and moves our ref there, or several tips where many of
    /// them go on from other devices' saves ([`ADOPTED_PER_TIP`]). When this returns, they are saved on this
    /// device for good.
    ///
    /// # Errors
    /// [`OutboundError`]; our ref then stands where it stood.
    pub fn publish(
        &mut self,
        store: &Store,
        vault: &Vault,
        seen: &[Seen],
        recorded: &[Recorded],
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<Oid, OutboundError> {
        let mut next = self.clone();
        let mut tip = None;
        for batch in self.batches(store, recorded)? {
            let head = next.next_head(vault, &batch, seen, now_ms, random);
            tip = Some(next.add_tip(store, vault, &batch, head, random)?);
        }
        let tip = tip.expect("there is at least one batch, even of nothing");
        store.move_ref(&self.reference, self.tip, tip)?;
        *self = next;
        Ok(tip)
    }

    /// Shares the sessions out so that no tip brings too many adopted commits.
    fn batches<'a>(
        &self,
        store: &Store,
        recorded: &'a [Recorded],
    ) -> Result<Vec<Batch<'a>>, OutboundError> {
        let mut done = Vec::new();
        let mut batch = Batch::default();
        for one in recorded {
            let own = self.sessions.get(&one.name).map(|(summary, _)| summary.commit);
            let adopted = store.session_parent(one.commit)?.filter(|base| Some(*base) != own);
            if adopted.is_some() && batch.adopted.len() == ADOPTED_PER_TIP {
                done.push(std::mem::take(&mut batch));
            }
            batch.adopted.extend(adopted);
            batch.recorded.push(one);
        }
        done.push(batch);
        Ok(done)
    }

    /// Writes the tip that follows, and knows it as ours; the ref is not moved.
    fn add_tip(
        &mut self,
        store: &Store,
        vault: &Vault,
        batch: &Batch<'_>,
        head: Head,
        random: &mut dyn Random,
    ) -> Result<Oid, OutboundError> {
        let sealed = seal_head(&vault.keys, &vault.identity, &head, random)
            .map_err(OutboundError::OwnHead)?;
        let files = plain_files(vault);
        let changed = files.iter().filter(|(path, bytes)| self.files.get(*path) != Some(bytes));
        let mut put: Vec<_> = changed.map(owned).collect();
        put.push(("head".to_owned(), sealed.as_bytes().to_vec()));
        for one in &batch.recorded {
            put.push((summary_path(one.name), one.sealed_summary.as_bytes().to_vec()));
            let summary = Arc::new(one.summary.clone());
            self.sessions.insert(one.name, (summary, one.sealed_summary.digest()));
        }
        let mut commits = batch.adopted.clone();
        let tip = match self.tip.filter(|_| head.sequence.is_multiple_of(SQUASH_EVERY)) {
            Some(before) => {
                commits.extend(self.sessions.values().map(|(summary, _)| summary.commit));
                store.squash_tip(before, &commits, &put, &[])?
            }
            None => {
                commits.extend(batch.recorded.iter().map(|one| one.commit));
                store.commit_tip(self.tip, &commits, &put, &[])?
            }
        };
        (self.tip, self.files, self.head) = (Some(tip), files, Some((head, sealed.digest())));
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
        let Ok(then) = Self::load_at(store, vault, self.reference, tip) else { return false };
        then.head.is_some_and(|(then, _)| {
            then.store == now.store && (then.epoch, then.sequence) < (now.epoch, now.sequence)
        })
    }

    fn load_at(
        store: &Store,
        vault: &Vault,
        reference: RefName,
        tip: Oid,
    ) -> Result<Self, OutboundError> {
        let (head, sessions, files) = (None, BTreeMap::new(), BTreeMap::new());
        let mut own = Self { reference, tip: Some(tip), head, sessions, files, store: None };
        own.read(store, vault, tip)?;
        Ok(own)
    }

    fn next_head(
        &self,
        vault: &Vault,
        batch: &Batch<'_>,
        seen: &[Seen],
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Head {
        let before = self.head.as_ref();
        let mut digests: BTreeMap<SessionName, Digest> =
            self.sessions.iter().map(|(name, (_, digest))| (*name, *digest)).collect();
        digests.extend(batch.recorded.iter().map(|one| (one.name, one.sealed_summary.digest())));
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
fn newest_seen(before: &[Seen], now: &[Seen]) -> Vec<Seen> {
    let mut newest: BTreeMap<DeviceId, Seen> = BTreeMap::new();
    for seen in before.iter().chain(now).copied() {
        let known = newest.entry(seen.device).or_insert(seen);
        if (known.epoch, known.sequence) < (seen.epoch, seen.sequence) {
            *known = seen;
        }
    }
    newest.into_values().collect()
}

fn plain_files(vault: &Vault) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([
        ("format".to_owned(), FORMAT.to_vec()),
        ("card".to_owned(), vault.card.clone()),
        ("roster".to_owned(), vault.sealed_roster.as_bytes().to_vec()),
    ]);
    files.extend(vault.grants.iter().map(|(device, bytes)| (grant_path(*device), bytes.clone())));
    files
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SeededRandom, SessionId};
    use crate::outbound::Ledger;
    use crate::seal::{DeviceKind, Phrase, seal_summary};
    use crate::store::RefKind;

    const OTHER: DeviceId = DeviceId([9; 8]);

    fn summary(vault: &Vault, session: SessionId, commit: Oid) -> Summary {
        let (none, zero) = (String::new(), 0);
        Summary {
            session,
            commit,
            save: 2,
            record: Digest::NONE,
            at_ms: 1,
            device: vault.device(),
            first_ms: None,
            last_ms: None,
            project: Vec::new(),
            project_name: none.clone(),
            subdirectory: none,
            title: None,
            message: None,
            branch: None,
            head: None,
            dirty: false,
            messages: zero,
            lines: zero,
            malformed: zero,
            length: 0,
            total: 0,
            logs: 0,
            code: 0,
            quiet: false,
            packed: 0,
            client: None,
            model: None,
        }
    }

    /// Records a session's save, which goes on from another device's when it is `adopted`.
    fn recorded(store: &Store, vault: &Vault, number: usize, adopted: bool) -> Recorded {
        let random = &mut SeededRandom::new(number as u64);
        let session: SessionId = format!("session-{number:08}").parse().unwrap();
        let name = vault.keys.session_name(&session);
        let put = |save: u32| [(format!("saves/{save:08x}"), session.as_str().as_bytes().to_vec())];
        let base = adopted.then(|| store.commit_session(&[], &put(1), &[]).unwrap());
        if let Some(base) = base {
            store.adopt(name, OTHER, base).unwrap();
        }
        let commit = store.commit_session(base.as_slice(), &put(2), &[]).unwrap();
        let summary = summary(vault, session, commit);
        let sealed_summary = seal_summary(&vault.keys, vault.device(), &summary, random).unwrap();
        let ledger = Ledger::default();
        Recorded {
            name,
            commit,
            summary,
            sealed_summary,
            ledger,
            sealed_bytes: 0,
            raw_bytes: 0,
            is_cut: false,
            new_messages: 0,
        }
    }

    fn check_tips(adopted: usize, own: usize, tips: u64) {
        let place = tempfile::tempdir().unwrap();
        let random = &mut SeededRandom::new(1);
        let phrase = Phrase::create(random);
        let keys = place.path().join("keys");
        let vault = Vault::create(&keys, &phrase, "desk", DeviceKind::Desktop, 1, random).unwrap();
        let store = Store::open(&place.path().join("store")).unwrap();
        let reference = RefName::new(RefKind::Custom, vault.id(), vault.device());
        let mut ours = Own::load(&store, &vault, reference).unwrap();
        let sessions: Vec<Recorded> = (0..adopted + own)
            .map(|number| recorded(&store, &vault, number, number < adopted))
            .collect();

        let tip = ours.publish(&store, &vault, &[], &sessions, 2, random).unwrap();

        assert_eq!(store.own_tip(&reference).unwrap(), Some(tip));
        assert_eq!(store.chain_length(tip, 99).unwrap(), tips, "{adopted} adopted");
        let plan = store.push_plan(None, tip).unwrap();
        assert_eq!((plan.steps.len(), plan.negotiate), (tips as usize, adopted > 0));
        let read = Own::load(&store, &vault, reference).unwrap();
        assert_eq!(read.sessions, ours.sessions);
        assert_eq!(read.sessions.len(), adopted + own);
        assert_eq!(read.head.map(|(head, _)| head.sequence), Some(tips));
    }

    #[test]
    fn no_tip_brings_more_adopted_commits_than_git_asks_the_remote_about() {
        check_tips(0, 40, 1);
        check_tips(ADOPTED_PER_TIP, 3, 1);
        check_tips(ADOPTED_PER_TIP + 1, 0, 2);
        check_tips(30, 30, 3);
    }
}
