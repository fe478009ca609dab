//! What all parts of the daemon share: configuration, keys, projects and stores.
//!
//! Everything here may be asked from any thread. Locks are held for look-ups only, except a store's
//! desk, which is held while a session is saved or restored. Decisions about time are the engine's.

mod cwds;
mod held;
mod line;
mod owners;
mod reach;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use convosync_core::claude::{self, ClaudeRoot};
use convosync_core::config::{Config, Paths, excluded_by};
use convosync_core::git::Git;
use convosync_core::id::{Digest, SessionId, hex};
use convosync_core::project::{self, Project};
use convosync_core::protocol::{self, ErrorKind};
use convosync_core::remote::{PermanentKind, Sending};
use convosync_core::store::RefKind;
use convosync_core::transcript::{Scanner, SessionFiles};
use convosync_core::vault::Vault;
use tokio::sync::{broadcast, mpsc};

use crate::bases::Bases;
use crate::captures::{Captures, Reports};
use crate::desk::{self, SharedDesk};
use crate::enabled::{self, Enabled, EnabledProject};
use crate::engine::{Event, ProjectKey, StoreKey};
use crate::lists::ListError;
use crate::notification::{Notification, Notifier};
use crate::pulse::Pulse;
use crate::remotes;

pub use cwds::Cwds;
pub use line::{Asker, Line};
pub use reach::{Reach, Survey};
pub use reading::{Joined, Named, NamedBy};

/// The folder of all stores, among what can be rebuilt.
const STORES: &str = "stores";

/// How many events a slow `watch` client may lag behind before it misses some.
const NEWS_KEPT: usize = 256;

/// What reaches the shell from other threads.
#[derive(Debug)]
pub enum Report {
    /// Something for the engine.
    Event(Event),
    /// Somebody waits until everything before this has been taken in.
    Barrier(std::sync::mpsc::Sender<()>),
}

/// What the parts of the daemon share.
pub struct House {
    /// Where everything lies.
    pub paths: Paths,
    /// The git program.
    pub git: Git,
    /// Reports to the engine.
    pub events: mpsc::UnboundedSender<Report>,
    /// Tells watching clients what happens.
    pub news: broadcast::Sender<protocol::Event>,
    config: RwLock<Arc<Config>>,
    vault: RwLock<Option<Arc<Vault>>>,
    registry: Mutex<Registry>,
    /// Held while a project is opened or closed, so that no store is opened twice.
    opening: Mutex<()>,
    /// The scanner's memory of what it read already.
    pub scanner: Mutex<Scanner>,
    /// Who may use the network now.
    pub line: Line,
    agent: Mutex<Lent>,
    notifier: Notifier,
}

/// The ssh agent that a client lent us last.
#[derive(Debug, Default)]
struct Lent {
    socket: Option<PathBuf>,
    /// Whether it is used although we have one of our own, whose keys were refused.
    instead: bool,
}

/// The projects and stores of this device, and the sessions found in them.
#[derive(Default)]
pub struct Registry {
    /// Enabled projects.
    pub projects: BTreeMap<ProjectKey, Arc<Home>>,
    /// The stores they are saved in, and those of remotes to read from.
    pub stores: BTreeMap<StoreKey, Arc<Place>>,
    /// Stores that stay open though no project is saved in them, and how their remotes were named.
    read: BTreeMap<StoreKey, Named>,
    /// Sessions of enabled projects, as last scanned.
    pub found: BTreeMap<(StoreKey, SessionId), Found>,
    /// Which project a working directory belongs to, once it was asked.
    owners: BTreeMap<PathBuf, Option<ProjectKey>>,
    /// Counts the changes to the projects: what was found out before one is not remembered after it.
    changes: u64,
    /// The first working directory each transcript names.
    pub cwds: Cwds,
    next: u32,
}

/// One enabled project.
#[derive(Debug)]
pub struct Home {
    /// The engine's name for it.
    pub key: ProjectKey,
    /// Its repository, or plain folder.
    pub project: Project,
    /// Where it is saved.
    pub store: StoreKey,
    /// What of its own configuration the user agreed to.
    pub agreed: BTreeSet<Digest>,
}

