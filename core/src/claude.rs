//! Where Claude Code keeps things, and which of its sessions are running here.
//!
//! Reads only. Which directories are Claude Code's roots is decided by `config`; what is in a
//! transcript beyond the place it was recorded at is `transcript`'s.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

pub mod line;
mod live;
mod recorded;
mod slug;

pub use live::{Live, UNSEEN_FOR_MS, is_running, live_sessions};
pub use recorded::{recorded_cwd, recorded_last_ms, recorded_ms};
pub use slug::{SLUG_MAX, slug};

/// One directory of Claude Code: `$CLAUDE_CONFIG_DIR`, or `~/.claude`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaudeRoot(PathBuf);

impl ClaudeRoot {
    /// Names the directory; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the transcripts are, one directory per project.
    pub fn projects(&self) -> PathBuf {
        self.0.join("projects")
    }

    /// Where running sessions register themselves, one file per process.
    pub fn sessions_registry(&self) -> PathBuf {
        self.0.join("sessions")
    }
}

/// Finds the directory that holds the transcripts of `cwd`, if Claude Code has made one.
///
/// A slug is cut when it is long, and then it ends in a hash we cannot be sure to compute as Claude
/// Code does: such a directory is found by its beginning and confirmed by the `cwd` recorded in it.
pub fn find_slug_dir(root: &ClaudeRoot, cwd: &Path) -> Option<PathBuf> {
    let cwd = physical(cwd);
    let name = slug(&cwd);
    if name.len() <= SLUG_MAX {
        return Some(root.projects().join(name)).filter(|dir| dir.is_dir());
    }
    let start = &name[..=SLUG_MAX];
    let mut candidates: Vec<PathBuf> = fs::read_dir(root.projects())
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(start.as_bytes()))
        .map(|entry| entry.path())
        .collect();
    candidates.sort();
    candidates.into_iter().find(|dir| is_recorded_in(dir, &cwd))
}

/// Names the directory that the transcripts of `cwd` belong into: the one that is there, or else
/// the one Claude Code would make.
pub fn slug_dir_for(root: &ClaudeRoot, cwd: &Path) -> PathBuf {
    find_slug_dir(root, cwd).unwrap_or_else(|| root.projects().join(slug(&physical(cwd))))
}

/// Follows links as Claude Code does before it makes a slug.
fn physical(cwd: &Path) -> PathBuf {
    fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned())
}

fn is_recorded_in(dir: &Path, cwd: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some(OsStr::new("jsonl")))
        .any(|path| {
            recorded_cwd(&path).is_some_and(|found| slug::normal(&found) == slug::normal(cwd))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk;

    fn record(dir: &Path, name: &str, cwd: &str) {
        disk::private_dir(dir).unwrap();
        disk::write_atomic(
            &dir.join(name),
            format!("{{\"type\":\"user\",\"cwd\":{cwd:?}}}\n").as_bytes(),
        )
        .unwrap();
    }

    #[test]
    fn a_short_slug_is_found_by_its_name() {
        let home = tempfile::tempdir().unwrap();
        let root = ClaudeRoot::new(home.path());
        let cwd = Path::new("/nowhere/my_app.v2");
        assert_eq!(find_slug_dir(&root, cwd), None);
        assert_eq!(slug_dir_for(&root, cwd), root.projects().join("-nowhere-my-app-v2"));
        disk::private_dir(&root.projects().join("-nowhere-my-app-v2")).unwrap();
        assert_eq!(find_slug_dir(&root, cwd), Some(root.projects().join("-nowhere-my-app-v2")));
    }

    #[test]
    fn a_link_to_a_project_has_the_projects_slug() {
        let home = tempfile::tempdir().unwrap();
        let root = ClaudeRoot::new(home.path().join("claude"));
        let project = fs::canonicalize(home.path()).unwrap().join("project");
        disk::private_dir(&project).unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&project, &link).unwrap();
        assert_eq!(slug_dir_for(&root, &link), root.projects().join(slug(&project)));
    }

    #[test]
    fn a_long_slug_is_found_by_its_beginning_and_what_is_recorded_in_it() {
        let home = tempfile::tempdir().unwrap();
        let root = ClaudeRoot::new(home.path());
        let long = format!("/nowhere/{}", "long-dir-name/".repeat(16));
        let (mine, other) = (format!("{long}mine"), format!("{long}other"));
        let start = &slug(Path::new(&mine))[..SLUG_MAX];
        record(&root.projects().join(format!("{start}-aaaaaa")), "1.jsonl", &other);
        record(&root.projects().join(format!("{start}-bbbbbb")), "2.jsonl", &mine);
        let found = find_slug_dir(&root, Path::new(&mine)).unwrap();
        assert!(found.to_str().unwrap().ends_with("-bbbbbb"));
        let third = format!("{long}third");
        assert_eq!(find_slug_dir(&root, Path::new(&third)), None);
        assert_eq!(
            slug_dir_for(&root, Path::new(&third)),
            root.projects().join(slug(Path::new(&third)))
        );
    }
}
