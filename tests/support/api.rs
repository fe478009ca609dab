//! A loopback stand-in for the Messages API: answers by script and records what the client sent.
//!
//! What the client sends is the proof of what it remembers. Only what the pinned client needs is
//! spoken: HTTP/1.1, `POST /v1/messages` as one JSON message or as server-sent events, and
//! `count_tokens`; everything else is 404.

use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http;

/// A request body larger than this is not the client's doing.
const BODY_MAX: usize = 64 << 20;

/// How long a connection may stay silent before it is given up.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// `POST`, `GET`, …
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The body as text.
    pub body: String,
}

impl Request {
    /// Whether this asks the model for a message.
    pub fn is_message(&self) -> bool {
        self.method == "POST" && self.path == "/v1/messages"
    }

    /// Returns the conversation the client sent, as JSON text, without system prompt and tools.
    pub fn conversation(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["messages"].to_string()
    }
}

impl From<http::Request> for Request {
    fn from(request: http::Request) -> Self {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        Self { method: request.method, path: request.path, body }
    }
}

/// The running stand-in; its threads end with the test's process.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Api {
    /// Starts listening on a free port of the loopback interface.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let requests = Arc::default();
        let recorded = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let recorded = Arc::clone(&recorded);
                // A client that hangs up early has got what it wanted.
                thread::spawn(move || serve(stream, &recorded).unwrap_or_default());
            }
        });
        Self { address, requests }
    }

    /// Returns the base URL for the client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns every request so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no thread panics while it records").clone()
    }

    /// Returns the requests that asked for a message, and forgets all of them.
    pub fn take_messages(&self) -> Vec<Request> {
        let all =
            std::mem::take(&mut *self.requests.lock().expect("no thread panics while it records"));
        all.into_iter().filter(Request::is_message).collect()
    }
}

/// Answers a conversation: the pizza when it was named, ignorance otherwise.
pub fn answer(conversation: &str) -> String {
    let named = conversation
        .split("favorite pizza is ")
        .nth(1)
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric()).collect::<String>());
    match named {
        Some(pizza) if !pizza.is_empty() => format!("You told me: it is {pizza}."),
        _ => "I do not know that.".to_owned(),
    }
}

fn serve(stream: TcpStream, recorded: &Mutex<Vec<Request>>) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(request) = http::Request::read(&mut reader, BODY_MAX)? {
        let request = Request::from(request);
        let (status, kind, body) = reply(&request);
        recorded.lock().expect("no thread panics while it records").push(request);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nrequest-id: req_test\r\n\r\n",
            body.len()
        );
        writer.write_all(head.as_bytes())?;
        writer.write_all(body.as_bytes())?;
        writer.flush()?;
    }
    Ok(())
}

fn reply(request: &Request) -> (&'static str, &'static str, String) {
    const JSON: &str = "application/json";
    if request.is_message() {
        let text = answer(&request.conversation());
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let model = body["model"].as_str().unwrap_or("claude").to_owned();
        return if body["stream"] == json!(true) {
            ("200 OK", "text/event-stream", events(&model, &text))
        } else {
            (
                "200 OK",
                JSON,
                message(&model, &json!([{"type": "text", "text": text}]), &json!("end_turn"))
                    .to_string(),
            )
        };
    }
    if request.method == "POST" && request.path.ends_with("/count_tokens") {
        return ("200 OK", JSON, json!({"input_tokens": 42}).to_string());
    }
    let error =
        json!({"type": "error", "error": {"type": "not_found_error", "message": "not here"}});
    ("404 Not Found", JSON, error.to_string())
}

fn message(model: &str, content: &Value, stop_reason: &Value) -> Value {
    json!({
        "id": "msg_01TestTestTestTestTest", "type": "message", "role": "assistant", "model": model,
        "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {"input_tokens": 42, "output_tokens": 7}
    })
}

fn events(model: &str, text: &str) -> String {
    let steps = [
        json!({"type": "message_start", "message": message(model, &json!([]), &Value::Null)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 7}}),
        json!({"type": "message_stop"}),
    ];
    steps
        .iter()
        .map(|step| {
            format!("event: {}\ndata: {step}\n\n", step["type"].as_str().unwrap_or_default())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_pizza_of_the_conversation() {
        assert_eq!(
            answer("… my favorite pizza is Margherita\" …"),
            "You told me: it is Margherita."
        );
        assert_eq!(answer("what is my favorite pizza?"), "I do not know that.");
    }

    #[test]
    fn a_body_in_chunks_is_put_together() {
        let text = "POST /v1/messages?beta=true HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let request = http::Request::read(&mut text.as_bytes(), BODY_MAX).unwrap().unwrap();
        let request = Request::from(request);
        assert!(request.is_message());
        assert_eq!(request.body, "abcde");
    }
}
