//! An http proxy as companies have them: tunnels what is asked for (`CONNECT`), perhaps to known users only.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::relay::{Relay, Target};

/// How long the head of a request may be.
const HEAD_MAX: usize = 16 << 10;

/// A proxy on a free port.
#[derive(Debug)]
pub struct Proxy {
    relay: Relay,
    forward: Arc<Forward>,
}

/// What a proxy does with a request.
#[derive(Debug)]
pub struct Forward {
    /// The header a client must send, if any.
    wanted: Option<String>,
    asked: Mutex<Vec<String>>,
}

impl Proxy {
    /// Starts one that serves only clients that send the line `wanted`, if there is one.
    pub fn start(wanted: Option<&str>) -> Self {
        let forward =
            Arc::new(Forward { wanted: wanted.map(str::to_owned), asked: Mutex::default() });
        let relay = Relay::start(Target::Asked(Arc::clone(&forward)));
        Self { relay, forward }
    }

    /// Returns its address; `login` is `user:password@` or nothing.
    pub fn url(&self, login: &str) -> String {
        format!("http://{login}127.0.0.1:{}", self.relay.port())
    }

    /// Returns what was asked for so far, as `host:port`, refused requests included.
    pub fn asked(&self) -> Vec<String> {
        self.forward.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Forward {
    /// Reads the request's head, answers it, and returns the connection it asked for.
    pub(crate) fn connect(&self, mut client: &TcpStream) -> io::Result<TcpStream> {
        let head = read_head(client)?;
        let place = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
        let place = place.ok_or_else(|| io::Error::other("not a request to connect"))?;
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(place.to_owned());
        let is_welcome =
            self.wanted.as_ref().is_none_or(|wanted| head.lines().any(|line| line == wanted));
        if !is_welcome {
            client.write_all(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )?;
            return Err(io::Error::other("the client is unknown"));
        }
        // Every name leads to this machine: nothing outside of it is ever reached.
        let port = place.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let port = port.ok_or_else(|| io::Error::other("no port"))?;
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        Ok(server)
    }
}

fn read_head(mut client: &TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MAX {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
