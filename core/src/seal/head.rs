//! Heads: what one device's tip holds, and what it has seen of the others.
//!
//! A head is sealed for the vault and signed by its device inside. Vault and device are bound by the
//! seal and the signature and so need no bytes of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::card::Card;
use super::context::Context;
use super::envelope::{Binding, Sealed, padme};
use super::identity::{Identity, split_signed, verify};
use super::key::{KeyRing, Purpose};
use super::{SealError, malformed};
use crate::id::{DeviceId, Digest, LogName, Random, SessionId, SessionName, StoreId, VaultId};
use crate::wire::{Fields, WireError, Writer, text};

/// The longest name of a device in bytes.
pub const NAME_MAX: usize = 64;

const WHAT: &str = "head";

mod tag {
    pub(super) const STORE: u8 = 1;
    pub(super) const NAME: u8 = 2;
    pub(super) const KIND: u8 = 3;
    pub(super) const EPOCH: u8 = 4;
    pub(super) const SEQUENCE: u8 = 5;
    pub(super) const PREVIOUS: u8 = 6;
    pub(super) const ROOT: u8 = 7;
    pub(super) const ROSTER: u8 = 8;
    pub(super) const GRANTS: u8 = 9;
    pub(super) const AT: u8 = 10;
    pub(super) const TOMBSTONE: u8 = 11;
    pub(super) const SEEN: u8 = 12;

    pub(super) mod seen {
        pub(in super::super) const DEVICE: u8 = 1;
        pub(in super::super) const EPOCH: u8 = 2;
        pub(in super::super) const SEQUENCE: u8 = 3;
        pub(in super::super) const DIGEST: u8 = 4;
    }

    pub(super) mod tombstone {
        pub(in super::super) const SESSION: u8 = 1;
        pub(in super::super) const AT: u8 = 2;
        pub(in super::super) const LOG: u8 = 3;
    }

    pub(super) mod log {
        pub(in super::super) const NAME: u8 = 1;
        pub(in super::super) const LENGTH: u8 = 2;
        pub(in super::super) const DIGEST: u8 = 3;
    }
}

/// What kind of thing a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// Stands on or under a desk.
    Desktop,
    /// Is opened and closed.
    Laptop,
    /// Fits in a pocket.
    Phone,
    /// Does not.
    Tablet,
    /// Has nobody in front of it.
    Server,
    /// The recovery phrase.
    Paper,
}

impl DeviceKind {
    /// Every kind, in the order of their bytes from 1.
    pub const ALL: [Self; 6] =
        [Self::Desktop, Self::Laptop, Self::Phone, Self::Tablet, Self::Server, Self::Paper];

    /// Returns the kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Laptop => "laptop",
            Self::Phone => "phone",
            Self::Tablet => "tablet",
            Self::Server => "server",
            Self::Paper => "paper",
        }
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Desktop => 1,
            Self::Laptop => 2,
            Self::Phone => 3,
            Self::Tablet => 4,
            Self::Server => 5,
            Self::Paper => 6,
        }
    }

    pub(crate) fn read(fields: &Fields<'_>, tag: u8) -> Result<Self, WireError> {
        let byte = fields.number::<u8>(tag)?;
        Self::ALL.into_iter().find(|kind| kind.byte() == byte).ok_or(WireError::Meaningless(tag))
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no kind of device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of device: use desktop, laptop, phone, tablet or server")]
pub struct UnknownKind(String);

impl FromStr for DeviceKind {
    type Err = UnknownKind;

    /// Reads the kinds a person may choose; paper is none of them.
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let chosen = |kind: &Self| *kind != Self::Paper && kind.as_str() == text;
        Self::ALL
            .into_iter()
            .find(chosen)
            .ok_or_else(|| UnknownKind(text.chars().take(20).collect()))
    }
}

/// What a device's tip holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The vault. Bound, not stored.
    pub vault: VaultId,
    /// The store the tip lies in.
    pub store: StoreId,
    /// The device that wrote it. Bound, not stored.
    pub device: DeviceId,
    /// The device's name.
    pub name: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// Grows when the device begins anew, from a backup for instance.
    pub epoch: u64,
    /// Grows by one with every tip.
    pub sequence: u64,
    /// The digest of the sealed head before; [`Digest::NONE`] for the first.
    pub previous: Digest,
    /// [`root_of`] the tip's summaries.
    pub root: Digest,
    /// The roster's newest entry.
    pub roster: Digest,
    /// [`grants_of`] the tip's grants.
    pub grants: Digest,
    /// Sessions the user deleted.
    pub tombstones: Vec<Tombstone>,
    /// The newest head the device has seen of each other one.
    pub seen: Vec<Seen>,
    /// When it was written, in Unix milliseconds.
    pub at_ms: i64,
}

