//! What a store's desk knows of other devices: states that were listed and believed, those that were not,
//! and what they are called.

use convosync_core::id::{DeviceId, Oid, SessionId, SessionName};
use convosync_core::inbound::{InboundError, Known, Peer, open_peer};
use convosync_core::protocol::{Failure, Problem};
use convosync_core::seal::{Seen, Summary};
use convosync_core::store::RefName;

use super::Desk;
use crate::fail;

/// What is to be done about a state of another device that cannot be used.
const STAYS: &str = "what was seen of that device before stays in use, and its next save brings a new state; `convosyncctl save` there makes one";

/// Refs and where they stand.
type Tips = Vec<(RefName, Oid)>;

impl Desk {
    /// Takes up other devices' states as they were last believed. What a ref shows since then waits for the
    /// next listing.
    pub(super) fn remember_peers(&mut self, now_ms: i64) {
        let accepted = self.store.accepted().unwrap_or_else(|error| {
            self.unlisted = Some(fail::problem_of(&fail::store(&error), now_ms));
            Vec::new()
        });
        for (reference, tip) in accepted {
            let device = reference.device;
            if reference.vault != self.vault.id() || device == self.vault.device() {
                continue;
            }
            let seen = self.own.head.as_ref().and_then(|(head, _)| seen_in(&head.seen, device));
            self.look(reference, tip, &Known { seen, store: None }, now_ms);
        }
    }

    /// Takes up what was fetched of listed tips, and returns the sessions that are news, each with the name
    /// of its device, and whether it is to be told quietly. What cannot be read or is not believed is noted, and does not stop the others.
    pub fn take_peers(
        &mut self,
        listed: &[(RefName, Oid)],
        now_ms: i64,
    ) -> Vec<(String, SessionId, bool)> {
        let mut arrived = Vec::new();
        for (reference, tip) in listed {
            match self.store.seen_tip(reference) {
                Ok(fetched) if fetched == Some(*tip) => {}
                // Not fetched, or moved since: the next listing tells.
                Ok(_) => continue,
                Err(error) => {
                    self.doubt(reference, &fail::store(&error), now_ms);
                    continue;
                }
            }
            let Some(sessions) = self.take_peer(*reference, *tip, now_ms) else { continue };
            let device = self.device_name(reference.device);
            let told = |session| {
                let is_quiet = self.is_quiet(reference.device, &session);
                (device.clone(), session, is_quiet)
            };
            arrived.extend(sessions.into_iter().map(told));
        }
        arrived
    }

    /// Opens a tip of another device, and returns its sessions that are news. A state that is not believed is
    /// noted, and the last good one stays: then nothing is returned.
    pub fn take_peer(
        &mut self,
        reference: RefName,
        tip: Oid,
        now_ms: i64,
    ) -> Option<Vec<SessionId>> {
        let device = reference.device;
        let store = self.peers.get(&device).map(|peer| peer.head.store);
        let known = Known { seen: self.remembered(device), store };
        self.looked_at(Some(&(reference, tip)));
        self.look(reference, tip, &known, now_ms)
    }

    fn look(
        &mut self,
        reference: RefName,
        tip: Oid,
        known: &Known,
        now_ms: i64,
    ) -> Option<Vec<SessionId>> {
        match open_peer(&self.store, &self.vault, reference, tip, known) {
            Ok(peer) => {
                self.doubts.remove(&reference.device);
                if let Err(error) = self.store.accept(&reference, tip) {
                    self.doubt(&reference, &fail::store(&error), now_ms);
                }
                let known = self.peers.insert(reference.device, peer);
                Some(self.news_of(reference.device, known.as_ref()))
            }
            Err(InboundError::WentBack { .. }) if self.is_left_over(&reference) => None,
            Err(error) => {
                self.doubt(&reference, &fail::inbound(&error), now_ms);
                None
            }
        }
    }

