//! Decides what the daemon does next. Does no I/O and reads no clock.
//!
//! [`Engine::handle`] takes in one [`Event`] and returns the [`Effect`]s that follow from it; the
//! shell carries them out and reports back with further events. Times are milliseconds of a clock
//! that never goes back. Losing any event costs delay, never data: whatever was missed is noticed by
//! the next scan, because a session is compared with what its last save covered.

mod session;
mod commit;
mod weather;
mod upstream;
mod network;
mod rescan;
mod rest;

use std::collections::BTreeMap;

use convosync_core::id::SessionId;

pub use network::ON_LINE_MAX;
use rescan::Rescan;
use rest::{Rest, Then};
pub use session::{Sighting, Stamp};
use session::{Track, Why};
use upstream::Upstream;
pub use upstream::{Fault, PushEnd};

/// At most so many sessions enter one save: the import of an old project is many small saves, so
/// that a new line elsewhere never waits for all of it.
pub const SESSIONS_PER_SAVE_MAX: usize = 8;

/// How long a stopping daemon goes on saving and pushing. Five seconds are allowed in all (systemd
/// and launchd would wait longer, a closing laptop would not).
pub const STOP_WITHIN_MS: i64 = 3_000;

/// A project as the engine knows it: a number the shell hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectKey(pub u32);

/// A store (one remote) as the engine knows it: a number the shell hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey(pub u32);

/// What the engine is told about timing; from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Quiet for so long means idle.
    pub idle_after_ms: i64,
    /// Uninterrupted work is saved at least so often.
    pub save_at_least_every_ms: i64,
    /// The repository of a recent session is looked at so often.
    pub code_check_every_ms: i64,
    /// A session is recent for so long after its last growth.
    pub recent_ms: i64,
    /// Pushes to one remote are so far apart on average.
    pub push_at_most_every_ms: i64,
    /// Other devices' news are asked for so often.
    pub poll_every_ms: i64,
    /// All transcripts are looked at so often, whatever the watcher says.
    pub rescan_every_ms: i64,
    /// Whether there are projects that are committed in by itself.
    pub commits: bool,
    /// Whether the operating system reports changes of every transcript: then they are looked at less often
    /// while nothing changes.
    pub changes_are_reported: bool,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A project was enabled, or found enabled at start.
    Enabled {
        /// Which.
        project: ProjectKey,
        /// Where it is saved.
        store: StoreKey,
        /// Whether something saved earlier is not on the remote yet.
        unsent: bool,
    },
    /// A project is no longer saved.
    Disabled(ProjectKey),
    /// Enabled projects that were not open were tried; whether all are open now.
    Opened {
        /// `false` when one could not be opened.
        all: bool,
    },
    /// A scan saw these sessions' files.
    Seen(Vec<Sighting>),
    /// A scan of everything has ended.
    Rescanned,
    /// Claude Code's live registry was read: these sessions run here, busy or not.
    Live(BTreeMap<SessionId, bool>),
    /// A watcher's hint about a repository.
    RepositoryTouched(ProjectKey),
    /// The repository was compared with the last save; the session named has to be saved for it.
    CodeChecked(ProjectKey, Option<SessionId>),
    /// A project was committed in, or was not; if that passes, it is tried again after so many milliseconds.
    Committed(ProjectKey, Option<i64>),
    /// A save has ended.
    Saved(StoreKey, SaveEnd),
    /// A push has ended.
    Pushed(StoreKey, PushEnd),
    /// Other devices' refs were listed, or could not be.
    Listed(StoreKey, Option<Fault>),
    /// This device got another address or route: what could not be reached perhaps can be now.
    NetworkChanged,
    /// The user wants nothing of this store pushed, or wants it again.
    Held(StoreKey, bool),
    /// The remote was seen not to hold what it held: it was put back or made anew.
    Lost(StoreKey),
    /// The user or a hook wants everything of this project saved and sent now.
    Hurry {
        /// Which project; all when absent.
        project: Option<ProjectKey>,
        /// Also what a remote refused.
        retry: bool,
    },
    /// The machine is about to sleep, or to shut down, and waits for us.
    Sleeping,
    /// The machine woke, or its clock was set.
    Woke,
    /// Time has passed.
    Tick,
    /// The daemon has to leave.
    Stop,
}

