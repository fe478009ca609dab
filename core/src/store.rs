//! Our own bare repositories: what is pushed from, and what is listed into.
//!
//! `own.git` holds the tips and session commits of this device and whole session commits adopted from
//! others; it is pushed from. `seen.git` is shallow and disposable and receives other devices' tips:
//! listing into `own.git` would make our own tip shallow there, and then packing would drop our chunks.
//! `full.git` exists only where a host gives no commit by its id, or no tip without its past.
//!
//! The room knows sealed bytes and no keys, and it never reaches the network ([`crate::remote`] does).
//! Everything is written first and made durable with its directories; the ref moves last, so a crash
//! leaves the old state or the new one ([`Store::move_ref`]).

mod durable;
mod error;
mod names;
mod object;
mod rename;
mod repository;
mod tip;
mod tree;
mod plan;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use git2::ObjectType;
use repository::Handle;

pub use error::StoreError;
pub use names::{RefKind, RefName};
pub(crate) use plan::{PushPlan, Step};
pub use tip::{CARD_MAX, GRANTS_MAX, HEAD_MAX, ROSTER_MAX, SESSIONS_MAX, SUMMARY_MAX, Tip};

use crate::disk;
use crate::id::{DeviceId, Oid, SessionName};

/// After so many tips the chain of tips is squashed into one whose parents are the sessions themselves:
/// old heads and summaries can then be collected, chunks cannot (DESIGN 5).
pub const SQUASH_EVERY: u64 = 200;
/// The largest sealed object that is read: 1 MiB of payload with header and padding fits easily.
pub const BLOB_MAX: usize = 2 << 20;
/// The largest list of names that is read: 100 000 entries of 50 bytes fit.
const TREE_MAX: usize = 8 << 20;

/// Which of the two repositories is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Ours, and what we adopted.
    Own,
    /// Other devices' tips as last listed.
    Seen,
}

