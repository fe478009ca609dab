//! The three files: how they are read, checked and written.
//!
//! ```text
//! magic "cvsv" | format 1 | kind of file | SHA-256 of the record 32 | record
//! ```
//!
//! The digest is no protection against people, only against disks: a key with a flipped bit would
//! make this device somebody else.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Vault, VaultError};
use crate::disk;
use crate::id::{DeviceId, Digest, VaultId};
use crate::seal::{DeviceKind, GRANT_MAX, Identity, KeyRing, NAME_MAX, Roster, Sealed};
use crate::wire::{Fields, WireError, Writer};

const MAGIC: [u8; 4] = *b"cvsv";
const FORMAT: u8 = 1;
const HEADER_LEN: usize = MAGIC.len() + 2 + Digest::LEN;

/// The largest file that is read: a roster, and grants for a few devices with every key there can be.
const FILE_MAX: u64 = 8 << 20;

/// One of the three files.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Identity = 1,
    Keys = 2,
    Public = 3,
}

impl Kind {
    fn file_name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Keys => "keys",
            Self::Public => "public",
        }
    }
}

/// The names of all three.
pub(super) fn names() -> [&'static str; 3] {
    [Kind::Identity, Kind::Keys, Kind::Public].map(Kind::file_name)
}

mod tag {
    /// In `identity`.
    pub(super) const DEVICE: u8 = 1;
    pub(super) const AGE: u8 = 2;
    pub(super) const SIGNING: u8 = 3;

    /// In `keys`.
    pub(super) const VAULT: u8 = 1;
    pub(super) const KEY: u8 = 2;

    /// In `public`.
    pub(super) const NAME: u8 = 1;
    pub(super) const KIND: u8 = 2;
    pub(super) const CARD: u8 = 3;
    pub(super) const ROSTER: u8 = 4;
    pub(super) const GRANT: u8 = 5;

    /// In a grant's field.
    pub(super) const GRANT_DEVICE: u8 = 1;
    pub(super) const GRANT_BYTES: u8 = 2;
}

/// Returns whether anything stands at `path`, a dangling link included.
pub(super) fn exists(path: &Path) -> Result<bool, VaultError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(VaultError::Io { deed: "look at", path: path.to_owned(), source }),
    }
}

/// Checks that the folder is one that only we can enter.
pub(super) fn check_dir(path: &Path) -> Result<(), VaultError> {
    let metadata = look(path)?;
    if !metadata.is_dir() {
        return Err(VaultError::WrongKind { path: path.to_owned(), expected: "directory" });
    }
    check_private(path, &metadata, 0o700)
}

/// Writes all three files into an empty folder.
pub(super) fn write(folder: &Path, vault: &Vault) -> Result<(), VaultError> {
    let (age, signing) = vault.identity.secrets();
    let mut identity = Writer::with_capacity(128);
    identity
        .bytes(tag::DEVICE, &vault.identity.device().0)
        .bytes(tag::AGE, age)
        .bytes(tag::SIGNING, signing);
    write_file(folder, Kind::Identity, identity)?;

    let mut keys = Writer::with_capacity(32 + vault.keys.record_len_max());
    keys.bytes(tag::VAULT, &vault.keys.vault().0);
    vault.keys.write(&mut keys, tag::KEY);
    write_file(folder, Kind::Keys, keys)?;

    let mut public = Writer::new();
    public
        .text(tag::NAME, &vault.name)
        .number(tag::KIND, u64::from(vault.kind.byte()))
        .bytes(tag::CARD, &vault.card)
        .bytes(tag::ROSTER, vault.sealed_roster.as_bytes());
    for (device, bytes) in &vault.grants {
        let mut grant = Writer::new();
        grant.bytes(tag::GRANT_DEVICE, &device.0).bytes(tag::GRANT_BYTES, bytes);
        public.bytes(tag::GRANT, &grant.finish());
    }
    write_file(folder, Kind::Public, public)
}

/// Reads all three files. That they belong together is checked elsewhere.
pub(super) fn read(folder: &Path) -> Result<Vault, VaultError> {
    let identity = read_file(folder, Kind::Identity, |fields| {
        let age = Zeroizing::new(fields.required(tag::AGE)?);
        let signing = Zeroizing::new(fields.required(tag::SIGNING)?);
        Ok(Identity::from_parts(DeviceId(fields.required(tag::DEVICE)?), age, &signing))
    })?;
    let keys = read_file(folder, Kind::Keys, |fields| {
        KeyRing::read(VaultId(fields.required(tag::VAULT)?), fields, tag::KEY)
    })?;
    let public = read_file(folder, Kind::Public, read_public)?;
    let path = folder.join(Kind::Public.file_name());
    let disagree = |source| VaultError::Disagree { path: path.clone(), source };
    let sealed_roster = Sealed::from_bytes(public.roster).map_err(disagree)?;
    let roster = Roster::open(&keys, &sealed_roster).map_err(disagree)?;
    let Public { name, kind, card, grants, .. } = public;
    Ok(Vault { identity, keys, roster, sealed_roster, name, kind, card, grants })
}

