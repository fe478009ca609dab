//! Times, sizes and counts as people say them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Ages above this are told as a date, in days.
const DAYS_MAX: i64 = 30;

/// Says how long ago `at_ms` was, seen from `now_ms`.
pub(crate) fn ago(at_ms: i64, now_ms: i64) -> String {
    let seconds = now_ms.saturating_sub(at_ms).div_euclid(1000);
    match seconds {
        // Clocks of two devices are never quite the same.
        -120..MINUTE => "just now".to_owned(),
        MINUTE..HOUR => said(seconds / MINUTE, "minute"),
        HOUR..DAY => said(seconds / HOUR, "hour"),
        _ if (DAY..2 * DAY).contains(&seconds) => "yesterday".to_owned(),
        _ if (DAY..DAYS_MAX * DAY).contains(&seconds) => said(seconds / DAY, "day"),
        _ => date(at_ms),
    }
}

/// Says how long it is until `at_ms`, seen from `now_ms`.
pub(crate) fn until(at_ms: i64, now_ms: i64) -> String {
    let seconds = at_ms.saturating_sub(now_ms).saturating_add(999).div_euclid(1000);
    match seconds {
        ..=0 => "now".to_owned(),
        1..MINUTE => format!("in {}", number(seconds, "second")),
        MINUTE..HOUR => format!("in {}", number(seconds / MINUTE, "minute")),
        _ => format!("in {}", number(seconds / HOUR, "hour")),
    }
}

fn said(amount: i64, unit: &str) -> String {
    format!("{} ago", number(amount, unit))
}

fn number(amount: i64, unit: &str) -> String {
    format!("{amount} {unit}{}", if amount == 1 { "" } else { "s" })
}

/// Says the local date of a time.
fn date(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(
        |_| "at an impossible time".to_owned(),
        |at| format!("on {}", at.to_zoned(TimeZone::system()).date()),
    )
}

/// Says a number of bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    const STEP: u64 = 1024;
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < STEP {
        return format!("{bytes} B");
    }
    let (mut whole, mut tenths, mut unit) = (bytes, 0, "B");
    for next in units {
        if whole < STEP {
            break;
        }
        tenths = whole % STEP * 10 / STEP;
        whole /= STEP;
        unit = next;
    }
    format!("{whole}.{tenths} {unit}")
}

/// Says how many there are of something.
pub(crate) fn count(number: impl TryInto<u64>, unit: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_come_is_said_in_the_largest_whole_unit() {
        for (ms, expected) in [
            (-5_000, "now"),
            (0, "now"),
            (1, "in 1 second"),
            (35_500, "in 36 seconds"),
            (60_000, "in 1 minute"),
            (3_600_000, "in 1 hour"),
            (10 * HOUR * 1000, "in 10 hours"),
        ] {
            assert_eq!(until(ms, 0), expected);
        }
    }

    #[test]
    fn ages_are_said_in_the_largest_whole_unit() {
        for (seconds, expected) in [
            (-100, "just now"),
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (7200, "2 hours ago"),
            (DAY, "yesterday"),
            (2 * DAY, "2 days ago"),
            (29 * DAY, "29 days ago"),
        ] {
            assert_eq!(ago(1_000_000_000_000 - seconds * 1000, 1_000_000_000_000), expected);
        }
    }

    #[test]
    fn old_and_future_times_are_dates() {
        assert!(ago(1_700_000_000_000, 1_800_000_000_000).starts_with("on 2023-11-1"));
        assert!(ago(1_900_000_000_000, 1_800_000_000_000).starts_with("on 2030-03-1"));
        assert_eq!(ago(i64::MAX, 0), "at an impossible time");
        assert_eq!(ago(i64::MIN, i64::MAX), "at an impossible time");
    }

    #[test]
    fn sizes_have_one_decimal() {
        for (size, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 << 20, "10.0 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
    }
}
