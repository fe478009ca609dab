//! What a capture or a restore takes for something else: another device's log, a folder behind a link, a
//! repository of the user's, a small log with a large work tree.

use std::collections::BTreeMap;

use convosync_core::capture::Spool;
use convosync_core::checkout::{CheckoutError, Opened, Refusal};
use convosync_core::code::{
    self, Guard, Head, IndexEntry, Limits, Mode, Node, Pack, RepoPath, State, Why, Withheld,
};
use convosync_core::id::Oid;
use convosync_tests::files;

use super::look::look;
use super::observer::{Observer, check_objects, check_tree};
use super::states::{Place, lines, with_submodule};
use super::trip::Device;

#[test]
fn a_log_that_went_on_on_another_device_does_not_pass_for_what_stands_here() {
    let place = Place::new();
    place.write("b/mine.txt", "mine\n");
    place.git("b", &["add", "."]);
    place.git("b", &["commit", "-q", "-m", "mine"]);
    place.write("b/src/lib.txt", "edited on b\n");
    let mut b = Observer::new(&place, "b");
    b.capture();
    files::write(&place.path("a.log"), files::read(b.spool.path()));
    place.write("a/src/lib.txt", "edited on a, at more length\n");
    let mut a = Observer::new(&place, "a");
    a.capture();

    files::write(b.spool.path(), files::read(a.spool.path()));
    b.spool = Spool::open(b.spool.path()).unwrap();
    let state = b.capture().state;

    check_tree(&b, &state);
    check_objects(&b, &state);
}

