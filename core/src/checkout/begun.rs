//! What git had begun to check out when it gave up: taken away again, but nothing that somebody else may have
//! written there in the meantime, for nobody has recorded that.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use super::CheckoutError;
use super::record::io_failed;
use crate::code::RepoPath;
use crate::disk::{self, Beneath, DiskError, Found};
use crate::git::{GitCommand, GitError};
use crate::id::Oid;

/// Of larger files git leaves no beginnings (`core.bigFileThreshold`).
const BEGINNING_MAX: usize = 512 << 20;

/// A work tree in which git gave up.
pub(super) struct Begun<'a> {
    pub(super) beneath: &'a Beneath,
    /// Begins a question to git, with the index as it will be.
    pub(super) git: &'a dyn Fn() -> GitCommand,
    /// What was to be checked out where.
    pub(super) ids: &'a BTreeMap<RepoPath, Oid>,
    /// Where a file goes of which only a filter says that it is git's.
    pub(super) kept: &'a Path,
}

/// Whose a file is.
enum Owner {
    /// Git's: these bytes, or the first of them, are what it writes there.
    Git,
    /// A filter makes of it what git stores. Of more than one content it may, so that the bytes are kept.
    Likely,
    /// Nobody knows.
    Unknown,
}

impl Begun<'_> {
    /// Takes away what git checked out a moment ago, which makes an end of it where something else may stand.
    pub(super) fn take_away(&self, paths: &BTreeSet<&RepoPath>) -> Result<(), CheckoutError> {
        let mut begun = Vec::new();
        for path in paths {
            let found = self.beneath.look(path.as_path())?;
            if !matches!(found, Found::File(_) | Found::Link(_)) {
                continue;
            }
            match self.owner(path, found)? {
                Owner::Unknown => {
                    return Err(DiskError::Changed(self.beneath.root().join(path.as_path())).into());
                }
                owner => begun.push((path, found, owner)),
            }
        }
        for (path, found, owner) in begun {
            if matches!(owner, Owner::Likely) {
                self.keep(path)?;
            }
            // Only as it was looked at.
            self.beneath.remove(path.as_path(), found)?;
        }
        Ok(())
    }

    fn owner(&self, path: &RepoPath, found: Found) -> Result<Owner, CheckoutError> {
        let Some(id) = self.ids.get(path) else { return Ok(Owner::Unknown) };
        let bytes = match found {
            Found::Link(_) => self.beneath.read_link(path.as_path())?,
            Found::File(stamp) if stamp.size <= BEGINNING_MAX as u64 => self.read(path)?,
            _ => return Ok(self.cleaned(path)?.map_or(Owner::Unknown, |of| likely(of == *id))),
        };
        let git = |args: &[&str]| (self.git)().arg("cat-file").args(args);
        let mut path_flag = OsString::from("--path=");
        path_flag.push(OsString::from_vec(path.as_bytes().to_vec()));
        let id_text = id.to_string();
        let is_gits = begins(git(&["blob", &id_text]), &bytes)?
            // With the line ends that git gives it, and by its filter.
            || begins(git(&["--filters"]).arg(path_flag).arg(&id_text), &bytes)?;
        if is_gits {
            return Ok(Owner::Git);
        }
        let is_link = matches!(found, Found::Link(_));
        let cleaned = if is_link { None } else { self.cleaned(path)? };
        Ok(likely(cleaned == Some(*id)))
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>, CheckoutError> {
        let mut bytes = Vec::new();
        let mut file = self.beneath.read(path.as_path())?.take(BEGINNING_MAX as u64 + 1);
        let read = file.read_to_end(&mut bytes);
        read.map_err(|source| io_failed("read", path.as_path(), source))?;
        Ok(bytes)
    }

    /// The name that git has for a file once its filter made of it what is stored.
    fn cleaned(&self, path: &RepoPath) -> Result<Option<Oid>, CheckoutError> {
        let output = (self.git)().args(["hash-object", "--"]).arg(path.as_path()).run()?;
        let id = || String::from_utf8_lossy(&output.stdout).trim().parse().ok();
        Ok(if output.success() { id() } else { None })
    }

    fn keep(&self, path: &RepoPath) -> Result<(), CheckoutError> {
        disk::private_dir(self.kept)?;
        let number = std::fs::read_dir(self.kept).map(Iterator::count).unwrap_or_default();
        let target = self.kept.join(number.to_string());
        let copy = disk::NewFile::create(&target)?;
        let copied = io::copy(&mut self.beneath.read(path.as_path())?, &mut copy.file());
        copied.map_err(|source| io_failed("copy to", &target, source))?;
        tracing::info!(kept = %target.display(), "git gave up after this file");
        Ok(copy.finish()?)
    }
}

fn likely(is_likely: bool) -> Owner {
    if is_likely { Owner::Likely } else { Owner::Unknown }
}

/// Whether what git prints begins with these bytes.
fn begins(command: GitCommand, bytes: &[u8]) -> Result<bool, CheckoutError> {
    match command.stdout_limit(BEGINNING_MAX).run() {
        Ok(output) => Ok(output.success() && output.stdout.starts_with(bytes)),
        Err(GitError::TooMuchOutput { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
