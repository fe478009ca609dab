//! `status`, `list`, `show`, `save`, `sync`, `watch`, `enable`, `disable`, `config`.

use convosync_core::protocol::{ErrorKind, Event, Failure};
use convosyncctl::ExitCode;
use serde_json::{Value, json};

use crate::check_text;
use crate::fake::{Fake, NOW_MS, Say};
use crate::samples;

/// Runs a line against one canned answer and compares text and JSON.
fn check(name: &str, method: &'static str, answer: &Value, line: &str, code: ExitCode) -> Value {
    let fake = Fake::start(vec![(method, vec![Say::Result(answer.clone())])]);
    let ran = fake.run(line);
    check_text(name, &ran, fake.home());
    assert_eq!(ran.code, code, "{name}");
    let json = fake.run(&format!("{line} --json"));
    assert_eq!(json.code, code, "{name}");
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), with_defaults(answer), "{name}");
    fake.asked(method)[0].clone()
}

/// The client prints what it understood: absent options of projects come back as they are.
fn with_defaults(answer: &Value) -> Value {
    answer.clone()
}

#[test]
fn status_tells_projects_devices_roots_and_problems() {
    let asked = check("status", "status", &samples::status(), "status", ExitCode::Ok);
    assert_eq!(asked, json!({ "directory": "/work-tree", "tells": true }));
}

#[test]
fn status_tells_how_far_a_push_is_and_that_a_host_is_fetched_whole() {
    let mut answer = samples::status();
    answer["projects"][0]["sync"] = "saved-locally".into();
    answer["projects"][0]["sending"] = json!({ "sent_bytes": 1_500_000, "bytes": 3_000_000 });
    answer["projects"][0]["fetched_whole"] = true.into();
    check("status-sending", "status", &answer, "status", ExitCode::Ok);
}

#[test]
fn status_of_a_fresh_device_leads_to_init() {
    let answer = json!({
        "version": "0.1.0", "initialised": false, "device": null, "vault": null, "here": null,
        "projects": [], "devices": [], "watching": [], "problems": [], "at_ms": NOW_MS
    });
    check("status-fresh", "status", &answer, "status", ExitCode::Ok);
}

#[test]
fn list_shows_sessions_newest_first() {
    let answer = json!({
        "sessions": [samples::session(), samples::own_session()],
        "unsaved": 1,
        "listed_ms": NOW_MS - 60_000,
        "problems": [samples::problem()]
    });
    let line = "list --all --branch b --device desk --project ../shop --refresh";
    let asked = check("list", "list", &answer, line, ExitCode::Ok);
    assert_eq!(
        asked,
        json!({ "directory": "/work-tree/../shop", "all": true, "branch": "b", "device": "desk",
                "refresh": true })
    );
}

#[test]
fn list_of_nothing_says_where_to_look() {
    let answer = json!({ "sessions": [], "unsaved": 0, "listed_ms": null, "problems": [] });
    let asked = check("list-empty", "list", &answer, "list", ExitCode::Ok);
    assert_eq!(asked["directory"], Value::Null);
}

#[test]
fn show_tells_facts_saves_and_files() {
    let save = |number: u32| {
        json!({
            "save": number, "at_ms": NOW_MS - 60_000, "device": "00112233445566aa",
            "message": "WIP: sync session", "messages": number, "branch": "main",
            "commit": "0123456789abcdef0123456789abcdef01234567", "dirty": false,
            "made_by": { "convosync": "0.1.0", "git": "2.43", "system": "linux x86_64" }
        })
    };
    let used = json!({
        "clients": ["2.0.9", "2.1.0"], "models": ["some-model"], "permission_mode": "plan",
        "environment": ["APP_MODE", "RUST_LOG"]
    });
    let answer = json!({
        "session": samples::session(),
        "used": used,
        "saves": (0..25).rev().map(save).collect::<Vec<_>>(),
        "files": [{ "path": "4d5611e5.jsonl", "length": 52_000, "sha256": "ab".repeat(32) }]
    });
    let asked = check("show", "show", &answer, "show 4d56@7", ExitCode::Ok);
    assert_eq!(asked, json!({ "session": "4d56@7" }));
}

fn saved(sync: &str, problem: Option<Value>) -> Value {
    let mut answer = json!({
        "session": samples::session(), "changed": true, "new_messages": 4, "sealed_bytes": 2345,
        "sync": sync
    });
    if let Some(problem) = problem {
        answer["problem"] = problem;
    }
    answer
}

#[test]
fn save_says_how_far_it_got() {
    let asked = check("save", "save", &saved("on-remote", None), "save sign-in", ExitCode::Ok);
    assert_eq!(asked["message"], "sign-in");
    assert_eq!(asked["directory"], "/work-tree");
    check("save-local", "save", &saved("saved-locally", None), "save", ExitCode::Ok);
    let answer = saved("saved-locally", Some(samples::problem()));
    let asked = check("save-offline", "save", &answer, "save -m x", ExitCode::KeptLocally);
    assert_eq!(asked["message"], "x");
    let answer = saved("stuck", Some(samples::problem()));
    let line = "save --session 4d56";
    let asked = check("save-stuck", "save", &answer, line, ExitCode::KeptLocally);
    assert_eq!((&asked["session"], &asked["message"]), (&json!("4d56"), &Value::Null));
    let mut answer = saved("on-remote", None);
    answer["changed"] = false.into();
    check("save-nothing", "save", &answer, "save", ExitCode::Ok);
}

