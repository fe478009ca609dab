//! `status`: how things stand, from what the daemon knows and with its age.

use convosync_core::checkout::{self, Stored};
use convosync_core::protocol::{
    CodeLeftOut, DeviceStatus, LeftOut, Problem, ProjectStatus, RemoteStatus, Request, RootStatus,
    Saving, Sending, Status, StatusReply, SyncState, Warning,
};

use super::large;
use crate::call::Call;
use crate::clone::RECORDS;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{Look, Printer, Text, ago, bytes, count, until};

/// How many skipped files are named; JSON has all of them.
const SKIPPED_MAX: usize = 5;

/// How many paths that were left out are named.
const LEFT_OUT_MAX: usize = 5;

/// Shows how things stand.
pub(crate) fn run(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    let request = Status { directory: Some(call.directory()), tells: !call.print.json };
    let reply: StatusReply = call.ask(Request::Status(request))?;
    let records = call.paths()?.state_dir.join(RECORDS);
    let records = checkout::stored(&records, checkout::RECORDS_TOLD);
    if call.print.json {
        call.print.answer(&Answer { reply: &reply, records: &records })?;
    } else {
        print(&mut call.print, &reply, &records)?;
    }
    Ok(ExitCode::Ok)
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    reply: &'a StatusReply,
    /// Work trees whose records for `undo` take much room.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    records: &'a [Stored],
}

/// Names the work trees whose records for `undo` take much room: for a week nothing but the disk bounds them.
fn print_records(print: &mut Printer<'_>, records: &[Stored]) -> Result<(), CtlError> {
    for Stored { root, folder, bytes: size, records, unfinished } in records {
        let number = count(*records, "record");
        let text = format!("{number} for `undo` in `{root}` take {}", bytes(*size));
        let hint = match unfinished {
            true => format!("run `convosyncctl undo` in `{root}` first: a resume was interrupted"),
            false => format!(
                "each is kept for a week; `rm -r '{}'` frees the room now, and no `undo` brings back what they hold",
                folder.display()
            ),
        };
        print.note(&text, Some(&hint))?;
    }
    Ok(())
}

fn print(print: &mut Printer<'_>, reply: &StatusReply, records: &[Stored]) -> Result<(), CtlError> {
    print.heading("ConvoSync status")?;
    let device = reply.device.as_deref().unwrap_or("not set up yet");
    let vault = reply.vault.map(|vault| format!("  vault {vault}")).unwrap_or_default();
    let version = format!("  daemon {}", reply.version);
    print.line(Text::new().plain("This device: ").strong(device).faint(&vault).faint(&version))?;
    print_projects(print, reply)?;
    print_remotes(print, &reply.remotes, reply.at_ms)?;
    print_devices(print, reply)?;
    print_roots(print, &reply.watching)?;
    let told = |problem: &&Problem| {
        reply.projects.iter().any(|project| project.problem.as_ref() == Some(problem))
    };
    for problem in reply.problems.iter().filter(|problem| !told(problem)) {
        let message = format!("{} ({})", problem.message, ago(problem.since_ms, reply.at_ms));
        print.finding(&message, problem.hint.as_deref())?;
    }
    for session in &reply.large {
        large::tell(print, &session.short, session.messages)?;
    }
    print_records(print, records)?;
    Ok(print.next(next(reply))?)
}

fn print_projects(print: &mut Printer<'_>, reply: &StatusReply) -> Result<(), CtlError> {
    let is_here = |project: &&ProjectStatus| Some(&project.root) == reply.here.as_ref();
    let (here, others): (Vec<_>, Vec<_>) = reply.projects.iter().partition(is_here);
    print.line("")?;
    if here.is_empty() {
        print.line("Here: not an enabled project")?;
    }
    for (label, projects) in [("Here: ", here), ("Project: ", others)] {
        for project in projects {
            print_project(print, label, project, reply.at_ms)?;
        }
    }
    Ok(())
}

/// Names the remotes that are only read: what of them is known, since when, and what is wrong.
pub(crate) fn print_remotes(
    print: &mut Printer<'_>,
    remotes: &[RemoteStatus],
    now_ms: i64,
) -> Result<(), CtlError> {
    for RemoteStatus { remote, sessions, listed_ms, problem } in remotes {
        print.line(Text::new().plain("Read from: ").strong(remote))?;
        let asked = listed_ms.map_or_else(
            || "never asked".to_owned(),
            |at_ms| format!("asked {}", ago(at_ms, now_ms)),
        );
        let facts = [count(*sessions, "session"), asked, "nothing is sent there".to_owned()];
        print.line(Text::new().plain("    ").faint(&facts.join(print.look.dot())))?;
        if let Some(problem) = problem {
            let message = format!("{} ({})", problem.message, ago(problem.since_ms, now_ms));
            print.finding(&message, problem.hint.as_deref())?;
        }
    }
    Ok(())
}

