//! Where the code stood while the lines were written that a save takes in.

use super::growth::Work;
use super::{Ledger, Pen, Request};
use crate::context::{Course, Stand, Trace, Tree};
use crate::history::History;
use crate::id::LogId;
use crate::seal::SaveRecord;

/// Begins to follow the lines of a session; `None` where there is no repository.
///
/// The lines of another device's save are never held against the reflog here: HEAD moved otherwise there.
pub(super) fn begin(
    pen: Pen<'_>,
    ledger: &Ledger,
    request: &Request<'_>,
    now_ms: i64,
) -> Option<Trace> {
    if request.trees.is_empty() && request.code.is_none() {
        return None;
    }
    let base = ledger.base.as_ref();
    let is_own = base.is_none_or(|base| base.record.device == pen.vault.device());
    let is_told = |base: &&History| !is_own || !base.course.passages.is_empty();
    let told = base.filter(is_told).map_or(0, History::length);
    let trees = seen(base.filter(|_| is_own), request, now_ms);
    let last = base.and_then(|base| {
        base.course.passages.last().map(|passage| (&passage.stand, base.record.at_ms))
    });
    Some(Trace::new(trees, now_ms, ledger.scanned, told, last))
}

/// The work trees, and where the session's own HEAD was seen to stand now: a reflog may be switched off, unless it
/// has just moved. Where it stood there at the save before, it is taken to have stood there since.
fn seen(base: Option<&History>, request: &Request<'_>, now_ms: i64) -> Vec<Tree> {
    let mut trees = request.trees.to_vec();
    let code = request.code.as_ref().filter(|_| !request.moved);
    if let Some((tree, code)) = trees.first_mut().zip(code) {
        let stand = Stand::new(code.branch.as_deref(), code.commit);
        let before = base.filter(|base| {
            let code = base.record.code.as_ref();
            code.is_some_and(|code| Stand::new(code.branch.as_deref(), code.commit) == stand)
        });
        tree.moves.push(before.map_or(now_ms, |base| base.record.at_ms), stand);
    }
    trees
}

/// What the next record tells.
pub(super) fn told(
    work: &mut Work<'_>,
    base: Option<&History>,
    is_full: bool,
    messages: u32,
) -> Option<Course> {
    let passages = work.trace.take()?.finish(messages);
    let main = work.logs.values().find(|state| state.log == LogId::main())?;
    let generation = main.generation;
    let before = base.map(|base| &base.course).filter(|course| course.generation == generation);
    let before = before.filter(|course| !course.passages.is_empty());
    let anew = is_full || (before.is_none() && !passages.is_empty());
    let mut course = Course { generation, anew, passages: Vec::new() };
    if is_full {
        course.passages.extend(before.into_iter().flat_map(|course| course.passages.clone()));
    }
    passages.into_iter().for_each(|passage| course.push(passage));
    Some(course.bounded())
}

/// What is told in all after that record.
pub(super) fn after(base: Option<&History>, record: &SaveRecord) -> Course {
    let mut course = base.map(|base| base.course.clone()).unwrap_or_default();
    if let Some(told) = &record.course {
        course.take(told);
    }
    course
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Moves;
    use crate::id::{Digest, Oid};
    use crate::outbound::ProjectFacts;
    use crate::seal::{CodePoint, CodeSaved, Surroundings};
    use crate::transcript::SessionFiles;

    /// Where the first work tree's HEAD stood in the end, where its reflog says commit 2 and the code commit 1.
    fn stands(moved: bool) -> Option<Oid> {
        let id = "4d5611e5-241a-462a-8d15-5122611a9569".parse().unwrap();
        let files = SessionFiles { id, slug_dir: "/x".into(), files: Vec::new() };
        let mut moves = Moves::default();
        moves.push(1_000, Stand::new(Some("main"), Some(Oid([1; 20]))));
        moves.push(2_000, Stand::new(Some("main"), Some(Oid([2; 20]))));
        let code = CodePoint {
            branch: Some("main".to_owned()),
            commit: Some(Oid([1; 20])),
            upstream: None,
            dirty: false,
            fingerprint: Digest::NONE,
            saved: CodeSaved::Nothing,
        };
        let request = Request {
            files: &files,
            project: &ProjectFacts::default(),
            code: Some(code),
            code_log: None,
            further: Vec::new(),
            trees: &[Tree { root: "/x".into(), moves }],
            moved,
            message: None,
            surroundings: Surroundings::default(),
            insist: false,
            quiet: false,
        };
        seen(None, &request, 3_000)[0].moves.all().last()?.stand.commit
    }

    #[test]
    fn a_reflog_that_moved_while_the_code_was_looked_at_is_newer_than_that() {
        assert_eq!(stands(true), Some(Oid([2; 20])));
        assert_eq!(stands(false), Some(Oid([1; 20])), "it may be switched off");
    }
}
