//! Which repositories a session worked in, from what its transcripts grew by.
//!
//! Only what was written on this device counts: what another device wrote and a resume brought here does not.
//! After a start the session's last save tells what was known of all before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use convosync_core::disk;
use convosync_core::id::LogId;
use convosync_core::transcript::{LogFile, Touched};

/// How far back a file is read at most that was not looked at before: some days of work.
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

/// What the session's last save tells of its files.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// How many bytes of a file it holds.
    pub length_of: &'a dyn Fn(&LogId) -> u64,
    /// Whether another device made it.
    pub is_theirs: bool,
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
        base: Base<'_>,
        root_of: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> &BTreeSet<PathBuf> {
        let mut room = LOOK_MAX;
        for file in files.iter().filter(|file| is_lines(&file.path)) {
            let saved = (base.length_of)(&file.log);
            let known = self.files.get(&file.path).filter(|_| !base.is_theirs);
            if known.is_some_and(|at| (at.inode, at.offset) == (file.inode, file.length)) {
                continue;
            }
            if let Some(read) = self.read(&file.path, (saved, base.is_theirs), room, root_of) {
                room = room.saturating_sub(read);
            }
        }
        self.files.retain(|path, _| files.iter().any(|file| file.path == *path));
        &self.roots
    }

    /// Reads on in one file and says how much. So many bytes of it are `saved`, by another device's word.
    fn read(
        &mut self,
        path: &Path,
        (saved, is_theirs): (u64, bool),
        room: u64,
        root_of: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> Option<u64> {
        let mut file = disk::open_regular(path).ok()?;
        let found = file.metadata().ok()?;
        let length = found.len();
        let mut place = self.files.remove(path).unwrap_or_default();
        let is_same = place.inode == found.ino() && place.offset <= length;
        if !is_same || is_theirs && place.offset < saved {
            // A save ends with a line.
            let (inode, offset) = (found.ino(), saved.min(length));
            place = Place { inode, offset, touched: Touched::default() };
        }
        if length - place.offset > room.min(LOOK_BACK) {
            place.offset = length - room.min(LOOK_BACK);
            place.touched = Touched::within();
        }
        let from = place.offset;
        let read = self.read_from(&mut file, &mut place, root_of);
        let count = place.offset - from;
        self.files.insert(path.to_owned(), place);
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

fn is_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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
        let none = Base { length_of: &|_| 0, is_theirs: false };
        let mut look = Look::default();

        write("{\"cwd\":\"/a\"}\n{\"cwd\":\"/none\"}\n{\"cwd\":\"/b");
        let first = BTreeSet::from(["/a/root".into()]);
        assert_eq!(*look.take(&[file()], none, &root_of), first);
        write("\"}\n{\"cwd\":\"/a\"}\n");
        let both = BTreeSet::from(["/a/root".into(), "/b/root".into()]);
        assert_eq!(*look.take(&[file()], none, &root_of), both);
        assert_eq!(*asked.borrow(), [Path::new("/a"), Path::new("/none"), Path::new("/b")]);

        disk::remove_file(&path).unwrap();
        write("{\"cwd\":\"/c\"}\n");
        assert_eq!(look.take(&[file()], none, &root_of).len(), 3);
    }

    #[test]
    fn what_another_device_wrote_does_not_count_and_what_was_saved_is_not_read_again() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a.jsonl");
        let theirs = "{\"cwd\":\"/theirs\"}\n";
        let ours = "{\"cwd\":\"/ours\"}\n";
        let file = |text: &str| {
            std::fs::remove_file(&path).ok();
            disk::create_new(&path, text.as_bytes()).unwrap();
            let found = path.metadata().unwrap();
            let (length, inode) = (found.len(), found.ino());
            LogFile { log: LogId::main(), path: path.clone(), length, modified_ms: 0, inode }
        };
        let saved = theirs.len() as u64;
        let root_of = |directory: &Path| Some(directory.to_owned());
        let check = |text: &str, is_theirs: bool, expected: &[&str]| {
            let base = Base { length_of: &|_| saved, is_theirs };
            let mut look = Look::default();
            let found = look.take(&[file(text)], base, &root_of);
            assert_eq!(*found, expected.iter().map(PathBuf::from).collect(), "{text}");
        };
        check(theirs, true, &[]);
        check(&format!("{theirs}{ours}"), true, &["/ours"]);
        check(&format!("{theirs}{ours}"), false, &["/ours"]);
        check("", true, &[]);

        // A resume appends to a file that was looked at before.
        let mut look = Look::default();
        let none = Base { length_of: &|_| 0, is_theirs: false };
        assert!(look.take(&[file("")], none, &root_of).is_empty());
        let mut grows = File::options().append(true).open(&path).unwrap();
        grows.write_all(format!("{theirs}{ours}").as_bytes()).unwrap();
        let found = path.metadata().unwrap();
        let (length, inode) = (found.len(), found.ino());
        let log = LogId::main();
        let grown = LogFile { log, path: path.clone(), length, modified_ms: 0, inode };
        let base = Base { length_of: &|_| saved, is_theirs: true };
        assert_eq!(*look.take(&[grown], base, &root_of), BTreeSet::from(["/ours".into()]));
    }
}
