//! A file in memory that changes in every way between and during looks.

use std::io::{self, Cursor as Bytes, Read, Seek, SeekFrom};

use proptest::prelude::*;

use super::*;
use crate::id::{Digest, Generation, Random, SeededRandom};

/// A file in memory that can change between two reads.
struct Fake {
    stat: Stat,
    bytes: Bytes<Vec<u8>>,
    /// What will happen to it, each after that many reads.
    plan: Vec<(usize, Change)>,
    reads: usize,
}

#[derive(Debug, Clone)]
enum Change {
    Append(Vec<u8>),
    Truncate(usize),
    Overwrite(usize, Vec<u8>),
    Replace(Vec<u8>),
}

impl Fake {
    fn new(content: &[u8]) -> Self {
        let stat =
            Stat { inode: 1, length: content.len() as u64, modified: (0, 0), changed: (0, 0) };
        Self { stat, bytes: Bytes::new(content.to_vec()), plan: Vec::new(), reads: 0 }
    }

    fn content(&self) -> &[u8] {
        self.bytes.get_ref()
    }

    fn change(&mut self, change: &Change) {
        let content = self.bytes.get_mut();
        match change {
            Change::Append(more) => content.extend_from_slice(more),
            Change::Truncate(share) => content.truncate(content.len() * share / 100),
            Change::Overwrite(share, with) => {
                let start = content.len() * share / 100;
                let end = content.len().min(start + with.len());
                content[start..end].copy_from_slice(&with[..end - start]);
            }
            Change::Replace(with) => {
                content.clone_from(with);
                self.stat.inode += 1;
            }
        }
        self.stat.length = self.bytes.get_ref().len() as u64;
        self.stat.modified.0 += 1;
    }
}

impl Read for Fake {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        while self.plan.first().is_some_and(|(after, _)| *after <= self.reads) {
            let (_, change) = self.plan.remove(0);
            self.change(&change);
        }
        self.bytes.read(block)
    }
}

impl Seek for Fake {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

impl Look for Fake {
    fn stat(&self) -> io::Result<Stat> {
        Ok(self.stat)
    }
}

/// What a device would have recorded: the bytes of the newest generation.
struct Recorded {
    cursor: Cursor,
    bytes: Vec<u8>,
    generations: usize,
}

impl Recorded {
    fn nothing(kind: Kind) -> Self {
        Self { cursor: Cursor::start(kind), bytes: Vec::new(), generations: 0 }
    }

    /// Looks once and records what there is, in pieces of at most `size` bytes, all or none of them.
    fn look(&mut self, file: &mut Fake, size: u64) -> Result<Growth, LogError> {
        let growth = self.cursor.measure(file)?;
        let (mut cursor, mut bytes) = (self.cursor.clone(), self.bytes.clone());
        let (mut at, to) = match growth {
            Growth::Nothing => return Ok(growth),
            Growth::Append { from, to } => (from, to),
            Growth::NewGeneration { to, .. } => {
                (cursor, bytes) = (cursor.restart(), Vec::new());
                (0, to)
            }
        };
        while at < to {
            let piece = cursor.read(file, at..to.min(at.saturating_add(size)))?;
            assert!(bytes.ends_with(&piece.prefix));
            cursor.accept(&piece);
            bytes.extend_from_slice(&piece.raw);
            at = cursor.length();
        }
        self.generations += usize::from(matches!(growth, Growth::NewGeneration { .. }));
        (self.cursor, self.bytes) = (cursor, bytes);
        Ok(growth)
    }

