//! The vectors that must open.

use super::super::fixture::*;
use super::super::*;
use super::{Case, Vector, fail, folder};
use crate::id::{Digest, Generation, LogId, LogName, SeededRandom, hex};

/// Every vector there is.
pub(super) fn all() -> Vec<Case> {
    let case = |folder_name: &str, (name, vector, repeats): (&str, Vector, bool)| {
        let path = folder().join(folder_name).join(format!("{name}.txt"));
        let known = if folder_name == "pass" {
            let (opens, reads) = vector.open().unwrap_or_else(|error| panic!("{name}: {error}"));
            let vector = vector.with("opens", opens);
            if reads.is_empty() { vector } else { vector.with("reads", reads) }
        } else {
            let error = vector.open().expect_err(name);
            vector.with("error", variant(&error))
        };
        Case { path, vector: known, repeats }
    };
    let pass = pass().into_iter().map(|vector| case("pass", vector));
    pass.chain(fail::all().into_iter().map(|vector| case("fail", vector))).collect()
}

fn pass() -> Vec<(&'static str, Vector, bool)> {
    vec![
        (
            "chunk-stored",
            chunk("A delta that does not pack.", Codec::Zstd, b"before", b"\x00\xff\xfe"),
            true,
        ),
        (
            "chunk-zstd",
            chunk("A delta packed with the bytes before it.", Codec::Zstd, LINES, LINES),
            false,
        ),
        ("chunk-gzip", chunk("A delta packed by gzip.", Codec::Gzip, b"", LINES), false),
        ("chunk-empty", chunk("A chunk of no bytes.", Codec::Zstd, b"", b""), true),
        ("chunk-parts", fail::two_parts("A chunk of two parts.", [0, 1]), true),
        ("save-typical", save_vector("The main log grew.", &save()), true),
        ("save-full", save_vector("Everything a record can hold.", &full_save()), true),
        ("save-further", save_vector("Two further repositories.", &further_save()), true),
        ("save-course", save_vector("Where the code stood.", &course_save()), true),
        ("save-surroundings", save_vector("What made it.", &surrounded_save()), true),
        ("save-environment", save_vector("Variables.", &environment_save()), true),
        ("save-shell", save_vector("Lines of the shell.", &shell_save()), true),
        ("summary-typical", summary_vector("A summary of 512 bytes.", &summary()), true),
        (
            "summary-quiet",
            summary_vector("A summary of a save that is to raise no notification.", &quiet()),
            true,
        ),
        (
            "summary-packed",
            summary_vector("A summary that tells how large the history is.", &packed()),
            true,
        ),
        ("summary-long", summary_vector("Texts cut to 1024 bytes.", &long_summary()), true),
        ("card-plain", card("A device's card.", &Card::sign(&identity(1), VAULT)), true),
        ("card-successor", card("A card signed by the one before.", &succeeded()), true),
        ("head-typical", head_vector("Three other devices seen.", &head(&identity(1))), true),
        ("head-tombstones", head_vector("Two sessions deleted.", &deleted()), true),
        ("roster-genesis", roster_vector("The first device and paper.", &roster()), true),
        ("roster-long", roster_vector("Added, rotated, revoked.", &long_roster()), true),
        (
            "grant",
            grant(
                "The keys for the second device.",
                &identity(1),
                &identity(2),
                long_roster().head(),
            ),
            false,
        ),
        ("names", names(), true),
        ("phrase", phrase(), true),
    ]
}

pub(super) const LINES: &[u8] =
    b"{\"type\":\"user\",\"message\":\"hello\"}\n{\"type\":\"user\",\"message\":\"hello again\"}\n";

pub(super) fn random() -> SeededRandom {
    SeededRandom::new(2026)
}

/// The fields that say who we are: vault and keys.
pub(super) fn vector(about: &str, kind: &str) -> Vector {
    let keys = ring();
    let start = Vector::new(about, kind).with("vault", VAULT);
    let mut record = crate::wire::Writer::new();
    keys.write(&mut record, 1);
    let record = record.finish();
    let fields = crate::wire::Fields::parse(&record).unwrap();
    fields.all(1).fold(start, |vector, one| {
        let key = crate::wire::Fields::parse(one).unwrap();
        let (counter, id, secret) =
            (key.number::<u32>(1), key.required::<8>(2), key.required::<32>(3));
        vector.with(
            "key",
            format!("{} {} {}", counter.unwrap(), hex(&id.unwrap()), hex(&secret.unwrap())),
        )
    })
}

/// The fields that say where the vectors' chunks belong.
pub(super) fn chunk_place(about: &str, prefix: &[u8]) -> Vector {
    vector(about, "chunk")
        .with("session", uuid())
        .with("role", "main")
        .with("path", "")
        .with("generation", Generation([9; 16]))
        .with("sequence", 5)
        .with("chunk", "delta")
        .with("previous", digest(1))
        .with("prefix", hex(prefix))
}

