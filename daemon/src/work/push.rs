//! Sends our ref to the remote and believes only what it read back: a ref that stands elsewhere, a foreign one
//! in the way, a refusal.

use convosync_core::cause::with_causes;
use convosync_core::id::{Oid, SystemRandom};
use convosync_core::protocol::{self, Problem};
use convosync_core::remote::{Outcome, PermanentKind, Remote, Sent};
use convosync_core::store::{RefName, Store};

use super::own::{Standing, fetch_own};
use super::{shown_url, with_remote};
use crate::clock::now_ms;
use crate::desk::Doing;
use crate::engine::{Event, Fault, PushEnd, StoreKey};
use crate::fail::Trouble;
use crate::house::{Asker, House, Place};
use crate::notification::Notification;

/// Sends our ref and reads it back, and reports to the engine.
pub fn push(house: &House, key: StoreKey) {
    let Some(place) = house.place(key) else { return };
    house.refresh_reach(&place);
    let end = match push_and_confirm(house, &place) {
        Ok(Some(more)) => PushEnd::Sent { more },
        Ok(None) => PushEnd::Held,
        Err(fault) => PushEnd::Failed(fault),
    };
    house.report(Event::Pushed(key, end));
}

/// Pushes until the remote was seen to hold what we hold. Returns whether more was saved meanwhile; `None` when
/// the user wants nothing pushed.
fn push_and_confirm(house: &House, place: &Place) -> Result<Option<bool>, Fault> {
    let (store, reference, tip, lease) = {
        let desk = place.desk.lock();
        // Asked with the desk in hand: what is held is saved only after that was written down.
        if place.is_held() {
            return Ok(None);
        }
        let Some(tip) = desk.own.tip else { return Ok(Some(false)) };
        (desk.store.clone(), desk.own.reference, tip, desk.confirmed)
    };
    // A squash cuts the chain of tips, so that ancestry alone does not tell what is ours.
    let is_ours = |there: Oid| {
        store.descends_from(tip, there).unwrap_or(false) || place.desk.lock().went_on_from(there)
    };
    let sent = with_remote(house, place, &store, Asker::Engine, |remote| {
        send(&remote.telling(&place.sending), &reference, tip, lease, &is_ours)
    });
    let outcome = match sent {
        None => return Err(fail_push(house, place, no_remote(place))),
        Some(Err(error)) => error.into(),
        Some(Ok(outcome)) => outcome,
    };
    let (outcome, tip) = match outcome {
        Outcome::Behind => settle_foreign(house, place, &reference, tip, &store),
        outcome => (outcome, tip),
    };
    match (&outcome, Trouble::of_push(&outcome, now_ms())) {
        (Outcome::Sent(sent), _) => Ok(Some(confirmed(house, place, &reference, tip, sent))),
        (_, trouble) => Err(fail_push(house, place, trouble.unwrap_or_else(|| no_remote(place)))),
    }
}

fn no_remote(place: &Place) -> Trouble {
    let refused = |message, hint| Trouble {
        fault: Fault::Refused,
        ..Trouble::other(message, hint, now_ms())
    };
    if place.reach().is_remote_refused() {
        let message = format!(
            "the remote `{}` is a folder of this machine whose programs would run, and you did not agree to it: saves stay on this device",
            shown_url(place)
        );
        let hint = "if it is yours, run `convosyncctl enable` in the project".to_owned();
        return refused(message, Some(hint));
    }
    let message = "this project has no remote to save to: saves stay on this device".to_owned();
    let hint = Some("add one with `git remote add origin URL`, or set `store.remote`, and run `convosyncctl enable`".to_owned());
    refused(message, hint)
}

fn confirmed(house: &House, place: &Place, reference: &RefName, tip: Oid, sent: &Sent) -> bool {
    let Sent { traffic, moved_to } = sent;
    let mut desk = place.desk.lock();
    // Renamed meanwhile: what was sent stands under the old name.
    if desk.own.reference == *reference {
        desk.confirm(Some(tip), now_ms());
        desk.stuck = None;
        desk.told.mended(Doing::Sending);
    }
    desk.traffic += *traffic;
    let more = desk.is_unsent();
    // A remote that had nothing to do says nothing either.
    let is_news = traffic.sent > 0 && desk.told.is_new_address(moved_to.as_deref());
    drop(desk);
    if is_news {
        tracing::warn!("the remote has another address now");
        house.notify(Notification::Moved);
    }
    tracing::info!(sent = traffic.sent, received = traffic.received, "on remote");
    let remote = shown_url(place);
    house.tell(protocol::Event::OnRemote {
        remote,
        sent: traffic.sent,
        received: traffic.received,
    });
    more
}

