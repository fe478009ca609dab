//! Test vectors: every kind of object as a file, with what it must open to or the error it must give.
//!
//! The files under `tests/fixtures/sealed/v1` are the promise that a later version reads what this
//! one wrote; they stay for ever. [`cases`] makes them; with `CONVOSYNC_WRITE_VECTORS=1` the test
//! writes those that are missing. Those whose bytes depend on more than our own seed (age's
//! randomness, a codec's version) are not compared with what would be made today, only opened.

mod cases;
mod fail;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::*;
use crate::id::{Digest, Generation, LogId, Role, SessionName, from_hex, hex};

/// One vector: what it shows, and its fields in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Vector {
    about: String,
    fields: Vec<(String, String)>,
}

#[expect(clippy::needless_pass_by_value, reason = "a vector is written as a list of values")]
impl Vector {
    fn new(about: &str, kind: &str) -> Self {
        Self { about: about.to_owned(), fields: Vec::new() }.with("kind", kind)
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.fields.push((name.to_owned(), value.to_string()));
        self
    }

    /// Replaces the first field of this name.
    fn but(mut self, about: &str, name: &str, value: impl ToString) -> Self {
        let field =
            self.fields.iter_mut().find(|field| field.0 == name).expect("the field is there");
        field.1 = value.to_string();
        self.about = about.to_owned();
        self
    }

    fn text(&self) -> String {
        let line = |(name, value): &(String, String)| {
            format!("{name}: {value}").trim_end().to_owned() + "\n"
        };
        let fields = self.fields.iter().map(line);
        format!("# {}\n{}", self.about, fields.collect::<String>())
    }

    /// Returns the fields that later versions must agree on: how one shows an object is its own affair.
    fn promised(&self) -> impl Iterator<Item = &(String, String)> {
        self.fields.iter().filter(|field| field.0 != "reads")
    }

    fn parse(text: &str) -> Self {
        let (about, fields) = text.strip_prefix("# ").unwrap().split_once('\n').unwrap();
        let field = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.into(), value.trim_start().into()))
        };
        Self {
            about: about.into(),
            fields: fields.lines().map(|line| field(line).unwrap()).collect(),
        }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |field| field.0 == name).map(|field| field.1.as_str())
    }

    fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_else(|| panic!("`{}` has no `{name}`", self.about))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        unhex(self.get(name))
    }

    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        from_hex(self.get(name)).unwrap()
    }

    fn session(&self) -> crate::id::SessionId {
        self.get("session").parse().unwrap()
    }

    fn log(&self) -> LogId {
        let role = [("main", Role::Main), ("inside", Role::Inside), ("beside", Role::Beside)]
            .into_iter()
            .find(|role| role.0 == self.get("role"));
        LogId { role: role.unwrap().1, path: self.get("path").to_owned() }
    }

    /// `key: <counter> <id> <secret>`, oldest first.
    fn keys(&self) -> KeyRing {
        let mut keys = self.all("key").map(|line| {
            let [counter, id, secret] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let secret = Zeroizing::new(from_hex(secret).unwrap());
            VaultKey::from_parts(counter.parse().unwrap(), id.parse().unwrap(), secret)
        });
        let mut ring = KeyRing::new(VaultId(self.array("vault")), keys.next().unwrap());
        keys.for_each(|key| ring.add(key).unwrap());
        ring
    }

    /// `identity: <device> <age secret> <signing secret>`.
    fn identity(&self) -> Identity {
        let [device, age, signing] =
            self.get("identity").split(' ').collect::<Vec<_>>().try_into().unwrap();
        let secret = |text| Zeroizing::new(from_hex(text).unwrap());
        Identity::from_parts(device.parse().unwrap(), secret(age), &secret(signing))
    }

    fn sealed(&self) -> Result<Sealed, SealError> {
        Sealed::from_bytes(self.bytes("sealed"))
    }

    /// Opens what the vector holds. Returns what came out in a form that later versions give too (for a
    /// record, the bytes that stand for it), and how this version shows it.
    fn open(&self) -> Result<(String, String), SealError> {
        let keys = || self.keys();
        match self.get("kind") {
            "chunk" => {
                self.open_chunk().map(|raw| (hex(&raw), shown(&String::from_utf8_lossy(&raw))))
            }
            "save" => {
                let number = self.get("number").parse().unwrap();
                let record = open_save(&keys(), &self.session(), number, &self.sealed()?)?;
                // The first vectors know of no further repositories, of no course and of no surroundings.
                let described = shown(&record).replace("further: [], ", "");
                let described = described.replace("course: None, ", "");
                let none = format!("surroundings: {:?}, ", save::Surroundings::default());
                let described = described.replace(&none, "").replace(", shell: {} }", " }");
                let described = described.replace(", environment: None }", " }");
                Ok((hex(&save::write(&record)), described))
            }
            "summary" => {
                let (device, name) =
                    (DeviceId(self.array("device")), SessionName(self.array("name")));
                let summary = open_summary(&keys(), device, name, &self.sealed()?)?;
                // The first vectors know of no quiet saves and of no packs.
                let described = shown(&summary).replace("quiet: false, ", "");
                let described = described.replace("packed: 0, ", "");
                Ok((hex(&summary::write(device, &summary)), described))
            }
            "card" => {
                Card::open(&self.bytes("card")).map(|card| (described_card(&card), shown(&card)))
            }
            "head" => {
                let card = Card::open(&self.bytes("card"))?;
                let head = open_head(&keys(), &card, &self.sealed()?)?;
                Ok((hex(&head::write(&head)), shown(&head)))
            }
            "roster" => {
                let roster = Roster::open(&keys(), &self.sealed()?)?;
                let members = roster.verify()?;
                Ok((described_roster(&roster, &members), shown(&members)))
            }
            "grant" => self.open_grant(),
            "names" => {
                let (keys, session) = (keys(), self.session());
                let names = [keys.session_name(&session).0, keys.log_name(&session, &self.log()).0];
                Ok((names.map(|name| hex(&name)).join(" "), String::new()))
            }
            "phrase" => {
                let paper = Identity::from_phrase(&Phrase::parse(self.get("words")).unwrap());
                let keys = [paper.recipient(), hex(&paper.verifying())].join(" ");
                Ok((format!("{} {keys}", paper.device()), String::new()))
            }
            other => panic!("`{other}` is no kind of vector"),
        }
    }

    fn open_chunk(&self) -> Result<Vec<u8>, SealError> {
        let (session, log) = (self.session(), self.log());
        let kind = match self.get("chunk") {
            "snapshot" => ChunkKind::Snapshot,
            "delta" => ChunkKind::Delta,
            "tail" => ChunkKind::Tail,
            other => panic!("`{other}` is no kind of chunk"),
        };
        let place = ChunkPlace {
            session: &session,
            log: &log,
            generation: Generation(self.array("generation")),
            sequence: self.get("sequence").parse().unwrap(),
            kind,
            previous: Digest(self.array("previous")),
        };
        let parts = self
            .all("part")
            .map(|part| Sealed::from_bytes(unhex(part)))
            .collect::<Result<Vec<_>, _>>()?;
        open_chunk(&self.keys(), &place, &self.bytes("prefix"), &parts)
    }

    fn open_grant(&self) -> Result<(String, String), SealError> {
        let grant = open_grant(&self.identity(), &self.bytes("grant"))?;
        let roster = Roster::open(grant.unproven_keys(), &self.sealed()?)?;
        let described =
            format!("{} {} {} {}", grant.vault, grant.recipient, grant.approver, grant.roster);
        let reads = shown(&grant.seen);
        let mut keys = crate::wire::Writer::new();
        grant.into_keys(&roster.verify()?)?.write(&mut keys, 1);
        Ok((format!("{described} {}", hex(&keys.finish())), reads))
    }
}

