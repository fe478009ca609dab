//! The real program: what it prints, what it ends with, how it comes and goes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything here may take before the test fails: far more than it needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A home of its own for one daemon.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("cs").tempdir().unwrap() }
    }

    fn base(&self) -> PathBuf {
        self.dir.path().join("c")
    }

    fn configure(&self, text: &str) {
        std::fs::create_dir_all(self.base()).unwrap();
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(self.base().join("config.toml"))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "this test is about the process itself")]
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convosyncd"));
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("CONVOSYNC_HOME", self.base())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    fn daemon(&self) -> Daemon {
        Daemon::start(self.command(), self.base().join("run/convosyncd.sock"))
    }
}

/// A running daemon, which is killed at the end if it is still there.
struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(mut command: Command, socket: PathBuf) -> Self {
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut daemon = Self { child, socket };
        daemon.wait_until("it answers", |daemon| {
            assert!(daemon.child.try_wait().unwrap().is_none(), "the daemon ended at once");
            daemon.hello().is_some()
        });
        daemon
    }

    fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Returns the pid that the daemon behind the socket names, if there is one.
    fn hello(&self) -> Option<u64> {
        let stream = UnixStream::connect(&self.socket).ok()?;
        let hello = r#"{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1,"client":"test","version":"0"}}"#;
        writeln!(&stream, "{hello}").ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        let answer: serde_json::Value = serde_json::from_str(&line).ok()?;
        answer["result"]["pid"].as_u64()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end and returns the exit code, if it was not a signal.
    fn end(&mut self) -> Option<i32> {
        self.wait_until("the daemon ends", |daemon| daemon.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn check_refused(output: &Output, code: i32, parts: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn the_version_names_program_and_protocol() {
    let output = Home::new().run(&["--version"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("convosyncd {} (protocol 1)\n", env!("CARGO_PKG_VERSION")));
    assert!(output.status.success());
}

#[test]
fn help_tells_arguments_signals_and_exit_codes() {
    let output = Home::new().run(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["--config <FILE>", "SIGHUP", "75 already running"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_unknown_flag_is_refused() {
    check_refused(&Home::new().run(&["--conifg", "x"]), 2, &["--conifg", "--config"]);
}

#[test]
fn a_second_daemon_is_refused_and_the_first_stays() {
    let home = Home::new();
    let first = home.daemon();
    check_refused(&home.run(&[]), 75, &["another convosyncd is running", "daemon.lock", "hint: "]);
    assert_eq!(first.hello(), Some(u64::from(first.child.id())));
}

#[test]
fn of_many_started_at_once_one_remains() {
    let home = Home::new();
    let mut started: Vec<Child> =
        (0..10).map(|_| home.command().stderr(Stdio::null()).spawn().unwrap()).collect();
    let begun = Instant::now();
    loop {
        started.retain_mut(|child| child.try_wait().unwrap().is_none());
        if started.len() == 1 {
            break;
        }
        assert!(!started.is_empty(), "all of them left");
        assert!(begun.elapsed() < PATIENCE, "{} remained", started.len());
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let child = started.remove(0);
    let mut last = Daemon { socket: home.base().join("run/convosyncd.sock"), child };
    last.wait_until("it answers", |last| last.hello() == Some(u64::from(last.child.id())));
}

#[test]
fn a_signal_to_leave_is_obeyed_within_five_seconds_and_nothing_is_left_behind() {
    let home = Home::new();
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = home.daemon();
        let asked = Instant::now();
        daemon.signal(signal);
        assert_eq!(daemon.end(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(5));
        assert!(!daemon.socket.exists());
    }
}

#[test]
fn a_client_can_ask_it_to_leave() {
    let home = Home::new();
    let mut daemon = home.daemon();
    let stream = UnixStream::connect(&daemon.socket).unwrap();
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1,"client":"test","version":"0"}}"#;
    let stop = r#"{"jsonrpc":"2.0","id":2,"method":"stop"}"#;
    writeln!(&stream, "{hello}\n{stop}").unwrap();
    let answers: Vec<String> = BufReader::new(stream).lines().map(Result::unwrap).collect();
    assert_eq!(answers[1], r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
    assert_eq!(daemon.end(), Some(0));
}

#[test]
fn a_killed_daemon_leaves_nothing_that_stops_the_next() {
    let home = Home::new();
    let mut daemon = home.daemon();
    daemon.signal(Signal::KILL);
    assert_eq!(daemon.end(), None);
    assert!(daemon.socket.exists());
    let next = home.daemon();
    assert_eq!(next.hello(), Some(u64::from(next.child.id())));
}

#[test]
fn a_broken_configuration_is_refused_with_line_and_suggestion() {
    let home = Home::new();
    home.configure("[save]\nidle_aftr = \"30s\"\n");
    let parts = ["config.toml:2:1: unknown key `idle_aftr`", "hint: did you mean `idle_after`?"];
    check_refused(&home.run(&[]), 78, &parts);
    home.configure("");
    let elsewhere = home.dir.path().join("other.toml");
    std::fs::rename(home.base().join("config.toml"), &elsewhere).unwrap();
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).unwrap();
    let other = elsewhere.to_str().unwrap();
    let mut command = home.command();
    command.args(["--config", other]);
    let daemon = Daemon::start(command, home.base().join("run/convosyncd.sock"));
    drop(daemon);
    check_refused(&home.run(&["--config", home.dir.path().to_str().unwrap()]), 78, &["read `"]);
}

#[test]
fn a_hangup_reads_the_configuration_again_and_a_broken_one_changes_nothing() {
    let home = Home::new();
    let daemon = home.daemon();
    for text in ["[log]\nlevel = \"debug\"\n", "[log]\nlevel = 3\n"] {
        home.configure(text);
        daemon.signal(Signal::HUP);
        assert_eq!(daemon.hello(), Some(u64::from(daemon.child.id())));
    }
}

#[test]
fn a_socket_path_that_is_too_long_is_refused_with_the_way_out() {
    let home = Home::new();
    let mut command = home.command();
    command.env("CONVOSYNC_HOME", home.dir.path().join("a".repeat(100)));
    check_refused(&command.output().unwrap(), 78, &["at most 103", "hint: set CONVOSYNC_HOME"]);
}

#[test]
fn without_a_runtime_directory_the_socket_lies_in_the_state_directory() {
    let home = Home::new();
    let state = home.dir.path().join(".local/state/convosync");
    let mut command = home.command();
    command.env_remove("CONVOSYNC_HOME").env_remove("XDG_RUNTIME_DIR");
    let uid = rustix::process::geteuid().as_raw();
    if PathBuf::from(format!("/run/user/{uid}")).exists() {
        // Elsewhere the standard place is found without the variable; a given one comes first.
        command.env("XDG_RUNTIME_DIR", home.dir.path());
        drop(Daemon::start(command, home.dir.path().join("convosync/convosyncd.sock")));
    } else {
        drop(Daemon::start(command, state.join("run/convosyncd.sock")));
    }
}

#[test]
fn a_filter_that_makes_no_sense_is_refused() {
    let home = Home::new();
    let output = home.command().env("CONVOSYNC_LOG", "convosyncd=loud").output().unwrap();
    check_refused(&output, 78, &["CONVOSYNC_LOG=`convosyncd=loud` is not a filter", "hint: "]);
}

#[test]
fn the_log_has_no_colours_and_no_paths_unless_asked() {
    let home = Home::new();
    let mut child = home.command().spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = lines.next().unwrap().unwrap();
    assert!(ready.contains("ready") && !ready.contains('\x1b'), "{ready:?}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let base = home.dir.path().to_str().unwrap().to_owned();
    assert!(!rest.iter().chain([&ready]).any(|line| line.contains(&base)), "{rest:?}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_service_manager_hears_when_it_is_ready() {
    let home = Home::new();
    let path = home.dir.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = home.command();
    command.env("NOTIFY_SOCKET", &path);
    let daemon = Daemon::start(command, home.base().join("run/convosyncd.sock"));
    let mut bytes = [0; 64];
    let length = manager.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"READY=1");
    daemon.signal(Signal::TERM);
    let length = manager.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"STOPPING=1");
}
