//! Remotes that are read whether or not a project here has them: the one this device joined by, and the one
//! that `store.remote` names. They are asked on demand only, with the user's own git settings. The engine does not
//! know of them, so nothing is ever sent there before a project with that remote is enabled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use convosync_core::project;
use convosync_core::protocol::{ErrorKind, Failure, Problem};
use convosync_core::remote::Sending;
use convosync_core::vault::Vault;

use super::{House, Place, Reach, Survey, lock, store_dir};
use crate::clock::now_ms;
use crate::desk::{Desk, SharedDesk};
use crate::engine::StoreKey;
use crate::fail;
use crate::pulse::Pulse;
use crate::remotes::Remotes;

/// Who named a remote to read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The user, who joined by it.
    Join,
    /// `store.remote` in the configuration: all projects are saved there.
    Config,
}

/// How a remote to read from was named.
#[derive(Clone)]
pub struct Named {
    /// By whom.
    pub by: NamedBy,
    /// With which words, before the user's own settings say where they lead to: another device may know the
    /// repository by these. May hold credentials.
    pub url: String,
}

/// The remotes that this device joined by, and what says where their addresses lead to.
pub struct Joined {
    remotes: Remotes,
    survey: Survey,
}

impl House {
    /// Opens the stores of all remotes to read from, and lets go of those that are none any more. Returns why
    /// one cannot be opened.
    pub fn open_remotes(&self) -> Vec<Problem> {
        let Some(vault) = self.vault() else { return Vec::new() };
        let mut failures = Vec::new();
        let joined = Remotes::load(&self.paths.data_dir).unwrap_or_else(|error| {
            failures.push(fail::list(&error));
            Remotes::default()
        });
        let joined = joined.remotes.into_iter().map(|remote| (remote.url, NamedBy::Join));
        let configured = self.config().store_remote.clone();
        // The configuration's word comes last and counts: what is enabled is saved there.
        let named = joined.chain(configured.map(|url| (url, NamedBy::Config)));
        let opening = lock(&self.opening);
        let mut read: BTreeMap<StoreKey, Named> = BTreeMap::new();
        for (url, by) in named {
            match self.open_remote(&url, &vault) {
                Ok(place) => drop(read.insert(place.key, Named { by, url })),
                Err(failure) => failures.push(failure),
            }
        }
        let mut registry = self.registry();
        registry.read = read;
        registry.forget_unused();
        drop(registry);
        drop(opening);
        failures.iter().map(|failure| fail::problem_of(failure, now_ms())).collect()
    }

    fn open_remote(&self, url: &str, vault: &Arc<Vault>) -> Result<Arc<Place>, Failure> {
        let survey = self.survey_outside()?;
        let url = survey.written_out(url);
        let dir = store_dir(&self.paths.state_dir, Some(&url), &survey.project.root);
        if let Some(place) = self.places().into_iter().find(|place| place.dir == dir) {
            return Ok(place);
        }
        let reach = survey.reach(&BTreeSet::new());
        self.open_store(dir, Some(url), reach, (vault, false))
    }

    /// Opens a store that is not open yet.
    pub(super) fn open_store(
        &self,
        dir: PathBuf,
        url: Option<String>,
        reach: Reach,
        (vault, branches_only): (&Arc<Vault>, bool),
    ) -> Result<Arc<Place>, Failure> {
        let desk = Desk::open(&dir, vault.clone(), branches_only, now_ms())?;
        let mut registry = self.registry();
        let key = StoreKey(registry.fresh());
        let place = Arc::new(Place {
            key,
            url: Mutex::new(url),
            reach: Mutex::new(Arc::new(reach)),
            dir,
            pulse: Pulse::default(),
            sending: Sending::default(),
            desk: SharedDesk::new(desk),
            code: Mutex::default(),
            left_out: Mutex::default(),
            beside: Mutex::default(),
            uncommitted: Mutex::default(),
            bases: Mutex::default(),
        });
        registry.stores.insert(key, place.clone());
        Ok(place)
    }

