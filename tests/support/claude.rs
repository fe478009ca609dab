//! Runs the real Claude Code client, pinned in `tests/real-client`, against the loopback API.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::api::Api;
use crate::program::{self, Run};
use crate::{Home, skip};

/// One question to the client may take this long; its start alone takes seconds.
const DEADLINE: Duration = Duration::from_secs(180);

/// The installed client.
#[derive(Debug)]
pub struct Client {
    program: PathBuf,
}

impl Client {
    /// Finds the client, or reports the running test as skipped.
    pub fn find_or_skip() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("real-client");
        let program = folder.join("node_modules/.bin/claude");
        if !program.exists() {
            skip::report("the real client is not installed: run `npm ci` in tests/real-client");
            return None;
        }
        Some(Self { program })
    }

    /// Says `prompt` in a new session with the id `session`, without a terminal.
    #[track_caller]
    pub fn say(&self, home: &Home, api: &Api, session: &str, prompt: &str) -> Run {
        self.run(home, api, &["--session-id", session, "-p", prompt])
    }

    /// Says `prompt` in the session `session`, which must lie in the project's folder.
    #[track_caller]
    pub fn resume(&self, home: &Home, api: &Api, session: &str, prompt: &str) -> Run {
        self.run(home, api, &["--resume", session, "-p", prompt])
    }

    /// Runs the client with `arguments` in the project's directory.
    #[track_caller]
    pub fn run(&self, home: &Home, api: &Api, arguments: &[&str]) -> Run {
        let mut command = Self::offline(home.command(&self.program), api);
        program::run(command.args(arguments), b"", DEADLINE)
    }

    /// Begins a shell in the project's directory that finds the client as `claude`.
    pub fn shell(&self, home: &Home, api: &Api) -> Command {
        let own = self.program.parent().map(Path::to_owned);
        let others = std::env::var_os("PATH").unwrap_or_default();
        let paths = own.into_iter().chain(std::env::split_paths(&others));
        let path = std::env::join_paths(paths).expect("no folder has a colon in its name");
        let mut command = Self::offline(home.command("sh"), api);
        command.env("PATH", path);
        command
    }

    /// Lets the client know no other host than the stand-in.
    fn offline(mut command: Command, api: &Api) -> Command {
        command
            .env("ANTHROPIC_BASE_URL", api.url())
            .env("ANTHROPIC_API_KEY", "dummy")
            .env("DISABLE_TELEMETRY", "1")
            .env("DISABLE_AUTOUPDATER", "1")
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
        command
    }
}
