//! The codecs: bytes to fewer bytes and back, with a hard limit on what comes back.
//!
//! zstd gets the bytes before the chunk as its prefix, which halves a delta; gzip does not.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, compress_bound};

use super::SealError;
use super::envelope::{GZIP, STORED, ZSTD};

pub use crate::config::Codec;

/// The most raw bytes of one chunk; callers cut longer growth into several. Bounds the memory of
/// sealing and opening to about three times this.
pub const CHUNK_RAW_MAX: usize = 8 << 20;
/// The most bytes before a chunk that zstd looks at: 8 MiB gain 1 to 4 % and take ten times as long
/// (measured on real transcripts).
pub const PREFIX_MAX: usize = 1 << 20;

/// On real transcripts 2 % smaller than level 9 in twice the time; level 19 saves 5 % more in six times
/// the time (measured).
const ZSTD_LEVEL: i32 = 12;

/// The smallest window zstd knows.
const WINDOW_LOG_MIN: u32 = 10;

/// Packs `raw`. Returns the codec byte and the bytes; what does not get smaller is stored.
pub(super) fn pack(codec: Codec, prefix: &[u8], raw: &[u8]) -> (u8, Vec<u8>) {
    let (byte, packed) = match codec {
        Codec::Zstd => (ZSTD, zstd_pack(prefix, raw)),
        Codec::Gzip => (GZIP, gzip_pack(raw)),
    };
    if packed.len() < raw.len() { (byte, packed) } else { (STORED, raw.to_vec()) }
}

/// Returns the part of `prefix` that a chunk with this codec byte depends on.
pub(super) fn used_prefix(codec: u8, prefix: &[u8]) -> &[u8] {
    match codec {
        ZSTD => &prefix[prefix.len().saturating_sub(PREFIX_MAX)..],
        _ => &[],
    }
}

/// Unpacks to exactly `raw_len` bytes. Never writes more than that, whatever the packed bytes say.
pub(super) fn unpack(
    codec: u8,
    prefix: &[u8],
    packed: &[u8],
    raw_len: usize,
) -> Result<Vec<u8>, SealError> {
    let refused = SealError::Unpack { what: "chunk" };
    if raw_len > CHUNK_RAW_MAX {
        return Err(SealError::TooLarge {
            what: "chunk",
            size: raw_len as u64,
            max: CHUNK_RAW_MAX as u64,
        });
    }
    let raw = match codec {
        STORED => Some(packed.to_vec()),
        ZSTD => zstd_unpack(prefix, packed, raw_len),
        GZIP => gzip_unpack(packed, raw_len),
        other => return Err(SealError::UnknownCodec(other)),
    };
    raw.filter(|raw| raw.len() == raw_len).ok_or(refused)
}

fn zstd_pack(prefix: &[u8], raw: &[u8]) -> Vec<u8> {
    let prefix = used_prefix(ZSTD, prefix);
    // The window must reach from the last byte of `raw` back to the first of the prefix.
    let window_log =
        (prefix.len() + raw.len()).max(1).next_power_of_two().ilog2().max(WINDOW_LOG_MIN);
    let mut context = CCtx::create();
    let mut packed = Vec::with_capacity(compress_bound(raw.len()));
    context
        .set_parameter(CParameter::CompressionLevel(ZSTD_LEVEL))
        .and_then(|_| context.set_parameter(CParameter::WindowLog(window_log)))
        .and_then(|_| context.ref_prefix(prefix))
        .and_then(|_| context.compress2(&mut packed, raw))
        .expect("zstd packs anything into as many bytes as it asked for");
    packed
}

/// Writes into a buffer of `raw_len` bytes and nowhere else: in one shot zstd's window is the output
/// itself, so that no frame can ask for memory of its own.
fn zstd_unpack(prefix: &[u8], packed: &[u8], raw_len: usize) -> Option<Vec<u8>> {
    let mut raw = vec![0; raw_len];
    let mut context = DCtx::create();
    context.ref_prefix(used_prefix(ZSTD, prefix)).ok()?;
    let len = context.decompress(&mut raw[..], packed).ok()?;
    raw.truncate(len);
    Some(raw)
}

fn gzip_pack(raw: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(raw).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

fn gzip_unpack(packed: &[u8], raw_len: usize) -> Option<Vec<u8>> {
    let mut raw = Vec::with_capacity(raw_len);
    let mut decoder = GzDecoder::new(packed);
    // One byte more than announced is enough to see that it is too long.
    (&mut decoder).take(raw_len as u64 + 1).read_to_end(&mut raw).ok()?;
    decoder.into_inner().is_empty().then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64) -> String {
        let id = crate::id::Digest::of(&number.to_le_bytes());
        format!(
            "{{\"type\":\"user\",\"uuid\":\"{id}\",\"message\":\"the same words in line {number}\"}}\n"
        )
    }

    fn lines(numbers: std::ops::Range<u64>) -> Vec<u8> {
        numbers.map(line).collect::<String>().into_bytes()
    }

    #[test]
    fn the_prefix_more_than_halves_what_repeats_it() {
        let noise: String = (0..4000)
            .map(|n| crate::id::Digest::of(&[7, n as u8, (n >> 8) as u8]).to_string())
            .collect();
        let prefix = [lines(0..200), noise.into_bytes()].concat();
        let raw = lines(120..210);
        let (_, with) = pack(Codec::Zstd, &prefix, &raw);
        let (_, without) = pack(Codec::Zstd, &[], &raw);
        assert!(with.len() * 2 < without.len(), "{} against {}", with.len(), without.len());
    }

    #[test]
    fn the_window_reaches_the_far_end_of_the_longest_prefix() {
        let mut random = crate::id::SeededRandom::new(1);
        let mut noise = vec![0; PREFIX_MAX];
        crate::id::Random::fill(&mut random, &mut noise);
        let raw = noise[..10_000].to_vec();
        let (codec, packed) = pack(Codec::Zstd, &noise, &raw);
        assert!(packed.len() < 100, "{}", packed.len());
        assert_eq!(unpack(codec, &noise, &packed, raw.len()), Ok(raw));
    }

    #[test]
    fn a_bomb_stops_at_the_announced_length() {
        for codec in [Codec::Zstd, Codec::Gzip] {
            let (byte, packed) = pack(codec, &[], &vec![0; CHUNK_RAW_MAX]);
            assert!(packed.len() < 10_000);
            assert_eq!(unpack(byte, &[], &packed, 100), Err(SealError::Unpack { what: "chunk" }));
            assert!(matches!(
                unpack(byte, &[], &packed, CHUNK_RAW_MAX + 1),
                Err(SealError::TooLarge { .. })
            ));
            assert_eq!(
                unpack(byte, &[], &packed, CHUNK_RAW_MAX - 1),
                Err(SealError::Unpack { what: "chunk" })
            );
        }
    }

    #[test]
    fn bytes_after_the_end_are_refused() {
        for codec in [Codec::Zstd, Codec::Gzip] {
            let raw = lines(0..10);
            let (byte, mut packed) = pack(codec, &[], &raw);
            packed.push(0);
            assert_eq!(
                unpack(byte, &[], &packed, raw.len()),
                Err(SealError::Unpack { what: "chunk" })
            );
        }
    }

    #[test]
    fn noise_is_stored_as_it_is() {
        let noise = crate::id::draw::<100>(&mut crate::id::SeededRandom::new(2));
        assert_eq!(pack(Codec::Zstd, &[], &noise).0, STORED);
        assert_eq!(pack(Codec::Gzip, &[], &noise).0, STORED);
    }
}
