//! Looks for our own ref on a remote: what stands under our name there, and whose it is.

use std::time::Duration;

use convosync_core::id::{Oid, StoreId};
use convosync_core::outbound::Own;
use convosync_core::remote::{RemoteError, TIP_DOWNLOAD_MAX};
use convosync_core::store::{RefName, Store};

use super::{OWN_REF_WITHIN, with_remote};
use crate::fail;
use crate::house::{Asker, House, Place};

/// What stands on the remote under our name.
pub(super) enum Standing {
    /// A tip that this device signed, fetched whole.
    Ours(Oid),
    /// Something else.
    Foreign(Oid),
    /// Nothing.
    Nothing,
}

/// Fetches our own ref: its tip first, and the rest only if this device signed it.
pub(super) fn fetch_own(
    house: &House,
    place: &Place,
    store: &Store,
    reference: &RefName,
    asker: Asker,
) -> Result<Standing, RemoteError> {
    let Some(vault) = house.vault() else { return Ok(Standing::Nothing) };
    let deadline = Duration::from_millis(house.config().git_deadline_ms.unsigned_abs());
    let fetched = with_remote(house, place, store, asker, |remote| {
        let remote = remote.with_deadlines(OWN_REF_WITHIN, deadline);
        let Some(there) = remote.read_back(reference)? else { return Ok(Standing::Nothing) };
        remote.fetch_tips(&[*reference], TIP_DOWNLOAD_MAX)?;
        let signed_for = Own::signed_for(&vault, store, there);
        if signed_for.is_none_or(|store| is_elsewhere(house, place, store)) {
            return Ok(Standing::Foreign(there));
        }
        Ok(remote.fetch_own(reference)?.map_or(Standing::Nothing, Standing::Ours))
    });
    fetched.map_or(Ok(Standing::Nothing), |fetched| fetched.and_then(|standing| standing))
}

/// Whether a store's id is that of another remote of ours: a tip from there was copied here by somebody.
fn is_elsewhere(house: &House, here: &Place, store: StoreId) -> bool {
    let others = house.places().into_iter().filter(|place| place.key != here.key);
    let mut ids = others.map(|place| place.desk.lock().own.store_id());
    ids.any(|id| id == Some(store))
}

/// Before the first save into an empty store, asks the remote whether it has our ref: the store may have
/// been lost, and the saves go on from what was sent. A remote that cannot be asked is no reason to wait.
pub fn look_for_own(house: &House, place: &Place, asker: Asker) {
    let (store, reference) = {
        let desk = place.desk.lock();
        if !desk.misses_own() {
            return;
        }
        (desk.store.clone(), desk.own.reference)
    };
    let names = std::iter::once(reference).chain(reference.others());
    let found = names
        .map(|name| Ok((name, fetch_own(house, place, &store, &name, asker)?)))
        .find_map(|found: Result<_, RemoteError>| match found {
            Ok((name, Standing::Ours(tip))) => Some(Ok((name, tip))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
    let taken = found.transpose().map_err(|error| fail::remote(&error)).and_then(|found| {
        place.desk.lock().take_own(found).map_err(|error| fail::outbound(&error))
    });
    if let Err(failure) = taken {
        tracing::debug!(reason = %failure.message, "our own ref could not be looked for");
    }
}
