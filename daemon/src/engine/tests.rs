//! Events and times in, effects out: when sessions are saved and sent.

use super::*;

const PROJECT: ProjectKey = ProjectKey(1);
const STORE: StoreKey = StoreKey(1);

fn timing() -> Timing {
    Timing {
        idle_after_ms: 30_000,
        save_at_least_every_ms: 300_000,
        code_check_every_ms: 60_000,
        recent_ms: 3_600_000,
        push_at_most_every_ms: 60_000,
        poll_every_ms: 300_000,
        rescan_every_ms: 60_000,
        commits: false,
        changes_are_reported: false,
    }
}

fn session(name: &str) -> SessionId {
    name.parse().unwrap()
}

fn stamp(bytes: u64) -> Stamp {
    Stamp { bytes, modified_ms: 0, files: 1 }
}

fn seen(name: &str, bytes: u64) -> Event {
    Event::Seen(vec![Sighting { stamp: stamp(bytes), ..sighting_of(name) }])
}

/// An engine with one enabled project whose first scan and list are over.
fn engine() -> Engine {
    let mut engine = Engine::new(timing(), 1, 0);
    engine.handle(Event::Enabled { project: PROJECT, store: STORE, unsent: false }, 0);
    engine.handle(Event::Rescanned, 0);
    engine.handle(Event::Listed(STORE, None), 0);
    engine
}

fn unsaved(engine: &Engine) -> u32 {
    engine.standing(STORE).unsaved.values().map(|unsaved| unsaved.sessions).sum()
}

fn save(names: &[&str]) -> Effect {
    Effect::Save { store: STORE, sessions: names.iter().map(|name| session(name)).collect() }
}

fn saved(covered: &[(&str, u64)], moved: bool) -> Event {
    let covered = covered.iter().map(|(name, bytes)| (session(name), stamp(*bytes))).collect();
    Event::Saved(STORE, SaveEnd { covered, moved, ..SaveEnd::default() })
}

/// Ticks until the next effect that is not housekeeping, and returns it with its time.
fn next(engine: &mut Engine, mut now_ms: i64) -> (i64, Effect) {
    for _ in 0..10_000 {
        now_ms = now_ms.max(engine.wake_at_ms());
        let mut effects = engine.handle(Event::Tick, now_ms);
        assert!(engine.wake_at_ms() > now_ms, "it would be woken again at once, and again");
        while let Some(effect) = effects.pop() {
            effects.extend(match effect {
                Effect::Rescan => engine.handle(Event::Rescanned, now_ms),
                Effect::List(store) => engine.handle(Event::Listed(store, None), now_ms),
                Effect::CheckCode(project) => {
                    engine.handle(Event::CodeChecked(project, None), now_ms)
                }
                other => return (now_ms, other),
            });
        }
    }
    panic!("nothing happens any more");
}

#[test]
fn a_session_is_saved_once_it_was_quiet_for_the_idle_time() {
    let mut engine = engine();
    assert_eq!(engine.handle(seen("a", 10), 1_000), []);
    assert_eq!(engine.handle(seen("a", 20), 20_000), []);
    assert_eq!(next(&mut engine, 20_000), (50_000, save(&["a"])));
}

#[test]
fn a_busy_session_waits_for_its_turn_to_end_but_not_for_ever() {
    let mut engine = engine();
    engine.handle(seen("a", 10), 0);
    engine.handle(Event::Live([(session("a"), true)].into()), 0);
    assert_eq!(next(&mut engine, 0), (300_000, save(&["a"])));

    engine.handle(saved(&[("a", 10)], false), 300_000);
    engine.handle(seen("a", 20), 310_000);
    engine.handle(Event::Live([(session("a"), false)].into()), 320_000);
    assert_eq!(next(&mut engine, 320_000), (340_000, save(&["a"])));
}

#[test]
fn uninterrupted_work_is_saved_every_five_minutes() {
    let mut engine = engine();
    let mut saves = vec![];
    for second in 0..900_i64 {
        let now_ms = second * 1_000;
        let effects = engine.handle(seen("a", second.unsigned_abs()), now_ms);
        if effects.contains(&save(&["a"])) {
            saves.push(second);
            engine.handle(saved(&[("a", second.unsigned_abs())], false), now_ms);
        }
    }
    assert_eq!(saves, [300, 601]);
}

