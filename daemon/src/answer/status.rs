//! `status`: how things stand, from what is known, without asking anybody.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use convosync_core::protocol::{
    CodeLeftOut, DeviceStatus, LargeSession, Problem, ProjectStatus, RemoteStatus, RootStatus,
    Saving, Sending, SkippedFile, Status, StatusReply,
};
use convosync_core::remote::address_to_tell;
use convosync_core::store::RefKind;

use super::{Clerk, fail, no_keys};
use crate::clock::now_ms;
use crate::desk::{Board, SAVE_BYTES_MAX};
use crate::engine::Unsaved;
use crate::house::{Home, House, Place, lock};
use crate::scan::RootReport;
use crate::watch::Mode;
use crate::{autosave, code, enabled, work};

/// How many left-out files `status` lists for a root: the first tell the story.
const SKIPPED_SHOWN_MAX: usize = 20;

/// How many repositories beside a project are named whose code is not saved.
const REPOSITORIES_TOLD_MAX: usize = 8;

/// What is known of each root: from scans, and from the watcher.
#[derive(Default)]
pub struct RootReports {
    /// The last scan of each root.
    pub scans: Mutex<BTreeMap<PathBuf, RootReport>>,
    /// How the watcher looks after each root.
    pub modes: Mutex<BTreeMap<PathBuf, Mode>>,
    /// What could not be opened at the start.
    pub problems: Mutex<Vec<Problem>>,
}

pub(super) fn status(clerk: &Clerk<'_>, status: &Status) -> StatusReply {
    let house = clerk.house;
    let vault = house.vault();
    let here = status.directory.as_deref().and_then(|directory| house.owner(directory));
    let mut homes = house.homes();
    homes.sort_by_key(|home| Some(home.key) != here.as_ref().map(|here| here.key));
    StatusReply {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        initialised: vault.is_some(),
        device: vault.as_ref().map(|vault| vault.name.clone()),
        vault: vault.as_ref().map(|vault| vault.id()),
        here: here.map(|home| home.project.root.clone()),
        projects: homes.iter().filter_map(|home| project(house, home)).collect(),
        remotes: remotes(house),
        devices: devices(house),
        watching: roots(house, clerk.roots),
        problems: problems(house, clerk.roots),
        large: large(house, status.tells),
        at_ms: now_ms(),
    }
}

/// How one project stands.
pub(super) fn project(house: &House, home: &Home) -> Option<ProjectStatus> {
    let place = house.place(home.store)?;
    let beat = place.pulse.now();
    let unsaved = beat.unsaved.get(&home.key).copied().unwrap_or_default();
    let known: Vec<_> = {
        let registry = house.registry();
        registry
            .found
            .values()
            .filter(|found| found.project == home.key)
            .map(|found| found.files.id.clone())
            .collect()
    };
    let board = place.desk.board();
    let off = enabled::is_off(&home.project.root).then(|| Problem {
        message: format!("`{}` is there: nothing is saved", enabled::OFF_FILE),
        hint: Some(format!("remove `{}` to save again", enabled::OFF_FILE)),
        since_ms: 0,
    });
    let kept = place.is_held().then(|| Problem {
        message: "saves stay on this device since `save --no-push`".to_owned(),
        hint: Some("`convosyncctl sync` sends them".to_owned()),
        since_ms: 0,
    });
    let held_up = remote_problem(&board);
    Some(ProjectStatus {
        root: home.project.root.clone(),
        name: home.project.name.clone(),
        remote: place.url().map(|_| work::shown_url(&place)),
        sessions: u32::try_from(known.len()).unwrap_or(u32::MAX),
        unsaved: unsaved.sessions,
        saving: saving(&unsaved),
        sync: board.sync,
        on_remote_ms: board.confirmed_ms,
        saved_ms: board.saved_ms,
        listed_ms: board.listed_ms,
        sent: board.traffic.sent,
        received: board.traffic.received,
        sending: place.sending.now().map(|(sent_bytes, bytes)| Sending { sent_bytes, bytes }),
        fetched_whole: board.fetched_whole,
        branches_only: board.kind == RefKind::Branch,
        code: left_out(&place, home),
        autosave: autosave::status(house, &place, home),
        retry_ms: beat.retry_ms.filter(|_| held_up.is_some()),
        problem: off.or(kept).or(held_up),
    })
}

