//! Devices side by side without a network: what one saves, another lists, fetches and resumes.

use std::fs;
use std::sync::Arc;

use convosync_core::history::History;
use convosync_core::id::{LogId, Oid, SeededRandom};
use convosync_core::seal::Summary;
use convosync_tests::files;
use convosyncd::desk::Holding;

use crate::device::{Device, session};
use crate::{carry, vaults};

/// Devices side by side, and randomness.
pub(crate) struct Bench {
    pub(crate) devices: Vec<Device>,
    pub(crate) random: SeededRandom,
    _dir: tempfile::TempDir,
}

/// Makes so many devices of one vault, with nothing saved.
pub(crate) fn bench(count: usize) -> Bench {
    let dir = tempfile::tempdir_in(vaults::fast_dir()).unwrap();
    let device = |(index, vault)| Device::new(&dir.path().join(format!("{index}")), vault);
    let devices = vaults::vaults().into_iter().take(count).enumerate().map(device).collect();
    Bench { devices, random: SeededRandom::new(7), _dir: dir }
}

impl Bench {
    pub(crate) fn write(&self, who: usize, bytes: &[u8]) {
        files::write(&self.devices[who].make_room(&LogId::main()), bytes);
    }

    pub(crate) fn main(&self, who: usize) -> Vec<u8> {
        fs::read(self.devices[who].path(&LogId::main())).unwrap()
    }

    /// Saves and returns the save's number; `None` when there is nothing new.
    #[track_caller]
    pub(crate) fn save(&mut self, who: usize) -> Option<u32> {
        let saved = self.devices[who].save(&mut self.random).unwrap();
        assert!(saved.failed.is_empty(), "{:?}", saved.failed);
        saved.recorded.first().map(|recorded| recorded.summary.save)
    }

    pub(crate) fn list(&mut self, from: usize, to: usize) -> bool {
        let (left, right) = self.devices.split_at_mut(from.max(to));
        let (low, high) = (&mut left[from.min(to)], &mut right[0]);
        if from < to { carry::tip(low, high) } else { carry::tip(high, low) }
    }

    /// Fetches what `from` saved last.
    pub(crate) fn fetch(&mut self, from: usize, to: usize) -> History {
        assert!(self.list(from, to));
        let (device, summary) = (self.devices[from].vault.device(), self.summary(from));
        carry::session_of(&self.devices[from], &self.devices[to], &Holding { device, summary })
    }

    pub(crate) fn resume(&mut self, from: usize, to: usize) {
        let history = self.fetch(from, to);
        self.bring(to, history);
    }

    /// Brings back the save `number` of `from`, which may not be its newest.
    pub(crate) fn resume_at(&mut self, from: usize, to: usize, number: u32) {
        let history = self.fetch(from, to);
        let earlier = self.devices[to].desk.reader().earlier(&history, number).unwrap();
        self.bring(to, earlier);
    }

    /// Brings back a save of a device's own.
    pub(crate) fn bring_own(&mut self, who: usize, number: u32) {
        let desk = &self.devices[who].desk;
        let newest = desk.own_history(&session()).unwrap().unwrap();
        let history = desk.reader().earlier(&newest, number).unwrap();
        self.bring(who, history);
    }

    fn bring(&mut self, to: usize, history: History) {
        let slug_dir = self.devices[to].slug_dir();
        self.devices[to].bring(&history, slug_dir).unwrap();
        self.devices[to].desk.rebase(history);
    }

    pub(crate) fn summary(&self, who: usize) -> Arc<Summary> {
        let desk = &self.devices[who].desk;
        desk.own.sessions[&desk.vault.keys.session_name(&session())].0.clone()
    }

    pub(crate) fn tip(&self, who: usize) -> Oid {
        self.devices[who].desk.own.tip.unwrap()
    }

    /// What `who` saved last, opened from its own store.
    pub(crate) fn saved(&self, who: usize) -> Vec<u8> {
        let device = &self.devices[who];
        let history = device.desk.own_history(&session()).unwrap().unwrap();
        device.opened(&history).remove(&LogId::main()).unwrap()
    }

    /// Shows `to` a tip of `from` that lies in `from`'s store.
    pub(crate) fn shows(&mut self, from: usize, tip: Oid, to: usize) -> bool {
        let objects = self.devices[from].desk.store.own_dir();
        let reference = self.devices[from].desk.own.reference;
        carry::copy_objects(&objects, &self.devices[to].desk.store.seen_dir());
        carry::show(&self.devices[to], &reference, &tip.to_string());
        self.devices[to].desk.take_peer(reference, tip, 0).is_some()
    }

    pub(crate) fn doubt(&self, about: usize, who: usize) -> String {
        self.devices[who].desk.doubts[&self.devices[about].vault.device()].message.clone()
    }
}
