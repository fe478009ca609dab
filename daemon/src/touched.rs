//! Which repositories a session worked in, from what its transcripts grew by.
//!
//! What is known here is learned anew after a start, from the end of each file; what lies further back stands
//! in the session's last save.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use convosync_core::disk;
use convosync_core::transcript::{LogFile, Touched};

/// How far back a file is read that was not looked at before: some days of work.
const LOOK_BACK: u64 = 16 << 20;
/// How much is read in one look of files that were not looked at before: a session may have thousands.
const LOOK_MAX: u64 = 64 << 20;
/// How much is read at once.
const BLOCK: usize = 256 << 10;
/// So many repositories of a session are told apart; people work in a handful.
const ROOTS_MAX: usize = 64;
/// So many directories are known not to need another look.
const SEEN_MAX: usize = 4096;

/// What was found of one session so far.
#[derive(Debug, Default)]
pub struct Look {
    files: BTreeMap<PathBuf, Place>,
    seen: BTreeSet<PathBuf>,
    roots: BTreeSet<PathBuf>,
}

#[derive(Debug, Default)]
struct Place {
    inode: u64,
    offset: u64,
    touched: Touched,
}

impl Look {
    /// Reads what is new in a session's files and returns the roots of all repositories it worked in.
    /// `root_of` finds the one of a directory. A file that cannot be read waits for the next look.
    pub fn take(
        &mut self,
        files: &[LogFile],
        root_of: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> &BTreeSet<PathBuf> {
        let mut room = LOOK_MAX;
        for file in files.iter().filter(|file| is_lines(&file.path)) {
            if let Some(read) = self.read(file, room, root_of) {
                room = room.saturating_sub(read);
            }
        }
        self.files.retain(|path, _| files.iter().any(|file| file.path == *path));
        &self.roots
    }

    /// Reads on in one file, unless it stands as it did, and says how much.
    fn read(
        &mut self,
        found: &LogFile,
        room: u64,
        root_of: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> Option<u64> {
        let known = self.files.get(&found.path);
        if known.is_some_and(|place| (place.inode, place.offset) == (found.inode, found.length)) {
            return None;
        }
        let path = &found.path;
        let mut file = disk::open_regular(path).ok()?;
        let found = file.metadata().ok()?;
        let mut place = self.files.remove(path).unwrap_or_default();
        let is_same = place.inode == found.ino() && place.offset <= found.len();
        if !is_same || found.len() - place.offset > LOOK_MAX {
            place = begin(found.ino(), found.len(), room.min(LOOK_BACK));
        }
        let from = place.offset;
        let read = self.read_from(&mut file, &mut place, root_of);
        let count = place.offset - from;
        self.files.insert(path.clone(), place);
        read.ok().map(|()| count)
    }

    fn read_from(
        &mut self,
        file: &mut File,
        place: &mut Place,
        root_of: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> std::io::Result<()> {
        file.seek(SeekFrom::Start(place.offset))?;
        let mut block = vec![0; BLOCK];
        loop {
            let count = file.read(&mut block)?;
            if count == 0 {
                return Ok(());
            }
            place.touched.push(&block[..count]);
            place.offset += count as u64;
            place.touched.take().into_iter().for_each(|directory| self.note(directory, root_of));
        }
    }

    fn note(&mut self, directory: PathBuf, root_of: &dyn Fn(&Path) -> Option<PathBuf>) {
        if self.seen.contains(&directory) {
            return;
        }
        let root = root_of(&directory);
        if self.roots.len() < ROOTS_MAX {
            self.roots.extend(root);
        }
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        self.seen.insert(directory);
    }
}

/// Where a file begins to be read of which nothing is known.
fn begin(inode: u64, length: u64, back: u64) -> Place {
    let offset = length.saturating_sub(back);
    let touched = if offset == 0 { Touched::default() } else { Touched::within() };
    Place { inode, offset, touched }
}

fn is_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use convosync_core::id::LogId;

    use super::*;

    #[test]
    fn only_what_a_file_grew_by_is_read_and_a_file_that_was_replaced_is_read_anew() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a.jsonl");
        let write = |text: &str| {
            let mut file = File::options().append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let file = || {
            let found = path.metadata().unwrap();
            let (length, inode) = (found.len(), found.ino());
            LogFile { log: LogId::main(), path: path.clone(), length, modified_ms: 0, inode }
        };
        let asked = std::cell::RefCell::new(Vec::new());
        let root_of = |directory: &Path| {
            asked.borrow_mut().push(directory.to_owned());
            (directory != Path::new("/none")).then(|| directory.join("root"))
        };
        let mut look = Look::default();

        write("{\"cwd\":\"/a\"}\n{\"cwd\":\"/none\"}\n{\"cwd\":\"/b");
        assert_eq!(*look.take(&[file()], &root_of), BTreeSet::from(["/a/root".into()]));
        write("\"}\n{\"cwd\":\"/a\"}\n");
        let both = BTreeSet::from(["/a/root".into(), "/b/root".into()]);
        assert_eq!(*look.take(&[file()], &root_of), both);
        assert_eq!(*asked.borrow(), [Path::new("/a"), Path::new("/none"), Path::new("/b")]);

        disk::remove_file(&path).unwrap();
        write("{\"cwd\":\"/c\"}\n");
        assert_eq!(look.take(&[file()], &root_of).len(), 3);
    }
}
