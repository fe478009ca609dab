//! Work trees that were changed by one resume: one undo takes all of it back.
//!
//! A note lies beside the records, `together/<number>`, written before the first of them is changed. It names
//! each work tree with its record, or with the one before where it was as it should be. What was done to a
//! work tree since is never taken back for another's sake.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::{self, io_failed, numbers};
use super::{CheckoutError, Place, Prepared};
use crate::disk;

/// The folder of the notes, among the records.
const FOLDER: &str = "together";
/// So many notes are kept: the records they name are kept no longer.
const KEPT: usize = 64;
/// The largest note: a few paths.
const NOTE_MAX: u64 = 1 << 20;

/// One work tree of those that are changed together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    root: PathBuf,
    /// Its record; `None` where nothing was to be changed.
    record: Option<Mark>,
    /// The record that was its newest before.
    before: Option<Mark>,
}

/// What tells a record from all others: its number may be given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    dir: PathBuf,
    at_ms: i64,
}

/// What one undo takes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Together {
    /// Whether anything is to be taken back in this work tree itself, as far as a resume of several tells.
    pub is_here: bool,
    /// Other work trees that go with it.
    pub others: Vec<PathBuf>,
    /// Those that went with it and were changed by another resume or undo since, or are gone.
    pub moved_on: Vec<PathBuf>,
}

impl Prepared<'_> {
    /// This work tree as one of several that are changed together.
    fn member(&self) -> Result<Member, CheckoutError> {
        let record = (!self.outlook.is_here).then(|| mark(&self.record));
        let before = record::newest(self.place)?.map(|record| mark(&record));
        Ok(Member { root: self.place.project.root.clone(), record, before })
    }
}

impl Member {
    /// The same work tree, as one in which nothing was to be changed.
    #[must_use]
    pub fn unchanged(self) -> Self {
        Self { before: self.record, record: None, ..self }
    }
}

fn mark(record: &record::Record) -> Mark {
    Mark { dir: record.dir().to_owned(), at_ms: record.deeds.at_ms }
}

/// The newest change of a work tree, as one of several that were made together.
///
/// # Errors
/// When its records cannot be read.
pub fn changed(place: Place<'_>) -> Result<Member, CheckoutError> {
    let record = record::newest(place)?.map(|record| mark(&record));
    Ok(Member { root: place.project.root.clone(), record, before: None })
}

/// Notes that these are changed together, before the first of them is.
///
/// # Errors
/// When it cannot be written; nothing was changed then.
pub fn bind_planned(planned: &[&Prepared<'_>]) -> Result<(), CheckoutError> {
    let Some(first) = planned.first().filter(|_| planned.len() > 1) else { return Ok(()) };
    let members = planned.iter().map(|prepared| prepared.member());
    bind(first.place.records, &members.collect::<Result<Vec<_>, _>>()?)
}

/// Notes what was changed together.
///
/// # Errors
/// When it cannot be written.
pub fn bind(records: &Path, members: &[Member]) -> Result<(), CheckoutError> {
    let folder = records.join(FOLDER);
    disk::private_dir(records)?;
    disk::private_dir(&folder)?;
    let numbers = numbers(&folder)?;
    let path = folder.join((numbers.last().unwrap_or(&0) + 1).to_string());
    let failed = |error: serde_json::Error| io_failed("write", &path, error.into());
    disk::write_atomic(&path, &serde_json::to_vec_pretty(members).map_err(failed)?)?;
    for old in &numbers[..numbers.len().saturating_sub(KEPT)] {
        disk::remove_file(&folder.join(old.to_string()))?;
    }
    Ok(())
}

/// What an undo in this work tree takes back; `newest_of` asks for the newest change of another one. A note that
/// cannot be read costs no more than that each is taken back by its own.
///
/// # Errors
/// When the records of this work tree cannot be read.
pub fn together(
    place: Place<'_>,
    newest_of: &dyn Fn(&Path) -> Option<Member>,
) -> Result<Together, CheckoutError> {
    let own = changed(place)?;
    let alone = Together { is_here: true, ..Together::default() };
    let Some(members) = newest_note(place) else { return Ok(alone) };
    let is_own = |member: &&Member| member.root == own.root;
    let Some(here) = members.iter().find(is_own) else { return Ok(alone) };
    if own.record.as_ref() != here.record.as_ref().or(here.before.as_ref()) {
        return Ok(alone);
    }
    let mut found = Together { is_here: here.record.is_some(), ..Together::default() };
    for other in members.iter().filter(|member| !is_own(member)) {
        let Some(record) = &other.record else { continue };
        if newest_of(&other.root).is_some_and(|newest| newest.record.as_ref() == Some(record)) {
            found.others.push(other.root.clone());
        } else if is_written(record) {
            found.moved_on.push(other.root.clone());
        }
    }
    // All of it is taken back already, or was never done.
    found.is_here |= found.others.is_empty();
    Ok(found)
}

/// The newest note that names a work tree.
fn newest_note(place: Place<'_>) -> Option<Vec<Member>> {
    let folder = place.records.join(FOLDER);
    let read = |number: &u64| {
        use std::io::Read as _;
        let file = disk::open_regular(&folder.join(number.to_string())).ok()?;
        let mut bytes = Vec::new();
        file.take(NOTE_MAX).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    let names_it =
        |members: &Vec<Member>| members.iter().any(|member| member.root == place.project.root);
    numbers(&folder).ok()?.iter().rev().filter_map(read).find(names_it)
}

/// Whether a record was made at all: a resume may have been stopped before it came to this work tree.
fn is_written(record: &Mark) -> bool {
    fs::symlink_metadata(record.dir.join("facts")).is_ok()
}
