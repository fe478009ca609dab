//! How a store's remote is reached: with the user's own git settings, and with those of the repository
//! that the user agreed to. Read anew before the remote is asked, so that what is planted there later
//! never counts, and what the user mends does.

use std::collections::BTreeSet;
use std::sync::Arc;

use convosync_core::id::Digest;
use convosync_core::project::{self, GitSettings, OwnSetting, Project};
use convosync_core::protocol::{Failure, Problem};

use super::{Home, House, Place, lock};
use crate::fail;

/// How a store's remote is reached, as last read.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// The settings that count.
    pub settings: GitSettings,
    /// What the repository says and nobody agreed to.
    pub refused: Vec<OwnSetting>,
}

impl Reach {
    /// Whether the remote itself is a directory of this machine that nobody agreed to.
    pub fn is_remote_refused(&self) -> bool {
        self.refused.iter().any(OwnSetting::is_remote)
    }

    /// What `status` says about settings that do not count.
    pub fn problem(&self, project: &str, now_ms: i64) -> Option<Problem> {
        let mut keys: Vec<&str> = self.refused.iter().map(|own| own.key.as_str()).collect();
        keys.dedup();
        if keys.is_empty() {
            return None;
        }
        let keys = keys.join(", ");
        Some(Problem {
            message: format!(
                "`{project}`: its own git configuration says something that you did not agree to, and that is not used: {keys}"
            ),
            hint: Some(
                "look at `git config --list --local`; run `convosyncctl enable` there if it is yours"
                    .to_owned(),
            ),
            since_ms: now_ms,
        })
    }
}

impl Place {
    /// How the remote is reached.
    pub fn reach(&self) -> Arc<Reach> {
        lock(&self.reach).clone()
    }
}

impl House {
    /// What of a project's own configuration needs the user's agreement.
    ///
    /// # Errors
    /// A [`Failure`] when git does not read the configuration.
    pub fn to_agree(&self, project: &Project) -> Result<Vec<OwnSetting>, Failure> {
        let settings =
            project::settings(project, &self.git).map_err(|error| fail::project(&error))?;
        let mut own = settings.to_agree();
        own.extend(self.own_remote(project));
        Ok(own)
    }

    /// Where an address that the user named leads to.
    pub(super) fn written_out(&self, project: &Project, url: &str) -> Result<String, Failure> {
        let settings = project::settings(project, &self.git);
        Ok(settings.map_err(|error| fail::project(&error))?.written_out(url))
    }

    /// The remote, where the repository names it and it is a directory.
    fn own_remote(&self, project: &Project) -> Option<OwnSetting> {
        let is_repositorys = self.config().store_remote.is_none();
        project.push_url.as_deref().filter(|_| is_repositorys).and_then(OwnSetting::of_remote)
    }

    pub(super) fn read_reach(
        &self,
        project: &Project,
        agreed: &BTreeSet<Digest>,
    ) -> Result<Reach, Failure> {
        let read = project::settings(project, &self.git).map_err(|error| fail::project(&error))?;
        let mut refused = read.to_agree();
        refused.extend(self.own_remote(project));
        refused.retain(|own| !agreed.contains(&own.digest()));
        Ok(Reach { settings: read.with(agreed), refused })
    }

    /// Reads again how a store's remote is reached, from the first of its projects that is there; what
    /// cannot be read stays as it was.
    pub fn refresh_reach(&self, place: &Place) {
        let of_place = |home: &Arc<Home>| home.store == place.key && home.project.root.is_dir();
        let Some(home) = self.homes().into_iter().find(of_place) else { return };
        match self.read_reach(&home.project, &home.agreed) {
            Ok(reach) => *lock(&place.reach) = Arc::new(reach),
            Err(failure) => {
                tracing::debug!(reason = %failure.message, "git settings could not be read again");
            }
        }
    }
}
