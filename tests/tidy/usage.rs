//! Packages are there to be used: everything a member lists, and the owner's ten above all.

use toml::{Table, Value};

use crate::tree::{assert_none, read, sources, without_comments};

/// Members whose programs people run.
const PRODUCT: [&str; 3] = ["core", "daemon", "ctl"];

/// What the owner of the project names, each to be used for what it is for.
const OWNERS: [&str; 10] = [
    "notify",
    "tokio",
    "interprocess",
    "git2",
    "serde",
    "toml",
    "directories",
    "tracing",
    "tracing-subscriber",
    "flate2",
];

/// Returns the code of one member, comments left out.
fn code_of(member: &str) -> String {
    let ours = |path: &str| path.starts_with(&format!("{member}/"));
    sources()
        .into_iter()
        .filter(|(path, _)| ours(path))
        .map(|(_, text)| without_comments(&text))
        .collect()
}

/// Whether `code` uses the package `name`: by path, by import, or by a renaming of it.
fn uses(code: &str, name: &str) -> bool {
    let name = name.replace('-', "_");
    code.match_indices(&name).any(|(at, _)| {
        let is_word_before =
            code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        let after = code[at + name.len()..].trim_start();
        let is_import =
            code[..at].ends_with("use ") && (after.starts_with(';') || after.starts_with("as "));
        !is_word_before && (after.starts_with("::") || is_import)
    })
}

#[test]
fn each_of_the_owners_packages_is_used() {
    let code: String = PRODUCT.map(code_of).concat();
    let found: Vec<String> =
        OWNERS.iter().filter(|name| !uses(&code, name)).map(|name| (*name).to_owned()).collect();
    assert_none("the owner named these for a purpose", &found);
}

#[test]
fn every_package_a_member_lists_is_used_by_it() {
    let mut found = Vec::new();
    for member in ["core", "daemon", "ctl", "tests", "xtask"] {
        let manifest: Table =
            read(&format!("{member}/Cargo.toml")).parse().expect("Cargo reads it too");
        let code = code_of(member);
        for section in ["dependencies", "dev-dependencies"] {
            let names = manifest
                .get(section)
                .and_then(Value::as_table)
                .map(|table| table.keys().cloned().collect::<Vec<_>>());
            found.extend(
                names
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|name| !uses(&code, name))
                    .map(|name| format!("{member}: {name}")),
            );
        }
    }
    assert_none("list only what is used", &found);
}

#[test]
fn a_use_is_a_path_or_an_import_and_no_mere_word() {
    assert!(uses("let x = serde_json::json!(1);", "serde-json"));
    assert!(uses("use age;\n", "age"));
    assert!(uses("use rustix as system;\n", "rustix"));
    assert!(!uses("let message = toml;", "toml"));
    assert!(!uses("crate::storage::f()", "age"));
    assert!(!uses("my_toml::x()", "toml"));
}
