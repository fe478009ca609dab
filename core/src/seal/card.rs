//! Cards: what a device shows to everyone, public keys only, signed by itself.
//!
//! A card proves that somebody holds the secret keys. That this somebody belongs to the vault, only
//! the roster says.

use super::context::Context;
use super::identity::{Identity, SIGNATURE_LEN, split_signed, verify};
use super::{SealError, malformed};
use crate::id::{DeviceId, Digest, VaultId};
use crate::wire::{Fields, WireError, Writer};

/// The largest card: one with a recipient of a kind that does not exist yet (a post-quantum key has
/// about 2 KiB) still fits.
pub const CARD_MAX: usize = 8 << 10;

/// The longest text of an age recipient.
pub(super) const RECIPIENT_MAX: usize = 4 << 10;

const WHAT: &str = "card";
const MAGIC: [u8; 4] = *b"cvsc";
const FORMAT: u8 = 1;

mod tag {
    pub(super) const VAULT: u8 = 1;
    pub(super) const DEVICE: u8 = 2;
    pub(super) const RECIPIENT: u8 = 3;
    pub(super) const VERIFYING: u8 = 4;
    pub(super) const PREDECESSOR: u8 = 5;
    pub(super) const PREDECESSOR_SIGNATURE: u8 = 6;
}

/// A device's public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The vault it belongs to or wants to join.
    pub vault: VaultId,
    /// Whose card it is.
    pub device: DeviceId,
    /// What grants for it are encrypted to. Opaque: later kinds of keys are texts too.
    pub recipient: String,
    /// What its signatures are verified with.
    pub verifying: [u8; 32],
    /// The device it takes the place of, if it says so.
    pub predecessor: Option<Predecessor>,
    digest: Digest,
}

/// A device's statement that another one takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    /// The older device.
    pub device: DeviceId,
    /// Its signature over the newer one's keys.
    pub signature: [u8; SIGNATURE_LEN],
}

impl Card {
    /// Writes and signs a device's card.
    pub fn sign(identity: &Identity, vault: VaultId) -> Vec<u8> {
        Self::of(identity, vault).write(identity)
    }

    /// Writes and signs the card of a device that takes the place of an older one, whose secrets are
    /// at hand too: a copied disk's way out.
    pub fn succeed(identity: &Identity, older: &Identity, vault: VaultId) -> Vec<u8> {
        let mut card = Self::of(identity, vault);
        let signature = older.signature(&card.successor_context(older.device()), &[]);
        card.predecessor = Some(Predecessor { device: older.device(), signature });
        card.write(identity)
    }

    /// Reads a card and checks its signature.
    ///
    /// # Errors
    /// When it is too large, not a card, or not signed by the device it names.
    pub fn open(bytes: &[u8]) -> Result<Self, SealError> {
        if bytes.len() > CARD_MAX {
            return Err(SealError::TooLarge {
                what: WHAT,
                size: bytes.len() as u64,
                max: CARD_MAX as u64,
            });
        }
        let rest = bytes.strip_prefix(&MAGIC).ok_or(SealError::NotSealed)?;
        let (format, rest) =
            rest.split_first().ok_or(SealError::Cut { what: WHAT, size: bytes.len() })?;
        match *format {
            0 => return Err(SealError::NotSealed),
            FORMAT => {}
            newer => return Err(SealError::NewerFormat(newer)),
        }
        let (signature, record) = split_signed(WHAT, rest)?;
        let card = Self::read(record, Digest::of(bytes)).map_err(malformed(WHAT))?;
        verify(
            WHAT,
            &card.verifying,
            &Context::new("convosync/1 card", card.vault),
            record,
            signature,
        )?;
        Ok(card)
    }

    /// Returns the digest of the card as it is stored.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Checks that the older device agreed to be followed by this one.
    ///
    /// # Errors
    /// [`SealError::OtherDevice`] when the card names another predecessor or none,
    /// [`SealError::BadSignature`] when the older device did not sign.
    pub fn check_succeeds(
        &self,
        older: DeviceId,
        older_verifying: &[u8; 32],
    ) -> Result<(), SealError> {
        match &self.predecessor {
            Some(link) if link.device == older => {
                verify(WHAT, older_verifying, &self.successor_context(older), &[], &link.signature)
            }
            link => {
                let found = link.as_ref().map_or(self.device, |link| link.device);
                Err(SealError::OtherDevice { what: WHAT, found, expected: older })
            }
        }
    }

    fn of(identity: &Identity, vault: VaultId) -> Self {
        Self {
            vault,
            device: identity.device(),
            recipient: identity.recipient(),
            verifying: identity.verifying(),
            predecessor: None,
            digest: Digest::NONE,
        }
    }

