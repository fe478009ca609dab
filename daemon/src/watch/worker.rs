//! The thread that adds and removes watches and looks into new folders.
//!
//! The watcher's own callback may do neither: it runs on the thread that would have to answer.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use convosync_core::claude::ClaudeRoot;
use notify::{Config, ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::pending::{Shared, TRANSCRIPTS_MAX};
use super::places::{Places, Step, Tree, TreeKind};
use super::{Hint, Mode, Why, filesystem};

/// A new folder is looked into again after this time: its watch stands by then, whatever the system.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Roots are compared with what is watched so often: a replaced folder may go without an event.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// A missing root is looked for so often.
const CHECK_MISSING_EVERY: Duration = Duration::from_secs(2);

/// After lost events all watches are set again, but not more often than this.
const REWATCH_EVERY: Duration = Duration::from_secs(1);

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    SetRoots { roots: Vec<PathBuf>, events: bool },
    SetRepository { name: PathBuf, folders: Vec<PathBuf> },
    NewFolder(PathBuf),
    CheckRoots,
    Overflow,
    Limit { path: Option<PathBuf> },
    Stop,
}

/// Starts the thread. `commands` is the other end of `received`, for the watcher's callback.
pub(super) fn start(
    shared: Arc<Shared>,
    commands: Sender<Command>,
    received: Receiver<Command>,
) -> JoinHandle<()> {
    let run = move || {
        let callback = Callback { shared: Arc::clone(&shared), commands };
        let config = Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(callback, config).map_err(|error| reason(&error));
        let worker = Worker {
            shared,
            watcher,
            events: true,
            roots: BTreeMap::new(),
            look_again: BTreeMap::new(),
            overflowed: false,
            rewatched_at: None,
        };
        worker.run(&received);
    };
    let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(run);
    thread.expect("a process that has just started can start a thread")
}

/// What the watcher calls on its own thread: sorts events into the set, and never waits.
struct Callback {
    shared: Arc<Shared>,
    commands: Sender<Command>,
}

impl notify::EventHandler for Callback {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        let command = match event {
            Ok(event) if event.need_rescan() => Command::Overflow,
            Ok(event) => return self.route(&event),
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => {
                Command::Limit { path: error.paths.into_iter().next() }
            }
            Err(error) => {
                tracing::debug!(%error, "the watcher reports an error");
                Command::Overflow
            }
        };
        self.send(command);
    }
}

impl Callback {
    fn route(&self, event: &notify::Event) {
        let steps: Vec<Step> = {
            let places = self.shared.places();
            event.paths.iter().flat_map(|path| places.route(event.kind, path)).collect()
        };
        for step in steps {
            match step {
                Step::Hint(hint) => self.shared.hint(hint),
                Step::NewFolder(path) => self.send(Command::NewFolder(path)),
                Step::CheckRoots => self.send(Command::CheckRoots),
            }
        }
    }

    fn send(&self, command: Command) {
        if self.commands.send(command).is_err() {
            tracing::trace!("an event came after the end");
        }
    }
}

/// What a folder is, whatever it is called: device and inode.
type Identity = Option<(u64, u64)>;

/// A root, as it was when its watches were set.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    root: Identity,
    projects: Identity,
    registry: Identity,
}

impl Seen {
    fn now(root: &Path) -> Self {
        let claude = ClaudeRoot::new(root);
        let identity =
            |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        Self {
            root: identity(root),
            projects: identity(&claude.projects()),
            registry: identity(&claude.sessions_registry()),
        }
    }
}

#[derive(Debug)]
struct Watched {
    seen: Seen,
    mode: Mode,
}

struct Worker {
    shared: Arc<Shared>,
    watcher: Result<RecommendedWatcher, String>,
    events: bool,
    roots: BTreeMap<PathBuf, Watched>,
    look_again: BTreeMap<PathBuf, Instant>,
    overflowed: bool,
    rewatched_at: Option<Instant>,
}

impl Drop for Worker {
    /// Without this thread nothing is reliable, and that has to be said.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mode = Mode::RescanOnly("the watcher has failed".to_owned());
            for root in self.roots.keys() {
                self.shared.hint(Hint::Mode { root: root.clone(), mode: mode.clone() });
            }
        }
    }
}

impl Worker {
    fn run(mut self, received: &Receiver<Command>) {
        let mut check_at = Instant::now();
        loop {
            let now = Instant::now();
            self.look_again_into_folders(now);
            self.rewatch_after_overflow(now);
            if now >= check_at {
                self.check_roots();
                check_at = now + CHECK_EVERY;
            }
            check_at = check_at.min(now + self.check_every());
            let wake_at = self.wake_at(now).map_or(check_at, |at| at.min(check_at));
            match received.recv_timeout(wake_at.saturating_duration_since(now)) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let rewatch = self.overflowed.then(|| self.rewatch_at(now));
        self.look_again.values().copied().chain(rewatch).min()
    }

    fn rewatch_at(&self, now: Instant) -> Instant {
        self.rewatched_at.map_or(now, |at| at + REWATCH_EVERY)
    }

    fn check_every(&self) -> Duration {
        let is_missing = |watched: &Watched| matches!(watched.mode, Mode::Missing(_));
        if self.roots.values().any(is_missing) { CHECK_MISSING_EVERY } else { CHECK_EVERY }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::SetRoots { roots, events } => self.set_roots(roots, events),
            Command::SetRepository { name, folders } => self.set_repository(&name, &folders),
            Command::NewFolder(path) => self.enter(&path),
            Command::CheckRoots => self.check_roots(),
            Command::Overflow => self.overflowed = true,
            Command::Limit { path } => self.give_up_events(path.as_deref()),
            Command::Stop => {}
        }
    }

