//! The daemon is killed at every effect that a save with its push, and a fetch, have on the disk: `strace`
//! counts them and strikes, so that the daemon itself knows nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Run, World, Writer, eventually, files, program, skip};
use rustix::process::Pid;

use super::{CHILDREN_END_WITHIN, leftovers, processes_of};
use crate::SAVED_WITHIN;

/// Set to `all`, every effect is struck; else a few.
const WHICH_VARIABLE: &str = "CONVOSYNC_KILL_EFFECTS";
/// What the gate strikes: the middle of the objects, of their syncs, and the moves of a ref.
const SAMPLE: [(Scene, &str, usize); 6] = [
    (Scene::Save, "link,linkat", 5),
    (Scene::Save, "fsync,fdatasync", 9),
    (Scene::Save, "rename,renameat,renameat2", 1),
    (Scene::Fetch, "link,linkat", 1),
    (Scene::Fetch, "fsync,fdatasync", 3),
    (Scene::Fetch, "rename,renameat,renameat2", 1),
];
/// An effect that was struck so often (each object has the same ones) is passed over now and then.
const OFTEN: u32 = 4;
/// How many are passed over then, the next one included.
const STRIDE: usize = 5;
/// Calls that change something on the disk, or make it last. A file that is made is written or linked next.
const CALLS: [&str; 6] = [
    "rename,renameat,renameat2",
    "link,linkat",
    "unlink,unlinkat",
    "mkdir,mkdirat",
    "fsync,fdatasync",
    "write,pwrite64",
];
/// More effects of one kind than a save or a fetch has.
const EFFECTS_MAX: usize = 400;

/// What the daemon does while it is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    /// Saves what grew while it was away, and pushes it.
    Save,
    /// Lists, fetches and brings back what another device saved.
    Fetch,
}

/// What was struck, by name, and how often.
#[derive(Default)]
struct Struck {
    kills: BTreeMap<(Scene, String), u32>,
    /// How often a daemon died, where the last named effect is an earlier one, too.
    deaths: usize,
    /// Names of all effects of an undisturbed run.
    seen: BTreeSet<(Scene, String)>,
}

/// A device with a conversation of its own, and one that another device writes.
struct Stage {
    world: World,
    ours: Writer,
    theirs: Writer,
}

impl Stage {
    fn new() -> Self {
        let mut world = World::new(&["ada", "bob"], Way::File);
        let (ada, bob) = world.pair();
        ada.home.write_config_whole(
            "[save]\nidle_after = \"100ms\"\n[store]\npush_at_most_every = \"0s\"\n",
        );
        ada.start();
        let phrase = ada.init();
        bob.start();
        bob.join(&phrase);
        let (mut ours, mut theirs) = (ada.writer(1), bob.writer(2));
        ours.turn();
        theirs.turn();
        ada.saved_eventually(ours.session(), ours.total_bytes(), SAVED_WITHIN);
        bob.saved_eventually(theirs.session(), theirs.total_bytes(), SAVED_WITHIN);
        ada.ctl(&["list", "--refresh", "--json"]).ok();
        ada.ctl_json(&["resume", theirs.session()]);
        ada.stop();
        Self { world, ours, theirs }
    }

    /// Makes something for the daemon to do.
    fn prepare(&mut self, scene: Scene) {
        match scene {
            Scene::Save => self.ours.turn(),
            Scene::Fetch => {
                self.theirs.turn();
                let (id, total) = (self.theirs.session(), self.theirs.total_bytes());
                self.world.devices[1].saved_eventually(id, total, SAVED_WITHIN);
            }
        }
    }

    /// Whether the daemon has done it; asks it to, where it does not by itself.
    fn is_done(&self, scene: Scene) -> bool {
        let ada = &self.world.devices[0];
        match scene {
            Scene::Save => {
                let listed = ask(ada, &["list", "--all", "--json"]);
                let sessions = if listed.status.success() { listed.json() } else { return false };
                let sessions = sessions["sessions"].as_array().cloned().unwrap_or_default();
                sessions.iter().any(|session| {
                    session["session"] == self.ours.session()
                        && session["on_remote"] == true
                        && session["total_bytes"] == self.ours.total_bytes()
                })
            }
            Scene::Fetch => {
                ask(ada, &["list", "--refresh", "--json"]).status.success()
                    && ask(ada, &["resume", self.theirs.session(), "--json"]).status.success()
            }
        }
    }

