//! Grants: the vault's keys, encrypted to one device and signed by another.
//!
//! age alone authenticates nobody: whoever can push could plant a grant. A grant counts only when a
//! device of the roster signed it ([`Grant::verify`]). As the roster itself is sealed under the
//! granted keys, they are needed to read it before the grant can be believed:
//! [`Grant::unproven_keys`].

use std::fmt;
use std::io::{Read as _, Write as _};
use std::iter;

use age::x25519::Recipient;
use age::{Decryptor, Encryptor};
use zeroize::Zeroizing;

use super::card::Card;
use super::context::Context;
use super::head::{Seen, read_seen, write_seen};
use super::identity::{Identity, SIGNATURE_LEN, split_signed, verify};
use super::key::KeyRing;
use super::roster::Members;
use super::{SealError, malformed};
use crate::id::{DeviceId, Digest, VaultId};
use crate::wire::{Fields, WireError, Writer};

/// The largest grant: as many keys as a ring holds.
pub const GRANT_MAX: usize = 512 << 10;

const WHAT: &str = "grant";

mod tag {
    pub(super) const VAULT: u8 = 1;
    pub(super) const RECIPIENT: u8 = 2;
    pub(super) const CARD: u8 = 3;
    pub(super) const APPROVER: u8 = 4;
    pub(super) const ROSTER: u8 = 5;
    pub(super) const KEY: u8 = 6;
    pub(super) const SEEN: u8 = 7;
}

/// An opened grant.
pub struct Grant {
    /// Which vault's keys.
    pub vault: VaultId,
    /// Whom they are for.
    pub recipient: DeviceId,
    /// The digest of the card they were encrypted to.
    pub card: Digest,
    /// Who says so.
    pub approver: DeviceId,
    /// The newest entry of the approver's roster.
    pub roster: Digest,
    /// What the approver had seen of all devices, itself included.
    pub seen: Vec<Seen>,
    keys: KeyRing,
    signature: [u8; SIGNATURE_LEN],
    record: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grant(vault {}, for {}, by {}, …)", self.vault, self.recipient, self.approver)
    }
}

/// Encrypts all keys of the ring to the device that showed this card.
///
/// # Errors
/// [`SealError::OtherVault`] for a card of another vault, [`SealError::BadRecipient`] for one this
/// version cannot encrypt to.
pub fn seal_grant(
    keys: &KeyRing,
    approver: &Identity,
    to: &Card,
    roster: Digest,
    seen: &[Seen],
) -> Result<Vec<u8>, SealError> {
    if to.vault != keys.vault() {
        return Err(SealError::OtherVault { what: WHAT, found: to.vault, expected: keys.vault() });
    }
    let addressee = Addressee { device: to.device, card: to.digest(), recipient: &to.recipient };
    seal_grant_to(keys, approver, &addressee, roster, seen)
}

/// Encrypts all keys of the ring to a device of the roster, whose card need not be at hand.
///
/// # Errors
/// [`SealError::NotEnrolled`], [`SealError::Revoked`], [`SealError::BadRecipient`].
pub fn seal_grant_to_member(
    keys: &KeyRing,
    approver: &Identity,
    (members, device): (&Members, DeviceId),
    roster: Digest,
    seen: &[Seen],
) -> Result<Vec<u8>, SealError> {
    let enrolment = &members.active(device)?.enrolment;
    let addressee = Addressee { device, card: enrolment.card, recipient: &enrolment.recipient };
    seal_grant_to(keys, approver, &addressee, roster, seen)
}

struct Addressee<'a> {
    device: DeviceId,
    card: Digest,
    recipient: &'a str,
}

fn seal_grant_to(
    keys: &KeyRing,
    approver: &Identity,
    to: &Addressee<'_>,
    roster: Digest,
    seen: &[Seen],
) -> Result<Vec<u8>, SealError> {
    let recipient: Recipient =
        to.recipient.parse().map_err(|_| SealError::BadRecipient(to.device))?;
    let mut record = Writer::with_capacity(256 + keys.record_len_max() + seen.len() * 64);
    record
        .bytes(tag::VAULT, &keys.vault().0)
        .bytes(tag::RECIPIENT, &to.device.0)
        .bytes(tag::CARD, &to.card.0)
        .bytes(tag::APPROVER, &approver.device().0)
        .bytes(tag::ROSTER, &roster.0);
    keys.write(&mut record, tag::KEY);
    write_seen(&mut record, tag::SEEN, seen);
    let record = Zeroizing::new(record.finish());
    let signed = Zeroizing::new(approver.sign(&context(keys.vault(), to.device), &record));
    encrypt(&recipient, &signed).map_err(|_| SealError::BadRecipient(to.device))
}

