//! `log`: where the code stood while a session was written, and its saves.

use convosync_core::protocol::{
    CommandInfo, CommandResult, HereInfo, List, ListReply, Log, LogReply, PassageInfo, Request,
    SaveInfo, SessionQuery, TypedInfo,
};

use super::{list, used};
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{Text, ago, count, headline, place};

/// How many saves are printed; JSON has more.
const SAVES_MAX: usize = 20;

/// So many commands are printed of each passage, the last ones, unless all are asked for.
const COMMANDS_MAX: usize = 3;

/// Shows the log of a session.
pub(crate) fn run(
    call: &mut Call<'_>,
    session: Option<String>,
    all_commands: bool,
) -> Result<ExitCode, CtlError> {
    let session = match session {
        Some(session) => SessionQuery(session),
        None => candidates(call)?.swap_remove(0),
    };
    let reply = ask(call, session)?;
    if call.print.json {
        call.print.answer(&reply)?;
        return Ok(ExitCode::Ok);
    }
    let info = &reply.session;
    call.print.heading(&format!("Session {} {}", info.short, headline(info)))?;
    call.print.facts(&used::facts(&reply.used, &reply.saves))?;
    print_passages(call, &reply, if all_commands { usize::MAX } else { COMMANDS_MAX })?;
    print_here(call, reply.here.as_ref())?;
    print_saves(call, &reply.saves)?;
    call.print.next(&format!("convosyncctl replay {} --at-commit COMMIT", info.short))?;
    Ok(ExitCode::Ok)
}

/// Asks for the log of a session.
pub(crate) fn ask(call: &mut Call<'_>, session: SessionQuery) -> Result<LogReply, CtlError> {
    let directory = call.directory();
    call.ask(Request::Log(Log { directory, session }))
}

/// The sessions of this project, newest first; at least one.
pub(crate) fn candidates(call: &mut Call<'_>) -> Result<Vec<SessionQuery>, CtlError> {
    let directory = Some(call.directory());
    let reply: ListReply =
        call.ask(Request::List(List { directory, all: true, ..List::default() }))?;
    list::print_problems(call, &reply)?;
    let ids = reply.sessions.iter().map(|info| SessionQuery(info.session.to_string()));
    let ids: Vec<_> = ids.collect();
    if ids.is_empty() {
        return Err(CtlError::refused(
            ExitCode::Failed,
            "there is no saved session of this project",
            "`convosyncctl list --all --refresh` shows all projects",
        ));
    }
    Ok(ids)
}

/// Where the code stood in a passage, or that it is not known.
pub(crate) fn stood(passage: &PassageInfo) -> String {
    let (branch, commit) = (passage.branch.as_deref(), passage.commit.as_deref());
    match (branch, commit) {
        (Some(branch), None) => format!("{branch}, commit not known"),
        (None, None) => "not known".to_owned(),
        _ => place(branch, commit, false),
    }
}

fn print_passages(
    call: &mut Call<'_>,
    reply: &LogReply,
    commands_max: usize,
) -> Result<(), CtlError> {
    let look = call.print.look;
    let mut branch: Option<&str> = None;
    for passage in &reply.passages {
        if let Some(here) = passage.branch.as_deref() {
            if branch.is_some_and(|before| before != here) {
                let sign = look.sign("🌿 ", "");
                call.print.line("")?;
                call.print.line(Text::new().plain(sign).strong(&format!("Branched to {here}")))?;
            }
            branch = Some(here);
        }
        call.print.line("")?;
        let sign = look.sign("📝 ", "");
        let text = Text::new().plain(sign).strong(&messages_of(passage)).plain(": ");
        call.print.line(text.plain("On ").plain(&stood(passage)))?;
        if let Some(title) = &passage.title {
            call.print.line(Text::new().plain("   ").faint(&format!("[{title}]")))?;
        }
        print_commands(call, passage, commands_max)?;
        print_typed(call, passage, commands_max)?;
    }
    Ok(())
}

fn print_commands(call: &mut Call<'_>, passage: &PassageInfo, max: usize) -> Result<(), CtlError> {
    let hidden = passage.commands.len().saturating_sub(max);
    let more = u32::try_from(hidden).unwrap_or(u32::MAX).saturating_add(passage.commands_left_out);
    if more > 0 {
        let way = if hidden > 0 { " (--commands shows more)" } else { ", too many to be shown" };
        let told = format!("{} before{way}", count(more, "command"));
        call.print.line(Text::new().plain("   ").faint(&told))?;
    }
    for command in &passage.commands[hidden..] {
        let sign = if command.by_user { "!" } else { "$" };
        let text = Text::new().plain(&format!("   {sign} ")).plain(&command.command);
        let who = if command.by_agent { "  (a subagent)" } else { "" };
        call.print.line(text.bad(&ended(command)).faint(who))?;
    }
    Ok(())
}

