//! What a person typed into the shell while a session was written, where they want it to travel: which lines are
//! taken, and which never.
//!
//! Pure: reading the file is the client's. A line without a time cannot be told to belong to a session, and one that
//! may hold a secret stays; lines are shown, and nobody ever runs one.

mod file;
mod secret;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::id::DeviceId;

pub use file::{Found, Shell};

/// So many lines of a session are kept, the newest ones: some evenings' worth.
pub const LINES_MAX: usize = 200;

/// The longest line, in bytes; what is longer is cut.
pub const LINE_MAX: usize = 1 << 10;

/// As many bytes all lines of a session have, and one line more: they stand in a save's record, beside everything
/// else.
pub const LINES_BYTES_MAX: usize = 16 << 10;

/// So much of the end of a history file is read: some thousand lines with their times.
pub const FILE_BYTES_MAX: u64 = 256 << 10;

/// What is typed so long after a session's last message still belongs to it: time to read an answer and to try it out.
/// Ours; whoever goes on for longer has the session's next message in between.
pub const AFTER_MS: i64 = 10 * 60 * 1_000;

/// A line as it was typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Typed {
    /// When, in Unix milliseconds; shells know the second only.
    pub at_ms: i64,
    /// The line.
    pub text: String,
}

/// A line of a session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShellLine {
    /// When it was typed, in Unix milliseconds.
    pub at_ms: i64,
    /// On which device.
    pub device: DeviceId,
    /// The line, on one line.
    pub text: String,
}

/// The lines of a session, in the order of their times.
pub type ShellLines = BTreeSet<ShellLine>;

/// What of a history belongs to a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The lines, each once, in the order of their times.
    pub lines: BTreeSet<Typed>,
    /// How many stay because they may hold a secret.
    pub withheld: u32,
}

/// The times at which a line was typed that belongs to a session, by those of its first and its last message.
pub fn span(first_ms: i64, last_ms: i64, now_ms: i64) -> RangeInclusive<i64> {
    // A second that began before the session may have gone on in it.
    let from_ms = first_ms.saturating_sub(SECOND_MS - 1);
    from_ms..=last_ms.saturating_add(AFTER_MS).min(now_ms)
}

/// Chooses the lines that were typed within a span. Of those that stay, only what was typed since `told_ms` is counted:
/// the others were counted before. What begins with a space is not to be remembered: so its user told
/// the shell. Lines that run our own program are left out: each `save` would be one, and there would never be an end
/// to what is new.
pub fn choose(typed: Vec<Typed>, span: &RangeInclusive<i64>, told_ms: Option<i64>) -> Chosen {
    let mut chosen = Chosen::default();
    for Typed { at_ms, text } in typed {
        let is_any = !text.starts_with([' ', '\t']) && !text.trim().is_empty();
        if !span.contains(&at_ms) || !is_any || is_ours(&text) {
            continue;
        }
        if secret::may_hold_one(&text) {
            let is_new = told_ms.is_none_or(|told_ms| at_ms > told_ms);
            chosen.withheld = chosen.withheld.saturating_add(u32::from(is_new));
        } else {
            chosen.lines.insert(Typed { at_ms, text: one_line(&text) });
        }
    }
    chosen
}

/// Whether a line runs our own program, and nothing else.
fn is_ours(text: &str) -> bool {
    let program = text.split_whitespace().next().and_then(|word| word.rsplit('/').next());
    let is_one = !text.contains(['|', ';', '&', '\n']);
    is_one && program.is_some_and(|name| ["convosync", "convosyncctl"].contains(&name))
}

/// Shells know the second only.
const SECOND_MS: i64 = 1_000;

/// Takes what a client sent of the shell on a device as lines of a session. Its rules may be others than ours.
pub fn taken(typed: &[Typed], device: DeviceId) -> ShellLines {
    let line = |one: &Typed| ShellLine { at_ms: one.at_ms, device, text: one.text.clone() };
    bounded(typed.iter().map(line))
}

