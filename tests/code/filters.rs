//! Filters of the second clone that fail while a state is put in place.

use std::time::Duration;

use convosync_core::checkout::CheckoutError;
use convosync_tests::eventually;

use super::look::{Thing, look};
use super::observer::Observer;
use super::states::Place;
use super::trip::Device;

/// A filter that keeps the length of what it changes, and another one; `b` has both, and `broken` decides
/// whether they work.
fn place_with_filters() -> Place {
    let place = Place::new();
    place.write("a/.gitattributes", "*.up filter=up\n*.rot filter=rot\n");
    for name in ["one.up", "two.up", "three.rot", "plain.txt", "zebra.txt"] {
        place.write(&format!("a/{name}"), format!("first version of {name}\n"));
    }
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "filtered"]);
    place.git("a", &["push", "-q"]);
    filter(&place, "up", "tr a-z A-Z", "tr A-Z a-z");
    filter(&place, "rot", "tr a-z b-za", "tr b-za a-z");
    place.git("b", &["pull", "-q"]);
    assert_eq!(place.read("b/one.up"), b"FIRST VERSION OF ONE.UP\n");
    for name in ["one.up", "two.up", "three.rot", "plain.txt"] {
        place.write(&format!("a/{name}"), format!("second version of {name}\n"));
    }
    place.git("a", &["commit", "-q", "-am", "changed"]);
    eventually("git knows its files by their stamps alone", Duration::from_secs(20), || {
        place.git("b", &["status"]);
        Observer::new(&place, "b").capture().state.tree.is_empty().then_some(())
    });
    place
}

/// Gives `b` a filter without which nothing is to be had.
fn filter(place: &Place, name: &str, smudge: &str, clean: &str) {
    place.git("b", &["config", &format!("filter.{name}.smudge"), smudge]);
    place.git("b", &["config", &format!("filter.{name}.clean"), clean]);
    place.git("b", &["config", &format!("filter.{name}.required"), "true"]);
}

#[test]
fn a_filter_that_fails_in_the_middle_of_a_restore_is_told_and_taken_back() {
    for undo_with in ["tr a-z A-Z", "false"] {
        let place = place_with_filters();
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        let before = look(&place, "b");
        filter(&place, "up", "false", "tr A-Z a-z");

        let report = b.restore(&opened, false).unwrap();

        assert_eq!(report.unfiltered, ["one.up", "two.up"]);
        assert_eq!(report.differences, Vec::<String>::new());
        assert_eq!(place.read("b/one.up"), b"second version of one.up\n", "what git stores");
        assert_eq!(place.read("b/three.rot"), b"tfdpoe wfstjpo pg uisff.spu\n", "its filter runs");
        assert_eq!(place.read("b/plain.txt"), b"second version of plain.txt\n");
        filter(&place, "up", undo_with, "tr A-Z a-z");
        let report = b.undo().unwrap();
        assert_eq!(report.unfiltered, Vec::<String>::new(), "{undo_with}");
        assert_eq!(report.differences, Vec::<String>::new(), "{undo_with}");
        assert_eq!(look(&place, "b"), before, "{undo_with}");
    }
}

#[test]
fn a_filter_that_stops_after_some_files_leaves_none_half_done() {
    let place = place_with_filters();
    // It works once, and never again.
    let once = format!("test ! -e '{0}' && touch '{0}' && tr a-z A-Z", place.path("ran").display());
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "b");
    filter(&place, "up", &once, "tr A-Z a-z");

    let report = b.restore(&opened, false).unwrap();

    assert_eq!(report.unfiltered, ["one.up", "two.up"], "all of one filter are treated alike");
    for name in ["one.up", "two.up"] {
        let expected = format!("second version of {name}\n").into_bytes();
        assert_eq!(place.read(&format!("b/{name}")), expected);
    }
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

#[test]
fn a_clean_filter_that_fails_hinders_neither_capture_nor_restore() {
    let place = place_with_filters();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    place.write("b/one.up", "MINE\n");
    let before = look(&place, "b").tree;
    filter(&place, "up", "tr a-z A-Z", "false");
    let opened = a.save(&place.path("log"));

    let report = b.restore(&opened, true).unwrap();

    assert_eq!((report.unfiltered.len(), report.differences), (0, Vec::new()));
    let Some(Thing::File(_, bytes)) = look(&place, "b").tree.remove("one.up") else { panic!() };
    assert_eq!(bytes, b"SECOND VERSION OF ONE.UP\n");
    b.undo().unwrap();
    assert_eq!(look(&place, "b").tree, before);
}

#[test]
fn a_file_that_a_user_writes_where_git_would_check_out_is_left_alone() {
    let place = place_with_filters();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let prepared = b.restoring(&opened, false).plan().unwrap();
    let write = |step| {
        if matches!(step, convosync_core::checkout::Step::CheckOut { .. }) {
            place.write("b/two.up", "written in between\n");
        }
        Ok(())
    };

    let done = prepared.apply(&write);

    assert!(matches!(done, Err(CheckoutError::Halfway { .. })), "{done:?}");
    assert_eq!(place.read("b/two.up"), b"written in between\n");
}