    fn set_roots(&mut self, roots: Vec<PathBuf>, events: bool) {
        if self.events != events {
            self.events = events;
            self.watch_repositories();
        }
        let former: Vec<PathBuf> = self.roots.keys().cloned().collect();
        for root in former {
            self.detach(&root);
            if !roots.contains(&root) {
                self.roots.remove(&root);
            }
        }
        for root in roots {
            self.attach(&root);
        }
    }

    /// Sets a root's watches again if it is no longer what it was.
    fn check_roots(&mut self) {
        let changed = |(root, watched): (&PathBuf, &Watched)| {
            (Seen::now(root) != watched.seen).then(|| root.clone())
        };
        let changed: Vec<PathBuf> = self.roots.iter().filter_map(changed).collect();
        for root in changed {
            self.detach(&root);
            self.attach(&root);
            if self.roots[&root].seen.projects.is_some() {
                self.shared.hint(Hint::Rescan(Why::Appeared));
            }
        }
    }

    fn attach(&mut self, root: &Path) {
        let seen = Seen::now(root);
        let mode = self.try_attach(root, &seen);
        if matches!(mode, Mode::RescanOnly(_)) {
            self.detach(root);
        }
        let before = self.roots.insert(root.to_owned(), Watched { seen, mode: mode.clone() });
        if before.is_none_or(|before| before.mode != mode) {
            self.shared.hint(Hint::Mode { root: root.to_owned(), mode });
        }
    }

    fn try_attach(&mut self, root: &Path, seen: &Seen) -> Mode {
        if seen.root.is_none() {
            let why = fs::metadata(root).err().map_or("it does not exist".to_owned(), describe);
            return Mode::Missing(why);
        }
        if !self.events {
            return Mode::RescanOnly("`watch.events` is false".to_owned());
        }
        let claude = ClaudeRoot::new(root);
        let projects = claude.projects();
        let checked = if seen.projects.is_some() { &projects } else { root };
        if let Some(name) = filesystem::silent(checked) {
            return Mode::RescanOnly(format!("it lies on {name}, which does not report changes"));
        }
        let watched = self
            .add(root, root, TreeKind::Root)
            .and_then(|()| self.add(root, &claude.sessions_registry(), TreeKind::Registry))
            .and_then(|()| self.add(root, &projects, TreeKind::Projects));
        match watched {
            Err(reason) => Mode::RescanOnly(reason),
            Ok(()) if seen.projects.is_none() => {
                Mode::Missing("there are no transcripts: it holds no `projects`".to_owned())
            }
            Ok(()) => Mode::Events,
        }
    }

    /// Watches one folder of a root, if it is there.
    fn add(&mut self, root: &Path, folder: &Path, kind: TreeKind) -> Result<(), String> {
        let watcher = self.watcher.as_mut().map_err(|reason| reason.clone())?;
        let Ok(real) = fs::canonicalize(folder) else { return Ok(()) };
        // Known first, so that no event arrives that nobody can place.
        self.shared.places().add_tree(Tree { root: root.to_owned(), real: real.clone(), kind });
        let depth = match kind {
            TreeKind::Projects => RecursiveMode::Recursive,
            TreeKind::Root | TreeKind::Registry => RecursiveMode::NonRecursive,
        };
        match watcher.watch(&real, depth) {
            Err(error) if !matches!(error.kind, ErrorKind::PathNotFound) => Err(reason(&error)),
            _ => Ok(()),
        }
    }

    fn detach(&mut self, root: &Path) {
        let gone = self.shared.places().remove_root(root);
        for tree in gone {
            self.unwatch(&tree.real);
        }
    }

    fn unwatch(&mut self, path: &Path) {
        if let Ok(watcher) = &mut self.watcher
            && let Err(error) = watcher.unwatch(path)
        {
            tracing::trace!(%error, "the folder was not watched any more");
        }
    }

    /// Leaves a root to scanning, and gives its watches back to others who need some.
    fn give_up_events(&mut self, path: Option<&Path>) {
        let root = path.and_then(|path| self.shared.places().root_of(path));
        let Some(root) = root else { return };
        self.detach(&root);
        if let Some(watched) = self.roots.get_mut(&root) {
            watched.mode = Mode::RescanOnly(LIMIT_REACHED.to_owned());
            self.shared.hint(Hint::Rescan(Why::EventsEnded));
            self.shared.hint(Hint::Mode { root, mode: watched.mode.clone() });
        }
    }