    fn state(&self) -> LogState {
        let state = LogState {
            log: LogId::main(),
            generation: Generation([0; 16]),
            length: self.cursor.length(),
            sequence: 0,
            snapshot: 0,
            earlier: Vec::new(),
            snapshot_length: 0,
            snapshot_messages: 0,
            sealed: 0,
            last: Digest::NONE,
            content: self.cursor.content(),
            window: self.cursor.window(),
            tail: None,
        };
        assert_eq!(state.content, Digest::of(&self.bytes));
        assert_eq!(
            state.window,
            Digest::of(&self.bytes[self.bytes.len().saturating_sub(WINDOW as usize)..])
        );
        state
    }
}

/// The complete lines of a content.
fn complete(content: &[u8]) -> &[u8] {
    &content[..content.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1)]
}

/// Looks at each content in turn, all of one file, and checks what each look says.
fn check_growth(steps: &[(&[u8], Growth)]) {
    let (mut file, mut recorded) = (Fake::new(b""), Recorded::nothing(Kind::Lines));
    for (content, expected) in steps {
        file.change(&Change::Truncate(0));
        file.change(&Change::Append(content.to_vec()));
        let found = recorded.look(&mut file, 1000).unwrap();
        assert_eq!(found, *expected, "{:?}", String::from_utf8_lossy(content));
        assert_eq!(recorded.bytes, complete(content));
    }
}

fn broken(to: u64, why: Break) -> Growth {
    Growth::NewGeneration { to, why }
}

#[test]
fn only_complete_lines_are_recorded_and_a_torn_tail_waits() {
    check_growth(&[
        (b"", Growth::Nothing),
        (b"on", Growth::Nothing),
        (b"one\ntw", broken(4, Break::First)),
        (b"one\ntwo", Growth::Nothing),
        (b"one\ntwo\n", Growth::Append { from: 4, to: 8 }),
        (b"one\ntwo\n", Growth::Nothing),
        (b"one\ntwo\nthree\n\nx", Growth::Append { from: 8, to: 15 }),
    ]);
}

#[test]
fn a_file_that_is_no_longer_what_it_was_begins_a_generation() {
    check_growth(&[
        (b"one\ntwo\n", broken(8, Break::First)),
        (b"one\n", broken(4, Break::Shrunk)),
        (b"one\nTWO\n", Growth::Append { from: 4, to: 8 }),
        (b"One\nTWO\nthree\n", broken(14, Break::Rewritten)),
        (b"One\nTWO\nthreE\n", broken(14, Break::Rewritten)),
        (b"x", broken(0, Break::Shrunk)),
        (b"x\n", broken(2, Break::First)),
    ]);
}

#[test]
fn a_cut_that_grew_again_past_the_cursor_is_noticed() {
    check_growth(&[
        (b"A\nB\nC\n", broken(6, Break::First)),
        (b"A\nB\nD\nEE\n", broken(9, Break::Rewritten)),
    ]);
}

#[test]
fn the_same_content_in_another_file_is_the_same_generation() {
    let (mut file, mut recorded) = (Fake::new(b"one\n"), Recorded::nothing(Kind::Lines));
    recorded.look(&mut file, 1000).unwrap();
    file.change(&Change::Replace(b"one\ntwo\n".to_vec()));
    assert_eq!(recorded.look(&mut file, 1000).unwrap(), Growth::Append { from: 4, to: 8 });
    file.change(&Change::Replace(b"One\ntwo\n".to_vec()));
    assert_eq!(recorded.look(&mut file, 1000).unwrap(), broken(8, Break::Replaced));
}

#[test]
fn another_file_is_compared_from_its_first_byte() {
    let mut content = vec![b'a'; 3 * WINDOW as usize];
    content.push(b'\n');
    let (mut file, mut recorded) = (Fake::new(&content), Recorded::nothing(Kind::Lines));
    recorded.look(&mut file, 1000).unwrap();
    content[0] = b'b';
    file.change(&Change::Replace(content));
    assert!(matches!(
        recorded.look(&mut file, 1000).unwrap(),
        Growth::NewGeneration { why: Break::Replaced, .. }
    ));
}

