//! Every transcript is noticed: at once where there are events, by the next rescan where there are none.

use std::collections::BTreeSet;

use convosync_tests::synthetic::Conversation;
use convosync_tests::world::Way;
use convosync_tests::{World, Writer, eventually, files};

use crate::SAVED_WITHIN;

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
