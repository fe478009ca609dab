//! Reads what differs in a work tree: only what changed since the last time, and only what may be read.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::blobs::{Blobs, blobs, lay_out, sizes};
use super::draft::{Draft, Piece};
use super::index::Listing;
use super::reading;
use super::repository::Repository;
use super::status::{Entry, Seen};
use super::{CaptureError, Reading, Scope, Spool, Stop};
use crate::code::{Bytes, Content, ENTRIES_MAX, Mode, Node, Omission, RepoPath, Rope, State, Why};
use crate::disk::Stamp;
use crate::id::{Digest, Oid};

/// How many omissions are listed one by one.
const OMITTED_MAX: usize = 2000;
/// Blobs of more bytes are not compared with what the work tree holds.
const BLOB_MAX: u64 = 64 << 20;
/// Files and blobs of more bytes are read piece by piece.
pub(super) const HELD_MAX: u64 = 4 << 20;
/// Blobs of this few files are read without asking for their sizes first, unless the files are large.
const FEW: usize = 64;
/// How large the files may be together.
const FEW_BYTES: u64 = 4 << 20;
/// How many bytes of blobs are held at once.
const BATCH_MAX: u64 = 8 << 20;
/// What git prints around the blobs of a batch.
const AROUND_MAX: u64 = 4 << 20;

/// What the last capture learned. May be forgotten at any time: the next capture then reads everything.
#[derive(Debug, Default)]
pub struct Memory {
    /// The log that was appended to, as it stood then. What is in another one was learned elsewhere.
    pub(super) log: Option<(u64, Digest)>,
    /// The stamps of files as they were read, and whether they will tell of a later change.
    pub(super) stamps: BTreeMap<RepoPath, Stamp>,
    /// Files that git does not look at, and that were as the index says.
    pub(super) hidden: BTreeMap<RepoPath, (Stamp, Entry)>,
    /// The index as it was listed.
    pub(super) listing: Option<(Stamp, Listing)>,
    /// What the objects were gathered for.
    pub(super) reach: Option<Digest>,
    /// How large the blobs of the index are.
    pub(super) sizes: BTreeMap<Oid, Option<u64>>,
}

/// A path to be captured, and what the index has there.
pub(super) type Wanted = BTreeMap<RepoPath, Known>;

/// What is known of a path before it is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) index: Option<Entry>,
    pub(super) is_tracked: bool,
    /// Whether git does not look at it.
    pub(super) is_hidden: bool,
}

/// Which paths are to be captured.
pub(super) fn wanted(seen: &Seen, listing: &Listing, untracked: &[RepoPath]) -> Wanted {
    let mut wanted = Wanted::new();
    let known = |index, is_tracked| Known { index, is_tracked, is_hidden: false };
    for path in untracked {
        wanted.insert(path.clone(), known(None, false));
    }
    for (path, stages) in &seen.unmerged {
        let is_module = |entry: &Option<Entry>| matches!(entry, Some((Mode::Module, _)));
        if !stages.iter().any(is_module) {
            wanted.insert(path.clone(), known(stages[1], true));
        }
    }
    let changed = seen.changed.iter().filter(|changed| changed.tree != b'.');
    for changed in changed.filter(|changed| !changed.is_module || changed.tree != b'M') {
        let index = if changed.is_intent { None } else { changed.index };
        wanted.insert(changed.path.clone(), known(index, true));
    }
    // Git does not look at these, whatever stands there.
    for (path, (entry, _)) in &listing.flagged {
        let hidden = Known { index: Some(*entry), is_tracked: true, is_hidden: true };
        wanted.entry(path.clone()).or_insert(hidden);
    }
    wanted
}

/// Forgets what the index has of paths whose entries are left out: their blobs do not travel.
pub(super) fn forget(wanted: &mut Wanted, omitted: &BTreeMap<RepoPath, Omission>) {
    for path in omitted.keys() {
        if let Some(known) = wanted.get_mut(path) {
            known.index = None;
        }
    }
}

