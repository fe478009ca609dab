//! Notices that transcripts, the live registry or a repository may have changed.
//!
//! Everything said here is a hint: a lost one costs delay, never data, because the shell looks at all
//! transcripts again from time to time. So this room never reads what is in a file, and it says
//! openly when a folder has to do without events.
//!
//! One watcher serves the whole daemon. A thread of its own adds and removes watches and looks into
//! new folders, whose first files the operating system does not report.

mod filesystem;
mod pending;
mod places;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use pending::Shared;
use tokio::time::Instant;
use worker::Command;

/// Hints are collected for so long before they are handed on: a line is several events, and a
/// writing session many lines.
const SETTLE: Duration = Duration::from_millis(100);

/// Something that should be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// How a root is looked after has changed.
    Mode {
        /// One of the roots as it was given.
        root: PathBuf,
        /// How it is looked after now.
        mode: Mode,
    },
    /// Every transcript should be looked at.
    Rescan(Why),
    /// The registry of running sessions below this root.
    Registry(PathBuf),
    /// A repository, by the name under which it is watched.
    Repository(PathBuf),
    /// A file or folder below a root's `projects` that appeared, changed or disappeared.
    Transcript(PathBuf),
}

/// Why everything should be looked at. Of several reasons the last in this order is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A root, or its `projects`, has appeared or was replaced.
    Appeared,
    /// So much changed at once that a list would be longer than the scan.
    TooMany,
    /// Events of a root have ended.
    EventsEnded,
    /// The operating system dropped events.
    Overflow,
}

impl Why {
    /// Returns a word for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Appeared => "a root appeared",
            Self::Overflow => "events were lost",
            Self::TooMany => "too many changes",
            Self::EventsEnded => "events ended",
        }
    }
}

/// How a root is looked after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Changes are reported by the operating system.
    Events,
    /// Only scanning finds changes, for this reason.
    RescanOnly(String),
    /// There is nothing to look at yet, for this reason; it is noticed when that changes.
    Missing(String),
}

impl Mode {
    /// Returns the word that `status` shows.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::RescanOnly(_) => "rescan only",
            Self::Missing(_) => "missing",
        }
    }

    /// Returns why there are no events.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Events => None,
            Self::RescanOnly(reason) | Self::Missing(reason) => Some(reason),
        }
    }
}

/// What is watched. Dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    commands: mpsc::Sender<Command>,
    worker: Option<JoinHandle<()>>,
}

/// The end at which hints arrive.
#[derive(Debug)]
pub struct Hints {
    shared: Arc<Shared>,
    settled_at: Option<Instant>,
}

impl Watch {
    /// Starts to watch these roots of Claude Code, which need not exist. Without `events` the
    /// operating system is not asked; then there are only [`Hint::Mode`] hints.
    pub fn start(roots: Vec<PathBuf>, events: bool) -> (Self, Hints) {
        let shared = Arc::new(Shared::default());
        let (commands, received) = mpsc::channel();
        let worker = worker::start(Arc::clone(&shared), commands.clone(), received);
        let watch = Self { commands, worker: Some(worker) };
        watch.set_roots(roots, events);
        (watch, Hints { shared, settled_at: None })
    }

    /// Watches these roots and no others from now on. Roots that lost their events are tried again.
    pub fn set_roots(&self, roots: Vec<PathBuf>, events: bool) {
        self.send(Command::SetRoots { roots, events });
    }

    /// Watches these folders of a repository, each without what is below it; hints will call it
    /// `name`. Replaces what was watched under that name. [`git_folders`] lists the folders.
    pub fn watch_repository(&self, name: PathBuf, folders: Vec<PathBuf>) {
        self.send(Command::SetRepository { name, folders });
    }

    /// Stops to watch a repository.
    pub fn forget_repository(&self, name: &Path) {
        self.send(Command::SetRepository { name: name.to_owned(), folders: Vec::new() });
    }

    fn send(&self, command: Command) {
        // Without its thread there are no hints, which the thread's end has reported.
        if self.commands.send(command).is_err() {
            tracing::debug!("the watcher's thread has ended");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if self.worker.take().is_some_and(|worker| worker.join().is_err()) {
            tracing::error!("the watcher's thread panicked");
        }
    }
}

impl Hints {
    /// Waits until something should be looked at, and returns everything that should, each once.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Vec<Hint> {
        loop {
            match self.settled_at {
                Some(settled_at) => {
                    tokio::time::sleep_until(settled_at).await;
                    self.settled_at = None;
                    let hints = self.shared.take();
                    if !hints.is_empty() {
                        return hints;
                    }
                }
                None if self.shared.is_empty() => self.shared.ready.notified().await,
                None => self.settled_at = Some(Instant::now() + SETTLE),
            }
        }
    }
}

/// Lists the folders of a repository in which something changes when HEAD, the index or a branch
/// does. Branches with a `/` in their name are noticed by their reflog.
pub fn git_folders(git_dir: &Path, common_dir: &Path) -> Vec<PathBuf> {
    let mut folders = vec![
        git_dir.to_owned(),
        git_dir.join("logs"),
        common_dir.to_owned(),
        common_dir.join("refs/heads"),
        common_dir.join("reftable"),
    ];
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests;
