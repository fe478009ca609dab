//! What a person types into the shell travels with the session where they want it, and `log` shows it elsewhere.

use std::path::PathBuf;

use convosync_core::id::SeededRandom;
use convosync_core::shell_history::AFTER_MS;
use convosync_tests::program::{self, Run};
use convosync_tests::synthetic::uuid;
use convosync_tests::world::Way;
use convosync_tests::{Device, World, files};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::SAVED_WITHIN;
use crate::terminal::{DOWN, ENTER, Terminal};

/// How long ago the conversation began, in seconds.
const AGO: i64 = 7200;

/// So many seconds after its last message a line still belongs to it.
const AFTER: i64 = AFTER_MS / 1_000;

/// A conversation whose first half was written before a commit, and a shell beside it.
struct Evening {
    session: String,
    begins: i64,
}

impl Evening {
    /// Talks and commits on a device, whose user wants the shell's history along.
    fn on(device: &Device) -> Self {
        device.home.write_config("[context]\nshell_history = true\n");
        let begins = Timestamp::now().as_second() - AGO;
        let evening = Self { session: uuid(&mut SeededRandom::new(77)), begins };
        files::write(&device.home.project().join(".git/logs/HEAD"), "");
        evening.commit(device, -10, "one");
        evening.says(device, 0, "main");
        evening.commit(device, 1000, "two");
        evening.says(device, 2000, "main");
        evening
    }

    fn commit(&self, device: &Device, second: i64, name: &str) {
        let date = format!("@{} +0000", self.begins + second);
        files::write(&device.home.project().join(name), name);
        device.home.git(&["add", name]).ok();
        let mut git = device.home.command("git");
        git.args(["commit", "-q", "-m", name]);
        git.env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date);
        program::run(&mut git, b"", program::DEADLINE).ok();
    }

    fn says(&self, device: &Device, second: i64, branch: &str) {
        let at = Timestamp::from_second(self.begins + second).expect("it is a time");
        let line = json!({
            "type": "user", "uuid": format!("u{second}"), "timestamp": at.to_string(),
            "cwd": device.home.project(), "gitBranch": branch, "sessionId": self.session,
            "message": {"role": "user", "content": format!("question at {second}")},
        });
        files::append(&self.path(device), format!("{line}\n").as_bytes());
    }

    fn path(&self, device: &Device) -> PathBuf {
        device.home.transcripts().join(format!("{}.jsonl", self.session))
    }

    /// Lines as bash writes them, each behind its second of the evening.
    fn typed(&self, lines: &[(i64, &str)]) -> String {
        let one = |(second, line): &(i64, &str)| format!("#{}\n{line}\n", self.begins + second);
        lines.iter().map(one).collect()
    }
}

fn bash_history(device: &Device) -> PathBuf {
    device.home.dir().join(".bash_history")
}

/// Runs the client in a terminal of bash's.
#[track_caller]
fn ctl(device: &Device, words: &[&str]) -> Run {
    in_shell(device, &[("SHELL", "/bin/bash")], words)
}

#[track_caller]
fn in_shell(device: &Device, variables: &[(&str, &str)], words: &[&str]) -> Run {
    let mut command = device.home.command(program::binary("convosyncctl"));
    command.args(words).envs(variables.iter().copied());
    program::run(&mut command, b"", program::DEADLINE)
}

/// The lines of each passage.
#[track_caller]
fn typed_in(device: &Device, session: &str) -> Vec<Vec<String>> {
    let log = device.ctl_json(&["log", session]);
    let of = |passage: &Value| -> Vec<String> {
        let lines = passage["typed"].as_array().cloned().unwrap_or_default();
        lines.iter().map(|one| one["line"].as_str().expect("a line").to_owned()).collect()
    };
    log["passages"].as_array().expect("a list").iter().map(of).collect()
}

