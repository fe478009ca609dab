//! Save records: one recorded state of a session.
//!
//! A record lists the logs that changed since the record before; a full one lists all. Each names
//! the digest of the one before, and the summary names the last: nothing can be taken out.

mod course;
mod further;
mod surroundings;

use super::context::Context;
use super::envelope::{Binding, Sealed, padme};
use super::head::cut;
use super::key::{KeyRing, Purpose, role_byte, role_of};
use super::{SealError, malformed};
use crate::context::Course;
use crate::id::{
    DeviceId, Digest, Generation, LogId, LogName, Oid, Random, RepositoryKey, Role, SessionId,
};
use crate::wire::{Fields, WireError, Writer};

pub use further::{FURTHER_MAX, Further};
pub use surroundings::{Maker, Surroundings};

/// The longest message of a save in bytes; what is longer is cut.
pub const MESSAGE_MAX: usize = 2 << 10;
/// The longest name of a branch or upstream in bytes: git's own limit for a ref is a path's.
const REF_MAX: usize = 4 << 10;
/// The longest reason why no code was saved, in bytes; what is longer is cut.
const WHY_MAX: usize = 512;
/// Stands for [`CodeSaved::Plain`].
const PLAIN: u64 = 1;
/// Stands for [`CodeSaved::Log`].
const IN_LOG: u64 = 2;
/// The longest path of a log in bytes: Linux's limit for a path.
const PATH_MAX: usize = 4 << 10;

/// How many earlier snapshots of one generation may stand beside the newest.
pub const EARLIER_MAX: usize = 16;

const WHAT: &str = "save record";

mod tag {
    pub(super) const AT: u8 = 1;
    pub(super) const DEVICE: u8 = 2;
    pub(super) const PREVIOUS: u8 = 3;
    pub(super) const FULL: u8 = 4;
    pub(super) const MESSAGES: u8 = 5;
    pub(super) const MESSAGE: u8 = 6;
    pub(super) const CODE: u8 = 7;
    pub(super) const LOG: u8 = 8;
    pub(super) const GONE: u8 = 9;
    pub(super) const PARENT: u8 = 10;
    pub(super) const FURTHER: u8 = 11;
    pub(super) const FURTHER_LOG: u8 = 12;
    pub(super) const COURSE: u8 = 16;

    pub(super) mod code {
        pub(in super::super) const BRANCH: u8 = 1;
        pub(in super::super) const COMMIT: u8 = 2;
        pub(in super::super) const UPSTREAM: u8 = 3;
        pub(in super::super) const DIRTY: u8 = 4;
        pub(in super::super) const FINGERPRINT: u8 = 5;
        pub(in super::super) const REMOTE: u8 = 6;
        pub(in super::super) const SAVED: u8 = 7;
        pub(in super::super) const WITHHELD: u8 = 8;
    }

    /// The first four are a log's and a parent's alike.
    pub(super) mod log {
        pub(in super::super) const ROLE: u8 = 1;
        pub(in super::super) const PATH: u8 = 2;
        pub(in super::super) const GENERATION: u8 = 3;
        pub(in super::super) const LENGTH: u8 = 4;
        pub(in super::super) const SEQUENCE: u8 = 5;
        pub(in super::super) const SNAPSHOT: u8 = 6;
        pub(in super::super) const SNAPSHOT_LENGTH: u8 = 7;
        pub(in super::super) const SNAPSHOT_MESSAGES: u8 = 8;
        pub(in super::super) const SEALED: u8 = 9;
        pub(in super::super) const LAST: u8 = 10;
        pub(in super::super) const CONTENT: u8 = 11;
        pub(in super::super) const WINDOW: u8 = 12;
        pub(in super::super) const TAIL: u8 = 13;
        pub(in super::super) const EARLIER: u8 = 14;
    }
}

