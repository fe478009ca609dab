//! Follows a transcript line by line, and the reflogs beside it.

use std::path::Path;

use super::{Move, Passage, Stand, Tree};

/// So many commits that came and went between two lines are told, the newest ones: a rebase makes hundreds.
const PASSING_MAX: usize = 32;

/// What Claude Code writes as the branch of a detached HEAD.
const DETACHED: &str = "HEAD";

/// What a line of a transcript tells of where it was written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line<'a> {
    /// Its length in bytes, with the newline.
    pub bytes: u64,
    /// How many messages there are before it.
    pub messages: u32,
    /// Its time, in Unix milliseconds.
    pub at_ms: Option<i64>,
    /// The directory that this line, or the last one before it that names any, was written in.
    pub cwd: Option<&'a Path>,
    /// The branch that this line names.
    pub branch: Option<&'a str>,
    /// Whether it is something that Claude said.
    pub is_answer: bool,
}

/// Takes lines in their order, and tells the passages that they make up.
///
/// A line without a time, or with one that is still to come, goes on where the one before it was. A line never
/// goes back to an earlier place in the reflog: lines are not in order of time.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    trees: Vec<Tree>,
    /// How many moves of each tree have been passed; `None` before its first line.
    passed: Vec<Option<usize>>,
    /// The tree that the last line was written in.
    tree: Option<usize>,
    now_ms: i64,
    /// Lines that end here or before are told already.
    told: u64,
    position: u64,
    current: Option<Stand>,
    passages: Vec<Passage>,
}

impl Trace {
    /// Begins at byte `position`. What lies before `told` is known, and ended at `last` at that time.
    pub fn new(
        trees: Vec<Tree>,
        now_ms: i64,
        position: u64,
        told: u64,
        last: Option<(&Stand, i64)>,
    ) -> Self {
        let place = |tree: &Tree| {
            let (last, at_ms) = last.filter(|(last, _)| last.commit.is_some())?;
            let moves = tree.moves.all();
            // HEAD may have been there twice, and may have come back since.
            let is_it = |one: &Move| one.stand == *last;
            let until_then = moves[..tree.moves.made_by(at_ms, false)].iter().rposition(is_it);
            until_then.or_else(|| moves.iter().position(is_it)).map(|index| index + 1)
        };
        let passed: Vec<_> = trees.iter().map(place).collect();
        let tree = passed.iter().position(Option::is_some);
        let (passages, current) = (Vec::new(), last.map(|(stand, _)| stand.clone()));
        Self { trees, passed, tree, now_ms, told, position, current, passages }
    }

    /// Forgets everything that was told: the file was written anew. Of what lies before `told` nothing is known.
    pub fn begin_anew(&mut self, told: u64) {
        let trees = std::mem::take(&mut self.trees);
        *self = Self::new(trees, self.now_ms, 0, told, None);
    }

    /// Takes in the next line.
    pub fn line(&mut self, line: &Line<'_>) {
        let from = self.position;
        self.position += line.bytes;
        let Some(at_ms) = line.at_ms.filter(|at_ms| *at_ms <= self.now_ms) else { return };
        let Some(cwd) = line.cwd else { return };
        self.tree = self.tree_of(cwd);
        if from < self.told {
            self.remember(at_ms, line);
            return;
        }
        let stand = match self.tree {
            Some(tree) => self.stand_in(tree, at_ms, from, line),
            None => stand_of(line),
        };
        self.enter(from, line.messages, stand);
    }

    /// Notes how far HEAD had moved at a line that is told already.
    fn remember(&mut self, at_ms: i64, line: &Line<'_>) {
        let Some(tree) = self.tree else { return };
        let made = self.made(tree, at_ms, line);
        if !self.is_elsewhere(tree, made, line.branch) {
            self.passed[tree] = Some(made);
        }
    }

    /// How many moves of a tree had been made at a line; never fewer than at the lines before it.
    fn made(&self, tree: usize, at_ms: i64, line: &Line<'_>) -> usize {
        let moves = &self.trees[tree].moves;
        let by_time = moves.made_by(at_ms, line.is_answer);
        by_time.max(self.passed[tree].unwrap_or(0)).min(moves.all().len())
    }

    /// Tells the passages, and the commits that were made after the last line; `messages` is how many there are.
    pub fn finish(mut self, messages: u32) -> Vec<Passage> {
        if let Some(tree) = self.tree.filter(|tree| self.passed[*tree].is_some()) {
            let made = self.trees[tree].moves.all().len();
            self.pass(tree, made, self.position, messages);
        }
        self.passages
    }

    /// The tree whose top is the nearest above a directory.
    fn tree_of(&self, cwd: &Path) -> Option<usize> {
        let above = self.trees.iter().enumerate().filter(|(_, tree)| cwd.starts_with(&tree.root));
        above.max_by_key(|(_, tree)| tree.root.as_os_str().len()).map(|(index, _)| index)
    }

    fn stand_in(&mut self, tree: usize, at_ms: i64, from: u64, line: &Line<'_>) -> Stand {
        let made = self.made(tree, at_ms, line);
        if self.is_elsewhere(tree, made, line.branch) {
            return stand_of(line);
        }
        if made == 0 {
            self.passed[tree] = Some(0);
            return stand_of(line);
        }
        if self.passed[tree].is_some() {
            self.pass(tree, made - 1, from, line.messages);
        }
        self.passed[tree] = Some(made);
        self.trees[tree].moves.all()[made - 1].stand.clone()
    }

    /// Whether a line names a branch that this HEAD was not on, nor shortly before or after: it was written in a
    /// work tree that is gone by now, or in a repository within this one.
    fn is_elsewhere(&self, tree: usize, made: usize, branch: Option<&str>) -> bool {
        let Some(branch) = branch.filter(|branch| made > 0 && *branch != DETACHED) else {
            return false;
        };
        let moves = self.trees[tree].moves.all();
        let of = |index: usize| moves[index].stand.branch.as_deref();
        let here = of(made - 1);
        let before = (0..made).rev().map(of).find(|other| *other != here).flatten();
        let after = (made..moves.len()).map(of).find(|other| *other != here).flatten();
        here.is_some() && ![here, before, after].contains(&Some(branch))
    }

    /// Passes the moves up to the first `made` of a tree: no line was written there.
    fn pass(&mut self, tree: usize, made: usize, from: u64, messages: u32) {
        let passed = self.passed[tree].unwrap_or(0);
        for index in passed.max(made.saturating_sub(PASSING_MAX))..made {
            let stand = self.trees[tree].moves.all()[index].stand.clone();
            self.enter(from, messages, stand);
        }
        self.passed[tree] = Some(passed.max(made));
    }

    fn enter(&mut self, from: u64, messages: u32, stand: Stand) {
        if self.current.as_ref() != Some(&stand) {
            self.passages.push(Passage { from, messages, stand: stand.clone() });
            self.current = Some(stand);
        }
    }
}

/// What a line itself says: a branch at most.
fn stand_of(line: &Line<'_>) -> Stand {
    Stand::new(line.branch.filter(|branch| *branch != DETACHED), None)
}

#[cfg(test)]
mod tests;
