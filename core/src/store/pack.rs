//! Packs the store's loose objects, so that it stays small and quick.

use std::path::Path;
use std::time::Duration;

use super::{Store, StoreError, Where, durable, object};
use crate::git::Git;

/// From how many packs on they are put together: lookups slow down with each.
pub(super) const PACKS_MAX: usize = 30;
/// How long packing may take.
const MAINTAIN_DEADLINE: Duration = Duration::from_secs(30 * 60);

impl Store {
    /// Packs what lies about one by one. Nothing that can be reached is lost, and no bitmap is made: they
    /// would keep git from sending thin packs.
    ///
    /// # Errors
    /// [`StoreError`] when git fails; the store is as good as before then.
    pub fn maintain(&self, git: &Git) -> Result<(), StoreError> {
        let path = self.own_dir();
        run(git, &path, &["repack", "--no-write-bitmap-index", "-q"])?;
        durable::sync_packs(&path)?;
        // Held, so that no object is written while loose ones are taken away; making the pack takes longer
        // and disturbs nobody.
        let repo = self.lock(Where::Own);
        run(git, &path, &["prune-packed", "-q"])?;
        drop(repo);
        if durable::packs(&path)? > PACKS_MAX {
            run(git, &path, &["repack", "--geometric=2", "-d", "--no-write-bitmap-index", "-q"])?;
            durable::sync_packs(&path)?;
        }
        let repo = self.lock(Where::Own);
        let refresh = repo.odb().and_then(|odb| odb.refresh());
        refresh.map_err(object::failed("look at the packs again"))
    }
}

fn run(git: &Git, path: &Path, args: &[&str]) -> Result<(), StoreError> {
    let output = git
        .command()
        .git_dir(path)
        .own_config_only()
        .args(args.iter().copied())
        .deadline(MAINTAIN_DEADLINE)
        .run()?;
    if output.success() {
        return Ok(());
    }
    let why = output
        .stderr
        .lines()
        .last()
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    Err(StoreError::Pack { path: path.to_owned(), why })
}
