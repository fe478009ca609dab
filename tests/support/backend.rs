//! A small git host over http, in this process: each request is answered by `git http-backend`.
//!
//! Slow and simple, and needs nothing but git: what the tests of bad networks put their proxy before.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::{Remote, program};

/// A connection that says nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A body larger than this is no test's doing.
const BODY_MAX: usize = 256 << 20;

/// The running server; its threads end with the test's process.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    taken: Arc<AtomicU64>,
}

impl Backend {
    /// Serves the remote's repository on a free port of the loopback interface, to everybody.
    ///
    /// # Panics
    /// When no port can be had.
    #[track_caller]
    pub fn serve(remote: &Remote) -> Self {
        remote.git(&["config", "http.receivepack", "true"]).ok();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let root = remote.dir().parent().expect("a repository lies in a directory").to_owned();
        let taken: Arc<AtomicU64> = Arc::default();
        let counter = taken.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, counter) = (root.clone(), counter.clone());
                // Whoever hangs up early finds out for himself.
                thread::spawn(move || serve(stream, root, &counter).unwrap_or_default());
            }
        });
        Self { address, taken }
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many bytes of packs it was given whole.
    pub fn packs_taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, wanted: &str) -> &str {
        let found = self.headers.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value.as_str())
    }
}

fn serve(stream: TcpStream, root: PathBuf, taken: &AtomicU64) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let request = read_request(&mut reader)?;
    if request.path.ends_with("/git-receive-pack") {
        taken.fetch_add(request.body.len() as u64, Ordering::SeqCst);
    }
    let answer = ask_git(root, &request);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = answer.get(end + 4..).unwrap_or_default();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for line in head.lines().filter(|line| !line.starts_with("Status: ")) {
        text.push_str(&format!("{line}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    let mut writer = stream;
    writer.write_all(text.as_bytes())?;
    writer.write_all(body)?;
    writer.flush()
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Request> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, query, headers, body: Vec::new() };
    request.body = match request.header("transfer-encoding") {
        "chunked" => read_chunks(reader)?,
        _ => read_exactly(reader, request.header("content-length").parse().unwrap_or(0))?,
    };
    Ok(request)
}

fn read_exactly(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    if length > BODY_MAX {
        return Err(io::Error::other("the body is too large"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        body.extend(read_exactly(reader, size)?);
        reader.read_line(&mut String::new())?;
        if size == 0 || body.len() > BODY_MAX {
            return Ok(body);
        }
    }
}

/// Runs the request through git's own CGI program and returns all it printed.
fn ask_git(root: PathBuf, request: &Request) -> Vec<u8> {
    let mut command = program::command("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("GIT_PROTOCOL", request.header("git-protocol"))
        .env("REMOTE_ADDR", "127.0.0.1");
    program::run(&mut command, &request.body, program::DEADLINE).stdout
}