#[test]
fn sync_tells_each_project_and_what_arrived() {
    let good = json!({ "projects": [samples::project()], "arrived": 2 });
    check("sync", "sync", &good, "sync", ExitCode::Ok);
    let stuck = json!({ "projects": [samples::stuck_project()], "arrived": 0 });
    let asked = check("sync-stuck", "sync", &stuck, "sync --retry", ExitCode::KeptLocally);
    assert_eq!(asked["retry"], true);
    let none = json!({ "projects": [], "arrived": 0 });
    check("sync-none", "sync", &none, "sync", ExitCode::Ok);
}

#[test]
fn enable_tells_what_the_probe_found() {
    let good = samples::enabled(&samples::good_probe());
    let asked = check("enable", "enable", &good, "enable --all", ExitCode::Ok);
    assert_eq!(asked["all"], true);
    assert_eq!(asked["directory"], "/work-tree");
    let mut branches = samples::good_probe();
    branches["branches_only"] = true.into();
    let branches = samples::enabled(&branches);
    check("enable-branches", "enable", &branches, "enable", ExitCode::Ok);
    let mut own = samples::enabled(&samples::good_probe());
    own["projects"][0]["own_settings"] = json!([
        { "key": "core.sshcommand", "value": "ssh -i work", "agreed": true },
        { "key": "credential.helper", "value": "\u{1b}[2Jevil", "agreed": false },
    ]);
    check("enable-own", "enable", &own, "enable", ExitCode::Ok);
    let bad = samples::enabled(&samples::bad_probe());
    check("enable-bad", "enable", &bad, "enable", ExitCode::KeptLocally);
    check("disable", "disable", &samples::enabled(&Value::Null), "disable", ExitCode::Ok);
}

#[test]
fn running_enable_in_a_repository_agrees_to_its_settings_and_enabling_all_to_none() {
    let good = samples::enabled(&samples::good_probe());
    let asked = check("enable", "enable", &good, "enable --all", ExitCode::Ok);
    assert_eq!(asked["own_settings"], "leave");
    let asked = check("enable", "enable", &good, "enable", ExitCode::Ok);
    assert_eq!(asked["own_settings"], "agree");
}

#[test]
fn watch_prints_events_until_the_daemon_leaves() {
    let session = samples::session()["session"].as_str().unwrap().parse().unwrap();
    let session = || -> convosync_core::id::SessionId { Clone::clone(&session) };
    let events = [
        Event::Saved { session: session(), save: 8, messages: 1, sealed_bytes: 2048 },
        Event::OnRemote { remote: "git@host:shop.git".into(), sent: 4500, received: 0 },
        Event::Arrived { device: "desk\u{1b}".into(), session: session() },
        Event::Trouble { message: "no network".into(), hint: Some("wait".into()) },
    ];
    let mut says = vec![
        Say::Result(json!({})),
        Say::Raw(
            "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"event\":\"new\"}}\n".into(),
        ),
    ];
    says.extend(events.iter().cloned().map(Say::Event));
    says.push(Say::HangUp);
    let fake = Fake::start(vec![("watch", says)]);
    let ran = fake.run("watch");
    check_text("watch", &ran, fake.home());
    assert_eq!(ran.code, ExitCode::NoDaemon);

    let json = fake.run("watch --json");
    let lines: Vec<Event> =
        json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(serde_json::to_value(lines).unwrap(), serde_json::to_value(events).unwrap());
}

#[test]
fn failures_become_exit_codes_with_their_hints() {
    for (kind, code) in [
        (ErrorKind::NotInitialised, ExitCode::NotInitialised),
        (ErrorKind::NeedsDecision, ExitCode::NeedsDecision),
        (ErrorKind::Live, ExitCode::NeedsDecision),
        (ErrorKind::OtherRepository, ExitCode::NeedsDecision),
        (ErrorKind::Ambiguous, ExitCode::NeedsDecision),
        (ErrorKind::Offline, ExitCode::KeptLocally),
        (ErrorKind::NotEnabled, ExitCode::Failed),
        (ErrorKind::UnknownSession, ExitCode::Failed),
        (ErrorKind::Damaged, ExitCode::Failed),
    ] {
        let failure = Failure::new(kind, "it went wrong at `x`").with_hint("do that");
        let fake = Fake::start(vec![("save", vec![Say::Failure(failure)])]);
        let ran = fake.run("save");
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{kind:?}");
        assert_eq!(ran.err, "convosyncctl: it went wrong at `x`\nhint: do that\n");
        let json: Value = serde_json::from_str(&fake.run("save --json").err).unwrap();
        assert_eq!(json["error"]["kind"], serde_json::to_value(kind).unwrap());
        assert_eq!(json["error"]["hint"], "do that");
        assert_eq!(json["error"]["exit_code"], code as u8);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "tests write configurations")]
fn config_is_found_shown_checked_and_reloaded() {
    let fake = Fake::start(vec![("reload", vec![Say::Result(json!({}))])]);
    let file = fake.home().join("config.toml");
    assert_eq!(fake.run("config path").out, format!("{}\n", file.display()));
    check_text("config-check-none", &fake.run("config check"), fake.home());
    std::fs::write(&file, "[save]\nidle_after = \"45s\"\n").unwrap();
    check_text("config-check", &fake.run("config check"), fake.home());
    assert!(fake.run("config show").out.contains("idle_after = \"45s\""));
    let json: Value = serde_json::from_str(&fake.run("config show --json").out).unwrap();
    assert_eq!(json["save"]["idle_after"], "45s");
    check_text("config-reload", &fake.run("config reload"), fake.home());
    assert_eq!(fake.asked("reload").len(), 1);

    std::fs::write(&file, "[save]\nidle_aftr = \"45s\"\n").unwrap();
    for line in ["config check", "config show", "config reload"] {
        check_text("config-wrong", &fake.run(line), fake.home());
    }
    assert_eq!(fake.asked("reload").len(), 1);
}