/// The repositories that mirror one remote's ConvoSync refs. Cheap to clone; safe to share. Only one
/// process may hold it at a time: the daemon's instance lock sees to that.
#[derive(Clone)]
pub struct Store {
    dir: PathBuf,
    own: Arc<Mutex<Handle>>,
    seen: Arc<Mutex<Handle>>,
    fetching: Arc<Mutex<()>>,
    /// How many objects stayed loose when the store was last packed: no ref reaches them.
    left_loose: Arc<AtomicUsize>,
    /// The packs of `own.git` that are on the disk for good.
    synced: Arc<durable::Synced>,
    /// How often it was asked whether packing pays.
    asked_to_pack: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store below `dir` and makes what is missing of it. Locks left behind by a crash are
    /// removed.
    ///
    /// # Errors
    /// [`StoreError`] when a repository can be neither opened nor made.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        disk::private_dir(dir)?;
        let own = Handle::open(&dir.join("own.git"))?;
        let seen = Handle::open(&dir.join("seen.git"))?;
        Ok(Self {
            dir: dir.to_owned(),
            own: Arc::new(Mutex::new(own)),
            seen: Arc::new(Mutex::new(seen)),
            fetching: Arc::default(),
            left_loose: Arc::default(),
            synced: Arc::default(),
            asked_to_pack: Arc::default(),
        })
    }

    /// Returns the repository that is pushed from.
    pub fn own_dir(&self) -> PathBuf {
        self.dir.join("own.git")
    }

    /// Returns the repository that is listed into.
    pub fn seen_dir(&self) -> PathBuf {
        self.dir.join("seen.git")
    }

    /// Whether the host once had to be fetched whole, because it gives no commit by its id or no tip without
    /// its past.
    pub fn is_fetched_whole(&self) -> bool {
        self.full_if_any().is_some()
    }

    /// Returns the repository for such hosts where there is one already.
    pub(crate) fn full_if_any(&self) -> Option<PathBuf> {
        Some(self.dir.join("full.git")).filter(|path| path.is_dir())
    }

    /// Returns the repository for hosts that give no commit by its id, making it when missing.
    pub(crate) fn full_dir(&self) -> Result<PathBuf, StoreError> {
        let path = self.dir.join("full.git");
        repository::open(&path)?;
        Ok(path)
    }

    /// Lets one fetch at a time in, and clears away what a killed one left behind.
    pub(crate) fn fetching(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        let turn = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        for name in ["own.git", "seen.git", "full.git"] {
            repository::sweep_fetches(&self.dir.join(name))?;
        }
        Ok(turn)
    }

    fn lock(&self, at: Where) -> MutexGuard<'_, Handle> {
        let repository = match at {
            Where::Own => &self.own,
            Where::Seen => &self.seen,
        };
        // A panic while holding it leaves no half state in memory: the files are the state.
        repository.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where our ref stands in the store: what was last saved locally.
    ///
    /// # Errors
    /// [`StoreError`] when the ref cannot be read; one that is not there is no error.
    pub fn own_tip(&self, reference: &RefName) -> Result<Option<Oid>, StoreError> {
        repository::resolve(&self.lock(Where::Own), &reference.to_string())
    }

    /// Returns where another device's ref stood when it was last fetched.
    ///
    /// # Errors
    /// [`StoreError`] when the ref cannot be read; one that is not there is no error.
    pub fn seen_tip(&self, reference: &RefName) -> Result<Option<Oid>, StoreError> {
        repository::resolve(&self.lock(Where::Seen), &reference.to_string())
    }

    /// Notes that a listed tip of another device was checked and is believed: it stays, whatever its ref
    /// shows later.
    ///
    /// # Errors
    /// [`StoreError`] when the tip is not there or the note cannot be written.
    pub fn accept(&self, reference: &RefName, tip: Oid) -> Result<(), StoreError> {
        let repo = self.lock(Where::Seen);
        let name = names::accepted(reference);
        let old = repository::resolve(&repo, &name)?;
        if old != Some(tip) {
            object::commit(&repo, tip)?;
            durable::move_ref(&self.seen_dir(), &name, old, tip)?;
        }
        drop(repo);
        self.forget_siblings(reference)
    }

    /// Lists other devices' tips that were believed last.
    ///
    /// # Errors
    /// [`StoreError`] when the listings cannot be read.
    pub fn accepted(&self) -> Result<Vec<(RefName, Oid)>, StoreError> {
        repository::accepted(&self.lock(Where::Seen))
            .map_err(object::failed("list what was believed"))
    }

    /// Lists the session commits that were adopted under a name, with the device each came from.
    ///
    /// # Errors
    /// [`StoreError`] when the refs cannot be read.
    pub fn adopted(&self, name: SessionName) -> Result<Vec<(DeviceId, Oid)>, StoreError> {
        repository::adopted(&self.lock(Where::Own), name)
            .map_err(object::failed("list what was adopted"))
    }

    /// Reads a device's tip: everything a listing needs, sizes and counts bounded.
    ///
    /// # Errors
    /// [`StoreError`] when it is missing, of a newer format, or beyond a limit.
    pub fn read_tip(&self, at: Where, tip: Oid) -> Result<Tip, StoreError> {
        tip::read(&self.lock(at), tip)
    }

    /// Reads one sealed object of a commit in `own.git`; `None` when the commit has no such path.
    ///
    /// # Errors
    /// [`StoreError`] when the commit or the object is missing, strange or too large.
    pub fn read_blob(&self, commit: Oid, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut repo = self.lock(Where::Own);
        let root = object::tree_of(&repo, commit)?;
        match tree::find(&repo, root, path)? {
            None => Ok(None),
            Some(tree::Entry { is_tree: true, .. }) => {
                Err(StoreError::Strange { path: path.to_owned() })
            }
            Some(entry) => {
                let bytes = object::read_blob(&repo, entry.id, path, BLOB_MAX)?;
                repo.count(bytes.len());
                Ok(Some(bytes))
            }
        }
    }

    /// Lists the names in a folder of a commit in `own.git`, sorted; none when there is no such folder.
    ///
    /// # Errors
    /// [`StoreError`] when the commit is missing or `dir` is not a folder.
    pub fn list(&self, commit: Oid, dir: &str) -> Result<Vec<String>, StoreError> {
        let repo = self.lock(Where::Own);
        let root = object::tree_of(&repo, commit)?;
        let id = match tree::find(&repo, root, dir)? {
            None => return Ok(Vec::new()),
            Some(tree::Entry { is_tree: false, .. }) => {
                return Err(StoreError::Strange { path: dir.to_owned() });
            }
            Some(entry) => entry.id,
        };
        let mut names: Vec<_> = tree::read(&repo, id)?.into_keys().collect();
        names.sort();
        Ok(names)
    }

    /// Returns the parents of a commit.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the commit is not there.
    pub fn parents(&self, at: Where, commit: Oid) -> Result<Vec<Oid>, StoreError> {
        let repo = self.lock(at);
        let commit = object::commit(&repo, commit)?;
        Ok(commit.parent_ids().map(object::from_git2).collect())
    }

    /// Returns the previous commit of a session; none for its first.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the commit is not there.
    pub fn session_parent(&self, commit: Oid) -> Result<Option<Oid>, StoreError> {
        Ok(self.parents(Where::Own, commit)?.first().copied())
    }

    /// Whether one of our refs reaches the commit, which means that it is whole: refs move last. An object
    /// that merely lies there may be what an interrupted fetch left.
    pub fn has_commit(&self, commit: Oid) -> bool {
        repository::is_reached(&self.lock(Where::Own), commit).unwrap_or(false)
    }

    /// Whether `commit` is `ancestor` or comes after it.
    ///
    /// # Errors
    /// [`StoreError`] when one of them is not in `own.git`.
    pub fn descends_from(&self, commit: Oid, ancestor: Oid) -> Result<bool, StoreError> {
        let repo = self.lock(Where::Own);
        let (commit, ancestor) = (object::to_git2(commit), object::to_git2(ancestor));
        let descends = repo.graph_descendant_of(commit, ancestor);
        descends
            .map(|descends| descends || commit == ancestor)
            .map_err(object::failed("compare commits"))
    }

    /// Writes one sealed object that [`Self::commit_written`] will name, so that a large save need not be held
    /// in memory.
    ///
    /// # Errors
    /// [`StoreError`] when the disk is full.
    pub fn write(&self, sealed: &[u8]) -> Result<Oid, StoreError> {
        object::write(&self.lock(Where::Own), ObjectType::Blob, sealed)
    }

    /// Takes away objects that were written for a save that came to nothing. What is in a pack stays.
    pub fn unwrite(&self, written: &[(String, Oid)]) {
        let repo = self.lock(Where::Own);
        for (_, id) in written {
            if let Err(error) = disk::remove_file(&object::loose_path(&repo, *id)) {
                tracing::debug!(%error, "an object that nothing needs stays");
            }
        }
    }

    /// Writes a session's next commit: the tree of its first parent with `put` added and `drop` taken out.
    /// Further parents are other histories of the session that are to be kept. Nothing points to it before
    /// a tip does.
    ///
    /// # Errors
    /// [`StoreError`] when a path is bad, or a parent is missing, or the disk is full.
    pub fn commit_session(
        &self,
        parents: &[Oid],
        put: &[(String, Vec<u8>)],
        drop: &[String],
    ) -> Result<Oid, StoreError> {
        let written = tree::write(&self.lock(Where::Own), put)?;
        self.commit_written(parents, &written, drop)
    }

    /// Does the same with objects that were written before.
    ///
    /// # Errors
    /// As [`Self::commit_session`].
    pub fn commit_written(
        &self,
        parents: &[Oid],
        written: &[(String, Oid)],
        drop: &[String],
    ) -> Result<Oid, StoreError> {
        let repo = self.lock(Where::Own);
        let base = parents.first().map(|parent| object::tree_of(&repo, *parent)).transpose()?;
        let tree = tree::edit(&repo, base, written, drop)?;
        object::write_commit(&repo, tree, parents)
    }

    /// Writes the next tip: the previous tree with `put` added and `drop` taken out. Its parents are the
    /// previous tip and then `sessions`: the commits of other devices that are gone on from here, and the
    /// sessions that changed.
    ///
    /// # Errors
    /// [`StoreError`] when a path is bad, or a commit is missing, or the disk is full.
    pub fn commit_tip(
        &self,
        previous: Option<Oid>,
        sessions: &[Oid],
        put: &[(String, Vec<u8>)],
        drop: &[String],
    ) -> Result<Oid, StoreError> {
        let repo = self.lock(Where::Own);
        let base = previous.map(|previous| object::tree_of(&repo, previous)).transpose()?;
        let tree = tree::edit(&repo, base, &tree::write(&repo, put)?, drop)?;
        object::write_commit(
            &repo,
            tree,
            &unique(previous.into_iter().chain(sessions.iter().copied())),
        )
    }

    /// Writes a tip without a past: the tree of `tip` with `put` and `drop`, whose parents are all
    /// `sessions` and no previous tip. What no session needs any more is then unreachable.
    ///
    /// # Errors
    /// [`StoreError`] when a path is bad, or a commit is missing, or the disk is full.
    pub fn squash_tip(
        &self,
        tip: Oid,
        sessions: &[Oid],
        put: &[(String, Vec<u8>)],
        drop: &[String],
    ) -> Result<Oid, StoreError> {
        let repo = self.lock(Where::Own);
        let base = object::tree_of(&repo, tip)?;
        let tree = tree::edit(&repo, Some(base), &tree::write(&repo, put)?, drop)?;
        object::write_commit(&repo, tree, &unique(sessions.iter().copied()))
    }

    /// Counts the tips from `tip` back to the last squash or the beginning, stopping at `most`.
    #[cfg(test)]
    pub(crate) fn chain_length(&self, tip: Oid, most: u64) -> Result<u64, StoreError> {
        let repo = self.lock(Where::Own);
        let mut length = 0;
        let mut next = Some(tip);
        while let Some(id) = next.filter(|_| length < most) {
            if !tip::is_tip(&repo, id)? {
                break;
            }
            length += 1;
            next = object::commit(&repo, id)?.parent_id(0).ok().map(object::from_git2);
        }
        Ok(length)
    }

    /// Moves our ref from `old` to `new`, durably: when this returns, every object `new` reaches is on the
    /// disk, then the ref, with the directories they lie in.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when the ref is not at `old`, [`StoreError::Missing`] when `new` is not
    /// whole, or what the disk said. The ref is at `old` then.
    pub fn move_ref(
        &self,
        reference: &RefName,
        old: Option<Oid>,
        new: Oid,
    ) -> Result<(), StoreError> {
        let repo = self.lock(Where::Own);
        let found = repository::resolve(&repo, &reference.to_string())?;
        if found != old {
            return Err(StoreError::Moved {
                reference: reference.to_string(),
                expected: old,
                found,
            });
        }
        durable::sync_objects(&repo, old, new)?;
        durable::move_ref(&self.own_dir(), &reference.to_string(), old, new)
    }

    /// Names an adopted session commit, so that it is kept: under the device it came from, or under our own
    /// when our transcript goes on from it. `commit` must be in `own.git`.
    ///
    /// # Errors
    /// [`StoreError`] when the ref cannot be written.
    pub fn adopt(
        &self,
        name: SessionName,
        device: DeviceId,
        commit: Oid,
    ) -> Result<(), StoreError> {
        let repo = self.lock(Where::Own);
        let reference = names::adopted(name, device);
        let old = repository::resolve(&repo, &reference)?;
        object::commit(&repo, commit)?;
        self.synced.sync_packs(&self.own_dir())?;
        durable::move_ref(&self.own_dir(), &reference, old, commit)
    }

    /// Clears away what a killed fetch left in one of our repositories, and tells how large its half pack
    /// had become.
    pub(crate) fn clear_half_packs(&self, path: &Path) -> Result<u64, StoreError> {
        let largest = repository::largest_half_pack(path);
        repository::sweep_fetches(path)?;
        Ok(largest)
    }

    /// Writes the commit the remote is probed with: an empty tree, no parent.
    pub(crate) fn probe_commit(&self) -> Result<Oid, StoreError> {
        let repo = self.lock(Where::Own);
        let tree = tree::edit(&repo, None, &[], &[])?;
        object::write_commit(&repo, tree, &[])
    }
}

/// Keeps the first of each.
fn unique(ids: impl Iterator<Item = Oid>) -> Vec<Oid> {
    let mut seen = std::collections::HashSet::new();
    ids.filter(|id| seen.insert(*id)).collect()
}

#[cfg(test)]
mod tests;
