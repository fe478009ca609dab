//! The vault's keys, and what is derived from them.
//!
//! Every derivation is HKDF-SHA256 with the vault's id as salt and a text of its own as info, so that
//! no two kinds of objects, and no two sessions, ever share a key.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::SealError;
use super::context::Context;
use crate::id::{KeyId, LogId, LogName, Random, Role, SessionId, SessionName, VaultId, draw};
use crate::wire::{Fields, WireError, Writer};

/// Length of a secret key in bytes.
pub(crate) const SECRET_LEN: usize = 32;

/// Bytes that are wiped when they go.
pub(crate) type Secret = Zeroizing<[u8; SECRET_LEN]>;

/// The most keys a ring holds: a rotation a day for more than ten years.
pub(crate) const KEYS_MAX: usize = 4096;

/// One vault key. Its secret leaves this room only into key files and grants.
pub struct VaultKey {
    /// Grows with every rotation; two devices may use the same one at once.
    pub counter: u32,
    /// What objects name it by.
    pub id: KeyId,
    secret: Secret,
}

impl VaultKey {
    /// Makes a new key.
    pub fn create(counter: u32, random: &mut dyn Random) -> Self {
        let id = KeyId(draw(random));
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        random.fill(&mut *secret);
        Self { counter, id, secret }
    }

    /// Puts a key together that was read from a key file or a grant.
    pub(crate) fn from_parts(counter: u32, id: KeyId, secret: Secret) -> Self {
        Self { counter, id, secret }
    }

    /// Returns the key for one purpose.
    pub(super) fn derive(&self, vault: VaultId, purpose: Purpose<'_>) -> Secret {
        let (info, session) = purpose.info();
        let mut derived = Zeroizing::new([0; SECRET_LEN]);
        Hkdf::<Sha256>::new(Some(&vault.0), &*self.secret)
            .expand_multi_info(&[info.as_bytes(), session.as_bytes()], &mut *derived)
            .expect("32 bytes are within what HKDF can give");
        derived
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultKey({}, {}, …)", self.counter, self.id)
    }
}

/// What a derived key is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose<'a> {
    Chunk(&'a SessionId),
    Save(&'a SessionId),
    Summary,
    Head,
    Roster,
    Names,
}

impl<'a> Purpose<'a> {
    fn info(self) -> (&'static str, &'a str) {
        match self {
            Self::Chunk(session) => ("convosync/1 session", session.as_str()),
            Self::Save(session) => ("convosync/1 save", session.as_str()),
            Self::Summary => ("convosync/1 summary", ""),
            Self::Head => ("convosync/1 head", ""),
            Self::Roster => ("convosync/1 roster", ""),
            Self::Names => ("convosync/1 names", ""),
        }
    }

    /// Names the kind of object in errors.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Chunk(_) => "chunk",
            Self::Save(_) => "save record",
            Self::Summary => "summary",
            Self::Head => "head",
            Self::Roster => "roster",
            Self::Names => "name",
        }
    }
}

/// Length of a key commitment in bytes.
pub(super) const COMMITMENT_LEN: usize = 16;

/// Returns what ties a derived key to a nonce: without it one ciphertext could be made to open under
/// two keys.
pub(super) fn commitment(key: &Secret, nonce: &[u8]) -> [u8; COMMITMENT_LEN] {
    let mut committed = [0; COMMITMENT_LEN];
    Hkdf::<Sha256>::from_prk(&**key)
        .expect("a derived key is as long as the hash")
        .expand_multi_info(&[b"convosync/1 commitment", nonce], &mut committed)
        .expect("16 bytes are within what HKDF can give");
    committed
}

/// A vault's keys, in the order (counter, id). There is always one.
pub struct KeyRing {
    vault: VaultId,
    keys: Vec<VaultKey>,
}

impl KeyRing {
    /// Starts a ring with the vault's first key.
    pub fn new(vault: VaultId, first: VaultKey) -> Self {
        Self { vault, keys: vec![first] }
    }

