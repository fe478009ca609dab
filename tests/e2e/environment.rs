//! Variables that a person named travel with a session, and are set on the other device where they are named, too.

use convosync_tests::program::{self, Run, binary};
use convosync_tests::told::{shown, told};
use convosync_tests::world::Way;
use convosync_tests::{Device, World, files};
use serde_json::{Value, json};

use crate::SAVED_WITHIN;
use crate::terminal::{DOWN, ENTER, Terminal};

/// What a shell has to take for nothing but text.
const MODE: &str = "it's $(date); `x` \\ \"日本\"";

fn allow(device: &Device, names: &[&str]) {
    device.home.write_config(&format!("[context]\nenvironment = {names:?}\n"));
}

/// Runs the client with variables of a person's shell.
#[track_caller]
fn ctl(device: &Device, words: &[&str]) -> Run {
    let mut command = device.home.command(binary("convosyncctl"));
    command.args(words).env("APP_MODE", MODE).env("OTHER", "x").env("UNNAMED", "secret-of-ada");
    command.env("DATABASE", "postgres://me:hunter2@db/shop");
    program::run(&mut command, b"", program::DEADLINE)
}

#[test]
fn named_variables_come_along_and_are_set_where_they_are_named_too() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    allow(ada, &["APP_MODE", "OTHER", "DATABASE", "NOT_SET"]);
    allow(bob, &["APP_MODE"]);
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(7);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    insta::assert_snapshot!(told(&ctl(ada, &["save", "--stash"])), @r#"
        ✓ environment taken along: APP_MODE, OTHER
        ✓ saved "Work on [session]" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        ! the variable `DATABASE` is not taken along: it is too long, no text, or holds a password or a private key
        --- exit code 0
        "#);
    // What the daemon saves by itself later tells them no more, and keeps them.
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    bob.start();
    bob.join(&phrase);
    let session = writer.session();
    let facts = bob.ctl(&["show", session]).ok().text();
    assert!(facts.contains("Environment APP_MODE, OTHER\n") && !facts.contains("date"), "{facts}");
    let run = bob.ctl(&["resume", "--shell", session]).ok();
    assert!(!run.text().contains("OTHER"), "{run}");
    insta::assert_snapshot!(shown(&run.errors()), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ the code is here already
        ✓ conversation restored: 10 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl
        ✓ environment set: APP_MODE
        ! environment that came along and is not set: OTHER
        hint: name what you want under `context.environment` here
        "#);
    let claude = "claude() { printf '%s' \"$APP_MODE${OTHER-}${UNNAMED-}\"; }";
    let mut shell = bob.home.command("sh");
    shell.args(["-c", &format!("{claude}; eval \"$1\""), "sh", &run.text()]);
    assert_eq!(program::run(&mut shell, b"", program::DEADLINE).ok().text(), MODE);

    let bin = bob.home.root().join("bin");
    files::write_program(&bin.join("claude"), "#!/bin/sh\nprintf '%s' \"$APP_MODE${OTHER-}\"\n");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
    let mut launch = bob.home.command(binary("convosyncctl"));
    launch.args(["resume", "--launch", session]);
    launch.env("PATH", std::env::join_paths(paths).expect("paths have no colon"));
    let run = program::run(&mut launch, b"", program::DEADLINE).ok();
    assert!(run.text().ends_with(MODE), "{run}");
    let resumed = bob.ctl_json(&["resume", session]);
    assert_eq!(resumed["environment"], json!(["APP_MODE"]));
}

#[test]
fn a_secret_and_what_makes_programs_run_are_refused_by_name() {
    let world = World::new(&["ada"], Way::File);
    let ada = &world.devices[0];
    for (name, why) in [
        ("LD_PRELOAD", "may decide which programs run"),
        ("PATH", "may decide which programs run"),
        ("GITHUB_TOKEN", "holds a secret by its name"),
        ("A B", "is not the name of a variable"),
    ] {
        allow(ada, &[name]);
        let run = ada.ctl(&["config", "check"]).fails();
        assert!(run.errors().contains(&format!("`context.environment`: `{name}` {why}")), "{run}");
    }
    insta::assert_snapshot!(told(&ada.ctl(&["config", "check"])), @r"
        --- errors
        convosyncctl: [world]/ada/cs/config.toml:8:16: `context.environment`: `A B` is not the name of a variable
        --- exit code 1
        ");
}

#[test]
fn the_box_of_an_interactive_save_offers_the_variables() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    allow(ada, &["APP_MODE"]);
    ada.start();
    ada.init();
    let mut writer = ada.writer(8);
    writer.turn();
    let save = |keys: &str| {
        let mut command = ada.home.command(binary("convosyncctl"));
        command.args(["save", "-i"]).env("APP_MODE", "test");
        let mut terminal = Terminal::run(command);
        terminal.sees("Message:");
        terminal.types(ENTER);
        terminal.sees("Environment: take APP_MODE along");
        terminal.types(keys);
        terminal.sees("Save\\?");
        terminal.types("y\r");
        assert_eq!(terminal.ends(), 0);
        ada.ctl_json(&["show", writer.session()])["used"]["environment"].clone()
    };
    // Without the tick nothing is told of them.
    assert_eq!(save(&format!("{DOWN} {ENTER}")), Value::Null);
    assert_eq!(save(ENTER), json!(["APP_MODE"]));
}
