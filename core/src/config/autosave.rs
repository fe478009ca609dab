//! What the daemon does about the code by itself, and where it may commit.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::exclude::fits_branch;
use super::raw::{EXCLUDE_MAX, Wrong, bad_value, is_rooted, limited, unplaced, unplaced_list};

/// Branches that others build upon, as most projects call them.
const PROTECTED: [&str; 10] = [
    "main",
    "master",
    "trunk",
    "develop",
    "dev",
    "staging",
    "production",
    "release/**",
    "releases/**",
    "hotfix/**",
];

/// What the daemon does about the code by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autosave {
    /// What of the code a save has that nobody asked for.
    pub code: AutosaveCode,
    /// The projects that [`AutosaveCode::Commit`] holds for, by their folders.
    pub commit_in: Vec<String>,
    /// Branches that are committed to and pushed.
    pub sync_branches: Vec<String>,
    /// Branches that never are, whatever the others say.
    pub protected_branches: Vec<String>,
}

/// What of the code a save has that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutosaveCode {
    /// Its state, as of `capture`; the repository is not touched.
    #[default]
    Snapshot,
    /// The same, and then the branch is committed to and pushed, as `save` does.
    Commit,
    /// Nothing: the conversation alone.
    Off,
}

/// Why a branch is not committed to by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is protected.
    Protected,
    /// It is not among those that are.
    Unnamed,
}

impl Default for Autosave {
    fn default() -> Self {
        Self {
            code: AutosaveCode::default(),
            commit_in: Vec::new(),
            sync_branches: vec!["**".to_owned()],
            protected_branches: PROTECTED.map(str::to_owned).to_vec(),
        }
    }
}

impl Autosave {
    /// What is done in the project at `root`: it is committed only where that very folder is named.
    pub fn of(&self, root: &Path, home: &Path) -> AutosaveCode {
        let is_it = |named: &String| is_named(named, root, home);
        match self.code {
            AutosaveCode::Commit if !self.commit_in.iter().any(is_it) => AutosaveCode::Snapshot,
            code => code,
        }
    }

    /// The folders that are to be committed in and are none of these projects.
    pub fn unknown(&self, roots: &[&Path], home: &Path) -> Vec<&str> {
        let is_unknown = |named: &&String| !roots.iter().any(|root| is_named(named, root, home));
        let named = self.commit_in.iter().filter(|_| self.code == AutosaveCode::Commit);
        named.filter(is_unknown).map(String::as_str).collect()
    }

    /// Whether a branch may be committed to by itself. Protected is one whatever its letters' case, and all
    /// below its name.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(&self, branch: &str) -> Result<(), Unfit> {
        let lower = branch.to_lowercase();
        let protects = |pattern: &String| fits_branch(&pattern.to_lowercase(), &lower, true);
        if self.protected_branches.iter().any(protects) {
            return Err(Unfit::Protected);
        }
        let names = |pattern: &String| fits_branch(pattern, branch, false);
        if self.sync_branches.iter().any(names) { Ok(()) } else { Err(Unfit::Unnamed) }
    }
}

