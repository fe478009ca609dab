//! However the daemon ends, what was acknowledged is there and what was not is saved later.

use std::time::Duration;

use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{World, files};

use crate::SAVED_WITHIN;

#[test]
fn a_daemon_that_is_told_to_end_saves_first_and_leaves_in_time() {
    const LEAVES_WITHIN: Duration = Duration::from_secs(5);
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
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
    let mut world = World::new(&["ada", "bob"], Way::File);
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
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.start();
    let mut second = ada.spawn_daemon();
    let status = convosync_tests::eventually("the second daemon ends", SAVED_WITHIN, || {
        second.try_wait().expect("a child can be asked")
    });
    assert!(!status.success());
    ada.ctl(&["--no-start", "status"]).ok();
}
