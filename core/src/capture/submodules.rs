//! Submodules: where they stand, and whether work in them would stay behind.

use std::collections::BTreeMap;

use super::index::Listing;
use super::status::Seen;
use super::{Scope, Stop, oid};
use crate::code::{Omission, RepoPath, Submodule, Why};
use crate::project::{self, Project};

/// The submodules that stand elsewhere than the index says.
pub(super) fn moved(scope: &Scope<'_>, seen: &Seen) -> Result<BTreeMap<RepoPath, Submodule>, Stop> {
    let moved = seen.changed.iter().filter(|changed| changed.is_module && changed.tree == b'M');
    let mut found = BTreeMap::new();
    for changed in moved {
        let dir = scope.project.root.join(changed.path.as_path());
        // Without one of its own, the answer would be about the repository around it.
        if std::fs::symlink_metadata(dir.join(".git")).is_err() {
            found.insert(changed.path.clone(), Submodule { commit: None });
            continue;
        }
        let output = scope.ask().dir(&dir).args(["rev-parse", "--verify", "HEAD"]).run()?;
        let commit = oid(output.stdout.trim_ascii());
        found.insert(changed.path.clone(), Submodule { commit });
    }
    Ok(found)
}

/// Lists the submodules with changes of their own. Each is asked with the same care as the repository
/// itself: its own configuration may name programs.
pub(super) fn dirty(
    scope: &Scope<'_>,
    listing: &Listing,
    omitted: &mut BTreeMap<RepoPath, Omission>,
) -> Result<(), Stop> {
    for path in listing.modules.keys() {
        let root = scope.project.root.join(path.as_path());
        if std::fs::symlink_metadata(root.join(".git")).is_err() {
            continue;
        }
        let module = Project { root, ..scope.project.clone() };
        let why = match is_dirty(scope, &module) {
            Ok(false) => continue,
            Ok(true) => Why::Module,
            Err(Stop::Withheld(_)) => Why::Unreadable,
            Err(stop) => return Err(stop),
        };
        omitted.insert(path.clone(), Omission { why, size: None });
    }
    Ok(())
}

fn is_dirty(scope: &Scope<'_>, module: &Project) -> Result<bool, Stop> {
    let settings = project::all_settings(module, scope.git)?;
    let status = project::porcelain(module, scope.git, &settings, true)?.unwrap_or_default();
    let mut records = status.split(|byte| *byte == 0).filter(|record| !record.is_empty());
    Ok(records.any(|record| !record.starts_with(b"# ")))
}
