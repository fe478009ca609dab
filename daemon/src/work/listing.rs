//! What other devices saved: asks the remote, takes their news in, and tells of them.

use convosync_core::id::Oid;
use convosync_core::protocol::{self, Failure, Problem};
use convosync_core::remote::{Outcome, Remote, RemoteError, TIP_DOWNLOAD_MAX};
use convosync_core::store::{RefName, Store};

use super::further::list_further;
use super::{look_for_own, with_remote};
use crate::clock::now_ms;
use crate::desk::Doing;
use crate::engine::{Event, Fault, StoreKey};
use crate::fail::{self, Trouble};
use crate::house::{Asker, House, Place, lock};
use crate::notification::Notification;

/// How many devices nobody enrolled are looked at in one listing.
const UNKNOWN_DEVICES_MAX: usize = 8;

/// The most that is downloaded of such a device's tip. It may be one that joined by the recovery phrase:
/// then its roster says so, and stands in the tip beside its sessions, 1 KiB each.
const UNKNOWN_TIP_MAX: u64 = 4 << 20;

/// How many sessions other devices saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrived {
    /// All of them.
    pub all: u32,
    /// Those that the user is notified of.
    pub loud: u32,
}

/// Lists other devices' refs, takes up their news and reports to the engine.
///
/// # Errors
/// A [`Failure`] when the remote could not be asked; what was known stays.
pub fn list(house: &House, key: StoreKey, asker: Asker) -> Result<Arrived, Failure> {
    let result =
        house.place(key).map_or(Ok(Arrived::default()), |place| list_place(house, &place, asker));
    let trouble = result.as_ref().err().map(|error| Trouble::of_listing(error, now_ms()));
    house.report(Event::Listed(key, trouble.as_ref().map(|trouble| trouble.fault)));
    if let Some(place) = house.place(key) {
        note_listed(house, &place, trouble);
    }
    result.map_err(|error| {
        let failure = fail::remote(&error);
        tracing::debug!(reason = %failure.message, "other devices could not be listed");
        failure
    })
}

/// Lists as the engine wants it, and notifies the user of what arrived; who asked by hand sees it anyway.
pub fn poll(house: &House, key: StoreKey) {
    let knew_peers = house.place(key).is_some_and(|place| !place.desk.lock().peers.is_empty());
    let arrived = list(house, key, Asker::Engine).unwrap_or_default().loud;
    list_further(house, key);
    // What a device finds when it joins is no news.
    if arrived > 0
        && knew_peers
        && let Some(place) = house.place(key)
        && place.desk.lock().told.is_time_for_arrivals(now_ms())
    {
        house.notify(Notification::Arrived(arrived));
    }
}

/// Keeps for `status` why a remote could not be listed, and tells the user of a refusal.
fn note_listed(house: &House, place: &Place, trouble: Option<Trouble>) {
    let mut desk = place.desk.lock();
    let Some(Trouble { problem, fault, cause }) = trouble else {
        desk.unlisted = None;
        let works_again = desk.told.mended(Doing::Listing) && desk.is_unsent();
        drop(desk);
        let home = house.homes().into_iter().find(|home| home.store == place.key);
        if let Some(home) = home.filter(|_| works_again) {
            // What kept us from listing kept us from sending too.
            house.report(Event::Hurry { project: Some(home.key), retry: true });
        }
        return;
    };
    let since_ms = desk.unlisted.as_ref().map_or(problem.since_ms, |before| before.since_ms);
    desk.unlisted = Some(Problem { since_ms, ..problem.clone() });
    let is_news = desk.told.is_news(Doing::Listing, &cause) && fault == Fault::Refused;
    let refused = cause.kind.filter(|_| desk.told.is_new_refusal(Doing::Listing, &cause));
    drop(desk);
    if let Some(kind) = refused {
        house.notify(Notification::NotListed(kind));
    }
    if is_news {
        house.tell(protocol::Event::Trouble { message: problem.message, hint: problem.hint });
    }
}

fn list_place(house: &House, place: &Place, asker: Asker) -> Result<Arrived, RemoteError> {
    house.refresh_reach(place);
    look_for_own(house, place, asker);
    let (store, confirmed) = {
        let desk = place.desk.lock();
        (desk.store.clone(), desk.confirmed)
    };
    let branches = lock(&place.bases).asked();
    let ask = |remote: &Remote<'_>| remote.list_with(&branches);
    let Some(listing) = with_remote(house, place, &store, asker, ask) else {
        return Ok(Arrived::default());
    };
    let listing = listing.and_then(|listing| listing)?;
    lock(&place.bases).listed(&branches, &listing.branches);
    let (known, unknown) = {
        let mut desk = place.desk.lock();
        desk.traffic += listing.traffic;
        desk.listed_ms = Some(now_ms());
        if desk.has_lost(confirmed, &listing.tips) {
            tracing::warn!("the remote does not hold our saves any more: sending them again");
            house.report(Event::Lost(place.key));
        }
        desk.news_among(&listing.tips)
    };
    clear_left_over(house, place, &store, asker);
    let unknown = &unknown[..unknown.len().min(UNKNOWN_DEVICES_MAX)];
    fetch_tips(house, (place, &store), &known, TIP_DOWNLOAD_MAX, asker)?;
    fetch_tips(house, (place, &store), unknown, UNKNOWN_TIP_MAX, asker)?;
    let listed = [known.as_slice(), unknown].concat();
    // The desk is left, and its board written, before anybody hears of it and asks.
    let arrived = place.desk.lock().take_peers(&listed, now_ms());
    let mut count = Arrived::default();
    for (device, session, is_quiet) in arrived {
        count.all += 1;
        count.loud += u32::from(!is_quiet);
        house.tell(protocol::Event::Arrived { device, session });
    }
    Ok(count)
}

/// Removes our ref's old name from the remote, with a lease, once the new one holds everything. A host that
/// does not let us is asked again at the next listing; readers believe the newer ref.
fn clear_left_over(house: &House, place: &Place, store: &Store, asker: Asker) {
    // Nothing is pushed where no project is enabled, not even the end of a ref.
    if house.is_only_read(place) {
        return;
    }
    let Some((old, tip)) = place.desk.lock().left_over() else { return };
    let removed =
        with_remote(house, place, store, asker, |remote| remote.remove(&old.to_string(), tip));
    let removed = matches!(removed, Some(Ok(Outcome::Sent(_))));
    tracing::info!(removed, "our ref stood under its old name too");
}

fn fetch_tips(
    house: &House,
    (place, store): (&Place, &Store),
    wanted: &[(RefName, Oid)],
    limit: u64,
    asker: Asker,
) -> Result<(), RemoteError> {
    let references: Vec<RefName> = wanted.iter().map(|(reference, _)| *reference).collect();
    let fetch = |remote: &Remote<'_>| remote.fetch_tips(&references, limit);
    let Some(fetched) = with_remote(house, place, store, asker, fetch) else {
        return Ok(());
    };
    let fetched = fetched.and_then(|fetched| fetched)?;
    let mut desk = place.desk.lock();
    desk.traffic += fetched.traffic;
    for (reference, error) in fetched.refused {
        if !error.is_transient() {
            desk.looked_at(wanted.iter().find(|(other, _)| *other == reference));
        }
        desk.doubt(&reference, &fail::remote(&error), now_ms());
    }
    Ok(())
}
