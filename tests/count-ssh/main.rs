//! Stands in for ssh in tests: runs git's server side here and counts the bytes of both directions.
//!
//! Called as git calls ssh: `convosync-count-ssh LOG [--without FEATURE]… [options] HOST "git-receive-pack 'PATH'"`.
//! When the connection ends, one line `SERVICE SENT RECEIVED TURNS` is appended to LOG: bytes to and from
//! the server, and how often the client spoke after the server had. A FEATURE is blotted out of what the
//! server says of itself at the beginning, so that no client asks for it: a server that lacks it.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use convosync_tests::relay::Side;
use convosync_tests::{Traffic, files, program};

/// Options of ssh that take a value in the next word.
const WITH_VALUE: [&str; 8] = ["-o", "-p", "-l", "-i", "-F", "-J", "-c", "-m"];

/// How long the client's last words are waited for when the server has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((log, rest)) = words.split_first() else { return ExitCode::from(2) };
    match carry(log, rest) {
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::from(255),
    }
}

fn carry(log: &str, words: &[String]) -> io::Result<u8> {
    let (without, words) = without(words);
    let (service, path) =
        remote_command(words).ok_or_else(|| io::Error::other("no git service asked for"))?;
    let mut server = program::command("git");
    server.arg(&service["git-".len()..]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
    for name in ["HOME", "GIT_PROTOCOL"] {
        if let Some(value) = std::env::var_os(name) {
            server.env(name, value);
        }
    }
    // A server does not die with its client: it sees the connection end.
    let mut child = server.process_group(0).spawn()?;
    let mut to_server = child.stdin.take().expect("stdin is piped");
    let mut from_server = child.stdout.take().expect("stdout is piped");
    // The remote's greeting comes first.
    let count: &'static Count = Box::leak(Box::new(Mutex::new((Traffic::default(), Side::Server))));
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        // A server that closed its input early ends the copy.
        copy(&mut io::stdin().lock(), &mut to_server, |bytes| {
            note(count, bytes, Side::Client);
        })
        .unwrap_or_default();
        ended.send(()).unwrap_or_default();
    });
    copy(&mut from_server, &mut io::stdout().lock(), |bytes| {
        if note(count, bytes, Side::Server).turns == 0 {
            without.iter().for_each(|feature| blot_out(bytes, feature.as_bytes()));
        }
    })?;
    let status = child.wait()?;
    // What the client said last may still be on its way; one that says nothing more is not waited for.
    end.recv_timeout(LAST_WORDS).unwrap_or_default();
    let (Traffic { sent, received, turns, .. }, _) = *locked(count);
    files::append(log.as_ref(), format!("{service} {sent} {received} {turns}\n").as_bytes());
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}

type Count = Mutex<(Traffic, Side)>;

fn locked(count: &Count) -> MutexGuard<'_, (Traffic, Side)> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(count: &Count, bytes: &[u8], side: Side) -> Traffic {
    let mut count = locked(count);
    let (traffic, last) = &mut *count;
    traffic.note(bytes.len() as u64, side, last);
    *traffic
}

/// Takes `--without FEATURE` from the front.
fn without(mut words: &[String]) -> (Vec<&String>, &[String]) {
    let mut features = Vec::new();
    while let [first, feature, rest @ ..] = words
        && first == "--without"
    {
        features.push(feature);
        words = rest;
    }
    (features, words)
}

/// Makes a feature one that nobody knows, of the same length.
fn blot_out(bytes: &mut [u8], feature: &[u8]) {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(feature.len()).position(|word| word == feature) {
        bytes[at + found..][..feature.len()].fill(b'x');
        at += found + feature.len();
    }
}

/// Returns the service and the path that ssh's command line asks for.
fn remote_command(words: &[String]) -> Option<(String, String)> {
    let mut words = words.iter();
    loop {
        let word = words.next()?;
        if WITH_VALUE.contains(&word.as_str()) {
            words.next()?;
        } else if !word.starts_with('-') {
            break;
        }
    }
    let (service, path) = words.next()?.split_once(' ')?;
    let known = ["git-receive-pack", "git-upload-pack", "git-upload-archive"].contains(&service);
    let path = path.trim().strip_prefix('\'')?.strip_suffix('\'')?.replace(r"'\''", "'");
    known.then(|| (service.to_owned(), path))
}

fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    mut look: impl FnMut(&mut [u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        look(&mut buffer[..length]);
        to.write_all(&buffer[..length])?;
        to.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_asked(words: &[&str], asked: Option<(&str, &str)>) {
        let words: Vec<String> = words.iter().copied().map(str::to_owned).collect();
        assert_eq!(
            remote_command(&words),
            asked.map(|(service, path)| (service.to_owned(), path.to_owned())),
            "{words:?}"
        );
    }

    #[test]
    fn options_of_ssh_are_passed_over() {
        check_asked(&["localhost", "git-upload-pack '/a b'"], Some(("git-upload-pack", "/a b")));
        check_asked(
            &[
                "-o",
                "SendEnv=GIT_PROTOCOL",
                "-p",
                "22",
                "-4",
                "git@host",
                "git-receive-pack '/it'\\''s'",
            ],
            Some(("git-receive-pack", "/it's")),
        );
        check_asked(&["localhost", "rm -rf '/'"], None);
        check_asked(&["-G", "localhost"], None);
    }
}
