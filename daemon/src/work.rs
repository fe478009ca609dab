//! Carries out what the engine decides: saving, pushing, listing, looking at repositories. Every function
//! here blocks and runs on a thread of its own; a store's desk is locked for local work only, never while
//! the network is waited for.

mod further;
mod listing;
mod own;
mod push;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use convosync_core::cause::with_causes;
use convosync_core::environment::Variables;
use convosync_core::id::{SessionId, SystemRandom};
use convosync_core::outbound::{OutboundError, ProjectFacts, Recorded, Request};
use convosync_core::project;
use convosync_core::protocol::{self, Failure, Problem};
use convosync_core::remote::{Remote, RemoteError};
use convosync_core::seal::CodePoint;
use convosync_core::shell_history::Typed;
use convosync_core::store::Store;

use crate::autosave;
use crate::clock::now_ms;
use crate::code;
use crate::course;
use crate::desk::{Desk, Saved};
use crate::enabled;
use crate::engine::{Event, ProjectKey, SaveEnd, StoreKey};
use crate::fail;
use crate::house::{Asker, Found, House, Place, lock};
use crate::scan;
use crate::surroundings;
use further::has_moved_on;

pub use listing::{Arrived, list, poll};
pub use own::look_for_own;
pub use push::push;

/// A list of refs is small: it never gets longer than this, whatever is configured for git commands.
const LIST_WITHIN: Duration = Duration::from_secs(60);

/// Asking where our own ref stands holds up the first save into an empty store: not for longer than this.
const OWN_REF_WITHIN: Duration = Duration::from_secs(5);

/// What the user asked of a save.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// A message for it.
    pub message: Option<String>,
    /// A save even if nothing is new.
    pub insist: bool,
    /// Whether it was the user's at all.
    pub by_hand: bool,
    /// Whether other devices are to show no notification of it.
    pub quiet: bool,
    /// Variables that travel with the session from now on.
    pub environment: Option<Variables>,
    /// Lines of the shell that travel with the session, too.
    pub typed: Vec<Typed>,
}

/// Saves sessions of one store and reports to the engine.
///
/// # Errors
/// A [`Failure`] when nothing at all could be saved; the engine knows of it too and tries again.
pub fn save(
    house: &House,
    store: StoreKey,
    sessions: &[SessionId],
    wish: &Wish,
) -> Result<Saved, Failure> {
    let Some(place) = house.place(store) else { return Ok(Saved::default()) };
    let found = wanted(house, store, sessions);
    let looked = course::trees(house, &found);
    let codes = code_points(house, &found);
    let projects: Vec<ProjectFacts> =
        found.iter().map(|found| project_facts(house, found)).collect();
    let codec = house.config().codec;
    look_for_own(house, &place, Asker::Save);
    let mut captures = lock(&place.code);
    let mut requests: Vec<Request<'_>> = found
        .iter()
        .zip(&projects)
        .map(|(found, project)| {
            let home = house.home(found.project);
            let before = code::Before::of(&place, &found.files.id);
            let taken = codes.get(&found.project).zip(home.as_ref()).map(|(point, home)| {
                let session = (&found.files.id, &before);
                code::take(
                    house,
                    (&place, home),
                    &mut captures,
                    session,
                    point.clone(),
                    wish.by_hand,
                )
            });
            let others = home.map_or_else(code::Others::default, |home| {
                let session = (&found.files, &before);
                code::take_further(house, (&place, &home), &mut captures, session, wish.by_hand)
            });
            let is_lost = others.insist || taken.as_ref().is_some_and(|taken| taken.insist);
            let (further, insist) = (others.taken, wish.insist || is_lost);
            let (code, code_log) =
                taken.map_or((None, None), |taken| (Some(taken.point), taken.log));
            let message = wish.message.clone();
            let files = &found.files;
            let surroundings = surroundings::now(house, wish.environment.clone(), &wish.typed);
            Request {
                files,
                project,
                code,
                code_log,
                further,
                trees: &[],
                moved: false,
                message,
                surroundings,
                insist,
                quiet: wish.quiet,
            }
        })
        .collect();
    let mut desk = place.desk.lock();
    // At last the reflogs, for a capture takes its time: no line that is read now is told by one of before it.
    let trees = course::trees(house, &found);
    for (request, found) in requests.iter_mut().zip(&found) {
        request.trees = &trees[&found.project];
        request.moved = looked[&found.project] != trees[&found.project];
    }
    let result = desk.save(&requests, codec, now_ms(), &mut SystemRandom);
    note_troubles(&mut desk, &found, &result);
    let (repositories, is_unsent) = (desk.store.clone(), desk.is_unsent());
    drop(desk);
    drop(captures);
    let result = finish_save(house, store, (sessions, &found, wish.by_hand), result, is_unsent);
    maintain(house, &repositories);
    result
}

