//! The machine goes to sleep, stands still, and has its clock set.

use std::time::Duration;

use convosync_tests::login::Login;
use convosync_tests::world::Way;
use convosync_tests::{Device, World, eventually, files, skip};
use rustix::process::Signal;

use crate::SAVED_WITHIN;

/// A lock is taken, or let go, within this time on a busy machine.
const LOCKED_WITHIN: Duration = Duration::from_secs(30);

/// Starts a device that saves only before a sleep, on a bus of its own; `None` where there is none.
fn on_a_bus(world: &mut World) -> Option<Login> {
    skip::unless_on_path("dbus-daemon")?;
    let login = Login::start(world.dir());
    let ada = &mut world.devices[0];
    files::write(
        &ada.home.convosync_dir().join("config.toml"),
        "[save]\nidle_after = \"10min\"\nsave_at_least_every = \"1h\"\n[store]\npush_at_most_every = \"0s\"\n",
    );
    ada.home.start_daemon_with(&["env", &format!("DBUS_SYSTEM_BUS_ADDRESS={}", login.address())]);
    ada.start();
    ada.init();
    eventually("the daemon holds up the sleep", LOCKED_WITHIN, || {
        (login.held() == 1).then_some(())
    });
    Some(login)
}

/// Whether the remote holds everything of the session, now.
fn is_on_remote(device: &Device, id: &str, bytes: u64) -> bool {
    device
        .session(id)
        .is_some_and(|session| session["on_remote"] == true && session["total_bytes"] == bytes)
}

#[test]
fn a_machine_that_goes_to_sleep_waits_until_everything_is_saved_and_sent() {
    let mut world = World::new(&["ada"], Way::File);
    let Some(login) = on_a_bus(&mut world) else { return };
    let ada = &world.devices[0];
    let mut writer = ada.writer(1);
    for _ in 0..2 {
        writer.turn();
        login.prepare_for_sleep(true);
        eventually("the sleep is let go", LOCKED_WITHIN, || (login.held() == 0).then_some(()));

        assert!(is_on_remote(ada, writer.session(), writer.total_bytes()), "{}", ada.log());

        login.prepare_for_sleep(false);
        eventually("it is held up again", LOCKED_WITHIN, || (login.held() == 1).then_some(()));
    }
}

#[test]
fn a_machine_that_shuts_down_waits_until_everything_is_saved_and_sent() {
    let mut world = World::new(&["ada"], Way::File);
    let Some(login) = on_a_bus(&mut world) else { return };
    let ada = &world.devices[0];
    let mut writer = ada.writer(1);
    writer.turn();

    login.prepare_for_shutdown();

    eventually("the shutdown is let go", LOCKED_WITHIN, || (login.held() == 0).then_some(()));
    assert!(is_on_remote(ada, writer.session(), writer.total_bytes()), "{}", ada.log());
}

#[test]
fn a_machine_without_a_login_manager_saves_as_ever_and_complains_of_nothing() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.home.start_daemon_with(&["env", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere/bus"]);
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    writer.turn();

    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    assert_eq!(ada.ctl_json(&["status"])["problems"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_daemon_that_stood_still_catches_up_with_what_grew_meanwhile() {
    const SESSIONS: u64 = 12;
    let mut world = World::new(&["ada"], Way::Counted);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let mut writers: Vec<_> = (0..SESSIONS).map(|seed| ada.writer(seed)).collect();
    writers[0].turn();
    ada.saved_eventually(writers[0].session(), writers[0].total_bytes(), SAVED_WITHIN);
    let before = convosync_tests::Remote::traffic(&ada.home).connections;

    ada.signal(Signal::STOP);
    for writer in &mut writers {
        (0..3).for_each(|_| writer.turn());
    }
    ada.signal(Signal::CONT);

    for writer in &writers {
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    }
    // Two saves of eight and four sessions, each pushed and read back, and a look for news: with room.
    let connections = convosync_tests::Remote::traffic(&ada.home).connections - before;
    assert!(connections <= 16, "{connections} connections");
}

#[test]
fn a_clock_that_is_ten_years_off_changes_nothing_that_is_saved() {
    let Some(library) = faketime() else {
        return skip::report("`libfaketime` is not installed");
    };
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    let mut phrase = String::new();
    let mut writer = ada.writer(1);
    for (round, offset) in ["+0", "+10y", "-10y", "+0"].into_iter().enumerate() {
        let (preload, offset) = (format!("LD_PRELOAD={library}"), format!("FAKETIME={offset}"));
        ada.home.start_daemon_with(&["env", &preload, &offset, "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
        ada.start();
        if round == 0 {
            phrase = ada.init();
        }
        for _ in 0..2 {
            writer.turn();
            ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
        }
        ada.stop();
    }

    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    let restored = files::read(&bob.home.transcripts().join(format!("{}.jsonl", writer.session())));
    files::assert_same(&restored, &files::read(&writer.path()));
}

/// Where the library lies that shows programs another time.
fn faketime() -> Option<String> {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let path = |place: &str| format!("{place}/faketime/libfaketime.so.1");
    places.into_iter().map(path).find(|path| std::path::Path::new(path).exists())
}
