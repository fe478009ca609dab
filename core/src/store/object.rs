//! Single objects: read within limits, written so that a damaged leftover is replaced.

use std::path::PathBuf;

use git2::{Commit, ObjectType, Repository};

use super::StoreError;
use crate::disk;
use crate::id::Oid;

/// Who made every commit, when, and what it says: the same for all, so that they tell nothing.
const SIGNATURE: &str = "convosync <convosync@invalid> 0 +0000";
/// What every commit says.
const MESSAGE: &str = "convosync";

/// Wraps what libgit2 says.
pub(super) fn failed(deed: &str) -> impl FnOnce(git2::Error) -> StoreError {
    let deed = deed.to_owned();
    move |source| StoreError::Git2 { deed, source }
}

pub(super) fn to_git2(id: Oid) -> git2::Oid {
    git2::Oid::from_bytes(&id.0).expect("an id has as many bytes as git2 wants")
}

pub(super) fn from_git2(id: git2::Oid) -> Oid {
    Oid(id.as_bytes().try_into().expect("our repositories use SHA-1"))
}

/// Finds a commit.
pub(super) fn commit(repo: &Repository, id: Oid) -> Result<Commit<'_>, StoreError> {
    repo.find_commit(to_git2(id)).map_err(|_| StoreError::Missing { id })
}

/// Returns the tree of a commit.
pub(super) fn tree_of(repo: &Repository, id: Oid) -> Result<Oid, StoreError> {
    commit(repo, id).map(|commit| from_git2(commit.tree_id()))
}

/// Reads an object after looking at its size.
pub(super) fn read(
    repo: &Repository,
    id: Oid,
    kind: ObjectType,
    what: &str,
    limit: usize,
) -> Result<Vec<u8>, StoreError> {
    let missing = |_| StoreError::Missing { id };
    let odb = repo.odb().map_err(failed("open the objects"))?;
    let (found, found_kind) = odb.read_header(to_git2(id)).map_err(missing)?;
    if found_kind != kind {
        return Err(StoreError::Strange { path: what.to_owned() });
    }
    if found > limit {
        return Err(StoreError::TooLarge { what: what.to_owned(), found, limit });
    }
    let object = odb.read(to_git2(id)).map_err(missing)?;
    Ok(object.data().to_vec())
}

/// Reads a blob after looking at its size.
pub(super) fn read_blob(
    repo: &Repository,
    id: Oid,
    what: &str,
    limit: usize,
) -> Result<Vec<u8>, StoreError> {
    read(repo, id, ObjectType::Blob, what, limit)
}

/// Where an object lies when it is in no pack.
pub(super) fn loose_path(repo: &Repository, id: Oid) -> PathBuf {
    let hex = id.to_string();
    repo.path().join("objects").join(&hex[..2]).join(&hex[2..])
}

/// Writes an object. One that is there is read first: after a power failure its file may be empty, and
/// git would take it for written.
pub(super) fn write(repo: &Repository, kind: ObjectType, bytes: &[u8]) -> Result<Oid, StoreError> {
    let odb = repo.odb().map_err(failed("open the objects"))?;
    let id = git2::Oid::hash_object(kind, bytes).map_err(failed("name an object"))?;
    if odb.exists(id) {
        if odb.read(id).is_ok_and(|object| object.data() == bytes) {
            return Ok(from_git2(id));
        }
        disk::remove_file(&loose_path(repo, from_git2(id)))?;
    }
    odb.write(kind, bytes).map(from_git2).map_err(failed("write an object"))
}

/// Writes a commit with our constants.
pub(super) fn write_commit(
    repo: &Repository,
    tree: Oid,
    parents: &[Oid],
) -> Result<Oid, StoreError> {
    use std::fmt::Write as _;
    let mut text = format!("tree {tree}\n");
    for parent in parents {
        commit(repo, *parent)?;
        writeln!(text, "parent {parent}").expect("writing to a string cannot fail");
    }
    write!(text, "author {SIGNATURE}\ncommitter {SIGNATURE}\n\n{MESSAGE}\n")
        .expect("writing to a string cannot fail");
    write(repo, ObjectType::Commit, text.as_bytes())
}
