//! `log`: where the code stood while a session was written.

use convosync_core::cause::with_causes;
use convosync_core::context::Passage;
use convosync_core::history::History;
use convosync_core::project;
use convosync_core::protocol::{
    CommandInfo, CommandResult, Failure, HereInfo, Log, LogReply, PassageInfo, TypedInfo,
};
use convosync_core::shell_history::ShellLine;
use convosync_core::transcript::{
    Account, AgentCommands, Commands, Ended, Heading, Ran, ShellCommand, is_agents, part_at,
};

use super::{Clerk, browse, step};
use crate::desk::Desk;
use crate::fail;
use crate::house::House;

/// How many saves are listed.
const SAVES_MAX: usize = 500;

/// So many passages are told with a heading, the newest ones: an answer is one line of the socket.
const HEADINGS_MAX: usize = 400;

/// The longest heading that is told, in characters.
const HEADING_MAX: usize = 120;

pub(super) fn log(clerk: &Clerk<'_>, log: &Log) -> Result<LogReply, Failure> {
    let (place, holding) = browse::find(clerk.house, &log.session)?;
    browse::fetch(clerk, &place, &holding)?;
    let held = place.desk.lock();
    let history = browse::at_save(&held, browse::open(&held, &holding)?, &log.session)?;
    let records = held.reader().records(&history, SAVES_MAX);
    let saves = records.map_err(|error| fail::history(&error))?.into_iter();
    let mut passages = passages_of(&history);
    step(clerk.tell, "reading the conversation");
    let begins: Vec<u64> = passages.iter().map(|passage| passage.from).collect();
    let mut account = Account::new(&begins);
    browse::open_main(&held, &history, &mut |raw| account.push(raw))?;
    let told = account.finish();
    let ran = with_agents(&held, &history, &told.headings, told.ran);
    let (used, headings) = (told.used, told.headings);
    let headed = passages.len().saturating_sub(HEADINGS_MAX);
    for (passage, heading) in passages.iter_mut().zip(&headings).skip(headed) {
        let prompt = heading.prompt.as_ref();
        passage.title = prompt.map(|title| title.chars().take(HEADING_MAX).collect());
    }
    for line in &history.shell {
        let part = part_at(&headings, line.at_ms);
        let told = passages.get_mut(part).map(|passage| &mut passage.typed);
        told.into_iter().for_each(|told| told.push(typed(&held, line)));
    }
    for (passage, ran) in passages.iter_mut().zip(ran) {
        passage.commands_left_out = ran.left_out;
        passage.commands = ran.commands.into_iter().map(command).collect();
    }
    let session = browse::info(clerk.house, &place, &held, &holding);
    drop(held);
    let here = here(clerk.house, log, &holding.summary.project, &history);
    let (used, saves) = (browse::used_info(&history, used), saves.map(browse::save_info).collect());
    Ok(LogReply { session, used, saves, passages, here })
}

/// Adds what subagents ran. One whose transcript is damaged hides nothing of the others.
fn with_agents(held: &Desk, history: &History, headings: &[Heading], ran: Vec<Ran>) -> Vec<Ran> {
    let mut agents = AgentCommands::new(headings);
    for (name, _) in history.files().filter(|(_, state)| is_agents(&state.log)) {
        let mut commands = Commands::new(&[0]);
        match browse::open_log(held, history, name, &mut |raw| commands.push(raw)) {
            Ok(()) => agents.take(commands),
            Err(error) => {
                tracing::debug!(
                    error = with_causes(&error),
                    "a subagent's transcript is passed over"
                );
            }
        }
    }
    agents.among(ran)
}

fn typed(held: &Desk, line: &ShellLine) -> TypedInfo {
    let device = held.device_name(line.device);
    TypedInfo { at_ms: line.at_ms, device, line: line.text.clone() }
}

fn command(command: ShellCommand) -> CommandInfo {
    let (result, exit_code) = match command.ended {
        Ended::Unknown => (CommandResult::Unknown, None),
        Ended::Well => (CommandResult::Ok, None),
        Ended::Failed(code) => (CommandResult::Failed, code),
    };
    let ShellCommand { text, by_user, by_agent, .. } = command;
    CommandInfo { command: text, by_user, by_agent, result, exit_code }
}

/// The passages with their ends. What lies before the first one that is known is one, too.
pub(super) fn passages_of(history: &History) -> Vec<PassageInfo> {
    let course = &history.course.passages;
    let length = history.length();
    let unknown = Passage { from: 0, messages: 0, stand: Default::default() };
    let is_unknown = course.first().map_or(length > 0, |first| first.from > 0);
    let all: Vec<&Passage> = is_unknown.then_some(&unknown).into_iter().chain(course).collect();
    let end = |index: usize| match all.get(index + 1) {
        Some(next) => (next.from, next.messages),
        None => (length, history.record.messages),
    };
    let told = all.iter().enumerate().map(|(index, passage)| PassageInfo {
        from: passage.from.min(length),
        until: end(index).0.min(length),
        messages_before: passage.messages,
        messages: end(index).1.saturating_sub(passage.messages),
        branch: passage.stand.branch.clone(),
        commit: passage.stand.commit.map(|commit| commit.to_string()),
        title: None,
        commands: Vec::new(),
        commands_left_out: 0,
        typed: Vec::new(),
    });
    told.collect()
}

/// Where the code stands in the clone that the user is in, if it is the session's, else in another one.
fn here(house: &House, log: &Log, ids: &[String], history: &History) -> Option<HereInfo> {
    let own = house.owner(&log.directory).filter(|home| project::same(&home.project.ids, ids));
    let other = || house.homes().into_iter().find(|home| project::same(&home.project.ids, ids));
    let home = own.or_else(other)?;
    let now = project::code_point(&home.project, &house.git).ok().flatten()?;
    let saved = history.record.code.as_ref();
    let in_sync = saved.is_some_and(|saved| {
        saved.branch == now.branch
            && saved.commit == now.commit
            && (saved.dirty, saved.fingerprint) == (now.dirty, now.fingerprint)
    });
    Some(HereInfo {
        root: home.project.root.clone(),
        branch: now.branch,
        commit: now.commit.map(|commit| commit.to_string()),
        dirty: now.dirty,
        in_sync,
    })
}
