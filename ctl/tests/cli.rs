//! The real program: its command line, its terminal, its children.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "support/fake.rs"]
#[expect(dead_code, reason = "shared with the tests of every command")]
mod fake;
#[path = "commands/samples.rs"]
#[expect(dead_code, reason = "shared with the tests of every command")]
mod samples;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use convosync_core::protocol::Progress;
use expectrl::session::OsSession;
use expectrl::{Expect as _, Regex};
use fake::{Fake, Say};
use serde_json::json;

/// How long a terminal may take to show anything.
const LIMIT: Duration = Duration::from_secs(20);

const DOWN: &str = "\u{1b}[B";
const BACKSPACE: &str = "\u{7f}";
const ENTER: &str = "\r";

/// Prepares the program with surroundings of its own.
#[expect(clippy::disallowed_methods, reason = "these tests are about the real process")]
fn program(home: &Path, args: &[&str]) -> Command {
    let path = home.join("bin").into_os_string();
    let variables: BTreeMap<&str, OsString> = [
        ("HOME", home.into()),
        ("CONVOSYNC_HOME", home.into()),
        ("LANG", "C.UTF-8".into()),
        ("PATH", path),
        ("TERM", "xterm".into()),
        ("JOURNAL_STREAM", "1:2".into()),
    ]
    .into();
    // Our own program, beside which no daemon lies.
    let bin = home.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let own = bin.join("convosyncctl");
    if !own.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_convosyncctl"), &own).unwrap();
    }
    let mut command = Command::new(own);
    command.args(args).env_clear().envs(variables).current_dir("/");
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    program(home, args).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Puts a program into the whole `PATH`.
#[expect(clippy::disallowed_methods, reason = "tests write programs")]
fn stand_in(home: &Path, name: &str, text: &str) -> PathBuf {
    let bin = home.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let path = bin.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn version_and_help_are_answers() {
    let _alone = fake::alone();
    let home = tempfile::tempdir().unwrap();
    let version = run(home.path(), &["--version"]);
    assert_eq!(out(&version), concat!("convosyncctl ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = run(home.path(), &["--help"]);
    assert!(help.status.success() && out(&help).contains("Exit codes: 0 done"), "{help:?}");
    for command in ["init", "save", "list", "resume", "sync", "watch", "join", "service"] {
        assert!(out(&help).contains(&format!("  {command} ")), "{command}");
        assert!(run(home.path(), &[command, "--help"]).status.success());
    }
}

#[test]
fn a_wrong_command_line_is_refused() {
    let _alone = fake::alone();
    let home = tempfile::tempdir().unwrap();
    for args in [&["--nonsense"][..], &["nonsense"], &[], &["save", "a", "b"]] {
        let refused = run(home.path(), args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert_eq!((out(&refused).as_str(), err(&refused).is_empty()), ("", false), "{args:?}");
    }
}

#[test]
fn no_start_means_no_start() {
    let _alone = fake::alone();
    let home = tempfile::tempdir().unwrap();
    stand_in(home.path(), "convosyncd", "#!/bin/sh\n: > \"$HOME/started\"\n");
    let refused = run(home.path(), &["status", "--no-start"]);
    assert_eq!(refused.status.code(), Some(3));
    let lines: Vec<_> = err(&refused).lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("convosyncctl: the daemon is not running"), "{lines:?}");
    assert!(lines[1].starts_with("hint: ") && lines.len() == 2, "{lines:?}");
    assert!(!home.path().join("started").exists());
}

/// Hides the daemon's socket, and returns the shell command that brings it back.
fn hide(fake: &Fake) -> String {
    let [socket, hidden] =
        ["run/convosyncd.sock", "run/hidden.sock"].map(|it| fake.home().join(it));
    std::fs::rename(&socket, &hidden).unwrap();
    format!("/bin/mv '{}' '{}'\n", hidden.display(), socket.display())
}

#[test]
fn the_daemon_is_started_on_demand_apart_from_this_terminal() {
    let _alone = fake::alone();
    let fake = Fake::start(vec![("status", vec![Say::Result(samples::status())])]);
    let text = format!(
        "#!/bin/sh\n/bin/cat /proc/$$/stat > \"$HOME/stat\"\n\
         echo \"$PWD ${{JOURNAL_STREAM-none}}\" > \"$HOME/where\"\necho ready >&2\n{}",
        hide(&fake)
    );
    stand_in(fake.home(), "convosyncd", &text);
    let status = run(fake.home(), &["status"]);
    assert!(status.status.success(), "{status:?}");
    assert_eq!(std::fs::read_to_string(fake.home().join("where")).unwrap(), "/ none\n");
    let log = fake.home().join("state/convosyncd.log");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "ready\n");
    assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    if cfg!(target_os = "linux") {
        let stat = std::fs::read_to_string(fake.home().join("stat")).unwrap();
        let fields: Vec<_> = stat.split(' ').collect();
        assert_eq!(fields[0], fields[4], "it leads a process group of its own");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "tests write service files")]
fn an_installed_service_is_started_rather_than_a_process() {
    let _alone = fake::alone();
    let fake = Fake::start(vec![("status", vec![Say::Result(samples::status())])]);
    stand_in(fake.home(), "convosyncd", "#!/bin/sh\n: > \"$HOME/started\"\n");
    let text = format!("#!/bin/sh\necho \"$*\" > \"$HOME/asked\"\n{}", hide(&fake));
    stand_in(fake.home(), "systemctl", &text);
    std::fs::create_dir(fake.home().join("systemd")).unwrap();
    let units = fake.home().join(".config/systemd/user");
    std::fs::create_dir_all(&units).unwrap();
    let unit = format!(
        "# Written by `convosyncctl service install`\nEnvironment=\"CONVOSYNC_HOME={}\"\n",
        fake.home().display()
    );
    std::fs::write(units.join("convosyncd.service"), unit).unwrap();
    let mut command = program(fake.home(), &["status"]);
    let status = command.env("XDG_RUNTIME_DIR", fake.home()).output().unwrap();
    if cfg!(target_os = "linux") {
        assert!(status.status.success(), "{status:?}");
        let asked = std::fs::read_to_string(fake.home().join("asked")).unwrap();
        assert_eq!(asked, "--user start convosyncd.service\n");
        assert!(!fake.home().join("started").exists());
    }
}

#[test]
fn launch_becomes_claude_in_the_right_folder() {
    let _alone = fake::alone();
    let mut answer = samples::resumed("created", &json!([]));
    let fake = Fake::start(Vec::new());
    let folder = fake.home().join("pro ject");
    std::fs::create_dir(&folder).unwrap();
    answer["directory"] = folder.to_str().unwrap().into();
    let fake = Fake::start(vec![("resume", vec![Say::Result(answer)])]);
    stand_in(fake.home(), "claude", "#!/bin/sh\necho \"$PWD: $*\"\nexit 7\n");
    let ran = run(fake.home(), &["resume", "4d56", "--no-code", "--launch"]);
    assert_eq!(ran.status.code(), Some(7), "{ran:?}");
    let expected = format!("{}: --resume 4d5611e5-241a-462a-8d15-5122611a9569\n", folder.display());
    assert!(out(&ran).ends_with(&expected), "{}", out(&ran));
}

/// The program at a terminal.
struct Terminal(OsSession);

impl Terminal {
    fn open(home: &Path, args: &[&str]) -> Self {
        let mut session = OsSession::spawn(program(home, args)).unwrap();
        session.set_expect_timeout(Some(LIMIT));
        Self(session)
    }

    /// Waits for a pattern and returns what it caught.
    fn sees(&mut self, pattern: &str) -> String {
        let found = match self.0.expect(Regex(pattern)) {
            Ok(found) => found,
            Err(error) => {
                let seen = self.0.expect(Regex("(?s).+")).map(|seen| seen[0].to_vec());
                let seen = seen.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                panic!("{pattern}: {error}: {seen:?}")
            }
        };
        let whole = found.get(found.matches().count().saturating_sub(1)).unwrap();
        String::from_utf8_lossy(whole).into_owned()
    }

    fn types(&mut self, keys: &str) {
        self.0.send(keys).unwrap();
    }

    /// Waits for the end and returns the exit code.
    fn ends(mut self) -> i32 {
        self.0.expect(expectrl::Eof).unwrap();
        match self.0.get_process().wait().unwrap() {
            expectrl::process::unix::WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}"),
        }
    }
}

/// Reads the words of a phrase out of the frame, in order.
fn framed_words(frame: &str) -> Vec<String> {
    let mut words = BTreeMap::new();
    let cells: Vec<_> = frame.split_whitespace().collect();
    for pair in cells.windows(2) {
        if let Ok(number @ 1..=24) = pair[0].parse::<usize>() {
            words.insert(number, pair[1].to_owned());
        }
    }
    words.into_values().collect()
}

#[test]
fn init_shows_the_phrase_and_has_two_words_typed_back() {
    let _alone = fake::alone();
    let script = vec![
        ("init", vec![Say::Result(samples::keys())]),
        ("enable", vec![Say::Result(samples::enabled(&samples::good_probe()))]),
    ];
    let fake = Fake::start_with(&json!({ "initialised": false }), script);
    let mut terminal = Terminal::open(fake.home(), &["init"]);
    terminal.sees("What is this device called");
    terminal.types("my lap\r");
    terminal.sees("What is it");
    terminal.types(&format!("lap{ENTER}"));
    let frame = terminal.sees(r"(?s)RECOVERY PHRASE.*24 \w+");
    // The rest of the last line follows before the question.
    let words = framed_words(&frame);
    assert_eq!(words.len(), 24, "{frame}");
    let last: usize = words_asked(&mut terminal, &words, "wrong");
    words_asked_after(&mut terminal, &words, last);
    assert_eq!(terminal.ends(), 0);
    let asked = &fake.asked("init")[0];
    assert_eq!((&asked["name"], &asked["kind"]), (&json!("my lap"), &json!("laptop")));
    assert_eq!(asked["phrase"], words.join(" "));
    assert!(!fake.home().join("convosync-recovery-phrase.txt").exists());
}

/// Answers the first question wrongly, then rightly.
fn words_asked(terminal: &mut Terminal, words: &[String], wrong: &str) -> usize {
    let number: usize = terminal.sees(r"Word (\d+) of the phrase").parse().unwrap();
    terminal.types(&format!("{wrong}{ENTER}"));
    terminal.sees("not the word at this place");
    terminal.types(&format!("{}{}{ENTER}", BACKSPACE.repeat(wrong.len()), words[number - 1]));
    number
}

/// Answers the second question, which is for another word.
fn words_asked_after(terminal: &mut Terminal, words: &[String], last: usize) {
    loop {
        let number: usize = terminal.sees(r"Word (\d+) of the phrase").parse().unwrap();
        // The first question is drawn again while it is answered.
        if number != last {
            terminal.types(&format!("{}{ENTER}", words[number - 1]));
            return;
        }
    }
}

#[test]
fn resume_lets_the_session_be_picked() {
    let _alone = fake::alone();
    let list = json!({
        "sessions": [samples::session(), samples::own_session()], "listed_ms": null, "problems": []
    });
    let script = vec![
        ("list", vec![Say::Result(list)]),
        ("resume", vec![Say::Result(samples::resumed("created", &samples::warnings()))]),
    ];
    let fake = Fake::start(script);
    let mut terminal = Terminal::open(fake.home(), &["resume", "--no-code"]);
    terminal.sees("Which session");
    terminal.sees("4d5611e5 .*desk.*Sign-in with OAuth");
    terminal.sees("aaaabbbb");
    terminal.types(&format!("{DOWN}{ENTER}"));
    terminal.sees("NOT THE SAME CODE");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(fake.asked("resume")[0]["session"], samples::own_session()["session"]);
}

#[test]
fn a_question_that_is_left_changes_nothing() {
    let _alone = fake::alone();
    let fake = Fake::start_with(&json!({ "initialised": false }), Vec::new());
    let mut terminal = Terminal::open(fake.home(), &["init"]);
    terminal.sees("What is this device called");
    terminal.types("\u{3}");
    terminal.sees("convosyncctl:.* cancelled");
    assert_eq!(terminal.ends(), 4);
    assert!(fake.asked("init").is_empty());
}

/// A daemon that asks whether the repository's own settings are the user's.
fn asks_about_settings() -> Fake {
    let mut answer = samples::enabled(&serde_json::Value::Null);
    answer["asks"] = true.into();
    answer["projects"][0]["own_settings"] = json!([
        { "key": "core.sshcommand", "value": "ssh -i \u{1b}work", "agreed": false },
        { "key": "credential.helper", "value": "theirs", "agreed": true },
    ]);
    Fake::start(vec![("enable", vec![Say::Result(answer)])])
}

/// Returns what the daemon was asked to make of the repository's own settings, request by request.
fn own_settings(fake: &Fake) -> Vec<String> {
    let asked = fake.asked("enable");
    asked.iter().map(|asked| asked["own_settings"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn check_agreeing(keys: &str, second: &str) {
    let _alone = fake::alone();
    let fake = asks_about_settings();
    let mut terminal = Terminal::open(fake.home(), &["enable"]);
    terminal.sees("The configuration of /work-tree itself says");
    let shown = terminal.sees("(?s)(core.sshcommand = .*)Did you set these");
    assert!(!shown.contains("\u{1b}work") && !shown.contains("theirs"), "{shown:?}");
    terminal.types(keys);
    terminal.sees("Next: ");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(own_settings(&fake), ["ask", second], "{keys:?}");
}

#[test]
fn a_repositorys_own_settings_count_only_after_a_yes_at_the_terminal() {
    check_agreeing(&format!("y{ENTER}"), "agree");
    check_agreeing(&format!("n{ENTER}"), "leave");
    check_agreeing(ENTER, "leave");
}

#[test]
fn whoever_leaves_the_question_about_settings_agrees_to_nothing_and_enables_nothing() {
    let _alone = fake::alone();
    for keys in ["\u{3}", "\u{1b}"] {
        let fake = asks_about_settings();
        let mut terminal = Terminal::open(fake.home(), &["enable"]);
        terminal.sees("Did you set these");
        terminal.types(keys);
        terminal.sees("convosyncctl:.* cancelled");
        assert_eq!(terminal.ends(), 4, "{keys:?}");
        assert_eq!(own_settings(&fake), ["ask"], "{keys:?}");
    }
}

#[test]
fn a_terminal_that_is_closed_agrees_to_nothing() {
    let _alone = fake::alone();
    let fake = asks_about_settings();
    let mut terminal = Terminal::open(fake.home(), &["enable"]);
    terminal.sees("Did you set these");
    let pid = terminal.0.get_process().pid();
    drop(terminal);
    let gone = PathBuf::from(format!("/proc/{pid}"));
    let until = std::time::Instant::now() + LIMIT;
    while cfg!(target_os = "linux") && gone.exists() {
        assert!(std::time::Instant::now() < until, "it still waits for an answer");
        std::thread::yield_now();
    }
    assert_eq!(own_settings(&fake), ["ask"]);
}

#[test]
fn the_phrase_is_typed_unseen() {
    let _alone = fake::alone();
    let script = vec![("recover", vec![Say::Result(samples::keys())])];
    let fake = Fake::start_with(&json!({ "initialised": false }), script);
    let phrase = format!("{}art", "abandon ".repeat(23));
    let mut terminal =
        Terminal::open(fake.home(), &["join", "--recover", "--name", "lap", "--kind", "phone"]);
    terminal.sees("Recovery phrase");
    terminal.types(&format!("{phrase}{ENTER}"));
    let shown = terminal.sees("(?s)(.*)Next: ");
    assert!(!shown.contains("aband"), "{shown}");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(fake.asked("recover")[0]["phrase"], phrase);
}

#[test]
fn progress_is_shown_while_somebody_waits_at_a_terminal() {
    let _alone = fake::alone();
    let barrier = Arc::new(Barrier::new(2));
    let progress = Progress {
        step: "sending \u{1b}shop".into(),
        done: Some(1),
        total: Some(3),
        ..Progress::default()
    };
    let says = vec![
        Say::Progress(progress),
        Say::Wait(Arc::clone(&barrier)),
        Say::Result(json!({ "projects": [samples::project()], "arrived": 0 })),
    ];
    let fake = Fake::start(vec![("sync", says)]);
    let mut terminal = Terminal::open(fake.home(), &["sync"]);
    terminal.sees(r"sending \\u\{1b\}shop .*1/3");
    barrier.wait();
    terminal.sees("no news from other devices");
    assert_eq!(terminal.ends(), 0);
}

/// A repository with one changed file, without a remote to push to but one beside it.
fn changed_repository(fake: &Fake) -> PathBuf {
    let home = fake.home();
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|dir| dir.join("git"))
        .find(|file| file.is_file());
    std::fs::create_dir_all(home.join("bin")).unwrap();
    std::os::unix::fs::symlink(real.unwrap(), home.join("bin/git")).unwrap();
    write(&home.join(".gitconfig"), "[user]\nname = ada\nemail = ada@example.invalid\n");
    let root = home.join("shop");
    std::fs::create_dir(&root).unwrap();
    git(home, &["init", "-q", "--bare", "-b", "main", "remote.git"]);
    git(home, &["init", "-q", "-b", "main", "shop"]);
    git(home, &["-C", "shop", "remote", "add", "origin", "../remote.git"]);
    git(home, &["-C", "shop", "commit", "-q", "--allow-empty", "-m", "begin"]);
    write(&root.join("README.md"), "changed\n");
    root
}

#[expect(clippy::disallowed_methods, reason = "tests write files")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "tests run git")]
fn git(home: &Path, args: &[&str]) -> String {
    let mut command = Command::new(home.join("bin/git"));
    command.args(args).current_dir(home).env_clear().env("HOME", home);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    out(&output).trim_end().to_owned()
}

fn saving() -> Fake {
    let outlook = json!({ "session": "4d5611e5-241a-462a-8d15-5122611a9569", "short": "4d5611e5",
                          "title": "Sign-in \u{1b}[2J", "messages": 15, "devices": ["lap"] });
    let saved = json!({ "session": samples::session(), "changed": true, "new_messages": 4,
                        "sealed_bytes": 2345, "sync": "on-remote" });
    Fake::start(vec![
        ("save-outlook", vec![Say::Result(outlook)]),
        ("save", vec![Say::Result(saved)]),
    ])
}

#[test]
fn an_interactive_save_shows_a_box_and_does_what_is_ticked() {
    let _alone = fake::alone();
    let fake = saving();
    let root = changed_repository(&fake);
    let root = root.to_str().unwrap();
    let mut terminal = Terminal::open(fake.home(), &["-C", root, "save", "--interactive"]);
    for shown in
        ["Save session", r"Session: Sign-in \\u\{1b\}", "Branch: main", "Changes: 1 new file"]
    {
        terminal.sees(shown);
    }
    terminal.sees("Conversation: 15 messages when last saved");
    terminal.sees("Message:");
    terminal.types(&format!("sign-in{ENTER}"));
    terminal.sees("Code changes: commit them");
    terminal.types(ENTER);
    terminal.sees("Save\\?");
    terminal.types(&format!("y{ENTER}"));
    terminal.sees("committed 1 new file to main");
    terminal.sees("pushed to origin/main");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(
        git(fake.home(), &["-C", "shop", "log", "-1", "--format=%s"]),
        "sign-in [ConvoSync]"
    );
    assert_eq!(fake.asked("save")[0]["message"], "sign-in");
}

#[test]
fn what_is_not_ticked_in_the_box_is_not_done() {
    let _alone = fake::alone();
    let fake = saving();
    let root = changed_repository(&fake);
    let root = root.to_str().unwrap();
    let mut terminal = Terminal::open(fake.home(), &["-C", root, "save", "-i", "a word"]);
    terminal.sees("Message:");
    terminal.types(ENTER);
    terminal.sees("Code changes: commit them");
    terminal.types(&format!(" {DOWN} {ENTER}"));
    terminal.sees("Save\\?");
    terminal.types(&format!("y{ENTER}"));
    terminal.sees("saved ");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(git(fake.home(), &["-C", "shop", "log", "-1", "--format=%s"]), "begin");
    let asked = &fake.asked("save")[0];
    assert_eq!((&asked["message"], &asked["hold"]), (&json!("a word"), &json!(true)));
}

#[test]
fn a_box_that_is_left_saves_nothing() {
    let _alone = fake::alone();
    let fake = saving();
    let root = changed_repository(&fake);
    let root = root.to_str().unwrap();
    let mut terminal = Terminal::open(fake.home(), &["-C", root, "save", "-i"]);
    terminal.sees("Message:");
    terminal.types("\u{3}");
    terminal.sees("convosyncctl:.* cancelled");
    assert_eq!(terminal.ends(), 4);
    let without = run(fake.home(), &["-C", root, "save", "-i"]);
    assert_eq!(without.status.code(), Some(4), "{without:?}");
    assert!(err(&without).contains("hint: leave out `--interactive`"), "{without:?}");
    assert_eq!(git(fake.home(), &["-C", "shop", "log", "-1", "--format=%s"]), "begin");
    assert!(fake.asked("save").is_empty());
}

#[test]
fn a_large_commit_is_asked_about_and_a_no_leaves_everything() {
    let _alone = fake::alone();
    let fake = saving();
    let root = changed_repository(&fake);
    let film = std::fs::File::options().create_new(true).write(true).open(root.join("film.bin"));
    film.unwrap().set_len(51 << 20).unwrap();
    let mut terminal = Terminal::open(fake.home(), &["-C", root.to_str().unwrap(), "save"]);
    terminal.sees(r"what would be committed is large: `film.bin` \(51.0 MiB\)");
    terminal.sees("git lfs track");
    terminal.sees("Commit all of it\\?");
    terminal.types(&format!("n{ENTER}"));
    terminal.sees("convosyncctl:.* cancelled");
    assert_eq!(terminal.ends(), 4);
    assert_eq!(git(fake.home(), &["-C", "shop", "log", "-1", "--format=%s"]), "begin");
    assert!(fake.asked("save").is_empty());
}