#[test]
fn a_saved_state_is_compared_from_the_first_byte_and_then_continued() {
    let (mut file, mut recorded) = (Fake::new(b"one\n"), Recorded::nothing(Kind::Lines));
    recorded.look(&mut file, 1000).unwrap();
    let state = recorded.state();

    file.change(&Change::Append(b"two\n".to_vec()));
    recorded.cursor = Cursor::resume(&state);
    assert_eq!(recorded.look(&mut file, 1000).unwrap(), Growth::Append { from: 4, to: 8 });
    recorded.state();

    file.change(&Change::Overwrite(0, b"O".to_vec()));
    recorded.cursor = Cursor::resume(&state);
    assert_eq!(recorded.look(&mut file, 1000).unwrap(), broken(8, Break::Rewritten));
}

#[test]
fn a_file_that_did_not_change_is_not_read() {
    let (mut file, mut recorded) = (Fake::new(b"one\ntwo\nth"), Recorded::nothing(Kind::Lines));
    recorded.look(&mut file, 1000).unwrap();
    assert_eq!(recorded.look(&mut file, 1000).unwrap(), Growth::Nothing);
    let (reads, settled) = (file.reads, recorded.cursor.settled().unwrap());
    assert_eq!(recorded.look(&mut file, 1000).unwrap(), Growth::Nothing);
    recorded.cursor = Cursor::resume_settled(&recorded.state(), settled);
    assert_eq!(recorded.look(&mut file, 1000).unwrap(), Growth::Nothing);
    assert_eq!(file.reads, reads);
    file.change(&Change::Append(b"ree\n".to_vec()));
    assert_eq!(recorded.look(&mut file, 1000).unwrap(), Growth::Append { from: 8, to: 14 });
}

#[test]
fn a_growth_that_was_not_recorded_is_found_again() {
    let mut file = Fake::new(b"one\n");
    let mut cursor = Cursor::start(Kind::Lines);
    for _ in 0..3 {
        assert_eq!(cursor.measure(&mut file).unwrap(), broken(4, Break::First));
    }
    let piece = cursor.read(&mut file, 0..4).unwrap();
    cursor.accept(&piece);
    file.change(&Change::Truncate(0));
    for _ in 0..3 {
        assert_eq!(cursor.measure(&mut file).unwrap(), broken(0, Break::Shrunk));
        drop(cursor.restart());
    }
}

#[test]
fn a_change_among_the_bytes_that_the_next_piece_is_packed_with_is_noticed() {
    let mut content = vec![b'a'; PREFIX_MAX - 10];
    content.push(b'\n');
    let (mut file, mut recorded) = (Fake::new(&content), Recorded::nothing(Kind::Lines));
    recorded.look(&mut file, u64::MAX).unwrap();
    file.change(&Change::Overwrite(0, b"b".to_vec()));
    file.change(&Change::Append(b"next\n".to_vec()));
    let to = file.content().len() as u64;
    assert_eq!(recorded.look(&mut file, u64::MAX).unwrap(), broken(to, Break::Rewritten));
    assert_eq!(recorded.bytes, file.content());
}

#[test]
fn a_file_without_a_complete_line_is_recorded_as_empty() {
    for content in [&b""[..], b"torn"] {
        let mut file = Fake::new(content);
        let mut cursor = Cursor::start(Kind::Lines);
        assert_eq!(cursor.measure(&mut file).unwrap(), Growth::Nothing);
        let piece = cursor.restart().read(&mut file, 0..0).unwrap();
        cursor.accept(&piece);
        assert_eq!((cursor.length(), cursor.content()), (0, Digest::of(b"")));
    }
}

#[test]
fn a_change_far_before_the_end_is_found_by_an_audit() {
    let mut content = vec![b'a'; 3 * PREFIX_MAX];
    content.push(b'\n');
    let (mut file, mut recorded) = (Fake::new(&content), Recorded::nothing(Kind::Lines));
    recorded.look(&mut file, u64::MAX).unwrap();
    assert!(recorded.cursor.audit(&mut file).unwrap());
    file.change(&Change::Overwrite(10, b"b".to_vec()));
    assert_eq!(recorded.look(&mut file, u64::MAX).unwrap(), Growth::Nothing);
    assert!(!recorded.cursor.audit(&mut file).unwrap());
    file.change(&Change::Truncate(0));
    assert!(!recorded.cursor.audit(&mut file).unwrap());
}

