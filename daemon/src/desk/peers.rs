//! What a store's desk knows of other devices: states that were listed and believed, those that were not,
//! and what they are called.

use convosync_core::id::{DeviceId, Oid, SessionId, SessionName};
use convosync_core::inbound::{InboundError, Peer, open_peer};
use convosync_core::protocol::Problem;
use convosync_core::seal::{Seen, Summary};
use convosync_core::store::RefName;

use super::Desk;
use crate::fail;

/// Refs and where they stand.
type Tips = Vec<(RefName, Oid)>;

impl Desk {
    /// Takes up other devices' states from the last listing that lies in the store.
    pub(super) fn remember_peers(&mut self) {
        for reference in self.store.seen_refs().unwrap_or_default() {
            let ours =
                reference.vault == self.vault.id() && reference.device != self.vault.device();
            if let Some(tip) = self.store.seen_tip(&reference).ok().flatten().filter(|_| ours) {
                self.take_peer(reference, tip, 0);
            }
        }
    }

    /// Opens a listed tip of another device. A state that is not believed is noted and the last good one
    /// stays. Returns the device's name when there is news.
    pub fn take_peer(
        &mut self,
        reference: RefName,
        tip: Oid,
        now_ms: i64,
    ) -> Option<Vec<SessionId>> {
        let before = self.remembered(reference.device);
        self.looked_at(Some(&(reference, tip)));
        match open_peer(&self.store, &self.vault, reference, tip, before.as_ref()) {
            Ok(peer) => {
                self.doubts.remove(&reference.device);
                let known = self.peers.insert(reference.device, peer);
                Some(self.news_of(reference.device, known.as_ref()))
            }
            Err(error) => {
                self.doubt(reference.device, &error, now_ms);
                None
            }
        }
    }

    /// Of the listed refs, the other devices' that moved since they were last looked at: enrolled devices
    /// first, then the ones nobody enrolled.
    pub fn news_among(&self, tips: &[(RefName, Oid)]) -> (Tips, Tips) {
        let is_news = |(reference, tip): &&(RefName, Oid)| {
            reference.device != self.vault.device()
                && self.looked_at.get(&reference.device) != Some(tip)
                && self.peers.get(&reference.device).map(|peer| peer.tip) != Some(*tip)
        };
        let members = self.vault.roster.verify().ok();
        let is_member =
            |device| members.as_ref().is_some_and(|members| members.active(device).is_ok());
        let moved = tips.iter().filter(is_news).copied();
        moved.partition(|(reference, _)| is_member(reference.device))
    }

    /// Notes that a tip was fetched, or never can be, so that it is not fetched again.
    pub fn looked_at(&mut self, listed: Option<&(RefName, Oid)>) {
        self.looked_at.extend(listed.map(|(reference, tip)| (reference.device, *tip)));
    }

    /// A device's name as far as it is known.
    pub fn device_name(&self, device: DeviceId) -> String {
        match self.peers.get(&device) {
            _ if device == self.vault.device() => self.vault.name.clone(),
            Some(peer) => peer.head.name.clone(),
            None => device.to_string(),
        }
    }

    /// A device's kind as far as it is known.
    pub fn device_kind(&self, device: DeviceId) -> String {
        match self.peers.get(&device) {
            Some(peer) => peer.head.kind.to_string(),
            None => self.vault.kind.to_string(),
        }
    }

    fn news_of(&self, device: DeviceId, before: Option<&Peer>) -> Vec<SessionId> {
        let Some(peer) = self.peers.get(&device) else { return Vec::new() };
        let is_new = |name: &SessionName, summary: &Summary| {
            before
                .and_then(|peer| peer.sessions.get(name))
                .is_none_or(|old| old.commit != summary.commit)
        };
        let news = peer.sessions.iter().filter(|(name, summary)| is_new(name, summary));
        news.map(|(_, summary)| summary.session.clone()).collect()
    }

    fn doubt(&mut self, device: DeviceId, error: &InboundError, since_ms: i64) {
        let failure = fail::inbound(error);
        tracing::warn!(%device, reason = %failure.message, "another device's ref is not believed");
        let problem = Problem { message: failure.message, hint: failure.data.hint, since_ms };
        self.doubts.entry(device).or_insert(problem);
    }

    /// The newest state of a device that was ever accepted: as listed, or as our own head says.
    fn remembered(&self, device: DeviceId) -> Option<Seen> {
        let listed = self.peers.get(&device).map(Peer::seen);
        let signed = self
            .own
            .head
            .as_ref()
            .and_then(|(head, _)| head.seen.iter().find(|seen| seen.device == device));
        [listed, signed.cloned()]
            .into_iter()
            .flatten()
            .max_by_key(|seen| (seen.epoch, seen.sequence))
    }
}
