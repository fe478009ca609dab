//! Work trees of many files, and files of many bytes.

use convosync_tests::files;

use super::alone::is_in_memory;
use super::look::look;
use super::states::Place;
use super::trip::Device;

/// How many files the large work tree has.
const FILES: usize = 50_000;

/// A commit that adds so many files to the remote's branch, in git's language for imports.
fn import(place: &Place, range: std::ops::Range<usize>) {
    let mut stream = String::from("feature done\ncommit refs/heads/main\n");
    stream.push_str("committer Ada <ada@example.invalid> 1700000000 +0000\ndata 5\nmany\n");
    stream.push_str("from refs/heads/main^0\n");
    for number in range {
        let text = format!("file {number}\n");
        let (folder, file) = (number / 100, number % 100);
        stream.push_str(&format!("M 100644 inline {folder}/{file}.txt\n"));
        stream.push_str(&format!("data {}\n{text}", text.len()));
    }
    stream.push_str("done\n");
    place.feed("remote.git", &["fast-import", "--quiet"], stream.as_bytes()).ok();
}

#[test]
fn a_work_tree_of_fifty_thousand_files_arrives_and_is_taken_back() {
    if !is_in_memory("sizes::a_work_tree_of_fifty_thousand_files_arrives_and_is_taken_back") {
        return;
    }
    let place = Place::new();
    import(&place, 0..FILES / 2);
    place.git("b", &["pull", "-q"]);
    import(&place, FILES / 2..FILES);
    place.git("a", &["pull", "-q"]);
    for number in 0..500 {
        place.write(&format!("a/{number}/1.txt"), format!("edited {number}\n"));
        place.write(&format!("a/{number}/new.txt"), format!("new {number}\n"));
        place.remove(&format!("a/{number}/2.txt"));
    }
    place.git("a", &["add", "400"]);
    place.write("b/7/7.txt", "mine\n");
    place.write("b/mine.txt", "mine too\n");
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let (wanted, before) = (look(&place, "a"), look(&place, "b"));
    assert!(wanted.tree.len() > FILES);

    let opened = a.save(&place.path("log"));
    let report = b.restore(&opened, true).unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
    assert!(look(&place, "b") == wanted, "every file is what it is there");
    let report = b.undo().unwrap();

    assert_eq!(report.differences, Vec::<String>::new());
    assert!(look(&place, "b") == before, "every file is what it was");
}

/// Bytes that no compression makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = 7_u64;
    let next = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed.to_be_bytes()
    };
    (0..length.div_ceil(8)).flat_map(next).take(length).collect()
}

#[test]
fn a_file_of_a_hundred_megabytes_arrives_and_is_taken_back() {
    if !is_in_memory("sizes::a_file_of_a_hundred_megabytes_arrives_and_is_taken_back") {
        return;
    }
    let place = Place::new();
    let bytes = noise(100 << 20);
    files::write(&place.path("a/large.bin"), &bytes);
    place.write("b/large.bin", "a small one here\n");
    let (mut a, mut b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    for device in [&mut a, &mut b] {
        device.limits.file = 200 << 20;
        device.limits.total = 300 << 20;
    }
    let before = look(&place, "b");

    let opened = a.save(&place.path("log"));
    let report = b.restore(&opened, true).unwrap();
    assert_eq!(report.differences, Vec::<String>::new());
    assert!(place.read("b/large.bin") == bytes, "every byte is what it is there");
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
    b.undo().unwrap();
    assert!(place.read("b/large.bin") == bytes, "and is there again");
}
