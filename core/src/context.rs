//! Where the code stood while a conversation was written: which branch and commit belong to which messages.
//!
//! Pure: [`Moves`] are told from the bytes of a reflog, [`Trace`] takes a transcript's lines beside them and
//! gives [`Passage`]s. Which files these bytes are, and where passages are kept, other rooms know. Whatever
//! the bytes are, there is a result: what cannot be known is absent, never guessed.

mod moves;
mod trace;

use std::path::PathBuf;

use crate::id::{Generation, Oid};

pub use moves::{MOVES_MAX, Move, Moves};
pub use trace::{Line, Trace};

/// The longest name of a branch that is kept, in bytes: what file systems take for one name of a path.
pub const BRANCH_MAX: usize = 255;

/// Where HEAD stood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Stand {
    /// The branch; absent when HEAD was detached, or it is not known.
    pub branch: Option<String>,
    /// The commit; absent when there was none yet, or it is not known.
    pub commit: Option<Oid>,
}

impl Stand {
    /// Where HEAD stood; what is too long for the name of a branch is none.
    pub fn new(branch: Option<&str>, commit: Option<Oid>) -> Self {
        let branch = branch.filter(|name| !name.is_empty() && name.len() <= BRANCH_MAX);
        Self { branch: branch.map(str::to_owned), commit }
    }
}

/// Lines of a main transcript that were written while HEAD stood at one place. It reaches to the next passage,
/// or to the end; one that holds nothing is a commit that came and went between two lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The byte it begins at.
    pub from: u64,
    /// How many messages there are before it.
    pub messages: u32,
    /// Where HEAD stood.
    pub stand: Stand,
}

/// The passages of a session, as its saves tell them: each save adds some, or begins anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Which append history of the main transcript the bytes are of.
    pub generation: Generation,
    /// Whether what was told before does not count any more.
    pub anew: bool,
    /// The passages, in order. What lies before the first one is not known.
    pub passages: Vec<Passage>,
}

impl Default for Course {
    fn default() -> Self {
        Self { generation: Generation([0; 16]), anew: false, passages: Vec::new() }
    }
}

impl Course {
    /// Takes in what a later save tells.
    pub fn take(&mut self, later: &Self) {
        if later.anew || (self.generation != later.generation && !later.passages.is_empty()) {
            self.clone_from(later);
        } else {
            later.passages.iter().for_each(|passage| self.push(passage.clone()));
        }
    }

    /// Adds a passage, unless HEAD stood there already.
    pub fn push(&mut self, passage: Passage) {
        if self.passages.last().is_none_or(|last| last.stand != passage.stand) {
            self.passages.push(passage);
        }
    }

    /// Keeps the newest passages, as many as there is room for in a save.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let mut room = COURSE_BYTES_MAX;
        let kept = self.passages.iter().rev().take_while(|passage| {
            let name = passage.stand.branch.as_ref().map_or(0, String::len);
            room = room.saturating_sub(PASSAGE_BYTES + name);
            room > 0
        });
        let dropped = self.passages.len() - kept.count();
        self.anew |= dropped > 0;
        self.passages.drain(..dropped);
        self
    }
}

/// About how many bytes of a save its course may take: some hundred passages, far below what an object may have.
const COURSE_BYTES_MAX: usize = 32 << 10;

/// What a passage takes beside the name of its branch, at most.
const PASSAGE_BYTES: usize = 48;

/// One work tree of a repository, and when its HEAD moved where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Its top; what lies below belongs to it, unless it belongs to another one further down.
    pub root: PathBuf,
    /// What its reflog says.
    pub moves: Moves,
}

/// The passage that holds the last line written while HEAD stood at the commit that `is_it`, with the byte it
/// ends at; none when the conversation was never there.
pub fn last_at<'a>(
    passages: &'a [Passage],
    length: u64,
    is_it: &dyn Fn(Oid) -> bool,
) -> Option<(&'a Passage, u64)> {
    let found = passages.iter().rposition(|passage| passage.stand.commit.is_some_and(is_it))?;
    let end = passages.get(found + 1).map_or(length, |next| next.from);
    Some((&passages[found], end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passage(from: u64, commit: u8, branch: usize) -> Passage {
        let stand = Stand::new(Some(&"b".repeat(branch)), Some(Oid([commit; 20])));
        Passage { from, messages: 0, stand }
    }

    fn course(anew: bool, generation: u8, passages: &[(u64, u8)]) -> Course {
        let passages = passages.iter().map(|(from, commit)| passage(*from, *commit, 1)).collect();
        Course { generation: Generation([generation; 16]), anew, passages }
    }

    #[test]
    fn a_later_save_adds_to_what_is_told_or_begins_anew() {
        let mut told = course(true, 1, &[(0, 1), (10, 2)]);
        told.take(&Course::default());
        told.take(&course(false, 1, &[(20, 2), (30, 3)]));
        assert_eq!(told, course(true, 1, &[(0, 1), (10, 2), (30, 3)]));
        told.take(&course(false, 2, &[(5, 4)]));
        assert_eq!(told.passages.len(), 1);
        told.take(&course(true, 2, &[]));
        assert_eq!(told.passages.len(), 0);
    }

    #[test]
    fn what_is_too_long_for_the_name_of_a_branch_is_none() {
        assert_eq!(Stand::new(Some(&"b".repeat(BRANCH_MAX + 1)), None), Stand::default());
        assert_eq!(Stand::new(Some(""), None), Stand::default());
    }

    proptest! {
        #[test]
        fn a_course_is_bounded_and_keeps_the_newest(names in proptest::collection::vec(0usize..=BRANCH_MAX, 0..900)) {
            let all: Vec<_> =
                names.iter().enumerate().map(|(at, name)| passage(at as u64, at as u8, *name)).collect();
            let whole = Course { passages: all.clone(), ..Course::default() };
            let kept = whole.bounded();
            let bytes = kept.passages.iter().map(|one| {
                PASSAGE_BYTES + one.stand.branch.as_ref().map_or(0, String::len)
            });
            prop_assert!(bytes.sum::<usize>() <= COURSE_BYTES_MAX);
            prop_assert!(all.ends_with(&kept.passages));
            prop_assert_eq!(kept.anew, kept.passages.len() < all.len());
        }
    }
}
