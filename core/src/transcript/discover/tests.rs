//! A Claude Code directory with sessions and with everything odd in it.

use std::os::unix::fs::{PermissionsExt, symlink};
#[cfg(target_os = "linux")]
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use super::*;

/// A Claude Code directory with one project in it.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        disk::private_dir(&home.project()).unwrap();
        home
    }

    fn project(&self) -> PathBuf {
        self.dir.path().join("projects/-a")
    }

    fn put(&self, path: &str, content: &str) -> PathBuf {
        let path = self.project().join(path);
        disk::private_dir(path.parent().unwrap()).unwrap();
        disk::write_atomic(&path, content.as_bytes()).unwrap();
        path
    }

    fn discover(&self) -> Discovery {
        discover(&ClaudeRoot::new(self.dir.path())).unwrap()
    }

    /// The found logs as `session: role path length`.
    fn logs(&self) -> Vec<String> {
        let found = self.discover();
        let text = |id: &SessionId, file: &LogFile| {
            format!("{id}: {:?} {} {}", file.log.role, file.log.path, file.length)
        };
        found.sessions.iter().flat_map(|s| s.files.iter().map(|file| text(&s.id, file))).collect()
    }

    fn skipped(&self) -> Vec<(String, Why)> {
        let shown = |path: &Path| {
            path.strip_prefix(self.dir.path().join("projects"))
                .unwrap()
                .to_string_lossy()
                .into_owned()
        };
        self.discover()
            .skipped
            .into_iter()
            .map(|skipped| (shown(&skipped.path), skipped.reason))
            .collect()
    }
}

#[test]
fn a_session_is_its_transcript_and_all_in_its_directory() {
    let home = Home::new();
    home.put("s1.jsonl", "{}\n");
    home.put("s1/subagents/agent-1.jsonl", "{}\n{}\n");
    home.put("s1/subagents/agent-1.meta.json", "{}");
    home.put("s1/subagents/workflows/w1/agent-2.jsonl", "");
    home.put("s1/tool-results/t.txt", "text");
    home.put("s2.jsonl", "");
    assert_eq!(
        home.logs(),
        [
            "s1: Main  3",
            "s1: Inside subagents/agent-1.jsonl 6",
            "s1: Inside subagents/agent-1.meta.json 2",
            "s1: Inside subagents/workflows/w1/agent-2.jsonl 0",
            "s1: Inside tool-results/t.txt 4",
            "s2: Main  0",
        ]
    );
    assert_eq!(home.skipped(), []);
    let found = home.discover();
    assert_eq!(found.sessions[0].main().unwrap().path, home.project().join("s1.jsonl"));
    assert_eq!(found.sessions[0].slug_dir, home.project());
    assert!(found.sessions[0].modified_ms() > 0);
}

#[test]
fn an_older_subagent_belongs_to_the_session_it_names() {
    let home = Home::new();
    home.put("s1.jsonl", "{}\n");
    home.put("agent-1.jsonl", "{torn\n{\"sessionId\":\"s1\"}\n{\"sessionId\":\"s2\"}\n");
    home.put("agent-2.jsonl", "{\"sessionId\":\"s2\"}\n");
    home.put("agent-3.jsonl", "{\"type\":\"user\"}\n");
    home.put("agent-4.jsonl", "");
    assert_eq!(
        home.logs(),
        [
            "agent-2: Main  19",
            "agent-3: Main  16",
            "agent-4: Main  0",
            "s1: Main  3",
            "s1: Beside agent-1.jsonl 44",
        ]
    );
}

#[test]
fn an_owner_is_read_once_and_again_only_while_it_is_unknown() {
    let home = Home::new();
    home.put("s1.jsonl", "{}\n");
    let known = home.put("agent-1.jsonl", "{\"sessionId\":\"s1\"}\n");
    let empty = home.put("agent-2.jsonl", "");
    let mut scanner = Scanner::default();
    let mut look = || {
        let found = scanner.discover_dir(&home.project()).unwrap();
        found.sessions.iter().map(|s| s.files.len()).collect::<Vec<_>>()
    };
    assert_eq!(look(), [1, 2]);
    fs::set_permissions(&known, fs::Permissions::from_mode(0o000)).unwrap();
    disk::append_verified(&empty, 0, b"{\"sessionId\":\"s1\"}\n").unwrap();
    assert_eq!(look(), [3]);
}