#[test]
fn what_was_typed_while_a_session_was_written_is_shown_elsewhere_where_the_code_stood() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    let evening = Evening::on(ada);
    ada.start();
    let phrase = ada.init();
    let begun = "untimed\n".to_owned()
        + &evening.typed(&[
            (-500, "before the session"),
            (10, "make one"),
            (20, "export API_KEY=k"),
            (30, " not to be remembered"),
            (2010, "make\u{1b}[2J two"),
            (2000 + AFTER, "at the end of it"),
            (2001 + AFTER, "in another project, long after it"),
            (AGO + 9999, "still to come"),
        ]);
    files::write(&bash_history(ada), &begun);
    let save = ["save", "--stash"];
    let foreseen = ctl(ada, &["save", "--stash", "--dry-run"]).ok();
    assert!(
        foreseen.text().contains("would take 3 lines of the shell's history along"),
        "{foreseen}"
    );
    let first = ctl(ada, &save).ok();
    assert!(first.text().contains("terminal: 3 lines of the shell's history taken"), "{first}");
    assert!(first.errors().contains("1 line of the shell's history not taken along"), "{first}");
    let at_first = ada.session(&evening.session).expect("it is saved")["save"].clone();

    // A terminal that is closed later writes what was typed in it before.
    files::append(
        &bash_history(ada),
        evening.typed(&[(2020, "make three"), (15, "ls")]).as_bytes(),
    );
    let second = ctl(ada, &[&save[..], &["--json"]].concat()).ok();
    let second: Value = serde_json::from_str(&second.text()).expect("it is JSON");
    assert_eq!(
        (&second["shell_lines"], &second["shell_lines_withheld"]),
        (&json!(2), &Value::Null)
    );
    // To save is a line itself.
    files::append(&bash_history(ada), evening.typed(&[(2025, "convosyncctl save")]).as_bytes());
    let third = ctl(ada, &save).ok();
    assert!(third.text().contains("nothing new since save"), "{third}");
    assert!(!third.text().contains("terminal:"), "{third}");
    // What the daemon saves by itself keeps them.
    evening.says(ada, 3000, "main");
    let length = files::read(&evening.path(ada)).len() as u64;
    ada.saved_eventually(&evening.session, length, SAVED_WITHIN);

    bob.start();
    bob.join(&phrase);
    let all = vec![vec!["make one", "ls"], vec!["make [2J two", "make three", "at the end of it"]];
    for device in [&*ada, &*bob] {
        assert_eq!(typed_in(device, &evening.session), all, "{}", device.name());
    }
    let at_first = format!("{}@{at_first}", evening.session);
    assert_eq!(
        typed_in(bob, &at_first),
        vec![vec!["make one"], vec!["make [2J two", "at the end of it"]]
    );
    let log = bob.ctl(&["log", &evening.session]).ok().text();
    assert!(log.contains("   > make one  on ada\n") && !log.contains('\u{1b}'), "{log}");
    let shown = bob.ctl(&["show", &evening.session]).ok().text();
    assert!(shown.contains("5 lines of the shell's history"), "{shown}");

    // On the other device nothing is written into a history, nor taken from it unless its user wants that.
    bob.ctl(&["resume", &evening.session]).ok();
    assert!(!bash_history(bob).exists());
    files::write(&bash_history(bob), evening.typed(&[(2030, "what bob typed")]));
    let unwanted = ctl(bob, &save).ok();
    assert!(!unwanted.text().contains("terminal:"), "{unwanted}");
    bob.home.write_config("[context]\nshell_history = true\n");
    let wanted = ctl(bob, &save).ok();
    assert!(wanted.text().contains("terminal: 1 line of the shell's history"), "{wanted}");
    let log = bob.ctl(&["log", &evening.session]).ok().text();
    assert!(log.contains("> what bob typed  on bob\n   > at the end of it  on ada\n"), "{log}");
}

