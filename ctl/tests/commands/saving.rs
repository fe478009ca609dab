//! What `save` says of a real repository, to a daemon of canned answers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use convosync_core::git::Git;
use convosync_core::protocol::{ErrorKind, Failure};
use convosyncctl::{Env, ExitCode};
use serde_json::{Value, json};

use crate::check_text;
use crate::fake::{Fake, Ran, Say, run_in};
use crate::samples;

fn saved() -> Value {
    json!({ "session": samples::session(), "changed": true, "new_messages": 4, "sealed_bytes": 2345,
            "sync": "on-remote", "devices": ["lap", "phone"] })
}

fn outlook() -> Value {
    json!({ "session": "4d5611e5-241a-462a-8d15-5122611a9569", "short": "4d5611e5",
            "title": "Sign-in with OAuth", "messages": 15, "devices": ["lap", "phone"] })
}

/// A repository whose commits have the same ids every time, with a remote beside it.
struct Stage {
    fake: Fake,
    git: Git,
    variables: BTreeMap<OsString, OsString>,
}

impl Stage {
    fn new() -> Self {
        Self::with(vec![Say::Result(saved())])
    }

    fn with(answers: Vec<Say>) -> Self {
        let says = vec![("save", answers), ("save-outlook", vec![Say::Result(outlook())])];
        let fake = Fake::start(says);
        let mut variables = fake.env().variables;
        variables.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
        for (name, value) in [
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_AUTHOR_NAME", "ada"),
            ("GIT_AUTHOR_EMAIL", "ada@example.invalid"),
            ("GIT_AUTHOR_DATE", "2026-01-01T10:00:00Z"),
            ("GIT_COMMITTER_NAME", "ada"),
            ("GIT_COMMITTER_EMAIL", "ada@example.invalid"),
            ("GIT_COMMITTER_DATE", "2026-01-01T10:00:00Z"),
        ] {
            variables.insert(name.into(), value.into());
        }
        let git = Git::find(None, &|name| variables.get(std::ffi::OsStr::new(name)).cloned());
        let stage = Self { fake, git: git.unwrap(), variables };
        std::fs::create_dir(stage.root()).unwrap();
        stage.git(&["init", "-q", "--bare", "-b", "main", "../remote.git"]);
        stage.git(&["init", "-q", "-b", "main", "."]);
        stage.git(&["remote", "add", "origin", "../remote.git"]);
        stage.write("README.md", "begin\n");
        stage.git(&["add", "."]);
        stage.git(&["commit", "-q", "-m", "begin"]);
        stage.git(&["push", "-q", "-u", "origin", "main"]);
        stage
    }

    fn root(&self) -> PathBuf {
        self.fake.home().join("shop")
    }

    fn git(&self, args: &[&str]) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let root = self.root();
        assert_eq!(
            self.git.as_user(&root, &self.variables).run(&args).unwrap(),
            Some(0),
            "{args:?}"
        );
    }

    #[expect(clippy::disallowed_methods, reason = "tests write files")]
    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.root().join(path), text).unwrap();
    }

    fn env(&self) -> Env {
        let mut env = self.fake.env();
        env.variables = self.variables.clone();
        env.directory = self.root();
        env
    }

    fn run(&self, line: &str) -> Ran {
        run_in(&self.env(), line)
    }

    #[track_caller]
    fn check(&self, name: &str, line: &str, code: ExitCode) {
        let ran = self.run(line);
        check_text(name, &ran, self.fake.home());
        assert_eq!(ran.code, code, "{name}");
    }
}

#[test]
fn a_save_with_a_commit_says_each_part() {
    let stage = Stage::new();
    stage.write("README.md", "changed\n");
    stage.write("new", "1\n");
    stage.write(".env", "TOKEN=1\n");
    stage.check("save-foreseen", "save sign-in --dry-run", ExitCode::Ok);
    assert!(stage.fake.asked("save").is_empty());
    stage.check("save-committed", "save sign-in", ExitCode::Ok);
    assert_eq!(stage.fake.asked("save")[0]["message"], "sign-in");
    stage.check("save-left", "save", ExitCode::Ok);
    stage.write("new", "2\n");
    let json = stage.run("save sign-in --json");
    let answer: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(answer["committed"]["message"], "sign-in [ConvoSync]");
    let pushed = json!({ "to": "origin/main", "commits": 1, "result": "done" });
    assert_eq!(answer["pushed"], pushed);
    assert_eq!(answer["left_out"][0]["path"], ".env");
    assert_eq!((answer["devices"][0].as_str(), json.err.as_str()), (Some("lap"), ""));
    stage.write("new", "3\n");
    stage.check("save-branch", "save -b feature/oauth", ExitCode::Ok);
}

#[test]
fn a_push_that_does_not_get_through_is_told_with_its_way_out() {
    let stage = Stage::new();
    stage.git(&["clone", "-q", "../remote.git", "../other"]);
    stage.git(&["-C", "../other", "commit", "-q", "--allow-empty", "-m", "theirs"]);
    stage.git(&["-C", "../other", "push", "-q"]);
    stage.write("README.md", "changed\n");
    stage.check("save-behind", "save sign-in", ExitCode::KeptLocally);
    stage.git(&["remote", "set-url", "origin", "http://127.0.0.1:1/x.git"]);
    let ran = stage.run("save --retry");
    assert_eq!(ran.code, ExitCode::KeptLocally);
    assert!(ran.err.contains("kept on this device: `origin` cannot be reached: "), "{ran:?}");
    assert!(ran.err.contains("hint: `convosyncctl save --retry` when it can be"), "{ran:?}");
}

#[test]
fn what_keeps_from_committing_is_told_and_asks_the_daemon_for_nothing() {
    let stage = Stage::new();
    stage.write("README.md", "changed\n");
    stage.git(&["checkout", "-q", "--detach"]);
    stage.check("save-detached", "save", ExitCode::NeedsDecision);
    stage.git(&["checkout", "-q", "main"]);
    stage.write(".git/index.lock", "");
    stage.check("save-locked", "save", ExitCode::NeedsDecision);
    stage.git(&["-C", ".git", "--git-dir=.", "remote", "remove", "origin"]);
    std::fs::remove_file(stage.root().join(".git/index.lock")).unwrap();
    stage.check("save-no-remote", "save", ExitCode::NeedsDecision);
    assert!(stage.fake.asked("save").is_empty() && stage.fake.asked("save-outlook").is_empty());
}

#[test]
fn a_daemon_that_fails_after_the_commit_does_not_hide_it() {
    let failure =
        Failure::new(ErrorKind::Failed, "no space left in `state`").with_hint("make room");
    let stage = Stage::with(vec![Say::Failure(failure)]);
    stage.write("README.md", "changed\n");
    stage.check("save-failed-after", "save sign-in", ExitCode::Failed);
}
