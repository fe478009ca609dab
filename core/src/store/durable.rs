//! Makes objects and refs survive a power failure, before anyone is told that they are saved.
//!
//! Neither git nor libgit2 syncs the directories in which objects get their names. What a ref will reach
//! is therefore synced from here, by path, and looked at on the way: a ref never names a commit that is
//! not whole.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use git2::Repository;

use super::object::{failed, from_git2, loose_path, to_git2};
use super::tree::{self, Entry};
use super::{StoreError, names, object, repository};
use crate::disk;
use crate::id::Oid;

/// Syncs every object that `new` reaches and `old` and the adopted commits do not.
pub(super) fn sync_objects(
    repo: &Repository,
    old: Option<Oid>,
    new: Oid,
) -> Result<(), StoreError> {
    let mut sync = Sync { repo, done: HashSet::new(), dirs: BTreeSet::new() };
    for id in new_commits(repo, old, new)? {
        sync.commit(id, old)?;
    }
    for dir in &sync.dirs {
        disk::fsync_dir(dir)?;
    }
    disk::fsync_dir(&repo.path().join("objects"))?;
    Ok(())
}

fn new_commits(repo: &Repository, old: Option<Oid>, new: Oid) -> Result<Vec<Oid>, StoreError> {
    let walk = || -> Result<Vec<Oid>, git2::Error> {
        let mut walk = repo.revwalk()?;
        walk.push(to_git2(new))?;
        if let Some(old) = old {
            walk.hide(to_git2(old))?;
        }
        walk.hide_glob(&format!("{}*", names::ADOPTED))?;
        walk.map(|id| id.map(from_git2)).collect()
    };
    walk().map_err(failed(&format!("follow commit {new}")))
}

struct Sync<'a> {
    repo: &'a Repository,
    done: HashSet<Oid>,
    dirs: BTreeSet<PathBuf>,
}

impl Sync<'_> {
    fn commit(&mut self, id: Oid, old: Option<Oid>) -> Result<(), StoreError> {
        let commit = object::commit(self.repo, id)?;
        self.object(id)?;
        let mut known: Vec<Oid> = Vec::new();
        for parent in commit.parent_ids().map(from_git2).chain(old) {
            known.push(object::tree_of(self.repo, parent)?);
        }
        self.tree(from_git2(commit.tree_id()), &known)
    }

    /// Syncs a tree without what stands under the same name in one of the `known` trees.
    fn tree(&mut self, id: Oid, known: &[Oid]) -> Result<(), StoreError> {
        if known.contains(&id) || !self.object(id)? {
            return Ok(());
        }
        let known: Vec<_> =
            known.iter().map(|id| tree::read(self.repo, *id)).collect::<Result<_, _>>()?;
        for (name, entry) in tree::read(self.repo, id)? {
            let same: Vec<Entry> =
                known.iter().filter_map(|entries| entries.get(&name).copied()).collect();
            if same.contains(&entry) {
                continue;
            }
            if entry.is_tree {
                let trees: Vec<_> =
                    same.iter().filter(|entry| entry.is_tree).map(|entry| entry.id).collect();
                self.tree(entry.id, &trees)?;
            } else {
                self.object(entry.id)?;
            }
        }
        Ok(())
    }

    /// Syncs one object; false when it was done before. What lies in a pack was synced with it.
    fn object(&mut self, id: Oid) -> Result<bool, StoreError> {
        if !self.done.insert(id) {
            return Ok(false);
        }
        let path = loose_path(self.repo, id);
        match File::open(&path) {
            Ok(file) => {
                file.sync_all().map_err(|source| StoreError::Io {
                    deed: "sync",
                    path: path.clone(),
                    source,
                })?;
                self.dirs.extend(path.parent().map(Path::to_owned));
            }
            Err(_) if self.repo.odb().is_ok_and(|odb| odb.exists(to_git2(id))) => {}
            Err(_) => return Err(StoreError::Missing { id }),
        }
        Ok(true)
    }
}

/// The files of packs that are on the disk for good, as they stood when they were synced: a file that was
/// made anew under an old name is another one.
#[derive(Debug, Default)]
pub(super) struct Synced(Mutex<HashMap<PathBuf, (u64, i64, i64)>>);

impl Synced {
    /// Syncs the packs that are new, and their directory: git does not sync the directory. What is new is
    /// what this process has not synced; after a start that is all. Returns how many files were.
    pub(super) fn sync_packs(&self, repo: &Path) -> Result<usize, StoreError> {
        // A panic while holding it leaves a file less in the list: it is synced once more.
        let mut synced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = repo.join("objects/pack");
        let mut there = HashMap::new();
        let mut new = 0;
        for path in files(&dir)? {
            let failed = |source| StoreError::Io { deed: "sync", path: path.clone(), source };
            let file = File::open(&path).map_err(failed)?;
            let found = file.metadata().map_err(failed)?;
            let state = (found.ino(), found.ctime(), found.ctime_nsec());
            if synced.get(&path) != Some(&state) {
                file.sync_all().map_err(failed)?;
                new += 1;
            }
            there.insert(path, state);
        }
        if new > 0 {
            disk::fsync_dir(&dir)?;
            disk::fsync_dir(&repo.join("objects"))?;
        }
        *synced = there;
        Ok(new)
    }
}

/// Counts the packs.
pub(super) fn packs(repo: &Path) -> Result<usize, StoreError> {
    let files = files(&repo.join("objects/pack"))?;
    Ok(files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "pack"))
        .count())
}

/// Counts the objects that are in no pack.
pub(super) fn loose(repo: &Path) -> Result<usize, StoreError> {
    let is_fan_out = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 2);
    let shelves = files(&repo.join("objects"))?.into_iter().filter(is_fan_out);
    shelves.map(|shelf| Ok(files(&shelf)?.len())).sum()
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = std::fs::read_dir(dir).map_err(|source| StoreError::Io {
        deed: "list",
        path: dir.to_owned(),
        source,
    })?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Moves a ref and syncs it with every directory above it.
pub(super) fn move_ref(
    dir: &Path,
    reference: &str,
    old: Option<Oid>,
    new: Oid,
) -> Result<(), StoreError> {
    let repo = repository::reopen(dir, repository::Mode::Durable)?;
    let moved = match old {
        Some(old) => repo.reference_matching(reference, to_git2(new), true, to_git2(old), ""),
        None => repo.reference(reference, to_git2(new), false, ""),
    };
    moved.map_err(failed(&format!("move ref `{reference}`")))?;
    let synced = sync_above(dir, reference);
    if synced.is_err() {
        put_back(&repo, reference, old, new);
    }
    synced
}

fn sync_above(dir: &Path, reference: &str) -> Result<(), StoreError> {
    let path = dir.join(reference);
    for above in path.ancestors().skip(1).take_while(|above| above.starts_with(dir)) {
        disk::fsync_dir(above)?;
    }
    Ok(())
}

/// Undoes a move that could not be made durable, so that it is made again as a whole. On a disk where this
/// fails, too, the ref is where it was moved to, which is as good a state as the old one.
fn put_back(repo: &Repository, reference: &str, old: Option<Oid>, new: Oid) {
    let undone = match old {
        Some(old) => {
            repo.reference_matching(reference, to_git2(old), true, to_git2(new), "").map(drop)
        }
        None => repo.find_reference(reference).and_then(|mut moved| moved.delete()),
    };
    undone.unwrap_or_default();
}
