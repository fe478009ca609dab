//! Reads a file of the work tree that holds still meanwhile, and describes it by what there is already: the
//! index's blob, or what the code log has. Small files are held; of large ones, the draft has a copy.

use std::io::Read as _;

use sha2::{Digest as _, Sha256};

use super::contents::{HELD_MAX, Taking, Unread, is_gone};
use super::draft::copy;
use super::repository::stamp;
use super::spool::Kept;
use super::{Reading, Scope, Stop};
use crate::code::{Bytes, Content, Node, Patch, Rope, State, Why};
use crate::disk::{self, DiskError, Stamp};
use crate::id::{Digest, Oid};

/// How often a file that changes while it is read is read.
const READS: usize = 4;
/// How much is read at once.
const BLOCK: usize = 1 << 18;

/// The blob that the index has of a file.
type Blob<'a> = Option<(Oid, &'a dyn Bytes)>;

/// Why a reading ended.
enum Ended {
    /// The file has no content that could be captured.
    Omitted(Why),
    Stop(Stop),
}

impl From<Why> for Ended {
    fn from(why: Why) -> Self {
        Self::Omitted(why)
    }
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<DiskError> for Ended {
    fn from(error: DiskError) -> Self {
        Self::Stop(error.into())
    }
}

/// Reads a file and describes what is in it, or says why not.
pub(super) fn read(
    taking: &mut Taking<'_>,
    file: &Unread,
    blob: Blob<'_>,
) -> Result<Result<(Content, Stamp), Why>, Stop> {
    let before = taking.draft.length();
    let is_small = file.size <= HELD_MAX;
    let read = if is_small { read_small } else { read_large };
    let found = read(taking, file, blob);
    if found.is_err() {
        taking.draft.cut(before)?;
    }
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(Ended::Omitted(why)) => Ok(Err(why)),
        Err(Ended::Stop(stop)) => Err(stop),
    }
}

/// Reads a small file. One that was changed just now is read until two readings agree: whoever writes to it
/// in place may not be done.
fn read_small(
    taking: &mut Taking<'_>,
    file: &Unread,
    blob: Blob<'_>,
) -> Result<(Content, Stamp), Ended> {
    let mut last = None;
    for _ in 0..READS {
        let mut bytes = Vec::new();
        let mut hold = |block: &[u8]| {
            bytes.extend_from_slice(block);
            Ok(())
        };
        let Some(stamp) = read_once(taking.scope, file, &mut hold)? else {
            last = None;
            continue;
        };
        if stamp.is_settled(taking.scope.now_ms) || last.as_ref() == Some(&bytes) {
            let (length, digest) = (bytes.len() as u64, Digest::of(&bytes));
            if let Some(content) = known(taking, file, blob, (length, digest))? {
                return Ok((content, stamp));
            }
            let at = taking.draft.end();
            let patch = patch(taking, file, blob, &bytes[..], at)?;
            for range in &patch.fresh {
                taking.draft.put(&bytes[range.start as usize..range.end as usize])?;
            }
            return Ok((Content { length, digest, rope: patch.rope }, stamp));
        }
        last = Some(bytes);
    }
    Err(Why::Changing.into())
}

/// Reads a large file in the same way, but copies it into the draft instead of holding it; first it is only
/// read where it may be what it was.
fn read_large(
    taking: &mut Taking<'_>,
    file: &Unread,
    blob: Blob<'_>,
) -> Result<(Content, Stamp), Ended> {
    let (before, at) = (taking.draft.length(), taking.draft.end());
    let mut last = taking.spool.state().and_then(|state| content_in(state, file)).cloned();
    let is_dry = taking.draft.is_dry();
    let is_as_long = |length: u64| length == file.size;
    let may_be_known = last.as_ref().is_some_and(|last| is_as_long(last.length))
        || blob.is_some_and(|(_, blob)| is_as_long(blob.length()));
    let (mut seen, mut copied, mut copies) = (None, None, !may_be_known && !is_dry);
    for _ in 0..READS {
        let Some((now, stamp)) = read_through(taking, file, copies.then_some(before))? else {
            (seen, copied) = (None, None);
            continue;
        };
        copied = if copies { Some(now) } else { copied };
        if stamp.is_settled(taking.scope.now_ms) || seen == Some(now) {
            let (length, digest) = now;
            if let Some(content) = known(taking, file, blob, now)? {
                taking.draft.cut(before)?;
                return Ok((content, stamp));
            }
            if is_dry {
                return Ok((Content { length, digest, rope: Rope::whole(length, at) }, stamp));
            }
            // It is what it was, and what it was made of is not to be had any more.
            last = None;
            if copied == Some(now) {
                let patch = patch(taking, file, blob, &taking.draft.piece(at..at + length), at)?;
                taking.draft.keep(at, &patch.fresh)?;
                return Ok((Content { length, digest, rope: patch.rope }, stamp));
            }
        }
        let is_last = last.as_ref().is_some_and(|last| (last.length, last.digest) == now);
        (seen, copies) = (Some(now), !is_dry && !is_last && copied != Some(now));
    }
    Err(Why::Changing.into())
}

/// How many bytes a file has, and their digest.
type Measured = (u64, Digest);

