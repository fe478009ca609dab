//! What `save` says: each part when it is done, and exactly how far it got.

use convosync_core::code::some;
use convosync_core::commit::{Left, Plan, Pushed, Switched, Way};
use convosync_core::id::short_commit;
use convosync_core::protocol::{SaveOutlookReply, SaveReply, SyncState};
use serde::Serialize;

use super::super::large;
use super::code::{Commit, Done, Work};
use super::history::{self, Taken};
use super::outcome;
use crate::args;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{bytes, count, headline, place};

/// As many paths that stay are named one by one.
const LEFT_SHOWN: usize = 5;

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    reply: &'a SaveReply,
    /// What was committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<CommitAnswer<'a>>,
    /// Where the branch was pushed to, and with which result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<PushAnswer>,
    /// What stays as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftAnswer>,
    /// How many lines of the shell's history stay because they may hold a secret.
    #[serde(skip_serializing_if = "is_zero")]
    shell_lines_withheld: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's own form")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Serialize)]
struct CommitAnswer<'a> {
    commit: &'a str,
    branch: &'a str,
    message: &'a str,
    changed_files: usize,
    new_files: usize,
}

#[derive(Serialize)]
struct PushAnswer {
    to: String,
    commits: u32,
    result: &'static str,
}

#[derive(Serialize)]
struct LeftAnswer {
    path: String,
    why: &'static str,
}

/// `2 changed files and 1 new file`.
pub(super) fn files(modified: usize, new: usize) -> String {
    match (modified, new) {
        (0, new) => count(new, "new file"),
        (modified, 0) => count(modified, "changed file"),
        (modified, new) => {
            format!("{} and {}", count(modified, "changed file"), count(new, "new file"))
        }
    }
}

/// Tells what was committed.
pub(super) fn committed(call: &mut Call<'_>, done: &Done) -> Result<(), CtlError> {
    if call.print.json {
        return Ok(());
    }
    if let Some((branch, Switched::Here { is_new })) = &done.switched {
        let deed = if *is_new { "made the branch" } else { "switched to" };
        call.print.done(&format!("{deed} {branch}"))?;
    }
    if let Some(Commit { id, branch, message, modified, new }) = &done.commit {
        let subject = message.lines().next().unwrap_or_default();
        let files = files(*modified, *new);
        let text = format!("committed {files} to {branch} as {}: \"{subject}\"", short_commit(id));
        call.print.done(&text)?;
    }
    left(call, &done.left)
}

fn left(call: &mut Call<'_>, left: &[Left]) -> Result<(), CtlError> {
    if left.is_empty() || call.print.json {
        return Ok(());
    }
    for Left { path, why } in left.iter().take(LEFT_SHOWN) {
        call.print.note(&format!("not committed: `{}`: {}", path.shown(), why.as_str()), None)?;
    }
    if left.len() > LEFT_SHOWN {
        let more = count(left.len() - LEFT_SHOWN, "more path");
        call.print.note(&format!("not committed: {more}"), None)?;
    }
    Ok(())
}

/// Tells what became of the push.
pub(super) fn pushed(call: &mut Call<'_>, done: &Done) -> Result<(), CtlError> {
    let Some((way, pushed)) = &done.push else { return Ok(()) };
    if call.print.json {
        return Ok(());
    }
    if *pushed == Pushed::Done {
        let before = done.commits.saturating_sub(u32::from(done.commit.is_some()));
        let text = format!("pushed to {}{}", way.shown(), with_before(done.commits, before));
        return Ok(call.print.done(&text)?);
    }
    let (message, hint) = held_up(way, pushed);
    Ok(call.print.note(&format!("not pushed, kept on this device: {message}"), Some(&hint))?)
}

/// Of how many commits a push is, where some of them were made before: by what was last seen of the remote, as
/// another device may have pushed some of them since.
fn with_before(commits: u32, before: u32) -> String {
    match before {
        0 => String::new(),
        _ if before == commits => {
            format!(": {} made before, not seen there yet", count(commits, "commit"))
        }
        _ => format!(
            ": {} not seen there yet, {before} of them made before",
            count(commits, "commit")
        ),
    }
}

