//! Bad networks: what is saved stays, is sent once the way is open, and is sent once.

mod real;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use convosync_core::id::{Random, SeededRandom};
use convosync_tests::host::Host;
use convosync_tests::world::Way;
use convosync_tests::{
    Device, Home, SAVED_WITHIN, Sky, Weather, World, Writer, eventually, files, program, skip,
};
use rustix::process::{Pid, getpgid};

/// What the requirement allows from the moment the network is back; and some for a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(60 + 30);

/// A network child is given up after this in these tests, so that nobody waits for real time-outs.
const SHORT: &str = "[git]\ndeadline = \"3s\"\n";

/// More than git's questions, less than the pack of a small save.
const IN_A_SMALL_PACK: u64 = 1_500;
/// More than a push that carries a small save, less than one that carries [`NOISE`].
const MIDWAY: u64 = 100_000;
/// Bytes that no compression shrinks, as base64 so that they can stand in a line.
const NOISE: usize = 400_000;

/// One device whose remote lies behind bad weather.
struct Outdoors {
    world: World,
    host: Host,
    weather: Weather,
}

impl Outdoors {
    /// Makes the device; the network is well, and nothing runs yet.
    fn new(config: &str) -> Self {
        let world = World::new(&["ada"], Way::File);
        let host = Host::start(world.remote.folder());
        let weather = Weather::before(host.address());
        let home = &world.devices[0].home;
        home.git(&["remote", "set-url", "origin", &weather.url()]).ok();
        home.write_config(config);
        Self { world, host, weather }
    }

    fn ada(&mut self) -> &mut Device {
        &mut self.world.devices[0]
    }

    /// Starts the device and saves a first turn under a clear sky.
    fn begin(&mut self) -> Writer {
        let ada = self.ada();
        ada.start();
        ada.init();
        let mut writer = ada.writer(1);
        writer.turn();
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
        writer
    }

    /// Waits until `status` says that the remote cannot be used, in words that hold `part`.
    #[track_caller]
    fn told(&self, part: &str) {
        let ada = &self.world.devices[0];
        eventually(&format!("status says `{part}`"), SAVED_WITHIN, || {
            let status = ada.ctl(&["status", "--json"]).text();
            status.to_lowercase().contains(part).then_some(())
        });
    }

    /// Waits until everything is on the remote.
    #[track_caller]
    fn arrives(&self, writer: &Writer, within: Duration) {
        self.world.devices[0].saved_eventually(writer.session(), writer.total_bytes(), within);
    }
}

/// Writes a line of noise into a session.
fn write_noise(writer: &mut Writer, seed: u64, length: usize) {
    let mut bytes = vec![0; length];
    SeededRandom::new(seed).fill(&mut bytes);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    writer.say(&text);
}

#[test]
fn a_device_that_starts_without_a_network_saves_and_sends_when_there_is_one() {
    let mut out = Outdoors::new(SHORT);
    let mut writer = out.begin();
    out.ada().stop();
    out.weather.set(Sky::Refused);
    let ada = out.ada();
    ada.start();
    let events = ada.watch();
    writer.turn();
    events.expect("saved", SAVED_WITHIN);
    out.told("cannot reach the remote");

    out.weather.set(Sky::Clear);
    out.arrives(&writer, BACK_WITHIN);
}

#[test]
fn a_network_that_flaps_neither_loses_nor_repeats_nor_storms() {
    const FLAPS_FOR: Duration = Duration::from_secs(20);
    let mut out = Outdoors::new(SHORT);
    let mut writer = out.begin();
    let (taken, before) = (out.host.packs_taken(), out.weather.connections());
    out.weather.set(Sky::Flapping { every: Duration::from_millis(300) });
    let started = Instant::now();
    let events = out.ada().watch();
    while started.elapsed() < FLAPS_FOR {
        writer.turn();
        events.next(Duration::from_secs(2));
    }
    out.weather.set(Sky::Clear);
    out.arrives(&writer, BACK_WITHIN);

    let connections = out.weather.connections() - before;
    assert!(connections < 200, "{connections} connections");
    let taken = out.host.packs_taken() - taken;
    let raw = writer.total_bytes();
    assert!(taken < 4 * raw + 100_000, "{taken} bytes taken for {raw} written");
}

/// A network that shows `sky` is told in plain words and tried on; what was saved meanwhile arrives.
#[track_caller]
fn check_recovers_from(sky: Sky, said: &str) {
    let mut out = Outdoors::new(SHORT);
    let mut writer = out.begin();
    out.weather.set(sky);
    let events = out.ada().watch();
    writer.turn();
    events.expect("saved", SAVED_WITHIN);
    out.told(said);
    let session = out.ada().session(writer.session()).expect("the session is listed");
    assert_eq!(session["on_remote"], false, "{session}");

    out.weather.set(Sky::Clear);
    out.arrives(&writer, BACK_WITHIN);
    let refs = out.world.remote.refs();
    assert_eq!(refs.iter().filter(|(name, _)| name.contains("convosync")).count(), 1, "{refs:?}");
}