fn is_named(named: &str, root: &Path, home: &Path) -> bool {
    match named.strip_prefix("~/") {
        Some(below) => home.join(below) == root,
        None => Path::new(named) == root,
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAutosave {
    code: Spanned<AutosaveCode>,
    commit_in: Spanned<Vec<Spanned<String>>>,
    sync_branches: Spanned<Vec<Spanned<String>>>,
    protected_branches: Spanned<Vec<Spanned<String>>>,
}

impl From<&Autosave> for RawAutosave {
    fn from(autosave: &Autosave) -> Self {
        Self {
            code: unplaced(autosave.code),
            commit_in: unplaced_list(&autosave.commit_in),
            sync_branches: unplaced_list(&autosave.sync_branches),
            protected_branches: unplaced_list(&autosave.protected_branches),
        }
    }
}

impl RawAutosave {
    pub(super) fn check(self) -> Result<Autosave, Wrong> {
        let (code, span) = (*self.code.get_ref(), self.code.span());
        let commit_in = folders("autosave.commit_in", self.commit_in)?;
        if code == AutosaveCode::Commit && commit_in.is_empty() {
            let message = "`commit` needs the folders of the projects in `commit_in`".to_owned();
            return Err(bad_value("autosave.code", &span, message));
        }
        Ok(Autosave {
            code,
            commit_in,
            sync_branches: branches("autosave.sync_branches", self.sync_branches)?,
            protected_branches: branches("autosave.protected_branches", self.protected_branches)?,
        })
    }
}

/// Each project is named by itself: no pattern agrees to what nobody thought of.
fn folders(key: &str, list: Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Wrong> {
    let check = |folder: Spanned<String>| {
        let text = folder.get_ref();
        let is_one = is_rooted(text) && !text.trim_matches(['/', '~']).is_empty();
        if is_one && !text.contains(['*', '?']) {
            return Ok(folder.into_inner());
        }
        let message = format!("`{text}` is not one project's folder, like `~/work/shop`");
        Err(bad_value(key, &folder.span(), message))
    };
    limited(key, list, EXCLUDE_MAX)?.into_iter().map(check).collect()
}

fn branches(key: &str, list: Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Wrong> {
    let check = |pattern: Spanned<String>| {
        let text = pattern.get_ref();
        if !text.is_empty() && text.split('/').all(|name| !name.is_empty()) {
            return Ok(pattern.into_inner());
        }
        let message = format!("`{text}` is not the name of a branch, like `feature/*`");
        Err(bad_value(key, &pattern.span(), message))
    };
    limited(key, list, EXCLUDE_MAX)?.into_iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], branch: &str, admitted: Result<(), Unfit>) {
        let sync_branches = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let autosave = Autosave { sync_branches, ..Autosave::default() };
        assert_eq!(autosave.admits(branch), admitted, "{patterns:?} {branch}");
    }

    #[test]
    fn a_branch_that_others_build_upon_is_never_committed_to() {
        for branch in ["main", "Master", "release/1.0", "release/1.0/fix", "release", "main/x"] {
            check(&["**"], branch, Err(Unfit::Protected));
            check(&[branch], branch, Err(Unfit::Protected));
        }
        for branch in ["feature/login", "mainly", "wip", "my/main", "a/b/c"] {
            check(&["**"], branch, Ok(()));
        }
    }

    #[test]
    fn of_the_others_only_those_that_are_named() {
        check(&["feature/*", "wip"], "feature/login", Ok(()));
        check(&["feature/*", "wip"], "wip", Ok(()));
        check(&["feature/*", "wip"], "feature/a/b", Err(Unfit::Unnamed));
        check(&["feature/*", "wip"], "my/feature/a", Err(Unfit::Unnamed));
        check(&["*"], "feature/a", Err(Unfit::Unnamed));
        check(&["feature/**"], "feature/a/b", Ok(()));
        check(&[], "wip", Err(Unfit::Unnamed));
    }

    #[test]
    fn only_the_projects_that_are_named_are_committed_in() {
        let commit_in = ["~/work/shop/", "/srv/app"].map(str::to_owned).to_vec();
        let autosave = Autosave { code: AutosaveCode::Commit, commit_in, ..Autosave::default() };
        let of = |root: &str| autosave.of(Path::new(root), Path::new("/home/a"));
        assert_eq!(of("/home/a/work/shop"), AutosaveCode::Commit);
        assert_eq!(of("/srv/app"), AutosaveCode::Commit);
        assert_eq!(of("/srv/app/lib"), AutosaveCode::Snapshot);
        assert_eq!(of("/home/a/work"), AutosaveCode::Snapshot);
        let unknown = autosave.unknown(&[Path::new("/srv/app/lib")], Path::new("/home/a"));
        assert_eq!(unknown, ["~/work/shop/", "/srv/app"]);
        let both = ["/srv/app", "/home/a/work/shop"].map(Path::new);
        assert_eq!(autosave.unknown(&both, Path::new("/home/a")), Vec::<&str>::new());
        let off = Autosave { code: AutosaveCode::Off, ..autosave.clone() };
        assert_eq!(off.of(Path::new("/srv/app"), Path::new("/")), AutosaveCode::Off);
    }
}
