//! Which repository a directory belongs to, and what of it we may know.
//!
//! Everything here only reads, and asks the `git` program: libgit2 cannot open every repository there
//! is, and where it can, its status differs. Not a byte of `.git` changes, and no program the
//! repository names (hook, filter, fsmonitor) is started.

pub mod address;
mod packs;
mod reflog;
mod settings;
mod status;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use address::{normalise, same};
pub use packs::packed_bytes;
pub use reflog::trees;
pub use settings::{GitSettings, OwnSetting, Settings, settings};
pub use status::code_point;
pub(crate) use status::{porcelain, without_filters};

use crate::git::{Git, GitError, Output};

/// How many names of one project are kept: remotes beyond that are not told apart from others.
const IDS_MAX: usize = 8;
/// How long the search for the first commit may take in a repository without a remote.
const ROOT_DEADLINE: Duration = Duration::from_secs(5);

/// Why a directory's repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The git child gave no answer.
    #[error("ask git about `{}`", path.display())]
    Git {
        /// The directory asked about.
        path: PathBuf,
        /// What went wrong.
        source: GitError,
    },
    /// The repository belongs to another user, and git refuses to read it.
    #[error("read the repository of `{}`: it belongs to another user", path.display())]
    Foreign {
        /// The directory asked about.
        path: PathBuf,
    },
    /// Git refuses for another reason, such as a format it does not know.
    #[error("read the repository of `{}`: {why}", path.display())]
    Unreadable {
        /// The directory asked about.
        path: PathBuf,
        /// What git said, made printable.
        why: String,
    },
}

impl ProjectError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Git { source, .. } => source.hint(),
            Self::Foreign { path } => Some(format!(
                "if you trust it, run `git config --global --add safe.directory {}`",
                path.display()
            )),
            Self::Unreadable { path, .. } => {
                Some(format!("run `git -C {} status` to see what git says", path.display()))
            }
        }
    }
}

/// The repository, or else the directory, that a session works in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The root of the work tree; without a repository the directory itself.
    pub root: PathBuf,
    /// The git directory of this work tree.
    pub git_dir: Option<PathBuf>,
    /// The git directory all its work trees share.
    pub common_dir: Option<PathBuf>,
    /// Names under which other devices may know the project, the most telling first: normalised
    /// addresses of its remotes; without one `root:<first commit>`; else `dir:<path below home>`.
    pub ids: Vec<String>,
    /// Where the user pushes, as git would resolve it.
    pub push_url: Option<String>,
    /// What people call it.
    pub name: String,
}

impl Project {
    /// Whether both are clones of one repository.
    pub fn is_twin_of(&self, other: &Self) -> bool {
        same(&self.ids, &other.ids)
    }
}

/// What people call a folder of which nothing else is known.
pub fn folder_name(root: &Path) -> String {
    root.file_name().unwrap_or(root.as_os_str()).to_string_lossy().into_owned()
}

/// Finds the project of `cwd`. A directory that is gone belongs to what its nearest living ancestor
/// belongs to.
///
/// # Errors
/// [`ProjectError`] when there is a repository and git does not read it. No repository is no error.
pub fn discover(cwd: &Path, git: &Git) -> Result<Project, ProjectError> {
    let Some(dir) = cwd.ancestors().find(|dir| dir.is_dir()) else { return Ok(plain(cwd, git)) };
    let Some(places) = places(dir, git)? else { return Ok(plain(cwd, git)) };
    let settings = settings::all(dir, git)?;
    let branch = current_branch(dir, git)?;
    let remotes = address::remotes(&settings, branch.as_deref(), &places.root);
    let mut ids: Vec<String> =
        remotes.iter().flat_map(|remote| &remote.ids).fold(Vec::new(), |mut ids, id| {
            if !ids.contains(id) {
                ids.push(id.clone());
            }
            ids
        });
    ids.truncate(IDS_MAX);
    if ids.is_empty() {
        ids = first_commits(dir, git)?;
    }
    if ids.is_empty() {
        ids = vec![directory_id(&places.root, git)];
    }
    let name = name_of(&ids[0], &places.root);
    let push_url = remotes.into_iter().next().map(|remote| remote.push_url);
    Ok(Project {
        root: places.root,
        git_dir: Some(places.git_dir),
        common_dir: Some(places.common_dir),
        ids,
        push_url,
        name,
    })
}

