//! What the tests of this room share: a vault, its devices, typical objects, and the mutations that
//! every object must survive by being refused.

use super::*;
use crate::context::{Course, Passage, Stand};
use crate::id::{
    Digest, Generation, LogId, LogName, Oid, RepositoryKey, Role, SeededRandom, SessionId, StoreId,
};
use crate::shell_history::ShellLine;

pub(super) const VAULT: VaultId = VaultId([7; 8]);
pub(super) const AT_MS: i64 = 1_790_000_000_123;

/// Two keys, so that old objects and new ones are under different ones.
pub(super) fn ring() -> KeyRing {
    let random = &mut SeededRandom::new(1);
    let mut ring = KeyRing::new(VAULT, VaultKey::create(1, random));
    ring.add(VaultKey::create(2, random)).unwrap();
    ring
}

/// A vault of the same id, with other keys.
pub(super) fn other_ring() -> KeyRing {
    KeyRing::new(VAULT, VaultKey::create(1, &mut SeededRandom::new(2)))
}

/// The same keys in another vault.
pub(super) fn ring_of(vault: VaultId) -> KeyRing {
    let random = &mut SeededRandom::new(1);
    let mut ring = KeyRing::new(vault, VaultKey::create(1, random));
    ring.add(VaultKey::create(2, random)).unwrap();
    ring
}

pub(super) fn identity(seed: u64) -> Identity {
    Identity::create(&mut SeededRandom::new(100 + seed))
}

pub(super) fn paper() -> Identity {
    Identity::from_phrase(&Phrase::create(&mut SeededRandom::new(99)))
}

pub(super) fn roster() -> Roster {
    Roster::genesis(&identity(1), DeviceKind::Laptop, &paper(), VAULT, AT_MS)
}

pub(super) fn session(text: &str) -> SessionId {
    text.parse().unwrap()
}

pub(super) fn uuid() -> SessionId {
    session("4d5611e5-241a-462a-8d15-5122611a9569")
}

pub(super) fn digest(byte: u8) -> Digest {
    Digest::of(&[byte])
}

pub(super) fn inside(path: &str) -> LogId {
    LogId { role: Role::Inside, path: path.to_owned() }
}

pub(super) fn log_state(log: LogId) -> LogState {
    LogState {
        log,
        generation: Generation([9; 16]),
        length: 1_234_567,
        sequence: 41,
        snapshot: 3,
        earlier: Vec::new(),
        snapshot_length: 300_000,
        snapshot_messages: 1042,
        sealed: 123_456,
        last: digest(1),
        content: digest(2),
        window: digest(3),
        tail: None,
    }
}

pub(super) fn code_point() -> CodePoint {
    CodePoint {
        branch: Some("feature/login".to_owned()),
        commit: Some(Oid([4; 20])),
        upstream: Some("origin/feature/login".to_owned()),
        dirty: true,
        fingerprint: digest(5),
        saved: CodeSaved::Nothing,
    }
}

/// A save as most are: the main log grew, nothing else changed.
pub(super) fn save() -> SaveRecord {
    SaveRecord {
        number: 42,
        at_ms: AT_MS,
        device: identity(1).device(),
        message: None,
        previous: digest(6),
        full: false,
        code: Some(code_point()),
        messages: 1234,
        further: Vec::new(),
        course: None,
        surroundings: Surroundings::default(),
        logs: vec![log_state(LogId::main())],
        gone: Vec::new(),
        parents: Vec::new(),
    }
}

/// A save with everything a record can hold.
pub(super) fn full_save() -> SaveRecord {
    let agent = inside("subagents/agent-a2898e3.jsonl");
    let mut tailed = log_state(agent.clone());
    tailed.tail = Some(digest(7));
    tailed.window = tailed.content;
    tailed.earlier = vec![1, 2];
    let beside = LogId { role: Role::Beside, path: "agent-b.jsonl".to_owned() };
    SaveRecord {
        message: Some("before the rewrite — 日本".to_owned()),
        full: true,
        logs: vec![log_state(LogId::main()), tailed, log_state(beside)],
        gone: vec![LogName([1; 8]), LogName([2; 8])],
        parents: vec![Parent {
            log: agent,
            generation: Generation([8; 16]),
            length: 99,
            digest: digest(8),
        }],
        ..save()
    }
}

/// A save of a session that worked in another repository, whose code changed, and in one that is not enabled.
pub(super) fn further_save() -> SaveRecord {
    let key = RepositoryKey([0xab; 8]);
    let saved = |saved| CodePoint { saved, ..code_point() };
    let lib = Further {
        key,
        device: identity(2).device(),
        name: "lib".to_owned(),
        ids: vec!["example.org/a/lib".to_owned(), "example.org/b/lib".to_owned()],
        address: Some("https://example.org/a/lib.git".to_owned()),
        code: saved(CodeSaved::Log),
    };
    let other = Further {
        key: RepositoryKey([0xcd; 8]),
        name: "other".to_owned(),
        ids: vec!["dir:code/other".to_owned()],
        address: None,
        code: saved(CodeSaved::Withheld("it is not enabled".to_owned())),
        ..lib.clone()
    };
    let logs = [LogId::main(), LogId::code(), LogId::code_of(key)].map(log_state).into();
    SaveRecord { further: vec![lib, other], logs, ..save() }
}

