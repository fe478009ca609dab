//! Hears from the operating system that this device got another address or route.
//!
//! What changed does not matter, and nothing is parsed: it is a hint that what could not be reached perhaps
//! can be now. A system that tells nothing, or refuses to, costs delay only: the engine tries by itself.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// A network that comes up says so a dozen times: address, routes, the other family. What comes within this
/// time is one change.
const GATHERS: Duration = Duration::from_millis(500);

/// The stream of changes.
#[derive(Debug)]
pub struct Network {
    changes: Option<Receiver<()>>,
}

impl Network {
    /// Listens, if the system lets us.
    pub fn listen() -> Self {
        let (told, changes) = mpsc::channel(1);
        let pass_on = |socket: OwnedFd| {
            thread::Builder::new().name("network".to_owned()).spawn(move || pass_on(&socket, &told))
        };
        match open().and_then(pass_on) {
            Ok(_) => Self { changes: Some(changes) },
            Err(error) => {
                tracing::debug!(%error, "changes of the network are not told: remotes are tried by the clock");
                Self::noop()
            }
        }
    }

    /// A stream that stays silent: for tests.
    pub fn noop() -> Self {
        Self { changes: None }
    }

    /// Waits until the network has changed. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        if let Some(changes) = &mut self.changes
            && changes.recv().await.is_some()
        {
            return;
        }
        self.changes = None;
        std::future::pending().await
    }
}

/// Tells of each change, until nobody listens or the system tells nothing any more.
fn pass_on(socket: &OwnedFd, told: &Sender<()>) {
    while wait(socket, RecvFlags::empty()).is_ok() {
        thread::sleep(GATHERS);
        while wait(socket, RecvFlags::DONTWAIT).is_ok() {}
        if told.blocking_send(()).is_err() {
            return;
        }
    }
}

/// Reads one message, whatever it says.
fn wait(socket: &OwnedFd, flags: RecvFlags) -> io::Result<()> {
    let mut piece = [0; 4 << 10];
    loop {
        match recv(socket, &mut piece[..], flags) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            // More came than the system could keep for us: there was a change, whichever.
            Ok(_) | Err(Errno::NOBUFS) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens a socket that the kernel tells of addresses and routes; links alone are not listened to, for a
/// wireless one tells of itself all the time.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn open() -> io::Result<OwnedFd> {
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
    // RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE (rtnetlink(7)).
    const GROUPS: u32 = 0x10 | 0x40 | 0x100 | 0x400;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    Ok(socket)
}

/// Opens a routing socket (route(4)): it tells of addresses, routes and links.
#[cfg(target_vendor = "apple")]
fn open() -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketType, socket};
    let socket = socket(AddressFamily::ROUTE, SocketType::RAW, None)?;
    rustix::io::ioctl_fioclex(&socket)?;
    Ok(socket)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn open() -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than a change takes to be told.
    const WHILE: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_network_that_tells_nothing_is_waited_for_without_end() {
        let mut network = Network::noop();
        assert!(tokio::time::timeout(WHILE, network.changed()).await.is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_lets_us_listen_to_its_addresses_and_routes() {
        let socket = open().expect("rtnetlink may be listened to");
        let nothing = wait(&socket, RecvFlags::DONTWAIT).map_err(|error| error.kind());
        assert!(matches!(nothing, Ok(()) | Err(io::ErrorKind::WouldBlock)), "{nothing:?}");
    }
}
