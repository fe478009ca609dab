//! Files that appear whole, appends that land where they should, and what is refused.

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::append::{BLOCK, take_back};
use super::*;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_we_write_is_private_and_leaves_nothing_beside_it() {
    let dir = dir();
    for (name, write) in [("a", write_atomic as fn(&Path, &[u8]) -> _), ("b", create_new)] {
        let path = dir.path().join(name);
        write(&path, b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(mode(&path), 0o600);
    }
    assert_eq!(names(dir.path()), ["a", "b"]);
}

#[test]
fn a_new_file_never_replaces_what_is_there() {
    let dir = dir();
    let path = dir.path().join("a");
    write_atomic(&path, b"old").unwrap();
    assert!(matches!(create_new(&path, b"new"), Err(DiskError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), b"old");

    let link = dir.path().join("link");
    symlink("nowhere", &link).unwrap();
    assert!(matches!(create_new(&link, b"new"), Err(DiskError::Exists(_))));
    assert_eq!(names(dir.path()), ["a", "link"]);
}

#[test]
fn replacing_a_link_does_not_touch_what_it_names() {
    let dir = dir();
    let (path, link) = (dir.path().join("a"), dir.path().join("link"));
    write_atomic(&path, b"old").unwrap();
    symlink(&path, &link).unwrap();
    write_atomic(&link, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read(&link).unwrap(), b"new");
}

#[test]
fn a_dropped_file_disappears_and_an_abandoned_one_is_removed_once_it_is_old() {
    let dir = dir();
    let target = dir.path().join("a");
    drop(NewFile::create(&target).unwrap());
    assert!(names(dir.path()).is_empty());

    let abandoned = dir.path().join(format!("{TEMP_PREFIX}abcdef"));
    write_atomic(&abandoned, b"half").unwrap();
    write_atomic(&target, b"whole").unwrap();
    let written = modified_ms(&fs::metadata(&abandoned).unwrap());
    assert_eq!(remove_leftovers(dir.path(), written).unwrap(), 0);
    assert_eq!(remove_leftovers(dir.path(), written + 1).unwrap(), 1);
    assert_eq!(names(dir.path()), ["a"]);
}

#[test]
fn an_append_lands_where_it_was_meant_or_is_not_made() {
    let dir = dir();
    let path = dir.path().join("a");
    write_atomic(&path, b"one\n").unwrap();
    append_verified(&path, 4, b"two\n").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
    for wrong in [0, 4, 9] {
        let refused = append_verified(&path, wrong, b"three\n");
        assert!(matches!(refused, Err(DiskError::OtherLength { found: 8, .. })), "{refused:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
}

#[test]
fn an_append_goes_into_files_only() {
    let dir = dir();
    let (path, link) = (dir.path().join("a"), dir.path().join("link"));
    write_atomic(&path, b"").unwrap();
    symlink(&path, &link).unwrap();
    assert!(matches!(append_verified(&link, 0, b"x"), Err(DiskError::SymbolicLink(_))));
    assert!(append_verified(&dir.path().join("none"), 0, b"x").unwrap_err().is_missing());
    assert!(append_verified(dir.path(), 0, b"x").is_err());
}

#[test]
fn what_is_appended_in_blocks_is_all_there_or_nothing_of_it() {
    /// Has some blocks, and then fails.
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            into.fill(b'x');
            Ok(into.len())
        }
    }
    let dir = dir();
    let path = dir.path().join("a");
    write_atomic(&path, b"one\n").unwrap();
    assert!(append_from(&path, 4, &mut Broken(3)).is_err());
    assert!(matches!(append_from(&path, 3, &mut &b"x"[..]), Err(DiskError::OtherLength { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"one\n");
    let long = vec![b'y'; 2 * BLOCK + 7];
    assert_eq!(append_from(&path, 4, &mut &long[..]).unwrap(), long.len() as u64);
    assert_eq!(fs::read(&path).unwrap(), [b"one\n", &long[..]].concat());
}

#[test]
fn there_is_room_somewhere() {
    assert!(free(dir().path()).unwrap() > 0);
    assert!(free(&dir().path().join("gone")).is_err());
}

#[test]
fn a_half_written_append_is_taken_back_unless_somebody_wrote_after_it() {
    let dir = dir();
    let path = dir.path().join("a");
    write_atomic(&path, b"one\ntw").unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    take_back(&file, 4, 5).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one\ntw");
    take_back(&file, 4, 6).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one\n");
}

#[test]
fn only_regular_files_are_opened() {
    let dir = dir();
    let link = dir.path().join("link");
    symlink("/dev/null", &link).unwrap();
    assert!(matches!(open_regular(Path::new("/dev/null")), Err(DiskError::NotAFile(_))));
    assert!(matches!(open_regular(dir.path()), Err(DiskError::NotAFile(_))));
    assert!(matches!(open_regular(&link), Err(DiskError::SymbolicLink(_))));
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_that_nobody_writes_to_is_not_waited_for() {
    let dir = dir();
    let pipe = dir.path().join("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    assert!(matches!(open_regular(&pipe), Err(DiskError::NotAFile(_))));
}

#[test]
fn a_private_directory_is_made_with_its_parents_or_refused_with_the_way_out() {
    let dir = dir();
    let path = dir.path().join("a/b");
    private_dir(&path).unwrap();
    private_dir(&path).unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    let refused = private_dir(&path).unwrap_err();
    assert!(matches!(refused, DiskError::OpenToOthers { mode: 0o750, .. }));
    assert!(refused.hint().unwrap().contains("chmod 700"));

    symlink(&path, dir.path().join("link")).unwrap();
    assert!(matches!(private_dir(&dir.path().join("link")), Err(DiskError::SymbolicLink(_))));
    write_atomic(&dir.path().join("file"), b"").unwrap();
    assert!(matches!(private_dir(&dir.path().join("file")), Err(DiskError::NotADirectory(_))));
}

#[test]
fn a_directory_of_others_making_is_left_as_it_is() {
    let dir = dir();
    let path = dir.path().join("a");
    make_dir(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    make_dir(&path).unwrap();
    assert_eq!(mode(&path), 0o755);
    symlink(&path, dir.path().join("link")).unwrap();
    assert!(matches!(make_dir(&dir.path().join("link")), Err(DiskError::SymbolicLink(_))));
    assert!(make_dir(&dir.path().join("x/y")).unwrap_err().is_missing());
}

#[test]
fn touching_changes_the_time_and_nothing_else() {
    let dir = dir();
    let path = dir.path().join("a");
    write_atomic(&path, b"one").unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    touch(&path).unwrap();
    assert!(modified_ms(&fs::metadata(&path).unwrap()) > 1_600_000_000_000);
    assert_eq!(fs::read(&path).unwrap(), b"one");
}

#[test]
fn a_lock_is_held_once_until_it_is_dropped() {
    let dir = dir();
    let path = dir.path().join("lock");
    let held = lock(&path).unwrap();
    assert!(held.is_some());
    assert!(lock(&path).unwrap().is_none());
    drop(held);
    assert!(lock(&path).unwrap().is_some());
}

#[test]
fn removing_what_is_not_there_is_no_error() {
    let dir = dir();
    remove_file(&dir.path().join("a")).unwrap();
    remove_tree(&dir.path().join("b")).unwrap();
    private_dir(&dir.path().join("c/d")).unwrap();
    remove_tree(&dir.path().join("c")).unwrap();
    assert!(names(dir.path()).is_empty());
}
