//! Where submodules stand. None is ever moved: what was saved of one is told, and what is left to be done here.

use serde::{Deserialize, Serialize};

use crate::code::{RepoPath, State, Submodule};

/// A submodule, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmoduleAt {
    /// Its path.
    pub path: String,
    /// Its commit; `None` where it had none of its own.
    pub commit: Option<String>,
}

/// Those that stood at another commit than the index says.
pub(super) fn there(saved: &State) -> Vec<SubmoduleAt> {
    let at = |(path, module): (&RepoPath, &Submodule)| SubmoduleAt {
        path: path.shown(),
        commit: module.commit.map(|commit| commit.to_string()),
    };
    saved.submodules.iter().map(at).collect()
}

/// Those that stand elsewhere here than the code now has them, and than they stood where it was saved.
pub(super) fn behind(here: &State, saved: &State) -> Vec<String> {
    let is_as_saved = |path: &RepoPath| here.submodules.get(path) == saved.submodules.get(path);
    here.submodules.keys().filter(|path| !is_as_saved(path)).map(RepoPath::shown).collect()
}
