//! The same weather before a real web host and a real sshd.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use convosync_tests::world::Way;
use convosync_tests::{SAVED_WITHIN, Sky, Weather, World, Writer, eventually, files, skip};
use serde_json::Value;

use super::{BACK_WITHIN, on_line, write_noise};

/// One device that reaches a real host through the weather, and has saved a first turn.
struct Outdoors {
    world: World,
    weather: Weather,
    writer: Writer,
}

impl Outdoors {
    /// Makes the device under a clear sky; `None` when the host is not to be had on this machine.
    fn new(way: Way, config: &str) -> Option<Self> {
        if let Some(program) = way.missing() {
            skip::report(&format!("`{program}` is not installed"));
            return None;
        }
        let mut world = World::new(&["ada"], way);
        let weather = lead_through_weather(&world);
        let ada = &mut world.devices[0];
        ada.home.write_config(config);
        ada.start();
        ada.init();
        let mut writer = ada.writer(1);
        writer.turn();
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
        Some(Self { world, weather, writer })
    }

    /// What `status` says of the project.
    fn project(&self) -> Value {
        self.world.devices[0].ctl_json(&["status"])["projects"][0].clone()
    }

    /// Waits until everything is on the remote.
    #[track_caller]
    fn arrives(&self) {
        let Self { world, writer, .. } = self;
        world.devices[0].saved_eventually(writer.session(), writer.total_bytes(), BACK_WITHIN);
    }

    /// How many bytes the remote's objects take.
    fn stored(&self) -> u64 {
        let objects = files::under(&self.world.remote.dir().join("objects"));
        objects.iter().map(|file| files::read(file).len() as u64).sum()
    }
}

/// Puts weather before the only device's way to its host, wherever its settings name that.
fn lead_through_weather(world: &World) -> Weather {
    let home = &world.devices[0].home;
    let port = home.relay().expect("the way is a real one").port();
    let weather = Weather::before((Ipv4Addr::LOCALHOST, port).into());
    let (old, new) = (port.to_string(), weather.address().port().to_string());
    let names = [".gitconfig", ".git-credentials", ".ssh/config"];
    let settings = names.map(|name| home.dir().join(name)).into_iter().filter(|file| file.exists());
    let mut led = 0;
    for file in settings {
        let text = String::from_utf8(files::read(&file)).expect("it is text");
        led += text.matches(&old).count();
        files::write(&file, text.replace(&old, &new));
    }
    assert!(led > 0, "no setting names the way");
    weather
}

/// A bad mobile line: 1 Mbit/s, and 200 ms in each direction.
const MEGABIT: Sky = Sky::Slow { rate: 125_000, latency: Duration::from_millis(200) };
/// Bytes of noise, sealed as more: longer on their way than [`PATIENCE`], and more than buffers swallow.
const MEGABYTES: usize = 2_500_000;
/// A question over TLS or ssh takes ten turns there and back, on a busy machine too.
const PATIENCE: &str = "[git]\ndeadline = \"20s\"\n";
/// What the questions around a push may cost: handshakes, lists of refs, framing.
const QUESTIONS: u64 = 256 << 10;

#[track_caller]
fn check_slow_line(way: Way) {
    let Some(mut out) = Outdoors::new(way, PATIENCE) else { return };
    let (before, stored, started) = (out.weather.sent(), out.stored(), Instant::now());
    out.weather.set(MEGABIT);
    let events = out.world.devices[0].watch();
    write_noise(&mut out.writer, 2, MEGABYTES);
    let (mut told, mut sent) = (BTreeSet::new(), Vec::new());
    let mut hear = |deadline| {
        let Some(event) = events.next(deadline) else { return false };
        assert_ne!(event["event"], "trouble", "{event}");
        let large = event["sent"].as_u64().filter(|sent| *sent > MEGABYTES as u64);
        sent.extend(large.filter(|_| event["event"] == "on-remote"));
        true
    };
    while told.len() < 2 {
        assert!(started.elapsed() < BACK_WITHIN, "told only {told:?}");
        told.extend(out.project()["sending"]["sent_bytes"].as_u64().filter(|sent| *sent > 0));
        hear(Duration::from_millis(500));
    }
    out.arrives();

    let took = started.elapsed();
    while hear(Duration::ZERO) {}
    let (sent_bytes, grown) = (out.weather.sent() - before, out.stored() - stored);
    let log = out.world.devices[0].log();
    assert_eq!(sent.len(), 1, "one push: {sent:?}\n{log}");
    assert!(grown > MEGABYTES as u64, "{grown} bytes");
    assert!(sent_bytes < grown + QUESTIONS, "{sent_bytes} bytes for {grown}\n{log}");
    assert!(took > Duration::from_secs(20), "{took:?}: longer than a deadline");
    eventually("nothing is being sent any more", SAVED_WITHIN, || {
        out.project()["sending"].is_null().then_some(())
    });
}

