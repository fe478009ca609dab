//! However the daemon ends, what was acknowledged is there and what was not is saved later.

use std::time::{Duration, Instant};

use convosync_core::id::{Random, SeededRandom};
use convosync_tests::device::Events;
use convosync_tests::home::IMPATIENT;
use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Opened, World, Writer, files};

use crate::SAVED_WITHIN;

#[test]
fn a_daemon_that_is_told_to_end_saves_first_and_leaves_in_time() {
    const LEAVES_WITHIN: Duration = Duration::from_secs(5);
    let Opened { mut world, phrase, mut writer } = Opened::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    writer.turn();

    let (status, took) = ada.stop();
    assert!(status.success() && took <= LEAVES_WITHIN, "{status} after {took:?}\n{}", ada.log());

    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    let restored = files::read(&bob.home.transcripts().join(format!("{}.jsonl", writer.session())));
    files::assert_same(&restored, &saved_bytes(&writer.path()));
}

#[test]
fn a_killed_daemon_loses_nothing_it_acknowledged_and_saves_the_rest_when_it_is_back() {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    for _ in 0..5 {
        writer.turn();
        ada.kill();
        writer.turn();
        ada.start();
    }
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    let restored = files::read(&bob.home.transcripts().join(format!("{}.jsonl", writer.session())));
    files::assert_same(&restored, &saved_bytes(&writer.path()));
}

#[test]
fn a_second_daemon_ends_at_once_and_says_why() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    let mut second = ada.spawn_daemon();
    let status = convosync_tests::eventually("the second daemon ends", SAVED_WITHIN, || {
        second.try_wait().expect("a child can be asked")
    });
    assert!(!status.success());
    ada.ctl(&["--no-start", "status"]).ok();
}

/// Takes in what the daemon tells for `time`, and returns the newest save it acknowledged.
fn acknowledged_within(told: &Events, time: Duration) -> Option<u64> {
    let started = Instant::now();
    let mut newest = None;
    while let Some(event) = told.next(time.saturating_sub(started.elapsed())) {
        if event["event"] == "saved" {
            newest = event["save"].as_u64();
        }
    }
    newest
}

/// Returns a time of up to twice as long as a save takes here: its fsyncs and its push lie within it.
fn some_time(random: &mut SeededRandom, one_save: Duration) -> Duration {
    let mut bytes = [0; 2];
    random.fill(&mut bytes);
    one_save * 2 * u32::from(u16::from_le_bytes(bytes)) / (u32::from(u16::MAX) + 1)
}

/// Returns how long it takes on this machine, as busy as it is, from a turn to "saved". The first save is not
/// it: beside it the daemon gets to know the folder and the remote.
#[track_caller]
fn time_of_a_save(device: &Device, writer: &mut Writer) -> Duration {
    let told = device.watch();
    writer.turn();
    told.expect("on-remote", SAVED_WITHIN);
    let started = Instant::now();
    writer.turn();
    told.expect("saved", SAVED_WITHIN);
    started.elapsed()
}

/// Panics when something under the state directory still looks locked or half-written.
#[track_caller]
fn assert_no_leftovers(device: &Device) {
    let is_stale = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".lock") && name != "daemon.lock"
    };
    let stores = device.home.convosync_dir().join("state/stores");
    let stale: Vec<_> = files::under(&stores).into_iter().filter(is_stale).collect();
    assert!(stale.is_empty(), "{stale:?}");
}

#[test]
fn a_daemon_killed_at_any_moment_of_a_save_keeps_what_it_acknowledged() {
    const ROUNDS: usize = 24;
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    files::write(&ada.home.convosync_dir().join("config.toml"), IMPATIENT);
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    let mut random = SeededRandom::new(26);
    let mut acknowledged = 0;
    let one_save = time_of_a_save(ada, &mut writer);
    for round in 0..ROUNDS {
        let told = ada.watch();
        writer.turn();
        let newest = acknowledged_within(&told, some_time(&mut random, one_save));
        ada.kill();
        // What had been told before the kill may still be on its way.
        let newest = acknowledged_within(&told, Duration::from_millis(50)).or(newest);
        acknowledged = newest.unwrap_or(acknowledged).max(acknowledged);
        ada.start();
        let saved = ada
            .session(writer.session())
            .map_or(0, |session| session["save"].as_u64().expect("saves are counted"));
        assert!(saved >= acknowledged, "round {round}: {saved} of {acknowledged}\n{}", ada.log());
    }
    assert!(acknowledged > 0, "no round came as far as a save");
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    let (status, _) = ada.stop();
    assert!(status.success(), "{status}\n{}", ada.log());
    assert_no_leftovers(ada);

    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    let restored = files::read(&bob.home.transcripts().join(format!("{}.jsonl", writer.session())));
    assert!(restored == saved_bytes(&writer.path()), "bytes differ");
}
