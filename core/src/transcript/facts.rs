//! What is worth knowing about a session, gathered line by line and never by looking back.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::PathBuf;

use serde_json::value::RawValue;

use super::prompt::{self, Prompt};
use crate::claude::line::{Lines, Values, fields, is_true, objects, string, text_of, time_ms};

/// The longest text that is kept, in bytes: titles and prompts are shown, not stored here.
pub const TEXT_MAX: usize = 1024;

/// The longest directory that is kept, in bytes: what systems take as a path.
const CWD_MAX: usize = 4096;

/// What a transcript's lines say about its session.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Prompts and answers, as a person counts them.
    pub messages: u32,
    /// Lines, whatever they hold.
    pub lines: u32,
    /// Lines that are not exactly one JSON object: glued, torn, overwritten, or too long to be read.
    pub malformed: u32,
    /// The title its user gave it.
    pub custom_title: Option<String>,
    /// The title Claude gave it.
    pub ai_title: Option<String>,
    /// The last summary an older version wrote.
    pub summary: Option<String>,
    /// The first thing its user typed; before that, the first command.
    pub first_prompt: Option<String>,
    /// The directory it began in.
    pub cwd_first: Option<PathBuf>,
    /// The directory it is in now.
    pub cwd_last: Option<PathBuf>,
    /// The branch that was checked out last.
    pub branch: Option<String>,
    /// The version of Claude Code that wrote to it last.
    pub version: Option<String>,
    /// The model that answered last.
    pub model: Option<String>,
    /// The permission mode it is in.
    pub permission_mode: Option<String>,
    /// The earliest time on a line, in Unix milliseconds; lines are not in order of time.
    pub first_ms: Option<i64>,
    /// The latest time on a line, in Unix milliseconds.
    pub last_ms: Option<i64>,
    /// What the last line says of itself.
    pub line: LineFacts,
    /// Whether `first_prompt` is only a command.
    is_command: bool,
    /// Messages that were counted, by a hash: blocks of lines are written twice in places.
    counted: HashSet<u64>,
}

/// What one line says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineFacts {
    /// Its time, in Unix milliseconds.
    pub at_ms: Option<i64>,
    /// Whether it names a branch: [`Facts::branch`], then.
    pub has_branch: bool,
    /// Whether it is something that Claude said.
    pub is_answer: bool,
}

/// The values of [`NAMES`] on one object.
pub(super) type Object<'a> = Values<'a, 17>;

const NAMES: [&str; 17] = [
    "type",
    "uuid",
    "timestamp",
    "cwd",
    "gitBranch",
    "version",
    "permissionMode",
    "message",
    "customTitle",
    "aiTitle",
    "summary",
    "relocatedCwd",
    "isSidechain",
    "isMeta",
    "isCompactSummary",
    "isVisibleInTranscriptOnly",
    "toolUseResult",
];

/// A line that is taken apart once, for everybody who looks at it.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// As it stands in the file, without its newline.
    pub(super) bytes: &'a [u8],
    /// The objects on it.
    pub(super) objects: Vec<Object<'a>>,
    is_blank: bool,
    is_clean: bool,
}

impl<'a> Line<'a> {
    /// Takes a line apart; `text` is what [`text_of`] makes of it.
    pub(super) fn read(bytes: &'a [u8], text: &'a str) -> Self {
        let is_blank = bytes.iter().all(u8::is_ascii_whitespace);
        let found = objects(text, &NAMES);
        let is_clean = found.is_clean && std::str::from_utf8(bytes).is_ok();
        Self { bytes, objects: found.values, is_blank, is_clean }
    }
}

/// What an object says of itself: type, time, message, `isMeta`, `isSidechain` and uuid.
pub(super) fn named<'a>(object: &Object<'a>) -> Values<'a, 6> {
    let [kind, uuid, at, _, _, _, _, message, _, _, _, _, sidechain, meta, ..] = *object;
    [kind, at, message, meta, sidechain, uuid]
}

impl Facts {
    /// Takes in the next line, without its newline.
    pub fn feed(&mut self, line: &[u8]) {
        self.take(&Line::read(line, &text_of(line)));
    }

    /// Takes in the next line.
    pub(super) fn take(&mut self, line: &Line<'_>) {
        self.lines = self.lines.saturating_add(1);
        self.line = LineFacts::default();
        if line.is_blank {
            return;
        }
        if !line.is_clean {
            self.malformed = self.malformed.saturating_add(1);
        }
        line.objects.iter().for_each(|object| self.object(object));
    }

    /// Takes in a line that is too long to be read.
    pub fn feed_oversized(&mut self) {
        self.lines = self.lines.saturating_add(1);
        self.malformed = self.malformed.saturating_add(1);
        self.line = LineFacts::default();
    }

    /// What the session is called: the user's title, Claude's, a summary, or the first prompt; on one
    /// line and without control characters.
    pub fn title(&self) -> Option<String> {
        [&self.custom_title, &self.ai_title, &self.summary, &self.first_prompt]
            .into_iter()
            .filter_map(|text| text.as_deref().map(one_line))
            .find(|text| !text.is_empty())
    }

