//! What somebody writes while a restore works, where git checks files out and elsewhere.

use convosync_core::checkout::{CheckoutError, Step};
use convosync_tests::files;

use super::alone::has_own_disks;
use super::disks::memory_disk;
use super::look::{Look, look};
use super::states::Place;
use super::trip::{Device, onward, stop_at};

/// `a` has two files with a filter that are not pushed; `b` has that filter, which runs `smudge` first.
fn with_filter(smudge: &str, clean: Option<&str>) -> Place {
    let place = Place::new();
    place.write("a/.gitattributes", "*.first filter=slow\n");
    place.write("a/a.first", "first\n");
    place.write("a/b.first", "theirs\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "two files"]);
    place.git("b", &["config", "filter.slow.smudge", smudge]);
    if let Some(clean) = clean {
        place.git("b", &["config", "filter.slow.clean", clean]);
    }
    place.git("b", &["config", "filter.slow.required", "true"]);
    place
}

/// Panics unless one undo brings back what stood `before` in `b`, and one more the user's file.
#[track_caller]
fn assert_one_more_undo_away(place: &Place, b: &Device, file: &str, before: &Look) {
    assert!(b.undo().unwrap().again, "{file}");
    assert_eq!(look(place, "b"), *before, "{file}");
    b.undo().unwrap();
    assert_eq!(place.read(file), b"mine\n", "{file}");
}

/// It was taken for one that git had begun to check out: nobody knows what a filter makes.
#[test]
fn a_file_with_a_filter_that_somebody_writes_while_that_filter_fails_is_not_taken_away() {
    for clean in [None, Some("cat"), Some("false")] {
        let place = with_filter("echo mine > b.first; false", clean);
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        let before = look(&place, "b");

        let stopped = b.restore(&opened, false).unwrap_err();

        assert!(matches!(stopped, CheckoutError::Halfway { .. }), "{clean:?}: {stopped:?}");
        assert_eq!(place.read("b/b.first"), b"mine\n", "{clean:?}");
        assert_one_more_undo_away(&place, &b, "b/b.first", &before);
    }
}

/// What a filter takes out of a file is the user's all the same.
#[test]
fn a_file_of_which_its_filter_alone_says_that_it_is_gits_is_kept_before_it_goes() {
    let write = "test -e b.first || printf 'theirs\\nmine\\n' > b.first; false";
    let place = with_filter(write, Some("head -n 1"));
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));

    let report = b.restore(&opened, false).unwrap();

    assert_eq!(report.unfiltered, ["a.first", "b.first"]);
    assert_eq!(files::read(&report.record.join("begun/0")), b"theirs\nmine\n");
}

/// On such a disk all that stood there counted as what git had begun.
#[test]
fn a_file_that_somebody_writes_while_the_disk_becomes_full_is_not_taken_away() {
    let name =
        "meanwhile::a_file_that_somebody_writes_while_the_disk_becomes_full_is_not_taken_away";
    if !has_own_disks(name) {
        return;
    }
    let place = Place::new();
    place.write("a/.gitattributes", "*.first filter=slow\n");
    place.write("a/a.first", "first\n");
    place.write("a/z.txt", "theirs\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "two files"]);
    place.folder("small");
    memory_disk(&place.path("small"), "size=16m,mode=0700");
    place.run("", &["clone", "-q", "remote.git", "small/b"]);
    let smudge = "echo mine > z.txt; cat /dev/zero > ../full; false";
    place.git("small/b", &["config", "filter.slow.smudge", smudge]);
    place.git("small/b", &["config", "filter.slow.required", "true"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "small/b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "small/b");

    let stopped = b.restore(&opened, false).unwrap_err();

    assert!(matches!(stopped, CheckoutError::Halfway { .. }), "{stopped:?}");
    assert_eq!(place.read("small/b/z.txt"), b"mine\n");
    place.remove("small/full");
    assert!(b.undo().unwrap().again);
    assert_eq!(look(&place, "small/b"), before);
    b.undo().unwrap();
    assert_eq!(place.read("small/b/z.txt"), b"mine\n");
}

/// Nobody has recorded it: it was taken for one that git had begun to check out.
#[test]
fn a_file_that_somebody_writes_while_git_checks_files_out_is_not_taken_away() {
    for program in ["cat", "false"] {
        let place = Place::new();
        place.write("a/.gitattributes", "*.first filter=slow\n");
        place.write("a/a.first", "first\n");
        place.write("a/z.txt", "theirs\n");
        place.git("a", &["add", "."]);
        place.git("a", &["commit", "-q", "-m", "two files"]);
        let own = place.path("b/z.txt").display().to_string();
        let smudge = format!("test -e '{own}' || echo mine > '{own}'; {program}");
        place.git("b", &["config", "filter.slow.smudge", &smudge]);
        place.git("b", &["config", "filter.slow.required", "true"]);
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        let before = look(&place, "b");

        let stopped = b.restore(&opened, false).unwrap_err();

        assert!(matches!(stopped, CheckoutError::Halfway { .. }), "{stopped:?}");
        assert_eq!(place.read("b/z.txt"), b"mine\n", "{program}");
        assert_one_more_undo_away(&place, &b, "b/z.txt", &before);
    }
}

/// Restores what `a` saved into `b`, where somebody writes `path` when a step begins, which then does what
/// `and_then` says; one undo brings back what stood in `b`, and one more that file.
fn written_meanwhile(
    place: &Place,
    path: &str,
    is_then: impl Fn(Step) -> bool,
    and_then: impl Fn(Step) -> Result<(), CheckoutError>,
) {
    let (a, b) = (Device::new(place, "a"), Device::new(place, "b"));
    let opened = a.save(&place.path("log"));
    let before = look(place, "b");
    let writes = |step| {
        if !is_then(step) {
            return Ok(());
        }
        place.write(&format!("b/{path}"), "mine\n");
        and_then(step)
    };

    let stopped = b.restoring(&opened, false).plan().unwrap().apply(&writes).unwrap_err();

    assert!(matches!(stopped, CheckoutError::Halfway { .. }), "{stopped:?}");
    assert_one_more_undo_away(place, &b, &format!("b/{path}"), &before);
}

/// It was taken for what the restore had left.
#[test]
fn a_file_that_somebody_writes_in_the_middle_of_a_restore_is_one_more_undo_away() {
    for path in ["new.txt", "z/untracked.txt"] {
        let place = Place::new();
        place.write("a/new.txt", "theirs\n");
        place.git("a", &["add", "."]);
        place.write("a/z/untracked.txt", "theirs\n");
        written_meanwhile(&place, path, |step| matches!(step, Step::CheckOut { .. }), onward);
    }
}

/// It was taken for what the restore had left, where that failed for a reason of its own.
#[test]
fn what_somebody_writes_elsewhere_while_a_restore_fails_is_one_more_undo_away() {
    for path in ["elsewhere.txt", "shared.txt"] {
        let place = Place::new();
        place.write("a/shared.txt", "both have it\n");
        place.git("a", &["add", "."]);
        place.git("a", &["commit", "-q", "-m", "shared"]);
        place.git("a", &["push", "-q"]);
        place.git("b", &["pull", "-q"]);
        place.write("a/new.txt", "theirs\n");
        written_meanwhile(&place, path, |step| matches!(step, Step::Write { .. }), stop_at(0));
    }
}
