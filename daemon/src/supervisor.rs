//! Tells systemd when the daemon is ready and when it leaves (sd_notify(3)); nobody else listens.

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixDatagram;

/// Whoever started the daemon and may want to know.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<OsString>,
}

impl Supervisor {
    /// `socket` is what the variable `NOTIFY_SOCKET` says.
    pub fn new(socket: Option<OsString>) -> Self {
        Self { socket: socket.filter(|socket| !socket.is_empty()) }
    }

    /// The daemon answers requests from now on.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The daemon has begun to leave.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = send(socket, state)
        {
            tracing::warn!(%error, state, "failed to tell the service manager");
        }
    }
}

fn send(socket: &OsString, state: &str) -> io::Result<()> {
    let from = UnixDatagram::unbound()?;
    // A service manager that does not read must not hold up the daemon.
    from.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) =
        std::os::unix::ffi::OsStrExt::as_bytes(socket.as_os_str()).strip_prefix(b"@")
    {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return from.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    from.send_to(state.as_bytes(), socket).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_hears_when_the_daemon_is_ready_and_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::new(Some(path.into()));
        supervisor.ready();
        supervisor.stopping();
        let mut bytes = [0; 64];
        for state in ["READY=1", "STOPPING=1"] {
            let length = manager.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], state.as_bytes());
        }
    }

    #[test]
    fn nobody_to_tell_is_no_error() {
        Supervisor::new(None).ready();
        Supervisor::new(Some("".into())).ready();
        Supervisor::new(Some("/nowhere/notify".into())).ready();
    }
}