/// Packs the store where that pays; that it could not be packed costs room and time, no data.
fn maintain(house: &House, store: &Store) {
    let packed = store
        .wants_packing()
        .and_then(|wanted| if wanted { store.maintain(&house.git) } else { Ok(()) });
    if let Err(error) = packed {
        tracing::debug!(error = with_causes(&error), "the store could not be packed");
    }
}

/// The files of the sessions to save; not those of a project that says of itself that it is off.
fn wanted(house: &House, store: StoreKey, sessions: &[SessionId]) -> Vec<Found> {
    let found: Vec<Found> = {
        let registry = house.registry();
        sessions
            .iter()
            .filter_map(|session| registry.found.get(&(store, session.clone())).cloned())
            .collect()
    };
    let is_on = |found: &Found| {
        house.home(found.project).is_some_and(|home| !enabled::is_off(&home.project.root))
    };
    found.into_iter().filter(is_on).collect()
}

fn finish_save(
    house: &House,
    store: StoreKey,
    (sessions, found, by_hand): (&[SessionId], &[Found], bool),
    result: Result<Saved, convosync_core::outbound::OutboundError>,
    is_unsent: bool,
) -> Result<Saved, Failure> {
    let waiting = result.as_ref().map_or(&[][..], |saved| &saved.waiting).to_vec();
    let is_well = |session: &SessionId| {
        result.as_ref().is_ok_and(|saved| !saved.failed.iter().any(|(failed, _)| failed == session))
            && !waiting.iter().any(|(other, _)| other == session)
    };
    let covered: Vec<_> = found
        .iter()
        .filter(|found| is_well(&found.files.id))
        .map(|found| (found.files.id.clone(), scan::stamp_of(&found.files)))
        .collect();
    let is_covered = |session: &&SessionId| covered.iter().any(|(other, _)| other == *session);
    let is_waiting = |session: &&SessionId| waiting.iter().any(|(other, _)| other == *session);
    let is_failed = |session: &&SessionId| !is_covered(session) && !is_waiting(session);
    let failed = sessions.iter().filter(is_failed).cloned().collect();
    // A save that failed at its very end may have moved our ref all the same.
    let moved = result.as_ref().map_or(is_unsent, |saved| !saved.recorded.is_empty());
    let end = SaveEnd { covered, waiting, failed, moved, by_hand };
    house.report(Event::Saved(store, end));
    let saved = result.map_err(|error| {
        let failure = fail::outbound(&error);
        tracing::warn!("nothing could be saved");
        tracing::debug!(reason = %failure.message, "nothing could be saved");
        failure
    })?;
    saved.recorded.iter().for_each(|recorded| tell_saved(house, recorded));
    Ok(saved)
}

fn tell_saved(house: &House, recorded: &Recorded) {
    let summary = &recorded.summary;
    tracing::info!(
        session = summary.session.short(),
        save = summary.save,
        messages = summary.messages,
        sealed_bytes = recorded.sealed_bytes,
        "saved locally"
    );
    house.tell(protocol::Event::Saved {
        session: summary.session.clone(),
        save: summary.save,
        messages: summary.messages,
        sealed_bytes: recorded.sealed_bytes,
    });
}

/// Notes which sessions could not be saved, and why: all of them where the save itself failed.
fn note_troubles(desk: &mut Desk, found: &[Found], result: &Result<Saved, OutboundError>) {
    match result {
        Ok(saved) => note_ailing(&mut desk.ailing, saved),
        Err(error) => {
            let problem = fail::problem_of(&fail::outbound(error), now_ms());
            for found in found {
                desk.ailing.entry(found.files.id.clone()).or_insert_with(|| problem.clone());
            }
        }
    }
}

