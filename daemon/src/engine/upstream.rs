//! When one store is pushed and listed.

pub use super::weather::Fault;
use super::weather::{Weather, around};

/// How a push ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushEnd {
    /// The remote was read back and holds what was pushed; more may have been saved meanwhile.
    Sent {
        /// Whether a newer save already waits.
        more: bool,
    },
    /// It is not there, or nobody saw it there.
    Failed(Fault),
    /// The user wants nothing pushed: it was not tried.
    Held,
}

/// Pushes that may follow each other quickly before the average rules: a save, its correction and a
/// save by hand.
const PUSH_BURST: i64 = 3;

/// What a remote refused is tried again by itself after so long: quotas and rights get mended without
/// anyone telling us.
const REFUSED_RETRY_MS: i64 = 60 * 60 * 1_000;

/// A network needs so long to be there again after a sleep.
const WAKES_WITHIN_MS: i64 = 5_000;

/// What is known of one remote.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) unsent: bool,
    /// Whether the user wants nothing pushed.
    held: bool,
    pub(super) saving: bool,
    pub(super) pushing: bool,
    listing: bool,
    wants_list: bool,
    list_at_ms: i64,
    list_fault: Option<Fault>,
    push_at_ms: i64,
    push_refused: bool,
    /// Time up to which pushes are paid for: it may run ahead of the clock by the burst.
    paid_until_ms: i64,
    /// The same before the last push, which is paid back if the host never heard of it.
    paid_before_ms: i64,
    pub(super) weather: Weather,
}

