//! What refusing a hostile state costs: time, and memory of the process and its children.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Instant;

use convosync_core::checkout::Opened;
use convosync_tests::files;
use convosync_tests::memory::{self, Memory};

use super::alone::{go_on, is_inside};
use super::trip::Device;

/// Names a file that collects the figures; each case is then played once more, in a process of its own.
const FIGURES: &str = "CONVOSYNC_HOSTILE_FIGURES";
/// Set in such a process: the home of the clones.
const HOME: &str = "CONVOSYNC_HOSTILE_HOME";
/// The test in which it goes on.
const TEST: &str = "costs::a_hostile_state_is_refused_in_a_process_of_its_own";

/// The log of the case that is played.
pub(crate) const LOG: &str = "hostile.log";

/// Measures the case whose log lies in `home`, where somebody wants to know.
pub(crate) fn measure(home: &Path, name: &str) {
    let Some(figures) = std::env::var_os(FIGURES) else { return };
    let own = home.join("figures");
    go_on::<&OsStr>(TEST, &[], &[(HOME, home.as_os_str()), (FIGURES, own.as_os_str())]);
    let line = String::from_utf8(files::read(&own)).unwrap();
    files::append(Path::new(&figures), format!("{line}\t{name}\n").as_bytes());
}

/// Does nothing unless [`measure`] asks for it.
#[test]
fn a_hostile_state_is_refused_in_a_process_of_its_own() {
    let Some(home) = std::env::var_os(HOME).filter(|_| is_inside()) else { return };
    let home = Path::new(&home);
    let b = Device::below(home, "b");
    let children = Memory::watch(std::process::id());
    let started = Instant::now();

    let refused = Opened::read(&home.join(LOG)).and_then(|opened| b.restore(&opened, true));

    let took = started.elapsed().as_micros();
    assert!(refused.is_err());
    let peaks = children.peaks();
    let git = peaks.iter().filter(|(name, _)| name.starts_with("git"));
    let git = git.map(|(_, peak)| *peak).max().unwrap_or_default();
    let own = memory::field(std::process::id(), "VmHWM:").unwrap_or_default();
    let figures = std::env::var_os(FIGURES).unwrap();
    files::write(Path::new(&figures), format!("{took}\t{own}\t{git}"));
}