    /// Adds a key; one that is there already changes nothing.
    ///
    /// # Errors
    /// [`SealError::KeyConflict`] for another secret or counter under a known id, for a key that
    /// would come before the first (all names hang on that one), and for one too many.
    pub fn add(&mut self, key: VaultKey) -> Result<(), SealError> {
        if let Some(known) = self.get(key.id) {
            let same = known.counter == key.counter && known.secret == key.secret;
            return if same { Ok(()) } else { Err(SealError::KeyConflict(key.id)) };
        }
        let at =
            self.keys.partition_point(|known| (known.counter, known.id) < (key.counter, key.id));
        if at == 0 || self.keys.len() == KEYS_MAX {
            return Err(SealError::KeyConflict(key.id));
        }
        self.keys.insert(at, key);
        Ok(())
    }

    /// Returns whose keys these are.
    pub fn vault(&self) -> VaultId {
        self.vault
    }

    /// Returns the key new objects are sealed under.
    pub fn current(&self) -> &VaultKey {
        self.keys.last().expect("a ring is made with a key and none is ever taken out")
    }

    /// Returns the key with this id.
    pub fn get(&self, id: KeyId) -> Option<&VaultKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Returns all keys, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &VaultKey> {
        self.keys.iter()
    }

    /// Returns what a session is called on the remote.
    pub fn session_name(&self, session: &SessionId) -> SessionName {
        SessionName(
            self.name(&Context::new("session", self.vault).item(session.as_str().as_bytes())),
        )
    }

    /// Returns what a log is called inside its session's commits.
    pub fn log_name(&self, session: &SessionId, log: &LogId) -> LogName {
        let context = Context::new("log", self.vault)
            .item(session.as_str().as_bytes())
            .item(&[role_byte(log.role)])
            .item(log.path.as_bytes());
        LogName(self.name(&context))
    }

    /// Names hang on the first key, so that they outlast every rotation.
    fn name(&self, context: &Context) -> [u8; SessionName::LEN] {
        let key = self.keys[0].derive(self.vault, Purpose::Names);
        let mac = Hmac::<Sha256>::new_from_slice(&*key).expect("HMAC takes keys of any length");
        let full = mac.chain_update(context.as_bytes()).finalize().into_bytes();
        *full.first_chunk().expect("a SHA-256 is longer than a name")
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({}, {:?})", self.vault, self.keys)
    }
}

/// Returns the byte that stands for a role.
pub(super) fn role_byte(role: Role) -> u8 {
    match role {
        Role::Main => 0,
        Role::Inside => 1,
        Role::Beside => 2,
        Role::Code => 3,
    }
}

/// Returns the role a byte stands for.
pub(super) fn role_of(byte: u8) -> Option<Role> {
    [Role::Main, Role::Inside, Role::Beside, Role::Code]
        .into_iter()
        .find(|&role| role_byte(role) == byte)
}

mod file {
    pub(super) const COUNTER: u8 = 1;
    pub(super) const ID: u8 = 2;
    pub(super) const SECRET: u8 = 3;
    /// An upper bound of one key's record with the field around it.
    pub(super) const KEY_BYTES_MAX: usize = 64;
}

impl KeyRing {
    /// Returns room enough for a record that holds all keys, so that its buffer never grows.
    pub(crate) fn record_len_max(&self) -> usize {
        self.keys.len() * file::KEY_BYTES_MAX
    }

    /// Writes all keys into a record that only key files and grants may hold.
    pub(crate) fn write(&self, record: &mut Writer, tag: u8) {
        for key in &self.keys {
            let mut one = Writer::with_capacity(file::KEY_BYTES_MAX);
            one.number(file::COUNTER, u64::from(key.counter))
                .bytes(file::ID, &key.id.0)
                .bytes(file::SECRET, &*key.secret);
            record.bytes(tag, &Zeroizing::new(one.finish()));
        }
    }

