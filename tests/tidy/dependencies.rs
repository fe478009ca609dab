//! Dependencies: each has its reason, and somebody lists it.

use toml::{Table, Value};

use crate::tree::{assert_none, read};

const MEMBERS: [&str; 5] = ["core", "daemon", "ctl", "tests", "xtask"];

/// Sections of a manifest that list dependencies.
const SECTIONS: [&str; 4] =
    ["dependencies", "dev-dependencies", "build-dependencies", "workspace.dependencies"];

fn manifest(member: &str) -> Table {
    read(&format!("{member}/Cargo.toml")).parse().expect("Cargo reads it too")
}

/// Returns the lines that list dependencies, without comments of their own.
fn dependency_lines(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            inside = SECTIONS.contains(&section.trim_end_matches(']'));
        } else if inside && !line.trim().is_empty() && !line.starts_with('#') {
            lines.push(line);
        }
    }
    lines
}

fn has_reason(line: &str) -> bool {
    const WORDS_MIN: usize = 2;
    line.ends_with(".workspace = true")
        || line
            .split_once(" # ")
            .is_some_and(|(_, why)| why.split_whitespace().count() >= WORDS_MIN)
}

/// Returns the names a member lists in `section`.
fn listed(manifest: &Table, section: &str) -> Vec<String> {
    manifest
        .get(section)
        .and_then(Value::as_table)
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let manifests = MEMBERS
        .iter()
        .map(|member| format!("{member}/Cargo.toml"))
        .chain(["Cargo.toml".to_owned()]);
    let mut found = Vec::new();
    for path in manifests {
        let text = read(&path);
        found.extend(
            dependency_lines(&text)
                .into_iter()
                .filter(|line| !has_reason(line))
                .map(|line| format!("{path}: {line}")),
        );
    }
    assert_none("write the reason behind ` # `", &found);
}

#[test]
fn a_reason_is_more_than_a_word() {
    assert!(has_reason("serde.workspace = true"));
    assert!(has_reason("serde = \"1\" # configuration and protocol"));
    assert!(!has_reason("serde = \"1\" # json"));
    assert!(!has_reason("serde = \"1\""));
}

#[test]
fn every_shared_dependency_is_listed_by_a_member() {
    let root: Table = read("Cargo.toml").parse().expect("Cargo reads it too");
    let shared = root["workspace"]["dependencies"]
        .as_table()
        .expect("the workspace lists its dependencies")
        .clone();
    let manifests = MEMBERS.map(manifest);
    let used = |name: &String| {
        manifests
            .iter()
            .any(|manifest| SECTIONS.iter().any(|section| listed(manifest, section).contains(name)))
    };
    let found: Vec<String> = shared.keys().filter(|name| !used(name)).cloned().collect();
    assert_none("no member lists these", &found);
}
