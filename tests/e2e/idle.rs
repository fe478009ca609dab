//! A daemon that has nothing to do does nothing, whatever way leads to its remote.

use std::time::Duration;

use convosync_tests::world::Way;
use convosync_tests::{Opened, files};

#[test]
fn an_idle_daemon_does_nothing() {
    const REST: Duration = Duration::from_secs(5);
    const TICKS_MAX: u64 = 20;
    let Opened { mut world, .. } = Opened::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];

    let pid = ada.pid().expect("it runs");
    let told = ada.watch();
    let before = ticks(pid);
    assert_eq!(told.next(REST), None, "nothing happens while nothing happens");
    let used = ticks(pid) - before;
    assert!(used <= TICKS_MAX, "{used} ticks of processor time in {REST:?} of rest");
}

/// Returns the processor time of a process, in hundredths of a second.
fn ticks(pid: u32) -> u64 {
    let stat =
        String::from_utf8(files::read(format!("/proc/{pid}/stat").as_ref())).expect("it is text");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("it is a figure"))
        .sum()
}
