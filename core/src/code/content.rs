//! File contents as pieces of the code log and of one git blob, so that a changed line costs a line.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput};

use crate::id::{Digest, Oid};

/// The most pieces of one content: a file that was edited in more places is stored anew.
pub const PARTS_MAX: usize = 4096;
/// A copy of fewer bytes costs more to describe than to repeat.
const COPY_MIN: u64 = 48;
/// Files of more bytes are compared at their ends only: the memory of a comparison is a multiple of them.
const LINES_MAX: usize = 4 << 20;

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// How many bytes.
    pub length: u64,
    /// Their digest.
    pub digest: Digest,
    /// Where they come from.
    pub rope: Rope,
}

/// Pieces that make up a content, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rope {
    /// The blob that [`Part::Blob`] means: one that HEAD's commit or the index holds.
    pub blob: Option<Oid>,
    /// The pieces.
    pub parts: Vec<Part>,
}

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Bytes of the code log.
    Log(Range<u64>),
    /// Bytes of the rope's blob.
    Blob(Range<u64>),
}

impl Part {
    /// Where the piece lies in its source.
    pub fn range(&self) -> &Range<u64> {
        let (Self::Log(range) | Self::Blob(range)) = self;
        range
    }

    fn slice(&self, from: u64, to: u64) -> Self {
        let start = self.range().start;
        match self {
            Self::Log(_) => Self::Log(start + from..start + to),
            Self::Blob(_) => Self::Blob(start + from..start + to),
        }
    }
}

impl Rope {
    /// A whole git blob.
    pub fn of_blob(blob: Oid, length: u64) -> Self {
        let parts = if length == 0 { Vec::new() } else { vec![Part::Blob(0..length)] };
        Self { blob: Some(blob), parts }
    }

    /// How many bytes all pieces have; `None` where that overflows.
    pub fn length(&self) -> Option<u64> {
        self.parts.iter().try_fold(0_u64, |sum, part| {
            let range = part.range();
            sum.checked_add(range.end.checked_sub(range.start)?)
        })
    }

    /// Builds the rope of `new` from this one, whose bytes are `old`. What neither has is appended to
    /// `fresh`, which will stand at `at` in the log. `None` when that would take too many pieces.
    pub fn patched(&self, old: &[u8], new: &[u8], at: u64, fresh: &mut Vec<u8>) -> Option<Self> {
        let mut rope = Self { blob: self.blob, parts: Vec::new() };
        let mut added = Vec::new();
        for op in differ(old, new) {
            match op {
                Op::Copy(range) => self.copy_into(&mut rope, &range),
                Op::Insert(range) => {
                    let start = at + (fresh.len() + added.len()) as u64;
                    rope.push(Part::Log(start..start + range.len() as u64));
                    added.extend_from_slice(&new[range]);
                }
            }
        }
        if rope.parts.len() > PARTS_MAX {
            return None;
        }
        fresh.extend_from_slice(&added);
        if !rope.parts.iter().any(|part| matches!(part, Part::Blob(_))) {
            rope.blob = None;
        }
        Some(rope)
    }

    /// Stores `new` anew: all of it is appended to `fresh`.
    pub fn whole(new: &[u8], at: u64, fresh: &mut Vec<u8>) -> Self {
        let start = at + fresh.len() as u64;
        fresh.extend_from_slice(new);
        let mut rope = Self::default();
        rope.push(Part::Log(start..start + new.len() as u64));
        rope
    }

    fn copy_into(&self, rope: &mut Self, range: &Range<usize>) {
        let (from, to) = (range.start as u64, range.end as u64);
        let mut passed = 0;
        for part in &self.parts {
            let length = part.range().end - part.range().start;
            let (start, end) = (from.max(passed), to.min(passed + length));
            if start < end {
                rope.push(part.slice(start - passed, end - passed));
            }
            passed += length;
        }
    }

    fn push(&mut self, part: Part) {
        if part.range().is_empty() {
            return;
        }
        match (self.parts.last_mut(), &part) {
            (Some(Part::Log(last)), Part::Log(next))
            | (Some(Part::Blob(last)), Part::Blob(next))
                if last.end == next.start =>
            {
                last.end = next.end;
            }
            _ => self.parts.push(part),
        }
    }
}

/// How to make one content from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Bytes of the old one.
    Copy(Range<usize>),
    /// Bytes of the new one.
    Insert(Range<usize>),
}

/// Compares two contents: what they begin and end with alike, and the lines between.
pub fn differ(old: &[u8], new: &[u8]) -> Vec<Op> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail =
        old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut ops = vec![Op::Copy(0..head)];
    let (old_mid, new_mid) = (head..old.len() - tail, head..new.len() - tail);
    if old_mid.len().max(new_mid.len()) <= LINES_MAX && !old_mid.is_empty() {
        by_lines(&old[old_mid.clone()], &new[new_mid], head, &mut ops);
    } else {
        ops.push(Op::Insert(new_mid));
    }
    ops.push(Op::Copy(old.len() - tail..old.len()));
    tidy(ops, new)
}

