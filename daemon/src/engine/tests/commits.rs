//! When a project is committed in by itself.

use super::*;

/// As [`engine`], with projects that are committed in.
fn committing() -> Engine {
    let mut engine = engine();
    engine.retime(Timing { commits: true, ..timing() });
    engine
}

#[test]
fn a_project_is_committed_in_once_it_is_saved_and_nobody_works_there() {
    let mut engine = committing();
    engine.handle(seen("a", 10), 0);
    let (at_ms, effect) = next(&mut engine, 0);
    assert_eq!(effect, save(&["a"]));
    let effects = engine.handle(saved(&[("a", 10)], false), at_ms);
    assert_eq!(effects, [Effect::Commit(PROJECT)]);
    let later_ms = at_ms + 10 * 60_000;
    assert!(!engine.handle(Event::Tick, later_ms).contains(&Effect::Commit(PROJECT)));
    engine.handle(Event::Committed(PROJECT, None), later_ms);
    assert!(!engine.handle(Event::Tick, later_ms).contains(&Effect::Commit(PROJECT)));
}

#[test]
fn it_waits_for_every_session_of_the_project() {
    let mut engine = committing();
    engine.handle(seen("a", 10), 0);
    engine.handle(seen("b", 10), 25_000);
    engine.handle(Event::Live([(session("b"), true)].into()), 25_000);
    let (at_ms, effect) = next(&mut engine, 25_000);
    assert_eq!(effect, save(&["a"]));
    assert_eq!(engine.handle(saved(&[("a", 10)], false), at_ms), []);

    let effects = engine.handle(Event::Live([(session("b"), false)].into()), 60_000);
    assert!(effects.contains(&save(&["b"])), "{effects:?}");
    let effects = engine.handle(saved(&[("b", 10)], false), 60_000);
    assert_eq!(effects, [Effect::Commit(PROJECT)]);
}

#[test]
fn what_passes_is_tried_again_and_what_the_user_saved_is_left_to_the_user() {
    let mut engine = committing();
    engine.handle(seen("a", 10), 0);
    let (at_ms, _) = next(&mut engine, 0);
    engine.handle(saved(&[("a", 10)], false), at_ms);
    engine.handle(Event::Committed(PROJECT, Some(60_000)), at_ms);
    assert_eq!(next(&mut engine, at_ms), (at_ms + 60_000, Effect::Commit(PROJECT)));
    engine.handle(Event::Committed(PROJECT, Some(60_000)), at_ms + 60_000);

    let by_hand = SaveEnd { by_hand: true, ..SaveEnd::default() };
    let covered = vec![(session("a"), stamp(10))];
    engine.handle(Event::Saved(STORE, SaveEnd { covered, ..by_hand }), at_ms + 61_000);
    let effects = engine.handle(Event::Tick, at_ms + 300_000);
    assert!(!effects.contains(&Effect::Commit(PROJECT)), "{effects:?}");
}

#[test]
fn nothing_is_committed_where_no_project_is_to_be() {
    let mut engine = engine();
    engine.handle(seen("a", 10), 0);
    let (at_ms, _) = next(&mut engine, 0);
    assert_eq!(engine.handle(saved(&[("a", 10)], false), at_ms), []);
}
