//! Asks for git's objects: how large they are, and what is in them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::{Scope, Stop, answer, said};
use crate::code::Withheld;
use crate::disk::{DiskError, NewFile};
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

/// Blobs that are held at once.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    /// What git printed, and where in it each of them lies.
    bytes: Vec<u8>,
    places: BTreeMap<Oid, Range<usize>>,
}

impl Blobs {
    pub(super) fn get(&self, id: &Oid) -> Option<&[u8]> {
        self.places.get(id).and_then(|place| self.bytes.get(place.clone()))
    }
}

/// Reads blobs, raw; none at all where they have more than `limit` bytes together.
pub(super) fn blobs(scope: &Scope<'_>, ids: &[Oid], limit: usize) -> Result<Blobs, Stop> {
    if ids.is_empty() {
        return Ok(Blobs::default());
    }
    let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let command = scope.ask().args(["cat-file", "--batch", "--buffer"]).stdin(lines.into_bytes());
    let bytes = match command.stdout_limit(limit).run() {
        Err(GitError::TooMuchOutput { .. }) => return Ok(Blobs::default()),
        output => said(output?)?,
    };
    let mut places = BTreeMap::new();
    let mut at = 0;
    while let Some(end) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        let header = String::from_utf8_lossy(&bytes[at..at + end]).into_owned();
        at += end + 1;
        let mut words = header.split(' ');
        let (id, kind, size) = (words.next(), words.next(), words.next());
        let (Some(Ok(id)), Some(size)) = (id.map(str::parse), size) else { continue };
        let size: usize = size.parse().map_err(|_| cut())?;
        let place = at..at.saturating_add(size);
        at = place.end.saturating_add(1);
        if at > bytes.len() {
            return Err(cut());
        }
        if kind == Some("blob") {
            places.insert(id, place);
        }
    }
    Ok(Blobs { bytes, places })
}

/// Lays a blob of `size` bytes out in a file that lies beside `log` until it is let go.
pub(super) fn lay_out(scope: &Scope<'_>, id: Oid, size: u64, log: &Path) -> Result<NewFile, Stop> {
    let file = NewFile::create(log)?;
    let failed = |source| DiskError::Io { deed: "write beside", path: log.to_owned(), source };
    let to = file.file().try_clone().map_err(failed)?;
    let command = scope.ask().args(["cat-file", "blob"]).arg(id.to_string());
    said(command.stdout_file(to).run()?)?;
    let found = file.file().metadata().map_err(failed)?;
    if found.len() == size { Ok(file) } else { Err(cut()) }
}

fn cut() -> Stop {
    Withheld::Unreadable("an object of it is cut".to_owned()).into()
}
