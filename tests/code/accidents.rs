//! What a restore must not do, and what becomes of one that is interrupted.

use convosync_core::checkout::{CheckoutError, Opened, Refusal, Step};
use convosync_tests::program;

use super::look::look;
use super::states::{Place, lines};
use super::trip::{Device, onward, stop_at};

/// A state with something of everything, and a second clone with changes of its own.
fn busy() -> Place {
    let place = Place::new();
    place.write("a/src/lib.txt", "committed\n");
    place.git("a", &["commit", "-q", "-am", "unpushed"]);
    place.write("a/src/main.txt", lines(200).replace("line 7 ", "line seven "));
    place.write("a/staged.txt", "staged\n");
    place.git("a", &["add", "staged.txt"]);
    place.write("a/new/untracked.txt", "untracked\n");
    place.remove("a/run.sh");
    place.write("b/src/main.txt", "mine\n");
    place.write("b/mine.txt", "mine too\n");
    place.write("b/staged.txt", "my staged\n");
    place.git("b", &["add", "staged.txt"]);
    place
}

#[test]
fn a_restore_that_is_interrupted_at_any_step_is_taken_back() {
    for at in 0_u32.. {
        let place = busy();
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        let (wanted, before) = (look(&place, "a"), look(&place, "b"));
        let done = b.restoring(&opened, true).plan().unwrap().apply(&stop_at(at));
        if done.is_ok() {
            assert!(at > 8, "every step was stopped once");
            assert_eq!(look(&place, "b"), wanted);
            return;
        }
        assert!(matches!(done, Err(CheckoutError::Halfway { .. })), "{at}: {done:?}");

        let report = b.undo().unwrap_or_else(|error| panic!("{at}: {error:?}"));

        assert_eq!(report.differences, Vec::<String>::new(), "{at}");
        assert_eq!(look(&place, "b"), before, "{at}");
        assert!(matches!(b.undo(), Err(CheckoutError::Refused(Refusal::NothingToUndo))), "{at}");
        b.restore(&opened, true).unwrap();
        assert_eq!(look(&place, "b"), wanted, "{at}");
    }
}

#[test]
fn an_undo_that_is_interrupted_is_ended_by_another() {
    for at in 0_u32..9 {
        let place = busy();
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        let (wanted, before) = (look(&place, "a"), look(&place, "b"));
        b.restore(&opened, true).unwrap();
        convosync_core::checkout::undo(b.place(), &stop_at(at)).unwrap_err();

        b.undo().unwrap();
        assert_eq!(look(&place, "b"), wanted, "{at}: the undo is taken back");
        b.undo().unwrap();
        assert_eq!(look(&place, "b"), before, "{at}: and done again");
    }
}

