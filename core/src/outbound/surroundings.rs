//! What the next record tells of what surrounds it. Variables and lines of the shell are told once, and by every full
//! record.

use super::{Ledger, Request};
use crate::environment::Variables;
use crate::history::History;
use crate::seal::{SaveRecord, Surroundings};
use crate::shell_history::{ShellLines, bounded, span};
use crate::transcript::Facts;

/// Whether there is anything that the session does not have, and that is worth a save: other variables, or lines
/// typed since.
pub(super) fn is_news(ledger: &Ledger, request: &Request<'_>, facts: &Facts, now_ms: i64) -> bool {
    let base = ledger.base.as_ref();
    let known = base.map(|base| &base.environment);
    let now = request.surroundings.environment.as_ref();
    let is_other = |now| known.map_or(!Variables::is_empty(now), |known| known != now);
    now.is_some_and(is_other) || !typed(base, request, facts, now_ms).is_subset(&shell_of(base))
}

/// What the next record tells.
pub(super) fn told(
    base: Option<&History>,
    request: &Request<'_>,
    is_full: bool,
    facts: &Facts,
    now_ms: i64,
) -> Surroundings {
    let known = base.map(|base| &base.environment);
    let now = request.surroundings.environment.as_ref();
    let carried = known.filter(|known| is_full && !known.is_empty());
    let environment = match now {
        Some(now) if known.is_none_or(|known| known != now) => Some(now),
        _ => carried,
    };
    let mut shell = typed(base, request, facts, now_ms);
    if !is_full {
        let known = shell_of(base);
        shell.retain(|line| !known.contains(line));
    }
    Surroundings { environment: environment.cloned(), shell, ..request.surroundings.clone() }
}

/// What the session has after that record.
pub(super) fn after(base: Option<&History>, record: &SaveRecord) -> (Variables, ShellLines) {
    let known = || base.map(|base| base.environment.clone());
    let environment = record.surroundings.environment.clone().or_else(known).unwrap_or_default();
    (environment, bounded(shell_of(base).into_iter().chain(record.surroundings.shell.clone())))
}

/// All lines of the shell that the session has then: those it had, and those that were typed while it was written.
fn typed(base: Option<&History>, request: &Request<'_>, facts: &Facts, now_ms: i64) -> ShellLines {
    let known = shell_of(base);
    let times = facts.first_ms.zip(facts.last_ms);
    let times = times.map(|(first_ms, last_ms)| span(first_ms, last_ms, now_ms));
    let Some(times) = times.filter(|_| !request.surroundings.shell.is_empty()) else {
        return known;
    };
    let new = request.surroundings.shell.iter().filter(|line| times.contains(&line.at_ms));
    bounded(known.into_iter().chain(new.cloned()))
}

fn shell_of(base: Option<&History>) -> ShellLines {
    base.map(|base| base.shell.clone()).unwrap_or_default()
}
