//! The client's end of the socket: connect, handshake, one request at a time, events.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use convosync_core::protocol::{
    AnswerLine, ErrorKind, Event, Failure, Hello, HelloReply, LINE_MAX, Nothing, PROTOCOL,
    Progress, Request, RequestLine,
};
use interprocess::ConnectWaitMode;
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, Stream};
use serde::de::DeserializeOwned;

use crate::exit::ExitCode;

/// How long the client is patient.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// To connect and shake hands.
    pub(crate) connect: Duration,
    /// Without a word from the daemon during a request; progress counts as a word.
    pub(crate) silence: Duration,
}

impl Default for Limits {
    /// The figures of `docs/protocol.md`.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), silence: Duration::from_secs(120) }
    }
}

/// Waits shorter than this show no progress.
const QUIET: Duration = Duration::from_millis(300);

/// How often a full backlog is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// The ssh agent's socket that the daemon may use, if any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agent(pub(crate) Option<PathBuf>);

/// What watches a request take its time.
pub(crate) trait Watcher {
    /// The request takes longer than a moment.
    fn slow(&mut self);
    /// The daemon said how far it is.
    fn progress(&mut self, progress: &Progress);
    /// The answer is there.
    fn done(&mut self);
}

/// What went wrong between client and daemon.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Nobody listens.
    #[error("the daemon is not running (no answer at `{}`)", socket.display())]
    Absent { socket: PathBuf },
    /// The connection cannot be made.
    #[error("connect to `{}`", socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    /// Somebody else's process listens there.
    #[error("`{}` is served by another user ({uid})", socket.display())]
    OtherUser { socket: PathBuf, uid: u32 },
    /// The request could not be sent.
    #[error("send the request")]
    Send { source: io::Error },
    /// The answer could not be read.
    #[error("read the answer")]
    Receive { source: io::Error },
    /// The daemon hung up.
    #[error("the daemon closed the connection before it answered")]
    Closed,
    /// The daemon said nothing for too long.
    #[error("the daemon has said nothing for {} s", limit.as_secs())]
    Silent { limit: Duration },
    /// A line is longer than the protocol allows.
    #[error("the daemon's answer is longer than {LINE_MAX} bytes")]
    TooLong,
    /// The answer is not one of this protocol.
    #[error("the daemon's answer cannot be understood")]
    NotAnAnswer { source: serde_json::Error },
    /// The daemon speaks another protocol.
    #[error("the daemon speaks protocol {theirs} (version {version}), this client {PROTOCOL}")]
    OtherProtocol { theirs: u32, version: String },
    /// The daemon answered that the request failed.
    #[error(transparent)]
    Failed(Failure),
}

impl SocketError {
    /// Returns what the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(failure) => failure.data.kind.into(),
            Self::Absent { .. } | Self::Connect { .. } | Self::OtherUser { .. } => {
                ExitCode::NoDaemon
            }
            _ => ExitCode::Failed,
        }
    }

    /// Returns what the user can do.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Failed(failure) if failure.data.kind == ErrorKind::OtherProtocol => RESTART,
            Self::Failed(failure) => return failure.data.hint.clone(),
            Self::OtherProtocol { .. } | Self::NotAnAnswer { .. } => RESTART,
            Self::Absent { .. } => "start it with `convosyncctl service start`",
            Self::Closed | Self::Silent { .. } => "its log: `convosyncctl service logs`",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// The way out when client and daemon are of different versions.
const RESTART: &str =
    "restart the daemon, so that both are of one version: `convosyncctl service stop`, then again";

/// An open connection.
pub(crate) struct Client {
    stream: BufReader<Stream>,
    partial: Vec<u8>,
    last_id: u64,
    hello: HelloReply,
    limits: Limits,
}

impl Client {
    /// Connects and shakes hands.
    pub(crate) fn connect(
        socket: &Path,
        agent: &Agent,
        limits: Limits,
    ) -> Result<Self, SocketError> {
        let stream = open(socket, limits.connect)?;
        check_peer(socket, &stream)?;
        let hello =
            HelloReply { protocol: PROTOCOL, version: String::new(), pid: 0, initialised: false };
        let mut client = Self {
            stream: BufReader::new(stream),
            partial: Vec::new(),
            last_id: 0,
            hello,
            limits: Limits { silence: limits.connect, ..limits },
        };
        client.hello = client.call(Request::Hello(greeting(agent)), &mut Unwatched)?;
        client.limits = limits;
        if client.hello.protocol == PROTOCOL {
            Ok(client)
        } else {
            let HelloReply { protocol: theirs, version, .. } = client.hello;
            Err(SocketError::OtherProtocol { theirs, version })
        }
    }

