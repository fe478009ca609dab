//! Passes connections on and counts them: bytes both ways, and how often the two sides took turns.
//!
//! A relay stands between one device and one server, so what it counts is what the device's network would
//! carry above TCP: ssh's or TLS's own bytes included, TCP's and IP's headers not.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::{Traffic, eventually};

/// A side that has ended is noticed by the other within this time.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// What a connection is passed on to.
pub enum Target {
    /// A server that listens on a socket of the file system.
    Socket(PathBuf),
    /// A server that listens on a port of this machine.
    Port(u16),
    /// A program for each connection, which speaks on its standard input and output.
    Program(Box<dyn Fn() -> Command + Send + Sync>),
    /// Whatever the client asks for, in the way of an http proxy.
    Asked(Arc<crate::forward::Forward>),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target")
    }
}

/// A port of this machine that leads to a server. Closed with this value.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    closed: AtomicBool,
    count: Mutex<Count>,
}

#[derive(Debug, Default)]
struct Count {
    traffic: Traffic,
    open: u64,
}

/// Who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that connected.
    Client,
    /// The one that was connected to.
    Server,
}

impl Relay {
    /// Listens on a free port and passes every connection on to `target`.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start(target: Target) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let shared =
            Arc::new(Shared { target, closed: AtomicBool::new(false), count: Mutex::default() });
        let relay = Self { port, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.carry(&client));
            }
        });
        relay
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns what went through so far, after the last open connection has ended.
    #[track_caller]
    pub fn traffic(&self) -> Traffic {
        eventually("the open connections end", ENDS_WITHIN, || {
            let count = self.shared.count();
            (count.open == 0).then_some(count.traffic)
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the listener up; should that fail, it ends with the process.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map(drop).unwrap_or_default();
    }
}

impl Shared {
    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries one connection to its end. A side that breaks off ends it; that is what it would see anyway.
    fn carry(&self, client: &TcpStream) {
        {
            let mut count = self.count();
            count.open += 1;
            count.traffic.connections += 1;
        }
        self.connect(client).and_then(|server| self.between(client, server)).unwrap_or_default();
        client.shutdown(Shutdown::Both).unwrap_or_default();
        self.count().open -= 1;
    }

    fn connect(&self, client: &TcpStream) -> io::Result<Ends> {
        // Small answers are passed on at once, as they would be without us.
        client.set_nodelay(true)?;
        match &self.target {
            Target::Socket(path) => Ends::of_socket(UnixStream::connect(path)?),
            Target::Port(port) => Ends::of_port(TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?),
            Target::Asked(forward) => Ends::of_port(forward.connect(client)?),
            Target::Program(program) => Ends::of_program(program()),
        }
    }

    fn between(&self, client: &TcpStream, server: Ends) -> io::Result<()> {
        let turn = Mutex::new(Side::Server);
        let Ends { mut reader, mut writer, close, child } = server;
        let (mut from_client, mut to_client) = (client.try_clone()?, client.try_clone()?);
        thread::scope(|scope| {
            scope.spawn(|| {
                // The client may end first, or the server: either way the copy is over.
                self.copy(&mut from_client, &mut writer, Side::Client, &turn).unwrap_or_default();
                drop(writer);
                close();
            });
            self.copy(&mut reader, &mut to_client, Side::Server, &turn).unwrap_or_default();
            client.shutdown(Shutdown::Both).unwrap_or_default();
        });
        child.map_or(Ok(()), |mut child| child.wait().map(drop))
    }

    fn copy(
        &self,
        from: &mut impl Read,
        to: &mut impl Write,
        side: Side,
        turn: &Mutex<Side>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = from.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            self.note(length as u64, side, turn);
            to.write_all(&buffer[..length])?;
            to.flush()?;
        }
    }

    /// Counts bytes before they are passed on, so that whoever got an answer finds all of it counted.
    fn note(&self, length: u64, side: Side, turn: &Mutex<Side>) {
        let mut count = self.count();
        let mut last = turn.lock().unwrap_or_else(PoisonError::into_inner);
        count.traffic.note(length, side, &mut last);
    }
}

/// Both directions of a connection to a server.
struct Ends {
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Write + Send>,
    /// Tells the server that the client has ended.
    close: Box<dyn FnOnce() + Send>,
    child: Option<Child>,
}

impl Ends {
    fn of_socket(stream: UnixStream) -> io::Result<Self> {
        let (reader, writer) = (stream.try_clone()?, stream.try_clone()?);
        let close = move || stream.shutdown(Shutdown::Write).unwrap_or_default();
        Ok(Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
            close: Box::new(close),
            child: None,
        })
    }

    fn of_port(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (reader, writer) = (stream.try_clone()?, stream.try_clone()?);
        let close = move || stream.shutdown(Shutdown::Write).unwrap_or_default();
        Ok(Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
            close: Box::new(close),
            child: None,
        })
    }

    fn of_program(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let writer = child.stdin.take().expect("stdin is piped");
        let reader = child.stdout.take().expect("stdout is piped");
        Ok(Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
            // Its standard input is closed when the writer goes.
            close: Box::new(|| ()),
            child: Some(child),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Repeats what it hears until it hears no more.
    fn echo() -> Relay {
        Relay::start(Target::Program(Box::new(|| crate::program::command("cat"))))
    }

    fn ask(stream: &mut TcpStream, words: &[u8]) {
        stream.write_all(words).unwrap();
        let mut answer = vec![0; words.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, words);
    }

    #[test]
    fn bytes_connections_and_turns_are_counted() {
        let relay = echo();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).unwrap();
        ask(&mut stream, b"how");
        ask(&mut stream, b"are you?");
        drop(stream);
        let expected = Traffic { sent: 11, received: 11, connections: 1, turns: 2 };
        assert_eq!(relay.traffic(), expected);
    }

    #[test]
    fn a_relay_that_is_gone_takes_no_connections() {
        let relay = echo();
        let port = relay.port();
        drop(relay);
        eventually("the port is closed", ENDS_WITHIN, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err().then_some(())
        });
    }
}
