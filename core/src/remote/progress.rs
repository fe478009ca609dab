//! How much a transfer cost, read from git's own progress lines.

use std::ops::AddAssign;

/// Bytes that went over the wire; the room's doc says which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// From us to the remote.
    pub sent: u64,
    /// From the remote to us.
    pub received: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.received = self.received.saturating_add(other.received);
    }
}

/// Adds up the packs a child sent and received, from what it said in the end about each. What the remote
/// says (`remote: …`) does not count.
pub(super) fn traffic(stderr: &str) -> Traffic {
    let mut traffic = Traffic::default();
    for line in stderr.split(['\r', '\n']).filter(|line| line.contains(", done.")) {
        let bytes = line.split_once("), ").and_then(|(_, rest)| size(rest)).unwrap_or(0);
        if line.starts_with("Writing objects: ") {
            traffic.sent += bytes;
        } else if line.starts_with("Receiving objects: ") || line.starts_with("Unpacking objects: ")
        {
            traffic.received += bytes;
        }
    }
    traffic
}

/// Reads `274 bytes | …` or `4.45 KiB | …`.
fn size(text: &str) -> Option<u64> {
    let (number, rest) = text.split_once(' ')?;
    let unit: u64 = match rest.split([' ', ',']).next()? {
        "bytes" | "byte" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let (whole, hundredths) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, hundredths): (u64, u64) = (whole.parse().ok()?, hundredths.parse().ok()?);
    whole.checked_mul(unit)?.checked_add(hundredths.min(99) * unit / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stderr: &str, sent: u64, received: u64) {
        assert_eq!(traffic(stderr), Traffic { sent, received }, "{stderr}");
    }

    #[test]
    fn the_last_word_about_each_pack_counts() {
        check(
            "Writing objects:  50% (1/2), 1.00 KiB | 1.00 MiB/s\rWriting objects: 100% (9/9), 4.45 KiB | 4.45 MiB/s, done.\n",
            4556,
            0,
        );
        check("Receiving objects: 100% (3/3), 274 bytes | 274.00 KiB/s, done.\n", 0, 274);
        check("Unpacking objects: 100% (3/3), 2.50 MiB | 1.00 MiB/s, done.\n", 0, 2_621_440);
        check(
            "Receiving objects: 100% (3/3), done.\nWriting objects: 100% (1/1), 1.00 GiB, done.\n",
            1 << 30,
            0,
        );
    }

    #[test]
    fn what_the_remote_says_does_not_count() {
        check("remote: Writing objects: 100% (9/9), 4.45 GiB | 4.45 MiB/s, done.\n", 0, 0);
        check("Writing objects: 100% (9/9), 99999999999999999999.45 GiB | x, done.\n", 0, 0);
        check("Everything up-to-date\n", 0, 0);
    }
}