/// How far one log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// Which file.
    pub log: LogId,
    /// Which append history of it.
    pub generation: Generation,
    /// How many raw bytes the log holds.
    pub length: u64,
    /// The number of its last chunk.
    pub sequence: u32,
    /// The number of the chunk that starts at byte 0.
    pub snapshot: u32,
    /// The numbers of earlier snapshots of this generation that are still in the session's newest tree,
    /// oldest first.
    pub earlier: Vec<u32>,
    /// How many raw bytes the log held after that snapshot.
    pub snapshot_length: u64,
    /// How many messages the session had at that snapshot.
    pub snapshot_messages: u32,
    /// How many sealed bytes that snapshot and the chunks since have.
    pub sealed: u64,
    /// The digest of its last chunk.
    pub last: Digest,
    /// The digest of all its raw bytes.
    pub content: Digest,
    /// The digest of its last 64 KiB of raw bytes, or of all if it has fewer.
    pub window: Digest,
    /// The digest of the sealed torn tail, if there is one.
    pub tail: Option<Digest>,
}

/// What the repository looked like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePoint {
    /// The branch, unless HEAD is detached.
    pub branch: Option<String>,
    /// The commit, unless there is none yet.
    pub commit: Option<Oid>,
    /// What the branch follows.
    pub upstream: Option<String>,
    /// Whether anything differs from the commit.
    pub dirty: bool,
    /// A digest of everything that counts as a change of the repository.
    pub fingerprint: Digest,
    /// What of it was saved.
    pub saved: CodeSaved,
}

/// What of the code was saved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CodeSaved {
    /// Nothing: the conversation alone.
    #[default]
    Nothing,
    /// Branch and commit say everything: the remote had the commit, and nothing differed from it.
    Plain,
    /// The state that the code log ends with.
    Log,
    /// Nothing, and this is why.
    Withheld(String),
}

/// A state that a resolution of two histories took in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Which file.
    pub log: LogId,
    /// Which append history of it.
    pub generation: Generation,
    /// How many raw bytes it had.
    pub length: u64,
    /// The digest of its last chunk.
    pub digest: Digest,
}

/// One recorded state of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveRecord {
    /// The save's number, from 1. Bound, not stored.
    pub number: u32,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// Which device made it.
    pub device: DeviceId,
    /// What the user said about it.
    pub message: Option<String>,
    /// The digest of the sealed record before; [`Digest::NONE`] for the first.
    pub previous: Digest,
    /// Whether it lists every log, not only those that changed.
    pub full: bool,
    /// What the repository looked like.
    pub code: Option<CodePoint>,
    /// How many messages the session has.
    pub messages: u32,
    /// What further repositories that the session worked in looked like; at most [`FURTHER_MAX`].
    pub further: Vec<Further>,
    /// Where the code stood while the lines were written that are new in this save; a full one tells it of all
    /// lines. Absent where no repository was looked at.
    pub course: Option<Course>,
    /// What surrounded it.
    pub surroundings: Surroundings,
    /// The logs that changed, or all.
    pub logs: Vec<LogState>,
    /// The logs that are no longer part of the session.
    pub gone: Vec<LogName>,
    /// What a resolution took in; empty for any other save.
    pub parents: Vec<Parent>,
}

/// Seals a save record for its session and number.
///
/// # Errors
/// [`SealError::Malformed`] for a log whose path leads out of its folder or that has too many earlier
/// snapshots, [`SealError::TooLarge`] for too many logs (about 4000 fit).
pub fn seal_save(
    keys: &KeyRing,
    session: &SessionId,
    record: &SaveRecord,
    random: &mut dyn Random,
) -> Result<Sealed, SealError> {
    let ids = record
        .logs
        .iter()
        .map(|log| &log.log)
        .chain(record.parents.iter().map(|parent| &parent.log));
    for id in ids {
        check_path(id).map_err(malformed(WHAT))?;
    }
    if let Some(log) = record.logs.iter().find(|log| log.earlier.len() > EARLIER_MAX) {
        let len = log.earlier.len();
        return Err(malformed(WHAT)(WireError::Length { tag: tag::log::EARLIER, len }));
    }
    binding(keys, session, record.number).seal_record(keys, &write(record), padme, random)
}

