//! Looks at transcripts' sizes and times, and finds out which enabled project each belongs to.
//!
//! The project is the repository of the working directory that the transcript itself records; a folder's
//! name is never decoded. Only where the recorded directory is not the one the folder is named after (a
//! transcript that came from another device) does the folder decide: it must be the one Claude Code uses
//! for an enabled project's path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convosync_core::claude::{self, ClaudeRoot};
use convosync_core::disk;
use convosync_core::id::SessionId;
use convosync_core::transcript::{self, Discovery, SessionFiles};

use crate::engine::{Event, Sighting, Stamp, StoreKey};
use crate::house::{Found, Home, House, lock};

/// What a scan of a whole root found out, for `status`.
#[derive(Debug, Clone, Default)]
pub struct RootReport {
    /// Transcripts there.
    pub sessions: usize,
    /// Files left out, with the reason in words.
    pub skipped: Vec<(PathBuf, String)>,
    /// Why the root cannot be read at all.
    pub problem: Option<(String, Option<String>)>,
}

/// A session of an enabled project, in one of the places where it was found.
struct Candidate {
    home: Arc<Home>,
    files: SessionFiles,
    cwd: Option<PathBuf>,
}

/// The best of the places of each session that were looked at so far.
type Candidates = BTreeMap<(StoreKey, SessionId), Candidate>;

/// Looks at every root, and returns what was found in each. Only then is anything told: a session may lie in
/// several places, and the first one that is looked at need not be the one where it goes on.
pub fn scan_all(house: &House, now_ms: i64) -> BTreeMap<PathBuf, RootReport> {
    let mut reports = BTreeMap::new();
    let mut live = BTreeMap::new();
    let mut candidates = Candidates::new();
    for path in &house.claude_roots() {
        let root = ClaudeRoot::new(path.clone());
        let mut report = RootReport::default();
        let visited = lock(&house.scanner).visit(&root, &mut |found| {
            report.add(take_in(house, &root, found, &mut candidates));
        });
        if let Err(error) = visited {
            tracing::debug!(root = %root.path().display(), %error, "a Claude root cannot be looked at");
            report.problem = Some((error.to_string(), error.hint()));
        }
        reports.insert(path.clone(), report);
        live.extend(live_in(&root, now_ms));
    }
    tell_seen(house, candidates, now_ms);
    house.report(Event::Live(live));
    reports
}

/// Looks at the folders that a watcher named; at everything, when there is a session that was not known.
pub fn scan_folders(house: &House, folders: &BTreeSet<PathBuf>, now_ms: i64) {
    let roots: Vec<ClaudeRoot> = house.claude_roots().into_iter().map(ClaudeRoot::new).collect();
    let mut candidates = Candidates::new();
    for folder in folders {
        let Some(root) = roots.iter().find(|root| folder.starts_with(root.projects())) else {
            continue;
        };
        let found = lock(&house.scanner).discover_dir(folder);
        match found {
            Ok(found) => drop(take_in(house, root, found, &mut candidates)),
            // It is gone again; what was saved stays.
            Err(error) => tracing::debug!(%error, "a folder cannot be looked at"),
        }
    }
    let is_known = |key| house.registry().found.contains_key(key);
    if candidates.keys().all(is_known) {
        tell_seen(house, candidates, now_ms);
    } else {
        drop(scan_all(house, now_ms));
    }
}

/// Reads Claude Code's live registry under every root.
pub fn scan_live(house: &House, now_ms: i64) {
    let live = house
        .claude_roots()
        .into_iter()
        .flat_map(|root| live_in(&ClaudeRoot::new(root), now_ms))
        .collect();
    house.report(Event::Live(live));
}

/// Returns the project folder among the transcripts that a changed path lies in: the first folder under
/// `projects`.
pub fn folder_of(roots: &[PathBuf], changed: &Path) -> Option<PathBuf> {
    roots.iter().find_map(|root| {
        let projects = ClaudeRoot::new(root.clone()).projects();
        let first = changed.strip_prefix(&projects).ok()?.components().next()?;
        Some(projects.join(first))
    })
}

fn live_in(root: &ClaudeRoot, now_ms: i64) -> BTreeMap<SessionId, bool> {
    let mut live = BTreeMap::new();
    for entry in claude::live_sessions(root, now_ms) {
        *live.entry(entry.session).or_default() |= entry.busy;
    }
    live
}

impl RootReport {
    fn add(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.skipped.extend(other.skipped);
    }
}

fn take_in(
    house: &House,
    root: &ClaudeRoot,
    discovery: Discovery,
    candidates: &mut Candidates,
) -> RootReport {
    let skipped =
        discovery.skipped.iter().map(|skip| (skip.path.clone(), skip.reason.to_string())).collect();
    let report = RootReport { sessions: discovery.sessions.len(), skipped, problem: None };
    for files in discovery.sessions {
        let cwd = recorded_cwd(house, &files);
        // Any session that belongs to no enabled project is none of our business.
        let Some(home) = owner(house, root, &files, cwd.as_deref(), candidates) else { continue };
        let key = (home.store, files.id.clone());
        if candidates.get(&key).is_none_or(|known| !is_better(&known.files, &files)) {
            candidates.insert(key, Candidate { home, files, cwd });
        }
    }
    report
}

fn tell_seen(house: &House, candidates: Candidates, now_ms: i64) {
    let sight = |(key, candidate)| sight(house, key, candidate, now_ms);
    let sightings: Vec<_> = candidates.into_iter().filter_map(sight).collect();
    if !sightings.is_empty() {
        house.report(Event::Seen(sightings));
    }
}

