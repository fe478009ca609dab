//! Save records.

use super::super::fixture::*;
use super::*;
use crate::context::{Passage, Stand};
use crate::id::{SeededRandom, VaultId};
use crate::shell_history::ShellLine;

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

fn further(number: u8, saved: CodeSaved) -> Further {
    Further {
        key: RepositoryKey([number; 8]),
        device: identity(2).device(),
        name: "lib".to_owned(),
        ids: vec!["example.org/a/lib".to_owned(), "example.org/b/lib".to_owned()],
        address: Some("https://example.org/a/lib.git".to_owned()),
        code: CodePoint { saved, ..code_point() },
    }
}

#[test]
fn further_repositories_come_back_and_older_readers_pass_over_them() {
    let bare = Further { ids: Vec::new(), address: None, ..further(8, CodeSaved::Nothing) };
    let all = vec![further(7, CodeSaved::Log), further(9, CodeSaved::Plain), bare];
    let logs = vec![
        log_state(LogId::main()),
        log_state(LogId::code()),
        log_state(LogId::code_of(RepositoryKey([7; 8]))),
    ];
    let record = SaveRecord { further: all, logs, ..save() };
    check_round_trip(&record);

    // What older readers know is what it was without.
    let without = SaveRecord { further: Vec::new(), logs: record.logs[..2].to_vec(), ..save() };
    assert!(write(&record).starts_with(&write(&without)));
    let added = write(&record)[write(&without).len()..].to_vec();
    assert!(Fields::parse(&added).is_ok_and(|fields| fields.all(8).next().is_none()));
}

#[test]
fn more_further_repositories_than_are_told_apart_are_passed_over() {
    let many = (0..=FURTHER_MAX as u8).map(|number| further(number, CodeSaved::Plain)).collect();
    let sealed = seal(&SaveRecord { further: many, ..save() });
    let read = open_save(&ring(), &uuid(), 42, &sealed).unwrap();
    assert_eq!(read.further.len(), FURTHER_MAX);
}

#[test]
fn the_log_of_a_further_repository_stands_only_where_older_readers_do_not_look() {
    let refused = |log: LogId| {
        let record = SaveRecord { logs: vec![log_state(log)], ..save() };
        seal_save(&ring(), &uuid(), &record, &mut SeededRandom::new(3)).is_err()
    };
    assert!(refused(LogId { role: Role::Code, path: "../x".to_owned() }));
    assert!(refused(LogId { role: Role::Code, path: "ABCDEF0123456789".to_owned() }));

    let mut misplaced = Writer::new();
    misplaced.time(tag::AT, Some(1)).bytes(tag::DEVICE, &[1; 8]);
    misplaced.bytes(tag::LOG, &write_log(&log_state(LogId::code_of(RepositoryKey([7; 8])))));
    assert!(read(1, &misplaced.finish()).is_err());
    let mut misplaced = Writer::new();
    misplaced.time(tag::AT, Some(1)).bytes(tag::DEVICE, &[1; 8]);
    misplaced.bytes(tag::FURTHER_LOG, &write_log(&log_state(LogId::main())));
    assert!(read(1, &misplaced.finish()).is_err());
}

#[test]
fn a_course_comes_back_and_older_readers_pass_over_it() {
    let record = course_save();
    check_round_trip(&record);
    check_round_trip(&SaveRecord { course: Some(Course::default()), ..save() });
    let anew = Course { anew: true, ..Course::default() };
    check_round_trip(&SaveRecord { course: Some(anew), ..save() });

    let without = SaveRecord { course: None, ..record.clone() };
    assert!(write(&record).starts_with(&write(&without)));
    assert_eq!(write(&record)[write(&without).len()], tag::COURSE);
    let nothing_new = SaveRecord { course: Some(Course::default()), ..without.clone() };
    assert_eq!(write(&nothing_new).len(), write(&without).len() + 2);
}

