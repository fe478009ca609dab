//! Paths in a repository, as bytes, harmless by construction.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::disk::is_taken_for_git;

/// The longest path in bytes: Linux's limit.
const PATH_MAX: usize = 4096;
/// The most names of a path: of more folders in each other nobody makes use.
pub const DEPTH_MAX: usize = 256;
/// The longest name in bytes: that of nearly every file system.
const NAME_MAX: usize = 255;

/// Why a path may not stand in a code state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` leads out of the work tree, into a git directory, or is no path anyone makes")]
pub struct BadPath {
    /// The path, made printable.
    pub shown: String,
}

/// A path relative to the top of a work tree: names joined by `/`, none of them empty, `.`, `..`, or
/// anything that some file system takes for `.git`. Any other bytes but NUL may stand in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Vec<u8>);

impl RepoPath {
    /// Checks a path.
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BadPath> {
        let bytes = bytes.into();
        let depth = bytes.split(|byte| *byte == b'/').count();
        let fits = !bytes.is_empty() && bytes.len() <= PATH_MAX && depth <= DEPTH_MAX;
        if fits && bytes.split(|byte| *byte == b'/').all(is_harmless) {
            Ok(Self(bytes))
        } else {
            Err(BadPath { shown: shown(&bytes) })
        }
    }

    /// The path's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for the file system, relative.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The names it consists of.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }

    /// The last name.
    pub fn name(&self) -> &[u8] {
        self.names().next_back().unwrap_or_default()
    }

    /// The directory it lies in; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        let end = self.0.iter().rposition(|byte| *byte == b'/')?;
        Some(Self(self.0[..end].to_vec()))
    }

    /// Whether it lies somewhere below `folder`.
    pub fn is_below(&self, folder: &Self) -> bool {
        self.0.strip_prefix(&folder.0[..]).is_some_and(|rest| rest.starts_with(b"/"))
    }

    /// The path for people: what cannot be printed is replaced.
    pub fn shown(&self) -> String {
        shown(&self.0)
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Names the first `max` of some paths, and counts the others: "`a`, `b` and 2 more".
pub fn some(paths: &[impl fmt::Display], max: usize) -> String {
    let named: Vec<String> = paths.iter().take(max).map(|path| format!("`{path}`")).collect();
    let named = named.join(", ");
    match paths.len().saturating_sub(max) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoPath({:?})", self.shown())
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .take(PATH_MAX)
        .collect()
}

fn is_harmless(name: &[u8]) -> bool {
    !(name.is_empty()
        || name.len() > NAME_MAX
        || name == b"."
        || name == b".."
        || name.contains(&0)
        || is_taken_for_git(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_out_or_into_a_git_directory_is_refused() {
        for text in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "./a",
            ".git",
            ".GIT/config",
            "a/.Git/x",
            "git~1",
            "GIT~1/x",
            "git~10",
            ".git.",
            ".git ",
            ".git . .",
            ".git::$INDEX_ALLOCATION",
            ".g\u{200c}it",
            "\u{feff}.git",
            "a\\.git\\x",
            ".git:x",
            "a\0b",
        ] {
            assert!(RepoPath::new(text).is_err(), "{text:?}");
        }
        assert!(RepoPath::new("a/".repeat(3000)).is_err());
        let deep =
            |levels: usize| RepoPath::new(["a/".repeat(levels - 1), "a".to_owned()].concat());
        assert!(deep(DEPTH_MAX).is_ok() && deep(DEPTH_MAX + 1).is_err());
        assert!(RepoPath::new("a".repeat(256)).is_err());
    }

    #[test]
    fn any_other_name_stands() {
        for text in [
            ".gitignore",
            "git",
            "a b",
            "a\nb",
            "日本/x",
            ".gitmodules",
            "...",
            "a:b",
            "git~",
            "x.git",
            ".git2",
        ] {
            assert!(RepoPath::new(text).is_ok(), "{text:?}");
        }
        assert!(RepoPath::new(b"\xff\xfe".to_vec()).is_ok());
    }

    #[test]
    fn a_path_lies_below_a_folder_and_not_below_its_namesake() {
        let path = |text: &str| RepoPath::new(text).unwrap();
        assert!(path("a/b").is_below(&path("a")));
        assert!(!path("ab").is_below(&path("a")) && !path("a").is_below(&path("a")));
        assert_eq!(path("a/b/c").parent(), Some(path("a/b")));
        assert_eq!(path("a").parent(), None);
    }
}
