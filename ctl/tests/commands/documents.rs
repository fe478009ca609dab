//! The documents say what is true of the protocol.

use convosync_core::protocol::{
    AnswerLine, EnableReply, Event, HelloReply, InitReply, KeyExportReply, ListReply, Nothing,
    ProbeReply, Progress, ReadReply, RequestLine, SaveOutlookReply, SaveReply, StatusReply,
    SyncReply,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

const TEXT: &str = include_str!("../../../docs/protocol.md");

/// Every method, as the types name it.
const METHODS: [&str; 18] = [
    "hello",
    "init",
    "recover",
    "key-export",
    "enable",
    "disable",
    "status",
    "save",
    "save-outlook",
    "list",
    "show",
    "read",
    "resume",
    "sync",
    "watch",
    "probe",
    "reload",
    "stop",
];

fn check<T: DeserializeOwned>(value: &Value) {
    serde_json::from_value::<T>(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"));
}

/// Reads an answer with the type that belongs to its request.
fn check_answer(method: &str, result: &Value) {
    match method {
        "hello" => check::<HelloReply>(result),
        "init" | "recover" => check::<InitReply>(result),
        "key-export" => check::<KeyExportReply>(result),
        "enable" | "disable" => check::<EnableReply>(result),
        "probe" => check::<ProbeReply>(result),
        "status" => check::<StatusReply>(result),
        "save" => check::<SaveReply>(result),
        "save-outlook" => check::<SaveOutlookReply>(result),
        "list" => check::<ListReply>(result),
        "read" => check::<ReadReply>(result),
        "sync" => check::<SyncReply>(result),
        "watch" | "reload" | "stop" => check::<Nothing>(result),
        other => panic!("no type for the answer of {other}"),
    }
}

#[test]
fn every_example_of_the_protocol_is_one() {
    let mut asked = Vec::new();
    for line in TEXT.lines() {
        if let Some(text) = line.strip_prefix("> ") {
            check::<RequestLine>(&serde_json::from_str(text).unwrap());
            let request: Value = serde_json::from_str(text).unwrap();
            asked.push(request["method"].as_str().unwrap().to_owned());
        } else if let Some(text) = line.strip_prefix("< ") {
            let answer: AnswerLine = serde_json::from_str(text).unwrap();
            match (answer.result, answer.error, answer.method.as_deref(), answer.params) {
                (Some(result), None, None, None) => check_answer(asked.last().unwrap(), &result),
                (None, Some(failure), None, None) => {
                    assert_eq!(failure.code, failure.data.kind.code(), "{text}");
                }
                (None, None, Some("progress"), Some(params)) => check::<Progress>(&params),
                (None, None, Some("event"), Some(params)) => check::<Event>(&params),
                other => panic!("{other:?}"),
            }
        }
    }
    for method in METHODS {
        assert!(asked.iter().any(|asked| asked == method), "no example of {method}");
    }
}
