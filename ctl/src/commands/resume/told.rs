//! What was done with the code of a conversation, or would be, in words.

use std::path::Path;

use convosync_core::checkout::{COMMITS_COUNTED_MAX, Gone, Opened, Outlook, Report, SubmoduleAt};
use convosync_core::code::some;
use convosync_core::id::short_commit;

use crate::args;
use crate::call::Call;
use crate::error::CtlError;
use crate::print::{Frame, ago, bytes, count};

/// How many paths of one list are named.
const PATHS_SHOWN_MAX: usize = 5;

/// Whether something was done, or is only told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tense {
    Would,
    Did,
}

impl Tense {
    /// That of a command.
    pub(super) fn of(args: &args::Resume) -> Self {
        if args.dry_run { Self::Would } else { Self::Did }
    }

    fn words(self, would: &'static str, did: &'static str) -> &'static str {
        match self {
            Self::Would => would,
            Self::Did => did,
        }
    }
}

/// Says what was done with the code of one repository, or would be; `further` names it where it is not the one of
/// the conversation.
pub(super) fn tell(
    call: &mut Call<'_>,
    further: Option<&str>,
    report: &Report,
    tense: Tense,
) -> Result<(), CtlError> {
    let of = further.map(|name| format!(" of `{name}`")).unwrap_or_default();
    if report.outlook.is_here {
        call.print.done(&here_already(&of, report.outlook.left.len()))?;
        return tell_left(call, &report.outlook);
    }
    match tense {
        Tense::Would => {
            call.print.done(&format!("would restore the code{of}"))?;
            tell_outlook(call, &report.outlook, tense)
        }
        Tense::Did => {
            call.print.done(&format!("code{of} restored"))?;
            tell_report(call, report)
        }
    }
}

/// Says what a work tree of its own would get.
pub(super) fn tell_work_tree(
    call: &mut Call<'_>,
    dir: &Path,
    opened: &Opened,
) -> Result<(), CtlError> {
    let text = format!("would restore the code into a new work tree, `{}`", dir.display());
    call.print.done(&text)?;
    let head = &opened.state.head;
    let place = at(head.branch.as_deref(), head.commit.map(|id| id.to_string()).as_deref());
    Ok(call.print.line(format!("  {} {place}", call.print.look.arrow()))?)
}

fn at(branch: Option<&str>, commit: Option<&str>) -> String {
    let commit = commit.map_or("no commit yet", short_commit);
    format!("{} at {commit}", branch.unwrap_or("a detached HEAD"))
}

/// Says what was done to a work tree, and what was not.
pub(crate) fn tell_report(call: &mut Call<'_>, report: &Report) -> Result<(), CtlError> {
    tell_outlook(call, &report.outlook, Tense::Did)?;
    if !report.unfiltered.is_empty() {
        let files = some(&report.unfiltered, PATHS_SHOWN_MAX);
        let text = format!("a filter could not run, so these hold what git stores: {files}");
        let hint = "mend the filter (`git config --get-regexp '^filter'` names it), then check them out again";
        call.print.note(&text, Some(hint))?;
    }
    if let [first, ..] = report.behind.as_slice() {
        let text = format!(
            "submodules stand elsewhere than the code has them: {}",
            some(&report.behind, PATHS_SHOWN_MAX)
        );
        let hint = format!("`git submodule update --init {first}` brings one there");
        call.print.note(&text, Some(&hint))?;
    }
    for file in report.not_back.iter().take(PATHS_SHOWN_MAX) {
        let text = format!("`{}` did not come back: {}", file.path, file.why);
        call.print.note(&text, Some(&format!("its bytes are at `{}`", file.kept.display())))?;
    }
    if report.not_back.len() > PATHS_SHOWN_MAX {
        let more = count(report.not_back.len() - PATHS_SHOWN_MAX, "path");
        let folder = report.not_back.iter().find_map(|file| file.kept.parent());
        let folder = folder.unwrap_or(Path::new("")).display();
        call.print.note(&format!("{more} more did not come back: see `{folder}`"), None)?;
    }
    tell_gone(call, &report.gone)?;
    if report.differences.is_empty() {
        let text = verified(report.outlook.left.len());
        return Ok(call.print.line(format!("  {} {text}", call.print.look.arrow()))?);
    }
    let mut frame = Frame::new("WARNING: NOT THE SAME CODE").line(&format!(
        "looked at again, {} from what was saved: {}",
        differing(report.differences.len()),
        some(&report.differences, PATHS_SHOWN_MAX),
    ));
    frame = frame.line("").line("hint: `convosyncctl undo` brings back what stood here before");
    Ok(call.print.frame(&frame)?)
}

/// Names the records that are too old to be kept any longer.
fn tell_gone(call: &mut Call<'_>, gone: &[Gone]) -> Result<(), CtlError> {
    let now_ms = (call.env.now_ms)();
    for Gone { record, at_ms, bytes: size } in gone.iter().take(PATHS_SHOWN_MAX) {
        let (made, size) = (ago(*at_ms, now_ms), bytes(*size));
        let text = format!("the old record `{}` went ({made}, {size})", record.display());
        call.print.note(&text, None)?;
    }
    if gone.len() > PATHS_SHOWN_MAX {
        let more = gone.len() - PATHS_SHOWN_MAX;
        call.print.note(&format!("{more} more old records went"), None)?;
    }
    Ok(())
}

