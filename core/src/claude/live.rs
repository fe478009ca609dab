//! Which sessions run on this machine, as they say themselves in `sessions/<pid>.json`.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::ClaudeRoot;
use super::line::{objects, string, text_of, time_ms};
use crate::disk;
use crate::id::SessionId;

/// How long an entry counts whose process we cannot see, in milliseconds: it may run in a container
/// that shares the directory, or have died without tidying up.
pub const UNSEEN_FOR_MS: i64 = 24 * 60 * 60 * 1000;

/// The longest entry that is read, in bytes; real ones have a few hundred.
const ENTRY_MAX: u64 = 64 << 10;

/// A session that must be taken for running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Which one.
    pub session: SessionId,
    /// The process that registered it.
    pub pid: u32,
    /// Whether it says that it is at work, rather than waiting for its user.
    pub busy: bool,
    /// When it last said so, in Unix milliseconds.
    pub updated_ms: i64,
    /// Whether its process was seen; if not, it only may be running.
    pub is_seen: bool,
}

/// Lists the sessions that run here. What cannot be read is no session.
pub fn live_sessions(root: &ClaudeRoot, now_ms: i64) -> Vec<Live> {
    let Ok(entries) = fs::read_dir(root.sessions_registry()) else { return Vec::new() };
    let mut live: Vec<Live> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| read_entry(&entry.path()))
        .map(|entry| Live { is_seen: is_running(entry.pid), ..entry })
        .filter(|entry| counts(entry, now_ms))
        .collect();
    live.sort_by(|a, b| (&a.session, a.pid).cmp(&(&b.session, b.pid)));
    live
}

fn counts(entry: &Live, now_ms: i64) -> bool {
    entry.is_seen || now_ms.saturating_sub(entry.updated_ms) < UNSEEN_FOR_MS
}

fn read_entry(path: &Path) -> Option<Live> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let file = disk::open_regular(path).ok()?;
    let modified_ms = disk::modified_ms(&file.metadata().ok()?);
    let mut bytes = Vec::new();
    file.take(ENTRY_MAX).read_to_end(&mut bytes).ok()?;
    parse_entry(stem, &bytes, modified_ms)
}

fn parse_entry(stem: &str, bytes: &[u8], modified_ms: i64) -> Option<Live> {
    let text = text_of(bytes);
    let found = objects(&text, &["pid", "sessionId", "status", "updatedAt", "startedAt"]);
    let [pid, session, status, updated, started] = *found.first()?;
    let told = |value: Option<&serde_json::value::RawValue>| value.and_then(time_ms);
    Some(Live {
        session: session.and_then(string)?.parse().ok()?,
        pid: pid.and_then(|pid| pid.get().parse().ok()).or_else(|| stem.parse().ok())?,
        busy: status.and_then(string).is_some_and(|status| status == "busy"),
        updated_ms: told(updated).or_else(|| told(started)).unwrap_or(modified_ms),
        is_seen: false,
    })
}

/// Whether a process of that number exists. One that we may not signal exists, too.
pub fn is_running(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn registry(entries: &[(&str, String)]) -> (tempfile::TempDir, ClaudeRoot) {
        let home = tempfile::tempdir().unwrap();
        let root = ClaudeRoot::new(home.path());
        disk::private_dir(&root.sessions_registry()).unwrap();
        for (name, content) in entries {
            disk::write_atomic(&root.sessions_registry().join(name), content.as_bytes()).unwrap();
        }
        (home, root)
    }

    /// A process number that no system gives out.
    const NOBODY: u32 = i32::MAX as u32;

    fn entry(pid: u32, session: &str, rest: &str) -> (String, String) {
        (
            format!("{pid}.json"),
            format!(r#"{{"pid":{pid},"sessionId":"{session}","cwd":"/a"{rest}}}"#),
        )
    }

    #[test]
    fn a_session_lives_while_its_process_does() {
        let me = std::process::id();
        let (name, content) = entry(me, "aaaa", r#","status":"busy","updatedAt":5"#);
        let (_home, root) = registry(&[(&name, content)]);
        let session = "aaaa".parse().unwrap();
        let expected = Live { session, pid: me, busy: true, updated_ms: 5, is_seen: true };
        assert_eq!(live_sessions(&root, NOW), [expected]);
    }

    #[test]
    fn another_users_process_counts_as_running() {
        assert!(is_running(1));
        assert!(!is_running(NOBODY));
        assert!(!is_running(0));
        assert!(!is_running(u32::MAX));
    }

    #[test]
    fn a_process_out_of_sight_counts_for_a_day() {
        let recent = NOW - UNSEEN_FOR_MS + 1;
        let (a, recent_entry) =
            entry(NOBODY, "aaaa", &format!(r#","status":"idle","updatedAt":{recent}"#));
        let (_home, root) = registry(&[(&a, recent_entry)]);
        let live = live_sessions(&root, NOW);
        assert_eq!(live.len(), 1);
        assert!(!live[0].is_seen && !live[0].busy);
        assert!(live_sessions(&root, NOW + 1).is_empty());
    }

    #[test]
    fn the_latest_known_time_of_an_entry_counts() {
        let check = |rest: &str, expected| {
            let (_, content) = entry(1, "a", rest);
            assert_eq!(
                parse_entry("1", content.as_bytes(), 7).unwrap().updated_ms,
                expected,
                "{rest}"
            );
        };
        check(r#","startedAt":3,"updatedAt":4"#, 4);
        check(r#","startedAt":3"#, 3);
        check(r#","updatedAt":"2023-11-14T22:13:20.123Z""#, 1_700_000_000_123);
        check(r#","updatedAt":{}"#, 7);
        check("", 7);
    }

    #[test]
    fn what_is_no_entry_is_ignored() {
        let me = std::process::id();
        let (_home, root) = registry(&[
            ("1.json", "{".to_owned()),
            ("2.json", String::new()),
            ("3.json", "\0\0\0".to_owned()),
            ("4.json", format!(r#"{{"pid":{me}}}"#)),
            ("5.json", format!(r#"{{"pid":{me},"sessionId":"../x"}}"#)),
            ("x.json", r#"{"sessionId":"a"}"#.to_owned()),
            ("6.txt", format!(r#"{{"pid":{me},"sessionId":"a"}}"#)),
        ]);
        fs::create_dir(root.sessions_registry().join("7.json")).unwrap();
        assert!(live_sessions(&root, NOW).is_empty());
        assert!(live_sessions(&ClaudeRoot::new("/nowhere"), NOW).is_empty());
    }
}
