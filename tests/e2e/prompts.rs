//! Questions of `resume` beside its boxes, asked at a terminal: which session, whether to start with other code,
//! whether to commit much. Each is answered both ways.

use convosync_tests::work::write;
use convosync_tests::{files, program, work};

use crate::stage::{NEEDS_DECISION, Stage, git, on_a_topic, transcript};
use crate::terminal::{ENTER, Terminal, plain};

const ESCAPE: &str = "\u{1b}";

#[test]
fn without_a_name_a_list_asks_which_session() {
    let mut stage = Stage::new(|_| {});
    let (_, bob, session) = stage.pair();
    let mut terminal = Terminal::open(bob, &["resume"]);
    let told = plain(
        &terminal
            .sees("Which session(?s).*saved|Which session(?s).*ago|Which session(?s).*just now"),
    );
    assert!(told.contains("ada"), "{told}");
    terminal.types(ESCAPE);
    assert_eq!(terminal.ends(), NEEDS_DECISION);
    assert!(!transcript(bob, session).exists());

    let mut terminal = Terminal::open(bob, &["resume"]);
    terminal.sees("Which session");
    terminal.types(ENTER);
    assert_eq!(terminal.ends(), 0);
    assert!(transcript(bob, session).exists());
}

#[test]
fn claude_code_is_started_with_other_code_only_when_that_is_agreed_to() {
    let mut stage = Stage::new(on_a_topic);
    let (_, bob, session) = stage.pair();
    let bin = bob.home.root().join("bin");
    files::make_dir(&bin);
    files::write_program(&bin.join("claude"), "#!/bin/sh\necho \"went on: $*\"\n");
    let path = std::env::var("PATH").expect("there is one");
    let open = |word: &str| {
        let mut command = bob.home.command(program::binary("convosyncctl"));
        command.args(["resume", "--no-code", "--launch", session]);
        command.env("PATH", format!("{}:{path}", bin.display()));
        let mut terminal = Terminal::run(command);
        terminal.sees("Start Claude Code with this code all the same");
        terminal.types(&format!("{word}{ENTER}"));
        terminal
    };

    let mut terminal = open("n");
    terminal.sees("Claude Code was not started");
    assert_eq!(terminal.ends(), NEEDS_DECISION);
    assert!(transcript(bob, session).exists(), "the conversation is here all the same");
    let mut terminal = open("y");
    terminal.sees(&format!("went on: --resume {session}"));
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn much_is_committed_only_when_that_is_agreed_to() {
    let mut stage = Stage::new(work::leave);
    let (_, bob, session) = stage.pair();
    write(bob, "README.md", "bob's own change\n");
    write(bob, "large.bin", &"x".repeat((50 << 20) + 1));
    let before = git(bob, &["rev-parse", "main"]);
    let status = || git(bob, &["status", "--porcelain"]);
    let stood = status();

    let mut terminal = Terminal::open(bob, &["resume", "--commit", session]);
    let told = plain(&terminal.sees("Commit all of it"));
    assert!(told.contains("large.bin") && told.contains("git lfs track"), "{told}");
    terminal.types(&format!("n{ENTER}"));
    assert_eq!(terminal.ends(), NEEDS_DECISION);
    assert_eq!((git(bob, &["rev-parse", "main"]), status()), (before.clone(), stood));
    assert!(!transcript(bob, session).exists());

    let mut terminal = Terminal::open(bob, &["resume", "--commit", "--beside", session]);
    terminal.sees("Commit all of it");
    terminal.types(&format!("y{ENTER}"));
    assert_eq!(terminal.ends(), 0);
    assert_eq!(git(bob, &["rev-parse", "main~"]), before);
    assert!(git(bob, &["ls-tree", "--name-only", "main"]).contains("large.bin"));
}
