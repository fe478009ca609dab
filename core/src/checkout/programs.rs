//! Files that make programs run as soon as somebody works in a folder.

use std::collections::{BTreeMap, BTreeSet};

use super::CheckoutError;
use super::facts::{Facts, Index};
use super::objects::Objects;
use super::plan::Plan;
use crate::code::{Mode, Node, RepoPath, State};
use crate::id::Oid;

/// Folders of which every file may.
const FOLDERS: [&str; 5] = [".claude/hooks", ".idea", ".husky", ".githooks", ".devcontainer"];
/// Single files, wherever they lie.
const NAMES: [&str; 4] = [".mcp.json", ".envrc", ".gitattributes", ".gitmodules"];
/// Single files in a folder of that name, wherever it lies.
const INSIDE: [(&str, &str); 4] = [
    (".claude", "settings.json"),
    (".claude", "settings.local.json"),
    (".vscode", "tasks.json"),
    (".vscode", "settings.json"),
];

/// How many links of a commit are read.
const LINKS_MAX: usize = 4096;
/// The longest target of a link in bytes: Linux's limit.
const TARGET_MAX: u64 = 4096;
/// How many ways through links are followed.
const WAYS_MAX: usize = 256;

/// Whether a file makes an agent, an editor, a shell or git run a program. Letters of either case count:
/// so they do on many disks.
pub fn runs_programs(path: &RepoPath) -> bool {
    runs(&path.shown().to_lowercase())
}

fn runs(text: &str) -> bool {
    let name = text.rsplit('/').next().unwrap_or_default();
    let is_below = |folder: &str| {
        text.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
            || text.contains(&format!("/{folder}/"))
    };
    let is_inside = |(folder, file): &(&str, &str)| {
        text == format!("{folder}/{file}") || text.ends_with(&format!("/{folder}/{file}"))
    };
    FOLDERS.iter().any(|folder| is_below(folder))
        || NAMES.contains(&name)
        || INSIDE.iter().any(is_inside)
}

/// Whether a link stands where such a file or folder would, or inside of one.
fn leads_to_programs(text: &str) -> bool {
    let folders = FOLDERS.iter().flat_map(|folder| folder.split('/'));
    let names: Vec<&str> = folders.chain(NAMES).chain(INSIDE.map(|(folder, _)| folder)).collect();
    text.split('/').filter(|name| *name != "hooks").any(|name| names.contains(&name))
}

/// Names the files to be written that make programs run, also by another name that a link gives them, and
/// the links that do so.
pub(super) fn named(
    saved: &State,
    facts: &Facts,
    plan: &Plan,
    objects: &Objects<'_>,
) -> Result<Vec<String>, CheckoutError> {
    let links = links(saved, facts, objects)?;
    let ways = ways(&links);
    let is_named = |path: &&RepoPath| {
        let text = path.shown().to_lowercase();
        let by_another = |(name, place): &(String, String)| {
            below(&text, place).is_some_and(|rest| runs(&joined(name, rest)))
        };
        runs(&text)
            || links.contains_key(&text) && leads_to_programs(&text)
            || ways.iter().any(by_another)
    };
    let mut written: BTreeSet<&RepoPath> = plan.write.iter().collect();
    written.extend(plan.check_out.keys());
    Ok(written.into_iter().filter(is_named).map(RepoPath::shown).collect())
}

/// All links of the saved state that one must know of, with their targets, in small letters.
fn links(
    saved: &State,
    facts: &Facts,
    objects: &Objects<'_>,
) -> Result<BTreeMap<String, String>, CheckoutError> {
    let small = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase();
    let mut links = BTreeMap::new();
    for (path, node) in &saved.tree {
        if let Node::Link(target) = node {
            links.insert(path.shown().to_lowercase(), small(target));
        }
    }
    let index = Index::new(saved, &facts.there_listing);
    let entries = index.paths().filter(|path| !saved.tree.contains_key(*path));
    let tracked = entries.filter_map(|path| {
        let entry = index.entry(path).filter(|entry| entry.mode == Mode::Link)?;
        Some((path.shown().to_lowercase(), entry.id))
    });
    let mut tracked: Vec<(String, Oid)> = tracked.collect();
    if !links.keys().chain(tracked.iter().map(|(text, _)| text)).any(|text| leads_to_programs(text))
    {
        return Ok(BTreeMap::new());
    }
    tracked.sort_by_key(|(text, _)| !leads_to_programs(text));
    tracked.truncate(LINKS_MAX);
    let targets = objects.small(&tracked.iter().map(|(_, id)| *id).collect(), TARGET_MAX)?;
    for (text, id) in tracked {
        let target = targets.get(&id).map(|target| small(target)).unwrap_or_default();
        links.insert(text, target);
    }
    Ok(links)
}