#[test]
fn megabytes_get_through_a_line_of_a_megabit_and_200_ms_and_status_tells_how_far_they_are() {
    check_slow_line(Way::Https);
}

#[test]
fn megabytes_get_through_ssh_on_a_line_of_a_megabit_and_200_ms_and_status_tells_how_far_they_are() {
    check_slow_line(Way::Ssh);
}

/// Long enough for a question to a host that is there, and soon over for one that is not.
#[cfg(target_os = "linux")]
const BRIEF: &str = "[git]\ndeadline = \"6s\"\n";
/// A try at a remote that does not answer is followed by the next one within this time: 36 s and a quarter.
#[cfg(target_os = "linux")]
const RETRIED_WITHIN_MS: i64 = 45_000;

#[track_caller]
#[cfg(target_os = "linux")]
fn check_firewall(way: Way, config: &str, said: &str) {
    let Some(mut out) = Outdoors::new(way, config) else { return };
    out.weather.set(Sky::Swallowing);
    let events = out.world.devices[0].watch();
    out.writer.turn();
    events.expect("saved", SAVED_WITHIN);
    let home = &out.world.devices[0].home;
    eventually("a child hangs", SAVED_WITHIN, || (!on_line(home).is_empty()).then_some(()));
    let given_up = |retry_ms: Option<i64>| {
        eventually("the try is given up, and the next one told", SAVED_WITHIN, || {
            let groups = on_line(home);
            assert!(groups.len() <= 1, "{groups:?}: one child at a time");
            let project = out.project();
            project["retry_ms"].as_i64().filter(|told| Some(*told) != retry_ms).map(|_| project)
        })
    };

    let first = given_up(None);
    assert_eq!(first["sync"], "saved-locally", "{first}");
    let text = |field: &str| first["problem"][field].as_str().unwrap_or_default().to_owned();
    assert!(text("message").contains(said), "{first}");
    assert!(text("hint").contains("firewall"), "{first}");
    eventually("nothing is left of the try", SAVED_WITHIN, || {
        on_line(home).is_empty().then_some(())
    });
    let at_ms = out.world.devices[0].ctl_json(&["status"])["at_ms"].as_i64().unwrap_or_default();
    let retry_ms = first["retry_ms"].as_i64().unwrap_or_default();
    assert!(retry_ms - at_ms < RETRIED_WITHIN_MS, "{first} at {at_ms}");
    let second = given_up(Some(retry_ms));
    assert_eq!(
        first["problem"]["since_ms"], second["problem"]["since_ms"],
        "it is the same trouble"
    );
    let shown = out.world.devices[0].ctl(&["status"]).ok();
    assert!(shown.text().contains(said), "{shown}");

    out.weather.set(Sky::Clear);
    out.arrives();
    let project = eventually("nothing is told any more", SAVED_WITHIN, || {
        Some(out.project()).filter(|project| project["problem"].is_null())
    });
    assert!(project["retry_ms"].is_null(), "{project}");
    let refs = out.world.remote.refs();
    assert_eq!(refs.iter().filter(|(name, _)| name.contains("convosync")).count(), 1, "{refs:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_firewall_that_swallows_everything_is_told_and_waited_out_over_https() {
    check_firewall(Way::Https, BRIEF, "no answer within 6 s");
}

#[test]
#[cfg(target_os = "linux")]
fn a_firewall_that_swallows_everything_is_told_and_waited_out_over_ssh() {
    check_firewall(Way::Ssh, BRIEF, "no answer within 6 s");
}

/// Of itself the daemon lets ssh try for a shorter time than it waits, and ssh says it in its own words.
#[test]
#[cfg(target_os = "linux")]
fn a_firewall_that_swallows_everything_is_told_in_the_words_of_ssh() {
    check_firewall(Way::Ssh, "", "Connection timed out");
}
