//! The vectors that must be refused: what anybody could do to the bytes on a remote, and what a device
//! that has the keys could do on purpose.

use super::super::envelope::{Binding, GZIP, STORED, ZSTD, padme};
use super::super::fixture::*;
use super::super::{chunk, context, head, save, summary, *};
use super::cases::*;
use super::{Vector, unhex};
use crate::id::{Digest, Generation, hex};
use crate::wire::Writer;

type Named = (&'static str, Vector, bool);

pub(super) fn all() -> Vec<Named> {
    [outside(), places(), parts(), insiders(), cards_and_heads(), rosters(), grants()].concat()
}

/// Returns the vector with one byte of a field changed.
fn flip(about: &str, vector: Vector, field: &str, at: usize, mask: u8) -> Vector {
    let mut bytes = vector.bytes(field);
    bytes[at] ^= mask;
    vector.but(about, field, hex(&bytes))
}

/// What anybody can do to any sealed object, shown on a chunk.
fn outside() -> Vec<Named> {
    let stored = || chunk("", Codec::Zstd, b"before", b"\x00\xff\xfe");
    let flipped = |about, at, mask| flip(about, stored(), "part", at, mask);
    let cut = |about, len: usize| {
        let bytes = stored().bytes("part");
        stored().but(about, "part", hex(&bytes[..len]))
    };
    let longer = stored().get("part").to_owned() + "00";
    let last = stored().bytes("part").len() - 1;
    vec![
        ("chunk-magic", flipped("Another magic.", 0, 1), true),
        ("chunk-format-0", flipped("There is no format 0.", 4, 1), true),
        ("chunk-format-3", flipped("A newer format.", 4, 2), true),
        ("chunk-codec-3", flipped("There is no codec 3.", 5, 3), true),
        ("chunk-codec", flipped("Another codec than was sealed.", 5, 1), true),
        ("chunk-key-id", flipped("A key nobody has.", 6, 1), true),
        ("chunk-commitment", flipped("Another commitment.", 14, 1), true),
        ("chunk-nonce", flipped("Another nonce.", 30, 1), true),
        ("chunk-ciphertext", flipped("One bit of the ciphertext.", 54, 0x80), true),
        ("chunk-tag", flipped("One bit of the tag.", last, 1), true),
        ("chunk-cut-header", cut("Cut off inside the header.", 40), true),
        ("chunk-cut-tag", cut("Nothing left but header and tag.", 70), true),
        ("chunk-cut", cut("The last byte is missing.", last), true),
        ("chunk-longer", stored().but("A byte too many.", "part", longer), true),
        ("chunk-none", stored().but("No bytes at all.", "part", ""), true),
    ]
}

/// Objects that are whole, in places where they do not belong.
fn places() -> Vec<Named> {
    let stored = || chunk("", Codec::Zstd, b"before", b"\x00\xff\xfe");
    let zstd = chunk("", Codec::Zstd, LINES, LINES);
    let saved = || save_vector("", &save());
    let listed = || summary_vector("", &summary());
    let head = head_vector("", &head(&identity(1)));
    let stranger = hex(&Card::sign(&identity(2), VAULT));
    let (vault, other) = (VaultId([8; 8]), identity(9).device());
    let secret = format!("2 {} {}", ring().current().id, hex(&[1; 32]));
    let second = |vector: Vector, about: &str| {
        let mut changed = vector.but(about, "kind", "chunk");
        changed.fields.iter_mut().filter(|field| field.0 == "key").nth(1).unwrap().1 =
            secret.clone();
        changed
    };
    let name = ring().session_name(&session("another"));
    vec![
        ("chunk-of-vault", stored().but("A chunk of another vault.", "vault", vault), true),
        ("chunk-of-secret", second(stored(), "Another secret under the same key id."), true),
        (
            "chunk-of-session",
            stored().but("A chunk of another session.", "session", "another"),
            true,
        ),
        ("chunk-of-role", stored().but("A chunk of another log.", "role", "inside"), true),
        ("chunk-of-path", stored().but("A chunk of another path.", "path", "a"), true),
        (
            "chunk-of-generation",
            stored().but("Another generation.", "generation", Generation([8; 16])),
            true,
        ),
        ("chunk-of-sequence", stored().but("Another number.", "sequence", 6), true),
        ("chunk-of-kind", stored().but("A delta as a snapshot.", "chunk", "snapshot"), true),
        ("chunk-of-previous", stored().but("After another chunk.", "previous", Digest::NONE), true),
        ("chunk-of-prefix", zstd.but("After other bytes.", "prefix", hex(b"other")), false),
        (
            "save-of-session",
            saved().but("A record of another session.", "session", "another"),
            true,
        ),
        ("save-of-number", saved().but("A record of another number.", "number", 41), true),
        ("save-as-summary", save_as_summary(), true),
        ("summary-of-device", listed().but("From another device's tip.", "device", other), true),
        ("summary-of-name", listed().but("Under another session's name.", "name", name), true),
        ("head-of-device", head.but("Beside another device's card.", "card", stranger), true),
    ]
}

fn save_as_summary() -> Vector {
    let sealed = save_vector("", &save()).get("sealed").to_owned();
    summary_vector("", &summary()).but("A save record as a summary.", "sealed", sealed)
}

/// Seals a chunk of two parts, of which the vector holds those of `order`.
pub(super) fn two_parts(about: &str, order: [usize; 2]) -> Vector {
    let sealed =
        [sealed_part(STORED, (6, b"abc"), (0, 2)), sealed_part(STORED, (6, b"def"), (1, 2))];
    let place = chunk_place(about, b"");
    order
        .into_iter()
        .fold(place, |vector, index| vector.with("part", hex(sealed[index].as_bytes())))
}

/// Seals a part that says what it likes.
fn sealed_part(
    codec: u8,
    (raw_len, piece): (u64, &[u8]),
    (index, count): (usize, usize),
) -> Sealed {
    let payload = part_payload(raw_len, piece.len() as u32, piece);
    with_place(|place| {
        let context = chunk::context(&ring(), place, b"");
        chunk::part(place, &context, index, count).seal(&ring(), codec, &payload, &mut random())
    })
}

fn part_payload(raw_len: u64, len: u32, piece: &[u8]) -> Vec<u8> {
    [&raw_len.to_le_bytes()[..], &len.to_le_bytes(), piece].concat()
}

fn parts() -> Vec<Named> {
    let only = |index: usize, about| {
        let part = two_parts("", [0, 1]).all("part").nth(index).unwrap().to_owned();
        chunk_place(about, b"").with("part", part)
    };
    let both = |first: Sealed, second: Sealed, about| {
        chunk_place(about, b"")
            .with("part", hex(first.as_bytes()))
            .with("part", hex(second.as_bytes()))
    };
    let disagree = both(
        sealed_part(STORED, (6, b"abc"), (0, 2)),
        sealed_part(STORED, (7, b"def"), (1, 2)),
        "Parts that announce different lengths.",
    );
    let mixed = both(
        sealed_part(STORED, (6, b"abc"), (0, 2)),
        sealed_part(GZIP, (6, b"def"), (1, 2)),
        "Parts of different codecs.",
    );
    vec![
        ("parts-none", chunk_place("A chunk without parts.", b""), true),
        ("parts-first-only", only(0, "The first of two parts."), true),
        ("parts-second-only", only(1, "The second of two parts."), true),
        ("parts-swapped", two_parts("Two parts in the wrong order.", [1, 0]), true),
        ("parts-twice", two_parts("The first part twice.", [0, 0]), true),
        ("parts-disagree", disagree, true),
        ("parts-mixed", mixed, true),
    ]
}

/// What only a device with the keys can make.
fn insiders() -> Vec<Named> {
    let one = |about, codec, raw_len, piece: &[u8]| {
        chunk_place(about, b"")
            .with("part", hex(sealed_part(codec, (raw_len, piece), (0, 1)).as_bytes()))
    };
    let payload = |about, payload: &[u8]| {
        let sealed = with_place(|place| {
            let context = chunk::context(&ring(), place, b"");
            chunk::part(place, &context, 0, 1).seal(&ring(), STORED, payload, &mut random())
        });
        chunk_place(about, b"").with("part", hex(sealed.as_bytes()))
    };
    let bomb = zstd::bulk::compress(&vec![0; CHUNK_RAW_MAX], 9).unwrap();
    let mut padded = part_payload(1, 1, b"a");
    padded.push(1);
    vec![
        ("chunk-longer-than-said", one("More bytes than announced.", STORED, 2, b"abc"), true),
        ("chunk-shorter-than-said", one("Fewer bytes than announced.", STORED, 4, b"abc"), true),
        ("chunk-bomb", one("8 MiB of zeros announced as 100 bytes.", ZSTD, 100, &bomb), true),
        (
            "chunk-huge",
            one("A chunk that announces 8 MiB and a byte.", ZSTD, CHUNK_RAW_MAX as u64 + 1, &bomb),
            true,
        ),
        ("chunk-no-frame", one("Bytes that are no zstd frame.", ZSTD, 3, b"abc"), true),
        ("chunk-no-member", one("Bytes that are no gzip member.", GZIP, 3, b"abc"), true),
        ("chunk-padding", payload("Padding that is not zero.", &padded), true),
        (
            "chunk-piece",
            payload("A piece longer than the part.", &part_payload(9, 9, b"abc")),
            true,
        ),
        ("chunk-payload", payload("A part too short for its lengths.", b"abc"), true),
        (
            "save-path",
            save_record("A path that leads out of its folder.", &log_record("../../.bashrc")),
            true,
        ),
        ("save-order", save_record("Fields out of order.", &[2, 0, 1, 0]), true),
        ("save-cut", save_record("A field that ends too late.", &[1, 9, 0]), true),
        ("save-empty", save_record("A record without fields.", &[]), true),
        ("save-codec", save_codec(), true),
        ("summary-large", large_summary(), true),
        ("summary-lie", summary_lie(), true),
    ]
}

fn log_record(path: &str) -> Vec<u8> {
    let mut log = Writer::new();
    log.number(1, 1).text(2, path).bytes(3, &[9; 16]).bytes(10, &[1; 32]).bytes(11, &[2; 32]);
    let mut record = Writer::new();
    record.time(1, Some(AT_MS)).bytes(2, &[1; 8]).bytes(8, &log.finish());
    record.finish()
}

fn save_record(about: &str, record: &[u8]) -> Vector {
    let session = uuid();
    let binding = save::binding(&ring(), &session, 42);
    let sealed = binding.seal_record(&ring(), record, padme, &mut random()).unwrap();
    save_vector("", &save()).but(about, "sealed", hex(sealed.as_bytes()))
}

fn save_codec() -> Vector {
    let sealed =
        save::binding(&ring(), &uuid(), 42).seal(&ring(), ZSTD, b"\0\0\0\0", &mut random());
    save_vector("", &save()).but(
        "A record that says it is packed.",
        "sealed",
        hex(sealed.as_bytes()),
    )
}

fn large_summary() -> Vector {
    let name = ring().session_name(&uuid());
    let binding = summary::binding(&ring(), identity(2).device(), name);
    let sealed = binding.seal_record(&ring(), b"", |_| 2000, &mut random()).unwrap();
    let vector = summary_vector("", &summary());
    vector.but("A summary above 1024 bytes.", "sealed", hex(sealed.as_bytes()))
}

/// The summary of one session, sealed for the name of another.
fn summary_lie() -> Vector {
    let name = ring().session_name(&session("another"));
    let honest = unhex(summary_vector("", &summary()).get("sealed"));
    let ours = summary::binding(&ring(), identity(2).device(), ring().session_name(&uuid()));
    let record = ours.open_record(&ring(), &Sealed::from_bytes(honest).unwrap()).unwrap();
    let binding = summary::binding(&ring(), identity(2).device(), name);
    let sealed = binding.seal_record(&ring(), &record, padme, &mut random()).unwrap();
    summary_vector("", &summary()).but("", "name", name).but(
        "A session under a name that is not its own.",
        "sealed",
        hex(sealed.as_bytes()),
    )
}

fn cards_and_heads() -> Vec<Named> {
    let bytes = Card::sign(&identity(1), VAULT);
    let plain = || card("", &bytes);
    let last = bytes.len() - 1;
    let forged = {
        let (ours, other) = (identity(1), identity(2));
        let honest = head_vector("", &head(&ours));
        let binding = head::binding(VAULT, ours.device());
        let record = binding.open_record(&ring(), &honest.sealed().unwrap()).unwrap();
        let signed = other.sign(&head::context(VAULT, ours.device()), &record[64..]);
        let sealed = binding.seal_record(&ring(), &signed, padme, &mut random()).unwrap();
        honest.but("A head another device signed.", "sealed", hex(sealed.as_bytes()))
    };
    let honest = head_vector("", &head(&identity(1)));
    let elsewhere = hex(&Card::sign(&identity(1), VaultId([8; 8])));
    vec![
        ("card-magic", flip("Another magic.", plain(), "card", 0, 1), true),
        ("card-format", flip("A newer format.", plain(), "card", 4, 2), true),
        ("card-signature", flip("One bit of the signature.", plain(), "card", 5, 1), true),
        ("card-key", flip("One bit of the verifying key.", plain(), "card", last, 1), true),
        ("card-cut", plain().but("Cut off inside the signature.", "card", hex(&bytes[..40])), true),
        ("head-forged", forged, true),
        ("head-of-vault", honest.but("Beside a card of another vault.", "card", elsewhere), true),
    ]
}

fn roster_of(about: &str, entries: &[Vec<u8>]) -> Vector {
    let mut record = Writer::new();
    entries.iter().for_each(|entry| {
        record.bytes(1, entry);
    });
    let sealed =
        roster_binding().seal_record(&ring(), &record.finish(), padme, &mut random()).unwrap();
    roster_vector("", &roster()).but(about, "sealed", hex(sealed.as_bytes()))
}

fn roster_binding() -> Binding<'static> {
    let context = context::Context::new("convosync/1 roster", VAULT);
    Binding { purpose: key::Purpose::Roster, context }
}

