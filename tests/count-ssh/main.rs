//! Stands in for ssh in tests: runs git's server side here and counts the bytes of both directions.
//!
//! Called as git calls ssh: `convosync-count-ssh LOG [options] HOST "git-receive-pack 'PATH'"`. When the
//! connection ends, one line `SERVICE SENT RECEIVED` is appended to LOG: bytes to and from the server.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{ExitCode, Stdio};
use std::thread;

use convosync_tests::{files, program};

/// Options of ssh that take a value in the next word.
const WITH_VALUE: [&str; 8] = ["-o", "-p", "-l", "-i", "-F", "-J", "-c", "-m"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((log, rest)) = words.split_first() else { return ExitCode::from(2) };
    match carry(log, rest) {
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::from(255),
    }
}

fn carry(log: &str, words: &[String]) -> io::Result<u8> {
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
    let (told, sent) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut total = 0;
        // The last figure counts; a server that closed its input early ends the copy.
        copy(&mut io::stdin().lock(), &mut to_server, |bytes| {
            total += bytes;
            told.send(total).unwrap_or_default();
        })
        .unwrap_or_default();
    });
    let mut received = 0;
    copy(&mut from_server, &mut io::stdout().lock(), |bytes| received += bytes)?;
    let status = child.wait()?;
    let sent = sent.try_iter().last().unwrap_or(0);
    files::append(log.as_ref(), format!("{service} {sent} {received}\n").as_bytes());
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
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

fn copy(from: &mut impl Read, to: &mut impl Write, mut count: impl FnMut(u64)) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        count(length as u64);
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
