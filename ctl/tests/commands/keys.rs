//! `init`, `join`, `key`: secrets, and the files they go into.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use convosync_core::protocol::{ErrorKind, Failure};
use convosyncctl::ExitCode;
use serde_json::{Value, json};

use crate::check_text;
use crate::fake::{Fake, Say, run_in};
use crate::samples;

/// A phrase with a right checksum.
const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
    abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
    abandon abandon abandon art";

fn no_keys(mut script: crate::fake::Script, enable: Say) -> Fake {
    script.push(("enable", vec![enable]));
    Fake::start_with(&json!({ "initialised": false }), script)
}

fn init_answer() -> (&'static str, Vec<Say>) {
    ("init", vec![Say::Result(samples::keys())])
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn init_yes_writes_the_phrase_before_keys_are_made() {
    let enabled = Say::Result(samples::enabled(&samples::good_probe()));
    let fake = no_keys(vec![init_answer()], enabled);
    let ran = fake.run("init --yes --name lap --kind laptop --all");
    check_text("init", &ran, fake.home());
    let file = fake.home().join("convosync-recovery-phrase.txt");
    let phrase = std::fs::read_to_string(&file).unwrap();
    assert_eq!((mode(&file), phrase.split_whitespace().count()), (0o600, 24));
    let asked = &fake.asked("init")[0];
    assert_eq!(asked["phrase"], phrase.trim_end());
    assert_eq!((&asked["name"], &asked["kind"]), (&json!("lap"), &json!("laptop")));
    assert_eq!(fake.asked("enable")[0]["all"], true);

    let again = fake.run("init --yes --name lap");
    assert_eq!(again.code, ExitCode::Failed);
    assert!(again.err.contains("exists already\nhint: move it"), "{}", again.err);
    assert_eq!(fake.asked("init").len(), 1);

    let json = fake.run("init --yes --json --phrase-file here.txt -C .");
    assert_eq!(json.code, ExitCode::Failed, "a folder that is not there");
    let path = fake.home().join("second.txt");
    let json = fake.run(&format!("init --yes --json --phrase-file {}", path.display()));
    let answer: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(answer["phrase_file"], path.to_str().unwrap());
    assert_eq!(answer["init"], samples::keys());
    assert!(!json.out.contains(fake.asked("init")[1]["phrase"].as_str().unwrap()));
}

#[test]
fn init_outside_a_project_still_makes_keys() {
    let failure = Failure::new(ErrorKind::NoRemote, "`/work-tree` has no git remote")
        .with_hint("git remote add origin URL");
    let fake = no_keys(vec![init_answer()], Say::Failure(failure));
    let ran = fake.run("init --yes --name lap --kind laptop");
    check_text("init-no-remote", &ran, fake.home());
    assert_eq!(ran.code, ExitCode::Ok);

    let offline = Say::Failure(Failure::new(ErrorKind::Offline, "no network"));
    let fake = no_keys(vec![init_answer()], offline);
    assert_eq!(fake.run("init --yes").code, ExitCode::KeptLocally);
}

#[test]
fn init_that_fails_leaves_no_phrase_behind() {
    let failure = Say::Failure(Failure::new(ErrorKind::Failed, "no space left"));
    let fake = no_keys(vec![("init", vec![failure])], Say::HangUp);
    let file = fake.home().join("convosync-recovery-phrase.txt");
    assert_eq!(fake.run("init --yes").code, ExitCode::Failed);
    assert!(!file.exists());

    // Nobody knows whether keys were made when the answer did not come: then the phrase is kept.
    let fake = no_keys(vec![("init", vec![Say::HangUp])], Say::HangUp);
    let file = fake.home().join("convosync-recovery-phrase.txt");
    assert_eq!(fake.run("init --yes").code, ExitCode::Failed);
    assert!(file.exists());
}

#[test]
fn keys_are_made_once_and_never_without_the_phrase_being_seen() {
    let fake = Fake::start(Vec::new());
    for line in ["init --yes", "init", "join --recover -"] {
        let ran = fake.run(line);
        assert_eq!(ran.code, ExitCode::Failed, "{line}");
        assert!(
            ran.err.starts_with("convosyncctl: this device has keys already\nhint: "),
            "{line}"
        );
    }
    let fake = no_keys(Vec::new(), Say::HangUp);
    for line in ["init", "init --json --name x", "join --recover"] {
        let ran = fake.run(line);
        assert_eq!(ran.code, ExitCode::NeedsDecision, "{line}");
        assert!(ran.err.contains("not a terminal"), "{}", ran.err);
    }
    assert!(fake.asked("init").is_empty() && fake.asked("recover").is_empty());
}

#[test]
fn join_reads_the_phrase_from_standard_input() {
    let mut answer = samples::keys();
    answer["remote"] = json!({ "remote": "ssh://h/r", "sessions": 3, "listed_ms": 1 });
    let recover = ("recover", vec![Say::Result(answer)]);
    let fake = no_keys(vec![recover], Say::HangUp);
    let mut env = fake.env();
    let typed = format!("  {}\n", PHRASE.to_uppercase().replacen(' ', "\n", 3));
    env.input = std::cell::RefCell::new(Box::new(std::io::Cursor::new(typed)));
    let ran = run_in(&env, "join --recover - --name lap --kind laptop --remote ssh://h/r");
    check_text("join", &ran, fake.home());
    let asked = &fake.asked("recover")[0];
    assert_eq!(asked["phrase"], PHRASE);
    assert_eq!(
        (&asked["remote"], &asked["directory"]),
        (&json!("ssh://h/r"), &json!("/work-tree"))
    );
    assert!(!ran.out.contains("abandon") && !ran.err.contains("abandon"));
}

#[test]
fn a_wrong_phrase_never_reaches_the_daemon() {
    let fake = no_keys(Vec::new(), Say::HangUp);
    for typed in ["", "abandon", &PHRASE.replace("art", "abandon"), &PHRASE.replace("art", "xyzzy")]
    {
        let mut env = fake.env();
        env.input = std::cell::RefCell::new(Box::new(std::io::Cursor::new(typed.to_owned())));
        let ran = run_in(&env, "join --recover -");
        assert_eq!(ran.code, ExitCode::Failed, "{typed}");
    }
    assert!(fake.asked("recover").is_empty());
}

#[test]
fn plain_join_says_that_pairing_comes_later() {
    let fake = no_keys(Vec::new(), Say::HangUp);
    check_text("join-later", &fake.run("join"), fake.home());
}

#[test]
fn exported_keys_go_into_a_private_file_or_on_paper() {
    let answer = json!({ "text": "# convosync keys\nAGE-SECRET-KEY-1\n" });
    let fake = Fake::start(vec![("key-export", vec![Say::Result(answer.clone())])]);
    let ran = fake.run("key export");
    check_text("key-export", &ran, fake.home());
    let file = fake.home().join("convosync-keys.txt");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), answer["text"]);
    assert_eq!(fake.run("key export").code, ExitCode::Failed, "never written over");
    assert_eq!(fake.run("key export --print").out, "# convosync keys\nAGE-SECRET-KEY-1\n");
    let json = fake.run("key export --print --json");
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), answer);
}
