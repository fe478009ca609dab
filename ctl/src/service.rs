//! The daemon as a service of this system: which kind there is, what installing it takes.
//!
//! What has to be done is a list of [`Step`]s, decided from [`Facts`] alone; [`Step::perform`] does it.

mod fill;
mod launchd;
mod steps;
mod systemd;
mod termux;

use std::path::{Path, PathBuf};

use convosync_core::config::Paths;

use crate::args::ServiceKind;
use crate::env::{DAEMON, Env};
use crate::files::{self, FileError};
use crate::start::{self, StartError};

pub(crate) use fill::FillError;
pub(crate) use steps::{Need, Step};

/// Variables that say where things are; a service needs them as the terminal has them.
const CARRIED: [&str; 6] = [
    "CLAUDE_CONFIG_DIR",
    "CONVOSYNC_HOME",
    "PATH",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
];

/// Stands in every file we write, so that no other is overwritten or removed.
const MARK: &str = "Written by `convosyncctl service install`";

/// Why a service cannot be installed or run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// The daemon's program is nowhere.
    #[error("`{DAEMON}` is neither beside this program nor in PATH")]
    NoDaemon,
    /// Nothing says where the user's files are.
    #[error("no home directory: HOME is not set")]
    NoHome,
    /// This kind of service needs something that is not here.
    #[error("`{program}` is not in PATH")]
    NoTool { program: &'static str, hint: &'static str },
    /// A service file of somebody else is in the way.
    #[error("`{}` was not written by this program", path.display())]
    Foreign { path: PathBuf },
    /// A path cannot stand in a service file.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// A file cannot be written or removed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A tool cannot be run.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A tool refused.
    #[error("`{command}` failed ({status}): {said}")]
    Tool { command: String, status: String, said: String },
    /// Nothing looks after the service folder.
    #[error("`{}` did not appear", path.display())]
    Absent { path: PathBuf, hint: &'static str },
    /// Another daemon answers than the service's.
    #[error("process {answers} answers on the socket, but the service runs as {service}")]
    OtherDaemon { answers: u32, service: u32 },
    /// The old daemon does not leave.
    #[error("the daemon still runs, {} s after it was told to stop", STOP_LIMIT_S)]
    StillRuns,
}

/// How long a daemon may take to leave: it saves within 5 s, and waits for git a little longer.
pub(crate) const STOP_LIMIT_S: u64 = 20;

impl ServiceError {
    /// Returns what the user can do.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoDaemon => "install `convosyncd` beside `convosyncctl`",
            Self::NoHome => "set HOME to your home folder",
            Self::NoTool { hint, .. } | Self::Absent { hint, .. } => hint,
            Self::Foreign { .. } => "move that file away, then try again",
            Self::Fill(_) => "install both programs in a folder with a plain name",
            Self::Tool { .. } => "without a service: `convosyncctl service start --kind plain`",
            Self::OtherDaemon { .. } | Self::StillRuns => "end that process, then try again",
            Self::File(_) => return None,
            Self::Start(source) => return source.hint(),
        };
        Some(hint.to_owned())
    }
}

/// What the service files are made from.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The kind of service.
    pub(crate) kind: ServiceKind,
    /// The daemon.
    pub(crate) program: PathBuf,
    /// The user's home folder.
    pub(crate) home: PathBuf,
    /// `XDG_CONFIG_HOME` or its default.
    pub(crate) config_home: PathBuf,
    /// Where Termux is installed; `/usr` elsewhere.
    pub(crate) prefix: PathBuf,
    /// The user, for launchd's domain.
    pub(crate) uid: u32,
    /// Where launchd writes what the daemon says.
    pub(crate) log: PathBuf,
    /// Variables the service needs, by name.
    pub(crate) variables: Vec<(String, String)>,
}

impl Facts {
    /// Collects the facts; `kind` overrides what the system looks like.
    pub(crate) fn of(
        env: &Env,
        paths: &Paths,
        kind: Option<ServiceKind>,
    ) -> Result<Self, ServiceError> {
        let home = env.home().ok_or(ServiceError::NoHome)?;
        let config_home = env.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let carried = |name: &&str| {
            let value = env.get(name)?.into_string().ok()?;
            Some(((*name).to_owned(), value))
        };
        Ok(Self {
            kind: kind.unwrap_or_else(|| detect(env)),
            program: env.find_daemon().ok_or(ServiceError::NoDaemon)?,
            config_home: config_home.unwrap_or_else(|| home.join(".config")),
            home,
            prefix: env.get("PREFIX").map_or_else(|| PathBuf::from("/usr"), PathBuf::from),
            uid: rustix::process::geteuid().as_raw(),
            log: start::log_file(paths),
            variables: CARRIED.iter().filter_map(carried).collect(),
        })
    }

