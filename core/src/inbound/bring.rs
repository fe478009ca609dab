//! From sealed logs to files: opened beside everything else first, compared with what is here, and only
//! then written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::disk::{self, DiskError, NewFile};
use crate::history::{History, HistoryError, Reader};
use crate::id::{Digest, LogName};
use crate::log::Kind;
use crate::protocol::ErrorKind;
use crate::restore::{self, Decision, Incoming, Plan, Refusal, Report, RestoreError};

pub use crate::restore::Target;

/// How many saves are looked through for earlier contents of small side files.
const OLDER_SAVES_MAX: usize = 64;

/// Why a session could not be brought back. What was here is as it was, but for side files that had been
/// written before.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// The saved session cannot be opened.
    #[error("open the saved session")]
    History(#[from] HistoryError),
    /// What is here must not be written over.
    #[error("the conversation here stays as it is: {0}")]
    Refused(Refusal),
    /// Writing failed.
    #[error("write the conversation")]
    Restore(#[from] RestoreError),
    /// There is no room for the opened files.
    #[error("keep the opened conversation")]
    Scratch(#[from] DiskError),
}

impl BringError {
    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::History(error) if error.is_damage() => ErrorKind::Damaged,
            Self::Refused(Refusal::Live) | Self::Restore(RestoreError::Live) => ErrorKind::Live,
            Self::Refused(_) => ErrorKind::NeedsDecision,
            _ => ErrorKind::Failed,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Refused(Refusal::Live) => {
                "end the session here first, or continue it where it runs"
            }
            Self::Refused(Refusal::Diverged) => {
                "both are kept: `convosyncctl show` lists what the other device saved; to continue theirs here, move the transcript here aside first"
            }
            Self::Refused(Refusal::Unfinished) => {
                "Claude Code stopped within a line here: move the transcript here aside, then resume again"
            }
            Self::Refused(Refusal::Blocked) => "move what is in its place, then resume again",
            Self::Restore(error) => return error.hint(),
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// What bringing a session back did, or would do.
#[derive(Debug, Clone)]
pub struct Brought {
    /// What was decided for each file.
    pub plan: Plan,
    /// What was done; `None` in a dry run.
    pub report: Option<Report>,
}

impl Brought {
    /// What was decided about the main transcript.
    pub fn main(&self) -> Option<Decision> {
        self.plan.steps.last().map(|step| step.decision)
    }
}

/// A folder of opened logs, removed when it is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = disk::remove_tree(&self.0) {
            tracing::debug!(%error, "opened files could not be removed");
        }
    }
}

/// A session that is to be brought back.
pub struct Bringing<'a> {
    /// Opens the saved session.
    pub reader: Reader<'a>,
    /// The save to bring back.
    pub history: &'a History,
    /// This device's own last save, if there is one: a torn line that it holds apart may leave the
    /// transcript here.
    pub ours: Option<&'a History>,
    /// Where the files belong.
    pub target: &'a Target,
    /// A folder for the opened files; removed afterwards.
    pub scratch: &'a Path,
    /// Whether the session runs here, asked more than once.
    pub is_live: &'a dyn Fn() -> bool,
    /// Decides and writes nothing.
    pub dry_run: bool,
}

/// Opens every log of a session beside everything else, compares with what is here and writes what is
/// missing.
///
/// # Errors
/// [`BringError`]; a refusal names why the transcript here is left alone.
pub fn bring_back(job: &Bringing<'_>, now_ms: i64) -> Result<Brought, BringError> {
    let Bringing { reader, history, target, is_live, .. } = *job;
    disk::remove_tree(job.scratch)?;
    disk::private_dir(job.scratch)?;
    let scratch = Scratch(job.scratch.to_owned());
    let opened: Vec<(LogName, PathBuf)> = history
        .files()
        .map(|(name, _)| Ok((name, open_into(reader, history, name, &scratch.0)?)))
        .collect::<Result<_, BringError>>()?;
    let incoming: Vec<Incoming<'_>> = opened
        .iter()
        .map(|(name, path)| {
            let state = &history.logs[name];
            let mut older = older_contents(reader, history, *name);
            older.extend(job.ours.and_then(|ours| reader.torn_content(ours, *name).ok().flatten()));
            Incoming {
                log: state.log.clone(),
                length: state.length,
                content: state.content,
                older,
                source: path,
            }
        })
        .collect();
    let compared = restore::examine(target, &incoming)?;
    let plan = restore::plan(&compared, is_live()).map_err(BringError::Refused)?;
    let write = || restore::apply(target, &plan, &incoming, is_live, now_ms);
    let report = if job.dry_run { None } else { Some(write()?) };
    Ok(Brought { plan, report })
}

fn open_into(
    reader: Reader<'_>,
    history: &History,
    name: LogName,
    scratch: &Path,
) -> Result<PathBuf, BringError> {
    let path = scratch.join(name.to_string());
    let mut file = NewFile::create(&path)?;
    reader.open_log(history, name, &mut |raw| file.write_all(raw))?;
    file.finish()?;
    Ok(path)
}

/// What a small whole file held at earlier saves: a copy here that equals one of them is merely old.
fn older_contents(reader: Reader<'_>, history: &History, name: LogName) -> Vec<Digest> {
    let state = &history.logs[&name];
    if Kind::of(&state.log) == Kind::Lines {
        return Vec::new();
    }
    let records = reader.records(history, OLDER_SAVES_MAX).unwrap_or_default();
    let states = records.into_iter().flat_map(|record| record.logs);
    states.filter(|older| older.log == state.log).map(|older| older.content).collect()
}