#[test]
fn lines_written_while_a_save_runs_are_saved_by_the_next() {
    let mut engine = engine();
    engine.handle(seen("a", 10), 0);
    assert_eq!(next(&mut engine, 0).1, save(&["a"]));
    engine.handle(seen("a", 15), 31_000);
    assert_eq!(engine.handle(saved(&[("a", 10)], true), 32_000), [Effect::Push(STORE)]);
    assert_eq!(next(&mut engine, 32_000), (61_000, save(&["a"])));
}

/// While a save ran, the daemon woke for the very sessions that were being saved, again and again, and used up
/// a processor.
#[test]
fn nobody_is_woken_for_what_a_running_save_keeps_waiting() {
    let mut engine = engine();
    let names: Vec<String> = (0..12).map(|n| format!("s{n:02}")).collect();
    engine.handle(Event::Seen(names.iter().map(|name| sighting_of(name)).collect()), 0);
    let (now_ms, first) = next(&mut engine, 0);
    let Effect::Save { sessions, .. } = first else { panic!("{first:?}") };
    assert!(sessions.len() < names.len());

    let soon_ms = now_ms + 1_000;
    assert!(engine.wake_at_ms() > soon_ms, "{} at {now_ms}", engine.wake_at_ms());
    engine.handle(Event::Hurry { project: None, retry: false }, now_ms);
    engine.handle(Event::Listed(STORE, None), now_ms);
    assert!(engine.wake_at_ms() > soon_ms, "{} at {now_ms}", engine.wake_at_ms());

    let covered: Vec<_> = sessions.iter().map(|name| (name.to_string(), 1)).collect();
    let covered: Vec<_> = covered.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let effects = engine.handle(saved(&covered, false), soon_ms);
    assert!(matches!(&effects[..], [Effect::Save { .. }]), "the others at once: {effects:?}");
}

#[test]
fn one_save_at_a_time_takes_the_newest_sessions_first() {
    let mut engine = engine();
    let name = |number: i64| format!("s{number:02}");
    let sightings =
        (0..12).map(|n| Sighting { age_ms: 1_000_000 - n * 1_000, ..sighting_of(&name(n)) });
    let effects = engine.handle(Event::Seen(sightings.collect()), 0);
    let newest: Vec<_> = (4..12).rev().map(name).collect();
    assert_eq!(effects, [save(&newest.iter().map(String::as_str).collect::<Vec<_>>())]);
    assert_eq!(engine.handle(Event::Tick, 5), [], "one save is running");

    let covered: Vec<_> = newest.iter().map(|name| (name.as_str(), 1)).collect();
    assert_eq!(engine.handle(saved(&covered, false), 10), [save(&["s03", "s02", "s01", "s00"])]);
}

fn sighting_of(name: &str) -> Sighting {
    Sighting {
        session: session(name),
        project: PROJECT,
        stamp: stamp(1),
        age_ms: 0,
        saved_before: false,
    }
}

#[test]
fn what_a_save_already_covers_is_left_alone_after_a_restart() {
    let mut engine = engine();
    engine.handle(Event::Seen(vec![Sighting { saved_before: true, ..sighting_of("a") }]), 0);
    engine.handle(Event::Seen(vec![Sighting { age_ms: 40 * 86_400_000, ..sighting_of("old") }]), 0);
    assert_eq!(unsaved(&engine), 0);
    engine.handle(seen("old", 2), 5);
    assert_eq!(unsaved(&engine), 1, "an old session that grows is a session again");
}

#[test]
fn a_repository_change_after_the_last_message_is_saved_too() {
    let mut engine = engine();
    engine.handle(seen("a", 10), 0);
    engine.handle(saved(&[("a", 10)], false), 31_000);
    assert_eq!(engine.handle(Event::RepositoryTouched(PROJECT), 40_000), []);
    assert_eq!(engine.handle(Event::Tick, 42_000), [Effect::CheckCode(PROJECT)]);
    engine.handle(Event::CodeChecked(PROJECT, Some(session("a"))), 42_500);
    assert_eq!(next(&mut engine, 42_500), (72_500, save(&["a"])));
}

#[test]
fn repositories_without_a_recent_session_are_not_looked_at() {
    let mut engine = engine();
    engine.handle(Event::RepositoryTouched(PROJECT), 10_000);
    assert!(!engine.handle(Event::Tick, 20_000).contains(&Effect::CheckCode(PROJECT)));
}

