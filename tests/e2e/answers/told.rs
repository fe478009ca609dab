//! What was told before: not again by the next daemon, not again by a push after a listing.

use convosync_tests::desktop::Desktop;
use convosync_tests::world::Way;
use convosync_tests::{World, eventually, files, skip};

use super::{Stage, answer_file, notified, refuse_by_hook, refuse_by_ssh, words_of};
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

#[test]
#[cfg(target_os = "linux")]
fn the_desktop_shows_one_notification_for_each_cause() {
    let Some(_) = skip::unless_on_path("dbus-daemon") else { return };
    let Some(_) = skip::unless_on_path("notify-send") else { return };
    let mut world = World::new(&["ada"], Way::File);
    refuse_by_hook(&world);
    let desktop = Desktop::start(world.dir());
    let answer = answer_file(&world);
    let ada = &mut world.devices[0];
    let bus = format!("DBUS_SESSION_BUS_ADDRESS={}", desktop.address());
    ada.home.start_daemon_with(&["env", &bus]);
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    let causes = [
        ("forgejo quota", "the repository or the account is full"),
        ("gitlab protected branch", "a rule of the host protects refs of this name"),
    ];
    for (number, (name, cause)) in causes.into_iter().enumerate() {
        files::write(&answer, words_of(name));
        writer.turn();
        let shown = eventually(&format!("{name} is shown"), SAVED_WITHIN, || {
            ada.ctl(&["sync", "--retry"]);
            Some(desktop.shown()).filter(|shown| shown.len() > number)
        });
        ada.ctl(&["sync", "--retry"]);
        assert_eq!(desktop.shown().len(), number + 1, "{:?}", desktop.shown());
        let (title, body) = &shown[number];
        assert_eq!(title, "ConvoSync: not on the remote");
        assert!(body.contains(cause) && body.contains("Way out: "), "{body}");
    }
}
