//! Hosts that give no commit by its id, or no tip without its past: their refs are fetched whole, once, into
//! a repository of its own, and what is wanted is taken from there.

use std::path::{Path, PathBuf};

use super::{Known, PermanentKind, Remote, RemoteError, Traffic, refspecs};
use super::{SESSION_DOWNLOAD_MAX, TIP_DOWNLOAD_MAX};
use crate::git::GitCommand;
use crate::id::Oid;
use crate::project::GitSettings;
use crate::store::RefName;

impl Remote<'_> {
    /// Fetches tips from a host that does no shallow fetches.
    pub(super) fn fetch_tips_whole(
        &self,
        wanted: &[RefName],
        limit: u64,
    ) -> Result<Traffic, RemoteError> {
        // The past of a device that nobody enrolled is none we would keep.
        let with_past = if limit < TIP_DOWNLOAD_MAX { limit } else { SESSION_DOWNLOAD_MAX };
        let (full, traffic) = self.fetch_whole(wanted, with_past)?;
        let seen = self.store.seen_dir();
        self.copy(&full, &seen, Known::Tips, &refspecs(wanted), limit)?;
        Ok(traffic)
    }

    /// Fetches a session's commit from a host that gives none by its id.
    pub(super) fn fetch_session_whole(
        &self,
        commit: Oid,
        from: &RefName,
        known: &[Oid],
    ) -> Result<Traffic, RemoteError> {
        let (full, traffic) = self.fetch_whole(&[*from], SESSION_DOWNLOAD_MAX)?;
        let (own, wanted) = (self.store.own_dir(), [commit.to_string()]);
        match self.copy(&full, &own, Known::Commits(known), &wanted, SESSION_DOWNLOAD_MAX) {
            Err(RemoteError::Permanent { kind: PermanentKind::NotThere, .. }) => {
                Err(RemoteError::Gone { commit })
            }
            other => other.map(|()| traffic),
        }
    }

    /// Fetches refs with all their past. What this device wrote is put there first: other devices went on
    /// from it, and it would come back over the wire.
    fn fetch_whole(
        &self,
        wanted: &[RefName],
        limit: u64,
    ) -> Result<(PathBuf, Traffic), RemoteError> {
        let (full, own) = (self.store.full_dir()?, self.store.own_dir());
        let ours = ["+refs/*:refs/own/*".to_owned()];
        self.copy(&own, &full, Known::AllRefs, &ours, SESSION_DOWNLOAD_MAX)?;
        let traffic = self.fetch(&full, Known::AllRefs, &refspecs(wanted), limit)?;
        Ok((full, traffic))
    }

    /// Lets a push know what was fetched of other devices, tips and whole. A host need not negotiate about what
    /// it has: it names its refs, and what those of them reach that are here is not sent again.
    pub(super) fn knowing_others(&self, push: GitCommand) -> GitCommand {
        let push = push.more_objects(&self.store.seen_dir());
        match self.store.full_if_any() {
            Some(full) => push.more_objects(&full),
            None => push,
        }
    }

    /// Fetches from one of our own repositories into another.
    fn copy(
        &self,
        from: &Path,
        into: &Path,
        known: Known<'_>,
        refspecs: &[String],
        limit: u64,
    ) -> Result<(), RemoteError> {
        let Some(path) = from.to_str() else {
            return Err(RemoteError::BadUrl { url: from.display().to_string() });
        };
        let none = GitSettings::default();
        let local = Remote { url: path, settings: &none, ..*self };
        local.fetch(into, known, refspecs, limit).map(drop)
    }
}
