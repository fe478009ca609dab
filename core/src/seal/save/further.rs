//! Repositories that a session worked in beside the one it belongs to, in a save's record.
//!
//! They stand in fields of their own, which readers that know nothing of them pass over.

use super::{CodePoint, read_code, write_code};
use crate::id::{DeviceId, RepositoryKey};
use crate::seal::head::cut;
use crate::wire::{Fields, WireError, Writer};

/// So many further repositories of a session are named: those whose code is saved, and some that say why not.
pub const FURTHER_MAX: usize = 32;

/// The longest name or address of a repository in bytes; what is longer is cut.
const NAME_MAX: usize = 1 << 10;
/// The most names by which a repository is known.
const IDS_MAX: usize = 8;

mod tag {
    pub(super) const KEY: u8 = 1;
    pub(super) const DEVICE: u8 = 2;
    pub(super) const NAME: u8 = 3;
    pub(super) const ID: u8 = 4;
    pub(super) const ADDRESS: u8 = 5;
    pub(super) const CODE: u8 = 6;
}

/// A repository that a session worked in beside the one it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Further {
    /// What its code log is called.
    pub key: RepositoryKey,
    /// The device on which it stood so.
    pub device: DeviceId,
    /// What people call it.
    pub name: String,
    /// Names under which other devices may know it, the most telling first.
    pub ids: Vec<String>,
    /// Where it can be cloned from, without credentials.
    pub address: Option<String>,
    /// What it looked like.
    pub code: CodePoint,
}

pub(super) fn write(further: &Further) -> Vec<u8> {
    let mut record = Writer::new();
    record
        .bytes(tag::KEY, &further.key.0)
        .bytes(tag::DEVICE, &further.device.0)
        .text(tag::NAME, cut(&further.name, NAME_MAX));
    for id in further.ids.iter().take(IDS_MAX) {
        record.text(tag::ID, cut(id, NAME_MAX));
    }
    let address = further.address.as_deref().map(|address| cut(address, NAME_MAX).as_bytes());
    record.optional(tag::ADDRESS, address).bytes(tag::CODE, &write_code(&further.code));
    record.finish()
}

pub(super) fn read(bytes: &[u8]) -> Result<Further, WireError> {
    let fields = Fields::parse(bytes)?;
    let id = |id: &[u8]| match std::str::from_utf8(id) {
        Ok(id) if id.len() <= NAME_MAX => Ok(id.to_owned()),
        Ok(_) => Err(WireError::Length { tag: tag::ID, len: id.len() }),
        Err(_) => Err(WireError::NotText(tag::ID)),
    };
    Ok(Further {
        key: RepositoryKey(fields.required(tag::KEY)?),
        device: DeviceId(fields.required(tag::DEVICE)?),
        name: fields.text(tag::NAME, NAME_MAX)?.unwrap_or_default(),
        ids: fields.all(tag::ID).take(IDS_MAX).map(id).collect::<Result<_, _>>()?,
        address: fields.text(tag::ADDRESS, NAME_MAX)?,
        code: read_code(fields.bytes(tag::CODE)?.ok_or(WireError::Missing(tag::CODE))?)?,
    })
}
