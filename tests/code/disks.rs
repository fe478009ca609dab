//! Disks that are full, or take two names for one.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use convosync_core::cause::with_causes;
use convosync_core::checkout::{self, CheckoutError, Refusal, Step};
use convosync_tests::program::{self, Server};
use convosync_tests::{eventually, files, skip};

use super::alone::{has_own_disks, mount};
use super::look::look;
use super::states::{Place, lines};
use super::trip::Device;

/// How large a disk of a test is while it has room.
const ROOMY: &str = "size=64m,mode=0700";

/// Mounts a disk in memory.
pub(crate) fn memory_disk(place: &Path, options: &str) {
    mount(
        &["-t", "tmpfs", "-o", options, "none"]
            .map(OsStr::new)
            .into_iter()
            .chain([place.as_os_str()])
            .collect::<Vec<_>>(),
    );
}

/// Leaves so many bytes on a disk.
fn leave_room(place: &Path, bytes: u64) {
    let found = rustix::fs::statvfs(place).unwrap();
    let used = (found.f_blocks - found.f_bfree) * found.f_frsize;
    resize(place, &format!("remount,size={}", used + bytes));
}

fn resize(place: &Path, options: &str) {
    mount(&[OsStr::new("-o"), OsStr::new(options), place.as_os_str()]);
}

/// A state of some megabytes with something of everything, and a second clone with changes of its own on a
/// disk of its own.
fn busy() -> Place {
    let place = Place::new();
    place.write("a/committed.txt", lines(6000));
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "unpushed"]);
    place.write("a/src/main.txt", lines(4000));
    place.write("a/staged.txt", lines(2000));
    place.git("a", &["add", "staged.txt"]);
    for number in 0..30 {
        place.write(&format!("a/new/{number}.txt"), lines(1500));
    }
    place.remove("a/run.sh");
    place.folder("small");
    memory_disk(&place.path("small"), ROOMY);
    place.run("", &["clone", "-q", "remote.git", "small/b"]);
    place.write("small/b/src/main.txt", "mine\n");
    place.write("small/b/mine.txt", lines(1000));
    place.write("small/b/staged.txt", "my staged\n");
    place.git("small/b", &["add", "staged.txt"]);
    place
}

#[test]
fn a_disk_that_becomes_full_in_the_middle_of_a_restore_loses_nothing() {
    if !has_own_disks("disks::a_disk_that_becomes_full_in_the_middle_of_a_restore_loses_nothing") {
        return;
    }
    let place = busy();
    let disk = place.path("small");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "small/b"));
    let opened = a.save(&place.path("log"));
    let (wanted, before) = (look(&place, "a"), look(&place, "small/b"));
    let mut halfway = 0;
    for room in [0, 16 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20, 1500 << 10, 2 << 20] {
        leave_room(&disk, room);
        let error = b.restore(&opened, true).expect_err("the disk is too small");
        let text = with_causes(&error);
        assert!(text.contains("No space left on device"), "{room}: {text}");
        if let CheckoutError::Halfway { .. } = error {
            halfway += 1;
            assert!(error.hint().unwrap().contains("convosyncctl undo"), "{room}: {text}");
            resize(&disk, &format!("remount,{ROOMY}"));
            let report = b.undo().unwrap_or_else(|error| panic!("{room}: {}", with_causes(&error)));
            assert_eq!(report.differences, Vec::<String>::new(), "{room}");
        }
        resize(&disk, &format!("remount,{ROOMY}"));
        assert_eq!(look(&place, "small/b"), before, "{room}");
        assert!(!place.path("small/b/.git/index.lock").exists(), "{room}");
        assert!(matches!(b.undo(), Err(CheckoutError::Refused(Refusal::NothingToUndo))), "{room}");
    }
    assert!(halfway >= 5, "{halfway}");

    b.restore(&opened, true).unwrap();
    assert_eq!(look(&place, "small/b"), wanted);
    b.undo().unwrap();
    assert_eq!(look(&place, "small/b"), before);
    place.run("small/b", &["fsck", "--strict"]);
}

#[test]
fn an_undo_on_a_full_disk_is_ended_when_there_is_room() {
    if !has_own_disks("disks::an_undo_on_a_full_disk_is_ended_when_there_is_room") {
        return;
    }
    let place = busy();
    let disk = place.path("small");
    for number in 0..30 {
        place.write(&format!("small/b/own/{number}.txt"), lines(3000));
    }
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "small/b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "small/b");
    b.restore(&opened, true).unwrap();
    leave_room(&disk, 256 << 10);

    let error = b.undo().expect_err("the disk is too small");
    assert!(with_causes(&error).contains("No space left on device"), "{}", with_causes(&error));
    resize(&disk, &format!("remount,{ROOMY}"));
    b.undo().unwrap();
    let once = look(&place, "small/b");
    b.undo().unwrap();

    let found = [once, look(&place, "small/b")];
    assert!(found.contains(&before), "one undo ends the other, the next one takes it back");
    assert!(found.contains(&look(&place, "a")));
}

