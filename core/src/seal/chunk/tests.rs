//! Chunks: round trips of anything, refusal everywhere else.

use proptest::prelude::*;

use super::super::fixture::*;
use super::super::pack::PREFIX_MAX;
use super::*;
use crate::id::{SeededRandom, VaultId};

const GENERATION: Generation = Generation([9; 16]);

/// A place with everything it needs.
#[derive(Clone)]
struct Owned {
    session: SessionId,
    log: LogId,
    generation: Generation,
    sequence: u32,
    kind: ChunkKind,
    previous: Digest,
}

impl Owned {
    fn new() -> Self {
        let log = LogId::main();
        let (kind, previous) = (ChunkKind::Delta, digest(1));
        Self { session: uuid(), log, generation: GENERATION, sequence: 5, kind, previous }
    }

    fn place(&self) -> ChunkPlace<'_> {
        let Self { generation, sequence, kind, previous, .. } = *self;
        ChunkPlace { session: &self.session, log: &self.log, generation, sequence, kind, previous }
    }
}

fn seal(place: &Owned, codec: Codec, prefix: &[u8], raw: &[u8]) -> Chunk {
    seal_chunk(&ring(), &place.place(), codec, prefix, raw, &mut SeededRandom::new(3)).unwrap()
}

fn open(place: &Owned, prefix: &[u8], parts: &[Sealed]) -> Result<Vec<u8>, SealError> {
    open_chunk(&ring(), &place.place(), prefix, parts)
}

fn check_round_trip(codec: Codec, prefix: &[u8], raw: &[u8]) -> Chunk {
    let place = Owned::new();
    let chunk = seal(&place, codec, prefix, raw);
    assert!(open(&place, prefix, &chunk.parts).unwrap() == raw, "{} bytes, {codec:?}", raw.len());
    assert!(chunk.parts.iter().all(|part| part.as_bytes().len() <= OBJECT_MAX));
    chunk
}

/// Bytes that do not pack (SplitMix64: the seeded source takes seconds for megabytes).
fn noise(len: usize) -> Vec<u8> {
    let mut state = len as u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}

fn transcript(lines: std::ops::Range<u32>) -> Vec<u8> {
    let line = |n| {
        format!("{{\"type\":\"assistant\",\"n\":{n},\"uuid\":\"{}\"}}\n", Digest::of(&[n as u8]))
    };
    lines.map(line).collect::<String>().into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_with_any_prefix_come_back(
        prefix in prop::collection::vec(any::<u8>(), 0..3000),
        raw in prop::collection::vec(any::<u8>(), 0..3000),
        repeats in 1usize..20,
        gzip: bool,
    ) {
        let codec = if gzip { Codec::Gzip } else { Codec::Zstd };
        check_round_trip(codec, &prefix, &raw.repeat(repeats));
    }
}

#[test]
fn the_longest_chunk_fits_in_parts_and_a_longer_one_is_refused() {
    for codec in [Codec::Zstd, Codec::Gzip] {
        let chunk = check_round_trip(codec, &noise(100), &noise(CHUNK_RAW_MAX));
        assert_eq!(chunk.parts.len(), PARTS_MAX);
        assert_eq!(
            chunk.len(),
            chunk.parts.iter().map(|part| part.as_bytes().len()).sum::<usize>()
        );
        let place = Owned::new();
        let long = vec![0; CHUNK_RAW_MAX + 1];
        let refused =
            seal_chunk(&ring(), &place.place(), codec, &[], &long, &mut SeededRandom::new(3));
        assert!(matches!(refused, Err(SealError::TooLarge { .. })));
    }
}

#[test]
fn sizes_around_one_part_come_back() {
    for len in [0, 1, PIECE_MAX - 1, PIECE_MAX, PIECE_MAX + 1] {
        let chunk = check_round_trip(Codec::Zstd, &[], &noise(len));
        assert_eq!(chunk.parts.len(), len.div_ceil(PIECE_MAX).max(1));
    }
}

#[test]
fn only_the_last_mebibyte_of_the_prefix_matters() {
    let (long, raw) = (noise(PREFIX_MAX + 500), noise(2000));
    let raw = [&long[1000..3000], &raw].concat();
    let chunk = seal(&Owned::new(), Codec::Zstd, &long, &raw);
    assert!(chunk.len() < 2400, "{}", chunk.len());
    assert_eq!(open(&Owned::new(), &long[500..], &chunk.parts), Ok(raw));
}

#[test]
fn a_delta_costs_its_news_and_little_more() {
    let (prefix, raw) = (transcript(0..200), transcript(200..205));
    let chunk = check_round_trip(Codec::Zstd, &prefix, &raw);
    let alone = check_round_trip(Codec::Zstd, &[], &raw);
    assert!(chunk.len() < alone.len() && chunk.len() < 400, "{} and {}", chunk.len(), alone.len());
}

