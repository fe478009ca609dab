//! Questions of `resume` beside its boxes, asked at a terminal: which session, whether to start with other code,
//! whether to commit much. Each is answered both ways.

use convosync_tests::told::{shown, told};
use convosync_tests::work::write;
use convosync_tests::{files, program, work};

use crate::stage::{NEEDS_DECISION, Stage, git, on_a_topic, transcript};
use crate::terminal::{ENTER, Terminal, boxed, drawn, plain};

const ESCAPE: &str = "\u{1b}";

#[test]
fn without_a_name_a_list_asks_which_session() {
    let mut stage = Stage::new(|_| {});
    let (_, bob, session) = stage.pair();
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--list"])), @r#"
        1 session, newest first
        =======================
         1. [session]  [age]
            💻 ada → main @ [commit]
            "Work on [session]"
            5 messages · save 1 · app

        Remotes asked [age]; `list --refresh` asks them now, `list --all` shows old ones.

        Next: convosyncctl resume [session]
        --- errors
        --- exit code 0
        "#);
    let mut terminal = Terminal::open(bob, &["resume"]);
    let list = terminal.sees("Which session(?s).*to filter\\]");
    insta::assert_snapshot!(drawn(&list), @r#"
        ? Which session?
        > [session] · 💻 ada · [age] · main · "Work on [session]"
        [↑↓ to move, enter to select, type to filter]
        "#);
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
        let asked = terminal.sees("Start Claude Code with this code all the same\\?");
        terminal.types(&format!("{word}{ENTER}"));
        (boxed(&asked), terminal)
    };

    let (asked, mut terminal) = open("n");
    insta::assert_snapshot!(asked, @r"
        ┏━━ WARNING: NOT THE SAME CODE ━━━━━━━━━━━━━━━━━
        ┃ the conversation is on feature/oauth, and here main is checked out
        ┃
        ┃ hint: `git switch feature/oauth`
        ┃
        ┃ the conversation's code is at commit [commit], and here at [commit 2]
        ┃
        ┃ hint: `git fetch`, then `git merge --ff-only [commit]` (or `git switch --detach [commit]`); if git does not know it, push it on the other device
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? Start Claude Code with this code all the same?
        ");
    let why = terminal.sees("(?s)convosyncctl: Claude Code was not started.*hint: [^\\r]*");
    let why = plain(&why);
    let begin = why.find("convosyncctl: ").expect("it was seen");
    insta::assert_snapshot!(shown(&why[begin..]), @r"
        convosyncctl: Claude Code was not started: the code here is not the code of the conversation
        hint: when it is what you want: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        ");
    assert_eq!(terminal.ends(), NEEDS_DECISION);
    assert!(transcript(bob, session).exists(), "the conversation is here all the same");
    let (asked_again, mut terminal) = open("y");
    assert_eq!(asked_again, asked);
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
    let asked = plain(&terminal.sees("Commit all of it\\?"));
    let begin = asked.find("! ").expect("it is told of");
    insta::assert_snapshot!(shown(&asked[begin..]), @r"
        ! what would be committed is large: `large.bin` (50.0 MiB)
        hint: keep large files out of git with `git lfs track`, or name them in `.gitignore`; many hosts refuse files of more than 100 MiB
        ? Commit all of it?
        ");
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

#[test]
fn the_box_of_an_interactive_save_shows_what_there_is_and_asks_for_each_part() {
    let mut stage = Stage::new(work::leave);
    let (ada, _, _) = stage.pair();
    let mut terminal = Terminal::open(ada, &["save", "-i"]);
    insta::assert_snapshot!(boxed(&terminal.sees("Message:[^\\n]*")), @r"
        ┏━━ Save session ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ┃ Session: Work on [session]
        ┃ Branch: main
        ┃ Changes: 2 changed files and 1 new file
        ┃ Not committed: 1 path
        ┃ Conversation: 5 messages when last saved
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        ? Message: (WIP: sync session)
        ");
    terminal.types(&format!("sign-in{ENTER}"));
    let asked = plain(&terminal.sees("What to do(?s).*have the session"));
    let begin = asked.rfind("? What").expect("it was seen");
    insta::assert_snapshot!(drawn(&asked[begin..]), @r"
        ? What to do?
        > [x] Code changes: commit them
          [x] Send: push the branch, and let other devices have the session
        ");
    terminal.types(ENTER);
    terminal.sees("Save\\?");
    terminal.types(&format!("y{ENTER}"));
    terminal.sees("committed 2 changed files and 1 new file to main");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(git(ada, &["log", "-1", "--format=%s"]), "sign-in [ConvoSync]");
}
