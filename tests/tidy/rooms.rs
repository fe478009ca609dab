//! A room imports only rooms that stand above it in its package's `lib.rs`.

use crate::tree::{assert_none, read, sources, without_comments};

/// The packages whose rooms have an order.
const ORDERED: [&str; 3] = ["core/src/", "daemon/src/", "ctl/src/"];

/// Files that are above the rooms.
const ROOFS: [&str; 2] = ["lib", "main"];

/// Returns the rooms in the order of `lib.rs`.
fn rooms(lib: &str) -> Vec<String> {
    let room = |line: &str| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
    };
    lib.lines().filter_map(room).collect()
}

/// Returns the first names of every path that begins at the crate, in a file `depth` modules deep.
fn names_from_the_crate(source: &str, depth: usize) -> Vec<String> {
    let code = without_comments(source);
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let (before, mut rest) = code.split_at(at);
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let mut ups = 0;
        while let Some(above) = rest.strip_prefix("super::") {
            (rest, ups) = (above, ups + 1);
        }
        let from_the_crate = rest.strip_prefix("crate::").or((ups >= depth).then_some(rest));
        names.extend(from_the_crate.map(first_names).unwrap_or_default());
    }
    names
}

/// Returns `a` of `a::b`, and `a`, `c` of `{a::b, c::{d, e}}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let Some(group) = path.trim_start().strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut depth, mut item) = (Vec::new(), 0, String::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.push(name(&std::mem::take(&mut item))),
            _ => item.push(c),
        }
        depth += i32::from(c == '{') - i32::from(c == '}');
    }
    names.push(name(&item));
    names
}

/// Returns which later rooms the file of `room` reaches for.
fn later_rooms(rooms: &[String], room: &str, source: &str, depth: usize) -> Vec<String> {
    let Some(here) = rooms.iter().position(|name| name == room) else { return Vec::new() };
    let is_later = |name: &String| {
        rooms.iter().position(|room| room == name).is_some_and(|there| there > here)
    };
    names_from_the_crate(source, depth).into_iter().filter(is_later).collect()
}

/// Returns the modules of the package in `folder`, as paths without their ending, with their texts.
fn modules(folder: &str) -> Vec<(String, String)> {
    let module = |(path, text): (String, String)| {
        Some((path.strip_prefix(folder)?.strip_suffix(".rs")?.to_owned(), text))
    };
    sources().into_iter().filter_map(module).collect()
}

fn check_rooms_in(folder: &str) {
    let rooms = rooms(&read(&format!("{folder}lib.rs")));
    assert!(rooms.len() > 1, "{folder}lib.rs lists rooms");
    let mut wrong = Vec::new();
    for (module, text) in modules(folder) {
        let names: Vec<&str> = module.split('/').collect();
        wrong.extend(
            later_rooms(&rooms, names[0], &text, names.len())
                .iter()
                .map(|later| format!("{folder}{module}.rs uses `{later}`, a later room")),
        );
    }
    assert_none(&format!("rooms may use only rooms above them in {folder}lib.rs"), &wrong);
}

#[test]
fn a_room_imports_only_rooms_above_it() {
    ORDERED.into_iter().for_each(check_rooms_in);
}

#[test]
fn every_file_belongs_to_a_room() {
    for folder in ORDERED {
        let rooms = rooms(&read(&format!("{folder}lib.rs")));
        let is_homeless = |module: &String| {
            let room = module.split('/').next().unwrap_or_default();
            !ROOFS.contains(&room) && !rooms.iter().any(|name| name == room)
        };
        let found: Vec<String> =
            modules(folder).into_iter().map(|(module, _)| module).filter(is_homeless).collect();
        assert_none(&format!("no room in {folder}lib.rs holds these"), &found);
    }
}

#[test]
fn core_has_no_runtime_and_no_watcher() {
    let manifest = read("core/Cargo.toml");
    let found: Vec<String> = ["tokio", "notify", "interprocess", "clap"]
        .iter()
        .filter(|name| manifest.contains(**name))
        .map(|name| (*name).to_owned())
        .collect();
    assert_none("core stays synchronous and without I/O of the edge", &found);
}

#[test]
fn client_and_daemon_do_not_know_each_other() {
    assert!(
        !read("ctl/Cargo.toml").contains("convosyncd.workspace"),
        "the client reaches the daemon only through the socket"
    );
    assert!(
        !read("daemon/Cargo.toml").contains("convosyncctl.workspace"),
        "the daemon knows no client"
    );
}

/// What changes a repository of the user's is called where the architecture says so, and nowhere else.
#[test]
fn the_daemon_commits_in_one_place_only() {
    let uses = |word: &str| -> Vec<String> {
        let sources = sources().into_iter().filter(|(path, _)| path.starts_with("daemon/src/"));
        let using = sources.filter(|(_, text)| without_comments(text).contains(word));
        using.map(|(path, _)| path).collect()
    };
    assert_eq!(uses("core::commit"), ["daemon/src/autosave.rs"]);
    assert_eq!(uses("core::checkout"), Vec::<String>::new());
    for word in ["as_user", "run_alone"] {
        assert_eq!(uses(word), Vec::<String>::new(), "{word}: only through core::commit");
    }
}

fn check_later(source: &str, depth: usize, later: &[&str]) {
    let rooms = ["id", "disk", "seal", "store"].map(str::to_owned);
    assert_eq!(later_rooms(&rooms, "disk", source, depth), later, "{source}");
}

#[test]
fn later_rooms_are_found_however_they_are_imported() {
    check_later("use crate::id::Digest;", 1, &[]);
    check_later("use crate::seal::Sealed;", 1, &["seal"]);
    check_later("use crate::{id, disk, store::{Store, seal}};", 1, &["store"]);
    check_later("use crate::{\n    id,\n    seal,\n};", 1, &["seal"]);
    check_later("fn f(x: &crate::store::Store) {}", 1, &["store"]);
    check_later("use super::seal;", 1, &["seal"]);
    check_later("use super::seal;", 2, &[]);
    check_later("use super::super::seal;", 2, &["seal"]);
    check_later("//! See [`crate::store`].\nuse other_crate::seal;", 1, &[]);
}
