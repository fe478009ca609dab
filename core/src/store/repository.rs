//! Makes and opens our repositories, always in the same shape whatever the user's configuration says.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use git2::{Config, ConfigLevel, Repository, RepositoryInitOptions};

use super::object::{failed, from_git2, to_git2};
use super::{RefName, StoreError, names};
use crate::disk;
use crate::id::{DeviceId, Oid, SessionName};

/// The configuration of all our repositories: SHA-1 and plain ref files, no automatic clean-up, nothing
/// that runs a program. `full.git` gives any commit to `own.git` by its id.
const CONFIG: &str = "[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogallrefupdates = false
\thooksPath = /dev/null
\tpackedGitWindowSize = 16m
\tpackedGitLimit = 128m
[gc]
\tauto = 0
[maintenance]
\tauto = false
[repack]
\twriteBitmaps = false
[pack]
\twriteBitmapHashCache = false
\tthreads = 1
\twindow = 100
\twindowMemory = 32m
[transfer]
\tfsckObjects = true
[fetch]
\tunpackLimit = 1
[uploadpack]
\tallowAnySHA1InWant = true
";

/// Sealed bytes do not resemble each other: looking for deltas between them wastes time. Trees do, and
/// attributes reach them too, so every line names files only.
const ATTRIBUTES: &str = "card -delta
head -delta
roster -delta
grants/* -delta
sessions/*/* -delta
log/*/* -delta
saves/* -delta
code/* -delta
handoff/* -delta
";

/// Makes libgit2 sync a ref's file before it takes its name. Git would warn of this old key in every
/// answer, so it stands in a file that only libgit2 is shown.
const DURABLE: &str = "[core]\n\tfsyncObjectFiles = true\n";

/// The file that holds [`DURABLE`].
const DURABLE_FILE: &str = "convosync.config";

/// Loose objects lie in folders of two hex digits.
const LOOSE_FOLDER_LEN: usize = 2;

/// After so many bytes of objects a handle is opened anew: libgit2 maps packs as they are read, by itself up
/// to 8 GiB of them, and unmaps nothing before their last handle is closed.
pub(super) const MAPPED_MAX: u64 = 16 << 20;

/// A repository that is kept open, with only so much of its packs in memory.
pub(super) struct Handle {
    repository: Repository,
    path: PathBuf,
    read: u64,
}

impl std::ops::Deref for Handle {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        &self.repository
    }
}

impl Handle {
    /// Opens as [`open`] does.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { repository: open(path)?, path: path.to_owned(), read: 0 })
    }

    /// Counts what was read, and lets go of what is mapped once that is much.
    pub(super) fn count(&mut self, bytes: usize) {
        self.read = self.read.saturating_add(bytes as u64);
        if self.read < MAPPED_MAX {
            return;
        }
        match reopen(&self.path, Mode::Quick) {
            Ok(fresh) => (self.repository, self.read) = (fresh, 0),
            // It is only memory; the handle that is open goes on.
            Err(error) => tracing::debug!(%error, "a store stays mapped"),
        }
    }
}

/// Opens the bare repository at `path`, making it when missing, and removes what a crash left behind.
pub(super) fn open(path: &Path) -> Result<Repository, StoreError> {
    if !path.is_dir() {
        make(path)?;
    }
    sweep_locks(&path.join("refs"))?;
    sweep_fetches(path)?;
    sweep_objects(&path.join("objects"))?;
    forget_what_was_read();
    reopen(path, Mode::Quick)
}

/// By itself libgit2 keeps every commit and tree that it ever read, up to 256 MiB of them, for as long as the
/// repository is open: for a daemon that is weeks, and it reads each a few times at most.
fn forget_what_was_read() {
    git2::opts::enable_caching(false);
}

/// How a handle treats the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// For objects: they are synced together before a ref moves.
    Quick,
    /// For refs: the file is synced before it takes its name.
    Durable,
}

/// Opens an existing repository, with its own configuration and nobody else's.
pub(super) fn reopen(path: &Path, mode: Mode) -> Result<Repository, StoreError> {
    let opened = || -> Result<Repository, git2::Error> {
        let repo = Repository::open_bare(path)?;
        let mut config = Config::new()?;
        config.add_file(&path.join("config"), ConfigLevel::Local, false)?;
        if mode == Mode::Durable {
            config.add_file(&path.join(DURABLE_FILE), ConfigLevel::App, false)?;
        }
        repo.set_config(&config)?;
        Ok(repo)
    };
    opened().map_err(failed(&format!("open the store `{}`", path.display())))
}

/// Makes the repository beside its place and moves it there when it is complete.
fn make(path: &Path) -> Result<(), StoreError> {
    let half = path.with_extension("new");
    disk::remove_tree(&half)?;
    disk::private_dir(&half)?;
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false).initial_head("none");
    Repository::init_opts(&half, &options)
        .map_err(failed(&format!("make the store `{}`", path.display())))?;
    disk::remove_tree(&half.join("hooks"))?;
    disk::write_atomic(&half.join("config"), CONFIG.as_bytes())?;
    disk::write_atomic(&half.join(DURABLE_FILE), DURABLE.as_bytes())?;
    disk::make_dir(&half.join("info"))?;
    disk::write_atomic(&half.join("info/attributes"), ATTRIBUTES.as_bytes())?;
    disk::fsync_dir(&half)?;
    std::fs::rename(&half, path).map_err(|source| StoreError::Io {
        deed: "move into place",
        path: path.to_owned(),
        source,
    })?;
    disk::fsync_dir(path.parent().unwrap_or(path))?;
    Ok(())
}

/// Removes lock files of a process that died: nobody else writes here.
fn sweep_locks(dir: &Path) -> Result<(), StoreError> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sweep_locks(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            disk::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Removes half-written objects: git would do so only for its own, and only after two weeks.
fn sweep_objects(objects: &Path) -> Result<(), StoreError> {
    sweep_half_written(objects)?;
    let Ok(entries) = std::fs::read_dir(objects) else { return Ok(()) };
    let is_loose = |entry: &std::fs::DirEntry| entry.file_name().len() == LOOSE_FOLDER_LEN;
    for folder in entries.flatten().filter(is_loose) {
        sweep_half_written(&folder.path())?;
    }
    Ok(())
}

fn sweep_half_written(folder: &Path) -> Result<(), StoreError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("tmp_") {
            disk::remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Returns how large the largest half pack is that a killed fetch left.
pub(super) fn largest_half_pack(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path.join("objects/pack")) else { return 0 };
    let half = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("tmp_pack"));
    half.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).max().unwrap_or(0)
}

/// Removes what a killed fetch leaves: half a pack may be large, and a lock stops the next one.
pub(super) fn sweep_fetches(path: &Path) -> Result<(), StoreError> {
    for lock in ["shallow.lock", "packed-refs.lock", "config.lock"] {
        disk::remove_file(&path.join(lock))?;
    }
    sweep_half_written(&path.join("objects/pack"))
}

/// Whether any ref reaches `commit`.
pub(super) fn is_reached(repo: &Repository, commit: Oid) -> Result<bool, git2::Error> {
    if repo.find_commit(to_git2(commit)).is_err() {
        return Ok(false);
    }
    let mut walk = repo.revwalk()?;
    walk.push(to_git2(commit))?;
    walk.hide_glob("refs/*")?;
    walk.next().transpose().map(|unreached| unreached.is_none())
}

/// Returns where a ref stands.
pub(super) fn resolve(repo: &Repository, reference: &str) -> Result<Option<Oid>, StoreError> {
    match repo.refname_to_id(reference) {
        Ok(id) => Ok(Some(from_git2(id))),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(failed(&format!("read ref `{reference}`"))(error)),
    }
}

/// The commits between `lease` and `new` that were adopted from other devices.
pub(super) fn adopted_between(
    repo: &Repository,
    lease: Option<Oid>,
    new: Oid,
) -> Result<HashSet<Oid>, git2::Error> {
    let all = between(repo, lease, new)?;
    let own = walk(repo, lease, new, true)?;
    Ok(&all - &own)
}

/// The commits that `new` reaches and `lease` does not.
pub(super) fn between(
    repo: &Repository,
    lease: Option<Oid>,
    new: Oid,
) -> Result<HashSet<Oid>, git2::Error> {
    walk(repo, lease, new, false)
}

fn walk(
    repo: &Repository,
    lease: Option<Oid>,
    new: Oid,
    hide_adopted: bool,
) -> Result<HashSet<Oid>, git2::Error> {
    let mut walk = repo.revwalk()?;
    walk.push(to_git2(new))?;
    if let Some(lease) = lease.filter(|lease| repo.find_commit(to_git2(*lease)).is_ok()) {
        walk.hide(to_git2(lease))?;
    }
    if hide_adopted {
        walk.hide_glob(&format!("{}*", names::ADOPTED))?;
    }
    walk.map(|id| id.map(from_git2)).collect()
}

/// Lists the tips that were believed last.
pub(super) fn accepted(repo: &Repository) -> Result<Vec<(RefName, Oid)>, git2::Error> {
    let mut accepted = Vec::new();
    for reference in repo.references_glob(&format!("{}*", names::ACCEPTED))? {
        let reference = reference?;
        let below = reference.name().ok().and_then(|name| name.strip_prefix(names::ACCEPTED));
        let name = below.and_then(|below| format!("refs/{below}").parse::<RefName>().ok());
        accepted.extend(name.zip(reference.target().map(from_git2)));
    }
    Ok(accepted)
}

/// Lists what was adopted of one session, by device.
pub(super) fn adopted(
    repo: &Repository,
    name: SessionName,
) -> Result<Vec<(DeviceId, Oid)>, git2::Error> {
    let prefix = format!("{}{name}/", names::ADOPTED);
    let mut adopted = Vec::new();
    for reference in repo.references_glob(&format!("{prefix}*"))? {
        let reference = reference?;
        let device =
            reference.name().ok().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
        adopted.extend(device.zip(reference.target().map(from_git2)));
    }
    Ok(adopted)
}
