//! The way back: remote → store → seal → log → merge → restore.
//!
//! [`open_peer`] turns another device's tip, fetched by anyone from anywhere, into sessions we believe:
//! the device must be enrolled, its head signed, unbroken and not older than what was seen before.
//! [`bring_back`] turns one of those sessions into files. Fetching is `remote`'s, deciding when is the
//! caller's.

mod bring;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{DeviceId, Digest, Oid, SessionName, StoreId};
use crate::seal::{
    Card, Head, Roster, SealError, Sealed, Seen, Summary, grants_of, open_head, open_summary,
    root_of,
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
    /// The roster or the grants are not those that the head was signed over.
    #[error("the {what} shown by device {device} are not those it signed")]
    OtherMembers {
        /// Whose.
        device: DeviceId,
        /// Which part.
        what: &'static str,
    },
    /// The head was signed for another store: somebody copied it from another remote.
    #[error("the head of device {device} belongs to another remote")]
    OtherStore {
        /// Whose.
        device: DeviceId,
    },
    /// The head does not go on from the one before it: two of them were signed for one place.
    #[error("device {device} went on from another head {}.{} than was seen", at.0, at.1)]
    Forked {
        /// Whose.
        device: DeviceId,
        /// Epoch and sequence of the head that was seen.
        at: (u64, u64),
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
            Self::OtherStore { .. } => Some(
                "somebody put that device's ref of another remote here: what was seen before stays in use"
                    .to_owned(),
            ),
            Self::Forked { .. } => Some(
                "is that device's disk a copy of another's, or was it restored from a backup? what was seen before stays in use"
                    .to_owned(),
            ),
            Self::WentBack { .. } => Some(
                "somebody put back or replaced that device's ref: what was seen before stays in use; let the device itself sync again"
                    .to_owned(),
            ),
            // Damage is mended where the state comes from.
            Self::Store { source: StoreError::Missing { .. }, .. }
            | Self::Seal { source: SealError::Damaged { .. } | SealError::Cut { .. }, .. } => None,
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
    pub sessions: BTreeMap<SessionName, Arc<Summary>>,
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

/// What is known of a device before its tip is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// The newest state of it that was ever accepted, here or by another device of the vault.
    pub seen: Option<Seen>,
    /// What it calls the store its ref lies in.
    pub store: Option<StoreId>,
}

/// Opens and checks another device's tip from the listings.
///
/// # Errors
/// [`InboundError`] names the first thing that is not as it must be.
pub fn open_peer(
    store: &Store,
    vault: &Vault,
    reference: RefName,
    tip: Oid,
    known: &Known,
) -> Result<Peer, InboundError> {
    let device = reference.device;
    let found = store
        .read_tip(Where::Seen, tip)
        .map_err(|source| InboundError::Store { device, source })?;
    let card = open_card(device, &found)?;
    let shown = open_roster(vault, device, &found)?;
    check_member(vault, &shown, &card)?;
    let (head, digest) = open_its_head(vault, device, &card, &found)?;
    check_signed(device, &head, &shown, &found)?;
    if known.store.is_some_and(|store| store != head.store) {
        return Err(InboundError::OtherStore { device });
    }
    check_order(device, &head, digest, known.seen.as_ref())?;
    let sessions = open_sessions(vault, device, &head, &found)?;
    Ok(Peer { reference, tip, head, digest, sessions })
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

/// Whether the card is that of a device enrolled in the vault, and not revoked, as far as we know or as the
/// roster beside the card proves.
fn check_member(vault: &Vault, shown: &Roster, card: &Card) -> Result<(), InboundError> {
    let device = card.device;
    let members = vault.roster.verify_with(shown);
    let members =
        members.map_err(|source| InboundError::Seal { device, what: "roster", source })?;
    match members.active(device) {
        Ok(member) if member.enrolment.verifying == card.verifying => Ok(()),
        _ => Err(InboundError::NotEnrolled { device }),
    }
}

fn open_roster(vault: &Vault, device: DeviceId, tip: &Tip) -> Result<Roster, InboundError> {
    let bytes = tip.roster.clone().ok_or(InboundError::Incomplete { device, what: "roster" })?;
    if bytes == vault.sealed_roster.as_bytes() {
        return Ok(vault.roster.clone());
    }
    let open = |bytes| Roster::open(&vault.keys, &Sealed::from_bytes(bytes)?);
    open(bytes).map_err(|source| InboundError::Seal { device, what: "roster", source })
}

/// The head is signed over everything that lies beside it.
fn check_signed(
    device: DeviceId,
    head: &Head,
    roster: &Roster,
    tip: &Tip,
) -> Result<(), InboundError> {
    if head.roster != roster.head() {
        return Err(InboundError::OtherMembers { device, what: "members" });
    }
    if head.grants != grants_of(&tip.grants) {
        return Err(InboundError::OtherMembers { device, what: "grants" });
    }
    Ok(())
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
    if now == (then.0, then.1.saturating_add(1)) && head.previous != before.digest {
        return Err(InboundError::Forked { device, at: then });
    }
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
) -> Result<BTreeMap<SessionName, Arc<Summary>>, InboundError> {
    let digests = tip.sessions.iter().map(|(name, bytes)| (*name, Digest::of(bytes))).collect();
    if root_of(&digests) != head.root {
        return Err(InboundError::OtherSessions { device });
    }
    let open = |(name, bytes): (&SessionName, &Vec<u8>)| {
        let sealed = Sealed::from_bytes(bytes.clone())?;
        Ok((*name, Arc::new(open_summary(&vault.keys, device, *name, &sealed)?)))
    };
    let sessions = tip.sessions.iter().map(open).collect::<Result<_, SealError>>();
    sessions.map_err(|source| InboundError::Seal { device, what: "a session's summary", source })
}
