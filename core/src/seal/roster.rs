//! The roster: who belongs to the vault, as a chain of signed entries.
//!
//! Each entry names the digest of the one before it and is signed by a device that was enrolled
//! before it. Entries are kept byte for byte: what a later version writes into one stays.

mod members;

use super::card::{Card, RECIPIENT_MAX};
use super::context::Context;
use super::envelope::{Binding, Sealed, padme};
use super::head::{DeviceKind, NAME_MAX, cut};
use super::identity::{Identity, SIGNATURE_LEN, split_signed};
use super::key::{KeyRing, Purpose};
use super::{SealError, malformed};
use crate::id::{DeviceId, Digest, KeyId, Random, VaultId};
use crate::wire::{Fields, WireError, Writer};

pub use members::{Member, Members, Revocation};

/// The most entries a roster may have: each costs a signature to check.
pub const ENTRIES_MAX: usize = 1024;

/// How many entries begin a roster: the first device and the paper device.
const GENESIS: usize = 2;

const WHAT: &str = "roster";

mod tag {
    /// In the roster: one entry.
    pub(super) const ENTRY: u8 = 1;

    pub(super) const PREVIOUS: u8 = 1;
    pub(super) const ACTOR: u8 = 2;
    pub(super) const AT: u8 = 3;
    pub(super) const ACTION: u8 = 4;
    pub(super) const DEVICE: u8 = 5;
    pub(super) const CARD: u8 = 6;
    pub(super) const RECIPIENT: u8 = 7;
    pub(super) const VERIFYING: u8 = 8;
    pub(super) const KIND: u8 = 9;
    pub(super) const NAME: u8 = 10;
    pub(super) const ACCEPTANCE: u8 = 11;
    pub(super) const SEQUENCE: u8 = 12;
    pub(super) const HEAD: u8 = 13;
    pub(super) const KEY: u8 = 14;
    pub(super) const COUNTER: u8 = 15;
}

const ADD: u8 = 1;
const REVOKE: u8 = 2;
const ROTATE: u8 = 3;

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterAction {
    /// A device belongs to the vault from here on.
    Add(Enrolment),
    /// A device no longer does; what it signed after this head is void.
    Revoke {
        /// Which device.
        device: DeviceId,
        /// The sequence of its last head that counts.
        sequence: u64,
        /// The digest of that head.
        head: Digest,
    },
    /// There is a new vault key.
    Rotate {
        /// Its id.
        key: KeyId,
        /// Its counter.
        counter: u32,
    },
}

/// A device as the roster enrols it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Which device.
    pub device: DeviceId,
    /// The digest of its card.
    pub card: Digest,
    /// What grants for it are encrypted to.
    pub recipient: String,
    /// What its signatures are verified with.
    pub verifying: [u8; 32],
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// What it was called then.
    pub name: Option<String>,
    /// A paper device's own signature, which says that it belongs to this very vault: whoever has
    /// the phrase can see from it that nobody made up the vault around the paper's public keys.
    pub acceptance: Option<[u8; SIGNATURE_LEN]>,
}

impl Enrolment {
    /// Describes the device that showed this card.
    pub fn of(card: &Card, kind: DeviceKind, name: Option<String>) -> Self {
        Self {
            device: card.device,
            card: card.digest(),
            recipient: card.recipient.clone(),
            verifying: card.verifying,
            kind,
            name: name.map(|name| cut(&name, NAME_MAX).to_owned()),
            acceptance: None,
        }
    }

    /// Describes a device whose identity is at hand; a paper device accepts being enrolled by
    /// `actor` after the entry `previous`.
    fn own(
        identity: &Identity,
        vault: VaultId,
        kind: DeviceKind,
        previous: Digest,
        actor: DeviceId,
    ) -> Self {
        let card =
            Card::open(&Card::sign(identity, vault)).expect("a card we signed is one we can read");
        let mut enrolment = Self::of(&card, kind, None);
        if kind == DeviceKind::Paper {
            let context = enrolment.acceptance_context(vault, previous, actor);
            enrolment.acceptance = Some(identity.signature(&context, &[]));
        }
        enrolment
    }

    fn acceptance_context(&self, vault: VaultId, previous: Digest, actor: DeviceId) -> Context {
        Context::new("convosync/1 paper", vault)
            .item(&previous.0)
            .item(&actor.0)
            .item(&self.device.0)
            .item(self.recipient.as_bytes())
            .item(&self.verifying)
    }
}

