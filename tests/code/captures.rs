//! What a capture holds of each state, without a byte of the repository changed.

use std::collections::BTreeMap;

use convosync_core::capture::{Memory, Spool};
use convosync_core::code::{
    Flags, Limits, Node, Notes, OperationKind, RepoPath, State, Why, Withheld,
};
use convosync_tests::files;

use crate::look::{Look, look};
use crate::observer::{Observer, check_objects, check_tree, files_below};
use crate::states::{PARTLY, Place, RESTORABLE, WITHHELD, lines};

fn path(text: impl AsRef<[u8]>) -> RepoPath {
    RepoPath::new(text.as_ref()).unwrap()
}

fn shown(state: &State) -> Vec<String> {
    let node = |(path, node): (&RepoPath, &Node)| {
        let what = match node {
            Node::File { executable: true, .. } => "executable",
            Node::File { .. } => "file",
            Node::Link(_) => "link",
            Node::EmptyDirectory => "folder",
            Node::Gone => "gone",
        };
        format!("{what} {}", path.shown())
    };
    state.tree.iter().map(node).collect()
}

/// Captures every third of the restorable states.
fn check_states(first: usize) {
    for (name, build) in RESTORABLE.iter().skip(first).step_by(3) {
        let place = Place::new();
        build(&place);
        let before: Look = look(&place, "a");
        let git_dir = if place.path("a-main").exists() { "a-main/.git" } else { "a/.git" };
        let git_before = files_below(&place, git_dir);

        let mut device = Observer::new(&place, "a");
        let captured = device.capture();

        assert!(captured.is_changed, "{name}");
        assert_eq!(files_below(&place, git_dir), git_before, "{name}");
        check_tree(&device, &captured.state);
        check_objects(&device, &captured.state);
        assert_eq!(captured.state.omitted, BTreeMap::new(), "{name}");
        let reopened = Spool::open(device.spool.path()).unwrap();
        assert_eq!(reopened.state(), Some(&captured.state), "{name}");
        let again = device.capture();
        assert!(!again.is_changed && again.fresh == 0 && again.read == 0, "{name}: {again:?}");
        device.memory = Memory::default();
        assert!(!device.capture().is_changed, "{name}: memory is a convenience");
        assert_eq!(look(&place, "a"), before, "{name}");
    }
}

#[test]
fn every_restorable_state_is_captured_whole_and_nothing_in_the_repository_changes() {
    check_states(0);
}

#[test]
fn the_second_third_of_the_states_is_captured_whole_too() {
    check_states(1);
}

#[test]
fn the_last_third_of_the_states_is_captured_whole_too() {
    check_states(2);
}

#[test]
fn a_clean_clone_says_where_it_stands_and_nothing_else() {
    let place = Place::new();

    let state = Observer::new(&place, "a").capture().state;

    assert_eq!(state.head.branch.as_deref(), Some("main"));
    assert_eq!(state.head.commit.unwrap().to_string(), place.run("a", &["rev-parse", "HEAD"]));
    let upstream = state.upstream.as_ref().unwrap();
    assert_eq!((upstream.name.as_str(), upstream.ahead, upstream.behind), ("origin/main", 0, 0));
    assert_eq!(state.bases.len(), 1);
    assert_eq!(state.bases[0].reference, "refs/heads/main");
    assert!(state.packs.is_empty() && state.index.is_empty() && state.tree.is_empty());
}

#[test]
fn a_state_names_what_is_staged_and_what_is_not() {
    let place = Place::new();
    place.write("a/src/main.txt", "staged\n");
    place.git("a", &["add", "src/main.txt"]);
    place.git("a", &["rm", "-q", "old/gone.txt"]);
    place.write("a/src/lib.txt", "changed\n");
    place.write("a/notes.txt", "notes\n");
    place.remove("a/README");

    let state = Observer::new(&place, "a").capture().state;

    let index: Vec<_> = state.index.iter().map(|entry| (entry.path.shown(), entry.flags)).collect();
    let none = Flags::default();
    assert_eq!(index, [("old/gone.txt".to_owned(), none), ("src/main.txt".to_owned(), none)]);
    assert_eq!(state.index[0].entry, None);
    assert_eq!(shown(&state), ["gone README", "file notes.txt", "file src/lib.txt"]);
}

