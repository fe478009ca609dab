//! What kind of repository it is, and where it stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Scope, Stop};
use crate::code::{Head, Notes, OPERATION_FILE_MAX, Operation, OperationKind, Withheld};
use crate::disk::Stamp;
use crate::project;

/// How long counting the commits between a branch and its upstream may take.
const AHEAD_DEADLINE: Duration = Duration::from_secs(5);

fn has(git_dir: &Path, name: &str) -> bool {
    std::fs::symlink_metadata(git_dir.join(name)).is_ok()
}

/// Whether a bisection runs.
pub(crate) fn is_bisecting(git_dir: &Path) -> bool {
    has(git_dir, "BISECT_LOG")
}

/// The operation that was not finished.
pub(crate) fn unfinished(git_dir: &Path) -> Option<OperationKind> {
    let has = |name: &str| has(git_dir, name);
    if ["rebase-merge", "rebase-apply", "sequencer"].into_iter().any(has) {
        Some(OperationKind::Series)
    } else if has("MERGE_HEAD") {
        Some(OperationKind::Merge)
    } else if has("CHERRY_PICK_HEAD") {
        Some(OperationKind::CherryPick)
    } else if has("REVERT_HEAD") {
        Some(OperationKind::Revert)
    } else {
        None
    }
}

/// A repository that can be captured.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) git_dir: PathBuf,
    pub(super) common_dir: PathBuf,
    pub(super) settings: Vec<(String, String)>,
}

impl Repository {
    pub(super) fn open(scope: &Scope<'_>) -> Result<Self, Stop> {
        let project = scope.project;
        let (Some(git_dir), Some(common_dir)) = (&project.git_dir, &project.common_dir) else {
            return Err(Withheld::NoRepository.into());
        };
        let settings = project::all_settings(project, scope.git)?;
        let repository =
            Self { git_dir: git_dir.clone(), common_dir: common_dir.clone(), settings };
        if let Some(kind) = repository.last("extensions.refstorage").filter(|kind| *kind != "files")
        {
            return Err(Withheld::RefStorage(kind.to_owned()).into());
        }
        if let Some(kind) =
            repository.last("extensions.objectformat").filter(|kind| *kind != "sha1")
        {
            return Err(Withheld::ObjectFormat(kind.to_owned()).into());
        }
        if is_bisecting(git_dir) {
            return Err(Withheld::Bisecting.into());
        }
        Ok(repository)
    }

    /// The value of a setting that counts.
    pub(super) fn last(&self, key: &str) -> Option<&str> {
        let found = self.settings.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a setting is on.
    pub(super) fn is_on(&self, key: &str, otherwise: bool) -> bool {
        self.last(key).map_or(otherwise, |value| {
            !["false", "no", "off", "0", ""].contains(&value.to_ascii_lowercase().as_str())
        })
    }

    /// Whether a restore works here, or was interrupted.
    pub(super) fn is_being_restored(&self) -> bool {
        super::is_restore_mark(&self.git_dir.join("index.lock"))
    }

    /// The stamp of the index; `None` while there is none.
    pub(super) fn index_stamp(&self) -> Option<Stamp> {
        stamp(&self.git_dir.join("index"))
    }

    /// Asks where HEAD is.
    pub(super) fn head(&self, scope: &Scope<'_>) -> Result<Head, Stop> {
        let both = scope.ask().args(["rev-parse", "HEAD", "--symbolic-full-name", "HEAD"]).run()?;
        let text = String::from_utf8_lossy(&both.stdout).into_owned();
        let mut lines = text.lines();
        if both.success() {
            let commit = lines.next().and_then(|id| id.parse().ok());
            let branch = lines.next().and_then(|name| name.strip_prefix("refs/heads/"));
            return Ok(Head { branch: branch.map(str::to_owned), commit });
        }
        let name = super::answer(scope.ask().args(["symbolic-ref", "HEAD"]))?;
        let name = String::from_utf8_lossy(&name).trim_end().to_owned();
        Ok(Head { branch: name.strip_prefix("refs/heads/").map(str::to_owned), commit: None })
    }

    /// How many commits only the branch has, and only its upstream; none where there is no such thing.
    pub(super) fn apart(&self, scope: &Scope<'_>, head: &Head) -> (u32, u32) {
        if head.branch.is_none() || head.commit.is_none() {
            return (0, 0);
        }
        let range = "--count --left-right HEAD...@{upstream}".split(' ');
        let output = scope.ask().arg("rev-list").args(range).deadline(AHEAD_DEADLINE).run();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let text = text.unwrap_or_default();
        let mut counts = text.split_whitespace().map(|count| count.parse().unwrap_or(0));
        (counts.next().unwrap_or(0), counts.next().unwrap_or(0))
    }

    pub(super) fn notes(&self) -> Notes {
        let is_promisor = |(key, value): &(String, String)| {
            key == "extensions.partialclone" || (key.ends_with(".promisor") && value != "false")
        };
        Notes {
            shallow: std::fs::symlink_metadata(self.common_dir.join("shallow")).is_ok(),
            partial: self.settings.iter().any(is_promisor),
            sparse: self.is_on("core.sparsecheckout", false),
            linked: self.git_dir != self.common_dir,
        }
    }

    /// The operation that was not finished, with its files.
    pub(super) fn operation(&self) -> Result<Option<Operation>, Stop> {
        let Some(kind) = unfinished(&self.git_dir) else { return Ok(None) };
        let mut files = BTreeMap::new();
        for name in kind.files() {
            if let Some(bytes) = small_file(&self.git_dir.join(name))? {
                files.insert((*name).to_owned(), bytes);
            }
        }
        Ok(Some(Operation { kind, files }))
    }

    /// The commits below which a shallow clone has nothing.
    pub(super) fn cuts(&self) -> Result<Vec<crate::id::Oid>, Stop> {
        let path = self.common_dir.join("shallow");
        let found = std::fs::read(&path);
        match found {
            Ok(bytes) => Ok(bytes.split(|byte| *byte == b'\n').filter_map(super::oid).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Withheld::Unreadable(error.to_string()).into()),
        }
    }
}

/// The stamp of whatever lies at `path`.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    std::fs::symlink_metadata(path).ok().as_ref().map(Stamp::of)
}

fn small_file(path: &Path) -> Result<Option<Vec<u8>>, Stop> {
    use std::io::Read as _;
    let Ok(file) = crate::disk::open_regular(path) else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = file.take(OPERATION_FILE_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Withheld::Unreadable(error.to_string()))?;
    Ok((bytes.len() <= OPERATION_FILE_MAX).then_some(bytes))
}