#[test]
fn owners_of_files_that_are_gone_are_forgotten() {
    let home = Home::new();
    let agent = home.put("agent-1.jsonl", "{\"sessionId\":\"s1\"}\n");
    let (mut scanner, root) = (Scanner::default(), ClaudeRoot::new(home.dir.path()));
    scanner.discover(&root).unwrap();
    scanner.discover(&root).unwrap();
    assert_eq!(scanner.owners.len(), 1);
    disk::remove_file(&agent).unwrap();
    scanner.discover(&root).unwrap();
    assert!(scanner.owners.is_empty());
}

#[test]
fn what_is_the_projects_or_the_devices_is_no_session() {
    let home = Home::new();
    home.put("s1.jsonl", "");
    home.put("memory/MEMORY.md", "x");
    home.put("sessions-index.json", "{}");
    home.put(".session-aliases", "x");
    home.put("s1.jsonl.lock", "");
    home.put("s1/x.lock", "");
    home.put(".convosync-abc", "");
    home.put("s1/.convosync-abc", "");
    assert_eq!(home.logs(), ["s1: Main  0"]);
    assert_eq!(home.skipped(), []);
}

#[test]
fn odd_things_are_listed_and_stop_nothing() {
    let home = Home::new();
    home.put("s1.jsonl", "");
    home.put("s1/.git/config", "");
    home.put("s1/back\\slash", "");
    home.put("notes.txt", "");
    home.put("gone/subagents/agent-1.jsonl", "");
    home.put("..jsonl", "");
    let project = home.project();
    symlink("/etc/passwd", project.join("link.jsonl")).unwrap();
    symlink("/", project.join("s1/outside")).unwrap();
    symlink("/", project.parent().unwrap().join("linked-project")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(project.join("s1/socket")).unwrap());

    assert_eq!(home.logs(), ["s1: Main  0"]);
    let expected = [
        ("-a/..jsonl", Why::NotASession),
        ("-a/gone", Why::NoTranscript),
        ("-a/link.jsonl", Why::SymbolicLink),
        ("-a/notes.txt", Why::Unknown),
        ("-a/s1/.git", Why::Name(BadPath::Git)),
        ("-a/s1/back\\slash", Why::Name(BadPath::Character)),
        ("-a/s1/outside", Why::SymbolicLink),
        ("-a/s1/socket", Why::Special),
        ("linked-project", Why::SymbolicLink),
    ];
    assert_eq!(home.skipped(), expected.map(|(path, why)| (path.to_owned(), why)));
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_and_names_that_are_no_text_are_listed() {
    let home = Home::new();
    let project = home.project();
    disk::write_atomic(&project.join(OsStr::from_bytes(b"\xff.jsonl")), b"").unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, project.join("pipe.jsonl"), kind, mode, 0).unwrap();
    let expected = [("-a/pipe.jsonl", Why::Special), ("-a/\u{fffd}.jsonl", Why::NotASession)];
    assert_eq!(home.skipped(), expected.map(|(path, why)| (path.to_owned(), why)));
}

#[test]
fn a_directory_that_is_too_deep_is_cut_off_there() {
    let home = Home::new();
    home.put("s1.jsonl", "");
    home.put(&format!("s1/{}x", "d/".repeat(DEPTH_MAX - 1)), "");
    home.put(&format!("s1/{}x", "e/".repeat(DEPTH_MAX + 1)), "");
    assert_eq!(home.logs().len(), 2);
    assert_eq!(home.skipped().len(), 1);
    assert_eq!(home.skipped()[0].1, Why::TooMany);
}

#[test]
fn a_missing_root_is_an_error_and_no_empty_list() {
    let home = tempfile::tempdir().unwrap();
    let missing = discover(&ClaudeRoot::new(home.path()));
    assert!(matches!(missing, Err(TranscriptError::Missing(_))), "{missing:?}");
    assert!(missing.unwrap_err().hint().is_some());
    disk::write_atomic(&home.path().join("projects"), b"").unwrap();
    let odd = discover(&ClaudeRoot::new(home.path()));
    assert!(matches!(odd, Err(TranscriptError::Unreadable { .. })), "{odd:?}");
}

#[test]
fn the_same_session_in_two_projects_is_found_twice() {
    let home = Home::new();
    home.put("s1.jsonl", "");
    home.put("../-b/s1.jsonl", "");
    assert_eq!(home.logs(), ["s1: Main  0", "s1: Main  0"]);
}