/// Opens the save record with this number.
///
/// # Errors
/// When it was damaged, or is of another session or number.
pub fn open_save(
    keys: &KeyRing,
    session: &SessionId,
    number: u32,
    sealed: &Sealed,
) -> Result<SaveRecord, SealError> {
    let record = binding(keys, session, number).open_record(keys, sealed)?;
    read(number, &record).map_err(malformed(WHAT))
}

pub(super) fn binding<'a>(keys: &KeyRing, session: &'a SessionId, number: u32) -> Binding<'a> {
    let context = Context::new("convosync/1 save", keys.vault())
        .item(session.as_str().as_bytes())
        .number(u64::from(number));
    Binding { purpose: Purpose::Save(session), context }
}

pub(super) fn write(save: &SaveRecord) -> Vec<u8> {
    let mut record = Writer::new();
    record
        .time(tag::AT, Some(save.at_ms))
        .bytes(tag::DEVICE, &save.device.0)
        .optional(tag::PREVIOUS, (save.previous != Digest::NONE).then_some(&save.previous.0))
        .flag(tag::FULL, save.full)
        .number(tag::MESSAGES, u64::from(save.messages))
        .optional(
            tag::MESSAGE,
            save.message.as_deref().map(|message| cut(message, MESSAGE_MAX).as_bytes()),
        );
    if let Some(code) = &save.code {
        record.bytes(tag::CODE, &write_code(code));
    }
    for log in save.logs.iter().filter(|state| !is_further(&state.log)) {
        record.bytes(tag::LOG, &write_log(log));
    }
    for name in &save.gone {
        record.bytes(tag::GONE, &name.0);
    }
    for parent in &save.parents {
        record.bytes(tag::PARENT, &write_parent(parent));
    }
    for one in &save.further {
        record.bytes(tag::FURTHER, &further::write(one));
    }
    for log in save.logs.iter().filter(|state| is_further(&state.log)) {
        record.bytes(tag::FURTHER_LOG, &write_log(log));
    }
    record.optional(tag::COURSE, save.course.as_ref().map(course::write).as_deref());
    surroundings::write(&mut record, &save.surroundings);
    record.finish()
}

fn read(number: u32, bytes: &[u8]) -> Result<SaveRecord, WireError> {
    let fields = Fields::parse(bytes)?;
    let gone = |name: &[u8]| {
        name.try_into()
            .map(LogName)
            .map_err(|_| WireError::Length { tag: tag::GONE, len: name.len() })
    };
    Ok(SaveRecord {
        number,
        at_ms: fields.time(tag::AT)?.ok_or(WireError::Missing(tag::AT))?,
        device: DeviceId(fields.required(tag::DEVICE)?),
        message: fields.text(tag::MESSAGE, MESSAGE_MAX)?,
        previous: fields.array(tag::PREVIOUS)?.map_or(Digest::NONE, Digest),
        full: fields.flag(tag::FULL)?,
        code: fields.bytes(tag::CODE)?.map(read_code).transpose()?,
        messages: fields.number(tag::MESSAGES)?,
        logs: read_logs(&fields)?,
        further: fields
            .all(tag::FURTHER)
            .take(FURTHER_MAX)
            .map(further::read)
            .collect::<Result<_, _>>()?,
        course: fields.bytes(tag::COURSE)?.map(course::read).transpose()?,
        surroundings: surroundings::read(&fields)?,
        gone: fields.all(tag::GONE).map(gone).collect::<Result<_, _>>()?,
        parents: fields.all(tag::PARENT).map(read_parent).collect::<Result<_, _>>()?,
    })
}

/// Whether a log is one that readers who know nothing of further repositories must pass over.
fn is_further(log: &LogId) -> bool {
    log.role == Role::Code && !log.path.is_empty()
}

fn read_logs(fields: &Fields<'_>) -> Result<Vec<LogState>, WireError> {
    let of = |tag: u8| {
        fields.all(tag).map(move |bytes| {
            let state = read_log(bytes)?;
            let is_here = is_further(&state.log) == (tag == tag::FURTHER_LOG);
            if is_here { Ok(state) } else { Err(WireError::Meaningless(tag::log::ROLE)) }
        })
    };
    of(tag::LOG).chain(of(tag::FURTHER_LOG)).collect()
}

