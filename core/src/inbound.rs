//! The way back: remote → store → seal → log → merge → restore.
//!
//! [`open_peer`] turns another device's tip, fetched by anyone from anywhere, into sessions we believe:
//! the device must be enrolled, its head signed, unbroken and not older than what was seen before.
//! [`bring_back`] turns one of those sessions into files. Fetching is `remote`'s, deciding when is the
//! caller's.

mod bring;

use std::collections::BTreeMap;

use crate::id::{DeviceId, Digest, Oid, SessionName};
use crate::seal::{
    Card, Head, Roster, SealError, Sealed, Seen, Summary, open_head, open_summary, root_of,
};
use crate::store::{RefName, Store, StoreError, Tip, Where};
use crate::vault::Vault;

pub use bring::{BringError, Bringing, Brought, Target, bring_back};

/// Why another device's ref is not believed. Its last good state stays in use.
#[derive(Debug, thiserror::Error)]
pub enum InboundError {
    /// The tip cannot be read.
    #[error("read the tip of device {device}")]
    Store {
        /// Whose.
        device: DeviceId,
        /// Why.
        source: StoreError,
    },
    /// Something in the tip is damaged or forged.
    #[error("open {what} of device {device}")]
    Seal {
        /// Whose.
        device: DeviceId,
        /// Which part.
        what: &'static str,
        /// Why.
        source: SealError,
    },
    /// A part that every tip has is not there.
    #[error("the tip of device {device} has no {what}")]
    Incomplete {
        /// Whose.
        device: DeviceId,
        /// Which part.
        what: &'static str,
    },
    /// Nobody we trust enrolled this device.
    #[error("device {device} is not one of this vault's")]
    NotEnrolled {
        /// Which.
        device: DeviceId,
    },
    /// The card is of another device than the ref.
    #[error("the ref of device {device} holds the card of {card}")]
    OtherCard {
        /// Whose ref.
        device: DeviceId,
        /// Whose card.
        card: DeviceId,
    },
    /// The summaries are not those that the head was signed over.
    #[error("the sessions listed by device {device} are not those it signed")]
    OtherSessions {
        /// Whose.
        device: DeviceId,
    },
    /// The ref shows an older or another state than was seen before.
    #[error("device {device} went back from head {}.{} to {}.{}", before.0, before.1, now.0, now.1)]
    WentBack {
        /// Whose.
        device: DeviceId,
        /// Epoch and sequence seen before.
        before: (u64, u64),
        /// Epoch and sequence now.
        now: (u64, u64),
    },
}

impl InboundError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotEnrolled { .. } => {
                Some("if it is yours, join it with the recovery phrase: `convosyncctl join --recover`".to_owned())
            }
            Self::WentBack { .. } => Some(
                "somebody put back or replaced that device's ref: what was seen before stays in use; let the device itself sync again"
                    .to_owned(),
            ),
            Self::Store { source, .. } => source.hint(),
            Self::Seal { source, .. } => source.hint(),
            _ => None,
        }
    }
}

/// Another device as its ref says.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its ref.
    pub reference: RefName,
    /// Where the ref stood.
    pub tip: Oid,
    /// Its head.
    pub head: Head,
    /// The head's digest, as sealed.
    pub digest: Digest,
    /// Its sessions.
    pub sessions: BTreeMap<SessionName, Summary>,
    /// Its roster where that goes on from ours: it enrolled devices we have not heard of.
    pub roster: Option<Roster>,
}

impl Peer {
    /// What is remembered of this state, and passed on in our own head.
    pub fn seen(&self) -> Seen {
        Seen {
            device: self.reference.device,
            epoch: self.head.epoch,
            sequence: self.head.sequence,
            digest: self.digest,
        }
    }
}

