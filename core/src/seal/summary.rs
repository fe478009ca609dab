//! Summaries: what a list shows of a session, in 512 or 1024 bytes whatever it says.
//!
//! The facts come first and always fit; texts are cut to what room is left, in the order of their
//! tags.

use std::borrow::Cow;

use super::context::Context;
use super::envelope::{Binding, OVERHEAD, Sealed};
use super::head::{cut, read_session};
use super::key::{KeyRing, Purpose};
use super::{SealError, malformed};
use crate::id::{DeviceId, Digest, Oid, Random, SessionId, SessionName, from_hex, hex};
use crate::wire::{Fields, WireError, Writer};

/// The two sizes of a sealed summary in bytes.
pub const SIZES: [usize; 2] = [512, 1024];

/// The longest project id that is kept as it is; see [`project_key`].
pub const PROJECT_MAX: usize = 160;
/// How many bytes all project ids may take, so that the other texts keep some room.
const PROJECTS_BYTES_MAX: usize = 240;
/// The longest record that fits.
const RECORD_MAX: usize = SIZES[1] - OVERHEAD - size_of::<u32>();
/// What a field takes beside its value: a tag and up to two bytes of length.
const FIELD_EXTRA: usize = 3;
/// The limit for reading any text: it cannot be longer than the whole.
const TEXT_MAX: usize = SIZES[1];

const WHAT: &str = "summary";

mod tag {
    pub(super) const SESSION_UUID: u8 = 1;
    pub(super) const SESSION: u8 = 2;
    pub(super) const COMMIT: u8 = 3;
    pub(super) const SAVE: u8 = 4;
    pub(super) const RECORD: u8 = 5;
    pub(super) const AT: u8 = 6;
    pub(super) const DEVICE: u8 = 7;
    pub(super) const FIRST: u8 = 8;
    pub(super) const LAST: u8 = 9;
    pub(super) const HEAD: u8 = 10;
    pub(super) const DIRTY: u8 = 11;
    pub(super) const MESSAGES: u8 = 12;
    pub(super) const LINES: u8 = 13;
    pub(super) const MALFORMED: u8 = 14;
    pub(super) const LENGTH: u8 = 15;
    pub(super) const TOTAL: u8 = 16;
    pub(super) const LOGS: u8 = 17;
    pub(super) const CODE: u8 = 18;
    pub(super) const QUIET: u8 = 19;
    pub(super) const PACKED: u8 = 20;
    pub(super) const PROJECT: u8 = 32;
    pub(super) const BRANCH: u8 = 33;
    pub(super) const TITLE: u8 = 34;
    pub(super) const SUBDIRECTORY: u8 = 35;
    pub(super) const MESSAGE: u8 = 36;
    pub(super) const MODEL: u8 = 37;
    pub(super) const PROJECT_NAME: u8 = 38;
    pub(super) const CLIENT: u8 = 39;
}

/// What a list shows of a session, and where the session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which session.
    pub session: SessionId,
    /// The session's newest commit.
    pub commit: Oid,
    /// The number of its newest save.
    pub save: u32,
    /// The digest of that save's sealed record.
    pub record: Digest,
    /// When that save was made, in Unix milliseconds.
    pub at_ms: i64,
    /// Which device made it.
    pub device: DeviceId,
    /// When the conversation began, in Unix milliseconds.
    pub first_ms: Option<i64>,
    /// When its last line was written, in Unix milliseconds.
    pub last_ms: Option<i64>,
    /// The project's ids, primary first; each as [`project_key`] gives it.
    pub project: Vec<String>,
    /// The project's name.
    pub project_name: String,
    /// The working directory relative to the repository's root; empty for the root itself.
    pub subdirectory: String,
    /// The conversation's title.
    pub title: Option<String>,
    /// What the user said about the save.
    pub message: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The commit the repository was on.
    pub head: Option<Oid>,
    /// Whether anything differed from that commit.
    pub dirty: bool,
    /// How many messages.
    pub messages: u32,
    /// How many lines of the main transcript.
    pub lines: u32,
    /// How many of them are not JSON.
    pub malformed: u32,
    /// How many raw bytes the main log has.
    pub length: u64,
    /// How many raw bytes all logs of the conversation have.
    pub total: u64,
    /// How many logs the conversation has.
    pub logs: u16,
    /// How many sealed bytes the code state takes; 0 where there is none in a log.
    pub code: u64,
    /// Whether other devices show no notification of that save.
    pub quiet: bool,
    /// How many bytes the repository's whole history takes in the packs of the device that saved; 0 where that
    /// is not known.
    pub packed: u64,
    /// The version of Claude Code.
    pub client: Option<String>,
    /// The model.
    pub model: Option<String>,
}