#[test]
fn what_holds_a_secret_stays_and_is_listed() {
    let place = Place::new();
    place.write("a/.env", "SECRET=1\n");
    place.write("a/tls.key", "secret\n");
    place.git("a", &["add", "tls.key"]);
    place.write("a/notes.txt", "x\n");

    let mut device = Observer::new(&place, "a");
    let state = device.capture().state;

    assert_eq!(shown(&state), ["file notes.txt"]);
    assert_eq!(state.index, []);
    let omitted: Vec<_> = state.omitted.iter().map(|(path, why)| (path.shown(), why.why)).collect();
    assert_eq!(omitted, [(".env".to_owned(), Why::Guarded), ("tls.key".to_owned(), Why::Guarded)]);
    let log = files::read(device.spool.path());
    assert!(!log.windows(6).any(|piece| piece == b"SECRET" || piece == b"secret"));

    place.git("a", &["commit", "-q", "-m", "oops"]);
    let withheld = device.try_capture().unwrap_err();
    assert_eq!(withheld, Withheld::GuardedCommits { paths: vec![path("tls.key")] });
    assert_eq!(device.spool.state(), Some(&state), "the log stays as it was");
}

#[test]
fn a_changed_line_of_a_large_tracked_file_costs_a_line() {
    let place = Place::new();
    let text = lines(27_000);
    assert!(text.len() > 1 << 20);
    place.write("a/large.txt", &text);
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "large"]);
    place.git("a", &["push", "-q"]);
    let mut device = Observer::new(&place, "a");
    device.capture();

    let text = text.replace("line 77 ", "line seventy-seven ");
    place.write("a/large.txt", &text);
    let first = device.capture();
    let text = text.replace("line 24000 ", "line twenty-four thousand ");
    place.write("a/large.txt", &text);
    let second = device.capture();

    for captured in [&first, &second] {
        assert!(captured.is_changed && captured.fresh < 1024, "{} bytes", captured.fresh);
        assert_eq!(captured.read, 1);
    }
    check_tree(&device, &second.state);
}

/// Brings a clone into a state by its name and captures it.
fn captured(place: &Place, name: &str) -> State {
    let all = RESTORABLE.iter().chain(PARTLY);
    let (_, build) = all.into_iter().find(|(other, _)| *other == name).unwrap();
    build(place);
    Observer::new(place, "a").capture().state
}

fn omitted(state: &State) -> Vec<(String, Why)> {
    state.omitted.iter().map(|(path, omission)| (path.shown(), omission.why)).collect()
}

#[test]
fn what_is_meant_to_be_added_is_told_from_what_is_staged() {
    let place = Place::new();

    let state = captured(&place, "intent to add");

    assert_eq!(shown(&state), ["gone meant and gone.txt", "file meant.txt"]);
    let flags: Vec<_> = state.index.iter().map(|entry| entry.flags.intent_to_add).collect();
    assert_eq!(flags, [true, true]);
    assert!(state.packs.is_empty());
}

#[test]
fn an_empty_directory_is_found_unless_it_is_ignored() {
    let place = Place::new();

    let state = captured(&place, "empty directories");

    assert_eq!(
        shown(&state),
        [
            "file .gitignore",
            "folder empty",
            "folder new/deep/down",
            "file new/file",
            "folder src/inner"
        ]
    );
}

#[test]
fn a_directory_that_deletions_left_empty_is_found_and_those_that_went_are_not() {
    let place = Place::new();

    let state = captured(&place, "directories that deletions left empty");

    let folders: Vec<String> =
        shown(&state).into_iter().filter(|line| line.starts_with("folder")).collect();
    assert_eq!(folders, ["folder deep/er", "folder gone", "folder old"]);
}