/// Where each link that leads to programs leads, on every way through other links: its name, and the place.
fn ways(links: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
    let resolved = links.iter().filter_map(|(link, target)| Some((link, resolve(link, target)?)));
    let resolved: Vec<(&String, String)> = resolved.collect();
    let first = resolved.iter().filter(|(link, _)| leads_to_programs(link));
    let mut open: Vec<(String, String)> =
        first.map(|(link, place)| ((*link).clone(), place.clone())).collect();
    let mut ways = BTreeSet::new();
    while let Some((name, place)) = open.pop() {
        if ways.len() >= WAYS_MAX || !ways.insert((name.clone(), place.clone())) {
            continue;
        }
        for (link, target) in &resolved {
            if let Some(rest) = below(&place, link) {
                open.push((name.clone(), joined(target, rest)));
            } else if let Some(rest) = below(link, &place) {
                open.push((joined(&name, rest), target.clone()));
            }
        }
    }
    ways
}

/// Where a link leads; `None` out of the work tree.
fn resolve(link: &str, target: &str) -> Option<String> {
    let mut names: Vec<&str> = link.split('/').collect();
    names.pop();
    if target.starts_with('/') {
        return None;
    }
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// What of a path lies below a folder; nothing for the folder itself.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    match path.strip_prefix(folder)? {
        "" => Some(""),
        rest if folder.is_empty() => Some(rest),
        rest => rest.strip_prefix('/'),
    }
}

fn joined(folder: &str, rest: &str) -> String {
    match (folder, rest) {
        (folder, "") => folder.to_owned(),
        ("", rest) => rest.to_owned(),
        (folder, rest) => format!("{folder}/{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_make_programs_run_are_told_from_others() {
        let runs = |text: &str| runs_programs(&RepoPath::new(text).unwrap());
        for text in [
            ".claude/settings.json",
            ".claude/settings.local.json",
            ".Claude/Settings.json",
            ".claude/hooks/a/b.sh",
            "api/.claude/settings.json",
            ".mcp.json",
            ".envrc",
            "a/.envrc",
            ".vscode/tasks.json",
            ".vscode/settings.json",
            ".idea/workspace.xml",
            ".husky/pre-commit",
            ".githooks/x",
            ".gitattributes",
            "a/.gitattributes",
            ".gitmodules",
        ] {
            assert!(runs(text), "{text}");
        }
        for text in ["Makefile", "src/settings.json", ".claude/notes.md", "x.envrc", ".ideas/a"] {
            assert!(!runs(text), "{text}");
        }
    }

    #[test]
    fn a_file_is_known_by_every_name_that_links_give_it() {
        let runs_behind = |links: &[(&str, &str)], file: &str| {
            let links =
                links.iter().map(|(link, target)| ((*link).to_owned(), (*target).to_owned()));
            let ways = ways(&links.collect());
            ways.iter().any(|(name, place)| {
                below(file, place).is_some_and(|rest| runs(&joined(name, rest)))
            })
        };
        assert!(runs_behind(&[(".claude", "conf")], "conf/settings.json"));
        assert!(runs_behind(&[(".claude", ".")], "settings.json"));
        assert!(runs_behind(&[("a/.vscode", "../b/./c"), ("b", "d")], "d/c/tasks.json"));
        assert!(runs_behind(&[(".claude", "conf"), ("conf/hooks", "../x")], "x/stop.sh"));
        assert!(runs_behind(&[(".envrc", "env/plain.txt")], "env/plain.txt"));
        assert!(!runs_behind(&[(".claude", "conf")], "conf/notes.md"));
        assert!(!runs_behind(&[(".claude", "conf")], "config/settings.json"));
        assert!(!runs_behind(&[(".claude", "../conf")], "conf/settings.json"));
        assert!(!runs_behind(&[(".claude", ".claude/x"), ("x", "x/y")], "z/settings.json"));
    }
}
