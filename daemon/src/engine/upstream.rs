//! When one store is pushed and listed.

/// How a push ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushEnd {
    /// The remote was read back and holds what was pushed; more may have been saved meanwhile.
    Sent {
        /// Whether a newer save already waits.
        more: bool,
    },
    /// Trying again later may work.
    Transient,
    /// Only somebody's action helps.
    Permanent,
}

/// Pushes that may follow each other quickly before the average rules: a save, its correction and a
/// save by hand.
const PUSH_BURST: i64 = 3;

/// The first retry comes after so long, the following ones after twice the time before.
const RETRY_FIRST_MS: i64 = 5_000;

/// Retries are never further apart (reliability R1).
const RETRY_MAX_MS: i64 = 15 * 60 * 1_000;

/// What a remote refused is tried again by itself after so long: quotas and rights get mended without
/// anyone telling us.
const REFUSED_RETRY_MS: i64 = 60 * 60 * 1_000;

/// What is known of one remote.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) unsent: bool,
    pub(super) saving: bool,
    pub(super) pushing: bool,
    listing: bool,
    wants_list: bool,
    list_at_ms: i64,
    /// Time up to which pushes are paid for: it may run ahead of the clock by the burst.
    paid_until_ms: i64,
    not_before_ms: i64,
    failures: u32,
}

impl Upstream {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            unsent: false,
            saving: false,
            pushing: false,
            listing: false,
            wants_list: true,
            list_at_ms: now_ms,
            paid_until_ms: i64::MIN / 2,
            not_before_ms: now_ms,
            failures: 0,
        }
    }

    pub(super) fn due_at_ms(&self) -> Option<i64> {
        let push = (self.unsent && !self.pushing).then_some(self.not_before_ms);
        let list = (!self.listing).then_some(self.list_at_ms);
        push.into_iter().chain(list).min()
    }

    /// Whether a push starts now; if so, it is paid for.
    pub(super) fn may_push(&mut self, every_ms: i64, now_ms: i64) -> bool {
        if !self.unsent || self.pushing || now_ms < self.not_before_ms {
            return false;
        }
        let paid_ms = self.paid_until_ms.max(now_ms - (PUSH_BURST - 1) * every_ms);
        if paid_ms > now_ms {
            self.not_before_ms = paid_ms;
            return false;
        }
        self.paid_until_ms = paid_ms + every_ms;
        self.pushing = true;
        true
    }

    /// Whether a listing starts now. A store without recent sessions is asked once at the start and when
    /// somebody hurries, and otherwise left alone.
    pub(super) fn may_list(&mut self, is_active: bool, every_ms: i64, now_ms: i64) -> bool {
        if self.listing || now_ms < self.list_at_ms {
            return false;
        }
        self.listing = is_active || self.wants_list;
        self.wants_list = false;
        if !self.listing {
            self.list_at_ms = now_ms + every_ms;
        }
        self.listing
    }

    pub(super) fn pushed(&mut self, end: PushEnd, spread: u64, now_ms: i64) {
        self.pushing = false;
        match end {
            PushEnd::Sent { more } => {
                self.unsent = more;
                self.failures = 0;
            }
            PushEnd::Transient => {
                let doubled_ms = RETRY_FIRST_MS << self.failures.min(16);
                self.failures += 1;
                self.not_before_ms = now_ms + around(doubled_ms.min(RETRY_MAX_MS), spread);
            }
            PushEnd::Permanent => self.not_before_ms = now_ms + REFUSED_RETRY_MS,
        }
    }

    pub(super) fn listed(&mut self, every_ms: i64, spread: u64, now_ms: i64) {
        self.listing = false;
        self.list_at_ms = now_ms + around(every_ms, spread);
    }

    /// The user waits: no backoff, no budget, but a refusal stands unless a retry is asked for.
    pub(super) fn hurry(&mut self, retry: bool, now_ms: i64) {
        let refused = self.failures == 0 && self.not_before_ms > now_ms + RETRY_MAX_MS;
        if retry || !refused {
            self.not_before_ms = now_ms;
            self.paid_until_ms = self.paid_until_ms.min(now_ms);
        }
        self.list_at_ms = now_ms;
        self.wants_list = true;
    }
}

/// Returns a time between three quarters and five quarters of `ms`.
fn around(ms: i64, spread: u64) -> i64 {
    let half = (ms / 2).max(1);
    ms - half / 2 + i64::try_from(spread % half.unsigned_abs()).unwrap_or(0)
}
