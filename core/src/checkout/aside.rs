//! Files that git does not know, or would not make again: copied into a record before they are replaced, and
//! brought back by its undo, where they can be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::facts::Index;
use super::record::{PathBytes, Record, io_failed};
use super::step::Recorded;
use super::{CheckoutError, NotBack, Prepared, Refusal};
use crate::code::RepoPath;
use crate::disk::{self, Access, Beneath, Found};
use crate::id::Digest;

/// What keeps a file from coming back that goes if nothing is in it.
const FOLDER: &str = "a folder stands there by now";

/// How much of a file is copied at once.
const COPIED: u64 = 64 << 20;

/// A file or link that git does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aside {
    /// Where it stood.
    pub(super) path: PathBytes,
    /// Its number in `aside/`.
    pub(super) number: usize,
    /// Its permissions; `None` for a link, whose target is the file's content.
    pub(super) permissions: Option<u32>,
}

impl Record {
    /// Copies what git does not know.
    pub(super) fn set_aside(
        &mut self,
        beneath: &Beneath,
        path: &RepoPath,
        recorded: &mut Recorded<'_>,
    ) -> Result<(), CheckoutError> {
        let number = self.deeds.aside.len();
        let folder = self.dir().join("aside");
        disk::private_dir(&folder)?;
        let target = folder.join(number.to_string());
        let permissions = match beneath.look(path.as_path())? {
            Found::File(stamp) => {
                let copy = disk::NewFile::create(&target)?;
                let copied = copy_told(&beneath.read(path.as_path())?, copy.file(), recorded);
                copied.map_err(|source| io_failed("copy to", &target, source))?;
                copy.finish()?;
                Some(stamp.permissions)
            }
            Found::Link(_) => {
                disk::create_new(&target, &beneath.read_link(path.as_path())?)?;
                None
            }
            _ => return Err(Refusal::Changing.into()),
        };
        self.deeds.aside.push(Aside { path: PathBytes(path.clone()), number, permissions });
        Ok(())
    }

    /// Makes sure that all that was set aside is there.
    pub(super) fn check_aside(&self) -> Result<(), CheckoutError> {
        self.deeds.aside.iter().try_for_each(|aside| self.open_aside(aside).map(drop))
    }

    /// Whether what stands at a path is what was set aside from there.
    pub(super) fn stands_aside(
        &self,
        beneath: &Beneath,
        path: &RepoPath,
    ) -> Result<bool, CheckoutError> {
        let aside = self.deeds.aside.iter().find(|aside| aside.path.0 == *path);
        aside.map_or(Ok(false), |aside| self.is_back(beneath, aside))
    }

    fn is_back(&self, beneath: &Beneath, aside: &Aside) -> Result<bool, CheckoutError> {
        let path = aside.path.0.as_path();
        let mut kept = self.open_aside(aside)?;
        let failed = |source| io_failed("read", path, source);
        match beneath.look(path)? {
            Found::File(_) if aside.permissions.is_some() => {
                let mut file = beneath.read(path)?;
                let found = Digest::of_reader(&mut file).map_err(failed)?;
                Ok(found == Digest::of_reader(&mut kept).map_err(failed)?)
            }
            Found::Link(_) if aside.permissions.is_none() => {
                let mut target = Vec::new();
                kept.read_to_end(&mut target).map_err(failed)?;
                Ok(beneath.read_link(path)? == target)
            }
            _ => Ok(false),
        }
    }

    fn aside_path(&self, aside: &Aside) -> PathBuf {
        self.dir().join("aside").join(aside.number.to_string())
    }

    /// Opens what was set aside.
    fn open_aside(&self, aside: &Aside) -> Result<File, CheckoutError> {
        Ok(disk::open_regular(&self.aside_path(aside))?)
    }
}

/// Copies from file to file, so that a disk that can shares the bytes, and tells how far it is.
fn copy_told(from: &File, mut to: &File, recorded: &mut Recorded<'_>) -> io::Result<()> {
    loop {
        match io::copy(&mut from.take(COPIED), &mut to)? {
            0 => return Ok(()),
            bytes => recorded.more(bytes),
        }
    }
}

/// Brings back what the restore that is undone had set aside, where that was replaced and nothing stands in the
/// way by now. Returns what was made.
pub(super) fn bring_back(
    prepared: &Prepared<'_>,
    beneath: &Beneath,
) -> Result<BTreeMap<RepoPath, Found>, CheckoutError> {
    let mut made = BTreeMap::new();
    let Some(past) = &prepared.past else { return Ok(made) };
    let tracked = Tracked::of(prepared);
    for aside in &past.deeds.aside {
        let path = &aside.path.0;
        let mut obstacle = in_the_way(&tracked, beneath, path)?;
        if obstacle == Some(FOLDER) && remove_empty(beneath, path)? {
            obstacle = None;
        }
        if obstacle.is_none() {
            put_back(past, beneath, aside)?;
            made.insert(path.clone(), beneath.look(path.as_path())?);
        }
    }
    Ok(made)
}

