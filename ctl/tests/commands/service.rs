//! `service` as far as it needs no service manager.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use convosync_core::protocol::{ErrorKind, Failure};
use convosyncctl::{Env, ExitCode};
use serde_json::{Value, json};

use crate::check_text;
use crate::fake::{Fake, Say, env_at, run_in};
use crate::samples;

/// Puts a program into a folder, which is the whole `PATH`.
#[expect(clippy::disallowed_methods, reason = "tests write programs")]
fn program(env: &mut Env, name: &str, text: &str) -> PathBuf {
    let home = PathBuf::from(env.get("HOME").unwrap());
    let bin = home.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join(name), text).unwrap();
    std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    env.variables.insert("PATH".into(), bin.clone().into());
    bin.join(name)
}

#[test]
fn a_dry_run_shows_files_and_commands_and_does_neither() {
    let _alone = crate::fake::alone();
    let dir = tempfile::tempdir().unwrap();
    let mut env = env_at(dir.path());
    program(&mut env, "convosyncd", "#!/bin/sh\n");
    let ran = run_in(&env, "service install --dry-run --kind systemd");
    check_text("service-dry-install", &ran, dir.path());
    assert!(!dir.path().join(".config").exists());
    let ran = run_in(&env, "service uninstall --dry-run --kind systemd");
    check_text("service-dry-uninstall", &ran, dir.path());
    let json = run_in(&env, "service install --dry-run --kind launchd --json").out;
    let answer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["kind"], "launchd");
    assert_eq!(answer["steps"][1]["do"], "write");
    let ran = run_in(&env, "service install --dry-run --kind plain");
    assert!(ran.out.starts_with("A plain background process has no files"));
}

#[test]
fn installing_needs_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(&env_at(dir.path()), "service install");
    assert_eq!(ran.code, ExitCode::Failed);
    assert!(ran.err.contains("hint: install `convosyncd` beside"), "{}", ran.err);
}

/// Stands in for the service tool: notes what it was asked, and knows the fake daemon's process.
fn systemctl(env: &mut Env, pid: u32) {
    let text = format!(
        "#!/bin/sh\necho \"$*\" >> \"$HOME/asked\"\ncase \"$2\" in show) echo {pid};; is-active) echo active;; esac\n"
    );
    program(env, "convosyncd", "#!/bin/sh\n");
    program(env, "systemctl", &text);
}

fn asked(home: &Path) -> String {
    std::fs::read_to_string(home.join("asked")).unwrap_or_default()
}

#[test]
fn status_tells_file_manager_and_process() {
    let _alone = crate::fake::alone();
    let fake = Fake::start(Vec::new());
    let mut env = fake.env();
    systemctl(&mut env, 4242);
    let ran = run_in(&env, "service status --kind systemd");
    check_text("service-status-none", &ran, fake.home());
    let unit = fake.home().join(".config/systemd/user/convosyncd.service");
    std::fs::create_dir_all(unit.parent().unwrap()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "tests write service files")]
    std::fs::write(&unit, "# Written by `convosyncctl service install`\n").unwrap();
    check_text("service-status", &run_in(&env, "service status --kind systemd"), fake.home());
    let json = run_in(&env, "service status --kind systemd --json").out;
    let answer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&answer["installed"], &answer["manager"]), (&json!(true), &json!("active")));
    assert_eq!(answer["daemon"]["pid"], 4242);
}

/// Runs `service install` where a daemon answers at once, as it would after systemd started it. There
/// is no old one to stop, since the fake never leaves.
fn install(probe: Say, pid: u32) -> (Fake, crate::fake::Ran) {
    let fake = Fake::start(vec![("probe", vec![probe]), ("reload", vec![Say::Result(json!({}))])]);
    let mut env = fake.env();
    systemctl(&mut env, pid);
    env.variables.insert("SSH_AUTH_SOCK".into(), "/run/agent".into());
    // The socket appears only when systemctl has been run.
    let socket = fake.home().join("run/convosyncd.sock");
    let hidden = fake.home().join("run/hidden.sock");
    std::fs::rename(&socket, &hidden).unwrap();
    program(
        &mut env,
        "systemctl",
        &format!(
            "#!/bin/sh\necho \"$*\" >> \"$HOME/asked\"\ncase \"$2\" in\nshow) echo {pid};;\n\
             restart) /bin/mv '{}' '{}';;\nesac\n",
            hidden.display(),
            socket.display()
        ),
    );
    let ran = run_in(&env, "service install --kind systemd");
    (fake, ran)
}

