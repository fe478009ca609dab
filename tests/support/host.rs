//! A small git host over http, in this process: each request is answered by `git http-backend`, or, when told so,
//! with a status and words of its own or a redirection. Slow and simple, and needs nothing but git.

use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::http::Request;
use crate::program;

/// How long one request may take, and a connection may say nothing.
const REQUEST_WITHIN: Duration = Duration::from_secs(60);
/// A body larger than this is no test's doing.
const BODY_MAX: usize = 256 << 20;

/// What every request is answered with.
#[derive(Debug, Clone, Default)]
pub enum Answer {
    /// As the repository has it.
    #[default]
    Serve,
    /// With a status; the words are what git shows as the remote's.
    Refuse(u16, &'static str),
    /// That there were too many requests, and after how many seconds the next may come.
    Limit(u32),
    /// With the address of another repository, for paths that begin with the first.
    Redirect(&'static str, &'static str),
}

/// The host; its threads end with the test's process.
#[derive(Debug)]
pub struct Host {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    answer: Mutex<Answer>,
    packs_taken: AtomicU64,
}

impl Host {
    /// Serves the repositories below `root` on a free port of the loopback interface, to everybody.
    ///
    /// # Panics
    /// When no port can be had.
    #[track_caller]
    pub fn start(root: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (answer, packs_taken) = (Mutex::default(), AtomicU64::default());
        let shared = Arc::new(Shared { root: root.to_owned(), answer, packs_taken });
        let served = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // Whoever hangs up early wants no answer.
                thread::spawn(move || serve(stream, &served).unwrap_or_default());
            }
        });
        Self { address, shared }
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of a repository.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Answers every request like this from now on.
    pub fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// Returns how many bytes of packs it was given whole.
    pub fn packs_taken(&self) -> u64 {
        self.shared.packs_taken.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_WITHIN))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = Request::read(&mut reader, BODY_MAX)? else { return Ok(()) };
    let answer = shared.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (head, body) = match answer {
        Answer::Refuse(status, words) => {
            (format!("{status} Told\r\nContent-Type: text/plain\r\n"), words.as_bytes().to_vec())
        }
        Answer::Limit(seconds) => (format!("429 Told\r\nRetry-After: {seconds}\r\n"), Vec::new()),
        Answer::Redirect(from, to) if request.path.starts_with(from) => {
            let place = request.path.replacen(from, to, 1);
            (format!("301 Moved\r\nLocation: {place}?{}\r\n", request.query), Vec::new())
        }
        _ => ask_git(&request, shared),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {head}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// Runs the request through git's own CGI program; returns the status with the headers, and the body.
fn ask_git(request: &Request, shared: &Shared) -> (String, Vec<u8>) {
    if request.path.ends_with("/git-receive-pack") {
        shared.packs_taken.fetch_add(request.body.len() as u64, Ordering::SeqCst);
    }
    let mut git = program::command("git");
    git.arg("http-backend")
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", safe_everywhere(&shared.root))
        // Somebody is logged in: then pushes are taken.
        .env("REMOTE_USER", "somebody")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("GIT_PROTOCOL", request.header("git-protocol"));
    let answer = program::run(&mut git, &request.body, REQUEST_WITHIN).stdout;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
    let said = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = said.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let headers = said.lines().filter(|line| !line.starts_with("Status: "));
    let head = std::iter::once(status).chain(headers).map(|line| format!("{line}\r\n")).collect();
    (head, answer.get(end + 4..).unwrap_or_default().to_vec())
}

/// A configuration that trusts the repositories, whoever runs the tests.
fn safe_everywhere(root: &Path) -> PathBuf {
    let path = root.join("host.gitconfig");
    if !path.exists() {
        crate::files::write(&path, "[safe]\n\tdirectory = *\n");
    }
    path
}
