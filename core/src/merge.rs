//! Which of several devices' states of one session is the newest. Pure.
//!
//! A session's save numbers grow along its history, over all devices that took part: a device that goes
//! on with another's session counts on from there. So the highest number is the newest state, unless two
//! devices went on from the same save; then none is, and the caller has to look at the bytes.

use crate::id::DeviceId;

/// One device's state of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Whose.
    pub device: DeviceId,
    /// The number of its newest save.
    pub save: u32,
    /// When that was, in Unix milliseconds; only breaks ties.
    pub at_ms: i64,
}

/// Returns the side to show and to offer: the most saves, then the latest, then the device id, so that
/// every device answers alike.
pub fn newest(sides: impl IntoIterator<Item = Side>) -> Option<Side> {
    sides.into_iter().max_by_key(|side| (side.save, side.at_ms, side.device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(device: u8, save: u32, at_ms: i64) -> Side {
        Side { device: DeviceId([device; 8]), save, at_ms }
    }

    #[test]
    fn the_longer_history_is_newer_whatever_the_clocks_say() {
        assert_eq!(newest([side(1, 7, 5), side(2, 6, 900)]), Some(side(1, 7, 5)));
    }

    #[test]
    fn every_device_gives_the_same_answer_to_a_tie() {
        let sides = [side(1, 7, 5), side(2, 7, 5), side(3, 7, 4)];
        let mut reversed = sides;
        reversed.reverse();
        assert_eq!(newest(sides), newest(reversed));
        assert_eq!(newest([]), None);
    }
}
