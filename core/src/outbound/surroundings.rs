//! What the next record tells of what surrounds it. Variables are told once, and by every full record.

use super::{Ledger, Request};
use crate::environment::Variables;
use crate::history::History;
use crate::seal::{SaveRecord, Surroundings};

/// Whether the user's variables are others than those that the session has: that is worth a save.
pub(super) fn is_news(ledger: &Ledger, request: &Request<'_>) -> bool {
    let known = ledger.base.as_ref().map(|base| &base.environment);
    let now = request.surroundings.environment.as_ref();
    now.is_some_and(|now| known.map_or(!now.is_empty(), |known| known != now))
}

/// What the next record tells.
pub(super) fn told(base: Option<&History>, request: &Request<'_>, is_full: bool) -> Surroundings {
    let known = base.map(|base| &base.environment);
    let now = request.surroundings.environment.as_ref();
    let carried = known.filter(|known| is_full && !known.is_empty());
    let environment = match now {
        Some(now) if known.is_none_or(|known| known != now) => Some(now),
        _ => carried,
    };
    Surroundings { environment: environment.cloned(), ..request.surroundings.clone() }
}

/// What the session has after that record.
pub(super) fn after(base: Option<&History>, record: &SaveRecord) -> Variables {
    let known = || base.map(|base| base.environment.clone());
    record.surroundings.environment.clone().or_else(known).unwrap_or_default()
}
