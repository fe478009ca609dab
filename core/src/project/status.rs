//! Where the user's code stands, read without touching it.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Project, ProjectError, refused, settings};
use crate::git::{Git, GitCommand, GitError};
use crate::id::Digest;
use crate::seal::{CodePoint, CodeSaved};

/// How long a status may take: a repository of 100 000 files needs 0.2 s, a cold disk far more.
const STATUS_DEADLINE: Duration = Duration::from_secs(30);
/// How much a status may print before untracked folders are no longer looked into.
const STATUS_MAX: usize = 8 << 20;
/// How many changed files are looked at for the fingerprint: as many as a code state may hold.
const FILES_MAX: usize = 10_000;

/// Reads where the code of `project` stands; `None` when it has no work tree under git.
///
/// Clean filters are not run: where a file's stamp is newer than the index, a filtered one (git-lfs)
/// counts as changed although its content may not be.
///
/// A save of a changed repository runs `git status` once here and once in `capture`. This one says whether there is
/// anything to capture, whether the repository holds still or not, and where nothing changed only it runs. The other
/// one counts only between two looks at the index and HEAD, and leaves untracked files to a child beside it: taken
/// from here, it would tell of a moment before the first of those looks.
///
/// # Errors
/// [`ProjectError`] when git does not read the repository.
pub fn code_point(project: &Project, git: &Git) -> Result<Option<CodePoint>, ProjectError> {
    if project.git_dir.is_none() || !project.root.is_dir() {
        return Ok(None);
    }
    let bytes = porcelain(project, git, &settings::all(&project.root, git)?, true)?;
    Ok(bytes.map(|bytes| read(&bytes, &project.root)))
}

/// Asks for the status as porcelain v2 with `-z`, without running any program that `settings`, which are
/// all of the project, or the repository name. `None` when there is no work tree. Where untracked files
/// are wanted and too many, their folders stand for them.
///
/// # Errors
/// [`ProjectError`] when git does not read the repository.
pub(crate) fn porcelain(
    project: &Project,
    git: &Git,
    settings: &[(String, String)],
    with_untracked: bool,
) -> Result<Option<Vec<u8>>, ProjectError> {
    if !with_untracked {
        return status(project, git, settings, "no");
    }
    match status(project, git, settings, "all") {
        Err(ProjectError::Git { source: GitError::TooMuchOutput { .. }, .. }) => {
            status(project, git, settings, "normal")
        }
        other => other,
    }
}

/// Keeps a command from starting the filters that `settings`, which are all of the project, name.
pub(crate) fn without_filters(
    mut command: GitCommand,
    settings: &[(String, String)],
) -> GitCommand {
    for driver in filters(settings) {
        for program in ["clean", "smudge", "process"] {
            command = command.config(format!("filter.{driver}.{program}"), "");
        }
        command = command.config(format!("filter.{driver}.required"), "false");
    }
    command
}

/// The drivers whose programs a status would start.
fn filters(settings: &[(String, String)]) -> Vec<String> {
    let driver = |key: &str| {
        key.strip_prefix("filter.")?.rsplit_once('.').map(|(driver, _)| driver.to_owned())
    };
    let mut drivers: Vec<_> = settings.iter().filter_map(|(key, _)| driver(key)).collect();
    drivers.sort();
    drivers.dedup();
    drivers
}

fn status(
    project: &Project,
    git: &Git,
    settings: &[(String, String)],
    untracked: &str,
) -> Result<Option<Vec<u8>>, ProjectError> {
    // A submodule's own work tree is not entered: its configuration may name filters we did not blank.
    let args = [
        "status",
        "--porcelain=v2",
        "-z",
        "--branch",
        "--no-ahead-behind",
        "--no-renames",
        "--ignore-submodules=dirty",
    ];
    let command =
        git.command().dir(&project.root).args(args).arg(format!("--untracked-files={untracked}"));
    let command = without_filters(command, settings);
    let output = command.watched().deadline(STATUS_DEADLINE).stdout_limit(STATUS_MAX).run();
    let output =
        output.map_err(|source| ProjectError::Git { path: project.root.clone(), source })?;
    match output.success() {
        true => Ok(Some(output.stdout)),
        false if output.stderr.contains("must be run in a work tree") => Ok(None),
        false => Err(refused(&project.root, &output)),
    }
}

/// Reads porcelain v2 with `-z` and looks at the files it names.
fn read(bytes: &[u8], root: &Path) -> CodePoint {
    let mut point = CodePoint {
        branch: None,
        commit: None,
        upstream: None,
        dirty: false,
        fingerprint: Digest::NONE,
        saved: CodeSaved::Nothing,
    };
    let mut hash = Sha256::new();
    let mut files_left = FILES_MAX;
    for record in bytes.split(|byte| *byte == 0).filter(|record| !record.is_empty()) {
        if let Some(header) = record.strip_prefix(b"# ") {
            // How far ahead or behind we are changes by a mere fetch, which changes no code.
            if !header.starts_with(b"branch.ab ") {
                hash_piece(&mut hash, record);
                take_header(&mut point, &String::from_utf8_lossy(header));
            }
            continue;
        }
        point.dirty = true;
        hash_piece(&mut hash, record);
        if let (Some(path), true) = (path_of(record), files_left > 0) {
            files_left -= 1;
            hash_file(&mut hash, &root.join(path));
        }
    }
    point.fingerprint = Digest(hash.finalize().into());
    point
}

fn take_header(point: &mut CodePoint, header: &str) {
    match header.split_once(' ') {
        Some(("branch.oid", id)) => point.commit = id.parse().ok(),
        Some(("branch.head", name)) if name != "(detached)" => point.branch = Some(name.to_owned()),
        Some(("branch.upstream", name)) => point.upstream = Some(name.to_owned()),
        _ => {}
    }
}

/// The path of a record: the last field, whose number depends on the kind.
fn path_of(record: &[u8]) -> Option<&Path> {
    let fields = match record.first()? {
        b'1' => 9,
        b'u' => 11,
        b'?' => 2,
        _ => return None,
    };
    let path = record.splitn(fields, |byte| *byte == b' ').nth(fields - 1)?;
    Some(Path::new(std::ffi::OsStr::from_bytes(path)))
}

fn hash_piece(hash: &mut Sha256, piece: &[u8]) {
    hash.update((piece.len() as u64).to_le_bytes());
    hash.update(piece);
}

/// A file that is edited again looks the same in the status: its stamp tells.
fn hash_file(hash: &mut Sha256, path: &Path) {
    match std::fs::symlink_metadata(path) {
        Ok(found) => {
            for number in [
                found.size().cast_signed(),
                found.mtime(),
                found.mtime_nsec(),
                i64::from(found.mode()),
            ] {
                hash.update(number.to_le_bytes());
            }
        }
        Err(_) => hash.update([0]),
    }
}
