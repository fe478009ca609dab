//! Pictures of directories, to say that two are equal, or that one has not changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use convosync_core::id::{self, Digest};

/// Whether modification times belong to the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// They do: "not touched".
    Counted,
    /// They do not: "same content".
    Ignored,
}

/// Everything under a directory: mode, type and content of each entry, by relative path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, String>);

impl Tree {
    /// Takes the picture of `dir`.
    ///
    /// # Panics
    /// When something under it cannot be read.
    #[track_caller]
    pub fn of(dir: &Path, times: Times) -> Self {
        let mut entries = BTreeMap::new();
        enter(dir, Path::new(""), times, &mut entries);
        Self(entries)
    }

    /// Returns one digest for all of it.
    pub fn digest(&self) -> Digest {
        let lines: Vec<String> =
            self.0.iter().map(|(path, entry)| format!("{path:?} {entry}\n")).collect();
        Digest::of(lines.concat().as_bytes())
    }

    /// Names each path that is here only, there only, or not the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut paths: Vec<&PathBuf> = self.0.keys().chain(other.0.keys()).collect();
        paths.sort();
        paths.dedup();
        let differs = |path: &&PathBuf| self.0.get(*path) != other.0.get(*path);
        let show = |path: &PathBuf| {
            format!("{}: {:?} and {:?}", path.display(), self.0.get(path), other.0.get(path))
        };
        paths.into_iter().filter(differs).map(show).collect()
    }

    /// Panics with the differences unless both are equal.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        let differences = self.differences(other);
        assert!(differences.is_empty(), "the trees differ:\n{}", differences.join("\n"));
    }
}

/// Returns one digest for everything under `dir`.
#[track_caller]
pub fn tree_digest(dir: &Path, times: Times) -> Digest {
    Tree::of(dir, times).digest()
}

#[track_caller]
fn enter(root: &Path, relative: &Path, times: Times, entries: &mut BTreeMap<PathBuf, String>) {
    let path = root.join(relative);
    let (meta, content) =
        look_at(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let time = if times == Times::Counted {
        format!(" at {}.{:09}", meta.mtime(), meta.mtime_nsec())
    } else {
        String::new()
    };
    entries.insert(relative.to_owned(), format!("{:o} {content}{time}", meta.mode()));
    if meta.is_dir() {
        let children = fs::read_dir(&path)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", path.display()));
        for child in children {
            let child =
                child.unwrap_or_else(|error| panic!("cannot list {}: {error}", path.display()));
            enter(root, &relative.join(child.file_name()), times, entries);
        }
    }
}

fn look_at(path: &Path) -> io::Result<(fs::Metadata, String)> {
    let meta = fs::symlink_metadata(path)?;
    let content = if meta.is_symlink() {
        format!("-> {}", fs::read_link(path)?.display())
    } else if meta.is_file() {
        format!("{} bytes {}", meta.len(), id::hex(&Digest::of(&fs::read(path)?).0[..8]))
    } else {
        String::new()
    };
    Ok((meta, content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn a_touch_shows_only_where_times_count() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a/b");
        files::write(&file, "x");
        let (strict, loose) =
            (Tree::of(place.path(), Times::Counted), Tree::of(place.path(), Times::Ignored));
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        Tree::of(place.path(), Times::Ignored).assert_same(&loose);
        assert_eq!(Tree::of(place.path(), Times::Counted).differences(&strict).len(), 1);
    }
}
