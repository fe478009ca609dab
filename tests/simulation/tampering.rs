//! Whoever can write to the remote changes, cuts, swaps or replays any stored object: it is refused by name,
//! and never yields other bytes.
//!
//! `CONVOSYNC_SIM_SEED` chooses other bits and cuts, `CONVOSYNC_SIM_CASES` how many of each object.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use convosync_core::history::{HistoryError, Reader};
use convosync_core::id::{LogName, Oid, SeededRandom, SessionId};
use convosync_core::inbound::{InboundError, Known, Peer, open_peer};
use convosync_core::outbound::{ProjectFacts, Request};
use convosync_core::seal::{Codec, Summary, Surroundings};
use convosync_core::store::{RefName, Store};
use convosync_core::transcript::discover_dir;
use convosync_core::vault::Vault;
use convosync_tests::files;

use crate::carry::copy_tree;
use crate::device::{Device, logs};
use crate::noise::Noise;
use crate::vaults;

/// How many bits of each object are flipped, and how often it is cut, unless a campaign says otherwise.
const SAMPLES: usize = 6;

/// Objects of a commit by path.
type Objects = BTreeMap<String, Vec<u8>>;

/// A device with two sessions, saved twice.
struct Saved {
    device: Device,
    /// Where our ref stood after each save.
    tips: Vec<Oid>,
    /// What each session's summary said after each save.
    summaries: Vec<Vec<Summary>>,
}

fn sessions() -> [SessionId; 2] {
    ["01234567-89ab-4cde-8f01-23456789abcd", "11234567-89ab-4cde-8f01-23456789abcd"]
        .map(|id| id.parse().unwrap())
}

fn saved(dir: &Path, vault: Arc<Vault>, seed: u64) -> Saved {
    let device = Device::new(dir, vault);
    let mut saved = Saved { device, tips: Vec::new(), summaries: Vec::new() };
    let mut noise = Noise::new(seed);
    for session in &sessions() {
        let inside = device_dir(dir).join(session.as_str());
        fs::create_dir_all(inside.join("subagents")).unwrap();
        fs::create_dir_all(inside.join("tool-results")).unwrap();
        // Does not compress, so that it is stored in several parts.
        let large: Vec<u8> =
            (0..(1_400_000 / 8)).flat_map(|_| noise.next().to_le_bytes()).chain(*b"\n").collect();
        files::write(&inside.join(&logs()[1].path), large);
        files::write(&inside.join(&logs()[2].path), b"a result");
        files::write(&main_of(dir, session), format!("first {session}\nto"));
    }
    saved.save(seed);
    for session in &sessions() {
        files::write(&main_of(dir, session), format!("first {session}\ntold {seed}\nto"));
    }
    saved.save(seed + 1);
    saved
}

fn device_dir(dir: &Path) -> std::path::PathBuf {
    dir.join("slug")
}

fn main_of(dir: &Path, session: &SessionId) -> std::path::PathBuf {
    device_dir(dir).join(format!("{session}.jsonl"))
}

impl Saved {
    fn save(&mut self, seed: u64) {
        let found = discover_dir(&self.device.slug_dir()).unwrap();
        let project = ProjectFacts::default();
        let request = |files| Request {
            files,
            project: &project,
            code: None,
            code_log: None,
            further: Vec::new(),
            trees: &[],
            moved: false,
            message: None,
            surroundings: Surroundings::default(),
            insist: false,
            quiet: false,
        };
        let requests: Vec<Request<'_>> = found.sessions.iter().map(request).collect();
        let now_ms = 1_750_000_000_000 + i64::try_from(seed).unwrap();
        let random = &mut SeededRandom::new(seed);
        let done = self.device.desk.save(&requests, Codec::Zstd, now_ms, random).unwrap();
        assert_eq!(done.recorded.len(), 2);
        self.tips.push(self.device.desk.own.tip.unwrap());
        self.summaries.push(done.recorded.into_iter().map(|one| one.summary).collect());
    }

    fn objects(&self, commit: Oid) -> Objects {
        let mut objects = Objects::new();
        collect(&self.device.desk.store, commit, "", &mut objects);
        objects
    }
}