fn note_ailing(ailing: &mut BTreeMap<SessionId, Problem>, saved: &Saved) {
    let well =
        saved.recorded.iter().map(|recorded| &recorded.summary.session).chain(&saved.unchanged);
    for session in well {
        ailing.remove(session);
    }
    for (session, error) in &saved.failed {
        let failure = fail::outbound(error);
        tracing::warn!(session = session.short(), "a session could not be saved");
        tracing::debug!(reason = %failure.message, "a session could not be saved");
        ailing.entry(session.clone()).or_insert_with(|| fail::problem_of(&failure, now_ms()));
    }
}

/// The state of each repository the sessions belong to; a repository that cannot be read costs its
/// sessions the context, not the conversation.
fn code_points(house: &House, found: &[Found]) -> BTreeMap<ProjectKey, CodePoint> {
    let mut codes = BTreeMap::new();
    for key in found.iter().map(|found| found.project) {
        if codes.contains_key(&key) {
            continue;
        }
        if let Some(code) = code_point(house, key) {
            codes.insert(key, code);
        }
    }
    codes
}

fn code_point(house: &House, key: ProjectKey) -> Option<CodePoint> {
    let home = house.home(key)?;
    match project::code_point(&home.project, &house.git) {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(%error, "a repository cannot be looked at");
            None
        }
    }
}

/// What a session's summary says of its project.
pub fn project_facts(house: &House, found: &Found) -> ProjectFacts {
    let Some(home) = house.home(found.project) else { return ProjectFacts::default() };
    let project = &home.project;
    let cwd = found.cwd.as_deref();
    let packed = project.common_dir.as_deref().and_then(project::packed_bytes);
    ProjectFacts { packed, ..ProjectFacts::new(&project.ids, &project.name, &project.root, cwd) }
}

/// Compares a repository with the last save of its newest session, and names the session to be saved for
/// it.
pub fn check_code(house: &House, key: ProjectKey) {
    let changed = newest_session(house, key).and_then(|(place, session)| {
        // Of code that is not saved by itself a change is nothing new.
        if house.home(key).is_none_or(|home| autosave::leaves_out_code(house, &home)) {
            return None;
        }
        let now = code_point(house, key)?;
        let desk = place.desk.lock();
        let before = desk.own_code(&session)?;
        let is_lost = lock(&place.bases).is_lost(&session);
        let further = desk.own_further(&session);
        drop(desk);
        let is_changed = is_lost || before != now.fingerprint;
        (is_changed || has_moved_on(house, &session, &further)).then_some(session)
    });
    house.report(Event::CodeChecked(key, changed));
}

fn newest_session(house: &House, key: ProjectKey) -> Option<(Arc<Place>, SessionId)> {
    let registry = house.registry();
    let of_project = registry.found.iter().filter(|(_, found)| found.project == key);
    let ((store, session), _) = of_project.max_by_key(|(_, found)| found.files.modified_ms())?;
    Some((registry.stores.get(store)?.clone(), session.clone()))
}

/// Reaches the remote of a store with the settings that count, when it is the asker's turn; `None` where there
/// is no remote, or none that the user agreed to. What asks here asks not again: turns are not nested.
pub fn with_remote<T>(
    house: &House,
    place: &Place,
    store: &Store,
    asker: Asker,
    ask: impl FnOnce(&Remote<'_>) -> T,
) -> Option<Result<T, RemoteError>> {
    let (url, vault, reach) = (place.url()?, house.vault()?, place.reach());
    if reach.is_remote_refused() {
        return None;
    }
    let patience = (asker == Asker::Save).then_some(OWN_REF_WITHIN);
    let Some(_turn) = house.line.turn(asker, patience) else {
        let why = "other remotes are being waited for".to_owned();
        return Some(Err(RemoteError::Transient { why }));
    };
    let git = house.remote_git();
    let remote = Remote::new(&git, store, &reach.settings, &url, vault.id());
    let deadline = Duration::from_millis(house.config().git_deadline_ms.unsigned_abs());
    Some(remote.map(|remote| ask(&remote.with_deadlines(deadline.min(LIST_WITHIN), deadline))))
}

/// The remote's address as it may be shown: without user names and passwords.
pub fn shown_url(place: &Place) -> String {
    place.url().as_deref().map(convosync_core::remote::without_credentials).unwrap_or_default()
}
