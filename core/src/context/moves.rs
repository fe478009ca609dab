//! When a HEAD moved where, as its reflog tells.

use super::Stand;
use crate::id::Oid;

/// So many moves are looked at, the newest ones: a reflog is kept for 90 days and has a line for each.
pub const MOVES_MAX: usize = 4096;

/// From some time on, HEAD stood there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// When, in Unix milliseconds; a reflog knows the second only, of which this is the beginning.
    pub at_ms: i64,
    /// Where to.
    pub stand: Stand,
}

/// When HEAD moved where: the times never fall, and no two moves in a row lead to the same place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves(Vec<Move>);

/// One line of a reflog.
struct Entry<'a> {
    new: Option<Oid>,
    at_ms: i64,
    said: &'a str,
}

impl Moves {
    /// Reads a reflog, of which the beginning may be missing. `head` is the branch that is checked out now.
    ///
    /// Which branch a move led to does not stand in its own line for certain (`HEAD~1` and `origin/main` may
    /// stand there too), but the next line that leaves it names it. Times that break the order of the lines
    /// are not believed: they are set by whoever commits.
    pub fn of_reflog(bytes: &[u8], head: Option<&str>) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut entries: Vec<Entry<'_>> = text.lines().filter_map(entry).collect();
        entries.drain(..entries.len().saturating_sub(MOVES_MAX));
        let times = believed(&entries.iter().map(|entry| entry.at_ms).collect::<Vec<_>>());
        let branches = branches(&entries, head);
        let mut moves = Self::default();
        for ((entry, branch), at_ms) in entries.iter().zip(branches).zip(times) {
            moves.push(at_ms, Stand::new(branch.as_deref(), entry.new));
        }
        moves
    }

    /// Adds what was seen later than everything else; where HEAD stood there already, nothing.
    pub fn push(&mut self, at_ms: i64, stand: Stand) {
        let last = self.0.last();
        if last.is_none_or(|last| last.stand != stand) {
            let at_ms = last.map_or(at_ms, |last| last.at_ms.max(at_ms));
            self.0.push(Move { at_ms, stand });
        }
    }

    /// The moves, the oldest first.
    pub fn all(&self) -> &[Move] {
        &self.0
    }

    /// How many moves had been made at a time. Within the second of a move, what Claude Code was told by tools
    /// or people comes after it, and what Claude said (`is_answer`) before: it asked for the tool that moved HEAD.
    pub(super) fn made_by(&self, at_ms: i64, is_answer: bool) -> usize {
        const WITHIN_SECOND_MS: i64 = 999;
        let at_ms = if is_answer { at_ms.saturating_sub(WITHIN_SECOND_MS) } else { at_ms };
        self.0.partition_point(|one| one.at_ms <= at_ms)
    }
}

/// Reads `<old> <new> <who> <seconds> <zone>\t<what>`; anything else, such as the rest of a line that was cut, is
/// none, and so are names of commits in SHA-256.
fn entry(line: &str) -> Option<Entry<'_>> {
    let (facts, said) = line.split_once('\t').unwrap_or((line, ""));
    let mut ids = facts.splitn(3, ' ');
    let (old, new, who) = (ids.next()?, ids.next()?, ids.next()?);
    old.parse::<Oid>().ok()?;
    let new = new.parse::<Oid>().ok()?;
    let seconds: i64 = who.rsplit(' ').nth(1)?.parse().ok()?;
    let new = (new != Oid([0; 20])).then_some(new);
    Some(Entry { new, at_ms: seconds.checked_mul(1000)?, said })
}

