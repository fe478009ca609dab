//! Clones that do not have everything: partial ones, shallow ones, damaged ones.

use std::fmt::Write as _;

use convosync_core::checkout::{CheckoutError, Refusal};
use convosync_core::code::Withheld;
use convosync_tests::files;

use super::look::look;
use super::observer::{Observer, files_below};
use super::states::{Place, lines};
use super::trip::Device;

/// Clones anew, without what `filter` leaves with the remote.
fn clone_filtered(place: &Place, clone: &str, filter: &str) {
    files::remove_tree(&place.path(clone));
    place.run("remote.git", &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", place.path("remote.git").display());
    place.run("", &["clone", "-q", &format!("--filter={filter}"), &url, clone]);
}

/// Clones anew, without blobs but those that are checked out.
fn clone_partly(place: &Place, clone: &str) {
    clone_filtered(place, clone, "blob:none");
}

/// How many objects the remote has that a clone has not.
fn missing(place: &Place, clone: &str) -> usize {
    let args = ["rev-list", "--objects", "--all", "--missing=print", "--quiet"];
    let listed = place.run(clone, &args);
    listed.lines().filter(|line| line.starts_with('?')).count()
}

#[test]
fn a_capture_of_a_partial_clone_fetches_nothing_and_needs_no_remote() {
    let place = Place::new();
    clone_partly(&place, "a");
    // Blobs that were never checked out here are not there.
    let left_out = missing(&place, "a");
    assert!(left_out > 0);
    place.git("a", &["checkout", "-q", "-b", "topic"]);
    place.write("a/src/lib.txt", "committed\n");
    place.git("a", &["commit", "-q", "-am", "unpushed"]);
    place.write("a/src/main.txt", lines(200).replace("line 7 ", "line seven "));
    place.git("a", &["rm", "-q", "old/gone.txt"]);
    files::rename(&place.path("remote.git"), &place.path("away.git"));
    let before = files_below(&place, "a/.git");

    let mut a = Observer::new(&place, "a");
    let captured = a.capture();

    assert!(captured.state.notes.partial);
    assert_eq!(files_below(&place, "a/.git"), before);
    files::rename(&place.path("away.git"), &place.path("remote.git"));
    assert_eq!(missing(&place, "a"), left_out);
    super::observer::check_objects(&a, &captured.state);
}

/// A partial clone `b` that knows the commit `a` stands at, but not what is in its files.
fn behind() -> Place {
    let place = Place::new();
    clone_partly(&place, "b");
    place.write("a/README", "a third version\n");
    place.write("a/src/lib.txt", lines(40));
    place.write("a/src/added.txt", "added\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "third"]);
    place.git("a", &["push", "-q"]);
    place.git("b", &["fetch", "-q"]);
    assert!(missing(&place, "b") >= 3);
    place.write("a/src/lib.txt", lines(40).replace("line 7 ", "line seven "));
    place
}

#[test]
fn a_partial_clone_fetches_the_files_it_left_out_and_stays_partial() {
    let place = behind();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let (wanted, before) = (look(&place, "a"), look(&place, "b"));
    let (settings, refs) = (place.read("b/.git/config"), place.run("b", &["for-each-ref"]));
    let opened = a.save(&place.path("log"));

    let prepared = b.restoring(&opened, false).plan().unwrap();
    assert_eq!(place.run("b", &["for-each-ref"]), refs, "a fetch moves no ref");
    let report = prepared.apply(&super::trip::onward).unwrap();

    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!(look(&place, "b"), wanted);
    assert_eq!(place.read("b/.git/config"), settings);
    assert!(missing(&place, "b") > 0, "what nobody needs stays with the remote");
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
    place.run("b", &["fsck", "--strict"]);
}

#[test]
fn a_partial_clone_whose_remote_is_away_is_told_what_is_missing_and_nothing_is_changed() {
    for is_clean in [true, false] {
        let place = behind();
        if is_clean {
            place.git("a", &["checkout", "-q", "--", "."]);
        }
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        let before = look(&place, "b");
        files::rename(&place.path("remote.git"), &place.path("away.git"));

        let refused = b.restore(&opened, false);

        let Err(CheckoutError::Refused(refusal)) = refused else { panic!("{refused:?}") };
        let first = if is_clean { "README" } else { "src/lib.txt" };
        assert!(
            matches!(&refusal, Refusal::MissingFiles { first: found, .. } if found == first),
            "{refusal:?}"
        );
        assert!(refusal.to_string().contains(first), "{refusal}");
        assert!(refusal.hint().unwrap().contains("partial clone"), "{refusal}");
        assert_eq!(look(&place, "b"), before);
        assert!(matches!(b.undo(), Err(CheckoutError::Refused(Refusal::NothingToUndo))));
    }
}

#[test]
fn commits_that_a_partial_clone_has_not_seen_are_fetched() {
    let place = Place::new();
    clone_partly(&place, "b");
    place.write("a/README", "a third version\n");
    place.git("a", &["commit", "-q", "-am", "third"]);
    place.git("a", &["push", "-q"]);
    place.write("a/README", "a third version\nand more\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let (wanted, before) = (look(&place, "a"), look(&place, "b"));
    let opened = a.save(&place.path("log"));

    b.restore(&opened, false).unwrap();

    assert_eq!(look(&place, "b").tree, wanted.tree);
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

/// Captures `a`, which is withheld, and returns what the user is told.
#[track_caller]
fn withheld(place: &Place) -> (Withheld, String) {
    let mut a = Observer::new(place, "a");
    let withheld = a.try_capture().unwrap_err();
    assert_eq!(a.spool.length(), 0, "nothing of it is saved");
    let told = format!("{withheld}; {}", withheld.hint().unwrap_or_default());
    (withheld, told)
}

#[test]
fn a_shallow_clone_whose_cut_is_not_pushed_is_told() {
    let place = Place::new();
    place.write("b/new.txt", "not pushed\n");
    place.git("b", &["add", "."]);
    place.git("b", &["commit", "-q", "-m", "not pushed"]);
    files::remove_tree(&place.path("a"));
    let url = format!("file://{}", place.path("b").display());
    place.run("", &["clone", "-q", "--depth", "1", &url, "a"]);
    let remote = place.path("remote.git").display().to_string();
    place.git("a", &["remote", "set-url", "origin", &remote]);
    place.git("a", &["update-ref", "-d", "refs/remotes/origin/main"]);
    let before = files_below(&place, "a/.git");

    let (why, told) = withheld(&place);

    assert_eq!(why, Withheld::Shallow);
    assert!(told.contains("shallow") && told.contains("git fetch --unshallow"), "{told}");
    assert_eq!(files_below(&place, "a/.git"), before);
    place.git("b", &["push", "-q", "origin", "HEAD:refs/heads/topic"]);
    place.git("a", &["fetch", "-q", "origin", "topic:refs/remotes/origin/topic"]);
    assert!(Observer::new(&place, "a").capture().state.notes.shallow, "pushed, it is saved");
}

#[test]
fn an_object_that_is_missing_is_named() {
    for is_committed in [false, true] {
        let place = Place::new();
        place.write("a/lost.txt", "its object will be lost\n");
        place.git("a", &["add", "."]);
        let id = place.run("a", &["rev-parse", ":lost.txt"]);
        if is_committed {
            place.git("a", &["commit", "-q", "-m", "with what will be lost"]);
        }
        place.remove(&format!("a/.git/objects/{}/{}", &id[..2], &id[2..]));

        let (why, told) = withheld(&place);

        assert_eq!(why, Withheld::Missing(id.parse().unwrap()), "{is_committed}");
        assert!(told.contains(&id) && told.contains("git fsck"), "{told}");
    }
}

#[test]
fn more_commits_than_anyone_looks_through_are_told() {
    /// A walk may print 16 MiB, and each commit takes 41 bytes.
    const COMMITS: usize = 410_000;
    let place = Place::new();
    let mut stream = String::from("feature done\n");
    for number in 0..COMMITS {
        stream.push_str("commit refs/heads/long\ncommitter A <a@a> 1 +0000\ndata 0\n");
        if number == 0 {
            stream.push_str("from refs/heads/main^0\n");
        }
    }
    writeln!(stream, "done").unwrap();
    place.feed("a", &["fast-import", "--quiet", "--depth=0"], stream.as_bytes()).ok();
    place.git("a", &["checkout", "-q", "long"]);

    let (why, told) = withheld(&place);

    assert_eq!(why, Withheld::TooManyCommits);
    assert!(told.contains("more commits") && told.contains("push the commits"), "{told}");
}

/// Clones anew, without the trees and blobs that are not checked out.
fn clone_without_trees(place: &Place, clone: &str) {
    clone_filtered(place, clone, "tree:0");
}

#[test]
fn a_capture_of_a_clone_without_trees_fetches_nothing_and_needs_no_remote() {
    let place = Place::new();
    clone_without_trees(&place, "a");
    place.git("a", &["checkout", "-q", "-b", "topic"]);
    place.write("a/src/lib.txt", "committed\n");
    place.git("a", &["commit", "-q", "-am", "unpushed"]);
    // What the remote has by now is here by its name only.
    place.write("b/src/later.txt", "later\n");
    place.git("b", &["add", "."]);
    place.git("b", &["-c", "user.name=Bob", "commit", "-q", "-m", "pushed later"]);
    place.git("b", &["push", "-q"]);
    place.git("a", &["fetch", "-q"]);
    place.write("a/src/main.txt", lines(200).replace("line 7 ", "line seven "));
    place.write("a/new.txt", "new\n");
    place.git("a", &["rm", "-q", "old/gone.txt"]);
    let left_out = missing(&place, "a");
    assert!(left_out > 1);
    files::rename(&place.path("remote.git"), &place.path("away.git"));
    let before = files_below(&place, "a/.git");

    let mut a = Observer::new(&place, "a");
    let captured = a.capture();

    assert!(captured.state.notes.partial);
    assert_eq!(files_below(&place, "a/.git"), before);
    files::rename(&place.path("away.git"), &place.path("remote.git"));
    assert_eq!(missing(&place, "a"), left_out);
    super::observer::check_objects(&a, &captured.state);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let wanted = look(&place, "a");
    b.restore(&a.save(&place.path("log")), false).unwrap();
    assert_eq!(look(&place, "b").tree, wanted.tree);
}

/// A clone `b` without trees that knows a commit of the remote by its name only; `a` stands at one above it.
fn behind_without_trees(is_pushed: bool) -> Place {
    let place = Place::new();
    clone_without_trees(&place, "b");
    place.write("a/README", "a third version\n");
    place.write("a/src/deep/added.txt", "added\n");
    place.write("a/aside/added.txt", "added\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "third"]);
    place.git("a", &["push", "-q"]);
    place.git("b", &["fetch", "-q"]);
    if !is_pushed {
        place.write("a/src/deep/added.txt", "changed\n");
        place.git("a", &["commit", "-q", "-am", "fourth"]);
    }
    place.write("a/src/lib.txt", lines(30).replace("line 7 ", "line seven "));
    place
}

#[test]
fn a_clone_without_trees_fetches_those_it_needs_and_stays_as_partial_as_it_was() {
    for is_pushed in [true, false] {
        let place = behind_without_trees(is_pushed);
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let (wanted, before) = (look(&place, "a"), look(&place, "b"));
        let (settings, refs) = (place.read("b/.git/config"), place.run("b", &["for-each-ref"]));
        let opened = a.save(&place.path("log"));

        let prepared = b.restoring(&opened, false).plan().unwrap();
        assert_eq!(place.run("b", &["for-each-ref"]), refs, "a fetch moves no ref");
        let report = prepared.apply(&super::trip::onward).unwrap();

        assert_eq!(report.differences, Vec::<String>::new());
        assert_eq!(look(&place, "b"), wanted, "{is_pushed}");
        assert_eq!(place.read("b/.git/config"), settings);
        assert!(!place.path("b/.git/shallow").exists());
        b.undo().unwrap();
        assert_eq!(look(&place, "b"), before, "{is_pushed}");
        b.undo().unwrap();
        assert_eq!(look(&place, "b"), wanted, "{is_pushed}");
    }
}

#[test]
fn a_clone_without_trees_whose_remote_is_away_is_told_and_nothing_is_changed() {
    for is_pushed in [true, false] {
        let place = behind_without_trees(is_pushed);
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        let before = look(&place, "b");
        files::rename(&place.path("remote.git"), &place.path("away.git"));

        let refused = b.restore(&opened, false);

        let Err(CheckoutError::Refused(refusal)) = refused else { panic!("{refused:?}") };
        assert!(matches!(&refusal, Refusal::MissingTrees { .. }), "{refusal:?}");
        assert!(refusal.hint().unwrap().contains("partial clone"), "{refusal}");
        assert_eq!(look(&place, "b"), before);
        assert!(matches!(b.undo(), Err(CheckoutError::Refused(Refusal::NothingToUndo))));
    }
}
