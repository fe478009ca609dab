//! What a roster's entries add up to, and the rules each entry must keep.

use std::collections::BTreeMap;

use super::{
    ENTRIES_MAX, Enrolment, Entry, GENESIS, RosterAction, WHAT, entry_context, read_entry,
};
use crate::id::{DeviceId, Digest, KeyId, VaultId};
use crate::seal::SealError;
use crate::seal::head::DeviceKind;
use crate::seal::identity::{SIGNATURE_LEN, verify};

/// A device of the vault, present or past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it enrolled with.
    pub enrolment: Enrolment,
    /// Who enrolled it.
    pub enrolled_by: DeviceId,
    /// When, in Unix milliseconds.
    pub enrolled_ms: i64,
    /// Whether and where it ended.
    pub revoked: Option<Revocation>,
}

/// Where a device's membership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Who revoked it.
    pub by: DeviceId,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// The sequence of its last head that counts.
    pub sequence: u64,
    /// The digest of that head.
    pub head: Digest,
}

/// Everything a roster says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    vault: VaultId,
    devices: BTreeMap<DeviceId, Member>,
    /// Keys from rotations, in the order of the entries. The first key of a vault is not among them.
    keys: Vec<(u32, KeyId)>,
    /// The digest of every entry.
    entries: Vec<Digest>,
}

impl Members {
    pub(super) fn new(vault: VaultId) -> Self {
        Self { vault, devices: BTreeMap::new(), keys: Vec::new(), entries: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns whose members these are.
    pub fn vault(&self) -> VaultId {
        self.vault
    }

    /// Returns every device that was ever enrolled.
    pub fn iter(&self) -> impl Iterator<Item = (DeviceId, &Member)> {
        self.devices.iter().map(|(&device, member)| (device, member))
    }

    /// Returns a device that was ever enrolled.
    pub fn get(&self, device: DeviceId) -> Option<&Member> {
        self.devices.get(&device)
    }

    /// Returns a device that belongs to the vault now.
    ///
    /// # Errors
    /// [`SealError::NotEnrolled`], [`SealError::Revoked`].
    pub fn active(&self, device: DeviceId) -> Result<&Member, SealError> {
        let member = self.get(device).ok_or(SealError::NotEnrolled(device))?;
        if member.revoked.is_some() { Err(SealError::Revoked(device)) } else { Ok(member) }
    }

    /// Returns the keys that rotations brought: counter and id.
    pub fn rotated_keys(&self) -> &[(u32, KeyId)] {
        &self.keys
    }

    /// Returns whether an entry with this digest is part of the chain.
    pub fn has_entry(&self, digest: Digest) -> bool {
        self.entries.contains(&digest)
    }

    /// Takes in the next entry, if it follows the last one, is signed and is allowed.
    pub(super) fn apply(&mut self, bytes: &[u8]) -> Result<(), SealError> {
        let index = self.entries.len();
        let (signature, record, entry) = read_entry(bytes)?;
        if entry.previous != self.entries.last().copied().unwrap_or(Digest::NONE) {
            return Err(SealError::BrokenChain { entry: index });
        }
        self.take(Digest::of(bytes), signature, record, &entry)
    }

    /// Takes in an entry that follows another one than our last, if it is signed and would be allowed here:
    /// the roster it is from went its own way.
    pub(super) fn apply_beside(&mut self, bytes: &[u8]) -> Result<(), SealError> {
        let (signature, record, entry) = read_entry(bytes)?;
        self.take(Digest::of(bytes), signature, record, &entry)
    }

    fn take(
        &mut self,
        digest: Digest,
        signature: &[u8; SIGNATURE_LEN],
        record: &[u8],
        entry: &Entry,
    ) -> Result<(), SealError> {
        let index = self.entries.len();
        if index == ENTRIES_MAX {
            return Err(SealError::TooLarge {
                what: WHAT,
                size: index as u64 + 1,
                max: ENTRIES_MAX as u64,
            });
        }
        let signer = self.signer(entry)?;
        verify(WHAT, &signer.verifying, &entry_context(self.vault), record, signature)?;
        self.check(entry).map_err(|rule| SealError::NotAllowed { entry: index, rule })?;
        self.check_acceptance(entry)?;
        self.entries.push(digest);
        self.carry_out(entry);
        Ok(())
    }

    /// Returns the keys of the device that must have signed: the very first entry's own, else a
    /// device that belongs to the vault.
    fn signer<'a>(&'a self, entry: &'a Entry) -> Result<&'a Enrolment, SealError> {
        match &entry.action {
            RosterAction::Add(first) if self.entries.is_empty() && first.device == entry.actor => {
                Ok(first)
            }
            _ => self.active(entry.actor).map(|member| &member.enrolment),
        }
    }

    fn check(&self, entry: &Entry) -> Result<(), &'static str> {
        let index = self.entries.len();
        let by_paper = self.is_paper(entry.actor);
        match &entry.action {
            RosterAction::Add(new) if self.devices.contains_key(&new.device) => {
                Err("the device was enrolled before")
            }
            RosterAction::Add(new) => match (index, new.kind == DeviceKind::Paper) {
                (0, true) => Err("the first device cannot be paper"),
                (1, false) => Err("the second device must be paper"),
                (2.., true) if !by_paper => Err("only paper can enrol paper"),
                _ => Ok(()),
            },
            _ if index < GENESIS => {
                Err("the first two entries enrol the first device and the paper device")
            }
            RosterAction::Revoke { device, .. } => match self.active(*device) {
                Err(_) => Err("the revoked device is not enrolled"),
                Ok(member) if member.enrolment.kind == DeviceKind::Paper && !by_paper => {
                    Err("only paper can revoke paper")
                }
                Ok(_) => Ok(()),
            },
            RosterAction::Rotate { key, .. } if self.keys.iter().any(|known| known.1 == *key) => {
                Err("the key was announced before")
            }
            RosterAction::Rotate { counter: 0 | 1, .. } => {
                Err("a rotation's counter follows the first key's")
            }
            RosterAction::Rotate { .. } => Ok(()),
        }
    }

    fn check_acceptance(&self, entry: &Entry) -> Result<(), SealError> {
        let RosterAction::Add(new) = &entry.action else { return Ok(()) };
        if new.kind != DeviceKind::Paper {
            return Ok(());
        }
        let signature = new.acceptance.as_ref().ok_or(SealError::BadSignature { what: WHAT })?;
        let context = new.acceptance_context(self.vault, entry.previous, entry.actor);
        verify(WHAT, &new.verifying, &context, &[], signature)
    }

    fn is_paper(&self, device: DeviceId) -> bool {
        self.get(device).is_some_and(|member| member.enrolment.kind == DeviceKind::Paper)
    }

    fn carry_out(&mut self, entry: &Entry) {
        match &entry.action {
            RosterAction::Add(enrolment) => {
                let member = Member {
                    enrolment: enrolment.clone(),
                    enrolled_by: entry.actor,
                    enrolled_ms: entry.at_ms,
                    revoked: None,
                };
                self.devices.insert(enrolment.device, member);
            }
            RosterAction::Revoke { device, sequence, head } => {
                let end = Revocation {
                    by: entry.actor,
                    at_ms: entry.at_ms,
                    sequence: *sequence,
                    head: *head,
                };
                if let Some(member) = self.devices.get_mut(device) {
                    member.revoked = Some(end);
                }
            }
            RosterAction::Rotate { key, counter } => self.keys.push((*counter, *key)),
        }
    }
}
