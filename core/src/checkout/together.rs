//! Work trees that were changed by one resume: one undo takes all of it back.
//!
//! A note lies beside the records, `together/<number>`, written before the first of them is changed. It names
//! each work tree with its record, or with the one before where it was as it should be. What was done to a
//! work tree since is never taken back for another's sake. An undo of several notes the same, so that one that
//! was stopped between two of them is gone on with.

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

/// What is, or was, changed together.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Whether an undo does it, and has not come to its end.
    is_undoing: bool,
    members: Vec<Member>,
}

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
    /// Those in which nothing was changed, because it was stopped before: a lock may be left there.
    pub untouched: Vec<PathBuf>,
    /// Whether an undo of all was stopped, and is gone on with.
    pub goes_on: bool,
    /// What that undo had done already, in this work tree or others.
    pub done: Vec<Member>,
    /// Work trees, this one among them, in which that undo was stopped half-way: it is to be ended there first.
    pub half_way: Vec<PathBuf>,
}

/// A note of an undo that has not come to its end.
#[derive(Debug)]
pub struct Undoing {
    path: PathBuf,
}

impl Prepared<'_> {
    /// This work tree as one of several that are changed together.
    ///
    /// # Errors
    /// When its records cannot be read.
    pub fn member(&self) -> Result<Member, CheckoutError> {
        let before = record::newest(self.place)?.map(|record| mark(&record));
        let record = match self.outlook.is_here {
            false => Some(mark(&self.record)),
            true => before.clone().filter(|newest| was_stopped_after(self.place, newest)),
        };
        Ok(Member { root: self.place.project.root.clone(), record, before })
    }
}

impl Member {
    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The same work tree, as one in which nothing was to be changed.
    #[must_use]
    pub fn unchanged(self) -> Self {
        Self { before: self.record, record: None, ..self }
    }