#[test]
fn what_made_a_save_comes_back_and_older_readers_pass_over_it() {
    let record = surrounded_save();
    let len = check_round_trip(&record);
    assert!(len <= 416, "{len}");
    let without = SaveRecord { surroundings: Surroundings::default(), ..record.clone() };
    assert!(write(&record).starts_with(&write(&without)));
    assert_eq!(write(&record)[write(&without).len()], 17);

    let long = Maker { convosync: "日".repeat(100), git: String::new(), system: "x".repeat(100) };
    let sealed = seal(&SaveRecord {
        surroundings: Surroundings { maker: Some(long), ..Surroundings::default() },
        ..save()
    });
    let read = open_save(&ring(), &uuid(), 42, &sealed).unwrap().surroundings.maker.unwrap();
    assert_eq!(
        (read.convosync, read.git, read.system),
        ("日".repeat(21), String::new(), "x".repeat(64))
    );
}

#[test]
fn variables_come_back_and_what_is_refused_is_neither_written_nor_read() {
    let record = environment_save();
    check_round_trip(&record);
    let none = Surroundings { environment: Some(Default::default()), ..Surroundings::default() };
    check_round_trip(&SaveRecord { surroundings: none, ..save() });
    let without = SaveRecord { surroundings: Surroundings::default(), ..record.clone() };
    assert!(write(&record).starts_with(&write(&without)));
    assert_eq!(write(&record)[write(&without).len()], 18);

    let mut refused = record.clone();
    let variables = refused.surroundings.environment.as_mut().unwrap();
    variables.insert("PATH".to_owned(), "/evil".to_owned());
    variables.insert("API_KEY".to_owned(), "k".to_owned());
    variables.insert("LONG".to_owned(), "x".repeat(2000));
    assert_eq!(open_save(&ring(), &uuid(), 42, &seal(&refused)), Ok(record));
    let mut written = Writer::new();
    written.bytes(1, &[1, 4, b'P', b'A', b'T', b'H', 2, 1, b'/']);
    let mut outer = Writer::new();
    outer.bytes(18, &written.finish());
    let outer = outer.finish();
    let read = surroundings::read(&Fields::parse(&outer).unwrap()).unwrap();
    assert_eq!(read.environment, Some(Default::default()));
}

#[test]
fn lines_of_the_shell_come_back_and_what_is_refused_is_neither_written_nor_read() {
    let record = shell_save();
    check_round_trip(&record);
    let without = SaveRecord { surroundings: Surroundings::default(), ..record.clone() };
    assert!(write(&record).starts_with(&write(&without)));
    assert_eq!(write(&record)[write(&without).len()], 19);

    let mut refused = record.clone();
    let line = record.surroundings.shell.first().unwrap().clone();
    let secret = ShellLine { text: "export API_KEY=k".to_owned(), ..line };
    refused.surroundings.shell.insert(secret);
    assert_eq!(open_save(&ring(), &uuid(), 42, &seal(&refused)), Ok(record));
    let mut line = Writer::new();
    line.time(1, Some(1)).text(2, "export API_KEY=k");
    let mut device = Writer::new();
    device.bytes(1, &[1; 8]).bytes(2, &line.finish());
    let read = |of_device: &[u8]| {
        let (mut lines, mut outer) = (Writer::new(), Writer::new());
        lines.bytes(1, of_device);
        outer.bytes(19, &lines.finish());
        surroundings::read(&Fields::parse(&outer.finish()).unwrap()).map(|read| read.shell)
    };
    assert_eq!(read(&device.finish()), Ok(Default::default()));
    let mut timeless = Writer::new();
    timeless.bytes(1, &[1; 8]).bytes(2, &[2, 1, b'x']);
    assert_eq!(read(&timeless.finish()), Err(WireError::Missing(1)));
    assert_eq!(read(&[]), Err(WireError::Missing(1)));
}

#[test]
fn a_course_that_lacks_something_or_is_out_of_order_is_refused() {
    let whole = course_save().course.unwrap();
    let mut reversed = whole.clone();
    reversed.passages.reverse();
    assert_eq!(course::read(&course::write(&reversed)), Err(WireError::Meaningless(3)));
    let bytes = course::write(&whole);
    assert_eq!(course::read(&bytes[18..]), Err(WireError::Missing(1)));
    let long = Passage {
        stand: Stand { branch: Some("b".repeat(256)), commit: None },
        ..whole.passages[0].clone()
    };
    let long = Course { passages: vec![long], ..whole };
    assert!(course::read(&course::write(&long)).is_err());
}
