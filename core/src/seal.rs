//! Turns bytes into something only our devices can read, and back.
//!
//! A [`Sealed`] is a header followed by encrypted, padded bytes; `docs/format.md` draws it. Each
//! kind of object has its own key, derived from the vault's, and is bound to its place: what was
//! sealed for one session, log, device, vault, number or kind opens nowhere else. Cards and grants
//! are not sealed by the vault's key: a card is public and signed, a grant is an age file.
//!
//! This room knows bytes and keys. It knows no files, no git, and not what a conversation is.
//!
//! ```text
//! context   what an object is bound to, as bytes                phrase     24 words on paper
//! key       vault keys, what is derived from them, names
//! identity  one device's own two secret keys                    card       its public half, signed
//! envelope  header, AEAD, padding, binding to a place           head       what a device's tip holds
//! chunk     a piece of a log (pack: its codecs)                 roster     who belongs to the vault
//! save      one state of a session                              grant      the keys, for one device
//! summary   what a list shows of a session
//! ```

mod context;
mod envelope;
mod pack;

pub mod card;
pub mod chunk;
pub mod grant;
pub mod head;
pub mod identity;
pub mod key;
pub mod phrase;
pub mod roster;
pub mod save;
pub mod summary;

pub use card::{CARD_MAX, Card, Predecessor};
pub use chunk::{Chunk, ChunkKind, ChunkPlace, open_chunk, seal_chunk};
pub use envelope::{OBJECT_MAX, Sealed};
pub use grant::{GRANT_MAX, Grant, open_grant, seal_grant, seal_grant_to_member};
pub use head::{
    DeviceKind, Head, NAME_MAX, Seen, Tombstone, grants_of, open_head, root_of, seal_head,
};
pub use identity::Identity;
pub use key::{KeyRing, VaultKey};
pub use pack::{CHUNK_RAW_MAX, Codec, PREFIX_MAX};
pub use phrase::{Phrase, PhraseError};
pub use roster::{Enrolment, Member, Members, Revocation, Roster, RosterAction};
pub use save::{
    CodePoint, CodeSaved, FURTHER_MAX, Further, LogState, Maker, Parent, SaveRecord, Surroundings,
    open_save, seal_save,
};
pub use summary::{Summary, open_summary, project_key, seal_summary};

use crate::id::{DeviceId, KeyId, VaultId};
use crate::wire::WireError;

/// Why something could not be sealed or opened. `what` is the kind of object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not one of our objects at all.
    #[error("these bytes are not one of ConvoSync's objects")]
    NotSealed,
    /// Written by a version of ConvoSync that is newer than this one.
    #[error("format {0} is newer than this version knows")]
    NewerFormat(u8),
    /// A codec that does not exist in this format.
    #[error("codec {0} is unknown")]
    UnknownCodec(u8),
    /// Shorter than the smallest object of its kind.
    #[error("the {what} was cut off: {size} bytes are left")]
    Cut {
        /// Which kind of object.
        what: &'static str,
        /// How many bytes there are.
        size: usize,
    },
    /// Larger than an object of its kind may be; nothing was done with it.
    #[error("the {what} is too large: {size} bytes where {max} are allowed")]
    TooLarge {
        /// Which kind of object.
        what: &'static str,
        /// How many bytes there are.
        size: u64,
        /// How many there may be.
        max: u64,
    },
    /// Sealed under a vault key this device does not have.
    #[error("the {what} is sealed under key {key}, which this device does not have")]
    UnknownKey {
        /// Which kind of object.
        what: &'static str,
        /// The key's id.
        key: KeyId,
    },
    /// The key commitment does not match: another secret under this id, another session, another
    /// kind of object, or a changed header.
    #[error("the {what} was sealed with a key other than the one for this place")]
    OtherKey {
        /// Which kind of object.
        what: &'static str,
    },
    /// Authentication failed although the key is right.
    #[error("the {what} was changed, or does not belong in this place")]
    Damaged {
        /// Which kind of object.
        what: &'static str,
    },
    /// Authentic, but its contents break the format's rules.
    #[error("the {what} is not well-formed")]
    Malformed {
        /// Which kind of object.
        what: &'static str,
        /// Which rule.
        source: WireError,
    },
    /// Authentic, but its packed bytes do not unpack to what it says.
    #[error("the {what} does not unpack to the bytes it announces")]
    Unpack {
        /// Which kind of object.
        what: &'static str,
    },
    /// A chunk's parts are missing, too many, or not of one chunk.
    #[error("{count} parts do not make a chunk")]
    Parts {
        /// How many there are.
        count: usize,
    },
    /// A signature that its device did not make.
    #[error("the signature of the {what} is wrong")]
    BadSignature {
        /// Which kind of object.
        what: &'static str,
    },
    /// An object of another vault.
    #[error("the {what} belongs to vault {found}, not to {expected}")]
    OtherVault {
        /// Which kind of object.
        what: &'static str,
        /// The vault it names.
        found: VaultId,
        /// The vault we are in.
        expected: VaultId,
    },
    /// An object of, or for, another device.
    #[error("the {what} belongs to device {found}, not to {expected}")]
    OtherDevice {
        /// Which kind of object.
        what: &'static str,
        /// The device it names.
        found: DeviceId,
        /// The device it should name.
        expected: DeviceId,
    },
    /// A grant that no secret key of ours opens.
    #[error("the grant is not addressed to this device")]
    NotForUs,
    /// A device's age recipient that is none.
    #[error("the card of device {0} holds no recipient this version can encrypt to")]
    BadRecipient(DeviceId),
    /// The roster's chain of entries is broken.
    #[error("entry {entry} of the roster does not follow the one before it")]
    BrokenChain {
        /// Which entry, from 0.
        entry: usize,
    },
    /// A roster entry its signer had no right to make.
    #[error("entry {entry} of the roster is not allowed: {rule}")]
    NotAllowed {
        /// Which entry, from 0.
        entry: usize,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A device that is not in the roster.
    #[error("device {0} is not in the roster")]
    NotEnrolled(DeviceId),
    /// A device that was revoked.
    #[error("device {0} was revoked")]
    Revoked(DeviceId),
    /// A grant made for a roster other than the one at hand.
    #[error("the grant was made for another roster")]
    OtherRoster,
    /// Two vault keys that cannot stand in one ring.
    #[error("key {0} does not fit in this key ring")]
    KeyConflict(KeyId),
}

impl SealError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NewerFormat(_) => "update ConvoSync on this device",
            Self::UnknownKey { .. } => {
                "fetch again; if it stays, another device has to grant this one the newest key"
            }
            Self::NotForUs => "was this the phrase or the device the grant was made for?",
            Self::Revoked(_) => {
                "another device removed it from the vault; join again under a new identity"
            }
            Self::Damaged { .. } | Self::Cut { .. } | Self::OtherKey { .. } => {
                "somebody, or a disk, changed what was written"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Names the kind of object in the errors of its record.
fn malformed(what: &'static str) -> impl Fn(WireError) -> SealError {
    move |source| SealError::Malformed { what, source }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod vectors;