/// A head somebody has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whose.
    pub device: DeviceId,
    /// Its epoch.
    pub epoch: u64,
    /// Its sequence.
    pub sequence: u64,
    /// The digest of the sealed head.
    pub digest: Digest,
}

/// A session the user deleted, as it was then: what is appended later makes it live again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Which session.
    pub session: SessionId,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// Its logs: name, length in raw bytes, digest of the last chunk.
    pub logs: Vec<(LogName, u64, Digest)>,
}

/// Computes the one digest of all summaries of a tip: of each session's name and sealed summary.
pub fn root_of(summaries: &BTreeMap<SessionName, Digest>) -> Digest {
    let start = Sha256::new_with_prefix(b"convosync/1 root");
    let hash = summaries
        .iter()
        .fold(start, |hash, (name, digest)| hash.chain_update(name.0).chain_update(digest.0));
    Digest(hash.finalize().into())
}

/// Computes the one digest of all grants of a tip: of each device's id and its grant.
pub fn grants_of(grants: &BTreeMap<DeviceId, Vec<u8>>) -> Digest {
    let start = Sha256::new_with_prefix(b"convosync/1 grants");
    let hash = grants.iter().fold(start, |hash, (device, grant)| {
        hash.chain_update(device.0).chain_update(Digest::of(grant).0)
    });
    Digest(hash.finalize().into())
}

/// Signs a head and seals it for the vault.
///
/// # Errors
/// [`SealError::OtherVault`], [`SealError::OtherDevice`] when the head is not this device's own;
/// [`SealError::TooLarge`] with too many tombstones.
pub fn seal_head(
    keys: &KeyRing,
    identity: &Identity,
    head: &Head,
    random: &mut dyn Random,
) -> Result<Sealed, SealError> {
    if head.vault != keys.vault() {
        return Err(SealError::OtherVault {
            what: WHAT,
            found: head.vault,
            expected: keys.vault(),
        });
    }
    if head.device != identity.device() {
        return Err(SealError::OtherDevice {
            what: WHAT,
            found: head.device,
            expected: identity.device(),
        });
    }
    let signed = identity.sign(&context(head.vault, head.device), &write(head));
    binding(head.vault, head.device).seal_record(keys, &signed, padme, random)
}

/// Opens the head of the device whose card this is.
///
/// # Errors
/// When it was damaged, belongs to another device or vault, or was not signed by that device.
pub fn open_head(keys: &KeyRing, card: &Card, sealed: &Sealed) -> Result<Head, SealError> {
    if card.vault != keys.vault() {
        return Err(SealError::OtherVault {
            what: WHAT,
            found: card.vault,
            expected: keys.vault(),
        });
    }
    let payload = binding(card.vault, card.device).open_record(keys, sealed)?;
    let (signature, record) = split_signed(WHAT, &payload)?;
    verify(WHAT, &card.verifying, &context(card.vault, card.device), record, signature)?;
    read(card, record).map_err(malformed(WHAT))
}

pub(super) fn context(vault: VaultId, device: DeviceId) -> Context {
    Context::new("convosync/1 head", vault).item(&device.0)
}

pub(super) fn binding(vault: VaultId, device: DeviceId) -> Binding<'static> {
    Binding { purpose: Purpose::Head, context: context(vault, device) }
}

pub(super) fn write(head: &Head) -> Vec<u8> {
    let mut record = Writer::new();
    record
        .bytes(tag::STORE, &head.store.0)
        .text(tag::NAME, cut(&head.name, NAME_MAX))
        .number(tag::KIND, u64::from(head.kind.byte()))
        .number(tag::EPOCH, head.epoch)
        .number(tag::SEQUENCE, head.sequence)
        .bytes(tag::PREVIOUS, &head.previous.0)
        .bytes(tag::ROOT, &head.root.0)
        .bytes(tag::ROSTER, &head.roster.0)
        .bytes(tag::GRANTS, &head.grants.0)
        .time(tag::AT, Some(head.at_ms));
    for tombstone in &head.tombstones {
        record.bytes(tag::TOMBSTONE, &write_tombstone(tombstone));
    }
    write_seen(&mut record, tag::SEEN, &head.seen);
    record.finish()
}

