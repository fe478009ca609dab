//! The code log over time: what is appended, what is left, and when it is begun anew.

use std::sync::atomic::{AtomicBool, Ordering};

use convosync_core::capture::{Objects, Spool};
use convosync_core::code::{Guard, Limits, Node, Why};
use convosync_tests::files;

use crate::observer::{Observer, check_objects, check_tree};
use crate::states::{Place, lines};

#[test]
fn a_log_full_of_what_nothing_refers_to_is_begun_anew_with_what_is_needed() {
    let place = Place::new();
    place.write("a/kept.txt", lines(50));
    place.write("a/staged.txt", "staged\n");
    place.git("a", &["add", "staged.txt"]);
    let mut device = Observer::new(&place, "a");
    device.capture();
    let noise = |round: u32| -> Vec<u8> {
        let mut seed = u64::from(round) + 1;
        let next = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as u8
        };
        (0..300_000).map(next).collect()
    };

    let mut lengths = Vec::new();
    for round in 0..12 {
        place.write("a/noise.bin", noise(round));
        let captured = device.capture();
        lengths.push(device.spool.length());
        check_tree(&device, &captured.state);
    }

    assert!(lengths.windows(2).any(|pair| pair[1] < pair[0]), "{lengths:?}");
    assert!(lengths.iter().all(|length| *length < 2_000_000), "{lengths:?}");
    let state = device.spool.state().unwrap().clone();
    check_objects(&device, &state);
    assert_eq!(Spool::open(device.spool.path()).unwrap().state(), Some(&state));
}

#[test]
fn a_torn_log_is_begun_anew() {
    let place = Place::new();
    place.write("a/notes.txt", lines(40));
    let mut device = Observer::new(&place, "a");
    let state = device.capture().state;
    let length = device.spool.length();

    for left in [length - 1, length / 2, 3, 0] {
        files::truncate(device.spool.path(), left);
        device.spool = Spool::open(device.spool.path()).unwrap();
        assert_eq!((device.spool.length(), device.spool.state()), (0, None));
        let captured = device.capture();
        assert!(captured.is_changed);
        assert_eq!(captured.state, state);
        assert_eq!(device.spool.length(), length);
    }
    files::append(device.spool.path(), b"something else");
    device.spool = Spool::open(device.spool.path()).unwrap();
    assert_eq!(device.capture().state, state);
}

#[test]
fn further_commits_cost_themselves_and_pushed_ones_nothing() {
    let place = Place::new();
    let mut device = Observer::new(&place, "a");
    let commit = |name: &str| {
        place.write(&format!("a/{name}"), lines(2000));
        place.git("a", &["add", "."]);
        place.git("a", &["commit", "-q", "-m", name]);
    };

    commit("one.txt");
    let first = device.capture();
    place.write("a/two.txt", "two\n");
    place.git("a", &["add", "."]);
    let staged = device.capture();
    place.git("a", &["commit", "-q", "-m", "two"]);
    let second = device.capture();
    check_objects(&device, &second.state);

    assert!(first.fresh > 5_000, "{}", first.fresh);
    assert!(staged.fresh < 100, "the blob alone: {}", staged.fresh);
    assert!(second.fresh < 600, "a commit and a tree: {}", second.fresh);
    assert_eq!(second.state.packs.len(), 3);
    assert_eq!(second.state.bases, first.state.bases);
    assert_eq!(second.state.upstream.as_ref().map(|upstream| upstream.ahead), Some(2));

    place.git("a", &["push", "-q"]);
    let pushed = device.capture();
    assert_eq!((pushed.fresh, pushed.state.packs.len()), (0, 0));
    check_objects(&device, &pushed.state);
}

#[test]
fn a_base_that_the_remote_gave_up_is_packed_from_then_on() {
    let place = Place::new();
    place.write("a/mine.txt", "mine\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "mine"]);
    let mut device = Observer::new(&place, "a");
    let before = device.capture().state;

    place.git("b", &["reset", "-q", "--hard", "HEAD~1"]);
    place.git("b", &["push", "-q", "--force", "origin", "main"]);
    place.git("a", &["fetch", "-q"]);
    let after = device.capture().state;

    assert_ne!(before.bases, after.bases);
    assert_eq!(after.bases[0].commit.to_string(), place.run("b", &["rev-parse", "HEAD"]));
    check_objects(&device, &after);
}

#[test]
fn for_this_clone_itself_only_what_is_staged_is_packed() {
    let place = Place::new();
    place.write("a/mine.txt", lines(500));
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "mine"]);
    place.write("a/staged.txt", "staged\n");
    place.write("a/.env", "SECRET=1\n");
    place.git("a", &["add", "."]);
    let mut device = Observer::new(&place, "a");
    (device.objects, device.limits) = (Objects::Staged, Limits::NONE);
    device.guard = Guard::none();

    let captured = device.capture();

    assert!(captured.fresh < 150, "two blobs: {}", captured.fresh);
    assert_eq!((captured.state.bases.len(), captured.state.packs.len()), (0, 1));
    assert_eq!((captured.state.index.len(), captured.state.omitted.len()), (2, 0));
}

#[test]
fn a_fetch_alone_changes_nothing() {
    let place = Place::new();
    let mut device = Observer::new(&place, "a");
    device.capture();

    place.write("b/news.txt", "news\n");
    place.git("b", &["add", "."]);
    place.git("b", &["commit", "-q", "-m", "news"]);
    place.git("b", &["push", "-q"]);
    place.git("a", &["fetch", "-q"]);

    assert!(!device.capture().is_changed);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_whole_or_listed() {
    let place = Place::new();
    place.write("a/growing.txt", "x\n".repeat(50_000));
    place.write("a/still.txt", "still\n");
    let mut device = Observer::new(&place, "a");
    device.now_ms = 0;
    let (is_over, file) = (AtomicBool::new(false), place.path("a/growing.txt"));

    std::thread::scope(|threads| {
        threads.spawn(|| {
            for turn in 0_u64.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                files::append(&file, &b"x\n".repeat(500));
                if turn % 200 == 0 {
                    files::truncate(&file, 100_000);
                }
            }
        });
        for _ in 0..10 {
            let state = device.capture().state;
            assert!(state.tree.contains_key(&path("still.txt")));
            match state.tree.get(&path("growing.txt")) {
                Some(Node::File { content, .. }) => {
                    assert!(device.bytes(content).chunks(2).all(|line| line == b"x\n"));
                }
                _ => assert_eq!(state.omitted[&path("growing.txt")].why, Why::Changing),
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

fn path(text: &str) -> convosync_core::code::RepoPath {
    convosync_core::code::RepoPath::new(text).unwrap()
}
