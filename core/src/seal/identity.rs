//! A device's own secrets: an age key, to be given things, and a signing key, to be believed.

use std::fmt;

use age::secrecy::ExposeSecret as _;
use bech32::{ToBase32 as _, Variant};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::SealError;
use super::context::Context;
use super::key::{SECRET_LEN, Secret};
use super::phrase::Phrase;
use crate::id::{DeviceId, Random, draw};

/// Length of an Ed25519 signature in bytes.
pub(super) const SIGNATURE_LEN: usize = 64;

/// One device: its id and its two secret keys. They leave this room only into the identity's file.
pub struct Identity {
    device: DeviceId,
    age: Secret,
    signing: SigningKey,
}

impl Identity {
    /// Makes a new device.
    pub fn create(random: &mut dyn Random) -> Self {
        let device = DeviceId(draw(random));
        let mut fresh = || {
            let mut secret = Zeroizing::new([0; SECRET_LEN]);
            random.fill(&mut *secret);
            secret
        };
        let (age, signing) = (fresh(), fresh());
        Self::from_parts(device, age, &signing)
    }

    /// Returns the paper device: its id and its keys all follow from the phrase.
    pub fn from_phrase(phrase: &Phrase) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, phrase.seed());
        let derive = |info: &[u8], out: &mut [u8]| {
            hkdf.expand(info, out).expect("32 bytes are within what HKDF can give");
        };
        let mut device = [0; DeviceId::LEN];
        let mut age = Zeroizing::new([0; SECRET_LEN]);
        let mut signing = Zeroizing::new([0; SECRET_LEN]);
        derive(b"convosync/1 paper device", &mut device);
        derive(b"convosync/1 paper age", &mut *age);
        derive(b"convosync/1 paper signing", &mut *signing);
        Self::from_parts(DeviceId(device), age, &signing)
    }

    /// Puts an identity together that was read from its file.
    pub(crate) fn from_parts(device: DeviceId, age: Secret, signing: &Secret) -> Self {
        Self { device, age, signing: SigningKey::from_bytes(signing) }
    }

    /// Returns the two secrets, age and signing, for the identity's file.
    pub(crate) fn secrets(&self) -> (&[u8; SECRET_LEN], &[u8; SECRET_LEN]) {
        (&self.age, self.signing.as_bytes())
    }

    /// Returns the device's id.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Returns what others encrypt to: `age1…`.
    pub fn recipient(&self) -> String {
        self.age_identity().to_public().to_string()
    }

    /// Returns what others verify signatures with.
    pub fn verifying(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// Builds age's own type, which reads only its own text form.
    pub(super) fn age_identity(&self) -> age::x25519::Identity {
        let words = Zeroizing::new(
            self.age.to_base32().iter().map(|word| word.to_u8()).collect::<Vec<_>>(),
        );
        let words: Vec<_> =
            words.iter().map(|&word| bech32::u5::try_from_u8(word).expect("five bits")).collect();
        let text = bech32::encode("age-secret-key-", words, Variant::Bech32)
            .expect("the prefix is lower case");
        let text = age::secrecy::SecretString::from(text.to_uppercase());
        text.expose_secret().parse().expect("this is the form age itself writes")
    }

    /// Signs `record` for `context`. Returns the signature and then the record.
    pub(super) fn sign(&self, context: &Context, record: &[u8]) -> Vec<u8> {
        let signature = self.signature(context, record);
        [&signature, record].concat()
    }

    /// Signs `record` for `context`. Returns the signature alone.
    pub(super) fn signature(&self, context: &Context, record: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.signing.sign(&[context.as_bytes(), record].concat()).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, …)", self.device)
    }
}

/// Splits what [`Identity::sign`] made.
pub(super) fn split_signed<'a>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<(&'a [u8; SIGNATURE_LEN], &'a [u8]), SealError> {
    bytes.split_first_chunk().ok_or(SealError::Cut { what, size: bytes.len() })
}

/// Checks a signature over `context` and `record`.
pub(super) fn verify(
    what: &'static str,
    verifying: &[u8; 32],
    context: &Context,
    record: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> Result<(), SealError> {
    let bad = |_| SealError::BadSignature { what };
    let key = VerifyingKey::from_bytes(verifying).map_err(bad)?;
    let message = [context.as_bytes(), record].concat();
    // Strict: no signature may be rewritten into another valid one, no key may be of small order.
    key.verify_strict(&message, &Signature::from_bytes(signature)).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SeededRandom, VaultId, hex};

    #[test]
    fn the_paper_device_follows_from_the_phrase_alone() {
        let phrase = Phrase::create(&mut SeededRandom::new(5));
        let (one, two) = (Identity::from_phrase(&phrase), Identity::from_phrase(&phrase));
        assert_eq!(
            (one.device(), one.recipient(), one.verifying()),
            (two.device(), two.recipient(), two.verifying())
        );
        let other = Identity::from_phrase(&Phrase::create(&mut SeededRandom::new(6)));
        assert_ne!(one.device(), other.device());
    }

    #[test]
    fn age_reads_our_key_and_encrypts_to_our_recipient() {
        let identity = Identity::create(&mut SeededRandom::new(7));
        assert!(identity.recipient().starts_with("age1"));
        let recipient: age::x25519::Recipient = identity.recipient().parse().unwrap();
        let sealed = age::encrypt(&recipient, b"given").unwrap();
        assert_eq!(age::decrypt(&identity.age_identity(), &sealed).unwrap(), b"given");
    }

    #[test]
    fn a_signature_holds_for_its_context_record_and_key_only() {
        let random = &mut SeededRandom::new(8);
        let (ours, other) = (Identity::create(random), Identity::create(random));
        let context = Context::new("kind", VaultId([1; 8]));
        let elsewhere = Context::new("kind", VaultId([2; 8]));
        let signature = ours.signature(&context, b"record");
        let check = |key: &Identity, context: &Context, record: &[u8]| {
            verify("head", &key.verifying(), context, record, &signature).is_ok()
        };
        assert!(check(&ours, &context, b"record"));
        assert!(!check(&other, &context, b"record"));
        assert!(!check(&ours, &elsewhere, b"record"));
        assert!(!check(&ours, &context, b"Record"));
    }

    #[test]
    fn no_secret_is_printed() {
        let identity = Identity::create(&mut SeededRandom::new(9));
        assert_eq!(format!("{identity:?}"), format!("Identity({}, …)", hex(&identity.device().0)));
    }
}