fn read(card: &Card, record: &[u8]) -> Result<Head, WireError> {
    let fields = Fields::parse(record)?;
    Ok(Head {
        vault: card.vault,
        store: StoreId(fields.required(tag::STORE)?),
        device: card.device,
        name: fields.text(tag::NAME, NAME_MAX)?.unwrap_or_default(),
        kind: DeviceKind::read(&fields, tag::KIND)?,
        epoch: fields.number(tag::EPOCH)?,
        sequence: fields.number(tag::SEQUENCE)?,
        previous: Digest(fields.required(tag::PREVIOUS)?),
        root: Digest(fields.required(tag::ROOT)?),
        roster: Digest(fields.required(tag::ROSTER)?),
        grants: Digest(fields.required(tag::GRANTS)?),
        tombstones: fields.all(tag::TOMBSTONE).map(read_tombstone).collect::<Result<_, _>>()?,
        seen: read_seen(&fields, tag::SEEN)?,
        at_ms: fields.time(tag::AT)?.ok_or(WireError::Missing(tag::AT))?,
    })
}

/// Writes a vector of heads seen.
pub(super) fn write_seen(record: &mut Writer, tag: u8, seen: &[Seen]) {
    for one in seen {
        let mut nested = Writer::new();
        nested
            .bytes(tag::seen::DEVICE, &one.device.0)
            .number(tag::seen::EPOCH, one.epoch)
            .number(tag::seen::SEQUENCE, one.sequence)
            .bytes(tag::seen::DIGEST, &one.digest.0);
        record.bytes(tag, &nested.finish());
    }
}

/// Reads what [`write_seen`] wrote.
pub(super) fn read_seen(fields: &Fields<'_>, tag: u8) -> Result<Vec<Seen>, WireError> {
    let read = |bytes| {
        let fields = Fields::parse(bytes)?;
        Ok(Seen {
            device: DeviceId(fields.required(tag::seen::DEVICE)?),
            epoch: fields.number(tag::seen::EPOCH)?,
            sequence: fields.number(tag::seen::SEQUENCE)?,
            digest: Digest(fields.required(tag::seen::DIGEST)?),
        })
    };
    fields.all(tag).map(read).collect()
}

fn write_tombstone(tombstone: &Tombstone) -> Vec<u8> {
    let mut record = Writer::new();
    record
        .text(tag::tombstone::SESSION, tombstone.session.as_str())
        .time(tag::tombstone::AT, Some(tombstone.at_ms));
    for (name, length, digest) in &tombstone.logs {
        let mut log = Writer::new();
        log.bytes(tag::log::NAME, &name.0)
            .number(tag::log::LENGTH, *length)
            .bytes(tag::log::DIGEST, &digest.0);
        record.bytes(tag::tombstone::LOG, &log.finish());
    }
    record.finish()
}

fn read_tombstone(bytes: &[u8]) -> Result<Tombstone, WireError> {
    let fields = Fields::parse(bytes)?;
    let read_log = |bytes| {
        let log = Fields::parse(bytes)?;
        let name = LogName(log.required(tag::log::NAME)?);
        Ok((name, log.number(tag::log::LENGTH)?, Digest(log.required(tag::log::DIGEST)?)))
    };
    let session = fields
        .bytes(tag::tombstone::SESSION)?
        .ok_or(WireError::Missing(tag::tombstone::SESSION))?;
    Ok(Tombstone {
        session: read_session(tag::tombstone::SESSION, session)?,
        at_ms: fields.time(tag::tombstone::AT)?.ok_or(WireError::Missing(tag::tombstone::AT))?,
        logs: fields.all(tag::tombstone::LOG).map(read_log).collect::<Result<_, WireError>>()?,
    })
}

/// Reads a session's id, which must be one that can name a file.
pub(super) fn read_session(tag: u8, bytes: &[u8]) -> Result<SessionId, WireError> {
    text(tag, bytes, SessionId::LEN_MAX)?.parse().map_err(|_| WireError::Meaningless(tag))
}

/// Returns as much of a text as fits in `max` bytes without cutting a character.
pub(super) fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests;
