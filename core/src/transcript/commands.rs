//! The shell commands that were run in each of several parts of a transcript: by Claude, or by its user with `!`.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use memchr::memmem;
use serde_json::value::RawValue;

use super::facts::{Line, named, one_line};
use super::prompt::{self, Prompt};
use crate::claude::line::{Lines, elements, fields, is_true, string, text_of, time_ms};

/// The longest command that is kept, in characters; what is longer is cut.
const COMMAND_MAX: usize = 400;

/// About how many bytes of commands are kept, the newest ones: an answer of the daemon has to hold them.
pub(super) const COMMANDS_BYTES_MAX: usize = 128 << 10;

/// What a command takes beside its text.
const COMMAND_BYTES: usize = 64;

/// So many calls are remembered, to know their results and those that are written twice in places.
const CALLS_MAX: usize = 1 << 16;

/// What a line says that may tell of a command.
const SIGNS: [&[u8]; 3] = [b"tool_use", b"tool_result", b"<bash-input>"];

/// The tool that runs commands.
const SHELL: &str = "Bash";

/// How Claude Code begins what a command said that ended so.
const EXIT_CODE: &str = "Exit code ";

/// A command that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellCommand {
    /// On one line.
    pub text: String,
    /// Whether the user typed it.
    pub by_user: bool,
    /// Whether a subagent ran it.
    pub by_agent: bool,
    /// When, in Unix milliseconds, as far as its line tells.
    pub at_ms: Option<i64>,
    /// What became of it.
    pub ended: Ended,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ended {
    /// It is not known: it went on in the background, or the transcript ends before.
    #[default]
    Unknown,
    /// It ended well.
    Well,
    /// It failed, with its exit code where that is told; without one it may have been refused, and never ran.
    Failed(Option<i32>),
}

impl ShellCommand {
    /// About how many bytes an answer needs for it.
    pub(super) fn bytes(&self) -> usize {
        COMMAND_BYTES + self.text.len()
    }
}

/// What is known of a command from the object that it stands in.
#[derive(Debug, Clone, Copy, Default)]
struct Stands {
    at_ms: Option<i64>,
    is_aside: bool,
}

/// The commands of one part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// The newest ones, in order.
    pub commands: Vec<ShellCommand>,
    /// How many there were before them.
    pub left_out: u32,
}

/// Gathers commands from blocks of bytes.
#[derive(Debug)]
pub struct Commands {
    /// Where the parts begin.
    begins: Vec<u64>,
    position: u64,
    lines: Lines,
    /// With the part each belongs to.
    kept: VecDeque<(usize, ShellCommand)>,
    bytes: usize,
    /// How many came before those that are kept.
    gone: u64,
    left_out: Vec<u32>,
    /// Which command a call is, by a hash of its id.
    calls: HashMap<u64, u64>,
}

impl Commands {
    /// Prepares for the parts that begin at these bytes, in order; each reaches to the next one.
    pub fn new(begins: &[u64]) -> Self {
        Self {
            begins: begins.to_vec(),
            position: 0,
            lines: Lines::default(),
            kept: VecDeque::new(),
            bytes: 0,
            gone: 0,
            left_out: vec![0; begins.len()],
            calls: HashMap::new(),
        }
    }

    /// Takes in the next block.
    pub fn push(&mut self, block: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push_measured(block, &mut |line, bytes| {
            if let Some(line) = line.filter(|line| is_telling(line)) {
                self.take(&Line::read(line, &text_of(line)), self.position);
            }
            self.position += bytes;
        });
        self.lines = lines;
    }

    /// Takes in the line at a byte.
    pub(super) fn take(&mut self, line: &Line<'_>, position: u64) {
        if !is_telling(line.bytes) {
            return;
        }
        self.position = position;
        for object in &line.objects {
            let [kind, at, message, _, sidechain, _] = named(object);
            let stands = Stands { at_ms: at.and_then(time_ms), is_aside: is_true(sidechain) };
            let content = message.and_then(|message| fields(message, &["content"]));
            let Some(content) = content.and_then(|[content]| content) else { continue };
            match kind.and_then(string).as_deref() {
                Some("assistant") => self.answer(content, stands),
                Some("user") => self.words(content, stands),
                _ => {}
            }
        }
    }

    /// Returns what was run in each part.
    pub fn finish(self) -> Vec<Ran> {
        let ran = |left_out| Ran { commands: Vec::new(), left_out };
        let mut parts: Vec<Ran> = self.left_out.into_iter().map(ran).collect();
        for (part, command) in self.kept {
            parts[part].commands.push(command);
        }
        parts
    }

