//! Documents say what is true of the code.

use toml::Table;

use crate::tree::{assert_none, entries, read, root, sources};

const DOCUMENTS: [&str; 14] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE",
    "docs/commands.md",
    "docs/config.md",
    "docs/faults.md",
    "docs/format.md",
    "docs/glossary.md",
    "docs/protocol.md",
    "docs/specification.md",
    "docs/threat-model.md",
];

fn version() -> String {
    let root: Table = read("Cargo.toml").parse().expect("Cargo reads it too");
    root["workspace"]["package"]["version"].as_str().expect("a version is text").to_owned()
}

#[test]
fn the_documents_are_there() {
    let missing: Vec<String> = DOCUMENTS
        .iter()
        .filter(|path| !root().join(path).is_file())
        .map(|path| (*path).to_owned())
        .collect();
    assert_none("missing", &missing);
}

#[test]
fn the_changelog_has_this_version_below_what_is_unreleased() {
    let log = read("CHANGELOG.md");
    let unreleased = log.find("## [Unreleased]").expect("`## [Unreleased]` stands on top");
    let this = log
        .find(&format!("## [{}]", version()))
        .expect("the version of Cargo.toml has its section");
    assert!(unreleased < this);
}

#[test]
fn the_architecture_lists_every_room_in_order() {
    let text = read("ARCHITECTURE.md");
    let lib = read("core/src/lib.rs");
    let rooms = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let (mut last, mut wrong) = (0, Vec::new());
    for room in rooms {
        match text.find(&format!("\n| `{room}` |")) {
            Some(at) if at >= last => last = at,
            Some(_) => wrong.push(format!("`{room}` stands too early")),
            None => wrong.push(format!("`{room}` is missing")),
        }
    }
    assert_none("the table of rooms in ARCHITECTURE.md follows core/src/lib.rs", &wrong);
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for path in
        entries().iter().filter(|path| path.extension().is_some_and(|ending| ending == "md"))
    {
        let text = read(&path.to_string_lossy());
        let folder = root().join(path.parent().expect("a file lies in a folder"));
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let is_ours = |target: &&str| {
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
        };
        broken.extend(
            targets
                .filter(is_ours)
                .filter(|target| !folder.join(target).exists())
                .map(|target| format!("{}: {target}", path.display())),
        );
    }
    assert_none("these lead nowhere", &broken);
}

#[test]
fn every_automation_command_the_documents_name_exists() {
    let cli = read("xtask/src/main.rs");
    let mut unknown = Vec::new();
    for path in DOCUMENTS.iter().filter(|path| path.ends_with(".md")) {
        let text = read(path);
        for rest in text.split("cargo xtask ").skip(1) {
            let name: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            let variant: String = name
                .chars()
                .take(1)
                .map(|c| c.to_ascii_uppercase())
                .chain(name.chars().skip(1))
                .collect();
            if !name.is_empty() && !cli.contains(&format!("    {variant}")) {
                unknown.push(format!("{path}: cargo xtask {name}"));
            }
        }
    }
    assert_none("no such command", &unknown);
}

#[test]
fn the_readme_shows_and_checks_everything_with_one_command_each() {
    let readme = read("README.md");
    assert!(readme.contains("\n\n    cargo xtask demo\n    cargo xtask test\n\n"));
}

#[test]
fn the_example_configuration_is_toml() {
    let path = root().join("config.example.toml");
    if path.is_file() {
        read("config.example.toml").parse::<Table>().expect("people copy it");
    }
}

/// The rows of a document's tables that end with the names of tests.
fn untested(document: &str, columns: usize) -> Vec<String> {
    let is_row = |line: &&str| line.starts_with("| ") && line.ends_with("` |");
    let text = read(document);
    let rows: Vec<&str> = text.lines().filter(is_row).collect();
    assert!(rows.len() > 3, "the tables of {document} are not read any more");
    let sources = sources();
    let is_tested = |name: &str| {
        let definition = format!("fn {name}()");
        sources.iter().any(|(_, source)| source.contains(&definition))
    };
    let mut untested = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let names = cells.last().copied().unwrap_or_default().split(", ");
        let missing = names.map(|name| name.trim_matches('`')).filter(|name| !is_tested(name));
        untested.extend(missing.map(|name| format!("{}: {name}", cells[0])));
        if cells.len() != columns {
            untested.push(format!("{}: {} columns", cells[0], cells.len()));
        }
    }
    untested
}

#[test]
fn every_accident_the_documents_describe_has_its_test() {
    let untested = untested("docs/faults.md", 5);
    assert_none("docs/faults.md names tests that do not exist", &untested);
}

#[test]
fn every_sentence_of_the_specification_has_its_test() {
    let untested = untested("docs/specification.md", 3);
    assert_none("docs/specification.md names tests that do not exist", &untested);
}

#[test]
fn the_tests_that_leave_the_way_open_are_the_ones_that_run_over_all_ways() {
    let settings: Table = read(".config/nextest.toml").parse().expect("nextest reads it too");
    let filter = settings["profile"]["wires"]["default-filter"].as_str().expect("a filter is text");
    let listed = filter.split_once("/^(").and_then(|(_, rest)| rest.split_once(")::/"));
    let listed: Vec<&str> = listed.expect("it names the files").0.split('|').collect();
    let sources = sources();
    let leaves_it_open = sources.iter().filter(|(_, text)| text.contains("Way::Any"));
    // A module below another one is run with it.
    let names = leaves_it_open.filter_map(|(path, _)| {
        path.strip_prefix("tests/e2e/")?.strip_suffix(".rs")?.split('/').next()
    });
    let mut open: Vec<&str> = names.collect();
    open.sort_unstable();
    open.dedup();
    assert_eq!(listed, open, "the filter of the profile `wires` in .config/nextest.toml");
}
