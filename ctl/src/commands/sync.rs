//! `sync`: send and look for news, now.

use convosync_core::protocol::{Request, Sync, SyncReply, SyncState};

use super::status::{print_remotes, sync_line};
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{Text, count};

/// Synchronises every project.
pub(crate) fn run(call: &mut Call<'_>, retry: bool) -> Result<ExitCode, CtlError> {
    let reply: SyncReply = call.ask(Request::Sync(Sync { directory: None, retry }))?;
    if call.print.json {
        call.print.answer(&reply)?;
    } else {
        print(call, &reply)?;
    }
    Ok(outcome(&reply))
}

fn outcome(reply: &SyncReply) -> ExitCode {
    let through = |sync| matches!(sync, SyncState::OnRemote | SyncState::Empty);
    let is_through =
        reply.projects.iter().all(|project| through(project.sync) && project.problem.is_none());
    if is_through && reply.remotes.iter().all(|remote| remote.problem.is_none()) {
        ExitCode::Ok
    } else {
        ExitCode::KeptLocally
    }
}

fn print(call: &mut Call<'_>, reply: &SyncReply) -> Result<(), CtlError> {
    let now_ms = (call.env.now_ms)();
    for project in &reply.projects {
        call.print.line(Text::new().strong(&project.name))?;
        call.print.line(sync_line(project, now_ms, call.print.look))?;
        if let Some(problem) = &project.problem {
            call.print.finding(&problem.message, problem.hint.as_deref())?;
        }
    }
    print_remotes(&mut call.print, &reply.remotes, now_ms)?;
    if reply.projects.is_empty() && reply.remotes.is_empty() {
        call.print.line("No project is enabled.")?;
        return Ok(call.print.next("convosyncctl enable, in a project you want saved")?);
    }
    let news = match reply.arrived {
        0 => "no news from other devices".to_owned(),
        number => format!("{} from other devices", count(number, "new save")),
    };
    call.print.done(&news)?;
    let step = match (outcome(reply), reply.arrived) {
        (ExitCode::Ok, 0) => "convosyncctl list",
        (ExitCode::Ok, _) => "convosyncctl resume",
        _ => "see to the problem above, then convosyncctl sync --retry",
    };
    Ok(call.print.next(step)?)
}
