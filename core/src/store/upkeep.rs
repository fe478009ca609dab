//! Keeps `own.git` quick to look things up in: packs what lies about one by one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Store, StoreError, Where, durable, object};
use crate::git::Git;

/// From how many loose objects on the store is packed: a save leaves about a dozen, so every fifty saves.
pub(super) const LOOSE_MAX: usize = 600;
/// The loose objects are counted at every tenth question: that lists 256 directories, and a few saves more or
/// less do not matter.
pub(super) const COUNTS_EVERY: usize = 10;
/// From how many packs on they are put together: lookups slow down with each.
pub(super) const PACKS_MAX: usize = 30;
/// How long packing may take.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

impl Store {
    /// Whether so many objects lie about that packing them pays. Counts them on the disk, so that it holds
    /// whatever made them and however often the daemon was started since; but not at each question.
    ///
    /// # Errors
    /// [`StoreError`] when a directory cannot be listed.
    pub fn wants_packing(&self) -> Result<bool, StoreError> {
        if !self.asked_to_pack.fetch_add(1, Ordering::Relaxed).is_multiple_of(COUNTS_EVERY) {
            return Ok(false);
        }
        let loose = durable::loose(&self.own_dir())?;
        Ok(loose.saturating_sub(self.left_loose.load(Ordering::Relaxed)) >= LOOSE_MAX)
    }

    /// Packs what lies about one by one. Nothing that can be reached is lost, and no bitmap is made: they
    /// would keep git from sending thin packs.
    ///
    /// # Errors
    /// [`StoreError`] when git fails; the store is as good as before then.
    pub fn maintain(&self, git: &Git) -> Result<(), StoreError> {
        self.pack(git, &["repack", "--no-write-bitmap-index", "-q"])?;
        self.synced.sync_packs(&self.own_dir())?;
        // Held, so that no object is written while loose ones are taken away; making a pack, which may take a
        // minute, disturbs nobody.
        let repo = self.lock(Where::Own);
        self.pack(git, &["prune-packed", "-q"])?;
        drop(repo);
        if durable::packs(&self.own_dir())? > PACKS_MAX {
            self.pack(git, &["repack", "--geometric=2", "-d", "--no-write-bitmap-index", "-q"])?;
            self.synced.sync_packs(&self.own_dir())?;
        }
        // What no ref reaches stays loose: counted again, it would have the store packed at every save.
        self.left_loose.store(durable::loose(&self.own_dir())?, Ordering::Relaxed);
        let repo = self.lock(Where::Own);
        let refresh = repo.odb().and_then(|odb| odb.refresh());
        refresh.map_err(object::failed("look at the packs again"))
    }

    fn pack(&self, git: &Git, args: &[&str]) -> Result<(), StoreError> {
        let path = self.own_dir();
        let command =
            git.command().git_dir(&path).own_config_only().watched().args(args.iter().copied());
        let output = command.deadline(DEADLINE).run()?;
        if output.success() {
            return Ok(());
        }
        let last = output.stderr.lines().last().unwrap_or_default();
        let why = last.chars().filter(|c| !c.is_control()).take(200).collect();
        Err(StoreError::Pack { path, why })
    }
}
