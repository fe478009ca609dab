//! Lines and moves beside each other.

use super::*;
use crate::context::{Moves, last_at};
use crate::id::Oid;
use proptest::prelude::*;

const ROOT: &str = "/code/shop";

fn stand(branch: &str, commit: u8) -> Stand {
    Stand::new(Some(branch), (commit > 0).then_some(Oid([commit; 20])))
}

fn tree(root: &str, moves: &[(i64, &str, u8)]) -> Tree {
    let mut told = Moves::default();
    moves.iter().for_each(|(at, branch, commit)| told.push(at * 1000, stand(branch, *commit)));
    Tree { root: root.into(), moves: told }
}

/// A line of one second, in which a message begins.
fn at<'a>(second: i64, branch: &'a str) -> Line<'a> {
    let branch = Some(branch).filter(|branch| !branch.is_empty());
    let cwd = Some(Path::new(ROOT));
    Line { bytes: 10, messages: 0, at_ms: Some(second * 1000 + 500), cwd, branch, is_answer: false }
}

fn traced(trees: Vec<Tree>, lines: &[Line<'_>]) -> Vec<(u64, String, u8)> {
    let mut trace = Trace::new(trees, 1_000_000, 0, 0, None);
    lines.iter().for_each(|line| trace.line(line));
    shown(&trace.finish(9))
}

fn shown(passages: &[Passage]) -> Vec<(u64, String, u8)> {
    let one = |passage: &Passage| {
        let Stand { branch, commit } = &passage.stand;
        let commit = commit.map_or(0, |commit| commit.0[0]);
        (passage.from / 10, branch.clone().unwrap_or_default(), commit)
    };
    passages.iter().map(one).collect()
}

fn expected(passages: &[(u64, &str, u8)]) -> Vec<(u64, String, u8)> {
    passages.iter().map(|(from, branch, commit)| (*from, (*branch).to_owned(), *commit)).collect()
}

#[test]
fn lines_belong_to_the_commit_that_head_stood_at() {
    let moves = [(10, "main", 1), (20, "main", 2), (30, "topic", 2), (40, "topic", 3)];
    let lines = [at(12, "main"), at(19, "main"), at(21, "main"), at(35, "topic"), at(45, "topic")];
    let passages = [(0, "main", 1), (2, "main", 2), (3, "topic", 2), (4, "topic", 3)];
    assert_eq!(traced(vec![tree(ROOT, &moves)], &lines), expected(&passages));
}

#[test]
fn commits_between_two_lines_and_after_the_last_one_hold_no_line() {
    let moves = [(10, "m", 1), (20, "m", 2), (21, "m", 3), (22, "m", 4), (50, "m", 5)];
    let lines = [at(15, "m"), at(30, "m")];
    let passages = [(0, "m", 1), (1, "m", 2), (1, "m", 3), (1, "m", 4), (2, "m", 5)];
    assert_eq!(traced(vec![tree(ROOT, &moves)], &lines), expected(&passages));
    let many: Vec<_> = (1..=200).map(|n| (100 + i64::from(n), "m", n)).collect();
    let told = traced(vec![tree(ROOT, &many)], &[at(101, "m"), at(500, "m")]);
    assert_eq!((told.len(), told[1].2, told.last().unwrap().2), (2 + PASSING_MAX, 168, 200));
}

#[test]
fn within_a_second_the_answer_that_asked_for_a_commit_stands_before_it_and_its_result_behind() {
    let moves = [(10, "m", 1), (20, "m", 2)];
    let answer = |ms| Line { at_ms: Some(ms), is_answer: true, ..at(0, "m") };
    let result = |ms| Line { at_ms: Some(ms), ..at(0, "m") };
    let lines = [answer(20_100), result(20_100), answer(20_200), answer(21_000)];
    let told = traced(vec![tree(ROOT, &moves)], &lines);
    assert_eq!(told, expected(&[(0, "m", 1), (1, "m", 2)]));
}

#[test]
fn a_line_without_a_time_or_of_a_time_to_come_goes_on_where_the_one_before_it_was() {
    let moves = [(10, "m", 1), (20, "m", 2)];
    let odd = [Line { at_ms: None, ..at(0, "m") }, at(9_999_999, "m"), at(i64::MAX / 2000, "m")];
    let lines = [odd[0], at(11, "m"), odd[0], odd[1], odd[2], at(12, "m"), at(21, "m"), at(5, "m")];
    let told = traced(vec![tree(ROOT, &moves)], &lines);
    assert_eq!(told, expected(&[(1, "m", 1), (6, "m", 2)]));
}

#[test]
fn before_the_first_move_and_without_any_only_the_branch_is_known() {
    let told = traced(vec![tree(ROOT, &[(20, "m", 2)])], &[at(5, "m"), at(6, "HEAD"), at(21, "m")]);
    assert_eq!(told, expected(&[(0, "m", 0), (1, "", 0), (2, "m", 2)]));
    assert_eq!(
        traced(Vec::new(), &[at(5, "m"), at(6, "n")]),
        expected(&[(0, "m", 0), (1, "n", 0)])
    );
    assert_eq!(traced(vec![tree(ROOT, &[])], &[at(5, "m")]), expected(&[(0, "m", 0)]));
}

#[test]
fn a_move_after_lines_of_which_nothing_was_known_is_told() {
    let told = traced(vec![tree(ROOT, &[(20, "m", 2), (21, "m", 3)])], &[at(5, "m")]);
    assert_eq!(told, expected(&[(0, "m", 0), (1, "m", 2), (1, "m", 3)]));
}

#[test]
fn each_work_tree_has_moves_of_its_own_and_what_lies_outside_has_none() {
    let own = tree(ROOT, &[(10, "main", 1), (30, "main", 4)]);
    let other = tree("/code/shop/.claude/worktrees/x", &[(10, "x", 2), (20, "x", 3)]);
    let within = Path::new("/code/shop/.claude/worktrees/x/src");
    let beside = Path::new("/code/shop-old");
    let lines = [
        at(12, "main"),
        Line { cwd: Some(within), ..at(13, "x") },
        Line { cwd: Some(within), ..at(25, "x") },
        Line { cwd: Some(beside), ..at(26, "main") },
        at(27, "main"),
        Line { cwd: None, ..at(35, "main") },
        at(35, "main"),
    ];
    let passages =
        [(0, "main", 1), (1, "x", 2), (2, "x", 3), (3, "main", 0), (4, "main", 1), (6, "main", 4)];
    assert_eq!(traced(vec![own, other], &lines), expected(&passages));
}

#[test]
fn a_branch_that_this_head_was_not_on_means_another_one_that_is_gone() {
    let moves = [(10, "main", 1), (20, "topic", 2), (30, "main", 3), (40, "late", 4)];
    let lines = [
        at(12, "main"),
        at(13, "worktree-x"),
        at(21, "main"),
        at(31, "topic"),
        at(32, "late"),
        at(33, "worktree-x"),
        at(34, "main"),
    ];
    let passages = [
        (0, "main", 1),
        (1, "worktree-x", 0),
        (2, "topic", 2),
        (3, "main", 3),
        (5, "worktree-x", 0),
        (6, "main", 3),
        (7, "late", 4),
    ];
    assert_eq!(traced(vec![tree(ROOT, &moves)], &lines), expected(&passages));
}

#[test]
fn a_later_trace_goes_on_where_the_last_one_ended() {
    let moves = [(10, "m", 1), (20, "m", 2), (30, "m", 3)];
    let lines = [at(11, "m"), at(21, "m"), at(15, "m"), at(31, "m")];
    let last = stand("m", 2);
    // The lines before are passed over, whether they are read again or not.
    for begin in [0, 2] {
        let trees = vec![tree(ROOT, &moves)];
        let mut trace = Trace::new(trees, 1_000_000, begin * 10, 20, Some((&last, 25_000)));
        lines[begin as usize..].iter().for_each(|line| trace.line(line));
        assert_eq!(shown(&trace.finish(4)), expected(&[(3, "m", 3)]));
    }
    let mut trace = Trace::new(vec![tree(ROOT, &moves)], 1_000_000, 40, 40, Some((&last, 25_000)));
    assert_eq!(shown(&trace.clone().finish(4)), expected(&[(4, "m", 3)]));
    trace.begin_anew(0);
    lines.iter().for_each(|line| trace.line(line));
    assert_eq!(shown(&trace.finish(4)), expected(&[(0, "m", 1), (1, "m", 2), (3, "m", 3)]));
}

#[test]
fn a_visit_that_came_and_went_between_two_saves_is_told() {
    let moves = [(10, "main", 1), (20, "topic", 2), (30, "main", 1)];
    let last = stand("main", 1);
    let mut trace = Trace::new(vec![tree(ROOT, &moves)], 1_000_000, 10, 10, Some((&last, 15_000)));
    [at(25, "topic"), at(35, "main")].iter().for_each(|line| trace.line(line));
    assert_eq!(shown(&trace.finish(2)), expected(&[(1, "topic", 2), (2, "main", 1)]));
}

#[test]
fn the_last_passage_of_a_commit_ends_where_the_next_one_begins() {
    let passage = |from, commit| Passage { from, messages: 0, stand: stand("m", commit) };
    let passages = [passage(0, 1), passage(10, 2), passage(20, 1), passage(30, 3)];
    let end = |commit: u8| last_at(&passages, 44, &|id| id.0[0] == commit).map(|(_, end)| end);
    assert_eq!([1, 2, 3, 4].map(end), [Some(30), Some(20), Some(44), None]);
}

type Spec = (Option<i64>, u8, u8, bool);

fn line_of(spec: &Spec) -> Line<'static> {
    const CWDS: [Option<&str>; 4] = [Some(ROOT), Some("/code/shop/sub"), Some("/else"), None];
    const BRANCHES: [Option<&str>; 5] = [Some("a"), Some("b"), Some("HEAD"), Some("odd"), None];
    let (at_ms, cwd, branch, is_answer) = *spec;
    let cwd = CWDS[usize::from(cwd) % CWDS.len()].map(Path::new);
    let branch = BRANCHES[usize::from(branch) % BRANCHES.len()];
    Line { bytes: 10, messages: 0, at_ms, cwd, branch, is_answer }
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let time = prop_oneof![
        8 => (0i64..60_000).prop_map(Some),
        1 => any::<i64>().prop_map(Some),
        1 => Just(None)
    ];
    proptest::collection::vec((time, 0u8..4, 0u8..5, any::<bool>()), 0..40)
}

