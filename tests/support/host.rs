//! A git host over http that answers as it is told: with a status and words of its own, a redirection, or, told
//! nothing, as `git http-backend` does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::program;

/// How long one request may take.
const REQUEST_WITHIN: Duration = Duration::from_secs(60);

/// What every request is answered with.
#[derive(Debug, Clone, Default)]
pub enum Answer {
    /// As the repository has it.
    #[default]
    Serve,
    /// With a status; the words are what git shows as the remote's.
    Refuse(u16, &'static str),
    /// With the address of another repository, for paths that begin with the first.
    Redirect(&'static str, &'static str),
}

/// The host; its thread ends with the test's process.
#[derive(Debug)]
pub struct Host {
    port: u16,
    answer: Arc<Mutex<Answer>>,
}

impl Host {
    /// Serves the repositories below `root` on a free port of the loopback.
    pub fn start(root: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let answer = Arc::new(Mutex::new(Answer::default()));
        let (root, shared) = (root.to_owned(), answer.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, shared) = (root.clone(), shared.clone());
                thread::spawn(move || {
                    let answer = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    // A client that hung up wants no answer.
                    serve(stream, &root, &answer).unwrap_or_default();
                });
            }
        });
        Self { port, answer }
    }

    /// Returns the address of a repository.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Answers every request like this from now on.
    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
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
    fn read(stream: &TcpStream) -> std::io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut request = Self { method, path, query, headers, body: Vec::new() };
        let length = request.header("content-length").and_then(|text| text.parse().ok());
        reader.take(length.unwrap_or(0)).read_to_end(&mut request.body)?;
        Ok(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn serve(mut stream: TcpStream, root: &Path, answer: &Answer) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_WITHIN))?;
    let request = Request::read(&stream)?;
    let reply = match answer {
        Answer::Refuse(status, words) => {
            format!(
                "HTTP/1.1 {status} Told\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}",
                words.len()
            )
            .into_bytes()
        }
        Answer::Redirect(from, to) if request.path.starts_with(from) => {
            let place = request.path.replacen(from, to, 1);
            format!(
                "HTTP/1.1 301 Moved\r\nLocation: {place}?{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                request.query
            )
            .into_bytes()
        }
        _ => backend(&request, root),
    };
    stream.write_all(&reply)
}

fn backend(request: &Request, root: &Path) -> Vec<u8> {
    let mut git = program::command("git");
    git.arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", safe_everywhere(root))
        .env("REMOTE_USER", "somebody")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_LENGTH", request.body.len().to_string());
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.header(header) {
            git.env(variable, value);
        }
    }
    let answer = program::run(&mut git, &request.body, REQUEST_WITHIN).stdout;
    let mut reply = b"HTTP/1.1 ".to_vec();
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..head]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    reply.extend(format!("{status}\r\nConnection: close\r\n").into_bytes());
    reply.extend(answer);
    reply
}

/// A configuration that trusts the repositories, whoever runs the tests.
fn safe_everywhere(root: &Path) -> PathBuf {
    let path = root.join("host.gitconfig");
    if !path.exists() {
        crate::files::write(&path, "[safe]\n\tdirectory = *\n");
    }
    path
}
