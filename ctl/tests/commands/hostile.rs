//! No text from elsewhere controls the terminal.

use convosync_core::protocol::{ErrorKind, Failure};
use serde_json::{Value, json};

use crate::fake::{Fake, Say};
use crate::samples;

fn check_harmless(method: &'static str, say: Say, line: &str) {
    let fake = Fake::start(vec![(method, vec![say])]);
    for line in [line.to_owned(), format!("{line} --json")] {
        let ran = fake.run(&line);
        for text in [&ran.out, &ran.err] {
            let dangerous =
                |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}".contains(c);
            assert!(!text.contains(dangerous), "{line}: {text:?}");
        }
        assert!(ran.out.contains("evil") || ran.err.contains("evil"), "{line}: {ran:?}");
    }
}

fn evil() -> Value {
    "\u{1b}]0;evil\u{7}\u{9b}31m\u{202e}\r".into()
}

#[test]
fn sessions_projects_and_problems_are_harmless() {
    let info = samples::hostile_session();
    let problem = json!({ "message": evil(), "hint": evil(), "since_ms": 0 });
    let list = json!({ "sessions": [info], "listed_ms": null, "problems": [problem] });
    check_harmless("list", Say::Result(list), "list");
    let show = json!({
        "session": info,
        "saves": [{ "save": 1, "at_ms": 0, "device": "00112233445566aa", "message": evil(),
                    "messages": 1, "branch": evil(), "commit": evil(), "dirty": false }],
        "files": [{ "path": evil(), "length": 1, "sha256": evil() }]
    });
    check_harmless("show", Say::Result(show), "show x");
    let mut resumed = samples::resumed("created", &json!([]));
    for field in ["transcript", "directory"] {
        resumed[field] = evil();
    }
    resumed["session"] = info;
    resumed["warnings"] = json!([{ "loud": true, "message": evil(), "hint": evil() }]);
    check_harmless("resume", Say::Result(resumed), "resume --no-code x");
    let mut status = samples::status();
    for field in ["version", "device"] {
        status[field] = evil();
    }
    status["devices"][0]["name"] = evil();
    status["watching"][0]["reason"] = evil();
    status["projects"][0]["remote"] = evil();
    check_harmless("status", Say::Result(status), "status");
}

#[test]
fn failures_are_harmless() {
    let text = evil();
    let text = text.as_str().unwrap();
    let failure = Failure::new(ErrorKind::Failed, text).with_hint(text);
    check_harmless("save", Say::Failure(failure), "save");
}