    /// Returns what the daemon said of itself.
    pub(crate) fn hello(&self) -> &HelloReply {
        &self.hello
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn call<T: DeserializeOwned>(
        &mut self,
        request: Request,
        watcher: &mut dyn Watcher,
    ) -> Result<T, SocketError> {
        self.last_id += 1;
        self.send(&RequestLine::new(self.last_id, request))?;
        let answer = self.answer(watcher);
        watcher.done();
        serde_json::from_value(answer?).map_err(|source| SocketError::NotAnAnswer { source })
    }

    /// Turns the connection into a stream of events.
    pub(crate) fn watch(&mut self) -> Result<(), SocketError> {
        self.call::<Nothing>(Request::Watch(Nothing {}), &mut Unwatched).map(|_| ())
    }

    /// Waits for the next event, however long; `None` when the daemon leaves.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, SocketError> {
        loop {
            let line = match self.line(None) {
                Err(SocketError::Closed) => return Ok(None),
                line => line?,
            };
            if let Some(params) = line.and_then(|line| line.params) {
                // An event of a newer daemon that we do not know is no error.
                if let Ok(event) = serde_json::from_value(params) {
                    return Ok(Some(event));
                }
            }
        }
    }

    fn send(&mut self, line: &RequestLine) -> Result<(), SocketError> {
        let mut bytes =
            serde_json::to_vec(line).map_err(|source| SocketError::NotAnAnswer { source })?;
        bytes.push(b'\n');
        let stream = self.stream.get_mut();
        stream
            .set_send_timeout(Some(self.limits.silence))
            .and_then(|()| stream.write_all(&bytes))
            .map_err(|source| SocketError::Send { source })
    }

    fn answer(&mut self, watcher: &mut dyn Watcher) -> Result<serde_json::Value, SocketError> {
        let silence = self.limits.silence;
        let started = Instant::now();
        let mut patience = QUIET.min(silence);
        loop {
            match self.line(Some(patience))? {
                None if patience == silence => return Err(SocketError::Silent { limit: silence }),
                None => {
                    watcher.slow();
                    patience = silence;
                }
                Some(AnswerLine { method: Some(_), params: Some(params), .. }) => {
                    if let Ok(progress) = serde_json::from_value(params) {
                        if started.elapsed() >= QUIET {
                            watcher.slow();
                        }
                        watcher.progress(&progress);
                    }
                }
                Some(AnswerLine { error: Some(failure), id, .. })
                    if id.is_none_or(|id| id == self.last_id) =>
                {
                    return Err(SocketError::Failed(failure));
                }
                Some(AnswerLine { result, id: Some(id), .. }) if id == self.last_id => {
                    return Ok(result.unwrap_or_default());
                }
                Some(_) => {}
            }
        }
    }

    /// Reads one line; `None` when nothing came for `patience`.
    fn line(&mut self, patience: Option<Duration>) -> Result<Option<AnswerLine>, SocketError> {
        let receive = |source| SocketError::Receive { source };
        self.stream.get_ref().set_recv_timeout(patience).map_err(receive)?;
        loop {
            let bytes = match self.stream.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_timeout(&error) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => &[],
                Err(source) => return Err(receive(source)),
            };
            if bytes.is_empty() {
                return Err(SocketError::Closed);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(bytes.len(), |end| end + 1);
            self.partial.extend_from_slice(&bytes[..used]);
            self.stream.consume(used);
            if self.partial.len() > LINE_MAX {
                return Err(SocketError::TooLong);
            }
            if end.is_some() {
                let line = std::mem::take(&mut self.partial);
                let answer = serde_json::from_slice(&line);
                return answer.map(Some).map_err(|source| SocketError::NotAnAnswer { source });
            }
        }
    }
}

struct Unwatched;

impl Watcher for Unwatched {
    fn slow(&mut self) {}
    fn progress(&mut self, _: &Progress) {}
    fn done(&mut self) {}
}

fn greeting(agent: &Agent) -> Hello {
    Hello {
        protocol: PROTOCOL,
        client: "convosyncctl".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ssh_auth_sock: agent.0.clone(),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn open(socket: &Path, limit: Duration) -> Result<Stream, SocketError> {
    let started = Instant::now();
    loop {
        let stream = socket.to_fs_name::<GenericFilePath>().and_then(|name| {
            ConnectOptions::new()
                .name(name)
                .wait_mode(ConnectWaitMode::Timeout(limit))
                .connect_sync()
        });
        match stream {
            Ok(stream) => return Ok(stream),
            Err(source) => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    return Err(SocketError::Absent { socket: socket.to_owned() });
                }
                // A full backlog answers at once instead of waiting.
                io::ErrorKind::WouldBlock if started.elapsed() < limit => {
                    std::thread::sleep(RETRY);
                }
                _ => return Err(SocketError::Connect { socket: socket.to_owned(), source }),
            },
        }
    }
}

/// Refuses a listener of another user: it would be given the recovery phrase.
fn check_peer(socket: &Path, stream: &Stream) -> Result<(), SocketError> {
    let uid = stream.peer_creds().ok().and_then(|creds| creds.euid());
    match uid {
        Some(uid) if uid != rustix::process::geteuid().as_raw() => {
            Err(SocketError::OtherUser { socket: socket.to_owned(), uid })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