#[test]
fn pushes_are_a_minute_apart_on_average() {
    let mut engine = engine();
    let mut pushes = vec![];
    for second in 0..1_800_i64 {
        let now_ms = second * 1_000;
        if engine.handle(saved(&[], true), now_ms).contains(&Effect::Push(STORE)) {
            pushes.push(second);
            engine.handle(Event::Pushed(STORE, PushEnd::Sent { more: false }), now_ms);
        }
    }
    assert!((30..=33).contains(&pushes.len()), "{pushes:?}");
}

#[test]
fn a_running_push_is_followed_by_at_most_one_more() {
    let mut engine = engine();
    assert_eq!(engine.handle(saved(&[], true), 0), [Effect::Push(STORE)]);
    assert_eq!(engine.handle(saved(&[], true), 1), []);
    assert_eq!(engine.handle(saved(&[], true), 2), []);
    assert_eq!(
        engine.handle(Event::Pushed(STORE, PushEnd::Sent { more: true }), 3),
        [Effect::Push(STORE)]
    );
    assert_eq!(engine.handle(Event::Pushed(STORE, PushEnd::Sent { more: false }), 4), []);
}

#[test]
fn a_transient_failure_is_retried_later_and_later_and_never_given_up() {
    let mut engine = engine();
    let mut now_ms = 0;
    let mut waits = vec![];
    assert_eq!(engine.handle(saved(&[], true), now_ms), [Effect::Push(STORE)]);
    for _ in 0..12 {
        engine.handle(Event::Pushed(STORE, PushEnd::Failed(Fault::Failing)), now_ms);
        let (at_ms, effect) = next(&mut engine, now_ms);
        assert_eq!(effect, Effect::Push(STORE));
        waits.push(at_ms - now_ms);
        now_ms = at_ms;
    }
    assert!(waits[0] < 10_000 && waits[11] > 600_000 && waits[11] < 1_200_000, "{waits:?}");
}

#[test]
fn a_refusal_stands_until_a_retry_is_asked_for() {
    let mut engine = engine();
    engine.handle(saved(&[], true), 0);
    engine.handle(Event::Pushed(STORE, PushEnd::Failed(Fault::Refused)), 0);
    let plain = engine.handle(Event::Hurry { project: None, retry: false }, 1_000);
    assert!(!plain.contains(&Effect::Push(STORE)));
    assert_eq!(engine.handle(Event::Listed(STORE, None), 1_500), []);
    let retry = engine.handle(Event::Hurry { project: None, retry: true }, 2_000);
    assert!(retry.contains(&Effect::Push(STORE)));
}

#[test]
fn hurry_saves_sends_and_lists_at_once() {
    let mut engine = engine();
    engine.handle(seen("a", 10), 1_000);
    let effects = engine.handle(Event::Hurry { project: Some(PROJECT), retry: false }, 2_000);
    assert_eq!(effects, [save(&["a"]), Effect::List(STORE)]);
}

#[test]
fn stop_looks_once_more_saves_what_is_dirty_sends_it_and_leaves() {
    let mut engine = engine();
    engine.handle(seen("a", 10), 1_000);
    assert_eq!(engine.handle(Event::Stop, 2_000), [save(&["a"]), Effect::Rescan]);
    assert_eq!(engine.handle(saved(&[("a", 10)], true), 2_100), [Effect::Push(STORE)]);
    assert_eq!(engine.handle(seen("a", 20), 2_200), [save(&["a"])]);
    assert_eq!(engine.handle(Event::Rescanned, 2_300), []);
    let sent = Event::Pushed(STORE, PushEnd::Sent { more: false });
    assert_eq!(engine.handle(sent.clone(), 2_400), []);
    assert_eq!(engine.handle(saved(&[("a", 20)], true), 2_500), [Effect::Push(STORE)]);
    assert_eq!(engine.handle(sent, 2_600), [Effect::Exit]);
}

#[test]
fn a_look_that_began_before_the_stop_does_not_count() {
    let mut engine = engine();
    assert_eq!(engine.handle(Event::Tick, 60_000), [Effect::Rescan]);
    assert_eq!(engine.handle(Event::Stop, 60_100), []);
    assert_eq!(engine.handle(Event::Rescanned, 60_200), [Effect::Rescan]);
    assert_eq!(engine.handle(Event::Rescanned, 60_300), [Effect::Exit]);
}

#[test]
fn stop_does_not_wait_for_a_hanging_push_or_a_slow_disk() {
    let mut engine = engine();
    engine.handle(saved(&[], true), 1_000);
    assert_eq!(engine.handle(Event::Stop, 2_000), [Effect::Rescan]);
    assert_eq!(engine.wake_at_ms(), 2_000 + STOP_WITHIN_MS);
    assert_eq!(engine.handle(Event::Tick, 6_000), [Effect::Exit]);
}

