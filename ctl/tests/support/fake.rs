//! A daemon of canned answers, and the client run against it in this process.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use convosync_core::protocol::{AnswerLine, Event, Failure, PROTOCOL, Progress};
use convosyncctl::{Env, ExitCode};
use serde_json::{Value, json};

/// Keeps other tests of this program from starting processes meanwhile: a child that is just being
/// started holds every file that is just being written, and then a script cannot be run ("text file busy").
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every clock of these tests says.
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

/// One thing the daemon says when it is asked.
#[derive(Clone)]
pub(crate) enum Say {
    /// How far it is.
    Progress(Progress),
    /// What happened.
    Event(Event),
    /// The answer.
    Result(Value),
    /// The failure.
    Failure(Failure),
    /// A line as it is.
    Raw(String),
    /// Nothing, until the test goes on.
    Wait(Arc<Barrier>),
    /// Nothing more: the connection closes.
    HangUp,
}

/// What the daemon says to a method, in order.
pub(crate) type Script = Vec<(&'static str, Vec<Say>)>;

/// The daemon, and the home it serves.
pub(crate) struct Fake {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Starts a daemon that has keys.
    pub(crate) fn start(script: Script) -> Self {
        Self::start_with(&json!({ "initialised": true }), script)
    }

    /// Starts a daemon whose `hello` says `hello` besides the usual.
    pub(crate) fn start_with(hello: &Value, mut script: Script) -> Self {
        let mut greeting = json!({
            "protocol": PROTOCOL, "version": "0.1.0", "pid": 4242, "initialised": false
        });
        let fields = greeting.as_object_mut().unwrap();
        fields.extend(hello.as_object().unwrap().clone());
        script.push(("hello", vec![Say::Result(greeting)]));
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("run")).unwrap();
        let listener = UnixListener::bind(dir.path().join("run/convosyncd.sock")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        let thread = std::thread::spawn(move || serve(&listener, &script, &heard));
        Self { dir, asked, thread: Some(thread) }
    }

    /// Returns the folder everything lies in.
    pub(crate) fn home(&self) -> &Path {
        self.dir.path()
    }

    /// Returns what was asked with `method`, oldest first.
    pub(crate) fn asked(&self, method: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(name, _)| name == method).map(|(_, params)| params.clone()).collect()
    }

    /// Returns surroundings of a client of this daemon.
    pub(crate) fn env(&self) -> Env {
        env_at(self.home())
    }

    /// Runs a command line.
    pub(crate) fn run(&self, line: &str) -> Ran {
        run_in(&self.env(), line)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // One more connection, closed at once, has the thread look for its socket and leave.
        std::fs::remove_file(self.dir.path().join("run/convosyncd.leave")).ok();
        std::fs::create_dir(self.dir.path().join("leave")).ok();
        let socket = self.dir.path().join("run/convosyncd.sock");
        if UnixStream::connect(socket).is_ok()
            && let Some(thread) = self.thread.take()
        {
            thread.join().ok();
        }
    }
}

fn serve(listener: &UnixListener, script: &Script, heard: &Mutex<Vec<(String, Value)>>) {
    let socket = listener.local_addr().unwrap().as_pathname().unwrap().to_owned();
    let leave = socket.parent().unwrap().parent().unwrap().join("leave");
    for stream in listener.incoming() {
        if leave.exists() {
            return;
        }
        // A client that hangs up early is part of what is tested.
        if answer(stream.unwrap(), script, heard).is_none() {
            // After `stop` nobody listens any more.
            std::fs::remove_file(socket).ok();
            return;
        }
    }
}

/// Serves one connection; `None` when it was the last one.
fn answer(
    mut stream: UnixStream,
    script: &Script,
    heard: &Mutex<Vec<(String, Value)>>,
) -> Option<()> {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        let request: Value = serde_json::from_str(&line).unwrap();
        let method = request["method"].as_str().unwrap().to_owned();
        heard.lock().unwrap().push((method.clone(), request["params"].clone()));
        let id = request["id"].as_u64().unwrap();
        let found = script.iter().find(|(name, _)| *name == method);
        let says = found.map_or_else(|| panic!("no answer for {method}"), |(_, says)| says);
        for say in says {
            let text = match say.clone() {
                Say::Progress(progress) => to_line(&AnswerLine::progress(&progress)),
                Say::Event(event) => to_line(&AnswerLine::event(&event)),
                Say::Result(result) => to_line(&AnswerLine::result(id, result)),
                Say::Failure(failure) => to_line(&AnswerLine::failure(Some(id), failure)),
                Say::Raw(text) => text,
                Say::Wait(barrier) => {
                    barrier.wait();
                    continue;
                }
                Say::HangUp => return Some(()),
            };
            if stream.write_all(text.as_bytes()).is_err() {
                return Some(());
            }
        }
        if method == "stop" {
            return None;
        }
    }
    Some(())
}

fn to_line(answer: &AnswerLine) -> String {
    format!("{}\n", serde_json::to_string(answer).unwrap())
}

/// Returns surroundings whose home and ConvoSync folder are `home`.
pub(crate) fn env_at(home: &Path) -> Env {
    let variables = [
        ("HOME", home.as_os_str()),
        ("CONVOSYNC_HOME", home.as_os_str()),
        ("LANG", "C.UTF-8".as_ref()),
        ("TZ", "UTC".as_ref()),
    ];
    let variables: BTreeMap<_, _> =
        variables.map(|(name, value)| (name.into(), value.to_owned())).into();
    let mut env = Env::new(variables, PathBuf::from("/work-tree"));
    env.now_ms = || NOW_MS;
    env
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) code: ExitCode,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// Runs a command line whose words are separated by blanks.
pub(crate) fn run_in(env: &Env, line: &str) -> Ran {
    let words = std::iter::once("convosyncctl").chain(line.split_whitespace());
    run_words(env, words)
}

/// Runs a command line given as words.
pub(crate) fn run_words<'a>(env: &Env, words: impl Iterator<Item = &'a str>) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = convosyncctl::run(words.map(Into::into), env, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code, out: text(out), err: text(err) }
}
