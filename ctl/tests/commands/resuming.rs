//! `resume` in all its forms.

use convosync_core::protocol::{ErrorKind, Failure, Progress};
use convosyncctl::ExitCode;
use serde_json::{Value, json};

use crate::check_text;
use crate::fake::{Fake, NOW_MS, Say};
use crate::samples;

fn fake(answer: Value) -> Fake {
    let progress =
        Progress { step: "fetching".into(), done: Some(1), total: Some(2), download: None };
    Fake::start(vec![("resume", vec![Say::Progress(progress), Say::Result(answer)])])
}

#[test]
fn resume_tells_what_was_done_and_how_to_go_on() {
    for (action, name) in [
        ("created", "resume-created"),
        ("extended", "resume-extended"),
        ("nothing", "resume-nothing"),
        ("local-ahead", "resume-ahead"),
    ] {
        let fake = fake(samples::resumed(action, &json!([])));
        let ran = fake.run("resume --no-code");
        check_text(name, &ran, fake.home());
        let nothing = json!({ "directory": "/work-tree", "session": null, "dry_run": false,
                              "force": false, "worktree": null, "code_is_here": false,
                              "is_refreshed": false });
        assert_eq!(fake.asked("resume")[0], nothing);
    }
}

#[test]
fn other_code_is_warned_of_loudly() {
    let answer = samples::resumed("created", &samples::warnings());
    let fake = fake(answer.clone());
    check_text("resume-warned", &fake.run("resume 4d56@7 --no-code --force"), fake.home());
    assert_eq!(fake.asked("resume")[0]["session"], "4d56@7");
    assert_eq!(fake.asked("resume")[0]["force"], true);
    let json = fake.run("resume --no-code --json");
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), answer);
    assert_eq!(json.err, "");
}

/// The conversation comes back all the same, and the reason is told loudly.
#[test]
fn code_that_was_not_saved_is_told_with_the_reason() {
    let code = json!({ "session": samples::session(), "save": 7, "root": "/work tree/shop",
                       "code": { "saved": "nothing", "why": "a `git bisect` is running" },
                       "known": { "saved": "nothing", "why": null },
                       "received": 1_000_000, "warnings": [] });
    let resumed = samples::resumed("created", &json!([]));
    let resumed_bytes = resumed["received"].as_u64().unwrap();
    let fake = Fake::start(vec![
        ("code", vec![Say::Result(code)]),
        ("resume", vec![Say::Result(resumed)]),
    ]);
    let ran = fake.run("resume");
    assert_eq!(ran.code, ExitCode::Ok, "{ran:?}");
    assert!(format!("{}{}", ran.out, ran.err).contains("a `git bisect` is running"), "{ran:?}");
    let told: Value = serde_json::from_str(&fake.run("resume --json").out).unwrap();
    assert_eq!(told["received"].as_u64().unwrap(), resumed_bytes + 1_000_000, "{told}");
    // A rehearsal first: what speaks against the conversation is found out before anything is touched.
    assert_eq!(fake.asked("resume")[0]["dry_run"], true);
    assert_eq!(fake.asked("resume")[1]["code_is_here"], false);
}

#[test]
fn a_dry_run_promises_nothing_done() {
    let fake = fake(samples::resumed("extended", &json!([])));
    check_text("resume-dry", &fake.run("resume 4d56 --no-code --dry-run"), fake.home());
    assert_eq!(fake.asked("resume")[0]["dry_run"], true);
}

#[test]
fn nothing_is_launched_over_a_loud_warning_or_without_the_program() {
    let fake = fake(samples::resumed("created", &samples::warnings()));
    check_text("resume-not-launched", &fake.run("resume 4d56 --no-code --launch"), fake.home());
    let ran = fake.run("resume 4d56 --no-code --launch --force");
    assert_eq!(ran.code, ExitCode::Failed);
    assert!(ran.err.ends_with(
        "convosyncctl: `claude` is not in PATH\n\
         hint: where it is: cd '/work tree/shop/web' && claude --resume 4d5611e5-241a-462a-8d15-5122611a9569\n"
    ), "{}", ran.err);
}

#[test]
fn a_decision_is_the_users() {
    let failure = Failure::new(ErrorKind::NeedsDecision, "both moved: desk +12, here +3")
        .with_hint("convosyncctl resume --force keeps what is here");
    let fake = Fake::start(vec![("resume", vec![Say::Failure(failure)])]);
    check_text("resume-decision", &fake.run("resume --no-code"), fake.home());
}

#[test]
fn resume_list_shows_what_is_here() {
    let answer = json!({ "sessions": [samples::session()], "listed_ms": NOW_MS, "problems": [] });
    let fake = Fake::start(vec![("list", vec![Say::Result(answer)])]);
    assert!(fake.run("resume -l").out.contains("4d5611e5"));
    assert_eq!(
        fake.asked("list")[0],
        json!({ "directory": "/work-tree", "all": true, "branch": null, "device": null,
                "refresh": true })
    );
}

#[test]
fn read_only_prints_every_page_and_changes_nothing() {
    let message =
        |role: &str, text: &str| json!({ "role": role, "at": "2026-01-01", "text": text });
    // The canned answer is the same for each page: the client must stop when it does not move on.
    let page = json!({
        "messages": [message("user", "one\n\ttwo\u{1b}[2J\n"), message("assistant", "three")],
        "next": 5
    });
    let sessions = json!({
        "sessions": [samples::own_session(), samples::session()], "listed_ms": null, "problems": []
    });
    let script = vec![("read", vec![Say::Result(page)]), ("list", vec![Say::Result(sessions)])];
    let fake = Fake::start(script);
    let ran = fake.run("resume --read-only");
    check_text("resume-read-only", &ran, fake.home());
    let id = samples::session()["session"].clone();
    assert_eq!(
        fake.asked("read"),
        [json!({ "session": id, "from": 0 }), json!({ "session": id, "from": 5 })]
    );
    let json: Value =
        serde_json::from_str(&fake.run("resume 4d56 --read-only --json").out).unwrap();
    assert_eq!(json["messages"].as_array().unwrap().len(), 4);
}

#[test]
fn read_only_of_nothing_says_so() {
    let answer = json!({ "sessions": [], "listed_ms": null, "problems": [samples::problem()] });
    let fake = Fake::start(vec![("list", vec![Say::Result(answer)])]);
    check_text("resume-none", &fake.run("resume --read-only"), fake.home());
}
