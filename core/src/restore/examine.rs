//! Compares what was saved with what is here. Reads only.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::{Compared, Incoming, Relation, RestoreError, Target, unreadable};
use crate::disk;
use crate::id::LogId;
use crate::log::{Kind, LogError, Survey, survey};
use crate::transcript::{FILES_MAX, check_log};

/// Checks the saved files and compares each with the file here.
///
/// # Errors
/// When a saved path is not harmless, when the saved bytes are not what they should be, or when
/// something cannot be read.
pub fn examine(target: &Target, files: &[Incoming<'_>]) -> Result<Vec<Compared>, RestoreError> {
    check_names(target, files)?;
    files.iter().map(|file| compare(target, file)).collect()
}

fn check_names(target: &Target, files: &[Incoming<'_>]) -> Result<(), RestoreError> {
    if files.len() > FILES_MAX {
        return Err(RestoreError::TooMany(files.len()));
    }
    let mut seen = BTreeSet::new();
    for Incoming { log, .. } in files {
        check_log(log).map_err(|reason| RestoreError::Path { path: log.path.clone(), reason })?;
        let path = target.path_of(log);
        if !seen.insert(path.clone()) {
            return Err(RestoreError::Twice(path));
        }
    }
    if files.iter().any(|file| file.log == LogId::main()) {
        Ok(())
    } else {
        Err(RestoreError::NoTranscript)
    }
}

fn compare(target: &Target, file: &Incoming<'_>) -> Result<Compared, RestoreError> {
    let path = target.path_of(&file.log);
    let ours = match stands(target, &path)? {
        Stands::Nothing => None,
        Stands::Obstacle => return Ok(compared(file, Relation::Blocked, None)),
        Stands::File => Some(survey_ours(&path, file.length)?),
    };
    let lengths: Vec<u64> = ours.iter().flat_map(|ours| [ours.complete, ours.length]).collect();
    let theirs = survey_theirs(file, &path, &lengths)?;
    let relation = ours.as_ref().map_or(Relation::Absent, |ours| Relation::between(ours, &theirs));
    Ok(compared(file, relation, ours.as_ref()))
}

fn compared(file: &Incoming<'_>, relation: Relation, ours: Option<&Survey>) -> Compared {
    let ours = ours.map(|ours| ours.content);
    let is_older = ours.is_some_and(|ours| file.older.contains(&ours));
    Compared { log: file.log.clone(), relation, ours, is_older }
}

fn survey_ours(path: &Path, length: u64) -> Result<Survey, RestoreError> {
    survey(&mut disk::open_regular(path)?, &[length]).map_err(unreadable(path))
}

fn survey_theirs(
    file: &Incoming<'_>,
    path: &Path,
    lengths: &[u64],
) -> Result<Survey, RestoreError> {
    let failed = |source| RestoreError::Source { path: path.to_owned(), source };
    let mut reader = file.source.open(0).map_err(failed)?;
    let theirs = survey(&mut reader, lengths).map_err(|error| match error {
        LogError::Read { source, .. } => failed(source),
        error @ LogError::Changed { .. } => unreadable(path)(error),
    })?;
    if (theirs.length, theirs.content) != (file.length, file.content) {
        return Err(RestoreError::OtherContent(path.to_owned()));
    }
    if Kind::of(&file.log) == Kind::Lines && theirs.complete != theirs.length {
        return Err(RestoreError::Torn(path.to_owned()));
    }
    Ok(theirs)
}

/// What stands at a place.
pub(super) enum Stands {
    Nothing,
    File,
    Obstacle,
}

/// Looks at a path from the project's directory down, following no link.
pub(super) fn stands(target: &Target, path: &Path) -> Result<Stands, RestoreError> {
    let below =
        path.strip_prefix(&target.slug_dir).expect("every log lies in the project's directory");
    let mut place = target.slug_dir.clone();
    for part in below.components() {
        match kind_of(&place)? {
            None => return Ok(Stands::Nothing),
            Some(kind) if kind.is_dir() => place.push(part),
            Some(_) => return Ok(Stands::Obstacle),
        }
    }
    Ok(match kind_of(&place)? {
        None => Stands::Nothing,
        Some(kind) if kind.is_file() => Stands::File,
        Some(_) => Stands::Obstacle,
    })
}

fn kind_of(path: &Path) -> Result<Option<fs::FileType>, RestoreError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(unreadable(path)(LogError::Read { at: 0, source })),
    }
}
