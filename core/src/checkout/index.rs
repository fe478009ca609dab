//! The index as it will be, made beside the user's own and put in its place at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::begun::Begun;
use super::facts::Entry;
use super::objects::told;
use super::record::io_failed;
use super::{CheckoutError, Place, Refusal, lock};
use crate::capture::is_restore_mark;
use crate::code::{Flags, Mode, RepoPath};
use crate::disk::{self, Access, Beneath, DiskError, Found};
use crate::git::{GitCommand, Output};
use crate::id::Oid;
use crate::project::{all_settings, without_filters};

/// How long git may take over the index and the files of a work tree.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// How much room there is for the filters of files: half a million of them.
const FILTERS_MAX: usize = 128 << 20;

/// What git says of a file that it does not overwrite, and of one that came while it looked.
const EXISTS: &str = " already exists, no checkout";
const EXISTS_SINCE: &str = ": File exists";

/// The index of a work tree while it is changed.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    place: Place<'a>,
    git_dir: PathBuf,
    path: PathBuf,
    lock: Option<PathBuf>,
    is_held: bool,
}

impl<'a> Draft<'a> {
    /// Takes the lock of the user's index, as every git does, and copies it to `path`. A lock of ours that
    /// lies there is of one that is gone: we hold the lock of the work tree's records.
    pub(super) fn begin(place: Place<'a>, path: PathBuf) -> Result<Self, CheckoutError> {
        let git_dir = place.project.git_dir.clone().ok_or(Refusal::NoWorkTree)?;
        let lock = git_dir.join("index.lock");
        // It stays if this one fails early: half a restore may stand behind it.
        let is_held = is_restore_mark(&lock);
        if !is_held {
            let record = path.parent().unwrap_or(&path);
            disk::create_new(&lock, &lock::text(record, false)).map_err(|error| match error {
                DiskError::Exists(path) => Refusal::Locked(path).into(),
                error => CheckoutError::from(error),
            })?;
        }
        let draft = Self { place, git_dir, path, lock: Some(lock), is_held };
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

    /// Lets git check files out that are not there, by the user's own filters. Files whose filter cannot run
    /// get what git stores, and are returned.
    pub(super) fn check_out(
        &self,
        beneath: &Beneath,
        paths: &BTreeSet<&RepoPath>,
        ids: &BTreeMap<RepoPath, Oid>,
    ) -> Result<Vec<RepoPath>, CheckoutError> {
        for path in paths {
            if beneath.look(path.as_path())? != Found::Nothing {
                return Err(DiskError::Changed(beneath.root().join(path.as_path())).into());
            }
        }
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let output = self.by_git(paths).run()?;
        if output.success() {
            return Ok(Vec::new());
        }
        not_in_the_way(beneath, &output)?;
        // Git gave up at some file, and did not write down which it had done.
        let kept = self.path.with_file_name("begun");
        let git = || self.git();
        let begun = Begun { beneath, git: &git, ids, kept: &kept };
        begun.take_away(paths)?;
        let mut raw = Vec::new();
        for (has_filter, paths) in self.by_filter(paths)? {
            let output = self.by_git(&paths).run()?;
            if output.success() {
                continue;
            }
            not_in_the_way(beneath, &output)?;
            begun.take_away(&paths)?;
            if !has_filter {
                told(Ok(output), "check files out")?;
            }
            let output = self.blank(self.by_git(&paths))?.run()?;
            not_in_the_way(beneath, &output)?;
            if !output.success() {
                begun.take_away(&paths)?;
            }
            told(Ok(output), "check files out")?;
            raw.extend(paths.into_iter().cloned());
        }
        Ok(raw)
    }

    fn by_git(&self, paths: &BTreeSet<&RepoPath>) -> GitCommand {
        let flags = ["checkout-index", "--index", "-z", "--stdin"];
        self.git().args(flags).stdin(listed(paths.iter().copied()))
    }

    /// What stands at those of the paths that have a filter.
    pub(super) fn filtered(
        &self,
        beneath: &Beneath,
        paths: &BTreeSet<&RepoPath>,
    ) -> Result<BTreeMap<RepoPath, Found>, CheckoutError> {
        let command = self.git().args(["check-attr", "--cached"]);
        let filters = filters(command, paths.iter().copied())?.into_keys();
        let look = |path: RepoPath| Ok(beneath.look(path.as_path()).map(|found| (path, found))?);
        filters.map(look).collect()
    }

    /// Groups paths by the filter they have; the first of a group says whether they have any.
    fn by_filter<'p>(
        &self,
        paths: &BTreeSet<&'p RepoPath>,
    ) -> Result<Vec<(bool, BTreeSet<&'p RepoPath>)>, CheckoutError> {
        let filters = filters(self.git().args(["check-attr", "--cached"]), paths.iter().copied())?;
        let mut groups: BTreeMap<Option<Vec<u8>>, BTreeSet<&RepoPath>> = BTreeMap::new();
        for path in paths {
            groups.entry(filters.get(*path).cloned()).or_default().insert(path);
        }
        Ok(groups.into_iter().map(|(filter, paths)| (filter.is_some(), paths)).collect())
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
        beneath.write(name, access, found, &mut |to| io::copy(&mut file, to).map(drop))?;
        Ok(disk::remove_file(&self.path)?)
    }

    /// Keeps the lock whatever happens: from now on it stands for something that has to be ended, and says so.
    pub(super) fn hold(&mut self) -> Result<(), CheckoutError> {
        let record = self.path.parent().unwrap_or(&self.path);
        if let Some(lock) = &self.lock {
            if !is_restore_mark(lock) {
                return Err(Refusal::Changing.into());
            }
            disk::write_atomic(lock, &lock::text(record, true))?;
        }
        self.is_held = true;
        Ok(())
    }

    /// Lets go of the user's index.
    pub(super) fn release(&mut self) -> Result<(), CheckoutError> {
        Ok(self.lock.take().map_or(Ok(()), |lock| disk::remove_file(&lock))?)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_held {
            // If it fails, the next undo finds the lock and knows it.
            self.release().ok();
        }
    }
}

/// Makes sure that git did not give up because somebody wrote a file a moment ago where one of its own had to go:
/// that one is not git's, and nobody has recorded it.
fn not_in_the_way(beneath: &Beneath, output: &Output) -> Result<(), CheckoutError> {
    let is_said = |line: &&str| line.ends_with(EXISTS) || line.ends_with(EXISTS_SINCE);
    match output.stderr.lines().find(is_said) {
        Some(line) => {
            let path = line.trim_end_matches(EXISTS);
            Err(DiskError::Changed(beneath.root().join(path)).into())
        }
        None => Ok(()),
    }
}

/// The filter of each path that has one; `command` is `check-attr` with where it looks.
pub(super) fn filters<'p>(
    command: GitCommand,
    paths: impl Iterator<Item = &'p RepoPath>,
) -> Result<BTreeMap<RepoPath, Vec<u8>>, CheckoutError> {
    let paths = listed(paths);
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    let command = command.args(["-z", "--stdin", "filter"]).stdin(paths);
    let output = told(command.stdout_limit(FILTERS_MAX).run(), "ask for the filters of files")?;
    let fields: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
    let filter = |fields: &[&[u8]]| {
        let [path, _, value] = fields else { return None };
        let is_named = ![&b"unspecified"[..], b"unset", b"set"].contains(value);
        is_named.then(|| Some((RepoPath::new(*path).ok()?, value.to_vec())))?
    };
    Ok(fields.chunks_exact(3).filter_map(filter).collect())
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
