//! Hears from the login manager that the machine goes to sleep or shuts down, and holds it up until what is
//! dirty is saved: logind's delay inhibitor, over D-Bus. Where there is none (a container, a phone, another
//! system), nothing is heard, and the clocks tell afterwards ([`crate::clock::Leap`]).

#[cfg(target_os = "linux")]
use std::time::Duration;

use tokio::sync::mpsc;

/// How long the machine is held up at most: logind lets everybody have five seconds.
#[cfg(target_os = "linux")]
const HELD_WITHIN: Duration = Duration::from_secs(4);

/// A bus that is not there or went away is looked for again after so long.
#[cfg(target_os = "linux")]
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// What the login manager says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nod {
    /// The machine will sleep or shut down as soon as we say so.
    Sleeping,
    /// It woke, or did not sleep after all.
    Woke,
}

/// The stream of what is said, and the answer to it.
#[derive(Debug)]
pub struct Sleep {
    nods: mpsc::Receiver<Nod>,
}

/// Says that the machine may sleep.
#[derive(Debug, Clone)]
pub struct LetGo(mpsc::Sender<()>);

impl LetGo {
    /// Lets the machine sleep, if it is held up.
    pub fn now(&self) {
        // Full: that was said already. Closed: nobody holds it up.
        self.0.try_send(()).unwrap_or_default();
    }
}

impl Sleep {
    /// Begins to listen.
    pub fn listen() -> (Self, LetGo) {
        let ((said, nods), (let_go, rested)) = (mpsc::channel(4), mpsc::channel(1));
        tokio::spawn(listen(said, rested));
        (Self { nods }, LetGo(let_go))
    }

    /// Waits for the next word. Dropping the future loses none.
    pub async fn next(&mut self) -> Nod {
        match self.nods.recv().await {
            Some(nod) => nod,
            None => std::future::pending().await,
        }
    }
}

#[cfg(not(target_os = "linux"))]
async fn listen(_said: mpsc::Sender<Nod>, _rested: mpsc::Receiver<()>) {}

#[cfg(target_os = "linux")]
async fn listen(said: mpsc::Sender<Nod>, mut rested: mpsc::Receiver<()>) {
    loop {
        match logind::hear(&said, &mut rested).await {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(%error, "no login manager tells when the machine sleeps");
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

#[cfg(target_os = "linux")]
mod logind {
    use futures_util::StreamExt as _;
    use tokio::sync::mpsc;
    use zbus::proxy::SignalStream;
    use zbus::zvariant::OwnedFd;
    use zbus::{Connection, Proxy};

    use super::{HELD_WITHIN, Nod};

    /// Listens until nobody wants to know any more.
    pub(super) async fn hear(
        said: &mpsc::Sender<Nod>,
        rested: &mut mpsc::Receiver<()>,
    ) -> zbus::Result<()> {
        let bus = Connection::system().await?;
        let (name, path) = ("org.freedesktop.login1", "/org/freedesktop/login1");
        let manager = Proxy::new(&bus, name, path, "org.freedesktop.login1.Manager").await?;
        let mut sleeps = manager.receive_signal("PrepareForSleep").await?;
        let mut shutdowns = manager.receive_signal("PrepareForShutdown").await?;
        let mut lock = Some(hold_up(&manager).await?);
        tracing::info!("the machine's sleep waits for saves");
        loop {
            let begins = tokio::select! {
                begins = next(&mut sleeps) => begins?,
                begins = next(&mut shutdowns) => begins?,
            };
            // What was said to the time before is no answer to this.
            while rested.try_recv().is_ok() {}
            let nod = if begins { Nod::Sleeping } else { Nod::Woke };
            if said.send(nod).await.is_err() {
                return Ok(());
            }
            if begins {
                if tokio::time::timeout(HELD_WITHIN, rested.recv()).await.is_err() {
                    tracing::warn!("the machine sleeps before everything is saved");
                }
                drop(lock.take());
            } else if lock.is_none() {
                lock = Some(hold_up(&manager).await?);
            }
        }
    }

    /// Takes the lock that holds up the machine's sleep; it ends when it is dropped.
    async fn hold_up(manager: &Proxy<'_>) -> zbus::Result<OwnedFd> {
        let what = ("sleep:shutdown", "ConvoSync", "Saving conversations", "delay");
        manager.call("Inhibit", &what).await
    }

    async fn next(signals: &mut SignalStream<'_>) -> zbus::Result<bool> {
        let gone = || zbus::Error::Failure("the bus went away".to_owned());
        signals.next().await.ok_or_else(gone)?.body().deserialize()
    }
}
