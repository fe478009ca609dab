//! Random histories: what was acknowledged comes back, whatever happened in between.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::time::{Duration, Instant};

use convosync_core::id::{Digest, LogId, Oid, SeededRandom};
use convosync_core::inbound::BringError;
use convosync_core::log::Kind;
use convosync_core::seal::Codec;
use convosync_tests::files;
use convosyncd::desk::{Holding, SAVE_BYTES_MAX, Saved};

use crate::device::{Content, Device, complete, logs, session, write_in_place};
use crate::noise::Noise;
use crate::{carry, vaults};

/// How many histories the gate runs.
const CASES: u64 = 200;
/// How long it runs them at most; a campaign sets `CONVOSYNC_SIM_CASES` and has no limit.
const WITHIN: Duration = Duration::from_secs(20);
/// How many things happen in one history.
const STEPS_MAX: usize = 30;

/// The devices, and what they acknowledged.
struct World {
    noise: Noise,
    random: SeededRandom,
    devices: Vec<Device>,
    /// What each acknowledged save holds, by its record.
    acks: BTreeMap<Digest, Content>,
    /// The newest acknowledged save of each device.
    newest: Vec<Option<(Oid, Digest)>>,
    /// The bytes of the transcripts at every acknowledged save, torn tails included.
    raw: Vec<Vec<Content>>,
    log: Vec<String>,
}

#[test]
fn what_was_acknowledged_comes_back_whatever_happened() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("CONVOSYNC_SIM_SEED").unwrap_or(1);
    let campaign = number("CONVOSYNC_SIM_CASES");
    let started = Instant::now();
    for seed in first..first + campaign.unwrap_or(CASES) {
        if campaign.is_none() && started.elapsed() > WITHIN {
            break;
        }
        run(seed);
    }
}

/// Says which history it was when it fails.
struct Told<'a>(u64, &'a mut World);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps = self.1.log.join("\n  ");
            eprintln!("CONVOSYNC_SIM_SEED={} CONVOSYNC_SIM_CASES=1:\n  {steps}", self.0);
        }
    }
}

fn run(seed: u64) {
    let dir = tempfile::tempdir_in(vaults::fast_dir()).expect("a folder for the devices");
    let mut noise = Noise::new(seed);
    let count = 2 + noise.below(2);
    let devices: Vec<Device> = vaults::vaults()
        .into_iter()
        .take(count)
        .enumerate()
        .map(|(index, vault)| Device::new(&dir.path().join(index.to_string()), vault))
        .collect();
    let steps = 3 + noise.below(STEPS_MAX);
    let mut world = World {
        noise,
        random: SeededRandom::new(seed),
        devices,
        acks: BTreeMap::new(),
        newest: vec![None; count],
        raw: vec![Vec::new(); count],
        log: Vec::new(),
    };
    let told = Told(seed, &mut world);
    told.1.change(0);
    for _ in 0..steps {
        told.1.step();
    }
    told.1.finish();
}

impl World {
    fn note(&mut self, text: String) {
        self.log.push(text);
    }

    fn step(&mut self) {
        let count = self.devices.len();
        let who = self.noise.below(count);
        match self.noise.below(16) {
            0..=4 => self.change(who),
            5..=8 => self.save(who),
            9 => self.fail_to_publish(who),
            10 | 11 => self.restart(who),
            12 => {
                let from = (who + 1 + self.noise.below(count - 1)) % count;
                self.verify(from, who);
            }
            _ => self.resume(who),
        }
    }

