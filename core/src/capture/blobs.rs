//! Asks for git's objects: how large they are, and what is in them.

use std::collections::BTreeMap;

use super::{Scope, Stop, answer, said};
use crate::code::Withheld;
use crate::git::GitError;
use crate::id::Oid;

/// Asks how large objects are, in the way `%(…)` says; `None` for one that is missing.
pub(super) fn sizes(
    scope: &Scope<'_>,
    ids: &[Oid],
    measure: &str,
) -> Result<BTreeMap<Oid, Option<u64>>, Stop> {
    /// How many bytes each answer has at most.
    const LINE_MAX: usize = 80;
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let format = format!("--batch-check=%(objectname) {measure}");
    let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let command = scope.ask().args(["cat-file", "--buffer"]).arg(format);
    let command = command.stdin(lines.into_bytes()).stdout_limit(ids.len() * LINE_MAX);
    let bytes = answer(command)?;
    let line = |line: &[u8]| {
        let text = String::from_utf8_lossy(line).into_owned();
        let (id, size) = text.split_once(' ')?;
        Some((id.parse().ok()?, size.parse().ok()))
    };
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(line).collect())
}

/// Reads blobs, raw; none at all where they have more than `limit` bytes together.
pub(super) fn blobs(
    scope: &Scope<'_>,
    ids: &[Oid],
    limit: u64,
) -> Result<BTreeMap<Oid, Vec<u8>>, Stop> {
    let mut blobs = BTreeMap::new();
    if ids.is_empty() {
        return Ok(blobs);
    }
    let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let command = scope.ask().args(["cat-file", "--batch", "--buffer"]).stdin(lines.into_bytes());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let bytes = match command.stdout_limit(limit).run() {
        Err(GitError::TooMuchOutput { .. }) => return Ok(blobs),
        output => said(output?)?,
    };
    let mut rest = &bytes[..];
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let header = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        let mut words = header.split(' ');
        let (id, kind, size) = (words.next(), words.next(), words.next());
        let (Some(Ok(id)), Some(size)) = (id.map(str::parse), size) else { continue };
        let cut = || Stop::from(Withheld::Unreadable("an object of it is cut".to_owned()));
        let size: usize = size.parse().map_err(|_| cut())?;
        if kind == Some("blob") {
            blobs.insert(id, rest.get(..size).ok_or_else(cut)?.to_vec());
        }
        rest = rest.get(size + 1..).ok_or_else(cut)?;
    }
    Ok(blobs)
}