    /// Takes the calls of the shell out of something that Claude said.
    fn answer(&mut self, content: &RawValue, stands: Stands) {
        for block in elements(content).unwrap_or_default() {
            let Some([Some(kind), Some(name), id, Some(input)]) =
                fields(block, &["type", "name", "id", "input"])
            else {
                continue;
            };
            if string(kind).as_deref() != Some("tool_use") || string(name).as_deref() != Some(SHELL)
            {
                continue;
            }
            let Some([command, aside]) = fields(input, &["command", "run_in_background"]) else {
                continue;
            };
            let Some(text) = command.and_then(string) else { continue };
            self.call(&text, id.map(hash), is_true(aside), stands);
        }
    }

    fn call(&mut self, text: &str, id: Option<u64>, is_aside: bool, stands: Stands) {
        if id.is_some_and(|id| self.calls.contains_key(&id)) {
            return;
        }
        let number = self.gone + self.kept.len() as u64;
        self.keep(text, false, stands);
        if self.calls.len() == CALLS_MAX {
            self.calls.clear();
        }
        if let Some(id) = id {
            // That a command was begun in the background says nothing of its end.
            self.calls.insert(id, if is_aside { u64::MAX } else { number });
        }
    }

    /// Takes results, and what the user ran, out of a line that stands as the user's.
    fn words(&mut self, content: &RawValue, stands: Stands) {
        for block in elements(content).unwrap_or_default() {
            let Some([Some(kind), Some(id), error, said]) =
                fields(block, &["type", "tool_use_id", "is_error", "content"])
            else {
                continue;
            };
            if string(kind).as_deref() == Some("tool_result") {
                self.result(hash(id), is_true(error), said);
            }
        }
        if let Prompt::Command(text) = prompt::read(content)
            && let Some(command) = text.strip_prefix('!')
        {
            self.keep(command, true, stands);
        }
    }

    fn result(&mut self, id: u64, is_error: bool, said: Option<&RawValue>) {
        let number = self.calls.get(&id).and_then(|number| number.checked_sub(self.gone));
        let kept = number.and_then(|number| self.kept.get_mut(usize::try_from(number).ok()?));
        if let Some((_, command)) = kept {
            command.ended =
                if is_error { Ended::Failed(said.and_then(exit_code)) } else { Ended::Well };
        }
    }

    fn keep(&mut self, text: &str, by_user: bool, stands: Stands) {
        let Some(part) =
            self.begins.partition_point(|begin| *begin <= self.position).checked_sub(1)
        else {
            return;
        };
        let text: String = one_line(text).chars().take(COMMAND_MAX).collect();
        let Stands { at_ms, is_aside } = stands;
        let by_agent = is_aside && !by_user;
        let command = ShellCommand { text, by_user, by_agent, at_ms, ended: Ended::Unknown };
        self.bytes += command.bytes();
        self.kept.push_back((part, command));
        while self.bytes > COMMANDS_BYTES_MAX
            && let Some((part, oldest)) = self.kept.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.gone += 1;
            self.left_out[part] = self.left_out[part].saturating_add(1);
        }
    }
}

fn is_telling(line: &[u8]) -> bool {
    SIGNS.iter().any(|sign| memmem::find(line, sign).is_some())
}

fn hash(id: &RawValue) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(id.get())
}

