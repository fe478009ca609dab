//! How long a remote is left alone after it could not be used.

/// Why a remote could not be used, as far as it matters for when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody answered: no network, no such name, no route, a time-out, the page of a network that wants a
    /// login. Trying again is cheap, and the host never heard of it.
    Unreached,
    /// The host was reached and could not do it.
    Failing,
    /// The host asks for fewer requests.
    Limited,
    /// Only somebody's action helps.
    Refused,
}

/// The first retry comes after so long, the following ones after twice the time before.
const RETRY_FIRST_MS: i64 = 5_000;

/// Retries are never further apart (reliability R1).
const RETRY_MAX_MS: i64 = 15 * 60 * 1_000;

/// What could not be reached is tried again at the latest after so long, so that whoever comes back is
/// noticed, and sent to, within a minute: with a quarter of jitter this leaves a quarter of that minute.
const UNREACHED_MAX_MS: i64 = 36_000;

/// So many remotes may be tried at that pace. Of more of them, each is tried less often, and the first that
/// is reached tells for all.
const SCOUTS: i64 = 3;

/// Hosts count requests by the minute: sooner is of no use.
const LIMITED_FIRST_MS: i64 = 60_000;

/// A network that came up needs a moment for its names and routes; devices that got it together do not
/// call together.
const SETTLES_MS: i64 = 2_000;

/// A network that comes and goes hurries what it does not reach no more often than this.
const NUDGES_APART_MS: i64 = 20_000;

/// The same for a host that was reached and ailed, or a line that broke in the middle: most likely it was
/// the network, but a host that does ail must not be called at every change.
const AILING_NUDGES_APART_MS: i64 = 5 * 60 * 1_000;

/// What the last tries came to.
#[derive(Debug)]
pub(super) struct Weather {
    fault: Option<Fault>,
    /// Nothing is tried before this.
    pub(super) not_before_ms: i64,
    unreached: u32,
    failing: u32,
    nudged_ms: i64,
    /// The network changed while something was tried: what that came to is old news.
    changed: bool,
}

impl Weather {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            fault: None,
            not_before_ms: now_ms,
            unreached: 0,
            failing: 0,
            nudged_ms: i64::MIN / 2,
            changed: false,
        }
    }

    pub(super) fn is_unreached(&self) -> bool {
        self.fault == Some(Fault::Unreached)
    }

    pub(super) fn is_bad(&self) -> bool {
        self.fault.is_some()
    }

    /// It worked, or was refused in so many words: the way there is open.
    pub(super) fn reached(&mut self, now_ms: i64) {
        let nudged_ms = self.nudged_ms;
        *self = Self { nudged_ms, ..Self::new(now_ms.min(self.not_before_ms)) };
    }

    /// It did not work. `unreached` remotes in all wait to be reached, this one included.
    pub(super) fn failed(&mut self, fault: Fault, unreached: i64, spread: u64, now_ms: i64) {
        self.fault = Some(fault);
        let wait_ms = match fault {
            Fault::Unreached => {
                self.unreached += 1;
                let share = unreached.div_euclid(SCOUTS) + i64::from(unreached % SCOUTS > 0);
                let most_ms = UNREACHED_MAX_MS * share.max(1);
                doubled(RETRY_FIRST_MS, self.unreached).min(most_ms).min(RETRY_MAX_MS)
            }
            Fault::Failing => {
                (self.unreached, self.failing) = (0, self.failing + 1);
                doubled(RETRY_FIRST_MS, self.failing)
            }
            Fault::Limited => {
                (self.unreached, self.failing) = (0, self.failing + 1);
                doubled(LIMITED_FIRST_MS, self.failing)
            }
            Fault::Refused => return self.reached(now_ms),
        };
        self.not_before_ms = now_ms + around(wait_ms, spread);
        if std::mem::take(&mut self.changed) {
            self.nudge(spread, now_ms);
        }
    }

    /// The network is another one, or another remote was reached: what did not work is tried soon.
    pub(super) fn nudge(&mut self, spread: u64, now_ms: i64) {
        let apart_ms = match self.fault {
            Some(Fault::Unreached) => NUDGES_APART_MS,
            Some(Fault::Failing) => AILING_NUDGES_APART_MS,
            Some(Fault::Limited | Fault::Refused) | None => return,
        };
        let soon_ms = (now_ms + around(SETTLES_MS, spread)).max(self.nudged_ms + apart_ms);
        if soon_ms < self.not_before_ms {
            self.not_before_ms = soon_ms;
            self.nudged_ms = soon_ms;
        }
    }

    /// The same, while something is being tried over the network as it was.
    pub(super) fn nudge_later(&mut self) {
        self.changed = true;
    }

    /// The user waits: only what a host asked for stands, unless even that is to be tried.
    pub(super) fn hurry(&mut self, retry: bool, now_ms: i64) {
        if retry || self.fault != Some(Fault::Limited) {
            self.not_before_ms = self.not_before_ms.min(now_ms);
        }
    }
}

/// Returns `first_ms` doubled for every failure after the first, up to the longest wait.
fn doubled(first_ms: i64, failures: u32) -> i64 {
    (first_ms << failures.saturating_sub(1).min(16)).min(RETRY_MAX_MS)
}

/// Returns a time between three quarters and five quarters of `ms`.
pub(super) fn around(ms: i64, spread: u64) -> i64 {
    let half = (ms / 2).max(1);
    ms - half / 2 + i64::try_from(spread % half.unsigned_abs()).unwrap_or(0)
}
