//! One simulated device: transcripts in a folder, a store, and the desk that saves the one in the other.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convosync_core::history::{History, Reader};
use convosync_core::id::{LogId, Random, Role, SessionId};
use convosync_core::inbound::{BringError, Bringing, Brought, Target, bring_back};
use convosync_core::log::Kind;
use convosync_core::outbound::{OutboundError, ProjectFacts, Request};
use convosync_core::seal::{Codec, Surroundings};
use convosync_core::shell_history::ShellLines;
use convosync_core::transcript::{SessionFiles, discover_dir};
use convosync_core::vault::Vault;
use convosync_tests::files;
use convosyncd::desk::{Desk, Saved};

/// The contents of a session's files, by log.
pub(crate) type Content = BTreeMap<LogId, Vec<u8>>;

/// The one session that is simulated.
pub(crate) fn session() -> SessionId {
    "01234567-89ab-4cde-8f01-23456789abcd".parse().expect("a session's id")
}

/// Its files: the transcript, a subagent's, and a tool's result.
pub(crate) fn logs() -> [LogId; 3] {
    let inside = |path: &str| LogId { role: Role::Inside, path: path.to_owned() };
    [LogId::main(), inside("subagents/agent-a1.jsonl"), inside("tool-results/toolu_1.txt")]
}

/// One simulated device.
pub(crate) struct Device {
    pub(crate) vault: Arc<Vault>,
    pub(crate) desk: Desk,
    pub(crate) dir: PathBuf,
    pub(crate) codec: Codec,
    /// What the next saves tell of the shell.
    pub(crate) typed: ShellLines,
    now_ms: i64,
}

impl Device {
    pub(crate) fn new(dir: &Path, vault: Arc<Vault>) -> Self {
        fs::create_dir_all(dir.join("slug")).expect("a folder");
        let desk = open(dir, &vault);
        let (dir, now_ms) = (dir.to_owned(), 1_750_000_000_000);
        Self { vault, desk, dir, codec: Codec::Zstd, typed: ShellLines::new(), now_ms }
    }

    /// Where the transcripts lie.
    pub(crate) fn slug_dir(&self) -> PathBuf {
        self.dir.join("slug")
    }

    /// Where a log's file lies.
    pub(crate) fn path(&self, log: &LogId) -> PathBuf {
        path_in(&self.slug_dir(), log)
    }

    /// Makes the folders above a log's file.
    pub(crate) fn make_room(&self, log: &LogId) -> PathBuf {
        let path = self.path(log);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        path
    }

    /// Forgets everything that is only in memory.
    pub(crate) fn restart(&mut self) {
        self.desk = open(&self.dir, &self.vault);
    }

    /// The session's files as they are found.
    pub(crate) fn files(&self) -> Option<SessionFiles> {
        let found = discover_dir(&self.slug_dir()).expect("the folder can be listed");
        found.sessions.into_iter().find(|files| files.id == session())
    }

    /// All bytes of the session's files.
    pub(crate) fn raw(&self) -> Content {
        raw_in(&self.slug_dir())
    }

    /// What a save has to hold: complete lines, and whole files.
    pub(crate) fn complete(&self) -> Content {
        self.raw().into_iter().map(|(log, bytes)| (log.clone(), complete(&log, bytes))).collect()
    }

    /// Saves the session, if it is there.
    pub(crate) fn save(&mut self, random: &mut dyn Random) -> Result<Saved, OutboundError> {
        let Some(files) = self.files() else { return Ok(Saved::default()) };
        self.now_ms += 1000;
        let project = ProjectFacts::default();
        let request = Request {
            files: &files,
            project: &project,
            code: None,
            code_log: None,
            further: Vec::new(),
            trees: &[],
            moved: false,
            message: None,
            surroundings: Surroundings { shell: self.typed.clone(), ..Surroundings::default() },
            insist: false,
            quiet: false,
        };
        self.desk.save(&[request], self.codec, self.now_ms, random)
    }

    /// Brings a session back into a folder, as `resume` does.
    pub(crate) fn bring(
        &self,
        history: &History,
        slug_dir: PathBuf,
    ) -> Result<Brought, BringError> {
        let reader: Reader<'_> = self.desk.reader();
        let ours = self.desk.own_history(&session()).ok().flatten();
        let target = Target { slug_dir, session: session() };
        let bringing = Bringing {
            reader,
            history,
            ours: ours.as_ref(),
            target: &target,
            scratch: &self.dir.join("opened"),
            is_live: &|| false,
            dry_run: false,
        };
        bring_back(&bringing, self.now_ms)
    }

    /// Opens a saved session beside everything else.
    pub(crate) fn opened(&self, history: &History) -> Content {
        let dir = self.dir.join("beside");
        if dir.exists() {
            files::remove_tree(&dir);
        }
        fs::create_dir_all(&dir).expect("a folder");
        self.bring(history, dir.clone()).expect("what was acknowledged can be opened");
        raw_in(&dir)
    }
}

fn open(dir: &Path, vault: &Arc<Vault>) -> Desk {
    Desk::open(&dir.join("store"), vault.clone(), false, 0)
        .unwrap_or_else(|failure| panic!("the store opens: {}", failure.message))
}

fn path_in(dir: &Path, log: &LogId) -> PathBuf {
    match log.role {
        Role::Main => dir.join(format!("{}.jsonl", session())),
        _ => dir.join(session().as_str()).join(&log.path),
    }
}

fn raw_in(dir: &Path) -> Content {
    let read = |log: LogId| fs::read(path_in(dir, &log)).ok().map(|bytes| (log, bytes));
    logs().into_iter().filter_map(read).collect()
}

/// What of a file a save holds.
pub(crate) fn complete(log: &LogId, mut bytes: Vec<u8>) -> Vec<u8> {
    if Kind::of(log) == Kind::Lines {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(end);
    }
    bytes
}

/// Changes a file in place, and waits until the clock of the file system shows it: two changes within one
/// tick look like one to anybody.
pub(crate) fn write_in_place(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    let changed = |path: &Path| {
        let found = fs::metadata(path).expect("it was there");
        (found.ctime(), found.ctime_nsec())
    };
    let before = changed(path);
    loop {
        let mut file = fs::OpenOptions::new().write(true).open(path).expect("it can be written");
        file.write_all(bytes).expect("there is room");
        file.set_len(bytes.len() as u64).expect("it can be cut");
        if changed(path) != before {
            return;
        }
    }
}