    fn object(&mut self, values: &Object<'_>) {
        let [kind, uuid, timestamp, cwd, branch, version, mode, message, texts @ ..] = *values;
        let [custom, ai, summary, relocated, aside @ .., tool_result] = texts;
        self.time(timestamp);
        self.place(cwd);
        keep(&mut self.branch, branch);
        self.line.has_branch |= branch.is_some_and(|branch| branch.get().len() > "\"\"".len());
        keep(&mut self.version, version);
        keep(&mut self.permission_mode, mode);
        let is_main = tool_result.is_none() && !aside.into_iter().any(is_true);
        let kind = kind.and_then(string).unwrap_or_default();
        self.line.is_answer |= kind == "assistant";
        match kind.as_str() {
            "custom-title" => replace(&mut self.custom_title, custom),
            "ai-title" => replace(&mut self.ai_title, ai),
            "summary" => keep(&mut self.summary, summary),
            "relocated" => self.place(relocated),
            "assistant" if is_main => self.answer(message, uuid),
            "user" if is_main => self.prompt(message, uuid),
            _ => {}
        }
    }

    fn time(&mut self, value: Option<&RawValue>) {
        if let Some(at_ms) = value.and_then(time_ms) {
            self.line.at_ms = Some(at_ms);
            self.first_ms = Some(self.first_ms.map_or(at_ms, |first| first.min(at_ms)));
            self.last_ms = Some(self.last_ms.map_or(at_ms, |last| last.max(at_ms)));
        }
    }

    fn place(&mut self, value: Option<&RawValue>) {
        let is_path = |cwd: &String| !cwd.is_empty() && cwd.len() <= CWD_MAX;
        if let Some(cwd) = value.and_then(string).filter(is_path).map(PathBuf::from) {
            if self.cwd_last.as_ref() != Some(&cwd) {
                self.cwd_last = Some(cwd.clone());
            }
            self.cwd_first.get_or_insert(cwd);
        }
    }

    fn answer(&mut self, message: Option<&RawValue>, uuid: Option<&RawValue>) {
        let Some([id, model]) = message.and_then(|message| fields(message, &["id", "model"]))
        else {
            return;
        };
        // Claude Code's own error messages name a model in angle brackets.
        if !model.and_then(string).is_some_and(|model| model.starts_with('<')) {
            keep(&mut self.model, model);
        }
        self.count(id.or(uuid));
    }

    fn prompt(&mut self, message: Option<&RawValue>, uuid: Option<&RawValue>) {
        let content =
            message.and_then(|message| fields(message, &["content"])).and_then(|[content]| content);
        match content.map_or(Prompt::NotTyped, prompt::read) {
            Prompt::Typed(text) => self.typed(text, false, uuid),
            Prompt::Command(name) => self.typed(Some(name), true, uuid),
            Prompt::NotTyped => {}
        }
    }

    fn typed(&mut self, text: Option<String>, is_command: bool, uuid: Option<&RawValue>) {
        self.count(uuid);
        if self.first_prompt.is_none() || (self.is_command && !is_command && text.is_some()) {
            self.is_command = is_command;
            self.first_prompt = text.map(cut).or(self.first_prompt.take());
        }
    }

    /// Counts a message once, however often its name comes; one without a name every time.
    fn count(&mut self, name: Option<&RawValue>) {
        let hash =
            |name: &RawValue| BuildHasherDefault::<DefaultHasher>::default().hash_one(name.get());
        if name.is_none_or(|name| self.counted.insert(hash(name))) {
            self.messages = self.messages.saturating_add(1);
        }
    }
}

/// Keeps the newest non-empty text.
fn keep(place: &mut Option<String>, value: Option<&RawValue>) {
    // Nearly every line repeats these: compare before anything is allocated.
    let is_same = |value: &&RawValue| {
        let inner = value.get().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        inner.is_none() || inner == place.as_deref()
    };
    if let Some(text) =
        value.filter(|value| !is_same(value)).and_then(string).filter(|text| !text.is_empty())
    {
        *place = Some(cut(text));
    }
}

/// Takes the newest text even if it is empty: a title can be taken away.
fn replace(place: &mut Option<String>, value: Option<&RawValue>) {
    *place = value.and_then(string).filter(|text| !text.trim().is_empty()).map(cut);
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.shrink_to_fit();
    }
    text
}

/// Puts a text on one line, without control characters.
pub(super) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Gathers [`Facts`] from blocks of bytes; only complete lines count.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// What the lines so far say.
    pub facts: Facts,
    lines: Lines,
}

impl Scan {
    /// Takes in the next block.
    pub fn push(&mut self, block: &[u8]) {
        self.push_told(block, &mut |_, _, _| {});
    }

    /// Takes in the next block, and after each line of it tells the facts, how many messages there were before
    /// the line, and how many bytes it has.
    pub fn push_told(&mut self, block: &[u8], told: &mut dyn FnMut(&Facts, u32, u64)) {
        let facts = &mut self.facts;
        self.lines.push_measured(block, &mut |line, bytes| {
            let before = facts.messages;
            match line {
                Some(line) => facts.feed(line),
                None => facts.feed_oversized(),
            }
            told(facts, before, bytes);
        });
    }
}

#[cfg(test)]
mod tests;
