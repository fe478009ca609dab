//! A proxy between a device and its remote that does what networks do on a bad day.
//!
//! It listens on one port as long as it lives, except while it refuses, and passes bytes on as the [`Sky`]
//! of the moment says. What passes is counted.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How often a connection looks whether the sky has changed.
const LOOK: Duration = Duration::from_millis(20);
/// How much is passed on at once.
const PIECE: usize = 4 << 10;
/// How much the system takes in before it is passed on: little, as on a real line.
const BUFFER: usize = 16 << 10;
/// Takes back the port that was given up while connections were refused.
const BINDS_WITHIN: Duration = Duration::from_secs(10);
/// Who is not connected on the loopback interface after so long is not answered at all.
const CONNECTS_WITHIN: Duration = Duration::from_millis(200);
/// How many connections may wait to be taken.
const WAITING: i32 = 128;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sky {
    /// Everything passes.
    Clear,
    /// Nobody listens; open connections are reset.
    Refused,
    /// Connections are taken and nothing is ever answered.
    Silent,
    /// A firewall swallows every packet: a new connection is neither taken nor refused, open ones hear nothing.
    /// On Linux only.
    Swallowing,
    /// Of each connection so many bytes pass towards the remote, then nothing more either way: half-open.
    Deaf {
        /// How many.
        after: u64,
    },
    /// Of each connection so many bytes pass towards the remote, then it is reset.
    Reset {
        /// How many.
        after: u64,
    },
    /// What is sent arrives; a connection that sent more than this is reset instead of answered.
    AnswerLost {
        /// How many bytes.
        after: u64,
    },
    /// All connections share so many bytes a second and way, and every byte is on its way for a while.
    Slow {
        /// Bytes a second.
        rate: u64,
        /// How long a byte takes in each direction.
        latency: Duration,
    },
    /// Every http request is led away to a login page.
    Redirects,
    /// Every http request is answered with a login page of one line.
    Page,
    /// Clear and refusing by turns, so long each.
    Flapping {
        /// How long.
        every: Duration,
    },
}

/// The running proxy; its threads end with the test's process.
#[derive(Debug, Clone)]
pub struct Weather {
    shared: Arc<Shared>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    connections: AtomicU64,
    up: Way,
    down: Way,
}

#[derive(Debug)]
struct State {
    sky: Sky,
    since: Instant,
    listens: bool,
}

impl Sky {
    /// Whether new connections come to somebody.
    fn takes(self) -> bool {
        !matches!(self, Self::Refused | Self::Swallowing)
    }
}

/// One direction of all connections.
#[derive(Debug, Default)]
struct Way {
    passed: AtomicU64,
    free_at: Mutex<Option<Instant>>,
}

impl Weather {
    /// Puts a proxy before `to`; everything passes.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn before(to: SocketAddr) -> Self {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = State { sky: Sky::Clear, since: Instant::now(), listens: true };
        let shared = Arc::new(Shared {
            to,
            state: Mutex::new(state),
            changed: Condvar::new(),
            connections: AtomicU64::new(0),
            up: Way::default(),
            down: Way::default(),
        });
        let listening = shared.clone();
        thread::spawn(move || listen(&listening, listener, address));
        Self { shared, address }
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the remote behind it, over http.
    pub fn url(&self) -> String {
        format!("http://{}/app.git", self.address)
    }