/// Calls `make` with the place that [`chunk_place`] describes.
pub(super) fn with_place<T>(make: impl FnOnce(&ChunkPlace<'_>) -> T) -> T {
    let (session, log) = (uuid(), LogId::main());
    let generation = Generation([9; 16]);
    let (kind, previous) = (ChunkKind::Delta, digest(1));
    make(&ChunkPlace { session: &session, log: &log, generation, sequence: 5, kind, previous })
}

pub(super) fn chunk(about: &str, codec: Codec, prefix: &[u8], raw: &[u8]) -> Vector {
    let sealed =
        with_place(|place| seal_chunk(&ring(), place, codec, prefix, raw, &mut random()).unwrap());
    let place = chunk_place(about, prefix);
    sealed.parts.iter().fold(place, |vector, part| vector.with("part", hex(part.as_bytes())))
}

pub(super) fn save_vector(about: &str, record: &SaveRecord) -> Vector {
    let sealed = seal_save(&ring(), &uuid(), record, &mut random()).unwrap();
    vector(about, "save")
        .with("session", uuid())
        .with("number", record.number)
        .with("sealed", hex(sealed.as_bytes()))
}

pub(super) fn summary_vector(about: &str, summary: &Summary) -> Vector {
    let device = identity(2).device();
    let sealed = seal_summary(&ring(), device, summary, &mut random()).unwrap();
    vector(about, "summary")
        .with("device", device)
        .with("name", ring().session_name(&summary.session))
        .with("sealed", hex(sealed.as_bytes()))
}

fn quiet() -> Summary {
    Summary { quiet: true, ..summary() }
}

fn packed() -> Summary {
    Summary { packed: 123_456_789, ..summary() }
}

fn long_summary() -> Summary {
    Summary {
        title: Some("日本".repeat(99)),
        subdirectory: "packages/".repeat(40) + "web",
        ..summary()
    }
}

pub(super) fn card(about: &str, bytes: &[u8]) -> Vector {
    Vector::new(about, "card").with("card", hex(bytes))
}

fn succeeded() -> Vec<u8> {
    Card::succeed(&identity(2), &identity(1), VAULT)
}

pub(super) fn head_vector(about: &str, head: &Head) -> Vector {
    let sealed = seal_head(&ring(), &identity(1), head, &mut random()).unwrap();
    vector(about, "head")
        .with("card", hex(&Card::sign(&identity(1), VAULT)))
        .with("sealed", hex(sealed.as_bytes()))
}

fn deleted() -> Head {
    let logs = vec![(LogName([1; 8]), 1 << 33, digest(1))];
    let one = Tombstone { session: uuid(), at_ms: AT_MS, logs };
    let two = Tombstone { session: session("not-a-uuid"), at_ms: AT_MS + 1, logs: Vec::new() };
    Head { tombstones: vec![one, two], previous: Digest::NONE, ..head(&identity(1)) }
}

pub(super) fn roster_vector(about: &str, roster: &Roster) -> Vector {
    let sealed = roster.seal(&ring(), &mut random()).unwrap();
    vector(about, "roster").with("sealed", hex(sealed.as_bytes()))
}

/// The genesis, a second device, a rotation, a third device, which is revoked.
pub(super) fn long_roster() -> Roster {
    let enrol = |n| {
        let card = Card::open(&Card::sign(&identity(n), VAULT)).unwrap();
        RosterAction::Add(Enrolment::of(&card, DeviceKind::Phone, Some(format!("phone {n}"))))
    };
    let key = ring().current().id;
    let revoke =
        RosterAction::Revoke { device: identity(3).device(), sequence: 17, head: digest(17) };
    let mut roster = roster();
    roster.append(&identity(1), enrol(2), AT_MS + 1).unwrap();
    roster.append(&identity(2), RosterAction::Rotate { key, counter: 2 }, AT_MS + 2).unwrap();
    roster.append(&identity(2), enrol(3), AT_MS + 3).unwrap();
    roster.append(&paper(), revoke, AT_MS + 4).unwrap();
    roster
}

pub(super) fn grant(about: &str, approver: &Identity, to: &Identity, roster: Digest) -> Vector {
    let card = Card::open(&Card::sign(to, VAULT)).unwrap();
    let bytes = seal_grant(&ring(), approver, &card, roster, &seen(1)).unwrap();
    grant_vector(about, to, &bytes)
}

pub(super) fn grant_vector(about: &str, to: &Identity, bytes: &[u8]) -> Vector {
    let (age, signing) = to.secrets();
    let sealed = long_roster().seal(&ring(), &mut random()).unwrap();
    Vector::new(about, "grant")
        .with("identity", format!("{} {} {}", to.device(), hex(age), hex(signing)))
        .with("grant", hex(bytes))
        .with("sealed", hex(sealed.as_bytes()))
}

fn names() -> Vector {
    vector("What a session and a log of it are called on the remote.", "names")
        .with("session", uuid())
        .with("role", "inside")
        .with("path", "subagents/agent-a2898e3.jsonl")
}

fn phrase() -> Vector {
    let words = Phrase::create(&mut random()).words().join(" ");
    Vector::new("The device, recipient and verifying key that follow from a phrase.", "phrase")
        .with("words", words)
}
