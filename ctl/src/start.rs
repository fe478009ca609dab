//! The only room of the client that starts processes: the daemon, Claude Code, service tools.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use convosync_core::config::Paths;
use convosync_core::disk::{self, DiskError};
use convosync_core::environment::Variables;

use crate::env::{DAEMON, Env};
use crate::exit::ExitCode;
use crate::files::{self, FileError};
use crate::socket::{Client, SocketError};

/// How long the daemon may take until it answers: it may have to finish reading a large store.
const START_LIMIT: Duration = Duration::from_secs(15);

/// What the daemon ends with when another one runs already: two clients may start one each.
const ANOTHER_RUNS: i32 = 75;

/// How long to look for that other one, which answers soon.
const LOST_RACE_LIMIT: Duration = Duration::from_secs(3);

/// How often a started daemon is looked for.
const POLL: Duration = Duration::from_millis(20);

/// How long a service tool may take: systemd's own limit for a stopping unit is 90 s.
const TOOL_LIMIT: Duration = Duration::from_secs(100);

/// How much of what the daemon said an error repeats, in characters.
const SAID_MAX: usize = 300;

/// The pager where none is named.
const PAGER: &str = "less";

/// What it is told unless the user says otherwise: to show colours, and to leave a short text on the screen.
const LESS: &str = "FRX";

/// What a service manager told the terminal, and nobody else: the daemon must not take it for its own.
const OTHERS_SERVICE: [&str; 6] = [
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
];

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The daemon's program is nowhere.
    #[error("`{DAEMON}` is neither beside this program nor in PATH")]
    NoDaemon,
    /// The daemon cannot be run.
    #[error("start `{}`", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    /// Another program cannot be run.
    #[error("run `{}`", program.display())]
    Run { program: PathBuf, source: io::Error },
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] FileError),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] DiskError),
    /// The daemon left at once.
    #[error("the daemon left at once ({status}){said}")]
    Left { status: String, said: String, hint: String },
    /// The daemon does not answer.
    #[error("the daemon was started but did not answer within {} s", START_LIMIT.as_secs())]
    NoAnswer,
    /// The daemon answers, but not as it should.
    #[error(transparent)]
    Socket(SocketError),
    /// A tool does not come to an end.
    #[error("`{}` did not end within {} s", program.display(), TOOL_LIMIT.as_secs())]
    ToolHangs { program: PathBuf },
}

impl StartError {
    /// Returns what the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Run { .. } | Self::ToolHangs { .. } => ExitCode::Failed,
            Self::Socket(source) => source.exit_code(),
            _ => ExitCode::NoDaemon,
        }
    }

    /// Returns what the user can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoDaemon => Some(format!("install `{DAEMON}` beside `convosyncctl`")),
            Self::Left { hint, .. } => Some(hint.clone()),
            Self::State(source) => source.hint(),
            Self::NoAnswer => Some("its log: `convosyncctl service logs`".to_owned()),
            Self::Socket(source) => source.hint(),
            _ => None,
        }
    }
}

/// Where a daemon that was started on demand writes what it says.
pub(crate) fn log_file(paths: &Paths) -> PathBuf {
    paths.state_dir.join("convosyncd.log")
}

/// Starts the daemon in the background and returns the first connection to it.
pub(crate) fn daemon(
    env: &Env,
    paths: &Paths,
    open: &dyn Fn() -> Result<Client, SocketError>,
) -> Result<Client, StartError> {
    disk::private_dir(&paths.state_dir)?;
    let log = log_file(paths);
    let (file, log_start) = files::append_log(&log)?;
    let mut child = spawn_daemon(env, file)?;
    let mut deadline = Instant::now() + START_LIMIT;
    let mut left = None;
    loop {
        match open() {
            Err(SocketError::Absent { .. }) => {}
            other => return other.map_err(StartError::Socket),
        }
        if left.is_none()
            && let Some(status) = child.try_wait().ok().flatten()
        {
            let others = status.code() == Some(ANOTHER_RUNS);
            let patience = if others { LOST_RACE_LIMIT } else { Duration::ZERO };
            deadline = deadline.min(Instant::now() + patience);
            left = Some(status);
            // It may have answered right before it left.
            continue;
        }
        if Instant::now() >= deadline {
            return Err(left.map_or(StartError::NoAnswer, |status| {
                let (said, hint) = last_words(&log, log_start);
                StartError::Left { status: status.to_string(), said, hint }
            }));
        }
        std::thread::sleep(POLL);
    }
}

/// Waits for a daemon that a service manager starts.
pub(crate) fn wait_for(
    open: &dyn Fn() -> Result<Client, SocketError>,
) -> Result<Client, StartError> {
    until(START_LIMIT, || match open() {
        Err(SocketError::Absent { .. }) => None,
        other => Some(other.map_err(StartError::Socket)),
    })
    .unwrap_or(Err(StartError::NoAnswer))
}