#[test]
fn what_the_remote_lost_is_sent_again() {
    let mut engine = engine();
    assert_eq!(engine.handle(Event::Lost(STORE), 1_000), [Effect::Push(STORE)]);
}

#[test]
fn a_project_that_got_another_remote_is_saved_there_as_a_whole() {
    const OTHER: StoreKey = StoreKey(2);
    let mut engine = engine();
    engine.handle(seen("a", 10), 0);
    engine.handle(Event::Enabled { project: PROJECT, store: OTHER, unsent: false }, 1_000);
    assert_eq!(unsaved(&engine), 0);
    engine.handle(seen("a", 10), 2_000);
    let elsewhere = Effect::Save { store: OTHER, sessions: vec![session("a")] };
    assert_eq!(next(&mut engine, 2_000).1, elsewhere);
}

#[test]
fn a_failed_save_is_tried_again_and_holds_up_nobody() {
    let mut engine = engine();
    engine.handle(seen("bad", 10), 0);
    assert_eq!(next(&mut engine, 0), (30_000, save(&["bad"])));
    engine.handle(seen("good", 10), 0);
    let end = SaveEnd { failed: vec![session("bad")], ..SaveEnd::default() };
    let effects = engine.handle(Event::Saved(STORE, end), 30_100);
    assert_eq!(effects, [save(&["good"])]);
    engine.handle(saved(&[("good", 10)], false), 30_200);
    assert_eq!(next(&mut engine, 30_200), (40_100, save(&["bad"])));
}

#[test]
fn a_disabled_project_is_forgotten() {
    let mut engine = engine();
    engine.handle(seen("a", 10), 0);
    engine.handle(Event::Disabled(PROJECT), 1_000);
    engine.handle(seen("a", 20), 2_000);
    assert_eq!(unsaved(&engine), 0);
    assert_eq!(engine.handle(Event::Stop, 3_000), [Effect::Rescan]);
    assert_eq!(engine.handle(Event::Rescanned, 3_100), [Effect::Exit]);
}

mod commits;
mod weather;

#[test]
fn before_a_sleep_everything_dirty_is_saved_and_sent_and_then_nothing_is_begun() {
    let mut engine = engine();
    engine.handle(seen("a", 10), 1_000);

    let effects = engine.handle(Event::Sleeping, 1_001);
    assert_eq!(effects, [save(&["a"]), Effect::Rescan]);
    assert_eq!(engine.handle(saved(&[("a", 10)], true), 1_100), [Effect::Push(STORE)]);
    assert_eq!(engine.handle(Event::Rescanned, 1_200), []);
    let sent = Event::Pushed(STORE, PushEnd::Sent { more: false });
    assert_eq!(engine.handle(sent, 1_300), [Effect::Rested]);

    engine.handle(seen("b", 10), 1_400);
    assert_eq!(engine.handle(Event::Tick, 50_000), [], "the machine sleeps");
    let effects = engine.handle(Event::Woke, 50_001);
    assert!(effects.contains(&save(&["b"])) && effects.contains(&Effect::Rescan), "{effects:?}");
}

#[test]
fn a_sleep_is_held_up_no_longer_than_a_stop() {
    let mut engine = engine();
    engine.handle(seen("a", 10), 1_000);
    engine.handle(Event::Sleeping, 1_001);
    assert_eq!(engine.handle(Event::Tick, 1_001 + STOP_WITHIN_MS), [Effect::Rested]);
    assert_eq!(engine.handle(Event::Stop, 5_000), [], "the look and the save still run");
    assert_eq!(engine.handle(Event::Tick, 5_000 + STOP_WITHIN_MS), [Effect::Exit]);
}

#[test]
fn a_sleep_that_never_came_is_forgotten() {
    let mut engine = engine();
    engine.handle(Event::Sleeping, 1_000);
    assert_eq!(engine.handle(Event::Rescanned, 1_001), [Effect::Rested]);
    let later_ms = engine.wake_at_ms();
    assert!((30_000..=120_000).contains(&later_ms), "{later_ms}: nothing is looked at meanwhile");
    engine.handle(seen("a", 10), later_ms);
    let (_, effect) = next(&mut engine, later_ms);
    assert_eq!(effect, save(&["a"]));
}

