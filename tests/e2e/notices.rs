//! What `resume` tells besides the code: that a newer save exists, and that Claude Code here is older than the one
//! that wrote the conversation.

use convosync_tests::{Device, Run, files, program};

use crate::stage::{NEEDS_DECISION, Stage, transcript};
use crate::terminal::{DOWN, ENTER, Terminal, plain};

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

    let run = bob.ctl(&["resume", &first]).ok();
    assert!(run.errors().contains("save 1 was named, and the newest is save 2 (ada, "), "{run}");
    assert!(run.errors().contains(&format!("`convosyncctl resume {session}` takes")), "{run}");
    assert!(run.text().contains(&format!("conversation restored: {older} messages")), "{run}");

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
        let told = plain(&terminal.sees("What now.*(?s).*Cancel"));
        for line in
            ["━━ A Newer Save Exists ━", "┃ You named: save 1", "┃ Newest:    save 2 (ada, "]
        {
            assert!(told.contains(line), "{line}: {told}");
        }
        terminal.types(keys);
        terminal.ends()
    };
    assert_eq!(asked(&format!("{DOWN}{DOWN}{ENTER}")), NEEDS_DECISION);
    assert!(!transcript(bob, session).exists());
    assert_eq!(asked(ENTER), 0);
    assert_eq!(length(bob, session), length(ada, session));
    assert_eq!(asked(&format!("{DOWN}{ENTER}")), 0);
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
    let run = resume_beside(bob, older, &[session]).ok();
    assert!(run.errors().contains(said) && run.errors().contains("`claude update`"), "{run}");
    let run = resume_beside(bob, older, &["--launch", session]).ok();
    assert!(run.errors().contains(said), "{run}");
    assert!(run.text().contains(&format!("went on: --resume {session}")), "{run}");
    for silent in ["echo '99.0.0 (Claude Code)'", "echo nonsense", "exit 1", "exec sleep 600"] {
        let run = resume_beside(bob, silent, &[session]).ok();
        assert!(!run.errors().contains("wrote the conversation"), "{silent}: {run}");
    }
}
