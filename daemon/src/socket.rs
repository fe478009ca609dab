//! The local socket: where clients knock, and who is let in.
//!
//! The wall is the directory: ours, closed to others. The socket's own mode and the peer's uid stand
//! behind it. What a client then says is `client`'s business.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use convosync_core::disk::{self, DiskError};
use convosync_core::protocol::{AnswerLine, ErrorKind, Failure};
use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::{GenericFilePath, ListenerOptions};
use interprocess::os::unix::local_socket::ListenerOptionsExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{self, Link};
use crate::instance::Instance;

/// So many clients at once: each may hold a line of a megabyte in memory.
const CLIENTS_MAX: usize = 64;

/// How long clients get to read their answers once the daemon leaves.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

/// A pause after a failed accept: the usual cause, too many open files, takes a moment to pass.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// How long binding may wait for another process that fiddles with the same path.
const SPIN_MAX: Duration = Duration::from_millis(200);

/// Mode of the socket: connecting needs the permission to write.
const SOCKET_MODE: u16 = 0o600;

/// Why nobody can be served.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The directory is not safe, or cannot be made.
    #[error("use the socket's directory")]
    Directory(#[from] DiskError),
    /// The socket cannot be made.
    #[error("listen at `{}`", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl SocketError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Directory(error) => error.hint(),
            Self::Bind { .. } => None,
        }
    }
}

/// The open socket. Its file disappears when this value is dropped.
#[derive(Debug)]
pub struct Listener {
    inner: LocalSocketListener,
}

impl Listener {
    /// Opens the socket at `path`, replacing what a killed daemon left there. Only who holds the
    /// [`Instance`] may: the replacement would also take the name of a living daemon.
    ///
    /// # Errors
    /// When the directory is somebody else's or open to others, or the socket cannot be made.
    pub fn bind(path: &Path, _instance: &Instance) -> Result<Self, SocketError> {
        disk::private_dir(path.parent().unwrap_or(Path::new("/")))?;
        let failed = |source| SocketError::Bind { path: path.to_owned(), source };
        let inner = match listen(path, Some(SOCKET_MODE)) {
            // macOS cannot give a socket its mode before it is there; the directory protects it.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => listen(path, None),
            done => done,
        };
        Ok(Self { inner: inner.map_err(failed)? })
    }
}

fn listen(path: &Path, mode: Option<u16>) -> io::Result<LocalSocketListener> {
    let options = ListenerOptions::new()
        .name(path.to_fs_name::<GenericFilePath>()?)
        .try_overwrite(true)
        .max_spin_time(SPIN_MAX);
    match mode {
        Some(mode) => options.mode(mode.into()).create_tokio(),
        None => options.create_tokio(),
    }
}

/// Lets clients in until `leave` is cancelled, and gives those that are being answered a moment to
/// read their answers.
pub async fn serve(listener: Listener, link: Link, leave: CancellationToken) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    let clients = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = leave.cancelled() => break,
            stream = listener.inner.accept() => stream,
        };
        match stream {
            Ok(stream) if !is_ours(&stream) => tracing::warn!("refused another user's client"),
            Ok(stream) => {
                let (link, leave) = (link.clone(), leave.clone());
                match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => clients.spawn(async move {
                        client::serve(stream, link, leave).await;
                        drop(place);
                    }),
                    Err(_) => clients.spawn(turn_away(stream)),
                };
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a client");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
    drop(listener);
    clients.close();
    if tokio::time::timeout(FAREWELL_WITHIN, clients.wait()).await.is_err() {
        tracing::debug!(clients = clients.len(), "left without waiting for every client");
    }
}

/// Whether the peer runs as this user. Where the system does not say, the directory has decided.
fn is_ours(stream: &LocalSocketStream) -> bool {
    let peer = stream.peer_creds().ok().and_then(|credentials| credentials.euid());
    peer.is_none_or(|uid| uid == rustix::process::geteuid().as_raw())
}

async fn turn_away(mut stream: LocalSocketStream) {
    let failure = Failure::new(ErrorKind::Failed, format!("{CLIENTS_MAX} clients are connected"))
        .with_hint("end some of them, such as `convosyncctl watch`");
    let mut line = serde_json::to_vec(&AnswerLine::failure(None, failure)).unwrap_or_default();
    line.push(b'\n');
    let sent = tokio::time::timeout(FAREWELL_WITHIN, stream.write_all(&line)).await;
    tracing::warn!(sent = matches!(sent, Ok(Ok(()))), "turned a client away: too many");
}

#[cfg(test)]
mod tests;
