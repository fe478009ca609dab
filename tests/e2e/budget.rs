//! What saves may cost on the wire: only what is new, whoever wrote what came before.

use convosync_tests::synthetic::Conversation;
use convosync_tests::world::Way;
use convosync_tests::{Device, Remote, World, Writer, files};

use crate::SAVED_WITHIN;

/// More than one tip may bring from another device.
const SESSIONS: u64 = 20;
const TURNS: usize = 10;

/// Adds a turn to a session that was resumed on `device`, and returns the session's new length.
fn add_turn(device: &Device, writer: &Writer) -> u64 {
    let id = writer.session();
    let path = device.home.transcripts().join(format!("{id}.jsonl"));
    let lines = Conversation::resumed(5, device.home.project(), id, None).turn();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    files::append(&path, text.as_bytes());
    writer.total_bytes() + text.len() as u64
}

#[test]
fn going_on_with_many_resumed_sessions_at_once_sends_nothing_of_the_first_device_again() {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writers: Vec<Writer> = (0..SESSIONS).map(|seed| ada.writer(seed)).collect();
    writers.iter_mut().for_each(|writer| (0..TURNS).for_each(|_| writer.turn()));
    for writer in &writers {
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    }
    bob.start();
    bob.join(&phrase);
    for writer in &writers {
        bob.ctl_json(&["resume", writer.session()]);
    }

    let before = Remote::traffic(&bob.home);
    let lengths: Vec<u64> = writers.iter().map(|writer| add_turn(bob, writer)).collect();
    for (writer, length) in writers.iter().zip(lengths) {
        bob.saved_eventually(writer.session(), length, SAVED_WITHIN);
    }

    let (first, second) =
        (Remote::traffic(&ada.home).sent, Remote::traffic(&bob.home).since(before).sent);
    assert!(second < first / 3, "{second} sent by the second device, {first} by the first");
    for writer in &writers {
        ada.ctl_json(&["resume", writer.session()]);
        let id = writer.session();
        let there = bob.home.transcripts().join(format!("{id}.jsonl"));
        assert_eq!(files::read(&writer.path()), files::read(&there), "{id}");
    }
}

/// What a changed line may cost on the wire, both ways and with everything around it.
const CHANGED_LINE_MAX: u64 = 4 << 10;

#[test]
fn a_changed_line_of_a_large_file_costs_little_more_than_the_line() {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let ada = &mut world.devices[0];
    ada.home.write_config("[watch]\ncode_check_every = \"1s\"\n");
    let path = ada.home.project().join("large.txt");
    let lines: Vec<String> = (0..20_000_u64)
        .map(|line| format!("{line}: {:x} and some words to fill the line\n", line * 7_919 * 7_919))
        .collect();
    files::write(&path, lines.concat());
    ada.home.git(&["add", "."]).ok();
    ada.home.git(&["commit", "-q", "-m", "a large file"]).ok();
    ada.home.git(&["push", "-q"]).ok();
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    let told = ada.watch();
    let mut costs = Vec::new();
    for round in 0..3 {
        let before = Remote::traffic(&ada.home);
        let mut changed = lines.clone();
        changed[10_000 + round] = format!("changed in round {round}\n");
        files::write(&path, changed.concat());
        told.expect("saved", SAVED_WITHIN);
        told.expect("on-remote", SAVED_WITHIN);
        let cost = Remote::traffic(&ada.home).since(before);
        costs.push(cost.sent + cost.received);
    }
    let most = costs.iter().max().copied().unwrap_or_default();
    assert!(most <= CHANGED_LINE_MAX, "{costs:?}");
}
