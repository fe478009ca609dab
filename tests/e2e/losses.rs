//! A store that is lost, a ref that somebody else moved: what was sent stays, and nothing is stuck.

use convosync_tests::world::Way;
use convosync_tests::{Device, Opened, Remote, World, eventually, files};
use serde_json::Value;

use crate::SAVED_WITHIN;

/// What `show` says of a session's saves: their numbers, newest first.
fn saves(device: &Device, session: &str) -> Vec<u64> {
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

/// The refs of the vault's devices.
fn devices_on(remote: &Remote) -> Vec<String> {
    let names = remote.refs().into_iter().map(|(name, _)| name);
    names.filter(|name| name.contains("convosync")).collect()
}

/// Two that joined at once called each other none of the vault's for ever.
#[test]
fn devices_that_joined_before_either_saw_the_other_have_each_others_sessions() {
    let Opened { mut world, phrase, .. } = Opened::new(&["ada", "bob", "cyd"], Way::Any);
    let [_, bob, cyd] = world.devices.as_mut_slice() else { panic!("three devices") };
    let before = devices_on(&world.remote);
    bob.start();
    let told = bob.watch();
    bob.join(&phrase);
    told.expect("on-remote", SAVED_WITHIN);
    let after = devices_on(&world.remote);
    let bobs = after.iter().find(|name| !before.contains(name)).expect("bob is on the remote");
    // The next one joins from the first one's roster, which says nothing of bob.
    world.remote.git(&["update-ref", "-d", bobs]).ok();
    cyd.start();
    cyd.join(&phrase);
    let (mut of_bob, mut of_cyd) = (bob.writer(2), cyd.writer(3));
    for (device, writer) in [(&*bob, &mut of_bob), (&*cyd, &mut of_cyd)] {
        writer.turn();
        device.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    }

    for (device, theirs) in [(&*bob, &of_cyd), (&*cyd, &of_bob)] {
        let listed = device.ctl_json(&["list", "--all", "--refresh"]);
        let sessions = listed["sessions"].as_array().expect("a list of sessions");
        assert!(sessions.iter().any(|one| one["session"] == theirs.session()), "{listed}");
        assert_eq!(listed["problems"].as_array().map_or(0, Vec::len), 0, "{listed}");
        device.ctl_json(&["resume", "--no-code", theirs.session()]);
    }
}

/// Writes garbage in the place of one file of a tip, and returns the tip that holds it.
#[track_caller]
fn damaged(remote: &Remote, tip: &str, path: &str) -> String {
    let garbage = remote.folder().join("garbage");
    files::write(&garbage, "nothing that anybody sealed");
    let git = |arguments: &[&str]| remote.git(arguments).ok().text();
    let blob = git(&["hash-object", "-w", garbage.to_str().expect("the tests' paths are text")]);
    git(&["read-tree", tip]);
    git(&["update-index", "--cacheinfo", &format!("100644,{blob},{path}")]);
    let tree = git(&["write-tree"]);
    let who = ["-c", "user.name=m", "-c", "user.email=m@m"];
    git(&[&who[..], &["commit-tree", "-p", tip, "-m", "sealed", &tree]].concat())
}

/// What a device's list and `status` say of the one whose ref is not believed.
fn doubts(answer: &Value, reference: &str) -> Vec<Value> {
    let problems = answer["problems"].as_array().cloned().unwrap_or_default();
    let names = |problem: &Value| {
        problem["message"].as_str().is_some_and(|message| message.contains(reference))
    };
    problems.into_iter().filter(names).collect()
}

/// That a tip was damaged stood in the list without the device's name and a way out, and stayed there after it
/// was mended.
#[test]
fn a_device_whose_ref_is_damaged_is_named_and_the_others_are_listed() {
    let Opened { mut world, mut writer, phrase } = Opened::new(&["ada", "bob", "cyd"], Way::Any);
    let [ada, bob, cyd] = world.devices.as_mut_slice() else { panic!("three devices") };
    for device in [&mut *bob, &mut *cyd] {
        device.start();
        device.join(&phrase);
    }
    eventually("all are on the remote", SAVED_WITHIN, || {
        (devices_on(&world.remote).len() == 3).then_some(())
    });
    bob.ctl_json(&["list", "--all", "--refresh"]);
    let refs = world.remote.refs();
    let ids = ada.ctl_json(&["status"])["devices"].clone();
    let ids = ids.as_array().expect("a list of devices");
    let own = ids.iter().find(|device| device["this"] == true).expect("one of them is this one");
    let id = own["device"].as_str().expect("it has an id");
    let (name, tip) = refs.iter().find(|(name, _)| name.contains(id)).expect("its ref");
    ada.stop();

    let garbage = damaged(&world.remote, tip, "head");
    world.remote.git(&["update-ref", name, &garbage]).ok();
    let mut theirs = cyd.writer(2);
    theirs.turn();
    cyd.saved_eventually(theirs.session(), theirs.total_bytes(), SAVED_WITHIN);
    let listed = bob.ctl_json(&["list", "--all", "--refresh"]);

    let told = doubts(&listed, name);
    let [told] = told.as_slice() else { panic!("one doubt about {name}: {listed}") };
    assert!(told["message"].as_str().is_some_and(|text| text.starts_with("ada: ")), "{told}");
    assert!(told["hint"].as_str().is_some_and(|text| text.contains("stays in use")), "{told}");
    assert_eq!(doubts(&bob.ctl_json(&["status"]), name).len(), 1);
    let sessions = listed["sessions"].as_array().expect("a list of sessions");
    for session in [writer.session(), theirs.session()] {
        assert!(sessions.iter().any(|one| one["session"] == session), "{session}: {listed}");
    }
    bob.ctl_json(&["resume", "--no-code", writer.session()]);

    world.remote.git(&["update-ref", name, tip]).ok();
    let listed = bob.ctl_json(&["list", "--all", "--refresh"]);
    assert_eq!(doubts(&listed, name), Vec::<Value>::new(), "it stands where it was believed");
    world.remote.git(&["update-ref", name, &garbage]).ok();
    let listed = bob.ctl_json(&["list", "--all", "--refresh"]);
    assert_eq!(doubts(&listed, name).len(), 1, "it is told again: {listed}");
    let ada = &mut world.devices[0];
    ada.start();
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    let bob = &world.devices[1];
    let listed = bob.ctl_json(&["list", "--all", "--refresh"]);
    assert_eq!(doubts(&listed, name), Vec::<Value>::new(), "its next save is believed");
    let session = bob.session(writer.session()).expect("it is listed");
    assert_eq!(session["total_bytes"], writer.total_bytes());
}
