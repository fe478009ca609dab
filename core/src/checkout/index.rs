//! The index as it will be, made beside the user's own and put in its place at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts::Entry;
use super::objects::told;
use super::record::io_failed;
use super::{CheckoutError, Place, Refusal};
use crate::code::{Flags, Mode, RepoPath};
use crate::disk::{self, Access, Beneath, DiskError, Found};
use crate::git::GitCommand;
use crate::project::{all_settings, without_filters};

/// How long git may take over the index and the files of a work tree.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// The index of a work tree while it is changed.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    place: Place<'a>,
    git_dir: PathBuf,
    path: PathBuf,
    lock: Option<PathBuf>,
}

impl<'a> Draft<'a> {
    /// Takes the lock of the user's index, as every git does, and copies it to `path`. A lock of ours that
    /// lies there is of one that is gone: we hold the lock of the work tree's records.
    pub(super) fn begin(place: Place<'a>, path: PathBuf) -> Result<Self, CheckoutError> {
        let git_dir = place.project.git_dir.clone().ok_or(Refusal::NoWorkTree)?;
        let lock = git_dir.join("index.lock");
        if is_ours(&lock) {
            disk::remove_file(&lock)?;
        }
        disk::create_new(&lock, LOCK_TEXT).map_err(|error| match error {
            DiskError::Exists(path) => Refusal::Locked(path).into(),
            error => CheckoutError::from(error),
        })?;
        let draft = Self { place, git_dir, path, lock: Some(lock) };
        draft.copy()?;
        Ok(draft)
    }

    /// Copies the index with its time: git looks again at files that are not older.
    fn copy(&self) -> Result<(), CheckoutError> {
        let index = self.git_dir.join("index");
        let failed = |source| io_failed("copy", &index, source);
        let mut file = match disk::open_regular(&index) {
            Err(error) if error.is_missing() => return Ok(()),
            other => other?,
        };
        let mut copy = disk::NewFile::create(&self.path)?;
        io::copy(&mut file, &mut copy).map_err(failed)?;
        copy.finish_replacing()?;
        let modified = file.metadata().and_then(|found| found.modified()).map_err(failed)?;
        let copy = disk::open_to_fill(&self.path)?;
        copy.set_modified(modified).map_err(failed)
    }

    fn git(&self) -> GitCommand {
        let command = self.place.git.command().dir(&self.place.project.root).index(&self.path);
        command.config("core.splitIndex", "false").lean().deadline(DEADLINE).watched()
    }

