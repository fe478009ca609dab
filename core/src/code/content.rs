//! File contents as pieces of the code log and of one git blob, so that a changed line costs a line.

use std::io;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput};

use crate::id::{Digest, Oid};

/// The most pieces of one content: a file that was edited in more places is stored anew.
pub const PARTS_MAX: usize = 4096;
/// A copy of fewer bytes costs more to describe than to repeat.
const COPY_MIN: u64 = 48;
/// What lies between the first and the last change is compared line by line up to so many bytes of each,
/// for they are held.
const COMPARED_MAX: u64 = 4 << 20;
/// And up to so many lines of each: a million that are nearly all alike take minutes, these take two seconds.
const LINES_MAX: usize = 50_000;
/// How much is compared at once.
const BLOCK: u64 = 1 << 16;

/// Bytes that are read piece by piece: they may be more than anyone wants to hold.
pub trait Bytes {
    /// How many.
    fn length(&self) -> u64;

    /// Reads those from `at` on, as many as `into` takes.
    ///
    /// # Errors
    /// When they cannot be read, or are not so many.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

impl Bytes for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let piece = usize::try_from(at).ok().and_then(|at| self.get(at..at + into.len()));
        into.copy_from_slice(piece.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl<B: Bytes + ?Sized> Bytes for &B {
    fn length(&self) -> u64 {
        (**self).length()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        (**self).read_at(at, into)
    }
}

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

    /// Builds the rope of `new` from this one, whose bytes are `old`. What neither has will stand at `at` in
    /// the log. `None` when that would take too many pieces.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    pub fn patched(
        &self,
        old: &(impl Bytes + ?Sized),
        new: &(impl Bytes + ?Sized),
        at: u64,
    ) -> io::Result<Option<Patch>> {
        let mut patch =
            Patch { rope: Self { blob: self.blob, parts: Vec::new() }, ..Patch::default() };
        let Patch { rope, fresh } = &mut patch;
        let mut end = at;
        for op in differ(old, new)? {
            match op {
                Op::Copy(range) => self.copy_into(rope, &range),
                Op::Insert(range) => {
                    let start = end;
                    end += range.end - range.start;
                    rope.push(Part::Log(start..end));
                    fresh.push(range);
                }
            }
        }
        if !rope.parts.iter().any(|part| matches!(part, Part::Blob(_))) {
            rope.blob = None;
        }
        Ok(Some(patch).filter(|patch| patch.rope.parts.len() <= PARTS_MAX))
    }

    /// The rope of `length` bytes that stand at `at` in the log.
    pub fn whole(length: u64, at: u64) -> Self {
        let mut rope = Self::default();
        rope.push(Part::Log(at..at + length));
        rope
    }

    fn copy_into(&self, rope: &mut Self, range: &Range<u64>) {
        let Range { start: from, end: to } = *range;
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

/// A rope that was built from another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The rope.
    pub rope: Rope,
    /// What of the new content the log does not have yet, in the order in which it will stand there.
    pub fresh: Vec<Range<u64>>,
}

impl Patch {
    /// Nothing of the old one: all `length` bytes will stand at `at` in the log.
    pub fn whole(length: u64, at: u64) -> Self {
        Self { rope: Rope::whole(length, at), fresh: Vec::from([Range { start: 0, end: length }]) }
    }

    /// How many bytes the log does not have yet.
    pub fn added(&self) -> u64 {
        self.fresh.iter().map(|range| range.end - range.start).sum()
    }
}

/// How to make one content from another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Op {
    /// Bytes of the old one.
    Copy(Range<u64>),
    /// Bytes of the new one.
    Insert(Range<u64>),
}

/// Compares two contents: what they begin and end with alike, and the lines between.
fn differ(old: &(impl Bytes + ?Sized), new: &(impl Bytes + ?Sized)) -> io::Result<Vec<Op>> {
    let head = common_head(old, new)?;
    let tail = common_tail(old, new, head)?;
    let mut ops = vec![Op::Copy(0..head)];
    let (old_mid, new_mid) = (head..old.length() - tail, head..new.length() - tail);
    let longest = old_mid.end.max(new_mid.end) - head;
    let mut is_compared = false;
    if longest <= COMPARED_MAX && !old_mid.is_empty() {
        let (one, other) = (piece(old, &old_mid)?, piece(new, &new_mid)?);
        is_compared = [&one, &other].iter().all(|bytes| has_few_lines(bytes));
        if is_compared {
            by_lines(&one, &other, head, &mut ops);
        }
    }
    if !is_compared {
        ops.push(Op::Insert(new_mid));
    }
    ops.push(Op::Copy(old.length() - tail..old.length()));
    Ok(tidy(ops, new.length()))
}

fn piece(bytes: &(impl Bytes + ?Sized), range: &Range<u64>) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
    bytes.read_at(range.start, &mut piece)?;
    Ok(piece)
}

/// How many bytes two contents begin with alike.
fn common_head(old: &(impl Bytes + ?Sized), new: &(impl Bytes + ?Sized)) -> io::Result<u64> {
    let most = old.length().min(new.length());
    let mut at = 0;
    while at < most {
        let next = at..most.min(at + BLOCK);
        let (one, other) = (piece(old, &next)?, piece(new, &next)?);
        let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count() as u64;
        at += same;
        if at < next.end {
            break;
        }
    }
    Ok(at)
}

