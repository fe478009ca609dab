//! `save`: commits and pushes what stands here, by the user's git, and has the daemon save the session.

pub(super) mod code;
mod environment;
mod history;
mod dialog;
mod tell;

use convosync_core::commit::Plan;
use convosync_core::protocol::{
    Request, Save, SaveOutlookReply, SaveReply, SessionQuery, SyncState,
};

use crate::args;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use code::{Done, Work};
use history::Taken;

/// Saves the session, with a commit where there is something to be committed.
pub(crate) fn run(call: &mut Call<'_>, args: &args::Save) -> Result<ExitCode, CtlError> {
    let request = Save {
        directory: call.directory(),
        session: args.session.clone().map(SessionQuery),
        message: args.message.clone().or_else(|| args.text.clone()),
        hold: args.no_push,
        quiet: args.no_notify,
        environment: environment::take(call)?,
        shell_history: history::wanted(call)?,
    };
    let work = if args.stash { None } else { Work::of(call, &call.directory(), args.no_push)? };
    match work {
        Some(work) if args.retry => {
            let done = work.push_again(call)?;
            save_session(call, args, request, None, Some(&done))
        }
        Some(work) => {
            let plan = work.plan(args.branch.as_deref())?;
            save_code(call, args, request, work, &plan)
        }
        None if args.interactive => {
            let outlook: SaveOutlookReply = call.ask(Request::SaveOutlook(request.clone()))?;
            let taken = history::take(call.env, &outlook);
            let chosen = dialog::ask(call, None, &outlook, (&request, &taken))?;
            let taken = if chosen.history { taken } else { Taken::nothing() };
            let hold = request.hold || !chosen.send;
            let environment = request.environment.filter(|_| chosen.environment);
            let request = Save { message: Some(chosen.message), hold, environment, ..request };
            save_session(call, args, request, Some(taken), None)
        }
        None => save_session(call, args, request, None, None),
    }
}

/// Commits as planned, pushes, and saves the session.
fn save_code(
    call: &mut Call<'_>,
    args: &args::Save,
    mut request: Save,
    mut work: Work,
    plan: &Plan,
) -> Result<ExitCode, CtlError> {
    let nothing = Done::nothing(plan, work.facts());
    let has_work = plan.manner.is_some() || args.branch.is_some();
    if !has_work && !args.interactive {
        return save_session(call, args, request, None, Some(&nothing));
    }
    // Whatever keeps the session from being saved is told before anything is committed.
    let outlook: SaveOutlookReply = call.ask(Request::SaveOutlook(request.clone()))?;
    let mut taken = history::take(call.env, &outlook);
    if args.dry_run {
        return tell::foresee(call, (&work, plan), args, &outlook, &taken);
    }
    if args.interactive {
        let chosen = dialog::ask(call, Some(plan), &outlook, (&request, &taken))?;
        if !chosen.history {
            taken = Taken::nothing();
        }
        request.message = Some(chosen.message);
        request.environment = request.environment.filter(|_| chosen.environment);
        request.hold |= !chosen.send;
        if !chosen.send {
            work.keep_here();
        }
        if !chosen.commit && args.branch.is_none() {
            return save_session(call, args, request, Some(taken), Some(&nothing));
        }
    }
    work.confirm(call, plan, args.force)?;
    let done = work.carry_out(call, args.branch.as_deref(), request.message.as_deref())?;
    save_session(call, args, request, Some(taken), Some(&done))
}

/// Has the daemon save the session, and tells what became of everything. What goes along of the shell's history is
/// looked for where that was not done before.
fn save_session(
    call: &mut Call<'_>,
    args: &args::Save,
    request: Save,
    taken: Option<Taken>,
    done: Option<&Done>,
) -> Result<ExitCode, CtlError> {
    if args.dry_run {
        let outlook: SaveOutlookReply = call.ask(Request::SaveOutlook(request))?;
        let taken = history::take(call.env, &outlook);
        return tell::foresee_session(call, &outlook, &taken, done);
    }
    let environment = request.environment.clone();
    let asked = ask(call, request, taken);
    let (reply, taken) = asked.map_err(|error| match done.and_then(Done::in_a_word) {
        Some(done) => CtlError::Refused {
            code: error.exit_code(),
            message: format!("{done}, but the session was not saved: {}", error.message()),
            hint: error.hint(),
        },
        None => error,
    })?;
    environment::tell(call, environment.as_ref())?;
    history::tell(call, &taken, reply.shell_lines)?;
    tell::saved(call, &reply, &taken, done)?;
    let is_held_up = done.is_some_and(Done::is_held_up);
    Ok(if is_held_up { ExitCode::KeptLocally } else { outcome(&reply) })
}

fn ask(
    call: &mut Call<'_>,
    request: Save,
    taken: Option<Taken>,
) -> Result<(SaveReply, Taken), CtlError> {
    let taken = taken.map_or_else(|| history::look(call, &request), Ok)?;
    let shell_history = Some(taken.lines.clone()).filter(|lines| !lines.is_empty());
    let reply = call.ask(Request::Save(Save { shell_history, ..request }))?;
    Ok((reply, taken))
}

/// A save that is merely on its way is a success; one that is held up is not.
fn outcome(reply: &SaveReply) -> ExitCode {
    match (reply.sync, &reply.problem) {
        (SyncState::Stuck, _) | (SyncState::SavedLocally, Some(_)) => ExitCode::KeptLocally,
        _ => ExitCode::Ok,
    }
}
