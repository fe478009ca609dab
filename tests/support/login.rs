//! A private message bus with a stand-in for the login manager that tells when the machine sleeps.

use std::io::Read;
use std::os::fd::OwnedFd as File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use zbus::zvariant::OwnedFd;

use crate::bus::{self, Bus, STARTS_WITHIN};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// The bus and the stand-in; both end with it.
#[derive(Debug)]
pub struct Login {
    bus: Bus,
    say: tokio::sync::mpsc::UnboundedSender<(&'static str, bool)>,
    held: Arc<AtomicUsize>,
}

/// What the service does.
struct Manager {
    held: Arc<AtomicUsize>,
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    /// Gives a lock: the end of a pipe, which is released when its holder closes it.
    #[expect(clippy::needless_pass_by_value, reason = "so the bus calls it")]
    fn inhibit(
        &self,
        what: &str,
        _who: &str,
        _why: &str,
        mode: String,
    ) -> zbus::fdo::Result<OwnedFd> {
        if !what.contains("sleep") || mode != "delay" {
            return Err(zbus::fdo::Error::InvalidArgs(format!("{what} {mode}")));
        }
        let (mut reader, writer) =
            std::io::pipe().map_err(|error| zbus::fdo::Error::IOError(error.to_string()))?;
        let held = self.held.clone();
        held.fetch_add(1, Ordering::SeqCst);
        thread::spawn(move || {
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).map(drop).unwrap_or_default();
            held.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(OwnedFd::from(File::from(writer)))
    }
}

impl Login {
    /// Starts a bus in `dir`, with the stand-in on it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(dir: &Path) -> Self {
        let bus = Bus::start(dir);
        let held = Arc::<AtomicUsize>::default();
        let (say, said) = tokio::sync::mpsc::unbounded_channel();
        let (ready, is_ready) = mpsc::channel();
        let (there, locks) = (bus.address().to_owned(), held.clone());
        thread::spawn(move || serve(&there, locks, said, &ready));
        is_ready.recv_timeout(STARTS_WITHIN).expect("the stand-in is on the bus");
        Self { bus, say, held }
    }

    /// Returns the address of the bus.
    pub fn address(&self) -> &str {
        self.bus.address()
    }

    /// Returns how many locks hold up the machine's sleep.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// Tells everybody that the machine will sleep, or that it woke.
    pub fn prepare_for_sleep(&self, begins: bool) {
        self.say.send(("PrepareForSleep", begins)).expect("the stand-in runs");
    }

    /// Tells everybody that the machine will shut down.
    pub fn prepare_for_shutdown(&self) {
        self.say.send(("PrepareForShutdown", true)).expect("the stand-in runs");
    }
}

fn serve(
    address: &str,
    held: Arc<AtomicUsize>,
    mut said: tokio::sync::mpsc::UnboundedReceiver<(&'static str, bool)>,
    ready: &mpsc::Sender<()>,
) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let bus = bus::serve(address, (NAME, PATH), Manager { held }).await;
        // The test waits for this and for nothing else.
        ready.send(()).unwrap_or_default();
        while let Some((signal, begins)) = said.recv().await {
            bus.emit_signal(None::<()>, PATH, MANAGER, signal, &(begins,))
                .await
                .expect("the bus carries it");
        }
    });
}