/// An upstream is nearly always a remote's branch of the same name: then only the remote is written.
fn write_code(code: &CodePoint) -> Vec<u8> {
    let branch = code.branch.as_deref().map(|name| cut(name, REF_MAX));
    let upstream = code.upstream.as_deref().map(|name| cut(name, REF_MAX));
    let remote = upstream.zip(branch).and_then(|(upstream, branch)| remote_of(upstream, branch));
    let mut record = Writer::new();
    record
        .optional(tag::code::BRANCH, branch.map(str::as_bytes))
        .optional(tag::code::COMMIT, code.commit.as_ref().map(|commit| &commit.0[..]))
        .optional(tag::code::UPSTREAM, upstream.filter(|_| remote.is_none()).map(str::as_bytes))
        .flag(tag::code::DIRTY, code.dirty)
        .bytes(tag::code::FINGERPRINT, &code.fingerprint.0)
        .optional(tag::code::REMOTE, remote.map(str::as_bytes));
    write_saved(&mut record, &code.saved);
    record.finish()
}

/// Which of [`CodeSaved`] a number is; a text says why nothing was saved.
fn write_saved(record: &mut Writer, saved: &CodeSaved) {
    match saved {
        CodeSaved::Nothing => {}
        CodeSaved::Plain => {
            record.number(tag::code::SAVED, PLAIN);
        }
        CodeSaved::Log => {
            record.number(tag::code::SAVED, IN_LOG);
        }
        CodeSaved::Withheld(why) => {
            record.text(tag::code::WITHHELD, cut(why, WHY_MAX));
        }
    }
}

fn read_saved(fields: &Fields<'_>) -> Result<CodeSaved, WireError> {
    let withheld = fields.text(tag::code::WITHHELD, WHY_MAX)?;
    match (fields.number(tag::code::SAVED)?, withheld) {
        (0, None) => Ok(CodeSaved::Nothing),
        (0, Some(why)) => Ok(CodeSaved::Withheld(why)),
        (PLAIN, None) => Ok(CodeSaved::Plain),
        (IN_LOG, None) => Ok(CodeSaved::Log),
        _ => Err(WireError::Meaningless(tag::code::SAVED)),
    }
}

fn read_code(bytes: &[u8]) -> Result<CodePoint, WireError> {
    let fields = Fields::parse(bytes)?;
    let branch = fields.text(tag::code::BRANCH, REF_MAX)?;
    let upstream = match (fields.text(tag::code::REMOTE, REF_MAX)?, &branch) {
        (Some(remote), Some(branch)) => Some(format!("{remote}/{branch}")),
        (Some(_), None) => return Err(WireError::Missing(tag::code::BRANCH)),
        (None, _) => fields.text(tag::code::UPSTREAM, REF_MAX)?,
    };
    Ok(CodePoint {
        branch,
        commit: fields.array(tag::code::COMMIT)?.map(Oid),
        upstream,
        dirty: fields.flag(tag::code::DIRTY)?,
        fingerprint: Digest(fields.required(tag::code::FINGERPRINT)?),
        saved: read_saved(&fields)?,
    })
}

fn remote_of<'a>(upstream: &'a str, branch: &str) -> Option<&'a str> {
    upstream.strip_suffix(branch)?.strip_suffix('/')
}

fn write_log(state: &LogState) -> Vec<u8> {
    let mut record = Writer::new();
    write_log_id(&mut record, &state.log);
    record
        .bytes(tag::log::GENERATION, &state.generation.0)
        .number(tag::log::LENGTH, state.length)
        .number(tag::log::SEQUENCE, u64::from(state.sequence))
        .number(tag::log::SNAPSHOT, u64::from(state.snapshot))
        .number(tag::log::SNAPSHOT_LENGTH, state.snapshot_length)
        .number(tag::log::SNAPSHOT_MESSAGES, u64::from(state.snapshot_messages))
        .number(tag::log::SEALED, state.sealed)
        .bytes(tag::log::LAST, &state.last.0)
        .bytes(tag::log::CONTENT, &state.content.0)
        // A log shorter than its window is the window.
        .optional(tag::log::WINDOW, (state.window != state.content).then_some(&state.window.0))
        .optional(tag::log::TAIL, state.tail.as_ref().map(|tail| &tail.0[..]));
    let earlier: Vec<u8> =
        state.earlier.iter().flat_map(|sequence| sequence.to_le_bytes()).collect();
    record.optional(tag::log::EARLIER, (!earlier.is_empty()).then_some(&earlier));
    record.finish()
}

