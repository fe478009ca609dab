//! The long lists of a manifest: the index and the work tree.

use std::collections::BTreeMap;

use super::{CodeError, path_of, tag, unshelve};
use crate::code::{Content, Flags, IndexEntry, Mode, Node, PARTS_MAX, Part, RepoPath, Rope};
use crate::id::{Digest, Oid};
use crate::wire::{Fields, Writer, push_varint};

/// The most pieces of all contents together: each is some dozen bytes of memory.
const ALL_PARTS_MAX: usize = 1_000_000;
/// The longest target of a link: Linux's limit.
const LINK_MAX: usize = 4095;

pub(super) fn write_index(entry: &IndexEntry) -> Vec<u8> {
    let Flags { intent_to_add, assume_unchanged, skip_worktree } = entry.flags;
    let mut record = Writer::new();
    record.bytes(1, entry.path.as_bytes()).number(2, u64::from(entry.stage));
    if let Some((mode, id)) = &entry.entry {
        record.number(3, u64::from(mode.bits())).bytes(4, &id.0);
    }
    record.flag(5, intent_to_add).flag(6, assume_unchanged).flag(7, skip_worktree);
    record.finish()
}

pub(super) fn read_index(fields: &Fields<'_>) -> Result<Vec<IndexEntry>, CodeError> {
    let mut index: Vec<IndexEntry> = Vec::new();
    unshelve(fields, tag::INDEX, |fields| {
        let mode: u32 = fields.number(3)?;
        let entry = match (mode, fields.array(4)?) {
            (0, None) => None,
            (mode, Some(id)) => {
                Some((Mode::from_bits(mode).ok_or(CodeError::Meaningless("mode"))?, Oid(id)))
            }
            _ => return Err(CodeError::Meaningless("index entry")),
        };
        let flags = Flags {
            intent_to_add: fields.flag(5)?,
            assume_unchanged: fields.flag(6)?,
            skip_worktree: fields.flag(7)?,
        };
        let entry = IndexEntry { path: path_of(&fields)?, stage: fields.number(2)?, entry, flags };
        if entry.stage > 3 || (entry.stage > 0 && entry.entry.is_none()) {
            return Err(CodeError::Meaningless("stage"));
        }
        let place = |entry: &IndexEntry| (entry.path.clone(), entry.stage);
        if index.last().is_some_and(|last| place(last) >= place(&entry)) {
            return Err(CodeError::Clash(entry.path.shown()));
        }
        index.push(entry);
        Ok(())
    })?;
    Ok(index)
}

/// The kinds of a node.
mod kind {
    pub(super) const GONE: u8 = 0;
    pub(super) const FILE: u8 = 1;
    pub(super) const EXECUTABLE: u8 = 2;
    pub(super) const LINK: u8 = 3;
    pub(super) const DIRECTORY: u8 = 4;
}

pub(super) fn write_node(path: &RepoPath, node: &Node) -> Vec<u8> {
    let mut record = Writer::new();
    record.bytes(1, path.as_bytes());
    match node {
        Node::Gone => {}
        Node::EmptyDirectory => drop(record.number(2, u64::from(kind::DIRECTORY))),
        Node::Link(target) => drop(record.number(2, u64::from(kind::LINK)).bytes(3, target)),
        Node::File { executable, content } => {
            let kind = if *executable { kind::EXECUTABLE } else { kind::FILE };
            record.number(2, u64::from(kind));
            write_content(&mut record, content);
        }
    }
    record.finish()
}

fn write_content(record: &mut Writer, content: &Content) {
    record.number(4, content.length).bytes(5, &content.digest.0);
    record.optional(6, content.rope.blob.as_ref().map(|id| &id.0[..]));
    let mut parts = Vec::new();
    for part in &content.rope.parts {
        let (source, range) = match part {
            Part::Log(range) => (0, range),
            Part::Blob(range) => (1, range),
        };
        push_varint(&mut parts, (range.end - range.start) << 1 | source);
        push_varint(&mut parts, range.start);
    }
    record.optional(7, (!parts.is_empty()).then_some(&parts));
}

