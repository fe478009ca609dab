//! `save` and `sync`.

use std::sync::Arc;
use std::time::Duration;

use convosync_core::claude::{self, ClaudeRoot};
use convosync_core::environment;
use convosync_core::id::SessionId;
use convosync_core::outbound::{DEFAULT_MESSAGE, Recorded};
use convosync_core::protocol::{
    ErrorKind, Failure, Progress, Save, SaveOutlookReply, SaveReply, ShellOutlook, Sync, SyncReply,
};
use convosync_core::shell_history::{self, ShellLines, Typed};
use convosync_core::transcript;

use super::{Clerk, browse, home, projects, status, step, vault};
use crate::clock::now_ms;
use crate::desk::Saved;
use crate::engine::Event;
use crate::fail;
use crate::house::{Asker, Found, Home, House, Place};
use crate::{scan, work};

/// How long `save` waits for the remote before it says "saved here, on its way".
const SEND_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn save(clerk: &Clerk<'_>, save: &Save) -> Result<SaveReply, Failure> {
    let house = clerk.house;
    let home = home(house, &save.directory)?;
    step(clerk.tell, "looking for the conversation");
    scan::scan_all(house, now_ms());
    let session = choose(house, &home, save)?;
    if let Some(place) = house.place(home.store) {
        let kept = if save.hold { house.hold(&place) } else { house.release(&place) };
        kept.map_err(|error| fail::failure(ErrorKind::Failed, &error, error.hint()))?;
    }
    step(clerk.tell, "saving");
    let message = save.message.clone().filter(|text| !text.trim().is_empty());
    let insist = message.is_some();
    let message = Some(message.unwrap_or_else(|| DEFAULT_MESSAGE.to_owned()));
    let environment = save.environment.clone().map(environment::bounded);
    let typed = save.shell_history.clone().unwrap_or_default();
    let wish = work::Wish { message, insist, by_hand: true, quiet: save.quiet, environment, typed };
    let mut saved = save_whole(clerk, &home, &session, &wish)?;
    if let Some((_, error)) = saved.failed.pop() {
        return Err(fail::outbound(&error));
    }
    if !save.hold {
        step(clerk.tell, "sending");
        send(house, &home);
    }
    let place = house
        .place(home.store)
        .ok_or_else(|| Failure::new(ErrorKind::NotEnabled, "the project was disabled"))?;
    let info = browse::info_of(house, &place, &session)?;
    let (code, devices) = (status::left_out(&place, &home), others(&place));
    let mut held = place.desk.lock();
    let recorded = saved.recorded.first();
    let name = held.vault.keys.session_name(&session);
    let large = held.told.is_first_told_large(name, info.messages);
    Ok(SaveReply {
        session: info,
        changed: recorded.is_some(),
        new_messages: recorded.map_or(0, |recorded| recorded.new_messages),
        sealed_bytes: recorded.map_or(0, |recorded| recorded.sealed_bytes),
        sync: held.sync_state(),
        problem: held
            .stuck
            .as_ref()
            .map(|(problem, _)| problem.clone())
            .filter(|_| held.is_unsent()),
        code,
        devices,
        held: save.hold,
        large,
        shell_lines: recorded.map_or(0, |recorded| taken_along(recorded, &wish.typed)),
    })
}

/// How many of the lines that were sent the session has now.
fn taken_along(recorded: &Recorded, typed: &[Typed]) -> usize {
    let Some(base) = &recorded.ledger.base else { return 0 };
    let sent = shell_history::taken(typed, base.record.device);
    sent.intersection(&base.shell).count()
}

/// Says what [`save`] would save, before anything is done that a save belongs to.
pub(super) fn outlook(clerk: &Clerk<'_>, save: &Save) -> Result<SaveOutlookReply, Failure> {
    let house = clerk.house;
    let home = home(house, &save.directory)?;
    step(clerk.tell, "looking for the conversation");
    scan::scan_all(house, now_ms());
    let session = choose(house, &home, save)?;
    let place = house
        .place(home.store)
        .ok_or_else(|| Failure::new(ErrorKind::NotEnabled, "the project was disabled"))?;
    let saved = browse::info_of(house, &place, &session).ok();
    let asked = save.shell_history.as_ref();
    let shell_history = asked.map(|_| shell_outlook(house, &place, &home, &session));
    Ok(SaveOutlookReply {
        short: session.short().to_owned(),
        session,
        title: saved.as_ref().and_then(|info| info.title.clone()),
        messages: saved.map(|info| info.messages),
        devices: others(&place),
        shell_history,
    })
}

fn shell_outlook(house: &House, place: &Place, home: &Home, session: &SessionId) -> ShellOutlook {
    let found = house.registry().found.get(&(home.store, session.clone())).cloned();
    let main = found.as_ref().and_then(|found| found.files.main());
    let began_ms = main.and_then(|main| transcript::began_ms(&main.path));
    let ended_ms = main.and_then(|main| transcript::ended_ms(&main.path));
    let held = place.desk.lock();
    let shell = held.base_of(session).map(|base| base.shell).unwrap_or_default();
    let device = held.vault.device();
    let (own, others) = shell.into_iter().partition(|line| line.device == device);
    let typed = |lines: ShellLines| {
        lines.into_iter().map(|line| Typed { at_ms: line.at_ms, text: line.text }).collect()
    };
    ShellOutlook { began_ms, ended_ms, known: typed(own), others: typed(others) }
}

