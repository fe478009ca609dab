//! `undo`: what stood in the work tree before the last resume comes back, and what stood in the other
//! repositories that it changed.

use std::path::{Path, PathBuf};

use convosync_core::checkout::{self, CheckoutError, Member, Refusal, Report, Together};

use super::resume::tell_report;
use crate::call::Call;
use crate::clone::Clone;
use crate::error::CtlError;
use crate::exit::ExitCode;

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// What was done in other work trees.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    repositories: &'a [Other],
    /// Work trees that were changed again since, or are gone, and stay as they are.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    moved_on: &'a [PathBuf],
}

/// What was done in another work tree.
#[derive(serde::Serialize)]
struct Other {
    root: PathBuf,
    #[serde(flatten)]
    report: Report,
    /// Why nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// Takes the last change of this work tree back, and those that were made with it. With `force` it gives up what
/// an interrupted one had replaced, where the record of that is gone.
pub(crate) fn run(call: &mut Call<'_>, force: bool) -> Result<ExitCode, CtlError> {
    let clone = Clone::of(call, &call.directory())?;
    if force && is_forsaken(call, &clone)? {
        return Ok(ExitCode::Ok);
    }
    let newest_of = |root: &Path| newest(call, root).ok();
    let together = checkout::together(clone.place(), &newest_of)?;
    let report = match together.is_here {
        true => take_back(&clone)?,
        false => Report::default(),
    };
    let mut changed: Vec<Member> = checkout::changed(clone.place()).into_iter().collect();
    // Where only a lock was left nothing was taken back, and nothing is elsewhere.
    let others = if report.unlocked { &[][..] } else { &together.others[..] };
    let others: Vec<Other> = others.iter().map(|root| other(call, root, &mut changed)).collect();
    if changed.len() > 1 {
        let note = if together.is_here { changed } else { unchanged_first(changed) };
        checkout::bind(clone.place().records, &note)?;
    }
    tell(call, &together, &report, &others)?;
    let is_well = |report: &Report| report.differences.is_empty();
    let all_well =
        is_well(&report) && others.iter().all(|one| one.failed.is_none() && is_well(&one.report));
    Ok(if all_well { ExitCode::Ok } else { ExitCode::Failed })
}

/// Takes the lock of an interrupted restore away if its record is gone, and says so. Everything else is a matter
/// of an undo that needs no force.
fn is_forsaken(call: &mut Call<'_>, clone: &Clone) -> Result<bool, CtlError> {
    let report = match checkout::forsake(clone.place()) {
        Err(CheckoutError::Refused(Refusal::NothingToUndo)) => return Ok(false),
        report => report?,
    };
    if call.print.json {
        let answer = Answer { report: &report, repositories: &[], moved_on: &[] };
        call.print.answer(&answer)?;
        return Ok(true);
    }
    call.print.done(
        "the lock of a restore is gone that was interrupted half-way; what stood before it is lost, and every file stays as it is",
    )?;
    call.print.next("git status (some files may be of the other state)")?;
    Ok(true)
}

/// The first work tree had nothing to be taken back.
fn unchanged_first(mut members: Vec<Member>) -> Vec<Member> {
    let first = members.remove(0);
    members.insert(0, first.unchanged());
    members
}

fn newest(call: &Call<'_>, root: &Path) -> Result<Member, CtlError> {
    Ok(checkout::changed(Clone::of(call, root)?.place())?)
}

fn take_back(clone: &Clone) -> Result<Report, CheckoutError> {
    let taken = checkout::undo(clone.place(), &|step| clone.steps.take(step));
    clone.steps.rest();
    taken
}

/// Takes back what was changed in another work tree. That it cannot be is told, and keeps nobody.
fn other(call: &Call<'_>, root: &Path, changed: &mut Vec<Member>) -> Other {
    let taken = Clone::of(call, root).and_then(|clone| {
        let report = take_back(&clone)?;
        changed.extend(checkout::changed(clone.place()));
        Ok(report)
    });
    let (report, failed) = match taken {
        Ok(report) => (report, None),
        Err(error) => (Report::default(), Some(error.message())),
    };
    Other { root: root.to_owned(), report, failed }
}

fn tell(
    call: &mut Call<'_>,
    together: &Together,
    report: &Report,
    others: &[Other],
) -> Result<(), CtlError> {
    if call.print.json {
        let answer = Answer { report, repositories: others, moved_on: &together.moved_on };
        return Ok(call.print.answer(&answer)?);
    }
    if report.unlocked {
        return Ok(call.print.done(
            "a restore that was killed had left its lock: it is gone, and no file was touched",
        )?);
    }
    if together.is_here {
        call.print.done("what stood here before is back")?;
        tell_report(call, report)?;
    }
    for Other { root, report, failed } in others {
        let root = root.display();
        if let Some(why) = failed {
            let text = format!("`{root}`, which was changed by the same resume, stays: {why}");
            call.print.finding(&text, Some(&format!("run `convosyncctl undo` in `{root}`")))?;
        } else {
            call.print.done(&format!("what stood in `{root}` before is back"))?;
            tell_report(call, report)?;
        }
    }
    for root in &together.moved_on {
        let root = root.display();
        let text = format!("`{root}` was changed again since, or is gone, and stays as it is");
        call.print
            .note(&text, Some(&format!("`convosyncctl undo` in `{root}` takes back the last")))?;
    }
    let all = || std::iter::once(report).chain(others.iter().map(|other| &other.report));
    if all().any(|report| report.unfinished) {
        call.print.note("a restore before it was interrupted, too", None)?;
        call.print.next("convosyncctl undo (ends it)")?;
    } else if all().any(|report| report.again) {
        call.print.next("convosyncctl undo (once more brings back what stood here until now)")?;
    }
    Ok(())
}
