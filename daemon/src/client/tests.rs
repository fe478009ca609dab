//! Clients that ask well, badly, too much, or not at all.

use super::*;
use convosync_core::protocol::Nothing;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream,
};

const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1,"client":"test","version":"0"}}"#;

/// A client at the other end of a connection, and the shell's end of the link.
struct Talk {
    stream: BufReader<DuplexStream>,
    requests: mpsc::Receiver<Asked>,
    events: broadcast::Sender<Event>,
    leave: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Talk {
    fn begin() -> Self {
        let (ours, theirs) = tokio::io::duplex(4 << 20);
        let (asked, requests) = mpsc::channel(4);
        let (events, _) = broadcast::channel(4);
        let leave = CancellationToken::new();
        let link = Link { asked, events: events.clone() };
        let server = tokio::spawn(serve(theirs, link, leave.clone()));
        Self { stream: BufReader::new(ours), requests, events, leave, server }
    }

    /// Begins, and has the greeting answered.
    async fn greeted() -> Self {
        let mut talk = Self::begin();
        talk.say(HELLO).await;
        let asked = talk.requests.recv().await.unwrap();
        assert!(matches!(asked.request, Request::Hello(_)));
        asked.reply.answer(Ok(Nothing {}));
        assert_eq!(talk.hear().await, json!({"jsonrpc":"2.0","id":1,"result":{}}));
        talk
    }

    async fn say(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    async fn check_closed(mut self) {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "");
        self.server.await.unwrap();
    }
}

/// Says `line` after the greeting and expects a failure, then that the connection goes on.
async fn check_refused(line: &str, id: Value, code: i32, message: &str) {
    let mut talk = Talk::greeted().await;
    talk.say(line).await;
    let answer = talk.hear().await;
    assert_eq!(answer.get("id").cloned().unwrap_or_default(), id, "{line}");
    assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains(message), "{line}: {answer}");
    talk.say(r#"{"jsonrpc":"2.0","id":9,"method":"status"}"#).await;
    assert!(matches!(talk.requests.recv().await.unwrap().request, Request::Status(_)));
}

#[tokio::test]
async fn a_line_that_is_no_request_is_refused_and_the_connection_goes_on() {
    check_refused("{", Value::Null, -32_700, "this is not JSON").await;
    check_refused("", Value::Null, -32_700, "this is not JSON").await;
    check_refused(r#"["\ud800"]"#, Value::Null, -32_700, "this is not JSON").await;
    check_refused(&"[".repeat(100_000), Value::Null, -32_700, "this is not JSON").await;
    check_refused("{}", Value::Null, -32_600, "this is not a request").await;
    let text_id = r#"{"jsonrpc":"2.0","id":"x","method":"status","params":{}}"#;
    check_refused(text_id, Value::Null, -32_600, "not a positive number").await;
    let old = r#"{"jsonrpc":"1.0","id":7,"method":"status","params":{}}"#;
    check_refused(old, json!(7), -32_600, "not JSON-RPC 2.0").await;
    let unknown = r#"{"jsonrpc":"2.0","id":7,"method":"dance","params":{}}"#;
    check_refused(unknown, json!(7), -32_601, "there is no method `dance`").await;
    let wrong = r#"{"jsonrpc":"2.0","id":7,"method":"show","params":{"session":5}}"#;
    check_refused(wrong, json!(7), -32_602, "parameters of `show`").await;
    let missing = r#"{"jsonrpc":"2.0","id":7,"method":"show"}"#;
    check_refused(missing, json!(7), -32_602, "missing field `session`").await;
}

fn uploading(done: Option<u64>) -> Progress {
    let (step, total) = ("uploading".to_owned(), done.map(|_| 2));
    Progress { step, done, total, download: None }
}

#[tokio::test]
async fn progress_comes_before_the_answer_and_in_order() {
    let mut talk = Talk::greeted().await;
    talk.say(r#"{"jsonrpc":"2.0","id":2,"method":"sync","params":{"colour":"red"}}"#).await;
    let Asked { reply, .. } = talk.requests.recv().await.unwrap();
    std::thread::spawn(move || {
        reply.progress(uploading(Some(1)));
        reply.progress(uploading(Some(2)));
        reply.answer(Ok(json!({"sent": 5})));
    });
    for done in [1, 2] {
        let step = talk.hear().await;
        assert_eq!(step["method"], "progress");
        assert_eq!(step["params"], json!({"step": "uploading", "done": done, "total": 2}));
    }
    assert_eq!(talk.hear().await, json!({"jsonrpc":"2.0","id":2,"result":{"sent":5}}));
}

#[tokio::test(start_paused = true)]
async fn a_long_request_shows_that_it_is_alive() {
    let mut talk = Talk::greeted().await;
    talk.say(r#"{"jsonrpc":"2.0","id":2,"method":"sync","params":{}}"#).await;
    let Asked { reply, .. } = talk.requests.recv().await.unwrap();
    assert_eq!(talk.hear().await["params"]["step"], "working");
    reply.progress(uploading(None));
    assert_eq!(talk.hear().await["params"]["step"], "uploading");
    let before = tokio::time::Instant::now();
    assert_eq!(talk.hear().await["params"]["step"], "uploading");
    assert_eq!(before.elapsed().as_secs(), HEARTBEAT_EVERY.as_secs());
}

#[tokio::test]
async fn a_request_that_nobody_answers_fails() {
    let mut talk = Talk::greeted().await;
    talk.say(r#"{"jsonrpc":"2.0","id":2,"method":"status","params":{}}"#).await;
    drop(talk.requests.recv().await.unwrap());
    assert_eq!(talk.hear().await["error"]["data"]["kind"], "failed");
    drop(talk.requests);
    let (_, requests) = mpsc::channel(1);
    talk.requests = requests;
    talk.say(r#"{"jsonrpc":"2.0","id":3,"method":"status","params":{}}"#).await;
    assert_eq!(talk.hear().await["error"]["message"], "the daemon is leaving");
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let mut talk = Talk::greeted().await;
    for id in [2, 3] {
        talk.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"status","params":{{}}}}"#))
            .await;
    }
    for id in [2, 3] {
        talk.requests.recv().await.unwrap().reply.answer(Ok(id));
        assert_eq!(talk.hear().await["id"], id);
    }
}

#[tokio::test]
async fn the_first_request_must_be_a_greeting_in_our_protocol() {
    for (line, kind) in [
        (HELLO.replace("\"protocol\":1", "\"protocol\":2"), "other-protocol"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{}}"#.to_owned(), "bad-request"),
        ("GET / HTTP/1.1".to_owned(), "bad-request"),
    ] {
        let mut talk = Talk::begin();
        talk.say(&line).await;
        assert_eq!(talk.hear().await["error"]["data"]["kind"], kind, "{line}");
        talk.check_closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_greet_is_dropped_after_five_seconds() {
    let begun = tokio::time::Instant::now();
    let mut talk = Talk::begin();
    talk.stream.write_all(b"{\"jsonrpc\"").await.unwrap();
    talk.check_closed().await;
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_line_that_is_too_long_or_not_text_ends_the_connection() {
    let longest = format!("{}\"{}\"", " ".repeat(LINE_MAX - 3), "x");
    let mut talk = Talk::greeted().await;
    talk.say(&longest).await;
    assert!(talk.hear().await["error"]["message"].as_str().unwrap().contains("not a request"));
    let mut talk = Talk::greeted().await;
    talk.say(&format!("{longest}  ")).await;
    assert!(talk.hear().await["error"]["message"].as_str().unwrap().contains("longer than"));
    talk.check_closed().await;
    let mut talk = Talk::greeted().await;
    talk.stream.write_all(b"\xff\n").await.unwrap();
    assert_eq!(talk.hear().await["error"]["message"], "a request is not UTF-8");
    talk.check_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_dropped() {
    let mut talk = Talk::greeted().await;
    let mut answered = 0;
    while !talk.server.is_finished() && answered < 100 {
        talk.say(r#"{"jsonrpc":"2.0","id":2,"method":"status","params":{}}"#).await;
        tokio::select! {
            asked = talk.requests.recv() => match asked {
                Some(asked) => asked.reply.answer(Ok("x".repeat(LINE_MAX / 2))),
                None => break,
            },
            _ = &mut talk.server => break,
        }
        answered += 1;
    }
    assert!(answered < 100, "nothing was dropped");
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_a_line_becomes_a_failure() {
    let mut talk = Talk::greeted().await;
    talk.say(r#"{"jsonrpc":"2.0","id":2,"method":"status","params":{}}"#).await;
    talk.requests.recv().await.unwrap().reply.answer(Ok("x".repeat(LINE_MAX)));
    let answer = talk.hear().await;
    assert_eq!(answer["id"], 2);
    assert_eq!(answer["error"]["message"], "the answer is too large for one line");
}

#[tokio::test]
async fn a_watching_client_is_told_what_happens_and_what_it_missed() {
    let mut talk = Talk::greeted().await;
    talk.say(r#"{"jsonrpc":"2.0","id":2,"method":"watch","params":{}}"#).await;
    assert_eq!(talk.hear().await, json!({"jsonrpc":"2.0","id":2,"result":{}}));
    let trouble = |n: u32| Event::Trouble { message: n.to_string(), hint: None };
    talk.events.send(trouble(1)).unwrap();
    assert_eq!(talk.hear().await["params"], json!({"event":"trouble","message":"1"}));
    for n in 0..20 {
        talk.events.send(trouble(n)).unwrap();
    }
    assert_eq!(talk.hear().await["params"]["message"], "16 events were missed");
    assert_eq!(talk.hear().await["params"]["message"], "16");
}

#[tokio::test]
async fn a_leaving_daemon_hangs_up_after_the_answer_that_is_due() {
    let mut talk = Talk::greeted().await;
    talk.say(r#"{"jsonrpc":"2.0","id":2,"method":"stop","params":{}}"#).await;
    let asked = talk.requests.recv().await.unwrap();
    talk.leave.cancel();
    asked.reply.answer(Ok(Nothing {}));
    assert_eq!(talk.hear().await["id"], 2);
    talk.check_closed().await;
    let mut watching = Talk::greeted().await;
    watching.say(r#"{"jsonrpc":"2.0","id":2,"method":"watch"}"#).await;
    watching.hear().await;
    watching.leave.cancel();
    watching.check_closed().await;
}