/// Reads a file through, into the draft behind its first `copy_after` bytes if there is such a number.
fn read_through(
    taking: &mut Taking<'_>,
    file: &Unread,
    copy_after: Option<u64>,
) -> Result<Option<(Measured, Stamp)>, Ended> {
    if let Some(length) = copy_after {
        taking.draft.cut(length)?;
    }
    let (mut sum, mut length) = (Sha256::new(), 0);
    let draft = &mut *taking.draft;
    let mut take = |block: &[u8]| {
        sum.update(block);
        length += block.len() as u64;
        if copy_after.is_some() { draft.put(block) } else { Ok(()) }
    };
    let stamp = read_once(taking.scope, file, &mut take)?;
    Ok(stamp.map(|stamp| ((length, Digest(sum.finalize().into())), stamp)))
}

/// Reads a file block by block; `None` when it was another one, or had another stamp, before than after.
fn read_once(
    scope: &Scope<'_>,
    file: &Unread,
    take: &mut dyn FnMut(&[u8]) -> Result<(), DiskError>,
) -> Result<Option<Stamp>, Ended> {
    let opened = disk::open_beneath(&scope.project.root, file.path.as_path());
    let opened = opened.map_err(|error| match error {
        DiskError::NotAFile(_) => Why::Special,
        DiskError::SymbolicLink(_) => Why::Changing,
        DiskError::Io { source, .. } if is_gone(&source) => Why::Changing,
        _ => Why::Unreadable,
    })?;
    let before = opened.metadata().map_err(|_| Why::Unreadable)?;
    if before.len() > scope.limits.file {
        return Err(Why::TooLarge.into());
    }
    let mut whole = (&opened).take(before.len().saturating_add(1));
    let size = usize::try_from(before.len()).unwrap_or(usize::MAX).saturating_add(1);
    let (mut block, mut length) = (vec![0; size.min(BLOCK)], 0);
    loop {
        match whole.read(&mut block) {
            Ok(0) => break,
            Ok(size) => {
                length += size as u64;
                take(&block[..size])?;
                scope.tell(Reading::Read(size as u64));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Why::Unreadable.into()),
        }
    }
    let after = Stamp::of(&opened.metadata().map_err(|_| Why::Unreadable)?);
    // An editor that saves by rename leaves what we read whole, under another name.
    let place = stamp(&scope.project.root.join(file.path.as_path()));
    let is_same = Stamp::of(&before) == after && place == Some(after);
    Ok((length == before.len() && is_same).then_some(after))
}

/// The content of these bytes, if the index's blob or the log has it whole.
fn known(
    taking: &Taking<'_>,
    file: &Unread,
    blob: Blob<'_>,
    (length, digest): Measured,
) -> Result<Option<Content>, Ended> {
    if let Some((id, blob)) = blob
        && blob.length() == length
        && digest_of(blob) == Some(digest)
    {
        return Ok(Some(Content { length, digest, rope: Rope::of_blob(id, length) }));
    }
    let content = taking.spool.state().and_then(|state| content_in(state, file));
    if content.is_none_or(|content| (content.length, content.digest) != (length, digest)) {
        return Ok(None);
    }
    Ok(last(taking, file, blob)?.map(|(content, _)| content.clone()))
}

/// Builds bytes from what there is: the last content of the file, the blob of the index, or neither. What is
/// new of them will stand at `at`.
fn patch(
    taking: &Taking<'_>,
    file: &Unread,
    blob: Blob<'_>,
    bytes: &(impl Bytes + ?Sized),
    at: u64,
) -> Result<Patch, Ended> {
    let failed = |source| DiskError::Io {
        deed: "compare with",
        path: taking.spool.path().to_owned(),
        source,
    };
    let mut tries = Vec::new();
    if let Some((content, old)) = last(taking, file, blob)? {
        tries.extend(content.rope.patched(&old, bytes, at).map_err(failed)?);
    }
    if let Some((id, blob)) = blob {
        let whole = Rope::of_blob(id, blob.length());
        tries.extend(whole.patched(blob, bytes, at).map_err(failed)?);
    }
    let length = bytes.length();
    let whole = || Patch::whole(length, at);
    Ok(tries.into_iter().min_by_key(Patch::added).unwrap_or_else(whole))
}

/// What the log has of a file.
fn content_in<'a>(state: &'a State, file: &Unread) -> Option<&'a Content> {
    match state.tree.get(&file.path) {
        Some(Node::File { content, .. }) => Some(content),
        _ => None,
    }
}

/// What the log has of a file, with its bytes, if all its pieces still are to be had.
fn last<'a>(
    taking: &'a Taking<'_>,
    file: &Unread,
    blob: Blob<'a>,
) -> Result<Option<(&'a Content, Kept<'a>)>, Ended> {
    let content = taking.spool.state().and_then(|state| content_in(state, file));
    let is_there = |content: &&Content| {
        content.rope.blob.is_none() || content.rope.blob == blob.map(|(id, _)| id)
    };
    let Some(content) = content.filter(is_there) else { return Ok(None) };
    let kept = taking.spool.content(content, blob.map(|(_, bytes)| bytes)).map_err(Stop::from)?;
    // A log that was damaged would spread the damage.
    let is_whole = digest_of(&kept) == Some(content.digest);
    Ok(is_whole.then_some((content, kept)))
}

fn digest_of(bytes: &(impl Bytes + ?Sized)) -> Option<Digest> {
    let mut sum = Sha256::new();
    copy(bytes, &mut sum).ok()?;
    Some(Digest(sum.finalize().into()))
}