/// One store and where it is sent to.
pub struct Place {
    /// The engine's name for it.
    pub key: StoreKey,
    /// The remote's address, as it was named last; without one, saves stay on this device.
    url: Mutex<Option<String>>,
    /// How it is reached, as last read.
    reach: Mutex<Arc<Reach>>,
    /// The folder of its repositories.
    pub dir: PathBuf,
    /// What the engine is about here.
    pub pulse: Pulse,
    /// How far a push is.
    pub sending: Sending,
    /// The store's working memory.
    pub desk: SharedDesk,
    /// What is known of the code of its projects; taken before the desk, and held while a session is saved.
    pub code: Mutex<Captures>,
    /// What was left out of the code of its projects.
    pub left_out: Mutex<Reports>,
    /// Which repositories its sessions worked in whose code is not saved: of which project, and why.
    pub beside: Mutex<BTreeMap<SessionId, (ProjectKey, Vec<protocol::Warning>)>>,
    /// Why its projects were not committed in by itself, where they are to be.
    pub uncommitted: Mutex<BTreeMap<ProjectKey, protocol::Warning>>,
    /// Which of its branches the saved code stands on.
    pub bases: Mutex<Bases>,
}

/// A session's files, as last scanned, and the project they belong to.
#[derive(Debug, Clone)]
pub struct Found {
    /// The files.
    pub files: SessionFiles,
    /// The project.
    pub project: ProjectKey,
    /// The working directory the transcript names first, as far as it is known.
    pub cwd: Option<PathBuf>,
}

