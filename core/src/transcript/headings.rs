//! When each of several parts of a transcript began, and what the user said first in it.

use super::facts::{Facts, Line, one_line};

/// How a part begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heading {
    /// What the user said first in it, on one line; none where they said nothing.
    pub prompt: Option<String>,
    /// The earliest time up to there, in Unix milliseconds.
    pub at_ms: Option<i64>,
}

/// The last part that had begun at a time; what was before all of them belongs to the first.
pub fn part_at(headings: &[Heading], at_ms: i64) -> usize {
    let has_begun = |heading: &Heading| heading.at_ms.is_some_and(|begin| begin <= at_ms);
    headings.iter().rposition(has_begun).unwrap_or(0)
}

/// Gathers headings from lines.
#[derive(Debug)]
pub(super) struct Headings {
    /// Where the parts begin that were not reached yet, the last one first.
    begins: Vec<u64>,
    facts: Facts,
    found: Vec<Heading>,
}

impl Headings {
    /// Prepares for the parts that begin at these bytes, in order; each reaches to the next one.
    pub(super) fn new(begins: &[u64]) -> Self {
        let begins = begins.iter().rev().copied().collect();
        Self { begins, facts: Facts::default(), found: Vec::new() }
    }

    /// Takes in the line at a byte; without one, it is too long to be read.
    pub(super) fn take(&mut self, line: Option<&Line<'_>>, position: u64) {
        self.enter(position);
        match line {
            // Nothing more is looked for in a part that has its heading.
            Some(line) if self.facts.first_prompt.is_none() => self.facts.take(line),
            _ => {}
        }
    }

    /// Returns one heading a part.
    pub(super) fn finish(mut self) -> Vec<Heading> {
        self.enter(u64::MAX);
        self.close();
        self.found.remove(0);
        self.found
    }

    /// Goes on to the part that begins here.
    fn enter(&mut self, position: u64) {
        while self.begins.last().is_some_and(|begin| *begin <= position) {
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
    use crate::transcript::Account;

    fn headings(begins: &[u64], text: &str, size: usize) -> Vec<Heading> {
        let mut account = Account::new(begins);
        text.as_bytes().chunks(size).for_each(|block| account.push(block));
        account.finish().headings
    }

    #[test]
    fn every_part_is_headed_by_what_the_user_said_first_in_it() {
        let line =
            |text: &str| format!("{{\"type\":\"user\",\"message\":{{\"content\":\"{text}\"}}}}\n");
        let texts = ["before", "one\\ntwo", "three", "four", "five"];
        let lines: Vec<String> = texts.iter().map(|text| line(text)).collect();
        let at = |count: usize| lines[..count].iter().map(|line| line.len() as u64).sum::<u64>();
        let begins = [at(1), at(3), at(3), at(4), at(5), at(5) + 9];
        for size in [1, 7, 1000] {
            let found = headings(&begins, &lines.concat(), size);
            let found: Vec<&str> =
                found.iter().map(|found| found.prompt.as_deref().unwrap_or_default()).collect();
            assert_eq!(found, ["one two", "", "four", "five", "", ""], "blocks of {size}");
        }
        assert!(headings(&[], &lines.concat(), 7).is_empty());
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
        let headings = headings(&[0, at(3), at(4)], &lines.concat(), 7);
        let times: Vec<_> = headings.iter().map(|heading| heading.at_ms).collect();
        assert_eq!(times, [Some(2_000), None, Some(5_000)]);
    }

    #[test]
    fn what_was_at_a_time_belongs_to_the_last_part_that_had_begun() {
        let begin = |at_ms| Heading { at_ms, prompt: None };
        let parts = [Some(10), None, Some(20), Some(30), None].map(begin);
        for (at_ms, part) in [(5, 0), (10, 0), (19, 0), (20, 2), (29, 2), (30, 3), (99, 3)] {
            assert_eq!(part_at(&parts, at_ms), part, "{at_ms}");
        }
        assert_eq!(part_at(&[], 5), 0);
    }
}