/// Opens and checks another device's tip from the listings. `before` is the newest state of that device
/// that was ever accepted.
///
/// # Errors
/// [`InboundError`] names the first thing that is not as it must be.
pub fn open_peer(
    store: &Store,
    vault: &Vault,
    reference: RefName,
    tip: Oid,
    before: Option<&Seen>,
) -> Result<Peer, InboundError> {
    let device = reference.device;
    let found = store
        .read_tip(Where::Seen, tip)
        .map_err(|source| InboundError::Store { device, source })?;
    let card = open_card(device, &found)?;
    let roster = newer_roster(vault, device, &found)?;
    check_member(vault, roster.as_ref(), &card)?;
    let (head, digest) = open_its_head(vault, device, &card, &found)?;
    check_order(device, &head, digest, before)?;
    let sessions = open_sessions(vault, device, &head, &found)?;
    Ok(Peer { reference, tip, head, digest, sessions, roster })
}

fn open_card(device: DeviceId, tip: &Tip) -> Result<Card, InboundError> {
    let bytes = tip.card.as_deref().ok_or(InboundError::Incomplete { device, what: "card" })?;
    let card =
        Card::open(bytes).map_err(|source| InboundError::Seal { device, what: "card", source })?;
    if card.device == device {
        Ok(card)
    } else {
        Err(InboundError::OtherCard { device, card: card.device })
    }
}

/// Whether the card is that of a device enrolled in the vault, and not revoked.
fn check_member(vault: &Vault, roster: Option<&Roster>, card: &Card) -> Result<(), InboundError> {
    let device = card.device;
    let members = roster.unwrap_or(&vault.roster).verify();
    let members =
        members.map_err(|source| InboundError::Seal { device, what: "roster", source })?;
    match members.active(device) {
        Ok(member) if member.enrolment.verifying == card.verifying => Ok(()),
        _ => Err(InboundError::NotEnrolled { device }),
    }
}

/// Returns the device's roster if it is a valid continuation of ours. Any other roster is ignored: what
/// counts then is ours.
fn newer_roster(
    vault: &Vault,
    device: DeviceId,
    tip: &Tip,
) -> Result<Option<Roster>, InboundError> {
    let Some(bytes) = tip.roster.clone() else { return Ok(None) };
    if bytes == vault.sealed_roster.as_bytes() {
        return Ok(None);
    }
    let open = |bytes| Roster::open(&vault.keys, &Sealed::from_bytes(bytes)?);
    let roster =
        open(bytes).map_err(|source| InboundError::Seal { device, what: "roster", source })?;
    Ok(Some(roster).filter(|roster| roster.extends(&vault.roster)))
}

fn open_its_head(
    vault: &Vault,
    device: DeviceId,
    card: &Card,
    tip: &Tip,
) -> Result<(Head, Digest), InboundError> {
    let bytes = tip.head.clone().ok_or(InboundError::Incomplete { device, what: "head" })?;
    let open = |bytes| {
        let sealed = Sealed::from_bytes(bytes)?;
        Ok((open_head(&vault.keys, card, &sealed)?, sealed.digest()))
    };
    open(bytes).map_err(|source| InboundError::Seal { device, what: "head", source })
}

/// A device's heads only ever go on: never back, and never sideways at the same place.
fn check_order(
    device: DeviceId,
    head: &Head,
    digest: Digest,
    before: Option<&Seen>,
) -> Result<(), InboundError> {
    let Some(before) = before else { return Ok(()) };
    let (then, now) = ((before.epoch, before.sequence), (head.epoch, head.sequence));
    if now > then || (now == then && digest == before.digest) {
        Ok(())
    } else {
        Err(InboundError::WentBack { device, before: then, now })
    }
}

fn open_sessions(
    vault: &Vault,
    device: DeviceId,
    head: &Head,
    tip: &Tip,
) -> Result<BTreeMap<SessionName, Summary>, InboundError> {
    let digests = tip.sessions.iter().map(|(name, bytes)| (*name, Digest::of(bytes))).collect();
    if root_of(&digests) != head.root {
        return Err(InboundError::OtherSessions { device });
    }
    let open = |(name, bytes): (&SessionName, &Vec<u8>)| {
        let sealed = Sealed::from_bytes(bytes.clone())?;
        Ok((*name, open_summary(&vault.keys, device, *name, &sealed)?))
    };
    let sessions = tip.sessions.iter().map(open).collect::<Result<_, SealError>>();
    sessions.map_err(|source| InboundError::Seal { device, what: "a session's summary", source })
}
