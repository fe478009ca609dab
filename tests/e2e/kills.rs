//! The daemon is killed at random moments, again and again, while conversations grow: `cargo xtask kill`
//! plays a long campaign, the gate a short one.

mod effects;
mod errors;
mod stage;
mod trace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use convosync_core::id::{Random, SeededRandom};
use convosync_tests::device::Events;
use convosync_tests::home::IMPATIENT;
use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Remote, World, Writer, eventually, files, program};

use crate::SAVED_WITHIN;

/// Where a campaign begins; the same seed kills after the same waits.
const SEED_VARIABLE: &str = "CONVOSYNC_KILL_SEED";
/// How many times the daemon is killed.
const CASES_VARIABLE: &str = "CONVOSYNC_KILL_CASES";
/// As many as fit into half a minute of the gate.
const CASES: u64 = 20;
/// Conversations that grow at the same time.
const SESSIONS: usize = 3;
/// After so many kills the dust settles, and everything is compared.
const SETTLE_EVERY: u64 = 10;
/// After so many kills other conversations begin, so that none grows without bound.
const CHANGE_EVERY: u64 = 50;
/// After so many tips their chain is cut, and the newest summaries are sent once more.
const SQUASHED_AFTER: u64 = 200;
/// What lies in a tip, and in no session's commit.
const TIP_PARTS: [&str; 6] = ["sessions/", "card", "format", "grants", "head", "roster"];
/// What a killed daemon started has ended within this time.
const CHILDREN_END_WITHIN: Duration = Duration::from_secs(5);

/// Writes turns into the conversations, one after the other, until it is dropped.
struct Load {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    fn start(shared: Arc<Mutex<Vec<Writer>>>, seed: u64) -> Self {
        const PAUSE_MAX_MS: u64 = 300;
        let (stop, stopped) = channel::<()>();
        let mut random = SeededRandom::new(seed);
        let thread = std::thread::spawn(move || {
            loop {
                let pause = Duration::from_millis(below(&mut random, PAUSE_MAX_MS));
                // The sender is dropped when the campaign is over.
                if stopped.recv_timeout(pause)
                    == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
                {
                    return;
                }
                let mut writers = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let chosen = below(&mut random, SESSIONS as u64) as usize;
                let active = writers.len() - SESSIONS + chosen;
                writers[active].turn();
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A load that panicked has failed the test already.
            thread.join().unwrap_or_default();
        }
    }
}

fn below(random: &mut SeededRandom, limit: u64) -> u64 {
    u64::from_le_bytes(random.bytes()) % limit
}

/// What the daemon said is safe, by session: the number of the save.
#[derive(Default)]
struct Acknowledged {
    locally: BTreeMap<String, u64>,
    /// Local saves told before the last "on remote": the next push took all of them.
    before: BTreeMap<String, u64>,
    remotely: BTreeMap<String, u64>,
    saves: u64,
    pushes: u64,
}

impl Acknowledged {
    /// Takes in what is told for `time`, or until the daemon is gone.
    fn listen(&mut self, told: &Events, time: Duration) {
        let started = Instant::now();
        while let Some(event) = told.next(time.saturating_sub(started.elapsed())) {
            match (event["event"].as_str(), event["session"].as_str(), event["save"].as_u64()) {
                (Some("saved"), Some(session), Some(save)) => {
                    self.locally.insert(session.to_owned(), save);
                    self.saves += 1;
                }
                (Some("on-remote"), ..) => {
                    let now = self.locally.clone();
                    self.remotely.extend(std::mem::replace(&mut self.before, now));
                    self.pushes += 1;
                }
                _ => {}
            }
        }
    }
}

/// Panics when a device does not list what was acknowledged.
#[track_caller]
fn assert_lists(case: u64, device: &Device, refresh: bool, wanted: &BTreeMap<String, u64>) {
    let arguments: &[&str] =
        if refresh { &["list", "--all", "--refresh"] } else { &["list", "--all"] };
    let sessions = device.ctl_json(arguments)["sessions"].as_array().cloned().unwrap_or_default();
    let saves: BTreeMap<&str, u64> = sessions
        .iter()
        .filter_map(|session| Some((session["session"].as_str()?, session["save"].as_u64()?)))
        .collect();
    for (session, save) in wanted {
        let there = saves.get(session.as_str()).copied().unwrap_or(0);
        assert!(there >= *save, "case {case}: {session}@{save} is gone, {there} is there");
    }
}

/// The processes that run as this device's user, by what stands in their environment.
fn processes_of(device: &Device) -> Vec<(u32, String)> {
    let mark = format!("HOME={}\0", device.home.dir().display());
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let is_ours = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|window| window == mark.as_bytes())
    };
    let name = |pid: u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&line).replace('\0', " "))
    };
    pids.filter(is_ours).map(name).collect()
}