struct Public {
    name: String,
    kind: DeviceKind,
    card: Vec<u8>,
    roster: Vec<u8>,
    grants: BTreeMap<DeviceId, Vec<u8>>,
}

fn read_public(fields: &Fields<'_>) -> Result<Public, WireError> {
    let grant = |bytes| {
        let fields = Fields::parse(bytes)?;
        let sealed = fields.bytes(tag::GRANT_BYTES)?.ok_or(WireError::Missing(tag::GRANT_BYTES))?;
        if sealed.len() > GRANT_MAX {
            return Err(WireError::Length { tag: tag::GRANT_BYTES, len: sealed.len() });
        }
        Ok((DeviceId(fields.required(tag::GRANT_DEVICE)?), sealed.to_vec()))
    };
    let whole = |tag| Ok(fields.bytes(tag)?.ok_or(WireError::Missing(tag))?.to_vec());
    Ok(Public {
        name: fields.text(tag::NAME, NAME_MAX)?.ok_or(WireError::Missing(tag::NAME))?,
        kind: DeviceKind::read(fields, tag::KIND)?,
        card: whole(tag::CARD)?,
        roster: whole(tag::ROSTER)?,
        grants: fields.all(tag::GRANT).map(grant).collect::<Result<_, _>>()?,
    })
}

fn write_file(folder: &Path, kind: Kind, record: Writer) -> Result<(), VaultError> {
    let record = Zeroizing::new(record.finish());
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER_LEN + record.len()));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[FORMAT, kind as u8]);
    bytes.extend_from_slice(&Digest::of(&record).0);
    bytes.extend_from_slice(&record);
    Ok(disk::create_new(&folder.join(kind.file_name()), &bytes)?)
}

fn read_file<T>(
    folder: &Path,
    kind: Kind,
    read: impl FnOnce(&Fields<'_>) -> Result<T, WireError>,
) -> Result<T, VaultError> {
    let path = folder.join(kind.file_name());
    let bytes = read_private(&path)?;
    let damaged = || VaultError::Damaged { path: path.clone() };
    let rest = bytes.strip_prefix(&MAGIC).ok_or_else(damaged)?;
    let (&[format, found], rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    if format > FORMAT {
        return Err(VaultError::Newer { path, format });
    }
    let (digest, record) = rest.split_first_chunk().ok_or_else(damaged)?;
    if format != FORMAT || found != kind as u8 || Digest::of(record) != Digest(*digest) {
        return Err(damaged());
    }
    Fields::parse(record)
        .and_then(|fields| read(&fields))
        .map_err(|source| VaultError::Malformed { path: path.clone(), source })
}

pub(super) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let metadata = match look(path) {
        Err(VaultError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(VaultError::Missing { path: path.to_owned() });
        }
        other => other?,
    };
    if !metadata.is_file() {
        return Err(VaultError::WrongKind { path: path.to_owned(), expected: "file" });
    }
    check_private(path, &metadata, 0o600)?;
    if metadata.len() > FILE_MAX {
        return Err(VaultError::Damaged { path: path.to_owned() });
    }
    // Room for all of it at once: a buffer that grew would leave secrets behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    let read = File::open(path).and_then(|file| file.take(metadata.len()).read_to_end(&mut bytes));
    read.map_err(|source| VaultError::Io { deed: "read", path: path.to_owned(), source })?;
    Ok(bytes)
}

fn look(path: &Path) -> Result<Metadata, VaultError> {
    fs::symlink_metadata(path).map_err(|source| VaultError::Io {
        deed: "look at",
        path: path.to_owned(),
        source,
    })
}

fn check_private(path: &Path, metadata: &Metadata, should_be: u32) -> Result<(), VaultError> {
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(VaultError::NotOurs { path: path.to_owned() });
    }
    if mode & 0o077 != 0 {
        return Err(VaultError::TooOpen { path: path.to_owned(), mode, should_be });
    }
    Ok(())
}