    /// Gives paths the entries they will have.
    pub(super) fn change(
        &self,
        index: &BTreeMap<RepoPath, Vec<Entry>>,
    ) -> Result<(), CheckoutError> {
        let mut lines = Vec::new();
        let mut line = |text: String, path: &RepoPath| {
            lines.extend_from_slice(text.as_bytes());
            lines.extend_from_slice(path.as_bytes());
            lines.push(0);
        };
        for path in index.keys() {
            line(format!("0 {:040}\t", 0), path);
        }
        for (path, entries) in index {
            for entry in entries.iter().filter(|entry| !entry.flags.intent_to_add) {
                line(format!("{:06o} {} {}\t", entry.mode.bits(), entry.id, entry.stage), path);
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let command = self.git().args(["update-index", "-z", "--index-info"]).stdin(lines);
        told(command.run(), "change the index").map(drop)
    }

    /// Lets git check files out that are not there, by the user's own filters; where one cannot run, the
    /// files get what git stores, and `true` is returned.
    pub(super) fn check_out<'p>(
        &self,
        paths: impl Iterator<Item = &'p RepoPath>,
    ) -> Result<bool, CheckoutError> {
        let paths = listed(paths);
        if paths.is_empty() {
            return Ok(false);
        }
        let command = || {
            let flags = ["checkout-index", "--index", "--quiet", "-z", "--stdin"];
            self.git().args(flags).stdin(paths.clone())
        };
        if command().run()?.success() {
            return Ok(false);
        }
        let blank = self.blank(command())?;
        told(blank.run(), "check files out")?;
        Ok(true)
    }

    /// Sets the flags that entries are to have.
    pub(super) fn flag(&self, index: &BTreeMap<RepoPath, Vec<Entry>>) -> Result<(), CheckoutError> {
        let with = |has: fn(Flags) -> bool| {
            let is = move |entries: &Vec<Entry>| entries.iter().any(|entry| has(entry.flags));
            listed(index.iter().filter(|(_, entries)| is(entries)).map(|(path, _)| path))
        };
        let wanted = [
            ("--assume-unchanged", with(|flags| flags.assume_unchanged)),
            ("--skip-worktree", with(|flags| flags.skip_worktree)),
        ];
        for (flag, paths) in wanted.into_iter().filter(|(_, paths)| !paths.is_empty()) {
            let command = self.git().args(["update-index", flag, "-z", "--stdin"]).stdin(paths);
            told(command.run(), "set the flags of the index")?;
        }
        self.intend(index)
    }

    /// Adds the paths whose content is not known yet. Git does it for files that are there only, and takes
    /// nothing but their mode: it finds empty ones, in a folder of ours.
    fn intend(&self, index: &BTreeMap<RepoPath, Vec<Entry>>) -> Result<(), CheckoutError> {
        let folder = self.path.with_extension("intended");
        disk::private_dir(&folder)?;
        let beneath = Beneath::open(&folder)?;
        let mut paths = Vec::new();
        for (path, entries) in index {
            let Some(entry) = entries.iter().find(|entry| entry.flags.intent_to_add) else {
                continue;
            };
            let access = Access { executable: entry.mode == Mode::Executable, permissions: None };
            if entry.mode == Mode::Link {
                beneath.link(path.as_path(), b"x", Found::Nothing)?;
            } else {
                beneath.write(path.as_path(), access, Found::Nothing, &mut |_| Ok(()))?;
            }
            paths.push(path);
        }
        if !paths.is_empty() {
            let flags = ["--literal-pathspecs", "add", "--intent-to-add", "--force", "--sparse"];
            let command = self.git().dir(&folder).git_dir(&self.git_dir).work_tree(&folder);
            let command = command.args(flags).stdin(listed(paths.into_iter()));
            let command = command.args(["--pathspec-from-file=-", "--pathspec-file-nul"]);
            told(command.run(), "set the flags of the index")?;
        }
        Ok(disk::remove_tree(&folder)?)
    }

    /// Lets the index know the files as they now are, so that a status needs not read them.
    pub(super) fn refresh(&self) -> Result<(), CheckoutError> {
        // It fails where files differ from the index, which is no failure.
        let command = self.git().args(["update-index", "-q", "--refresh"]);
        self.blank(command)?.run()?;
        Ok(())
    }

    /// Keeps filters from running.
    fn blank(&self, command: GitCommand) -> Result<GitCommand, CheckoutError> {
        let settings = all_settings(self.place.project, self.place.git);
        let settings = settings.map_err(|error| CheckoutError::GitSaid {
            deed: "read the configuration",
            why: error.to_string(),
        })?;
        Ok(without_filters(command, &settings))
    }

    /// Puts the draft in the place of the user's index.
    pub(super) fn put(&self) -> Result<(), CheckoutError> {
        let name = Path::new("index");
        let beneath = Beneath::open(&self.git_dir)?;
        let found = beneath.look(name)?;
        let permissions = match found {
            Found::File(stamp) => Some(stamp.permissions),
            _ => None,
        };
        let mut file = match disk::open_regular(&self.path) {
            // Without a single entry there may be none.
            Err(error) if error.is_missing() => return Ok(()),
            other => other?,
        };
        let access = Access { executable: false, permissions };
        Ok(beneath.write(name, access, found, &mut |to| io::copy(&mut file, to).map(drop))?)
    }

    /// Lets go of the user's index.
    pub(super) fn release(&mut self) -> Result<(), CheckoutError> {
        Ok(self.lock.take().map_or(Ok(()), |lock| disk::remove_file(&lock))?)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // If it fails, the next undo finds the lock and knows it.
        self.release().ok();
    }
}

/// What our lock holds, so that it is told from git's own, which is empty or an index.
const LOCK_TEXT: &[u8] =
    b"convosync restores code here; `convosyncctl undo` ends what was interrupted\n";

/// The lock of an index that somebody else holds.
pub(super) fn foreign_lock(git_dir: &Path) -> Option<PathBuf> {
    let lock = git_dir.join("index.lock");
    (fs::symlink_metadata(&lock).is_ok() && !is_ours(&lock)).then_some(lock)
}

fn is_ours(lock: &Path) -> bool {
    let is_short =
        fs::symlink_metadata(lock).is_ok_and(|found| found.len() == LOCK_TEXT.len() as u64);
    is_short && fs::read(lock).is_ok_and(|bytes| bytes == LOCK_TEXT)
}

fn listed<'p>(paths: impl Iterator<Item = &'p RepoPath>) -> Vec<u8> {
    let paths: BTreeSet<&RepoPath> = paths.collect();
    let mut bytes = Vec::new();
    for path in paths {
        // Writing to memory does not fail.
        bytes.write_all(path.as_bytes()).ok();
        bytes.push(0);
    }
    bytes
}