    /// Whether nothing was done there, though it was to be.
    fn is_untouched(&self, newest: Option<&Mark>) -> bool {
        self.record.as_ref().is_some_and(|record| !is_written(record))
            && newest == self.before.as_ref()
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

/// Notes that a resume changes these together, before the first of them is.
///
/// # Errors
/// When it cannot be written; nothing was changed then.
pub fn bind_planned(planned: &[&Prepared<'_>]) -> Result<(), CheckoutError> {
    let Some(first) = planned.first().filter(|_| planned.len() > 1) else { return Ok(()) };
    // What changes nothing is not what an undo takes back.
    if planned.iter().all(|prepared| prepared.outlook.is_here) {
        return Ok(());
    }
    let members = planned.iter().map(|prepared| prepared.member());
    let members = members.collect::<Result<_, _>>()?;
    write_new(first.place.records, &Note { is_undoing: false, members }).map(drop)
}

/// Notes that an undo takes these back together, before it begins.
///
/// # Errors
/// When it cannot be written; nothing was changed then.
pub fn bind_undo(records: &Path, members: Vec<Member>) -> Result<Option<Undoing>, CheckoutError> {
    if members.len() < 2 {
        return Ok(None);
    }
    let path = write_new(records, &Note { is_undoing: true, members })?;
    Ok(Some(Undoing { path }))
}

impl Undoing {
    /// Notes what the undo did, now that it has come to its end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(self, members: Vec<Member>) -> Result<(), CheckoutError> {
        write(&self.path, &Note { is_undoing: false, members })
    }
}

fn write_new(records: &Path, note: &Note) -> Result<PathBuf, CheckoutError> {
    let folder = records.join(FOLDER);
    disk::private_dir(records)?;
    disk::private_dir(&folder)?;
    let numbers = numbers(&folder)?;
    let path = folder.join((numbers.last().unwrap_or(&0) + 1).to_string());
    write(&path, note)?;
    for old in &numbers[..numbers.len().saturating_sub(KEPT)] {
        disk::remove_file(&folder.join(old.to_string()))?;
    }
    Ok(path)
}

fn write(path: &Path, note: &Note) -> Result<(), CheckoutError> {
    let failed = |error: serde_json::Error| io_failed("write", path, error.into());
    Ok(disk::write_atomic(path, &serde_json::to_vec_pretty(note).map_err(failed)?)?)
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
    let Some(note) = newest_note(place) else { return Ok(alone) };
    let newest = |member: &Member| match member.root == own.root {
        true => own.record.clone(),
        false => newest_of(&member.root).and_then(|newest| newest.record),
    };
    let members: Vec<_> = note.members.iter().map(|member| (member, newest(member))).collect();
    if let Some(found) = going_on(&note, &own.root, &members) {
        return Ok(found);
    }
    let is_own = |(member, _): &&(&Member, _)| member.root == own.root;
    let Some((here, _)) = members.iter().find(is_own) else { return Ok(alone) };
    let is_untouched = here.is_untouched(own.record.as_ref());
    if !is_untouched && own.record.as_ref() != here.record.as_ref().or(here.before.as_ref()) {
        return Ok(alone);
    }
    let is_here = here.record.is_some() && !is_untouched;
    let mut found = Together { is_here, ..Together::default() };
    for (other, newest) in members.iter().filter(|one| !is_own(one)) {
        let Some(record) = &other.record else { continue };
        let root = other.root.clone();
        if newest.as_ref() == Some(record) {
            found.others.push(root);
        } else if is_written(record) {
            found.moved_on.push(root);
        } else if other.is_untouched(newest.as_ref()) {
            found.untouched.push(root);
        }
    }
    // All of it is taken back already, or was never done.
    found.is_here |= found.others.is_empty();
    Ok(found)
}

/// What is left to do of an undo that was stopped, if anything is.
fn going_on(note: &Note, own: &Path, members: &[(&Member, Option<Mark>)]) -> Option<Together> {
    if !note.is_undoing {
        return None;
    }
    let mut found = Together { goes_on: true, ..Together::default() };
    for (member, newest) in members {
        let (Some(record), Some(newest)) = (&member.record, newest) else { continue };
        if newest == record && is_half_way(record) {
            found.half_way.push(member.root.clone());
        } else if newest == record {
            found.done.push((*member).clone());
        } else if Some(newest) != member.before.as_ref() {
            // It was done there, or something else was since.
        } else if member.root == own {
            found.is_here = true;
        } else {
            found.others.push(member.root.clone());
        }
    }
    let is_open = found.is_here || !found.others.is_empty() || !found.half_way.is_empty();
    is_open.then_some(found)
}

/// Whether a work tree's newest record is of a resume that was stopped before it came to another work tree: a
/// resume that brings the rest belongs to it.
fn was_stopped_after(place: Place<'_>, newest: &Mark) -> bool {
    let Some(note) = newest_note(place).filter(|note| !note.is_undoing) else { return false };
    let is_it = |member: &&Member| {
        member.root == place.project.root && member.record.as_ref() == Some(newest)
    };
    let is_open =
        |member: &Member| member.record.as_ref().is_some_and(|record| !is_written(record));
    note.members.iter().any(|member| is_it(&member)) && note.members.iter().any(is_open)
}

/// The newest note that names a work tree.
fn newest_note(place: Place<'_>) -> Option<Note> {
    let folder = place.records.join(FOLDER);
    let read = |number: &u64| -> Option<Note> {
        let bytes = disk::read_at_most(&folder.join(number.to_string()), NOTE_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    let names_it =
        |note: &Note| note.members.iter().any(|member| member.root == place.project.root);
    numbers(&folder).ok()?.iter().rev().filter_map(read).find(names_it)
}

/// Whether a record was made at all: a resume may have been stopped before it came to this work tree.
fn is_written(record: &Mark) -> bool {
    deeds(record).is_some()
}

/// Whether a record was made, and what it was made for did not come to its end.
fn is_half_way(record: &Mark) -> bool {
    deeds(record).is_some_and(|deeds| !deeds.is_done)
}

fn deeds(record: &Mark) -> Option<record::Deeds> {
    let deeds = record::read_deeds(&record.dir).ok().flatten();
    deeds.filter(|deeds| deeds.at_ms == record.at_ms)
}