    /// Something happens to one file.
    fn change(&mut self, who: usize) {
        let log = self.noise.pick(&logs()).clone();
        let log = if self.noise.one_in(2) { LogId::main() } else { log };
        let path = self.devices[who].make_room(&log);
        let before = fs::read(&path).ok();
        let what = self.noise.below(12);
        let more = self.noise.bytes();
        let share = |noise: &mut Noise, bytes: &[u8]| noise.below(bytes.len() + 1);
        let deed = match (what, before) {
            (0, Some(bytes)) => {
                let end = share(&mut self.noise, &bytes);
                write_in_place(&path, &bytes[..end]);
                "cuts"
            }
            (1, Some(mut bytes)) => {
                let start = share(&mut self.noise, &bytes);
                for (byte, new) in bytes[start..].iter_mut().zip(&more) {
                    *byte = *new;
                }
                write_in_place(&path, &bytes);
                "overwrites"
            }
            (2, Some(_)) => {
                files::write(&path.with_extension("new"), &more);
                fs::rename(path.with_extension("new"), &path).expect("it can be replaced");
                "replaces"
            }
            (3, Some(bytes)) => {
                files::write(&path.with_extension("new"), bytes);
                fs::rename(path.with_extension("new"), &path).expect("it can be replaced");
                "copies"
            }
            (4, Some(_)) if log != LogId::main() => {
                fs::remove_file(&path).expect("it can be removed");
                "removes"
            }
            (_, before) => {
                let mut bytes = before.unwrap_or_default();
                bytes.extend_from_slice(&more);
                files::write(&path, &bytes);
                "extends"
            }
        };
        self.note(format!("{who} {deed} {:?} `{}`", log.role, log.path));
    }

    fn save(&mut self, who: usize) {
        self.devices[who].codec = if self.noise.one_in(4) { Codec::Gzip } else { Codec::Zstd };
        let is_there = self.devices[who].files().is_some();
        loop {
            let is_large = self.noise.one_in(4);
            let room = if is_large { 1 + self.noise.below(400) as u64 } else { SAVE_BYTES_MAX };
            self.devices[who].desk.room = room;
            let saved = self.devices[who].save(&mut self.random).expect("nothing is in the way");
            self.note(format!(
                "{who} saves {:?}, more waits: {}",
                saved.recorded.first().map(|recorded| recorded.summary.save),
                !saved.waiting.is_empty()
            ));
            if let Some((_, error)) = saved.failed.first() {
                panic!("a session is not saved: {error}: {:?}", std::error::Error::source(error));
            }
            if is_there {
                self.acknowledge(who, &saved);
            }
            if self.noise.one_in(8) {
                self.restart(who);
            }
            if saved.waiting.is_empty() {
                return;
            }
        }
    }

    fn acknowledge(&mut self, who: usize, saved: &Saved) {
        let now = self.devices[who].complete();
        let raw = self.devices[who].raw();
        self.raw[who].push(raw);
        match saved.recorded.first() {
            Some(recorded) => {
                let (commit, record) = (recorded.commit, recorded.summary.record);
                let history = self.devices[who].desk.own_history(&session());
                let history = history.expect("ours opens").expect("it was just saved");
                assert_eq!(history.digest, record);
                // Files that are gone here stay saved.
                let holds = self.devices[who].opened(&history);
                let is_saved =
                    |(log, bytes): (&LogId, &Vec<u8>)| match (holds.get(log), &saved.waiting[..]) {
                        (holds, []) => holds == Some(bytes),
                        (None, _) => true,
                        (Some(holds), _) => {
                            Kind::of(log) == Kind::Whole
                                || holds.ends_with(b"\n")
                                || holds.is_empty()
                        }
                    };
                assert!(now.iter().all(is_saved), "saved");
                self.acks.insert(record, holds);
                self.newest[who] = Some((commit, record));
            }
            None => {
                let holds = |content: &&Content| {
                    now.iter().all(|(log, bytes)| content.get(log) == Some(bytes))
                };
                assert!(self.acks.values().any(|content| holds(&content)), "nothing new is true");
            }
        }
    }

    /// The objects are written, and the ref cannot be moved.
    fn fail_to_publish(&mut self, who: usize) {
        let device = &mut self.devices[who];
        let reference = device.desk.own.reference.to_string();
        let lock = device.desk.store.own_dir().join(format!("{reference}.lock"));
        fs::create_dir_all(&lock).expect("a folder in the way");
        let before = device.desk.own.tip;
        let saved = device.save(&mut self.random);
        fs::remove_dir(&lock).expect("it was empty");
        assert!(saved.map_or(true, |saved| saved.recorded.is_empty()), "nothing is acknowledged");
        assert_eq!(device.desk.own.tip, before);
        self.note(format!("{who} fails to publish"));
        if self.noise.one_in(2) {
            self.restart(who);
        }
    }