/// The branch after each entry, told from the newest one backwards.
fn branches(entries: &[Entry<'_>], head: Option<&str>) -> Vec<Option<String>> {
    let mut branch = head.map(str::to_owned);
    // The branch that a rebase came back to: what was checked out before it began.
    let mut rebased = None;
    let mut told: Vec<Option<String>> = Vec::with_capacity(entries.len());
    for entry in entries.iter().rev() {
        told.push(branch.clone());
        let said = entry.said;
        if let Some((from, _)) =
            said.strip_prefix("checkout: moving from ").and_then(|rest| rest.rsplit_once(" to "))
        {
            branch = (from.parse::<Oid>().is_err()).then(|| from.to_owned());
        } else if let Some((_, name)) = said.rsplit_once("returning to refs/heads/") {
            (rebased, branch) = (Some(name.to_owned()), None);
        } else if said.starts_with("rebase") && said.contains("(start)") {
            branch = rebased.take();
        } else if let Some((from, _)) = said
            .strip_prefix("Branch: renamed refs/heads/")
            .and_then(|rest| rest.split_once(" to refs/heads/"))
        {
            branch = Some(from.to_owned());
        }
    }
    told.reverse();
    told
}

/// Keeps the most times that are in order, and gives every other one that of the next which is kept.
fn believed(times: &[i64]) -> Vec<i64> {
    // The longest rising part: for each length the index it ends with at the smallest time.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(times.len());
    for (index, time) in times.iter().enumerate() {
        let length = ends.partition_point(|end| times[*end] <= *time);
        before.push(length.checked_sub(1).map(|last| ends[last]));
        if length == ends.len() { ends.push(index) } else { ends[length] = index }
    }
    let mut kept = vec![false; times.len()];
    let mut at = ends.last().copied();
    while let Some(index) = at {
        kept[index] = true;
        at = before[index];
    }
    let last = ends.last().map_or(0, |end| times[*end]);
    let mut next = last;
    let mut told: Vec<i64> = Vec::with_capacity(times.len());
    for (time, kept) in times.iter().zip(kept).rev() {
        next = if kept { *time } else { next };
        told.push(next);
    }
    told.reverse();
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(commit: u8, seconds: i64, said: &str) -> String {
        let id = |byte: u8| Oid([byte; 20]).to_string();
        format!("{} {} Ada L. <ada@x> {seconds} +0100\t{said}\n", id(0), id(commit))
    }

    fn told(reflog: &str, head: Option<&str>) -> Vec<(i64, String, u8)> {
        let moves = Moves::of_reflog(reflog.as_bytes(), head);
        let one = |one: &Move| {
            let commit = one.stand.commit.map_or(0, |commit| commit.0[0]);
            (one.at_ms / 1000, one.stand.branch.clone().unwrap_or_default(), commit)
        };
        moves.all().iter().map(one).collect()
    }

    fn expected(moves: &[(i64, &str, u8)]) -> Vec<(i64, String, u8)> {
        moves.iter().map(|(at, branch, commit)| (*at, (*branch).to_owned(), *commit)).collect()
    }

    #[test]
    fn commits_and_branches_are_told_with_their_times() {
        let reflog = line(1, 10, "commit (initial): begin")
            + &line(2, 20, "commit: more")
            + &line(2, 30, "checkout: moving from main to feature/oauth")
            + &line(3, 40, "commit: oauth")
            + &line(2, 50, "checkout: moving from feature/oauth to main")
            + &line(4, 60, "merge feature/oauth: Fast-forward");
        let moves = [
            (10, "main", 1),
            (20, "main", 2),
            (30, "feature/oauth", 2),
            (40, "feature/oauth", 3),
            (50, "main", 2),
            (60, "main", 4),
        ];
        assert_eq!(told(&reflog, Some("main")), expected(&moves));
    }

    #[test]
    fn a_detached_head_has_no_branch_whatever_was_typed_to_get_there() {
        let id = Oid([2; 20]).to_string();
        let reflog = line(1, 10, "commit: a")
            + &line(2, 20, "checkout: moving from main to origin/main")
            + &line(3, 30, &format!("checkout: moving from {id} to HEAD~1"));
        assert_eq!(told(&reflog, None), expected(&[(10, "main", 1), (20, "", 2), (30, "", 3)]));
    }

    #[test]
    fn a_rebase_is_off_the_branch_until_it_returns_and_a_renamed_branch_had_its_old_name() {
        let reflog = line(1, 10, "commit: a")
            + &line(2, 20, "rebase (start): checkout main")
            + &line(3, 21, "rebase (pick): a")
            + &line(3, 22, "rebase (finish): returning to refs/heads/topic")
            + &line(3, 30, "Branch: renamed refs/heads/topic to refs/heads/done")
            + &line(4, 40, "commit: b");
        let moves = [
            (10, "topic", 1),
            (20, "", 2),
            (21, "", 3),
            (22, "topic", 3),
            (30, "done", 3),
            (40, "done", 4),
        ];
        assert_eq!(told(&reflog, Some("done")), expected(&moves));
    }

    #[test]
    fn lines_that_are_cut_or_odd_are_passed_over() {
        let reflog = "e 1 +0000\tcommit: x\n".to_owned()
            + &line(1, 10, "commit: a")
            + "nonsense\n\n"
            + &line(2, i64::MAX, "commit: too late")
            + &line(3, 30, "");
        assert_eq!(told(&reflog, Some("main")), expected(&[(10, "main", 1), (30, "main", 3)]));
        assert_eq!(told("", Some("main")), []);
    }

    #[test]
    fn a_time_out_of_order_is_not_believed_and_harms_no_other() {
        let reflog = line(1, 10, "commit: a")
            + &line(2, 99_999, "commit: from the future")
            + &line(3, 30, "commit: b")
            + &line(4, 1, "commit: from the past")
            + &line(5, 50, "commit: c");
        let moves = [(10, "m", 1), (30, "m", 2), (30, "m", 3), (50, "m", 4), (50, "m", 5)];
        assert_eq!(told(&reflog, Some("m")), expected(&moves));
    }

    #[test]
    fn only_the_newest_moves_are_kept() {
        let reflog: String =
            (0..MOVES_MAX + 9).map(|n| line((n % 200) as u8 + 1, n as i64, "commit: x")).collect();
        let moves = Moves::of_reflog(reflog.as_bytes(), None);
        assert_eq!((moves.all().len(), moves.all()[0].at_ms), (MOVES_MAX, 9_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn whatever_a_reflog_holds_its_times_rise(bytes: Vec<u8>, rows in rows()) {
            let mut reflog: Vec<u8> = rows.iter().flat_map(|(commit, at, said)| {
                line(*commit, *at, said).into_bytes()
            }).collect();
            let at = reflog.len() / 2;
            reflog.splice(at..at, bytes);
            let moves = Moves::of_reflog(&reflog, Some("main"));
            prop_assert!(moves.all().is_sorted_by_key(|one| one.at_ms));
            prop_assert!(moves.all().windows(2).all(|pair| pair[0].stand != pair[1].stand));
        }

        #[test]
        fn times_in_order_are_all_believed(mut times in proptest::collection::vec(-9i64..9, 0..40)) {
            times.sort_unstable();
            prop_assert_eq!(believed(&times), times);
        }

        #[test]
        fn one_time_out_of_order_changes_no_other(
            mut times in proptest::collection::vec(0i64..1000, 3..40), wrong: i64, place: prop::sample::Index,
        ) {
            times.sort_unstable();
            let place = place.index(times.len());
            let mut odd = times.clone();
            odd[place] = wrong;
            let (told, in_order) = (believed(&odd), odd.is_sorted());
            for (index, (time, told)) in times.iter().zip(&told).enumerate() {
                // Where two tell different tales about one of them, either may be believed.
                let is_near = in_order || index.abs_diff(place) <= 1 || told == time;
                prop_assert!(is_near, "{odd:?} became {told:?}");
            }
        }
    }

    fn rows() -> impl Strategy<Value = Vec<(u8, i64, String)>> {
        let said = prop_oneof![
            Just("commit: x".to_owned()),
            Just("checkout: moving from main to a".to_owned()),
            Just("checkout: moving from a to main".to_owned()),
            Just("rebase (start): checkout a".to_owned()),
            Just("rebase (finish): returning to refs/heads/a".to_owned()),
            ".{0,20}",
        ];
        proptest::collection::vec((0u8..5, any::<i64>(), said), 0..30)
    }
}