    /// Of the listed refs, the other devices' that moved since they were last looked at: first those of the
    /// vault's devices, as our roster says or a state of theirs proved before, then the unknown ones.
    pub fn news_among(&mut self, tips: &[(RefName, Oid)]) -> (Tips, Tips) {
        self.shown = tips.to_vec();
        self.settle_doubts();
        let is_news = |(reference, tip): &&(RefName, Oid)| {
            reference.device != self.vault.device()
                && self.looked_at.get(reference) != Some(tip)
                && self.peers.get(&reference.device).map(|peer| peer.tip) != Some(*tip)
        };
        let members = self.vault.roster.verify().ok();
        let is_member = |device| {
            members.as_ref().is_some_and(|members| members.active(device).is_ok())
                || self.peers.contains_key(&device)
        };
        let moved = tips.iter().filter(is_news).copied();
        moved.partition(|(reference, _)| is_member(reference.device))
    }

    /// Notes that a tip was fetched, or never can be, so that it is not fetched again.
    pub fn looked_at(&mut self, listed: Option<&(RefName, Oid)>) {
        self.looked_at.extend(listed.copied());
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

    /// Whether a device's ref stands beside a newer one of it under another name, which is believed: its host
    /// began to take other names, and kept the old ref.
    fn is_left_over(&self, reference: &RefName) -> bool {
        self.peers.get(&reference.device).is_some_and(|peer| {
            peer.reference != *reference && self.shown.contains(&(peer.reference, peer.tip))
        })
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

    /// Whether a device wants no notification of its newest save of a session.
    fn is_quiet(&self, device: DeviceId, session: &SessionId) -> bool {
        let sessions = self.peers.get(&device).map(|peer| &peer.sessions);
        let summary = sessions.and_then(|all| all.get(&self.vault.keys.session_name(session)));
        summary.is_some_and(|summary| summary.quiet)
    }

    /// Notes why a device's ref is not taken in: which, where, and what helps.
    pub fn doubt(&mut self, reference: &RefName, failure: &Failure, now_ms: i64) {
        let device = reference.device;
        tracing::warn!(%device, reason = %failure.message, "another device's ref is not believed");
        let name = self.device_name(device);
        let message = format!("{name}: {} (`{reference}`)", failure.message);
        let hint = failure.data.hint.clone().or_else(|| Some(STAYS.to_owned()));
        let before = self.doubts.get(&device);
        let since_ms = before.map_or(now_ms, |before| before.since_ms);
        self.doubts.insert(device, Problem { message, hint, since_ms });
    }

    /// Forgets doubts of devices whose refs are gone, or stand where they were last believed; what was doubted
    /// is looked at again should it come back.
    fn settle_doubts(&mut self) {
        let (shown, peers) = (&self.shown, &self.peers);
        self.doubts.retain(|device, _| {
            let believed = peers.get(device).map(|peer| peer.tip);
            let mut theirs = shown.iter().filter(|(reference, _)| reference.device == *device);
            theirs.any(|(_, tip)| believed != Some(*tip))
        });
        let doubts = &self.doubts;
        self.looked_at.retain(|reference, tip| {
            shown.contains(&(*reference, *tip)) || doubts.contains_key(&reference.device)
        });
    }

    /// The newest state of a device that anybody ever accepted: as listed, as our own head says, or as the
    /// heads of the vault's other devices say.
    fn remembered(&self, device: DeviceId) -> Option<Seen> {
        let listed = self.peers.get(&device).map(Peer::seen);
        let own = self.own.head.as_ref().map(|(head, _)| head);
        let heads = own.into_iter().chain(self.peers.values().map(|peer| &peer.head));
        let signed = heads.filter_map(|head| seen_in(&head.seen, device));
        listed.into_iter().chain(signed).max_by_key(|seen| (seen.epoch, seen.sequence))
    }

    /// Whether a tip on the remote is an older one of ours.
    pub fn went_on_from(&self, tip: Oid) -> bool {
        self.own.went_on_from(&self.store, &self.vault, tip)
    }
}

fn seen_in(seen: &[Seen], device: DeviceId) -> Option<Seen> {
    seen.iter().find(|seen| seen.device == device).copied()
}
