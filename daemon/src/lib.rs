//! The ConvoSync daemon: watches transcripts, saves sessions on idle, serves the client.
//!
//! [`start`] is everything between the command line and [`run`]; [`run`] is the daemon. As in core, a room
//! uses only rooms above it in the list below.

pub mod heap;
pub mod args;
pub mod log;
pub mod signals;
pub mod sleep;
pub mod network;
pub mod supervisor;
pub mod instance;
pub mod clock;
pub mod watch;
pub mod lists;
pub mod enabled;
pub mod remotes;
pub mod engine;
pub mod pulse;
pub mod notification;
pub mod fail;
pub mod desk;
pub mod touched;
pub mod captures;
pub mod bases;
pub mod house;
pub mod course;
pub mod autosave;
pub mod surroundings;
pub mod scan;
pub mod code;
pub mod work;
pub mod answer;
pub mod client;
pub mod socket;
pub mod shell;
pub mod fatal;

use std::ffi::OsString;

use std::sync::Arc;

use convosync_core::config::{Config, Paths};
use convosync_core::git::Git;
use convosync_core::id::{SystemRandom, draw};
use convosync_core::vault::Vault;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::client::Link;
use crate::fatal::Fatal;
use crate::house::House;
use crate::instance::Instance;
use crate::log::Log;
use crate::network::Network;
use crate::shell::{Inlets, Shell};
use crate::signals::Signals;
use crate::sleep::Sleep;
use crate::socket::Listener;
use crate::supervisor::Supervisor;
use crate::watch::Watch;

/// Requests that wait for the shell, before clients wait too.
const ASKED_WAITING_MAX: usize = 64;

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
        paths.config_file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
    }
    // Nothing may depend on where a client happened to start us: that folder can be removed, and a git
    // child would tell its name to the shells that it starts.
    std::env::set_current_dir("/").map_err(Fatal::Runtime)?;
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
    let result = runtime.block_on(async {
        let signals = Signals::listen().map_err(Fatal::Runtime)?;
        run(Parts { paths, config, log, signals, supervisor }).await
    });
    // Work that still waits for a remote is given up: its git children die with us.
    runtime.shutdown_background();
    result
}

/// Runs the daemon until a signal or a client asks it to leave.
///
/// # Errors
/// When another daemon runs, no socket can be opened, git is missing, or the keys are unreadable.
pub async fn run(parts: Parts) -> Result<(), Fatal> {
    let Parts { paths, config, log, signals, supervisor } = parts;
    let instance = Instance::claim(&paths.state_dir)?;
    let git = Git::find(config.git_program.as_deref(), &|name| std::env::var_os(name))?;
    let vault = Vault::load(&paths.data_dir)?;
    let listener = Listener::bind(&paths.socket, &instance)?;
    let (asked, requests) = mpsc::channel(ASKED_WAITING_MAX);
    let (reports_in, reports) = mpsc::unbounded_channel();
    let house = Arc::new(House::new(paths, git, config, vault, reports_in));
    code::sweep(&house, clock::now_ms());
    let leave = CancellationToken::new();
    let link = Link { asked, events: house.news.clone() };
    let clients = tokio::spawn(socket::serve(listener, link, leave.clone()));
    let (watch, hints) = Watch::start(house.claude_roots(), house.config().events);
    let (sleep, let_go) = Sleep::listen();
    let seed = u64::from_le_bytes(draw(&mut SystemRandom));
    let shell = Shell::new(house, watch, log, let_go, seed);
    supervisor.ready();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    let network = Network::listen();
    shell.run(Inlets { reports, requests, hints, signals, sleep, network }).await;
    supervisor.stopping();
    tracing::info!("leaving");
    leave.cancel();
    if clients.await.is_err() {
        tracing::error!("the socket's task panicked");
    }
    drop(instance);
    tracing::info!("left");
    Ok(())
}
