//! Which enabled project a directory belongs to, from the names of files alone: git is never run in a
//! repository that nobody enabled (a transcript may name any directory).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Home;

/// The longest `.git` file that is read, in bytes: it holds one path.
const GIT_FILE_MAX: u64 = 16 << 10;

/// What stands nearest above a directory, itself included.
enum Nearest {
    /// A repository or submodule whose `.git` lies in this folder.
    Repository(PathBuf),
    /// A linked work tree of the repository with this common directory.
    WorkTree(PathBuf),
    /// No repository.
    Nothing,
}

/// The project that `directory`, a real path, belongs to.
pub(crate) fn of<'a>(homes: &'a [Arc<Home>], directory: &Path) -> Option<&'a Arc<Home>> {
    let is_plain = |home: &&Arc<Home>| {
        home.project.git_dir.is_none() && directory.starts_with(&home.project.root)
    };
    match nearest(directory) {
        Nearest::Repository(root) => homes.iter().find(|home| home.project.root == root),
        Nearest::WorkTree(common) => {
            let exact = homes
                .iter()
                .find(|home| directory.starts_with(&home.project.root) && is_of(home, &common));
            exact.or_else(|| homes.iter().find(|home| is_of(home, &common)))
        }
        Nearest::Nothing => {
            homes.iter().filter(is_plain).max_by_key(|home| home.project.root.components().count())
        }
    }
}

fn is_of(home: &Home, common: &Path) -> bool {
    home.project.common_dir.as_deref() == Some(common)
}

/// The root of the work tree that `directory`, a real path, lies in.
pub(crate) fn repository(directory: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| std::fs::symlink_metadata(folder.join(".git")).is_ok();
    directory.ancestors().find(is_root).map(Path::to_owned)
}

fn nearest(directory: &Path) -> Nearest {
    for folder in directory.ancestors() {
        let git = folder.join(".git");
        match std::fs::symlink_metadata(&git) {
            Ok(found) if found.is_file() && found.len() <= GIT_FILE_MAX => {
                return linked(folder, &git);
            }
            Ok(_) => return Nearest::Repository(folder.to_owned()),
            Err(_) => {}
        }
    }
    Nearest::Nothing
}

/// Reads `gitdir: <common>/worktrees/<name>`; a submodule's names `modules` instead and is a repository of
/// its own.
fn linked(folder: &Path, git: &Path) -> Nearest {
    let text = std::fs::read_to_string(git).unwrap_or_default();
    let named = text.strip_prefix("gitdir:").map(str::trim).map(|path| folder.join(path));
    let common = named.and_then(|path| {
        let worktrees = path.parent().filter(|parent| parent.ends_with("worktrees"))?;
        std::fs::canonicalize(worktrees.parent()?).ok()
    });
    common.map_or_else(|| Nearest::Repository(folder.to_owned()), Nearest::WorkTree)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use convosync_core::disk;
    use convosync_core::project::Project;

    use super::*;
    use crate::engine::{ProjectKey, StoreKey};

    fn home(key: u32, root: &Path, has_git: bool) -> Arc<Home> {
        let git_dir = has_git.then(|| root.join(".git"));
        let project = Project {
            root: root.to_owned(),
            common_dir: git_dir.clone(),
            git_dir,
            ids: Vec::new(),
            push_url: None,
            name: String::new(),
        };
        let agreed = BTreeSet::new();
        Arc::new(Home { key: ProjectKey(key), project, store: StoreKey(0), agreed })
    }

    fn folder(path: &Path) -> PathBuf {
        disk::make_dirs(path).unwrap();
        path.to_owned()
    }

    #[test]
    fn a_directory_belongs_to_the_nearest_repository_and_to_no_other() {
        let top = tempfile::tempdir().unwrap();
        let top = std::fs::canonicalize(top.path()).unwrap();
        let app = folder(&top.join("app"));
        folder(&app.join(".git/worktrees/side"));
        folder(&app.join("vendor/lib/.git"));
        let side = folder(&top.join("side"));
        let link = format!("gitdir: {}\n", app.join(".git/worktrees/side").display());
        disk::create_new(&side.join(".git"), link.as_bytes()).unwrap();
        let module = folder(&app.join("module"));
        disk::create_new(&module.join(".git"), b"gitdir: ../.git/modules/module\n").unwrap();
        let notes = folder(&top.join("notes"));
        let homes = [home(1, &app, true), home(2, &notes, false)];
        let key = |path: &Path| of(&homes, path).map(|home| home.key.0);

        assert_eq!(key(&app), Some(1));
        assert_eq!(key(&folder(&app.join("src/deep"))), Some(1));
        assert_eq!(key(&side), Some(1), "a linked work tree");
        assert_eq!(key(&folder(&side.join("src"))), Some(1));
        assert_eq!(key(&app.join("vendor/lib")), None, "a nested repository");
        assert_eq!(key(&module), None, "a submodule");
        assert_eq!(key(&folder(&notes.join("today"))), Some(2), "a folder without a repository");
        assert_eq!(key(&top), None);
    }
}
