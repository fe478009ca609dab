//! Trees: read within limits, changed path by path.

use std::collections::BTreeMap;

use git2::{ObjectType, Repository};

use super::object;
use super::{StoreError, TREE_MAX};
use crate::id::Oid;

/// One entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) is_tree: bool,
    pub(super) id: Oid,
}

/// The entries of a tree by name.
pub(super) type Entries = BTreeMap<String, Entry>;

const FILE: &[u8] = b"100644";
const FOLDER: &[u8] = b"40000";

/// Reads a tree. Links, modules and executables are nothing we write; neither are odd names.
pub(super) fn read(repo: &Repository, id: Oid) -> Result<Entries, StoreError> {
    let bytes = object::read(repo, id, ObjectType::Tree, "a tree", TREE_MAX)?;
    let strange = || StoreError::Strange { path: format!("tree {id}") };
    let mut entries = Entries::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(strange)?;
        let end = rest
            .iter()
            .position(|byte| *byte == 0)
            .filter(|end| *end > space)
            .ok_or_else(strange)?;
        let id = rest.get(end + 1..end + 1 + Oid::LEN).ok_or_else(strange)?;
        let name = std::str::from_utf8(&rest[space + 1..end]).map_err(|_| strange())?;
        let is_tree = match &rest[..space] {
            FILE => false,
            FOLDER => true,
            _ => return Err(strange()),
        };
        if !is_name(name) {
            return Err(strange());
        }
        let entry = Entry { is_tree, id: Oid(id.try_into().map_err(|_| strange())?) };
        if entries.insert(name.to_owned(), entry).is_some() {
            return Err(strange());
        }
        rest = &rest[end + 1 + Oid::LEN..];
    }
    Ok(entries)
}

fn is_name(name: &str) -> bool {
    let odd = name.is_empty() || name == "." || name == ".." || name.eq_ignore_ascii_case(".git");
    !odd && !name.contains(['/', '\\', '\0'])
}

/// Finds what lies at `path` below a tree.
pub(super) fn find(repo: &Repository, root: Oid, path: &str) -> Result<Option<Entry>, StoreError> {
    let mut at = Entry { is_tree: true, id: root };
    for part in path.split('/') {
        if !at.is_tree {
            return Ok(None);
        }
        match read(repo, at.id)?.get(part) {
            Some(entry) => at = *entry,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// What shall become of the entries of one folder.
#[derive(Default)]
struct Edits {
    put: BTreeMap<String, Oid>,
    drop: Vec<String>,
    below: BTreeMap<String, Edits>,
}

impl Edits {
    fn folder(&mut self, path: &str) -> Result<(&mut Edits, String), StoreError> {
        let bad = || StoreError::BadPath { path: path.to_owned() };
        if !path.split('/').all(is_name) {
            return Err(bad());
        }
        let mut at = self;
        let mut parts = path.split('/');
        let last = parts.next_back().ok_or_else(bad)?;
        for part in parts {
            at = at.below.entry(part.to_owned()).or_default();
        }
        Ok((at, last.to_owned()))
    }
}

/// Writes objects and says under which ids, for [`edit`].
pub(super) fn write(
    repo: &Repository,
    put: &[(String, Vec<u8>)],
) -> Result<Vec<(String, Oid)>, StoreError> {
    put.iter()
        .map(|(path, bytes)| Ok((path.clone(), object::write(repo, ObjectType::Blob, bytes)?)))
        .collect()
}

/// Returns the tree that has `put` and has not `drop` (files or whole folders). What is dropped goes first,
/// so a path may be both.
pub(super) fn edit(
    repo: &Repository,
    base: Option<Oid>,
    put: &[(String, Oid)],
    drop: &[String],
) -> Result<Oid, StoreError> {
    let mut edits = Edits::default();
    for path in drop {
        let (folder, name) = edits.folder(path)?;
        folder.drop.push(name);
    }
    for (path, id) in put {
        let (folder, name) = edits.folder(path)?;
        folder.put.insert(name, *id);
    }
    let root = apply(repo, base, &edits)?;
    root.map_or_else(|| object::write(repo, ObjectType::Tree, &[]), Ok)
}

/// Returns the changed tree, or nothing when it has no entry left.
fn apply(repo: &Repository, base: Option<Oid>, edits: &Edits) -> Result<Option<Oid>, StoreError> {
    let mut entries = base.map(|base| read(repo, base)).transpose()?.unwrap_or_default();
    for name in &edits.drop {
        entries.remove(name);
    }
    for (name, below) in &edits.below {
        let old = entries.get(name).filter(|entry| entry.is_tree).map(|entry| entry.id);
        match apply(repo, old, below)? {
            Some(id) => drop(entries.insert(name.clone(), Entry { is_tree: true, id })),
            None => drop(entries.remove(name)),
        }
    }
    for (name, id) in &edits.put {
        if edits
            .below
            .get(name)
            .is_some_and(|below| !below.put.is_empty() || !below.below.is_empty())
        {
            return Err(StoreError::BadPath { path: name.clone() });
        }
        entries.insert(name.clone(), Entry { is_tree: false, id: *id });
    }
    if entries.is_empty() {
        return Ok(None);
    }
    object::write(repo, ObjectType::Tree, &encode(&entries)).map(Some)
}

/// Git sorts a folder as if its name ended in a slash.
fn encode(entries: &Entries) -> Vec<u8> {
    let key = |(name, entry): &(&String, &Entry)| {
        format!("{name}{}", if entry.is_tree { "/" } else { "" })
    };
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_cached_key(key);
    let mut bytes = Vec::new();
    for (name, entry) in sorted {
        bytes.extend_from_slice(if entry.is_tree { FOLDER } else { FILE });
        bytes.push(b' ');
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&entry.id.0);
    }
    bytes
}