impl Upstream {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            unsent: false,
            held: false,
            saving: false,
            pushing: false,
            listing: false,
            wants_list: true,
            list_at_ms: now_ms,
            list_fault: None,
            push_at_ms: now_ms,
            push_refused: false,
            paid_until_ms: i64::MIN / 2,
            paid_before_ms: i64::MIN / 2,
            weather: Weather::new(now_ms),
        }
    }

    /// Whether something is saved or sent, or will be as soon as the listing that runs has ended.
    pub(super) fn is_busy(&self) -> bool {
        let waits_for_line = self.listing && self.wants_push() && !self.push_refused;
        self.saving || self.pushing || (waits_for_line && !self.weather.is_bad())
    }

    /// Whether there is something to push, and it may be.
    fn wants_push(&self) -> bool {
        self.unsent && !self.held
    }

    /// The user wants nothing pushed, or wants it again.
    pub(super) fn hold(&mut self, held: bool, now_ms: i64) {
        self.held = held;
        if !held {
            self.push_at_ms = self.push_at_ms.min(now_ms);
        }
    }

    /// Whether a child of this store is on the network.
    pub(super) fn is_on_line(&self) -> bool {
        self.pushing || self.listing
    }

    /// When the next push or listing is due; none while one of them runs.
    pub(super) fn due_at_ms(&self) -> Option<i64> {
        if self.is_on_line() {
            return None;
        }
        let push_ms = self.wants_push().then_some(self.push_at_ms);
        let list_ms = self.may_probe_by_list().then_some(self.list_at_ms);
        let due_ms = push_ms.into_iter().chain(list_ms).min()?;
        Some(due_ms.max(self.weather.not_before_ms))
    }

    /// When what could not be sent or listed is tried again; none while it is being tried.
    pub(super) fn retry_at_ms(&self) -> Option<i64> {
        if self.is_on_line() {
            return None;
        }
        let is_held_up = self.wants_push() && (self.push_refused || self.weather.is_bad());
        let is_unlisted = self.list_fault.is_some() && self.may_probe_by_list();
        let push_ms = is_held_up.then_some(self.push_at_ms);
        let list_ms = is_unlisted.then_some(self.list_at_ms);
        let retry_ms = push_ms.into_iter().chain(list_ms).min()?;
        Some(retry_ms.max(self.weather.not_before_ms))
    }

    /// A remote that could not be used is tried by a push, if there is one to make, and by nothing else.
    fn may_probe_by_list(&self) -> bool {
        let push_waits = self.wants_push() && !self.push_refused;
        !(push_waits && self.weather.is_bad())
    }

    /// Whether a push starts now; if so, it is paid for.
    pub(super) fn may_push(&mut self, every_ms: i64, now_ms: i64) -> bool {
        let not_before_ms = self.push_at_ms.max(self.weather.not_before_ms);
        if !self.wants_push() || self.pushing || now_ms < not_before_ms {
            return false;
        }
        let paid_ms = self.paid_until_ms.max(now_ms - (PUSH_BURST - 1) * every_ms);
        if paid_ms > now_ms {
            self.push_at_ms = paid_ms;
            return false;
        }
        self.paid_before_ms = paid_ms;
        self.paid_until_ms = paid_ms + every_ms;
        self.pushing = true;
        true
    }

    /// Whether a listing starts now. A store without recent sessions is asked once at the start and when
    /// somebody hurries, and otherwise left alone.
    pub(super) fn may_list(&mut self, is_active: bool, every_ms: i64, now_ms: i64) -> bool {
        let not_before_ms = self.list_at_ms.max(self.weather.not_before_ms);
        if self.is_on_line() || now_ms < not_before_ms || !self.may_probe_by_list() {
            return false;
        }
        self.listing = is_active || self.wants_list;
        self.wants_list = false;
        if !self.listing {
            self.list_at_ms = now_ms + every_ms;
        }
        self.listing
    }

    pub(super) fn pushed(&mut self, end: PushEnd, unreached: i64, spread: u64, now_ms: i64) {
        self.pushing = false;
        self.push_refused = end == PushEnd::Failed(Fault::Refused);
        match end {
            PushEnd::Sent { more } => {
                self.unsent = more;
                self.came_through(now_ms);
            }
            PushEnd::Held => {
                self.held = true;
                self.paid_until_ms = self.paid_before_ms;
            }
            PushEnd::Failed(fault) => {
                match fault {
                    Fault::Refused => self.push_at_ms = now_ms + REFUSED_RETRY_MS,
                    Fault::Unreached => self.paid_until_ms = self.paid_before_ms,
                    Fault::Failing | Fault::Limited => {}
                }
                self.weather.failed(fault, unreached, spread, now_ms);
            }
        }
    }

    pub(super) fn listed(
        &mut self,
        fault: Option<Fault>,
        every_ms: i64,
        unreached: i64,
        spread: u64,
        now_ms: i64,
    ) {
        self.listing = false;
        let before = std::mem::replace(&mut self.list_fault, fault);
        let again_ms = match fault {
            Some(Fault::Refused) => every_ms.max(REFUSED_RETRY_MS),
            _ => every_ms,
        };
        self.list_at_ms = now_ms + around(again_ms, spread);
        match fault {
            None => {
                if before == Some(Fault::Refused) && self.push_refused {
                    // Whatever kept us from listing kept us from pushing.
                    (self.push_refused, self.push_at_ms) = (false, now_ms);
                }
                self.came_through(now_ms);
            }
            Some(fault) => {
                self.wants_list |= fault != Fault::Refused;
                self.weather.failed(fault, unreached, spread, now_ms);
            }
        }
    }

    /// What could not be listed while the remote was away is listed now.
    fn came_through(&mut self, now_ms: i64) {
        self.weather.reached(now_ms);
        if self.is_list_missed() {
            self.list_at_ms = self.list_at_ms.min(now_ms);
        }
    }

    fn is_list_missed(&self) -> bool {
        self.list_fault.is_some_and(|fault| fault != Fault::Refused)
    }

    /// The network is another one, or another remote was reached.
    pub(super) fn nudge(&mut self, spread: u64, now_ms: i64) {
        if self.is_on_line() {
            self.weather.nudge_later();
        }
        self.weather.nudge(spread, now_ms);
        if self.weather.is_bad() && self.is_list_missed() {
            self.list_at_ms = self.list_at_ms.min(self.weather.not_before_ms);
        }
    }

    /// The machine woke: the remote is asked for news as soon as the network may be there.
    pub(super) fn woke(&mut self, spread: u64, now_ms: i64) {
        self.nudge(spread, now_ms);
        self.list_at_ms = self.list_at_ms.min(now_ms + around(WAKES_WITHIN_MS, spread));
        self.wants_list = true;
    }

    /// The user waits: no backoff, no budget, but a refusal stands unless a retry is asked for.
    pub(super) fn hurry(&mut self, retry: bool, now_ms: i64) {
        self.weather.hurry(retry, now_ms);
        if retry || !self.push_refused {
            self.push_at_ms = self.push_at_ms.min(now_ms);
            self.paid_until_ms = self.paid_until_ms.min(now_ms);
        }
        self.list_at_ms = now_ms;
        self.wants_list = true;
    }
}
