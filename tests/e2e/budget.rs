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
