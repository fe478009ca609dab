//! Which records go, and how much room those take that stay.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::{Record, numbers, read_deeds};
use super::{CheckoutError, RECORDS_KEPT, RECORDS_SIZE};
use crate::disk;

/// A record is not taken away before: an ignored file that was replaced may be missed as late as that.
const YOUNG_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// An old record that was taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Where it lay.
    pub record: PathBuf,
    /// When it was made.
    pub at_ms: i64,
    /// How many bytes it took.
    pub bytes: u64,
}

/// What the records of a work tree take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The work tree, as far as a record still says.
    pub root: String,
    /// Where they lie.
    pub folder: PathBuf,
    /// How many bytes they take.
    pub bytes: u64,
    /// How many there are.
    pub records: usize,
    /// Whether one of them is needed to end what was interrupted.
    pub unfinished: bool,
}

/// The work trees whose records below `records` take at least so many bytes. What cannot be read is left out.
pub fn stored(records: &Path, least: u64) -> Vec<Stored> {
    let folders = fs::read_dir(records).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<Stored> = folders.filter_map(|folder| stored_in(folder, least)).collect();
    found.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.folder.cmp(&b.folder)));
    found
}

fn stored_in(folder: PathBuf, least: u64) -> Option<Stored> {
    // What is no folder of records has no lock: notes about several of them, what is unpacked just now.
    if !folder.join("lock").exists() {
        return None;
    }
    let numbers = numbers(&folder).ok().filter(|numbers| !numbers.is_empty())?;
    let bytes = disk::size_below(&folder).ok().filter(|bytes| *bytes >= least)?;
    let deeds = numbers.iter().rev();
    let deeds = deeds.filter_map(|number| read_deeds(&folder.join(number.to_string())).ok()?);
    let (mut root, mut unfinished) = (None, false);
    for deeds in deeds {
        unfinished |= !deeds.is_done;
        root.get_or_insert(deeds.root);
    }
    let root = root.unwrap_or_default();
    Some(Stored { root, folder, bytes, records: numbers.len(), unfinished })
}

impl Record {
    /// Takes away old records of this work tree, and says which.
    pub(super) fn thin_out(&self) -> Result<Vec<Gone>, CheckoutError> {
        let folder = self.dir().parent().unwrap_or(self.dir());
        let (mut all, mut ages) = (Vec::new(), Vec::new());
        for number in numbers(folder)?.into_iter().rev() {
            let record = folder.join(number.to_string());
            let deeds = read_deeds(&record).ok().flatten().filter(|deeds| deeds.is_done);
            let at_ms = deeds.map_or(self.deeds.at_ms, |deeds| deeds.at_ms);
            let bytes = disk::size_below(&record)?;
            ages.push(Old { size: bytes, age_ms: self.deeds.at_ms - at_ms });
            all.push(Gone { record, at_ms, bytes });
        }
        let is_kept = kept(ages.into_iter());
        let gone = all.into_iter().zip(is_kept).filter(|(_, is_kept)| !is_kept);
        let gone: Vec<Gone> = gone.map(|(gone, _)| gone).collect();
        for Gone { record, bytes, .. } in &gone {
            disk::remove_tree(record)?;
            tracing::info!(record = %record.display(), bytes, "an old record was taken away");
        }
        Ok(gone)
    }
}

/// A record as far as it matters for whether it is kept.
#[derive(Debug, Clone, Copy)]
struct Old {
    /// How many bytes it takes on the disk.
    size: u64,
    /// For how long it has been done; nothing, if it is not, or cannot be read.
    age_ms: i64,
}

/// Which of the records, the newest first, are kept: the newest in any case, those whose loss nobody may have
/// noticed yet, and of the others the last ones, as long as all together are few and small enough.
fn kept(records: impl Iterator<Item = Old>) -> Vec<bool> {
    let (mut count, mut size) = (0, 0_u64);
    let is_kept = |old: Old| {
        let fits = count < RECORDS_KEPT && size.saturating_add(old.size) <= RECORDS_SIZE;
        let is_kept = count == 0 || fits || old.age_ms < YOUNG_MS;
        if is_kept {
            (count, size) = (count + 1, size.saturating_add(old.size));
        }
        is_kept
    };
    records.map(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_of(records: &[(u64, i64)]) -> Vec<usize> {
        let old = records.iter().map(|(size, age_ms)| Old { size: *size, age_ms: *age_ms });
        let keeps = kept(old).into_iter().enumerate().filter(|(_, is_kept)| *is_kept);
        keeps.map(|(at, _)| at).collect()
    }

    #[test]
    fn old_records_go_when_they_are_many_or_large_and_young_ones_and_the_newest_never() {
        const OLD: i64 = YOUNG_MS;
        const HALF: u64 = RECORDS_SIZE / 2;
        assert_eq!(kept_of(&[(1, OLD); 12]), (0..RECORDS_KEPT).collect::<Vec<_>>());
        assert_eq!(kept_of(&[(1, OLD - 1); 12]).len(), 12);
        assert_eq!(kept_of(&[(HALF, OLD), (HALF, OLD), (1, OLD)]), [0, 1]);
        assert_eq!(kept_of(&[(3 * HALF, OLD), (1, OLD)]), [0]);
        assert_eq!(kept_of(&[(1, OLD), (3 * HALF, OLD), (1, OLD)]), [0, 2]);
        assert_eq!(kept_of(&[(3 * HALF, 0), (3 * HALF, 0), (1, OLD)]), [0, 1]);
    }
}
