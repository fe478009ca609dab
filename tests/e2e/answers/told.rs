//! What was told before: not again by the next daemon, not again by a push after a listing.

use convosync_tests::{eventually, files};

use super::{Stage, notified, refuse_by_hook, refuse_by_ssh, words_of};
use crate::SAVED_WITHIN;

#[test]
fn what_was_notified_of_is_not_told_again_by_the_next_daemon() {
    let mut stage = Stage::new(refuse_by_hook);
    files::write(&stage.answer_file(), words_of("forgejo quota"));
    stage.refused("a quota", "the repository or the account is full");
    stage.world.devices[0].stop();
    stage.world.devices[0].start();
    eventually("the next daemon is refused, too", SAVED_WITHIN, || {
        (stage.project()["sync"] == "stuck").then_some(())
    });
    stage.ada().ctl(&["sync", "--retry"]);
    assert_eq!(notified(stage.ada()).len(), 1, "{:?}", notified(stage.ada()));

    // What was mended while no daemon ran is told anew when it comes back.
    stage.world.devices[0].stop();
    files::remove_file(&stage.answer_file());
    stage.world.devices[0].start();
    stage.arrives();
    files::write(&stage.answer_file(), words_of("forgejo quota"));
    stage.refused("the quota again", "the repository or the account is full");
}

#[test]
fn credentials_that_expire_between_two_saves_are_told_without_one() {
    let mut stage = Stage::new(refuse_by_ssh);
    files::write(&stage.answer_file(), words_of("ssh key with a passphrase"));
    stage.ada().ctl(&["sync"]);
    let problem = stage.project()["problem"].clone();
    assert!(problem["message"].as_str().is_some_and(|text| text.starts_with("the host accepts")));
    stage.notified = 1;
    stage.notified_eventually("a listing", "the host accepts none of the ssh keys");
    stage.writer.turn();
    eventually("it is saved and not sent", SAVED_WITHIN, || {
        (stage.project()["sync"] == "stuck").then_some(())
    });
    assert_eq!(notified(stage.ada()).len(), 1, "the same cause is told once");
    files::remove_file(&stage.answer_file());
    // A listing that works again is enough: what is unsent is sent without being asked for.
    stage.ada().ctl(&["sync"]);
    stage.arrives();
}
