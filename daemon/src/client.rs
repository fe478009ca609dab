//! One client's connection: reads requests, has the shell answer them, writes the answers.
//!
//! Requests of one connection are answered one after the other. A client that is slow, silent or
//! talks nonsense costs its own connection and nothing else.

mod reply;

use std::time::Duration;

use convosync_core::protocol::{
    AnswerLine, ErrorKind, Event, Failure, Hello, LINE_MAX, PROTOCOL, Progress, Request,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{broadcast, mpsc};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;

pub use reply::{Asked, Reply};

/// A client has to say hello so soon.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// A connection without a request for so long is closed: a question to a person may take a while.
const REQUEST_WITHIN: Duration = Duration::from_secs(60 * 60);

/// A client has to take a line so soon.
const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// A long request shows that it is alive so often; a client gives up after two silent minutes.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(20);

/// JSON-RPC: the line is not JSON.
const PARSE_ERROR: i32 = -32_700;
/// JSON-RPC: there is no such method.
const METHOD_NOT_FOUND: i32 = -32_601;
/// JSON-RPC: the parameters do not fit the method.
const INVALID_PARAMS: i32 = -32_602;

/// What connects the clients with the rest of the daemon.
#[derive(Debug, Clone)]
pub struct Link {
    /// Takes every request but `watch`; the receiver is the shell's.
    pub asked: mpsc::Sender<Asked>,
    /// What watching clients are told.
    pub events: broadcast::Sender<Event>,
}

/// Why a connection ended before the client closed it.
#[derive(Debug, thiserror::Error)]
enum Hangup {
    #[error("the client sent nothing for too long")]
    Silent,
    #[error("the client did not read what it was sent")]
    Unread,
    #[error("the daemon is leaving")]
    Leaving,
    #[error("the client broke the protocol: {0}")]
    Protocol(String),
    #[error("the connection failed")]
    Connection(#[from] std::io::Error),
}

/// Serves one client until it hangs up, breaks the protocol or the daemon leaves.
pub async fn serve<S>(stream: S, link: Link, leave: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let lines = Framed::new(stream, LinesCodec::new_with_max_length(LINE_MAX));
    let mut client = Client { lines, link, leave };
    match client.run().await {
        Ok(()) | Err(Hangup::Leaving) => {}
        Err(why) => tracing::debug!(%why, "closed a client's connection"),
    }
}

struct Client<S> {
    lines: Framed<S, LinesCodec>,
    link: Link,
    leave: CancellationToken,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn run(&mut self) -> Result<(), Hangup> {
        let Some(line) = self.read(HELLO_WITHIN).await? else { return Ok(()) };
        let (id, hello) = match read_request(&line).and_then(greeting) {
            Ok(greeting) => greeting,
            Err(refusal) => return self.refuse(refusal).await,
        };
        self.answer(id, Request::Hello(hello)).await?;
        while let Some(line) = self.read(REQUEST_WITHIN).await? {
            match read_request(&line) {
                Ok((id, Request::Watch(_))) => return self.watch(id).await,
                Ok((id, request)) => self.answer(id, request).await?,
                Err(Refusal { id, failure }) => {
                    self.write(&AnswerLine::failure(id, failure)).await?
                }
            }
        }
        Ok(())
    }

    /// Returns the next line, or `None` when the client has hung up.
    async fn read(&mut self, within: Duration) -> Result<Option<String>, Hangup> {
        let line = tokio::select! {
            () = self.leave.cancelled() => return Err(Hangup::Leaving),
            line = tokio::time::timeout(within, self.lines.next()) => line,
        };
        let refusal = match line {
            Err(_) => return Err(Hangup::Silent),
            Ok(None) => return Ok(None),
            Ok(Some(Ok(line))) => return Ok(Some(line)),
            Ok(Some(Err(LinesCodecError::MaxLineLengthExceeded))) => {
                format!("a request is longer than {LINE_MAX} bytes")
            }
            Ok(Some(Err(LinesCodecError::Io(error)))) => match error.kind() {
                std::io::ErrorKind::InvalidData => "a request is not UTF-8".to_owned(),
                std::io::ErrorKind::ConnectionReset => return Ok(None),
                _ => return Err(error.into()),
            },
        };
        let failure = Failure::new(ErrorKind::BadRequest, refusal);
        self.refuse(Refusal { id: None, failure }).await?;
        Ok(None)
    }

    async fn refuse(&mut self, refusal: Refusal) -> Result<(), Hangup> {
        let why = Hangup::Protocol(refusal.failure.message.clone());
        self.write(&AnswerLine::failure(refusal.id, refusal.failure)).await?;
        Err(why)
    }

    /// Has the shell answer a request, and passes on its progress and the answer.
    async fn answer(&mut self, id: u64, request: Request) -> Result<(), Hangup> {
        let (reply, mut pending) = reply::pair();
        if self.link.asked.send(Asked { request, reply }).await.is_err() {
            let failure = Failure::new(ErrorKind::Failed, "the daemon is leaving");
            return self.write(&AnswerLine::failure(Some(id), failure)).await;
        }
        let mut last = Progress { step: "working".to_owned(), ..Progress::default() };
        let result = loop {
            // Progress goes first, so that none of it comes after the answer.
            tokio::select! {
                biased;
                Some(progress) = pending.progress.recv() => last = progress,
                result = &mut pending.result => break result.unwrap_or_else(|_| Err(reply::dropped())),
                () = tokio::time::sleep(HEARTBEAT_EVERY) => {}
            }
            self.write(&AnswerLine::progress(&last)).await?;
        };
        self.write(&match result {
            Ok(result) => AnswerLine::result(id, result),
            Err(failure) => AnswerLine::failure(Some(id), failure),
        })
        .await
    }

    /// Sends events until the client hangs up.
    async fn watch(&mut self, id: u64) -> Result<(), Hangup> {
        let mut events = self.link.events.subscribe();
        self.write(&AnswerLine::result(id, json!({}))).await?;
        loop {
            let event = tokio::select! {
                () = self.leave.cancelled() => return Err(Hangup::Leaving),
                line = self.lines.next() => match line {
                    None | Some(Err(_)) => return Ok(()),
                    Some(Ok(_)) => continue,
                },
                event = events.recv() => event,
            };
            let event = match event {
                Ok(event) => event,
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
                Err(broadcast::error::RecvError::Lagged(missed)) => Event::Trouble {
                    message: format!("{missed} events were missed"),
                    hint: Some("`convosyncctl status` shows how things stand".to_owned()),
                },
            };
            self.write(&AnswerLine::event(&event)).await?;
        }
    }

    async fn write(&mut self, answer: &AnswerLine) -> Result<(), Hangup> {
        match tokio::time::timeout(WRITE_WITHIN, self.lines.send(text_of(answer))).await {
            Err(_) => Err(Hangup::Unread),
            Ok(Err(LinesCodecError::Io(error))) => Err(error.into()),
            Ok(Err(error)) => Err(Hangup::Protocol(error.to_string())),
            Ok(Ok(())) => Ok(()),
        }
    }
}

/// Writes an answer as one line; one that the client would not accept becomes a failure.
fn text_of(answer: &AnswerLine) -> String {
    match serde_json::to_string(answer) {
        Ok(text) if text.len() < LINE_MAX => text,
        _ => {
            let failure = Failure::new(ErrorKind::Failed, "the answer is too large for one line");
            json!({ "jsonrpc": "2.0", "id": answer.id, "error": failure }).to_string()
        }
    }
}

/// A line that is not answered by the shell, and why.
#[derive(Debug)]
struct Refusal {
    id: Option<u64>,
    failure: Failure,
}

impl Refusal {
    fn new(id: Option<u64>, code: i32, message: String) -> Self {
        Self { id, failure: Failure { code, ..Failure::new(ErrorKind::BadRequest, message) } }
    }
}

/// A request as any JSON-RPC client may write it: parameters may be missing.
#[derive(Deserialize)]
struct Line {
    jsonrpc: String,
    id: Value,
    method: String,
    #[serde(default)]
    params: Option<Value>,
}

/// Reads one request line.
fn read_request(line: &str) -> Result<(u64, Request), Refusal> {
    let value: Value = serde_json::from_str(line)
        .map_err(|error| Refusal::new(None, PARSE_ERROR, format!("this is not JSON: {error}")))?;
    let bad = ErrorKind::BadRequest.code();
    let line: Line = serde_json::from_value(value)
        .map_err(|error| Refusal::new(None, bad, format!("this is not a request: {error}")))?;
    let Some(id) = line.id.as_u64() else {
        return Err(Refusal::new(None, bad, "the id is not a positive number".to_owned()));
    };
    if line.jsonrpc != "2.0" {
        return Err(Refusal::new(Some(id), bad, "this is not JSON-RPC 2.0".to_owned()));
    }
    let params = line.params.unwrap_or_else(|| json!({}));
    serde_json::from_value(json!({ "method": line.method, "params": params }))
        .map(|request| (id, request))
        .map_err(|error| refuse_request(id, &line.method, &error))
}

fn refuse_request(id: u64, method: &str, error: &serde_json::Error) -> Refusal {
    // Without parameters only the method's name can be wrong in this way.
    let bare = serde_json::from_value::<Request>(json!({ "method": method, "params": null }));
    if bare.is_err_and(|error| error.to_string().starts_with("unknown variant")) {
        let method: String = method.chars().take(80).collect();
        Refusal::new(Some(id), METHOD_NOT_FOUND, format!("there is no method `{method}`"))
    } else {
        Refusal::new(Some(id), INVALID_PARAMS, format!("parameters of `{method}`: {error}"))
    }
}

/// Checks that the first request is a greeting in our protocol.
fn greeting((id, request): (u64, Request)) -> Result<(u64, Hello), Refusal> {
    let failure = match request {
        Request::Hello(hello) if hello.protocol == PROTOCOL => return Ok((id, hello)),
        Request::Hello(hello) => Failure::new(
            ErrorKind::OtherProtocol,
            format!(
                "the daemon (version {}) speaks protocol {PROTOCOL}, the client {}",
                env!("CARGO_PKG_VERSION"),
                hello.protocol
            ),
        )
        .with_hint("install both in one version and restart the daemon"),
        _ => Failure::new(ErrorKind::BadRequest, "the first request must be `hello`"),
    };
    Err(Refusal { id: Some(id), failure })
}

#[cfg(test)]
mod tests;
