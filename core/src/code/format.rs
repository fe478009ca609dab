//! The manifest: a code state in bytes, at the end of the code log. `docs/format.md` describes it.
//!
//! A manifest may come from a device that is not itself any more: everything in it is checked before it
//! means anything, and all of it is bounded.

mod entries;

use std::collections::BTreeMap;

use entries::{check_tree, read_index, read_tree, write_index, write_node};

use super::{
    BadPath, Base, Head, Notes, Omission, Operation, OperationKind, Pack, RepoPath, State,
    Submodule, Upstream, Why,
};
use crate::id::Oid;
use crate::wire::{Fields, WireError, Writer, text};

/// How many bytes follow a manifest in the log: its length, and what tells it from anything else.
pub const TRAILER: u64 = 16;
/// The largest manifest in bytes: 10 000 files with long names need 3 MiB.
pub const MANIFEST_MAX: u64 = 16 << 20;
/// The most entries of any one list.
pub const ENTRIES_MAX: usize = 100_000;

/// How many entries share a field: a record has at most 16 384 fields.
const SHELF: usize = 256;
/// The most commits a list of tips or bases names.
const COMMITS_MAX: usize = 256;
/// The most packs: a code log is begun anew long before.
const PACKS_MAX: usize = 4096;
/// The longest name of a branch in bytes.
const REF_MAX: usize = 4 << 10;
/// The largest file of git's own about an operation: a message.
pub const OPERATION_FILE_MAX: usize = 256 << 10;

const MAGIC: [u8; 8] = *b"cvsycode";

/// Why a code state cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// No manifest stands at the end of the log.
    #[error("the code log does not end in a manifest")]
    NoManifest,
    /// The manifest breaks the form of a record.
    #[error("read the code state")]
    Wire(#[from] WireError),
    /// A path that may not stand there.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// Two entries that cannot stand beside each other.
    #[error("the code state has two entries where `{0}` lies")]
    Clash(String),
    /// A piece of a content lies outside of what there is.
    #[error("the content of `{0}` is not in the code log")]
    Outside(String),
    /// More than a code state may hold.
    #[error("the code state holds too much: {0}")]
    TooMuch(&'static str),
    /// A value that stands for nothing.
    #[error("the code state has a {0} that means nothing")]
    Meaningless(&'static str),
}

mod tag {
    pub(super) const HEAD: u8 = 1;
    pub(super) const UPSTREAM: u8 = 2;
    pub(super) const BASE: u8 = 3;
    pub(super) const PACK: u8 = 4;
    pub(super) const INDEX: u8 = 5;
    pub(super) const TREE: u8 = 6;
    pub(super) const OPERATION: u8 = 7;
    pub(super) const OMITTED: u8 = 8;
    pub(super) const SUBMODULE: u8 = 9;
    pub(super) const NOTES: u8 = 10;

    /// Every entry of a shelf.
    pub(super) const ENTRY: u8 = 1;
}

/// Writes a state as a manifest with its trailer, to be appended to the log its contents lie in.
pub fn write(state: &State) -> Vec<u8> {
    let mut record = Writer::new();
    record.bytes(tag::HEAD, &write_head(&state.head));
    if let Some(upstream) = &state.upstream {
        record.bytes(tag::UPSTREAM, &write_upstream(upstream));
    }
    for base in &state.bases {
        let mut entry = Writer::new();
        entry.bytes(1, &base.commit.0).text(2, &base.reference);
        record.bytes(tag::BASE, &entry.finish());
    }
    for pack in &state.packs {
        let mut entry = Writer::new();
        entry.number(1, pack.start).number(2, pack.length);
        for tip in &pack.tips {
            entry.bytes(3, &tip.0);
        }
        record.bytes(tag::PACK, &entry.finish());
    }
    shelve(&mut record, tag::INDEX, state.index.iter().map(write_index));
    shelve(&mut record, tag::TREE, state.tree.iter().map(|(path, node)| write_node(path, node)));
    if let Some(operation) = &state.operation {
        record.bytes(tag::OPERATION, &write_operation(operation));
    }
    let omitted = state.omitted.iter().map(|(path, omission)| write_omission(path, *omission));
    shelve(&mut record, tag::OMITTED, omitted);
    let modules = state.submodules.iter().map(|(path, module)| {
        let mut entry = Writer::new();
        entry.bytes(1, path.as_bytes()).optional(2, module.commit.as_ref().map(|id| &id.0[..]));
        entry.finish()
    });
    shelve(&mut record, tag::SUBMODULE, modules);
    let Notes { shallow, partial, sparse, linked } = state.notes;
    let mut notes = Writer::new();
    notes.flag(1, shallow).flag(2, partial).flag(3, sparse).flag(4, linked);
    record.optional(tag::NOTES, (!notes.is_empty()).then_some(&notes.finish()));
    let mut bytes = record.finish();
    let length = bytes.len() as u64;
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&MAGIC);
    bytes
}

/// Reads how long the manifest is whose trailer ends a log of `length` bytes.
///
/// # Errors
/// [`CodeError::NoManifest`], [`CodeError::TooMuch`].
pub fn manifest_length(trailer: &[u8], length: u64) -> Result<u64, CodeError> {
    let (size, magic) = trailer.split_first_chunk().ok_or(CodeError::NoManifest)?;
    let size = u64::from_le_bytes(*size);
    if magic != MAGIC || size > length.saturating_sub(TRAILER) {
        return Err(CodeError::NoManifest);
    }
    if size > MANIFEST_MAX { Err(CodeError::TooMuch("its manifest")) } else { Ok(size) }
}

/// Reads a manifest, without its trailer, whose log has `length` bytes.
///
/// # Errors
/// [`CodeError`] names the first thing that is not as it must be.
pub fn read(manifest: &[u8], length: u64) -> Result<State, CodeError> {
    let fields = Fields::parse(manifest)?;
    let state = State {
        head: read_head(fields.bytes(tag::HEAD)?.unwrap_or_default())?,
        upstream: fields.bytes(tag::UPSTREAM)?.map(read_upstream).transpose()?,
        bases: bounded(fields.all(tag::BASE), COMMITS_MAX, "bases")?
            .map(read_base)
            .collect::<Result<_, _>>()?,
        packs: bounded(fields.all(tag::PACK), PACKS_MAX, "packs")?
            .map(|bytes| read_pack(bytes, length))
            .collect::<Result<_, _>>()?,
        index: read_index(&fields)?,
        tree: read_tree(&fields, length)?,
        operation: fields.bytes(tag::OPERATION)?.map(read_operation).transpose()?,
        omitted: read_omitted(&fields)?,
        submodules: read_submodules(&fields)?,
        notes: fields.bytes(tag::NOTES)?.map(read_notes).transpose()?.unwrap_or_default(),
    };
    check_tree(&state.tree)?;
    Ok(state)
}

fn bounded<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    limit: usize,
    what: &'static str,
) -> Result<std::vec::IntoIter<&'a [u8]>, CodeError> {
    let values: Vec<_> = values.take(limit + 1).collect();
    if values.len() > limit { Err(CodeError::TooMuch(what)) } else { Ok(values.into_iter()) }
}