/// How many bytes two contents end with alike, beyond what they begin with alike.
fn common_tail(
    old: &(impl Bytes + ?Sized),
    new: &(impl Bytes + ?Sized),
    head: u64,
) -> io::Result<u64> {
    let most = old.length().min(new.length()) - head;
    let mut tail = 0;
    while tail < most {
        let size = BLOCK.min(most - tail);
        let last = |length: u64| length - tail - size..length - tail;
        let (one, other) = (piece(old, &last(old.length()))?, piece(new, &last(new.length()))?);
        let pairs = one.iter().rev().zip(other.iter().rev());
        let same = pairs.take_while(|(a, b)| a == b).count() as u64;
        tail += same;
        if same < size {
            break;
        }
    }
    Ok(tail)
}

fn has_few_lines(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| **byte == b'\n').nth(LINES_MAX).is_none()
}

fn by_lines(old: &[u8], new: &[u8], offset: u64, ops: &mut Vec<Op>) {
    let input = InternedInput::new(old, new);
    let diff = Diff::compute(Algorithm::Histogram, &input);
    let ends = |tokens: &[imara_diff::Token]| -> Vec<u64> {
        std::iter::once(offset)
            .chain(tokens.iter().scan(offset, |end, token| {
                *end += input.interner[*token].len() as u64;
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
    ops.push(Op::Copy(old_ends[at]..offset + old.len() as u64));
}

/// Joins neighbours, and repeats what is too short to be worth a copy. Every operation covers the next
/// bytes of the new content, of which there are `length`.
fn tidy(ops: Vec<Op>, length: u64) -> Vec<Op> {
    let mut tidied: Vec<Op> = Vec::new();
    let mut at = 0;
    let is_short = |range: &Range<u64>| {
        let size = range.end - range.start;
        size < COPY_MIN && size < length
    };
    for op in ops {
        let (Op::Copy(range) | Op::Insert(range)) = &op;
        let next = at..at + (range.end - range.start);
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

    /// Patches a rope, and appends to the log what it does not have.
    fn patched(rope: &Rope, old: &[u8], new: &[u8], log: &mut Vec<u8>) -> Rope {
        let patch = rope.patched(old, new, log.len() as u64).unwrap().unwrap();
        let before = log.len() as u64;
        for range in &patch.fresh {
            log.extend_from_slice(&new[range.start as usize..range.end as usize]);
        }
        assert_eq!(log.len() as u64 - before, patch.added());
        patch.rope
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
        let mut log = vec![0; 500];
        let rope = patched(&Rope::of_blob(BLOB, old.len() as u64), &old, &new, &mut log);
        assert!(log.len() < 700, "{}", log.len());
        assert_eq!(rope.parts.len(), 5);
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
            rope = patched(&rope, &old, &new, &mut log);
            assert_eq!(bytes(&rope, &log, &blob), new);
            old = new;
        }
        assert!(log.len() < 2000, "{}", log.len());
    }

    #[test]
    fn a_file_with_nothing_of_the_old_one_needs_no_blob() {
        let mut log = Vec::new();
        let rope = patched(&Rope::of_blob(BLOB, 3), b"abc", b"xyz", &mut log);
        assert_eq!((rope.blob, log.as_slice()), (None, &b"xyz"[..]));
    }

    /// Comparing these line by line took more than five minutes.
    #[test]
    fn a_file_of_a_million_lines_that_are_nearly_all_alike_is_compared_at_its_ends() {
        let (old, mut new) = (vec![b'\n'; 1 << 20], vec![b'\n'; 1 << 20]);
        new.iter_mut().skip(7).step_by(3).for_each(|byte| *byte = b'x');
        let mut log = Vec::new();
        let rope = patched(&Rope::of_blob(BLOB, old.len() as u64), &old, &new, &mut log);
        assert_eq!(bytes(&rope, &log, &old), new);
        assert!(log.len() > new.len() - 64, "{}", log.len());
    }

    #[test]
    fn a_file_of_many_blocks_that_changed_too_much_to_be_held_keeps_its_ends() {
        let old = lines(200_000);
        let mut new = old.clone();
        let (first, last) = (BLOCK as usize * 2 + 7, old.len() - BLOCK as usize - 11);
        assert!((last - first) as u64 > COMPARED_MAX);
        (new[first], new[last]) = (b'#', b'#');
        new.splice(500_000..500_000, *b"and some more");
        let mut log = Vec::new();
        let rope = patched(&Rope::of_blob(BLOB, old.len() as u64), &old, &new, &mut log);
        assert_eq!(bytes(&rope, &log, &old), new);
        assert_eq!((rope.parts.len(), log.len()), (3, last - first + 1 + 13));
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
            let first = patched(&Rope::of_blob(BLOB, old.len() as u64), &old, &new, &mut log);
            prop_assert_eq!(&bytes(&first, &log, &old), &new);
            let second = patched(&first, &new, &newest, &mut log);
            prop_assert_eq!(&bytes(&second, &log, &old), &newest);
            prop_assert_eq!(second.length(), Some(newest.len() as u64));
        }
    }
}