/// Notes a session where it was found, unless it is known from a better place.
fn sight(
    house: &House,
    key: (StoreKey, SessionId),
    Candidate { home, files, cwd }: Candidate,
    now_ms: i64,
) -> Option<Sighting> {
    let stamp = stamp_of(&files);
    let known = house.registry().found.get(&key).map(|found| found.files.clone());
    if known.as_ref().is_some_and(|known| is_better(known, &files)) {
        return None;
    }
    let is_new = known.is_none();
    let saved_before = is_new && is_covered(house, &key, &stamp);
    let sighting = Sighting {
        session: files.id.clone(),
        project: home.key,
        stamp,
        age_ms: now_ms.saturating_sub(stamp.modified_ms).max(0),
        saved_before,
    };
    house.registry().found.insert(key, Found { files, project: home.key, cwd });
    Some(sighting)
}

/// Whether a session that is found in two folders (after a move, or under two roots) goes on in the one that
/// is known: saving both in turn would replace the one by the other for ever.
fn is_better(known: &SessionFiles, found: &SessionFiles) -> bool {
    let (Some(main), Some(other)) = (known.main(), found.main()) else { return false };
    let written = |path: &Path| path.metadata().ok().map(|now| disk::modified_ms(&now));
    main.path != other.path
        && written(&main.path).is_some_and(|written_ms| written_ms >= other.modified_ms)
}

/// Returns the lengths and times of a session's files as one stamp.
pub fn stamp_of(files: &SessionFiles) -> Stamp {
    Stamp {
        bytes: files.files.iter().map(|file| file.length).sum(),
        modified_ms: files.modified_ms(),
        files: u32::try_from(files.files.len()).unwrap_or(u32::MAX),
    }
}

fn is_covered(house: &House, (store, session): &(StoreKey, SessionId), stamp: &Stamp) -> bool {
    let Some(place) = house.place(*store) else { return false };
    let desk = place.desk.lock();
    desk.covers(session, stamp.bytes, stamp.modified_ms)
}

/// The first working directory of a transcript, read once; a file that names none yet is asked again
/// when it has grown.
fn recorded_cwd(house: &House, files: &SessionFiles) -> Option<PathBuf> {
    let first = files.files.first()?;
    if let Some(known) = house.registry().cwds.of(&first.path, first.length) {
        return known.map(Path::to_owned);
    }
    let cwd = transcript::cwd_of(&first.path);
    house.registry().cwds.note(&first.path, first.length, cwd.as_deref());
    cwd
}

/// The recorded directory decides where it is the one that the folder is named after. Otherwise the
/// session moved here (`/cd`, a worktree) or was started elsewhere (another device, a moved project). One
/// that is saved already stays with the project it began in: it is one session, and its saves go on. Of any
/// other the folder decides, if it is an enabled project's.
fn owner(
    house: &House,
    root: &ClaudeRoot,
    files: &SessionFiles,
    cwd: Option<&Path>,
    candidates: &Candidates,
) -> Option<Arc<Home>> {
    let folder = files.slug_dir.file_name()?.to_str()?;
    let here = cwd.filter(|cwd| cwd.is_dir());
    if let Some(cwd) = here.filter(|cwd| claude::slug(cwd) == folder) {
        return house.owner(cwd);
    }
    let is_home =
        |home: &Arc<Home>| files.slug_dir == claude::slug_dir_for(root, &home.project.root);
    let began = here.and_then(|cwd| house.owner(cwd));
    if let Some(home) = began.as_ref().filter(|home| is_saved(house, home, &files.id, candidates)) {
        return Some(home.clone());
    }
    house.homes().into_iter().find(is_home).or(began)
}

/// Whether a session is one of this project, by what was found or saved before.
fn is_saved(house: &House, home: &Home, session: &SessionId, candidates: &Candidates) -> bool {
    let key = (home.store, session.clone());
    let before = candidates.get(&key).map(|candidate| candidate.home.key);
    let found = before.or_else(|| house.registry().found.get(&key).map(|found| found.project));
    let Some(place) = house.place(home.store) else { return false };
    found == Some(home.key) || found.is_none() && place.desk.lock().has_saved(session)
}

/// Every working directory that a transcript on this device names and that exists.
pub fn all_cwds(house: &House) -> BTreeSet<PathBuf> {
    let mut cwds = BTreeSet::new();
    for root in house.claude_roots() {
        let found = lock(&house.scanner).discover(&ClaudeRoot::new(root));
        let sessions = found.map(|found| found.sessions).unwrap_or_default();
        cwds.extend(
            sessions
                .iter()
                .filter_map(|files| recorded_cwd(house, files))
                .filter(|cwd| cwd.is_dir()),
        );
    }
    cwds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_belongs_to_the_first_folder_under_projects() {
        let roots = [PathBuf::from("/h/.claude"), PathBuf::from("/other")];
        let of = |path: &str| folder_of(&roots, Path::new(path));
        assert_eq!(of("/h/.claude/projects/-a/x.jsonl"), Some("/h/.claude/projects/-a".into()));
        assert_eq!(
            of("/other/projects/-b/x/subagents/agent-1.jsonl"),
            Some("/other/projects/-b".into())
        );
        assert_eq!(of("/h/.claude/projects"), None);
        assert_eq!(of("/h/.claude/sessions/12.json"), None);
    }
}