/// The exit code that a command's words begin with.
fn exit_code(said: &RawValue) -> Option<i32> {
    let first = |blocks: Vec<&RawValue>| {
        blocks.first().and_then(|block| fields(block, &["text"])).and_then(|[text]| string(text?))
    };
    let text = string(said).or_else(|| elements(said).and_then(first))?;
    text.strip_prefix(EXIT_CODE)?.lines().next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn line(kind: &str, content: &Value) -> String {
        format!("{}\n", json!({"type": kind, "message": {"content": content}}))
    }

    fn call(id: &str, input: &Value) -> String {
        let call = json!({"type": "tool_use", "name": "Bash", "id": id, "input": input});
        line("assistant", &json!([{"type": "text", "text": "so"}, call]))
    }

    fn result(id: &str, is_error: bool, content: &Value) -> String {
        let result = json!({"type": "tool_result", "tool_use_id": id, "is_error": is_error, "content": content});
        line("user", &json!([result]))
    }

    fn ran(begins: &[u64], text: &str) -> Vec<Ran> {
        let mut commands = Commands::new(begins);
        text.as_bytes().chunks(7).for_each(|block| commands.push(block));
        commands.finish()
    }

    fn command(text: &str, by_user: bool, ended: Ended) -> ShellCommand {
        ShellCommand { text: text.to_owned(), by_user, by_agent: false, at_ms: None, ended }
    }

    #[test]
    fn commands_are_told_with_what_became_of_them() {
        let texts = [
            call("a", &json!({"command": "cargo\n  test"})),
            result("a", true, &json!("Exit code 101\nerror")),
            call("b", &json!({"command": "ls"})),
            call("b", &json!({"command": "ls"})),
            result("b", false, &json!([{"type": "text", "text": "Exit code 1"}])),
            call("c", &json!({"command": "false"})),
            result("c", true, &json!([{"type": "text", "text": "Exit code 1"}])),
            call("d", &json!({"command": "rm x"})),
            result("d", true, &json!("The user doesn't want to proceed")),
            call("e", &json!({"command": "server", "run_in_background": true})),
            result("e", false, &json!("running")),
            line("user", &json!("<bash-input>git log</bash-input>")),
            line("user", &json!("run `tool_use` for me")),
            line(
                "assistant",
                &json!([{"type": "tool_use", "name": "Read", "id": "f", "input": {"command": "no"}}]),
            ),
            call("g", &json!({"command": 7})),
            "{\"tool_use\n".to_owned(),
            call("h", &json!({"command": "last"})),
        ];
        let expected = vec![
            command("cargo test", false, Ended::Failed(Some(101))),
            command("ls", false, Ended::Well),
            command("false", false, Ended::Failed(Some(1))),
            command("rm x", false, Ended::Failed(None)),
            command("server", false, Ended::Unknown),
            command("git log", true, Ended::Unknown),
            command("last", false, Ended::Unknown),
        ];
        assert_eq!(ran(&[0], &texts.concat()), [Ran { commands: expected, left_out: 0 }]);
    }

    #[test]
    fn a_command_belongs_to_the_part_that_its_call_stands_in() {
        let texts = [
            call("a", &json!({"command": "one"})),
            result("a", false, &json!("")),
            call("b", &json!({"command": "two"})),
            result("b", true, &json!("Exit code 2")),
            call("c", &json!({"command": "three"})),
        ];
        let at = |count: usize| texts[..count].concat().len() as u64;
        // The second result stands behind the beginning of the last part.
        let parts = ran(&[0, at(2), at(2), at(3)], &texts.concat());
        let names =
            |part: &Ran| part.commands.iter().map(|one| one.text.clone()).collect::<Vec<_>>();
        assert_eq!(
            parts.iter().map(names).collect::<Vec<_>>(),
            [vec!["one"], vec![], vec!["two"], vec!["three"]]
        );
        assert_eq!(parts[2].commands[0].ended, Ended::Failed(Some(2)));
        assert!(ran(&[at(5)], &texts.concat())[0].commands.is_empty());
        assert!(ran(&[], &texts.concat()).is_empty());
    }

    proptest! {
        #[test]
        fn commands_are_bounded_and_the_newest_stay(lengths in proptest::collection::vec(0usize..600, 0..1500)) {
            let mut commands = Commands::new(&[0, 1]);
            for (number, length) in lengths.iter().enumerate() {
                let text = format!("{number} {}", "x".repeat(*length));
                commands.push(call(&number.to_string(), &json!({"command": text})).as_bytes());
                commands.push(result(&number.to_string(), false, &json!("")).as_bytes());
            }
            let parts = commands.finish();
            let kept: Vec<_> = parts.iter().flat_map(|part| &part.commands).collect();
            let left_out: u32 = parts.iter().map(|part| part.left_out).sum();
            prop_assert_eq!(kept.len() + left_out as usize, lengths.len());
            let bytes: usize = kept.iter().map(|one| COMMAND_BYTES + one.text.len()).sum();
            prop_assert!(bytes <= COMMANDS_BYTES_MAX);
            prop_assert!(left_out == 0 || bytes + COMMAND_BYTES + COMMAND_MAX > COMMANDS_BYTES_MAX);
            for (index, one) in kept.iter().enumerate() {
                let number = (left_out as usize + index).to_string();
                prop_assert!(one.text.starts_with(&number) && one.text.chars().count() <= COMMAND_MAX);
                prop_assert_eq!(one.ended, Ended::Well);
            }
        }
    }
}