#[test]
fn files_that_are_no_lines_are_complete_as_they_are() {
    let (mut file, mut recorded) = (Fake::new(b""), Recorded::nothing(Kind::Whole));
    let mut look = |change: Change| {
        file.change(&change);
        let found = recorded.look(&mut file, 1000).unwrap();
        assert_eq!(recorded.bytes, file.content());
        assert_eq!(recorded.cursor.torn_tail(&mut file).unwrap(), None);
        found
    };
    assert_eq!(look(Change::Append(b"{\"a\"".to_vec())), broken(4, Break::First));
    assert_eq!(look(Change::Append(b":1}".to_vec())), Growth::Append { from: 4, to: 7 });
    assert_eq!(look(Change::Replace(b"{\"b\":1}".to_vec())), broken(7, Break::Replaced));
    assert_eq!(look(Change::Truncate(0)), broken(0, Break::Shrunk));
}

#[test]
fn the_kind_of_a_file_is_in_its_name() {
    let check = |role, path: &str, expected| {
        assert_eq!(Kind::of(&LogId { role, path: path.to_owned() }), expected, "{path}");
    };
    check(Role::Main, "", Kind::Lines);
    check(Role::Beside, "agent-1.jsonl", Kind::Lines);
    check(Role::Inside, "subagents/agent-1.jsonl", Kind::Lines);
    check(Role::Inside, "subagents/agent-1.meta.json", Kind::Whole);
    check(Role::Inside, "tool-results/a.txt", Kind::Whole);
}

#[test]
fn a_torn_tail_is_what_follows_the_last_line_up_to_a_limit() {
    let mut recorded = Recorded::nothing(Kind::Lines);
    let mut file = Fake::new(b"one\ntor");
    recorded.look(&mut file, 1000).unwrap();
    assert_eq!(recorded.cursor.torn_tail(&mut file).unwrap(), Some(b"tor".to_vec()));
    file.change(&Change::Append(b"n\nnext".to_vec()));
    assert_eq!(recorded.cursor.torn_tail(&mut file).unwrap(), None);
    recorded.look(&mut file, 1000).unwrap();
    file.change(&Change::Append(vec![b'x'; 3 << 20]));
    let tail = recorded.cursor.torn_tail(&mut file).unwrap().unwrap();
    assert_eq!(tail.len() as u64, TAIL_MAX);
    assert!(tail.starts_with(b"nextxxx"));
    file.change(&Change::Truncate(1));
    let mut short = Fake::new(b"one\n");
    assert_eq!(recorded.cursor.torn_tail(&mut short).unwrap(), None);
}

#[test]
fn a_piece_that_continues_nothing_recorded_is_refused() {
    let (mut file, mut recorded) = (Fake::new(b"one\n"), Recorded::nothing(Kind::Lines));
    recorded.look(&mut file, 1000).unwrap();
    file.change(&Change::Append(b"two\n".to_vec()));
    recorded.cursor.measure(&mut file).unwrap();
    file.change(&Change::Overwrite(0, b"ONE".to_vec()));
    let refused = recorded.cursor.read(&mut file, 4..8).unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    file.change(&Change::Truncate(10));
    assert!(recorded.cursor.read(&mut file, 4..8).is_err());
    assert!(recorded.cursor.read(&mut file, 0..4).is_err());
}