/// Of the lines that were chosen, those that a session does not have yet and would have room for, beside the lines that
/// it has of this device and of others.
pub fn fitting(chosen: BTreeSet<Typed>, own: &[Typed], others: &[Typed]) -> Vec<Typed> {
    let (here, elsewhere) = (DeviceId([0; 8]), DeviceId([1; 8]));
    let of = |device, one: &Typed| ShellLine { at_ms: one.at_ms, device, text: one.text.clone() };
    let all = own.iter().chain(&chosen).map(|one| of(here, one));
    let kept = bounded(all.chain(others.iter().map(|one| of(elsewhere, one))));
    let is_new = |one: &Typed| !own.contains(one) && kept.contains(&of(here, one));
    chosen.into_iter().filter(is_new).collect()
}

/// Keeps what may travel, and of that the newest lines, as many as there is room for. Lines that are put together in
/// several steps are the same as all of them at once: so a line stays if those that are newer leave any room at all.
pub fn bounded(lines: impl IntoIterator<Item = ShellLine>) -> ShellLines {
    let fit = lines.into_iter().filter(|line| !secret::may_hold_one(&line.text));
    let fit = fit.map(|line| ShellLine { text: one_line(&line.text), ..line });
    let all: ShellLines = fit.filter(|line| !line.text.is_empty()).collect();
    let mut bytes = 0;
    let has_room = |line: &ShellLine| {
        let newer = bytes;
        bytes += LINE_BYTES + line.text.len();
        newer < LINES_BYTES_MAX
    };
    all.into_iter().rev().take(LINES_MAX).take_while(has_room).collect()
}

/// What a line takes beside its text.
const LINE_BYTES: usize = 16;

