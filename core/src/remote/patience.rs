//! How long the remote is waited for: as long as something comes of it.

use std::time::Duration;

use crate::git::GitCommand;

/// How long a child on the network may say nothing. Those that work tell how far they are; http gives up a
/// stalled connection after 30 seconds and ssh one that is dead after 45, and what cannot even be connected
/// must not keep us from noticing within a minute that it can again.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// The slowest line that is waited for, in bytes a second: a bad mobile one.
const SLOWEST_RATE: u64 = 8 << 10;
/// How much of a pack may have been handed to git's http helper, which sends it and says nothing.
const UNTOLD_BYTES_MAX: u64 = 1 << 20;
/// No transfer takes longer than this, however much there is.
const TRANSFER_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// A push of more is not begun before the remote answered a question: it is given longer to say something,
/// and what an earlier one already brought is not sent again.
pub(super) const KNOCK_FROM_BYTES: u64 = 64 << 10;

pub(super) fn for_a_question(command: GitCommand, deadline: Duration) -> GitCommand {
    command.deadline(deadline).silence(SILENCE_MAX)
}

pub(super) fn for_a_push(command: GitCommand, deadline: Duration, bytes: u64) -> GitCommand {
    let untold = carried_within(bytes.min(UNTOLD_BYTES_MAX));
    command.deadline(deadline + carried_within(bytes)).silence(SILENCE_MAX.min(deadline) + untold)
}

/// Bounds a fetch of at most so many bytes.
pub(super) fn for_a_fetch(command: GitCommand, deadline: Duration, limit: u64) -> GitCommand {
    command.deadline(deadline + carried_within(limit)).silence(SILENCE_MAX.min(deadline))
}

/// How long so many bytes take on the slowest line.
fn carried_within(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST_RATE).min(TRANSFER_MAX)
}
