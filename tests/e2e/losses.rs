//! A store that is lost, a ref that somebody else moved: what was sent stays, and nothing is stuck.

use convosync_tests::world::Way;
use convosync_tests::{Opened, World};
use convosync_tests::{eventually, files};

use crate::SAVED_WITHIN;

/// What `show` says of a session's saves: their numbers, newest first.
fn saves(device: &convosync_tests::Device, session: &str) -> Vec<u64> {
    let shown = device.ctl_json(&["show", session]);
    let saves = shown["saves"].as_array().expect("a list of saves");
    saves.iter().filter_map(|save| save["save"].as_u64()).collect()
}

#[test]
fn a_lost_state_folder_goes_on_from_what_was_sent() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    for _ in 0..3 {
        writer.turn();
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    }
    let before = saves(ada, writer.session());

    ada.stop();
    files::remove_tree(&ada.home.convosync_dir().join("state"));
    ada.start();
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    let after = saves(ada, writer.session());
    assert!(after.len() > before.len() && after.ends_with(&before), "{before:?}, then {after:?}");
}

#[test]
fn a_store_begun_anew_out_of_reach_of_the_remote_is_joined_with_what_was_sent() {
    let mut world = World::new(&["ada"], Way::Any);
    let remote = world.remote.dir().to_owned();
    let away = remote.with_extension("away");
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let (mut first, mut second) = (ada.writer(1), ada.writer(2));
    first.turn();
    second.turn();
    ada.saved_eventually(first.session(), first.total_bytes(), SAVED_WITHIN);
    ada.saved_eventually(second.session(), second.total_bytes(), SAVED_WITHIN);

    ada.stop();
    files::remove_tree(&ada.home.convosync_dir().join("state"));
    files::remove_file(&second.path());
    files::rename(&remote, &away);
    ada.start();
    let events = ada.watch();
    first.turn();
    events.expect("saved", SAVED_WITHIN);
    files::rename(&away, &remote);
    ada.ctl(&["sync", "--retry"]).ok();

    eventually("both sessions are on the remote", SAVED_WITHIN, || {
        let sessions = ada.sessions();
        let is_there =
            |id: &str| sessions.iter().any(|one| one["session"] == id && one["on_remote"] == true);
        (is_there(first.session()) && is_there(second.session())).then_some(())
    });
    let listed = ada.session(first.session()).expect("the session is listed");
    assert_eq!(listed["total_bytes"], first.total_bytes());
}

#[test]
fn what_somebody_else_puts_under_our_name_is_replaced_and_told() {
    let Opened { mut world, mut writer, .. } = Opened::new(&["ada"], Way::Any);
    let (name, ours) = world
        .remote
        .refs()
        .into_iter()
        .find(|(name, _)| name.contains("convosync"))
        .expect("our ref");

    let tree = world
        .remote
        .git(&["hash-object", "-w", "-t", "tree", "/dev/null"])
        .ok()
        .text()
        .trim()
        .to_owned();
    let garbage = world
        .remote
        .git(&["-c", "user.name=m", "-c", "user.email=m@m", "commit-tree", "-m", "mine now", &tree])
        .ok()
        .text()
        .trim()
        .to_owned();
    world.remote.git(&["update-ref", &name, &garbage]).ok();
    let ada = &mut world.devices[0];
    let events = ada.watch();
    writer.turn();
    events.expect("trouble", SAVED_WITHIN);
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    let refs = world.remote.refs();
    let (_, now) = refs.iter().find(|(other, _)| *other == name).expect("our ref is back");
    assert_ne!(*now, garbage);
    world.remote.git(&["merge-base", "--is-ancestor", &ours, now]).ok();
}