/// Lets folders stand for what lies in them, where more is left out than anyone would read.
pub(super) fn shortened(omitted: BTreeMap<RepoPath, Omission>) -> BTreeMap<RepoPath, Omission> {
    if omitted.len() <= OMITTED_MAX {
        return omitted;
    }
    let mut shortened: BTreeMap<RepoPath, Omission> = BTreeMap::new();
    for (path, omission) in omitted {
        let top = path.names().next().and_then(|name| RepoPath::new(name).ok());
        let is_crowd = matches!(omission.why, Why::TooMany | Why::NoRoom);
        match top.filter(|top| is_crowd && path.is_below(top)) {
            Some(top) => {
                let of_folder = Omission { why: omission.why, size: None };
                shortened.entry(top).or_insert(of_folder);
            }
            None if shortened.len() < ENTRIES_MAX => drop(shortened.insert(path, omission)),
            None => {}
        }
    }
    shortened
}

/// A file that has to be read.
pub(super) struct Unread {
    pub(super) path: RepoPath,
    pub(super) executable: bool,
    pub(super) size: u64,
    /// What the index has of it.
    pub(super) blob: Option<Oid>,
    /// How large that is, where it was asked.
    blob_size: Option<u64>,
}

impl Unread {
    /// How large its blob is, if it is one that nobody wants to hold.
    fn large_blob(&self) -> Option<(Oid, u64)> {
        self.blob.zip(self.blob_size).filter(|(_, size)| *size > HELD_MAX)
    }
}

/// What one look takes in.
pub(super) struct Taking<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) repository: &'a Repository,
    pub(super) spool: &'a Spool,
    pub(super) draft: &'a mut Draft,
    pub(super) omitted: &'a mut BTreeMap<RepoPath, Omission>,
}

/// What stands in the work tree.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) tree: BTreeMap<RepoPath, Node>,
    /// The stamps of files, where they will tell of a later change.
    pub(super) stamps: BTreeMap<RepoPath, Stamp>,
    /// Files that git does not look at, where they are as the index says.
    pub(super) hidden: BTreeMap<RepoPath, (Stamp, Entry)>,
    /// How many files were read.
    pub(super) read: usize,
}

/// Captures the wanted paths.
pub(super) fn take(
    taking: &mut Taking<'_>,
    wanted: &Wanted,
    memory: &Memory,
) -> Result<Taken, Stop> {
    let Taken { mut tree, mut stamps, mut hidden, .. } = Taken::default();
    let mut unread = Vec::new();
    let mut room = Room::default();
    for (path, known) in wanted {
        match classify(taking, path, *known, &mut room) {
            Found::Nothing => {}
            Found::Node(node) => drop(tree.insert(path.clone(), node)),
            Found::Omitted(omission) => drop(taking.omitted.insert(path.clone(), omission)),
            Found::File(file, stamp) => {
                let as_indexed = memory.hidden.get(path).filter(|_| known.is_hidden);
                if let Some(found) = as_indexed
                    && known.index.is_some_and(|index| *found == (stamp, index))
                {
                    hidden.insert(path.clone(), *found);
                    continue;
                }
                match kept(taking.spool.state(), memory, path, stamp, &file) {
                    Some(content) => {
                        let node = Node::File { executable: file.executable, content };
                        tree.insert(path.clone(), node);
                        stamps.insert(path.clone(), stamp);
                    }
                    None => unread.push(file),
                }
            }
        }
    }
    let read = unread.len();
    check_room(taking, &unread)?;
    let all = unread.iter().map(|file| file.size).fold(0, u64::saturating_add);
    taking.scope.tell(Reading::Begins(all));
    for batch in batches(taking.scope, unread)? {
        let held = batch.iter().filter(|file| file.large_blob().is_none());
        let ids: Vec<Oid> = held.filter_map(|file| file.blob).collect();
        let blobs = blobs(taking.scope, &ids, (BATCH_MAX + AROUND_MAX) as usize)?;
        for file in batch {
            read_into(taking, &file, &blobs, &mut tree, &mut stamps)?;
        }
    }
    // A file that git does not look at is worth a word only where it is another than the index says.
    tree.retain(|path, node| {
        let known = wanted.get(path).filter(|known| known.is_hidden);
        let index = known.and_then(|known| known.index).filter(|index| is_as_indexed(node, *index));
        if let (Some(index), Some(stamp)) = (index, stamps.get(path)) {
            hidden.insert(path.clone(), (*stamp, index));
        }
        index.is_none()
    });
    Ok(Taken { tree, stamps, hidden, read })
}