    /// Changes the sky, for open connections too. Returns when connections are refused, or taken again.
    pub fn set(&self, sky: Sky) {
        let mut state = self.shared.lock();
        (state.sky, state.since) = (sky, Instant::now());
        drop(state);
        self.shared.changed.notify_all();
        // Whoever waits for a connection looks at the sky when one comes.
        TcpStream::connect_timeout(&self.address, BINDS_WITHIN).map(drop).unwrap_or_default();
        let mut state = self.shared.lock();
        while state.listens != sky.takes() {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns how many bytes went towards the remote.
    pub fn sent(&self) -> u64 {
        self.shared.up.passed.load(Ordering::SeqCst)
    }

    /// Returns how many bytes came from the remote.
    pub fn received(&self) -> u64 {
        self.shared.down.passed.load(Ordering::SeqCst)
    }

    /// Returns how many connections were taken.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sky as it is now, with flapping resolved.
    fn sky(&self) -> Sky {
        let state = self.lock();
        match state.sky {
            Sky::Flapping { every } => {
                let turns = state.since.elapsed().as_millis() / every.as_millis().max(1);
                if turns.is_multiple_of(2) { Sky::Reset { after: 0 } } else { Sky::Clear }
            }
            sky => sky,
        }
    }

    /// Waits until the sky is another.
    fn wait_while(&self, sky: Sky) {
        let mut state = self.lock();
        while state.sky == sky {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set_listens(&self, listens: bool) {
        self.lock().listens = listens;
        self.changed.notify_all();
    }
}

fn listen(shared: &Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut listener = Some(listener);
    loop {
        let sky = shared.sky();
        if !sky.takes() {
            let plug = match &listener {
                Some(listener) if sky == Sky::Swallowing => plug(listener, address),
                _ => Vec::new(),
            };
            listener = listener.filter(|_| sky == Sky::Swallowing);
            shared.set_listens(false);
            shared.wait_while(sky);
            drop(plug);
            if let Some(listener) = &listener {
                rustix::net::listen(listener, WAITING).expect("it listened before");
            }
            continue;
        }
        let bound = listener.get_or_insert_with(|| {
            crate::eventually("the port is free again", BINDS_WITHIN, || bind(address).ok())
        });
        shared.set_listens(true);
        let Ok((client, _)) = bound.accept() else { continue };
        let shared = shared.clone();
        // Whoever is cut off finds out for himself.
        thread::spawn(move || connect(&shared, client).unwrap_or_default());
    }
}

/// Fills the queue of a listener that takes nobody in, until the system answers no request for a connection
/// any more. As long as the connections it returns are open, it stays so.
fn plug(listener: &TcpListener, address: SocketAddr) -> Vec<TcpStream> {
    rustix::net::listen(listener, 0).expect("it listened before");
    let connect = || TcpStream::connect_timeout(&address, CONNECTS_WITHIN).ok();
    std::iter::from_fn(connect).collect()
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, BUFFER)?;
    Ok(listener)
}

fn connect(shared: &Arc<Shared>, client: TcpStream) -> io::Result<()> {
    match shared.sky() {
        Sky::Refused | Sky::Swallowing => return Ok(()),
        Sky::Redirects | Sky::Page => {
            shared.connections.fetch_add(1, Ordering::SeqCst);
            return show_portal(shared.sky(), client);
        }
        _ => {}
    }
    let server = TcpStream::connect(shared.to)?;
    for end in [&client, &server] {
        end.set_read_timeout(Some(LOOK))?;
        end.set_nodelay(true)?;
    }
    let pair = Arc::new(Pair { sent: AtomicU64::new(0), dead: AtomicBool::new(false) });
    let up = Pipe { from: client.try_clone()?, to: server.try_clone()?, is_up: true };
    let down = Pipe { from: server, to: client, is_up: false };
    let (shared_up, pair_up) = (shared.clone(), pair.clone());
    thread::spawn(move || up.pass(&shared_up, &pair_up).unwrap_or_default());
    down.pass(shared, &pair)
}

/// What both directions of a connection know of each other.
struct Pair {
    sent: AtomicU64,
    dead: AtomicBool,
}

struct Pipe {
    from: TcpStream,
    to: TcpStream,
    is_up: bool,
}

impl Pipe {
    fn pass(mut self, shared: &Shared, pair: &Pair) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let (mut is_first, mut deaf) = (true, false);
        let mut line = None;
        while !pair.dead.load(Ordering::SeqCst) {
            let sky = shared.sky();
            if sky == Sky::Refused || sky == (Sky::Reset { after: 0 }) {
                return self.reset(pair);
            }
            // Nothing is read any more: the sender's buffers fill, as on a line that lost its other end.
            deaf |= matches!(sky, Sky::Silent | Sky::Swallowing);
            if deaf {
                thread::park_timeout(LOOK);
                continue;
            }
            let length = match self.from.read(&mut piece) {
                // What is on its way arrives first.
                Ok(0) if line.is_some() => return Ok(()),
                Ok(0) => return self.to.shutdown(Shutdown::Write),
                Ok(length) => length,
                Err(error) if is_pause(&error) => continue,
                Err(error) => {
                    pair.dead.store(true, Ordering::SeqCst);
                    return Err(error);
                }
            };
            if self.is_up && is_first {
                // A look of our own is no connection.
                shared.connections.fetch_add(1, Ordering::SeqCst);
            }
            let sent = match self.is_up {
                true => pair.sent.fetch_add(length as u64, Ordering::SeqCst) + length as u64,
                false => pair.sent.load(Ordering::SeqCst),
            };
            match sky {
                Sky::Deaf { after } if sent > after => deaf = true,
                Sky::Reset { after } if sent > after => return self.reset(pair),
                Sky::AnswerLost { after } if !self.is_up && sent > after => {
                    return self.reset(pair);
                }
                Sky::Slow { rate, .. } => {
                    self.wait_for_turn(shared, rate, length);
                    if line.is_none() {
                        line = Some(carry(self.to.try_clone()?));
                    }
                }
                _ => {}
            }
            is_first = false;
            if deaf {
                continue;
            }
            self.way(shared).passed.fetch_add(length as u64, Ordering::SeqCst);
            let latency =
                if let Sky::Slow { latency, .. } = sky { latency } else { Duration::ZERO };
            match &line {
                // Who takes nothing any more is found out by reading from him.
                Some(line) => drop(line.send((Instant::now() + latency, piece[..length].to_vec()))),
                None => self.to.write_all(&piece[..length])?,
            }
        }
        Ok(())
    }

    fn way<'a>(&self, shared: &'a Shared) -> &'a Way {
        if self.is_up { &shared.up } else { &shared.down }
    }