    fn successor_context(&self, older: DeviceId) -> Context {
        Context::new("convosync/1 successor", self.vault)
            .item(&older.0)
            .item(&self.device.0)
            .item(self.recipient.as_bytes())
            .item(&self.verifying)
    }

    fn write(&self, identity: &Identity) -> Vec<u8> {
        let link = self.predecessor.as_ref();
        let mut record = Writer::new();
        record
            .bytes(tag::VAULT, &self.vault.0)
            .bytes(tag::DEVICE, &self.device.0)
            .text(tag::RECIPIENT, &self.recipient)
            .bytes(tag::VERIFYING, &self.verifying)
            .optional(tag::PREDECESSOR, link.map(|link| &link.device.0[..]))
            .optional(tag::PREDECESSOR_SIGNATURE, link.map(|link| &link.signature[..]));
        let signed = identity.sign(&Context::new("convosync/1 card", self.vault), &record.finish());
        [&MAGIC[..], &[FORMAT], &signed].concat()
    }

    fn read(record: &[u8], digest: Digest) -> Result<Self, WireError> {
        let fields = Fields::parse(record)?;
        let predecessor = match fields.array(tag::PREDECESSOR)? {
            Some(device) => {
                let signature = fields.required(tag::PREDECESSOR_SIGNATURE)?;
                Some(Predecessor { device: DeviceId(device), signature })
            }
            None => None,
        };
        Ok(Self {
            vault: VaultId(fields.required(tag::VAULT)?),
            device: DeviceId(fields.required(tag::DEVICE)?),
            recipient: fields
                .text(tag::RECIPIENT, RECIPIENT_MAX)?
                .ok_or(WireError::Missing(tag::RECIPIENT))?,
            verifying: fields.required(tag::VERIFYING)?,
            predecessor,
            digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SeededRandom;

    const VAULT: VaultId = VaultId([3; 8]);

    #[test]
    fn a_card_says_who_signed_it() {
        let identity = Identity::create(&mut SeededRandom::new(1));
        let bytes = Card::sign(&identity, VAULT);
        let card = Card::open(&bytes).unwrap();
        assert_eq!((card.vault, card.device), (VAULT, identity.device()));
        assert_eq!(
            (card.recipient.clone(), card.verifying),
            (identity.recipient(), identity.verifying())
        );
        assert_eq!(card.digest(), Digest::of(&bytes));
        assert!(bytes.len() < 256, "{}", bytes.len());
    }

    #[test]
    fn a_device_is_followed_only_by_one_it_signed_for() {
        let random = &mut SeededRandom::new(2);
        let (old, new, stranger) =
            (Identity::create(random), Identity::create(random), Identity::create(random));
        let card = Card::open(&Card::succeed(&new, &old, VAULT)).unwrap();
        assert_eq!(card.check_succeeds(old.device(), &old.verifying()), Ok(()));
        let bad = Err(SealError::BadSignature { what: "card" });
        assert_eq!(card.check_succeeds(old.device(), &stranger.verifying()), bad);
        assert!(matches!(
            card.check_succeeds(stranger.device(), &stranger.verifying()),
            Err(SealError::OtherDevice { .. })
        ));
        let plain = Card::open(&Card::sign(&new, VAULT)).unwrap();
        assert!(matches!(
            plain.check_succeeds(old.device(), &old.verifying()),
            Err(SealError::OtherDevice { .. })
        ));
    }

    #[test]
    fn every_mutation_of_a_card_is_refused() {
        let random = &mut SeededRandom::new(3);
        let (old, new) = (Identity::create(random), Identity::create(random));
        crate::seal::fixture::check_mutations(&Card::sign(&new, VAULT), Card::open);
        crate::seal::fixture::check_mutations(&Card::succeed(&new, &old, VAULT), Card::open);
    }

    #[test]
    fn what_is_no_card_is_refused_by_name() {
        let check = |bytes: &[u8], expected: &str| {
            assert_eq!(crate::seal::fixture::variant(&Card::open(bytes).unwrap_err()), expected);
        };
        check(b"", "NotSealed");
        check(b"cvsc", "Cut");
        check(b"cvsc\0", "NotSealed");
        check(b"cvsc\x02", "NewerFormat");
        check(&[b"cvsc\x01", &[0; 63][..]].concat(), "Cut");
        check(&[b"cvsc\x01", &[0; 64][..]].concat(), "Malformed");
        check(&vec![b'c'; CARD_MAX + 1], "TooLarge");
    }
}
