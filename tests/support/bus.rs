//! A message bus of one test's own, for stand-ins of the system's services.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::{eventually, files, program};

/// A bus and the service on it are there within this time.
pub(crate) const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// A bus that lets everybody do everything.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=SOCKET</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow send_type="method_call"/><allow receive_sender="*"/></policy>
</busconfig>
"#;

/// The bus; it ends with this value.
#[derive(Debug)]
pub(crate) struct Bus {
    child: Child,
    address: String,
}

impl Bus {
    /// Starts a bus in `dir`.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start(dir: &Path) -> Self {
        let (socket, config) = (dir.join("bus"), dir.join("bus.conf"));
        files::write(&config, BUS.replace("SOCKET", &socket.to_string_lossy()));
        let mut command = program::command("dbus-daemon");
        command.arg("--nofork").arg(format!("--config-file={}", config.display()));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("its caller asked for it on the path");
        eventually("the bus listens", STARTS_WITHIN, || socket.exists().then_some(()));
        Self { child, address: format!("unix:path={}", socket.display()) }
    }

    /// Returns its address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// Puts a service on the bus at `address`, under a name and a path, until it is dropped.
///
/// # Panics
/// When the bus does not take it.
pub(crate) async fn serve<I: zbus::object_server::Interface>(
    address: &str,
    (name, path): (&'static str, &'static str),
    service: I,
) -> zbus::Connection {
    zbus::connection::Builder::address(address)
        .and_then(|builder| builder.name(name))
        .and_then(|builder| builder.serve_at(path, service))
        .expect("the names are well-formed")
        .build()
        .await
        .expect("the bus takes the stand-in")
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}
