//! Where the code stood while a session was written, in a save's record.
//!
//! It stands in a field of its own, which readers that know nothing of it pass over. One that tells nothing new
//! is empty.

use crate::context::{BRANCH_MAX, Course, Passage, Stand};
use crate::id::{Generation, Oid};
use crate::wire::{Fields, WireError, Writer};

mod tag {
    pub(super) const GENERATION: u8 = 1;
    pub(super) const ANEW: u8 = 2;
    pub(super) const PASSAGE: u8 = 3;

    pub(super) mod passage {
        pub(in super::super) const FROM: u8 = 1;
        pub(in super::super) const MESSAGES: u8 = 2;
        pub(in super::super) const BRANCH: u8 = 3;
        pub(in super::super) const COMMIT: u8 = 4;
    }
}

pub(super) fn write(course: &Course) -> Vec<u8> {
    let mut record = Writer::new();
    if course.anew || !course.passages.is_empty() {
        record.bytes(tag::GENERATION, &course.generation.0).flag(tag::ANEW, course.anew);
    }
    for passage in &course.passages {
        record.bytes(tag::PASSAGE, &write_passage(passage));
    }
    record.finish()
}

pub(super) fn read(bytes: &[u8]) -> Result<Course, WireError> {
    let fields = Fields::parse(bytes)?;
    let passages: Vec<_> = fields.all(tag::PASSAGE).map(read_passage).collect::<Result<_, _>>()?;
    let Some(generation) = fields.array(tag::GENERATION)? else {
        let is_empty = passages.is_empty() && !fields.flag(tag::ANEW)?;
        return if is_empty {
            Ok(Course::default())
        } else {
            Err(WireError::Missing(tag::GENERATION))
        };
    };
    if !passages.is_sorted_by_key(|passage| passage.from) {
        return Err(WireError::Meaningless(tag::PASSAGE));
    }
    Ok(Course { generation: Generation(generation), anew: fields.flag(tag::ANEW)?, passages })
}

fn write_passage(passage: &Passage) -> Vec<u8> {
    let Stand { branch, commit } = &passage.stand;
    let mut record = Writer::new();
    record
        .number(tag::passage::FROM, passage.from)
        .number(tag::passage::MESSAGES, u64::from(passage.messages))
        .text(tag::passage::BRANCH, branch.as_deref().unwrap_or_default())
        .optional(tag::passage::COMMIT, commit.as_ref().map(|commit| &commit.0[..]));
    record.finish()
}

fn read_passage(bytes: &[u8]) -> Result<Passage, WireError> {
    let fields = Fields::parse(bytes)?;
    let branch = fields.text(tag::passage::BRANCH, BRANCH_MAX)?;
    let commit = fields.array(tag::passage::COMMIT)?.map(Oid);
    Ok(Passage {
        from: fields.number(tag::passage::FROM)?,
        messages: fields.number(tag::passage::MESSAGES)?,
        stand: Stand::new(branch.as_deref(), commit),
    })
}