#[test]
fn a_record_for_which_there_is_no_room_stops_a_restore_before_it_begins() {
    if !has_own_disks("disks::a_record_for_which_there_is_no_room_stops_a_restore_before_it_begins")
    {
        return;
    }
    let place = Place::new();
    place.write("a/src/main.txt", "theirs\n");
    place.write("b/mine.txt", lines(40_000));
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    memory_disk(&place.path("state"), "size=512k,mode=0700");
    let opened = a.save(&place.path("log"));
    let before = look(&place, "b");

    let error = b.restore(&opened, true).expect_err("there is no room for the record");

    let text = with_causes(&error);
    assert!(text.contains("No space left on device"), "{text}");
    assert!(!matches!(error, CheckoutError::Halfway { .. }), "{text}");
    assert_eq!(look(&place, "b"), before);
    assert!(matches!(b.undo(), Err(CheckoutError::Refused(Refusal::NothingToUndo))));
    resize(&place.path("state"), &format!("remount,{ROOMY}"));
    b.restore(&opened, true).unwrap();
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

/// A disk that takes `README` and `readme` for one name, as those of macOS, Windows and memory sticks do.
struct FoldingDisk {
    _serving: Server,
    loop_device: String,
}

impl FoldingDisk {
    /// Mounts one; `None` where that cannot be.
    fn mount(place: &Place, at: &str) -> Option<Self> {
        let tools = ["mkfs.exfat", "mount.exfat-fuse", "losetup"].map(|name| {
            let found = program::server(name);
            if found.is_none() {
                skip::report(&format!("`{name}` is not installed"));
            }
            found
        });
        let [Some(format), Some(serve), Some(losetup)] = tools else { return None };
        let (image, at) = (place.path("image"), place.path(at));
        files::write(&image, "");
        files::truncate(&image, 64 << 20);
        files::make_dir(&at);
        let run = |program: &Path, args: &[&OsStr]| {
            let mut command = program::command(program);
            program::run(command.args(args), b"", program::DEADLINE)
        };
        run(&format, &[image.as_os_str()]).ok();
        let made = run(&losetup, &[OsStr::new("--find"), OsStr::new("--show"), image.as_os_str()]);
        if !made.status.success() || !Path::new("/dev/fuse").exists() {
            skip::report(&format!("no image of a disk can be mounted here: {}", made.errors()));
            return None;
        }
        let loop_device = made.text();
        let args = [OsStr::new("-d"), OsStr::new(&loop_device), at.as_os_str()];
        let serving = Server::start(&serve, &args, &place.path("served"));
        let disk = Self { _serving: serving, loop_device };
        eventually("the disk is mounted", Duration::from_secs(20), || {
            let mounts = files::read(Path::new("/proc/self/mounts"));
            String::from_utf8_lossy(&mounts).contains(at.to_str().unwrap()).then_some(())
        });
        Some(disk)
    }
}

impl Drop for FoldingDisk {
    fn drop(&mut self) {
        if let Some(losetup) = program::server("losetup") {
            // Detached as soon as nobody uses it.
            let mut command = program::command(losetup);
            program::run(command.args(["--detach", &self.loop_device]), b"", program::DEADLINE);
        }
    }
}

#[test]
fn on_a_disk_that_ignores_case_a_rename_arrives_and_two_names_for_one_are_refused() {
    if !has_own_disks(
        "disks::on_a_disk_that_ignores_case_a_rename_arrives_and_two_names_for_one_are_refused",
    ) {
        return;
    }
    let place = Place::new();
    let Some(_disk) = FoldingDisk::mount(&place, "folding") else { return };
    place.run("", &["clone", "-q", "remote.git", "folding/b"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "folding/b"));
    let before = look(&place, "folding/b");
    // This disk's driver goes on finding a removed file under its other name, for a second.
    let forgotten = |step| {
        let is_there = |name| place.path("folding/b").join(name).exists();
        if matches!(step, Step::CheckOut { .. }) {
            eventually("the removed name is forgotten", Duration::from_secs(20), || {
                (!is_there("README") && !is_there("readme")).then_some(())
            });
        }
        Ok(())
    };

    place.git("a", &["mv", "README", "readme"]);
    place.write("a/src/lib.txt", "changed\n");
    let renamed = a.save(&place.path("log"));
    let report = b.restoring(&renamed, false).plan().unwrap().apply(&forgotten).unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
    let (found, wanted) = (look(&place, "folding/b"), look(&place, "a"));
    assert!(found.tree.contains_key("readme") && !found.tree.contains_key("README"), "{found:?}");
    assert_eq!((&found.index, &found.diff), (&wanted.index, &wanted.diff));
    checkout::undo(b.place(), &forgotten).unwrap();
    assert_eq!(look(&place, "folding/b"), before);

    place.write("folding/b/.git/info/exclude", "out.txt\n");
    place.write("folding/b/out.txt", "ignored here\n");
    place.write("a/Out.txt", "saved there\n");
    let before = look(&place, "folding/b");
    let blocked = b.restore(&a.save(&place.path("log")), true);
    let Err(CheckoutError::Refused(Refusal::InTheWay { paths })) = &blocked else {
        panic!("{blocked:?}")
    };
    assert_eq!(*paths, ["out.txt"]);
    assert_eq!(look(&place, "folding/b"), before);
    place.remove("a/Out.txt");

    let refused = |names: [&str; 2]| {
        let refused = b.restore(&a.save(&place.path("log")), true);
        let Err(CheckoutError::Refused(Refusal::SameName(one, other))) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!([one.as_str(), other.as_str()], names);
        assert_eq!(look(&place, "folding/b"), before);
    };
    place.write("a/README", "beside the renamed one\n");
    refused(["readme", "README"]);
    place.remove("a/README");
    place.write("a/Notes/one.txt", "one\n");
    place.write("a/notes/One.txt", "another\n");
    refused(["Notes/one.txt", "notes/One.txt"]);
}

#[test]
fn links_are_refused_on_a_disk_that_has_none_unless_git_stores_them_as_files_there() {
    if !has_own_disks(
        "disks::links_are_refused_on_a_disk_that_has_none_unless_git_stores_them_as_files_there",
    ) {
        return;
    }
    let place = Place::new();
    let Some(_disk) = FoldingDisk::mount(&place, "folding") else { return };
    place.run("", &["clone", "-q", "remote.git", "folding/b"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "folding/b"));
    assert_eq!(place.read("folding/b/link"), b"README");
    let before = look(&place, "folding/b");
    let refused = |first: &str| {
        let before = look(&place, "folding/b");
        let refused = b.restore(&a.save(&place.path("log")), true).unwrap_err();
        let CheckoutError::Refused(refusal) = &refused else { panic!("{refused:?}") };
        let expected = Refusal::NoLinks { count: 1, first: first.to_owned() };
        assert_eq!(*refusal, expected);
        assert!(refusal.hint().unwrap().contains("--worktree"));
        assert_eq!(look(&place, "folding/b"), before, "nothing was changed");
        assert!(!place.path("folding/b/.git/index.lock").exists());
    };

    place.write("a/other.txt", "beside it\n");
    place.link("a/untracked", "README");
    refused("untracked");
    place.remove("a/untracked");
    place.remove("a/link");
    place.link("a/link", "src/lib.txt");
    refused("link");
    place.git("a", &["add", "link"]);
    place.git("folding/b", &["config", "core.symlinks", "true"]);
    refused("link");

    place.git("folding/b", &["config", "core.symlinks", "false"]);
    let report = b.restore(&a.save(&place.path("log")), true).unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!(place.read("folding/b/link"), b"src/lib.txt");
    assert_eq!(look(&place, "folding/b").index, look(&place, "a").index);
    b.undo().unwrap();
    assert_eq!(look(&place, "folding/b"), before);
}

/// Such a disk has no permissions, and git has no entry that could say it instead.
#[test]
fn an_untracked_executable_is_named_on_a_disk_without_permissions() {
    if !has_own_disks("disks::an_untracked_executable_is_named_on_a_disk_without_permissions") {
        return;
    }
    let place = Place::new();
    let Some(_disk) = FoldingDisk::mount(&place, "folding") else { return };
    place.run("", &["clone", "-q", "remote.git", "folding/b"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "folding/b"));
    let before = look(&place, "folding/b");
    for name in ["a/tool.sh", "a/tracked.sh"] {
        files::write_program(&place.path(name), "#!/bin/sh\n");
    }
    place.git("a", &["add", "tracked.sh"]);

    let report = b.restore(&a.save(&place.path("log")), true).unwrap();

    assert_eq!(report.differences, ["tool.sh"]);
    assert_eq!(place.read("folding/b/tool.sh"), b"#!/bin/sh\n");
    assert_eq!(b.undo().unwrap().differences, Vec::<String>::new());
    assert_eq!(look(&place, "folding/b"), before);
}

#[test]
fn a_state_for_which_the_disk_has_no_room_is_refused_before_anything_is_changed() {
    if !has_own_disks(
        "disks::a_state_for_which_the_disk_has_no_room_is_refused_before_anything_is_changed",
    ) {
        return;
    }
    let place = busy();
    for number in 0..60 {
        place.write(&format!("a/large/{number}"), vec![0; 1 << 20]);
    }
    place.git("a", &["add", "large"]);
    place.git("a", &["commit", "-q", "-m", "large"]);
    place.git("a", &["push", "-q"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "small/b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "small/b");

    let error = b.restore(&opened, true).expect_err("the disk is too small");

    assert!(matches!(error, CheckoutError::Refused(Refusal::NoRoom { .. })), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--worktree")));
    assert_eq!(look(&place, "small/b"), before);
    resize(&place.path("small"), "remount,size=256m,mode=0700");
    b.restore(&opened, true).unwrap();
    assert_eq!(look(&place, "small/b"), look(&place, "a"));
}
