//! The code that goes with a save: captured into the session's code log before the session is recorded.
//!
//! The code logs lie in a folder of the state directory, one a session; all of them can be made anew, from
//! the store or from the repository. A session has one for its own repository, and one for each further one
//! that it worked in.

mod further;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use convosync_core::capture::{self, Captured, NONE_GONE, Objects, Scope, Spool};
use convosync_core::cause::with_causes;
use convosync_core::code::{Guard, Limits, Omission, RepoPath, Withheld};
use convosync_core::disk::{self, NewFile};
use convosync_core::history::{History, Reader};
use convosync_core::id::{DeviceId, Digest, LogId, LogName, RepositoryKey, SessionId};
use convosync_core::project;
use convosync_core::protocol::{CodeLeftOut, Failure, LeftOut, Warning};
use convosync_core::seal::{CodePoint, CodeSaved, LogState};
use convosync_core::transcript::LogFile;

use crate::autosave;
use crate::captures::{Captures, Report};
use crate::clock::now_ms;
use crate::fail;
use crate::house::{Home, House, Place, lock};

pub use further::{Others, take as take_further};

/// The folder of all code logs, among what can be rebuilt.
const CODE: &str = "code";

/// The folder of the code logs of further repositories, named after the repository and then the session.
const FURTHER: &str = "further-code";

/// The folder of code logs that were opened for a client, which removes them.
pub const OPENED: &str = "opened-code";

/// The code log of a session that was not saved for so long is removed: it is in the store, too.
const KEPT_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// A client that has not removed opened code for so long is gone.
const OPENED_KEPT_MS: i64 = 3_600 * 1_000;

/// The largest code log that is opened from the store so that the next state goes on from it. A larger
/// one is begun anew.
const REOPEN_MAX: u64 = 64 << 20;

/// Why an automatic save has no code.
const LEFT_OUT: &str = "only a save by hand takes the code along (`autosave.code`)";

/// How many paths that were left out are named: the first tell the story.
const LEFT_OUT_SHOWN_MAX: usize = 20;

/// What the next record of a session says of its code.
#[derive(Debug)]
pub struct Taken {
    /// Where the repository stands, and what of it is saved.
    pub point: CodePoint,
    /// The code log that holds it.
    pub log: Option<LogFile>,
    /// Whether it is worth a save though nothing changed: what the last one stands on is gone.
    pub insist: bool,
}

/// The last save of a session, and who asks.
#[derive(Debug)]
pub struct Before {
    base: Option<History>,
    device: DeviceId,
}

impl Before {
    /// Opens the last save of a session.
    pub fn of(place: &Place, session: &SessionId) -> Self {
        let desk = place.desk.lock();
        Self { base: desk.base_of(session), device: desk.vault.device() }
    }
}

/// One repository of a session, and what the last save said of it.
#[derive(Clone, Copy)]
struct Subject<'a> {
    /// Where the session is saved.
    place: &'a Place,
    /// Where the branches are listed that the repository is pushed to, if they are.
    listed: Option<&'a Place>,
    /// Whose repository.
    home: &'a Home,
    session: &'a SessionId,
    /// Which of the further ones it is; `None` for the session's own.
    further: Option<RepositoryKey>,
    /// The last save.
    base: Option<&'a History>,
    /// Where the repository stood then, and whether this device said so.
    before: Option<(bool, &'a CodePoint)>,
}

impl Subject<'_> {
    fn log(&self) -> LogId {
        self.further.map_or_else(LogId::code, LogId::code_of)
    }

    /// The log that the last save has the code in.
    fn base_log(&self) -> Option<(LogName, &LogState)> {
        let base = self.base?;
        match self.further {
            None => base.code_log(),
            Some(key) => {
                let further = base.record.further.iter().find(|further| further.key == key)?;
                base.code_log_of(further)
            }
        }
    }
}

/// Captures the code of a session's project, unless nothing changed since the session's last save.
pub fn take(
    house: &House,
    (place, home): (&Place, &Home),
    captures: &mut Captures,
    (session, Before { base, device }): (&SessionId, &Before),
    mut point: CodePoint,
    by_hand: bool,
) -> Taken {
    if !by_hand && autosave::leaves_out_code(house, home) {
        lock(&place.bases).forget(session);
        point.saved = CodeSaved::Withheld(LEFT_OUT.to_owned());
        // A save by hand finds that it is not what was saved, and takes it along.
        point.fingerprint = Digest::NONE;
        return Taken { point, log: None, insist: false };
    }
    if !house.config().code.capture {
        lock(&place.bases).forget(session);
        return Taken { point, log: None, insist: false };
    }
    let base = base.as_ref();
    let before =
        base.and_then(|base| Some((base.record.device == *device, base.record.code.as_ref()?)));
    let listed = Some(place).filter(|place| is_pushed_here(place, home));
    let subject = Subject { place, listed, home, session, further: None, base, before };
    capture_one(house, subject, captures, point)
}

