//! A conversation that has become very large is told once, by whichever command sees it first.

use convosync_tests::world::Way;
use convosync_tests::{Device, World, Writer};

use crate::SAVED_WITHIN;

/// So many messages are very large.
const LARGE: u32 = 500;

const TOLD: &str = "is very large: ";

fn grow(writer: &mut Writer) {
    while writer.messages() < LARGE {
        writer.turn();
    }
}

fn told(device: &Device, words: &[&str]) -> bool {
    device.ctl(words).ok().errors().contains(TOLD)
}

#[test]
fn a_very_large_conversation_is_told_once_and_not_at_every_save() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let mut seen_by_status = ada.writer(1);
    seen_by_status.turn();
    ada.saved_eventually(seen_by_status.session(), seen_by_status.total_bytes(), SAVED_WITHIN);
    assert!(!told(ada, &["status"]));
    grow(&mut seen_by_status);
    ada.saved_eventually(seen_by_status.session(), seen_by_status.total_bytes(), SAVED_WITHIN);

    // What a program reads tells nobody.
    for _ in 0..2 {
        assert_eq!(ada.ctl_json(&["status"])["large"][0]["session"], seen_by_status.session());
    }
    assert!(told(ada, &["status"]));
    assert!(!told(ada, &["status"]));
    let save = ["save", "--stash", "--session", seen_by_status.session()];
    assert!(!told(ada, &save));

    let mut seen_by_save = ada.writer(2);
    grow(&mut seen_by_save);
    let session = seen_by_save.session().to_owned();
    let save = ["save", "--stash", "--session", &session];
    assert!(told(ada, &save));
    ada.stop();
    ada.start();
    seen_by_save.turn();
    assert!(!told(ada, &save) && !told(ada, &["status"]));
}