#[test]
fn a_login_page_that_leads_away_is_told_and_waited_out() {
    check_recovers_from(Sky::Redirects, "log in to it");
}

#[test]
fn a_login_page_in_the_remotes_place_is_told_and_waited_out() {
    check_recovers_from(Sky::Page, "log in to it");
}

#[test]
fn a_login_page_never_passes_for_an_empty_remote() {
    let mut out = Outdoors::new(SHORT);
    let writer = out.begin();
    let events = out.ada().watch();
    out.weather.set(Sky::Page);
    let synced = out.ada().ctl(&["sync", "--json"]);
    let listed = out.ada().ctl(&["list", "--all", "--refresh", "--json"]);
    assert!(
        !listed.status.success() || listed.text().contains("log in to it"),
        "{listed}\n{synced}"
    );

    let session = out.ada().session(writer.session()).expect("the session is listed");
    assert_eq!(session["on_remote"], true, "what was read back stays known: {session}");
    while let Some(event) = events.next(Duration::ZERO) {
        assert_ne!(event["event"], "on-remote", "nothing is sent again");
    }
}

#[test]
fn a_login_page_never_passes_for_a_remote_without_the_session() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let weather = Weather::before(Host::start(world.remote.folder()).address());
    let (ada, bob) = world.pair();
    for device in [&*ada, &*bob] {
        device.home.git(&["remote", "set-url", "origin", &weather.url()]).ok();
    }
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["list", "--all", "--refresh"]);

    weather.set(Sky::Page);
    let refused = bob.ctl(&["resume", writer.session()]).fails();
    assert!(refused.errors().contains("log in to it"), "{refused}");
    weather.set(Sky::Clear);
    bob.ctl_json(&["resume", writer.session()]);
}

#[test]
fn a_server_that_never_answers_is_given_up_and_tried_again() {
    check_recovers_from(Sky::Silent, "no answer within");
}

#[test]
#[cfg(target_os = "linux")]
fn a_connection_that_lost_its_other_end_is_given_up_with_all_its_children() {
    let mut out = Outdoors::new(SHORT);
    let mut writer = out.begin();
    out.weather.set(Sky::Deaf { after: IN_A_SMALL_PACK });
    writer.turn();
    out.told("no answer within");
    eventually("no git child is left", SAVED_WITHIN, || {
        on_line(&out.world.devices[0].home).is_empty().then_some(())
    });

    out.weather.set(Sky::Clear);
    out.arrives(&writer, BACK_WITHIN);
}

#[test]
#[cfg(target_os = "linux")]
fn a_daemon_leaves_in_time_while_a_child_hangs_on_the_network() {
    let mut out = Outdoors::new("[git]\ndeadline = \"5m\"\n");
    let mut writer = out.begin();
    out.weather.set(Sky::Silent);
    writer.turn();
    eventually("a child hangs", SAVED_WITHIN, || {
        (!on_line(&out.world.devices[0].home).is_empty()).then_some(())
    });

    let (status, took) = out.ada().stop();
    assert!(status.success() && took <= Duration::from_secs(5), "{status} after {took:?}");
    eventually("its child is gone too", SAVED_WITHIN, || {
        on_line(&out.world.devices[0].home).is_empty().then_some(())
    });
}

