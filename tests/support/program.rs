//! Starts programs: with a clean environment, a deadline, and the whole group killed when it passes.
//!
//! This is the only place of the tests that makes a `Command`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::eventually;

/// How long a command of a test may take when the test names no other time.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A server takes connections within this time of its start.
const SERVES_WITHIN: Duration = Duration::from_secs(20);

/// How long output may stay open after its program has ended: longer, and a child has kept it.
const OUTPUT_CLOSES_WITHIN: Duration = Duration::from_secs(10);

/// Begins a command with the caller's whole environment: for building, never for what is tested.
#[expect(
    clippy::disallowed_methods,
    reason = "tests and automation start real programs, and only here"
)]
pub fn inheriting(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// Begins a command that sees nothing of the caller's environment but `PATH`.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = inheriting(program);
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// What a program left behind.
#[derive(Debug)]
pub struct Run {
    /// The command line, for messages.
    pub what: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub took: Duration,
}

impl Run {
    /// Returns itself when the program succeeded, and panics with all it said otherwise.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Returns itself when the program failed, and panics otherwise.
    #[track_caller]
    pub fn fails(self) -> Self {
        assert!(!self.status.success(), "expected a failure\n{self}");
        self
    }

    /// Returns what it printed, as text without the final newline.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Returns what it complained about, as text.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Reads what it printed as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{self}"))
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (stdout, stderr) =
            (String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        write!(f, "{}\n{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.what, self.status)
    }
}

/// Runs `command` to its end, feeding it `stdin`; kills its process group at `deadline` and panics.
#[track_caller]
pub fn run(command: &mut Command, stdin: &[u8], deadline: Duration) -> Run {
    let what = format!("{command:?}");
    let started = Instant::now();
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
    let group = Pid::from_child(&child);
    feed(child.stdin.take().expect("stdin is piped"), stdin.to_vec());
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));

    let (ended, end) = mpsc::channel();
    // The receiver is gone only when the deadline has passed and the test has failed already.
    thread::spawn(move || drop(ended.send(child.wait())));
    let Ok(status) = end.recv_timeout(deadline) else {
        kill_group(group);
        panic!("{what} did not end within {deadline:?}\n{}", said(&stdout, &stderr));
    };
    let status = status.unwrap_or_else(|error| panic!("cannot wait for {what}: {error}"));
    let output = |from: &mpsc::Receiver<Vec<u8>>| {
        from.recv_timeout(OUTPUT_CLOSES_WITHIN)
            .unwrap_or_else(|_| panic!("{what} ended, but a child of it keeps its output open"))
    };
    Run {
        what: what.clone(),
        status,
        stdout: output(&stdout),
        stderr: output(&stderr),
        took: started.elapsed(),
    }
}

/// Kills every process of the group that `leader` leads.
pub fn kill_group(leader: Pid) {
    // A group that is gone already is what was wanted.
    rustix::process::kill_process_group(leader, Signal::KILL).unwrap_or_default();
}

/// Returns where the program `name` of this workspace was built.
///
/// Looks into `CONVOSYNC_BIN_DIR`, then beside the running program, as Cargo lays them out.
///
/// # Panics
/// When it is not there: `cargo build --workspace --bins` makes it.
pub fn binary(name: &str) -> PathBuf {
    let path = binary_dir().join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace --bins` first",
        path.display()
    );
    path
}

fn binary_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("CONVOSYNC_BIN_DIR") {
        return dir.into();
    }
    let me = std::env::current_exe().expect("a running program knows where it lies");
    let dir = me.parent().expect("a program lies in a directory");
    if dir.ends_with("deps") {
        dir.parent().map_or_else(|| dir.to_owned(), Path::to_owned)
    } else {
        dir.to_owned()
    }
}

/// Where servers lie, which `PATH` names for administrators only.
const SERVERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Returns where the server `name` is installed.
pub fn server(name: &str) -> Option<PathBuf> {
    let places = SERVERS.iter().map(|dir| Path::new(dir).join(name));
    on_path(name).or_else(|| places.into_iter().find(|candidate| candidate.is_file()))
}

/// Becomes the command in the arguments. A second process waits for the end of standard input, which is
/// when whoever started this is gone, and then ends the whole group.
const GUARD: &str = r#"exec 3<&0; (read -r _ <&3; kill -KILL 0) & exec "$@" </dev/null 3<&-"#;

/// A program that serves in the background. It ends with this value, or with the process that holds it,
/// however that ends.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `program`; what it says goes to `log`.
    #[track_caller]
    pub fn start(program: &Path, arguments: &[&OsStr], log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log);
        let output =
            output.unwrap_or_else(|error| panic!("cannot open {}: {error}", log.display()));
        let again = output.try_clone().expect("a file can be opened twice");
        let mut guard = command("sh");
        guard.args(["-c", GUARD, "sh"]).arg(program).args(arguments).process_group(0);
        guard.stdin(Stdio::piped()).stdout(output).stderr(again);
        let child = guard
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        Self { child, log: log.to_owned() }
    }

    /// Waits until `is_ready`, and panics when the program ends instead.
    #[track_caller]
    pub fn wait_until(&mut self, is_ready: impl Fn() -> bool) {
        let what = format!("the server is ready; its log is {}", self.log.display());
        eventually(&what, SERVES_WITHIN, || {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                let said = std::fs::read_to_string(&self.log).unwrap_or_default();
                panic!("the server ended at once: {status}\n{said}");
            }
            is_ready().then_some(())
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill_group(Pid::from_child(&self.child));
        // A server that has ended already is what was wanted.
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Returns where `name` lies on `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}

fn feed(mut pipe: impl Write + Send + 'static, bytes: Vec<u8>) {
    // A program may end without reading its input; that is its affair.
    thread::spawn(move || pipe.write_all(&bytes).unwrap_or_default());
}

fn collect(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (done, output) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        pipe.read_to_end(&mut bytes).unwrap_or_default();
        // The receiver is gone only when the test has failed already.
        drop(done.send(bytes));
    });
    output
}

fn said(stdout: &mpsc::Receiver<Vec<u8>>, stderr: &mpsc::Receiver<Vec<u8>>) -> String {
    let text = |from: &mpsc::Receiver<Vec<u8>>| {
        let bytes = from.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    format!("--- stdout\n{}\n--- stderr\n{}", text(stdout), text(stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts what [`Server::start`] starts, around a program that would never end.
    fn guarded() -> Child {
        let mut guard = command("sh");
        guard.args(["-c", GUARD, "sh", "sleep", "600"]).process_group(0).stdin(Stdio::piped());
        guard.spawn().unwrap()
    }

    #[test]
    fn a_server_ends_when_whoever_started_it_is_gone() {
        let mut child = guarded();
        assert!(child.try_wait().unwrap().is_none());
        drop(child.stdin.take());
        let ended = || child.try_wait().unwrap();
        assert!(!eventually("the server ends", DEADLINE, ended).success());
    }
}