#[test]
fn an_unfinished_merge_comes_with_its_heads_and_stages() {
    let place = Place::new();

    let state = captured(&place, "merge with a conflict");

    let operation = state.operation.as_ref().unwrap();
    assert_eq!(operation.kind, OperationKind::Merge);
    let theirs = place.run("a", &["rev-parse", "theirs"]);
    assert_eq!(operation.heads().iter().map(ToString::to_string).collect::<Vec<_>>(), [theirs]);
    assert!(operation.files.contains_key("MERGE_MSG"));
    let stages: Vec<_> =
        state.index.iter().map(|entry| (entry.path.shown(), entry.stage)).collect();
    let expected = [("src/lib.txt", 1), ("src/lib.txt", 2), ("src/lib.txt", 3), ("theirs.txt", 0)];
    assert_eq!(stages, expected.map(|(path, stage)| (path.to_owned(), stage)));
}

#[test]
fn other_operations_are_told_apart() {
    for (name, kind) in [
        ("cherry-pick with a conflict", OperationKind::CherryPick),
        ("revert with a conflict", OperationKind::Revert),
        ("rebase with a conflict", OperationKind::Series),
        ("merge without a conflict", OperationKind::Merge),
    ] {
        let state = captured(&Place::new(), name);
        assert_eq!(state.operation.map(|operation| operation.kind), Some(kind), "{name}");
    }
}

#[test]
fn a_special_clone_says_so() {
    for (name, notes) in [
        ("shallow clone", Notes { shallow: true, ..Notes::default() }),
        ("partial clone", Notes { partial: true, ..Notes::default() }),
        ("sparse checkout", Notes { sparse: true, ..Notes::default() }),
        ("linked work tree", Notes { linked: true, ..Notes::default() }),
    ] {
        let state = captured(&Place::new(), name);
        assert_eq!(state.notes, notes, "{name}");
        let others = state.tree.iter().filter(|(_, node)| **node == Node::Gone);
        assert_eq!(others.count(), 0, "{name}: what is not checked out is not gone");
    }
}

#[test]
fn a_submodule_that_stands_elsewhere_is_told_and_one_with_changes_is_listed() {
    let place = Place::new();
    let state = captured(&place, "submodule moved");
    let commit = place.run("a/lib/module", &["rev-parse", "HEAD"]);
    let found = state.submodules[&path("lib/module")];
    assert_eq!(found.commit.map(|id| id.to_string()), Some(commit));
    assert_eq!((shown(&state), omitted(&state)), (vec![], vec![]));

    let state = captured(&Place::new(), "submodule with changes of its own");
    assert_eq!(omitted(&state), [("lib/module".to_owned(), Why::Module)]);
    let state = captured(&Place::new(), "submodule");
    assert_eq!((shown(&state), omitted(&state)), (vec!["file notes.txt".to_owned()], vec![]));
}

#[test]
fn what_stays_behind_is_listed_with_its_reason() {
    for (name, expected, tree) in [
        ("nested repository", vec![("inner", Why::Nested)], vec!["file beside.txt"]),
        (
            "secret files",
            vec![(".env", Why::Guarded), ("sub/.env.local", Why::Guarded)],
            vec!["file fine.txt"],
        ),
        ("file that is too large", vec![("large.raw", Why::TooLarge)], vec!["file fine.txt"]),
        ("pipe in the place of a file", vec![("src/lib.txt", Why::Special)], vec![]),
    ] {
        let state = captured(&Place::new(), name);
        let expected: Vec<_> =
            expected.into_iter().map(|(path, why)| (path.to_owned(), why)).collect();
        assert_eq!(omitted(&state), expected, "{name}");
        assert_eq!(shown(&state), tree, "{name}");
    }
}

#[test]
fn flags_travel_and_so_does_what_they_hide() {
    let place = Place::new();

    let state = captured(&place, "assume-unchanged and skip-worktree");

    let flags: Vec<_> = state
        .index
        .iter()
        .map(|entry| (entry.path.shown(), entry.flags.assume_unchanged, entry.flags.skip_worktree))
        .collect();
    let expected =
        [("run.sh", false, true), ("src/lib.txt", true, false), ("src/main.txt", false, true)];
    assert_eq!(flags, expected.map(|(path, a, b)| (path.to_owned(), a, b)));
    assert_eq!(shown(&state), ["file src/lib.txt", "file src/main.txt"]);
}

