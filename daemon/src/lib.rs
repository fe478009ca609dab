//! The ConvoSync daemon: watches transcripts, saves sessions on idle, serves the client.
//!
//! [`start`] is everything between the command line and [`run`]; [`run`] is the daemon.

pub mod args;
pub mod client;
pub mod engine;
pub mod fatal;
pub mod instance;
pub mod log;
pub mod signals;
pub mod socket;
pub mod supervisor;
pub mod watch;

use std::ffi::OsString;

use convosync_core::config::{Config, Paths};
use convosync_core::protocol::{ErrorKind, Failure, HelloReply, Nothing, PROTOCOL, Request};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::client::{Asked, Link};
use crate::fatal::Fatal;
use crate::instance::Instance;
use crate::log::Log;
use crate::signals::{Signal, Signals};
use crate::socket::Listener;
use crate::supervisor::Supervisor;

/// Requests that wait for the shell, before clients wait too.
const ASKED_WAITING_MAX: usize = 64;

/// Events that a watching client may lag behind.
const EVENTS_WAITING_MAX: usize = 256;

/// The event loop needs few threads: it waits, and work that blocks has threads of its own.
const LOOP_THREADS: usize = 2;

/// Everything the daemon is given.
#[derive(Debug)]
pub struct Parts {
    /// Where everything lies.
    pub paths: Paths,
    /// What is configured.
    pub config: Config,
    /// The log, to change its level.
    pub log: Log,
    /// What the operating system asks.
    pub signals: Signals,
    /// Who wants to know that we are ready.
    pub supervisor: Supervisor,
}

/// Reads the environment and the configuration, and runs the daemon until it is asked to leave.
///
/// # Errors
/// When the daemon cannot start at all.
pub fn start(args: &Args, env: &dyn Fn(&str) -> Option<OsString>) -> Result<(), Fatal> {
    let mut paths = Paths::from_env(env)?;
    if let Some(file) = &args.config {
        paths.config_file.clone_from(file);
    }
    let config = Config::load(&paths.config_file)?;
    let text = |name: &str| env(name).and_then(|value| value.into_string().ok());
    let timestamps = env("JOURNAL_STREAM").is_none();
    let log = log::start(config.log_level, text(log::FILTER_VARIABLE).as_deref(), timestamps)?;
    let supervisor = Supervisor::new(env("NOTIFY_SOCKET"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(LOOP_THREADS)
        .enable_all()
        .build()
        .map_err(Fatal::Runtime)?;
    runtime.block_on(async {
        let signals = Signals::listen().map_err(Fatal::Runtime)?;
        run(Parts { paths, config, log, signals, supervisor }).await
    })
}

/// Runs the daemon until a signal or a client asks it to leave.
///
/// # Errors
/// When another daemon runs, or no socket can be opened.
pub async fn run(mut parts: Parts) -> Result<(), Fatal> {
    let instance = Instance::claim(&parts.paths.state_dir)?;
    let listener = Listener::bind(&parts.paths.socket, &instance)?;
    let (asked, mut requests) = mpsc::channel(ASKED_WAITING_MAX);
    let (events, _) = broadcast::channel(EVENTS_WAITING_MAX);
    let leave = CancellationToken::new();
    let clients = tokio::spawn(socket::serve(listener, Link { asked, events }, leave.clone()));
    parts.supervisor.ready();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    loop {
        tokio::select! {
            signal = parts.signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => match Config::load(&parts.paths.config_file) {
                    Ok(config) => parts.log.set_level(config.log_level),
                    Err(error) => tracing::error!(%error, "kept the old configuration"),
                },
            },
            Some(asked) = requests.recv() => if answer(asked) { break },
        }
    }
    parts.supervisor.stopping();
    leave.cancel();
    if clients.await.is_err() {
        tracing::error!("the socket's task panicked");
    }
    drop(instance);
    Ok(())
}

/// Stands in for the shell. Returns whether the daemon has to leave.
fn answer(asked: Asked) -> bool {
    let Asked { request, reply } = asked;
    match request {
        Request::Hello(_) => reply.answer(Ok(HelloReply {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            initialised: false,
        })),
        Request::Stop(_) => {
            reply.answer(Ok(Nothing {}));
            return true;
        }
        _ => reply.finish(Err(Failure::new(ErrorKind::Failed, "not built yet"))),
    }
    false
}
