//! Carries out a plan, checks each file again just before and just after it is written.

use std::io::{self, Read, Write};
use std::path::Path;

use memchr::memrchr;
use sha2::{Digest as _, Sha256};

use super::examine::{Stands, stands};
use super::{Decision, Incoming, Plan, Refusal, RestoreError, Target, unreadable};
use crate::disk::{self, DiskError, NewFile};
use crate::id::{Digest, LogId, Role};
use crate::log::{digest_of, stream};

/// The most bytes that are appended in one write; a longer extension is made of several, each of
/// complete lines. Bounds what is held in memory.
pub const APPEND_MAX: usize = 64 << 20;

/// How old an unfinished file of ours must be to be taken for a crash's, in milliseconds.
pub const LEFTOVER_AFTER_MS: i64 = 60 * 60 * 1000;

/// How much is copied at once.
const BLOCK: usize = 1 << 20;

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that were written anew.
    pub created: Vec<LogId>,
    /// Files that were extended.
    pub extended: Vec<LogId>,
    /// Files that took the place of an earlier saved content.
    pub replaced: Vec<LogId>,
    /// Files that were equal already.
    pub equal: Vec<LogId>,
    /// Files that were left as they are here, and why.
    pub kept: Vec<(LogId, Refusal)>,
    /// Whether the session was started here while its files were written: what it appends may not
    /// continue what was restored.
    pub is_live: bool,
}

