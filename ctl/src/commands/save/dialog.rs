//! `save -i`: a box with what there is, and check boxes for what becomes of it.

use convosync_core::commit::Plan;
use convosync_core::outbound::DEFAULT_MESSAGE;
use convosync_core::protocol::{Save, SaveOutlookReply};

use super::history::Taken;
use super::tell::files;
use crate::ask::{self, AskError};
use crate::call::Call;
use crate::error::CtlError;
use crate::print::{Frame, count};

/// What the user chose.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) message: String,
    /// Whether the code is committed.
    pub(super) commit: bool,
    /// Whether anything leaves this device.
    pub(super) send: bool,
    /// Whether the variables that the user named come along.
    pub(super) environment: bool,
    /// Whether lines of the shell's history come along.
    pub(super) history: bool,
}

/// What can be ticked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Commit,
    Send,
    Environment,
    History,
}

/// Shows the box and asks.
pub(super) fn ask(
    call: &mut Call<'_>,
    plan: Option<&Plan>,
    outlook: &SaveOutlookReply,
    (request, taken): (&Save, &Taken),
) -> Result<Chosen, CtlError> {
    if !call.is_interactive() {
        let instead = "leave out `--interactive`, and say it with `-m`, `--stash` and `--no-push`";
        return Err(AskError::NoTerminal { what: "what to save", instead }.into());
    }
    let plan = plan.filter(|plan| plan.manner.is_some());
    call.print.frame(&frame(plan, outlook))?;
    let message = ask::text("Message:", request.message.as_deref().unwrap_or(DEFAULT_MESSAGE))?;
    let (entries, texts): (Vec<Entry>, Vec<String>) =
        offered(plan.is_some(), request, taken).into_iter().unzip();
    let ticked = ask::tick("What to do?", texts)?;
    let is_ticked = |entry| ticked.iter().any(|index| entries.get(*index) == Some(&entry));
    if !ask::confirm("Save?")? {
        return Err(AskError::Cancelled.into());
    }
    Ok(Chosen {
        message,
        commit: is_ticked(Entry::Commit),
        send: is_ticked(Entry::Send),
        environment: is_ticked(Entry::Environment),
        history: is_ticked(Entry::History),
    })
}

fn offered(has_commit: bool, request: &Save, taken: &Taken) -> Vec<(Entry, String)> {
    let mut entries = Vec::new();
    if has_commit {
        entries.push((Entry::Commit, "Code changes: commit them".to_owned()));
    }
    let send = "Send: push the branch, and let other devices have the session".to_owned();
    entries.push((Entry::Send, send));
    if let Some(named) = request.environment.as_ref().filter(|named| !named.is_empty()) {
        let names: Vec<&str> = named.keys().map(String::as_str).collect();
        entries.push((Entry::Environment, format!("Environment: take {} along", names.join(", "))));
    }
    if !taken.lines.is_empty() {
        let lines = count(taken.lines.len(), "line");
        let text = format!("Terminal: take {lines} of the shell's history along");
        entries.push((Entry::History, text));
    }
    entries
}

fn frame(plan: Option<&Plan>, outlook: &SaveOutlookReply) -> Frame {
    let mut frame = Frame::new("Save session");
    if let Some(title) = &outlook.title {
        frame = frame.line(&format!("Session: {title}"));
    }
    frame = match plan {
        Some(plan) => {
            let branch = plan.branch.as_deref().unwrap_or_default();
            let frame = frame.line(&format!("Branch: {branch}"));
            let changes = files(plan.modified, plan.new.len());
            let frame = frame.line(&format!("Changes: {changes}"));
            match plan.left.len() {
                0 => frame,
                left => frame.line(&format!("Not committed: {}", count(left, "path"))),
            }
        }
        None => frame.line("Changes: nothing to commit"),
    };
    if let Some(messages) = outlook.messages {
        frame =
            frame.line(&format!("Conversation: {} when last saved", count(messages, "message")));
    }
    match outlook.devices.as_slice() {
        [] => frame,
        names => frame.line(&format!("Other devices: {}", names.join(", "))),
    }
}
