//! What `log` tells of a session's transcripts: the main one in one pass, in which each line is cut out and taken apart
//! once for everything that is told, and the commands of subagents' ones, put where the main one was then.

use super::commands::{COMMANDS_BYTES_MAX, Commands, Ran, ShellCommand};
use super::facts::Line;
use super::headings::{Heading, Headings, part_at};
use super::used::Used;
use crate::claude::line::{Lines, text_of};
use crate::id::{LogId, Role};

/// Gathers what there is to tell from blocks of the main transcript.
#[derive(Debug)]
pub struct Account {
    lines: Lines,
    position: u64,
    used: Used,
    headings: Headings,
    commands: Commands,
}

/// What there is to tell.
#[derive(Debug)]
pub struct Told {
    /// With what it was written.
    pub used: Used,
    /// How each part begins.
    pub headings: Vec<Heading>,
    /// What was run in each part.
    pub ran: Vec<Ran>,
}

impl Account {
    /// Prepares for the parts that begin at these bytes, in order; each reaches to the next one.
    pub fn new(begins: &[u64]) -> Self {
        Self {
            lines: Lines::default(),
            position: 0,
            used: Used::default(),
            headings: Headings::new(begins),
            commands: Commands::new(begins),
        }
    }

    /// Takes in the next block.
    pub fn push(&mut self, block: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push_measured(block, &mut |line, bytes| {
            self.take(line);
            self.position += bytes;
        });
        self.lines = lines;
    }

    /// Returns what there is to tell.
    pub fn finish(self) -> Told {
        let Self { used, headings, commands, .. } = self;
        Told { used, headings: headings.finish(), ran: commands.finish() }
    }

    fn take(&mut self, line: Option<&[u8]>) {
        let text = line.map(text_of);
        let line = line.zip(text.as_deref()).map(|(line, text)| Line::read(line, text));
        self.headings.take(line.as_ref(), self.position);
        if let Some(line) = &line {
            self.used.take(line);
            self.commands.take(line, self.position);
        }
    }
}

/// Whether a file of a session is the transcript of a subagent.
pub fn is_agents(log: &LogId) -> bool {
    let is_lines = log.path.ends_with(".jsonl");
    match log.role {
        Role::Inside => is_lines && log.path.starts_with("subagents/"),
        Role::Beside => is_lines,
        Role::Main | Role::Code => false,
    }
}

/// Commands of subagents, from one transcript after the other.
#[derive(Debug)]
pub struct AgentCommands<'a> {
    headings: &'a [Heading],
    kept: Vec<ShellCommand>,
    left_out: Vec<u32>,
}

impl<'a> AgentCommands<'a> {
    /// Prepares for the parts that begin so.
    pub fn new(headings: &'a [Heading]) -> Self {
        Self { headings, kept: Vec::new(), left_out: vec![0; headings.len()] }
    }

