//! What git does not track: files, repositories, and directories with nothing in them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::status::repo_path;
use super::{Scope, Stop, answer, said};
use crate::code::{Omission, RepoPath, Why};
use crate::git::{GitCommand, GitError};

/// How much a list of untracked files may print before their folders stand for them.
const LIST_MAX: usize = 8 << 20;
/// How many directories are looked into.
const VISITS_MAX: usize = 10_000;
/// How many directories are named in one command.
const NAMED_MAX: usize = 200;

/// What is not tracked, and not ignored.
#[derive(Debug, Default)]
pub(super) struct Untracked {
    pub(super) files: Vec<RepoPath>,
    /// Directories in which nothing is tracked.
    pub(super) folders: Vec<RepoPath>,
    pub(super) omitted: BTreeMap<RepoPath, Omission>,
}

/// Lists what is not tracked: first without going into directories of which nothing is tracked, then what
/// lies in those.
pub(super) fn untracked(scope: &Scope<'_>) -> Result<Untracked, Stop> {
    let mut found = Untracked::default();
    let listed = scope.ask().args(LIST).arg("--directory").stdout_limit(LIST_MAX);
    let bytes = answer(listed)?;
    for name in bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match name.strip_suffix(b"/") {
            Some(folder) => found.folders.extend(repo_path(folder, &mut found.omitted)),
            None => found.files.extend(repo_path(name, &mut found.omitted)),
        }
    }
    let folders = std::mem::take(&mut found.folders);
    found.look_below(scope, folders)?;
    Ok(found)
}

/// Lists what is neither tracked nor ignored.
const LIST: [&str; 4] = ["ls-files", "--others", "--exclude-standard", "-z"];

impl Untracked {
    /// Takes in directories of which nothing is tracked, with what lies in them. What is a repository is
    /// listed again, as such. Git does not name a directory that took the place of a tracked file.
    pub(super) fn look_below(
        &mut self,
        scope: &Scope<'_>,
        folders: Vec<RepoPath>,
    ) -> Result<(), Stop> {
        if folders.is_empty() {
            return Ok(());
        }
        let mut command = scope.ask().args(LIST).stdout_limit(LIST_MAX);
        if folders.len() <= NAMED_MAX {
            let spec = |folder: &RepoPath| {
                let spec = [b":(top,literal)", folder.as_bytes()].concat();
                std::ffi::OsStr::from_bytes(&spec).to_owned()
            };
            command = command.arg("--").args(folders.iter().map(spec));
        }
        self.folders.extend(folders);
        self.take_below(command)?;
        self.files.sort();
        self.files.dedup();
        Ok(())
    }

    /// Takes in what lies in directories of which nothing is tracked.
    fn take_below(&mut self, command: GitCommand) -> Result<(), Stop> {
        let bytes = match command.run() {
            Err(GitError::TooMuchOutput { .. }) => {
                let crowd = Omission { why: Why::TooMany, size: None };
                self.omitted.extend(self.folders.drain(..).map(|folder| (folder, crowd)));
                return Ok(());
            }
            output => said(output?)?,
        };
        for name in bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let folder = name.strip_suffix(b"/");
            let path = repo_path(folder.unwrap_or(name), &mut self.omitted);
            match (path, folder) {
                (Some(path), Some(_)) => {
                    self.omitted.insert(path, Omission { why: Why::Nested, size: None });
                }
                (path, _) => self.files.extend(path),
            }
        }
        Ok(())
    }
}

/// Which directories are empty; what is ignored is not looked into, nor is another
/// repository. Git does not name those that its own deleted files have left. Those that nobody looked
/// into, because there are too many, are listed.
pub(super) fn empty<'a>(
    scope: &Scope<'_>,
    untracked: &Untracked,
    deleted: impl Iterator<Item = &'a RepoPath>,
    omitted: &mut BTreeMap<RepoPath, Omission>,
) -> Result<BTreeSet<RepoPath>, Stop> {
    let mut empty = left_empty(&scope.project.root, deleted);
    let (never, unseen) = never_filled(scope, untracked)?;
    empty.extend(never);
    let crowd = Omission { why: Why::TooMany, size: None };
    omitted.extend(unseen.into_iter().map(|folder| (folder, crowd)));
    Ok(empty)
}

/// The innermost directories that still stand above deleted files, where nothing else is in them.
fn left_empty<'a>(root: &Path, deleted: impl Iterator<Item = &'a RepoPath>) -> BTreeSet<RepoPath> {
    let mut folders: BTreeSet<RepoPath> = deleted.filter_map(RepoPath::parent).collect();
    let (mut empty, mut seen) = (BTreeSet::new(), BTreeSet::new());
    while let Some(folder) = folders.pop_last() {
        if !seen.insert(folder.clone()) {
            continue;
        }
        match std::fs::symlink_metadata(root.join(folder.as_path())) {
            Ok(_) if matches!(inside(root, &folder), Some(Inside::Nothing)) => {
                empty.insert(folder);
            }
            Ok(_) => {}
            Err(_) => folders.extend(folder.parent()),
        }
    }
    empty
}

