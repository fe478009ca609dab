//! The client at a terminal, driven key by key.

use std::process::Command;
use std::time::Duration;

use convosync_tests::told::shown;
use convosync_tests::{Device, program};
use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Expect as _, Regex};

/// The client shows something within this time on a busy machine.
const SHOWS_WITHIN: Duration = Duration::from_secs(60);

/// The key that goes down in a list.
pub(crate) const DOWN: &str = "\u{1b}[B";
/// The key that takes an entry.
pub(crate) const ENTER: &str = "\r";

/// A terminal with a program in it.
pub(crate) struct Terminal(OsSession);

impl Terminal {
    /// Runs `convosyncctl` in the device's project.
    pub(crate) fn open(device: &Device, arguments: &[&str]) -> Self {
        let mut command = device.home.command(program::binary("convosyncctl"));
        command.args(arguments);
        Self::run(command)
    }

    /// Runs a command.
    pub(crate) fn run(mut command: Command) -> Self {
        command.env("TERM", "xterm").env("LANG", "C.UTF-8").env("NO_COLOR", "1");
        let mut session = OsSession::spawn(command).expect("a terminal can be had");
        session.set_expect_timeout(Some(SHOWS_WITHIN));
        Self(session)
    }

    /// Waits until the terminal shows what `pattern` says, and returns all up to its end.
    #[track_caller]
    pub(crate) fn sees(&mut self, pattern: &str) -> String {
        match self.0.expect(Regex(pattern)) {
            Ok(found) => {
                let all = [found.before(), found.get(0).unwrap_or_default()].concat();
                String::from_utf8_lossy(&all).into_owned()
            }
            Err(error) => {
                let seen = self.0.expect(Regex("(?s).+")).map(|seen| seen[0].to_vec());
                let seen = seen.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                panic!("`{pattern}` is not seen: {error}: {seen:?}")
            }
        }
    }

    /// Types keys.
    pub(crate) fn types(&mut self, keys: &str) {
        self.0.send(keys).expect("the program reads");
    }

    /// Waits for the end and returns the exit code.
    #[track_caller]
    pub(crate) fn ends(mut self) -> i32 {
        self.0.expect(expectrl::Eof).expect("the program ends");
        match self.0.get_process().wait().expect("it is ours") {
            WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}"),
        }
    }
}

/// The question below a box, with all its answers.
pub(crate) const ASKED: &str = "What now.*(?s).*Cancel: don't resume";

/// The last box that was drawn and what stands below it, without the terminal's own signs and with a name for each
/// thing that is another one in every run.
#[track_caller]
pub(crate) fn boxed(seen: &str) -> String {
    let begin = seen.rfind('┏').unwrap_or_else(|| panic!("no box: {seen}"));
    drawn(&seen[begin..])
}

/// What was drawn, with a name for each thing that is another one in every run.
pub(crate) fn drawn(seen: &str) -> String {
    let lines = shown(&plain(seen));
    lines.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// What was drawn, without the terminal's own signs.
pub(crate) fn plain(seen: &str) -> String {
    let mut text = String::new();
    let mut rest = seen.chars().filter(|c| *c != '\r').peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            text.push(c);
        } else if rest.next_if_eq(&'[').is_some() {
            // A control sequence ends with its first letter.
            while rest.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
        }
    }
    text
}