    fn set_repository(&mut self, name: &Path, folders: &[PathBuf]) {
        let real: Vec<PathBuf> = folders.iter().filter_map(|f| fs::canonicalize(f).ok()).collect();
        let (added, gone) = self.shared.places().set_repository(name, &real);
        gone.iter().for_each(|folder| self.unwatch(folder));
        added.iter().for_each(|folder| self.watch_repository_folder(folder));
    }

    fn watch_repository_folder(&mut self, folder: &Path) {
        if let Ok(watcher) = &mut self.watcher
            && self.events
            && let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive)
        {
            tracing::debug!(%error, "a repository is only checked from time to time");
        }
    }

    /// Begins or ends to watch all repositories, as events were switched on or off.
    fn watch_repositories(&mut self) {
        let folders = self.shared.places().repository_folders();
        for folder in folders {
            if self.events {
                self.watch_repository_folder(&folder);
            } else {
                self.unwatch(&folder);
            }
        }
    }

    /// Looks into a new folder. What was made in it before its watch stood was not reported.
    fn enter(&mut self, path: &Path) {
        if !fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
            return;
        }
        self.look_into(path);
        if self.stands_watched(path) {
            self.look_into(path);
        }
        self.look_again.insert(path.to_owned(), Instant::now() + LOOK_AGAIN_AFTER);
    }

    /// Makes sure that a new folder is watched when this returns. The watcher will do it too, but
    /// only when it has worked off all events that wait, and then there may be files already.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn stands_watched(&mut self, path: &Path) -> bool {
        if self.shared.places().root_of(path).is_none() {
            return false;
        }
        match self.watcher.as_mut().map(|watcher| watcher.watch(path, RecursiveMode::Recursive)) {
            Ok(Err(error)) if matches!(error.kind, ErrorKind::MaxFilesWatch) => {
                self.give_up_events(Some(path));
                false
            }
            Ok(watched) => watched.is_ok(),
            Err(_) => false,
        }
    }

    /// Elsewhere one watch covers everything below a root.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn stands_watched(&mut self, _path: &Path) -> bool {
        false
    }

    fn look_again_into_folders(&mut self, now: Instant) {
        let due: Vec<PathBuf> = self
            .look_again
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(path, _)| path.clone())
            .collect();
        for path in due {
            self.look_again.remove(&path);
            self.look_into(&path);
        }
    }

    /// Hints at everything in a folder, by names only.
    fn look_into(&self, folder: &Path) {
        let mut folders = vec![folder.to_owned()];
        let mut found = 0;
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.filter_map(Result::ok) {
                found += 1;
                if found > TRANSCRIPTS_MAX {
                    return self.shared.hint(Hint::Rescan(Why::TooMany));
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                }
                self.hint_at(&entry.path());
            }
        }
    }

    fn hint_at(&self, path: &Path) {
        let changed = notify::EventKind::Modify(notify::event::ModifyKind::Any);
        let steps = Places::route(&self.shared.places(), changed, path);
        for step in steps {
            if let Step::Hint(hint) = step {
                self.shared.hint(hint);
            }
        }
    }

    /// Lost events may have been about new folders, which then have no watch.
    fn rewatch_after_overflow(&mut self, now: Instant) {
        if !self.overflowed || now < self.rewatch_at(now) {
            return;
        }
        self.overflowed = false;
        self.rewatched_at = Some(now);
        let projects = self.shared.places().projects();
        for folder in projects {
            let watched = self.watcher.as_mut().map(|w| w.watch(&folder, RecursiveMode::Recursive));
            if let Ok(Err(error)) = watched
                && matches!(error.kind, ErrorKind::MaxFilesWatch)
            {
                self.give_up_events(Some(&folder));
            }
        }
        self.shared.hint(Hint::Rescan(Why::Overflow));
    }
}

/// What `status` says when the operating system has no watches left.
const LIMIT_REACHED: &str =
    "the system's limit of file watches is reached (on Linux: sysctl fs.inotify.max_user_watches)";

/// Says in words why a folder cannot be watched.
fn reason(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => LIMIT_REACHED.to_owned(),
        ErrorKind::Io(error) if error.raw_os_error() == Some(TOO_MANY_FILES) => {
            "the system's limit of file watchers or open files is reached \
             (on Linux: sysctl fs.inotify.max_user_instances)"
                .to_owned()
        }
        ErrorKind::Io(error) => format!("it cannot be watched: {error}"),
        _ => format!("it cannot be watched: {error}"),
    }
}

/// EMFILE, also what a system answers that has no inotify instances left.
const TOO_MANY_FILES: i32 = rustix::io::Errno::MFILE.raw_os_error();

#[expect(clippy::needless_pass_by_value, reason = "it is the last that needs the error")]
fn describe(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        _ => format!("it cannot be read: {error}"),
    }
}
