//! Weeks without a network, networks that flap, hosts that ail: how often things are tried.

use super::*;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// How long a try takes.
const TRY_MS: i64 = 200;

/// Some days of one engine, with what its network and its hosts do.
struct Days {
    engine: Engine,
    now_ms: i64,
    /// Pushes and listings, with the time each began.
    tries: Vec<(i64, Effect)>,
    running: Vec<(i64, Event)>,
    most_at_once: usize,
}

/// What a try comes to that begins at a time.
type Sky<'a> = &'a dyn Fn(i64) -> Option<Fault>;

impl Days {
    /// Begins with so many remotes, each with something to send.
    fn new(stores: u32, seed: u64) -> Self {
        let engine = Engine::new(timing(), seed, 0);
        let mut days = Self { engine, now_ms: 0, tries: vec![], running: vec![], most_at_once: 0 };
        for number in 0..stores {
            let (project, store) = (ProjectKey(number), StoreKey(number));
            days.tell(Event::Enabled { project, store, unsent: true }, &unreached);
        }
        days
    }

    /// Tells the engine something and begins what it wants.
    fn tell(&mut self, event: Event, sky: Sky<'_>) {
        for effect in self.engine.handle(event, self.now_ms) {
            let end = sky(self.now_ms);
            let sent = PushEnd::Sent { more: false };
            let done = match &effect {
                Effect::Push(store) => Event::Pushed(*store, end.map_or(sent, PushEnd::Failed)),
                Effect::List(store) => Event::Listed(*store, end),
                Effect::Rescan => Event::Rescanned,
                Effect::CheckCode(project) => Event::CodeChecked(*project, None),
                Effect::Save { .. } | Effect::Commit(_) | Effect::Rested | Effect::Exit => {
                    panic!("{effect:?}")
                }
            };
            self.running.push((self.now_ms + TRY_MS, done));
            if matches!(effect, Effect::Push(_) | Effect::List(_)) {
                self.tries.push((self.now_ms, effect));
            }
        }
        let is_child =
            |(_, event): &&(i64, Event)| matches!(event, Event::Pushed(..) | Event::Listed(..));
        self.most_at_once = self.most_at_once.max(self.running.iter().filter(is_child).count());
    }

    /// Lets time pass.
    fn until(&mut self, end_ms: i64, sky: Sky<'_>) {
        loop {
            let next = (0..self.running.len()).min_by_key(|index| self.running[*index].0);
            let done_ms = next.map_or(i64::MAX, |index| self.running[index].0);
            let at_ms = done_ms.min(self.engine.wake_at_ms()).max(self.now_ms);
            if at_ms > end_ms {
                self.now_ms = end_ms;
                return;
            }
            self.now_ms = at_ms;
            let event = match next.filter(|_| done_ms <= at_ms) {
                Some(index) => self.running.remove(index).1,
                None => Event::Tick,
            };
            self.tell(event, sky);
        }
    }

    fn pushes_since(&self, since_ms: i64) -> Vec<i64> {
        let pushes = self.tries.iter().filter(|(_, effect)| matches!(effect, Effect::Push(_)));
        pushes.map(|(at_ms, _)| *at_ms).filter(|at_ms| *at_ms >= since_ms).collect()
    }
}

fn unreached(_: i64) -> Option<Fault> {
    Some(Fault::Unreached)
}

fn well(_: i64) -> Option<Fault> {
    None
}

#[test]
fn a_week_offline_is_a_bounded_number_of_tries_and_its_end_is_noticed_within_a_minute() {
    for seed in 1..20 {
        let mut days = Days::new(1, seed);
        days.until(7 * DAY_MS, &unreached);
        let tries = days.tries.len();
        assert!((15_000..18_000).contains(&tries), "{tries}: one in 36 s");

        // Nobody tells us: the cable is back behind another box.
        let end_ms = days.now_ms;
        days.until(end_ms + MINUTE_MS, &well);
        let pushes = days.pushes_since(end_ms);
        assert_eq!(pushes.len(), 1, "sent once");
        assert!(pushes[0] - end_ms <= 45_000, "{} ms", pushes[0] - end_ms);
    }
}

#[test]
fn a_network_that_says_it_is_back_is_used_within_seconds() {
    let mut days = Days::new(1, 7);
    days.until(3 * HOUR_MS, &unreached);
    let back_ms = days.now_ms;
    days.tell(Event::NetworkChanged, &well);
    days.until(back_ms + MINUTE_MS, &well);
    assert!(days.pushes_since(back_ms)[0] - back_ms <= 3_000);
}