/// What looks locked or half-written in the stores of a device.
fn leftovers(device: &Device, what: &[&str]) -> Vec<PathBuf> {
    let stores = device.home.convosync_dir().join("state/stores");
    let is_left = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        what.iter().any(|what| name.ends_with(what) || name.starts_with(what))
    };
    files::under(&stores).into_iter().filter(is_left).collect()
}

/// Objects that were sent although the remote had them.
#[derive(Debug, Default)]
struct Twice {
    objects: u64,
    bytes: u64,
    /// Of these, summaries and the like: a squash of the tips (every 200 saves) brings them anew, kill or not.
    of_tips: u64,
}

impl Twice {
    /// Counts commits and blobs that stand in two packs: each push leaves one. (Trees stand in a pack as the
    /// base of a delta, too, without having been sent.) Then all packs become one.
    fn count(&mut self, remote: &Remote) {
        let check = "--batch-check=%(objectname) %(objecttype) %(objectsize:disk)";
        let listed = remote.git(&["cat-file", "--batch-all-objects", check]).ok().text();
        let objects: BTreeMap<&str, (&str, u64)> = listed
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let (id, kind) = (words.next()?, words.next()?);
                Some((id, (kind, words.next()?.parse().ok()?)))
            })
            .collect();
        let listed = remote.git(&["rev-list", "--all", "--objects"]).ok().text();
        let paths: BTreeMap<&str, &str> =
            listed.lines().filter_map(|line| line.split_once(' ')).collect();
        let is_of_tip = |id: &str| {
            let path = paths.get(id).copied().unwrap_or_default();
            TIP_PARTS.iter().any(|part| path.starts_with(part))
        };
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for index in files::under(&remote.dir().join("objects/pack")) {
            if index.extension().is_some_and(|extension| extension == "idx") {
                ids_in(&index).into_iter().for_each(|id| *seen.entry(id).or_default() += 1);
            }
        }
        for (id, times) in seen {
            if let Some(("blob" | "commit", size)) = objects.get(id.as_str()) {
                self.objects += times - 1;
                self.of_tips += if is_of_tip(&id) { times - 1 } else { 0 };
                self.bytes += (times - 1) * size;
            }
        }
        remote.git(&["repack", "-adkq"]).ok();
    }
}

fn ids_in(index: &Path) -> Vec<String> {
    let mut show = program::command("git");
    let shown = program::run(show.arg("show-index"), &files::read(index), program::DEADLINE).ok();
    let text = shown.text();
    text.lines().filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
}

/// One campaign.
struct Campaign {
    random: SeededRandom,
    acknowledged: Acknowledged,
    twice: Twice,
    /// Kills that left a lock file behind.
    locks: u64,
    /// Kills that left processes behind for a moment, and how long the last of them lived.
    orphaned: u64,
    longest: Duration,
}

impl Campaign {
    fn wait(&mut self, limit_ms: u64) -> Duration {
        Duration::from_millis(below(&mut self.random, limit_ms))
    }

    /// Starts the daemon and kills it, and it alone, some time later.
    fn play(&mut self, case: u64, ada: &mut Device) {
        const EARLY: u64 = 5;
        if below(&mut self.random, EARLY) == 0 {
            let mut daemon = ada.spawn_daemon();
            let (_stay, gone) = channel::<()>();
            // Nothing is told before the socket is there: time alone passes.
            gone.recv_timeout(self.wait(400)).unwrap_or_default();
            end(&mut daemon);
        } else {
            ada.start();
            let told = ada.watch();
            assert_lists(case, ada, false, &self.acknowledged.locally);
            let time = self.wait(1_000);
            self.acknowledged.listen(&told, time);
            ada.kill_alone();
            // What was told before the kill may still be on its way.
            self.acknowledged.listen(&told, Duration::from_secs(2));
        }
        self.look_at_what_is_left(case, ada);
    }

    fn look_at_what_is_left(&mut self, case: u64, ada: &Device) {
        let killed = Instant::now();
        let left = processes_of(ada);
        let what = format!("case {case}: what the daemon started ends with it: {left:?}");
        eventually(&what, CHILDREN_END_WITHIN, || processes_of(ada).is_empty().then_some(()));
        if !left.is_empty() {
            self.orphaned += 1;
            self.longest = self.longest.max(killed.elapsed());
        }
        self.locks += u64::from(!leftovers(ada, &[".lock"]).is_empty());
    }

    /// Lets everything arrive, and compares.
    fn settle(&mut self, case: u64, world: &mut World, writers: &Mutex<Vec<Writer>>) {
        let writers = writers.lock().unwrap_or_else(PoisonError::into_inner);
        let (ada, bob) = world.pair();
        assert_lists(case, bob, true, &self.acknowledged.remotely);
        ada.start();
        for writer in &writers[writers.len() - SESSIONS..] {
            if writer.path().exists() {
                ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
            }
        }
        let (status, _) = ada.stop();
        assert!(status.success(), "case {case}: {status}\n{}", ada.log());
        // What a killed one leaves is swept by the next one's start.
        let left = leftovers(ada, &[".lock", "tmp_obj", ".convosync"]);
        assert!(left.is_empty(), "case {case}: {left:?}");
        world.remote.git(&["fsck", "--full", "--strict"]).ok();
        self.twice.count(&world.remote);
    }
}