/// The chain of entries. It was verified when it was opened, and each entry when it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    vault: VaultId,
    /// Each is its actor's signature and then its record.
    entries: Vec<Vec<u8>>,
}

impl Roster {
    /// Starts a vault's roster: the first device enrols itself and the paper device.
    pub fn genesis(
        first: &Identity,
        kind: DeviceKind,
        paper: &Identity,
        vault: VaultId,
        at_ms: i64,
    ) -> Self {
        let mut roster = Self { vault, entries: Vec::new() };
        let rights = "the first device may enrol itself and the paper device";
        let enrolment = Enrolment::own(first, vault, kind, roster.head(), first.device());
        roster.append(first, RosterAction::Add(enrolment), at_ms).expect(rights);
        let enrolment =
            Enrolment::own(paper, vault, DeviceKind::Paper, roster.head(), first.device());
        roster.append(first, RosterAction::Add(enrolment), at_ms).expect(rights);
        roster
    }

    /// Returns whose roster it is.
    pub fn vault(&self) -> VaultId {
        self.vault
    }

    /// Returns the digest of the newest entry.
    pub fn head(&self) -> Digest {
        self.entries.last().map_or(Digest::NONE, |entry| Digest::of(entry))
    }

    /// Checks every entry and returns what they add up to.
    ///
    /// # Errors
    /// The first entry that does not follow, is not signed, or is not allowed.
    pub fn verify(&self) -> Result<Members, SealError> {
        let mut members = Members::new(self.vault);
        for entry in &self.entries {
            members.apply(entry)?;
        }
        if members.is_empty() { Err(SealError::Cut { what: WHAT, size: 0 }) } else { Ok(members) }
    }

    /// Appends an entry, signed by `actor`.
    ///
    /// # Errors
    /// [`SealError::NotAllowed`] and its kin when the entry would not stand; nothing is appended.
    pub fn append(
        &mut self,
        actor: &Identity,
        action: RosterAction,
        at_ms: i64,
    ) -> Result<(), SealError> {
        let mut members =
            if self.entries.is_empty() { Members::new(self.vault) } else { self.verify()? };
        let entry = Entry { previous: self.head(), actor: actor.device(), at_ms, action };
        let bytes = actor.sign(&entry_context(self.vault), &entry.write());
        members.apply(&bytes)?;
        self.entries.push(bytes);
        Ok(())
    }

    /// Seals the roster for the vault.
    ///
    /// # Errors
    /// [`SealError::TooLarge`] never occurs within [`ENTRIES_MAX`] entries of usual devices.
    pub fn seal(&self, keys: &KeyRing, random: &mut dyn Random) -> Result<Sealed, SealError> {
        let mut record = Writer::new();
        for entry in &self.entries {
            record.bytes(tag::ENTRY, entry);
        }
        binding(self.vault).seal_record(keys, &record.finish(), padme, random)
    }

    /// Opens and verifies a sealed roster.
    ///
    /// # Errors
    /// When it was damaged, is another vault's, or does not verify.
    pub fn open(keys: &KeyRing, sealed: &Sealed) -> Result<Self, SealError> {
        let record = binding(keys.vault()).open_record(keys, sealed)?;
        let fields = Fields::parse(&record).map_err(malformed(WHAT))?;
        let entries = fields.all(tag::ENTRY).map(<[u8]>::to_vec).collect();
        let roster = Self { vault: keys.vault(), entries };
        roster.verify()?;
        Ok(roster)
    }

    /// Returns how many entries there are.
    #[expect(clippy::len_without_is_empty, reason = "a roster begins with two entries")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns what this roster adds up to together with another one of the same vault: two devices that
    /// joined before either saw the other both went on from the same entries, each its own way. An entry
    /// that only the other one has counts if it would be allowed here: its signer must belong to the vault
    /// as it is known by then, so nobody revoked here comes back, or brings others in, by way of a roster
    /// that does not know of it.
    ///
    /// # Errors
    /// The first entry of ours that does not stand, as [`Roster::verify`].
    pub fn verify_with(&self, other: &Self) -> Result<Members, SealError> {
        let mut members = self.verify()?;
        let ours = self.entries.iter().zip(&other.entries);
        let common = ours.take_while(|(ours, theirs)| ours == theirs).count();
        // Whose first device or paper are others is another vault under our name.
        if common >= GENESIS {
            for entry in &other.entries[common..] {
                // One that is not allowed here does not count, and keeps none after it from being heard.
                members.apply_beside(entry).ok();
            }
        }
        Ok(members)
    }
}