/// Why a push did not get through, and the way out.
fn held_up(way: &Way, pushed: &Pushed) -> (String, String) {
    let Way { remote, branch, .. } = way;
    let there = way.shown();
    match pushed {
        Pushed::Behind => {
            let name = there.split_once('/').map_or(branch.as_str(), |(_, name)| name);
            (
                format!("`{there}` has commits that are not here"),
                format!(
                    "`git pull {remote} {name}`, resolve what conflicts, then `convosyncctl save --retry`"
                ),
            )
        }
        Pushed::Unreachable(said) => (
            format!("`{remote}` cannot be reached: {said}"),
            "`convosyncctl save --retry` when it can be".to_owned(),
        ),
        Pushed::Guarded(paths) => {
            let held = some(paths, 1);
            (
                format!("commits that are not pushed hold {held}, whose name says that it holds a secret"),
                "take it out of the commits, push them yourself, or allow it under `code.include_secrets`"
                    .to_owned(),
            )
        }
        Pushed::Refused(_) | Pushed::Done => (
            format!(
                "`{there}` did not take it; what the remote or a hook of yours said stands above"
            ),
            "mend it, then `convosyncctl save --retry`".to_owned(),
        ),
    }
}

/// Tells what was saved, after what was done to the code.
pub(super) fn saved(
    call: &mut Call<'_>,
    reply: &SaveReply,
    taken: &Taken,
    done: Option<&Done>,
) -> Result<(), CtlError> {
    if call.print.json {
        return answer(call, reply, taken, done);
    }
    if let Some(done) = done.filter(|done| done.commit.is_none()) {
        left(call, &done.left)?;
    }
    session(call, reply)?;
    if let Some((branch, commits)) = done.and_then(|done| done.unpushed.as_ref()) {
        let message = format!("{} of {branch} not pushed", count(*commits, "commit"));
        let them = if *commits == 1 { "it" } else { "them" };
        let hint = format!("`convosyncctl save --retry` pushes {them}");
        call.print.note(&message, Some(&hint))?;
    }
    let step = match outcome(reply) {
        _ if reply.held && done.is_some_and(|done| done.commit.is_some()) => {
            "convosyncctl sync   (sends the session), convosyncctl save --retry   (pushes the commit)"
                .to_owned()
        }
        _ if reply.held => "convosyncctl sync   (sends it)".to_owned(),
        _ if done.is_some_and(Done::is_held_up) => "convosyncctl save --retry".to_owned(),
        ExitCode::Ok => {
            format!("convosyncctl resume {}   (on another device)", reply.session.short)
        }
        _ => "convosyncctl sync --retry".to_owned(),
    };
    Ok(call.print.next(&step)?)
}

fn answer(
    call: &mut Call<'_>,
    reply: &SaveReply,
    taken: &Taken,
    done: Option<&Done>,
) -> Result<(), CtlError> {
    let committed = done.and_then(|done| done.commit.as_ref()).map(|commit| CommitAnswer {
        commit: &commit.id,
        branch: &commit.branch,
        message: &commit.message,
        changed_files: commit.modified,
        new_files: commit.new,
    });
    let pushed = done.and_then(|done| done.push.as_ref()).map(|(way, pushed)| PushAnswer {
        to: way.shown(),
        commits: done.map_or(0, |done| done.commits),
        result: match pushed {
            Pushed::Done => "done",
            Pushed::Behind => "behind",
            Pushed::Unreachable(_) => "unreachable",
            Pushed::Refused(_) => "refused",
            Pushed::Guarded(_) => "guarded",
        },
    });
    let left = done.map(|done| done.left.as_slice()).unwrap_or_default();
    let left_out = left
        .iter()
        .map(|left| LeftAnswer { path: left.path.shown(), why: left.why.as_str() })
        .collect();
    let shell_lines_withheld = taken.withheld;
    Ok(call.print.answer(&Answer { reply, committed, pushed, left_out, shell_lines_withheld })?)
}

fn session(call: &mut Call<'_>, reply: &SaveReply) -> Result<(), CtlError> {
    let info = &reply.session;
    if reply.changed {
        let new = count(reply.new_messages, "new message");
        let size = bytes(reply.sealed_bytes);
        call.print.done(&format!("saved {} as save {}", headline(info), info.save))?;
        call.print
            .done(&format!("conversation: {new}, {} in all, {size} sealed", info.messages))?;
    } else {
        call.print.done(&format!("nothing new since save {} of {}", info.save, headline(info)))?;
    }
    let code = place(info.branch.as_deref(), info.commit.as_deref(), info.dirty);
    match &reply.code.withheld {
        None => call.print.done(&format!("code: {code}"))?,
        Some(withheld) => {
            let message = format!("code: {code}, named only: {}", withheld.message);
            call.print.note(&message, withheld.hint.as_deref())?;
        }
    }
    match reply.sync {
        _ if reply.held => call.print.done("kept on this device")?,
        SyncState::OnRemote if reply.devices.is_empty() => {
            call.print.done("on the remote, read back")?;
        }
        SyncState::OnRemote => {
            let names = reply.devices.join(", ");
            call.print.done(&format!("on the remote, read back; will be seen by {names}"))?;
        }
        SyncState::SavedLocally | SyncState::Empty => {
            call.print.done("saved on this device; the remote does not have it yet")?;
        }
        SyncState::Stuck => {}
    }
    if reply.large {
        large::tell(&mut call.print, &info.short, info.messages)?;
    }
    if let Some(problem) = &reply.problem {
        let message = format!("kept on this device only: {}", problem.message);
        call.print.note(&message, problem.hint.as_deref())?;
    }
    Ok(())
}