/// Reads all settings of a project's repository, in git's order.
///
/// # Errors
/// [`ProjectError`] when git does not read them.
pub(crate) fn all_settings(
    project: &Project,
    git: &Git,
) -> Result<Vec<(String, String)>, ProjectError> {
    settings::all(&project.root, git)
}

/// Which remote the user pushes `branch` to, by the project's settings.
pub(crate) fn push_remote(
    project: &Project,
    settings: &[(String, String)],
    branch: Option<&str>,
) -> Option<String> {
    let remotes = address::remotes(settings, branch, &project.root);
    remotes.into_iter().next().map(|remote| remote.name)
}

/// A directory without a repository.
fn plain(cwd: &Path, git: &Git) -> Project {
    let id = directory_id(cwd, git);
    Project {
        root: cwd.to_owned(),
        git_dir: None,
        common_dir: None,
        name: name_of(&id, cwd),
        ids: vec![id],
        push_url: None,
    }
}

struct Places {
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
}

fn places(dir: &Path, git: &Git) -> Result<Option<Places>, ProjectError> {
    let base = ["rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir"];
    let output = ask(dir, git, &base)?;
    if !output.success() {
        return if output.stderr.contains("not a git repository") {
            Ok(None)
        } else {
            Err(refused(dir, &output))
        };
    }
    let mut lines = lines(&output);
    let (Some(git_dir), Some(common_dir)) = (lines.next(), lines.next()) else {
        return Err(refused(dir, &output));
    };
    // Fails in a bare repository and inside `.git`, where there is no work tree.
    let top = ask(dir, git, &["rev-parse", "--path-format=absolute", "--show-toplevel"])?;
    let root = if top.success() { self::lines(&top).next() } else { None };
    Ok(Some(Places { root: root.unwrap_or_else(|| dir.to_owned()), git_dir, common_dir }))
}

/// Runs a local question in `dir`.
fn ask(dir: &Path, git: &Git, args: &[&str]) -> Result<Output, ProjectError> {
    let source_of = |source| ProjectError::Git { path: dir.to_owned(), source };
    git.command().dir(dir).args(args.iter().copied()).run().map_err(source_of)
}

fn refused(dir: &Path, output: &Output) -> ProjectError {
    if output.stderr.contains("dubious ownership") {
        return ProjectError::Foreign { path: dir.to_owned() };
    }
    ProjectError::Unreadable { path: dir.to_owned(), why: output.said() }
}

/// The lines of an answer as paths, whatever bytes they are.
fn lines(output: &Output) -> impl Iterator<Item = PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| PathBuf::from(std::ffi::OsStr::from_bytes(line)))
}

fn current_branch(dir: &Path, git: &Git) -> Result<Option<String>, ProjectError> {
    let output = ask(dir, git, &["symbolic-ref", "--quiet", "--short", "HEAD"])?;
    let name = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    Ok((output.success() && !name.is_empty()).then_some(name))
}

/// `root:<id>` of the commits without parents below HEAD, the oldest first. A shallow clone has none:
/// where its history is cut says nothing about where it began.
fn first_commits(dir: &Path, git: &Git) -> Result<Vec<String>, ProjectError> {
    let shallow = ask(dir, git, &["rev-parse", "--is-shallow-repository"])?;
    if shallow.stdout.starts_with(b"true") {
        return Ok(Vec::new());
    }
    let command = git
        .command()
        .dir(dir)
        .args(["rev-list", "--max-parents=0", "HEAD"])
        .deadline(ROOT_DEADLINE);
    let output = match command.run() {
        Ok(output) if output.success() => output,
        Ok(_) | Err(GitError::Deadline { .. }) => return Ok(Vec::new()),
        Err(source) => return Err(ProjectError::Git { path: dir.to_owned(), source }),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().rev().take(IDS_MAX).map(|id| format!("root:{id}")).collect())
}

/// `dir:<path below home>`, or the whole path outside of it.
fn directory_id(path: &Path, git: &Git) -> String {
    let below = git.home().and_then(|home| path.strip_prefix(home).ok()).unwrap_or(path);
    format!("dir:{}", below.display())
}

/// The last part of an address; of anything else, the directory's own name.
fn name_of(id: &str, root: &Path) -> String {
    let is_address = !id.starts_with("root:") && !id.starts_with("dir:");
    let last = if is_address { id.rsplit('/').next().map(str::to_owned) } else { None };
    let name = last
        .filter(|name| !name.is_empty())
        .or_else(|| root.file_name().map(|name| name.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests;
