//! One command line being carried out: options, surroundings, printer and the open connection.

use std::path::{Path, PathBuf};

use convosync_core::config::Paths;
use convosync_core::protocol::{HelloReply, Request};
use serde::de::DeserializeOwned;

use crate::args::Options;
use crate::env::{Env, Terminal};
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{Printer, Wait};
use crate::service;
use crate::socket::{Agent, Client, Limits, SocketError};
use crate::start;

/// Everything a command needs.
pub(crate) struct Call<'a> {
    /// The surroundings.
    pub(crate) env: &'a Env,
    /// The options every command has.
    pub(crate) options: Options,
    /// Where answers go.
    pub(crate) print: Printer<'a>,
    client: Option<Client>,
}

impl<'a> Call<'a> {
    /// Prepares a call; nothing is connected or started yet.
    pub(crate) fn new(env: &'a Env, options: Options, mut print: Printer<'a>) -> Self {
        print.json = options.json;
        Self { env, options, print, client: None }
    }

    /// Returns where the files of this device lie.
    pub(crate) fn paths(&self) -> Result<Paths, CtlError> {
        Ok(Paths::from_env(&|name| self.env.get(name))?)
    }

    /// Returns the directory the user means, absolute.
    pub(crate) fn directory(&self) -> PathBuf {
        self.resolve(Path::new(""))
    }

    /// Makes a path that the user typed absolute.
    pub(crate) fn resolve(&self, typed: &Path) -> PathBuf {
        let base = match &self.options.directory {
            Some(directory) => self.env.directory.join(directory),
            None => self.env.directory.clone(),
        };
        // Joining an empty path would add a slash.
        if typed.as_os_str().is_empty() { base } else { base.join(typed) }
    }

    /// Whether the user can be asked something.
    pub(crate) fn is_interactive(&self) -> bool {
        let terminal = self.env.terminal;
        let terminal = Terminal { output: terminal.output || self.print.is_aside, ..terminal };
        terminal.is_interactive() && !self.options.json
    }

    /// Asks the daemon, which is started first where that is needed and allowed.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, request: Request) -> Result<T, CtlError> {
        let mut wait = Wait::new(self.env.terminal.errors && !self.options.json)
            .announcing(!self.options.json);
        Ok(self.client()?.call(request, &mut wait)?)
    }

    /// Returns what the daemon said of itself.
    pub(crate) fn hello(&mut self) -> Result<HelloReply, CtlError> {
        Ok(self.client()?.hello().clone())
    }

    /// Returns the connection, opening it first.
    pub(crate) fn client(&mut self) -> Result<&mut Client, CtlError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.connect()?,
        };
        Ok(self.client.insert(client))
    }

    /// Closes the connection: the daemon is about to leave.
    pub(crate) fn hang_up(&mut self) {
        self.client = None;
    }

    fn connect(&self) -> Result<Client, CtlError> {
        let paths = self.paths()?;
        let agent = Agent(self.env.get("SSH_AUTH_SOCK").map(PathBuf::from));
        let open = || Client::connect(&paths.socket, &agent, Limits::default());
        match open() {
            Err(SocketError::Absent { .. }) if !self.options.no_start => {
                // An installed service brings its own surroundings; a daemon beside it would keep it out.
                if !service::start_installed(self.env, &paths) {
                    return Ok(start::daemon(self.env, &paths, &open)?);
                }
                Ok(start::wait_for(&open)?)
            }
            other => Ok(other?),
        }
    }

    /// Prints an error with its hint and returns its exit code.
    pub(crate) fn fail(&mut self, error: &CtlError) -> ExitCode {
        let code = error.exit_code();
        if code != ExitCode::Ok {
            self.print.error(error);
        }
        code
    }
}