/// Puts a line on one line, without control characters, and cuts it where it is too long.
fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut text = spaced.trim().to_owned();
    let end = (0..=LINE_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEVICE: DeviceId = DeviceId([1; 8]);

    fn typed(at_ms: i64, text: &str) -> Typed {
        Typed { at_ms, text: text.to_owned() }
    }

    fn texts(chosen: &Chosen) -> Vec<&str> {
        chosen.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn only_lines_of_the_sessions_time_are_chosen() {
        let lines = [1_000, 2_000, 3_000, 4_000].map(|at_ms| typed(at_ms, &format!("at {at_ms}")));
        let within =
            |first_ms, now_ms| choose(lines.to_vec(), &span(first_ms, first_ms, now_ms), None);
        assert_eq!(texts(&within(2_000, 3_000)), ["at 2000", "at 3000"]);
        // The shell knows the second only, the transcript more.
        assert_eq!(texts(&within(2_999, 3_999)), ["at 2000", "at 3000"]);
        assert_eq!(texts(&within(3_000, 2_999)), [] as [&str; 0]);
    }

    #[test]
    fn what_was_typed_long_after_the_last_message_belongs_to_something_else() {
        let (first_ms, last_ms) = (5_000, 60_000);
        assert_eq!(span(first_ms, last_ms, i64::MAX), 4_001..=last_ms + AFTER_MS);
        assert_eq!(span(first_ms, last_ms, 70_000), 4_001..=70_000);
        assert_eq!(span(i64::MIN, i64::MAX, i64::MAX), i64::MIN..=i64::MAX);
    }

    #[test]
    fn what_begins_with_a_space_or_may_hold_a_secret_stays_and_secrets_are_counted() {
        let lines =
            ["make", " make private", "\tx", "", "  ", "export API_KEY=k", "make\n  all\u{1b}"];
        let lines = lines.iter().map(|text| typed(5, text)).collect();
        let chosen = choose(lines, &(0..=10), None);
        assert_eq!((texts(&chosen), chosen.withheld), (vec!["make", "make   all"], 1));
    }

    #[test]
    fn secrets_are_counted_once() {
        let lines = [10, 20, 30].map(|at_ms| typed(at_ms, "export API_KEY=k")).to_vec();
        let withheld = |told_ms| choose(lines.clone(), &(0..=99), told_ms).withheld;
        assert_eq!([None, Some(5), Some(20), Some(30)].map(withheld), [3, 3, 1, 0]);
    }

    #[test]
    fn only_what_a_session_has_room_for_is_offered() {
        let numbered = |from: i64| -> Vec<Typed> {
            (from..from + 300).map(|at_ms| typed(at_ms, &format!("at {at_ms}"))).collect()
        };
        let offered = |own: &[Typed], others: &[Typed]| {
            let lines = fitting(numbered(0).into_iter().collect(), own, others);
            (lines.len(), lines.first().map(|line| line.at_ms))
        };
        assert_eq!(offered(&[], &[]), (LINES_MAX, Some(100)));
        assert_eq!(offered(&numbered(0)[100..], &[]), (0, None), "it has the newest ones");
        assert_eq!(offered(&numbered(0)[200..], &[]), (100, Some(100)));
        assert_eq!(offered(&[], &numbered(1_000)), (0, None), "another device typed newer ones");
        assert_eq!(offered(&[], &numbered(1_000)[200..]), (100, Some(200)));
        let has = offered(&[], &numbered(1_000)[250..]);
        let kept = taken(&fitting(numbered(0).into_iter().collect(), &[], &[]), DEVICE);
        assert_eq!((has, kept.len()), ((150, Some(150)), LINES_MAX));
    }

    #[test]
    fn a_line_that_comes_twice_within_a_second_is_one() {
        let lines = vec![typed(2_000, "ls"), typed(1_000, "ls"), typed(2_000, "ls")];
        assert_eq!(texts(&choose(lines, &(0..=9_999), None)), ["ls", "ls"]);
    }

    #[test]
    fn lines_that_run_our_own_program_alone_are_left_out() {
        let lines = ["convosyncctl save", "/opt/bin/convosync status", "convosyncctl save && make"];
        let lines = lines.iter().map(|text| typed(5, text)).collect();
        assert_eq!(texts(&choose(lines, &(0..=10), None)), ["convosyncctl save && make"]);
    }

    #[test]
    fn what_somebody_else_sends_is_held_against_the_same_rules() {
        let sent = [typed(1, "curl -u me:pass x"), typed(2, ""), typed(3, &"日".repeat(LINE_MAX))];
        let kept = taken(&sent, DEVICE);
        let text = "日".repeat(LINE_MAX / 3);
        assert_eq!(kept, ShellLines::from([ShellLine { at_ms: 3, device: DEVICE, text }]));
    }

    fn line(at_ms: i64, length: usize) -> ShellLine {
        let text = format!("{at_ms}{}", " x".repeat(length / 2));
        ShellLine { at_ms, device: DEVICE, text }
    }

    #[test]
    fn the_newest_lines_are_kept() {
        let many: Vec<_> = (0..300).map(|at_ms| line(at_ms, 2)).collect();
        let kept = bounded(many);
        assert_eq!((kept.len(), kept.first().map(|line| line.at_ms)), (LINES_MAX, Some(100)));
        assert!(bounded([]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn lines_are_bounded_and_it_does_not_matter_when_which_of_them_came(
            lines in proptest::collection::vec((0i64..400, 0usize..LINE_MAX), 0..99), cut in 0usize..99,
        ) {
            let all: Vec<_> = lines.iter().map(|(at_ms, length)| line(*at_ms, *length)).collect();
            let kept = bounded(all.clone());
            let bytes: usize = kept.iter().map(|line| LINE_BYTES + line.text.len()).sum();
            prop_assert!(bytes < LINES_BYTES_MAX + LINE_BYTES + LINE_MAX);
            let (some, others) = all.split_at(cut.min(all.len()));
            prop_assert_eq!(&bounded(bounded(some.to_vec()).into_iter().chain(others.to_vec())), &kept);
            prop_assert_eq!(&bounded(kept.clone()), &kept);
        }
    }
}