/// A save after two commits and a change of the branch.
pub(super) fn course_save() -> SaveRecord {
    let passage = |from, messages, branch: Option<&str>, commit: Option<u8>| Passage {
        from,
        messages,
        stand: Stand::new(branch, commit.map(|byte| Oid([byte; 20]))),
    };
    let passages = vec![
        passage(0, 0, Some("main"), Some(1)),
        passage(70_000, 12, Some("main"), Some(2)),
        passage(70_000, 12, Some("feature/login"), Some(2)),
        passage(90_000, 20, None, Some(3)),
        passage(1_234_000, 1230, Some("worktree-x"), None),
    ];
    let course = Course { generation: Generation([9; 16]), anew: true, passages };
    SaveRecord { course: Some(course), ..save() }
}

/// A save that says what made it.
pub(super) fn surrounded_save() -> SaveRecord {
    let maker = Maker {
        convosync: "0.1.0".to_owned(),
        git: "2.43".to_owned(),
        system: "linux x86_64".to_owned(),
    };
    let surroundings = Surroundings { maker: Some(maker), ..Surroundings::default() };
    SaveRecord { surroundings, ..save() }
}

/// A save with variables that its user named.
pub(super) fn environment_save() -> SaveRecord {
    let pairs =
        [("APP_MODE", "it's a \"test\"\n日本"), ("EMPTY", ""), ("RUST_LOG", "shop=debug,warn")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = Some(pairs.into_iter().collect());
    SaveRecord { surroundings: Surroundings { environment, ..Surroundings::default() }, ..save() }
}

/// A save with lines that were typed into the shell, on two devices.
pub(super) fn shell_save() -> SaveRecord {
    let line = |seconds: i64, seed: u64, text: &str| ShellLine {
        at_ms: AT_MS - 123 + 1_000 * seconds,
        device: identity(seed).device(),
        text: text.to_owned(),
    };
    let lines = [
        line(-60, 2, "git commit -m 'it\'s \"done\" — 日本'"),
        line(-30, 1, "make test"),
        line(0, 1, "ls"),
    ];
    let shell = lines.into_iter().collect();
    SaveRecord { surroundings: Surroundings { shell, ..Surroundings::default() }, ..save() }
}

/// A summary as most are.
pub(super) fn summary() -> Summary {
    Summary {
        session: uuid(),
        commit: Oid([3; 20]),
        save: 42,
        record: digest(9),
        at_ms: AT_MS,
        device: identity(1).device(),
        first_ms: Some(AT_MS - 7_200_000),
        last_ms: Some(AT_MS - 1_000),
        project: vec!["github.com/someone/web-shop".to_owned()],
        project_name: "web-shop".to_owned(),
        subdirectory: String::new(),
        title: Some("Log in with a passkey, and what to do without one".to_owned()),
        message: Some("WIP: sync session".to_owned()),
        branch: Some("feature/login".to_owned()),
        head: Some(Oid([4; 20])),
        dirty: true,
        messages: 1234,
        lines: 4321,
        malformed: 0,
        length: 1_234_567,
        total: 2_345_678,
        logs: 4,
        code: 0,
        quiet: false,
        packed: 0,
        client: Some("2.1.220".to_owned()),
        model: Some("claude-opus-4-5-20251101".to_owned()),
    }
}

pub(super) fn seen(count: u64) -> Vec<Seen> {
    let one = |n| Seen {
        device: identity(n).device(),
        epoch: 1,
        sequence: 500 * n,
        digest: digest(n as u8),
    };
    (2..2 + count).map(one).collect()
}

/// A head as most are: three other devices, nothing deleted.
pub(super) fn head(identity: &Identity) -> Head {
    Head {
        vault: VAULT,
        store: StoreId([5; 8]),
        device: identity.device(),
        name: "work-laptop".to_owned(),
        kind: DeviceKind::Laptop,
        epoch: 1,
        sequence: 1234,
        previous: digest(10),
        root: digest(11),
        roster: digest(12),
        grants: digest(13),
        tombstones: Vec::new(),
        seen: seen(3),
        at_ms: AT_MS,
    }
}

/// Returns the name of an error's variant.
pub(super) fn variant(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// Opens every mutation of `bytes`: each single bit flipped, each length cut off, a byte added.
/// None may open.
pub(super) fn check_mutations<T>(bytes: &[u8], open: impl Fn(&[u8]) -> Result<T, SealError>) {
    assert!(open(bytes).is_ok(), "the object itself must open");
    let mut flipped = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&flipped).is_err(), "bit {bit} was flipped");
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    for len in 0..bytes.len() {
        assert!(open(&bytes[..len]).is_err(), "cut to {len}");
    }
    assert!(open(&[bytes, &[0]].concat()).is_err(), "a byte was added");
}

/// As [`check_mutations`], for what lies in an envelope.
pub(super) fn check_sealed_mutations<T>(
    sealed: &Sealed,
    open: impl Fn(&Sealed) -> Result<T, SealError>,
) {
    check_mutations(sealed.as_bytes(), |bytes| open(&Sealed::from_bytes(bytes.to_vec())?));
}