#[test]
fn a_folder_that_became_a_link_to_its_copy_is_captured_arrives_and_is_taken_back() {
    let place = Place::new();
    for clone in ["a", "b"] {
        place.link(&format!("{clone}/src/short"), "lib.txt");
        place.write(&format!("{clone}/src/deep/inner.txt"), "inner\n");
        place.git(clone, &["add", "."]);
        let date = "2026-01-01T00:00:00Z";
        place.git(clone, &["config", "user.name", "Ada"]);
        place.git(clone, &["commit", "-q", "-m", "a link inside", "--date", date]);
    }
    place.git("a", &["push", "-q"]);
    place.git("b", &["fetch", "-q"]);
    place.git("b", &["reset", "-q", "--hard", "origin/main"]);
    std::fs::rename(place.path("a/src"), place.path("a/copy")).unwrap();
    place.link("a/src", "copy");
    place.remove("a/copy/deep/inner.txt");
    let mut observer = Observer::new(&place, "a");

    let state = observer.capture().state;

    check_tree_of_links(&observer, &state);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let (wanted, before) = (look(&place, "a"), look(&place, "b"));
    let opened = a.save(&place.path("log"));
    let report = b.restore(&opened, false).unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!(look(&place, "b"), wanted);
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

#[track_caller]
fn check_tree_of_links(observer: &Observer<'_>, state: &State) {
    check_tree(observer, state);
    assert_eq!(state.omitted, BTreeMap::new());
    for gone in ["src/lib.txt", "src/main.txt", "src/short", "src/deep/inner.txt"] {
        assert_eq!(state.tree.get(&path(gone)), Some(&Node::Gone), "{gone}");
    }
}

fn path(text: &str) -> RepoPath {
    RepoPath::new(text).unwrap()
}

#[test]
fn an_empty_file_that_is_staged_after_another_was_meant_to_be_added_arrives() {
    let place = Place::new();
    let log = place.path("log");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    place.write("a/meant.txt", "meant\n");
    place.git("a", &["add", "-N", "meant.txt"]);
    a.save(&log);
    place.write("a/empty.txt", "");
    place.git("a", &["add", "empty.txt"]);

    b.restore(&a.save(&log), false).unwrap();

    assert_eq!(look(&place, "b"), look(&place, "a"));
}

#[test]
fn nothing_is_written_into_a_repository_of_the_user_inside_of_the_clone() {
    let place = Place::new();
    for folder in ["listed", "ignored"] {
        place.write(&format!("a/{folder}/.gitattributes"), "* filter=x\n");
        place.write(&format!("a/{folder}/deep/x.txt"), "x\n");
        place.write(&format!("b/{folder}/own.txt"), "own\n");
        place.git(&format!("b/{folder}"), &["init", "-q"]);
    }
    place.write("a/listed/committed.txt", "committed\n");
    place.git("a", &["add", "listed/committed.txt"]);
    place.git("a", &["commit", "-q", "-m", "committed"]);
    place.write("b/.git/info/exclude", "/ignored\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let before = look(&place, "b");
    let opened = a.save(&place.path("log"));

    let report = b.restore(&opened, false).unwrap();

    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!(look(&place, "b").tree, before.tree);
    let left: Vec<&str> = report.outlook.left.iter().map(|(path, _)| path.as_str()).collect();
    let expected = [
        "ignored/.gitattributes",
        "ignored/deep/x.txt",
        "listed/.gitattributes",
        "listed/committed.txt",
        "listed/deep/x.txt",
    ];
    assert_eq!(left, expected);
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

#[test]
fn a_guard_that_comes_later_stops_commits_that_were_taken_before() {
    let place = Place::new();
    place.write("a/passwords.kdbx", "secret\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "passwords"]);
    let mut a = Observer::new(&place, "a");
    a.capture();

    a.guard = Guard::new(&place.path("a"), &place.home(), &["*.kdbx".to_owned()], &[]);

    let paths = vec![path("passwords.kdbx")];
    assert_eq!(a.try_capture().unwrap_err(), Withheld::GuardedCommits { paths });
}

#[test]
fn empty_directories_beyond_those_that_are_looked_into_are_listed() {
    const FOLDERS: usize = 10_200;
    let place = Place::new();
    place.write("a/.git/info/exclude", "ignored\n");
    for number in 0..FOLDERS {
        files::make_dir(&place.path(&format!("a/many/{number:05}")));
    }
    for number in 0..100 {
        files::make_dir(&place.path(&format!("a/many/{number:05}/ignored")));
    }
    place.write("a/many/00007/file.txt", "a file\n");
    for folder in ["first", "other"] {
        place.write(&format!("a/aside/{folder}/deep/file.txt"), "a file\n");
        place.folder(&format!("a/aside/{folder}/deep/nothing/here"));
        place.folder(&format!("a/aside/{folder}/deep/ignored"));
    }

    let state = Observer::new(&place, "a").capture().state;

    let is_empty = |node: &&Node| **node == Node::EmptyDirectory;
    let empty = state.tree.values().filter(is_empty).count();
    let listed = state.omitted.values().filter(|omission| omission.why == Why::TooMany).count();
    assert!(listed > 100, "{listed}");
    // One folder has the file; of those above ignored ones, some were looked into.
    let all = empty + listed;
    assert!((FOLDERS - 100..FOLDERS + 2).contains(&all), "{empty} and {listed}");
    for folder in ["first", "other"] {
        let deep = path(&format!("aside/{folder}/deep"));
        let named =
            ["nothing", "nothing/here"].map(|name| path(&format!("{}/{name}", deep.shown())));
        let is_named = |path: &RepoPath| {
            let tree = state.tree.get(path) == Some(&Node::EmptyDirectory);
            tree || state.omitted.get(path).is_some_and(|found| found.why == Why::TooMany)
        };
        assert!(named.iter().any(is_named), "{folder}");
        assert!(state.tree.contains_key(&path(&format!("{}/file.txt", deep.shown()))), "{folder}");
        assert!(!state.omitted.contains_key(&deep), "its file is captured");
    }
    assert!(state.tree.contains_key(&path("many/00007/file.txt")));
}

/// A commit on `main` of clone `a` with one blob of so many bytes under so many names.
fn commit_copies(place: &Place, size: usize, count: usize) {
    let mut stream = b"feature done\nblob\nmark :1\n".to_vec();
    stream.extend(format!("data {size}\n").bytes());
    stream.resize(stream.len() + size, 0);
    stream.extend(
        b"\ncommit refs/heads/main\ncommitter Ada <ada@example.invalid> 1700000000 +0000\n",
    );
    stream.extend(b"data 6\ncopies\nfrom refs/heads/main^0\n");
    for number in 0..count {
        stream.extend(format!("M 100644 :1 copies/{number:06}\n").bytes());
    }
    stream.extend(b"done\n");
    place.feed("a", &["fast-import", "--quiet"], &stream).ok();
}

/// A code log whose only commit, above what the remote has, has one blob under many names.
fn log_of_copies(place: &Place, size: usize, count: usize) -> Opened {
    commit_copies(place, size, count);
    let commit: Oid = place.run("a", &["rev-parse", "refs/heads/main"]).parse().unwrap();
    let wanted = format!("{commit}\n^origin/main\n");
    let args = ["pack-objects", "--stdout", "--revs", "-q"];
    let pack = place.feed("a", &args, wanted.as_bytes()).ok().stdout;
    let of_pack = Pack { start: 0, length: pack.len() as u64, tips: vec![commit] };
    let head = Head { branch: Some("main".to_owned()), commit: Some(commit) };
    let state = State { head, packs: vec![of_pack], ..State::default() };
    let log = [pack, code::write(&state)].concat();
    assert!(log.len() < 300_000, "{}", log.len());
    files::write(&place.path("log"), log);
    Opened::read(&place.path("log")).unwrap()
}

#[test]
fn a_small_log_does_not_unfold_to_more_than_may_come_in() {
    for (size, count) in [(1 << 20, 101), (1, 10_001)] {
        let place = Place::new();
        let opened = log_of_copies(&place, size, count);
        let b = Device::new(&place, "b");
        let before = look(&place, "b");

        let error = b.restore(&opened, false).unwrap_err();

        let limit = b.limits.total;
        let refusal = Refusal::TooLarge { size: (size * count) as u64, files: count, limit };
        assert!(matches!(&error, CheckoutError::Refused(found) if *found == refusal), "{error:?}");
        assert_eq!(look(&place, "b"), before);
    }
}

/// The first device may be off when the second one refuses.
#[test]
fn what_would_be_refused_on_another_device_is_not_saved_and_what_is_saved_arrives() {
    for (size, count, is_saved) in
        [(1 << 20, 4, false), (1, 101, false), (1, 100, true), (1 << 20, 3, true)]
    {
        let place = Place::new();
        commit_copies(&place, size, count);
        place.git("a", &["reset", "-q", "--hard"]);
        let [mut a, mut b] = ["a", "b"].map(|clone| Device::new(&place, clone));
        for device in [&mut a, &mut b] {
            device.limits = Limits { total: (3 << 20) + 1000, files: 100, ..device.limits };
        }

        let saved = a.try_save(&place.path("log"));

        if !is_saved {
            let withheld = saved.unwrap_err();
            let is_told = match &withheld {
                Withheld::CommitsTooLarge { size: found, .. } => *found == (size * count) as u64,
                Withheld::TooManyFiles { files, .. } => *files == count,
                _ => false,
            };
            assert!(is_told, "{withheld:?}");
            assert!(withheld.hint().unwrap().starts_with("push the commits, or raise"));
            continue;
        }
        b.restore(&saved.unwrap(), false).unwrap();
        assert_eq!(look(&place, "b").tree, look(&place, "a").tree);
    }
}

/// What compresses well is small in a pack.
#[test]
fn commits_and_staged_files_count_as_what_they_unfold_to() {
    let place = Place::new();
    let mut a = Device::new(&place, "a");
    a.limits.total = 3 << 20;
    for number in 0..4_u8 {
        place.write(&format!("a/{number}.raw"), vec![number; 1 << 20]);
    }
    place.git("a", &["add", "."]);
    let omitted = a.save(&place.path("log")).state.omitted;
    assert_eq!(omitted.len(), 1, "{omitted:?}");
    place.git("a", &["commit", "-q", "-m", "large"]);
    let withheld = a.try_save(&place.path("log")).unwrap_err();
    assert!(matches!(withheld, Withheld::CommitsTooLarge { .. }), "{withheld:?}");
    // What the remote has is not counted, wherever it stands.
    place.git("a", &["push", "-q"]);
    place.folder("a/all");
    for number in 0..4_u8 {
        place.git("a", &["mv", &format!("{number}.raw"), "all"]);
    }
    place.git("a", &["commit", "-q", "-m", "moved"]);
    let opened = a.save(&place.path("log"));
    let mut b = Device::new(&place, "b");
    b.limits.total = 3 << 20;
    b.restore(&opened, false).unwrap();
    assert_eq!(look(&place, "b").tree, look(&place, "a").tree);
}

#[test]
fn staged_entries_do_not_unfold_a_blob_of_the_clone_without_end() {
    let place = Place::new();
    place.write("b/zeros", vec![0; 1 << 20]);
    place.git("b", &["add", "."]);
    place.git("b", &["commit", "-q", "-m", "zeros"]);
    place.git("b", &["push", "-q"]);
    let id = place.run("b", &["rev-parse", "HEAD:zeros"]).parse().unwrap();
    let commit = place.run("b", &["rev-parse", "HEAD"]).parse().ok();
    let entry = |number: usize| IndexEntry {
        path: path(&format!("copies/{number:03}")),
        stage: 0,
        entry: Some((Mode::File, id)),
        flags: code::Flags::default(),
    };
    let head = Head { branch: Some("main".to_owned()), commit };
    let state = State { head, index: (0..300).map(entry).collect(), ..State::default() };
    let log = place.path("log");
    files::write(&log, code::write(&state));
    let b = Device::new(&place, "b");

    let error = b.restore(&Opened::read(&log).unwrap(), false).unwrap_err();

    assert!(matches!(error, CheckoutError::Refused(Refusal::TooLarge { .. })), "{error:?}");
}

#[test]
fn files_that_make_programs_run_from_behind_a_link_are_named_with_the_link() {
    let place = Place::new();
    place.link("a/.claude", "conf");
    place.write("a/conf/settings.json", "{}\n");
    place.write("a/config/innocent.txt", "x\n");
    place.folder("a/app");
    place.link("a/app/.vscode", ".././app/first");
    place.link("a/app/first", "../second");
    place.write("a/second/tasks.json", "{}\n");
    place.link("a/outside.txt", "/etc/hosts");
    place.link("a/.mcp.json", "../../elsewhere");
    place.git("a", &["add", ".claude", "app/first"]);
    place.git("a", &["commit", "-q", "-m", "links"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));

    let prepared = b.restoring(&opened, false).plan().unwrap();

    let expected =
        [".claude", ".mcp.json", "app/.vscode", "conf/settings.json", "second/tasks.json"];
    assert_eq!(prepared.outlook().programs, expected);
}

#[test]
fn a_path_of_more_folders_than_anyone_makes_is_listed_and_not_taken() {
    let place = Place::new();
    let deep = |levels: usize| ["d/".repeat(levels), "file.txt".to_owned()].concat();
    place.write("a/fine.txt", "fine\n");
    place.write(&format!("a/{}", deep(255)), "fine too\n");
    place.write(&format!("a/{}", deep(300)), "too deep\n");

    let state = Observer::new(&place, "a").capture().state;

    assert!(state.tree.contains_key(&path(&deep(255))), "as many as may be");
    let omitted: Vec<_> = state.omitted.iter().collect();
    assert_eq!(omitted.len(), 1, "{omitted:?}");
    let (shown, omission) = omitted[0];
    assert!(omission.why == Why::BadName && shown.shown().starts_with("d/d/"), "{omitted:?}");
}

#[test]
fn a_file_that_this_clone_does_not_check_out_stays_so_when_it_changed_there() {
    let place = Place::new();
    place.git("b", &["sparse-checkout", "set", "src"]);
    place.write("a/old/gone.txt", lines(7));
    place.write("a/src/lib.txt", "changed\n");
    place.git("a", &["commit", "-q", "-am", "both"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let before = look(&place, "b");
    let opened = a.save(&place.path("log"));

    let report = b.restore(&opened, false).unwrap();

    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!(report.outlook.written, 1);
    assert!(!place.path("b/old").exists());
    assert_eq!(place.run("b", &["ls-files", "-t", "old/gone.txt"]), "S old/gone.txt");
    assert_eq!(place.run("b", &["status", "--porcelain"]), "");
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

/// What a commit brings, git would not check out there either; what somebody works on is there to go on with.
#[test]
fn of_new_files_outside_of_what_this_clone_checks_out_committed_ones_stay_out_and_others_come() {
    let place = Place::new();
    place.git("b", &["sparse-checkout", "set", "src"]);
    place.write("a/far/committed.txt", "committed\n");
    place.write("a/far/edited.txt", "committed\n");
    place.write("a/src/near.txt", "committed\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "new files"]);
    place.write("a/far/edited.txt", "edited since\n");
    place.write("a/far/staged.txt", "staged\n");
    place.git("a", &["add", "far/staged.txt"]);
    place.write("a/far/untracked.txt", "untracked\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let (before, wanted) = (look(&place, "b"), look(&place, "a"));
    let opened = a.save(&place.path("log"));

    let report = b.restore(&opened, false).unwrap();

    assert_eq!(report.differences, Vec::<String>::new());
    assert!(!place.path("b/far/committed.txt").exists());
    assert_eq!(place.run("b", &["ls-files", "-t", "far/committed.txt"]), "S far/committed.txt");
    for name in ["far/edited.txt", "far/staged.txt", "far/untracked.txt", "src/near.txt"] {
        assert_eq!(place.read(&format!("b/{name}")), place.read(&format!("a/{name}")), "{name}");
    }
    let restored = look(&place, "b");
    assert_eq!((&restored.status, &restored.diff), (&wanted.status, &wanted.diff));
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), restored);
}

#[test]
fn a_submodule_that_the_code_has_elsewhere_is_left_alone_and_named() {
    let place = Place::new();
    with_submodule(&place);
    place.git("a/lib/module", &["checkout", "-q", "HEAD~1"]);
    place.git("a", &["commit", "-q", "-am", "an older module"]);
    let there = place.run("b/lib/module", &["rev-parse", "HEAD"]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));

    let report = b.restore(&a.save(&place.path("log")), false).unwrap();

    assert_eq!((report.behind, report.outlook.submodules), (vec!["lib/module".to_owned()], vec![]));
    assert_eq!(place.run("b/lib/module", &["rev-parse", "HEAD"]), there);
    let report = b.undo().unwrap();
    assert_eq!(report.behind, Vec::<String>::new());
}