fn collect(store: &Store, commit: Oid, below: &str, into: &mut Objects) {
    let folders = ["grants", "sessions", "log", "saves"];
    let names = if below.is_empty() {
        let files = ["format", "card", "head", "roster"];
        files.into_iter().chain(folders).map(str::to_owned).collect()
    } else {
        store.list(commit, below).unwrap()
    };
    for name in names {
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        match store.read_blob(commit, &path) {
            Ok(Some(bytes)) => drop(into.insert(path, bytes)),
            Ok(None) => {}
            Err(_) => collect(store, commit, &path, into),
        }
    }
}

/// A store that anybody may write to: its listings are its own objects.
struct Open {
    store: Store,
    reader: Arc<Vault>,
}

impl Open {
    fn over(saved: &Saved, dir: &Path, reader: Arc<Vault>) -> Self {
        let dir = dir.join("open");
        copy_tree(&saved.device.dir.join("store"), &dir);
        files::remove_tree(&dir.join("seen.git"));
        std::os::unix::fs::symlink(dir.join("own.git"), dir.join("seen.git")).unwrap();
        Self { store: Store::open(&dir).unwrap(), reader }
    }

    fn peer(&self, from: &Saved, tip: Oid, known: &Known) -> Result<Peer, InboundError> {
        let reference: RefName = from.device.desk.own.reference;
        open_peer(&self.store, &self.reader, reference, tip, known)
    }

    /// Every byte that reading a session gives: its logs and torn tails.
    fn read(
        &self,
        commit: Oid,
        summary: &Summary,
    ) -> Result<BTreeMap<LogName, Vec<u8>>, HistoryError> {
        let reader = Reader::new(&self.store, &self.reader.keys);
        let history = reader.history(&summary.session, commit, summary.save, summary.record)?;
        let mut contents = BTreeMap::new();
        for log in history.logs.keys() {
            let mut bytes = Vec::new();
            reader.open_log(&history, *log, &mut |raw| {
                bytes.extend_from_slice(raw);
                Ok(())
            })?;
            bytes.extend(reader.tail(&history, *log)?.unwrap_or_default());
            contents.insert(*log, bytes);
        }
        Ok(contents)
    }
}

/// One thing done to one path: other bytes, or nothing any more.
type Tampered = (String, String, Option<Vec<u8>>);

/// Everything that can be done to single objects: bits, cuts, removal, and any object of `others` in the
/// place of any of ours.
fn tampered(objects: &Objects, others: &[(&str, &Objects)], noise: &mut Noise) -> Vec<Tampered> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let samples = number("CONVOSYNC_SIM_CASES").unwrap_or(SAMPLES);
    let mut all = Vec::new();
    for (path, bytes) in objects {
        let mut put = |deed: String, bytes: Option<Vec<u8>>| all.push((path.clone(), deed, bytes));
        put("is gone".to_owned(), None);
        put("is longer".to_owned(), Some([bytes.as_slice(), b"\0"].concat()));
        for _ in 0..samples {
            let (at, bit) = (noise.below(bytes.len()), noise.below(8));
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            put(format!("has bit {bit} of byte {at} flipped"), Some(flipped));
            let end = noise.below(bytes.len());
            put(format!("is cut at {end}"), Some(bytes[..end].to_vec()));
        }
        for (whose, other) in others {
            for (there, foreign) in other.iter().filter(|(_, foreign)| *foreign != bytes) {
                put(format!("is {whose} {there}"), Some(foreign.clone()));
            }
        }
    }
    all
}

