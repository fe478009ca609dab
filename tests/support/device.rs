//! One device: a home, and the two real programs running in it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::program::{self, Run};
use crate::synthetic::Conversation;
use crate::writer::saved_bytes;
use crate::{Home, Writer, eventually, files};

/// A daemon answers on its socket within this time of its start.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A daemon that was asked to end has ended within this time: five seconds by its contract, and some
/// for a busy machine.
pub const STOPS_WITHIN: Duration = Duration::from_secs(8);

/// A save, from the last byte to "on remote", may take this long on a busy machine.
pub const SAVED_WITHIN: Duration = Duration::from_secs(60);

/// A device of a [`crate::World`]. Its daemon ends with it.
#[derive(Debug)]
pub struct Device {
    /// Where everything of it lies.
    pub home: Home,
    daemon: Option<Child>,
}

impl Device {
    /// Makes a device that lives in `home`; nothing runs yet.
    pub fn new(home: Home) -> Self {
        home.write_config("");
        Self { home, daemon: None }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.home.user()
    }

    /// Starts the daemon and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        self.start_in(&[]);
    }

    /// Starts the daemon by the command that `words` begin, and waits until it answers. The command has to
    /// become the daemon.
    #[track_caller]
    pub fn start_in(&mut self, words: &[&str]) {
        let daemon = self.spawn_daemon_in(words);
        self.daemon = Some(daemon);
        eventually("the daemon answers", STARTS_WITHIN, || {
            let child = self.daemon.as_mut().expect("it was started above");
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                panic!("the daemon ended at once: {status}\n{}", self.log());
            }
            self.ctl(&["--no-start", "status", "--json"]).status.success().then_some(())
        });
    }

    /// Starts the daemon without waiting for it.
    #[track_caller]
    pub fn spawn_daemon(&self) -> Child {
        self.spawn_daemon_in(&[])
    }

    #[track_caller]
    fn spawn_daemon_in(&self, words: &[&str]) -> Child {
        let log = self.log_file();
        let again = log.try_clone().expect("a file can be opened twice");
        let daemon = program::binary("convosyncd");
        let mut command = match words {
            [] => self.home.daemon(),
            [first, rest @ ..] => {
                let mut command = self.home.command(*first);
                command.args(rest).arg(&daemon);
                command
            }
        };
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(again);
        command.spawn().expect("the daemon was built")
    }

    /// Asks the daemon to end (SIGTERM), and returns how it ended and how long that took.
    #[track_caller]
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        self.signal(Signal::TERM);
        let log = self.log_path();
        let child = self.daemon.as_mut().expect("the daemon was started");
        let what = format!("the daemon of {} leaves", log.display());
        let status =
            eventually(&what, STOPS_WITHIN, || child.try_wait().expect("a child can be asked"));
        self.daemon = None;
        (status, started.elapsed())
    }

    /// Kills the daemon as a power cut would (SIGKILL), its git children too.
    pub fn kill(&mut self) {
        let Some(mut child) = self.daemon.take() else { return };
        program::kill_group(Pid::from_child(&child));
        // A daemon that has ended already is what was wanted.
        child.wait().map(drop).unwrap_or_default();
    }

    /// Kills the daemon alone, as the system does when memory is short; what it started has to end by itself.
    pub fn kill_alone(&mut self) {
        let Some(mut child) = self.daemon.take() else { return };
        // A daemon that has ended already is what was wanted.
        child.kill().unwrap_or_default();
        child.wait().map(drop).unwrap_or_default();
    }

    /// Sends `signal` to the daemon.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let child = self.daemon.as_ref().expect("the daemon was started");
        rustix::process::kill_process(Pid::from_child(child), signal)
            .expect("a child may be signalled");
    }

    /// Returns the daemon's process, if this device started one.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// Runs `convosyncctl` in the project's directory.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> Run {
        self.ctl_with(arguments, b"")
    }

    /// Runs `convosyncctl` in the project's directory, feeding it `stdin`.
    #[track_caller]
    pub fn ctl_with(&self, arguments: &[&str], stdin: &[u8]) -> Run {
        program::run(
            self.home.command(program::binary("convosyncctl")).args(arguments),
            stdin,
            program::DEADLINE,
        )
    }

    /// Runs `convosyncctl … --json`, which must succeed, and returns what it printed.
    #[track_caller]
    pub fn ctl_json(&self, arguments: &[&str]) -> Value {
        self.ctl(&[arguments, &["--json"]].concat()).ok().json()
    }

    /// Makes this the first device of a vault with the current project enabled; returns the recovery phrase.
    #[track_caller]
    pub fn init(&self) -> String {
        let file = self.home.root().join("phrase.txt");
        let file_name = file.to_str().expect("the tests' paths are text");
        self.ctl(&[
            "init",
            "--yes",
            "--name",
            self.name(),
            "--kind",
            "laptop",
            "--phrase-file",
            file_name,
            "--json",
        ])
        .ok();
        String::from_utf8(files::read(&file)).expect("the phrase is words").trim().to_owned()
    }

    /// Has the daemon save nothing by itself from now on, so that it is known what a command saves, and tells.
    #[track_caller]
    pub fn hold_still(&self) {
        let never = "[save]\nidle_after = \"1h\"\n[store]\npush_at_most_every = \"0s\"\n";
        self.home.write_config_whole(never);
        self.ctl(&["config", "reload"]).ok();
    }

    /// Joins the vault of `phrase` and enables the current project.
    #[track_caller]
    pub fn join(&self, phrase: &str) {
        let join = ["join", "--recover", "-", "--name", self.name(), "--kind", "desktop", "--json"];
        self.ctl_with(&join, format!("{phrase}\n").as_bytes()).ok();
        self.ctl(&["enable", "--json"]).ok();
    }

    /// Returns the sessions of every device, as this one lists them.
    #[track_caller]
    pub fn sessions(&self) -> Vec<Value> {
        self.ctl_json(&["list", "--all"])["sessions"].as_array().cloned().unwrap_or_default()
    }

    /// Returns what `list` says of one session.
    #[track_caller]
    pub fn session(&self, id: &str) -> Option<Value> {
        self.sessions().into_iter().find(|session| session["session"] == id)
    }

    /// Waits until the remote holds every complete line of the session's files here.
    #[track_caller]
    pub fn saved_eventually(&self, id: &str, total_bytes: u64, deadline: Duration) -> Value {
        let what = format!("{total_bytes} bytes of session {id} on the remote\n{}", self.log());
        eventually(&what, deadline, || {
            self.session(id).filter(|session| {
                session["on_remote"] == true && session["total_bytes"] == total_bytes
            })
        })
    }

    /// Waits until the remote holds what lies in the session's transcript here, and so the code of that time.
    #[track_caller]
    pub fn transcript_saved_eventually(&self, id: &str, deadline: Duration) -> Value {
        let path = self.home.transcripts().join(format!("{id}.jsonl"));
        self.saved_eventually(id, saved_bytes(&path).len() as u64, deadline)
    }

    /// Begins to follow what the daemon tells.
    #[track_caller]
    pub fn watch(&self) -> Events {
        let mut command = self.home.command(program::binary("convosyncctl"));
        command.args(["--no-start", "watch", "--json"]).process_group(0);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the client was built");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let (told, events) = mpsc::channel();
        thread::spawn(move || {
            // Ends with the client, or when nobody listens any more.
            lines
                .map_while(Result::ok)
                .try_for_each(|line| told.send(serde_json::from_str(&line).unwrap_or_default()))
                .unwrap_or_default();
        });
        Events { child, events }
    }

    /// Begins a new synthetic conversation in the project; nothing is written yet.
    pub fn writer(&self, seed: u64) -> Writer {
        let conversation = Conversation::new(seed, self.home.project());
        Writer::new(&self.home.transcripts(), conversation)
    }

    /// Opens what takes the daemon's output.
    pub fn log_file(&self) -> File {
        let file = File::options().append(true).create(true).open(self.log_path());
        file.expect("the device's folder is writable")
    }

    /// Returns where the daemon's output goes.
    pub fn log_path(&self) -> PathBuf {
        self.home.root().join("daemon.log")
    }

    /// Returns the end of the daemon's output, for messages.
    pub fn log(&self) -> String {
        const SHOWN: usize = 40;
        let text = std::fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        format!(
            "--- log of {}\n{}",
            self.name(),
            lines[lines.len().saturating_sub(SHOWN)..].join("\n")
        )
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What `convosyncctl watch` prints, line by line.
#[derive(Debug)]
pub struct Events {
    child: Child,
    events: mpsc::Receiver<Value>,
}

impl Events {
    /// Waits for the next event, at most `deadline`.
    pub fn next(&self, deadline: Duration) -> Option<Value> {
        self.events.recv_timeout(deadline).ok()
    }

    /// Waits for an event of the kind `kind`, and panics at `deadline`.
    #[track_caller]
    pub fn expect(&self, kind: &str, deadline: Duration) -> Value {
        let started = Instant::now();
        loop {
            let left = deadline.saturating_sub(started.elapsed());
            let event =
                self.next(left).unwrap_or_else(|| panic!("no `{kind}` event within {deadline:?}"));
            if event["event"] == kind {
                return event;
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        program::kill_group(Pid::from_child(&self.child));
        self.child.wait().map(drop).unwrap_or_default();
    }
}
