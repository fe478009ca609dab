//! Patience, and what ends it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;

use super::*;

/// Serves one connection: greets, then says `lines` to the next request and holds the line.
fn serve(dir: &Path, lines: &'static [&'static str]) -> PathBuf {
    let socket = dir.join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = BufReader::new(stream.try_clone().unwrap()).lines();
        asked.next();
        let hello = r#"{"jsonrpc":"2.0","id":1,"result":{"protocol":1,"version":"0","pid":1,"initialised":true}}"#;
        writeln!(stream, "{hello}").unwrap();
        asked.next();
        for line in lines {
            writeln!(stream, "{line}").unwrap();
        }
        // Until the client hangs up.
        asked.next();
    });
    socket
}

fn short() -> Limits {
    Limits { connect: Duration::from_secs(5), silence: Duration::from_millis(30) }
}

/// Notes what it is told.
#[derive(Default)]
struct Notes(Vec<String>);

impl Watcher for Notes {
    fn slow(&mut self) {
        self.0.push("slow".to_owned());
    }

    fn progress(&mut self, progress: &Progress) {
        self.0.push(progress.step.clone());
    }

    fn done(&mut self) {
        self.0.push("done".to_owned());
    }
}

#[test]
fn a_daemon_that_says_nothing_is_not_waited_for_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path(), &[]);
    let mut client = Client::connect(&socket, &Agent(None), short()).unwrap();
    let end = client.call::<Nothing>(Request::Reload(Nothing {}), &mut Notes::default());
    assert!(matches!(end, Err(SocketError::Silent { .. })));
}

#[test]
fn progress_is_passed_on_until_the_answer_comes() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(
        dir.path(),
        &[
            r#"{"jsonrpc":"2.0","method":"progress","params":{"step":"one"}}"#,
            r#"{"jsonrpc":"2.0","method":"progress","params":{"step":"two","done":1,"total":2}}"#,
            r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
        ],
    );
    let mut client = Client::connect(&socket, &Agent(None), Limits::default()).unwrap();
    let mut notes = Notes::default();
    client.call::<Nothing>(Request::Reload(Nothing {}), &mut notes).unwrap();
    notes.0.retain(|note| note != "slow");
    assert_eq!(notes.0, ["one", "two", "done"]);
}

#[test]
fn a_slow_answer_is_announced() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path(), &[]);
    let limits = Limits { silence: QUIET + Duration::from_millis(1), ..short() };
    let mut client = Client::connect(&socket, &Agent(None), limits).unwrap();
    let mut notes = Notes::default();
    client.call::<Nothing>(Request::Reload(Nothing {}), &mut notes).unwrap_err();
    assert_eq!(notes.0, ["slow", "done"]);
}

#[test]
fn nobody_listening_is_told_from_other_failures() {
    let dir = tempfile::tempdir().unwrap();
    let connect =
        |name: &str| Client::connect(&dir.path().join(name), &Agent(None), short()).err().unwrap();
    assert!(matches!(connect("none"), SocketError::Absent { .. }));
    drop(UnixListener::bind(dir.path().join("stale")).unwrap());
    assert!(matches!(connect("stale"), SocketError::Absent { .. }));
    assert!(matches!(connect("a/b\0c"), SocketError::Connect { .. }));
}
