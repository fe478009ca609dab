//! Each call with which a save, a push and a fetch change the disk fails once, for want of room or because the
//! disk is at fault: the daemon says nothing that is not so, loses nothing, and gets over it by itself.

use std::collections::BTreeMap;

use convosync_core::id::SeededRandom;
use convosync_tests::skip;

use super::stage::{SCENES, Scene, Stage};
use super::trace::Target;
use super::{SEED_VARIABLE, below, from_environment};

/// How many calls fail in a long campaign; a few when absent.
const CASES_VARIABLE: &str = "CONVOSYNC_KILL_ERRORS";
/// What fails in the gate: our ref's move cannot be made durable, nor the name of what was fetched.
const SAMPLE: [(Scene, &str, &str); 2] = [
    (Scene::Save, "fsync stores/ID/own.git", AT_FAULT),
    (Scene::Fetch, "fsync stores/ID/own.git/refs/adopted/ID", NO_ROOM),
];
const NO_ROOM: &str = "error=ENOSPC";
const AT_FAULT: &str = "error=EIO";
/// One in so many calls fails because the disk is at fault; each effect for want of room first.
const AT_FAULT_EVERY: usize = 4;

/// What failed, by scene, effect and error, and how often the daemon ended over it.
#[derive(Default)]
struct Failed {
    calls: BTreeMap<(Scene, String, &'static str), u32>,
    ends: BTreeMap<(Scene, String, &'static str), u32>,
    /// Plays in which the call was not made.
    missed: usize,
}

impl Failed {
    fn strike(&mut self, stage: &mut Stage, scene: Scene, target: &Target, error: &'static str) {
        println!("{scene:?}: {} {} {error}", target.call, target.number);
        let played = stage.play(scene, Some((target, error)));
        let struck = played.calls.iter().filter(|call| target.is(call));
        let names: Vec<String> = struck
            .map(|call| call.effect.clone().unwrap_or_else(|| format!("{} …", target.call)))
            .collect();
        self.missed += usize::from(names.is_empty());
        // A daemon that cannot have its lock says so and ends; and no disk fails the calls without a name, by
        // which threads wake each other.
        let may_end = |name: &String| name.ends_with('…') || name.ends_with(" daemon.lock");
        assert!(!played.has_ended || names.iter().any(may_end), "the daemon ended over {names:?}");
        for name in names {
            if played.has_ended {
                *self.ends.entry((scene, name.clone(), error)).or_default() += 1;
            }
            *self.calls.entry((scene, name, error)).or_default() += 1;
        }
    }

    /// Lets the first call with this effect fail; not every run makes it at the same place.
    fn strike_named(&mut self, stage: &mut Stage, scene: Scene, effect: &str, error: &'static str) {
        const TRIES_MAX: usize = 5;
        for _ in 0..TRIES_MAX {
            let calls = stage.play(scene, None).calls;
            let found = calls.into_iter().find(|call| call.effect.as_deref() == Some(effect));
            let Some(call) = found else { continue };
            let target = Target { path: Some(call.path), ..Target::new(&call.target.call, 1) };
            self.strike(stage, scene, &target, error);
            if self.calls.contains_key(&(scene, effect.to_owned(), error)) {
                return;
            }
        }
        panic!("`{effect}` was not met");
    }

    /// Lets `cases` calls of a scene fail: each effect once at a random one of its calls, then again.
    fn strike_some(
        &mut self,
        stage: &mut Stage,
        scene: Scene,
        cases: usize,
        random: &mut SeededRandom,
    ) {
        let mut left = cases;
        while left > 0 {
            let mut effects: BTreeMap<String, Vec<Target>> = BTreeMap::new();
            for call in stage.play(scene, None).calls {
                let name = call.effect.into_iter();
                name.for_each(|name| effects.entry(name).or_default().push(call.target.clone()));
            }
            let mut effects: Vec<_> = effects.into_values().collect();
            while let Some(all) = (!effects.is_empty() && left > 0)
                .then(|| effects.swap_remove(below(random, effects.len() as u64) as usize))
            {
                let target = &all[below(random, all.len() as u64) as usize];
                let error = if left.is_multiple_of(AT_FAULT_EVERY) { AT_FAULT } else { NO_ROOM };
                self.strike(stage, scene, target, error);
                left -= 1;
            }
        }
    }
}

#[test]
fn a_disk_that_fails_at_any_effect_of_a_save_a_push_or_a_fetch_is_got_over_and_nothing_is_lost() {
    let Some(_strace) = skip::unless_on_path("strace") else { return };
    let cases = from_environment(CASES_VARIABLE, 0) as usize;
    let mut random = SeededRandom::new(from_environment(SEED_VARIABLE, 1));
    let mut stage = Stage::new();
    let mut failed = Failed::default();
    for scene in SCENES {
        failed.strike_some(&mut stage, scene, cases / SCENES.len(), &mut random);
    }
    if cases == 0 {
        for (scene, effect, error) in SAMPLE {
            failed.strike_named(&mut stage, scene, effect, error);
        }
    }
    stage.finish();
    for ((scene, effect, error), times) in &failed.calls {
        println!("{scene:?}\t{effect}\t{error}\t{times}");
    }
    let calls: u32 = failed.calls.values().sum();
    println!(
        "{calls} calls failed at {} effects; {} plays did not come there; the daemon ended over {:?}",
        failed.calls.len(),
        failed.missed,
        failed.ends,
    );
    assert!(calls > 0, "what was to fail was not there");
}