/// Kills one process, and waits for its end.
fn end(daemon: &mut Child) {
    daemon.kill().expect("a child may be killed");
    daemon.wait().expect("a child can be waited for");
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn begin(ada: &Device, seed: u64) -> Vec<Writer> {
    (0..SESSIONS as u64).map(|index| ada.writer(seed * 1_000 + index)).collect()
}

#[test]
fn a_daemon_killed_at_random_moments_under_load_loses_nothing_and_sends_nothing_twice() {
    let seed = from_environment(SEED_VARIABLE, 1);
    let cases = from_environment(CASES_VARIABLE, CASES);
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    world.remote.keep_every_pack();
    let (ada, bob) = world.pair();
    ada.home.write_config_whole(IMPATIENT);
    ada.start();
    let phrase = ada.init();
    bob.start();
    bob.join(&phrase);
    ada.stop();
    eventually("both devices are known there", SAVED_WITHIN, || {
        let ours = world.remote.refs().into_iter().filter(|(name, _)| name.contains("convosync"));
        (ours.count() == 2).then_some(())
    });
    // Both devices brought what every tip has.
    Twice::default().count(&world.remote);
    let mut campaign = Campaign {
        random: SeededRandom::new(seed),
        acknowledged: Acknowledged::default(),
        twice: Twice::default(),
        locks: 0,
        orphaned: 0,
        longest: Duration::ZERO,
    };
    let writers = Arc::new(Mutex::new(begin(&world.devices[0], seed)));
    let load = Load::start(writers.clone(), seed);
    for case in 1..=cases {
        campaign.play(case, &mut world.devices[0]);
        if case % SETTLE_EVERY == 0 || case == cases {
            campaign.settle(case, &mut world, &writers);
        }
        if case % CHANGE_EVERY == 0 {
            let next = begin(&world.devices[0], seed + case);
            writers.lock().unwrap_or_else(PoisonError::into_inner).extend(next);
            println!("{case} of {cases}: {}", campaign.told());
        }
    }
    drop(load);
    let writers = Arc::into_inner(writers).expect("the load has ended");
    let writers = writers.into_inner().unwrap_or_else(PoisonError::into_inner);
    finish(&mut world, &writers);
    println!("{cases} kills: {}", campaign.told());
    assert!(campaign.acknowledged.saves > 0 && campaign.acknowledged.pushes > 0);
    let Twice { objects, of_tips, .. } = campaign.twice;
    assert_eq!(objects - of_tips, 0, "{:?}", campaign.twice);
    let squashes = 1 + (campaign.acknowledged.saves + cases) / SQUASHED_AFTER;
    assert!(of_tips <= squashes * writers.len() as u64 * 2, "{:?}", campaign.twice);
}

impl Campaign {
    fn told(&self) -> String {
        let Acknowledged { saves, pushes, .. } = self.acknowledged;
        let Twice { objects, bytes, of_tips } = self.twice;
        format!(
            "{saves} saves and {pushes} pushes acknowledged; {objects} objects ({bytes} bytes, {of_tips} of them summaries in squashed tips) sent twice; \
             {} kills left a lock, {} left processes for at most {} ms",
            self.locks,
            self.orphaned,
            self.longest.as_millis()
        )
    }
}

#[test]
fn git_ends_with_a_killed_daemon_in_the_middle_of_a_local_command() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    let (slow, began) = (ada.home.root().join("git"), ada.home.root().join("began"));
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in status*) : >'{}'; sleep 600;; esac\nexec git \"$@\"\n",
        began.display()
    );
    files::write_program(&slow, &text);
    ada.home.write_config(&format!("[git]\nprogram = \"{}\"\n", slow.display()));
    ada.start();
    ada.init();
    ada.writer(1).turn();
    eventually("git looks at the repository", SAVED_WITHIN, || began.exists().then_some(()));

    ada.kill_alone();

    eventually("what the daemon started ends with it", CHILDREN_END_WITHIN, || {
        processes_of(ada).is_empty().then_some(())
    });
}

/// Brings every conversation back on the other device, byte for byte.
fn finish(world: &mut World, writers: &[Writer]) {
    let (ada, bob) = world.pair();
    ada.start();
    for writer in writers.iter().filter(|writer| writer.path().exists()) {
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    }
    bob.ctl_json(&["list", "--refresh"]);
    for writer in writers.iter().filter(|writer| writer.path().exists()) {
        bob.ctl_json(&["resume", writer.session()]);
        let name = format!("{}.jsonl", writer.session());
        let restored = files::read(&bob.home.transcripts().join(name));
        files::assert_same(&restored, &saved_bytes(&writer.path()));
    }
}