/// Whether a file is nothing but its whole index blob, in its mode.
fn is_as_indexed(node: &Node, (mode, id): Entry) -> bool {
    let Node::File { executable, content } = node else { return false };
    let is_mode = mode == if *executable { Mode::Executable } else { Mode::File };
    is_mode && content.rope == Rope::of_blob(id, content.length)
}

/// How much was taken in already.
#[derive(Default)]
struct Room {
    files: usize,
    bytes: u64,
    /// The folder of the path before, and whether a link leads to it.
    folder: Option<(RepoPath, bool)>,
}

impl Room {
    fn is_behind_link(&mut self, root: &Path, path: &RepoPath) -> bool {
        let Some(folder) = path.parent() else { return false };
        match &self.folder {
            Some((known, is_behind)) if *known == folder => *is_behind,
            _ => {
                let is_behind = is_behind_link(root, path);
                self.folder = Some((folder, is_behind));
                is_behind
            }
        }
    }
}

/// Whether a link lies above a path: what the disk finds there lies elsewhere, and git has nothing there.
pub(super) fn is_behind_link(root: &Path, path: &RepoPath) -> bool {
    let mut above = std::iter::successors(path.parent(), RepoPath::parent);
    above.any(|folder| {
        let found = std::fs::symlink_metadata(root.join(folder.as_path()));
        found.is_ok_and(|found| found.is_symlink())
    })
}

enum Found {
    Nothing,
    Node(Node),
    Omitted(Omission),
    File(Unread, Stamp),
}

fn classify(taking: &Taking<'_>, path: &RepoPath, known: Known, room: &mut Room) -> Found {
    let Scope { project, guard, limits, .. } = taking.scope;
    let place = project.root.join(path.as_path());
    let found = std::fs::symlink_metadata(&place);
    let size = found.as_ref().ok().filter(|found| found.is_file()).map(|found| found.len());
    if guard.covers(path) {
        return Found::Omitted(Omission { why: Why::Guarded, size });
    }
    let omit = |why| Found::Omitted(Omission { why, size });
    let gone = if known.is_tracked { Found::Node(Node::Gone) } else { Found::Nothing };
    let found = match found {
        Ok(found) => found,
        Err(error) if is_gone(&error) => return gone,
        Err(_) => return omit(Why::Unreadable),
    };
    let kind = found.file_type();
    if kind.is_dir() || room.is_behind_link(&project.root, path) {
        return gone;
    }
    if !kind.is_file() && !kind.is_symlink() {
        return omit(Why::Special);
    }
    if room.files >= limits.files {
        return omit(Why::TooMany);
    }
    if kind.is_symlink() {
        return match std::fs::read_link(&place) {
            Ok(target) => {
                room.files += 1;
                Found::Node(Node::Link(target.into_os_string().into_vec()))
            }
            Err(_) => omit(Why::Changing),
        };
    }
    if found.len() > limits.file || is_passed_over(taking.scope, path) {
        return omit(Why::TooLarge);
    }
    if room.bytes.saturating_add(found.len()) > limits.total {
        return omit(Why::NoRoom);
    }
    room.files += 1;
    room.bytes += found.len();
    let blob = known.index.filter(|(mode, _)| matches!(mode, Mode::File | Mode::Executable));
    let executable = executable(taking.repository, &found, known.index);
    let blob = blob.map(|(_, id)| id);
    let file = Unread { path: path.clone(), executable, size: found.len(), blob, blob_size: None };
    Found::File(file, Stamp::of(&found))
}

fn is_passed_over(scope: &Scope<'_>, path: &RepoPath) -> bool {
    let mut above = std::iter::successors(Some(path.clone()), RepoPath::parent);
    scope.passed_over.is_some_and(|passed| above.any(|path| passed.contains(&path)))
}

