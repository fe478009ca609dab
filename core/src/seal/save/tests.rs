//! Save records.

use super::super::fixture::*;
use super::*;
use crate::id::{SeededRandom, VaultId};

fn seal(record: &SaveRecord) -> Sealed {
    seal_save(&ring(), &uuid(), record, &mut SeededRandom::new(3)).unwrap()
}

fn check_round_trip(record: &SaveRecord) -> usize {
    let sealed = seal(record);
    assert_eq!(open_save(&ring(), &uuid(), record.number, &sealed).as_ref(), Ok(record));
    sealed.as_bytes().len()
}

#[test]
fn a_record_comes_back() {
    check_round_trip(&full_save());
    let empty = SaveRecord {
        number: 1,
        previous: Digest::NONE,
        code: None,
        logs: Vec::new(),
        messages: 0,
        ..save()
    };
    check_round_trip(&empty);
    let zeros =
        LogState { length: 0, sequence: 0, snapshot: 0, sealed: 0, ..log_state(LogId::main()) };
    check_round_trip(&SaveRecord {
        at_ms: -1,
        message: Some(String::new()),
        logs: vec![zeros],
        ..save()
    });
    let bare = CodePoint {
        branch: None,
        commit: None,
        upstream: None,
        dirty: false,
        fingerprint: digest(1),
        saved: CodeSaved::Nothing,
    };
    check_round_trip(&SaveRecord { code: Some(bare), ..save() });
    for upstream in ["origin/main", "main", "/main", "origin/other", "origin/x/main", ""] {
        let branch = Some("main".to_owned());
        let code = CodePoint { branch, upstream: Some(upstream.to_owned()), ..code_point() };
        check_round_trip(&SaveRecord { code: Some(code), ..save() });
    }
    for saved in [CodeSaved::Plain, CodeSaved::Log, CodeSaved::Withheld("a bisection".to_owned())] {
        let logs = vec![log_state(LogId::main()), log_state(LogId::code())];
        let code = CodePoint { saved, ..code_point() };
        check_round_trip(&SaveRecord { code: Some(code), logs, ..save() });
    }
    let detached = CodePoint { branch: None, ..code_point() };
    check_round_trip(&SaveRecord { code: Some(detached), ..save() });
}

#[test]
fn a_typical_record_is_small() {
    let len = check_round_trip(&save());
    assert!(len <= 384, "{len}");
}

#[test]
fn a_record_of_thousands_of_logs_fits_and_a_larger_one_is_refused() {
    let logs = |count| {
        (0..count).map(|n| log_state(inside(&format!("subagents/agent-{n:08x}.jsonl")))).collect()
    };
    check_round_trip(&SaveRecord { logs: logs(4000), ..full_save() });
    let record = SaveRecord { logs: logs(8000), ..full_save() };
    let refused = seal_save(&ring(), &uuid(), &record, &mut SeededRandom::new(3));
    assert!(matches!(refused, Err(SealError::TooLarge { .. })));
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let sealed = seal(&SaveRecord { message: Some("日".repeat(MESSAGE_MAX)), ..save() });
    let message = open_save(&ring(), &uuid(), 42, &sealed).unwrap().message.unwrap();
    assert_eq!(message, "日".repeat(MESSAGE_MAX / 3));
}

#[test]
fn every_mutation_of_a_record_is_refused() {
    check_sealed_mutations(&seal(&save()), |sealed| open_save(&ring(), &uuid(), 42, sealed));
}

#[test]
fn a_record_opens_in_its_own_place_only() {
    let sealed = seal(&save());
    let check = |keys: &KeyRing, id: &str, number, expected: &str| {
        let refused = open_save(keys, &session(id), number, &sealed).unwrap_err();
        assert_eq!(variant(&refused), expected);
    };
    check(&ring(), uuid().as_str(), 41, "Damaged");
    check(&ring(), "another", 42, "OtherKey");
    check(&other_ring(), uuid().as_str(), 42, "UnknownKey");
    check(&ring_of(VaultId([8; 8])), uuid().as_str(), 42, "OtherKey");
}

#[test]
fn a_path_that_leads_out_is_refused_on_both_sides() {
    let long = "a".repeat(PATH_MAX + 1);
    let beside = |path: &str| LogId { role: Role::Beside, path: path.to_owned() };
    let main = |path: &str| LogId { role: Role::Main, path: path.to_owned() };
    let bad = [
        inside(""),
        inside("/a"),
        inside("a/"),
        inside("a//b"),
        inside("../a"),
        inside("a/../b"),
        inside("."),
        inside("a\0b"),
        inside(&long),
        beside("a/b"),
        beside(".."),
        beside(""),
        main("a"),
    ];
    for log in bad {
        let record = SaveRecord { logs: vec![log_state(log.clone())], ..save() };
        let refused = seal_save(&ring(), &uuid(), &record, &mut SeededRandom::new(3)).unwrap_err();
        assert_eq!(variant(&refused), "Malformed", "{log:?}");
        assert!(read_log(&write_log(&log_state(log.clone()))).is_err(), "{log:?}");
        let parent = Parent { log, generation: Generation([1; 16]), length: 1, digest: digest(1) };
        assert!(read_parent(&write_parent(&parent)).is_err());
    }
}

#[test]
fn earlier_snapshots_are_few_and_in_order() {
    let with = |earlier: Vec<u32>| LogState { earlier, ..log_state(LogId::main()) };
    let tag = tag::log::EARLIER;
    check_round_trip(&SaveRecord { logs: vec![with((0..16).collect())], ..save() });
    assert_eq!(read_log(&write_log(&with(vec![2, 1]))), Err(WireError::Meaningless(tag)));
    let many = with((0..17).collect());
    assert_eq!(read_log(&write_log(&many)), Err(WireError::Length { tag, len: 68 }));
    let record = SaveRecord { logs: vec![many], ..save() };
    let refused = seal_save(&ring(), &uuid(), &record, &mut SeededRandom::new(3)).unwrap_err();
    assert_eq!(variant(&refused), "Malformed");
}

#[test]
fn a_record_that_lacks_something_is_refused() {
    assert_eq!(read(1, &[]), Err(WireError::Missing(tag::AT)));
    let mut gone = Writer::new();
    gone.time(tag::AT, Some(1)).bytes(tag::DEVICE, &[0; 8]).bytes(tag::GONE, b"short");
    assert_eq!(read(1, &gone.finish()), Err(WireError::Length { tag: tag::GONE, len: 5 }));
    let mut role = Writer::new();
    role.number(tag::log::ROLE, 4).bytes(tag::log::CONTENT, &[0; 32]);
    assert_eq!(read_log(&role.finish()), Err(WireError::Meaningless(tag::log::ROLE)));
}
