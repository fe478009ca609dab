//! One device's ref under its other name: hosts differ in which names they take.

use super::{RefName, Store, StoreError, Where, names, object, repository};

impl Store {
    /// Gives our ref the name `to`; where it stands stays. A crash in between leaves both names at one tip.
    ///
    /// # Errors
    /// [`StoreError`] when a ref cannot be read or written.
    pub fn rename_own(&self, from: &RefName, to: &RefName) -> Result<(), StoreError> {
        let Some(tip) = self.own_tip(from)? else { return Ok(()) };
        let there = self.own_tip(to)?;
        if there != Some(tip) {
            self.move_ref(to, there, tip)?;
        }
        self.forget(Where::Own, &from.to_string())
    }

    /// Forgets what was believed under the other names of a device's ref.
    pub(super) fn forget_siblings(&self, reference: &RefName) -> Result<(), StoreError> {
        reference.others().try_for_each(|other| self.forget(Where::Seen, &names::accepted(&other)))
    }

    fn forget(&self, at: Where, name: &str) -> Result<(), StoreError> {
        let repo = self.lock(at);
        if repository::resolve(&repo, name)?.is_none() {
            return Ok(());
        }
        repo.find_reference(name)
            .and_then(|mut reference| reference.delete())
            .map_err(object::failed(&format!("forget ref `{name}`")))
    }
}
