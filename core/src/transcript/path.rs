//! Which relative paths a session's files may have: those that are harmless wherever they are written.

use crate::disk::is_taken_for_git;
use crate::id::{LogId, Role};

/// The longest relative path in bytes. Real ones stay below 150.
pub const PATH_MAX: usize = 1024;
/// The longest component in bytes: what common file systems take.
const COMPONENT_MAX: usize = 255;
/// The most components. Real paths have at most four.
const COMPONENTS_MAX: usize = 16;

/// What is wrong with a relative path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// No text at all, or an empty component: a leading, trailing or double slash.
    #[error("has an empty component")]
    Empty,
    /// `.` or `..`.
    #[error("has a component of dots")]
    Dots,
    /// A backslash or a control character.
    #[error("has a backslash or a control character")]
    Character,
    /// A component that git treats as its own.
    #[error("has a component named like git's own directory")]
    Git,
    /// Longer or deeper than a session's files ever are.
    #[error("is too long or too deep")]
    TooLong,
    /// Not a place where such a file can be.
    #[error("does not fit the file's role")]
    Misplaced,
}

/// Checks a path relative to a session's directory.
///
/// # Errors
/// Names what makes the path unfit to be written on another device.
pub fn check_path(path: &str) -> Result<(), BadPath> {
    if path.len() > PATH_MAX || path.split('/').count() > COMPONENTS_MAX {
        return Err(BadPath::TooLong);
    }
    path.split('/').try_for_each(check_component)
}

fn check_component(component: &str) -> Result<(), BadPath> {
    if component.is_empty() {
        Err(BadPath::Empty)
    } else if component.len() > COMPONENT_MAX {
        Err(BadPath::TooLong)
    } else if component.chars().all(|c| c == '.' || c == ' ') {
        Err(BadPath::Dots)
    } else if component.chars().any(|c| c == '\\' || c.is_control()) {
        Err(BadPath::Character)
    } else if is_taken_for_git(component.as_bytes()) {
        Err(BadPath::Git)
    } else {
        Ok(())
    }
}

/// Checks that a log's path is harmless and fits its role.
///
/// # Errors
/// Names what makes it unfit to be written.
pub fn check_log(log: &LogId) -> Result<(), BadPath> {
    match log.role {
        Role::Main if log.path.is_empty() => Ok(()),
        Role::Main | Role::Code => Err(BadPath::Misplaced),
        Role::Inside => check_path(&log.path),
        Role::Beside => check_path(&log.path).and_then(|()| {
            if is_old_agent(&log.path) && !log.path.contains('/') {
                Ok(())
            } else {
                Err(BadPath::Misplaced)
            }
        }),
    }
}

/// Whether a file's name is that of an older subagent's transcript.
pub(super) fn is_old_agent(name: &str) -> bool {
    name.starts_with("agent-") && name.ends_with(".jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(path: &str, expected: BadPath) {
        assert_eq!(check_path(path), Err(expected), "{path:?}");
    }

    #[test]
    fn paths_of_real_sessions_are_fine() {
        for path in [
            "subagents/agent-a2898e3.jsonl",
            "subagents/workflows/wf_1/agent-acompact-946d2b.meta.json",
            "tool-results/toolu_01AbC.txt",
            "tool-results/日本 (1).png",
            "a..b/.hidden",
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn hostile_paths_are_refused_by_cause() {
        for path in ["", "/etc/passwd", "a//b", "a/"] {
            check_refused(path, BadPath::Empty);
        }
        for path in ["..", "../x", "a/../b", ".", "a/./b", "...", ".. ", " "] {
            check_refused(path, BadPath::Dots);
        }
        for path in ["a\0b", "a\\b", "..\\x", "a\nb", "a\u{7f}"] {
            check_refused(path, BadPath::Character);
        }
        for path in [
            ".git/config",
            "a/.GIT",
            ".git.",
            ".git ",
            "GIT~1/hooks",
            "git~10",
            ".g\u{200c}it/x",
            ".git:x",
        ] {
            check_refused(path, BadPath::Git);
        }
        check_refused(&"a/".repeat(16), BadPath::TooLong);
        check_refused(&"a".repeat(256), BadPath::TooLong);
        check_refused(&["a".repeat(200).as_str(); 6].join("/"), BadPath::TooLong);
    }

    #[test]
    fn a_log_lies_where_its_role_says() {
        let check = |role, path: &str, expected| {
            assert_eq!(
                check_log(&LogId { role, path: path.to_owned() }),
                expected,
                "{role:?} {path}"
            );
        };
        check(Role::Main, "", Ok(()));
        check(Role::Main, "x.jsonl", Err(BadPath::Misplaced));
        check(Role::Inside, "", Err(BadPath::Empty));
        check(Role::Inside, "subagents/a.jsonl", Ok(()));
        check(Role::Beside, "agent-12345678.jsonl", Ok(()));
        check(Role::Beside, "other.jsonl", Err(BadPath::Misplaced));
        check(Role::Beside, "agent-x/y.jsonl", Err(BadPath::Misplaced));
    }
}
