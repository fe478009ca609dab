//! What the operating system asks of the daemon, as a stream.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// The exit code after a second request to leave, as of a process that SIGINT ended.
const QUIT_CODE: i32 = 130;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Save what is dirty and leave: SIGTERM or SIGINT.
    Stop,
    /// Read the configuration again: SIGHUP.
    Reload,
}

/// The stream of signals.
#[derive(Debug)]
pub struct Signals {
    real: Option<Real>,
}

#[derive(Debug)]
struct Real {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
}

impl Signals {
    /// Takes over the process's signals. A second request to leave ends the process at once, even if
    /// nobody reads this stream any more.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn listen() -> io::Result<Self> {
        let listen = || -> io::Result<Real> {
            Ok(Real {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
            })
        };
        tokio::spawn(quit_at_the_second(listen()?));
        Ok(Self { real: Some(listen()?) })
    }

    /// A stream that stays silent: for tests.
    pub fn noop() -> Self {
        Self { real: None }
    }

    /// Waits for the next signal. Dropping the future loses none.
    pub async fn next(&mut self) -> Signal {
        match &mut self.real {
            Some(real) => real.next().await,
            None => std::future::pending().await,
        }
    }
}

impl Real {
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

async fn quit_at_the_second(mut signals: Real) {
    let mut stops = 0;
    while stops < 2 {
        stops += usize::from(signals.next().await == Signal::Stop);
    }
    tracing::warn!("left at once: a second signal came");
    std::process::exit(QUIT_CODE);
}