fn print_project(
    print: &mut Printer<'_>,
    label: &str,
    project: &ProjectStatus,
    now_ms: i64,
) -> Result<(), CtlError> {
    let remote = project.remote.as_deref().unwrap_or("no remote");
    print.line(Text::new().plain(label).strong(&project.name).faint(&format!("  {remote}")))?;
    print.line(sync_line(project, now_ms, print.look))?;
    let mut facts = vec![count(project.sessions, "session")];
    facts.push(match project.unsaved {
        0 => "all saved".to_owned(),
        unsaved => format!("{unsaved} with unsaved changes"),
    });
    facts.extend(project.saving.map(|Saving { saved_bytes, bytes: all }| {
        format!("saving: {} of {} done", bytes(saved_bytes), bytes(all))
    }));
    facts.extend(project.sending.map(|Sending { sent_bytes, bytes: all }| {
        format!("sending: {} of {} on the way", bytes(sent_bytes), bytes(all))
    }));
    facts.extend(project.listed_ms.map(|at_ms| format!("looked for news {}", ago(at_ms, now_ms))));
    facts.extend(project.branches_only.then(|| "kept as a branch".to_owned()));
    facts.extend(project.fetched_whole.then(|| "an old host: fetched whole".to_owned()));
    facts.extend(project.retry_ms.map(|at_ms| format!("next try {}", until(at_ms, now_ms))));
    facts.push(format!("{} sent", bytes(project.sent)));
    facts.push(format!("{} received", bytes(project.received)));
    print.line(Text::new().plain("    ").faint(&facts.join(print.look.dot())))?;
    if let Some(problem) = &project.problem {
        let message = format!("{} ({})", problem.message, ago(problem.since_ms, now_ms));
        print.finding(&message, problem.hint.as_deref())?;
    }
    match &project.autosave {
        Some(Warning { loud: true, message, hint }) => print.finding(message, hint.as_deref())?,
        Some(Warning { message, hint, .. }) => print.note(message, hint.as_deref())?,
        None => {}
    }
    print_left_out(print, &project.code)
}

/// Names what of the code was not saved: the other devices will not have it.
fn print_left_out(print: &mut Printer<'_>, code: &CodeLeftOut) -> Result<(), CtlError> {
    if let Some(withheld) = &code.withheld {
        let message = format!("the code is not saved: {}", withheld.message);
        print.finding(&message, withheld.hint.as_deref())?;
    }
    for LeftOut { path, why, .. } in code.paths.iter().take(LEFT_OUT_MAX) {
        print.note(&format!("not saved: `{path}`, {why}"), None)?;
    }
    let named = u32::try_from(code.paths.len().min(LEFT_OUT_MAX)).unwrap_or(u32::MAX);
    if code.count > named {
        let more = count(code.count - named, "more path");
        print.note(&format!("{more} not saved (`--json` lists them)"), None)?;
    }
    for Warning { message, hint, .. } in &code.repositories {
        print.note(message, hint.as_deref())?;
    }
    Ok(())
}

/// Says where saves have got to, and never more than is known.
pub(crate) fn sync_line(project: &ProjectStatus, now_ms: i64, look: Look) -> Text {
    let when = |at_ms: Option<i64>| at_ms.map_or_else(|| "never".to_owned(), |at| ago(at, now_ms));
    let good = Text::new().plain("  ").good(look.done()).plain(" ");
    let bad = Text::new().plain("  ").warn(look.attention()).plain(" ");
    match project.sync {
        SyncState::Empty => Text::new().plain("    nothing saved yet"),
        SyncState::OnRemote => {
            good.plain(&format!("on the remote, read back {}", when(project.on_remote_ms)))
        }
        SyncState::SavedLocally => bad.plain(&format!(
            "saved on this device {}; on the remote as of: {}",
            when(project.saved_ms),
            when(project.on_remote_ms)
        )),
        SyncState::Stuck => bad.plain("saved on this device only: the remote refuses"),
    }
}

fn print_devices(print: &mut Printer<'_>, reply: &StatusReply) -> Result<(), CtlError> {
    if reply.devices.is_empty() {
        return Ok(());
    }
    print.line("")?;
    print.line("Devices:")?;
    for device in &reply.devices {
        print_device(print, device, reply.at_ms)?;
    }
    Ok(())
}

fn print_device(
    print: &mut Printer<'_>,
    device: &DeviceStatus,
    now_ms: i64,
) -> Result<(), CtlError> {
    let DeviceStatus { name, kind, .. } = device;
    let facts = if device.this {
        format!(" ({kind}, this device), {}", count(device.sessions, "session"))
    } else {
        let saved = ago(device.at_ms, now_ms);
        format!(" ({kind}), last save {saved}, {}", count(device.sessions, "session"))
    };
    let mark = print.look.done();
    Ok(print.line(Text::new().plain("  ").good(mark).plain(" ").strong(name).plain(&facts))?)
}

fn print_roots(print: &mut Printer<'_>, roots: &[RootStatus]) -> Result<(), CtlError> {
    if !roots.is_empty() {
        print.line("")?;
    }
    for root in roots {
        let reason = root.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let sessions = count(root.sessions, "transcript");
        let folder = root.root.display();
        print.line(format!("Watching {folder} ({sessions}, {}{reason})", root.mode))?;
        for file in root.skipped.iter().take(SKIPPED_MAX) {
            print.finding(&format!("left out: {}: {}", file.path.display(), file.reason), None)?;
        }
        let more = root.skipped.len().saturating_sub(SKIPPED_MAX);
        if more > 0 {
            print.finding(&format!("{more} more left out (--json has all)"), None)?;
        }
    }
    Ok(())
}

fn next(reply: &StatusReply) -> &'static str {
    let stuck = |project: &ProjectStatus| project.problem.is_some();
    let unread = |remote: &RemoteStatus| remote.problem.is_some();
    if !reply.initialised {
        "convosyncctl init, or convosyncctl join --recover if you have another device"
    } else if reply.projects.iter().any(stuck) || reply.remotes.iter().any(unread) {
        "see to the problem above, then convosyncctl sync --retry"
    } else if reply.projects.is_empty() && !reply.remotes.is_empty() {
        "convosyncctl list; then convosyncctl resume --clone, or enable a clone that you have"
    } else if reply.here.is_none() {
        "convosyncctl enable, in a project you want saved"
    } else {
        "convosyncctl list"
    }
}
