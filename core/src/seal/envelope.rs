//! The envelope around everything that is sealed under a vault key.
//!
//! ```text
//! magic "cvsy" | format 1 | codec | key id 8 | commitment 16 | nonce 24 | ciphertext | tag 16
//! ```
//!
//! The associated data is the whole header and then the [`Context`]: the kind of object and
//! everything that says where it belongs.

use chacha20poly1305::aead::{AeadInPlace as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use subtle::ConstantTimeEq as _;

use super::SealError;
use super::context::Context;
use super::key::{COMMITMENT_LEN, KeyRing, Purpose, commitment};
use crate::id::{Digest, KeyId, Random, draw};

const MAGIC: [u8; 4] = *b"cvsy";
const FORMAT: u8 = 1;

const CODEC_AT: usize = 5;
const KEY_AT: usize = 6;
const COMMITMENT_AT: usize = KEY_AT + KeyId::LEN;
const NONCE_AT: usize = COMMITMENT_AT + COMMITMENT_LEN;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// Length of the header in bytes.
pub(super) const HEADER_LEN: usize = NONCE_AT + NONCE_LEN;
/// What sealing adds to a payload in bytes.
pub(super) const OVERHEAD: usize = HEADER_LEN + TAG_LEN;
/// The largest object: what every git host takes without a word.
pub const OBJECT_MAX: usize = 1 << 20;
/// The largest payload of an object.
pub(super) const PAYLOAD_MAX: usize = OBJECT_MAX - OVERHEAD;

/// The codec byte of bytes that are not packed.
pub(super) const STORED: u8 = 0;
/// The codec byte of a zstd frame.
pub(super) const ZSTD: u8 = 1;
/// The codec byte of a gzip member.
pub(super) const GZIP: u8 = 2;

/// One sealed object. Its header was checked, its contents were not.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Takes in bytes from outside.
    ///
    /// # Errors
    /// When the size or the header cannot be one of ours, or is of a newer format.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SealError> {
        if bytes.len() > OBJECT_MAX {
            return Err(SealError::TooLarge {
                what: "object",
                size: bytes.len() as u64,
                max: OBJECT_MAX as u64,
            });
        }
        if !bytes.starts_with(&MAGIC) {
            return Err(SealError::NotSealed);
        }
        if bytes.len() <= OVERHEAD {
            return Err(SealError::Cut { what: "object", size: bytes.len() });
        }
        match bytes[MAGIC.len()] {
            0 => Err(SealError::NotSealed),
            FORMAT if bytes[CODEC_AT] > GZIP => Err(SealError::UnknownCodec(bytes[CODEC_AT])),
            FORMAT => Ok(Self(bytes)),
            newer => Err(SealError::NewerFormat(newer)),
        }
    }

    /// Returns the bytes as they are stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Returns which vault key it was sealed under.
    pub fn key_id(&self) -> KeyId {
        KeyId(self.array(KEY_AT))
    }

    /// Computes the digest of the bytes as they are stored.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    pub(super) fn codec(&self) -> u8 {
        self.0[CODEC_AT]
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().expect("the length was checked when the object was taken in")
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes under {})", self.0.len(), self.key_id())
    }
}

/// What an object is sealed for: which derived key, and which place.
#[derive(Debug, Clone)]
pub(super) struct Binding<'a> {
    pub(super) purpose: Purpose<'a>,
    pub(super) context: Context,
}