#[test]
fn a_repository_we_do_not_read_is_refused_in_words() {
    for (name, build) in WITHHELD {
        let place = Place::new();
        build(&place);
        let mut device = Observer::new(&place, "a");
        let withheld = device.try_capture().unwrap_err();
        let fits = match *name {
            "reftable" => withheld == Withheld::RefStorage("reftable".to_owned()),
            "sha256" => withheld == Withheld::ObjectFormat("sha256".to_owned()),
            _ => withheld == Withheld::Bisecting,
        };
        assert!(fits, "{name}: {withheld}");
        assert_eq!(device.spool.length(), 0);
    }
}

#[test]
fn limits_leave_out_what_comes_last_and_say_so() {
    let place = Place::new();
    for name in ["a", "b", "c", "d"] {
        place.write(&format!("a/{name}.txt"), vec![b'x'; 1000]);
    }
    let mut device = Observer::new(&place, "a");

    device.limits = Limits { file: 1000, total: 2500, files: 10 };
    let state = device.capture().state;
    assert_eq!(shown(&state), ["file a.txt", "file b.txt"]);
    assert_eq!(omitted(&state).iter().map(|(_, why)| *why).collect::<Vec<_>>(), [Why::NoRoom; 2]);

    device.limits = Limits { file: 1000, total: 10_000, files: 3 };
    let state = device.capture().state;
    assert_eq!(omitted(&state), [("d.txt".to_owned(), Why::TooMany)]);

    place.git("a", &["add", "a.txt", "b.txt"]);
    device.limits = Limits { file: 999, total: 10_000, files: 10 };
    let state = device.capture().state;
    assert_eq!((state.index.len(), omitted(&state).len()), (0, 4));

    device.limits = Limits::default();
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "all"]);
    device.limits.total = 20;
    let withheld = device.try_capture().unwrap_err();
    assert!(matches!(withheld, Withheld::CommitsTooLarge { limit: 20, .. }), "{withheld}");
}

#[test]
fn a_crowd_of_files_is_listed_by_its_folder() {
    let place = Place::new();
    for number in 0..2100 {
        place.write(&format!("a/crowd/{}/{number}.txt", number % 10), "x");
    }
    place.write("a/last.txt", "x");
    let mut device = Observer::new(&place, "a");
    device.limits.files = 20;

    let state = device.capture().state;

    assert_eq!(state.tree.len(), 20);
    let expected = [("crowd", Why::TooMany), ("last.txt", Why::TooMany)];
    assert_eq!(omitted(&state), expected.map(|(path, why)| (path.to_owned(), why)));
}

#[test]
fn a_folder_without_a_work_tree_has_no_code() {
    let place = Place::new();
    place.folder("plain");

    for folder in ["plain", "remote.git"] {
        let withheld = Observer::new(&place, folder).try_capture().unwrap_err();
        assert_eq!(withheld, Withheld::NoRepository, "{folder}");
    }
}

#[test]
fn a_name_that_cannot_stand_elsewhere_is_listed_under_another() {
    let place = Place::new();
    place.write("a/git~1", "x");
    place.write("a/deep/.git /hooks", "x");
    place.write("a/back\\.git\\config", "x");

    let state = Observer::new(&place, "a").capture().state;

    let expected = ["back?.git?config?", "deep/.git ?/hooks", "git~1?"];
    assert_eq!(omitted(&state), expected.map(|path| (path.to_owned(), Why::BadName)));
}

#[test]
fn an_unreadable_file_is_left_out_and_the_others_are_not() {
    let place = Place::new();
    place.write("a/closed.txt", "x");
    place.write("a/open.txt", "x");
    place.mode("a/closed.txt", 0);
    // Whoever may do everything may read it.
    let is_closed = std::fs::read(place.path("a/closed.txt")).is_err();

    let state = Observer::new(&place, "a").capture().state;

    assert_eq!(state.omitted.contains_key(&path("closed.txt")), is_closed);
    assert!(state.tree.contains_key(&path("open.txt")));
}