#[test]
fn hours_of_sleep_are_followed_by_one_look_and_one_question() {
    const HOURS_MS: i64 = 8 * 3_600 * 1_000;
    let mut engine = engine();
    engine.handle(seen("a", 10), 1_000);
    let (at_ms, _) = next(&mut engine, 1_000);
    engine.handle(saved(&[("a", 10)], false), at_ms);

    let mut effects = engine.handle(Event::Woke, at_ms + HOURS_MS);
    effects.extend(engine.handle(Event::Woke, at_ms + HOURS_MS + 1));
    for second in 1..10 {
        effects.extend(engine.handle(Event::Tick, at_ms + HOURS_MS + second * 1_000));
    }
    let count = |wanted: &Effect| effects.iter().filter(|effect| *effect == wanted).count();
    assert_eq!((count(&Effect::Rescan), count(&Effect::List(STORE))), (1, 1), "{effects:?}");
    assert_eq!(count(&Effect::Push(STORE)), 0);
}

/// The times of the looks at everything within two hours, from the first on.
fn looks(engine: &mut Engine, until_ms: i64) -> Vec<i64> {
    looks_that_find(engine, until_ms, None)
}

/// The same, where each look also tries to open what is not open.
fn looks_that_find(engine: &mut Engine, until_ms: i64, all_open: Option<bool>) -> Vec<i64> {
    let (mut now_ms, mut looks) = (0, Vec::new());
    while now_ms < until_ms {
        if engine.handle(Event::Tick, now_ms).contains(&Effect::Rescan) {
            looks.push(now_ms);
            all_open.map(|all| engine.handle(Event::Opened { all }, now_ms));
            engine.handle(Event::Rescanned, now_ms);
        }
        now_ms += 1_000;
    }
    looks
}

#[test]
fn what_could_not_be_opened_is_tried_again_soon_and_then_ever_more_rarely() {
    let timing = Timing { changes_are_reported: true, rescan_every_ms: 300_000, ..timing() };
    let mut engine = Engine::new(timing, 1, 0);
    let looks = looks_that_find(&mut engine, 600_000, Some(false));
    assert_eq!(looks[..7], [0, 5_000, 15_000, 35_000, 75_000, 155_000, 315_000]);

    engine.handle(Event::Opened { all: true }, 600_000);
    engine.handle(Event::Opened { all: false }, 600_000);
    assert_eq!(engine.wake_at_ms(), 605_000, "the next trouble is looked into as soon");
}

#[test]
fn while_nothing_changes_and_changes_are_reported_everything_is_looked_at_every_ten_minutes() {
    const HOUR_MS: i64 = 3_600_000;
    let timing = timing();
    let mut engine = Engine::new(Timing { changes_are_reported: true, ..timing.clone() }, 1, 0);
    let rare = looks(&mut engine, HOUR_MS);
    assert!(
        rare.len() <= 10 && rare.windows(2).all(|pair| pair[1] - pair[0] <= 600_000),
        "{rare:?}"
    );

    let mut engine = Engine::new(timing, 1, 0);
    assert_eq!(looks(&mut engine, HOUR_MS).len(), 60, "nobody reports anything");
}

#[test]
fn where_something_grew_everything_is_looked_at_within_a_minute_again() {
    let mut engine = engine();
    engine.retime(Timing { changes_are_reported: true, ..timing() });
    let quiet = looks(&mut engine, 3_600_000);
    let last = quiet.last().copied().unwrap_or_default();

    engine.handle(seen("a", 10), last + 61_000);

    assert!(engine.wake_at_ms() <= last + 121_000);
}

#[test]
fn what_the_user_holds_is_saved_and_not_pushed_until_it_is_let_go() {
    let mut engine = engine();
    engine.handle(Event::Held(STORE, true), 0);
    engine.handle(seen("a", 10), 0);
    let (at_ms, effect) = next(&mut engine, 0);
    assert_eq!(effect, save(&["a"]));
    engine.handle(saved(&[("a", 10)], true), at_ms);
    let is_push = |effects: &[Effect]| effects.contains(&Effect::Push(STORE));
    for (event, later_ms) in [
        (Event::Hurry { project: None, retry: true }, 0),
        (Event::Tick, 60_000),
        (Event::Woke, 3_600_000),
    ] {
        let effects = engine.handle(event, at_ms + later_ms);
        assert!(!is_push(&effects), "{effects:?}");
        let effects = engine.handle(Event::Listed(STORE, None), at_ms + later_ms);
        assert!(!is_push(&effects), "{effects:?}");
    }
    let effects = engine.handle(Event::Held(STORE, false), at_ms + 4_000_000);
    assert!(is_push(&effects), "{effects:?}");
}
