//! Whether the Claude Code here is older than the one that wrote a conversation.

use std::time::Duration;

use convosync_core::protocol::{SessionInfo, Warning};

use super::CLAUDE;
use crate::call::Call;
use crate::start;

/// How long `claude --version` may take: it starts a JavaScript engine, perhaps from a cold disk.
const LIMIT: Duration = Duration::from_secs(5);

/// Warns if it is. Where there is no Claude Code, or it does not say, nothing is known and nothing is said.
pub(super) fn warning(call: &Call<'_>, info: &SessionInfo) -> Option<Warning> {
    let wrote = Version::read(info.client.as_deref()?)?;
    let program = call.env.find_program(CLAUDE)?;
    let output = start::tool_within(call.env, &program, &["--version".into()], LIMIT).ok()?;
    let here = Version::read(&String::from_utf8_lossy(&output.stdout))?;
    (wrote > here).then(|| Warning {
        loud: false,
        message: format!(
            "Claude Code {wrote} wrote the conversation, and {here} is installed here: it may not \
             understand all of it"
        ),
        hint: Some("`claude update` brings the newest".to_owned()),
    })
}

/// A version as Claude Code tells it: `2.1.220`, and whatever stands behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version([u32; 3]);

impl Version {
    fn read(text: &str) -> Option<Self> {
        let word = text.split_whitespace().next()?;
        let mut numbers = word.splitn(3, '.').map(|part| {
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().ok()
        });
        let mut next = || numbers.next().flatten();
        Some(Self([next()?, next()?, next()?]))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(formatter, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let read = Version::read;
        assert!(read("2.1.220") > read("2.1.99 (Claude Code)\n"));
        assert!(read("2.10.0") > read("2.9.9"));
        assert_eq!(read("2.1.3-beta.1"), read("2.1.3"));
        for odd in ["", "2.1", "unknown", "claude 2.1.0", "99999999999.1.1"] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(read("2.1.220 x").map(|it| it.to_string()).as_deref(), Some("2.1.220"));
    }
}
