//! A transcript's messages as text, a page at a time: what a person reads without starting Claude Code.

use serde_json::value::RawValue;

use crate::claude::line::{Lines, elements, fields, is_true, objects, string, text_of};

/// The longest text of one message that is shown, in bytes.
const SHOWN_MAX: usize = 64 << 10;

/// One message as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownText {
    /// "user", "assistant" or "tool".
    pub role: String,
    /// The time as it stands in the transcript.
    pub at: Option<String>,
    /// The text.
    pub text: String,
}

/// Gathers one page of messages from blocks of bytes.
#[derive(Debug)]
pub struct Reading {
    from: u64,
    line: u64,
    room: usize,
    next: Option<u64>,
    messages: Vec<ShownText>,
    lines: Lines,
}

impl Reading {
    /// Starts at line `from`, for at most about `bytes_max` of text.
    pub fn new(from: u64, bytes_max: usize) -> Self {
        Self {
            from,
            line: 0,
            room: bytes_max,
            next: None,
            messages: Vec::new(),
            lines: Lines::default(),
        }
    }

    /// Takes in the next block of the transcript.
    pub fn push(&mut self, block: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(block, &mut |line| self.take(line));
        self.lines = lines;
    }

    /// Returns the page, and the line at which the next one begins.
    pub fn finish(self) -> (Vec<ShownText>, Option<u64>) {
        (self.messages, self.next)
    }

    fn take(&mut self, line: Option<&[u8]>) {
        let number = self.line;
        self.line += 1;
        if number < self.from || self.next.is_some() {
            return;
        }
        let text = line.map(text_of).unwrap_or_default();
        for message in objects(&text, &NAMES).values.iter().filter_map(shown) {
            if message.text.len() > self.room && !self.messages.is_empty() {
                self.next = Some(number);
                return;
            }
            self.room = self.room.saturating_sub(message.text.len());
            self.messages.push(message);
        }
    }
}

const NAMES: [&str; 5] = ["type", "timestamp", "message", "isMeta", "isSidechain"];

/// The message of a line's fields as text, if it is one that is shown.
pub(super) fn shown(values: &[Option<&RawValue>; 5]) -> Option<ShownText> {
    let [kind, timestamp, message, meta, sidechain] = *values;
    if is_true(meta) || is_true(sidechain) {
        return None;
    }
    let mut role = kind.and_then(string).filter(|kind| kind == "user" || kind == "assistant")?;
    let [content] = fields(message?, &["content"])?;
    let (mut text, is_tool) = text_of_content(content?);
    if is_tool && role == "user" {
        "tool".clone_into(&mut role);
    }
    let end = (0..=SHOWN_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    (!text.trim().is_empty()).then(|| ShownText { role, at: timestamp.and_then(string), text })
}

/// Joins the text of all blocks; tells whether there was a tool's result among them.
fn text_of_content(content: &RawValue) -> (String, bool) {
    if let Some(text) = string(content) {
        return (text, false);
    }
    let (mut texts, mut is_tool) = (Vec::new(), false);
    for block in elements(content).unwrap_or_default() {
        let Some([kind, text, name, inner]) = fields(block, &["type", "text", "name", "content"])
        else {
            continue;
        };
        match kind.and_then(string).as_deref() {
            Some("text") => texts.extend(text.and_then(string)),
            Some("tool_use") => texts.extend(name.and_then(string).map(|name| format!("[{name}]"))),
            Some("tool_result") => {
                is_tool = true;
                texts.extend(inner.map(|inner| text_of_content(inner).0));
            }
            Some("image") => texts.push("[image]".to_owned()),
            _ => {}
        }
    }
    (texts.join("\n"), is_tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = concat!(
        r#"{"type":"summary","summary":"x"}"#,
        "\n",
        r#"{"type":"user","timestamp":"T1","message":{"role":"user","content":"hello"}}"#,
        "\n",
        r#"{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"…"},{"type":"text","text":"hi"},{"type":"tool_use","name":"Read"}]}}"#,
        "\n",
        r#"{"type":"user","message":{"content":[{"type":"tool_result","content":[{"type":"text","text":"file"}]}]}}"#,
        "\n",
        r#"{"type":"user","isMeta":true,"message":{"content":"caveat"}}"#,
        "\n",
        "garbage\n",
    );

    fn read(from: u64, room: usize) -> (Vec<(String, String)>, Option<u64>) {
        let mut reading = Reading::new(from, room);
        LINES.as_bytes().chunks(7).for_each(|block| reading.push(block));
        let (messages, next) = reading.finish();
        (messages.into_iter().map(|message| (message.role, message.text)).collect(), next)
    }

    fn pair(role: &str, text: &str) -> (String, String) {
        (role.to_owned(), text.to_owned())
    }

    #[test]
    fn a_page_holds_what_people_said_and_tools_answered() {
        let all =
            vec![pair("user", "hello"), pair("assistant", "hi\n[Read]"), pair("tool", "file")];
        assert_eq!(read(0, 1000), (all, None));
    }

    #[test]
    fn the_next_page_begins_where_the_last_one_was_full() {
        assert_eq!(read(0, 6), (vec![pair("user", "hello")], Some(2)));
        assert_eq!(read(2, 10), (vec![pair("assistant", "hi\n[Read]")], Some(3)));
        assert_eq!(read(3, 10), (vec![pair("tool", "file")], None));
    }
}