/// Puts a long list into one field for every few entries.
fn shelve(record: &mut Writer, tag: u8, entries: impl Iterator<Item = Vec<u8>>) {
    let entries: Vec<Vec<u8>> = entries.collect();
    for shelf in entries.chunks(SHELF) {
        let mut list = Writer::new();
        for entry in shelf {
            list.bytes(tag::ENTRY, entry);
        }
        record.bytes(tag, &list.finish());
    }
}

/// Gives every entry of a long list to `take`.
fn unshelve<'a>(
    fields: &Fields<'a>,
    tag: u8,
    mut take: impl FnMut(Fields<'a>) -> Result<(), CodeError>,
) -> Result<(), CodeError> {
    let mut count = 0;
    for shelf in fields.all(tag) {
        for entry in Fields::parse(shelf)?.all(tag::ENTRY) {
            count += 1;
            if count > ENTRIES_MAX {
                return Err(CodeError::TooMuch("entries"));
            }
            take(Fields::parse(entry)?)?;
        }
    }
    Ok(())
}

fn path_of(fields: &Fields<'_>) -> Result<RepoPath, CodeError> {
    Ok(RepoPath::new(fields.bytes(1)?.unwrap_or_default())?)
}

fn write_head(head: &Head) -> Vec<u8> {
    let mut entry = Writer::new();
    entry
        .text(1, head.branch.as_deref().unwrap_or_default())
        .optional(2, head.commit.as_ref().map(|id| &id.0[..]));
    entry.finish()
}

fn read_head(bytes: &[u8]) -> Result<Head, CodeError> {
    let fields = Fields::parse(bytes)?;
    let head = Head { branch: fields.text(1, REF_MAX)?, commit: fields.array(2)?.map(Oid) };
    if head.branch.as_deref().is_some_and(|branch| !is_branch(branch)) || head == Head::default() {
        return Err(CodeError::Meaningless("HEAD"));
    }
    Ok(head)
}

/// Whether git would take a text for the name of a branch (`git check-ref-format --branch`).
fn is_branch(name: &str) -> bool {
    let bad = |c: char| c.is_ascii_control() || " ~^:?*[\\\u{7f}".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    !name.starts_with('-')
        && name != "HEAD"
        && name != "@"
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(bad)
        && name.split('/').all(part)
}

fn write_upstream(upstream: &Upstream) -> Vec<u8> {
    let mut entry = Writer::new();
    entry
        .text(1, &upstream.name)
        .number(2, u64::from(upstream.ahead))
        .number(3, u64::from(upstream.behind));
    entry.finish()
}

fn read_upstream(bytes: &[u8]) -> Result<Upstream, CodeError> {
    let fields = Fields::parse(bytes)?;
    let name = fields.text(1, REF_MAX)?.unwrap_or_default();
    Ok(Upstream { name, ahead: fields.number(2)?, behind: fields.number(3)? })
}

