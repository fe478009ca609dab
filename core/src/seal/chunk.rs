//! Chunks: sealed pieces of a log.
//!
//! A chunk is packed as a whole and then cut into parts that each fit in one object. Every part is
//! bound to the chunk's place, to the bytes that zstd had as its prefix, and to its own number among
//! how many. A chunk is never bound to a device or a store: whoever adopts it can still open it.

use sha2::{Digest as _, Sha256};

use super::SealError;
use super::context::Context;
use super::envelope::{Binding, OBJECT_MAX, OVERHEAD, PAYLOAD_MAX, Sealed, padme};
use super::key::{KeyRing, Purpose, role_byte};
use super::pack::{CHUNK_RAW_MAX, Codec, pack, unpack, used_prefix};
use crate::id::{Digest, Generation, LogId, Random, SessionId};

/// `raw_len u64, packed_len u32`, before the packed bytes of every part.
const PART_HEADER: usize = 12;
/// The largest Padmé length that fits in an object, less the part's header.
const PIECE_MAX: usize = (OBJECT_MAX - PADME_STEP) - PART_HEADER;
/// The step of Padmé lengths just below [`OBJECT_MAX`]: 2^19 to 2^20 keeps 5 bits.
const PADME_STEP: usize = 1 << (19 - 5);
/// The most parts of one chunk: a chunk that does not pack is stored, and so never grows.
const PARTS_MAX: usize = CHUNK_RAW_MAX.div_ceil(PIECE_MAX);

const _: () = assert!(PIECE_MAX + PART_HEADER <= PAYLOAD_MAX && OVERHEAD < PADME_STEP);

/// What a chunk is in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkKind {
    /// Bytes from the start of the file.
    Snapshot,
    /// Bytes after the chunk before.
    Delta,
    /// A torn last line, kept for rescue only; outside the chain.
    Tail,
}

impl ChunkKind {
    fn byte(self) -> u8 {
        match self {
            Self::Snapshot => 0,
            Self::Delta => 1,
            Self::Tail => 2,
        }
    }
}

/// Where a chunk belongs.
#[derive(Debug, Clone)]
pub struct ChunkPlace<'a> {
    /// Whose session.
    pub session: &'a SessionId,
    /// Which of its files.
    pub log: &'a LogId,
    /// Which append history of that file.
    pub generation: Generation,
    /// Its number in the log.
    pub sequence: u32,
    /// What it is.
    pub kind: ChunkKind,
    /// The digest of the chunk before; [`Digest::NONE`] for snapshots and tails.
    pub previous: Digest,
}

/// A sealed chunk: one part, or as many as it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The parts in order; there is always one.
    pub parts: Vec<Sealed>,
}

impl Chunk {
    /// Computes the digest over all parts' bytes in order.
    pub fn digest(&self) -> Digest {
        let hash =
            self.parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part.as_bytes()));
        Digest(hash.finalize().into())
    }

    /// Returns how many bytes all parts have.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a chunk has always at least one part, and no part is empty"
    )]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.as_bytes().len()).sum()
    }
}

/// Seals `raw` for its place. `prefix` is what the log holds before it; only its last
/// [`PREFIX_MAX`](super::PREFIX_MAX) bytes matter, and opening needs the same.
///
/// # Errors
/// [`SealError::TooLarge`] above [`CHUNK_RAW_MAX`].
pub fn seal_chunk(
    keys: &KeyRing,
    place: &ChunkPlace<'_>,
    codec: Codec,
    prefix: &[u8],
    raw: &[u8],
    random: &mut dyn Random,
) -> Result<Chunk, SealError> {
    if raw.len() > CHUNK_RAW_MAX {
        return Err(SealError::TooLarge {
            what: "chunk",
            size: raw.len() as u64,
            max: CHUNK_RAW_MAX as u64,
        });
    }
    let (codec, packed) = pack(codec, prefix, raw);
    let pieces: Vec<&[u8]> =
        if packed.is_empty() { vec![&[]] } else { packed.chunks(PIECE_MAX).collect() };
    let context = context(keys, place, used_prefix(codec, prefix));
    let seal = |(index, piece): (usize, &&[u8])| {
        let mut payload = Vec::with_capacity(padme(PART_HEADER + piece.len()));
        payload.extend_from_slice(&(raw.len() as u64).to_le_bytes());
        payload.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        payload.extend_from_slice(piece);
        payload.resize(padme(payload.len()), 0);
        part(place, &context, index, pieces.len()).seal(keys, codec, &payload, random)
    };
    Ok(Chunk { parts: pieces.iter().enumerate().map(seal).collect() })
}

/// Opens the chunk of this place.
///
/// # Errors
/// When a part is missing, damaged, of another place or another `prefix`, or does not unpack.
pub fn open_chunk(
    keys: &KeyRing,
    place: &ChunkPlace<'_>,
    prefix: &[u8],
    parts: &[Sealed],
) -> Result<Vec<u8>, SealError> {
    let strange = SealError::Parts { count: parts.len() };
    let codec = parts.first().ok_or(strange.clone())?.codec();
    if parts.len() > PARTS_MAX || parts.iter().any(|part| part.codec() != codec) {
        return Err(strange);
    }
    let context = context(keys, place, used_prefix(codec, prefix));
    let mut packed = Vec::new();
    let mut raw_len = None;
    for (index, sealed) in parts.iter().enumerate() {
        let payload = part(place, &context, index, parts.len()).open(keys, sealed)?;
        let (announced, piece) = split_part(&payload).ok_or(SealError::Unpack { what: "chunk" })?;
        if *raw_len.get_or_insert(announced) != announced {
            return Err(strange);
        }
        packed.extend_from_slice(piece);
    }
    let raw_len = raw_len.unwrap_or(0);
    let too_large =
        |_| SealError::TooLarge { what: "chunk", size: raw_len, max: CHUNK_RAW_MAX as u64 };
    unpack(codec, prefix, &packed, usize::try_from(raw_len).map_err(too_large)?)
}

pub(super) fn context(keys: &KeyRing, place: &ChunkPlace<'_>, prefix: &[u8]) -> Context {
    Context::new("convosync/1 chunk", keys.vault())
        .item(place.session.as_str().as_bytes())
        .item(&[role_byte(place.log.role)])
        .item(place.log.path.as_bytes())
        .item(&place.generation.0)
        .number(u64::from(place.sequence))
        .item(&[place.kind.byte()])
        .item(&place.previous.0)
        .number(prefix.len() as u64)
        .item(&Digest::of(prefix).0)
}

pub(super) fn part<'a>(
    place: &ChunkPlace<'a>,
    context: &Context,
    index: usize,
    count: usize,
) -> Binding<'a> {
    let context = context.clone().number(index as u64).number(count as u64);
    Binding { purpose: Purpose::Chunk(place.session), context }
}

/// Splits a part into the chunk's raw length and its piece of the packed bytes.
fn split_part(payload: &[u8]) -> Option<(u64, &[u8])> {
    let (raw_len, rest) = payload.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (piece, padding) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    padding.iter().all(|&byte| byte == 0).then_some((u64::from_le_bytes(*raw_len), piece))
}

#[cfg(test)]
mod tests;
