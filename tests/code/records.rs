//! Records of what stood in a work tree: how many are kept, and what becomes of one that is damaged.

use std::path::PathBuf;
use std::sync::Mutex;

use convosync_core::checkout::{
    self, CheckoutError, Opened, RECORDS_KEPT, Refusal, Restoring, Step, Tell,
};
use convosync_tests::files;

use super::look::look;
use super::states::Place;
use super::trip::{Device, onward};

/// The folders of the records, oldest first.
fn records(b: &Device) -> Vec<PathBuf> {
    let mut numbered: Vec<(u64, PathBuf)> = Vec::new();
    for work_tree in std::fs::read_dir(&b.records).unwrap() {
        let Ok(entries) = std::fs::read_dir(work_tree.unwrap().path()) else { continue };
        let paths = entries.map(|entry| entry.unwrap().path());
        numbered.extend(
            paths.filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path))),
        );
    }
    numbered.sort();
    numbered.into_iter().map(|(_, path)| path).collect()
}

/// Two states of one clone, each in a log of its own.
fn two_states(place: &Place, a: &Device) -> [Opened; 2] {
    ["one", "two"].map(|name| {
        place.write("a/src/lib.txt", format!("{name}\n"));
        place.write(&format!("a/{name}.txt"), name);
        a.save(&place.path(&format!("{name}.log")))
    })
}

/// After which a record counts as old.
const A_WEEK_MS: i64 = 7 * 24 * 3_600 * 1_000;

#[test]
fn the_last_ten_records_are_kept_and_an_undo_after_eleven_restores_takes_back_the_last() {
    let place = Place::new();
    place.write("b/src/main.txt", "mine\n");
    let (a, mut b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let states = two_states(&place, &a);
    let mut before = look(&place, "b");

    for turn in 0..11 {
        before = look(&place, "b");
        b.now_ms += A_WEEK_MS;
        b.restore(&states[turn % 2], true).unwrap();
        assert_ne!(look(&place, "b"), before, "{turn}");
        assert_eq!(records(&b).len(), (turn + 1).min(RECORDS_KEPT), "{turn}");
    }
    let after = look(&place, "b");

    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), after);
    assert_eq!(records(&b).len(), RECORDS_KEPT);
}