#[test]
fn changes_of_the_user_are_not_replaced_unless_told() {
    let place = busy();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "b");
    let refused = b.restore(&opened, false);
    let Err(CheckoutError::Refused(Refusal::Dirty { count, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(count, 3);
    assert_eq!(look(&place, "b"), before);
    assert!(matches!(b.undo(), Err(CheckoutError::Refused(Refusal::NothingToUndo))));
}

#[test]
fn a_state_that_stands_already_is_no_change() {
    let place = busy();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    b.restore(&opened, true).unwrap();
    let report = b.restore(&opened, false).unwrap();
    assert_eq!((report.outlook.written, report.outlook.removed), (0, 0));
}

#[test]
fn a_branch_with_commits_of_its_own_stays_and_the_state_gets_a_new_one() {
    let place = busy();
    place.git("b", &["commit", "-q", "-m", "mine", "staged.txt"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let (before, main) = (look(&place, "b"), place.run("b", &["rev-parse", "main"]));
    let report = b.restore(&opened, true).unwrap();
    assert_eq!(report.outlook.branch.as_deref(), Some("main-01234567"));
    assert_eq!(report.outlook.instead_of.as_deref(), Some("main"));
    assert_eq!(place.run("b", &["rev-parse", "main"]), main);
    assert_eq!(place.run("b", &["rev-parse", "HEAD"]), place.run("a", &["rev-parse", "HEAD"]));
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
    assert_eq!(place.run("b", &["branch", "--list", "main-*"]), "");
}

#[test]
fn commits_made_after_a_restore_are_not_taken_away_by_an_undo() {
    let place = busy();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    b.restore(&opened, true).unwrap();
    place.git("b", &["commit", "-q", "-am", "later"]);
    let after = look(&place, "b");
    let refused = b.undo();
    assert!(matches!(refused, Err(CheckoutError::Refused(Refusal::Moved(_)))), "{refused:?}");
    assert_eq!(look(&place, "b"), after);
}

#[test]
fn secrets_and_what_is_left_out_stay_as_they_are() {
    let place = Place::new();
    for clone in ["a", "b"] {
        place.write(&format!("{clone}/.env"), format!("SECRET of {clone}\n"));
        place.write(&format!("{clone}/keys/id_rsa"), format!("key of {clone}\n"));
        place.git(clone, &["add", "-f", "keys/id_rsa"]);
    }
    place.write("b/nested/inner.txt", "nested\n");
    place.git("b/nested", &["init", "-q"]);
    place.write("a/nested/inner.txt", "untracked there\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let report = b.restore(&opened, true).unwrap();
    assert_eq!(place.read("b/.env"), b"SECRET of b\n");
    assert_eq!(place.read("b/keys/id_rsa"), b"key of b\n");
    assert_eq!(place.read("b/nested/inner.txt"), b"nested\n");
    let left: Vec<&str> = report.outlook.left.iter().map(|(path, _)| path.as_str()).collect();
    assert!(left.contains(&".env") && left.contains(&"keys/id_rsa"), "{left:?}");
    assert!(report.outlook.is_here, "everything else stands as it was saved: {report:?}");
}

#[test]
fn a_tracked_secret_that_was_changed_here_stays_changed() {
    let place = Place::new();
    place.write("a/.env", "committed\n");
    place.git("a", &["add", "-f", ".env"]);
    place.git("a", &["commit", "-q", "-m", "a secret, sadly"]);
    place.git("a", &["push", "-q"]);
    place.git("b", &["pull", "-q"]);
    place.write("a/README", "x\n");
    place.write("b/.env", "my own\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    b.restore(&opened, true).unwrap();
    assert_eq!(
        (place.read("b/.env"), place.read("b/README")),
        (b"my own\n".to_vec(), b"x\n".to_vec())
    );
    b.undo().unwrap();
    assert_eq!(place.read("b/.env"), b"my own\n");
}

#[test]
fn ignored_files_in_the_way_are_set_aside_and_come_back() {
    let place = Place::new();
    place.write("a/out", "a file there\n");
    place.write("a/log/today.txt", "a folder there\n");
    place.write("b/.git/info/exclude", "out\nlog\n");
    place.write("b/out", "ignored here\n");
    place.mode("b/out", 0o640);
    place.link("b/log", "/nowhere");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let before = look(&place, "b");
    let opened = a.save(&place.path("log"));
    let report = b.restore(&opened, false).unwrap();
    assert_eq!(report.outlook.set_aside, ["log", "out"]);
    assert_eq!(place.read("b/out"), b"a file there\n");
    assert_eq!(place.read("b/log/today.txt"), b"a folder there\n");
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

#[test]
fn an_ignored_folder_in_the_way_refuses() {
    let place = Place::new();
    place.write("a/out", "a file there\n");
    place.write("b/.git/info/exclude", "out\n");
    place.write("b/out/built.o", "ignored here\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let refused = b.restore(&opened, true);
    let Err(CheckoutError::Refused(Refusal::InTheWay { paths })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(paths, ["out/built.o"]);
}

#[test]
fn edits_that_git_was_told_not_to_see_are_kept() {
    let place = Place::new();
    place.git("a", &["commit", "-q", "--allow-empty", "-m", "x"]);
    place.write("a/src/lib.txt", "new\n");
    place.git("a", &["commit", "-q", "-am", "new lib"]);
    place.git("b", &["update-index", "--assume-unchanged", "src/lib.txt"]);
    place.write("b/src/lib.txt", "hidden edit\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let before = look(&place, "b");
    let opened = a.save(&place.path("log"));
    let report = b.restore(&opened, true).unwrap();
    assert_eq!(report.outlook.set_aside, ["src/lib.txt"]);
    assert_eq!(place.read("b/src/lib.txt"), b"new\n");
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

#[test]
fn a_lock_or_an_operation_of_the_user_refuses() {
    let place = busy();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    place.write("b/.git/index.lock", "");
    let refused = b.restore(&opened, true);
    assert!(matches!(refused, Err(CheckoutError::Refused(Refusal::Locked(_)))), "{refused:?}");
    place.remove("b/.git/index.lock");
    let head = place.run("b", &["rev-parse", "HEAD"]);
    place.write("b/.git/MERGE_HEAD", format!("{head}\n"));
    let refused = b.restore(&opened, true);
    assert!(matches!(refused, Err(CheckoutError::Refused(Refusal::Operation))), "{refused:?}");
}

#[test]
fn what_changes_between_the_plan_and_the_deed_is_not_overwritten() {
    for path in ["b/mine.txt", "b/src/main.txt", "b/README", "b/new/untracked.txt"] {
        let place = busy();
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        let prepared = b.restoring(&opened, true).plan().unwrap();
        place.write(path, "written in between\n");
        let after = look(&place, "b");
        let refused = prepared.apply(&onward);
        assert!(matches!(refused, Err(CheckoutError::Refused(Refusal::Changing))), "{refused:?}");
        assert_eq!(look(&place, "b"), after, "{path}");
        assert!(matches!(b.undo(), Err(CheckoutError::Refused(Refusal::NothingToUndo))));
    }
}

#[test]
fn commits_that_are_missing_here_are_fetched_or_named() {
    let place = Place::new();
    place.write("a/later.txt", "later\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "pushed later"]);
    place.git("a", &["push", "-q"]);
    place.write("a/README", "x\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let wanted = look(&place, "a");
    let opened = a.save(&place.path("log"));
    let mut offline = b.restoring(&opened, true);
    offline.fetch = Err("it is offline");
    let refused = offline.plan();
    assert!(matches!(
        refused,
        Err(CheckoutError::Refused(Refusal::MissingCommits { commit: Some(_), .. }))
    ));
    let refs = place.run("b", &["for-each-ref"]);
    let prepared = b.restoring(&opened, true).plan().unwrap();
    assert_eq!(place.run("b", &["for-each-ref"]), refs, "a fetch moves no ref");
    prepared.apply(&onward).unwrap();
    assert_eq!(look(&place, "b").tree, wanted.tree);
}

#[test]
fn a_new_work_tree_takes_a_state_beside_the_old_one() {
    let place = busy();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let (wanted, before) = (look(&place, "a"), look(&place, "b"));
    let opened = a.save(&place.path("log"));
    let dir = place.path("beside");
    convosync_core::checkout::new_work_tree(&b.project, &b.git, &dir).unwrap();
    let beside = Device::new(&place, "beside");
    let report = beside.restore(&opened, true).unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!(report.outlook.instead_of.as_deref(), Some("main"));
    let found = look(&place, "beside");
    assert_eq!((found.tree, found.index, found.diff), (wanted.tree, wanted.index, wanted.diff));
    assert_eq!(look(&place, "b"), before);
}

#[test]
fn files_that_make_programs_run_are_named() {
    let place = Place::new();
    place.write("a/.vscode/tasks.json", "{}\n");
    place.write("a/.claude/settings.json", "{}\n");
    place.write("a/ordinary.txt", "x\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let prepared = b.restoring(&opened, false).plan().unwrap();
    assert_eq!(prepared.outlook().programs, [".claude/settings.json", ".vscode/tasks.json"]);
}

/// Set in a child of the next test: the home it works in, and the step before which it dies.
const DIES: &str = "CONVOSYNC_TEST_DIES_BEFORE";

#[test]
fn a_restore_that_is_killed_is_ended_by_an_undo() {
    if let Some(order) = std::env::var_os(DIES) {
        return die_in_the_middle(&order.into_string().unwrap());
    }
    for at in 0..9 {
        let place = busy();
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        let before = look(&place, "b");
        let mut child = program::command(std::env::current_exe().unwrap());
        child.args(["--exact", "accidents::a_restore_that_is_killed_is_ended_by_an_undo"]);
        child.env(DIES, format!("{at} {}", place.home().display()));
        child.env("PATH", std::env::var_os("PATH").unwrap());
        program::run(&mut child, b"", program::DEADLINE).fails();
        assert!(place.path("b/.git/index.lock").exists(), "{at}: it died holding the index");
        let refused = b.restore(&opened, true);
        assert!(
            matches!(refused, Err(CheckoutError::Refused(Refusal::Interrupted))),
            "{refused:?}"
        );

        let report = b.undo().unwrap_or_else(|error| panic!("{at}: {error:?}"));

        assert_eq!(report.differences, Vec::<String>::new(), "{at}");
        assert_eq!(look(&place, "b"), before, "{at}");
        assert!(!place.path("b/.git/index.lock").exists(), "{at}");
        let packs = std::fs::read_dir(place.path("b/.git/objects/pack")).unwrap().flatten();
        let keeps = packs.filter(|file| file.path().extension().is_some_and(|end| end == "keep"));
        assert_eq!(keeps.count(), 0, "{at}: git may clean up again");
        place.run("b", &["fsck", "--strict"]);
    }
}

fn die_in_the_middle(order: &str) {
    let (at, home) = order.split_once(' ').unwrap();
    let (left, home) =
        (std::cell::Cell::new(at.parse::<u32>().unwrap()), std::path::Path::new(home));
    let b = Device::below(home, "b");
    let opened = Opened::read(&home.join("log")).unwrap();
    let progress = |_: Step| {
        if left.get() == 0 {
            // No destructor runs, as if it were killed.
            std::process::abort();
        }
        left.set(left.get() - 1);
        Ok(())
    };
    b.restoring(&opened, true).plan().unwrap().apply(&progress).unwrap();
}
