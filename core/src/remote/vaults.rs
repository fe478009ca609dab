//! What vaults a remote holds, for a device that belongs to none yet.

use super::{Remote, RemoteError, Traffic};
use crate::id::Oid;
use crate::store::{RefKind, RefName};

/// How many devices' refs of unknown vaults are looked at: a shared repository holds a team's.
const REFS_MAX: usize = 256;

impl Remote<'_> {
    /// Lists the refs of every vault, for recovery by phrase.
    ///
    /// # Errors
    /// [`RemoteError`] when the remote is not reached or refuses.
    pub fn list_vaults(&self) -> Result<(Vec<(RefName, Oid)>, Traffic), RemoteError> {
        let patterns = [RefKind::Custom, RefKind::Branch].map(|kind| format!("{}*", kind.prefix()));
        let found = self.ls_remote(patterns.to_vec())?;
        let refs = found.refs.into_iter().filter_map(|(name, id)| Some((name.parse().ok()?, id)));
        Ok((refs.take(REFS_MAX).collect(), found.traffic))
    }
}
