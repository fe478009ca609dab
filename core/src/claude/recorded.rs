//! Where and when a transcript began, read from as little of it as possible.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::line::{Lines, objects, string, text_of, time_ms};
use crate::disk;

/// How far into a transcript its beginning is looked for: beyond many pasted images.
const SEARCH_MAX: u64 = 64 << 20;
/// How much of a transcript's end is looked at for when it ended: many lines, however long most of them are.
const END_MAX: u64 = 4 << 20;
/// How much is read at once: most transcripts name where and when they began within it.
const BLOCK: usize = 64 << 10;

/// Returns the first working directory a transcript names.
pub fn recorded_cwd(path: &Path) -> Option<PathBuf> {
    first_in(path, &cwd_in)
}

/// Returns the first time a transcript names, in Unix milliseconds.
pub fn recorded_ms(path: &Path) -> Option<i64> {
    first_in(path, &ms_in)
}

/// Returns the latest time that the end of a transcript names, in Unix milliseconds.
pub fn recorded_last_ms(path: &Path) -> Option<i64> {
    let (bytes, _) = disk::read_end(&mut disk::open_regular(path).ok()?, END_MAX).ok()?;
    bytes.split(|byte| *byte == b'\n').filter_map(ms_in).max()
}

fn first_in<T>(path: &Path, read: &dyn Fn(&[u8]) -> Option<T>) -> Option<T> {
    let mut file = disk::open_regular(path).ok()?.take(SEARCH_MAX);
    let (mut lines, mut found, mut block) = (Lines::default(), None, vec![0; BLOCK]);
    while found.is_none() {
        let count = file.read(&mut block).ok().filter(|count| *count > 0)?;
        lines.push(&block[..count], &mut |line| {
            if found.is_none() {
                found = line.and_then(read);
            }
        });
    }
    found
}

fn cwd_in(line: &[u8]) -> Option<PathBuf> {
    let text = text_of(line);
    let named = |[cwd]: &[Option<&serde_json::value::RawValue>; 1]| cwd.and_then(string);
    objects(&text, &["cwd"])
        .values
        .iter()
        .find_map(named)
        .filter(|cwd| !cwd.is_empty())
        .map(PathBuf::from)
}

fn ms_in(line: &[u8]) -> Option<i64> {
    let text = text_of(line);
    let found = objects(&text, &["timestamp"]);
    found.values.iter().find_map(|[at]| at.and_then(time_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_cwd(content: &[u8], expected: Option<&str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        disk::write_atomic(&path, content).unwrap();
        assert_eq!(recorded_cwd(&path), expected.map(PathBuf::from));
    }

    #[test]
    fn the_first_recorded_directory_is_found_behind_damage_and_other_lines() {
        check_cwd(b"", None);
        check_cwd(b"{\"cwd\":\"/a\"}\n{\"cwd\":\"/b\"}\n", Some("/a"));
        check_cwd(b"\0\0\n{\"type\":\"summary\"}\n{\"x\":{\"cwd\":\"/no\"}}\n{\"cwd\":\"\"}\n{\"cwd\":\"/b\"}\n", Some("/b"));
        check_cwd(b"{\"cwd\":\"/torn\"}", None);
        let mut long = vec![b'x'; 9 << 20];
        long.extend_from_slice(b"\n{\"cwd\":\"/a\"}\n");
        check_cwd(&long, Some("/a"));
    }

    #[test]
    fn the_first_recorded_time_is_found_behind_lines_without_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let lines = "{\"type\":\"summary\"}\n{\"timestamp\":\"no\"}\n{\"timestamp\":\"1970-01-01T00:00:01.5Z\"}\n{\"timestamp\":9}\n";
        disk::write_atomic(&path, lines.as_bytes()).unwrap();
        assert_eq!(recorded_ms(&path), Some(1_500));
        assert_eq!(recorded_ms(dir.path()), None);
    }

    #[test]
    fn the_latest_time_is_found_in_the_end_before_lines_without_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let before = "{\"timestamp\":\"1970-01-01T00:00:09Z\"}\n";
        let long = "x".repeat(END_MAX as usize);
        let end = "{\"timestamp\":\"1970-01-01T00:00:03Z\"}\n{\"timestamp\":\"1970-01-01T00:00:02Z\"}\n{\"type\":\"summary\"}\n";
        disk::write_atomic(&path, format!("{before}{end}").as_bytes()).unwrap();
        assert_eq!(recorded_last_ms(&path), Some(9_000));
        disk::write_atomic(&path, format!("{before}{long}\n{end}").as_bytes()).unwrap();
        assert_eq!(recorded_last_ms(&path), Some(3_000));
        disk::write_atomic(&path, long.as_bytes()).unwrap();
        assert_eq!((recorded_last_ms(&path), recorded_last_ms(dir.path())), (None, None));
    }

    #[test]
    fn what_is_not_a_file_has_none() {
        assert_eq!(recorded_cwd(Path::new("/nowhere/at/all")), None);
        assert_eq!(recorded_cwd(Path::new("/")), None);
    }
}
