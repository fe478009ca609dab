//! `status`: how things stand, from what is known, without asking anybody.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use convosync_core::protocol::{
    DeviceStatus, Problem, ProjectStatus, RootStatus, Saving, Sending, SkippedFile, Status,
    StatusReply,
};
use convosync_core::store::RefKind;

use super::{Clerk, fail, no_keys};
use crate::clock::now_ms;
use crate::desk::{self, SAVE_BYTES_MAX};
use crate::engine::Unsaved;
use crate::house::{Home, House, Place, lock};
use crate::scan::RootReport;
use crate::watch::Mode;
use crate::{enabled, work};

/// How many left-out files `status` lists for a root: the first tell the story.
const SKIPPED_SHOWN_MAX: usize = 20;

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
        devices: devices(house),
        watching: roots(house, clerk.roots),
        problems: problems(house, clerk.roots),
        at_ms: now_ms(),
    }
}

/// How one project stands.
pub(super) fn project(house: &House, home: &Home) -> Option<ProjectStatus> {
    let place = house.place(home.store)?;
    let unsaved = place.pulse.now().unsaved.get(&home.key).copied().unwrap_or_default();
    let known: Vec<_> = {
        let registry = house.registry();
        registry
            .found
            .values()
            .filter(|found| found.project == home.key)
            .map(|found| found.files.id.clone())
            .collect()
    };
    let desk = lock(&place.desk);
    let off = enabled::is_off(&home.project.root).then(|| Problem {
        message: format!("`{}` is there: nothing is saved", enabled::OFF_FILE),
        hint: Some(format!("remove `{}` to save again", enabled::OFF_FILE)),
        since_ms: 0,
    });
    Some(ProjectStatus {
        root: home.project.root.clone(),
        name: home.project.name.clone(),
        remote: place.url.as_ref().map(|_| work::shown_url(&place)),
        sessions: u32::try_from(known.len()).unwrap_or(u32::MAX),
        unsaved: unsaved.sessions,
        saving: saving(&unsaved),
        sync: desk.sync_state(),
        on_remote_ms: desk.confirmed_ms,
        saved_ms: desk.saved_ms,
        listed_ms: desk.listed_ms,
        sent: desk.traffic.sent,
        received: desk.traffic.received,
        sending: place.sending.now().map(|(sent_bytes, bytes)| Sending { sent_bytes, bytes }),
        fetched_whole: desk.store.is_fetched_whole(),
        branches_only: desk.own.reference.kind == RefKind::Branch,
        problem: off.or_else(|| remote_problem(&desk)),
    })
}

/// Why the remote does not get our saves, else why it does not show us other devices'.
fn remote_problem(desk: &desk::Desk) -> Option<Problem> {
    let stuck = desk.stuck.as_ref().map(|(problem, _)| problem.clone());
    stuck.filter(|_| desk.is_unsent()).or_else(|| desk.unlisted.clone())
}

/// A remote that works under an address that may not for ever.
fn moved(place: &Place, desk: &desk::Desk) -> Option<Problem> {
    // What an earlier daemon heard is told again when this one has heard it, too.
    let since_ms = desk.confirmed_ms?;
    desk.told.moved_to().map(|address| Problem {
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
        let desk = lock(&place.desk);
        for device in all_devices(&desk) {
            let known = devices
                .entry(device.device)
                .or_insert_with(|| DeviceStatus { sessions: 0, ..device.clone() });
            known.sessions += device.sessions;
            known.at_ms = known.at_ms.max(device.at_ms);
        }
    }
    devices.into_values().collect()
}

fn all_devices(desk: &desk::Desk) -> Vec<DeviceStatus> {
    let count = |sessions: usize| u32::try_from(sessions).unwrap_or(u32::MAX);
    let own = DeviceStatus {
        device: desk.vault.device(),
        name: desk.vault.name.clone(),
        kind: desk.vault.kind.to_string(),
        this: true,
        at_ms: desk.saved_ms.unwrap_or(0),
        sessions: count(desk.own.sessions.len()),
    };
    let peers = desk.peers.values().map(|peer| DeviceStatus {
        device: peer.reference.device,
        name: peer.head.name.clone(),
        kind: peer.head.kind.to_string(),
        this: false,
        at_ms: peer.head.at_ms,
        sessions: count(peer.sessions.len()),
    });
    std::iter::once(own).chain(peers).collect()
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
        let desk = lock(&place.desk);
        problems.extend(desk.doubts.values().cloned());
        problems.extend(desk.ailing.values().cloned());
        problems.extend(moved(&place, &desk));
    }
    problems.extend(house.homes().iter().filter_map(|home| not_agreed(house, home)));
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
