//! A private message bus with a stand-in for the login manager that tells when the machine sleeps.

use std::io::Read;
use std::os::fd::OwnedFd as File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use zbus::zvariant::OwnedFd;

use crate::{eventually, files, program};

/// A bus and its service are there within this time.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// A bus that lets everybody do everything.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=SOCKET</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow send_type="method_call"/><allow receive_sender="*"/></policy>
</busconfig>
"#;

/// The bus and the stand-in; both end with it.
#[derive(Debug)]
pub struct Login {
    bus: Child,
    address: String,
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
        let (socket, config) = (dir.join("bus"), dir.join("bus.conf"));
        files::write(&config, BUS.replace("SOCKET", &socket.to_string_lossy()));
        let mut command = program::command("dbus-daemon");
        command.arg("--nofork").arg(format!("--config-file={}", config.display()));
        let bus = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("its caller asked for it on the path");
        eventually("the bus listens", STARTS_WITHIN, || socket.exists().then_some(()));
        let address = format!("unix:path={}", socket.display());
        let held = Arc::<AtomicUsize>::default();
        let (say, said) = tokio::sync::mpsc::unbounded_channel();
        let (ready, is_ready) = mpsc::channel();
        let (there, locks) = (address.clone(), held.clone());
        thread::spawn(move || serve(&there, locks, said, &ready));
        is_ready.recv_timeout(STARTS_WITHIN).expect("the stand-in is on the bus");
        Self { bus, address, say, held }
    }

    /// Returns the address of the bus.
    pub fn address(&self) -> &str {
        &self.address
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

impl Drop for Login {
    fn drop(&mut self) {
        self.bus.kill().unwrap_or_default();
        self.bus.wait().map(drop).unwrap_or_default();
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
        let bus = zbus::connection::Builder::address(address)
            .and_then(|builder| builder.name(NAME))
            .and_then(|builder| builder.serve_at(PATH, Manager { held }))
            .expect("the names are well-formed")
            .build()
            .await
            .expect("the bus takes the stand-in");
        // The test waits for this and for nothing else.
        ready.send(()).unwrap_or_default();
        while let Some((signal, begins)) = said.recv().await {
            bus.emit_signal(None::<()>, PATH, MANAGER, signal, &(begins,))
                .await
                .expect("the bus carries it");
        }
    });
}