/// What a dry run prints as JSON.
#[derive(Serialize)]
struct Foreseen<'a> {
    #[serde(flatten)]
    outlook: &'a SaveOutlookReply,
    /// How many lines of the shell's history would be taken along, and how many would stay as they may hold a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    shell_lines: Option<usize>,
    #[serde(skip_serializing_if = "is_zero")]
    shell_lines_withheld: u32,
    /// What would be committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<PlanAnswer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftAnswer>,
}

impl<'a> Foreseen<'a> {
    fn new(
        outlook: &'a SaveOutlookReply,
        taken: &Taken,
        commit: Option<PlanAnswer>,
        left_out: Vec<LeftAnswer>,
    ) -> Self {
        let shell_lines = outlook.shell_history.as_ref().map(|_| taken.lines.len());
        let shell_lines_withheld = taken.withheld;
        Self { outlook, shell_lines, shell_lines_withheld, commit, left_out }
    }
}

#[derive(Serialize)]
struct PlanAnswer {
    branch: String,
    changed_files: usize,
    new_files: usize,
    bytes: u64,
    is_large: bool,
    to: Option<String>,
    /// How many commits the push would bring.
    #[serde(skip_serializing_if = "Option::is_none")]
    commits: Option<u32>,
}

/// Tells what would be committed and saved.
pub(super) fn foresee(
    call: &mut Call<'_>,
    (work, plan): (&Work, &Plan),
    args: &args::Save,
    outlook: &SaveOutlookReply,
    taken: &Taken,
) -> Result<ExitCode, CtlError> {
    let branch = plan.branch.clone().unwrap_or_default();
    let to = work.destination(call, &branch)?;
    if call.print.json {
        let commit = plan.manner.as_ref().map(|_| PlanAnswer {
            branch,
            changed_files: plan.modified,
            new_files: plan.new.len(),
            bytes: plan.bytes,
            is_large: plan.is_large(),
            commits: to.as_ref().map(|(_, before)| before + 1),
            to: to.map(|(to, _)| to),
        });
        let left_out = plan.left.iter();
        let left_out =
            left_out.map(|left| LeftAnswer { path: left.path.shown(), why: left.why.as_str() });
        call.print.answer(&Foreseen::new(outlook, taken, commit, left_out.collect()))?;
        return Ok(ExitCode::Ok);
    }
    if args.branch.is_some() {
        call.print.line(&*format!("would go to the branch {branch}, or make it"))?;
    }
    if plan.manner.is_some() {
        let files = files(plan.modified, plan.new.len());
        let size = bytes(plan.bytes);
        call.print.line(&*format!("would commit {files} ({size}) to {branch}"))?;
        match to {
            Some((to, before)) => {
                let commits = with_before(before + 1, before);
                call.print.line(&*format!("would push to {to}{commits}"))?;
            }
            None => call.print.line("would push nothing")?,
        }
    }
    left(call, &plan.left)?;
    would_save(call, outlook, taken)?;
    Ok(ExitCode::Ok)
}

/// Tells what would be saved where nothing is committed.
pub(super) fn foresee_session(
    call: &mut Call<'_>,
    outlook: &SaveOutlookReply,
    taken: &Taken,
    done: Option<&Done>,
) -> Result<ExitCode, CtlError> {
    let kept = done.map(|done| done.left.as_slice()).unwrap_or_default();
    if call.print.json {
        let left_out =
            kept.iter().map(|left| LeftAnswer { path: left.path.shown(), why: left.why.as_str() });
        call.print.answer(&Foreseen::new(outlook, taken, None, left_out.collect()))?;
        return Ok(ExitCode::Ok);
    }
    left(call, kept)?;
    would_save(call, outlook, taken)?;
    Ok(ExitCode::Ok)
}

fn would_save(
    call: &mut Call<'_>,
    outlook: &SaveOutlookReply,
    taken: &Taken,
) -> Result<(), CtlError> {
    let name = match &outlook.title {
        Some(title) => format!("\"{title}\""),
        None => outlook.short.clone(),
    };
    let seen = match outlook.devices.as_slice() {
        [] => String::new(),
        names => format!(", to be seen by {}", names.join(", ")),
    };
    call.print.line(&*format!("would save {name}{seen}"))?;
    history::foresee(call, taken)?;
    Ok(call.print.line("nothing was done")?)
}
