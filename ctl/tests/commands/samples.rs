//! Answers of a daemon, as small as they can be and as hostile as they may be.

use serde_json::{Value, json};

use crate::fake::NOW_MS;

const MINUTE_MS: i64 = 60_000;

/// A session of another device.
pub(crate) fn session() -> Value {
    json!({
        "session": "4d5611e5-241a-462a-8d15-5122611a9569",
        "short": "4d5611e5",
        "title": "Sign-in with OAuth",
        "message": "WIP: sync session",
        "project": "shop",
        "root": "/work-tree/shop",
        "device": "00112233445566aa",
        "device_name": "desk",
        "device_kind": "desktop",
        "this_device": false,
        "save": 7,
        "at_ms": NOW_MS - 3 * MINUTE_MS,
        "messages": 15,
        "total_bytes": 52_345,
        "malformed": 0,
        "branch": "feature/oauth",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": true,
        "subdirectory": "web",
        "live": false,
        "on_remote": null,
        "client": "2.1.0",
        "model": "some-model"
    })
}

/// A session of this device, nameless and outside any repository.
pub(crate) fn own_session() -> Value {
    let mut info = session();
    let fields = json!({
        "session": "aaaabbbb-0000-4000-8000-000000000000", "short": "aaaabbbb",
        "title": null, "message": null, "this_device": true, "device_name": "lap",
        "device_kind": "laptop", "branch": null, "commit": null, "dirty": false, "live": true,
        "on_remote": false, "malformed": 1, "messages": 1, "save": 1, "subdirectory": "",
        "at_ms": NOW_MS - 26 * 60 * MINUTE_MS
    });
    info.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    info
}

/// A session whose every text attacks the terminal.
pub(crate) fn hostile_session() -> Value {
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}evil\r\n\u{7}";
    let mut info = session();
    for field in ["title", "message", "project", "device_name", "device_kind", "branch", "commit"] {
        info[field] = evil.into();
    }
    for field in ["short", "subdirectory", "client", "model", "root"] {
        info[field] = evil.into();
    }
    info
}

/// Something wrong.
pub(crate) fn problem() -> Value {
    json!({
        "message": "push to `git@host:shop.git`: permission denied (publickey)",
        "hint": "ssh-add ~/.ssh/id_ed25519",
        "since_ms": NOW_MS - 5 * MINUTE_MS
    })
}

/// A project that is on its remote.
pub(crate) fn project() -> Value {
    json!({
        "root": "/work-tree", "name": "shop", "remote": "git@host:shop.git", "sessions": 2,
        "unsaved": 0, "sync": "on-remote", "on_remote_ms": NOW_MS - 2 * MINUTE_MS,
        "saved_ms": NOW_MS - 2 * MINUTE_MS, "listed_ms": NOW_MS - MINUTE_MS,
        "sent": 4500, "received": 65_000, "branches_only": false
    })
}

/// A project whose remote refuses.
pub(crate) fn stuck_project() -> Value {
    json!({
        "root": "/elsewhere", "name": "site", "remote": null, "sessions": 1, "unsaved": 1,
        "sync": "stuck", "on_remote_ms": null, "saved_ms": NOW_MS, "listed_ms": null,
        "sent": 0, "received": 0, "branches_only": false, "problem": problem(),
        "retry_ms": NOW_MS + 25 * MINUTE_MS
    })
}

/// An answer of `status`.
pub(crate) fn status() -> Value {
    json!({
        "version": "0.1.0", "initialised": true, "device": "lap", "vault": "0011223344556677",
        "here": "/work-tree",
        "projects": [stuck_project(), project()],
        "devices": [
            {"device": "00112233445566aa", "name": "desk", "kind": "desktop", "this": false,
             "at_ms": NOW_MS - 3 * MINUTE_MS, "sessions": 3},
            {"device": "00112233445566bb", "name": "lap", "kind": "laptop", "this": true,
             "at_ms": NOW_MS, "sessions": 1},
        ],
        "watching": [
            {"root": "/home/ada/.claude", "mode": "events", "sessions": 12,
             "skipped": [{"path": "/home/ada/.claude/projects/x/y.jsonl", "reason": "a link"}]},
            {"root": "/mnt/claude", "mode": "rescan only", "reason": "no events on this file system",
             "sessions": 0, "skipped": []},
        ],
        "problems": [problem()],
        "at_ms": NOW_MS
    })
}

/// An answer of `enable` for one project with the given probe.
pub(crate) fn enabled(probe: &Value) -> Value {
    json!({ "projects": [{
        "root": "/work-tree", "name": "shop", "remote": "git@host:shop.git", "sessions": 2,
        "probe": probe
    }] })
}

/// A remote that can be pushed to.
pub(crate) fn good_probe() -> Value {
    json!({ "remote": "git@host:shop.git", "works": true, "branches_only": false })
}

/// A remote that cannot.
pub(crate) fn bad_probe() -> Value {
    json!({
        "remote": "git@host:shop.git", "works": false, "branches_only": false,
        "problem": "permission denied (publickey)", "hint": "ssh-add ~/.ssh/id_ed25519"
    })
}

/// An answer of `resume`.
pub(crate) fn resumed(action: &str, warnings: &Value) -> Value {
    json!({
        "session": session(), "action": action,
        "transcript": "/home/ada/.claude/projects/-work-tree/4d5611e5-241a-462a-8d15-5122611a9569.jsonl",
        "directory": "/work tree/shop/web", "new_messages": 15, "received": 9001, "files": 3,
        "warnings": warnings
    })
}

/// A loud warning and a quiet one.
pub(crate) fn warnings() -> Value {
    json!([
        {"loud": true, "message": "the conversation is about feature/oauth @ 0123456; here is main @ fedcba9",
         "hint": "git fetch && git switch feature/oauth"},
        {"loud": false, "message": "the folder has another name here"}
    ])
}

/// An answer of `init` and `recover`.
pub(crate) fn keys() -> Value {
    json!({ "vault": "0011223344556677", "device": "00112233445566bb", "keys": "/home/ada/keys" })
}