#[test]
fn the_first_of_eleven_records_is_gone_and_the_others_can_be_read() {
    let place = Place::new();
    let (a, mut b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let states = two_states(&place, &a);
    let mut gone = Vec::new();
    for turn in 0..11 {
        b.now_ms += A_WEEK_MS;
        gone.extend(b.restore(&states[turn % 2], true).unwrap().gone);
    }
    let [first] = gone.as_slice() else { panic!("{gone:?}") };
    assert!(first.record.ends_with("1") && first.bytes > 0, "{first:?}");
    assert_eq!(first.at_ms, b.now_ms - 10 * A_WEEK_MS);

    let names: Vec<String> = records(&b)
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();

    assert_eq!(names, (2..=11).map(|number| number.to_string()).collect::<Vec<_>>());
    for record in records(&b) {
        Opened::read(&record.join("log")).unwrap();
    }
}

#[test]
fn a_work_tree_whose_records_take_much_room_is_found() {
    let (place, other) = (Place::new(), Place::new());
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    assert_eq!(checkout::stored(&b.records, 0), []);
    place.write("b/large.raw", vec![7; 3 << 20]);
    b.restore(&a.save(&place.path("log")), true).unwrap();
    // A folder of something else.
    files::make_dir(&b.records.join("together"));

    let [found] = &checkout::stored(&b.records, 3 << 20)[..] else { panic!() };

    assert_eq!(found.root, b.project.root.to_str().unwrap());
    assert_eq!((found.records, found.unfinished), (1, false));
    assert_eq!(Some(&*found.folder), records(&b)[0].parent());
    assert_eq!(checkout::stored(&b.records, 1 << 30), []);
    assert_eq!(checkout::stored(&other.path("nowhere"), 0), []);
}

/// Gigabytes take minutes.
#[test]
fn whoever_waits_hears_how_much_of_what_stands_here_is_recorded() {
    const LARGE: u64 = 5 << 20;
    let place = Place::new();
    place.write("a/ignored.raw", "a's\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "not pushed"]);
    place.write("b/.git/info/exclude", "ignored.raw\n");
    place.write("b/ignored.raw", vec![8; LARGE as usize]);
    place.write("b/large.raw", vec![7; 2 * LARGE as usize]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let told = Mutex::new(Vec::new());
    let hear = |step| {
        if let Step::Record { done, total } = step {
            told.lock().unwrap().push((done, total));
        }
    };
    let restoring = b.restoring(&opened, true);
    let place_told = checkout::Place { tell: Tell(&hear), ..restoring.place };

    let prepared = Restoring { place: place_told, ..restoring }.plan().unwrap();
    let planned = std::mem::take(&mut *told.lock().unwrap());
    prepared.apply(&onward).unwrap();

    assert_eq!(planned.last(), Some(&(2 * LARGE, 2 * LARGE)), "captured");
    assert!(planned.is_sorted() && planned.len() == 10, "{planned:?}");
    assert_eq!(told.lock().unwrap().last(), Some(&(LARGE, LARGE)), "set aside");
}

/// What was set aside by the first of them may not be missed before the last.
#[test]
fn records_of_the_last_week_are_kept_however_many_there_are() {
    let place = Place::new();
    place.write("a/local", "a's\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "not pushed"]);
    place.write("b/.git/info/exclude", "local\n");
    place.write("b/local", "b's own\n");
    let (a, mut b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let states = two_states(&place, &a);
    for turn in 0..12 {
        b.now_ms += A_WEEK_MS / 100;
        b.restore(&states[turn % 2], true).unwrap();
    }
    assert_eq!(records(&b).len(), 12);
    assert_eq!(files::read(&records(&b)[0].join("aside/0")), b"b's own\n");
    b.now_ms += A_WEEK_MS;
    b.restore(&states[0], true).unwrap();
    assert_eq!(records(&b).len(), RECORDS_KEPT);
}

#[test]
fn a_record_whose_undo_brought_everything_back_goes() {
    let place = Place::new();
    place.write("a/src/lib.txt", "theirs\n");
    place.write("b/large.raw", vec![7; 3 << 20]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "b");
    b.restore(&opened, true).unwrap();
    let restored = look(&place, "b");
    for turn in 0..3 {
        b.undo().unwrap();
        assert_eq!(look(&place, "b"), before, "{turn}");
        b.undo().unwrap();
        assert_eq!(look(&place, "b"), restored, "{turn}");
        assert_eq!(records(&b).len(), 1, "{turn}");
    }
}

/// Both have a large file that does not travel: it was copied with each restore.
#[test]
fn a_large_file_that_stays_as_it_is_is_not_copied_into_the_record() {
    let place = Place::new();
    place.write("a/disk.img", vec![1; 11 << 20]);
    place.write("a/model/one.bin", vec![1; 12 << 20]);
    place.write("a/src/lib.txt", "theirs\n");
    place.write("b/disk.img", vec![2; 13 << 20]);
    place.write("b/own.img", vec![3; 11 << 20]);
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log"));
    let before = look(&place, "b");

    let report = b.restore(&opened, true).unwrap();

    assert_eq!(report.differences, Vec::<String>::new());
    let log = std::fs::metadata(records(&b)[0].join("log")).unwrap().len();
    assert!((11 << 20..12 << 20).contains(&log), "only what goes: {log}");
    assert_eq!(place.read("b/disk.img"), vec![2; 13 << 20]);
    assert!(!place.path("b/own.img").exists());
    place.write("b/disk.img", "changed after the restore\n");
    b.undo().unwrap();
    assert_eq!(place.read("b/disk.img"), b"changed after the restore\n");
    place.write("b/disk.img", vec![2; 13 << 20]);
    assert_eq!(look(&place, "b"), before);
}

#[test]
fn an_old_record_that_is_damaged_keeps_nobody_from_the_new_ones() {
    let place = Place::new();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let states = two_states(&place, &a);
    b.restore(&states[0], true).unwrap();
    let before = look(&place, "b");
    b.restore(&states[1], true).unwrap();
    files::write(&records(&b)[0].join("facts"), "{ torn");
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}

/// What can befall a record's folder.
type Damage = fn(&std::path::Path);

const DAMAGES: [(&str, Damage); 7] = [
    ("its facts are no facts", |record| files::write(&record.join("facts"), "{ torn")),
    ("its facts are empty", |record| files::write(&record.join("facts"), "")),
    ("its log is gone", |record| files::remove_file(&record.join("log"))),
    ("its log is cut", |record| {
        let length = std::fs::metadata(record.join("log")).unwrap().len();
        files::truncate(&record.join("log"), length - 5);
    }),
    ("a byte of a content is another", |record| {
        let mut bytes = files::read(&record.join("log"));
        let at = bytes.windows(4).position(|window| window == b"mine").unwrap();
        bytes[at] ^= 1;
        files::write(&record.join("log"), bytes);
    }),
    ("the log is that of somebody else", |record| files::write(&record.join("log"), [7; 4000])),
    ("what was set aside is gone", |record| files::remove_tree(&record.join("aside"))),
];

#[test]
fn a_record_that_is_damaged_is_told_and_nothing_is_changed() {
    for (name, damage) in DAMAGES {
        let place = Place::new();
        place.write("a/src/lib.txt", "theirs\n");
        place.write("a/out", "a file there\n");
        place.write("b/src/main.txt", "mine\n");
        place.write("b/.git/info/exclude", "out\n");
        place.write("b/out", "ignored here\n");
        let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
        let opened = a.save(&place.path("log"));
        b.restore(&opened, true).unwrap();
        let (after, record) = (look(&place, "b"), records(&b).pop().unwrap());

        damage(&record);
        let error = b.undo().expect_err(name);

        assert!(!matches!(error, CheckoutError::Halfway { .. }), "{name}: {error:?}");
        let is_named = matches!(&error, CheckoutError::Refused(Refusal::Damaged { record: found, .. }) if *found == record);
        assert!(is_named, "{name}: {error:?}");
        assert!(error.hint().unwrap().contains(record.to_str().unwrap()), "{name}");
        assert_eq!(look(&place, "b"), after, "{name}");
        assert!(record.exists(), "{name}");

        // Taking it away, as the hint says, opens the way for what comes next.
        files::remove_tree(&record);
        assert!(matches!(b.undo(), Err(CheckoutError::Refused(Refusal::NothingToUndo))), "{name}");
        place.write("a/src/lib.txt", "theirs again\n");
        let before = look(&place, "b");
        b.restore(&a.save(&place.path("log")), true).unwrap();
        b.undo().unwrap();
        assert_eq!(look(&place, "b"), before, "{name}");
    }
}