#[test]
fn twenty_remotes_offline_cost_little_more_than_three_and_all_are_sent_to_within_a_minute() {
    let mut days = Days::new(20, 3);
    days.until(DAY_MS, &unreached);
    let a_day_of_scouts = 3 * 24 * 3_600 / 36;
    assert!(days.tries.len() < a_day_of_scouts * 5 / 4, "{}", days.tries.len());

    let back_ms = days.now_ms;
    days.until(back_ms + MINUTE_MS, &well);
    assert_eq!(days.pushes_since(back_ms).len(), 20, "each is sent to once");
    assert!(days.most_at_once <= 4, "{} children at once", days.most_at_once);
}

#[test]
fn a_network_that_comes_and_goes_every_second_for_an_hour_starts_a_bounded_number_of_children() {
    let mut days = Days::new(3, 11);
    let flaps = |now_ms: i64| (now_ms / 1_000 % 2 == 0).then_some(Fault::Unreached);
    for second in 0..3_600 {
        days.until(second * 1_000, &flaps);
        days.tell(Event::NetworkChanged, &flaps);
        // Somebody works all the while.
        let save = SaveEnd { moved: true, ..SaveEnd::default() };
        days.tell(Event::Saved(StoreKey(0), save), &flaps);
    }
    let tries = days.tries.len();
    assert!(tries < 400, "{tries} children in an hour for three remotes");
}

#[test]
fn a_change_of_network_that_nobody_waits_for_starts_nothing() {
    let mut days = Days::new(1, 5);
    days.until(HOUR_MS, &well);
    let before = days.tries.len();
    for second in 0..60 {
        days.tell(Event::NetworkChanged, &well);
        days.until(HOUR_MS + second * 1_000, &well);
    }
    assert_eq!(days.tries.len(), before);
}

#[test]
fn a_host_that_ails_is_left_alone_for_longer_and_longer_however_the_network_flaps() {
    let failing = |_| Some(Fault::Failing);
    let mut days = Days::new(1, 5);
    days.until(DAY_MS, &failing);
    let pushes = days.pushes_since(0);
    assert!((75..150).contains(&pushes.len()), "{}: one in 15 minutes", pushes.len());
    for second in 0..600 {
        days.tell(Event::NetworkChanged, &failing);
        days.until(DAY_MS + second * 1_000, &failing);
    }
    let hurried = days.pushes_since(DAY_MS).len();
    assert!((1..=4).contains(&hurried), "{hurried} in ten minutes of flapping");
}

#[test]
fn a_host_that_asks_for_fewer_requests_is_left_alone_even_when_a_hook_hurries() {
    let mut engine = engine();
    engine.handle(saved(&[], true), 0);
    let limited = engine.handle(Event::Pushed(STORE, PushEnd::Failed(Fault::Limited)), 0);
    assert_eq!(limited, []);
    for second in 1..40 {
        engine.handle(Event::NetworkChanged, second * 1_000);
        let hurry = Event::Hurry { project: None, retry: false };
        assert_eq!(engine.handle(hurry, second * 1_000 + 1), [], "after {second} s");
    }
    let retry = engine.handle(Event::Hurry { project: None, retry: true }, 41_000);
    assert!(retry.contains(&Effect::Push(STORE)));
}

#[test]
fn several_devices_do_not_call_an_ailing_host_together() {
    let last_try = |seed: u64| {
        let mut days = Days::new(1, seed * 7_919);
        days.until(6 * HOUR_MS, &|_| Some(Fault::Failing));
        days.tries.last().unwrap().0
    };
    let mut last: Vec<i64> = (1..=20).map(last_try).collect();
    last.sort();
    let close = last.windows(2).filter(|pair| pair[1] - pair[0] < 1_000).count();
    assert!(close <= 2 && last[19] - last[0] > 5 * MINUTE_MS, "{last:?}");
}

