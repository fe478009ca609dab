//! Which projects the user agreed to have saved. This is consent, so it lies beside the keys and not
//! among the caches, and it is only ever changed by `init`, `enable` and `disable`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use convosync_core::id::Digest;
use serde::{Deserialize, Serialize};

use crate::lists::{List, ListError};

/// The file's name, in the folder of the keys.
pub const FILE: &str = "projects.toml";

/// A project with a file of this name in its folder is never saved, whoever enabled it.
pub const OFF_FILE: &str = ".convosync/off";

static LIST: List = List {
    file: FILE,
    what: "projects",
    kept: "projects",
    // Some thousands of projects.
    bytes_max: 4 << 20,
    mend: "mend it, or remove it and run `convosyncctl enable` in each project again; until then nothing is saved",
};

/// The enabled projects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enabled {
    /// One entry a project.
    #[serde(default, rename = "project")]
    pub projects: Vec<EnabledProject>,
}

/// One enabled project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnabledProject {
    /// Its folder on this device.
    pub root: PathBuf,
    /// Whether the remote takes nothing but branches, as the probe found.
    #[serde(default)]
    pub branches_only: bool,
    /// What the user agreed to of the settings in the repository's own configuration.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub agreed: BTreeSet<Digest>,
}

impl EnabledProject {
    /// A project of which nothing more is known yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root, branches_only: false, agreed: BTreeSet::new() }
    }
}

impl Enabled {
    /// Reads the list from the folder of the keys; no file is no projects.
    ///
    /// # Errors
    /// [`ListError`] when the file is there but unreadable: consent is never guessed.
    pub fn load(keys: &Path) -> Result<Self, ListError> {
        LIST.load(keys)
    }

    /// Writes the list.
    ///
    /// # Errors
    /// [`ListError::Write`]; the old list then still stands.
    pub fn store(&self, keys: &Path) -> Result<(), ListError> {
        LIST.store(keys, self)
    }

    /// Notes what a probe found of a project's remote.
    pub fn send_to_branches(&mut self, root: &Path, branches_only: bool) {
        for known in self.projects.iter_mut().filter(|known| known.root == root) {
            known.branches_only = branches_only;
        }
    }

    /// Adds a project, or replaces what is known of it.
    pub fn add(&mut self, project: EnabledProject) {
        self.projects.retain(|known| known.root != project.root);
        self.projects.push(project);
    }

    /// Removes a project; returns whether it was there.
    pub fn remove(&mut self, root: &Path) -> bool {
        let before = self.projects.len();
        self.projects.retain(|known| known.root != root);
        self.projects.len() < before
    }
}

/// Whether a project said of itself that it is never to be saved.
pub fn is_off(root: &Path) -> bool {
    root.join(OFF_FILE).symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use convosync_core::disk;

    use super::*;

    #[test]
    fn the_list_is_read_as_it_was_written() {
        let keys = tempfile::tempdir().unwrap();
        let mut enabled = Enabled::load(keys.path()).unwrap();
        assert_eq!(enabled, Enabled::default());
        let app = EnabledProject::new("/home/a/my \"app\"".into());
        let agreed = [Digest::of(b"one"), Digest::of(b"two")].into();
        enabled.add(EnabledProject { branches_only: true, agreed, ..app });
        enabled.add(EnabledProject::new("/home/a/other".into()));
        enabled.store(keys.path()).unwrap();
        assert_eq!(Enabled::load(keys.path()).unwrap(), enabled);
        assert!(enabled.remove(Path::new("/home/a/other")));
        assert!(!enabled.remove(Path::new("/home/a/other")));
    }

    #[test]
    fn a_damaged_list_is_an_error_and_not_an_empty_one() {
        let keys = tempfile::tempdir().unwrap();
        disk::write_atomic(&keys.path().join(FILE), b"[[project]]\nroot = 3\n").unwrap();
        let error = Enabled::load(keys.path()).unwrap_err().to_string();
        assert!(error.contains("projects.toml") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn adding_a_project_twice_keeps_one() {
        let mut enabled = Enabled::default();
        let first = EnabledProject::new("/a".into());
        let second = EnabledProject { branches_only: true, ..first.clone() };
        enabled.add(first);
        enabled.add(second.clone());
        assert_eq!(enabled.projects, [second]);
    }
}