fn read_content(
    fields: &Fields<'_>,
    path: &RepoPath,
    log: u64,
    parts_left: &mut usize,
) -> Result<Content, CodeError> {
    let outside = || CodeError::Outside(path.shown());
    let mut rope = Rope { blob: fields.array(6)?.map(Oid), parts: Vec::new() };
    let mut bytes = fields.bytes(7)?.unwrap_or_default();
    while !bytes.is_empty() {
        *parts_left = parts_left.checked_sub(1).ok_or(CodeError::TooMuch("pieces"))?;
        let length = take_number(&mut bytes).ok_or_else(outside)?;
        let start = take_number(&mut bytes).ok_or_else(outside)?;
        let end = start.checked_add(length >> 1).ok_or_else(outside)?;
        match length & 1 {
            0 if end <= log => rope.parts.push(Part::Log(start..end)),
            1 if rope.blob.is_some() => rope.parts.push(Part::Blob(start..end)),
            _ => return Err(outside()),
        }
    }
    let length = fields.number(4)?;
    if rope.parts.len() > PARTS_MAX || rope.length() != Some(length) {
        return Err(outside());
    }
    Ok(Content { length, digest: Digest(fields.required(5)?), rope })
}

pub(super) fn read_tree(
    fields: &Fields<'_>,
    log: u64,
) -> Result<BTreeMap<RepoPath, Node>, CodeError> {
    let mut tree: BTreeMap<RepoPath, Node> = BTreeMap::new();
    let mut parts_left = ALL_PARTS_MAX;
    unshelve(fields, tag::TREE, |fields| {
        let path = path_of(&fields)?;
        let node = match fields.number::<u8>(2)? {
            kind::GONE => Node::Gone,
            kind::DIRECTORY => Node::EmptyDirectory,
            kind::LINK => Node::Link(read_link(&fields)?),
            kind @ (kind::FILE | kind::EXECUTABLE) => {
                let content = read_content(&fields, &path, log, &mut parts_left)?;
                Node::File { executable: kind == kind::EXECUTABLE, content }
            }
            _ => return Err(CodeError::Meaningless("kind of file")),
        };
        if tree.last_key_value().is_some_and(|(last, _)| *last >= path) {
            return Err(CodeError::Clash(path.shown()));
        }
        tree.insert(path, node);
        Ok(())
    })?;
    Ok(tree)
}

fn read_link(fields: &Fields<'_>) -> Result<Vec<u8>, CodeError> {
    let target = fields.bytes(3)?.unwrap_or_default();
    if target.is_empty() || target.len() > LINK_MAX || target.contains(&0) {
        return Err(CodeError::Meaningless("link"));
    }
    Ok(target.to_vec())
}

/// Refuses a file or link that has something below it, also where the link is the folder's name in other
/// letters: on many disks that is the same. (Files whose names differ by case only are `checkout`'s matter:
/// here they may well stand side by side.)
pub(super) fn check_tree(tree: &BTreeMap<RepoPath, Node>) -> Result<(), CodeError> {
    let nodes = || tree.iter().filter(|(_, node)| **node != Node::Gone);
    let parts =
        |bytes: &[u8]| bytes.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect();
    let exact = nodes().map(|(path, _)| (parts(path.as_bytes()), true, path)).collect();
    let folded = nodes().map(|(path, node)| {
        let text = path.shown().to_lowercase();
        (parts(text.as_bytes()), matches!(node, Node::Link(_)), path)
    });
    match clash(exact).or_else(|| clash(folded.collect())) {
        Some(path) => Err(CodeError::Clash(path.shown())),
        None => Ok(()),
    }
}

/// Finds a path below which another lies, of those that must have nothing below them. Their names end in
/// the least byte there is, so that what lies below a path follows it, and neighbours tell.
fn clash(mut paths: Vec<(Vec<u8>, bool, &RepoPath)>) -> Option<&RepoPath> {
    paths.sort_unstable();
    let mut last: Option<(Vec<u8>, &RepoPath)> = None;
    for (name, is_bare, path) in paths {
        if let Some((above, clash)) = &last
            && name.strip_prefix(&above[..]).is_some_and(|rest| rest.starts_with(b"\0"))
        {
            return Some(clash);
        }
        if is_bare {
            last = Some((name, path));
        }
    }
    None
}

/// Reads what [`push_varint`] wrote.
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