/// Captures the code of one repository, unless nothing changed since the last save, and what that stands on is
/// there still.
fn capture_one(
    house: &House,
    subject: Subject<'_>,
    captures: &mut Captures,
    mut point: CodePoint,
) -> Taken {
    let is_lost = subject.listed.is_some_and(|at| lock(&at.bases).is_lost(subject.session));
    if let Some(point) = as_before(subject, &point).filter(|_| !is_lost) {
        // The log is in the store already, and need not be looked at.
        return Taken { point, log: None, insist: false };
    }
    let path = log_path(house, subject);
    match capture_into(house, subject, captures, &path) {
        Ok(Ok(captured)) => {
            let omitted = captured.state.omitted.clone();
            report(house, subject.home, Report { omitted, withheld: None });
            point.saved = if captured.state.is_plain() { CodeSaved::Plain } else { CodeSaved::Log };
        }
        Ok(Err(withheld)) => {
            if matches!(withheld, Withheld::Restoring | Withheld::Changing) {
                point.fingerprint = Digest::NONE;
            }
            withhold(house, &mut point, subject.home, withheld);
        }
        Err(error) => {
            tracing::warn!("the code of a project could not be captured");
            tracing::debug!(reason = with_causes(&error), "the code could not be captured");
            withhold(house, &mut point, subject.home, Withheld::Unwritten(first_cause(&error)));
            // Whatever the repository is at: the next look at it finds that it is not what was saved.
            point.fingerprint = Digest::NONE;
        }
    }
    let log = (point.saved == CodeSaved::Log).then(|| log_file(subject.log(), path)).flatten();
    let insist = is_lost && matches!(point.saved, CodeSaved::Plain | CodeSaved::Log);
    Taken { point, log, insist }
}

/// Says that a save is without the code, and why.
fn withhold(house: &House, point: &mut CodePoint, home: &Home, withheld: Withheld) {
    point.saved = CodeSaved::Withheld(withheld.to_string());
    report(house, home, Report { omitted: BTreeMap::new(), withheld: Some(withheld) });
}

/// Keeps for `status` what of a project's code was left out.
fn report(house: &House, home: &Home, report: Report) {
    if let Some(place) = house.place(home.store) {
        lock(&place.left_out).insert(home.key, report);
    }
}

/// What all of it comes from: it names no file of ours.
fn first_cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.last().unwrap_or(error).to_string()
}

/// What the save before said, where nothing changed since then and this device made it.
fn as_before(subject: Subject<'_>, now: &CodePoint) -> Option<CodePoint> {
    let (is_own, then) = subject.before?;
    let is_taken = matches!(then.saved, CodeSaved::Plain | CodeSaved::Log);
    if !is_own || !is_taken || then.fingerprint != now.fingerprint {
        return None;
    }
    Some(CodePoint { saved: then.saved.clone(), ..now.clone() })
}

fn capture_into(
    house: &House,
    subject: Subject<'_>,
    captures: &mut Captures,
    path: &Path,
) -> Result<Result<Captured, Withheld>, capture::CaptureError> {
    let Subject { place, listed, home, session, further, .. } = subject;
    if let Some(dir) = path.parent() {
        disk::private_dir(dir)?;
    }
    reopen(subject, path);
    let mut spool = Spool::open(path)?;
    let memory = captures.memory(session, further);
    let config = house.config();
    let user_home = house.git.home().unwrap_or(Path::new(""));
    let guard = Guard::of(&config.code, &home.project.root, user_home);
    let gone = listed.map(|at| lock(&at.bases).gone_for(session)).unwrap_or_default();
    let scope = Scope {
        project: &home.project,
        git: &house.git,
        guard: &guard,
        limits: Limits::of(&config.code),
        room: None,
        objects: Objects::Unpushed,
        gone: &gone,
        passed_over: None,
        heard: None,
        now_ms: now_ms(),
    };
    let captured = capture::capture(&scope, &mut spool, memory)?;
    if let Some(at) = listed
        && captured.as_ref().is_err_and(is_too_much)
        && !gone.is_empty()
    {
        // The host may have those commits still.
        lock(&at.bases).give_up(session);
        return capture::capture(&Scope { gone: NONE_GONE, ..scope }, &mut spool, memory);
    }
    match (&captured, listed) {
        (Ok(captured), Some(at)) => lock(&at.bases).note(session, &captured.state.bases),
        (Ok(_), None) if further.is_none() => lock(&place.bases).forget(session),
        _ => {}
    }
    Ok(captured)
}