fn binding(vault: VaultId) -> Binding<'static> {
    Binding { purpose: Purpose::Roster, context: Context::new("convosync/1 roster", vault) }
}

fn entry_context(vault: VaultId) -> Context {
    Context::new("convosync/1 roster entry", vault)
}

/// One entry as it reads.
struct Entry {
    previous: Digest,
    actor: DeviceId,
    at_ms: i64,
    action: RosterAction,
}

impl Entry {
    fn write(&self) -> Vec<u8> {
        let mut record = Writer::new();
        record
            .optional(tag::PREVIOUS, (self.previous != Digest::NONE).then_some(&self.previous.0))
            .bytes(tag::ACTOR, &self.actor.0)
            .time(tag::AT, Some(self.at_ms));
        match &self.action {
            RosterAction::Add(enrolment) => write_enrolment(&mut record, enrolment),
            RosterAction::Revoke { device, sequence, head } => {
                record
                    .number(tag::ACTION, u64::from(REVOKE))
                    .bytes(tag::DEVICE, &device.0)
                    .number(tag::SEQUENCE, *sequence)
                    .bytes(tag::HEAD, &head.0);
            }
            RosterAction::Rotate { key, counter } => {
                record
                    .number(tag::ACTION, u64::from(ROTATE))
                    .bytes(tag::KEY, &key.0)
                    .number(tag::COUNTER, u64::from(*counter));
            }
        }
        record.finish()
    }

    fn read(record: &[u8]) -> Result<Self, WireError> {
        let fields = Fields::parse(record)?;
        let action = match fields.number(tag::ACTION)? {
            ADD => RosterAction::Add(read_enrolment(&fields)?),
            REVOKE => RosterAction::Revoke {
                device: DeviceId(fields.required(tag::DEVICE)?),
                sequence: fields.number(tag::SEQUENCE)?,
                head: Digest(fields.required(tag::HEAD)?),
            },
            ROTATE => RosterAction::Rotate {
                key: KeyId(fields.required(tag::KEY)?),
                counter: fields.number(tag::COUNTER)?,
            },
            _ => return Err(WireError::Meaningless(tag::ACTION)),
        };
        Ok(Self {
            previous: fields.array(tag::PREVIOUS)?.map_or(Digest::NONE, Digest),
            actor: DeviceId(fields.required(tag::ACTOR)?),
            at_ms: fields.time(tag::AT)?.ok_or(WireError::Missing(tag::AT))?,
            action,
        })
    }
}

fn write_enrolment(record: &mut Writer, enrolment: &Enrolment) {
    record
        .number(tag::ACTION, u64::from(ADD))
        .bytes(tag::DEVICE, &enrolment.device.0)
        .bytes(tag::CARD, &enrolment.card.0)
        .text(tag::RECIPIENT, &enrolment.recipient)
        .bytes(tag::VERIFYING, &enrolment.verifying)
        .number(tag::KIND, u64::from(enrolment.kind.byte()))
        .optional(tag::NAME, enrolment.name.as_ref().map(String::as_bytes))
        .optional(tag::ACCEPTANCE, enrolment.acceptance.as_ref().map(|signature| &signature[..]));
}

fn read_enrolment(fields: &Fields<'_>) -> Result<Enrolment, WireError> {
    Ok(Enrolment {
        device: DeviceId(fields.required(tag::DEVICE)?),
        card: Digest(fields.required(tag::CARD)?),
        recipient: fields
            .text(tag::RECIPIENT, RECIPIENT_MAX)?
            .ok_or(WireError::Missing(tag::RECIPIENT))?,
        verifying: fields.required(tag::VERIFYING)?,
        kind: DeviceKind::read(fields, tag::KIND)?,
        name: fields.text(tag::NAME, NAME_MAX)?,
        acceptance: fields.array(tag::ACCEPTANCE)?,
    })
}

/// Splits an entry's bytes into signature, record and what the record says.
fn read_entry(bytes: &[u8]) -> Result<(&[u8; SIGNATURE_LEN], &[u8], Entry), SealError> {
    let (signature, record) = split_signed(WHAT, bytes)?;
    Ok((signature, record, Entry::read(record).map_err(malformed(WHAT))?))
}

#[cfg(test)]
mod tests;
