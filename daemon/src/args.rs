//! What was typed after `convosyncd`.

use std::path::PathBuf;

use clap::Parser;
use convosync_core::protocol::PROTOCOL;

/// What the process ends with, so that a service manager knows whether to start it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// It was asked to leave, and everything is saved.
    Left = 0,
    /// Something failed; another try may go better.
    Failed = 1,
    /// Another daemon of this user runs (EX_TEMPFAIL of sysexits.h).
    AlreadyRunning = 75,
    /// The configuration or the environment is wrong (EX_CONFIG): another try goes no better.
    BadConfig = 78,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// Saves Claude Code's sessions, sealed, to your git remote, and brings other devices' sessions here.
///
/// Runs in the foreground until SIGTERM or SIGINT; SIGHUP reads the configuration again. Usually
/// started by `convosyncctl`, or by the service that `convosyncctl service install` sets up.
#[derive(Debug, Parser)]
#[command(name = "convosyncd", version = version(), after_help = AFTER_HELP)]
pub struct Args {
    /// Configuration file, instead of the usual one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

const AFTER_HELP: &str = "Exit codes: 0 left as asked, 1 failed, 2 wrong argument, 75 already running, \
                          78 wrong configuration or environment, 130 ended by a second signal.";

fn version() -> String {
    format!("{} (protocol {PROTOCOL})", env!("CARGO_PKG_VERSION"))
}
