//! Large files: read piece by piece, stored by what changed, and never half.

use std::time::SystemTime;

use convosync_core::capture::{CaptureError, Memory, Objects, Scope, Spool, capture, look_only};
use convosync_core::code::{Limits, Node, State};
use convosync_core::disk;
use convosync_tests::files;

use crate::observer::{Observer, check_tree, scope_of};
use crate::states::{Place, lines};
use crate::trip;

/// Far more than is held while it is read.
const LINES: usize = 200_000;

/// What lies beside the code log of a clone, and belongs to it.
fn beside(device: &Observer<'_>) -> Vec<String> {
    let entries = std::fs::read_dir(device.spool.path().parent().unwrap()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".convosync-")).collect()
}

#[test]
fn a_changed_line_of_a_file_that_is_not_held_costs_that_line() {
    let place = Place::new();
    let text = lines(LINES);
    assert!(text.len() > 5 << 20);
    place.write("a/tracked.txt", &text);
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "large"]);
    place.git("a", &["push", "-q"]);
    place.write("a/untracked.txt", &text);
    let mut device = Observer::new(&place, "a");
    let first = device.capture();
    assert_eq!(first.fresh, text.len() as u64);

    let text = text.replace("line 7000 ", "line seven thousand ");
    let text = text.replace("line 7100 ", "line seven thousand and one hundred ");
    for name in ["a/tracked.txt", "a/untracked.txt"] {
        place.write(name, &text);
    }
    let second = device.capture();
    let text = text + "one more line at the end\n";
    for name in ["a/tracked.txt", "a/untracked.txt"] {
        place.write(name, &text);
    }
    let third = device.capture();

    for captured in [&second, &third] {
        assert!(captured.is_changed && captured.fresh < 1024, "{} bytes", captured.fresh);
    }
    check_tree(&device, &third.state);
    assert_eq!(beside(&device), Vec::<String>::new());
}

/// What it was made of, a blob of the index, is not to be had any more.
#[test]
fn a_large_file_that_leaves_the_index_is_captured_whole() {
    let place = Place::new();
    let text = lines(LINES);
    place.write("a/large.txt", &text);
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "large"]);
    place.git("a", &["push", "-q"]);
    place.write("a/large.txt", text.replace("line 7000 ", "line seven thousand "));
    let mut device = Observer::new(&place, "a");
    device.capture();
    place.git("a", &["rm", "-q", "--cached", "large.txt"]);
    let captured = device.capture();
    assert!(captured.state.omitted.is_empty(), "{:?}", captured.state.omitted);
    check_tree(&device, &captured.state);
}

/// A file that was written just now is read until two readings agree. One of more than 64 MiB was stored
/// anew each time, so that nothing could be restored where it stood.
#[test]
fn a_large_file_that_was_written_just_now_is_no_change_when_it_is_read_again() {
    let place = Place::new();
    place.write("a/fresh.raw", lines(LINES));
    let mut device = Observer::new(&place, "a");
    device.now_ms = disk::modified_ms(&place.path("a/fresh.raw").metadata().unwrap());

    let first = device.capture();
    let again = device.capture();

    assert!(first.is_changed && !again.is_changed, "{again:?}");
    assert_eq!((again.read, again.fresh), (1, 0));
    check_tree(&device, &first.state);
}

#[test]
fn a_large_file_whose_time_alone_changed_is_its_blob() {
    let place = Place::new();
    place.write("a/large.txt", lines(LINES));
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "large"]);
    place.git("a", &["update-index", "--assume-unchanged", "large.txt"]);
    let mut device = Observer::new(&place, "a");

    let captured = device.capture();

    assert_eq!((captured.read, captured.state.tree.len()), (1, 0), "git does not look at it");
    assert!(captured.fresh > 0, "its commit is not pushed");
    place.write("a/large.txt", lines(LINES) + "hidden\n");
    let captured = device.capture();
    assert!(captured.fresh < 1024, "{}", captured.fresh);
    check_tree(&device, &captured.state);
}

