//! When HEAD moved in the repositories of sessions that are to be saved.

use std::collections::{BTreeMap, BTreeSet};

use convosync_core::context::Tree;
use convosync_core::project;

use crate::engine::ProjectKey;
use crate::house::{Found, House};

/// Reads the reflogs of each project's work trees, once.
pub fn trees(house: &House, found: &[Found]) -> BTreeMap<ProjectKey, Vec<Tree>> {
    let of = |key| house.home(key).map_or_else(Vec::new, |home| project::trees(&home.project));
    let keys: BTreeSet<ProjectKey> = found.iter().map(|found| found.project).collect();
    keys.into_iter().map(|key| (key, of(key))).collect()
}
