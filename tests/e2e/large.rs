//! Inputs of a size nobody expects: memory stays bounded, and `status` says how far it is.

use std::time::{Duration, Instant};

use convosync_tests::large::{self, Shape};
use convosync_tests::memory::{self, Memory, Peaks};
use convosync_tests::world::Way;
use convosync_tests::{World, Writer, eventually, files};

use crate::SAVED_WITHIN;

/// What the daemon and each of its children may take here: 256 MiB are allowed for any input, about 70 are
/// taken, and with this bound a save of 200 MiB that is held in memory is noticed.
const PEAK_KIB_MAX: u64 = 100 << 10;
/// What the daemon may hold of its own with ten thousand transcripts: beside a release's 11 MiB of program and
/// libraries, 20 MB are allowed.
const OWN_KIB_MAX: u64 = 7 << 10;

/// A large transcript is saved and sent within this time, also by an unoptimised build on a busy machine.
const LARGE_WITHIN: Duration = Duration::from_secs(240);

/// A look at the daemon is worth its time after this, without any event.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const MIB: u64 = 1 << 20;

#[track_caller]
fn assert_bounded(peaks: &Peaks) {
    let above: Vec<_> = peaks.iter().filter(|(_, peak)| **peak > PEAK_KIB_MAX).collect();
    assert!(above.is_empty() && peaks.contains_key("convosyncd"), "{above:?} of {peaks:?}");
}

/// Saves a large transcript on one device and resumes it on another, and watches both daemons.
fn check_large(shape: Shape) {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let memory = Memory::watch(ada.pid().expect("it runs"));
    let (id, path) = large::write(&ada.home.transcripts(), ada.home.project(), 7, shape);
    let length = path.metadata().expect("it was written").len();

    let told = ada.watch();
    let mut seen = Vec::new();
    eventually("everything is on the remote", LARGE_WITHIN, || {
        told.next(LOOK_EVERY);
        seen.push(ada.ctl_json(&["status"])["projects"][0].clone());
        let session = ada.session(&id)?;
        (session["total_bytes"] == length && session["on_remote"] == true).then_some(())
    });
    assert_bounded(&memory.peaks());
    let is_partial =
        |status: &&serde_json::Value| status["saving"]["saved_bytes"].as_u64() > Some(0);
    let partly = seen.iter().filter(is_partial).count();
    assert!(partly > 0 || shape.line >= shape.bytes, "status told nothing in between: {seen:?}");

    bob.start();
    bob.join(&phrase);
    let memory = Memory::watch(bob.pid().expect("it runs"));
    bob.ctl_json(&["resume", &id]);
    assert_bounded(&memory.peaks());
    assert!(large::is_same(&path, &bob.home.transcripts().join(format!("{id}.jsonl"))));
}

#[test]
fn a_transcript_of_hundreds_of_megabytes_travels_in_bounded_memory() {
    check_large(Shape { bytes: 200 * MIB, line: 64 << 10 });
}

#[test]
fn a_line_of_a_hundred_megabytes_travels_in_bounded_memory() {
    check_large(Shape { bytes: 100 * MIB, line: 100 * MIB });
}

#[test]
fn a_thousand_sessions_that_grow_at_once_are_all_saved_in_bounded_memory() {
    const SESSIONS: u64 = 1000;
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let memory = Memory::watch(ada.pid().expect("it runs"));
    let mut writers: Vec<Writer> = (0..SESSIONS).map(|seed| ada.writer(seed)).collect();
    for _ in 0..2 {
        writers.iter_mut().for_each(Writer::turn);
    }
    let total: u64 = writers.iter().map(Writer::total_bytes).sum();
    let told = ada.watch();
    eventually("all of them are on the remote", LARGE_WITHIN, || {
        // Each of a thousand saves is told: a look at each would be most of the work.
        let waited = Instant::now();
        while waited.elapsed() < LOOK_EVERY && told.next(LOOK_EVERY).is_some() {}
        let status = &ada.ctl_json(&["status"])["projects"][0];
        (status["unsaved"] == 0 && status["sync"] == "on-remote").then_some(())
    });
    let saved: u64 =
        ada.sessions().iter().filter_map(|session| session["total_bytes"].as_u64()).sum();
    assert_eq!(saved, total);
    assert_bounded(&memory.peaks());
}

#[test]
fn ten_thousand_transcripts_of_other_projects_are_counted_and_left_alone() {
    const TRANSCRIPTS: usize = 10_000;
    const IN_A_FOLDER: usize = 100;
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    for number in 0..TRANSCRIPTS {
        let folder =
            ada.home.claude_dir().join(format!("projects/-other-{}", number / IN_A_FOLDER));
        let name = format!("{number:08x}-0000-4000-8000-000000000000.jsonl");
        files::write(&folder.join(name), "{\"type\":\"user\",\"cwd\":\"/other\"}\n");
    }
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    writer.turn();

    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    let counted = ada.ctl_json(&["status"])["watching"][0]["sessions"].as_u64();
    assert!(counted >= Some(TRANSCRIPTS as u64), "{counted:?}");
    assert_eq!(ada.sessions().len(), 1);
    let of = |name| memory::field(ada.pid().expect("it runs"), name).expect("Linux tells");
    let (peak, own) = (of("VmHWM:"), of("RssAnon:"));
    assert!(peak <= PEAK_KIB_MAX && own <= OWN_KIB_MAX, "{peak} KiB, {own} KiB of them its own");
}
