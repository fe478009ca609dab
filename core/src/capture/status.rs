//! What `git status` says, taken apart.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scope, Stop, oid, repository::Repository};
use crate::code::{DEPTH_MAX, Head, IndexEntry, Mode, Omission, RepoPath, Why, Withheld};
use crate::id::Oid;
use crate::project;

/// What stands in a tree or in the index.
pub(crate) type Entry = (Mode, Oid);

/// What a status says.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) head: Head,
    pub(crate) upstream: Option<String>,
    pub(crate) changed: Vec<Changed>,
    /// Which of them differ in the index.
    staged: BTreeSet<RepoPath>,
    pub(crate) unmerged: BTreeMap<RepoPath, [Option<Entry>; 3]>,
    /// Files that are not tracked, where they were asked for.
    pub(crate) untracked: Vec<RepoPath>,
    pub(crate) omitted: BTreeMap<RepoPath, Omission>,
}

impl Seen {
    /// The blob of an entry of the index, if HEAD does not have it at that path.
    pub(super) fn own_blob(&self, entry: &IndexEntry) -> Option<Oid> {
        let (mode, id) = entry.entry?;
        let is_own = entry.stage > 0 || self.staged.contains(&entry.path);
        (is_own && mode != Mode::Module && !entry.flags.intent_to_add).then_some(id)
    }
}

/// A tracked path that differs somewhere.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) path: RepoPath,
    /// Whether the index differs from HEAD.
    pub(crate) is_staged: bool,
    /// How the work tree differs from the index: git's letter.
    pub(crate) tree: u8,
    /// What the index holds; of what is only meant to be added, nothing.
    pub(crate) index: Option<Entry>,
    /// Whether it is a submodule.
    pub(crate) is_module: bool,
    /// Whether the index knows the path, but not its content.
    pub(crate) is_intent: bool,
}

/// Asks for the status of what is tracked.
pub(super) fn look(scope: &Scope<'_>, repository: &Repository) -> Result<Seen, Stop> {
    let bytes = project::porcelain(scope.project, scope.git, &repository.settings, false)?;
    let bytes = bytes.ok_or(Withheld::NoRepository)?;
    let unknown = || Withheld::Unreadable("its status is not understood".to_owned());
    Ok(read(&bytes).ok_or_else(unknown)?)
}

/// Takes a status apart; `None` when it has another form than git promises.
pub(crate) fn read(bytes: &[u8]) -> Option<Seen> {
    let mut seen = Seen::default();
    for record in bytes.split(|byte| *byte == 0).filter(|record| !record.is_empty()) {
        take(&mut seen, record)?;
    }
    Some(seen)
}

/// Takes one record in; `None` when it has another form than git promises.
fn take(seen: &mut Seen, record: &[u8]) -> Option<()> {
    match record {
        [b'#', b' ', header @ ..] => take_header(seen, &String::from_utf8_lossy(header)),
        [b'1', b' ', ..] => {
            let fields: Vec<&[u8]> = record.splitn(9, |byte| *byte == b' ').collect();
            let [_, xy, module, _, mode, _, _, id, path] = fields[..] else { return None };
            let [staged, tree] = *xy else { return None };
            let Some(path) = repo_path(path, &mut seen.omitted) else { return Some(()) };
            let index = entry(mode, id)?;
            let (is_module, is_staged) = (module.starts_with(b"S"), staged != b'.');
            let is_intent = !is_staged && tree == b'A';
            if is_staged {
                seen.staged.insert(path.clone());
            }
            let changed = Changed { path, is_staged, tree, index, is_module, is_intent };
            seen.changed.push(changed);
        }
        [b'u', b' ', ..] => {
            let fields: Vec<&[u8]> = record.splitn(11, |byte| *byte == b' ').collect();
            let [_, _, _, m1, m2, m3, _, h1, h2, h3, path] = fields[..] else { return None };
            let Some(path) = repo_path(path, &mut seen.omitted) else { return Some(()) };
            let stages = [entry(m1, h1)?, entry(m2, h2)?, entry(m3, h3)?];
            seen.unmerged.insert(path, stages);
        }
        [b'?', b' ', name @ ..] => {
            let folder = name.strip_suffix(b"/");
            let Some(path) = repo_path(folder.unwrap_or(name), &mut seen.omitted) else {
                return Some(());
            };
            match folder {
                // With all untracked files asked for, only a repository of its own is named as a folder.
                Some(_) => {
                    seen.omitted.insert(path, Omission { why: Why::Nested, size: None });
                }
                None => seen.untracked.push(path),
            }
        }
        _ => return None,
    }
    Some(())
}

fn take_header(seen: &mut Seen, header: &str) {
    match header.split_once(' ') {
        Some(("branch.oid", id)) => seen.head.commit = id.parse().ok(),
        Some(("branch.head", name)) if name != "(detached)" => {
            seen.head.branch = Some(name.to_owned());
        }
        Some(("branch.upstream", name)) => seen.upstream = Some(name.to_owned()),
        _ => {}
    }
}

/// Reads a mode in octal and an object id; `Some(None)` where nothing stands.
fn entry(mode: &[u8], id: &[u8]) -> Option<Option<Entry>> {
    let bits = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
    if bits == 0 {
        return Some(None);
    }
    Some(Some((Mode::from_bits(bits)?, oid(id)?)))
}

/// Checks a path; one that cannot stand in another clone is listed under a name that can.
pub(super) fn repo_path(
    bytes: &[u8],
    omitted: &mut BTreeMap<RepoPath, Omission>,
) -> Option<RepoPath> {
    if let Ok(path) = RepoPath::new(bytes) {
        return Some(path);
    }
    let tame = |name: &[u8]| {
        let mut name = name.to_vec();
        if RepoPath::new(name.clone()).is_err() {
            name.iter_mut().filter(|byte| b"\\:".contains(byte)).for_each(|byte| *byte = b'?');
            name.push(b'?');
        }
        name
    };
    let names: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'/').map(tame).collect();
    // Of a path that is too long or too deep, the innermost folder that can be named.
    let most = names.len().min(DEPTH_MAX);
    let named = (1..=most).rev().find_map(|depth| RepoPath::new(names[..depth].join(&b'/')).ok());
    omitted.extend(named.map(|path| (path, Omission { why: Why::BadName, size: None })));
    None
}
