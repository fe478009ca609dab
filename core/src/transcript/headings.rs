//! When each of several parts of a transcript began, and what the user said first in it.

use super::facts::{Facts, one_line};
use crate::claude::line::Lines;

/// How a part begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heading {
    /// What the user said first in it, on one line; none where they said nothing.
    pub prompt: Option<String>,
    /// The earliest time up to there, in Unix milliseconds.
    pub at_ms: Option<i64>,
}

/// Gathers headings from blocks of bytes.
#[derive(Debug)]
pub struct Headings {
    /// Where the parts begin that were not reached yet, the last one first.
    begins: Vec<u64>,
    position: u64,
    lines: Lines,
    facts: Facts,
    found: Vec<Heading>,
}

impl Headings {
    /// Prepares for the parts that begin at these bytes, in order; each reaches to the next one.
    pub fn new(begins: &[u64]) -> Self {
        let begins = begins.iter().rev().copied().collect();
        let (lines, facts, found) = (Lines::default(), Facts::default(), Vec::new());
        Self { begins, position: 0, lines, facts, found }
    }

    /// Takes in the next block.
    pub fn push(&mut self, block: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push_measured(block, &mut |line, bytes| {
            self.enter();
            self.position += bytes;
            match line {
                // Nothing more is looked for in a part that has its heading.
                Some(line) if self.facts.first_prompt.is_none() => self.facts.feed(line),
                _ => {}
            }
        });
        self.lines = lines;
    }

    /// Returns one heading a part.
    pub fn finish(mut self) -> Vec<Heading> {
        self.position = u64::MAX;
        self.enter();
        self.close();
        self.found.remove(0);
        self.found
    }

    /// Goes on to the part that begins here.
    fn enter(&mut self) {
        while self.begins.last().is_some_and(|begin| *begin <= self.position) {
            self.begins.pop();
            self.close();
        }
    }

    fn close(&mut self) {
        let facts = std::mem::take(&mut self.facts);
        let prompt = facts.first_prompt.as_deref().map(one_line);
        let prompt = prompt.filter(|prompt| !prompt.is_empty());
        self.found.push(Heading { prompt, at_ms: facts.first_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_headed_by_what_the_user_said_first_in_it() {
        let line =
            |text: &str| format!("{{\"type\":\"user\",\"message\":{{\"content\":\"{text}\"}}}}\n");
        let texts = ["before", "one\\ntwo", "three", "four", "five"];
        let lines: Vec<String> = texts.iter().map(|text| line(text)).collect();
        let at = |count: usize| lines[..count].iter().map(|line| line.len() as u64).sum::<u64>();
        let begins = [at(1), at(3), at(3), at(4), at(5), at(5) + 9];
        for size in [1, 7, 1000] {
            let mut headings = Headings::new(&begins);
            lines.concat().as_bytes().chunks(size).for_each(|block| headings.push(block));
            let found = headings.finish();
            let found: Vec<&str> =
                found.iter().map(|found| found.prompt.as_deref().unwrap_or_default()).collect();
            assert_eq!(found, ["one two", "", "four", "five", "", ""], "blocks of {size}");
        }
        assert!(Headings::new(&[]).finish().is_empty());
    }

    #[test]
    fn a_part_begins_at_its_earliest_time() {
        let line = |seconds: u32, text: &str| {
            format!(
                "{{\"type\":\"user\",\"timestamp\":\"1970-01-01T00:00:0{seconds}Z\",\"message\":{{\"content\":{text}}}}}\n"
            )
        };
        let lines = [
            line(3, "[]"),
            line(2, "\"x\""),
            line(1, "\"y\""),
            "{}\n".to_owned(),
            line(5, "\"z\""),
        ];
        let at = |count: usize| lines[..count].iter().map(|line| line.len() as u64).sum::<u64>();
        let mut headings = Headings::new(&[0, at(3), at(4)]);
        headings.push(lines.concat().as_bytes());
        let times: Vec<_> = headings.finish().iter().map(|heading| heading.at_ms).collect();
        assert_eq!(times, [Some(2_000), None, Some(5_000)]);
    }
}