fn seed() -> u64 {
    std::env::var("CONVOSYNC_SIM_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn no_object_of_a_tip_can_be_another() {
    let dir = tempfile::tempdir_in(vaults::fast_dir()).unwrap();
    let [first, second, _] = vaults::vaults();
    let ours = saved(&dir.path().join("a"), first.clone(), 10);
    let theirs = saved(&dir.path().join("b"), second.clone(), 20);
    let elsewhere = saved(&dir.path().join("c"), first, 30);
    let strange = saved(&dir.path().join("d"), vaults::stranger(), 40);
    let open = Open::over(&ours, dir.path(), second);
    let (old, new) = (ours.objects(ours.tips[0]), ours.objects(ours.tips[1]));
    let honest = open.peer(&ours, ours.tips[1], &Known::default()).unwrap();
    let others = [
        ("our", &new),
        ("our older", &old),
        ("another device's", &theirs.objects(theirs.tips[1])),
        ("another remote's", &elsewhere.objects(elsewhere.tips[1])),
        ("a stranger's", &strange.objects(strange.tips[1])),
    ];
    let mut count = 0;
    for (path, deed, bytes) in tampered(&new, &others, &mut Noise::new(seed())) {
        let (put, gone): (Vec<_>, Vec<_>) = match bytes {
            Some(bytes) => (vec![(path.clone(), bytes)], vec![]),
            None => (vec![], vec![path.clone()]),
        };
        let tip = open.store.commit_tip(Some(ours.tips[1]), &[], &put, &gone).unwrap();
        let known = Known { seen: Some(honest.seen()), store: Some(honest.head.store) };
        for known in [known, Known::default()] {
            let found = open.peer(&ours, tip, &known);
            assert!(found.is_err(), "`{path}` {deed}, and is believed");
        }
        count += 1;
    }
    assert!(count > 300, "{count}");
    // The whole tips of others in our place, and our own older one.
    for other in [&theirs, &elsewhere, &strange] {
        crate::carry::copy_objects(&other.device.desk.store.own_dir(), &open.store.own_dir());
        let known = Known { seen: None, store: Some(honest.head.store) };
        assert!(open.peer(&ours, other.tips[1], &known).is_err());
    }
    let known = Known { seen: Some(honest.seen()), store: None };
    let back = open.peer(&ours, ours.tips[0], &known);
    assert!(matches!(back, Err(InboundError::WentBack { .. })), "{back:?}");
}

#[test]
fn no_object_of_a_session_can_be_another() {
    let dir = tempfile::tempdir_in(vaults::fast_dir()).unwrap();
    let [first, second, _] = vaults::vaults();
    let ours = saved(&dir.path().join("a"), first, 10);
    let theirs = saved(&dir.path().join("b"), second.clone(), 20);
    let strange = saved(&dir.path().join("d"), vaults::stranger(), 40);
    let open = Open::over(&ours, dir.path(), second);
    let (older, summary, other) =
        (&ours.summaries[0][0], &ours.summaries[1][0], &ours.summaries[1][1]);
    let now = ours.objects(summary.commit);
    let honest = open.read(summary.commit, summary).unwrap();
    let of = |saved: &Saved| saved.objects(saved.summaries[1][0].commit);
    let others = [
        ("its own", &now),
        ("its older", &ours.objects(older.commit)),
        ("another session's", &ours.objects(other.commit)),
        ("another device's", &of(&theirs)),
        ("a stranger's", &of(&strange)),
    ];
    let (mut refused, mut unharmed) = (0, 0);
    for (path, deed, bytes) in tampered(&now, &others, &mut Noise::new(seed())) {
        let (put, gone): (Vec<_>, Vec<_>) = match bytes {
            Some(bytes) => (vec![(path.clone(), bytes)], vec![]),
            None => (vec![], vec![path.clone()]),
        };
        let commit = open.store.commit_session(&[summary.commit], &put, &gone).unwrap();
        match open.read(commit, summary) {
            Err(error) => {
                assert!(error.is_damage(), "`{path}` {deed}: {error:?}");
                refused += 1;
            }
            Ok(found) => {
                assert!(found == honest, "`{path}` {deed}, and gives other bytes");
                unharmed += 1;
            }
        }
    }
    assert!(refused > 300 && unharmed == 0, "{refused} refused, {unharmed} unharmed");
    // A whole commit in the place of another: older, another session's, another device's.
    for commit in [older.commit, other.commit] {
        assert!(open.read(commit, summary).is_err());
    }
    let mut mixed = other.clone();
    mixed.session = summary.session.clone();
    assert!(open.read(other.commit, &mixed).is_err());
}
