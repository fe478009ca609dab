//! Courses are put together from records.

use super::*;
use crate::id::{DeviceId, Digest, Generation, Oid};
use crate::seal::{CodePoint, CodeSaved, LogState, Surroundings};

fn record(number: u32, generation: u8, length: u64) -> SaveRecord {
    let main = LogState {
        log: LogId::main(),
        generation: Generation([generation; 16]),
        length,
        sequence: 1,
        snapshot: 1,
        earlier: Vec::new(),
        snapshot_length: length,
        snapshot_messages: 0,
        sealed: 1,
        last: Digest::NONE,
        content: Digest::NONE,
        window: Digest::NONE,
        tail: None,
    };
    SaveRecord {
        number,
        at_ms: 0,
        device: DeviceId([1; 8]),
        message: None,
        previous: Digest::NONE,
        full: number == 1,
        code: None,
        messages: number * 10,
        further: Vec::new(),
        course: None,
        surroundings: Surroundings::default(),
        logs: vec![main],
        gone: Vec::new(),
        parents: Vec::new(),
    }
}

fn told(record: SaveRecord, anew: bool, passages: &[(u64, u8)]) -> SaveRecord {
    let generation = record.logs[0].generation;
    let passages = passages.iter().map(|(from, commit)| Passage {
        from: *from,
        messages: 0,
        stand: Stand::new(Some("m"), Some(Oid([*commit; 20]))),
    });
    let course = Course { generation, anew, passages: passages.collect() };
    SaveRecord { course: Some(course), ..record }
}

fn saw(record: SaveRecord, commit: u8) -> SaveRecord {
    let code = CodePoint {
        branch: Some("m".to_owned()),
        commit: Some(Oid([commit; 20])),
        upstream: None,
        dirty: false,
        fingerprint: Digest::NONE,
        saved: CodeSaved::Nothing,
    };
    SaveRecord { code: Some(code), ..record }
}

fn check(records: Vec<SaveRecord>, expected: &[(u64, u32, u8)]) {
    let one = |passage: &Passage| {
        let commit = passage.stand.commit.map_or(0, |commit| commit.0[0]);
        (passage.from, passage.messages, commit)
    };
    let course = of(records.into_iter());
    assert_eq!(course.passages.iter().map(one).collect::<Vec<_>>(), expected);
}

#[test]
fn later_records_add_to_what_earlier_ones_tell() {
    let records = vec![
        told(record(1, 1, 100), true, &[(0, 1), (50, 2)]),
        told(record(2, 1, 200), false, &[]),
        saw(told(record(3, 1, 300), false, &[(250, 3)]), 9),
    ];
    check(records, &[(0, 0, 1), (50, 0, 2), (250, 0, 3)]);
    let rewritten = told(record(2, 2, 50), true, &[(10, 4)]);
    check(vec![told(record(1, 1, 100), true, &[(0, 1)]), rewritten], &[(10, 0, 4)]);
}

#[test]
fn of_lines_of_a_writer_that_tells_no_course_is_known_where_the_code_stood_at_its_saves() {
    let old = |number, length, commit| saw(record(number, 1, length), commit);
    check(vec![old(1, 100, 1), old(2, 200, 1), old(3, 300, 2)], &[(100, 10, 1), (200, 20, 2)]);
    let first = told(record(1, 1, 100), true, &[(0, 1)]);
    check(vec![first.clone(), old(2, 200, 1), old(3, 300, 2)], &[(0, 0, 1), (200, 20, 2)]);
    check(vec![first, saw(record(2, 2, 50), 2)], &[]);
}