    /// Reads what [`KeyRing::write`] wrote.
    pub(crate) fn read(vault: VaultId, record: &Fields<'_>, tag: u8) -> Result<Self, WireError> {
        let mut keys: Vec<VaultKey> = Vec::new();
        for one in record.all(tag) {
            let fields = Fields::parse(one)?;
            let secret = Zeroizing::new(fields.required(file::SECRET)?);
            let key = VaultKey::from_parts(
                fields.number(file::COUNTER)?,
                KeyId(fields.required(file::ID)?),
                secret,
            );
            let follows =
                keys.last().is_none_or(|last| (last.counter, last.id) < (key.counter, key.id));
            if !follows || keys.iter().any(|known| known.id == key.id) || keys.len() == KEYS_MAX {
                return Err(WireError::Meaningless(tag));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(WireError::Missing(tag)) } else { Ok(Self { vault, keys }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SeededRandom;

    fn ring(counters: &[u32]) -> KeyRing {
        let random = &mut SeededRandom::new(1);
        let mut keys = counters
            .iter()
            .map(|&counter| VaultKey::create(counter, random))
            .collect::<Vec<_>>()
            .into_iter();
        let mut ring = KeyRing::new(VaultId([7; 8]), keys.next().unwrap());
        keys.for_each(|key| ring.add(key).unwrap());
        ring
    }

    #[test]
    fn the_current_key_is_the_last_in_the_order_of_counter_and_id() {
        let ring = ring(&[1, 3, 2, 3]);
        let order: Vec<_> = ring.iter().map(|key| (key.counter, key.id)).collect();
        assert!(order.is_sorted());
        assert_eq!((ring.current().counter, ring.current().id), order[3]);
    }

    #[test]
    fn names_outlast_a_rotation_and_differ_between_sessions_logs_and_vaults() {
        let (before, after) = (ring(&[1]), ring(&[1, 2]));
        let session = |text: &str| text.parse::<SessionId>().unwrap();
        let (one, two) = (session("one"), session("two"));
        assert_eq!(before.session_name(&one), after.session_name(&one));
        assert_ne!(before.session_name(&one), before.session_name(&two));
        let inside = LogId { role: Role::Inside, path: "a".into() };
        let beside = LogId { role: Role::Beside, path: "a".into() };
        assert_ne!(before.log_name(&one, &inside), before.log_name(&one, &beside));
        assert_ne!(before.log_name(&one, &inside), before.log_name(&two, &inside));
        assert_ne!(before.log_name(&one, &LogId::main()).0, before.session_name(&one).0);
        let other = KeyRing::new(VaultId([8; 8]), VaultKey::create(1, &mut SeededRandom::new(1)));
        assert_ne!(before.session_name(&one), other.session_name(&one));
    }

    #[test]
    fn a_ring_takes_no_key_that_would_change_what_is_there() {
        let random = &mut SeededRandom::new(3);
        let mut ring = ring(&[2, 3]);
        let id = ring.current().id;
        let stranger = VaultKey::from_parts(3, id, Zeroizing::new([9; 32]));
        assert_eq!(ring.add(stranger), Err(SealError::KeyConflict(id)));
        let earlier = VaultKey::create(1, random);
        let id = earlier.id;
        assert_eq!(ring.add(earlier), Err(SealError::KeyConflict(id)));
        let known = VaultKey::from_parts(3, ring.current().id, ring.current().secret.clone());
        assert_eq!(ring.add(known), Ok(()));
        assert_eq!(ring.iter().count(), 2);
    }

    #[test]
    fn every_purpose_has_a_key_of_its_own() {
        let (session, vault) = ("s".parse().unwrap(), VaultId([7; 8]));
        let purposes = [
            Purpose::Chunk(&session),
            Purpose::Save(&session),
            Purpose::Summary,
            Purpose::Head,
            Purpose::Roster,
            Purpose::Names,
        ];
        let ring = ring(&[1]);
        let derived: std::collections::BTreeSet<_> =
            purposes.map(|purpose| *ring.current().derive(vault, purpose)).into();
        assert_eq!(derived.len(), purposes.len());
    }

    #[test]
    fn no_secret_is_printed() {
        let ring = ring(&[1]);
        let secret = crate::id::hex(&ring.current().secret[..4]);
        let number =
            ring.current().secret[..4].iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let printed = format!("{ring:?} {:?}", ring.current());
        assert!(!printed.contains(&secret) && !printed.contains(&number), "{printed}");
    }
}