fn entries_of(roster: &Roster) -> Vec<Vec<u8>> {
    let sealed = roster.seal(&ring(), &mut random()).unwrap();
    let record = roster_binding().open_record(&ring(), &sealed).unwrap();
    crate::wire::Fields::parse(&record).unwrap().all(1).map(<[u8]>::to_vec).collect()
}

/// An entry that rotates, signed by `signer` in the name of `actor`.
fn rotation(roster: &Roster, actor: &Identity, signer: &Identity, counter: u64) -> Vec<u8> {
    let mut record = Writer::new();
    record
        .bytes(1, &roster.head().0)
        .bytes(2, &actor.device().0)
        .time(3, Some(AT_MS))
        .number(4, 3)
        .bytes(14, &[6; 8])
        .number(15, counter);
    signer.sign(&context::Context::new("convosync/1 roster entry", VAULT), &record.finish())
}

fn rosters() -> Vec<Named> {
    let long = long_roster();
    let honest = entries_of(&long);
    let changed = |about, change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut entries = honest.clone();
        change(&mut entries);
        roster_of(about, &entries)
    };
    let with =
        |about, entry: Vec<u8>| changed(about, &|entries: &mut Vec<_>| entries.push(entry.clone()));
    let (one, two, three, nine) = (identity(1), identity(2), identity(3), identity(9));
    vec![
        ("roster-empty", roster_of("A roster without entries.", &[]), true),
        (
            "roster-gap",
            changed("An entry was taken out.", &|entries| drop(entries.remove(3))),
            true,
        ),
        (
            "roster-order",
            changed("Two entries changed places.", &|entries| entries.swap(2, 3)),
            true,
        ),
        ("roster-bit", changed("One bit of a signature.", &|entries| entries[2][0] ^= 1), true),
        ("roster-forged", with("Signed by another device.", rotation(&long, &one, &two, 3)), true),
        ("roster-stranger", with("Made by a stranger.", rotation(&long, &nine, &nine, 3)), true),
        (
            "roster-revoked",
            with("Made by a revoked device.", rotation(&long, &three, &three, 3)),
            true,
        ),
        (
            "roster-rule",
            with("A rotation back to counter 1.", rotation(&long, &one, &one, 1)),
            true,
        ),
    ]
}

fn grants() -> Vec<Named> {
    let (one, two, three, nine) = (identity(1), identity(2), identity(3), identity(9));
    let head = long_roster().head();
    let honest = grant("", &one, &two, head);
    let bytes = honest.bytes("grant");
    let for_another = grant_vector("Encrypted to another device.", &paper(), &bytes);
    let (age, signing) = two.secrets();
    let renamed = format!("{} {} {}", nine.device(), hex(age), hex(signing));
    let last = bytes.len() - 1;
    vec![
        ("grant-bit", flip("One bit of the last byte.", honest.clone(), "grant", last, 1), false),
        ("grant-cut", honest.clone().but("Cut off.", "grant", hex(&bytes[..last])), false),
        ("grant-for-another", for_another, false),
        ("grant-for-device", honest.but("For another device id.", "identity", renamed), false),
        ("grant-by-stranger", grant("Signed by a stranger.", &nine, &two, head), false),
        ("grant-by-revoked", grant("Signed by a revoked device.", &three, &two, head), false),
        ("grant-to-revoked", grant("For a revoked device.", &one, &three, head), false),
        ("grant-roster", grant("Made for another roster.", &one, &two, digest(1)), false),
    ]
}