    /// Takes in what was gathered from one transcript, which is one part.
    pub fn take(&mut self, commands: Commands) {
        for Ran { commands, left_out } in commands.finish() {
            let part = self.part_of(commands.first());
            if let Some(count) = self.left_out.get_mut(part) {
                *count = count.saturating_add(left_out);
            }
            let by_agent = |command| ShellCommand { by_agent: true, ..command };
            self.kept.extend(commands.into_iter().map(by_agent));
        }
        // Thousands of transcripts must not fill the memory.
        self.kept.sort_by_key(|command| command.at_ms);
        let surplus = surplus(&self.kept);
        for gone in self.kept.drain(..surplus).collect::<Vec<_>>() {
            let part = self.part_of(Some(&gone));
            if let Some(count) = self.left_out.get_mut(part) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Puts them among the commands of the main transcript, by time, and keeps the newest of all.
    pub fn among(self, ran: Vec<Ran>) -> Vec<Ran> {
        if self.headings.is_empty() {
            return ran;
        }
        let mut parts: Vec<Ran> =
            self.left_out.iter().map(|count| Ran { left_out: *count, ..Ran::default() }).collect();
        let mut all: Vec<(usize, Option<i64>, ShellCommand)> = Vec::new();
        for (part, ran) in ran.into_iter().enumerate().take(parts.len()) {
            parts[part].left_out = parts[part].left_out.saturating_add(ran.left_out);
            let mut latest = None;
            for command in ran.commands {
                // The order of the main transcript stays, whatever its times say.
                latest = latest.max(command.at_ms);
                all.push((part, latest, command));
            }
        }
        let of_agents = self
            .kept
            .iter()
            .map(|command| (self.part_of(Some(command)), command.at_ms, command.clone()));
        all.extend(of_agents);
        all.sort_by_key(|(part, at_ms, _)| (*part, *at_ms));
        let surplus = surplus(all.iter().map(|(_, _, command)| command));
        for (index, (part, _, command)) in all.into_iter().enumerate() {
            if index < surplus {
                parts[part].left_out = parts[part].left_out.saturating_add(1);
            } else {
                parts[part].commands.push(command);
            }
        }
        parts
    }

    fn part_of(&self, command: Option<&ShellCommand>) -> usize {
        let at_ms = command.and_then(|command| command.at_ms);
        at_ms.map_or(0, |at_ms| part_at(self.headings, at_ms))
    }
}

/// How many of the oldest are too many.
fn surplus<'a, I>(commands: I) -> usize
where
    I: IntoIterator<Item = &'a ShellCommand>,
    I::IntoIter: DoubleEndedIterator + ExactSizeIterator,
{
    let commands = commands.into_iter();
    let (count, mut bytes) = (commands.len(), 0);
    let kept = commands.rev().take_while(|command| {
        bytes += command.bytes();
        bytes <= COMMANDS_BYTES_MAX
    });
    count - kept.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(seconds: u32, id: &str, command: &str) -> String {
        let call =
            json!({"type": "tool_use", "name": "Bash", "id": id, "input": {"command": command}});
        let at = format!("1970-01-01T00:{:02}:{:02}Z", seconds / 60, seconds % 60);
        let line = json!({"type": "assistant", "timestamp": at, "message": {"content": [call]}});
        format!("{line}\n")
    }

    fn of_agent(text: &str) -> Commands {
        let mut commands = Commands::new(&[0]);
        commands.push(text.as_bytes());
        commands
    }

    fn texts(ran: &[Ran]) -> Vec<Vec<String>> {
        let text = |command: &ShellCommand| {
            let sign = if command.by_agent { "agent " } else { "" };
            format!("{sign}{}", command.text)
        };
        ran.iter().map(|part| part.commands.iter().map(text).collect()).collect()
    }

    #[test]
    fn one_pass_tells_what_was_used_how_parts_begin_and_what_was_run() {
        let answer = call(1, "a", "ls")
            .replace("\"type\":\"assistant\"", "\"type\":\"assistant\",\"version\":\"2.0\"");
        let text = answer.clone()
            + "{\"type\":\"user\",\"timestamp\":9,\"message\":{\"content\":\"hi\"}}\n"
            + &call(70, "b", "make");
        let mut account = Account::new(&[0, answer.len() as u64]);
        text.as_bytes().chunks(5).for_each(|block| account.push(block));
        let told = account.finish();
        assert_eq!(told.used.finish().0, ["2.0"]);
        let heading =
            |at_ms, prompt: Option<&str>| Heading { at_ms, prompt: prompt.map(str::to_owned) };
        assert_eq!(told.headings, [heading(Some(1_000), None), heading(Some(9), Some("hi"))]);
        assert_eq!(texts(&told.ran), [["ls"], ["make"]]);
    }

    #[test]
    fn what_subagents_ran_stands_where_the_main_transcript_was_then() {
        let heading = |at_ms| Heading { at_ms: Some(at_ms), prompt: None };
        let headings = [heading(0), heading(60_000)];
        let main = [
            call(10, "a", "one"),
            call(30, "b", "two"),
            call(20, "c", "three"),
            call(90, "d", "four"),
        ];
        let mut account = Account::new(&[0, main[..3].concat().len() as u64]);
        account.push(main.concat().as_bytes());
        let mut agents = AgentCommands::new(&headings);
        agents.take(of_agent(&(call(15, "x", "x") + &call(25, "y", "y") + &call(80, "z", "z"))));
        agents.take(of_agent(&call(12, "x", "w")));
        let ran = agents.among(account.finish().ran);
        assert_eq!(
            texts(&ran),
            [vec!["one", "agent w", "agent x", "agent y", "two", "three"], vec!["agent z", "four"]]
        );
    }

    #[test]
    fn of_very_many_commands_of_subagents_the_newest_stay() {
        let headings = [Heading { at_ms: Some(0), prompt: None }];
        let mut agents = AgentCommands::new(&headings);
        let many = 2 * COMMANDS_BYTES_MAX / 400;
        for number in 0..many {
            let text = format!("{number} {}", "x".repeat(390));
            agents.take(of_agent(&call(u32::try_from(number % 3000).unwrap(), "a", &text)));
        }
        let kept = agents.kept.len();
        assert!(kept < many && surplus(&agents.kept) == 0);
        let main = Ran { commands: agents.kept[..9].to_vec(), left_out: 1 };
        let ran = agents.among(vec![main]);
        assert_eq!(ran[0].commands.len() + ran[0].left_out as usize, many + 9 + 1);
        assert_eq!(surplus(&ran[0].commands), 0);
    }

    #[test]
    fn a_transcript_of_a_subagent_is_known_by_its_name() {
        let log = |role, path: &str| LogId { role, path: path.to_owned() };
        assert!(is_agents(&log(Role::Inside, "subagents/agent-a.jsonl")));
        assert!(is_agents(&log(Role::Inside, "subagents/x/agent-a.jsonl")));
        assert!(is_agents(&log(Role::Beside, "agent-a.jsonl")));
        assert!(!is_agents(&log(Role::Inside, "tool-results/a.jsonl")));
        assert!(!is_agents(&log(Role::Inside, "subagents/agent-a.meta.json")));
        assert!(!is_agents(&LogId::main()));
    }
}