#[test]
fn every_mutation_of_a_chunk_is_refused() {
    let place = Owned::new();
    for codec in [Codec::Zstd, Codec::Gzip] {
        let chunk = seal(&place, codec, b"before", &transcript(0..3));
        check_sealed_mutations(&chunk.parts[0], |part| {
            open(&place, b"before", std::slice::from_ref(part))
        });
    }
}

#[test]
fn a_chunk_opens_in_its_own_place_only() {
    let ours = Owned::new();
    let chunk = seal(&ours, Codec::Zstd, b"before", b"after");
    let check = |change: fn(&mut Owned), expected: &str| {
        let mut place = ours.clone();
        change(&mut place);
        assert_eq!(variant(&open(&place, b"before", &chunk.parts).unwrap_err()), expected);
    };
    check(|place| place.session = session("another"), "OtherKey");
    check(|place| place.log = inside("a"), "Damaged");
    check(|place| place.log.role = crate::id::Role::Beside, "Damaged");
    check(|place| place.generation.0[15] ^= 1, "Damaged");
    check(|place| place.sequence += 1, "Damaged");
    check(|place| place.kind = ChunkKind::Snapshot, "Damaged");
    check(|place| place.kind = ChunkKind::Tail, "Damaged");
    check(|place| place.previous = Digest::NONE, "Damaged");
    assert_eq!(
        variant(&open_chunk(&other_ring(), &ours.place(), b"before", &chunk.parts).unwrap_err()),
        "UnknownKey"
    );
    let elsewhere = ring_of(VaultId([8; 8]));
    assert_eq!(
        variant(&open_chunk(&elsewhere, &ours.place(), b"before", &chunk.parts).unwrap_err()),
        "OtherKey"
    );
}

#[test]
fn a_chunk_opens_with_its_own_prefix_only() {
    let place = Owned::new();
    let raw = transcript(0..3);
    let chunk = seal(&place, Codec::Zstd, b"before", &raw);
    for prefix in [&b"Before"[..], b"efore", b"", b"xbefore"] {
        assert_eq!(variant(&open(&place, prefix, &chunk.parts).unwrap_err()), "Damaged");
    }
    let chunk = seal(&place, Codec::Gzip, b"before", &raw);
    assert_eq!(open(&place, b"anything", &chunk.parts), Ok(raw), "gzip has no prefix");
}

#[test]
fn parts_open_all_together_in_their_order_only() {
    let place = Owned::new();
    let parts = seal(&place, Codec::Zstd, &[], &noise(3 * PIECE_MAX)).parts;
    let other = seal_chunk(
        &ring(),
        &place.place(),
        Codec::Zstd,
        &[],
        &noise(3 * PIECE_MAX - 1),
        &mut SeededRandom::new(4),
    );
    let other = other.unwrap().parts;
    let check = |parts: &[&Sealed], expected: &str| {
        let parts: Vec<_> = parts.iter().copied().cloned().collect();
        assert_eq!(variant(&open(&place, &[], &parts).unwrap_err()), expected);
    };
    assert!(open(&place, &[], &parts).is_ok());
    check(&[], "Parts");
    check(&[&parts[0], &parts[1]], "Damaged");
    check(&[&parts[1], &parts[0], &parts[2]], "Damaged");
    check(&[&parts[0], &parts[0], &parts[2]], "Damaged");
    check(&[&parts[0], &parts[1], &parts[2], &parts[2]], "Damaged");
    check(&[&parts[0], &parts[1], &other[2]], "Parts");
    check(&[&parts[0]; PARTS_MAX + 1], "Parts");
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let place = Owned::new();
    let zstd = seal(&place, Codec::Zstd, &[], &transcript(0..9)).parts;
    let stored = seal(&place, Codec::Zstd, &[], &noise(9)).parts;
    let mixed = [zstd[0].clone(), stored[0].clone()];
    assert_eq!(open(&place, &[], &mixed), Err(SealError::Parts { count: 2 }));
}

#[test]
fn an_adopted_chunk_opens_on_any_device_of_the_vault() {
    let (chunk, place) = (seal(&Owned::new(), Codec::Zstd, b"p", b"raw"), Owned::new());
    let mut later = ring();
    later.add(crate::seal::VaultKey::create(3, &mut SeededRandom::new(8))).unwrap();
    assert_eq!(open_chunk(&later, &place.place(), b"p", &chunk.parts), Ok(b"raw".to_vec()));
}

#[test]
fn the_same_bytes_are_never_sealed_alike() {
    let place = Owned::new();
    let random = &mut SeededRandom::new(5);
    let mut once =
        || seal_chunk(&ring(), &place.place(), Codec::Zstd, &[], b"raw", random).unwrap().digest();
    assert_ne!(once(), once());
}

#[test]
fn sizes_say_little() {
    let place = Owned::new();
    let len = |raw: usize| seal(&place, Codec::Zstd, &[], &noise(raw)).len();
    assert_eq!(len(1000), len(1005));
}