/// Returns a project id as summaries hold it: a very long one is replaced by its digest. Compare ids
/// only in this form.
pub fn project_key(id: &str) -> Cow<'_, str> {
    if id.len() <= PROJECT_MAX {
        id.into()
    } else {
        format!("sha256:{}", hex(&Digest::of(id.as_bytes()).0)).into()
    }
}

/// Seals a session's summary for the tip of `device`.
///
/// # Errors
/// None in practice: texts are cut until it fits.
pub fn seal_summary(
    keys: &KeyRing,
    device: DeviceId,
    summary: &Summary,
    random: &mut dyn Random,
) -> Result<Sealed, SealError> {
    let padded = |len| {
        SIZES.map(|size| size - OVERHEAD).into_iter().find(|&size| size >= len).unwrap_or(len)
    };
    let name = keys.session_name(&summary.session);
    binding(keys, device, name).seal_record(keys, &write(device, summary), padded, random)
}

/// Opens the summary called `name` in the tip of `device`.
///
/// # Errors
/// When it was damaged, or is another session's or another device's.
pub fn open_summary(
    keys: &KeyRing,
    device: DeviceId,
    name: SessionName,
    sealed: &Sealed,
) -> Result<Summary, SealError> {
    if sealed.as_bytes().len() > SIZES[1] {
        let (size, max) = (sealed.as_bytes().len() as u64, SIZES[1] as u64);
        return Err(SealError::TooLarge { what: WHAT, size, max });
    }
    let record = binding(keys, device, name).open_record(keys, sealed)?;
    let summary = read(device, &record).map_err(malformed(WHAT))?;
    if keys.session_name(&summary.session) == name {
        Ok(summary)
    } else {
        Err(SealError::Damaged { what: WHAT })
    }
}

pub(super) fn binding(keys: &KeyRing, device: DeviceId, name: SessionName) -> Binding<'static> {
    let context = Context::new("convosync/1 summary", keys.vault()).item(&device.0).item(&name.0);
    Binding { purpose: Purpose::Summary, context }
}

pub(super) fn write(holder: DeviceId, summary: &Summary) -> Vec<u8> {
    let mut record = Writer::new();
    let uuid = uuid_bytes(summary.session.as_str());
    match &uuid {
        Some(uuid) => record.bytes(tag::SESSION_UUID, uuid),
        None => record.text(tag::SESSION, summary.session.as_str()),
    };
    record
        .bytes(tag::COMMIT, &summary.commit.0)
        .number(tag::SAVE, u64::from(summary.save))
        .bytes(tag::RECORD, &summary.record.0)
        .time(tag::AT, Some(summary.at_ms))
        .optional(tag::DEVICE, (summary.device != holder).then_some(&summary.device.0))
        .time(tag::FIRST, summary.first_ms)
        .time(tag::LAST, summary.last_ms)
        .optional(tag::HEAD, summary.head.as_ref().map(|head| &head.0[..]))
        .flag(tag::DIRTY, summary.dirty)
        .number(tag::MESSAGES, u64::from(summary.messages))
        .number(tag::LINES, u64::from(summary.lines))
        .number(tag::MALFORMED, u64::from(summary.malformed))
        .number(tag::LENGTH, summary.length)
        .number(tag::TOTAL, summary.total)
        .number(tag::LOGS, u64::from(summary.logs))
        .number(tag::CODE, summary.code)
        .flag(tag::QUIET, summary.quiet)
        .number(tag::PACKED, summary.packed);
    write_projects(&mut record, &summary.project);
    write_texts(&mut record, summary);
    record.finish()
}

/// An id that is cut would match nothing, so that each is there whole or not at all.
fn write_projects(record: &mut Writer, ids: &[String]) {
    let mut room = PROJECTS_BYTES_MAX;
    for key in ids.iter().map(|id| project_key(id)) {
        if key.len() + FIELD_EXTRA > room {
            return;
        }
        room -= key.len() + FIELD_EXTRA;
        record.bytes(tag::PROJECT, key.as_bytes());
    }
}