/// Takes a lock whose holder may have panicked: what it guards is only ever changed whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl House {
    /// Starts with the given configuration and keys; projects are opened by [`Self::open_projects`].
    pub fn new(
        paths: Paths,
        git: Git,
        config: Config,
        vault: Option<Vault>,
        events: mpsc::UnboundedSender<Report>,
    ) -> Self {
        let notifier = Notifier::start(git.clone());
        Self {
            paths,
            git,
            events,
            news: broadcast::channel(NEWS_KEPT).0,
            config: RwLock::new(Arc::new(config)),
            vault: RwLock::new(vault.map(Arc::new)),
            registry: Mutex::default(),
            opening: Mutex::default(),
            scanner: Mutex::default(),
            line: Line::default(),
            agent: Mutex::default(),
            notifier,
        }
    }

    /// The configuration as it is now.
    pub fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the configuration.
    pub fn set_config(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Takes note of the ssh agent a client lends us. Returns whether it is another one, and a remote
    /// refuses what it may help with.
    pub fn lend_agent(&self, socket: Option<PathBuf>) -> bool {
        let is_another = socket.is_some() && lock(&self.agent).socket != socket;
        let helps = is_another && self.places().iter().any(|place| wants_agent(place));
        if is_another {
            let mut agent = lock(&self.agent);
            agent.instead |= helps;
            agent.socket = socket;
        }
        helps
    }

    /// Tells the user outside of any terminal, if that is wanted.
    pub fn notify(&self, notification: Notification) {
        self.notifier.notify(notification, &self.config());
    }

    /// Git as it reaches remotes: with the agent that was lent to us, if there is none of our own or its keys
    /// were refused.
    pub fn remote_git(&self) -> Git {
        let Lent { socket, instead } = &*lock(&self.agent);
        socket.as_ref().map_or_else(|| self.git.clone(), |lent| self.git.with_agent(lent, *instead))
    }

    /// This device's keys, if it has any.
    pub fn vault(&self) -> Option<Arc<Vault>> {
        self.vault.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there were keys once: there are none, and yet projects were enabled, this device joined, or a
    /// store was sent.
    pub fn has_lost_keys(&self) -> bool {
        let sent = || {
            let stores = std::fs::read_dir(self.paths.state_dir.join(STORES)).ok();
            stores.into_iter().flatten().flatten().any(|store| desk::was_sent(&store.path()))
        };
        let is_there = |file| self.paths.data_dir.join(file).exists();
        self.vault().is_none()
            && ([enabled::FILE, remotes::FILE].into_iter().any(is_there) || sent())
    }

    /// Takes the keys that `init` or `join` made.
    pub fn set_vault(&self, vault: Vault) -> Arc<Vault> {
        let vault = Arc::new(vault);
        *self.vault.write().unwrap_or_else(PoisonError::into_inner) = Some(vault.clone());
        vault
    }

    /// The registry, locked: for look-ups, never across I/O.
    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.registry)
    }

    /// Reports to the engine. A daemon that is leaving no longer listens, and nothing is lost by that.
    pub fn report(&self, event: Event) {
        drop(self.events.send(Report::Event(event)));
    }

    /// Waits until the engine has taken in everything that was reported before.
    pub fn barrier(&self) {
        let (passed, wait) = std::sync::mpsc::channel();
        let sent = self.events.send(Report::Barrier(passed)).is_ok();
        if !sent || wait.recv().is_err() {
            tracing::debug!("the daemon is leaving: nothing is waited for");
        }
    }

    /// Claude Code's folders, several or the one it uses itself.
    pub fn claude_roots(&self) -> Vec<PathBuf> {
        self.paths.claude_roots(&self.config())
    }

    /// Tells watching clients; that nobody watches is no failure.
    pub fn tell(&self, event: protocol::Event) {
        drop(self.news.send(event));
    }

    /// Whether Claude Code runs this session on this device, as far as its registry tells.
    pub fn is_live(&self, session: &SessionId) -> bool {
        let now_ms = crate::clock::now_ms();
        let roots = self.claude_roots().into_iter().map(ClaudeRoot::new);
        roots
            .flat_map(|root| claude::live_sessions(&root, now_ms))
            .any(|live| live.session == *session)
    }

    /// Every store.
    pub fn places(&self) -> Vec<Arc<Place>> {
        self.registry().stores.values().cloned().collect()
    }

    /// Every enabled project.
    pub fn homes(&self) -> Vec<Arc<Home>> {
        self.registry().projects.values().cloned().collect()
    }

    /// The store behind a key.
    pub fn place(&self, key: StoreKey) -> Option<Arc<Place>> {
        self.registry().stores.get(&key).cloned()
    }

    /// The project behind a key.
    pub fn home(&self, key: ProjectKey) -> Option<Arc<Home>> {
        self.registry().projects.get(&key).cloned()
    }

    /// The enabled project a directory belongs to: it lies in the project's folder, or in a work tree of the
    /// same repository. Found by looking at names only: git never runs where nobody enabled anything.
    pub fn owner(&self, directory: &Path) -> Option<Arc<Home>> {
        let (known, changes) = {
            let registry = self.registry();
            (registry.owners.get(directory).copied(), registry.changes)
        };
        if let Some(key) = known {
            return key.and_then(|key| self.home(key));
        }
        let homes = self.homes();
        let home = std::fs::canonicalize(directory).ok().and_then(|real| owners::of(&homes, &real));
        let mut registry = self.registry();
        if registry.changes == changes {
            registry.owners.insert(directory.to_owned(), home.map(|home| home.key));
        }
        drop(registry);
        home.cloned()
    }

    /// The root of the repository that a directory, a real path, lies in; found by names only, as above.
    pub fn repository_of(&self, directory: &Path) -> Option<PathBuf> {
        owners::repository(directory)
    }

    /// Opens every project that is enabled on disk and not open; one that cannot be opened is reported and
    /// skipped.
    ///
    /// # Errors
    /// When the list itself cannot be read.
    pub fn open_projects(&self) -> Result<Vec<protocol::Problem>, ListError> {
        let Some(vault) = self.vault() else { return Ok(Vec::new()) };
        let mut problems = Vec::new();
        for entry in Enabled::load(&self.paths.data_dir)?.projects {
            let excluded =
                excluded_by(&self.config().exclude, &entry.root, &self.paths.home).is_some();
            let is_open = self.homes().iter().any(|home| home.project.root == entry.root);
            if excluded || is_open {
                continue;
            }
            let opened = self
                .look_at(&entry.root)
                .and_then(|survey| self.open_project(&entry, &vault, survey));
            if let Err(failure) = opened {
                tracing::debug!(reason = %failure.message, "a project cannot be opened");
                problems.push(crate::fail::problem_of(&failure, crate::clock::now_ms()));
            }
        }
        Ok(problems)
    }

    /// Looks at a project that is enabled.
    fn look_at(&self, root: &Path) -> Result<Survey, protocol::Failure> {
        if !root.is_dir() {
            let message = format!("the project `{}` is not there", root.display());
            let hint = "it is saved again when it is back; if it is gone for good, nothing is to be done: what was saved stays";
            return Err(protocol::Failure::new(ErrorKind::Failed, message).with_hint(hint));
        }
        let found = project::discover(root, &self.git);
        self.survey(found.map_err(|error| crate::fail::project(&error))?)
    }

    /// Opens one project, by what it looks like, and tells the engine about it.
    ///
    /// # Errors
    /// A [`protocol::Failure`] that says which part of it cannot be read.
    pub fn open_project(
        &self,
        entry: &EnabledProject,
        vault: &Arc<Vault>,
        survey: Survey,
    ) -> Result<Arc<Home>, protocol::Failure> {
        let opening = lock(&self.opening);
        let place = self.place_of(&survey, entry, vault)?;
        let project = survey.project;
        let unsent = place.desk.lock().is_unsent();
        let mut registry = self.registry();
        let known = registry
            .projects
            .values()
            .find(|home| home.project.root == project.root)
            .map(|home| home.key);
        let key = known.unwrap_or_else(|| ProjectKey(registry.fresh()));
        let agreed = entry.agreed.clone();
        let home = Arc::new(Home { key, project, store: place.key, agreed });
        registry.projects.insert(key, home.clone());
        registry.forget_unused();
        drop(registry);
        self.report(Event::Enabled { project: key, store: place.key, unsent });
        if place.is_held() {
            self.report(Event::Held(place.key, true));
        }
        drop(opening);
        Ok(home)
    }

    /// Forgets a project; what was saved stays saved.
    pub fn close_project(&self, key: ProjectKey) {
        let opening = lock(&self.opening);
        let mut registry = self.registry();
        registry.projects.remove(&key);
        registry.forget_unused();
        drop(registry);
        self.report(Event::Disabled(key));
        drop(opening);
    }

    fn place_of(
        &self,
        survey: &Survey,
        entry: &EnabledProject,
        vault: &Arc<Vault>,
    ) -> Result<Arc<Place>, protocol::Failure> {
        let url = match &self.config().store_remote {
            Some(url) => Some(survey.written_out(url)),
            None => survey.project.push_url.clone(),
        };
        let dir = store_dir(&self.paths.state_dir, url.as_deref(), &survey.project.root);
        if let Some(place) = self.places().into_iter().find(|place| place.dir == dir) {
            if entry.branches_only && self.is_only_read(&place) {
                let renamed = place.desk.lock().rename(RefKind::Branch);
                renamed.map_err(|error| crate::fail::store(&error))?;
            }
            self.reach_anew(&place, survey, &entry.agreed);
            if self.is_told_by(&place, survey) {
                // What it was joined by may only be good for reading.
                *lock(&place.url) = url;
            }
            return Ok(place);
        }
        let reach = survey.reach(&entry.agreed);
        self.open_store(dir, url, reach, (vault, entry.branches_only))
    }
}

/// Whether a remote refuses our saves for want of an ssh key.
fn wants_agent(place: &Place) -> bool {
    place.desk.board().refused.is_some_and(PermanentKind::wants_agent)
}

impl Registry {
    /// Lets go of what belongs to no project any more; called after every change to the projects.
    fn forget_unused(&mut self) {
        self.changes += 1;
        self.owners.clear();
        let used: BTreeMap<ProjectKey, StoreKey> =
            self.projects.iter().map(|(key, home)| (*key, home.store)).collect();
        self.found.retain(|(store, _), found| used.get(&found.project) == Some(store));
        let read = &self.read;
        self.stores.retain(|store, _| {
            read.contains_key(store) || used.values().any(|other| other == store)
        });
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }
}

/// The folder of a store: named after its remote, however the address is written, or after the project
/// where there is none.
pub fn store_dir(state_dir: &Path, url: Option<&str>, root: &Path) -> PathBuf {
    let what = match url {
        Some(url) => project::normalise(url).unwrap_or_else(|| url.to_owned()),
        None => format!("local:{}", root.display()),
    };
    state_dir.join(STORES).join(hex(&Digest::of(what.as_bytes()).0[..8]))
}