/// The remotes that are read, and that no project here is saved to.
pub(super) fn remotes(house: &House) -> Vec<RemoteStatus> {
    house.only_read().iter().map(|place| remote(house, place)).collect()
}

/// How one of them stands.
pub(super) fn remote(house: &House, place: &Place) -> RemoteStatus {
    let board = place.desk.board();
    RemoteStatus {
        remote: work::shown_url(place),
        sessions: u32::try_from(board.sessions.len()).unwrap_or(u32::MAX),
        listed_ms: board.listed_ms,
        problem: board.unlisted.clone().map(|problem| with_way_out(house, place, problem)),
    }
}

/// What is wrong with a remote, and how it is let go of where this device joined by it and no project needs it.
pub(super) fn with_way_out(house: &House, place: &Place, problem: Problem) -> Problem {
    if house.only_joined().iter().all(|joined| joined.key != place.key) {
        return problem;
    }
    let address = address_to_tell(&place.url().unwrap_or_default());
    let way = format!("`convosyncctl disable --remote {address}` has it read no more");
    let hint = match problem.hint {
        Some(hint) => format!("{hint}; or {way}"),
        None => way,
    };
    Problem { hint: Some(hint), ..problem }
}

/// What of a project's code is not in its last save.
pub(super) fn left_out(place: &Place, home: &Home) -> CodeLeftOut {
    let reports = lock(&place.left_out);
    let mut told = reports.get(&home.key).map_or_else(CodeLeftOut::default, code::told);
    drop(reports);
    let beside = lock(&place.beside);
    let of_project = beside.values().filter(|(project, _)| *project == home.key);
    for warning in of_project.flat_map(|(_, warnings)| warnings) {
        if !told.repositories.contains(warning) && told.repositories.len() < REPOSITORIES_TOLD_MAX {
            told.repositories.push(warning.clone());
        }
    }
    told
}

/// Why the remote does not get our saves, else why it does not show us other devices'.
fn remote_problem(board: &Board) -> Option<Problem> {
    let stuck = board.stuck.clone().filter(|_| board.is_unsent);
    told_of(stuck, board.unlisted.clone())
}

fn told_of(stuck: Option<Problem>, unlisted: Option<Problem>) -> Option<Problem> {
    match (stuck, unlisted) {
        // One trouble keeps us from both: it lasts since the first of them was tried.
        (Some(stuck), Some(unlisted)) if stuck.message == unlisted.message => {
            Some(Problem { since_ms: stuck.since_ms.min(unlisted.since_ms), ..stuck })
        }
        (stuck, unlisted) => stuck.or(unlisted),
    }
}

/// A remote that works under an address that may not for ever.
fn moved(place: &Place, board: &Board) -> Option<Problem> {
    // What an earlier daemon heard is told again when this one has heard it, too.
    let since_ms = board.confirmed_ms?;
    board.moved_to.as_ref().map(|address| Problem {
        message: format!(
            "the remote {} has moved to {address}; it still works",
            work::shown_url(place)
        ),
        hint: Some(format!(
            "give the project the new address with `git remote set-url origin {address}`, then run `convosyncctl enable`"
        )),
        since_ms,
    })
}

/// Tells how far a save is that takes several pieces.
fn saving(unsaved: &Unsaved) -> Option<Saving> {
    let Unsaved { saved_bytes, bytes, .. } = *unsaved;
    (bytes.saturating_sub(saved_bytes) > SAVE_BYTES_MAX).then_some(Saving { saved_bytes, bytes })
}

