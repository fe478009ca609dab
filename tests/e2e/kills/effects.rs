//! The daemon is killed at every effect that a save with its push, and a fetch, have on the disk.

use std::collections::{BTreeMap, BTreeSet};

use convosync_tests::skip;

use super::stage::{Played, SCENES, Scene, Stage};
use super::trace::{self, Call, Target};

/// Set to `all`, every effect is struck; else a few.
const WHICH_VARIABLE: &str = "CONVOSYNC_KILL_EFFECTS";
/// What the gate strikes: the middle of the objects, of their syncs, and the moves of a ref.
const SAMPLE: [(Scene, &str, usize); 6] = [
    (Scene::Save, "link", 5),
    (Scene::Save, "fsync", 9),
    (Scene::Save, "rename", 1),
    (Scene::Fetch, "link", 1),
    (Scene::Fetch, "fsync", 3),
    (Scene::Fetch, "rename", 1),
];
/// An effect is looked for again where its threads took another turn; those that one run has only now and
/// then need as many.
const ROUNDS_MAX: usize = 12;

const KILL: &str = "signal=KILL";

/// What was struck, by name, and how often.
#[derive(Default)]
struct Struck {
    kills: BTreeMap<(Scene, String), u32>,
    /// How often a daemon died; where a call has no name of its own, too.
    deaths: usize,
    /// All effects of all runs, those that were cut short included, and where they were done the last time.
    seen: BTreeMap<(Scene, String), Vec<Call>>,
}

impl Struck {
    fn see(&mut self, scene: Scene, calls: Vec<Call>) {
        let mut seen: BTreeMap<_, Vec<Call>> = BTreeMap::new();
        for call in calls {
            if let Some(effect) = call.effect.clone() {
                seen.entry((scene, effect)).or_default().push(call);
            }
        }
        self.seen.extend(seen);
    }

    /// Kills the daemon there, if it comes there.
    fn strike(&mut self, stage: &mut Stage, scene: Scene, target: &Target) {
        let Played { has_ended, calls } = stage.play(scene, Some((target, KILL)));
        self.deaths += usize::from(has_ended);
        let last = calls.iter().find(|call| has_ended && target.is(call));
        if let Some(effect) = last.and_then(|call| call.effect.clone()) {
            *self.kills.entry((scene, effect)).or_default() += 1;
        }
        if target.path.is_none() {
            self.see(scene, calls);
        }
    }

    /// Strikes each effect of a scene where it is done for the first time, in the middle and for the last
    /// time, then those that were not met, until each was.
    fn strike_all(&mut self, stage: &mut Stage, scene: Scene) {
        for round in 0..ROUNDS_MAX {
            let calls = stage.play(scene, None).calls;
            self.see(scene, calls);
            let wanted = self.wanted(scene, round);
            for target in &wanted {
                self.strike(stage, scene, target);
            }
            let deaths = self.deaths;
            println!("{scene:?}, round {round}: {} strikes, {deaths} deaths so far", wanted.len());
            if !self.missed().any(|(of, _)| *of == scene) {
                return;
            }
        }
    }

    /// What is to be struck in a round. Where threads take turns, the number of a call leads now to one of
    /// them and now to another: what was not met is then looked for by its path, which may be new each time.
    fn wanted(&self, scene: Scene, round: usize) -> BTreeSet<Target> {
        let mut wanted = BTreeSet::new();
        for (effect, calls) in self.seen.iter().filter(|((of, _), _)| *of == scene) {
            let at = |at: usize| &calls[at % calls.len()];
            if round == 0 {
                let places = [0, calls.len() / 2, calls.len() - 1];
                wanted.extend(places.map(|place| at(place).target.clone()));
            } else if self.kills.contains_key(effect) || trace::is_elusive(&effect.1) {
                // Nothing more is to be done about it.
            } else if round % 2 == 1 {
                let path = Some(at(round / 2).path.clone());
                wanted.insert(Target { path, ..Target::new(&at(round / 2).target.call, 1) });
            } else {
                wanted.insert(at(round / 2).target.clone());
            }
        }
        wanted
    }

    /// What was not struck, without what cannot be aimed at.
    fn missed(&self) -> impl Iterator<Item = &(Scene, String)> {
        self.unstruck().filter(|(_, effect)| !trace::is_elusive(effect))
    }

    fn unstruck(&self) -> impl Iterator<Item = &(Scene, String)> {
        self.seen.keys().filter(|effect| !self.kills.contains_key(*effect))
    }
}

#[test]
fn a_daemon_killed_at_any_effect_of_a_save_a_push_or_a_fetch_loses_nothing_and_leaves_nothing() {
    let Some(_strace) = skip::unless_on_path("strace") else { return };
    let is_all = std::env::var(WHICH_VARIABLE).is_ok_and(|which| which == "all");
    let mut stage = Stage::new();
    let mut struck = Struck::default();
    if is_all {
        SCENES.into_iter().for_each(|scene| struck.strike_all(&mut stage, scene));
    } else {
        for (scene, call, number) in SAMPLE {
            struck.strike(&mut stage, scene, &Target::new(call, number));
        }
    }
    stage.finish();
    for ((scene, effect), kills) in &struck.kills {
        println!("{scene:?}\t{effect}\t{kills}");
    }
    let missed: Vec<_> = struck.missed().collect();
    let kills: u32 = struck.kills.values().sum();
    println!(
        "{} effects seen, {} struck; {} deaths, {kills} of them at a named effect; not struck: {missed:?}; \
         not to be aimed at, and not met: {:?}",
        struck.seen.len(),
        struck.kills.len(),
        struck.deaths,
        struck.unstruck().filter(|(_, effect)| trace::is_elusive(effect)).collect::<Vec<_>>(),
    );
    assert!(struck.deaths >= SAMPLE.len(), "what was to be struck was not there");
    assert!(!is_all || missed.is_empty(), "{missed:?}");
}
