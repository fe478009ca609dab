//! Which remotes are pushed to and listed now, and what they learn from each other.

use std::collections::BTreeSet;

use super::upstream::{Fault, PushEnd, Upstream};
use super::{Effect, Engine, StoreKey};

/// A store is asked for other devices' news for so long after a session in it last grew (DESIGN 11).
const POLLED_FOR_MS: i64 = 24 * 3_600 * 1_000;

/// So many stores at once have a git child on the network, whatever is due: a device that comes back after
/// a week has one remote for each of its projects. A fourth place is kept for whoever asks.
pub const ON_LINE_MAX: usize = 3;

impl Engine {
    pub(super) fn note_pushed(&mut self, store: StoreKey, end: PushEnd, now_ms: i64) {
        self.note_tried(store, now_ms, |upstream, unreached, spread| {
            upstream.pushed(end, unreached, spread, now_ms);
        });
    }

    pub(super) fn note_listed(&mut self, store: StoreKey, fault: Option<Fault>, now_ms: i64) {
        let every_ms = self.timing.poll_every_ms;
        self.note_tried(store, now_ms, |upstream, unreached, spread| {
            upstream.listed(fault, every_ms, unreached, spread, now_ms);
        });
    }

    /// Takes in what came of trying to use a remote. One that is reached again tells for all.
    fn note_tried(
        &mut self,
        store: StoreKey,
        now_ms: i64,
        take_in: impl FnOnce(&mut Upstream, i64, u64),
    ) {
        let spread = self.spread();
        let others = self.stores.iter().filter(|(key, _)| **key != store);
        let others = others.filter(|(_, upstream)| upstream.weather.is_unreached()).count();
        let Some(upstream) = self.stores.get_mut(&store) else { return };
        let was_unreached = upstream.weather.is_unreached();
        take_in(upstream, i64::try_from(others).unwrap_or(i64::MAX).saturating_add(1), spread);
        if was_unreached && !upstream.weather.is_unreached() {
            self.nudge_all(now_ms);
        }
    }

    pub(super) fn nudge_all(&mut self, now_ms: i64) {
        let keys: Vec<StoreKey> = self.stores.keys().copied().collect();
        for key in keys {
            let spread = self.spread();
            if let Some(upstream) = self.stores.get_mut(&key) {
                upstream.nudge(spread, now_ms);
            }
        }
    }

    pub(super) fn has_room_on_line(&self) -> bool {
        self.stores_on_line() < ON_LINE_MAX
    }

    fn stores_on_line(&self) -> usize {
        self.stores.values().filter(|upstream| upstream.is_on_line()).count()
    }

    /// Pushes and lists what is due, the longest due first: one at a time for each store, and no more than
    /// [`ON_LINE_MAX`] in all.
    pub(super) fn errands(&mut self, now_ms: i64) -> Vec<Effect> {
        let active = self.active_stores(now_ms);
        let (push_every_ms, poll_every_ms) =
            (self.timing.push_at_most_every_ms, self.timing.poll_every_ms);
        let mut room = ON_LINE_MAX.saturating_sub(self.stores_on_line());
        let due_at = |(key, upstream): (&StoreKey, &Upstream)| Some((upstream.due_at_ms()?, *key));
        let mut due: Vec<(i64, StoreKey)> = self.stores.iter().filter_map(due_at).collect();
        due.sort();
        let mut effects = Vec::new();
        for (_, key) in due {
            let Some(upstream) = self.stores.get_mut(&key).filter(|_| room > 0) else { break };
            if upstream.may_push(push_every_ms, now_ms) {
                effects.push(Effect::Push(key));
            } else if upstream.may_list(active.contains(&key), poll_every_ms, now_ms) {
                effects.push(Effect::List(key));
            }
            room -= usize::from(upstream.is_on_line());
        }
        effects
    }

    /// Only stores with a session of the last day are asked by themselves; others on demand.
    fn active_stores(&self, now_ms: i64) -> BTreeSet<StoreKey> {
        let since_ms = now_ms - POLLED_FOR_MS;
        let active = self.sessions.iter().filter(|(_, track)| track.grown_ms >= since_ms);
        active.map(|((store, _), _)| *store).collect()
    }

    /// What a leaving daemon sends: it does not wait for a listing.
    pub(super) fn last_pushes(&mut self, now_ms: i64) -> Vec<Effect> {
        let every_ms = self.timing.push_at_most_every_ms;
        let push = |(store, upstream): (&StoreKey, &mut Upstream)| {
            upstream.may_push(every_ms, now_ms).then_some(Effect::Push(*store))
        };
        self.stores.iter_mut().filter_map(push).collect()
    }
}
