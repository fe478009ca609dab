//! `undo`: what stood in the work tree before the last resume comes back, and what stood in the other
//! repositories that it changed.

use std::path::{Path, PathBuf};

use convosync_core::checkout::{
    self, CheckoutError, Member, Past, Prepared, Refusal, Report, Together,
};

use super::resume::tell_report;
use crate::call::Call;
use crate::clone::Clone;
use crate::error::CtlError;
use crate::exit::ExitCode;

/// What was done, and what `--json` prints.
#[derive(Default, serde::Serialize)]
struct Done {
    #[serde(flatten)]
    report: Report,
    /// Whether anything was to be taken back here, and not in other work trees alone.
    #[serde(skip)]
    is_here: bool,
    /// Whether an undo that was stopped was gone on with.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    goes_on: bool,
    /// What was done in other work trees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<Other>,
    /// Work trees that were changed again since, or are gone, and stay as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moved_on: Vec<PathBuf>,
}

/// What was done in another work tree.
#[derive(Default, serde::Serialize)]
struct Other {
    root: PathBuf,
    #[serde(flatten)]
    report: Report,
    /// Why nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// Another work tree, and what is to be taken back in it.
struct Tree {
    root: PathBuf,
    opened: Result<(Clone, Past), CtlError>,
}

/// Takes the last change of this work tree back, and those that were made with it. With `force` it gives up what
/// an interrupted one had replaced, where the record of that is gone.
pub(crate) fn run(call: &mut Call<'_>, force: bool) -> Result<ExitCode, CtlError> {
    let clone = Clone::of(call, &call.directory())?;
    if force && is_forsaken(call, &clone)? {
        return Ok(ExitCode::Ok);
    }
    let is_unlocked = checkout::unlock(clone.place())?;
    let (together, failed) = together(call, &clone)?;
    // A restore that was killed before it had changed anything, or after all was done.
    let done = if is_unlocked && !together.goes_on && together.others.is_empty() {
        Done { report: Report { unlocked: true, ..Report::default() }, ..Done::default() }
    } else {
        take_back(call, &clone, together, failed)?
    };
    tell(call, &done)?;
    let is_well = |report: &Report| report.differences.is_empty();
    let others_well =
        done.repositories.iter().all(|one| one.failed.is_none() && is_well(&one.report));
    Ok(if is_well(&done.report) && others_well { ExitCode::Ok } else { ExitCode::Failed })
}

/// Takes the lock of an interrupted restore away if its record is gone, and says so. Everything else is a matter
/// of an undo that needs no force.
fn is_forsaken(call: &mut Call<'_>, clone: &Clone) -> Result<bool, CtlError> {
    let report = match checkout::forsake(clone.place()) {
        Err(CheckoutError::Refused(Refusal::NothingToUndo)) => return Ok(false),
        report => report?,
    };
    if call.print.json {
        call.print.answer(&Done { report, ..Done::default() })?;
        return Ok(true);
    }
    call.print.done(
        "the lock of a restore is gone that was interrupted half-way; what stood before it is lost, and every file stays as it is",
    )?;
    call.print.next("git status (some files may be of the other state)")?;
    Ok(true)
}

/// What goes together with this work tree. Where an undo was stopped half-way, what stood before it is brought
/// back first, so that all of it can be gone on with; also returns those where that cannot be.
fn together(call: &Call<'_>, clone: &Clone) -> Result<(Together, Vec<Other>), CtlError> {
    let newest_of = |root: &Path| newest(call, root).ok();
    let found = checkout::together(clone.place(), &newest_of)?;
    if found.half_way.is_empty() {
        return Ok((found, Vec::new()));
    }
    let mut failed = Vec::new();
    for root in &found.half_way {
        match end(call, root) {
            Err(error) if *root == clone.project.root => return Err(error),
            Err(error) => failed.push(Other::failed(root, &error.message())),
            Ok(()) => {}
        }
    }
    Ok((checkout::together(clone.place(), &newest_of)?, failed))
}

/// Ends an undo that was stopped half-way: what stood before it is back.
fn end(call: &Call<'_>, root: &Path) -> Result<(), CtlError> {
    let clone = Clone::of(call, root)?;
    let ended = checkout::undo(clone.place(), &|step| clone.steps.take(step));
    clone.steps.rest();
    Ok(ended.map(drop)?)
}

fn newest(call: &Call<'_>, root: &Path) -> Result<Member, CtlError> {
    Ok(checkout::changed(Clone::of(call, root)?.place())?)
}

/// Looks at all work trees, then takes back what is to be taken back in each.
fn take_back(
    call: &Call<'_>,
    clone: &Clone,
    together: Together,
    mut repositories: Vec<Other>,
) -> Result<Done, CtlError> {
    let Together { is_here, others, moved_on, untouched, goes_on, mut done, .. } = together;
    repositories.extend(untouched.into_iter().filter_map(|root| unlocked(call, root)));
    let past = if is_here { Some(Past::newest(clone.place())?) } else { None };
    let here = past.as_ref().map(|past| past.plan(clone.place())).transpose()?;
    let trees: Vec<Tree> = others.into_iter().map(|root| Tree::of(call, root)).collect();
    let mut planned = Vec::new();
    for tree in &trees {
        match tree.plan() {
            Ok(prepared) => planned.push((tree, prepared)),
            Err(why) => repositories.push(Other::failed(&tree.root, &why)),
        }
    }
    // What was done before an undo was stopped is taken back with the rest.
    if !is_here && done.iter().all(|member| member.root() != clone.project.root) {
        done.push(checkout::changed(clone.place())?.unchanged());
    }
    let to_do = here.iter().chain(planned.iter().map(|(_, prepared)| prepared));
    let to_do = to_do.map(Prepared::member).collect::<Result<Vec<_>, _>>()?;
    let undoing = checkout::bind_undo(clone.place().records, [&done[..], &to_do].concat())?;
    let mut changed = done;
    let report = match here {
        Some(prepared) => apply(clone, prepared, &mut changed)?,
        None => Report::default(),
    };
    for (tree, prepared) in planned {
        repositories.push(tree.take_back(prepared, &mut changed));
    }
    undoing.map_or(Ok(()), |undoing| undoing.end(changed))?;
    Ok(Done { report, is_here, goes_on, repositories, moved_on })
}

/// Carries one plan out, and adds what one more undo takes back there.
fn apply(
    clone: &Clone,
    prepared: Prepared<'_>,
    changed: &mut Vec<Member>,
) -> Result<Report, CtlError> {
    let member = prepared.member()?;
    let applied = prepared.apply(&|step| clone.steps.take(step));
    clone.steps.rest();
    let report = applied?;
    changed.push(match report.again {
        true => member,
        false => checkout::changed(clone.place())?.unchanged(),
    });
    Ok(report)
}

/// Takes the lock away that a killed resume left where it had changed nothing.
fn unlocked(call: &Call<'_>, root: PathBuf) -> Option<Other> {
    let clone = Clone::of(call, &root).ok()?;
    let is_unlocked = checkout::unlock(clone.place()).ok()?;
    let report = Report { unlocked: true, ..Report::default() };
    is_unlocked.then(|| Other { root, report, ..Other::default() })
}

impl Tree {
    fn of(call: &Call<'_>, root: PathBuf) -> Self {
        let opened = Clone::of(call, &root).and_then(|clone| {
            // One that was killed when all was done leaves its lock.
            checkout::unlock(clone.place())?;
            let past = Past::newest(clone.place())?;
            Ok((clone, past))
        });
        Self { root, opened }
    }