/// How a save ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaveEnd {
    /// What each session's save covered.
    pub covered: Vec<(SessionId, Stamp)>,
    /// Sessions of which more is to be saved at once, with the bytes of them that are saved.
    pub waiting: Vec<(SessionId, u64)>,
    /// Sessions that could not be saved now; they are tried again.
    pub failed: Vec<SessionId>,
    /// Whether our ref moved, so that there is something to send.
    pub moved: bool,
    /// Whether the user asked for it, who then decides what is committed, too.
    pub by_hand: bool,
}

/// What must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Save these sessions, as one move of our ref.
    Save {
        /// Where.
        store: StoreKey,
        /// Which, newest first.
        sessions: Vec<SessionId>,
    },
    /// Push our ref.
    Push(StoreKey),
    /// List other devices' refs.
    List(StoreKey),
    /// Compare a repository with the last save of its newest session.
    CheckCode(ProjectKey),
    /// Commit in a project where nobody works, if the user agreed to that.
    Commit(ProjectKey),
    /// Look at every transcript.
    Rescan,
    /// Say that the machine may sleep.
    Rested,
    /// Leave.
    Exit,
}

/// What of one project waits to be saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsaved {
    /// How many sessions.
    pub sessions: u32,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many of these are saved already: a large session is saved piece by piece.
    pub saved_bytes: u64,
}

/// What a store's work looks like from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What waits to be saved, by project.
    pub unsaved: BTreeMap<ProjectKey, Unsaved>,
    /// Whether a save or a push runs.
    pub busy: bool,
    /// When a remote that could not be used is tried again.
    pub retry_at_ms: Option<i64>,
}

/// The daemon's whole memory of what is due.
#[derive(Debug)]
pub struct Engine {
    timing: Timing,
    projects: BTreeMap<ProjectKey, Watched>,
    sessions: BTreeMap<(StoreKey, SessionId), Track>,
    stores: BTreeMap<StoreKey, Upstream>,
    rescan: Rescan,
    resting: Option<Rest>,
    jitter: u64,
}

#[derive(Debug)]
struct Watched {
    store: StoreKey,
    check_at_ms: i64,
    checking: bool,
    /// When it is committed in, if it is to be.
    commit_at_ms: Option<i64>,
    committing: bool,
}

/// A repository is compared so long after the last hint about it: one `git commit` is many events.
const REPOSITORY_SETTLES_MS: i64 = 2_000;

impl Engine {
    /// Starts with nothing known. `seed` spreads retries and polls of several devices.
    pub fn new(timing: Timing, seed: u64, now_ms: i64) -> Self {
        Self {
            timing,
            projects: BTreeMap::new(),
            sessions: BTreeMap::new(),
            stores: BTreeMap::new(),
            rescan: Rescan::new(now_ms),
            resting: None,
            jitter: seed | 1,
        }
    }

    /// Takes in one event and returns what must be done about it, in order.
    pub fn handle(&mut self, event: Event, now_ms: i64) -> Vec<Effect> {
        self.take_in(event, now_ms);
        match self.resting {
            Some(rest) => self.due_before_rest(rest, now_ms),
            None => self.due(now_ms),
        }
    }