fn fail_push(house: &House, place: &Place, trouble: Trouble) -> Fault {
    let Trouble { problem, fault, cause } = trouble;
    let is_final = fault == Fault::Refused;
    let mut desk = place.desk.lock();
    let since_ms = desk.stuck.as_ref().map_or(problem.since_ms, |(before, _)| before.since_ms);
    desk.stuck = Some((Problem { since_ms, ..problem.clone() }, is_final));
    let is_news = desk.told.is_news(Doing::Sending, &cause);
    let refused = cause.kind.filter(|_| desk.told.is_new_refusal(Doing::Sending, &cause));
    drop(desk);
    if let Some(kind) = refused {
        house.notify(Notification::NotSent(kind));
    }
    if is_news {
        tracing::warn!(is_final, "not on remote");
        tracing::debug!(reason = %problem.message, "not on remote");
        house.tell(protocol::Event::Trouble { message: problem.message, hint: problem.hint });
    }
    fault
}

/// Pushes with the lease we believe in and reads the ref back. If the remote stands elsewhere, looks
/// where, and goes on only from a state of our own or from nothing. `Sent` means: the remote shows `tip`.
fn send(
    remote: &Remote<'_>,
    reference: &RefName,
    tip: Oid,
    lease: Option<Oid>,
    is_ours: &dyn Fn(Oid) -> bool,
) -> Outcome {
    let outcome = match remote.push(reference, tip, lease) {
        Outcome::Behind => send_again(remote, reference, tip, is_ours),
        Outcome::Permanent { kind: PermanentKind::RefRefused, .. }
            if clear_way(remote, reference) =>
        {
            remote.push(reference, tip, lease)
        }
        other => other,
    };
    let Outcome::Sent(sent) = outcome else { return outcome };
    match remote.read_back(reference) {
        Ok(Some(there)) if there == tip => Outcome::Sent(sent),
        Ok(_) => Outcome::Permanent {
            kind: PermanentKind::RefRefused,
            why: "the remote accepted the push and does not show the ref".to_owned(),
        },
        Err(error) => error.into(),
    }
}

fn send_again(
    remote: &Remote<'_>,
    reference: &RefName,
    tip: Oid,
    is_ours: &dyn Fn(Oid) -> bool,
) -> Outcome {
    match remote.read_back(reference) {
        Ok(Some(there)) if there == tip => Outcome::Sent(Sent::default()),
        Ok(None) => remote.push(reference, tip, None),
        Ok(Some(there)) if is_ours(there) => remote.push(reference, tip, Some(there)),
        Ok(Some(_)) => Outcome::Behind,
        Err(error) => error.into(),
    }
}

/// Our ref on the remote is neither ours as we know it nor gone. If this device signed what stands there
/// (the store was lost, or the disk copied), both are joined; anything else was put there by somebody who
/// is not us: it is told, and replaced with a lease.
fn settle_foreign(
    house: &House,
    place: &Place,
    reference: &RefName,
    tip: Oid,
    store: &Store,
) -> (Outcome, Oid) {
    let (tip, there) = match fetch_own(house, place, store, reference, Asker::Engine) {
        Ok(Standing::Ours(there)) => {
            match place.desk.lock().rejoin(there, now_ms(), &mut SystemRandom) {
                Ok(joined) => {
                    tracing::warn!(
                        "the remote held another state of this device: both were joined"
                    );
                    (joined, there)
                }
                Err(error) => return (Outcome::Transient { why: with_causes(&error) }, tip),
            }
        }
        Ok(Standing::Foreign(there)) => {
            tracing::warn!("somebody else moved this device's ref: it is put back");
            let message =
                "somebody else had moved this device's ref on the remote; it was put back"
                    .to_owned();
            house.tell(protocol::Event::Trouble { message, hint: None });
            (tip, there)
        }
        Ok(Standing::Nothing) => return (Outcome::Behind, tip),
        Err(error) => return (error.into(), tip),
    };
    // Where it stood was looked at just now: whatever stands there next is for the next try.
    let sent = with_remote(house, place, store, Asker::Engine, |remote| {
        send(&remote.telling(&place.sending), reference, tip, Some(there), &|_| false)
    });
    (sent.and_then(Result::ok).unwrap_or(Outcome::Behind), tip)
}

/// Removes foreign refs that keep ours from existing, above or below its name, each with a lease and in a
/// push of its own; returns whether there were any.
fn clear_way(remote: &Remote<'_>, reference: &RefName) -> bool {
    let Ok(listing) = remote.list() else { return false };
    let name = reference.to_string();
    let is_in_the_way = |other: &str| {
        name.strip_prefix(other)
            .or_else(|| other.strip_prefix(&name))
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let blocking: Vec<_> =
        listing.blocking.into_iter().filter(|(other, _)| is_in_the_way(other)).collect();
    for (other, at) in &blocking {
        let outcome = remote.remove(other, *at);
        tracing::warn!(
            removed = matches!(outcome, Outcome::Sent(_)),
            "a foreign ref stood in the way of ours"
        );
    }
    !blocking.is_empty()
}