fn devices(house: &House) -> Vec<DeviceStatus> {
    let mut devices: BTreeMap<_, DeviceStatus> = BTreeMap::new();
    for place in house.places() {
        for device in &place.desk.board().devices {
            let known = devices
                .entry(device.device)
                .or_insert_with(|| DeviceStatus { sessions: 0, ..device.clone() });
            known.sessions += device.sessions;
            known.at_ms = known.at_ms.max(device.at_ms);
        }
    }
    devices.into_values().collect()
}

fn roots(house: &House, reports: &RootReports) -> Vec<RootStatus> {
    let (scans, modes) = (lock(&reports.scans), lock(&reports.modes));
    let describe = |root: PathBuf| {
        let report = scans.get(&root).cloned().unwrap_or_default();
        let mode = modes
            .get(&root)
            .cloned()
            .unwrap_or_else(|| Mode::Missing("not looked at yet".to_owned()));
        let skipped = report.skipped.into_iter().take(SKIPPED_SHOWN_MAX);
        RootStatus {
            mode: mode.as_str().to_owned(),
            reason: report
                .problem
                .map(|(message, _)| message)
                .or_else(|| mode.reason().map(str::to_owned)),
            sessions: u32::try_from(report.sessions).unwrap_or(u32::MAX),
            skipped: skipped.map(|(path, reason)| SkippedFile { path, reason }).collect(),
            root,
        }
    };
    house.claude_roots().into_iter().map(describe).collect()
}

/// Conversations that have become very large; each is told a person once. At a desk that is busy it is not noted,
/// and told again.
fn large(house: &House, tells: bool) -> Vec<LargeSession> {
    let mut large = Vec::new();
    for place in house.places() {
        let news = place.desk.board().large.clone();
        if tells
            && !news.is_empty()
            && let Some(mut desk) = place.desk.try_lock()
        {
            for (name, session) in &news {
                desk.told.is_first_told_large(*name, session.messages);
            }
        }
        large.extend(news.into_iter().map(|(_, session)| session));
    }
    large
}

/// What a project's own configuration says and does not count.
fn not_agreed(house: &House, home: &Home) -> Option<Problem> {
    house.place(home.store)?.reach().problem(&home.project.name, now_ms())
}

fn problems(house: &House, reports: &RootReports) -> Vec<Problem> {
    let mut problems: Vec<Problem> = lock(&reports.problems).clone();
    if house.has_lost_keys() {
        problems.push(fail::problem_of(&no_keys(house), now_ms()));
    }
    for place in house.places() {
        let board = place.desk.board();
        problems.extend(board.doubts.iter().chain(&board.ailing).cloned());
        problems.extend(moved(&place, &board));
    }
    problems.extend(house.homes().iter().filter_map(|home| not_agreed(house, home)));
    problems.extend(autosave::unknown(house));
    for (root, report) in lock(&reports.scans).iter() {
        if let Some((message, hint)) = &report.problem {
            tracing::trace!(root = %root.display(), "a root has a problem");
            problems.push(Problem {
                message: message.clone(),
                hint: hint.clone(),
                since_ms: now_ms(),
            });
        }
    }
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.since_ms));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_lasts_since_whatever_met_it_first() {
        let problem = |message: &str, since_ms| {
            Some(Problem { message: message.to_owned(), hint: None, since_ms })
        };
        let since = |stuck, unlisted| told_of(stuck, unlisted).map(|told: Problem| told.since_ms);
        assert_eq!(since(problem("away", 9), problem("away", 5)), Some(5));
        assert_eq!(since(problem("away", 5), problem("away", 9)), Some(5));
        assert_eq!(since(problem("refused", 9), problem("away", 5)), Some(9));
        assert_eq!(since(None, problem("away", 5)), Some(5));
        assert_eq!(since(None, None), None);
    }
}
