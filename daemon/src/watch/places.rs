//! Which hint an event leads to. Pure: the paths are only compared.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use convosync_core::disk::TEMP_PREFIX;
use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};

use super::Hint;

/// Files in a repository's folders that say nothing about its state.
const REPOSITORY_NOISE: &[&str] = &["COMMIT_EDITMSG", "FETCH_HEAD", "gc.pid", "gc.log"];

/// What is watched, by the paths under which events arrive.
#[derive(Debug, Default)]
pub(super) struct Places {
    trees: Vec<Tree>,
    repositories: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

/// A watched folder of a root.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// The root as it was given.
    pub(super) root: PathBuf,
    /// The folder with every link resolved: events name it so.
    pub(super) real: PathBuf,
    /// Which of the root's folders it is.
    pub(super) kind: TreeKind,
}

/// Which of a root's folders is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TreeKind {
    /// The root itself, where `projects` and `sessions` may appear or be replaced.
    Root,
    /// `projects`, with all it holds.
    Projects,
    /// `sessions`.
    Registry,
}

/// What follows from one path of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// This should be looked at.
    Hint(Hint),
    /// A folder is new: nobody reported what was in it before it was watched.
    NewFolder(PathBuf),
    /// A root may have appeared, gone or been replaced.
    CheckRoots,
}

/// Whether an event of this kind means a change. Reading means none, also our own: an answer to it
/// would be an endless loop.
pub(super) fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// Whether an event of this kind brings or takes away a name.
fn is_about_names(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Any
            | EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_))
    )
}

/// Whether what appeared may be a folder with something in it already.
fn may_bring_folder(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(CreateKind::File) => false,
        EventKind::Create(_) => true,
        EventKind::Modify(ModifyKind::Name(from)) => from != RenameMode::From,
        _ => false,
    }
}

impl Places {
    /// Adds a folder of a root.
    pub(super) fn add_tree(&mut self, tree: Tree) {
        self.trees.push(tree);
    }

    /// Removes a root's folders and returns them.
    pub(super) fn remove_root(&mut self, root: &Path) -> Vec<Tree> {
        let (gone, kept) =
            std::mem::take(&mut self.trees).into_iter().partition(|t| t.root == root);
        self.trees = kept;
        gone
    }

    /// Returns the root that a watched path belongs to.
    pub(super) fn root_of(&self, path: &Path) -> Option<PathBuf> {
        self.trees.iter().find(|tree| path.starts_with(&tree.real)).map(|tree| tree.root.clone())
    }

    /// Returns the watched `projects` folders.
    pub(super) fn projects(&self) -> Vec<PathBuf> {
        let projects = self.trees.iter().filter(|tree| tree.kind == TreeKind::Projects);
        projects.map(|tree| tree.real.clone()).collect()
    }

    /// Returns the folders of all repositories.
    pub(super) fn repository_folders(&self) -> Vec<PathBuf> {
        self.repositories.keys().cloned().collect()
    }

    /// Replaces a repository's folders; returns those to watch now and those to watch no more.
    pub(super) fn set_repository(
        &mut self,
        name: &Path,
        folders: &[PathBuf],
    ) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let before: BTreeSet<PathBuf> = self.repositories.keys().cloned().collect();
        self.repositories.retain(|_, names| {
            names.remove(name);
            !names.is_empty()
        });
        for folder in folders {
            self.repositories.entry(folder.clone()).or_default().insert(name.to_owned());
        }
        let added = folders.iter().filter(|folder| !before.contains(*folder)).cloned().collect();
        let gone = before.into_iter().filter(|folder| !self.repositories.contains_key(folder));
        (added, gone.collect())
    }

    /// Says what follows from an event about `path`.
    pub(super) fn route(&self, kind: EventKind, path: &Path) -> Vec<Step> {
        let mut steps = Vec::new();
        if !is_change(kind) || is_our_temporary(path) {
            return steps;
        }
        for tree in &self.trees {
            if let Ok(rest) = path.strip_prefix(&tree.real) {
                tree.route(kind, path, rest, &mut steps);
            }
        }
        let name = path.file_name().unwrap_or_default();
        let folders = path.parent().into_iter().chain([path]);
        for names in folders.filter_map(|folder| self.repositories.get(folder)) {
            if !is_repository_noise(name) {
                steps.extend(names.iter().map(|name| Step::Hint(Hint::Repository(name.clone()))));
            }
        }
        steps
    }
}

impl Tree {
    fn route(&self, kind: EventKind, path: &Path, rest: &Path, steps: &mut Vec<Step>) {
        let is_itself = rest.as_os_str().is_empty();
        if is_itself && is_about_names(kind) {
            steps.push(Step::CheckRoots);
        }
        match self.kind {
            TreeKind::Root => {
                let is_folder =
                    [OsStr::new("projects"), OsStr::new("sessions")].contains(&rest.as_os_str());
                if is_folder && is_about_names(kind) {
                    steps.push(Step::CheckRoots);
                }
            }
            TreeKind::Registry => steps.push(Step::Hint(Hint::Registry(self.root.clone()))),
            TreeKind::Projects if is_itself => {}
            TreeKind::Projects => {
                let given = self.root.join("projects").join(rest);
                steps.push(Step::Hint(Hint::Transcript(given)));
                if may_bring_folder(kind) {
                    steps.push(Step::NewFolder(path.to_owned()));
                }
            }
        }
    }
}