#[test]
fn the_service_proves_that_it_can_push_without_this_terminals_agent() {
    let _alone = crate::fake::alone();
    let answer = json!({ "results": [samples::good_probe()] });
    let (fake, ran) = install(Say::Result(answer), 4242);
    check_text("service-install", &ran, fake.home());
    assert_eq!(fake.asked("probe"), [json!({ "directory": null })]);
    assert_eq!(fake.asked("hello")[0]["ssh_auth_sock"], Value::Null);
    let unit = fake.home().join(".config/systemd/user/convosyncd.service");
    assert_eq!(unit.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    let expected = "--user daemon-reload\n--user enable convosyncd.service\n\
                    --user restart convosyncd.service\n\
                    --user show --property=MainPID --value convosyncd.service\n";
    assert_eq!(asked(fake.home()), expected);
}

#[test]
fn what_the_service_lacks_is_said() {
    let _alone = crate::fake::alone();
    let answer = json!({ "results": [samples::bad_probe()] });
    let (fake, ran) = install(Say::Result(answer), 4242);
    check_text("service-install-bad", &ran, fake.home());
    assert_eq!(ran.code, ExitCode::KeptLocally);
}

#[test]
fn before_init_there_is_nothing_to_prove() {
    let _alone = crate::fake::alone();
    let failure = Failure::new(ErrorKind::NotInitialised, "no keys yet");
    let (fake, ran) = install(Say::Failure(failure), 4242);
    check_text("service-install-fresh", &ran, fake.home());
}

#[test]
fn a_proof_by_another_daemon_counts_for_nothing() {
    let _alone = crate::fake::alone();
    let answer = json!({ "results": [samples::good_probe()] });
    let (fake, ran) = install(Say::Result(answer), 17);
    assert_eq!(ran.code, ExitCode::Failed);
    assert!(ran.err.contains("process 4242 answers on the socket, but the service runs as 17"));
    assert!(fake.asked("probe").is_empty());
}

#[test]
fn stopping_waits_until_the_daemon_has_left() {
    let _alone = crate::fake::alone();
    let fake = Fake::start(vec![("stop", vec![Say::Result(json!({}))])]);
    let mut env = fake.env();
    program(&mut env, "convosyncd", "#!/bin/sh\n");
    let ran = run_in(&env, "service stop --kind plain");
    check_text("service-stop", &ran, fake.home());
    assert_eq!(fake.asked("stop").len(), 1);
    let ran = run_in(&env, "service stop --kind plain");
    assert!(ran.out.contains("the daemon did not run"), "{}", ran.out);
    assert_eq!(run_in(&env, "service status --kind plain").code, ExitCode::NoDaemon);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "tests write logs")]
fn logs_are_shown_from_the_end_and_cleaned() {
    let _alone = crate::fake::alone();
    let dir = tempfile::tempdir().unwrap();
    let mut env = env_at(dir.path());
    program(&mut env, "convosyncd", "#!/bin/sh\n");
    std::fs::create_dir(dir.path().join("state")).unwrap();
    std::fs::write(dir.path().join("state/convosyncd.log"), "one\ntwo\nthree\u{1b}[2J\n").unwrap();
    let ran = run_in(&env, "service logs -n 2 --kind plain");
    assert_eq!(ran.out, "two\nthree\\u{1b}[2J\n");
}

#[test]
fn a_daemon_that_leaves_at_once_is_quoted() {
    let _alone = crate::fake::alone();
    let dir = tempfile::tempdir().unwrap();
    let mut env = env_at(dir.path());
    let text = "#!/bin/sh\necho 'convosyncd: the configuration is wrong' >&2\necho 'hint: mend it' >&2\nexit 78\n";
    program(&mut env, "convosyncd", text);
    let ran = run_in(&env, "status");
    assert_eq!(ran.code, ExitCode::NoDaemon);
    assert_eq!(
        ran.err,
        "convosyncctl: the daemon left at once (exit status: 78): the configuration is wrong\n\
         hint: mend it\n"
    );
}
