//! The project's files, as the tidy tests read them.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours.
const NOT_OURS: [&str; 4] = ["target", "node_modules", ".git", ".demo"];

/// Returns the project's top folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the project").to_owned()
}

/// Reads a text file by its path in the project.
#[track_caller]
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// Returns every file and folder of the project, relative to its top, sorted.
pub(crate) fn entries() -> Vec<PathBuf> {
    let mut found = Vec::new();
    enter(&root(), Path::new(""), &mut found);
    found.sort();
    found
}

/// Returns every Rust source with its text.
pub(crate) fn sources() -> Vec<(String, String)> {
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let text = |path: PathBuf| {
        let path = path.to_string_lossy().into_owned();
        (path.clone(), read(&path))
    };
    entries().into_iter().filter(is_source).map(text).collect()
}

/// Returns a source without its comments, so that words in them do not count.
pub(crate) fn without_comments(source: &str) -> String {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    source.lines().map(code).collect::<Vec<_>>().join("\n")
}

/// Panics with a list unless it is empty.
#[track_caller]
pub(crate) fn assert_none(complaint: &str, found: &[String]) {
    assert!(found.is_empty(), "{complaint}:\n  {}", found.join("\n  "));
}

fn enter(root: &Path, relative: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(relative)).expect("the project can be listed").flatten() {
        let name = entry.file_name();
        if NOT_OURS.iter().any(|other| name == *other) {
            continue;
        }
        let path = relative.join(name);
        found.push(path.clone());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            enter(root, &path, found);
        }
    }
}
