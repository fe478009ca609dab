//! Every state: captured on one clone, restored on another, taken back there.

use super::look::{Look, Thing, look};
use super::states::{Build, PARTLY, Place, RESTORABLE};
use super::trip::Device;

/// Captures `a`, restores on `b`, undoes, and redoes; `b` was brought into a state of its own before.
fn check(name: &str, build: Build, prepare: Build) {
    let place = Place::new();
    build(&place);
    share_settings(&place, name);
    prepare(&place);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let (wanted, before) = (look(&place, "a"), look(&place, "b"));
    let travels = without_ignored(&place, wanted.clone());
    let opened = a.save(&place.path("log"));

    let report = b.restore(&opened, true).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(report.differences, Vec::<String>::new(), "{name}");
    let restored = look(&place, "b");
    if name == "submodule moved" {
        let [module] = report.outlook.submodules.as_slice() else { panic!("one: {report:?}") };
        let there = place.run("a/lib/module", &["rev-parse", "HEAD"]);
        assert_eq!((module.path.as_str(), module.commit.as_ref()), ("lib/module", Some(&there)));
        assert_eq!((&restored.head, &restored.index), (&wanted.head, &wanted.index), "{name}");
    } else {
        let [found, wanted] =
            [&restored, &travels].map(|look| with_own_line_ends(name, look.clone()));
        compare(&format!("{name}, restored"), &found, &wanted);
    }
    if report.outlook.is_here {
        // Nothing was done, so there is nothing to be taken back.
        compare(&format!("{name}, left"), &restored, &before);
    } else {
        take_back(name, &b, &before, &restored, || look(&place, "b"));
    }
    compare(&format!("{name}, the first clone"), &look(&place, "a"), &wanted);
    place.run("b", &["fsck", "--strict"]);
}

/// Undoes a restore, and undoes that.
fn take_back(name: &str, b: &Device, before: &Look, restored: &Look, look: impl Fn() -> Look) {
    let report = b.undo().unwrap_or_else(|error| panic!("{name}, undo: {error:?}"));
    assert_eq!(report.differences, Vec::<String>::new(), "{name}, undo");
    compare(&format!("{name}, undone"), &look(), before);
    b.undo().unwrap_or_else(|error| panic!("{name}, second undo: {error:?}"));
    compare(&format!("{name}, undone twice"), &look(), restored);
}

/// Settings are each clone's own: two that are to look alike need the same.
fn share_settings(place: &Place, name: &str) {
    match name {
        "autocrlf" => drop(place.git("b", &["config", "core.autocrlf", "true"])),
        "sparse checkout" => drop(place.git("b", &["sparse-checkout", "set", "src"])),
        _ => {}
    }
}

/// Line ends of files that did not change are each clone's own.
fn with_own_line_ends(name: &str, mut look: Look) -> Look {
    let files = look.tree.values_mut().filter(|_| name == "autocrlf");
    for thing in files {
        if let Thing::File(_, bytes) = thing {
            bytes.retain(|byte| *byte != b'\r');
        }
    }
    look
}

/// What git ignores does not travel.
fn without_ignored(place: &Place, mut look: Look) -> Look {
    let args = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"];
    let ignored = String::from_utf8(place.git("a", &args)).unwrap();
    let is_ignored = |path: &str| {
        let mut ignored = ignored.split('\0').filter(|ignored| !ignored.is_empty());
        ignored.any(|ignored| format!("{path}/").starts_with(ignored) || path == ignored)
    };
    look.tree.retain(|path, _| !is_ignored(path));
    look
}

/// Checks every state, and says of all of them that fail that they do.
fn check_all(prepare: Build) {
    let check = |(name, build): &&(&str, Build)| {
        let checked = std::panic::catch_unwind(|| check(name, *build, prepare));
        checked.is_err().then(|| (*name).to_owned())
    };
    let failed: Vec<String> = RESTORABLE.iter().filter_map(|state| check(&state)).collect();
    assert_eq!(failed, Vec::<String>::new());
}

#[track_caller]
fn compare(what: &str, found: &Look, wanted: &Look) {
    assert_eq!(found.head, wanted.head, "{what}");
    assert_eq!(found.tree, wanted.tree, "{what}");
    assert_eq!(found.index, wanted.index, "{what}");
    assert_eq!(found.status, wanted.status, "{what}");
    assert_eq!(found.diff, wanted.diff, "{what}");
    assert_eq!(found.staged, wanted.staged, "{what}");
}

#[test]
fn every_state_arrives_on_a_clean_clone_and_is_taken_back() {
    check_all(|_| {});
}

#[test]
fn every_state_replaces_other_changes_and_is_taken_back() {
    check_all(|place| {
        place.write("b/src/main.txt", "changed here\n");
        place.write("b/staged.txt", "staged here\n");
        place.git("b", &["add", "staged.txt"]);
        place.write("b/staged.txt", "staged and changed here\n");
        place.write("b/notes.txt", "other notes\n");
        place.write("b/only/here.txt", "here\n");
        place.remove("b/src/lib.txt");
        place.mode("b/notes.txt", 0o600);
    });
}

#[test]
fn every_state_moves_a_clone_forward_that_is_behind() {
    check_all(|place| drop(place.git("b", &["reset", "-q", "--hard", "HEAD~1"])));
}

#[test]
fn a_clone_keeps_its_own_choice_of_what_is_checked_out() {
    let place = Place::new();
    place.git("a", &["sparse-checkout", "set", "src"]);
    place.write("a/src/lib.txt", "changed\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let before = look(&place, "b");
    let opened = a.save(&place.path("log"));
    let report = b.restore(&opened, false).unwrap();
    assert_eq!((report.differences.len(), report.outlook.written), (0, 1));
    assert_eq!(place.read("b/old/gone.txt"), b"to be deleted\n");
    assert_eq!(place.run("b", &["status", "--porcelain"]), " M src/lib.txt");
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

#[test]
fn what_does_not_travel_is_named_and_the_rest_arrives_and_is_taken_back() {
    for (name, build) in PARTLY {
        let place = Place::new();
        build(&place);
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let before = look(&place, "b");
        let opened = a.save(&place.path("log"));
        let report = b.restore(&opened, false).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(report.differences, Vec::<String>::new(), "{name}");
        let outlook = report.outlook;
        assert!(!outlook.left.is_empty() || !outlook.notes.is_empty(), "{name}: {outlook:?}");
        if !outlook.is_here {
            b.undo().unwrap_or_else(|error| panic!("{name}, undo: {error:?}"));
        }
        assert_eq!(look(&place, "b"), before, "{name}, undone");
    }
}
