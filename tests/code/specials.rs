//! Pipes, sockets and devices, and files that may not be read.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use convosync_core::checkout::{CheckoutError, Refusal};
use convosync_core::code::{Node, RepoPath, Why};
use convosync_tests::{program, skip};

use super::alone::{go_on, is_inside};
use super::look::look;
use super::observer::Observer;
use super::states::Place;
use super::trip::Device;

fn path(text: &str) -> RepoPath {
    RepoPath::new(text).unwrap()
}

fn socket(place: &Place, at: &str) {
    // The name stays when nobody listens any more.
    drop(UnixListener::bind(place.path(at)).unwrap());
}

/// Makes a device that is as empty as `/dev/null`; `false` where that is not allowed.
fn device(place: &Place, at: &str) -> bool {
    let mut command = program::command("mknod");
    command.arg(place.path(at)).args(["c", "1", "3"]);
    let is_made = program::run(&mut command, b"", program::DEADLINE).status.success();
    if !is_made {
        skip::report("devices may not be made here");
    }
    is_made
}

type Make = fn(&Place, &str) -> bool;

const SPECIALS: [(&str, Make); 3] = [
    ("pipe", |place, at| {
        place.pipe(at);
        true
    }),
    ("socket", |place, at| {
        socket(place, at);
        true
    }),
    ("device", device),
];

#[test]
fn a_pipe_a_socket_or_a_device_is_listed_where_a_file_was_and_never_opened() {
    for (name, make) in SPECIALS {
        let place = Place::new();
        place.remove("a/src/lib.txt");
        place.write("a/beside.txt", "beside\n");
        place.folder("a/only");
        if !make(&place, "a/src/lib.txt")
            || !make(&place, "a/untracked")
            || !make(&place, "a/only/one")
        {
            return;
        }

        let state = Observer::new(&place, "a").capture().state;

        let omitted: Vec<_> =
            state.omitted.iter().map(|(path, why)| (path.shown(), why.why)).collect();
        assert_eq!(omitted, [("src/lib.txt".to_owned(), Why::Special)], "{name}");
        assert_eq!(state.tree.keys().collect::<Vec<_>>(), [&path("beside.txt")], "{name}");
    }
}

#[test]
fn a_pipe_a_socket_or_a_device_of_the_second_clone_is_never_replaced() {
    for (name, make) in SPECIALS {
        let place = Place::new();
        place.write("a/src/lib.txt", "changed there\n");
        place.write("a/README", "changed there, too\n");
        place.remove("b/src/lib.txt");
        if !make(&place, "b/src/lib.txt") {
            return;
        }
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let before = look(&place, "b");
        let report = b.restore(&a.save(&place.path("log")), true).unwrap();
        assert_eq!(report.outlook.left[0].0, "src/lib.txt", "{name}");
        assert_eq!(place.read("b/README"), b"changed there, too\n", "{name}");
        assert_eq!(look(&place, "b").tree["src/lib.txt"], before.tree["src/lib.txt"], "{name}");
        b.undo().unwrap();
        assert_eq!(look(&place, "b"), before, "{name}");

        place.write("a/new.txt", "new\n");
        make(&place, "b/new.txt");
        let before = look(&place, "b");
        let refused = b.restore(&a.save(&place.path("log")), true);
        let Err(CheckoutError::Refused(Refusal::InTheWay { paths })) = &refused else {
            panic!("{name}: {refused:?}")
        };
        assert_eq!(*paths, ["new.txt"], "{name}");
        assert_eq!(look(&place, "b"), before, "{name}");
    }
}