/// Which directories without a tracked file are empty; and those without any file that were not looked into.
fn never_filled(
    scope: &Scope<'_>,
    untracked: &Untracked,
) -> Result<(Vec<RepoPath>, Vec<RepoPath>), Stop> {
    let files: BTreeSet<&[u8]> = untracked.files.iter().map(RepoPath::as_bytes).collect();
    let (mut empty, mut open, mut visits) = (Vec::new(), untracked.folders.clone(), 0);
    while !open.is_empty() {
        let mut unsure = Vec::new();
        while let Some(folder) = open.pop() {
            visits += 1;
            if visits > VISITS_MAX {
                open.push(folder);
                open.extend(not_ignored(scope, unsure)?);
                return Ok((empty, unseen(scope, &files, open)?));
            }
            let Some(folders) = inside(&scope.project.root, &folder) else { continue };
            match folders {
                Inside::Nothing => empty.push(folder),
                Inside::Folders(below) => {
                    let (sure, not): (Vec<_>, Vec<_>) =
                        below.into_iter().partition(|below| holds(&files, below));
                    open.extend(sure);
                    unsure.extend(not);
                }
            }
        }
        open = not_ignored(scope, unsure)?;
    }
    Ok((empty, Vec::new()))
}

/// Which directories without any file, of these and those below, are not looked into any more. Those with a file
/// that is captured are: one that is named stands for all that lies in it.
fn unseen(
    scope: &Scope<'_>,
    files: &BTreeSet<&[u8]>,
    open: Vec<RepoPath>,
) -> Result<Vec<RepoPath>, Stop> {
    let (mut open, mut unseen): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|folder| holds(files, folder));
    let mut unsure = Vec::new();
    while let Some(folder) = open.pop() {
        if let Some(Inside::Folders(below)) = inside(&scope.project.root, &folder) {
            let (sure, not): (Vec<_>, Vec<_>) =
                below.into_iter().partition(|below| holds(files, below));
            open.extend(sure);
            unsure.extend(not);
        }
    }
    unseen.extend(not_ignored(scope, unsure)?);
    Ok(unseen)
}

enum Inside {
    Nothing,
    Folders(Vec<RepoPath>),
}

/// What lies in a directory; `None` for a repository, or what cannot be read.
fn inside(root: &Path, folder: &RepoPath) -> Option<Inside> {
    let place = root.join(folder.as_path());
    if !std::fs::symlink_metadata(&place).ok()?.is_dir() {
        return None;
    }
    let (mut folders, mut is_empty) = (Vec::new(), true);
    for entry in std::fs::read_dir(&place).ok()? {
        let entry = entry.ok()?;
        is_empty = false;
        if entry.file_name() == ".git" {
            return None;
        }
        if entry.file_type().ok()?.is_dir() {
            let name = [folder.as_bytes(), b"/", entry.file_name().as_bytes()].concat();
            folders.extend(RepoPath::new(name).ok());
        }
    }
    Some(if is_empty { Inside::Nothing } else { Inside::Folders(folders) })
}

/// Whether an untracked file lies below a directory: it sorts right after the directory's name with a slash.
fn holds(files: &BTreeSet<&[u8]>, folder: &RepoPath) -> bool {
    let start = [folder.as_bytes(), b"/"].concat();
    files.range(&start[..]..).next().is_some_and(|path| path.starts_with(&start))
}

/// Which directories git does not ignore.
fn not_ignored(scope: &Scope<'_>, folders: Vec<RepoPath>) -> Result<Vec<RepoPath>, Stop> {
    if folders.is_empty() {
        return Ok(folders);
    }
    let lines: Vec<u8> =
        folders.iter().flat_map(|folder| [folder.as_bytes(), b"/\0"].concat()).collect();
    let limit = lines.len() + 1;
    let command = scope.ask().args(["check-ignore", "--stdin", "-z"]);
    let output = command.stdin(lines).stdout_limit(limit).run()?;
    match output.code {
        Some(1) => return Ok(folders),
        Some(0) => {}
        _ => return Ok(Vec::new()),
    }
    let ignored: BTreeSet<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
    let is_ignored = |folder: &RepoPath| ignored.contains(&[folder.as_bytes(), b"/"].concat()[..]);
    Ok(folders.into_iter().filter(|folder| !is_ignored(folder)).collect())
}