    /// Returns the file that tells whether the service is installed; a plain process has none.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self.kind {
            ServiceKind::Systemd => Some(systemd::file(self)),
            ServiceKind::Launchd => Some(launchd::file(self)),
            ServiceKind::Termux => Some(termux::file(self)),
            ServiceKind::Plain => None,
        }
    }

    /// Whether our service file is there; refuses one of somebody else.
    pub(crate) fn is_installed(&self) -> Result<bool, ServiceError> {
        let Some(path) = self.file() else { return Ok(false) };
        match files::read(&path)? {
            None => Ok(false),
            Some(text) if text.contains(MARK) => Ok(true),
            Some(_) => Err(ServiceError::Foreign { path }),
        }
    }

    /// Returns what installing and starting takes.
    pub(crate) fn install(&self) -> Result<Vec<Step>, ServiceError> {
        match self.kind {
            ServiceKind::Systemd => systemd::install(self),
            ServiceKind::Launchd => launchd::install(self),
            ServiceKind::Termux => termux::install(self),
            ServiceKind::Plain => Ok(Vec::new()),
        }
    }

    /// Returns what stopping and removing takes.
    pub(crate) fn uninstall(&self) -> Vec<Step> {
        match self.kind {
            ServiceKind::Systemd => systemd::uninstall(self),
            ServiceKind::Launchd => launchd::uninstall(self),
            ServiceKind::Termux => termux::uninstall(self),
            ServiceKind::Plain => Vec::new(),
        }
    }

    /// Returns what starting an installed service takes.
    pub(crate) fn start(&self) -> Vec<Step> {
        match self.kind {
            ServiceKind::Systemd => systemd::start(),
            ServiceKind::Launchd => launchd::start(self),
            ServiceKind::Termux => termux::start(self),
            ServiceKind::Plain => Vec::new(),
        }
    }

    /// Returns what stopping an installed service takes.
    pub(crate) fn stop(&self) -> Vec<Step> {
        match self.kind {
            ServiceKind::Systemd => systemd::stop(),
            ServiceKind::Launchd => launchd::stop(self),
            ServiceKind::Termux => termux::stop(self),
            ServiceKind::Plain => Vec::new(),
        }
    }

    /// Returns the service manager's own word on the service, on one line.
    pub(crate) fn word(&self, env: &Env) -> Option<String> {
        let (program, args) = match self.kind {
            ServiceKind::Systemd => systemd::ask("is-active"),
            ServiceKind::Launchd => launchd::ask(self),
            ServiceKind::Termux => termux::ask(self),
            ServiceKind::Plain => return None,
        };
        let output = start::tool(env, &env.find_program(program)?, &args).ok()?;
        if self.kind == ServiceKind::Launchd {
            let word = if output.status.success() { "loaded" } else { "not loaded" };
            return Some(word.to_owned());
        }
        Some(steps::said(&output))
    }

    /// Returns the service's process, where the manager tells it.
    pub(crate) fn process(&self, env: &Env) -> Option<u32> {
        let text = match self.kind {
            ServiceKind::Systemd => {
                let (program, args) = systemd::ask_process();
                let output = start::tool(env, &env.find_program(program)?, &args).ok()?;
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            ServiceKind::Termux => files::read(&termux::pid_file(self)).ok()??,
            ServiceKind::Launchd | ServiceKind::Plain => return None,
        };
        text.trim().parse().ok().filter(|pid| *pid != 0)
    }

    /// Returns where the service's log is: a program to run, or a file.
    pub(crate) fn log_source(&self, lines: u32) -> LogSource {
        match self.kind {
            ServiceKind::Systemd => LogSource::Journal(systemd::journal(lines)),
            ServiceKind::Termux => LogSource::File(termux::log_file(self)),
            ServiceKind::Launchd | ServiceKind::Plain => LogSource::File(self.log.clone()),
        }
    }
}

/// Where a log is read.
pub(crate) enum LogSource {
    /// `journalctl` with these arguments.
    Journal(Vec<std::ffi::OsString>),
    /// A file.
    File(PathBuf),
}

/// Finds out how services are run here.
fn detect(env: &Env) -> ServiceKind {
    let runtime = env.get("XDG_RUNTIME_DIR").map_or_else(
        || PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw())),
        PathBuf::from,
    );
    let has_user_manager = || runtime.join("systemd").is_dir();
    if env.get("TERMUX_VERSION").is_some() || is_termux_prefix(env) {
        ServiceKind::Termux
    } else if cfg!(target_os = "macos") {
        ServiceKind::Launchd
    } else if has_user_manager() && env.find_program(systemd::TOOL).is_some() {
        ServiceKind::Systemd
    } else {
        ServiceKind::Plain
    }
}

fn is_termux_prefix(env: &Env) -> bool {
    env.get("PREFIX").is_some_and(|prefix| Path::new(&prefix).starts_with("/data/data/com.termux"))
}

/// Starts the installed service, if there is one for these places; says whether that was done.
pub(crate) fn start_installed(env: &Env, paths: &Paths) -> bool {
    let Ok(facts) = Facts::of(env, paths, None) else { return false };
    let text = facts.file().and_then(|file| files::read(&file).ok().flatten());
    let is_ours = text.is_some_and(|text| text.contains(MARK) && facts.is_same_home(&text));
    is_ours && facts.start().iter().all(|step| step.perform(env).is_ok())
}

impl Facts {
    /// Whether a service file belongs to the `CONVOSYNC_HOME` of this terminal.
    fn is_same_home(&self, text: &str) -> bool {
        const NAME: &str = "CONVOSYNC_HOME";
        let Some((_, value)) = self.variables.iter().find(|(name, _)| name == NAME) else {
            return !text.contains(NAME);
        };
        let line = match self.kind {
            ServiceKind::Systemd => fill::systemd_variable(NAME, value),
            ServiceKind::Launchd => fill::launchd_variable(NAME, value),
            ServiceKind::Termux => fill::shell_variable(NAME, value),
            ServiceKind::Plain => return false,
        };
        line.is_ok_and(|line| text.contains(&line))
    }
}

#[cfg(test)]
mod tests;
