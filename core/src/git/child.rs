//! One running child: reads it, waits for it, ends it with all it started.

use std::io::{Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, Command};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::{GitError, Output};

/// How much of standard error is kept: its end, where the reason stands.
const STDERR_KEPT: usize = 64 << 10;
/// How long pipes are still read after the child itself has ended: what it wrote lies ready, and a
/// program it left behind (ssh keeping its connection) may hold them open for ever.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long a child that is ended gently has to clean up behind itself.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked at in the meantime.
const GRACE_STEP: Duration = Duration::from_millis(10);
/// How much is read at once.
const PIECE: usize = 32 << 10;
/// How many pieces may wait, so that memory stays bounded.
const QUEUE: usize = 8;

/// Hears what a child says while it says it, on standard error, and notes something of it.
pub(super) type Listener = (fn(&str, &AtomicU64), Arc<AtomicU64>);

/// What a child may use.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) deadline: Duration,
    /// How long it may say nothing.
    pub(super) silence: Duration,
    pub(super) stdout_max: usize,
    pub(super) listener: Option<Listener>,
    /// Whether it is asked to end before it is killed: it may have locks of the user's to take away.
    pub(super) is_gentle: bool,
}

impl Limits {
    /// Those of a child that may be silent for as long as it may run.
    pub(super) fn within(deadline: Duration, stdout_max: usize) -> Self {
        Self { deadline, silence: deadline, stdout_max, listener: None, is_gentle: false }
    }
}

enum Event {
    Out(Vec<u8>),
    Err(Vec<u8>),
    End,
    Exited,
}

/// Runs `command` in a process group of its own until it ends or a limit is reached. `watcher` leads the
/// group and holds the other end of a pipe of ours; it is there first, so that no child is ever without it.
pub(super) fn run(
    mut command: Command,
    stdin: Option<Vec<u8>>,
    watcher: Option<Command>,
    what: &str,
    limits: &Limits,
) -> Result<Output, GitError> {
    let failed = |source| GitError::Start { what: what.to_owned(), source };
    let started = Instant::now();
    let mut group = Group::start(&mut command, watcher).map_err(failed)?;
    group.is_gentle = limits.is_gentle;
    feed(group.child.stdin.take(), stdin).map_err(failed)?;
    let events = listen(&mut group).map_err(failed)?;
    let mut heard = Heard::default();
    heard.until_end(&events, started, what, limits)?;
    let status = group.end().map_err(failed)?;
    let stderr = String::from_utf8_lossy(tail(&heard.stderr)).into_owned();
    Ok(Output { code: status.code(), signal: status.signal(), stdout: heard.stdout, stderr })
}

/// Writes `bytes` from a thread of its own: the child may answer before it has read all.
fn feed(pipe: Option<ChildStdin>, bytes: Option<Vec<u8>>) -> std::io::Result<()> {
    let (Some(mut pipe), Some(bytes)) = (pipe, bytes) else { return Ok(()) };
    let write = move || {
        // A child that reads no further has its reasons; its exit code tells them.
        pipe.write_all(&bytes).ok();
    };
    thread::Builder::new().name("git-stdin".to_owned()).spawn(write).map(drop)
}

/// Starts the three threads that turn pipes and the child's end into one stream of events.
fn listen(group: &mut Group) -> std::io::Result<Receiver<Event>> {
    let (sender, events) = mpsc::sync_channel(QUEUE);
    let stdout = group.child.stdout.take();
    let stderr = group.child.stderr.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
    let pid = group.pid();
    let (out, err, exit) = (sender.clone(), sender.clone(), sender);
    // Without a pipe the child prints into a file: there is nothing to hear.
    match stdout {
        Some(stdout) => drop(
            thread::Builder::new()
                .name("git-stdout".to_owned())
                .spawn(move || pass_on(stdout, &out, Event::Out))?,
        ),
        None => drop(out.send(Event::End)),
    }
    thread::Builder::new()
        .name("git-stderr".to_owned())
        .spawn(move || pass_on(stderr, &err, Event::Err))?;
    thread::Builder::new().name("git-exit".to_owned()).spawn(move || {
        // The child is not reaped here: its id must stay taken until its group has been killed.
        while let Err(rustix::io::Errno::INTR) =
            rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {
        }
        drop(exit.send(Event::Exited));
    })?;
    Ok(events)
}

