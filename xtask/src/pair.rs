//! Two devices and a remote, as the demo and the benchmarks use them: who saved what, and what it cost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use convosync_tests::device::Events;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Remote, Traffic, files};
use serde_json::Value;

use crate::failure::Failure;

/// Saves may take this long on a slow machine with large transcripts.
const SAVED_WITHIN: Duration = Duration::from_secs(300);

/// Without any event, a look at the list is due after this time.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a step took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Over the wire.
    pub(crate) traffic: Traffic,
    /// From the first byte written to "on remote".
    pub(crate) took: Duration,
}

/// Measures a step of one device.
#[derive(Debug)]
pub(crate) struct Meter {
    before: Traffic,
    started: Instant,
}

impl Meter {
    /// Begins to measure.
    pub(crate) fn start(device: &Device) -> Self {
        Self { before: Remote::traffic(&device.home), started: Instant::now() }
    }

    /// Returns what came since.
    pub(crate) fn cost(&self, device: &Device) -> Cost {
        Cost {
            traffic: Remote::traffic(&device.home).since(self.before),
            took: self.started.elapsed(),
        }
    }
}

/// Waits until `wanted` holds for the sessions that `device` lists, looking after each event.
///
/// # Errors
/// When it does not hold in time; `describe` tells how far it got.
pub(crate) fn wait_for(
    device: &Device,
    events: &Events,
    wanted: impl Fn(&[Value]) -> bool,
    describe: impl Fn(&[Value]) -> String,
) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        let sessions = device.sessions();
        if wanted(&sessions) {
            return Ok(());
        }
        if started.elapsed() > SAVED_WITHIN {
            let status = device.ctl(&["status", "--json"]);
            let what = format!("{}\n{}\n{}", describe(&sessions), status.text(), device.log());
            return Err(Failure::Late { what, seconds: SAVED_WITHIN.as_secs() });
        }
        events.next(LOOK_EVERY);
    }
}

/// Waits until the remote holds everything that lies in `device`'s folder of transcripts.
///
/// # Errors
/// When it does not in time.
pub(crate) fn wait_until_all_saved(device: &Device, events: &Events) -> Result<(), Failure> {
    let total: u64 = files::under(&device.home.transcripts())
        .iter()
        .map(|file| saved_bytes(file).len() as u64)
        .sum();
    let own = |sessions: &[Value]| -> u64 {
        sessions.iter().filter(|session| is_own_and_safe(session)).map(bytes_of).sum()
    };
    let describe = |sessions: &[Value]| {
        format!("{} of {total} bytes of {} sessions on the remote", own(sessions), sessions.len())
    };
    wait_for(device, events, |sessions| own(sessions) == total, describe)
}

/// Waits until `device` has saved each session with the length given here.
///
/// # Errors
/// When it has not in time.
pub(crate) fn wait_until_saved(
    device: &Device,
    events: &Events,
    lengths: &BTreeMap<String, u64>,
) -> Result<(), Failure> {
    let safe = |session: &&Value| {
        is_own_and_safe(session) && lengths.get(id_of(session)) == Some(&bytes_of(session))
    };
    let count = |sessions: &[Value]| sessions.iter().filter(safe).count();
    let describe = |sessions: &[Value]| {
        format!("{} of {} sessions on the remote", count(sessions), lengths.len())
    };
    wait_for(device, events, |sessions| count(sessions) == lengths.len(), describe)
}

/// Returns a session's id in the answer of `list`.
pub(crate) fn id_of(session: &Value) -> &str {
    session["session"].as_str().unwrap_or_default()
}

/// Returns the bytes of all files of a session in the answer of `list`.
pub(crate) fn bytes_of(session: &Value) -> u64 {
    session["total_bytes"].as_u64().unwrap_or_default()
}

fn is_own_and_safe(session: &Value) -> bool {
    session["this_device"] == true && session["on_remote"] == true
}

/// Names each file whose saved bytes are not the same on both devices, and counts those that are.
///
/// What `to` holds must also end with its last line: a torn tail is never written into a transcript.
pub(crate) fn compare(from: &Path, to: &Path) -> (usize, Vec<String>) {
    let (mut equal, mut different) = (0, Vec::new());
    for file in files::under(from) {
        let below = file.strip_prefix(from).expect("it was found below it");
        let (wanted, other) = (saved_bytes(&file), to.join(below));
        let found = if other.is_file() { files::read(&other) } else { Vec::new() };
        if found == wanted {
            equal += 1;
        } else {
            different.push(difference(below, &wanted, &found));
        }
    }
    (equal, different)
}

/// Returns the files below `dir` that hold a torn line only, so that nothing of them can be saved yet.
pub(crate) fn only_torn(dir: &Path) -> Vec<PathBuf> {
    files::under(dir).into_iter().filter(|file| saved_bytes(file).is_empty()).collect()
}

fn difference(path: &Path, wanted: &[u8], found: &[u8]) -> String {
    let same = wanted.iter().zip(found).take_while(|(a, b)| a == b).count();
    format!(
        "{}: {} bytes there, {} here, equal up to {same}",
        path.display(),
        wanted.len(),
        found.len()
    )
}