    /// Whether no project here is saved to a store: it is there to be read.
    pub fn is_only_read(&self, place: &Place) -> bool {
        self.homes().iter().all(|home| home.store != place.key)
    }

    /// Who named the remote of a store as one to read from, and how, if anybody did.
    pub fn named(&self, place: &Place) -> Option<Named> {
        self.registry().read.get(&place.key).cloned()
    }

    /// Stores that no project here is saved to.
    pub fn only_read(&self) -> Vec<Arc<Place>> {
        let is_only_read = |place: &Arc<Place>| self.is_only_read(place);
        self.places().into_iter().filter(is_only_read).collect()
    }

    /// Reads from a remote from now on, and returns its store.
    ///
    /// # Errors
    /// A [`Failure`] when that cannot be written down, or its store not be opened.
    pub fn read_from(&self, url: &str) -> Result<Arc<Place>, Failure> {
        let keys = &self.paths.data_dir;
        let mut remotes = Remotes::load(keys).map_err(|error| fail::list(&error))?;
        remotes.add(url.to_owned());
        remotes.store(keys).map_err(|error| fail::list(&error))?;
        let problem = self.open_remotes().into_iter().next();
        let dir = self.dir_of(&self.survey_outside()?, url);
        let place = self.places().into_iter().find(|place| place.dir == dir);
        place.ok_or_else(|| {
            let message =
                problem.map_or_else(|| "the store was closed".to_owned(), |it| it.message);
            Failure::new(ErrorKind::Failed, message)
        })
    }

    /// Reads which remotes this device joined by.
    ///
    /// # Errors
    /// A [`Failure`] when the list, or the user's git configuration, cannot be read.
    pub fn joined(&self) -> Result<Joined, Failure> {
        let remotes = Remotes::load(&self.paths.data_dir).map_err(|error| fail::list(&error))?;
        Ok(Joined { remotes, survey: self.survey_outside()? })
    }

    /// The stores that are only read, and because this device joined by their remotes.
    pub fn only_joined(&self) -> Vec<Arc<Place>> {
        let mut places = self.only_read();
        places.retain(|place| self.named(place).is_some_and(|named| named.by == NamedBy::Join));
        places
    }

    /// Whether an address leads to a store, as the user's own settings have it.
    pub fn leads_to(&self, joined: &Joined, url: &str, place: &Place) -> bool {
        self.dir_of(&joined.survey, url) == place.dir
    }

    /// Reads no more from remotes that the user joined by and whose stores are `unwanted`; returns those stores.
    ///
    /// # Errors
    /// A [`Failure`] when that cannot be written down.
    pub fn read_no_more(
        &self,
        joined: Joined,
        unwanted: &[Arc<Place>],
    ) -> Result<Vec<Arc<Place>>, Failure> {
        let Joined { mut remotes, survey } = joined;
        let mut gone = Vec::new();
        remotes.remotes.retain(|remote| {
            let dir = self.dir_of(&survey, &remote.url);
            let unwanted = unwanted.iter().find(|place| place.dir == dir);
            gone.extend(unwanted.cloned());
            unwanted.is_none()
        });
        if !gone.is_empty() {
            remotes.store(&self.paths.data_dir).map_err(|error| fail::list(&error))?;
            self.open_remotes();
        }
        Ok(gone)
    }

    fn dir_of(&self, survey: &Survey, url: &str) -> PathBuf {
        store_dir(&self.paths.state_dir, Some(&survey.written_out(url)), &survey.project.root)
    }

    /// Whether a clone of `address` that is enabled here is saved to another store than this one.
    pub fn is_saved_elsewhere(&self, place: &Place, address: &str) -> bool {
        let named = self.named(place);
        if self.config().store_remote.is_some() {
            return named.is_none_or(|named| named.by != NamedBy::Config);
        }
        let addresses = named.map(|named| named.url).into_iter().chain(place.url());
        let wanted = project::normalise(address);
        wanted.is_none() || !addresses.map(|url| project::normalise(&url)).any(|it| it == wanted)
    }
}