fn trees() -> impl Strategy<Value = Vec<Tree>> {
    let moves =
        || proptest::collection::vec((0i64..60, prop_oneof![Just("a"), Just("b")], 0u8..9), 0..12);
    (moves(), moves()).prop_map(|(mut own, mut sub)| {
        own.sort_by_key(|one| one.0);
        sub.sort_by_key(|one| one.0);
        vec![tree(ROOT, &own), tree("/code/shop/sub", &sub)]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    /// Whatever lines and reflogs hold: passages ascend, lie within the file, differ from the one before, and
    /// name only commits that a HEAD stood at.
    #[test]
    fn passages_are_in_order_and_invent_nothing(specs in specs(), trees in trees()) {
        let mut trace = Trace::new(trees.clone(), 60_000, 0, 0, None);
        specs.iter().for_each(|spec| trace.line(&line_of(spec)));
        let passages = trace.finish(7);
        prop_assert!(passages.is_sorted_by_key(|passage| passage.from));
        prop_assert!(passages.iter().all(|passage| passage.from <= specs.len() as u64 * 10));
        prop_assert!(passages.windows(2).all(|pair| pair[0].stand != pair[1].stand));
        let known = |stand: &Stand| {
            stand.commit.is_none()
                || trees.iter().any(|tree| tree.moves.all().iter().any(|one| one.stand == *stand))
        };
        prop_assert!(passages.iter().all(|passage| known(&passage.stand)));
    }

    /// A session of one tree, with its lines and moves in order of time, is told exactly: every line stands at the
    /// newest move before it.
    #[test]
    fn in_order_every_line_is_where_head_stood(
        mut times in proptest::collection::vec(0i64..60_000, 0..40), trees in trees(),
    ) {
        times.sort_unstable();
        let own = trees[0].clone();
        let mut trace = Trace::new(vec![own.clone()], 60_000, 0, 0, None);
        times.iter().for_each(|at_ms| {
            trace.line(&Line { at_ms: Some(*at_ms), branch: None, ..at(0, "") });
        });
        let passages = trace.finish(0);
        for (index, at_ms) in times.iter().enumerate() {
            let newest = own.moves.all().iter().rfind(|one| one.at_ms <= *at_ms);
            let expected = newest.map(|one| one.stand.clone()).unwrap_or_default();
            let found = passages.iter().rfind(|passage| passage.from <= index as u64 * 10);
            prop_assert_eq!(found.map(|passage| passage.stand.clone()), Some(expected));
        }
    }

    /// Saved in several goes, a conversation is told as if it had been saved at once, as long as nothing was
    /// committed between the last line of a save and the save.
    #[test]
    fn in_pieces_the_same_is_told_as_at_once(
        mut times in proptest::collection::vec(0i64..60_000, 1..40), trees in trees(), cut: prop::sample::Index,
    ) {
        times.sort_unstable();
        let lines: Vec<Line<'_>> = times.iter().map(|at_ms| {
            Line { at_ms: Some(*at_ms), branch: None, ..at(0, "") }
        }).collect();
        let cut = cut.index(lines.len());
        let own = vec![trees[0].clone()];
        let mut whole = Trace::new(own.clone(), 60_000, 0, 0, None);
        lines.iter().for_each(|line| whole.line(line));
        let mut first = Trace::new(own.clone(), 60_000, 0, 0, None);
        lines[..cut].iter().for_each(|line| first.line(line));
        first.tree = None;
        let mut told = first.finish(0);
        let last = told.last().map(|passage| passage.stand.clone());
        let saved_ms = if cut == 0 { 0 } else { times[cut - 1] };
        let last = last.as_ref().map(|stand| (stand, saved_ms));
        let mut second = Trace::new(own, 60_000, 0, cut as u64 * 10, last);
        lines.iter().for_each(|line| second.line(line));
        told.extend(second.finish(0));
        let is_alike = |passage: &Passage| passage.stand.commit.is_some();
        let (told, whole) = (told, whole.finish(0));
        let stands = |passages: &[Passage]| {
            passages.iter().filter(|passage| is_alike(passage)).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(stands(&told), stands(&whole));
    }
}
