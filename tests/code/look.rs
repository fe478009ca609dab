//! What can be seen of a clone: two that look alike are in the same state.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use super::states::Place;

/// What stands at a path.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Thing {
    /// A file: whether it may be executed, and its bytes.
    File(bool, Vec<u8>),
    /// A link.
    Link(Vec<u8>),
    /// A directory with nothing in it.
    Empty,
    /// A pipe or a socket.
    Special,
}

impl std::fmt::Debug for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(executable, bytes) => {
                let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
                write!(f, "File({executable}, {} bytes: {start:?})", bytes.len())
            }
            Self::Link(target) => write!(f, "Link({:?})", String::from_utf8_lossy(target)),
            Self::Empty => write!(f, "Empty"),
            Self::Special => write!(f, "Special"),
        }
    }
}

/// All that can be seen of a clone without looking into `.git`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// The commit and the branch, as git names them.
    pub(crate) head: Vec<String>,
    /// The entries of the index with flags.
    pub(crate) index: String,
    /// `git status`.
    pub(crate) status: String,
    /// `git diff`.
    pub(crate) diff: String,
    /// `git diff --cached`.
    pub(crate) staged: String,
    /// The whole work tree.
    pub(crate) tree: BTreeMap<String, Thing>,
}

/// Looks at a clone as its user would.
pub(crate) fn look(place: &Place, clone: &str) -> Look {
    let said = |args: &[&str]| {
        let run = place.try_git(clone, args);
        String::from_utf8_lossy(&run.stdout).replace('\0', "\n")
    };
    let status = said(&["status", "--porcelain=v2", "-z", "--branch", "--untracked-files=all"]);
    // How far a branch is from its upstream depends on what was fetched.
    let status = status
        .lines()
        .filter(|line| !line.starts_with("# branch.ab") && !line.starts_with("# branch.upstream"));
    let status: Vec<&str> = status.collect();
    let mut tree = BTreeMap::new();
    walk(&place.path(clone), Path::new(""), &mut tree);
    Look {
        head: vec![said(&["rev-parse", "HEAD"]), said(&["symbolic-ref", "-q", "HEAD"])],
        index: said(&["ls-files", "-s", "-v", "-z"]),
        status: status.join("\n"),
        diff: said(&["diff", "--full-index", "--binary", "--no-renames"]),
        staged: said(&["diff", "--cached", "--full-index", "--binary", "--no-renames"]),
        tree,
    }
}

/// Lists everything below `root`, without `.git`.
pub(crate) fn walk(root: &Path, below: &Path, tree: &mut BTreeMap<String, Thing>) {
    let mut is_empty = true;
    for entry in std::fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == ".git" {
            continue;
        }
        is_empty = false;
        let path = below.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        let name = path.as_os_str().to_owned().into_vec();
        let name = name.escape_ascii().to_string();
        if kind.is_dir() {
            walk(root, &path, tree);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            tree.insert(name, Thing::Link(target.into_os_string().into_vec()));
        } else if kind.is_fifo() || kind.is_socket() {
            tree.insert(name, Thing::Special);
        } else {
            let executable = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            tree.insert(name, Thing::File(executable, bytes));
        }
    }
    if is_empty && below != Path::new("") {
        let name = below.as_os_str().to_owned().into_vec();
        tree.insert(name.escape_ascii().to_string(), Thing::Empty);
    }
}