/// Prints what was typed into the shell, and on which device.
fn print_typed(call: &mut Call<'_>, passage: &PassageInfo, max: usize) -> Result<(), CtlError> {
    let hidden = passage.typed.len().saturating_sub(max);
    if hidden > 0 {
        let told = format!("{} before (--commands shows them)", count(hidden, "typed line"));
        call.print.line(Text::new().plain("   ").faint(&told))?;
    }
    for TypedInfo { line, device, .. } in &passage.typed[hidden..] {
        let text = Text::new().plain("   > ").plain(line);
        call.print.line(text.faint(&format!("  on {device}")))?;
    }
    Ok(())
}

/// What became of a command, where there is something to say.
fn ended(command: &CommandInfo) -> String {
    match (command.result, command.exit_code) {
        (CommandResult::Failed, Some(code)) => format!("  (exit code {code})"),
        (CommandResult::Failed, None) => "  (failed or refused)".to_owned(),
        (CommandResult::Ok | CommandResult::Unknown, _) => String::new(),
    }
}

fn messages_of(passage: &PassageInfo) -> String {
    let first = passage.messages_before + 1;
    match passage.messages {
        0 => format!("No message, after {}", passage.messages_before),
        1 => format!("Message {first}"),
        more => format!("Message {first}-{}", passage.messages_before + more),
    }
}

fn print_here(call: &mut Call<'_>, here: Option<&HereInfo>) -> Result<(), CtlError> {
    call.print.line("")?;
    call.print.line(Text::new().strong("Current State"))?;
    let Some(here) = here else {
        return Ok(call.print.line("  The repository is not on this device, or not enabled")?);
    };
    let now = place(here.branch.as_deref(), here.commit.as_deref(), here.dirty);
    call.print.line(format!("  You're on: {now}"))?;
    if here.in_sync {
        let done = call.print.look.done();
        let text = Text::new().plain("  ").good(done).plain(" Code and conversation are in sync!");
        return Ok(call.print.line(text)?);
    }
    Ok(call.print.finding("The code here is not as it was at this save", None)?)
}

fn print_saves(call: &mut Call<'_>, saves: &[SaveInfo]) -> Result<(), CtlError> {
    let now_ms = (call.env.now_ms)();
    call.print.line("")?;
    call.print.line(Text::new().strong("Saves"))?;
    for save in saves.iter().take(SAVES_MAX) {
        let code = place(save.branch.as_deref(), save.commit.as_deref(), save.dirty);
        let facts = [ago(save.at_ms, now_ms), count(save.messages, "message"), code];
        let message = save.message.as_deref().map(|text| format!("  {text}"));
        let text = Text::new()
            .strong(&format!("{:>5}", save.save))
            .plain("  ")
            .plain(&facts.join(call.print.look.dot()))
            .faint(&message.unwrap_or_default());
        call.print.line(text)?;
    }
    match saves.len().saturating_sub(SAVES_MAX) {
        0 => Ok(()),
        more => Ok(call.print.line(format!("       and {more} older (--json has more)"))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(
        before: u32,
        messages: u32,
        branch: Option<&str>,
        commit: Option<&str>,
    ) -> PassageInfo {
        PassageInfo {
            from: 0,
            until: 0,
            messages_before: before,
            messages,
            branch: branch.map(str::to_owned),
            commit: commit.map(str::to_owned),
            title: None,
            commands: Vec::new(),
            commands_left_out: 0,
            typed: Vec::new(),
        }
    }

    #[test]
    fn a_passage_names_its_messages_and_where_the_code_stood() {
        let check = |passage: PassageInfo, messages: &str, code: &str| {
            assert_eq!(
                (messages_of(&passage).as_str(), stood(&passage).as_str()),
                (messages, code)
            );
        };
        let commit = Some("0123456789abcdef");
        check(passage(0, 2, Some("main"), commit), "Message 1-2", "main @ 0123456789ab");
        check(passage(2, 1, None, commit), "Message 3", "detached @ 0123456789ab");
        check(passage(3, 0, Some("x"), None), "No message, after 3", "x, commit not known");
        check(passage(3, 0, None, None), "No message, after 3", "not known");
    }
}