impl Binding<'_> {
    /// Seals a payload under the newest key.
    pub(super) fn seal(
        &self,
        keys: &KeyRing,
        codec: u8,
        payload: &[u8],
        random: &mut dyn Random,
    ) -> Sealed {
        let vault_key = keys.current();
        let key = vault_key.derive(keys.vault(), self.purpose);
        let nonce: [u8; NONCE_LEN] = draw(random);
        let mut bytes = Vec::with_capacity(OVERHEAD + payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[FORMAT, codec]);
        bytes.extend_from_slice(&vault_key.id.0);
        bytes.extend_from_slice(&commitment(&key, &nonce));
        bytes.extend_from_slice(&nonce);
        let associated = [&bytes, self.context.as_bytes()].concat();
        bytes.extend_from_slice(payload);
        let tag = XChaCha20Poly1305::new(key.as_slice().into())
            .encrypt_in_place_detached(
                XNonce::from_slice(&nonce),
                &associated,
                &mut bytes[HEADER_LEN..],
            )
            .expect("an object is far smaller than what one nonce can encrypt");
        bytes.extend_from_slice(&tag);
        Sealed(bytes)
    }

    /// Opens what [`Binding::seal`] made for the same place, under any key of the ring.
    pub(super) fn open(&self, keys: &KeyRing, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let what = self.purpose.what();
        let id = sealed.key_id();
        let vault_key = keys.get(id).ok_or(SealError::UnknownKey { what, key: id })?;
        let key = vault_key.derive(keys.vault(), self.purpose);
        let nonce: [u8; NONCE_LEN] = sealed.array(NONCE_AT);
        let committed: [u8; COMMITMENT_LEN] = sealed.array(COMMITMENT_AT);
        if !bool::from(commitment(&key, &nonce).ct_eq(&committed)) {
            return Err(SealError::OtherKey { what });
        }
        let associated = [&sealed.0[..HEADER_LEN], self.context.as_bytes()].concat();
        let (body, tag) = sealed.0[HEADER_LEN..].split_at(sealed.0.len() - OVERHEAD);
        let mut payload = body.to_vec();
        XChaCha20Poly1305::new(key.as_slice().into())
            .decrypt_in_place_detached(
                XNonce::from_slice(&nonce),
                &associated,
                &mut payload,
                Tag::from_slice(tag),
            )
            .map_err(|_| SealError::Damaged { what })?;
        Ok(payload)
    }

    /// Seals a record: its length, the record, zeros up to a size that says little about it.
    pub(super) fn seal_record(
        &self,
        keys: &KeyRing,
        record: &[u8],
        padded: impl Fn(usize) -> usize,
        random: &mut dyn Random,
    ) -> Result<Sealed, SealError> {
        let len = LENGTH_LEN + record.len();
        if len > PAYLOAD_MAX {
            return Err(SealError::TooLarge {
                what: self.purpose.what(),
                size: record.len() as u64,
                max: (PAYLOAD_MAX - LENGTH_LEN) as u64,
            });
        }
        let mut payload = Vec::with_capacity(padded(len));
        payload.extend_from_slice(&(record.len() as u32).to_le_bytes());
        payload.extend_from_slice(record);
        payload.resize(padded(len).clamp(len, PAYLOAD_MAX), 0);
        Ok(self.seal(keys, STORED, &payload, random))
    }

    /// Opens what [`Binding::seal_record`] made.
    pub(super) fn open_record(
        &self,
        keys: &KeyRing,
        sealed: &Sealed,
    ) -> Result<Vec<u8>, SealError> {
        let what = self.purpose.what();
        if sealed.codec() != STORED {
            return Err(SealError::UnknownCodec(sealed.codec()));
        }
        let mut payload = self.open(keys, sealed)?;
        let Some((len, rest)) = payload.split_first_chunk::<LENGTH_LEN>() else {
            return Err(SealError::Unpack { what });
        };
        let len = u32::from_le_bytes(*len) as usize;
        if len > rest.len() || rest[len..].iter().any(|&byte| byte != 0) {
            return Err(SealError::Unpack { what });
        }
        payload.drain(..LENGTH_LEN);
        payload.truncate(len);
        Ok(payload)
    }
}

const LENGTH_LEN: usize = size_of::<u32>();

/// Returns the Padmé length for `len` bytes: at most 12 % more, and only O(log log) of the true
/// length shows (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", 2019).
pub(super) fn padme(len: usize) -> usize {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let kept_bits = exponent.ilog2() + 1;
    let mask = (1usize << exponent.saturating_sub(kept_bits)) - 1;
    (len + mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padme_lengths_are_those_of_its_paper() {
        for (len, padded) in
            [(0, 0), (1, 1), (8, 8), (9, 10), (100, 104), (200, 208), (300, 304), (1000, 1024)]
        {
            assert_eq!(padme(len), padded, "{len}");
        }
        assert!((1..100_000).all(|len| padme(len) >= len && padme(len) * 100 <= len * 112 + 100));
    }

    #[test]
    fn a_header_that_is_not_ours_is_refused_by_name() {
        let check = |at: usize, value: u8, expected: SealError| {
            let mut bytes = [&MAGIC[..], &[FORMAT, 0], &[0; 70]].concat();
            bytes[at] = value;
            assert_eq!(Sealed::from_bytes(bytes), Err(expected));
        };
        check(0, b'x', SealError::NotSealed);
        check(4, 0, SealError::NotSealed);
        check(4, 2, SealError::NewerFormat(2));
        check(5, 3, SealError::UnknownCodec(3));
        assert_eq!(
            Sealed::from_bytes(MAGIC.to_vec()),
            Err(SealError::Cut { what: "object", size: 4 })
        );
        let large = vec![0; OBJECT_MAX + 1];
        assert!(matches!(Sealed::from_bytes(large), Err(SealError::TooLarge { .. })));
    }
}