fn by_lines(old: &[u8], new: &[u8], offset: usize, ops: &mut Vec<Op>) {
    let input = InternedInput::new(old, new);
    let diff = Diff::compute(Algorithm::Histogram, &input);
    let ends = |tokens: &[imara_diff::Token]| -> Vec<usize> {
        std::iter::once(offset)
            .chain(tokens.iter().scan(offset, |end, token| {
                *end += input.interner[*token].len();
                Some(*end)
            }))
            .collect()
    };
    let (old_ends, new_ends) = (ends(&input.before), ends(&input.after));
    let mut at = 0;
    for hunk in diff.hunks() {
        ops.push(Op::Copy(old_ends[at]..old_ends[hunk.before.start as usize]));
        ops.push(Op::Insert(
            new_ends[hunk.after.start as usize]..new_ends[hunk.after.end as usize],
        ));
        at = hunk.before.end as usize;
    }
    ops.push(Op::Copy(old_ends[at]..offset + old.len()));
}

/// Joins neighbours, and repeats what is too short to be worth a copy. Every operation covers the next
/// bytes of `new`.
fn tidy(ops: Vec<Op>, new: &[u8]) -> Vec<Op> {
    let mut tidied: Vec<Op> = Vec::new();
    let mut at = 0;
    let is_short =
        |range: &Range<usize>| (range.len() as u64) < COPY_MIN && range.len() < new.len();
    for op in ops {
        let (Op::Copy(range) | Op::Insert(range)) = &op;
        let next = at..at + range.len();
        at = next.end;
        if next.is_empty() {
            continue;
        }
        let op =
            if matches!(&op, Op::Copy(range) if is_short(range)) { Op::Insert(next) } else { op };
        match (tidied.last_mut(), &op) {
            (Some(Op::Insert(last)), Op::Insert(next)) => last.end = next.end,
            (Some(Op::Copy(last)), Op::Copy(next)) if last.end == next.start => last.end = next.end,
            _ => tidied.push(op),
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOB: Oid = Oid([7; 20]);

    /// Reads a rope over `log` and `blob`.
    fn bytes(rope: &Rope, log: &[u8], blob: &[u8]) -> Vec<u8> {
        let read = |part: &Part| {
            let range = part.range().start as usize..part.range().end as usize;
            match part {
                Part::Log(_) => log[range].to_vec(),
                Part::Blob(_) => blob[range].to_vec(),
            }
        };
        rope.parts.iter().flat_map(read).collect()
    }

    fn lines(count: usize) -> Vec<u8> {
        (0..count)
            .flat_map(|line| format!("line {line} of a file that is long enough\n").into_bytes())
            .collect()
    }

    #[test]
    fn a_changed_line_costs_that_line() {
        let old = lines(20_000);
        let new =
            String::from_utf8(old.clone()).unwrap().replace("line 77 of", "line seventy-seven of");
        let new = new.replace("line 19000 of", "line nineteen thousand of").into_bytes();
        let mut fresh = Vec::new();
        let rope =
            Rope::of_blob(BLOB, old.len() as u64).patched(&old, &new, 500, &mut fresh).unwrap();
        assert!(fresh.len() < 200, "{}", fresh.len());
        assert_eq!(rope.parts.len(), 5);
        let log = [vec![0; 500], fresh].concat();
        assert_eq!(bytes(&rope, &log, &old), new);
    }

    #[test]
    fn a_file_that_was_patched_before_is_patched_again_without_a_chain() {
        let blob = lines(1000);
        let (mut rope, mut old, mut log) =
            (Rope::of_blob(BLOB, blob.len() as u64), blob.clone(), Vec::new());
        for round in 0..20 {
            let new = String::from_utf8(old.clone()).unwrap();
            let new = new
                .replacen(&format!("line {} of", round * 40), &format!("LINE {round} of"), 1)
                .into_bytes();
            let mut fresh = Vec::new();
            rope = rope.patched(&old, &new, log.len() as u64, &mut fresh).unwrap();
            log.extend(fresh);
            assert_eq!(bytes(&rope, &log, &blob), new);
            old = new;
        }
        assert!(log.len() < 2000, "{}", log.len());
    }

    #[test]
    fn a_file_with_nothing_of_the_old_one_needs_no_blob() {
        let mut fresh = Vec::new();
        let rope = Rope::of_blob(BLOB, 3).patched(b"abc", b"xyz", 0, &mut fresh).unwrap();
        assert_eq!((rope.blob, fresh.as_slice()), (None, &b"xyz"[..]));
    }

    proptest! {
        #[test]
        fn any_content_comes_back_from_its_pieces(
            old in proptest::collection::vec(0_u8..4, 0..400),
            new in proptest::collection::vec(0_u8..4, 0..400),
            newest in proptest::collection::vec(0_u8..4, 0..400),
        ) {
            let line = |bytes: &[u8]| -> Vec<u8> { bytes.iter().flat_map(|byte| [[b'\n', b'a', b'b', b'c'][*byte as usize]; 3]).collect() };
            let (old, new, newest) = (line(&old), line(&new), line(&newest));
            let mut log = Vec::new();
            let first = Rope::of_blob(BLOB, old.len() as u64).patched(&old, &new, 0, &mut log).unwrap();
            prop_assert_eq!(&bytes(&first, &log, &old), &new);
            let mut fresh = Vec::new();
            let second = first.patched(&new, &newest, log.len() as u64, &mut fresh).unwrap();
            log.extend(fresh);
            prop_assert_eq!(&bytes(&second, &log, &old), &newest);
            prop_assert_eq!(second.length(), Some(newest.len() as u64));
        }
    }
}
