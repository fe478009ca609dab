//! `cargo xtask bench reconnect`: how long what was saved offline takes to the remote once the network is back.

use std::time::{Duration, Instant};

use convosync_tests::host::Host;
use convosync_tests::world::Way;
use convosync_tests::{SAVED_WITHIN, Sky, Weather, World};

use crate::failure::Failure;
use crate::table::{Table, bytes};
use crate::{print, shell};

/// What is asked (issue 3): from the moment the network is back to "on remote".
const WITHIN: Duration = Duration::from_secs(60);
/// How long it is waited for beyond that, so that a miss is a figure.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the device is offline in the first round: long enough for its tries to be as rare as they get.
const AWAY: Duration = Duration::from_secs(80);
/// How much longer in each following one, so that the network comes back at another moment between tries.
const LONGER: Duration = Duration::from_secs(7);

/// Measures `rounds` absences of the network that nobody reports the end of: the worst case. Each way of being
/// absent takes turns: nobody listens, or every request is led to a login page.
///
/// # Errors
/// When something is not saved, or not in time.
pub(crate) fn reconnect(rounds: u32) -> Result<(), Failure> {
    shell::build_programs()?;
    let mut world = World::new(&["ada"], Way::File);
    let host = Host::start(world.remote.folder());
    let weather = Weather::before(host.address());
    let ada = &mut world.devices[0];
    ada.home.git(&["remote", "set-url", "origin", &weather.url()]).ok();
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    let mut table =
        Table::new(&["round", "sky", "away, s", "tries meanwhile", "back to on remote, ms"]);
    let mut worst = Duration::ZERO;
    for round in 0..rounds {
        let (sky, name) = match round % 2 {
            0 => (Sky::Refused, "refused"),
            _ => (Sky::Redirects, "login page"),
        };
        let told = ada.watch();
        weather.set(sky);
        let before = weather.connections();
        let away = AWAY + LONGER * round;
        let gone = Instant::now();
        writer.turn();
        told.expect("saved", SAVED_WITHIN);
        while let Some(left) = away.checked_sub(gone.elapsed()) {
            told.next(left);
        }
        let tries = weather.connections() - before;
        weather.set(Sky::Clear);
        let back = Instant::now();
        told.expect("on-remote", WITHIN + PATIENCE);
        let took = back.elapsed();
        worst = worst.max(took);
        let tries = if sky == Sky::Refused { "-".to_owned() } else { tries.to_string() };
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        table.row([
            (round + 1).to_string(),
            name.to_owned(),
            away.as_secs().to_string(),
            tries,
            bytes(took_ms),
        ]);
    }
    print::heading("a network comes back and nobody tells");
    print::line(&table.text());
    print::line(&format!("the worst: {} ms; asked: {} s", worst.as_millis(), WITHIN.as_secs()));
    if worst > WITHIN {
        return Err(Failure::Late {
            what: "what was saved offline".to_owned(),
            seconds: WITHIN.as_secs(),
        });
    }
    Ok(())
}
