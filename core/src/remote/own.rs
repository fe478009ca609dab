//! Our own ref as the remote has it, for a device whose store was lost: keys are never made anew, and
//! what was sent is gone on from.

use super::{Known, Remote, RemoteError, SESSION_DOWNLOAD_MAX};
use crate::id::Oid;
use crate::store::RefName;

impl Remote<'_> {
    /// Fetches our own ref with all its past into the store, if the remote has it. Nothing points to it yet:
    /// whoever called makes sure that it is ours first.
    ///
    /// # Errors
    /// [`RemoteError`] when the remote is not reached or does not give it.
    pub fn fetch_own(&self, reference: &RefName) -> Result<Option<Oid>, RemoteError> {
        let Some(tip) = self.read_back(reference)? else { return Ok(None) };
        let _turn = self.store.fetching()?;
        let own = self.store.own_dir();
        self.fetch(&own, Known::AllRefs, &[format!("{reference}")], SESSION_DOWNLOAD_MAX)?;
        Ok(Some(tip))
    }
}
