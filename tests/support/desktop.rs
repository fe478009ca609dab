//! A stand-in for the desktop's notifications, on a bus of its own, that keeps what it is told to show.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use zbus::zvariant::Value;

use crate::bus::{self, Bus, STARTS_WITHIN};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// A notification: its title and its body.
type Shown = Arc<Mutex<Vec<(String, String)>>>;

/// The bus and the stand-in; both end with it.
#[derive(Debug)]
pub struct Desktop {
    bus: Bus,
    shown: Shown,
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// What the service does.
struct Notifications {
    shown: Shown,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    /// Shows a notification and returns its number.
    #[expect(clippy::too_many_arguments, reason = "so the desktop specifies it")]
    fn notify(
        &self,
        _program: &str,
        _replaces: u32,
        _icon: &str,
        title: &str,
        body: &str,
        _actions: Vec<&str>,
        _hints: HashMap<&str, Value<'_>>,
        _for_ms: i32,
    ) -> u32 {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.push((title.to_owned(), body.to_owned()));
        u32::try_from(shown.len()).unwrap_or(u32::MAX)
    }

    /// Says what it can do.
    fn get_capabilities(&self) -> Vec<&str> {
        vec!["body", "body-markup"]
    }

    /// Says what it is: name, vendor, version, and the specification's version.
    fn get_server_information(&self) -> (&str, &str, &str, &str) {
        ("stand-in", "ConvoSync", "1", "1.2")
    }
}

impl Desktop {
    /// Starts a bus in `dir`, with the stand-in on it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(dir: &Path) -> Self {
        let bus = Bus::start(dir);
        let shown = Shown::default();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let (address, noted) = (bus.address().to_owned(), shown.clone());
        thread::spawn(move || serve(&address, noted, stopped, &ready));
        is_ready.recv_timeout(STARTS_WITHIN).expect("the stand-in is on the bus");
        Self { bus, shown, _stop: stop }
    }

    /// Returns the address of the bus.
    pub fn address(&self) -> &str {
        self.bus.address()
    }

    /// Returns the titles and bodies shown so far.
    pub fn shown(&self) -> Vec<(String, String)> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    address: &str,
    shown: Shown,
    stopped: tokio::sync::oneshot::Receiver<()>,
    ready: &mpsc::Sender<()>,
) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let bus = bus::serve(address, (NAME, PATH), Notifications { shown }).await;
        // The test waits for this and for nothing else.
        ready.send(()).unwrap_or_default();
        stopped.await.unwrap_or_default();
        drop(bus);
    });
}
