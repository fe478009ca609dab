//! What surrounds one run of the program: variables, directory, terminal, clock, standard input.
//!
//! Nothing below [`crate::run`] asks the process for any of these.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Surroundings of one run.
pub struct Env {
    /// Environment variables; children get exactly these.
    pub variables: BTreeMap<OsString, OsString>,
    /// The working directory.
    pub directory: PathBuf,
    /// Our own executable, beside which the daemon is looked for first.
    pub program: Option<PathBuf>,
    /// What is a terminal.
    pub terminal: Terminal,
    /// The clock, in Unix milliseconds.
    pub now_ms: fn() -> i64,
    /// Standard input.
    pub input: RefCell<Box<dyn Read>>,
}

/// Which ends of the program a person sits at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Standard input is a terminal: questions can be asked.
    pub input: bool,
    /// Standard output is a terminal.
    pub output: bool,
    /// Standard error is a terminal: progress can be shown.
    pub errors: bool,
    /// Answers may be coloured.
    pub colour: bool,
}

impl Terminal {
    fn of_process() -> Self {
        let colour = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        Self {
            input: io::stdin().is_terminal(),
            output: io::stdout().is_terminal(),
            errors: io::stderr().is_terminal(),
            colour,
        }
    }

    /// Whether a person can be asked.
    pub fn is_interactive(self) -> bool {
        self.input && self.output && self.errors
    }
}

impl Env {
    /// Returns surroundings without a terminal and with an empty standard input: for tests and for
    /// programs that call this one.
    pub fn new(variables: BTreeMap<OsString, OsString>, directory: PathBuf) -> Self {
        Self {
            variables,
            directory,
            program: None,
            terminal: Terminal::default(),
            now_ms: system_ms,
            input: RefCell::new(Box::new(io::empty())),
        }
    }

    /// Returns the surroundings of this process.
    pub fn of_process() -> Self {
        // A removed working directory is no reason to fail: commands that need one say so themselves.
        let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Self {
            program: std::env::current_exe().ok(),
            terminal: Terminal::of_process(),
            input: RefCell::new(Box::new(io::stdin())),
            ..Self::new(std::env::vars_os().collect(), directory)
        }
    }

    /// Returns a variable; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<OsString> {
        self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty()).cloned()
    }

    /// Returns the home directory.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }

    /// Finds an executable file in `PATH`.
    pub(crate) fn find_program(&self, name: &str) -> Option<PathBuf> {
        let path = self.get("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_executable(file))
    }

    /// Finds the daemon: beside our own executable (links resolved or not), else in `PATH`.
    pub(crate) fn find_daemon(&self) -> Option<PathBuf> {
        let resolved = self.program.as_deref().and_then(|program| program.canonicalize().ok());
        [self.program.clone(), resolved]
            .into_iter()
            .flatten()
            .map(|program| program.with_file_name(DAEMON))
            .find(|file| is_executable(file))
            .or_else(|| self.find_program(DAEMON))
    }
}

/// The daemon's program.
pub(crate) const DAEMON: &str = "convosyncd";

fn is_executable(file: &Path) -> bool {
    file.is_absolute()
        && file
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn system_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