#[test]
fn without_a_repository_the_lines_stand_in_one_passage_whose_place_is_not_known() {
    let mut world = World::new(&["ada"], Way::File);
    let url = world.remote.file_url();
    let ada = &mut world.devices[0];
    files::remove_tree(&ada.home.project().join(".git"));
    // The configuration ends with `[store]`.
    ada.home.write_config(&format!("remote = \"{url}\"\n[context]\nshell_history = true\n"));
    let begins = Timestamp::now().as_second() - AGO;
    let evening = Evening { session: uuid(&mut SeededRandom::new(77)), begins };
    evening.says(ada, 0, "");
    ada.start();
    ada.init();
    files::write(&bash_history(ada), evening.typed(&[(10, "make one")]));
    ctl(ada, &["save", "-m", "no repository"]).ok();
    assert_eq!(typed_in(ada, &evening.session), [["make one"]]);
    let log = ada.ctl(&["log", &evening.session]).ok().text();
    assert!(log.contains("Message 1: On not known\n"), "{log}");
    assert!(log.contains("   > make one  on ada\n"), "{log}");
}

#[test]
fn a_history_without_times_or_that_is_no_file_of_ones_own_is_told_and_nothing_of_it_taken() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    let evening = Evening::on(ada);
    ada.start();
    ada.init();
    let at_home = |name: &str| ada.home.dir().join(name);
    let said = |variables: &[(&str, &str)]| {
        in_shell(ada, variables, &["save", "--stash", "--dry-run"]).ok().to_string()
    };
    let (bash, zsh) = (("SHELL", "/bin/bash"), ("SHELL", "/bin/zsh"));
    assert!(said(&[bash]).contains("there is no file"));
    assert!(said(&[("SHELL", "/bin/sh")]).contains("bash, zsh and fish are known"));
    files::write(&bash_history(ada), "make\n");
    assert!(said(&[bash]).contains("HISTTIMEFORMAT='%F %T '"));
    files::write(&at_home(".zsh_history"), "make\n");
    assert!(said(&[zsh]).contains("setopt EXTENDED_HISTORY"));
    std::os::unix::fs::symlink(at_home(".bash_history"), at_home("link")).expect("a link");
    let link = at_home("link").display().to_string();
    assert!(said(&[bash, ("HISTFILE", &link)]).contains("is a symbolic link"));
    let pipe = at_home("pipe").display().to_string();
    program::run(ada.home.command("mkfifo").arg(&pipe), b"", program::DEADLINE).ok();
    assert!(said(&[bash, ("HISTFILE", &pipe)]).contains("is not a regular file"));
    assert!(said(&[bash, ("HISTFILE", "")]).contains("HISTFILE is empty"));

    let at = evening.begins + 5;
    files::write(&at_home(".zsh_history"), format!(": {at}:0;make\\\n all\n: {at}:0;ls\n"));
    assert!(said(&[zsh]).contains("would take 2 lines"));
    let fish = at_home(".local/share/fish/fish_history");
    files::make_dir(fish.parent().expect("it lies in a folder"));
    files::write(&fish, format!("- cmd: make\n  when: {at}\n"));
    assert!(said(&[("SHELL", "/usr/bin/fish")]).contains("would take 1 line of"));
    ada.home.write_config("");
    assert!(!said(&[zsh]).contains("history"), "it is off unless somebody wants it");
}

#[test]
fn the_box_of_an_interactive_save_offers_the_lines_of_the_shell() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    let evening = Evening::on(ada);
    ada.start();
    ada.init();
    files::write(&bash_history(ada), evening.typed(&[(5, "make")]));
    let save = |keys: &str| {
        let mut command = ada.home.command(program::binary("convosyncctl"));
        command.args(["save", "-i"]).env("SHELL", "/bin/bash");
        let mut terminal = Terminal::run(command);
        terminal.sees("Message:");
        terminal.types(ENTER);
        terminal.sees("Terminal: take 1 line of the shell's history along");
        terminal.types(keys);
        terminal.sees("Save\\?");
        terminal.types("y\r");
        assert_eq!(terminal.ends(), 0);
        ada.ctl_json(&["show", &evening.session])["used"]["shell_lines"].clone()
    };
    // Without the tick nothing is told of them.
    assert_eq!(save(&format!("{DOWN} {ENTER}")), Value::Null);
    assert_eq!(save(ENTER), json!(1));
}
