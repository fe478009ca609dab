//! `resume`: a session comes back on this device, and Claude Code goes on with it.

mod aside;
mod code;
mod commit;
mod environment;
mod fresh;
mod further;
mod newer;
mod preflight;
mod shell;
mod stash;
mod told;
mod version;

use std::ffi::OsStr;

use convosync_core::protocol::{
    Request, Resume, ResumeAction, ResumeReply, SessionInfo, SessionQuery, Warning,
};

use aside::Aside;
use code::{Offer, Put};
use convosync_core::checkout::Report;
use environment::Along;
use further::FurtherReport;
use shell::command_line;
pub(crate) use told::tell_report;

use super::list;
use crate::args;
use crate::ask;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{Frame, ago, bytes, count, headline, place, short_line};
use crate::start;

/// Claude Code's program.
const CLAUDE: &str = "claude";

/// Resumes a session, or shows what could be resumed.
pub(crate) fn run(call: &mut Call<'_>, args: &args::Resume) -> Result<ExitCode, CtlError> {
    call.print.is_aside = args.shell;
    if args.list {
        let reply = list::of_here(call)?;
        return list::show(call, &reply);
    }
    if let Some(dir) = &args.clone {
        return fresh::resume(call, args, dir.as_deref());
    }
    let session = choose(call, args)?;
    match session {
        Some(session) if args.read_only => read(call, &session),
        session => restore(call, args, session),
    }
}

/// Settles which session is meant; `None` leaves it to the daemon.
fn choose(call: &mut Call<'_>, args: &args::Resume) -> Result<Option<SessionQuery>, CtlError> {
    if let Some(session) = &args.session {
        return Ok(Some(SessionQuery(session.clone())));
    }
    let asks = call.is_interactive();
    if !asks && !args.read_only {
        return Ok(None);
    }
    let reply = list::of_here(call)?;
    list::print_problems(call, &reply)?;
    let newest = reply.sessions.iter().position(|info| !info.this_device);
    let start = newest.unwrap_or_default();
    let chosen = if asks && !reply.sessions.is_empty() {
        let (now_ms, look) = ((call.env.now_ms)(), call.print.look);
        let line = |info: &SessionInfo| short_line(info, now_ms, look);
        ask::choose("Which session?", reply.sessions.iter().map(line).collect(), start)?
    } else {
        start
    };
    match reply.sessions.get(chosen) {
        Some(info) => Ok(Some(SessionQuery(info.session.to_string()))),
        None => Err(CtlError::refused(
            ExitCode::Failed,
            "there is no saved session of this project",
            "`convosyncctl list --all --refresh` shows all projects, and `convosyncctl resume --clone` clones \
             the repository of one that has none here; on the other device, `convosyncctl status` says what \
             it has sent",
        )),
    }
}

/// Shows the conversation.
fn read(call: &mut Call<'_>, session: &SessionQuery) -> Result<ExitCode, CtlError> {
    super::read::read(call, session, None, None)?;
    if !call.print.json {
        call.print.next(&format!("convosyncctl resume {}", session.parts().0))?;
    }
    Ok(ExitCode::Ok)
}

fn restore(
    call: &mut Call<'_>,
    args: &args::Resume,
    session: Option<SessionQuery>,
) -> Result<ExitCode, CtlError> {
    let (session, older) = newer::settle(call, args, session)?;
    let request = Resume {
        directory: call.directory(),
        session,
        dry_run: args.dry_run,
        force: args.force,
        ..Resume::default()
    };
    let (mut reply, put) = if args.no_code {
        let reply: ResumeReply = call.ask(Request::Resume(request))?;
        found(call, &reply.session)?;
        (reply, Put::default())
    } else {
        with_code(call, args, request)?
    };
    reply.warnings.extend(older);
    reply.warnings.extend(version::warning(call, &reply.session));
    let along = Along::take(call, &mut reply)?;
    if call.print.json {
        let (code, repositories, aside) = (put.report.as_ref(), &put.further, &put.aside);
        let environment = along.names();
        call.print.answer(&Answer { reply: &reply, code, repositories, aside, environment })?;
    } else {
        report(call, args, &reply)?;
        put.aside.tell(call)?;
        along.tell(call, args)?;
    }
    if args.launch || args.shell {
        agree(call, args, &reply, &put)?;
    }
    if args.launch {
        return Err(launch(call, &reply, &along));
    }
    if args.shell {
        call.print.shell(&shell::line(&reply, &along.set))?;
    }
    Ok(ExitCode::Ok)
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    reply: &'a ResumeReply,
    /// What was done to the work tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a Report>,
    /// What was done to those of further repositories.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    repositories: &'a [FurtherReport],
    /// Where changes are that stood here.
    #[serde(flatten)]
    aside: &'a Aside,
    /// Variables that came along and that `--launch` and `--shell` set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environment: Vec<&'a str>,
}

