//! How a store's remote is reached: with the user's own git settings, and with those of the repository
//! that the user agreed to. Read anew before the remote is asked, so that what is planted there later
//! never counts, and what the user mends does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use convosync_core::id::Digest;
use convosync_core::project::{self, GitSettings, OwnSetting, Project, Settings};
use convosync_core::protocol::{CloneReach, Failure, Problem};

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
        let keys = named(self.refused.iter())?;
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

/// The keys of settings, for people.
fn named<'a>(own: impl Iterator<Item = &'a OwnSetting>) -> Option<String> {
    let mut keys: Vec<&str> = own.map(|own| own.key.as_str()).collect();
    keys.dedup();
    (!keys.is_empty()).then(|| keys.join(", "))
}

impl Place {
    /// The remote's address, if there is a remote.
    pub fn url(&self) -> Option<String> {
        lock(&self.url).clone()
    }

    /// How the remote is reached.
    pub fn reach(&self) -> Arc<Reach> {
        lock(&self.reach).clone()
    }
}

/// A project as it stands on the disk, with its git settings, read together and once.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The project.
    pub project: Project,
    /// What of its own configuration needs the user's agreement.
    pub to_agree: Vec<OwnSetting>,
    settings: Settings,
}

impl Survey {
    /// Where an address that the user named leads to.
    pub(super) fn written_out(&self, url: &str) -> String {
        self.settings.written_out(url)
    }

    /// How the remote is reached if the user agreed to these.
    pub(super) fn reach(&self, agreed: &BTreeSet<Digest>) -> Reach {
        let refused = self.to_agree.iter().filter(|own| !agreed.contains(&own.digest()));
        Reach { settings: self.settings.with(agreed), refused: refused.cloned().collect() }
    }
}

impl House {
    /// Reads a project's git settings.
    ///
    /// # Errors
    /// A [`Failure`] when git does not read the configuration.
    pub fn survey(&self, project: Project) -> Result<Survey, Failure> {
        let settings =
            project::settings(&project, &self.git).map_err(|error| fail::project(&error))?;
        let mut to_agree = settings.to_agree();
        // The remote, where the repository names it and it is a directory.
        if self.config().store_remote.is_none() {
            to_agree.extend(project.push_url.as_deref().and_then(OwnSetting::of_remote));
        }
        Ok(Survey { project, to_agree, settings })
    }

    /// How a project's remote is reached from inside of its clone: as its own configuration says, so not at all
    /// while that says what nobody agreed to. A remote that is a folder here runs nothing when it is read.
    pub fn clone_reach(&self, home: &Home) -> CloneReach {
        let survey = match self.survey(home.project.clone()) {
            Ok(survey) => survey,
            Err(failure) => return CloneReach { ssh: None, not: Some(failure.message) },
        };
        let Reach { settings, refused } = survey.reach(&home.agreed);
        let not = named(refused.iter().filter(|own| !own.is_remote())).map(|keys| {
            format!(
                "its own git configuration says something that you did not agree to: {keys} \
                 (run `convosyncctl enable` there if it is yours)"
            )
        });
        CloneReach { ssh: settings.ssh().map(str::to_owned), not }
    }

    /// Goes by a survey of the project that says how a store's remote is reached; of others it takes nothing.
    pub(super) fn reach_anew(&self, place: &Place, survey: &Survey, agreed: &BTreeSet<Digest>) {
        if self.is_told_by(place, survey) {
            *lock(&place.reach) = Arc::new(survey.reach(agreed));
        }
    }

    /// Whether it is a survey of the project that says how a store's remote is reached, and under which address.
    pub(super) fn is_told_by(&self, place: &Place, survey: &Survey) -> bool {
        let first = self.first_home(place);
        first.is_none_or(|home| home.project.root == survey.project.root)
    }

    /// The project that says how a store's remote is reached: the first of it that is there.
    fn first_home(&self, place: &Place) -> Option<Arc<Home>> {
        let of_place = |home: &Arc<Home>| home.store == place.key && home.project.root.is_dir();
        self.homes().into_iter().find(of_place)
    }

    /// Looks at what the user's own files say, and no repository.
    pub(super) fn survey_outside(&self) -> Result<Survey, Failure> {
        let outside = Project {
            root: PathBuf::from("/"),
            git_dir: None,
            common_dir: None,
            ids: Vec::new(),
            push_url: None,
            name: String::new(),
        };
        self.survey(outside)
    }

    /// Reads again how a store's remote is reached; what cannot be read stays as it was.
    pub fn refresh_reach(&self, place: &Place) {
        let home = self.first_home(place);
        let survey = home
            .as_ref()
            .map_or_else(|| self.survey_outside(), |home| self.survey(home.project.clone()));
        let agreed = home.map(|home| home.agreed.clone()).unwrap_or_default();
        match survey {
            Ok(survey) => self.reach_anew(place, &survey, &agreed),
            Err(failure) => {
                tracing::debug!(reason = %failure.message, "git settings could not be read again");
            }
        }
    }
}