/// Writes the files of a plan that was made from the same `target` and `files`.
///
/// `is_live` is asked before the first write, before the main transcript, and at the end.
///
/// # Errors
/// When a file changed since it was compared, cannot be written, or does not read back as it should.
/// Steps done before stay done.
pub fn apply(
    target: &Target,
    plan: &Plan,
    files: &[Incoming<'_>],
    is_live: &dyn Fn() -> bool,
    now_ms: i64,
) -> Result<Report, RestoreError> {
    let mut report = Report::default();
    if !plan.is_done() {
        refuse_live(is_live)?;
        prepare(target, now_ms)?;
    }
    for step in &plan.steps {
        if step.log == LogId::main() && step.decision != Decision::Nothing {
            refuse_live(is_live)?;
        }
        let file =
            files.iter().find(|file| file.log == step.log).ok_or(RestoreError::NoTranscript)?;
        carry_out(target, file, step.decision)?;
        report.note(&step.log, step.decision);
    }
    report.is_live = is_live();
    Ok(report)
}

fn refuse_live(is_live: &dyn Fn() -> bool) -> Result<(), RestoreError> {
    if is_live() { Err(RestoreError::Live) } else { Ok(()) }
}

impl Report {
    fn note(&mut self, log: &LogId, decision: Decision) {
        match decision {
            Decision::Create => self.created.push(log.clone()),
            Decision::Append { .. } => self.extended.push(log.clone()),
            Decision::Replace { .. } => self.replaced.push(log.clone()),
            Decision::Nothing => self.equal.push(log.clone()),
            Decision::Keep(why) => self.kept.push((log.clone(), why)),
        }
    }
}

/// Makes the project's directory and takes away what an interrupted restore left.
fn prepare(target: &Target, now_ms: i64) -> Result<(), RestoreError> {
    if let Some(projects) = target.slug_dir.parent() {
        disk::make_dirs(projects)?;
    }
    disk::make_dir(&target.slug_dir)?;
    disk::remove_leftovers(&target.slug_dir, now_ms.saturating_sub(LEFTOVER_AFTER_MS))?;
    Ok(())
}

fn carry_out(target: &Target, file: &Incoming<'_>, decision: Decision) -> Result<(), RestoreError> {
    let path = target.path_of(&file.log);
    match decision {
        Decision::Keep(_) => return Ok(()),
        Decision::Nothing => return Ok(disk::touch(&path)?),
        Decision::Create => {
            make_dirs_of(target, &file.log)?;
            copy(file, &path)?.finish().map_err(|error| match error {
                DiskError::Exists(path) => RestoreError::Changed(path),
                error => error.into(),
            })?;
        }
        Decision::Append { from, ours } => {
            let ours = expect_ours(target, &path, ours)?;
            expect_theirs(file, &path, from, ours)?;
            extend(file, &path, from)?;
        }
        Decision::Replace { ours } => {
            let new = copy(file, &path)?;
            expect_ours(target, &path, ours)?;
            new.finish_replacing()?;
        }
    }
    read_back(file, &path)
}

/// Makes the directories between the project's and the file's, one by one, following no link.
fn make_dirs_of(target: &Target, log: &LogId) -> Result<(), RestoreError> {
    if log.role != Role::Inside {
        return Ok(());
    }
    let mut dir = target.slug_dir.join(target.session.as_str());
    disk::make_dir(&dir)?;
    let parents = Path::new(&log.path).parent().into_iter().flat_map(Path::components);
    for part in parents {
        dir.push(part);
        disk::make_dir(&dir)?;
    }
    Ok(())
}

/// Writes the saved bytes beside their place, and checks them before they go there.
fn copy(file: &Incoming<'_>, path: &Path) -> Result<NewFile, RestoreError> {
    let failed = |source| RestoreError::Source { path: path.to_owned(), source };
    let mut new = NewFile::create(path)?;
    // One byte more than announced shows that there is too much.
    let mut reader = file.source.open(0).map_err(failed)?.take(file.length.saturating_add(1));
    let (mut sum, mut block, mut length) = (Sha256::new(), vec![0; BLOCK], 0);
    loop {
        let count = fill(&mut reader, &mut block).map_err(failed)?;
        if count == 0 {
            break;
        }
        sum.update(&block[..count]);
        length += count as u64;
        new.write_all(&block[..count]).map_err(|source| write_failed(path, source))?;
    }
    if (length, Digest(sum.finalize().into())) != (file.length, file.content) {
        return Err(RestoreError::OtherContent(path.to_owned()));
    }
    Ok(new)
}

fn write_failed(path: &Path, source: io::Error) -> RestoreError {
    DiskError::Io { deed: "write", path: path.to_owned(), source }.into()
}

/// Appends what ours lacks.
fn extend(file: &Incoming<'_>, path: &Path, from: u64) -> Result<(), RestoreError> {
    let failed = |source| RestoreError::Source { path: path.to_owned(), source };
    let mut at = from;
    while at < file.length {
        let size = usize::try_from(file.length - at).unwrap_or(APPEND_MAX).min(APPEND_MAX);
        let mut bytes = vec![0; size];
        let count = fill(&mut file.source.open(at).map_err(failed)?, &mut bytes).map_err(failed)?;
        if count < size {
            return Err(RestoreError::OtherContent(path.to_owned()));
        }
        let lines = memrchr(b'\n', &bytes).map_or(size, |index| index + 1);
        disk::append_verified(path, at, &bytes[..lines])?;
        at += lines as u64;
    }
    Ok(())
}

/// Reads until the block is full or the end is reached.
fn fill(reader: &mut dyn Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match reader.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Checks that the file here still is what it was when it was compared.
fn expect_ours(target: &Target, path: &Path, ours: Digest) -> Result<Sha256, RestoreError> {
    let changed = || RestoreError::Changed(path.to_owned());
    if !matches!(stands(target, path)?, Stands::File) {
        return Err(changed());
    }
    let mut found = disk::open_regular(path)?;
    let length = found.metadata().map_err(|_| changed())?.len();
    let mut sum = Sha256::new();
    stream(&mut found, 0..length, &mut |block| sum.update(block)).map_err(unreadable(path))?;
    if Digest(sum.clone().finalize().into()) == ours { Ok(sum) } else { Err(changed()) }
}

/// Checks that ours with what is to be appended is what was saved, before a byte of it is written.
fn expect_theirs(
    file: &Incoming<'_>,
    path: &Path,
    from: u64,
    mut sum: Sha256,
) -> Result<(), RestoreError> {
    let failed = |source| RestoreError::Source { path: path.to_owned(), source };
    let mut reader = file.source.open(from).map_err(failed)?;
    let mut block = vec![0; BLOCK];
    loop {
        match fill(&mut reader, &mut block).map_err(failed)? {
            0 => break,
            count => sum.update(&block[..count]),
        }
    }
    let is_theirs = Digest(sum.finalize().into()) == file.content;
    if is_theirs { Ok(()) } else { Err(RestoreError::OtherContent(path.to_owned())) }
}

/// Checks that the file now holds what was saved; more may already follow it.
fn read_back(file: &Incoming<'_>, path: &Path) -> Result<(), RestoreError> {
    let mut found = disk::open_regular(path)?;
    let digest = digest_of(&mut found, 0..file.length).map_err(unreadable(path))?;
    if digest == file.content { Ok(()) } else { Err(RestoreError::Changed(path.to_owned())) }
}