fn read_base(bytes: &[u8]) -> Result<Base, CodeError> {
    let fields = Fields::parse(bytes)?;
    let reference = fields.text(2, REF_MAX)?.unwrap_or_default();
    let branch = reference.strip_prefix("refs/heads/");
    if !reference.is_empty() && !branch.is_some_and(is_branch) {
        return Err(CodeError::Meaningless("branch of the remote"));
    }
    Ok(Base { commit: Oid(fields.required(1)?), reference })
}

fn read_pack(bytes: &[u8], log: u64) -> Result<Pack, CodeError> {
    let fields = Fields::parse(bytes)?;
    let (start, length): (u64, u64) = (fields.number(1)?, fields.number(2)?);
    let tips = bounded(fields.all(3), COMMITS_MAX, "tips")?;
    let tips = tips.map(|id| id.try_into().map(Oid).map_err(|_| CodeError::Meaningless("commit")));
    if start.checked_add(length).is_none_or(|end| end > log) {
        return Err(CodeError::Outside("a pack".to_owned()));
    }
    Ok(Pack { start, length, tips: tips.collect::<Result<_, _>>()? })
}

fn write_operation(operation: &Operation) -> Vec<u8> {
    let kind = match operation.kind {
        OperationKind::Merge => 1,
        OperationKind::CherryPick => 2,
        OperationKind::Revert => 3,
        OperationKind::Series => 4,
    };
    let mut record = Writer::new();
    record.number(1, kind);
    for (name, bytes) in &operation.files {
        let mut file = Writer::new();
        file.text(1, name).optional(2, Some(bytes));
        record.bytes(2, &file.finish());
    }
    record.finish()
}

fn read_operation(bytes: &[u8]) -> Result<Operation, CodeError> {
    let fields = Fields::parse(bytes)?;
    let kind = match fields.number::<u8>(1)? {
        1 => OperationKind::Merge,
        2 => OperationKind::CherryPick,
        3 => OperationKind::Revert,
        4 => OperationKind::Series,
        _ => return Err(CodeError::Meaningless("operation")),
    };
    let mut files = BTreeMap::new();
    for file in fields.all(2) {
        let file = Fields::parse(file)?;
        let name =
            file.bytes(1)?.map(|name| text(1, name, REF_MAX)).transpose()?.unwrap_or_default();
        let bytes = file.bytes(2)?.unwrap_or_default();
        if !kind.files().contains(&name.as_str())
            || bytes.len() > OPERATION_FILE_MAX
            || !is_head_file(&name, bytes)
        {
            return Err(CodeError::Meaningless("file of an operation"));
        }
        if files.insert(name, bytes.to_vec()).is_some() {
            return Err(CodeError::Meaningless("file of an operation"));
        }
    }
    Ok(Operation { kind, files })
}

/// A file that names commits holds nothing else: one id a line.
fn is_head_file(name: &str, bytes: &[u8]) -> bool {
    let is_id =
        |line: &[u8]| std::str::from_utf8(line).is_ok_and(|text| text.parse::<Oid>().is_ok());
    let lines = || bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    !name.ends_with("_HEAD") || (lines().count() > 0 && lines().all(is_id))
}

impl Operation {
    /// The commits its files name.
    pub fn heads(&self) -> Vec<Oid> {
        let files = self.files.iter().filter(|(name, _)| name.ends_with("_HEAD"));
        files
            .flat_map(|(_, bytes)| {
                String::from_utf8_lossy(bytes)
                    .lines()
                    .filter_map(|line| line.parse().ok())
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

fn write_omission(path: &RepoPath, omission: Omission) -> Vec<u8> {
    let why = Why::ALL.iter().position(|why| *why == omission.why).unwrap_or_default() as u64 + 1;
    let mut record = Writer::new();
    record
        .bytes(1, path.as_bytes())
        .number(2, why)
        .number(3, omission.size.map_or(0, |size| size.saturating_add(1)));
    record.finish()
}

fn read_omitted(fields: &Fields<'_>) -> Result<BTreeMap<RepoPath, Omission>, CodeError> {
    let mut omitted = BTreeMap::new();
    unshelve(fields, tag::OMITTED, |fields| {
        let why = fields.number::<usize>(2)?.checked_sub(1).and_then(|index| Why::ALL.get(index));
        let why = *why.ok_or(CodeError::Meaningless("reason"))?;
        let omission = Omission { why, size: fields.number::<u64>(3)?.checked_sub(1) };
        omitted.insert(path_of(&fields)?, omission);
        Ok(())
    })?;
    Ok(omitted)
}

fn read_submodules(fields: &Fields<'_>) -> Result<BTreeMap<RepoPath, Submodule>, CodeError> {
    let mut modules = BTreeMap::new();
    unshelve(fields, tag::SUBMODULE, |fields| {
        modules.insert(path_of(&fields)?, Submodule { commit: fields.array(2)?.map(Oid) });
        Ok(())
    })?;
    Ok(modules)
}

fn read_notes(bytes: &[u8]) -> Result<Notes, CodeError> {
    let fields = Fields::parse(bytes)?;
    Ok(Notes {
        shallow: fields.flag(1)?,
        partial: fields.flag(2)?,
        sparse: fields.flag(3)?,
        linked: fields.flag(4)?,
    })
}

#[cfg(test)]
mod tests;
