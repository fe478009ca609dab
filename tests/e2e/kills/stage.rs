//! A device with two scenes to play again and again, while its daemon is struck: it saves and pushes what grew,
//! and it lists, fetches and brings back what another device saved.

use std::path::PathBuf;

use convosync_tests::home::IMPATIENT;
use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Run, World, Writer, eventually, files};

use super::trace::{self, Call, Target};
use super::{CHILDREN_END_WITHIN, leftovers, processes_of};
use crate::SAVED_WITHIN;

/// What the daemon does while it is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scene {
    /// Saves what grew while it was away, and pushes it.
    Save,
    /// Lists, fetches and brings back what another device saved.
    Fetch,
}

/// Both.
pub(super) const SCENES: [Scene; 2] = [Scene::Save, Scene::Fetch];

/// How a scene ended.
#[derive(Debug)]
pub(super) struct Played {
    /// Whether the daemon ended before it had done what was wanted.
    pub(super) has_ended: bool,
    /// What it did.
    pub(super) calls: Vec<Call>,
}

/// A device with a conversation of its own, and one that another device writes.
pub(super) struct Stage {
    world: World,
    ours: Writer,
    theirs: Writer,
}

impl Stage {
    pub(super) fn new() -> Self {
        let mut world = World::new(&["ada", "bob"], Way::File);
        let (ada, bob) = world.pair();
        ada.home.write_config_whole(IMPATIENT);
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

    fn ada(&self) -> &Device {
        &self.world.devices[0]
    }

    fn trace(&self) -> PathBuf {
        self.ada().home.root().join("trace")
    }

    /// Makes something for the daemon to do.
    fn prepare(&mut self, scene: Scene) {
        match scene {
            Scene::Save => self.ours.turn(),
            Scene::Fetch => {
                self.forget_what_was_told();
                self.theirs.turn();
                let (id, total) = (self.theirs.session(), self.theirs.total_bytes());
                self.world.devices[1].saved_eventually(id, total, SAVED_WITHIN);
            }
        }
    }

    /// That something arrived is told once an hour, and kept: every time here, so that it can be struck.
    fn forget_what_was_told(&self) {
        for told in leftovers(self.ada(), &["told.json"]) {
            std::fs::remove_file(&told).unwrap_or_else(|error| panic!("{told:?}: {error}"));
        }
    }

    /// Whether the daemon has done it; asks it to, where it does not by itself.
    fn is_done(&self, scene: Scene) -> bool {
        match scene {
            Scene::Save => {
                lists(self.ada(), &self.ours, |session| session["on_remote"] == true, &[])
            }
            Scene::Fetch => {
                let id = self.theirs.session();
                lists(self.ada(), &self.theirs, |_| true, &["--refresh"])
                    && ask(self.ada(), &["resume", id, "--json"]).status.success()
            }
        }
    }

    /// Plays one scene with this blow, kills the daemon when it said that all is done, looks whether that was
    /// true, and lets the next daemon go on.
    pub(super) fn play(&mut self, scene: Scene, blow: Option<(&Target, &str)>) -> Played {
        self.prepare(scene);
        let trace = self.trace();
        let mut daemon = trace::traced(self.ada(), blow, &trace);
        let has_ended = eventually("the scene ends", SAVED_WITHIN, || {
            if daemon.has_ended() {
                return Some(true);
            }
            self.is_done(scene).then_some(false)
        });
        drop(daemon);
        let calls = trace::calls_in(&trace);
        if !has_ended {
            self.assert_was_true(scene);
        }
        self.recover(scene, has_ended);
        Played { has_ended, calls }
    }

    /// What the daemon said before it was killed holds: the other device lists the save, the transcript is
    /// there.
    fn assert_was_true(&self, scene: Scene) {
        match scene {
            Scene::Save => {
                let bob = &self.world.devices[1];
                assert!(
                    lists(bob, &self.ours, |_| true, &["--refresh"]),
                    "it was not on the remote"
                );
            }
            Scene::Fetch => self.assert_restored(),
        }
    }

    fn assert_restored(&self) {
        let name = format!("{}.jsonl", self.theirs.session());
        let restored = files::read(&self.ada().home.transcripts().join(name));
        files::assert_same(&restored, &saved_bytes(&self.theirs.path()));
    }

    /// Starts the daemon again, lets it finish, and compares.
    fn recover(&mut self, scene: Scene, has_ended: bool) {
        eventually("what the daemon started ends with it", CHILDREN_END_WITHIN, || {
            processes_of(self.ada()).is_empty().then_some(())
        });
        self.world.devices[0].start();
        if scene == Scene::Save && !has_ended {
            assert!(lists(self.ada(), &self.ours, |_| true, &[]), "what was told is gone");
        }
        eventually("the scene is played to its end", SAVED_WITHIN, || {
            self.is_done(scene).then_some(())
        });
        let ada = &mut self.world.devices[0];
        ada.stop();
        let left = leftovers(ada, &[".lock", "tmp_obj", ".convosync"]);
        assert!(left.is_empty(), "{left:?}");
        if scene == Scene::Fetch {
            self.assert_restored();
        }
    }

    /// Brings our own conversation back on the other device.
    pub(super) fn finish(&self) {
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

/// Whether a device lists the whole of what was written, and this holds of it.
fn lists(
    device: &Device,
    writer: &Writer,
    holds: impl Fn(&serde_json::Value) -> bool,
    more: &[&str],
) -> bool {
    let listed = ask(device, &[&["list", "--all", "--json"], more].concat());
    let sessions = if listed.status.success() { listed.json() } else { return false };
    let sessions = sessions["sessions"].as_array().cloned().unwrap_or_default();
    sessions.iter().any(|session| {
        session["session"] == writer.session()
            && session["total_bytes"] == writer.total_bytes()
            && holds(session)
    })
}