/// Looks at a clone as `device` would capture it, with so much room.
fn scope<'a>(device: &'a Observer<'_>, room: Option<u64>) -> Scope<'a> {
    Scope {
        limits: Limits::NONE,
        room,
        objects: Objects::Staged,
        now_ms: device.now_ms,
        ..scope_of(&device.project, &device.git, &device.guard)
    }
}

#[test]
fn what_is_only_looked_at_is_told_from_what_was_captured_and_nothing_is_written() {
    let place = Place::new();
    place.write("a/large.txt", lines(LINES));
    place.write("a/small.txt", "small\n");
    let device = Observer::new(&place, "a");
    let (path, mut memory) = (place.path("look.log"), Memory::default());
    let mut spool = Spool::open(&path).unwrap();
    let captured = capture(&scope(&device, None), &mut spool, &mut memory).unwrap().unwrap().state;
    let log = files::read(&path);
    let looked = |memory: &Memory| -> (State, bool) {
        look_only(&scope(&device, None), &spool, memory).unwrap().unwrap()
    };

    assert_eq!(looked(&memory), (captured.clone(), false));
    assert_eq!(looked(&Memory::default()), (captured.clone(), false));
    place.write("a/large.txt", lines(LINES) + "changed\n");
    place.write("a/new.txt", "new\n");
    let (state, is_changed) = looked(&memory);

    assert!(is_changed);
    let digests = |state: &State| -> Vec<_> {
        let nodes = state.tree.values();
        nodes
            .map(|node| match node {
                Node::File { content, .. } => content.digest,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let (then, now) = (digests(&captured), digests(&state));
    assert_eq!((then.len(), now.len()), (2, 3));
    assert!(then[0] != now[0] && then[1] == now[2]);
    assert_eq!(files::read(&path), log);
    assert_eq!(beside(&device), Vec::<String>::new());
}

#[test]
fn what_there_is_no_room_for_is_refused_before_a_byte_is_copied() {
    let place = Place::new();
    place.write("a/large.txt", vec![b'x'; 3000]);
    place.write("a/small.txt", "small\n");
    let device = Observer::new(&place, "a");
    let path = place.path("room.log");
    let mut spool = Spool::open(&path).unwrap();
    let mut captured =
        |room| capture(&scope(&device, Some(room)), &mut spool, &mut Memory::default());

    let refused = captured(3000).unwrap_err();

    let CaptureError::NoRoom { needed: 3006, room: 3000, largest } = &refused else {
        panic!("{refused}")
    };
    assert_eq!(largest, "large.txt");
    assert!(!path.exists());
    assert!(captured(3006).unwrap().unwrap().is_changed);
}

/// What a killed restore leaves may have gigabytes, and the work tree may never be restored into again.
#[test]
fn what_killed_restores_left_goes_with_the_next_one_in_whatever_work_tree() {
    let place = Place::new();
    let clone = trip::Device::new(&place, "a");
    let opened = clone.save(&place.path("a.log"));
    let other = clone.records.join("0123456789abcdef01234567");
    for (record, file) in [("1", "log"), ("2", "log"), ("2", "facts"), ("2", ".convosync-xyz")] {
        files::make_dir(&other.join(record));
        files::write(&other.join(record).join(file), "left");
    }
    files::write(&other.join("lock"), "");
    let scratch = [".convosync-old", ".convosync-new"].map(|name| clone.records.join(name));
    for path in &scratch {
        files::make_dir(&path.join("objects"));
    }
    let long_ago = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
    std::fs::File::open(&scratch[0]).unwrap().set_modified(long_ago).unwrap();
    let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    std::fs::File::open(&scratch[1]).unwrap().set_modified(later).unwrap();

    clone.restore(&opened, false).unwrap();

    assert!(!other.join("1").exists(), "it was never finished");
    assert!(other.join("2/facts").exists() && other.join("2/log").exists());
    assert!(!other.join("2/.convosync-xyz").exists());
    assert_eq!(scratch.map(|path| path.exists()), [false, true]);
}
