//! Names and sizes of files, and what stands at their beginning.

use std::path::Path;

use crate::tree::{assert_none, entries, read, root, sources};

/// A file has one job; a longer one has two. Its tests do not count.
const LINES_MAX: usize = 500;

/// Names that say nothing about what lies behind them.
const SAYS_NOTHING: [&str; 8] =
    ["util", "utils", "manager", "helper", "helpers", "handler", "handlers", "common"];

/// Endings of files that are text.
const TEXT: [&str; 9] = ["rs", "toml", "md", "json", "service", "plist", "sh", "yml", "txt"];

/// Returns how many lines a source has before its tests.
fn lines_without_tests(source: &str) -> usize {
    let lines: Vec<&str> = source.lines().collect();
    let begins = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    begins.unwrap_or(lines.len())
}

#[test]
fn every_source_begins_with_its_job() {
    let found: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert_none("the first line is `//! ` and the file's job", &found);
}

#[test]
fn no_source_is_longer_than_one_job() {
    let is_test = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
    let length = |(path, text): (String, String)| (lines_without_tests(&text), path);
    let too_long = |(lines, path): &(usize, String)| *lines >= LINES_MAX && !is_test(path);
    let found: Vec<String> = sources()
        .into_iter()
        .map(length)
        .filter(too_long)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert_none("split these into `foo.rs` and `foo/bar.rs`", &found);
}

#[test]
fn lines_of_tests_do_not_count() {
    assert_eq!(lines_without_tests("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
    assert_eq!(lines_without_tests("a\n#[cfg(test)]\nmod tests;\nb\n"), 4);
}

#[test]
fn names_say_what_lies_behind_them() {
    let says_nothing = |path: &&std::path::PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        stem.split(['_', '-']).any(|word| SAYS_NOTHING.contains(&word))
    };
    let found: Vec<String> =
        entries().iter().filter(says_nothing).map(|path| path.display().to_string()).collect();
    assert_none("name these after what they are for", &found);
}

#[test]
fn a_module_with_children_is_foo_rs_beside_foo() {
    let found: Vec<String> = entries()
        .iter()
        .filter(|path| path.ends_with("mod.rs"))
        .map(|path| path.display().to_string())
        .collect();
    assert_none("no mod.rs", &found);
}

#[test]
fn nothing_names_a_folder_of_the_machine_it_was_written_on() {
    let home = std::env::var("HOME").unwrap_or_default();
    let own = [root().display().to_string(), home]
        .into_iter()
        .filter(|path| Path::new(path).components().count() > 2);
    let own: Vec<String> = own.collect();
    let is_text = |path: &&std::path::PathBuf| {
        path.extension().is_some_and(|ending| TEXT.iter().any(|text| ending == *text))
    };
    let names_one = |path: &&std::path::PathBuf| {
        let text = read(&path.to_string_lossy());
        own.iter().any(|own| text.contains(own.as_str()))
    };
    let found: Vec<String> = entries()
        .iter()
        .filter(is_text)
        .filter(names_one)
        .map(|path| path.display().to_string())
        .collect();
    assert_none("these name a folder of this machine", &found);
}

#[test]
fn a_lint_is_expected_with_a_reason_and_never_allowed() {
    let wrong = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("#[allow(")
            || line.starts_with("#![allow(")
            || (line.starts_with("#[expect(") && line.ends_with(")]") && !line.contains("reason"))
    };
    let mut found = Vec::new();
    for (path, text) in sources() {
        found.extend(text.lines().filter(wrong).map(|line| format!("{path}: {}", line.trim())));
    }
    assert_none("use `#[expect(lint, reason = \"…\")]`", &found);
}

#[test]
fn tests_wait_for_events_and_do_not_sleep() {
    // Put together so that this file does not find itself.
    let naps = [concat!("thread::", "sleep("), concat!("time::", "sleep(")];
    let in_tests = |path: &str| {
        path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
    };
    let mut found = Vec::new();
    for (path, text) in sources() {
        if in_tests(&path) && naps.iter().any(|nap| text.contains(nap)) {
            found.push(path);
        }
    }
    assert_none("wait with a deadline instead: `support::eventually`", &found);
}