fn write_texts(record: &mut Writer, summary: &Summary) {
    let mut put = |tag: u8, text: Option<&str>, max: usize| {
        let room = RECORD_MAX.saturating_sub(record.len() + FIELD_EXTRA).min(max);
        let Some(text) = text.filter(|_| room > 0) else { return };
        let fitting =
            if tag == tag::SUBDIRECTORY { ancestor(text, room) } else { ellipsis(text, room) };
        record.bytes(tag, fitting.as_bytes());
    };
    let present = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    put(tag::BRANCH, summary.branch.as_deref(), 100);
    put(tag::TITLE, summary.title.as_deref(), 120);
    put(tag::SUBDIRECTORY, present(&summary.subdirectory).as_deref(), 200);
    put(tag::MESSAGE, summary.message.as_deref(), 120);
    put(tag::MODEL, summary.model.as_deref(), 64);
    put(tag::PROJECT_NAME, present(&summary.project_name).as_deref(), 64);
    put(tag::CLIENT, summary.client.as_deref(), 32);
}

fn read(holder: DeviceId, bytes: &[u8]) -> Result<Summary, WireError> {
    let fields = Fields::parse(bytes)?;
    let text = |tag| fields.text(tag, TEXT_MAX);
    let project = |id: &[u8]| crate::wire::text(tag::PROJECT, id, TEXT_MAX);
    Ok(Summary {
        session: read_session_id(&fields)?,
        commit: Oid(fields.required(tag::COMMIT)?),
        save: fields.number(tag::SAVE)?,
        record: Digest(fields.required(tag::RECORD)?),
        at_ms: fields.time(tag::AT)?.ok_or(WireError::Missing(tag::AT))?,
        device: fields.array(tag::DEVICE)?.map_or(holder, DeviceId),
        first_ms: fields.time(tag::FIRST)?,
        last_ms: fields.time(tag::LAST)?,
        project: fields.all(tag::PROJECT).map(project).collect::<Result<_, _>>()?,
        project_name: text(tag::PROJECT_NAME)?.unwrap_or_default(),
        subdirectory: text(tag::SUBDIRECTORY)?.unwrap_or_default(),
        title: text(tag::TITLE)?,
        message: text(tag::MESSAGE)?,
        branch: text(tag::BRANCH)?,
        head: fields.array(tag::HEAD)?.map(Oid),
        dirty: fields.flag(tag::DIRTY)?,
        messages: fields.number(tag::MESSAGES)?,
        lines: fields.number(tag::LINES)?,
        malformed: fields.number(tag::MALFORMED)?,
        length: fields.number(tag::LENGTH)?,
        total: fields.number(tag::TOTAL)?,
        logs: fields.number(tag::LOGS)?,
        code: fields.number(tag::CODE)?,
        quiet: fields.flag(tag::QUIET)?,
        packed: fields.number(tag::PACKED)?,
        client: text(tag::CLIENT)?,
        model: text(tag::MODEL)?,
    })
}

fn read_session_id(fields: &Fields<'_>) -> Result<SessionId, WireError> {
    if let Some(uuid) = fields.array(tag::SESSION_UUID)? {
        return read_session(tag::SESSION_UUID, uuid_text(uuid).as_bytes());
    }
    read_session(tag::SESSION, fields.bytes(tag::SESSION)?.ok_or(WireError::Missing(tag::SESSION))?)
}

/// Returns the 16 bytes of a UUID in its usual form: they take twenty less than its text.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let bytes = from_hex(&text.replace('-', "")).ok()?;
    (uuid_text(bytes) == text).then_some(bytes)
}

fn uuid_text(bytes: [u8; 16]) -> String {
    let digits = hex(&bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Cuts a text to `max` bytes; what was cut ends in an ellipsis.
fn ellipsis(text: &str, max: usize) -> Cow<'_, str> {
    const ELLIPSIS: &str = "…";
    match max.checked_sub(ELLIPSIS.len()) {
        _ if text.len() <= max => text.into(),
        Some(room) => format!("{}{ELLIPSIS}", cut(text, room)).into(),
        None => cut(text, max).into(),
    }
}

/// Cuts a path to `max` bytes: half a name would be another directory, so that whole names go.
fn ancestor(path: &str, max: usize) -> Cow<'_, str> {
    if path.len() <= max {
        return path.into();
    }
    let start = cut(path, max);
    let end =
        if path[start.len()..].starts_with('/') { Some(start.len()) } else { start.rfind('/') };
    start[..end.unwrap_or(0)].into()
}

#[cfg(test)]
mod tests;
