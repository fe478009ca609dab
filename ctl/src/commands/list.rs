//! `list`: saved sessions of all devices.

use convosync_core::protocol::{ErrorKind, List, ListReply, Request};

use crate::args;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{ago, count, describe_session};

/// Lists what was asked for.
pub(crate) fn run(call: &mut Call<'_>, args: args::List) -> Result<ExitCode, CtlError> {
    let request = List {
        directory: args.project.map(|project| call.resolve(&project)),
        all: args.all,
        branch: args.branch,
        device: args.device,
        refresh: args.refresh,
    };
    list(call, request)
}

/// Asks for sessions and prints them.
pub(crate) fn list(call: &mut Call<'_>, request: List) -> Result<ExitCode, CtlError> {
    let reply: ListReply = call.ask(Request::List(request))?;
    show(call, &reply)
}

/// Prints sessions.
pub(crate) fn show(call: &mut Call<'_>, reply: &ListReply) -> Result<ExitCode, CtlError> {
    if call.print.json {
        call.print.answer(reply)?;
    } else {
        print(call, reply)?;
    }
    Ok(ExitCode::Ok)
}

/// Asks the remotes for the sessions of the project here, or, where none is enabled, for all of them.
pub(crate) fn of_here(call: &mut Call<'_>) -> Result<ListReply, CtlError> {
    let all = List { all: true, refresh: true, ..List::default() };
    let here = List { directory: Some(call.directory()), ..all.clone() };
    match call.ask(Request::List(here)) {
        Err(error) if error.failure().is_some_and(|it| it.data.kind == ErrorKind::NotEnabled) => {
            call.ask(Request::List(all))
        }
        answer => answer,
    }
}

fn print(call: &mut Call<'_>, reply: &ListReply) -> Result<(), CtlError> {
    let now_ms = (call.env.now_ms)();
    print_problems(call, reply)?;
    let asked = reply
        .listed_ms
        .map_or_else(|| "never asked".to_owned(), |at_ms| format!("asked {}", ago(at_ms, now_ms)));
    if reply.sessions.is_empty() {
        call.print.line(format!("No saved sessions here (remotes {asked})."))?;
        return Ok(call.print.next("convosyncctl list --all --refresh, or convosyncctl status")?);
    }
    let number = reply.sessions.len() as u64;
    call.print.heading(&format!("{}, newest first", count(number, "session")))?;
    for (index, info) in reply.sessions.iter().enumerate() {
        for line in describe_session(index + 1, info, now_ms, call.print.look) {
            call.print.line(line)?;
        }
    }
    call.print.line("")?;
    if reply.unsaved > 0 {
        let sessions = count(reply.unsaved, "session");
        call.print.line(format!("{sessions} here with changes that are in no save yet."))?;
    }
    call.print.line(format!(
        "Remotes {asked}; `list --refresh` asks them now, `list --all` shows old ones."
    ))?;
    let first = reply.sessions.iter().find(|info| !info.this_device).unwrap_or(&reply.sessions[0]);
    let clone = if first.root.is_none() && first.address.is_some() { " --clone" } else { "" };
    Ok(call.print.next(&format!("convosyncctl resume {}{clone}", first.short))?)
}

/// Tells which remotes could not be asked.
pub(crate) fn print_problems(call: &mut Call<'_>, reply: &ListReply) -> Result<(), CtlError> {
    for problem in &reply.problems {
        call.print.note(&problem.message, problem.hint.as_deref())?;
    }
    Ok(())
}
