//! What `resume` tells besides the code: that a newer save exists, and that Claude Code here is older than the one
//! that wrote the conversation.

use convosync_tests::told::told;
use convosync_tests::{Device, Run, files, program};

use crate::stage::{NEEDS_DECISION, Stage, transcript};
use crate::terminal::{ASKED, DOWN, ENTER, Terminal, boxed};

/// How long the transcript on the second device is.
fn length(device: &Device, session: &str) -> usize {
    files::read(&transcript(device, session)).len()
}

#[test]
fn an_older_save_that_was_named_comes_with_a_warning() {
    let mut stage = Stage::new(|_| {});
    stage.save_again();
    let (_, bob, session) = stage.pair();
    let first = format!("{session}@1");

    let foreseen = |option: &str, name: &str| {
        let reply = bob.ctl_json(&["resume", "--dry-run", option, name]);
        (reply["new_messages"].as_u64().expect("it is a number"), reply["warnings"].clone())
    };
    let (older, warnings) = foreseen("--exact", &first);
    assert_eq!(warnings, serde_json::json!([]));
    let (newer, warnings) = foreseen("--newest", &first);
    assert_eq!(warnings, serde_json::json!([]));
    assert!(newer > older);
    assert_eq!(foreseen("--theirs", session), (newer, serde_json::json!([])), "none was named");

    assert_eq!(older, 5);
    insta::assert_snapshot!(told(&bob.ctl(&["resume", &first])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ the code is here already
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! save 1 was named, and the newest is save 2 (ada, [age])
        hint: `convosyncctl resume [session id]` takes the newest
        --- exit code 0
        "#);

    // Nobody went on from it, so it hides nothing.
    stage.save_again();
    let (ada, bob, session) = stage.pair();
    bob.ctl(&["resume", session]).ok();
    assert_eq!(length(bob, session), length(ada, session));
}

#[test]
fn on_a_terminal_a_box_asks_which_save() {
    let mut stage = Stage::new(|_| {});
    stage.save_again();
    let (ada, bob, session) = stage.pair();
    let first = format!("{session}@1");
    let asked = |keys: &str| {
        let mut terminal = Terminal::open(bob, &["resume", &first]);
        let asked = boxed(&terminal.sees(ASKED));
        terminal.types(keys);
        (asked, terminal.ends())
    };
    let (question, code) = asked(&format!("{DOWN}{DOWN}{ENTER}"));
    insta::assert_snapshot!(question, @r"
        ┏━━ A Newer Save Exists ━━━━━━━━━━━━━━━━━━━━━━━━
        ┃ You named: save 1
        ┃ Newest:    save 2 (ada, [age])
        ┃
        ┃ What goes on from an older save goes another way than the newest.
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? What now?
        > Take save 2 (recommended)
          Take save 1
          Cancel: don't resume
        ");
    assert_eq!(code, NEEDS_DECISION);
    assert!(!transcript(bob, session).exists());
    assert_eq!(asked(ENTER), (question.clone(), 0));
    assert_eq!(length(bob, session), length(ada, session));
    assert_eq!(asked(&format!("{DOWN}{ENTER}")), (question, 0));
    assert_eq!(length(bob, session), length(ada, session), "no line is taken away");
}

/// Resumes where `claude` is this program.
fn resume_beside(device: &Device, claude: &str, arguments: &[&str]) -> Run {
    let bin = device.home.root().join("bin");
    files::make_dir(&bin);
    files::write_program(&bin.join("claude"), &format!("#!/bin/sh\n{claude}\n"));
    let path = std::env::var("PATH").expect("there is one");
    let mut command = device.home.command(program::binary("convosyncctl"));
    command.arg("resume").args(arguments).env("PATH", format!("{}:{path}", bin.display()));
    program::run(&mut command, b"", program::DEADLINE)
}

#[test]
fn an_older_claude_code_is_told_and_keeps_nobody_from_going_on() {
    let mut stage = Stage::new(|_| {});
    let (_, bob, session) = stage.pair();
    let said = "wrote the conversation, and 2.1.5 is installed here";
    let older = "[ \"$1\" = --version ] && echo '2.1.5 (Claude Code)' || echo \"went on: $*\"";
    insta::assert_snapshot!(told(&resume_beside(bob, older, &[session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ the code is here already
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! Claude Code 2.1.197 wrote the conversation, and 2.1.5 is installed here: it may not understand all of it
        hint: `claude update` brings the newest
        --- exit code 0
        "#);
    let run = resume_beside(bob, older, &["--launch", session]).ok();
    assert!(run.errors().contains(said), "{run}");
    assert!(run.text().contains(&format!("went on: --resume {session}")), "{run}");
    for silent in ["echo '99.0.0 (Claude Code)'", "echo nonsense", "exit 1", "exec sleep 600"] {
        let run = resume_beside(bob, silent, &[session]).ok();
        assert!(!run.errors().contains("wrote the conversation"), "{silent}: {run}");
    }
}