fn pass_on(mut pipe: impl Read, events: &SyncSender<Event>, event: impl Fn(Vec<u8>) -> Event) {
    let mut piece = vec![0; PIECE];
    loop {
        match pipe.read(&mut piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
            Ok(length) => {
                if events.send(event(piece[..length].to_vec())).is_err() {
                    return;
                }
            }
        }
    }
    drop(events.send(Event::End));
}

#[derive(Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    open_pipes_closed: u8,
    exited_at: Option<Instant>,
}

impl Heard {
    fn until_end(
        &mut self,
        events: &Receiver<Event>,
        started: Instant,
        what: &str,
        limits: &Limits,
    ) -> Result<(), GitError> {
        let mut heard_at = started;
        loop {
            let must_end = started + limits.deadline;
            let until = match self.exited_at {
                Some(at) => at + LAST_WORDS,
                None => must_end.min(heard_at + limits.silence),
            };
            match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    if let (Event::Err(said), Some((note, at))) = (&event, &limits.listener) {
                        note(&String::from_utf8_lossy(said), at);
                    }
                    self.take(event);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if self.exited_at.is_some() => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    let after = if until == must_end { limits.deadline } else { limits.silence };
                    return Err(GitError::Deadline { what: what.to_owned(), after });
                }
            }
            heard_at = Instant::now();
            if self.stdout.len() > limits.stdout_max {
                return Err(GitError::TooMuchOutput {
                    what: what.to_owned(),
                    limit: limits.stdout_max,
                });
            }
            if self.open_pipes_closed == 2 && self.exited_at.is_some() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Out(bytes) => self.stdout.extend(bytes),
            Event::Err(bytes) => {
                self.stderr.extend(bytes);
                if self.stderr.len() > 2 * STDERR_KEPT {
                    self.stderr.drain(..self.stderr.len() - STDERR_KEPT);
                }
            }
            Event::End => self.open_pipes_closed += 1,
            Event::Exited => self.exited_at = Some(Instant::now()),
        }
    }
}

fn tail(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(STDERR_KEPT)..]
}

/// A child that never outlives this value, nor does its process group. The watcher's standard input stays
/// open as long as this value lives.
struct Group {
    leader: Pid,
    child: Child,
    watcher: Option<Child>,
    ended: bool,
    is_gentle: bool,
}

impl Group {
    fn start(command: &mut Command, watcher: Option<Command>) -> std::io::Result<Self> {
        // Without it the child is as good as ever, as long as we live.
        let watcher = watcher.and_then(|mut watcher| watcher.process_group(0).spawn().ok());
        let Some(mut watcher) = watcher else {
            let child = command.process_group(0).spawn()?;
            return Ok(Self {
                leader: Pid::from_child(&child),
                child,
                watcher: None,
                ended: false,
                is_gentle: false,
            });
        };
        let leader = Pid::from_child(&watcher);
        match command.process_group(leader.as_raw_nonzero().get()).spawn() {
            Ok(child) => {
                let watcher = Some(watcher);
                Ok(Self { leader, child, watcher, ended: false, is_gentle: false })
            }
            Err(error) => {
                // It may have gone by itself.
                watcher.kill().ok();
                watcher.wait().ok();
                Err(error)
            }
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks all of the group to end, and gives the child itself the time for it.
    fn ask_to_end(&self) {
        // Fails only when the whole group is gone already.
        rustix::process::kill_process_group(self.leader, Signal::TERM).ok();
        let until = Instant::now() + GRACE;
        // Not reaped: its id must stay taken until its group has been killed.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let runs = || matches!(rustix::process::waitid(WaitId::Pid(self.pid()), options), Ok(None));
        while runs() && Instant::now() < until {
            thread::sleep(GRACE_STEP);
        }
    }

    /// Kills what is left of the group, then takes the child's status.
    fn end(&mut self) -> std::io::Result<std::process::ExitStatus> {
        self.ended = true;
        if self.is_gentle {
            self.ask_to_end();
        }
        // Fails only when the whole group is gone already.
        rustix::process::kill_process_group(self.leader, Signal::KILL).ok();
        if let Some(mut watcher) = self.watcher.take() {
            // `wait` lets go of the pipe first, should the kill have missed it.
            watcher.wait()?;
        }
        self.child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            drop(self.end());
        }
    }
}
