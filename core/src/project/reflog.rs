//! When the HEADs of a clone moved, as git's own files say; no program is started.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Project;
use crate::context::{Moves, Tree};
use crate::disk;

/// How much of the end of a reflog is read: a line has about 170 bytes.
const REFLOG_BYTES_MAX: u64 = 1 << 20;

/// How much of `HEAD`, or of what points to a work tree, is read: a name or a path with some words before it.
const POINTER_BYTES_MAX: u64 = 8 << 10;

/// So many work trees of one clone are looked at.
const TREES_MAX: usize = 64;

/// The work trees of a project's clone with the moves of their HEADs, the project's own first. What cannot be
/// read has no moves; without a repository there is none.
pub fn trees(project: &Project) -> Vec<Tree> {
    let (Some(git_dir), Some(common_dir)) = (&project.git_dir, &project.common_dir) else {
        return Vec::new();
    };
    let mut trees = vec![tree(project.root.clone(), git_dir)];
    let main =
        common_dir.parent().filter(|_| common_dir.file_name().is_some_and(|name| name == ".git"));
    let linked = fs::read_dir(common_dir.join("worktrees")).into_iter().flatten().flatten();
    let linked = linked.take(TREES_MAX).map(|entry| entry.path());
    let others = linked.filter_map(|dir| Some((root_of(&dir)?, dir)));
    for (root, dir) in
        main.map(|root| (root.to_owned(), common_dir.clone())).into_iter().chain(others)
    {
        if root != project.root {
            trees.push(tree(root, &dir));
        }
    }
    trees
}

fn tree(root: PathBuf, git_dir: &Path) -> Tree {
    let head = end_of(&git_dir.join("HEAD"), POINTER_BYTES_MAX).unwrap_or_default();
    let head = String::from_utf8_lossy(&head);
    let branch = head.trim_end().strip_prefix("ref: refs/heads/");
    let reflog = end_of(&git_dir.join("logs/HEAD"), REFLOG_BYTES_MAX).unwrap_or_default();
    Tree { root, moves: Moves::of_reflog(&reflog, branch) }
}

/// The top of a further work tree, whose git directory says where its `.git` lies.
fn root_of(git_dir: &Path) -> Option<PathBuf> {
    let text = end_of(&git_dir.join("gitdir"), POINTER_BYTES_MAX)?;
    let path = Path::new(std::ffi::OsStr::from_bytes(text.trim_ascii_end()));
    path.is_absolute().then(|| path.parent().map(Path::to_owned))?
}

/// The last bytes of a file; none where there is no regular file that can be read.
fn end_of(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut file = disk::open_regular(path).ok()?;
    disk::read_end(&mut file, most).ok().map(|(bytes, _)| bytes)
}