/// The groups of a device's processes that are on the network or on their way there.
#[cfg(target_os = "linux")]
fn on_line(home: &Home) -> BTreeSet<i32> {
    const TALKERS: [&str; 5] = ["push", "fetch", "ls-remote", "remote-http", "remote-https"];
    let whose = format!("HOME={}", home.dir().display()).into_bytes();
    let talks = |pid: &i32| {
        let told = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let (line, variables) = (told("cmdline"), told("environ"));
        let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let is_ssh = words.next().is_some_and(|program| program.ends_with("ssh"));
        let is_git = words.any(|word| TALKERS.contains(&word.as_ref()));
        (is_ssh || is_git) && variables.split(|byte| *byte == 0).any(|one| one == whose)
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let group = |pid| Some(getpgid(Pid::from_raw(pid)).ok()?.as_raw_nonzero().get());
    pids.filter(talks).filter_map(group).collect()
}

#[test]
fn a_push_that_is_cut_midway_is_made_again_and_arrives_once() {
    let mut out = Outdoors::new(SHORT);
    let mut writer = out.begin();
    let before = out.host.packs_taken();
    out.weather.set(Sky::Reset { after: MIDWAY });
    write_noise(&mut writer, 1, NOISE);
    out.told("cannot reach the remote");

    out.weather.set(Sky::Clear);
    out.arrives(&writer, BACK_WITHIN);
    let taken = out.host.packs_taken() - before;
    assert!(taken < 2 * NOISE as u64, "{taken} bytes of packs taken whole");
}

#[test]
fn an_answer_that_is_lost_does_not_make_us_send_again() {
    let mut out = Outdoors::new(SHORT);
    let mut writer = out.begin();
    let (taken, sent) = (out.host.packs_taken(), out.weather.sent());
    out.weather.set(Sky::AnswerLost { after: MIDWAY });
    write_noise(&mut writer, 1, NOISE);
    out.arrives(&writer, BACK_WITHIN);

    // The ref moved before the answer was cut: the next try reads it back and has nothing to push.
    let (taken, sent) = (out.host.packs_taken() - taken, out.weather.sent() - sent);
    assert!(taken > NOISE as u64 && sent < 2 * NOISE as u64, "{taken} taken, {sent} sent");
}

#[test]
fn a_large_save_gets_through_a_slow_line_though_it_takes_longer_than_a_git_command_may() {
    let mut out = Outdoors::new(SHORT);
    let mut writer = out.begin();
    let before = out.weather.sent();
    out.weather.set(Sky::Slow { rate: 64 << 10, latency: Duration::from_millis(100) });
    write_noise(&mut writer, 1, NOISE);
    out.arrives(&writer, BACK_WITHIN);
    let sent = out.weather.sent() - before;
    assert!(sent < 2 * NOISE as u64, "{sent} bytes: it was not begun twice");
}

#[test]
fn what_is_restored_over_a_slow_line_is_whole() {
    let mut out = Outdoors::new(SHORT);
    let mut writer = out.begin();
    write_noise(&mut writer, 1, NOISE);
    out.arrives(&writer, SAVED_WITHIN);
    out.weather.set(Sky::Slow { rate: 64 << 10, latency: Duration::from_millis(100) });
    files::remove_file(&writer.path());
    let ada = out.ada();
    ada.stop();
    files::remove_tree(&ada.home.convosync_dir().join("state"));
    ada.start();
    eventually("the session is known again", BACK_WITHIN, || {
        ada.session(writer.session()).map(drop)
    });
    ada.ctl_json(&["resume", writer.session()]);
    assert_eq!(files::read(&writer.path()).len() as u64, writer.total_bytes());
}

/// Stands for ssh: reaches the remote only while the loopback interface of its namespace has an address.
const SSH: &str = r#"#!/bin/sh
if grep -q 127.0.0.1 /proc/net/fib_trie; then shift; exec sh -c "$*"; fi
echo "ssh: connect to host localhost port 22: Network is unreachable" >&2
exit 255
"#;

#[test]
#[cfg(target_os = "linux")]
fn a_network_the_system_reports_is_used_at_once() {
    let Some(_) = skip::unless_on_path("ip") else { return };
    let Some(_) = skip::unless_on_path("nsenter") else { return };
    let mut apart = program::command("unshare");
    if !program::run(apart.args(["-n", "true"]), b"", program::DEADLINE).status.success() {
        return skip::report("network namespaces are not to be had here");
    }
    let mut world = World::new(&["ada"], Way::File);
    let url = world.remote.dir().display().to_string();
    let ada = &mut world.devices[0];
    let ssh = ada.home.root().join("ssh");
    files::write_program(&ssh, SSH);
    ada.home.git(&["remote", "set-url", "origin", &format!("ssh://localhost{url}")]).ok();
    ada.home.git(&["config", "core.sshCommand", &ssh.display().to_string()]).ok();
    ada.home.git(&["config", "ssh.variant", "simple"]).ok();
    ada.home.write_config("[log]\nlevel = \"debug\"\n");
    ada.start_in(&["unshare", "-n", "--"]);
    let pid = ada.pid().expect("it was started").to_string();
    let ip = |words: &str| {
        let mut link = program::command("nsenter");
        link.args(["-t", &pid, "-n", "ip"]).args(words.split(' '));
        program::run(&mut link, b"", program::DEADLINE).ok();
    };
    ip("link set lo up");
    ada.init();
    ip("addr flush dev lo");
    let mut writer = ada.writer(1);
    writer.turn();
    eventually("the network is missed", SAVED_WITHIN, || {
        ada.ctl(&["status", "--json"]).text().contains("Network is unreachable").then_some(())
    });

    ip("addr add 127.0.0.1/8 dev lo");
    ada.saved_eventually(writer.session(), writer.total_bytes(), BACK_WITHIN);
    let log = files::read(&ada.log_path());
    assert!(String::from_utf8_lossy(&log).contains("the network changed"), "{}", ada.log());
}