/// Returns `true` in a process of a user who may not read everything, where the test goes on.
fn is_ordinary(test: &str) -> bool {
    const FIRST: u32 = 200_000;
    if is_inside() || !rustix::process::geteuid().is_root() {
        return true;
    }
    if skip::unless_on_path("setpriv").is_none() {
        return false;
    }
    let dir = tempfile::tempdir().unwrap();
    let user = (FIRST + std::process::id()).to_string();
    let words = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"];
    let mut probe = program::command(words[0]);
    probe.args(&words[1..]).arg("test").arg("-x").arg(std::env::current_exe().unwrap());
    if !program::run(&mut probe, b"", program::DEADLINE).status.success() {
        skip::report("another user cannot be become, or cannot start this test, here");
        return false;
    }
    let mut chown = program::command("chown");
    program::run(chown.arg(&user).arg(dir.path()), b"", program::DEADLINE).ok();
    go_on(test, &words, &[("TMPDIR", dir.path().as_os_str()), ("HOME", OsStr::new("/"))]);
    false
}

#[test]
fn what_an_ordinary_user_may_not_read_is_listed_and_the_rest_is_captured() {
    if !is_ordinary(
        "specials::what_an_ordinary_user_may_not_read_is_listed_and_the_rest_is_captured",
    ) {
        return;
    }
    let place = Place::new();
    place.write("a/closed.txt", "x");
    place.write("a/src/main.txt", "changed, and closed\n");
    place.write("a/open.txt", "x");
    place.write("a/shut/inside.txt", "x");
    for (name, mode) in [("closed.txt", 0), ("src/main.txt", 0o200), ("shut", 0)] {
        place.mode(&format!("a/{name}"), mode);
    }
    assert!(std::fs::read(place.path("a/closed.txt")).is_err(), "it is closed to this user");

    let captured = Observer::new(&place, "a").try_capture();

    place.mode("a/shut", 0o700);
    let state = captured.unwrap().state;
    let omitted: Vec<_> = state.omitted.iter().map(|(path, why)| (path.shown(), why.why)).collect();
    let expected = [("closed.txt", Why::Unreadable), ("src/main.txt", Why::Unreadable)];
    assert_eq!(omitted, expected.map(|(path, why)| (path.to_owned(), why)));
    assert!(matches!(state.tree.get(&path("open.txt")), Some(Node::File { .. })));
}

#[test]
fn what_an_ordinary_user_may_not_read_here_stays_as_it_is() {
    if !is_ordinary("specials::what_an_ordinary_user_may_not_read_here_stays_as_it_is") {
        return;
    }
    let place = Place::new();
    for name in ["src/main.txt", "notes.txt", "README"] {
        place.write(&format!("a/{name}"), "of the first clone\n");
        place.write(&format!("b/{name}"), "of the second clone\n");
    }
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "b");
    place.mode("b/src/main.txt", 0);
    place.mode("b/notes.txt", 0);

    let report = b.restore(&opened, true).unwrap();

    let left: Vec<&str> = report.outlook.left.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(left, ["notes.txt", "src/main.txt"]);
    assert_eq!(place.read("b/README"), b"of the first clone\n");
    b.undo().unwrap();
    for name in ["b/src/main.txt", "b/notes.txt"] {
        let mode = std::fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0, "{name}");
        place.mode(name, 0o644);
    }
    assert_eq!(look(&place, "b"), before);
}

#[test]
fn a_folder_that_an_ordinary_user_may_not_write_to_stops_a_restore_and_undo_brings_all_back() {
    if !is_ordinary(
        "specials::a_folder_that_an_ordinary_user_may_not_write_to_stops_a_restore_and_undo_brings_all_back",
    ) {
        return;
    }
    let place = Place::new();
    place.write("a/README", "changed\n");
    place.write("a/src/lib.txt", "changed\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "b");
    place.mode("b/src", 0o500);

    let error = b.restore(&opened, false).expect_err("the folder is closed");

    let told = convosync_core::cause::with_causes(&error);
    assert!(told.contains("Permission denied"), "{told}");
    assert!(matches!(error, CheckoutError::Halfway { .. }), "{told}");
    place.mode("b/src", 0o755);
    let report = b.undo().unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!(look(&place, "b"), before);
}
