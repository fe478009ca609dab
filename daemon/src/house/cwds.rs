//! The first working directory that each transcript names, so that each is read once. There may be ten
//! thousand of them: of a transcript's path only a digest is kept, and each directory once.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use convosync_core::id::Digest;

/// As much of a path's digest as tells paths apart.
type Key = [u8; 16];

/// What transcripts said.
#[derive(Debug, Default)]
pub struct Cwds {
    said: HashMap<Key, Said>,
    names: Vec<Arc<OsStr>>,
    numbers: BTreeMap<Arc<OsStr>, u32>,
}

#[derive(Debug, Clone, Copy)]
enum Said {
    /// The directory of this number. It never changes.
    Names(u32),
    /// Nothing, in so many bytes.
    NothingIn(u64),
}

impl Cwds {
    /// Returns what a transcript of this length is known to name; `None` when it has to be read. One that names
    /// none yet is read again when it has grown.
    pub fn of(&self, transcript: &Path, length: u64) -> Option<Option<&Path>> {
        match self.said.get(&key(transcript))? {
            Said::Names(number) => {
                Some(self.names.get(usize::try_from(*number).ok()?).map(|name| Path::new(&**name)))
            }
            Said::NothingIn(before) => (*before == length).then_some(None),
        }
    }

    /// Notes what a transcript of this length names.
    pub fn note(&mut self, transcript: &Path, length: u64, cwd: Option<&Path>) {
        let said = match cwd {
            Some(cwd) => Said::Names(self.number(cwd.as_os_str())),
            None => Said::NothingIn(length),
        };
        self.said.insert(key(transcript), said);
    }

    fn number(&mut self, name: &OsStr) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<OsStr> = name.into();
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }
}

fn key(transcript: &Path) -> Key {
    let digest = Digest::of(transcript.as_os_str().as_bytes());
    std::array::from_fn(|at| digest.0[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_that_named_a_directory_is_never_asked_again_and_any_other_when_it_has_grown() {
        let (one, two) = (Path::new("/p/one.jsonl"), Path::new("/p/two.jsonl"));
        let mut cwds = Cwds::default();
        assert_eq!(cwds.of(one, 10), None);
        cwds.note(one, 10, Some(Path::new("/code/a")));
        cwds.note(two, 10, None);
        assert_eq!(cwds.of(one, 99), Some(Some(Path::new("/code/a"))));
        assert_eq!(cwds.of(two, 10), Some(None));
        assert_eq!(cwds.of(two, 11), None);
        cwds.note(two, 11, Some(Path::new("/code/a")));
        assert_eq!(cwds.of(two, 12), Some(Some(Path::new("/code/a"))));
        assert_eq!(cwds.names.len(), 1, "a directory is kept once");
    }
}