fn shown(value: &impl Debug) -> String {
    format!("{value:?}")
}

fn described_card(card: &Card) -> String {
    let predecessor = card.predecessor.as_ref().map(|older| older.device.to_string());
    let fields = [
        card.vault.to_string(),
        card.device.to_string(),
        card.recipient.clone(),
        hex(&card.verifying),
    ];
    format!("{} {}", fields.join(" "), predecessor.unwrap_or_default()).trim_end().to_owned()
}

fn described_roster(roster: &Roster, members: &Members) -> String {
    let member = |(device, member): (DeviceId, &Member)| {
        let end = member
            .revoked
            .map_or("active".to_owned(), |end| format!("revoked at {}", end.sequence));
        format!("{device} {} {end}", member.enrolment.kind)
    };
    let keys = members.rotated_keys().iter().map(|(counter, key)| format!("key {counter} {key}"));
    let lines: Vec<_> = members.iter().map(member).chain(keys).collect();
    format!("{}: {}", roster.head(), lines.join(", "))
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// A vector with its file's name, and whether its bytes are the same whenever it is made.
struct Case {
    path: PathBuf,
    vector: Vector,
    repeats: bool,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/sealed/v1")
}

fn files() -> BTreeMap<PathBuf, Vector> {
    let in_folder = |name: &str| fs::read_dir(folder().join(name)).expect("the vectors are there");
    let files = in_folder("pass").chain(in_folder("fail")).map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), Vector::parse(&fs::read_to_string(&path).unwrap()))).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "only a developer who asks for it has vectors written"
)]
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn the_vectors_are_those_this_version_makes() {
    let cases = cases::all();
    if std::env::var_os("CONVOSYNC_WRITE_VECTORS").is_some() {
        cases
            .iter()
            .filter(|case| !case.path.exists())
            .for_each(|case| write(&case.path, &case.vector.text()));
    }
    let files = files();
    for Case { path, vector, repeats } in &cases {
        let file = files.get(path).unwrap_or_else(|| panic!("{} is missing", path.display()));
        assert_eq!(file.about, vector.about, "{}", path.display());
        assert!(
            !repeats || file.promised().eq(vector.promised()),
            "{} would be made differently today",
            path.display()
        );
    }
    assert_eq!(files.len(), cases.len(), "every file has its case");
}

#[test]
fn every_vector_opens_or_is_refused_as_it_says() {
    for (path, vector) in files() {
        let must_pass = path.parent().unwrap().ends_with("pass");
        match vector.open() {
            Ok((opened, _)) => {
                assert!(must_pass && opened == vector.get("opens"), "{}: {opened}", path.display())
            }
            Err(error) => {
                assert!(!must_pass, "{}: {error}", path.display());
                assert_eq!(
                    fixture::variant(&error),
                    vector.get("error"),
                    "{}: {error}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_error_that_opening_can_give_has_a_vector() {
    let errors: std::collections::BTreeSet<_> = files()
        .values()
        .flat_map(|vector| vector.all("error").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    // What only sealing or a caller's own arguments can bring about.
    let elsewhere = ["BadRecipient", "KeyConflict"];
    for name in [
        "NotSealed",
        "NewerFormat",
        "UnknownCodec",
        "Cut",
        "TooLarge",
        "UnknownKey",
        "OtherKey",
        "Damaged",
        "Malformed",
        "Unpack",
        "Parts",
        "BadSignature",
        "OtherVault",
        "OtherDevice",
        "NotForUs",
        "BrokenChain",
        "NotAllowed",
        "NotEnrolled",
        "Revoked",
        "OtherRoster",
    ] {
        assert!(errors.contains(name) && !elsewhere.contains(&name), "{name} has no vector");
    }
}