/// Says what putting the code in place would do, or did.
fn tell_outlook(call: &mut Call<'_>, outlook: &Outlook, tense: Tense) -> Result<(), CtlError> {
    let arrow = call.print.look.arrow();
    let place = at(outlook.branch.as_deref(), outlook.commit.as_deref());
    let new = new_commits(outlook.commits);
    call.print.line(format!("  {arrow} {place}{new}"))?;
    let (written, removed) = (count(outlook.written, "file"), count(outlook.removed, "file"));
    call.print.line(match tense {
        Tense::Would => format!("  {arrow} {written} to write, {removed} to remove"),
        Tense::Did => format!("  {arrow} {written} written, {removed} removed"),
    })?;
    if let Some(saved) = &outlook.instead_of {
        let branch = outlook.branch.as_deref().unwrap_or("a detached HEAD");
        let is = tense.words("would be", "is");
        let why = match outlook.is_elsewhere {
            true => "is checked out in another work tree",
            false => "has other commits here",
        };
        let text = format!("`{saved}` {why}, so the code {is} on `{branch}`");
        let hint = format!("`git log {saved}..{branch}` shows what is new");
        call.print.note(&text, Some(&hint).filter(|_| tense == Tense::Did).map(String::as_str))?;
    }
    if !outlook.programs.is_empty() {
        let came = tense.words("would come", "came");
        let files = some(&outlook.programs, PATHS_SHOWN_MAX);
        let text = format!("files {came} along that make programs run: {files}");
        call.print.note(&text, Some("look at them before you start anything here"))?;
    }
    tell_left(call, outlook)?;
    if !outlook.set_aside.is_empty() {
        let (were, brings) =
            (tense.words("would be", "were"), tense.words("would bring", "brings"));
        let text = format!(
            "ignored files {were} set aside: {}",
            some(&outlook.set_aside, PATHS_SHOWN_MAX)
        );
        call.print.note(&text, Some(&format!("`convosyncctl undo` {brings} them back")))?;
    }
    for module in &outlook.submodules {
        tell_submodule(call, module)?;
    }
    outlook.notes.iter().try_for_each(|note| call.print.note(note, None))?;
    Ok(())
}

/// Says where a submodule stood: none is ever moved.
fn tell_submodule(call: &mut Call<'_>, module: &SubmoduleAt) -> Result<(), CtlError> {
    let path = &module.path;
    let Some(commit) = &module.commit else {
        let text = format!("submodule `{path}` was no repository there; here it stays as it is");
        return Ok(call.print.note(&text, None)?);
    };
    let short = short_commit(commit);
    let text = format!(
        "submodule `{path}` stood at {short} there, which is not where the code has it; here it stays as it is"
    );
    let hint =
        format!("`git -C {path} fetch && git -C {path} switch --detach {short}` brings it there");
    Ok(call.print.note(&text, Some(&hint))?)
}

fn new_commits(number: usize) -> String {
    let words = count(number, "new commit");
    match number {
        0 => String::new(),
        COMMITS_COUNTED_MAX => format!(", {words} or more"),
        _ => format!(", {words}"),
    }
}

/// Names what stays as it is here, though something else was saved.
fn tell_left(call: &mut Call<'_>, outlook: &Outlook) -> Result<(), CtlError> {
    for (path, why) in outlook.left.iter().take(PATHS_SHOWN_MAX) {
        call.print.note(&format!("`{path}` stays as it is here: {why}"), None)?;
    }
    if outlook.left.len() > PATHS_SHOWN_MAX {
        let more = count(outlook.left.len() - PATHS_SHOWN_MAX, "path");
        call.print.note(&format!("{more} more stay as they are here"), None)?;
    }
    Ok(())
}

/// What a second look found, where no path differs but those that were left out.
fn verified(left: usize) -> String {
    match left {
        0 => "verified: it is what was saved".to_owned(),
        left => format!("verified, but for {}: the rest is what was saved", count(left, "path")),
    }
}

fn differing(paths: usize) -> String {
    let verb = if paths == 1 { "differs" } else { "differ" };
    format!("{} {verb}", count(paths, "path"))
}

fn here_already(of: &str, left: usize) -> String {
    match left {
        0 => format!("the code{of} is here already"),
        left => format!("the code{of} is here already, but for {}", count(left, "path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_not_called_verified() {
        assert_eq!(verified(0), "verified: it is what was saved");
        assert_eq!(verified(1), "verified, but for 1 path: the rest is what was saved");
        assert_eq!(verified(7), "verified, but for 7 paths: the rest is what was saved");
        assert_eq!(here_already("", 0), "the code is here already");
        assert_eq!(
            here_already(" of `lib`", 2),
            "the code of `lib` is here already, but for 2 paths"
        );
        assert_eq!([differing(1), differing(3)], ["1 path differs", "3 paths differ"]);
        assert_eq!(new_commits(0), "");
        assert_eq!(new_commits(2), ", 2 new commits");
        assert_eq!(new_commits(COMMITS_COUNTED_MAX), ", 1000 new commits or more");
    }
}