    /// Plays one scene and strikes at the `number`th call; tells how often that effect was struck by now, or
    /// that there is no such call.
    fn play(
        &mut self,
        scene: Scene,
        calls: &str,
        number: usize,
        struck: &mut Struck,
    ) -> Option<u32> {
        self.prepare(scene);
        let trace = self.world.devices[0].home.root().join("trace");
        let mut daemon = traced(&self.world.devices[0], calls, number, &trace);
        let is_dead = eventually("the scene ends", SAVED_WITHIN, || {
            if daemon.try_wait().expect("a child can be asked").is_some() {
                return Some(true);
            }
            self.is_done(scene).then_some(false)
        });
        program::kill_group(Pid::from_child(&daemon));
        daemon.wait().expect("a child can be waited for");
        self.recover(scene);
        let effects = effects_in(&trace);
        let last = effects.last().filter(|_| is_dead).map(|last| (scene, last.clone()));
        if !is_dead {
            struck.seen.extend(effects.into_iter().map(|effect| (scene, effect)));
        }
        let times =
            last.map(|last| *struck.kills.entry(last).and_modify(|times| *times += 1).or_insert(1));
        struck.deaths += usize::from(is_dead);
        is_dead.then_some(times.unwrap_or(0))
    }

    /// Strikes at every call of these in turn, until one is not made any more.
    fn play_all(&mut self, scene: Scene, calls: &str, struck: &mut Struck) {
        let mut number = 1;
        while number < EFFECTS_MAX
            && let Some(times) = self.play(scene, calls, number, struck)
        {
            number += if times < OFTEN { 1 } else { STRIDE };
        }
        println!("{scene:?}: {calls}: up to {number}, {} deaths so far", struck.deaths);
    }

    /// Starts the daemon again, lets it finish, and compares.
    fn recover(&mut self, scene: Scene) {
        let ada = &self.world.devices[0];
        eventually("what the daemon started ends with it", CHILDREN_END_WITHIN, || {
            processes_of(ada).is_empty().then_some(())
        });
        self.world.devices[0].start();
        eventually("the scene is played to its end", SAVED_WITHIN, || {
            self.is_done(scene).then_some(())
        });
        let ada = &mut self.world.devices[0];
        ada.stop();
        let left = leftovers(ada, &[".lock", "tmp_obj", ".convosync"]);
        assert!(left.is_empty(), "{left:?}");
        if scene == Scene::Fetch {
            let name = format!("{}.jsonl", self.theirs.session());
            let restored = files::read(&ada.home.transcripts().join(name));
            files::assert_same(&restored, &saved_bytes(&self.theirs.path()));
        }
    }

    /// Brings our own conversation back on the other device.
    fn finish(&self) {
        self.world.remote.git(&["fsck", "--full", "--strict"]).ok();
        let bob = &self.world.devices[1];
        bob.ctl(&["list", "--refresh", "--json"]).ok();
        bob.ctl_json(&["resume", self.ours.session()]);
        let name = format!("{}.jsonl", self.ours.session());
        let restored = files::read(&bob.home.transcripts().join(name));
        files::assert_same(&restored, &saved_bytes(&self.ours.path()));
    }
}

/// Asks the daemon, and starts none in its place.
fn ask(device: &Device, arguments: &[&str]) -> Run {
    device.ctl(&[&["--no-start"], arguments].concat())
}

/// Starts the daemon under `strace`, which kills it at the `number`th of these calls that one of its threads
/// makes, and lets its children alone.
fn traced(device: &Device, calls: &str, number: usize, trace: &Path) -> Child {
    let mut strace = device.home.command("strace");
    strace
        .args(["-f", "-b", "execve", "-y", "-qq", "-e"])
        .arg(format!("trace={calls}"))
        .arg("-e")
        .arg(format!("inject={calls}:signal=KILL:when={number}"))
        .arg("-o")
        .arg(trace)
        .arg(program::binary("convosyncd"));
    strace.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    strace.spawn().expect("strace is installed")
}