#[test]
fn a_file_that_never_holds_still_is_left_for_later() {
    let mut file = Fake::new(b"one\n");
    let mut cursor = Cursor::start(Kind::Lines);
    file.plan = (1..100).map(|read| (read, Change::Overwrite(0, b"x".to_vec()))).collect();
    assert!(cursor.measure(&mut file).unwrap_err().is_transient());
    file.plan.clear();
    assert!(matches!(cursor.measure(&mut file).unwrap(), Growth::NewGeneration { .. }));
}

#[test]
fn a_file_that_grows_while_it_is_read_is_no_trouble() {
    let mut file = Fake::new(b"one\n");
    let mut recorded = Recorded::nothing(Kind::Lines);
    file.plan = (1..6).map(|read| (read, Change::Append(b"more\n".to_vec()))).collect();
    recorded.look(&mut file, 2).unwrap();
    assert_eq!(recorded.bytes, b"one\n");
    while recorded.look(&mut file, 2).unwrap() != Growth::Nothing {}
    assert_eq!(recorded.bytes, file.content());
    assert_eq!(recorded.generations, 1);
}

#[test]
fn the_last_newline_is_found_in_any_block() {
    let block = 1 << 20;
    for at in [0, 1, block - 1, block, block + 1, 3 * block - 1] {
        let mut content = vec![b'x'; 3 * block];
        content[at] = b'\n';
        let end = content.len() as u64;
        let mut file = Bytes::new(content);
        assert_eq!(last_newline(&mut file, 0..end).unwrap(), Some(at as u64 + 1));
        assert_eq!(last_newline(&mut file, at as u64 + 1..end).unwrap(), None);
        assert_eq!(last_newline(&mut file, 0..at as u64).unwrap(), None);
        assert!(last_newline(&mut file, 0..end + 1).is_err());
    }
}

#[test]
fn a_survey_knows_the_digests_of_beginnings_and_of_complete_lines() {
    let mut bytes = vec![7; 3 << 20];
    bytes[2 << 20] = b'\n';
    let lengths = [1 << 21, 10, 10, 0, bytes.len() as u64, 1 << 30];
    let found = survey(&mut bytes.as_slice(), &lengths).unwrap();
    assert_eq!((found.length, found.complete), (3 << 20, (2 << 20) + 1));
    assert_eq!(found.complete_content, Digest::of(complete(&bytes)));
    for length in [0, 10, 1 << 21, found.complete, found.length] {
        let expected = Digest::of(&bytes[..usize::try_from(length).unwrap()]);
        assert_eq!(found.digest_at(length), Some(expected), "{length}");
    }
    assert_eq!((found.digest_at(11), found.digest_at(1 << 30)), (None, None));
}

#[test]
fn growth_is_cut_into_pieces_that_can_be_sealed() {
    let size = CHUNK_RAW_MAX as u64;
    assert_eq!(cut(5, 5), []);
    assert_eq!(cut(7, 5), []);
    assert_eq!(cut(5, 6), vec![5..6; 1]);
    assert_eq!(cut(1, 1 + 2 * size), [1..1 + size, 1 + size..1 + 2 * size]);
    assert_eq!(cut(0, size + 1), [0..size, size..size + 1]);
}

#[test]
fn a_snapshot_is_due_after_many_messages_and_much_growth() {
    let mut state = Recorded::nothing(Kind::Lines).state();
    (state.snapshot_messages, state.snapshot_length) = (10, 1000);
    let check =
        |messages, length, expected| assert_eq!(needs_snapshot(&state, messages, length), expected);
    check(1010, 4000, true);
    check(1009, 4000, false);
    check(1010, 3999, false);
    check(5, 4000, false);
}