    fn plan(&self) -> Result<Prepared<'_>, String> {
        let (clone, past) = self.opened.as_ref().map_err(CtlError::message)?;
        past.plan(clone.place()).map_err(|error| CtlError::from(error).message())
    }

    /// Takes back what was changed here. That it cannot be is told, and keeps nobody.
    fn take_back(&self, prepared: Prepared<'_>, changed: &mut Vec<Member>) -> Other {
        let Ok((clone, _)) = &self.opened else { return Other::default() };
        match apply(clone, prepared, changed) {
            Ok(report) => Other { root: self.root.clone(), report, failed: None },
            Err(error) => Other::failed(&self.root, &error.message()),
        }
    }
}

impl Other {
    fn failed(root: &Path, why: &str) -> Self {
        Self { root: root.to_owned(), failed: Some(why.to_owned()), ..Self::default() }
    }
}

fn tell(call: &mut Call<'_>, done: &Done) -> Result<(), CtlError> {
    if call.print.json {
        return Ok(call.print.answer(done)?);
    }
    if done.report.unlocked {
        return Ok(call.print.done(
            "a restore that was killed had left its lock: it is gone, and no file was touched",
        )?);
    }
    if done.goes_on {
        call.print
            .note("an undo was stopped between two repositories: it is gone on with", None)?;
    }
    if done.is_here {
        call.print.done("what stood here before is back")?;
        tell_report(call, &done.report)?;
    }
    for other in &done.repositories {
        tell_other(call, other)?;
    }
    for root in &done.moved_on {
        let root = root.display();
        let text = format!("`{root}` was changed again since, or is gone, and stays as it is");
        call.print
            .note(&text, Some(&format!("`convosyncctl undo` in `{root}` takes back the last")))?;
    }
    let others = || done.repositories.iter().map(|other| &other.report);
    let all = || std::iter::once(&done.report).chain(others());
    if all().any(|report| report.unfinished) {
        call.print.note("a restore before it was interrupted, too", None)?;
        call.print.next("convosyncctl undo (ends it)")?;
    } else if all().any(|report| report.again) {
        call.print.next("convosyncctl undo (once more brings back what stood here until now)")?;
    }
    Ok(())
}

fn tell_other(call: &mut Call<'_>, other: &Other) -> Result<(), CtlError> {
    let Other { root, report, failed } = other;
    let root = root.display();
    if let Some(why) = failed {
        let text = format!("`{root}`, which was changed by the same resume, stays: {why}");
        return Ok(call
            .print
            .finding(&text, Some(&format!("run `convosyncctl undo` in `{root}`")))?);
    }
    if report.unlocked {
        let text = format!(
            "a resume that was killed had left its lock in `{root}`: it is gone, and no file was touched"
        );
        return Ok(call.print.done(&text)?);
    }
    call.print.done(&format!("what stood in `{root}` before is back"))?;
    tell_report(call, report)
}