    fn restart(&mut self, who: usize) {
        self.devices[who].restart();
        self.note(format!("{who} restarts"));
    }

    /// `to` sees exactly what `from` acknowledged last.
    fn verify(&mut self, from: usize, to: usize) {
        self.note(format!("{to} looks at {from}"));
        assert!(self.list(from, to), "an honest tip is believed");
        let Some((commit, record)) = self.newest[from] else { return };
        let name = self.devices[to].vault.keys.session_name(&session());
        let device = self.devices[from].vault.device();
        let summary = self.devices[to].desk.peers[&device].sessions[&name].clone();
        assert_eq!((summary.commit, summary.record), (commit, record));
        let history =
            carry::session_of(&self.devices[from], &self.devices[to], &Holding { device, summary });
        let found = self.devices[to].opened(&history);
        for (log, bytes) in &self.acks[&record] {
            assert!(found.get(log) == Some(bytes), "{from} acknowledged other bytes of {log:?}");
        }
    }

    fn list(&mut self, from: usize, to: usize) -> bool {
        let (low, high) = (from.min(to), from.max(to));
        let (left, right) = self.devices.split_at_mut(high);
        let (low, high) = (&mut left[low], &mut right[0]);
        if from < to { carry::tip(low, high) } else { carry::tip(high, low) }
    }

    /// `resume` of the newest state of all.
    fn resume(&mut self, who: usize) {
        for from in (0..self.devices.len()).filter(|from| *from != who) {
            assert!(self.list(from, who), "an honest tip is believed");
        }
        let Some(holding) = self.devices[who].desk.newest().pop() else { return };
        let from = self
            .devices
            .iter()
            .position(|device| device.vault.device() == holding.device)
            .expect("somebody holds it");
        let history = carry::session_of(&self.devices[from], &self.devices[who], &holding);
        let before = self.devices[who].raw();
        let slug_dir = self.devices[who].slug_dir();
        let brought = self.devices[who].bring(&history, slug_dir);
        self.note(format!(
            "{who} resumes {} of {from}: {:?}",
            history.record.number,
            brought.as_ref().map(|_| ())
        ));
        match brought {
            Ok(_) => {
                self.devices[who].desk.rebase(history.clone());
                self.check_resumed(who, &before, &self.acks[&history.digest].clone());
            }
            Err(BringError::Refused(_)) => assert!(self.devices[who].raw() == before),
            Err(error) => {
                panic!("not brought back: {error}: {:?}", std::error::Error::source(&error))
            }
        }
    }

    fn check_resumed(&self, who: usize, before: &Content, saved: &Content) {
        let (main, now) = (LogId::main(), self.devices[who].raw());
        assert!(now.get(&main) == saved.get(&main), "the transcript is what was acknowledged");
        let Some(old) = before.get(&main) else { return };
        let is_kept = now[&main].starts_with(old);
        let was_saved = self.raw[who].iter().any(|raw| raw.get(&main) == Some(old));
        let lines = complete(&main, old.clone());
        assert!(is_kept || (was_saved && now[&main].starts_with(&lines)), "nothing here is lost");
    }

    /// In the end everybody sees everybody's last acknowledged save, and earlier ones where they are kept.
    fn finish(&mut self) {
        let count = self.devices.len();
        for who in 0..count {
            self.restart(who);
        }
        for from in 0..count {
            self.verify(from, (from + 1) % count);
            self.look_back(from);
        }
    }

    fn look_back(&mut self, who: usize) {
        let device = &self.devices[who];
        let Some(history) = device.desk.own_history(&session()).expect("ours opens") else {
            return;
        };
        let number = 1 + self.noise.below(history.record.number as usize);
        let number = u32::try_from(number).expect("few saves");
        let earlier = device.desk.reader().earlier(&history, number).expect("no save is dropped");
        let found = device.opened(&earlier);
        for (log, bytes) in &self.acks[&earlier.digest] {
            assert!(
                found.get(log) == Some(bytes),
                "save {number} of {who} has other bytes of {log:?}"
            );
        }
    }
}
