//! A conversation that has become very large is told once, by whichever command sees it first.

use convosync_tests::told::{shown, told as whole};
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
    insta::assert_snapshot!(shown(&ada.ctl(&["status"]).ok().errors()), @r"
        ! the conversation [session] is very large: 503 messages
        hint: another device downloads all of it when it resumes for the first time; a save sends what is new only. For another task, start a fresh one with `claude`. This is told once
        ");
    assert!(!told(ada, &["status"]));
    let save = ["save", "--stash", "--session", seen_by_status.session()];
    assert!(!told(ada, &save));

    ada.hold_still();
    let mut seen_by_save = ada.writer(2);
    grow(&mut seen_by_save);
    let session = seen_by_save.session().to_owned();
    let save = ["save", "--stash", "--session", &session];
    insta::assert_snapshot!(whole(&ada.ctl(&save)), @r#"
        ✓ saved "Work on [session]" as save [number]
        ✓ conversation: 500 new messages, 500 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        ! the conversation [session] is very large: 500 messages
        hint: another device downloads all of it when it resumes for the first time; a save sends what is new only. For another task, start a fresh one with `claude`. This is told once
        --- exit code 0
        "#);
    ada.stop();
    ada.start();
    seen_by_save.turn();
    assert!(!told(ada, &save) && !told(ada, &["status"]));
}