/// Asks `look` again and again until it finds something or `limit` has passed.
pub(crate) fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let found = look();
        if found.is_some() || started.elapsed() >= limit {
            return found;
        }
        std::thread::sleep(POLL);
    }
}

fn spawn_daemon(env: &Env, log: File) -> Result<Child, StartError> {
    let program = env.find_daemon().ok_or(StartError::NoDaemon)?;
    let errors = log.try_clone();
    let errors = errors.map_err(|source| StartError::Spawn { program: program.clone(), source })?;
    let mut command = command(&program, env);
    for name in OTHERS_SERVICE {
        command.env_remove(name);
    }
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Its own process group: Ctrl-C in this terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map_err(|source| StartError::Spawn { program, source })
}

/// Replaces this process by `program` in `directory`, with `more` variables; returns only when that fails.
pub(crate) fn replace(
    env: &Env,
    program: &Path,
    args: &[&OsStr],
    directory: &Path,
    more: &Variables,
) -> StartError {
    let source = command(program, env).args(args).envs(more).current_dir(directory).exec();
    StartError::Run { program: program.to_owned(), source }
}

/// Returns the shell command that shows a long text page by page, if there is one.
pub(crate) fn pager(env: &Env) -> Option<OsString> {
    let named = env.get("CONVOSYNC_PAGER").or_else(|| env.get("PAGER"));
    named.or_else(|| env.find_program(PAGER).map(|_| PAGER.into()))
}

/// Becomes the pager, which reads `text` from its beginning; returns only when that fails.
pub(crate) fn page(env: &Env, pager: &OsStr, text: File) -> StartError {
    let program = Path::new("sh");
    let mut command = command(program, env);
    if env.get("LESS").is_none() {
        command.env("LESS", LESS);
    }
    let source = command.arg("-c").arg(pager).stdin(text).exec();
    StartError::Run { program: program.to_owned(), source }
}

/// Returns the shell command of the user's editor, if there is one.
pub(crate) fn editor(env: &Env) -> Option<OsString> {
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| env.get(name));
    named.filter(|editor| !editor.is_empty())
}

/// Has the user edit files of `directory`, and waits until that is done. What it draws goes to standard error, for
/// standard output may be read by a shell.
pub(crate) fn edit(
    env: &Env,
    editor: &OsStr,
    directory: &Path,
    files: &[PathBuf],
) -> Result<(), StartError> {
    let program = Path::new("sh");
    let mut line = editor.to_owned();
    line.push(" \"$@\"");
    let mut command = command(program, env);
    command.arg("-c").arg(line).arg(editor).args(files).current_dir(directory);
    command.stdout(Stdio::from(std::io::stderr()));
    let failed = |source| StartError::Run { program: program.to_owned(), source };
    command.status().map(drop).map_err(failed)
}

/// Runs a service tool to its end.
pub(crate) fn tool(env: &Env, program: &Path, args: &[OsString]) -> Result<Output, StartError> {
    tool_within(env, program, args, TOOL_LIMIT)
}

/// Runs a program to its end, or kills it after `limit`.
pub(crate) fn tool_within(
    env: &Env,
    program: &Path,
    args: &[OsString],
    limit: Duration,
) -> Result<Output, StartError> {
    let child = command(program, env)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| StartError::Run { program: program.to_owned(), source })?;
    let process = rustix::process::Pid::from_child(&child);
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(child.wait_with_output()));
    match receive.recv_timeout(limit) {
        Ok(output) => {
            output.map_err(|source| StartError::Run { program: program.to_owned(), source })
        }
        Err(_) => {
            // A tool that cannot even be killed has ended by itself.
            rustix::process::kill_process(process, rustix::process::Signal::KILL).ok();
            Err(StartError::ToolHangs { program: program.to_owned() })
        }
    }
}

/// Prepares a process with exactly the given environment.
#[expect(
    clippy::disallowed_methods,
    reason = "the client's one place that starts processes; core::git is for git only"
)]
pub(crate) fn command(program: &Path, env: &Env) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(&env.variables);
    command
}

/// Returns what the daemon said last since `start` in its log, and its hint or where the log is.
fn last_words(log: &Path, start: u64) -> (String, String) {
    let text = files::read_from(log, start).ok().flatten().unwrap_or_default();
    let lines = || text.lines().rev().filter(|line| !line.trim().is_empty());
    let error = lines().find_map(|line| line.strip_prefix("convosyncd: "));
    let said = error.or_else(|| lines().next());
    let said: String = said.unwrap_or_default().chars().take(SAID_MAX).collect();
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let hint = lines().find_map(|line| line.strip_prefix("hint: "));
    let log = || format!("its log is `{}`", log.display());
    (said, hint.map_or_else(log, str::to_owned))
}
