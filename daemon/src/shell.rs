//! The loop: takes in the next event, lets the engine decide, and has the effects carried out on threads
//! of their own. The only place where time passes.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use convosync_core::config::{AutosaveCode, Config};
use convosync_core::protocol::{
    ErrorKind, Failure, HelloReply, Nothing, PROTOCOL, Progress, Request,
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::answer::{self, RootReports, Tell};
use crate::autosave;
use crate::client::{Asked, Reply};
use crate::clock::{self, Leap, Monotonic};
use crate::engine::{Effect, Engine, Event, Fault, ProjectKey, PushEnd, SaveEnd, Standing, Timing};
use crate::fail;
use crate::house::{House, Report, lock};
use crate::log::Log;
use crate::network::Network;
use crate::pulse::Beat;
use crate::scan;
use crate::signals::{Signal, Signals};
use crate::sleep::{LetGo, Nod, Sleep};
use crate::watch::{Hint, Hints, Mode, Watch, git_folders};
use crate::work::{self, Wish};

/// The clocks are compared at least so often: a sleep that nobody told of is noticed this much later.
const LOOKS_AT_CLOCKS_MS: i64 = 60_000;

/// What the loop listens to.
pub struct Inlets {
    /// Reports of the daemon's own threads.
    pub reports: mpsc::UnboundedReceiver<Report>,
    /// Clients' requests.
    pub requests: mpsc::Receiver<Asked>,
    /// The watcher's hints.
    pub hints: Hints,
    /// What the operating system asks.
    pub signals: Signals,
    /// What the login manager says of the machine's sleep.
    pub sleep: Sleep,
    /// What it tells of the network.
    pub network: Network,
}

/// The loop's own state.
pub struct Shell {
    house: Arc<House>,
    engine: Engine,
    clock: Monotonic,
    leap: Leap,
    watch: Watch,
    log: Log,
    let_go: LetGo,
    roots: Arc<RootReports>,
}

/// What the engine is told about timing.
pub fn timing(config: &Config, changes_are_reported: bool) -> Timing {
    Timing {
        idle_after_ms: config.idle_after_ms,
        save_at_least_every_ms: config.save_at_least_every_ms,
        code_check_every_ms: config.code_check_every_ms,
        recent_ms: config.recent_ms,
        push_at_most_every_ms: config.push_at_most_every_ms,
        poll_every_ms: config.poll_every_ms,
        rescan_every_ms: config.rescan_every_ms,
        commits: config.autosave.code == AutosaveCode::Commit,
        changes_are_reported,
    }
}

impl Shell {
    /// Puts the loop together; nothing runs before [`Self::run`].
    pub fn new(house: Arc<House>, watch: Watch, log: Log, let_go: LetGo, seed: u64) -> Self {
        let clock = Monotonic::start();
        let engine = Engine::new(timing(&house.config(), false), seed, clock.now_ms());
        let leap = Leap::start(clock::now_ms(), clock.now_ms());
        Self { house, engine, clock, leap, watch, log, let_go, roots: Arc::default() }
    }

    /// Runs until the daemon has left.
    pub async fn run(mut self, mut inlets: Inlets) {
        // Before the first request: a client that started us asks about its project at once.
        if self.open_projects().await.is_err() {
            tracing::error!("opening the projects panicked");
        }
        loop {
            let wake_ms = self.engine.wake_at_ms().min(self.clock.now_ms() + LOOKS_AT_CLOCKS_MS);
            let wake = self.clock.instant(wake_ms).into();
            let leaves = tokio::select! {
                Some(report) = inlets.reports.recv() => self.take_report(report),
                Some(asked) = inlets.requests.recv() => self.take_request(asked),
                hints = inlets.hints.next() => self.take_hints(hints),
                signal = inlets.signals.next() => self.take_signal(signal),
                nod = inlets.sleep.next() => self.take_nod(nod),
                () = inlets.network.changed() => {
                    tracing::debug!("the network changed");
                    self.tell_engine(Event::NetworkChanged)
                }
                () = tokio::time::sleep_until(wake) => self.tell_engine(Event::Tick),
            };
            if leaves || self.notice_leap() {
                return;
            }
        }
    }

    /// Timers stand still while the machine sleeps, and the clock on the wall does not.
    fn notice_leap(&mut self) -> bool {
        if !self.leap.noticed(clock::now_ms(), self.clock.now_ms()) {
            return false;
        }
        tracing::info!("the machine slept, or its clock was set: looking at everything once");
        self.tell_engine(Event::Woke)
    }

    fn take_nod(&mut self, nod: Nod) -> bool {
        match nod {
            Nod::Sleeping => {
                tracing::info!("the machine is about to sleep: saving what is dirty");
                self.tell_engine(Event::Sleeping)
            }
            Nod::Woke => self.tell_engine(Event::Woke),
        }
    }

    fn open_projects(&self) -> JoinHandle<()> {
        let (house, roots) = (self.house.clone(), self.roots.clone());
        spawn_blocking(move || open_projects(&house, &roots))
    }

    fn take_report(&mut self, report: Report) -> bool {
        match report {
            Report::Event(event) => self.tell_engine(event),
            Report::Barrier(passed) => {
                if passed.send(()).is_err() {
                    tracing::trace!("nobody waits at the barrier any more");
                }
                false
            }
        }
    }

    /// Lets the engine decide and carries its decisions out; returns whether the daemon leaves now.
    fn tell_engine(&mut self, event: Event) -> bool {
        if let Event::Enabled { project, .. } = event {
            self.watch_repository(project);
        }
        let effects = self.engine.handle(event, self.clock.now_ms());
        let leaves = effects.contains(&Effect::Exit);
        if effects.contains(&Effect::Rested) {
            self.let_go.now();
        }
        for effect in effects {
            self.carry_out(effect);
        }
        for place in self.house.places() {
            let Standing { unsaved, busy, retry_at_ms } = self.engine.standing(place.key);
            let on_the_wall = |at_ms: i64| clock::now_ms() + (at_ms - self.clock.now_ms());
            place.pulse.set(Beat { unsaved, busy, retry_ms: retry_at_ms.map(on_the_wall) });
        }
        leaves
    }

    fn carry_out(&self, effect: Effect) {
        let Some(given_up) = given_up(&effect) else { return };
        let (house, roots) = (self.house.clone(), self.roots.clone());
        spawn_blocking(move || {
            let work = AssertUnwindSafe(|| carry_out(&house, &roots, effect));
            // The engine waits for a report of everything it asked for.
            if catch_unwind(work).is_err() {
                tracing::error!("work panicked; it is tried again later");
                house.report(given_up);
            }
        });
    }

    fn take_request(&mut self, asked: Asked) -> bool {
        let Asked { request, reply } = asked;
        match request {
            Request::Hello(hello) => {
                let helps = self.house.lend_agent(hello.ssh_auth_sock);
                reply.answer(Ok(self.hello()));
                if helps {
                    return self.tell_engine(Event::Hurry { project: None, retry: true });
                }
            }
            Request::Stop(_) => {
                reply.answer(Ok(Nothing {}));
                return self.tell_engine(Event::Stop);
            }
            Request::Reload(_) => reply.finish(self.reload().map(|()| json!({}))),
            request => self.answer(request, reply),
        }
        false
    }

    fn hello(&self) -> HelloReply {
        HelloReply {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            initialised: self.house.vault().is_some(),
        }
    }

    fn answer(&self, request: Request, reply: Reply) {
        let (house, roots) = (self.house.clone(), self.roots.clone());
        spawn_blocking(move || {
            let clerk = answer::Clerk { house: &house, roots: &roots, tell: &Teller(&reply) };
            let result = answer::answer(&clerk, request);
            reply.finish(result);
        });
    }

    fn take_signal(&mut self, signal: Signal) -> bool {
        match signal {
            Signal::Stop => self.tell_engine(Event::Stop),
            Signal::Reload => {
                if let Err(failure) = self.reload() {
                    tracing::error!(reason = %failure.message, "kept the old configuration");
                }
                false
            }
        }
    }

    /// Reads the configuration again; a bad one changes nothing.
    fn reload(&mut self) -> Result<(), Failure> {
        let config = Config::load(&self.house.paths.config_file)
            .map_err(|error| fail::failure(ErrorKind::BadConfig, &error, error.hint()))?;
        self.log.set_level(config.log_level);
        self.engine.retime(timing(&config, self.changes_are_reported()));
        let before = self.house.config();
        let reopen = before.store_remote != config.store_remote || before.exclude != config.exclude;
        self.house.set_config(config);
        if reopen {
            let (house, roots) = (self.house.clone(), self.roots.clone());
            spawn_blocking(move || {
                house.homes().iter().for_each(|home| house.close_project(home.key));
                open_projects(&house, &roots);
            });
        }
        self.watch.set_roots(self.house.claude_roots(), self.house.config().events);
        Ok(())
    }

    fn take_hints(&mut self, hints: Vec<Hint>) -> bool {
        let (mut folders, mut live, mut rescan) = (BTreeSet::new(), false, false);
        let mut repositories: BTreeSet<PathBuf> = BTreeSet::new();
        let roots = self.house.claude_roots();
        for hint in hints {
            match hint {
                Hint::Transcript(path) => match scan::folder_of(&roots, &path) {
                    Some(folder) => drop(folders.insert(folder)),
                    None => rescan = true,
                },
                Hint::Repository(root) => drop(repositories.insert(root)),
                Hint::Registry(_) => live = true,
                Hint::Rescan(why) => {
                    tracing::debug!(why = why.as_str(), "looking at every transcript");
                    rescan = true;
                }
                Hint::Mode { root, mode } => {
                    // What was written between the last scan and the first event is noticed by nobody else.
                    rescan |= mode == Mode::Events;
                    self.note_mode(root, mode);
                }
            }
        }
        self.look(folders, live, rescan);
        let touched =
            self.house.homes().into_iter().filter(|home| repositories.contains(&home.project.root));
        let touched: Vec<ProjectKey> = touched.map(|home| home.key).collect();
        touched.into_iter().any(|project| self.tell_engine(Event::RepositoryTouched(project)))
    }

    fn look(&self, folders: BTreeSet<PathBuf>, live: bool, rescan: bool) {
        let (house, roots) = (self.house.clone(), self.roots.clone());
        spawn_blocking(move || {
            if rescan {
                *lock(&roots.scans) = scan::scan_all(&house, clock::now_ms());
                return;
            }
            if live || !folders.is_empty() {
                scan::scan_live(&house, clock::now_ms());
            }
            scan::scan_folders(&house, &folders, clock::now_ms());
        });
    }

    fn note_mode(&mut self, root: PathBuf, mode: Mode) {
        tracing::info!(mode = mode.as_str(), "a root of Claude Code");
        lock(&self.roots.modes).insert(root, mode);
        self.engine.retime(timing(&self.house.config(), self.changes_are_reported()));
    }

    /// Whether the operating system tells of every change, and nothing waits for a look to be opened.
    fn changes_are_reported(&self) -> bool {
        let modes = lock(&self.roots.modes);
        modes.values().all(|mode| *mode == Mode::Events) && lock(&self.roots.problems).is_empty()
    }

    fn watch_repository(&self, project: ProjectKey) {
        if let Some(home) = self.house.home(project)
            && let Some(git_dir) = &home.project.git_dir
        {
            let common = home.project.common_dir.as_ref().unwrap_or(git_dir);
            self.watch.watch_repository(home.project.root.clone(), git_folders(git_dir, common));
        }
    }
}

/// Opens every enabled project that is not open, and notes for `status` why one cannot be.
fn open_projects(house: &House, roots: &RootReports) {
    let mut problems = house.open_projects().unwrap_or_else(|error| {
        let failure = fail::list(&error);
        tracing::error!("no project is saved: the list of projects cannot be read");
        tracing::debug!(reason = %failure.message, "no project is saved");
        vec![fail::problem_of(&failure, clock::now_ms())]
    });
    // After the projects, which know what kind of name our refs have on their remotes.
    problems.extend(house.open_remotes());
    let mut known = lock(&roots.problems);
    if problems.len() > known.len() {
        tracing::warn!(projects = problems.len(), "not every project can be opened");
    }
    if !problems.is_empty() || !known.is_empty() {
        house.report(Event::Opened { all: problems.is_empty() });
    }
    *known = problems;
}

/// Blocks until it is done; the work itself reports to the engine.
fn carry_out(house: &House, roots: &RootReports, effect: Effect) {
    match effect {
        Effect::Save { store, sessions } => {
            // What failed is noted in the desk and reported to the engine, which tries again.
            drop(work::save(house, store, &sessions, &Wish::default()));
        }
        Effect::Push(store) => work::push(house, store),
        Effect::List(store) => work::poll(house, store),
        Effect::CheckCode(project) => work::check_code(house, project),
        Effect::Commit(project) => autosave::commit(house, project),
        Effect::Rescan => {
            let is_open = lock(&roots.problems).is_empty();
            if !is_open {
                // A disk that was not there, a repository that was being written: perhaps it works now.
                open_projects(house, roots);
            }
            let reports = scan::scan_all(house, clock::now_ms());
            *lock(&roots.scans) = reports;
            house.report(Event::Rescanned);
        }
        Effect::Rested | Effect::Exit => {}
    }
}

/// What the engine is told when an effect came to nothing; `None` where there is nothing to carry out.
fn given_up(effect: &Effect) -> Option<Event> {
    match effect {
        Effect::Save { store, sessions } => {
            let end = SaveEnd { failed: sessions.clone(), ..SaveEnd::default() };
            Some(Event::Saved(*store, end))
        }
        Effect::Push(store) => Some(Event::Pushed(*store, PushEnd::Failed(Fault::Failing))),
        Effect::List(store) => Some(Event::Listed(*store, Some(Fault::Failing))),
        Effect::Commit(project) => Some(Event::Committed(*project, None)),
        Effect::CheckCode(project) => Some(Event::CodeChecked(*project, None)),
        Effect::Rescan => Some(Event::Rescanned),
        Effect::Rested | Effect::Exit => None,
    }
}

/// Passes on how far a request is.
struct Teller<'a>(&'a Reply);

impl Tell for Teller<'_> {
    fn progress(&self, progress: &Progress) {
        self.0.progress(progress.clone());
    }
}
