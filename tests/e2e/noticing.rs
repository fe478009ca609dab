//! Every transcript is noticed: at once where there are events, by the next rescan where there are none.

use std::collections::BTreeSet;

use convosync_tests::synthetic::Conversation;
use convosync_tests::told::told;
use convosync_tests::world::Way;
use convosync_tests::{World, Writer, eventually, files};

use crate::SAVED_WITHIN;
use crate::answers::{give_notifier, notified};

#[test]
fn a_transcript_written_at_once_into_a_new_folder_is_noticed() {
    const FOLDERS: u64 = 200;
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();

    let mut wanted = BTreeSet::new();
    for seed in 0..FOLDERS {
        let cwd = ada.home.project().join(format!("part-{seed}"));
        files::make_dir(&cwd);
        let mut writer = Writer::new(&ada.home.slug_dir(&cwd), Conversation::new(seed, &cwd));
        writer.turn();
        wanted.insert(writer.session().to_owned());
    }

    eventually("all of them are on the remote", SAVED_WITHIN, || {
        let sessions = ada.sessions();
        let safe = sessions
            .iter()
            .filter(|session| session["on_remote"] == true)
            .filter_map(|session| session["session"].as_str());
        wanted.is_subset(&safe.map(str::to_owned).collect()).then_some(())
    });
}

#[test]
fn the_first_transcript_of_somebody_new_to_claude_is_noticed() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    files::remove_tree(&ada.home.claude_dir());
    ada.start();
    ada.init();

    let mut writer = ada.writer(1);
    writer.turn();

    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

#[test]
fn without_events_the_rescan_finds_what_grew() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.home.write_config("[watch]\nevents = false\nrescan_every = \"1s\"\n");
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    for _ in 0..2 {
        writer.turn();
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    }
}

#[test]
fn a_save_that_is_to_raise_no_notification_raises_none_on_other_devices() {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let [ada, bob] = world.devices.as_mut_slice() else { panic!("there are two") };
    give_notifier(bob, "[fetch]\npoll_every = \"1s\"\n");
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    let seen_by_bob = |message: &str| {
        eventually("bob sees the save", SAVED_WITHIN, || {
            bob.session(writer.session()).filter(|session| session["message"] == message)
        });
    };

    ada.hold_still();
    let run = ada.ctl(&["save", "--stash", "--no-notify", "in silence"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ saved "in silence" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        --- exit code 0
        "#);
    seen_by_bob("in silence");
    let listed = || bob.ctl_json(&["status"])["projects"][0]["listed_ms"].as_i64();
    for _ in 0..2 {
        let before = listed();
        eventually("bob looks again", SAVED_WITHIN, || (listed() > before).then_some(()));
    }
    assert_eq!(notified(bob), Vec::<String>::new());

    ada.ctl(&["save", "--stash", "aloud"]).ok();
    seen_by_bob("aloud");
    let notices = eventually("bob is notified", SAVED_WITHIN, || {
        Some(notified(bob)).filter(|told| !told.is_empty())
    });
    assert!(notices[0].contains("saved on another device"), "{notices:?}");
}