/// Decrypts a grant for this device. It is not to be believed before [`Grant::verify`].
///
/// # Errors
/// [`SealError::NotForUs`] when it is encrypted to somebody else, and whatever is wrong with it.
pub fn open_grant(me: &Identity, bytes: &[u8]) -> Result<Grant, SealError> {
    if bytes.len() > GRANT_MAX {
        return Err(SealError::TooLarge {
            what: WHAT,
            size: bytes.len() as u64,
            max: GRANT_MAX as u64,
        });
    }
    let signed = decrypt(me, bytes)?;
    let (signature, record) = split_signed(WHAT, &signed)?;
    let grant = read(signature, record).map_err(malformed(WHAT))?;
    if grant.recipient == me.device() {
        Ok(grant)
    } else {
        Err(SealError::OtherDevice { what: WHAT, found: grant.recipient, expected: me.device() })
    }
}

impl Grant {
    /// Returns the keys before anybody vouched for them: only for opening the roster that will.
    pub fn unproven_keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Checks that a device of this roster made the grant, for a device of this roster.
    ///
    /// # Errors
    /// [`SealError::NotEnrolled`] or [`SealError::Revoked`] for either device,
    /// [`SealError::OtherRoster`] when it was made for another roster, [`SealError::OtherVault`],
    /// [`SealError::BadSignature`].
    pub fn verify(&self, members: &Members) -> Result<(), SealError> {
        if members.vault() != self.vault {
            return Err(SealError::OtherVault {
                what: WHAT,
                found: self.vault,
                expected: members.vault(),
            });
        }
        let approver = members.active(self.approver)?;
        members.active(self.recipient)?;
        if !members.has_entry(self.roster) {
            return Err(SealError::OtherRoster);
        }
        let context = context(self.vault, self.recipient);
        verify(WHAT, &approver.enrolment.verifying, &context, &self.record, &self.signature)
    }

    /// Gives the keys away once the grant is verified.
    ///
    /// # Errors
    /// As [`Grant::verify`].
    pub fn into_keys(self, members: &Members) -> Result<KeyRing, SealError> {
        self.verify(members)?;
        Ok(self.keys)
    }
}

fn context(vault: VaultId, recipient: DeviceId) -> Context {
    Context::new("convosync/1 grant", vault).item(&recipient.0)
}

fn read(signature: &[u8; SIGNATURE_LEN], record: &[u8]) -> Result<Grant, WireError> {
    let fields = Fields::parse(record)?;
    let vault = VaultId(fields.required(tag::VAULT)?);
    Ok(Grant {
        vault,
        recipient: DeviceId(fields.required(tag::RECIPIENT)?),
        card: Digest(fields.required(tag::CARD)?),
        approver: DeviceId(fields.required(tag::APPROVER)?),
        roster: Digest(fields.required(tag::ROSTER)?),
        seen: read_seen(&fields, tag::SEEN)?,
        keys: KeyRing::read(vault, &fields, tag::KEY)?,
        signature: *signature,
        record: Zeroizing::new(record.to_vec()),
    })
}

fn encrypt(recipient: &Recipient, plain: &[u8]) -> Result<Vec<u8>, age::EncryptError> {
    let encryptor = Encryptor::with_recipients(iter::once(recipient as _))?;
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(&mut sealed)?;
    writer.write_all(plain)?;
    writer.finish()?;
    Ok(sealed)
}

fn decrypt(me: &Identity, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let named = |error| match error {
        age::DecryptError::NoMatchingKeys => SealError::NotForUs,
        _ => SealError::Damaged { what: WHAT },
    };
    let identity = me.age_identity();
    let decryptor = Decryptor::new_buffered(bytes).map_err(named)?;
    let reader = decryptor.decrypt(iter::once(&identity as _)).map_err(named)?;
    // The plaintext is shorter than the file, so that the buffer never moves and leaves keys behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    reader
        .take(bytes.len() as u64)
        .read_to_end(&mut plain)
        .map_err(|_| SealError::Damaged { what: WHAT })?;
    Ok(plain)
}

#[cfg(test)]
mod tests;
