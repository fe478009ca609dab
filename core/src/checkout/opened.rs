//! A code log as a plain file: its state, and the contents it describes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::objects::Objects;
use super::record::io_failed;
use super::{CheckoutError, Refusal};
use crate::code::{
    self, Base, CodeError, Content, Head, Limits, Node, Pack, Part, RepoPath, State,
};
use crate::disk;
use crate::id::{Digest, Oid};

/// How much is copied at once.
const BLOCK: u64 = 1 << 18;

/// A code log that was opened into a plain file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The state it ends in.
    pub state: State,
    /// The file; a plain state needs none.
    path: Option<PathBuf>,
}

impl Opened {
    /// Reads the manifest at the end of the log at `path`; the contents stay where they are.
    ///
    /// # Errors
    /// [`CheckoutError::Code`] when it is not one, or holds what may not stand in it.
    pub fn read(path: &Path) -> Result<Self, CheckoutError> {
        let mut file = disk::open_regular(path)?;
        let failed = |source| io_failed("read", path, source);
        let length = file.metadata().map_err(failed)?.len();
        let at = length.checked_sub(code::TRAILER).ok_or(CodeError::NoManifest)?;
        let mut trailer = [0; code::TRAILER as usize];
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        file.read_exact(&mut trailer).map_err(failed)?;
        let size = code::manifest_length(&trailer, length)?;
        let mut manifest = vec![0; usize::try_from(size).map_err(|_| CodeError::NoManifest)?];
        file.seek(SeekFrom::Start(at - size)).map_err(failed)?;
        file.read_exact(&mut manifest).map_err(failed)?;
        Ok(Self { state: code::read(&manifest, length)?, path: Some(path.to_owned()) })
    }

    /// The state of a clone in which nothing differed from `commit`, which the remote had under `upstream`
    /// (`origin/main`), as far as that is known. There is no log behind it.
    pub fn plain(branch: Option<&str>, commit: Oid, upstream: Option<&str>) -> Self {
        let reference = upstream
            .and_then(|upstream| upstream.split_once('/'))
            .map_or_else(String::new, |(_, name)| format!("refs/heads/{name}"));
        let head = Head { branch: branch.map(str::to_owned), commit: Some(commit) };
        let state = State { head, bases: vec![Base { commit, reference }], ..State::default() };
        Self { state, path: None }
    }

    /// Refuses what is more than may come in, before anything of it is read.
    pub(super) fn check_size(&self, limits: Limits) -> Result<(), Refusal> {
        let lengths = self.state.tree.values().filter_map(|node| match node {
            Node::File { content, .. } => Some(content.length),
            _ => None,
        });
        let files = lengths.clone().count();
        let size = lengths.fold(0_u64, u64::saturating_add);
        let packs = self.state.packs.iter().map(|pack| pack.length).fold(0, u64::saturating_add);
        if size.max(packs) > limits.total || files > limits.files {
            return Err(Refusal::TooLarge { size: size.max(packs), files, limit: limits.total });
        }
        Ok(())
    }

    /// Reads every content once and refuses one that is not what its digest says.
    pub(super) fn check_contents(&self, objects: &Objects<'_>) -> Result<(), CheckoutError> {
        let reader = Contents::open(self, objects)?;
        for (path, node) in &self.state.tree {
            if let Node::File { content, .. } = node {
                reader
                    .copy(content, &mut io::sink())
                    .map_err(|_| Refusal::BadContent(path.shown()))?;
            }
        }
        Ok(())
    }

    /// Opens the log at the start of a pack, and copies it out.
    pub(super) fn copy_pack(&self, pack: &Pack, to: &mut dyn Write) -> Result<(), CheckoutError> {
        let outside = || CodeError::Outside("a pack".to_owned());
        let path = self.path.as_deref().ok_or_else(outside)?;
        let failed = |source| io_failed("read", path, source);
        let mut file = disk::open_regular(path)?;
        file.seek(SeekFrom::Start(pack.start)).map_err(failed)?;
        let copied = io::copy(&mut file.take(pack.length), to).map_err(failed)?;
        if copied == pack.length { Ok(()) } else { Err(outside().into()) }
    }

    /// The paths of all contents that need a blob.
    pub(super) fn contents(&self) -> impl Iterator<Item = (&RepoPath, &Content)> {
        self.state.tree.iter().filter_map(|(path, node)| match node {
            Node::File { content, .. } => Some((path, content)),
            _ => None,
        })
    }
}

/// Reads contents from the log and from the blobs that were laid out for it.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    log: Option<File>,
    blobs: File,
    objects: &'a Objects<'a>,
}

impl<'a> Contents<'a> {
    pub(super) fn open(opened: &Opened, objects: &'a Objects<'a>) -> Result<Self, CheckoutError> {
        Ok(Self {
            log: opened.path.as_deref().map(disk::open_regular).transpose()?,
            blobs: disk::open_regular(objects.blobs_path())?,
            objects,
        })
    }

    /// Writes a content's bytes.
    ///
    /// # Errors
    /// `InvalidData` when they are not what the digest says.
    pub(super) fn copy(&self, content: &Content, to: &mut dyn Write) -> io::Result<()> {
        let mut sum = Sha256::new();
        let blob = content.rope.blob.and_then(|id| self.objects.blob(&id));
        for part in &content.rope.parts {
            let (mut source, at) = match part {
                Part::Log(range) => {
                    (self.log.as_ref().ok_or(io::ErrorKind::InvalidData)?, range.start)
                }
                Part::Blob(range) => {
                    let blob = blob.clone().filter(|blob| range.end <= blob.end - blob.start);
                    (&self.blobs, blob.ok_or(io::ErrorKind::InvalidData)?.start + range.start)
                }
            };
            source.seek(SeekFrom::Start(at))?;
            let mut left = part.range().end - part.range().start;
            let mut block = vec![0; usize::try_from(left.min(BLOCK)).unwrap_or_default()];
            while left > 0 {
                let size = usize::try_from(left.min(BLOCK)).unwrap_or_default();
                source.read_exact(&mut block[..size])?;
                sum.update(&block[..size]);
                to.write_all(&block[..size])?;
                left -= size as u64;
            }
        }
        let is_right = Digest(sum.finalize().into()) == content.digest;
        if is_right { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}
