//! The way out: transcript → log → seal → store.
//!
//! [`record`] turns what grew in one session since its last save into sealed objects and a session
//! commit; [`Own::publish`] puts any number of recorded sessions into the next tip and moves our ref,
//! which is the one atomic step. Until that move nothing is acknowledged and nothing is lost: what is
//! remembered ([`Ledger`]) only changes afterwards. Sending the ref is `remote`'s.

mod course;
mod growth;
mod own;
mod summary;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::context::Tree;
use crate::disk::DiskError;
use crate::history::{History, HistoryError, is_full, record_path};
use crate::id::{Digest, LogId, LogName, Oid, Random, SessionId, SessionName};
use crate::log::{Cursor, LogError};
use crate::seal::{
    CodePoint, CodeSaved, Codec, Further, LogState, SaveRecord, SealError, Sealed, Summary,
    Surroundings, seal_save,
};
use crate::store::{Store, StoreError};
use crate::transcript::{LogFile, Scan, SessionFiles};
use crate::vault::Vault;

pub use own::Own;
pub use summary::ProjectFacts;

/// What a save is called when the user says nothing (the original specification's words for it).
pub const DEFAULT_MESSAGE: &str = "WIP: sync session";

/// Why a session could not be saved. The session stays as it was; other sessions go on.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// A file cannot be opened.
    #[error("open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DiskError,
    },
    /// A file cannot be read, or does not hold still.
    #[error("read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: LogError,
    },
    /// Sealing failed.
    #[error("seal session {session}")]
    Seal {
        /// The session.
        session: SessionId,
        /// Why.
        source: SealError,
    },
    /// The store could not be read or written: a full disk, mostly.
    #[error("write to the store")]
    Store(#[from] StoreError),
    /// What was saved before cannot be read.
    #[error("go on from the last save")]
    History(#[from] HistoryError),
    /// Our own head cannot be opened.
    #[error("open this device's own head")]
    OwnHead(#[source] SealError),
}

/// What recording needs and does not change.
#[derive(Clone, Copy)]
pub struct Pen<'a> {
    /// Where objects go.
    pub store: &'a Store,
    /// Who writes, and with which keys.
    pub vault: &'a Vault,
    /// How chunks are compressed.
    pub codec: Codec,
    /// About how many new bytes of a session are taken in at once: what is more waits for its next save.
    pub room: u64,
}

/// What this device knows of one session between two saves. Cheap to clone; everything in it can be
/// rebuilt from the store and the transcript.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The save that the next one goes on from.
    pub base: Option<History>,
    cursors: BTreeMap<LogName, Cursor>,
    scan: Scan,
    /// How many bytes of the main transcript `scan` has taken in.
    scanned: u64,
    /// Digests of the torn tails that the base holds.
    tails: BTreeMap<LogName, Digest>,
    /// A save of ours that the base does not go on from: the next one keeps it as a further parent, so that
    /// nothing saved is ever out of reach.
    left: Option<Oid>,
}

impl Ledger {
    /// Goes on from a save, of this device or another. `left` is a save of ours that it does not go on from.
    pub fn from_base(base: Option<History>, left: Option<Oid>) -> Self {
        Self { base, left, ..Self::default() }
    }
}

/// What is to be saved.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The session's files as they were found.
    pub files: &'a SessionFiles,
    /// The project it belongs to.
    pub project: &'a ProjectFacts,
    /// The state of the repository now.
    pub code: Option<CodePoint>,
    /// The code log, where it has grown by a state that is to be saved ([`CodeSaved::Log`]).
    pub code_log: Option<LogFile>,
    /// The further repositories that the session worked in; each with its code log, as above.
    pub further: Vec<(Further, Option<LogFile>)>,
    /// The work trees that the session's lines may have been written in, its own first.
    pub trees: &'a [Tree],
    /// Whether HEAD moved while the state of the repository was looked at: then the reflogs are newer than that.
    pub moved: bool,
    /// What the user says about this save.
    pub message: Option<String>,
    /// What surrounds it.
    pub surroundings: Surroundings,
    /// Makes a save even if nothing is new.
    pub insist: bool,
    /// Whether other devices are to show no notification of it.
    pub quiet: bool,
}

