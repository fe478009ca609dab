//! Sets up the log: lines on standard error, which systemd, launchd and svlogd collect.
//!
//! Rules for who writes to it: never text of a conversation, paths only at `debug`.

use std::io::IsTerminal as _;

use convosync_core::config::LogLevel;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// A filter from this variable is used instead of the configured level.
pub const FILTER_VARIABLE: &str = "CONVOSYNC_LOG";

/// Changes the level of a running log.
#[derive(Debug, Clone)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    fixed: bool,
}

/// Starts the log. `filter` is what [`FILTER_VARIABLE`] says, `timestamps` whether nobody downstream
/// adds the time.
///
/// # Errors
/// Says which part of `filter` cannot be understood.
pub fn start(level: LogLevel, filter: Option<&str>, timestamps: bool) -> Result<Log, LogError> {
    let chosen = match filter {
        Some(text) => EnvFilter::try_new(text)
            .map_err(|source| LogError::Filter { text: text.to_owned(), source })?,
        None => default_filter(level),
    };
    let (chosen, handle) = reload::Layer::new(chosen);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .log_internal_errors(false);
    let lines = if timestamps { lines.boxed() } else { lines.without_time().boxed() };
    // A second start in one process (tests) keeps the first log.
    if tracing_subscriber::registry().with(lines.with_filter(chosen)).try_init().is_err() {
        tracing::debug!("the log was started already");
    }
    Ok(Log { filter: handle, fixed: filter.is_some() })
}

/// Ours at `level`; what others write only when it is a warning.
fn default_filter(level: LogLevel) -> EnvFilter {
    let level = level.as_str();
    EnvFilter::new(format!("warn,notify=off,convosyncd={level},convosync_core={level}"))
}

impl Log {
    /// Changes the level, unless the environment has fixed it.
    pub fn set_level(&self, level: LogLevel) {
        if !self.fixed && self.filter.reload(default_filter(level)).is_err() {
            tracing::warn!("the log's level cannot be changed");
        }
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The environment's filter cannot be understood.
    #[error("{FILTER_VARIABLE}=`{text}` is not a filter")]
    Filter {
        /// What it says.
        text: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
}