    /// Waits until a line of this rate has carried what came before, and this.
    fn wait_for_turn(&self, shared: &Shared, rate: u64, length: usize) {
        let takes = Duration::from_secs_f64(length as f64 / rate.max(1) as f64);
        let now = Instant::now();
        let mut free_at = self.way(shared).free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let until = free_at.unwrap_or(now).max(now) + takes;
        *free_at = Some(until);
        drop(free_at);
        wait_until(until);
    }

    /// Ends the connection so that both ends hear of it at once.
    fn reset(&self, pair: &Pair) -> io::Result<()> {
        pair.dead.store(true, Ordering::SeqCst);
        for end in [&self.from, &self.to] {
            rustix::net::sockopt::set_socket_linger(end, Some(Duration::ZERO))?;
        }
        Ok(())
    }
}

/// Takes what has a long way to go, and writes each piece when it arrives there.
fn carry(mut to: TcpStream) -> mpsc::Sender<(Instant, Vec<u8>)> {
    let (line, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (at, piece) in pieces {
            wait_until(at);
            if to.write_all(&piece).is_err() {
                return;
            }
        }
        to.shutdown(Shutdown::Write).unwrap_or_default();
    });
    line
}

fn wait_until(until: Instant) {
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// Answers as a network does that wants a login first.
fn show_portal(sky: Sky, mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match client.read(&mut piece)? {
            0 => return Ok(()),
            length => head.extend_from_slice(&piece[..length]),
        }
    }
    let page = "<html><body>Welcome to our hotel. Please log in.</body></html>";
    let (status, more) = match sky {
        Sky::Redirects => ("302 Found", "Location: /login?then=somewhere\r\n"),
        _ => ("200 OK", ""),
    };
    let asks_for_login = String::from_utf8_lossy(&head).starts_with("GET /login");
    let (status, more) = if asks_for_login { ("200 OK", "") } else { (status, more) };
    write!(
        client,
        "HTTP/1.1 {status}\r\n{more}Content-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
}
