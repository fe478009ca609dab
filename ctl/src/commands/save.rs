//! `save`: the session of this directory, now.

use convosync_core::protocol::{Request, Save, SaveReply, SessionQuery, SyncState};

use crate::args;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{bytes, count, headline, place};

/// Saves the session.
pub(crate) fn run(call: &mut Call<'_>, args: args::Save) -> Result<ExitCode, CtlError> {
    let request = Save {
        directory: call.directory(),
        session: args.session.map(SessionQuery),
        message: args.message.or(args.text),
    };
    let reply: SaveReply = call.ask(Request::Save(request))?;
    if call.print.json {
        call.print.answer(&reply)?;
    } else {
        print(call, &reply)?;
    }
    Ok(outcome(&reply))
}

/// A save that is merely on its way is a success; one that is held up is not.
fn outcome(reply: &SaveReply) -> ExitCode {
    match (reply.sync, &reply.problem) {
        (SyncState::Stuck, _) | (SyncState::SavedLocally, Some(_)) => ExitCode::KeptLocally,
        _ => ExitCode::Ok,
    }
}

fn print(call: &mut Call<'_>, reply: &SaveReply) -> Result<(), CtlError> {
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
    call.print.done(&format!("code: {code} (noted, not saved)"))?;
    match reply.sync {
        SyncState::OnRemote => call.print.done("on the remote, read back")?,
        SyncState::SavedLocally | SyncState::Empty => {
            call.print.done("saved on this device; the remote does not have it yet")?;
        }
        SyncState::Stuck => {}
    }
    if let Some(problem) = &reply.problem {
        let message = format!("kept on this device only: {}", problem.message);
        call.print.note(&message, problem.hint.as_deref())?;
    }
    let step = match outcome(reply) {
        ExitCode::Ok => format!("convosyncctl resume {}   (on another device)", info.short),
        _ => "convosyncctl sync --retry".to_owned(),
    };
    Ok(call.print.next(&step)?)
}