#[test]
fn listing_a_remote_that_fails_backs_off_too() {
    let tries_in_half_a_day = |fault: Fault| {
        let mut days = Days::new(1, 9);
        days.engine.retime(Timing { poll_every_ms: 1_000, ..timing() });
        let sighting = Sighting { project: ProjectKey(0), saved_before: true, ..sighting_of("a") };
        days.tell(Event::Seen(vec![sighting]), &well);
        days.until(10_000, &well);
        let before = days.tries.len();
        days.until(DAY_MS / 2, &|_| Some(fault));
        days.tries.len() - before
    };
    assert!((30..80).contains(&tries_in_half_a_day(Fault::Failing)));
    assert!((5..20).contains(&tries_in_half_a_day(Fault::Refused)));
    assert!((500..1_700).contains(&tries_in_half_a_day(Fault::Unreached)));
}

#[test]
fn what_could_not_be_listed_offline_is_listed_when_the_network_is_back() {
    let mut engine = Engine::new(timing(), 1, 0);
    let enabled = Event::Enabled { project: PROJECT, store: STORE, unsent: false };
    assert!(engine.handle(enabled, 0).contains(&Effect::List(STORE)));
    engine.handle(Event::Rescanned, 0);
    engine.handle(Event::Listed(STORE, Some(Fault::Unreached)), 1_000);
    engine.handle(Event::NetworkChanged, 5_000);
    let at_ms = engine.wake_at_ms();
    assert!(at_ms <= 8_000, "{at_ms}");
    assert!(engine.handle(Event::Tick, at_ms).contains(&Effect::List(STORE)));
}

#[test]
fn a_try_that_was_under_way_when_the_network_changed_is_repeated_soon() {
    let mut engine = engine();
    let fault = PushEnd::Failed(Fault::Unreached);
    assert_eq!(engine.handle(saved(&[], true), 0), [Effect::Push(STORE)]);
    for minute in 1..8 {
        engine.handle(Event::Pushed(STORE, fault), minute * MINUTE_MS - 50_000);
        let effects = engine.handle(Event::Tick, minute * MINUTE_MS);
        assert!(effects.contains(&Effect::Push(STORE)), "minute {minute}");
    }
    engine.handle(Event::NetworkChanged, 480_000);
    engine.handle(Event::Pushed(STORE, fault), 481_000);
    assert!(engine.handle(Event::Tick, 484_000).contains(&Effect::Push(STORE)));
}

#[test]
fn one_child_at_a_time_is_on_the_network_for_a_remote() {
    let mut engine = engine();
    let hurry = Event::Hurry { project: None, retry: false };
    assert_eq!(engine.handle(hurry, 1_000), [Effect::List(STORE)]);
    assert_eq!(engine.handle(saved(&[], true), 1_100), []);
    assert!(engine.standing(STORE).busy, "a client that waits for the push goes on waiting");
    assert_eq!(engine.handle(Event::Listed(STORE, None), 1_200), [Effect::Push(STORE)]);
}

#[test]
fn what_lets_us_list_again_lets_us_push_again() {
    let mut engine = engine();
    let hurry = Event::Hurry { project: None, retry: false };
    engine.handle(saved(&[], true), 0);
    engine.handle(Event::Pushed(STORE, PushEnd::Failed(Fault::Refused)), 100);
    engine.handle(hurry.clone(), 1_000);
    engine.handle(Event::Listed(STORE, Some(Fault::Refused)), 1_100);
    engine.handle(hurry, 2_000);
    assert_eq!(engine.handle(Event::Listed(STORE, None), 2_100), [Effect::Push(STORE)]);
}

#[test]
fn the_time_that_is_told_for_the_next_try_is_when_it_is_made() {
    for fault in [Fault::Unreached, Fault::Failing, Fault::Limited, Fault::Refused] {
        let mut engine = engine();
        engine.handle(saved(&[], true), 0);
        assert_eq!(engine.standing(STORE).retry_at_ms, None, "it is being tried");
        engine.handle(Event::Pushed(STORE, PushEnd::Failed(fault)), 1_000);
        let retry_ms = engine.standing(STORE).retry_at_ms.expect("it is tried again");
        let before = engine.handle(Event::Tick, retry_ms - 1);
        assert!(!before.contains(&Effect::Push(STORE)), "{fault:?}");
        if before.contains(&Effect::List(STORE)) {
            engine.handle(Event::Listed(STORE, None), retry_ms - 1);
        }
        let then = engine.handle(Event::Tick, retry_ms);
        assert!(then.contains(&Effect::Push(STORE)), "{fault:?}");
        engine.handle(Event::Pushed(STORE, PushEnd::Sent { more: false }), retry_ms + 1);
        assert_eq!(engine.standing(STORE).retry_at_ms, None, "there is nothing to try");
    }
}
