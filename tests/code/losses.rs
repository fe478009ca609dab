//! What a restore and its undo once lost, or could have.

use convosync_core::checkout::{CheckoutError, Refusal};
use convosync_core::code::Withheld;
use convosync_tests::files;

use super::look::{Look, Thing, look};
use super::states::Place;
use super::trip::{Device, onward, stop_at};

/// `a` tracks, in a commit that is not pushed, what `b` ignores and has otherwise.
fn with_ignored() -> Place {
    let place = Place::new();
    place.write("a/config.local", "a's\n");
    place.write("a/log/today", "a's\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "not pushed"]);
    place.write("b/.git/info/exclude", "config.local\nlog\n");
    place.write("b/config.local", "b's own\n");
    place.link("b/log", "/nowhere");
    place
}

/// Such a place in whose second clone a restore was stopped, and how that clone looked before.
pub(crate) fn interrupted() -> (Place, Look) {
    let place = with_ignored();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log-of-a"));
    let before = look(&place, "b");
    b.restoring(&opened, true).plan().unwrap().apply(&stop_at(5)).unwrap_err();
    (place, before)
}

#[test]
fn ignored_files_come_back_wherever_a_restore_or_its_undo_was_stopped() {
    for at in 0_u32.. {
        let place = with_ignored();
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log-of-a"));
        let before = look(&place, "b");
        let done = b.restoring(&opened, true).plan().unwrap().apply(&stop_at(at));
        let is_done = done.is_ok();
        assert_eq!(b.undo().unwrap().differences, Vec::<String>::new(), "{at}");
        assert_eq!(look(&place, "b"), before, "{at}");

        b.restore(&opened, true).unwrap();
        let restored = look(&place, "b");
        if convosync_core::checkout::undo(b.place(), &stop_at(at)).is_err() {
            b.undo().unwrap();
            assert_eq!(look(&place, "b"), restored, "{at}: the undo is taken back");
            b.undo().unwrap();
        }
        assert_eq!(look(&place, "b"), before, "{at}");
        if is_done {
            assert!(at > 8, "every step was stopped once");
            return;
        }
    }
}

#[test]
fn an_ignored_file_comes_back_where_a_folder_without_anything_in_it_stood() {
    let place = Place::new();
    place.folder("a/build");
    place.write("b/.git/info/exclude", "build\n");
    place.write("b/build", "b's own, and no folder\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    b.restore(&opened, true).unwrap();
    assert!(place.path("b/build").is_dir());
    assert_eq!(b.undo().unwrap().differences, Vec::<String>::new());
    assert_eq!(place.read("b/build"), b"b's own, and no folder\n");
}

#[test]
fn ignored_folders_without_anything_in_them_go_and_come_with_each_undo() {
    for is_file in [true, false] {
        let place = Place::new();
        place.folder("a/build/deep");
        place.folder("a/out/one/two");
        place.folder("b/out");
        place.write("b/.git/info/exclude", "build\nout\n");
        if is_file {
            place.write("b/build", "b's own, and no folder\n");
        }
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let before = look(&place, "b");
        b.restore(&a.save(&place.path("log")), true).unwrap();
        let restored = look(&place, "b");
        assert!(place.path("b/build/deep").is_dir() && place.path("b/out/one/two").is_dir());
        for turn in 0..2 {
            b.undo().unwrap();
            assert_eq!(look(&place, "b"), before, "{is_file} {turn}");
            assert!(place.path("b/out").is_dir());
            b.undo().unwrap();
            assert_eq!(look(&place, "b"), restored, "{is_file} {turn}");
        }
    }
}

#[test]
fn a_second_undo_brings_back_what_the_first_one_set_aside() {
    let place = with_ignored();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log-of-a"));
    b.restore(&opened, true).unwrap();
    place.write("b/config.local", "changed after the restore\n");
    b.undo().unwrap();
    assert_eq!(place.read("b/config.local"), b"b's own\n");
    b.undo().unwrap();
    assert_eq!(place.read("b/config.local"), b"changed after the restore\n");
    assert_eq!(place.read("b/log/today"), b"a's\n");
}

#[test]
fn work_done_after_a_restore_was_interrupted_is_one_more_undo_away() {
    let (place, before) = interrupted();
    let b = Device::new(&place, "b");
    place.write("b/work.txt", "hours of it\n");
    let report = b.undo().unwrap();
    assert!(report.again);
    assert_eq!(look(&place, "b"), before);
    b.undo().unwrap();
    assert_eq!(place.read("b/work.txt"), b"hours of it\n");
}

#[test]
fn an_ignored_file_that_was_edited_after_a_restore_was_interrupted_is_one_more_undo_away() {
    let (place, _) = interrupted();
    let b = Device::new(&place, "b");
    place.write("b/config.local", "edited since\n");
    assert!(b.undo().unwrap().again);
    assert_eq!(place.read("b/config.local"), b"b's own\n");
    b.undo().unwrap();
    assert_eq!(place.read("b/config.local"), b"edited since\n");
}

#[test]
fn a_restore_and_its_undo_that_were_both_interrupted_are_ended_one_after_the_other() {
    let (place, before) = interrupted();
    let b = Device::new(&place, "b");
    place.write("b/work.txt", "hours of it\n");
    convosync_core::checkout::undo(b.place(), &stop_at(5)).unwrap_err();
    let report = b.undo().unwrap();
    assert!(report.unfinished, "{report:?}");
    assert!(place.path("b/.git/index.lock").exists());
    assert_eq!(place.read("b/work.txt"), b"hours of it\n");
    let report = b.undo().unwrap();
    assert!(!report.unfinished && report.again, "{report:?}");
    assert!(!place.path("b/.git/index.lock").exists());
    assert_eq!(look(&place, "b"), before);
    b.undo().unwrap();
    assert_eq!(place.read("b/work.txt"), b"hours of it\n");
}

/// A secret may stand in a tracked file that git was told not to look at.
#[test]
fn the_flag_of_a_guarded_file_stays() {
    let place = Place::new();
    place.write("a/.env", "the team's\n");
    place.git("a", &["add", "-f", ".env"]);
    place.git("a", &["commit", "-q", "-m", "a template"]);
    place.git("a", &["push", "-q", "origin", "main"]);
    place.git("b", &["pull", "-q"]);
    place.git("b", &["update-index", "--assume-unchanged", ".env"]);
    place.write("b/.env", "b's own\n");
    place.write("a/.env", "the team's new one\n");
    place.git("a", &["commit", "-q", "-am", "a newer template"]);
    place.git("a", &["push", "-q", "origin", "main"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    b.restore(&opened, true).unwrap();
    assert_eq!(place.run("b", &["ls-files", "-v", ".env"]), "h .env");
    assert_eq!(place.read("b/.env"), b"b's own\n");
    b.undo().unwrap();
    assert_eq!(place.run("b", &["ls-files", "-v", ".env"]), "h .env");
}

#[test]
fn commits_made_after_a_restore_was_interrupted_stay_and_it_can_be_ended() {
    let (place, _) = interrupted();
    let b = Device::new(&place, "b");
    place.remove("b/.git/index.lock");
    place.write("b/work.txt", "hours of it\n");
    place.git("b", &["add", "work.txt"]);
    place.git("b", &["commit", "-q", "-m", "work"]);
    let commit = place.run("b", &["rev-parse", "HEAD"]);
    assert_eq!(b.undo().unwrap().differences, Vec::<String>::new());
    assert_eq!(place.run("b", &["rev-parse", "main"]), commit);
    assert_eq!(place.read("b/config.local"), b"b's own\n");
    assert!(!place.path("b/.git/index.lock").exists());
}

#[test]
fn half_a_restore_is_not_captured() {
    let (place, _) = interrupted();
    let b = Device::new(&place, "b");
    let log = place.path("log-of-b");
    assert_eq!(b.try_save(&log).unwrap_err(), Withheld::Restoring);
    b.undo().unwrap();
    b.save(&log);
}

/// It would be in the next `commit -a`.
#[test]
fn a_secret_that_nobody_added_here_is_not_in_the_index_after_an_undo() {
    let place = Place::new();
    place.write("a/.env", "a's\n");
    place.git("a", &["add", "-f", ".env"]);
    place.git("a", &["commit", "-q", "-m", "a secret"]);
    place.git("a", &["push", "-q", "origin", "main"]);
    place.write("b/.env", "b's\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "b");
    b.restore(&opened, false).unwrap();
    assert_eq!(place.read("b/.env"), b"b's\n");
    b.undo().unwrap();
    assert_eq!(place.run("b", &["ls-files", "--", ".env"]), "");
    assert_eq!(look(&place, "b"), before);
}

#[test]
fn a_secret_that_is_staged_here_stays_as_it_is_staged() {
    let place = Place::new();
    place.write("a/.env", "a's\n");
    place.git("a", &["add", "-f", ".env"]);
    place.git("a", &["commit", "-q", "-m", "a secret"]);
    place.git("a", &["push", "-q", "origin", "main"]);
    place.write("b/.env", "b's\n");
    place.git("b", &["add", "-f", ".env"]);
    place.remove("b/.env");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let report = b.restore(&opened, false).unwrap();
    assert!(report.outlook.left.iter().any(|(path, _)| path == ".env"), "{report:?}");
    assert_eq!(place.run("b", &["show", ":.env"]), "b's");
    b.undo().unwrap();
    assert_eq!(place.run("b", &["show", ":.env"]), "b's");
    assert!(!place.path("b/.env").exists());
}

#[test]
fn commits_that_only_a_detached_head_kept_come_back_after_a_clean_up() {
    let place = Place::new();
    place.git("b", &["checkout", "-q", "--detach"]);
    place.write("b/alone.txt", "on no branch\n");
    place.git("b", &["add", "."]);
    place.git("b", &["commit", "-q", "-m", "on no branch"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "b");
    b.restore(&opened, false).unwrap();
    place.git("b", &["reflog", "expire", "--expire=now", "--all"]);
    place.git("b", &["gc", "-q", "--prune=now"]);
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
    place.git("b", &["fsck", "--strict"]);
}

#[test]
fn a_message_that_was_prepared_here_comes_back() {
    let place = Place::new();
    place.git("a", &["checkout", "-q", "-b", "other", "HEAD~1"]);
    place.write("a/README", "otherwise\n");
    place.git("a", &["commit", "-q", "-am", "other"]);
    place.git("a", &["checkout", "-q", "main"]);
    assert!(!place.try_git("a", &["merge", "-q", "other"]).status.success());
    place.write("b/.git/MERGE_MSG", "a squashed branch\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    b.restore(&opened, true).unwrap();
    assert_ne!(place.read("b/.git/MERGE_MSG"), b"a squashed branch\n");
    b.undo().unwrap();
    assert_eq!(place.read("b/.git/MERGE_MSG"), b"a squashed branch\n");
    assert!(!place.path("b/.git/MERGE_HEAD").exists());
}

#[test]
fn a_branch_that_another_work_tree_has_meanwhile_is_not_taken_from_it() {
    let place = Place::new();
    place.git("a", &["checkout", "-q", "-b", "topic"]);
    place.git("a", &["commit", "-q", "--allow-empty", "-m", "not pushed"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    b.restore(&opened, false).unwrap();
    place.git("b", &["checkout", "-q", "main"]);
    place.git("b", &["worktree", "add", "-q", "../elsewhere", "topic"]);
    let refused = b.undo();
    assert!(matches!(refused, Err(CheckoutError::Refused(Refusal::Moved(_)))), "{refused:?}");
    place.run("elsewhere", &["rev-parse", "--verify", "HEAD"]);
}

#[test]
fn the_lock_of_a_restore_that_had_not_begun_is_all_that_an_undo_takes_away() {
    let place = Place::new();
    place.write("a/new.txt", "new\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    b.restore(&opened, false).unwrap();
    let restored = look(&place, "b");
    place.write("b/.git/index.lock", convosync_core::capture::RESTORE_MARK);
    let report = convosync_core::checkout::undo(b.place(), &onward).unwrap();
    assert!(report.unlocked);
    assert_eq!(look(&place, "b"), restored);
    assert!(!b.undo().unwrap().unlocked);
    assert!(!place.path("b/new.txt").exists());
}

type Tree = std::collections::BTreeMap<String, Thing>;

/// What can become of the folder of an ignored file after a restore.
type Turn = fn(&Place);

const FOLDERS: [(&str, Turn, &str); 5] = [
    (
        "a link",
        |place| {
            place.write("elsewhere/innocent.txt", "elsewhere\n");
            place.link("b/log", "../elsewhere");
        },
        "link",
    ),
    ("a file", |place| place.write("b/log", "a file\n"), "file"),
    (
        "a repository",
        |place| {
            place.folder("b/log");
            place.git("b/log", &["init", "-q"]);
        },
        "repository",
    ),
    (
        "a folder whose own folder is a repository",
        |place| {
            place.folder("b/log/day");
            place.git("b/log", &["init", "-q"]);
        },
        "repository",
    ),
    ("a folder where the file was", |place| place.write("b/log/day/today/own", "x\n"), "folder"),
];

#[test]
fn an_ignored_file_whose_folder_became_something_else_is_kept_and_named_and_the_rest_comes_back() {
    for (name, turn, why) in FOLDERS {
        let place = Place::new();
        place.write("a/log/day/today", "a's\n");
        place.write("a/src/lib.txt", "a's\n");
        place.git("a", &["add", "."]);
        place.git("a", &["commit", "-q", "-m", "not pushed"]);
        for (path, text) in [("log/day/today", "b's own\n"), ("other", "b's other\n")] {
            place.write(&format!("b/{path}"), text);
        }
        place.write("a/other", "a's\n");
        place.write("b/.git/info/exclude", "log\nother\n");
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log-of-a"));
        let before = look(&place, "b");
        b.restore(&opened, true).unwrap();
        files::remove_tree(&place.path("b/log"));
        turn(&place);
        let outside = look(&place, "b").tree;

        let report = b.undo().unwrap_or_else(|error| panic!("{name}: {error:?}"));

        let [lost] = report.not_back.as_slice() else { panic!("{name}: {report:?}") };
        assert!(lost.path == "log/day/today" && lost.why.contains(why), "{name}: {lost:?}");
        assert_eq!(files::read(&lost.kept), b"b's own\n", "{name}");
        assert_eq!(report.differences, ["log/day/today"], "{name}");
        let found = look(&place, "b");
        let below = |tree: &Tree| -> Tree {
            tree.clone().into_iter().filter(|(path, _)| path.starts_with("log")).collect()
        };
        assert_eq!(below(&found.tree), below(&outside), "{name}");
        assert_eq!((&found.head, &found.index), (&before.head, &before.index), "{name}");
        assert_eq!(place.read("b/other"), b"b's other\n", "{name}");
        assert!(!place.path("elsewhere/day").exists(), "{name}");
        assert!(!place.path("b/.git/index.lock").exists(), "{name}");
        // It stays there while others come and go.
        b.undo().unwrap();
        b.undo().unwrap();
        assert_eq!(files::read(&lost.kept), b"b's own\n", "{name}");
    }
}

#[test]
fn empty_folders_below_one_that_is_not_empty_stay_where_an_ignored_file_cannot_come_back() {
    let place = with_ignored();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log-of-a"));
    b.restore(&opened, true).unwrap();
    place.remove("b/config.local");
    place.folder("b/config.local/empty");
    place.write("b/config.local/full/own", "x\n");

    let report = b.undo().unwrap();

    assert_eq!(report.not_back.len(), 1, "{report:?}");
    assert!(place.path("b/config.local/empty").is_dir());
    assert_eq!(place.read("b/config.local/full/own"), b"x\n");
}

/// Its record is looked for by the work tree's path.
#[test]
fn a_clone_that_was_moved_after_a_restore_was_interrupted_keeps_its_lock_until_it_is_back() {
    let (place, before) = interrupted();
    files::rename(&place.path("b"), &place.path("moved"));
    let moved = Device::new(&place, "moved");
    let opened = Device::new(&place, "a").save(&place.path("log-of-a"));
    for refused in [moved.undo(), moved.restore(&opened, true)] {
        let Err(CheckoutError::Refused(refusal)) = refused else { panic!("{refused:?}") };
        assert!(matches!(refusal, Refusal::Elsewhere { .. }), "{refusal:?}");
        assert!(refusal.hint().unwrap().contains("undo"));
    }
    assert!(place.path("moved/.git/index.lock").exists());
    assert_eq!(moved.try_save(&place.path("log-of-b")).unwrap_err(), Withheld::Restoring);
    files::rename(&place.path("moved"), &place.path("b"));
    Device::new(&place, "b").undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}