/// Makes directories again that git does not know, where nothing is in the way: there is nothing in them.
pub(super) fn make_again(prepared: &Prepared<'_>, beneath: &Beneath) -> Result<(), CheckoutError> {
    let tracked = Tracked::of(prepared);
    for path in prepared.past.iter().flat_map(|past| &past.deeds.pruned).map(|path| &path.0) {
        if in_the_way(&tracked, beneath, path)?.is_none() {
            beneath.make_dir(path.as_path())?;
        }
    }
    Ok(())
}

fn put_back(past: &Record, beneath: &Beneath, aside: &Aside) -> Result<(), CheckoutError> {
    let path = aside.path.0.as_path();
    let mut file = past.open_aside(aside)?;
    let Some(bits) = aside.permissions else {
        let mut target = Vec::new();
        io::copy(&mut file, &mut target).map_err(|source| io_failed("read", path, source))?;
        return Ok(beneath.link(path, &target, Found::Nothing)?);
    };
    let access = Access { executable: bits & 0o100 != 0, permissions: Some(bits) };
    let copy = &mut |to: &mut dyn io::Write| io::copy(&mut file, to).map(drop);
    Ok(beneath.write(path, access, Found::Nothing, copy)?)
}

/// What was set aside and does not stand where it stood.
pub(super) fn not_back(
    prepared: &Prepared<'_>,
    beneath: &Beneath,
) -> Result<Vec<NotBack>, CheckoutError> {
    let mut missing = Vec::new();
    let Some(past) = &prepared.past else { return Ok(missing) };
    let tracked = Tracked::of(prepared);
    for aside in &past.deeds.aside {
        if !past.is_back(beneath, aside)? {
            let why = in_the_way(&tracked, beneath, &aside.path.0)?;
            missing.push(NotBack {
                path: aside.path.0.shown(),
                why: why.unwrap_or("it was taken away again").to_owned(),
                kept: past.aside_path(aside),
            });
        }
    }
    Ok(missing)
}

/// What git tracks before and after the undo: it is not another repository's, whatever its folder holds.
struct Tracked<'a>([Index<'a>; 2]);

impl<'a> Tracked<'a> {
    fn of(prepared: &'a Prepared<'_>) -> Self {
        let facts = &prepared.facts;
        let here = Index::new(&facts.here, &facts.here_listing);
        Self([here, Index::new(&prepared.opened.state, &facts.there_listing)])
    }

    fn has(&self, path: &RepoPath) -> bool {
        self.0.iter().all(|index| !index.entries(path).is_empty())
    }
}

/// What keeps a file from coming back to a path: nothing is written through a link, or into another repository.
fn in_the_way(
    tracked: &Tracked<'_>,
    beneath: &Beneath,
    path: &RepoPath,
) -> Result<Option<&'static str>, CheckoutError> {
    let is_tracked = tracked.has(path);
    for folder in std::iter::successors(path.parent(), RepoPath::parent) {
        let why = match beneath.look(folder.as_path())? {
            Found::Directory if !is_tracked && has_git(beneath, &folder)? => {
                "it would lie in a repository of its own by now"
            }
            Found::Directory | Found::Nothing => continue,
            Found::Link(_) => "a link stands where its folder was",
            Found::File(_) | Found::Other => "a file stands where its folder was",
        };
        return Ok(Some(why));
    }
    Ok(match beneath.look(path.as_path())? {
        Found::Nothing => None,
        Found::Directory => Some(FOLDER),
        _ => Some("something else stands there by now"),
    })
}

fn has_git(beneath: &Beneath, folder: &RepoPath) -> Result<bool, CheckoutError> {
    Ok(beneath.look(&folder.as_path().join(".git"))? != Found::Nothing)
}

/// Removes a directory with those below it, if there is nothing else in any of them. Returns whether it is gone.
pub(super) fn remove_empty(beneath: &Beneath, folder: &RepoPath) -> Result<bool, CheckoutError> {
    if beneath.look(folder.as_path())? != Found::Directory {
        return Ok(false);
    }
    let (mut folders, mut at) = (vec![folder.clone()], 0);
    while let Some(folder) = folders.get(at).cloned() {
        at += 1;
        for name in beneath.list(folder.as_path())? {
            let below = RepoPath::new([folder.as_bytes(), b"/", &name].concat());
            let Ok(below) = below else { return Ok(false) };
            if beneath.look(below.as_path())? != Found::Directory {
                return Ok(false);
            }
            folders.push(below);
        }
    }
    // Those below come later.
    for folder in folders.iter().rev() {
        beneath.remove_empty_dir(folder.as_path())?;
    }
    Ok(beneath.look(folder.as_path())? == Found::Nothing)
}