/// Whether this is a file that we are writing ourselves.
fn is_our_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes()))
}

fn is_repository_noise(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(b".lock")
        || REPOSITORY_NOISE.iter().any(|noise| name == OsStr::new(noise))
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{DataChange, MetadataKind, RemoveKind};

    const CREATED: EventKind = EventKind::Create(CreateKind::File);
    const FOLDER: EventKind = EventKind::Create(CreateKind::Folder);
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const OPENED: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));
    const READ: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Read));
    const TOUCHED: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    const MOVED_IN: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    const REMOVED: EventKind = EventKind::Remove(RemoveKind::Folder);

    fn places() -> Places {
        let mut places = Places::default();
        let tree = |real: &str, kind| Tree { root: "/c".into(), real: real.into(), kind };
        places.add_tree(tree("/real", TreeKind::Root));
        places.add_tree(tree("/elsewhere", TreeKind::Projects));
        places.add_tree(tree("/real/sessions", TreeKind::Registry));
        places.set_repository(Path::new("r"), &["/r/.git".into(), "/r/.git/refs/heads".into()]);
        places.set_repository(Path::new("w"), &["/r/.git".into()]);
        places
    }

    fn check_route(kind: EventKind, path: &str, steps: &[Step]) {
        assert_eq!(places().route(kind, Path::new(path)), steps, "{kind:?} {path}");
    }

    fn transcript(path: &str) -> Step {
        Step::Hint(Hint::Transcript(path.into()))
    }

    #[test]
    fn what_changes_below_projects_is_named_by_the_path_that_was_given() {
        check_route(WRITTEN, "/elsewhere/-p/a.jsonl", &[transcript("/c/projects/-p/a.jsonl")]);
        check_route(CLOSED, "/elsewhere/-p/a.jsonl", &[transcript("/c/projects/-p/a.jsonl")]);
        check_route(CREATED, "/elsewhere/-p/a.jsonl", &[transcript("/c/projects/-p/a.jsonl")]);
        check_route(WRITTEN, "/other/-p/a.jsonl", &[]);
    }

    #[test]
    fn reading_is_no_change_and_neither_are_our_own_unfinished_files() {
        for kind in [OPENED, READ] {
            check_route(kind, "/elsewhere/-p/a.jsonl", &[]);
            check_route(kind, "/real/sessions/1.json", &[]);
            check_route(kind, "/r/.git/HEAD", &[]);
        }
        check_route(CREATED, "/elsewhere/-p/.convosync-x1", &[]);
    }

    #[test]
    fn a_new_folder_is_looked_into() {
        for kind in [FOLDER, MOVED_IN] {
            let steps = [transcript("/c/projects/-p"), Step::NewFolder("/elsewhere/-p".into())];
            check_route(kind, "/elsewhere/-p", &steps);
        }
    }

    #[test]
    fn roots_are_checked_when_their_folders_come_or_go() {
        check_route(FOLDER, "/real/projects", &[Step::CheckRoots]);
        check_route(REMOVED, "/real", &[Step::CheckRoots]);
        check_route(REMOVED, "/elsewhere", &[Step::CheckRoots]);
        check_route(TOUCHED, "/real/projects", &[]);
        check_route(WRITTEN, "/real/history.jsonl", &[]);
    }

    #[test]
    fn the_registry_is_one_hint() {
        let registry = Step::Hint(Hint::Registry("/c".into()));
        check_route(WRITTEN, "/real/sessions/12.json", std::slice::from_ref(&registry));
        check_route(REMOVED, "/real/sessions/12.json", &[registry]);
    }

    #[test]
    fn a_repositorys_state_is_told_from_its_noise() {
        let hint = |name: &str| Step::Hint(Hint::Repository(name.into()));
        check_route(MOVED_IN, "/r/.git/HEAD", &[hint("r"), hint("w")]);
        check_route(MOVED_IN, "/r/.git/refs/heads/main", &[hint("r")]);
        for noise in ["/r/.git/index.lock", "/r/.git/FETCH_HEAD", "/r/.git/objects/aa/bb"] {
            check_route(CREATED, noise, &[]);
        }
    }

    #[test]
    fn a_folder_is_watched_as_long_as_one_repository_needs_it() {
        let mut places = places();
        let git: PathBuf = "/r/.git".into();
        let heads: PathBuf = "/r/.git/refs/heads".into();
        assert_eq!(places.set_repository(Path::new("r"), &[]), (vec![], vec![heads]));
        let new: PathBuf = "/r/.git/logs".into();
        let (added, gone) = places.set_repository(Path::new("w"), &[git.clone(), new.clone()]);
        assert_eq!((added, gone), (vec![new.clone()], vec![]));
        assert_eq!(places.set_repository(Path::new("w"), &[]), (vec![], vec![git, new]));
    }
}