/// The names of the other devices that were seen on the remote.
fn others(place: &Place) -> Vec<String> {
    let board = place.desk.board();
    let others = board.devices.iter().filter(|device| !device.this);
    others.map(|device| device.name.clone()).collect()
}

/// Saves until nothing waits any more, and returns what came to all of it.
fn save_whole(
    clerk: &Clerk<'_>,
    home: &Home,
    session: &SessionId,
    wish: &work::Wish,
) -> Result<Saved, Failure> {
    let one = std::slice::from_ref(session);
    let (mut new_messages, mut sealed_bytes) = (0, 0);
    loop {
        let mut saved = work::save(clerk.house, home.store, one, wish)?;
        if let Some(recorded) = saved.recorded.first_mut() {
            new_messages += recorded.new_messages;
            sealed_bytes += recorded.sealed_bytes;
            (recorded.new_messages, recorded.sealed_bytes) = (new_messages, sealed_bytes);
        }
        let Some((_, saved_bytes)) = saved.waiting.first() else { return Ok(saved) };
        let found = clerk.house.registry().found.get(&(home.store, session.clone())).cloned();
        clerk.tell.progress(&Progress {
            step: "saving".to_owned(),
            done: Some(*saved_bytes),
            total: found.map(|found| scan::stamp_of(&found.files).bytes),
            download: None,
        });
    }
}

/// Asks the engine to send, and waits until it has been tried.
fn send(house: &Arc<House>, home: &Home) {
    let Some(place) = house.place(home.store) else { return };
    send_now(house, &place, Some(home), true);
}

fn send_now(house: &House, place: &Place, only: Option<&Home>, retry: bool) {
    house.report(Event::Hurry { project: only.map(|home| home.key), retry });
    house.barrier();
    place.pulse.settle(SEND_WITHIN);
}

/// The session named, else the one that runs in this directory, else the newest of the project.
fn choose(house: &House, home: &Home, save: &Save) -> Result<SessionId, Failure> {
    let mut found: Vec<Found> = {
        let registry = house.registry();
        registry.found.values().filter(|found| found.project == home.key).cloned().collect()
    };
    found.sort_by_key(|found| std::cmp::Reverse(found.files.modified_ms()));
    if let Some(query) = &save.session {
        let named: Vec<SessionId> = found
            .into_iter()
            .map(|found| found.files.id)
            .filter(|session| query.matches(session))
            .collect();
        return browse::only(named, &query.0);
    }
    let live = live_sessions(house);
    let here = |found: &&Found| {
        live.contains(&found.files.id) && found.cwd.as_deref() == Some(save.directory.as_path())
    };
    let chosen = found.iter().find(here).or_else(|| found.first());
    chosen.map(|found| found.files.id.clone()).ok_or_else(|| {
        Failure::new(
            ErrorKind::UnknownSession,
            "this project has no conversation on this device yet",
        )
        .with_hint("start one with `claude`, or bring one here with `convosyncctl resume`")
    })
}

fn live_sessions(house: &House) -> Vec<SessionId> {
    let roots = house.claude_roots();
    let live =
        roots.into_iter().flat_map(|root| claude::live_sessions(&ClaudeRoot::new(root), now_ms()));
    live.map(|live| live.session).collect()
}

pub(super) fn sync(clerk: &Clerk<'_>, sync: &Sync) -> Result<SyncReply, Failure> {
    let house = clerk.house;
    vault(house)?;
    let only = sync.directory.as_deref().map(|directory| home(house, directory)).transpose()?;
    step(clerk.tell, "looking at all transcripts");
    scan::scan_all(house, now_ms());
    let mut arrived = 0;
    for place in house.places() {
        if only.as_ref().is_some_and(|home| home.store != place.key) {
            continue;
        }
        if !house.is_only_read(&place) {
            send_all(clerk, &place, only.as_deref(), sync.retry)?;
        }
        step(clerk.tell, "looking for other devices' saves");
        match work::list(house, place.key, Asker::Person) {
            Ok(count) => arrived += count.all,
            Err(failure) => {
                tracing::debug!(reason = %failure.message, "a remote could not be asked")
            }
        }
        // What the listing showed to be lost is being sent again.
        house.barrier();
        place.pulse.settle(SEND_WITHIN);
    }
    let homes = house
        .homes()
        .into_iter()
        .filter(|home| only.as_ref().is_none_or(|only| only.key == home.key));
    let projects = homes.filter_map(|home| status::project(house, &home)).collect();
    let remotes = if only.is_some() { Vec::new() } else { status::remotes(house) };
    Ok(SyncReply { projects, arrived, remotes })
}

/// Lets everything of a store be sent, and waits until that has been tried.
fn send_all(
    clerk: &Clerk<'_>,
    place: &Place,
    only: Option<&Home>,
    retry: bool,
) -> Result<(), Failure> {
    let house = clerk.house;
    let released = house.release(place);
    released.map_err(|error| fail::failure(ErrorKind::Failed, &error, error.hint()))?;
    step(clerk.tell, "sending");
    send_now(house, place, only, retry);
    if retry && projects::look_for_another_name(clerk, place) {
        send_now(house, place, only, true);
    }
    Ok(())
}
