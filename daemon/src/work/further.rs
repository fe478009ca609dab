//! What is looked at for the repositories that sessions worked in beside their own.

use convosync_core::id::SessionId;
use convosync_core::project;
use convosync_core::seal::{CodeSaved, Further};

use super::{code_point, list};
use crate::clock::now_ms;
use crate::enabled;
use crate::engine::StoreKey;
use crate::house::{Asker, House, lock};

/// Whether a further repository of a session is not as it was saved, or what that stands on is gone.
pub(super) fn has_moved_on(house: &House, session: &SessionId, further: &[Further]) -> bool {
    let homes = house.homes();
    let is_saved = |further: &&Further| {
        !matches!(further.code.saved, CodeSaved::Withheld(_)) || further.code.commit.is_some()
    };
    further.iter().filter(is_saved).any(|further| {
        let home = homes.iter().find(|home| project::same(&home.project.ids, &further.ids));
        let home = home.filter(|home| !enabled::is_off(&home.project.root));
        let listed = home.and_then(|home| house.place(home.store));
        let is_lost = listed.is_some_and(|at| lock(&at.bases).is_lost(session));
        let now = home.and_then(|home| code_point(house, home.key));
        now.is_some_and(|now| is_lost || now.fingerprint != further.code.fingerprint)
    })
}

/// Lists the remotes of further repositories that sessions of this one stand on: nobody may work there otherwise.
pub(super) fn list_further(house: &House, key: StoreKey) {
    let sessions: Vec<SessionId> = {
        let registry = house.registry();
        let found = registry.found.keys().filter(|(store, _)| *store == key);
        found.map(|(_, session)| session.clone()).collect()
    };
    let every_ms = house.config().poll_every_ms;
    for other in house.places().into_iter().filter(|other| other.key != key) {
        let stands = sessions.iter().any(|session| lock(&other.bases).has(session));
        let listed_ms = other.desk.lock().listed_ms.unwrap_or_default();
        if stands && now_ms() - listed_ms >= every_ms {
            // What keeps it from being listed is told as that remote's.
            list(house, other.key, Asker::Engine).ok();
        }
    }
}