/// A session that was recorded and waits to be published.
#[derive(Debug)]
pub struct Recorded {
    /// Its name on the remote.
    pub name: SessionName,
    /// Its new commit.
    pub commit: Oid,
    /// What everybody will see of it.
    pub summary: Summary,
    /// The same, sealed.
    pub sealed_summary: Sealed,
    /// What to remember once it is published.
    pub ledger: Ledger,
    /// Sealed bytes of the new chunks.
    pub sealed_bytes: u64,
    /// How many bytes of the files are new in it.
    pub raw_bytes: u64,
    /// Whether more is there already, for which there was no room.
    pub is_cut: bool,
    /// Messages since the save before.
    pub new_messages: u32,
}

/// Records what is new in a session; `None` when nothing is.
///
/// # Errors
/// [`OutboundError`]; nothing is remembered or acknowledged then.
pub fn record(
    pen: Pen<'_>,
    ledger: &Ledger,
    request: &Request<'_>,
    now_ms: i64,
    random: &mut dyn Random,
) -> Result<Option<Recorded>, OutboundError> {
    let trace = course::begin(pen, ledger, request, now_ms);
    let mut work = growth::Work::new(pen, ledger.clone(), &request.files.id, trace);
    let recorded = take_in(pen, ledger, &mut work, request, now_ms, random).and_then(|is_news| {
        if is_news { finish(pen, &mut work, request, now_ms, random).map(Some) } else { Ok(None) }
    });
    if !matches!(recorded, Ok(Some(_))) {
        // On a full disk every try would leave more behind.
        pen.store.unwrite(&work.put);
    }
    recorded
}

/// Seals what is new, and says whether that is worth a save.
fn take_in(
    pen: Pen<'_>,
    ledger: &Ledger,
    work: &mut growth::Work<'_>,
    request: &Request<'_>,
    now_ms: i64,
    random: &mut dyn Random,
) -> Result<bool, OutboundError> {
    let further = request.further.iter().filter_map(|(_, log)| log.as_ref());
    for file in request.files.files.iter().chain(&request.code_log).chain(further) {
        if !work.has_room_for(file) {
            tracing::warn!(
                session = request.files.id.short(),
                "a session has too many files: the others are saved"
            );
            continue;
        }
        // A side file that vanished or is being rewritten waits for the next save; the main transcript
        // is the session.
        match work.take(file, random) {
            Err(error) if file.log != LogId::main() && error.is_passing() => {
                tracing::debug!(%error, "a file of a session waits for the next save");
            }
            result => result?,
        }
    }
    let facts = &work.ledger.scan.facts;
    let is_news =
        is_code_news(pen, ledger, request) || surroundings::is_news(ledger, request, facts, now_ms);
    Ok(work.is_changed() || request.insist || is_news)
}

impl OutboundError {
    /// Whether the file is at fault, and may be well again a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Read { .. })
    }
}

/// A changed repository is worth a save, but only on the device that made the last one: merely being on
/// another branch elsewhere says nothing about the session.
fn is_code_news(pen: Pen<'_>, ledger: &Ledger, request: &Request<'_>) -> bool {
    let Some(base) = &ledger.base else { return false };
    let before = base.record.code.as_ref().map(|code| code.fingerprint);
    let now = request.code.as_ref().map(|code| code.fingerprint);
    let is_own = base.record.device == pen.vault.device();
    is_own && (now.is_some() && before != now || has_further_news(&base.record, request))
}

/// Whether a further repository is another than in the save before, or new, or no longer one.
fn has_further_news(before: &SaveRecord, request: &Request<'_>) -> bool {
    let mark = |further: &Further| (further.key, further.device, further.code.fingerprint);
    let before: BTreeSet<_> = before.further.iter().map(mark).collect();
    before != request.further.iter().map(|(further, _)| mark(further)).collect()
}

