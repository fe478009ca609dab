//! A transcript line by line, as far as two of them can be compared: what is the same, and what is only in one.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::PathBuf;

use super::facts::{Facts, Line, named, one_line};
use super::reading::shown;
use super::touched::written;
use crate::claude::line::{Lines, text_of};

/// So many lines are compared; real transcripts have some ten thousands.
const LINES_MAX: usize = 1 << 20;

/// The longest text that is kept of what the user said, in characters.
const SAID_MAX: usize = 120;

/// One line.
#[derive(Debug, Clone)]
struct Step {
    /// A digest of its uuid, else of itself.
    key: u64,
    /// The byte behind it.
    end: u64,
    /// How many messages there are up to it.
    messages: u32,
    /// What the user says in it.
    said: Option<String>,
}

/// The lines of a transcript.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    steps: Vec<Step>,
    /// Files that a line's tools write, with the number of the line.
    files: Vec<(usize, PathBuf)>,
    position: u64,
    lines: Lines,
    facts: Facts,
}

/// What a transcript has behind the part that it shares with another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rest {
    /// Where it begins.
    pub from: u64,
    /// How many messages there are before it.
    pub messages_before: u32,
    /// How many messages there are in it.
    pub messages: u32,
    /// What the user says in it.
    pub said: Vec<String>,
    /// The files that are written in it.
    pub files: BTreeSet<PathBuf>,
}

impl Outline {
    /// Takes in the next block.
    pub fn push(&mut self, block: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push_measured(block, &mut |line, bytes| self.take(line.unwrap_or_default(), bytes));
        self.lines = lines;
    }

    /// How many lines at the beginning are the same in both.
    pub fn common(&self, other: &Self) -> usize {
        let pairs = self.steps.iter().zip(&other.steps);
        pairs.take_while(|(ours, theirs)| ours.key == theirs.key).count()
    }

    /// What stands behind so many lines.
    pub fn behind(&self, lines: usize) -> Rest {
        let before = lines.checked_sub(1).and_then(|last| self.steps.get(last));
        let messages_before = before.map_or(0, |step| step.messages);
        let rest = self.steps.get(lines..).unwrap_or_default();
        let files = self.files.iter().filter(|(line, _)| *line >= lines);
        Rest {
            from: before.map_or(0, |step| step.end),
            messages_before,
            messages: self.facts.messages.saturating_sub(messages_before),
            said: rest.iter().filter_map(|step| step.said.clone()).collect(),
            files: files.map(|(_, path)| path.clone()).collect(),
        }
    }

    fn take(&mut self, line: &[u8], bytes: u64) {
        self.position += bytes;
        let before = self.facts.messages;
        let text = text_of(line);
        let line = Line::read(line, &text);
        self.facts.take(&line);
        if self.steps.len() == LINES_MAX {
            return;
        }
        let hash = |text: &str| BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        let mut step = Step {
            key: hash(&text),
            end: self.position,
            messages: self.facts.messages,
            said: None,
        };
        for [kind, at, message, meta, sidechain, uuid] in line.objects.iter().map(named) {
            let told = shown(&[kind, at, message, meta, sidechain]);
            let is_prompt = |role: &str| role == "user" && self.facts.messages > before;
            step.said = told
                .filter(|told| is_prompt(&told.role))
                .map(|told| one_line(&told.text).chars().take(SAID_MAX).collect())
                .or(step.said);
            step.key = uuid.map_or(step.key, |uuid| hash(uuid.get()));
            let number = self.steps.len();
            let files = message.into_iter().flat_map(written);
            self.files.extend(files.map(|path| (number, path)));
        }
        self.steps.push(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u32) -> String {
        format!(
            "{{\"type\":\"user\",\"uuid\":\"u{number}\",\"message\":{{\"content\":\"ask {number}\"}}}}\n"
        )
    }

    fn edit(number: u32) -> String {
        let call = format!(
            r#"{{"type":"tool_use","name":"Write","input":{{"file_path":"/code/{number}"}}}}"#
        );
        format!(
            r#"{{"type":"assistant","uuid":"a{number}","message":{{"id":"m{number}","content":[{call}]}}}}"#
        ) + "\n"
    }

    fn outline(lines: &[String]) -> Outline {
        let mut outline = Outline::default();
        lines.concat().as_bytes().chunks(7).for_each(|block| outline.push(block));
        outline
    }

    #[test]
    fn what_is_behind_the_common_part_is_told_on_both_sides() {
        let title = "{\"type\":\"ai-title\"}\n".to_owned();
        let common = [user(1), edit(1), title.clone()];
        let ours = outline(&[common.to_vec(), vec![user(2), edit(2)]].concat());
        let theirs = outline(&[common.to_vec(), vec![user(3), title, edit(3)]].concat());
        assert_eq!((ours.common(&theirs), theirs.common(&ours)), (3, 3));
        let rest = |number: u32| Rest {
            from: common.concat().len() as u64,
            messages_before: 2,
            messages: 2,
            said: vec![format!("ask {number}")],
            files: BTreeSet::from([PathBuf::from(format!("/code/{number}"))]),
        };
        assert_eq!(ours.behind(3), rest(2));
        assert_eq!(theirs.behind(3), rest(3));
        assert_eq!(ours.common(&ours), 5);
        assert_eq!(ours.behind(5).messages, 0);
        assert_eq!(Outline::default().behind(0), Rest::default());
    }
}
