//! The connection itself: handshakes, strange daemons, closed pipes, a missing daemon.

use std::io::{self, Write};
use std::path::Path;

use convosyncctl::ExitCode;
use serde_json::json;

use crate::check_text;
use crate::fake::{Fake, Say, env_at, run_in};
use crate::samples;

#[test]
fn the_first_line_is_the_greeting_and_carries_the_agent() {
    let fake = Fake::start(vec![("status", vec![Say::Result(samples::status())])]);
    let mut env = fake.env();
    env.variables.insert("SSH_AUTH_SOCK".into(), "/run/agent".into());
    run_in(&env, "status");
    let hello = &fake.asked("hello")[0];
    assert_eq!(hello["protocol"], 1);
    assert_eq!(hello["client"], "convosyncctl");
    assert_eq!(hello["ssh_auth_sock"], "/run/agent");
}

#[test]
fn the_directory_asked_about_can_be_another() {
    let fake = Fake::start(vec![("status", vec![Say::Result(samples::status())])]);
    fake.run("-C sub status");
    fake.run("status --directory /abs");
    let asked = fake.asked("status");
    let told = |directory: &str| json!({ "directory": directory, "tells": true });
    assert_eq!(asked, [told("/work-tree/sub"), told("/abs")]);
}

#[test]
fn a_daemon_of_another_protocol_is_named() {
    let fake = Fake::start_with(&json!({ "protocol": 7, "version": "9.9" }), Vec::new());
    let ran = fake.run("status");
    assert_eq!(ran.code, ExitCode::Failed);
    assert!(ran.err.contains("speaks protocol 7 (version 9.9), this client 1\nhint: restart"));
}

#[test]
fn an_answer_that_is_none_is_an_error_and_not_a_hang() {
    let long = format!("{}\n", "x".repeat((1 << 20) + 1));
    for (say, message) in [
        (vec![Say::HangUp], "closed the connection before it answered"),
        (vec![Say::Raw("nonsense\n".into())], "cannot be understood"),
        (vec![Say::Raw(long)], "longer than 1048576 bytes"),
        (vec![Say::Result(json!({ "version": 1 }))], "cannot be understood"),
    ] {
        let fake = Fake::start(vec![("status", say)]);
        let ran = fake.run("status");
        assert_eq!(ran.code, ExitCode::Failed, "{message}");
        assert!(ran.err.contains(message), "{}", ran.err);
    }
}

#[test]
fn lines_for_others_are_passed_over() {
    let says = vec![
        Say::Raw("{\"jsonrpc\":\"2.0\",\"id\":999,\"result\":{}}\n".into()),
        Say::Raw("{\"jsonrpc\":\"2.0\",\"method\":\"later\",\"params\":[]}\n".into()),
        Say::Result(samples::status()),
    ];
    let fake = Fake::start(vec![("status", says)]);
    assert_eq!(fake.run("status").code, ExitCode::Ok);
}

#[test]
fn without_a_daemon_every_command_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let lines = ["status", "list", "save", "resume", "sync", "watch", "enable", "init --yes"];
    for line in lines {
        let ran = run_in(&env_at(dir.path()), &format!("{line} --no-start"));
        assert_eq!(ran.code, ExitCode::NoDaemon, "{line}");
        assert!(ran.err.contains("hint: start it with `convosyncctl service start`"), "{line}");
    }
    let ran = run_in(&env_at(dir.path()), "status");
    check_text("no-daemon-program", &ran, dir.path());
}

#[test]
fn a_socket_path_that_is_too_long_is_refused_with_a_way_out() {
    let home = Path::new("/tmp").join("x".repeat(120));
    let ran = run_in(&env_at(&home), "status");
    assert_eq!(ran.code, ExitCode::Failed);
    assert!(ran.err.contains("hint: set CONVOSYNC_HOME to a shorter path"), "{}", ran.err);
}

/// An output whose reader has gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_the_readers_wish() {
    let fake = Fake::start(vec![("status", vec![Say::Result(samples::status())])]);
    for line in ["status", "status --json", "--help"] {
        let words = std::iter::once("convosyncctl").chain(line.split(' ')).map(Into::into);
        let code = convosyncctl::run(words, &fake.env(), &mut Closed, &mut Closed);
        assert_eq!(code, ExitCode::Ok, "{line}");
    }
}

#[test]
fn colours_are_for_terminals_without_no_color() {
    let fake = Fake::start(vec![("status", vec![Say::Result(samples::status())])]);
    let mut env = fake.env();
    env.terminal.colour = true;
    assert!(run_in(&env, "status").out.contains("\u{1b}["));
    env.variables.insert("NO_COLOR".into(), "1".into());
    assert!(!run_in(&env, "status").out.contains("\u{1b}["));
    env.variables.insert("LC_ALL".into(), "C".into());
    assert!(run_in(&env, "status").out.is_ascii());
}