    /// Changes the timing; what is running goes on.
    pub fn retime(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Returns when [`Event::Tick`] is wanted at the latest.
    pub fn wake_at_ms(&self) -> i64 {
        if let Some(rest) = self.resting {
            // What is due otherwise waits; what runs reports.
            return rest.until_ms();
        }
        // While a save runs, its store takes no other; its end is an event.
        let saving = |store| self.stores.get(store).is_some_and(|upstream| upstream.saving);
        let sessions = self.sessions.iter().filter(|((store, _), _)| !saving(store));
        let saves = sessions.filter_map(|(_, track)| track.due_at_ms(&self.timing));
        let has_room = self.has_room_on_line();
        let stores = self.stores.values().filter(|_| has_room).filter_map(Upstream::due_at_ms);
        let checks = self.projects.iter().filter(|(_, p)| !p.checking).map(|(_, p)| p.check_at_ms);
        let due = saves.chain(stores).chain(checks).chain(self.rescan.due_at_ms());
        let due = due.chain(self.commit_due_at_ms()).min();
        due.unwrap_or(i64::MAX)
    }

    /// Returns what a store's work looks like from outside.
    pub fn standing(&self, store: StoreKey) -> Standing {
        let mut unsaved: BTreeMap<ProjectKey, Unsaved> = BTreeMap::new();
        for (_, track) in
            self.sessions.iter().filter(|((of, _), track)| *of == store && track.is_dirty())
        {
            track.count_into(unsaved.entry(track.project).or_default());
        }
        let upstream = self.stores.get(&store);
        Standing {
            unsaved,
            busy: upstream.is_some_and(Upstream::is_busy),
            retry_at_ms: upstream.and_then(Upstream::retry_at_ms),
        }
    }

    fn take_in(&mut self, event: Event, now_ms: i64) {
        match event {
            Event::Enabled { project, store, unsent } => {
                self.enable(project, store, unsent, now_ms)
            }
            Event::Disabled(project) => self.disable(project),
            Event::Seen(sightings) => {
                sightings.iter().for_each(|sighting| self.see(sighting, now_ms))
            }
            Event::Opened { all } => self.rescan.note_opened(all, now_ms),
            Event::Rescanned => self.note_rescanned(),
            Event::Live(live) => self.note_live(&live),
            Event::RepositoryTouched(project) => self.check_soon(project, now_ms),
            Event::CodeChecked(project, session) => self.note_code(project, session, now_ms),
            Event::Committed(project, again_ms) => self.note_committed(project, again_ms, now_ms),
            Event::Saved(store, end) => self.note_saved(store, &end, now_ms),
            Event::Pushed(store, end) => self.note_pushed(store, end, now_ms),
            Event::Listed(store, fault) => self.note_listed(store, fault, now_ms),
            Event::NetworkChanged => self.nudge_all(now_ms),
            Event::Held(store, held) => self.note_held(store, held, now_ms),
            Event::Lost(store) => self.note_lost(store),
            Event::Hurry { project, retry } => self.hurry(project, retry, now_ms),
            Event::Sleeping => self.rest(Then::Sleep, now_ms),
            Event::Woke => self.wake(now_ms),
            Event::Stop => self.rest(Then::Leave, now_ms),
            Event::Tick => {}
        }
    }

    fn enable(&mut self, project: ProjectKey, store: StoreKey, unsent: bool, now_ms: i64) {
        if self.projects.get(&project).is_some_and(|watched| watched.store != store) {
            self.disable(project);
        }
        let check_at_ms = now_ms + self.timing.code_check_every_ms;
        let watched =
            Watched { store, check_at_ms, checking: false, commit_at_ms: None, committing: false };
        self.projects.insert(project, watched);
        let upstream = self.stores.entry(store).or_insert_with(|| Upstream::new(now_ms));
        upstream.unsent |= unsent;
        self.rescan.hurry(now_ms);
    }

    fn disable(&mut self, project: ProjectKey) {
        self.sessions.retain(|_, track| track.project != project);
        if let Some(watched) = self.projects.remove(&project)
            && !self.projects.values().any(|other| other.store == watched.store)
        {
            self.stores.remove(&watched.store);
        }
    }

    fn see(&mut self, sighting: &Sighting, now_ms: i64) {
        let Some(watched) = self.projects.get(&sighting.project) else { return };
        let key = (watched.store, sighting.session.clone());
        let grew = match self.sessions.get_mut(&key) {
            Some(track) => track.see(sighting, now_ms),
            None => self.sessions.insert(key, Track::first(sighting, now_ms)).is_none(),
        };
        if grew {
            self.rescan.grew(&self.timing, now_ms);
        }
    }

    fn note_live(&mut self, live: &BTreeMap<SessionId, bool>) {
        for ((_, session), track) in &mut self.sessions {
            track.busy = live.get(session).copied().unwrap_or(false);
        }
    }

    fn check_soon(&mut self, project: ProjectKey, now_ms: i64) {
        if let Some(watched) = self.projects.get_mut(&project) {
            watched.check_at_ms = watched.check_at_ms.min(now_ms + REPOSITORY_SETTLES_MS);
        }
    }

    fn note_code(&mut self, project: ProjectKey, session: Option<SessionId>, now_ms: i64) {
        let Some(watched) = self.projects.get_mut(&project) else { return };
        watched.checking = false;
        watched.check_at_ms = now_ms + self.timing.code_check_every_ms;
        if let Some(session) = session
            && let Some(track) = self.sessions.get_mut(&(watched.store, session))
        {
            track.code_changed(now_ms);
        }
    }

    fn note_saved(&mut self, store: StoreKey, end: &SaveEnd, now_ms: i64) {
        let Some(upstream) = self.stores.get_mut(&store) else { return };
        upstream.saving = false;
        upstream.unsent |= end.moved;
        self.commit_after(store, end, now_ms);
        for (session, stamp) in &end.covered {
            if let Some(track) = self.sessions.get_mut(&(store, session.clone())) {
                track.covered(*stamp);
            }
        }
        for (session, bytes) in &end.waiting {
            if let Some(track) = self.sessions.get_mut(&(store, session.clone())) {
                track.waits(*bytes, now_ms);
            }
        }
        for session in &end.failed {
            if let Some(track) = self.sessions.get_mut(&(store, session.clone())) {
                track.failed(now_ms);
            }
        }
    }

    fn note_held(&mut self, store: StoreKey, held: bool, now_ms: i64) {
        if let Some(upstream) = self.stores.get_mut(&store) {
            upstream.hold(held, now_ms);
        }
    }

    fn note_lost(&mut self, store: StoreKey) {
        if let Some(upstream) = self.stores.get_mut(&store) {
            upstream.unsent = true;
        }
    }

    fn hurry(&mut self, project: Option<ProjectKey>, retry: bool, now_ms: i64) {
        for track in self.sessions.values_mut().filter(|t| project.is_none_or(|p| p == t.project)) {
            track.hurry(now_ms);
        }
        for (key, watched) in &self.projects {
            if project.is_none_or(|wanted| wanted == *key)
                && let Some(upstream) = self.stores.get_mut(&watched.store)
            {
                upstream.hurry(retry, now_ms);
            }
        }
    }

    fn due(&mut self, now_ms: i64) -> Vec<Effect> {
        let mut effects = self.saves(now_ms, Why::Due);
        effects.extend(self.errands(now_ms));
        effects.extend(self.code_checks(now_ms));
        effects.extend(self.commits(now_ms));
        if self.rescan.may_start(&self.timing, now_ms) {
            effects.push(Effect::Rescan);
        }
        effects
    }

    /// Collects the sessions to save, newest growth first and what goes on for long last, one save at a time
    /// for each store.
    fn saves(&mut self, now_ms: i64, why: Why) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (store, upstream) in self.stores.iter_mut().filter(|(_, upstream)| !upstream.saving) {
            let mut due: Vec<_> = self
                .sessions
                .iter()
                .filter(|((of, _), track)| of == store && track.is_due(&self.timing, why, now_ms))
                .map(|((_, session), track)| (track.rank(), session.clone()))
                .collect();
            due.sort();
            due.truncate(SESSIONS_PER_SAVE_MAX);
            if !due.is_empty() {
                upstream.saving = true;
                let sessions = due.into_iter().map(|(_, session)| session).collect();
                effects.push(Effect::Save { store: *store, sessions });
            }
        }
        effects
    }

    /// Only repositories with a recent session are looked at: the rest costs nothing.
    fn code_checks(&mut self, now_ms: i64) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (key, watched) in &mut self.projects {
            if watched.checking || now_ms < watched.check_at_ms {
                continue;
            }
            watched.check_at_ms = now_ms + self.timing.code_check_every_ms;
            let recent_since_ms = now_ms - self.timing.recent_ms;
            let is_recent =
                |track: &Track| track.project == *key && track.grown_ms >= recent_since_ms;
            if self.sessions.values().any(is_recent) {
                watched.checking = true;
                effects.push(Effect::CheckCode(*key));
            }
        }
        effects
    }

    /// Returns the next number of a simple generator (xorshift64), to spread retries.
    fn spread(&mut self) -> u64 {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        self.jitter
    }
}

#[cfg(test)]
mod tests;
