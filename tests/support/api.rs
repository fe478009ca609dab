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

/// A prompt that begins so has the model run what stands behind it in the shell, and then repeat what it said.
pub const RUN: &str = "Please run: ";

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
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let said = Said::next(&body);
        return if body["stream"] == json!(true) {
            ("200 OK", "text/event-stream", said.events())
        } else {
            (
                "200 OK",
                JSON,
                said.message(&json!([said.content]), &json!(said.stop_reason)).to_string(),
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

/// What the model says next.
struct Said {
    id: String,
    model: String,
    content: Value,
    stop_reason: &'static str,
}

impl Said {
    fn next(body: &Value) -> Self {
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let last = messages.iter().rev().find(|message| message["role"] == "user");
        let last = last.map(blocks).unwrap_or_default();
        let result = last.iter().find(|block| block["type"] == "tool_result");
        let text = |block: &Value| block["text"].as_str().map(str::to_owned);
        let command = last
            .iter()
            .filter_map(text)
            .find_map(|text| Some(text.strip_prefix(RUN)?.to_owned()).filter(|_| has_shell(body)));
        // Every answer of a conversation has a name of its own.
        let number = messages.len();
        let (content, stop_reason) = match (result, command) {
            (Some(result), _) => (said(&format!("It said: {}", words(result))), "end_turn"),
            (None, Some(command)) => {
                let id = format!("toolu_01{number:022}");
                let input = json!({"command": command, "description": "as asked"});
                (json!({"type": "tool_use", "id": id, "name": "Bash", "input": input}), "tool_use")
            }
            (None, None) => (said(&answer(&body["messages"].to_string())), "end_turn"),
        };
        let model = body["model"].as_str().unwrap_or("claude").to_owned();
        Self { id: format!("msg_01{number:022}"), model, content, stop_reason }
    }

    fn message(&self, content: &Value, stop_reason: &Value) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": content, "stop_reason": stop_reason, "stop_sequence": null,
            "usage": {"input_tokens": 42, "output_tokens": 7}
        })
    }

    fn events(&self) -> String {
        let (mut start, delta) = match self.content["text"].as_str() {
            Some(text) => (said(""), json!({"type": "text_delta", "text": text})),
            None => {
                let input = self.content["input"].to_string();
                (self.content.clone(), json!({"type": "input_json_delta", "partial_json": input}))
            }
        };
        if let Some(input) = start.get_mut("input") {
            *input = json!({});
        }
        let end = json!({"stop_reason": self.stop_reason, "stop_sequence": null});
        let steps = [
            json!({"type": "message_start", "message": self.message(&json!([]), &Value::Null)}),
            json!({"type": "content_block_start", "index": 0, "content_block": start}),
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 7}}),
            json!({"type": "message_stop"}),
        ];
        let event = |step: &Value| {
            format!("event: {}\ndata: {step}\n\n", step["type"].as_str().unwrap_or_default())
        };
        steps.iter().map(event).collect()
    }
}

fn said(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// The blocks of a message, whose content may be bare text.
fn blocks(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::String(text) => vec![said(text)],
        content => content.as_array().cloned().unwrap_or_default(),
    }
}

/// What a tool said.
fn words(result: &Value) -> String {
    let text = |block: &Value| block["text"].as_str().map(str::to_owned);
    blocks(result).iter().filter_map(text).collect()
}

/// Whether the client lets the model use the shell: it does not where it only wants a title.
fn has_shell(body: &Value) -> bool {
    body["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool["name"] == "Bash"))
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
