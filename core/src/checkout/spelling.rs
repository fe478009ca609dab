//! Looks at paths as they are spelled: a disk that takes two names for one finds the other one, too.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use unicode_normalization::UnicodeNormalization as _;

use super::CheckoutError;
use crate::code::RepoPath;
use crate::disk::{Beneath, Found};

/// Looks into a work tree.
#[derive(Debug)]
pub(super) struct Eyes<'a> {
    beneath: &'a Beneath,
    /// Whether names that differ by case only are the same here.
    folds: bool,
    /// The names in directories that were listed.
    names: RefCell<BTreeMap<Option<RepoPath>, Vec<Vec<u8>>>>,
}

impl<'a> Eyes<'a> {
    pub(super) fn new(beneath: &'a Beneath, folds: bool) -> Self {
        Self { beneath, folds, names: RefCell::default() }
    }

    /// What lies at a path of exactly this spelling.
    pub(super) fn look(&self, path: &RepoPath) -> Result<Found, CheckoutError> {
        let found = self.beneath.look(path.as_path())?;
        if found == Found::Nothing || self.other(path)?.is_none() {
            return Ok(found);
        }
        Ok(Found::Nothing)
    }

    /// The path under which the disk finds something at `path`, if that is spelled otherwise.
    pub(super) fn other(&self, path: &RepoPath) -> Result<Option<RepoPath>, CheckoutError> {
        if !self.folds || self.beneath.look(path.as_path())? == Found::Nothing {
            return Ok(None);
        }
        let mut actual: Option<RepoPath> = None;
        for name in path.names() {
            let names = self.names(actual.as_ref())?;
            let like = |fold: fn(&[u8]) -> String| {
                names.iter().find(|listed| fold(listed) == fold(name)).cloned()
            };
            let Some(found) = like(composed).or_else(|| like(folded)) else { return Ok(None) };
            let below = match &actual {
                Some(folder) => [folder.as_bytes(), b"/", &found].concat(),
                None => found,
            };
            actual = Some(RepoPath::new(below).map_err(crate::code::CodeError::from)?);
        }
        Ok(actual.filter(|actual| composed(actual.as_bytes()) != composed(path.as_bytes())))
    }

    fn names(&self, folder: Option<&RepoPath>) -> Result<Vec<Vec<u8>>, CheckoutError> {
        let key = folder.cloned();
        if let Some(names) = self.names.borrow().get(&key) {
            return Ok(names.clone());
        }
        let names = self.beneath.list(folder.map_or(Path::new(""), RepoPath::as_path))?;
        self.names.borrow_mut().insert(key, names.clone());
        Ok(names)
    }
}

/// A name as disks compare it that do not ignore case, but may compose letters as they like.
fn composed(name: &[u8]) -> String {
    String::from_utf8_lossy(name).nfc().collect()
}

/// A name as disks compare it that ignore case.
pub(super) fn folded(name: &[u8]) -> String {
    String::from_utf8_lossy(name).nfc().flat_map(char::to_lowercase).collect()
}