/// The names of the effects in a trace: the call, and what it was done to below the device's folder.
fn effects_in(trace: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&files::read(trace)).into_owned();
    text.lines().filter_map(name_of).collect()
}

/// `fsync own.git/objects/XX/ID` of a line of the trace; nothing for pipes, sockets, and what is resumed.
fn name_of(line: &str) -> Option<String> {
    let call = line.split_whitespace().nth(1)?.split_once('(')?.0;
    let from = line.find("/cs/").map(|at| &line[at + "/cs/".len()..]).or_else(|| {
        let at = line.find("/.claude/")?;
        Some(&line[at + "/.".len()..])
    })?;
    let path: String = from.chars().take_while(|c| !['"', '>', ','].contains(c)).collect();
    let parts: Vec<String> =
        path.split('/').skip_while(|part| *part == "state").map(part).collect();
    Some(format!("{call} {}", parts.join("/")))
}

/// A part of a path without what is different every time.
fn part(part: &str) -> String {
    let is_hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    let (stem, ending) = part
        .split_once('.')
        .map_or((part, String::new()), |(stem, ending)| (stem, format!(".{ending}")));
    match stem.len() {
        2 if is_hex(stem) => "XX".to_owned(),
        45 if stem.starts_with("pack-") => format!("pack-ID{ending}"),
        16.. if is_hex(stem) => format!("ID{ending}"),
        _ if part.starts_with("tmp_object") => "tmp_object".to_owned(),
        _ if part.starts_with(".convosync-") => ".convosync-TEMP".to_owned(),
        36 => format!("SESSION{ending}"),
        _ => part.to_owned(),
    }
}

#[test]
fn a_daemon_killed_at_any_effect_of_a_save_a_push_or_a_fetch_loses_nothing_and_leaves_nothing() {
    let Some(_strace) = skip::unless_on_path("strace") else { return };
    let is_all = std::env::var(WHICH_VARIABLE).is_ok_and(|which| which == "all");
    let mut stage = Stage::new();
    let mut struck = Struck::default();
    if is_all {
        let scenes = [Scene::Save, Scene::Fetch];
        for (scene, calls) in scenes.iter().flat_map(|scene| CALLS.map(|calls| (*scene, calls))) {
            stage.play_all(scene, calls, &mut struck);
        }
    } else {
        for (scene, calls, number) in SAMPLE {
            stage.play(scene, calls, number, &mut struck);
        }
    }
    stage.finish();
    for ((scene, effect), kills) in &struck.kills {
        println!("{scene:?}\t{effect}\t{kills}");
    }
    let missed: Vec<_> =
        struck.seen.iter().filter(|effect| !struck.kills.contains_key(*effect)).collect();
    let kills: u32 = struck.kills.values().sum();
    println!(
        "{} deaths, {kills} of them at {} named effects; not struck: {missed:?}",
        struck.deaths,
        struck.kills.len()
    );
    assert!(struck.deaths >= SAMPLE.len(), "what was to be struck was not there");
    assert!(!is_all || missed.is_empty(), "{missed:?}");
}

#[test]
fn effects_are_named_by_what_they_are_done_to() {
    for (line, name) in [
        (
            "12 link(\"/tmp/x/ada/cs/state/stores/da930599fe107802/own.git/objects/tmp_object_git2_9d\", \"/y\") = 0",
            Some("link stores/ID/own.git/objects/tmp_object"),
        ),
        (
            "7 fsync(16</tmp/x/ada/cs/state/stores/da930599fe107802/own.git/objects/b0>) = ?",
            Some("fsync stores/ID/own.git/objects/XX"),
        ),
        ("7 write(4<anon_inode:[eventfd]>, \"\\1\", 8) = 8", None),
        ("7 <... fsync resumed>) = 0", None),
    ] {
        assert_eq!(name_of(line).as_deref(), name, "{line}");
    }
}