/// Whether it cannot be captured because more would have to travel than can.
fn is_too_much(withheld: &Withheld) -> bool {
    matches!(
        withheld,
        Withheld::CommitsTooLarge { .. }
            | Withheld::TooManyCommits
            | Withheld::TooManyFiles { .. }
            | Withheld::GuardedCommits { .. }
            | Withheld::Shallow
            | Withheld::Missing(_)
    )
}

/// Whether the commits of a project are pushed to a remote that is listed, so that what is found there tells of
/// them.
fn is_pushed_here(place: &Place, home: &Home) -> bool {
    let there = place.url().as_deref().and_then(project::normalise);
    there.is_some() && there == home.project.push_url.as_deref().and_then(project::normalise)
}

/// Removes code logs that nothing went on from for long, opened ones whose client is gone, and what a killed
/// daemon left unfinished.
pub fn sweep(house: &House, now_ms: i64) {
    let kept = now_ms - KEPT_MS;
    let folders = [(CODE, kept), (FURTHER, kept), (OPENED, now_ms - OPENED_KEPT_MS)];
    for (folder, before_ms) in folders {
        let folder = house.paths.state_dir.join(folder);
        // Nobody else writes here.
        let removed = disk::remove_leftovers(&folder, i64::MAX);
        if let Err(error) = removed.map(drop)
            && !error.is_missing()
        {
            tracing::debug!(%error, "what a killed daemon left stays");
        }
        let entries = std::fs::read_dir(folder);
        for entry in entries.into_iter().flatten().flatten() {
            let is_old = entry.metadata().is_ok_and(|found| disk::modified_ms(&found) < before_ms);
            if is_old && let Err(error) = disk::remove_file(&entry.path()) {
                tracing::debug!(%error, "an old code log stays");
            }
        }
    }
}

/// Puts the code log of a session that goes on from another device's, or whose log was lost, where the
/// next state is appended to it. Where that fails, the log is begun anew.
fn reopen(subject: Subject<'_>, path: &Path) {
    let Some((base, (name, state))) = subject.base.zip(subject.base_log()) else { return };
    let here = std::fs::symlink_metadata(path).map_or(0, |found| found.len());
    if here >= state.length || state.length > REOPEN_MAX {
        return;
    }
    let held = subject.place.desk.lock();
    if let Err(failure) = open_into(held.reader(), base, name, path) {
        tracing::debug!(reason = failure.message, "a code log is begun anew");
    }
}

/// Opens a code log into the file at `path`, which counts only once all of it was checked.
///
/// # Errors
/// A [`Failure`] when the log is damaged or the disk full; what was at `path` is as it was.
pub fn open_into(
    reader: Reader<'_>,
    history: &History,
    name: LogName,
    path: &Path,
) -> Result<(), Failure> {
    let mut file = NewFile::create(path).map_err(|error| fail::disk(&error))?;
    reader
        .open_log(history, name, &mut |raw| file.write_all(raw))
        .map_err(|error| fail::history(&error))?;
    file.finish_replacing().map_err(|error| fail::disk(&error))
}

/// Where a code log of a session lies.
fn log_path(house: &House, subject: Subject<'_>) -> PathBuf {
    let session = subject.session;
    match subject.further {
        None => house.paths.state_dir.join(CODE).join(session.as_str()),
        Some(key) => house.paths.state_dir.join(FURTHER).join(format!("{key}-{session}")),
    }
}

fn log_file(log: LogId, path: PathBuf) -> Option<LogFile> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::symlink_metadata(&path).ok()?;
    let (length, modified_ms, inode) = (found.len(), disk::modified_ms(&found), found.ino());
    Some(LogFile { log, path, length, modified_ms, inode })
}

/// What people are told of a capture.
pub fn told(report: &Report) -> CodeLeftOut {
    CodeLeftOut {
        withheld: report.withheld.as_ref().map(|withheld| Warning {
            loud: true,
            message: withheld.to_string(),
            hint: withheld
                .hint()
                .or_else(|| fail::machine_hint(&withheld.to_string()).map(str::to_owned)),
        }),
        paths: left_out(report.omitted.iter().take(LEFT_OUT_SHOWN_MAX)),
        count: u32::try_from(report.omitted.len()).unwrap_or(u32::MAX),
        repositories: Vec::new(),
    }
}

fn left_out<'a>(omitted: impl Iterator<Item = (&'a RepoPath, &'a Omission)>) -> Vec<LeftOut> {
    let told = |(path, omission): (&RepoPath, &Omission)| LeftOut {
        path: path.shown(),
        why: omission.why.as_str().to_owned(),
        size: omission.size,
    };
    omitted.map(told).collect()
}
