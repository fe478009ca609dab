//! Where the code stood while a session was written, from its records.

use crate::context::{Course, Passage, Stand};
use crate::id::LogId;
use crate::seal::SaveRecord;

/// Puts together what records tell of where the code stood, from a full one on. A writer that knows nothing of
/// courses leaves them out: of its lines is known where the code stood when they were saved.
pub(super) fn of(records: impl Iterator<Item = SaveRecord>) -> Course {
    let mut course = Course::default();
    let mut before: Option<(u64, u32)> = None;
    for record in records {
        let main = record.logs.iter().find(|state| state.log == LogId::main());
        let is_other = main.is_some_and(|main| main.generation != course.generation);
        if let Some(told) = &record.course {
            course.take(told);
        } else {
            if is_other {
                course = Course::default();
            }
            let code = record.code.as_ref().filter(|_| !is_other);
            if let Some(((from, messages), code)) = before.zip(code) {
                let stand = Stand::new(code.branch.as_deref(), code.commit);
                course.push(Passage { from, messages, stand });
            }
        }
        if let Some(main) = main {
            course.generation = main.generation;
        }
        let length = main.map(|main| main.length).or(before.map(|(length, _)| length));
        before = length.map(|length| (length, record.messages));
    }
    course
}

#[cfg(test)]
mod tests;
