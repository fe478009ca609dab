//! How much memory a daemon and its children take: asked again and again, for children do not live long.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Pause between two looks: `VmHWM` is the peak so far, so only the end of a short life is missed.
const PAUSE: Duration = Duration::from_millis(30);

/// The largest memory of each program, in KiB, by name.
pub type Peaks = BTreeMap<String, u64>;

/// Watches a process and all its children until it is asked.
#[derive(Debug)]
pub struct Memory {
    peaks: Arc<Mutex<Peaks>>,
    done: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Memory {
    /// Begins to watch the process `pid`.
    pub fn watch(pid: u32) -> Self {
        let (peaks, done) = (Arc::<Mutex<Peaks>>::default(), Arc::<AtomicBool>::default());
        let (seen, stop) = (peaks.clone(), done.clone());
        let watcher = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let mut peaks = seen.lock().unwrap_or_else(PoisonError::into_inner);
                for process in family(pid) {
                    if let Some((name, peak)) = peak_of(process) {
                        let known = peaks.entry(name).or_default();
                        *known = peak.max(*known);
                    }
                }
                drop(peaks);
                thread::park_timeout(PAUSE);
            }
        });
        Self { peaks, done, watcher: Some(watcher) }
    }

    /// Stops watching and returns the peaks.
    pub fn peaks(mut self) -> Peaks {
        self.end();
        self.peaks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            watcher.join().unwrap_or_default();
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.end();
    }
}

/// A process and everything it started, directly or not.
fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten();
        for thread in threads.flatten() {
            let children = std::fs::read_to_string(thread.path().join("children"));
            found.extend(
                children
                    .unwrap_or_default()
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    found
}

/// A process's name and the most memory it ever had, in KiB. Git's commands are told apart.
fn peak_of(pid: u32) -> Option<(String, u64)> {
    let peak = field(pid, "VmHWM:")?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let program = Path::new(words.first()?).file_name()?.to_string_lossy().into_owned();
    let verbs = ["pack-objects", "index-pack", "unpack-objects", "upload-pack", "receive-pack"];
    let verbs = verbs.iter().chain(&["push", "fetch", "repack", "status", "ls-remote", "rev-list"]);
    let verb = verbs.copied().find(|verb| words.iter().any(|word| word == verb));
    Some((verb.map_or(program.clone(), |verb| format!("{program} {verb}")), peak))
}

/// A figure of a process's status, in KiB.
pub fn field(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
