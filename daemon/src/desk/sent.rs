//! What the remote was seen to hold of our own ref, and under which name: what is to be sent follows from it.

use std::path::Path;

use convosync_core::disk;
use convosync_core::id::{Oid, Random};
use convosync_core::inbound::Peer;
use convosync_core::outbound::{OutboundError, Own, Pen};
use convosync_core::protocol::SyncState;
use convosync_core::seal::{Codec, Seen};
use convosync_core::store::{RefKind, RefName, StoreError};

use super::Desk;

/// The file in a store's folder that names the tip which the remote was last seen to hold: a cache that
/// spares a restarted daemon a push.
const CONFIRMED_FILE: &str = "on-remote";

/// Whether something was ever sent from the store below `dir`.
pub fn was_sent(dir: &Path) -> bool {
    dir.join(CONFIRMED_FILE).exists()
}

/// Where our ref stood on the remote when it was last read back, by an earlier daemon.
pub(super) fn last_confirmed(dir: &Path) -> Option<Oid> {
    std::fs::read_to_string(dir.join(CONFIRMED_FILE)).ok()?.trim().parse().ok()
}

impl Desk {
    /// Whether a listing shows that the remote no longer holds what it was seen to hold when the listing
    /// began; from then on that is unsent.
    pub fn has_lost(&mut self, confirmed: Option<Oid>, tips: &[(RefName, Oid)]) -> bool {
        let ours = |(reference, _): &&(RefName, Oid)| *reference == self.own.reference;
        let there = tips.iter().find(ours).map(|(_, tip)| *tip);
        let holds = there == confirmed || (there.is_some() && there == self.own.tip);
        let is_lost = confirmed.is_some() && self.confirmed == confirmed && !holds;
        if is_lost {
            self.keep_confirmed(None);
        }
        is_lost
    }

    /// Whether our ref has to be looked for on the remote before the first save: the store is empty, and
    /// may have been lost.
    pub fn misses_own(&self) -> bool {
        self.own.tip.is_none() && !self.asked_own
    }

    /// Goes on from our ref as the remote has it, under this name or another, or from nothing where it has
    /// none.
    ///
    /// # Errors
    /// [`OutboundError`] when what the remote has is not ours.
    pub fn take_own(&mut self, there: Option<(RefName, Oid)>) -> Result<(), OutboundError> {
        if let Some((reference, tip)) = there.filter(|_| self.misses_own()) {
            self.own = Own::take_back(&self.store, &self.vault, self.own.reference, tip)?;
            self.confirmed = Some(tip).filter(|_| reference == self.own.reference);
            self.ledgers.clear();
        }
        self.asked_own = true;
        Ok(())
    }

    /// Joins our ref with another state of it that the remote has and this device signed.
    ///
    /// # Errors
    /// [`OutboundError`] when it is not ours.
    pub fn rejoin(
        &mut self,
        theirs: Oid,
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<Oid, OutboundError> {
        let seen: Vec<Seen> = self.peers.values().map(Peer::seen).collect();
        let pen = Pen { store: &self.store, vault: &self.vault, codec: Codec::default(), room: 0 };
        let tip = self.own.rejoin(pen, theirs, &seen, now_ms, random)?;
        self.confirmed = Some(theirs);
        self.ledgers.clear();
        Ok(tip)
    }

    /// Gives our ref a name of another kind, for a host that takes no other; what it holds is to be sent
    /// there. Returns whether it had another kind before.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub fn rename(&mut self, kind: RefKind) -> Result<bool, StoreError> {
        let old = self.own.reference;
        if old.kind == kind {
            return Ok(false);
        }
        let new = RefName { kind, ..old };
        self.store.rename_own(&old, &new)?;
        self.own.reference = new;
        self.asked_own = false;
        self.keep_confirmed(None);
        Ok(true)
    }

    /// Our own ref under its old name, if a listing shows it beside the new one, which holds everything.
    /// Each is named once: a host that does not remove it is not asked for ever.
    pub fn left_over(&mut self) -> Option<(RefName, Oid)> {
        let old = |(reference, _): &&(RefName, Oid)| {
            self.own.reference.others().any(|other| other == *reference)
        };
        let (reference, tip) = *self.shown.iter().find(old)?;
        let is_held = |own: Oid| {
            self.store.descends_from(own, tip).unwrap_or(false) || self.went_on_from(tip)
        };
        let own = self.own.tip.filter(|_| !self.is_unsent())?;
        let asks = is_held(own) && self.asked_to_remove.replace(tip) != Some(tip);
        asks.then_some((reference, tip))
    }

    /// Whether our ref has something that the remote was not seen to hold.
    pub fn is_unsent(&self) -> bool {
        self.own.tip.is_some() && self.own.tip != self.confirmed
    }

    /// Where the last save has got to.
    pub fn sync_state(&self) -> SyncState {
        match (&self.stuck, self.own.tip) {
            (_, None) => SyncState::Empty,
            (None, Some(_)) if self.own.sessions.is_empty() => SyncState::Empty,
            (_, Some(_)) if !self.is_unsent() => SyncState::OnRemote,
            (Some((_, true)), _) => SyncState::Stuck,
            _ => SyncState::SavedLocally,
        }
    }

    /// Notes that the remote was read back and holds `tip`.
    pub fn confirm(&mut self, tip: Option<Oid>, now_ms: i64) {
        self.keep_confirmed(tip);
        self.confirmed_ms = Some(now_ms);
    }

    fn keep_confirmed(&mut self, tip: Option<Oid>) {
        if self.confirmed != tip {
            let text = tip.map_or_else(String::new, |tip| format!("{tip}\n"));
            if let Err(error) = disk::write_atomic(&self.dir.join(CONFIRMED_FILE), text.as_bytes())
            {
                tracing::debug!(%error, "a cache could not be written");
            }
        }
        self.confirmed = tip;
    }
}