#[test]
fn a_line_of_a_hundred_megabytes_is_recorded_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let mut content = vec![b'x'; 100 << 20];
    content.push(b'\n');
    crate::disk::write_atomic(&path, &content).unwrap();
    let mut file = crate::disk::open_regular(&path).unwrap();
    let mut cursor = Cursor::start(Kind::Lines);
    let Growth::NewGeneration { to, .. } = cursor.measure(&mut file).unwrap() else { panic!() };
    for range in cut(0, to) {
        let piece = cursor.read(&mut file, range).unwrap();
        assert!(piece.raw.len() <= CHUNK_RAW_MAX && piece.prefix.len() <= PREFIX_MAX);
        cursor.accept(&piece);
    }
    assert_eq!((cursor.length(), cursor.content()), (content.len() as u64, Digest::of(&content)));
    assert_eq!(cursor.measure(&mut file).unwrap(), Growth::Nothing);
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    // Few different bytes and many newlines, so that contents often nearly agree.
    prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(b'b'), any::<u8>()], 0..40)
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => bytes().prop_map(Change::Append),
        1 => (0..=100_usize).prop_map(Change::Truncate),
        1 => (0..=100_usize, bytes()).prop_map(|(at, with)| Change::Overwrite(at, with)),
        1 => bytes().prop_map(Change::Replace),
    ]
}

/// What happens between two looks.
#[derive(Debug, Clone)]
struct Step {
    changes: Vec<Change>,
    restarts: bool,
    size: u64,
}

fn step() -> impl Strategy<Value = Step> {
    (prop::collection::vec(change(), 0..4), any::<bool>(), 1..50_u64)
        .prop_map(|(changes, restarts, size)| Step { changes, restarts, size })
}

proptest! {
    #[test]
    fn what_is_recorded_is_always_the_complete_lines_of_the_file(
        steps in prop::collection::vec(step(), 1..20),
        is_lines in any::<bool>(),
    ) {
        let kind = if is_lines { Kind::Lines } else { Kind::Whole };
        let (mut file, mut recorded) = (Fake::new(b""), Recorded::nothing(kind));
        for step in steps {
            step.changes.iter().for_each(|change| file.change(change));
            if step.restarts && !recorded.bytes.is_empty() && is_lines {
                recorded.cursor = Cursor::resume(&recorded.state());
            }
            recorded.look(&mut file, step.size).unwrap();
            let expected = if is_lines { complete(file.content()) } else { file.content() };
            prop_assert_eq!(&recorded.bytes, expected);
            recorded.state();
        }
    }

    #[test]
    fn changes_while_a_file_is_read_are_caught_up_with(
        changes in prop::collection::vec((0..6_usize, change()), 1..12),
        size in 1..50_u64,
    ) {
        let (mut file, mut recorded) = (Fake::new(b"one\ntwo\n"), Recorded::nothing(Kind::Lines));
        let mut at = 0;
        file.plan = changes.into_iter().map(|(pause, change)| { at += pause; (at, change) }).collect();
        for _ in 0..12 {
            // Refusals are fine while it changes: nothing wrong may be kept afterwards.
            drop(recorded.look(&mut file, size));
        }
        let rest = std::mem::take(&mut file.plan);
        rest.iter().for_each(|(_, change)| file.change(change));
        recorded.look(&mut file, size).unwrap();
        prop_assert_eq!(&recorded.bytes, complete(file.content()));
    }

    #[test]
    fn files_longer_than_the_window_are_followed_as_well(
        steps in prop::collection::vec((0..4_u8, 0..100_usize, 1..120_000_usize), 1..8),
        seed in any::<u64>(),
    ) {
        let mut random = SeededRandom::new(seed);
        let (mut file, mut recorded) = (Fake::new(b""), Recorded::nothing(Kind::Lines));
        for (kind, share, size) in steps {
            let mut bytes = vec![0; size];
            random.fill(&mut bytes);
            match kind {
                0 => file.change(&Change::Replace(bytes)),
                // Cut and grown again between two looks, possibly beyond where it was.
                1 => [Change::Truncate(share), Change::Append(bytes)].iter().for_each(|change| file.change(change)),
                _ => file.change(&Change::Append(bytes)),
            }
            recorded.look(&mut file, 30_000).unwrap();
            prop_assert!(recorded.bytes == complete(file.content()));
        }
        recorded.state();
    }
}
