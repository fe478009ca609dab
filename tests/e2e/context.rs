//! Reading back: which messages belong to which commit, also for lines from before the daemon ever ran.

use std::path::PathBuf;

use convosync_core::id::SeededRandom;
use convosync_tests::synthetic::uuid;
use convosync_tests::told::{shown, told};
use convosync_tests::world::Way;
use convosync_tests::{Device, World, files};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::SAVED_WITHIN;

/// How long ago the story begins, in seconds: nothing of it lies in the future.
const AGO: i64 = 7200;

/// One device's conversation and repository, each thing at its own second of the story.
struct Story<'a> {
    device: &'a Device,
    session: String,
    begins: i64,
    said: u32,
}

impl<'a> Story<'a> {
    fn new(device: &'a Device) -> Self {
        let session = uuid(&mut SeededRandom::new(41));
        let begins = Timestamp::now().as_second() - AGO;
        // The story of the clone begins with this test's own first commit.
        let reflog = device.home.project().join(".git/logs/HEAD");
        files::write(&reflog, "");
        Self { device, session, begins, said: 0 }
    }

    /// Runs git at a second of the story.
    #[track_caller]
    fn git(&self, second: i64, arguments: &[&str]) {
        let date = format!("@{} +0000", self.begins + second);
        let mut command = self.device.home.command("git");
        command.args(arguments).env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date);
        let done = command.output().expect("git runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Commits at a second of the story, and returns the commit's name.
    #[track_caller]
    fn commit(&self, second: i64, name: &str) -> String {
        files::write(&self.device.home.project().join(name), name);
        self.git(second, &["add", name]);
        self.git(second, &["commit", "--quiet", "--message", name]);
        self.head()
    }

    #[track_caller]
    fn head(&self) -> String {
        self.device.home.git(&["rev-parse", "HEAD"]).ok().text().trim().to_owned()
    }

    /// The user says something at a second of the story, and Claude answers a second later.
    fn turn(&mut self, second: i64, branch: &str) {
        self.said += 1;
        let said = format!("question {}", self.said);
        let answer = json!({
            "id": format!("msg_{}", self.said), "role": "assistant", "model": "claude-x",
            "content": [
                {"type": "text", "text": format!("answer {}", self.said)},
                {"type": "tool_use", "name": "Write", "id": "t", "input": {"file_path": format!("/code/{}", self.said)}},
                {"type": "tool_use", "name": "Bash", "id": format!("b{}", self.said), "input": {"command": format!("run\u{1b}[2J {}", self.said)}},
            ],
        });
        self.line(second, branch, "user", &json!({"role": "user", "content": said}));
        self.line(second + 1, branch, "assistant", &answer);
    }

    fn line(&self, second: i64, branch: &str, kind: &str, message: &Value) {
        let at = Timestamp::from_second(self.begins + second).expect("it is a time");
        let line = json!({
            "type": kind, "uuid": format!("{kind}-{}", self.said), "timestamp": at.to_string(),
            "cwd": self.device.home.project(), "gitBranch": branch, "sessionId": self.session,
            "version": "2.1.0", "permissionMode": "acceptEdits", "message": message,
        });
        files::append(&self.path(), format!("{line}\n").as_bytes());
    }

    fn path(&self) -> PathBuf {
        self.device.home.transcripts().join(format!("{}.jsonl", self.session))
    }

    #[track_caller]
    fn saved(&self) {
        let bytes = files::read(&self.path()).len() as u64;
        self.device.saved_eventually(&self.session, bytes, SAVED_WITHIN);
    }
}

/// What the user asked in the part of a conversation that is shown.
#[track_caller]
fn asked(device: &Device, arguments: &[&str]) -> Vec<u32> {
    let reply = device.ctl_json(&[&["replay"], arguments].concat());
    let messages = reply["messages"].as_array().cloned().unwrap_or_default();
    let number = |message: &Value| {
        message["text"].as_str().and_then(|text| text.strip_prefix("question "))?.parse().ok()
    };
    messages.iter().filter_map(number).collect()
}

fn up_to(last: u32) -> Vec<u32> {
    (1..=last).collect()
}

/// Passages as branch, the commit's number in `commits` (from 1; 0: not known), first and last message.
#[track_caller]
fn passages(device: &Device, session: &str, commits: &[&str]) -> Vec<(String, usize, u64, u64)> {
    let reply = device.ctl_json(&["log", session]);
    let one = |passage: &Value| {
        let commit = passage["commit"].as_str();
        let number = commits.iter().position(|other| commit == Some(*other));
        let before = passage["messages_before"].as_u64().expect("a number");
        let messages = passage["messages"].as_u64().expect("a number");
        let branch = passage["branch"].as_str().unwrap_or_default().to_owned();
        (branch, number.map_or(0, |number| number + 1), before + 1, before + messages)
    };
    reply["passages"].as_array().expect("a list").iter().map(one).collect()
}

/// The number of a save with so many messages.
#[track_caller]
fn save_with(device: &Device, session: &str, messages: u32) -> u64 {
    let reply = device.ctl_json(&["log", session]);
    let saves = reply["saves"].as_array().expect("a list");
    let save = saves.iter().find(|save| save["messages"] == messages).expect("it was saved");
    save["save"].as_u64().expect("a number")
}

/// What the last save has and the first one has not: `commits` are where the code stood.
#[track_caller]
fn check_diff(device: &Device, session: &str, commits: &[&str; 3]) {
    let first = format!("{session}@1");
    let diff = device.ctl_json(&["diff", &first, session]);
    assert_eq!(
        (&diff["common_messages"], &diff["a"]["messages"], &diff["b"]["messages"]),
        (&json!(10), &json!(0), &json!(4)),
        "{diff}"
    );
    assert_eq!(diff["b"]["said"], json!(["question 6", "question 7"]));
    assert_eq!(diff["b"]["files"], json!(["/code/6", "/code/7"]));
    let stood = diff["b"]["passages"].as_array().expect("a list").iter();
    let stood: Vec<&Value> = stood.map(|passage| &passage["commit"]).collect();
    assert_eq!(stood, commits.map(|commit| json!(commit)).iter().collect::<Vec<_>>());
    assert_eq!(diff["a"]["passages"], json!([]));
    insta::assert_snapshot!(told(&device.ctl(&["diff", session, &first])), @r"
        [session]@3 and [session]@1
        =========================
        Both begin with the same 10 messages

        Only in [session]@3: 4 messages
          said  question 6
          said  question 7
          wrote /code/6
          wrote /code/7
          code  main @ [commit]
          code  main @ [commit 2]
          code  main @ [commit 3]

        Only in [session]@1: 0 messages
        --- errors
        --- exit code 0
        ");
}

#[test]
fn every_commit_of_a_session_shows_its_messages_also_those_from_before_the_daemon_ever_ran() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    let mut story = Story::new(ada);
    let one = story.commit(10, "one");
    story.turn(20, "main");
    story.turn(30, "main");
    story.git(40, &["switch", "--quiet", "--create", "feature/oauth"]);
    story.turn(50, "feature/oauth");
    let two = story.commit(60, "two");
    story.turn(70, "feature/oauth");
    let three = story.commit(80, "three");
    story.turn(90, "feature/oauth");
    let (session, begins, said) = (story.session, story.begins, story.said);

    // Only now does the daemon run for the first time.
    ada.start();
    let phrase = ada.init();
    let mut story = Story { device: ada, session: session.clone(), begins, said };
    story.saved();
    story.git(100, &["switch", "--quiet", "main"]);
    story.turn(110, "main");
    story.saved();
    let four = story.commit(120, "four");
    let five = story.commit(130, "five");
    story.turn(140, "main");
    story.saved();

    bob.start();
    bob.join(&phrase);
    let commits = [&*one, &*two, &*three, &*four, &*five];
    let main = |commit, first, last| ("main".to_owned(), commit, first, last);
    let oauth = |commit, first, last| ("feature/oauth".to_owned(), commit, first, last);
    let expected = [
        main(1, 1, 4),
        oauth(1, 5, 6),
        oauth(2, 7, 8),
        oauth(3, 9, 10),
        main(1, 11, 12),
        main(4, 13, 12),
        main(5, 13, 14),
    ];
    for device in [&*ada, &*bob] {
        assert_eq!(passages(device, &session, &commits), expected, "{}", device.name());
        // HEAD stood at the first commit twice; the fourth came and went between two messages.
        for (commit, last) in [(&one, 6), (&two, 4), (&three, 5), (&four, 6), (&five, 7)] {
            let shown = asked(device, &[&session, "--at-commit", commit]);
            assert_eq!(shown, up_to(last), "{} at {commit}", device.name());
            assert_eq!(asked(device, &["--at-commit", &commit[..10]]), up_to(last));
        }
        assert_eq!(asked(device, &[&session, "--at", "1"]), up_to(5));
        let later = save_with(device, &session, 12);
        assert_eq!(asked(device, &[&session, "--at", &format!("@{later}")]), up_to(6));
    }
    check_diff(bob, &session, &[&one, &four, &five]);

    assert_eq!(asked(ada, &[&session, "--at-commit", "feature/oauth~1"]), up_to(4));
    assert!(!bob.home.transcripts().join(format!("{session}.jsonl")).exists());
}

#[test]
fn log_shows_where_it_branched_and_a_commit_that_is_not_of_the_session_is_told_with_those_that_are()
{
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    let mut story = Story::new(ada);
    let one = story.commit(10, "one");
    story.turn(20, "main");
    story.git(30, &["switch", "--quiet", "--create", "feature/oauth"]);
    story.turn(40, "feature/oauth");
    let (session, begins, said) = (story.session, story.begins, story.said);
    ada.start();
    ada.init();
    Story { device: ada, session: session.clone(), begins, said }.saved();

    let log = ada.ctl(&["log"]).ok().text();
    // What a command holds that would move the cursor is gone, and one without a result says nothing of it.
    insta::assert_snapshot!(shown(&log), @r#"
        Session [session] "question 1"
        =============================
        Claude Code 2.1.0
        Model       claude-x
        Permissions acceptEdits (not applied by resume)
        Saved with  ConvoSync [version], [git], [system]

        📝 Message 1-2: On main @ [commit]
           [question 1]
           $ run [2J 1

        🌿 Branched to feature/oauth

        📝 Message 3-4: On feature/oauth @ [commit]
           [question 2]
           $ run [2J 2

        Current State
          You're on: feature/oauth @ [commit]
          ✓ Code and conversation are in sync!

        Saves
            1  [age] · 4 messages · feature/oauth @ [commit]

        Next: convosyncctl replay [session] --at-commit COMMIT
        "#);
    assert!(log.contains(&one[..12]), "{log}");
    let facts = ada.ctl_json(&["show", &session]);
    assert_eq!(facts["used"]["permission_mode"], "acceptEdits");
    assert_eq!(facts["saves"][0]["made_by"]["convosync"], env!("CARGO_PKG_VERSION"));
    insta::assert_snapshot!(told(&ada.ctl(&["replay", "--at-commit", "HEAD"])), @r"
        Session [session] at feature/oauth @ [commit]: 4 of 4 messages
        =================================================================

        user  [time]
        question 1

        assistant  [time]
        answer 1
        [Write]
        [Bash]

        user  [time]
        question 2

        assistant  [time]
        answer 2
        [Write]
        [Bash]
        --- errors
        --- exit code 0
        ");
    insta::assert_snapshot!(told(&ada.ctl(&["replay", &session, "--at-commit", "abcdef0"])), @r"
        --- errors
        convosyncctl: no message was written while the code stood at abcdef0
        hint: `convosyncctl log SESSION` shows what is known: feature/oauth @ [commit], main @ [commit]
        --- exit code 1
        ");
}

#[test]
fn what_subagents_ran_is_listed_where_the_code_stood_then() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    let mut story = Story::new(ada);
    story.commit(10, "one");
    story.turn(20, "main");
    story.git(30, &["switch", "--quiet", "--create", "feature/oauth"]);
    story.turn(40, "feature/oauth");
    let agent = story.path().with_extension("").join("subagents/agent-a1.jsonl");
    let line = |second: i64, kind: &str, content: &Value| {
        let at = Timestamp::from_second(story.begins + second).expect("it is a time");
        let line = json!({
            "type": kind, "timestamp": at.to_string(), "isSidechain": true, "agentId": "a1",
            "sessionId": story.session, "message": {"role": kind, "content": content},
        });
        format!("{line}\n")
    };
    let call = |id: &str, command: &str| json!([{"type": "tool_use", "name": "Bash", "id": id, "input": {"command": command}}]);
    let failed = json!([{"type": "tool_result", "tool_use_id": "b", "is_error": true, "content": "Exit code 2"}]);
    let lines = [
        line(22, "assistant", &call("a", "ls")),
        line(45, "assistant", &call("b", "make")),
        line(46, "user", &failed),
    ];
    files::make_dir(agent.parent().expect("it lies in a folder"));
    files::write(&agent, lines.concat());
    let (session, path) = (story.session.clone(), story.path());
    ada.start();
    ada.init();
    let bytes = files::read(&path).len() + lines.concat().len();
    ada.saved_eventually(&session, bytes as u64, SAVED_WITHIN);

    let log = ada.ctl_json(&["log", &session]);
    let ran = |passage: usize| {
        let commands = log["passages"][passage]["commands"].as_array().cloned().unwrap_or_default();
        let one = |command: &Value| {
            (command["command"].clone(), command["by_agent"].clone(), command["exit_code"].clone())
        };
        commands.iter().map(one).collect::<Vec<_>>()
    };
    let own = |number: u32| (json!(format!("run [2J {number}")), Value::Null, Value::Null);
    assert_eq!(ran(0), [own(1), (json!("ls"), json!(true), Value::Null)]);
    assert_eq!(ran(1), [own(2), (json!("make"), json!(true), json!(2))]);
    let log = ada.ctl(&["log"]).ok().text();
    assert!(log.contains("   $ make  (exit code 2)  (a subagent)\n"), "{log}");
}

#[test]
fn without_a_reflog_what_the_daemon_saw_counts_and_the_rest_is_not_known() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    let mut story = Story::new(ada);
    switch_reflog_off(story.device);
    let one = story.commit(10, "one");
    story.turn(20, "main");
    let (session, begins, said) = (story.session, story.begins, story.said);
    ada.start();
    ada.init();
    let story = Story { device: ada, session: session.clone(), begins, said };
    story.saved();
    let main = |commit, first, last| ("main".to_owned(), commit, first, last);
    assert_eq!(passages(ada, &session, &[&one]), [main(0, 1, 2), main(1, 3, 2)]);
    insta::assert_snapshot!(told(&ada.ctl(&["log"])), @r#"
        Session [session] "question 1"
        =============================
        Claude Code 2.1.0
        Model       claude-x
        Permissions acceptEdits (not applied by resume)
        Saved with  ConvoSync [version], [git], [system]

        📝 Message 1-2: On main, commit not known
           [question 1]
           $ run [2J 1

        📝 No message, after 2: On main @ [commit]

        Current State
          You're on: main @ [commit]
          ✓ Code and conversation are in sync!

        Saves
            1  [age] · 2 messages · main @ [commit]

        Next: convosyncctl replay [session] --at-commit COMMIT
        --- errors
        --- exit code 0
        "#);
}

/// Switches the reflog off, and takes away what it has.
fn switch_reflog_off(device: &Device) {
    device.home.git(&["config", "core.logAllRefUpdates", "false"]).ok();
    files::remove_tree(&device.home.project().join(".git/logs"));
}
