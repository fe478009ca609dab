//! What a device's tip holds, read within limits: it may come from anybody who can push.

use std::collections::BTreeMap;

use git2::Repository;

use super::tree::{self, Entry};
use super::{StoreError, object};
use crate::id::{DeviceId, Oid, SessionName};

/// How many sessions one device may list: a heavy user has some thousands.
pub const SESSIONS_MAX: usize = 50_000;
/// How many devices a tip may hold grants for.
pub const GRANTS_MAX: usize = 256;
/// The largest card, and the largest grant, in bytes: both hold some keys.
pub const CARD_MAX: usize = 64 << 10;
/// The largest head: it names the heads of all other devices and all tombstones.
pub const HEAD_MAX: usize = 1 << 20;
/// The largest roster: an entry has some hundred bytes.
pub const ROSTER_MAX: usize = 1 << 20;
/// The largest summary: they are padded to 512 or 1024 bytes; later versions may need more.
pub const SUMMARY_MAX: usize = 4 << 10;

/// The format we write.
const FORMAT: &str = "convosync 1\n";
/// How long the statement of a format may be.
const FORMAT_MAX: usize = 64;

/// Everything a tip's tree says, still sealed. A device that is not enrolled yet has only a card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tip {
    /// The format's name.
    pub format: String,
    /// The device's public keys, signed.
    pub card: Option<Vec<u8>>,
    /// The sealed head.
    pub head: Option<Vec<u8>>,
    /// The sealed roster.
    pub roster: Option<Vec<u8>>,
    /// Grants by recipient.
    pub grants: BTreeMap<DeviceId, Vec<u8>>,
    /// Sealed summaries by session.
    pub sessions: BTreeMap<SessionName, Vec<u8>>,
}

/// Whether a commit is a tip rather than a session's.
pub(super) fn is_tip(repo: &Repository, commit: Oid) -> Result<bool, StoreError> {
    let root = tree::read(repo, object::tree_of(repo, commit)?)?;
    Ok(root.contains_key("format"))
}

/// Reads a tip. Entries of names we do not know are for later versions and are passed over.
pub(super) fn read(repo: &Repository, id: Oid) -> Result<Tip, StoreError> {
    let root = tree::read(repo, object::tree_of(repo, id)?)?;
    let blob = |name: &str, limit| {
        file(&root, name)?.map(|id| object::read_blob(repo, id, name, limit)).transpose()
    };
    let format =
        String::from_utf8_lossy(&blob("format", FORMAT_MAX)?.unwrap_or_default()).into_owned();
    if format != FORMAT {
        let format = format.chars().filter(|c| !c.is_control()).collect();
        return Err(StoreError::NewerFormat { tip: id, format });
    }
    let (card, head, roster) =
        (blob("card", CARD_MAX)?, blob("head", HEAD_MAX)?, blob("roster", ROSTER_MAX)?);
    let grants = grants(repo, folder(&root, "grants")?)?;
    let sessions = sessions(repo, folder(&root, "sessions")?)?;
    Ok(Tip { format, card, head, roster, grants, sessions })
}

fn file(entries: &tree::Entries, name: &str) -> Result<Option<Oid>, StoreError> {
    match entries.get(name) {
        Some(Entry { is_tree: true, .. }) => Err(StoreError::Strange { path: name.to_owned() }),
        found => Ok(found.map(|entry| entry.id)),
    }
}

fn folder(entries: &tree::Entries, name: &str) -> Result<Option<Oid>, StoreError> {
    match entries.get(name) {
        Some(Entry { is_tree: false, .. }) => Err(StoreError::Strange { path: name.to_owned() }),
        found => Ok(found.map(|entry| entry.id)),
    }
}

fn grants(
    repo: &Repository,
    folder: Option<Oid>,
) -> Result<BTreeMap<DeviceId, Vec<u8>>, StoreError> {
    let entries = folder.map(|id| tree::read(repo, id)).transpose()?.unwrap_or_default();
    bounded("grants", entries.len(), GRANTS_MAX)?;
    let known = entries.iter().filter_map(|(name, entry)| Some((name, name.parse().ok()?, entry)));
    known
        .filter(|(_, _, entry)| !entry.is_tree)
        .map(|(name, device, entry)| {
            Ok((device, object::read_blob(repo, entry.id, name, CARD_MAX)?))
        })
        .collect()
}

fn sessions(
    repo: &Repository,
    folder: Option<Oid>,
) -> Result<BTreeMap<SessionName, Vec<u8>>, StoreError> {
    let shelves = folder.map(|id| tree::read(repo, id)).transpose()?.unwrap_or_default();
    let mut sessions = BTreeMap::new();
    // One hex digit each: what is called otherwise is not ours.
    for (digit, shelf) in shelves.iter().filter(|(digit, shelf)| digit.len() == 1 && shelf.is_tree)
    {
        let entries = tree::read(repo, shelf.id)?;
        bounded("sessions", sessions.len() + entries.len(), SESSIONS_MAX)?;
        for (text, entry) in entries
            .iter()
            .filter(|(text, entry)| text.starts_with(digit.as_str()) && !entry.is_tree)
        {
            let Ok(name) = text.parse::<SessionName>() else { continue };
            sessions.insert(name, object::read_blob(repo, entry.id, text, SUMMARY_MAX)?);
        }
    }
    Ok(sessions)
}

fn bounded(what: &str, found: usize, limit: usize) -> Result<(), StoreError> {
    if found > limit {
        Err(StoreError::TooLarge { what: what.to_owned(), found, limit })
    } else {
        Ok(())
    }
}