fn read_earlier(fields: &Fields<'_>) -> Result<Vec<u32>, WireError> {
    let tag = tag::log::EARLIER;
    let bytes = fields.bytes(tag)?.unwrap_or_default();
    let (numbers, rest) = bytes.as_chunks();
    if !rest.is_empty() || numbers.len() > EARLIER_MAX {
        return Err(WireError::Length { tag, len: bytes.len() });
    }
    let numbers: Vec<u32> = numbers.iter().map(|&number| u32::from_le_bytes(number)).collect();
    if numbers.is_sorted() { Ok(numbers) } else { Err(WireError::Meaningless(tag)) }
}

fn read_log(bytes: &[u8]) -> Result<LogState, WireError> {
    let fields = Fields::parse(bytes)?;
    let content = Digest(fields.required(tag::log::CONTENT)?);
    Ok(LogState {
        log: read_log_id(&fields)?,
        generation: Generation(fields.required(tag::log::GENERATION)?),
        length: fields.number(tag::log::LENGTH)?,
        sequence: fields.number(tag::log::SEQUENCE)?,
        snapshot: fields.number(tag::log::SNAPSHOT)?,
        snapshot_length: fields.number(tag::log::SNAPSHOT_LENGTH)?,
        snapshot_messages: fields.number(tag::log::SNAPSHOT_MESSAGES)?,
        sealed: fields.number(tag::log::SEALED)?,
        last: Digest(fields.required(tag::log::LAST)?),
        content,
        window: fields.array(tag::log::WINDOW)?.map_or(content, Digest),
        tail: fields.array(tag::log::TAIL)?.map(Digest),
        earlier: read_earlier(&fields)?,
    })
}

fn write_parent(parent: &Parent) -> Vec<u8> {
    let mut record = Writer::new();
    write_log_id(&mut record, &parent.log);
    record
        .bytes(tag::log::GENERATION, &parent.generation.0)
        .number(tag::log::LENGTH, parent.length)
        .bytes(tag::log::LAST, &parent.digest.0);
    record.finish()
}

fn read_parent(bytes: &[u8]) -> Result<Parent, WireError> {
    let fields = Fields::parse(bytes)?;
    Ok(Parent {
        log: read_log_id(&fields)?,
        generation: Generation(fields.required(tag::log::GENERATION)?),
        length: fields.number(tag::log::LENGTH)?,
        digest: Digest(fields.required(tag::log::LAST)?),
    })
}

fn write_log_id(record: &mut Writer, log: &LogId) {
    record.number(tag::log::ROLE, u64::from(role_byte(log.role))).text(tag::log::PATH, &log.path);
}

fn read_log_id(fields: &Fields<'_>) -> Result<LogId, WireError> {
    let role =
        role_of(fields.number(tag::log::ROLE)?).ok_or(WireError::Meaningless(tag::log::ROLE))?;
    let log = LogId { role, path: fields.text(tag::log::PATH, PATH_MAX)?.unwrap_or_default() };
    check_path(&log)?;
    Ok(log)
}

/// Refuses a path that would lead out of the session's own files when it is restored.
fn check_path(log: &LogId) -> Result<(), WireError> {
    let harmless = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    let allowed = match log.role {
        Role::Main => log.path.is_empty(),
        Role::Code => log.path.is_empty() || log.path.parse::<RepositoryKey>().is_ok(),
        Role::Inside => log.path.split('/').all(harmless),
        Role::Beside => harmless(&log.path) && !log.path.contains('/'),
    };
    if allowed && log.path.len() <= PATH_MAX {
        Ok(())
    } else {
        Err(WireError::Meaningless(tag::log::PATH))
    }
}

#[cfg(test)]
mod tests;
