//! `cargo xtask bench wires`: what each operation costs on each way to a remote, in bytes and in turns.

use convosync_tests::trip::Step;
use convosync_tests::world::Way;
use convosync_tests::{Remote, Trip, World};

use crate::failure::Failure;
use crate::table::{Table, bytes};
use crate::{print, shell};

/// What stands above the tables.
const COUNTED: &str = "\
Counted is what a device sends and receives above TCP, in both directions, with everything: ssh's and TLS's
handshakes and framing, HTTP's headers, git's list of refs. The stand-in shows git's own bytes alone, as a
pipe to the server's program carries them. A turn is the device speaking after the remote has spoken, or
first; the way there and back is gone once for each, and once more for TCP at each connection.
\"init\" pushes a probe, reads it back, removes it, and sends the device's card. \"join\" lists, fetches and
sends its own card. A save is a push and the reading back of its ref. A resume lists first. The last steps
carry work around one turn of conversation: a commit that is not pushed, staged, changed and untracked files.
A directory (`file://`) carries what the stand-in shows.";

/// A host, and what it is called here.
struct Case {
    name: &'static str,
    way: Way,
    prepare: fn(&mut World),
}

/// Hosts as they are, and hosts that are old or strict.
const CASES: [Case; 7] = [
    Case { name: "stand-in", way: Way::Counted, prepare: |_| () },
    Case { name: "ssh", way: Way::Ssh, prepare: |_| () },
    Case { name: "https", way: Way::Https, prepare: |_| () },
    Case {
        name: "stand-in, protocol 0",
        way: Way::Counted,
        prepare: |world| set_on_all(world, "protocol.version", "0"),
    },
    Case {
        name: "ssh, sshd as Debian has it (protocol 0)",
        way: Way::Ssh,
        prepare: |world| world.host.sshd().keep_protocol_out(),
    },
    Case {
        name: "https, protocol 0",
        way: Way::Https,
        prepare: |world| set_on_all(world, "protocol.version", "0"),
    },
    Case {
        name: "stand-in, no shallow fetches",
        way: Way::Counted,
        prepare: |world| {
            let homes = world.devices.iter().map(|device| &device.home);
            homes.for_each(|home| world.remote.count_without(home, &["shallow"]));
        },
    },
];

/// Takes one trip to each host and prints what its steps cost.
///
/// # Errors
/// When the programs do not build, or a host's are not installed.
pub(crate) fn wires() -> Result<(), Failure> {
    shell::build_programs()?;
    print::line(COUNTED);
    for Case { name, way, prepare } in CASES {
        if let Some(program) = way.missing() {
            return Err(Failure::NotInstalled(program));
        }
        let mut world = World::new(&["ada", "bob"], way);
        prepare(&mut world);
        let trip = Trip::take_with_code(&mut world);
        let whole =
            if trip.kept_full_copy { "; the host's ref is fetched with its past" } else { "" };
        print::heading(&format!("{name}{whole}"));
        print::line(&table(&trip.steps, &one_question(&world)).text());
    }
    Ok(())
}

fn set_on_all(world: &World, key: &str, value: &str) {
    for device in &world.devices {
        device.home.git(&["config", "--global", key, value]).ok();
    }
}

/// Asks plain git for one ref: the least that any operation can cost.
fn one_question(world: &World) -> Step {
    let home = &world.devices[0].home;
    let before = Remote::traffic(home);
    home.git(&["ls-remote", "--quiet", "origin", "refs/heads/main"]).ok();
    let traffic = Remote::traffic(home).since(before);
    Step { what: "plain `git ls-remote` of one ref", traffic, new_bytes: 0 }
}

fn table(steps: &[Step], question: &Step) -> Table {
    let headings = ["step", "new bytes", "sent", "received", "connections", "turns"];
    let mut table = Table::new(&headings);
    for Step { what, traffic, new_bytes } in steps.iter().chain([question]) {
        let figures =
            [*new_bytes, traffic.sent, traffic.received, traffic.connections, traffic.turns];
        table.row(std::iter::once((*what).to_owned()).chain(figures.map(bytes)));
    }
    table
}
