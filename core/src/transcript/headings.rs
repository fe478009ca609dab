//! What the user said first in each of several parts of a transcript.

use super::facts::{Facts, one_line};
use crate::claude::line::Lines;

/// Gathers headings from blocks of bytes.
#[derive(Debug)]
pub struct Headings {
    /// Where the parts begin that were not reached yet, the last one first.
    begins: Vec<u64>,
    position: u64,
    lines: Lines,
    facts: Facts,
    found: Vec<Option<String>>,
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

    /// Returns one heading a part, on one line; none where the user said nothing.
    pub fn finish(mut self) -> Vec<Option<String>> {
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
        self.found.push(prompt.filter(|prompt| !prompt.is_empty()));
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
                found.iter().map(|found| found.as_deref().unwrap_or_default()).collect();
            assert_eq!(found, ["one two", "", "four", "five", "", ""], "blocks of {size}");
        }
        assert!(Headings::new(&[]).finish().is_empty());
    }
}