/// Puts the code in place, then the conversation. What speaks against the conversation is found out first:
/// then nothing is touched.
fn with_code(
    call: &mut Call<'_>,
    args: &args::Resume,
    mut request: Resume,
) -> Result<(ResumeReply, Put), CtlError> {
    let offer = Offer::ask(call, request.session.clone())?;
    request.session.get_or_insert_with(|| offer.session());
    (request.is_refreshed, request.code_is_here) = (true, true);
    let rehearsal = Resume { dry_run: true, ..request.clone() };
    let rehearsed: ResumeReply = call.ask(Request::Resume(rehearsal))?;
    found(call, &rehearsed.session)?;
    let mut aside = Aside::default();
    let put = offer.put(call, args, &mut aside);
    let mut put = put.map_err(|error| aside.with_way_back(error))?;
    request.code_is_here = put.report.is_some() || put.stays;
    request.worktree.clone_from(&put.worktree);
    let mut reply = match args.dry_run {
        true => rehearsed,
        false => call.ask(Request::Resume(request)).map_err(|error| aside.with_way_back(error))?,
    };
    put.aside = aside;
    // The session was fetched when its code was asked for.
    reply.received += offer.received();
    reply.announced = offer.announced().or(reply.announced);
    reply.warnings.extend(offer.warnings(&reply));
    // Why the code is not here comes before how what is here differs.
    reply.warnings.splice(..0, put.missing.clone());
    reply.warnings.sort_by_key(|warning| !warning.loud);
    Ok((reply, put))
}

/// Says which session it is, before anything is done.
fn found(call: &mut Call<'_>, info: &SessionInfo) -> Result<(), CtlError> {
    if call.print.json {
        return Ok(());
    }
    let saved = ago(info.at_ms, (call.env.now_ms)());
    let device = if info.this_device { "this device" } else { &info.device_name };
    call.print.done(&format!("found {} from {device}, saved {saved}", headline(info)))?;
    let code = place(info.branch.as_deref(), info.commit.as_deref(), info.dirty);
    Ok(call.print.line(format!("  {} code then: {code}", call.print.look.arrow()))?)
}

fn report(call: &mut Call<'_>, args: &args::Resume, reply: &ResumeReply) -> Result<(), CtlError> {
    let info = &reply.session;
    call.print.done(&told(args.dry_run, reply))?;
    let files = count(reply.files, "file");
    let size = bytes(reply.received);
    call.print.line(format!(
        "  {} {files}, {size} received: {}",
        call.print.look.arrow(),
        reply.transcript.display()
    ))?;
    warn(call, &reply.warnings)?;
    let step = if args.dry_run {
        format!("convosyncctl resume {}", info.short)
    } else {
        command_line(reply)
    };
    if args.launch || args.shell { Ok(()) } else { Ok(call.print.next(&step)?) }
}

/// Says what was done to the transcript here, or would be.
fn told(dry_run: bool, reply: &ResumeReply) -> String {
    let new = count(reply.new_messages, "message");
    match (reply.action, dry_run) {
        (ResumeAction::Created, false) => format!("conversation restored: {new}"),
        (ResumeAction::Created, true) => format!("would restore the conversation: {new}"),
        (ResumeAction::Extended, false) => format!("conversation extended: {new} added"),
        (ResumeAction::Extended, true) => format!("would extend the conversation: {new} to add"),
        (ResumeAction::Nothing, _) => "the conversation is here already, word for word".to_owned(),
        (ResumeAction::LocalAhead, _) => {
            "the conversation here is ahead of every save; nothing to bring back".to_owned()
        }
    }
}

/// Warns of other code in one frame, whatever the reasons, and notes the rest.
fn warn(call: &mut Call<'_>, warnings: &[Warning]) -> Result<(), CtlError> {
    let mut loud = warnings.iter().filter(|warning| warning.loud).peekable();
    if loud.peek().is_some() {
        let mut frame = Frame::new("WARNING: NOT THE SAME CODE");
        while let Some(Warning { message, hint, .. }) = loud.next() {
            frame = frame.line(message);
            if let Some(hint) = hint {
                frame = frame.line("").line(&format!("hint: {hint}"));
            }
            if loud.peek().is_some() {
                frame = frame.line("");
            }
        }
        call.print.frame(&frame)?;
    }
    let mut rest = warnings.iter().filter(|warning| !warning.loud);
    rest.try_for_each(|warning| Ok(call.print.note(&warning.message, warning.hint.as_deref())?))
}

/// Has a launch with the wrong code agreed to. To stay on another branch is agreed to already.
fn agree(
    call: &Call<'_>,
    args: &args::Resume,
    reply: &ResumeReply,
    put: &Put,
) -> Result<(), CtlError> {
    let loud = reply.warnings.iter().filter(|warning| warning.loud).count();
    if loud <= usize::from(put.stays) || args.force {
        return Ok(());
    }
    if call.is_interactive() && ask::confirm("Start Claude Code with this code all the same?")? {
        return Ok(());
    }
    Err(CtlError::Refused {
        code: ExitCode::NeedsDecision,
        message: "Claude Code was not started: the code here is not the code of the conversation"
            .to_owned(),
        hint: Some(format!("when it is what you want: {}", command_line(reply))),
    })
}

/// Becomes Claude Code; returns only when that fails.
fn launch(call: &Call<'_>, reply: &ResumeReply, along: &Along) -> CtlError {
    let Some(program) = call.env.find_program(CLAUDE) else {
        return CtlError::Refused {
            code: ExitCode::Failed,
            message: format!("`{CLAUDE}` is not in PATH"),
            hint: Some(format!("where it is: {}", command_line(reply))),
        };
    };
    let id = reply.session.session.as_str();
    let args = [OsStr::new("--resume"), OsStr::new(id)];
    start::replace(call.env, &program, &args, &reply.directory, &along.set).into()
}
