//! Lines as they stand on the socket.

use super::*;
use crate::id::SessionId;

#[test]
fn a_request_is_json_rpc_with_method_and_params() {
    let line = RequestLine::new(7, Request::Show(Show { session: SessionQuery("1a2b".into()) }));
    let text = serde_json::to_string(&line).unwrap();
    assert_eq!(text, r#"{"jsonrpc":"2.0","id":7,"method":"show","params":{"session":"1a2b"}}"#);
    let back: RequestLine = serde_json::from_str(&text).unwrap();
    assert!(matches!(back.request, Request::Show(show) if show.session.0 == "1a2b"));
}

#[test]
fn fields_of_a_newer_client_are_ignored() {
    let text =
        r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"directory":null,"colour":"red"}}"#;
    assert!(serde_json::from_str::<RequestLine>(text).is_ok());
}

#[test]
fn a_session_is_named_by_id_prefix_and_save() {
    let id: SessionId = "4d5611e5-241a-462a-8d15-5122611a9569".parse().unwrap();
    for text in [
        "4d56",
        "4d5611e5",
        "session-4d5611e5",
        "4d5611e5@7",
        "4d5611e5-241a-462a-8d15-5122611a9569",
    ] {
        assert!(SessionQuery(text.into()).matches(&id), "{text}");
    }
    for text in ["4d5", "", "5611", "session-", "4d5611e6"] {
        assert!(!SessionQuery(text.into()).matches(&id), "{text}");
    }
    assert_eq!(SessionQuery("session-4d5611e5@7".into()).parts(), ("4d5611e5", Some(7)));
}

#[test]
fn a_phrase_is_never_printed_by_debug() {
    let init = Init { name: "desk".into(), kind: "desktop".into(), phrase: "abandon".into() };
    assert!(!format!("{init:?}").contains("abandon"));
}
