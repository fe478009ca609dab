//! A request on its way to the shell, and the way back for its answer.

use convosync_core::protocol::{ErrorKind, Failure, Progress, Request};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// So many steps may wait for a slow client; further ones are left out.
const PROGRESS_WAITING_MAX: usize = 16;

/// A client's request, with the way to answer it.
#[derive(Debug)]
pub struct Asked {
    /// What is asked. A `hello` is one of our protocol; `watch` never comes here.
    pub request: Request,
    /// Where the answer goes.
    pub reply: Reply,
}

/// Answers one request, from whatever thread. Dropped unused, it answers with a failure.
#[derive(Debug)]
pub struct Reply {
    progress: mpsc::Sender<Progress>,
    result: oneshot::Sender<Result<Value, Failure>>,
}

/// The client's end of a [`Reply`].
pub(super) struct Pending {
    pub(super) progress: mpsc::Receiver<Progress>,
    pub(super) result: oneshot::Receiver<Result<Value, Failure>>,
}

/// Makes a reply and the end at which it arrives.
pub(super) fn pair() -> (Reply, Pending) {
    let (progress, progress_end) = mpsc::channel(PROGRESS_WAITING_MAX);
    let (result, result_end) = oneshot::channel();
    (Reply { progress, result }, Pending { progress: progress_end, result: result_end })
}

/// What a client is told when nobody answered.
pub(super) fn dropped() -> Failure {
    Failure::new(ErrorKind::Failed, "the request was given up before it was answered")
        .with_hint("the daemon's log says why")
}

impl Reply {
    /// Tells how far the request is. Never waits: a client that cannot keep up misses steps.
    pub fn progress(&self, progress: Progress) {
        if self.progress.try_send(progress).is_err() {
            tracing::trace!("left out a step of progress");
        }
    }

    /// Answers the request.
    pub fn finish(self, result: Result<Value, Failure>) {
        if self.result.send(result).is_err() {
            tracing::debug!("a client hung up before its answer");
        }
    }

    /// Answers the request with one of the protocol's replies, or with why it failed.
    pub fn answer<T: Serialize>(self, result: Result<T, Failure>) {
        self.finish(result.and_then(|reply| {
            serde_json::to_value(reply).map_err(|error| {
                Failure::new(ErrorKind::Failed, format!("write the answer: {error}"))
            })
        }));
    }
}