/// Writes the record and the session's commit.
fn finish(
    pen: Pen<'_>,
    work: &mut growth::Work<'_>,
    request: &Request<'_>,
    now_ms: i64,
    random: &mut dyn Random,
) -> Result<Recorded, OutboundError> {
    let session = &request.files.id;
    let base = work.ledger.base.take();
    let mut record = next_record(pen, work, base.as_ref(), request, now_ms);
    record.course = course::told(work, base.as_ref(), record.full, record.messages);
    let seal_error = |source| OutboundError::Seal { session: session.clone(), source };
    let sealed = seal_save(&pen.vault.keys, session, &record, random).map_err(seal_error)?;
    let digest = sealed.digest();
    work.put.push((record_path(record.number), pen.store.write(&sealed.into_bytes())?));
    let base_commit = base.as_ref().map(|base| base.commit);
    let parents: Vec<Oid> = base_commit.into_iter().chain(work.ledger.left).collect();
    let commit = pen.store.commit_written(&parents, &work.put, &work.drop)?;
    let (environment, shell) = surroundings::after(base.as_ref(), &record);
    let history = History {
        session: session.clone(),
        commit,
        digest,
        logs: std::mem::take(&mut work.logs),
        course: course::after(base.as_ref(), &record),
        environment,
        shell,
        record,
    };
    let summary = summary::of(&history, &work.ledger.scan.facts, request, pen.vault.device());
    let sealed_summary = summary::seal(pen.vault, &summary, random).map_err(seal_error)?;
    let messages_before = base.map_or(0, |base| base.record.messages);
    Ok(Recorded {
        name: pen.vault.keys.session_name(session),
        commit,
        new_messages: summary.messages.saturating_sub(messages_before),
        summary,
        sealed_summary,
        sealed_bytes: work.sealed_bytes,
        raw_bytes: work.raw_bytes,
        is_cut: work.is_cut,
        ledger: Ledger { base: Some(history), left: None, ..std::mem::take(&mut work.ledger) },
    })
}

/// The repository's state. A code log that could not be taken in waits for the next save; where there is none
/// to take in, the state is the one that the save before has.
fn code_of(
    work: &growth::Work<'_>,
    base: Option<&History>,
    request: &Request<'_>,
) -> Option<CodePoint> {
    let code = request.code.clone()?;
    let was_in = base.is_some_and(|base| base.code_log().is_some());
    Some(if_in(work, code, &LogId::code(), request.code_log.as_ref(), was_in))
}

/// The same of the further repositories.
fn further_of(
    work: &growth::Work<'_>,
    base: Option<&History>,
    request: &Request<'_>,
) -> Vec<Further> {
    let one = |(further, file): &(Further, Option<LogFile>)| {
        let before = base.and_then(|base| {
            let before = base.record.further.iter().find(|before| before.key == further.key)?;
            base.code_log_of(before)
        });
        let (code, log) = (further.code.clone(), LogId::code_of(further.key));
        let code = if_in(work, code, &log, file.as_ref(), before.is_some());
        Further { code, ..further.clone() }
    };
    request.further.iter().map(one).collect()
}

fn if_in(
    work: &growth::Work<'_>,
    mut code: CodePoint,
    log: &LogId,
    file: Option<&LogFile>,
    was_in: bool,
) -> CodePoint {
    let state = || work.logs.values().find(|state| state.log == *log);
    let is_in = match file {
        Some(file) => state().is_some_and(|state: &LogState| state.length == file.length),
        None => was_in && state().is_some(),
    };
    if code.saved == CodeSaved::Log && !is_in {
        code.saved = CodeSaved::Nothing;
    }
    code
}

fn next_record(
    pen: Pen<'_>,
    work: &growth::Work<'_>,
    base: Option<&History>,
    request: &Request<'_>,
    now_ms: i64,
) -> SaveRecord {
    let number = base.map_or(1, |base| base.record.number + 1);
    // Where nothing of the save before could be read, readers must not need it either.
    let full = is_full(number) || base.is_none_or(|base| base.logs.is_empty());
    let changed = work.logs.iter().filter(|(name, _)| full || work.changed.contains(name));
    SaveRecord {
        number,
        at_ms: now_ms,
        device: pen.vault.device(),
        // The word of the user belongs to the save that holds everything.
        message: request.message.clone().filter(|_| !work.is_cut),
        previous: base.map_or(Digest::NONE, |base| base.digest),
        full,
        code: code_of(work, base, request),
        further: further_of(work, base, request),
        course: None,
        surroundings: surroundings::told(base, request, full, &work.ledger.scan.facts, now_ms),
        messages: work.ledger.scan.facts.messages,
        logs: changed.map(|(_, state)| state.clone()).collect(),
        gone: Vec::new(),
        parents: Vec::new(),
    }
}