pub(super) fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Whether a file is executable: the index says so where the file system cannot, and one that it does not know
/// is none, as git has it: such a disk may call all of them executable.
fn executable(repository: &Repository, found: &std::fs::Metadata, index: Option<Entry>) -> bool {
    if repository.is_on("core.filemode", true) {
        return found.mode() & 0o100 != 0;
    }
    index.is_some_and(|(mode, _)| mode == Mode::Executable)
}

/// The content of a file that did not change since it was read, if its pieces still are to be had.
fn kept(
    state: Option<&State>,
    memory: &Memory,
    path: &RepoPath,
    stamp: Stamp,
    file: &Unread,
) -> Option<Content> {
    let Some(Node::File { content, .. }) = state?.tree.get(path) else { return None };
    let is_same = memory.stamps.get(path) == Some(&stamp);
    let is_there = content.rope.blob.is_none() || content.rope.blob == file.blob;
    (is_same && is_there).then(|| content.clone())
}

/// Sorts files into groups whose blobs may be held at once; too large blobs are forgotten.
fn batches(scope: &Scope<'_>, mut files: Vec<Unread>) -> Result<Vec<Vec<Unread>>, Stop> {
    let ids: Vec<Oid> = files.iter().filter_map(|file| file.blob).collect();
    if files.iter().map(|file| file.size).sum::<u64>() <= FEW_BYTES && files.len() <= FEW {
        // What is small now was hardly large before; if it was, the blobs are not compared.
        return Ok(if files.is_empty() { Vec::new() } else { vec![files] });
    }
    let sizes = sizes(scope, &ids, "%(objectsize)")?;
    let mut batches: Vec<Vec<Unread>> = Vec::new();
    let mut held = u64::MAX;
    for mut file in files.drain(..) {
        let size = file.blob.and_then(|id| sizes.get(&id).copied().flatten());
        let size = size.filter(|size| *size <= BLOB_MAX);
        file.blob = file.blob.filter(|_| size.is_some());
        file.blob_size = size;
        let size = size.filter(|size| *size <= HELD_MAX).unwrap_or(0);
        held = held.saturating_add(size);
        match batches.last_mut() {
            Some(batch) if held <= BATCH_MAX => batch.push(file),
            _ => {
                held = size;
                batches.push(vec![file]);
            }
        }
    }
    Ok(batches)
}

/// Reads one file and puts it into the tree, or says why not.
fn read_into(
    taking: &mut Taking<'_>,
    file: &Unread,
    blobs: &Blobs,
    tree: &mut BTreeMap<RepoPath, Node>,
    stamps: &mut BTreeMap<RepoPath, Stamp>,
) -> Result<(), Stop> {
    let log = taking.spool.path();
    let large = file.large_blob().map(|(id, size)| lay_out(taking.scope, id, size, log));
    let large = large.transpose()?;
    let large = large.as_ref().zip(file.blob_size);
    let large = large.map(|(blob, size)| Piece::of(blob.file(), 0..size));
    let held = file.blob.and_then(|id| blobs.get(&id));
    let held = held.as_ref().map(|bytes| bytes as &dyn Bytes);
    let blob = large.as_ref().map(|bytes| bytes as &dyn Bytes).or(held);
    match reading::read(taking, file, file.blob.zip(blob))? {
        Ok((content, stamp)) => {
            if stamp.is_settled(taking.scope.now_ms) {
                stamps.insert(file.path.clone(), stamp);
            }
            tree.insert(file.path.clone(), Node::File { executable: file.executable, content });
        }
        Err(why) => {
            let omission = Omission { why, size: Some(file.size) };
            taking.omitted.insert(file.path.clone(), omission);
        }
    }
    Ok(())
}

/// Makes sure that there is room for all that is copied, before any of it is.
fn check_room(taking: &Taking<'_>, unread: &[Unread]) -> Result<(), Stop> {
    let needed = unread.iter().map(|file| file.size).fold(0, u64::saturating_add);
    let largest = unread.iter().max_by_key(|file| file.size);
    match (taking.scope.room, largest) {
        (Some(room), Some(largest)) if needed > room && !taking.draft.is_dry() => {
            let largest = largest.path.shown();
            Err(CaptureError::NoRoom { needed, room, largest }.into())
        }
        _ => Ok(()),
    }
}
