//! Devices and remotes with real git: what arrives, what it costs, and what is refused.

mod costs;
mod hosts;
mod refusals;
mod strangers;

use super::*;
use crate::git::sandbox::Sandbox;
use crate::id::{DeviceId, Random as _, SeededRandom};
use crate::store::{Step, Where};

/// One device: its store and what it saves.
struct Device {
    store: Store,
    id: DeviceId,
    random: SeededRandom,
}

const VAULT: VaultId = VaultId([7; 8]);
const FORMAT: &[u8] = b"convosync 1\n";

fn name(number: u8) -> SessionName {
    SessionName([number.wrapping_mul(37), 1, 2, 3, 4, 5, 6, number])
}

fn shelf(name: SessionName) -> String {
    format!("sessions/{}/{name}", &name.to_string()[..1])
}

/// Every log has a name of its own: equal ones would compete for the place in git's delta window.
fn log_path(session: SessionName, number: u32) -> String {
    format!(
        "log/{}/{number:08x}",
        crate::id::hex(&session.0.map(|byte| byte.wrapping_mul(113) ^ 0x5a))
    )
}

impl Device {
    fn new(sandbox: &Sandbox, number: u8) -> Self {
        let store = Store::open(&sandbox.path(&format!("device-{number}"))).unwrap();
        Self { store, id: DeviceId([number; 8]), random: SeededRandom::new(number.into()) }
    }

    fn reference(&self) -> RefName {
        RefName::new(RefKind::Custom, VAULT, self.id)
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.random.fill(&mut bytes);
        bytes
    }

    /// Writes a session's next commit: one chunk and the record of the save.
    fn commit(
        &mut self,
        session: SessionName,
        parent: Option<Oid>,
        number: u32,
        length: usize,
    ) -> Oid {
        let chunk = (log_path(session, number), self.noise(length));
        let record = (format!("saves/{number:08x}"), self.noise(300));
        self.store.commit_session(parent.as_slice(), &[chunk, record], &[]).unwrap()
    }

    /// Saves one chunk of a session and returns its commit and the new tip.
    fn save(
        &mut self,
        session: SessionName,
        parent: Option<Oid>,
        number: u32,
        length: usize,
    ) -> (Oid, Oid) {
        let commit = self.commit(session, parent, number, length);
        (commit, self.tip(session, commit))
    }

    /// Writes tips in which each session goes on from a commit adopted from another device, as many as
    /// `outbound` puts into each; returns the last one and the sessions' commits.
    fn go_on(&mut self, adopted: &[(SessionName, Oid)], number: u32) -> (Oid, Vec<Oid>) {
        let before = self.store.own_tip(&self.reference()).unwrap();
        let (mut tip, mut commits) = (before, Vec::new());
        for batch in adopted.chunks(ADOPTED_PER_TIP) {
            let mut put = vec![("format".to_owned(), FORMAT.to_vec())];
            put.push(("head".to_owned(), self.noise(300)));
            let mut parents: Vec<Oid> = batch.iter().map(|(_, commit)| *commit).collect();
            for (session, commit) in batch {
                let new = self.commit(*session, Some(*commit), number, 3000);
                put.push((shelf(*session), self.noise(600)));
                parents.push(new);
                commits.push(new);
            }
            tip = Some(self.store.commit_tip(tip, &parents, &put, &[]).unwrap());
        }
        let tip = tip.unwrap();
        self.store.move_ref(&self.reference(), before, tip).unwrap();
        (tip, commits)
    }

    /// Writes the tip in which sessions go on from commits of our own.
    fn go_on_from_own(&mut self, at: &[(SessionName, Oid)], number: u32) -> (Oid, Vec<Oid>) {
        let before = self.store.own_tip(&self.reference()).unwrap();
        let mut put = vec![("head".to_owned(), self.noise(300))];
        let mut commits = Vec::new();
        for (session, commit) in at {
            commits.push(self.commit(*session, Some(*commit), number, 3000));
            put.push((shelf(*session), self.noise(600)));
        }
        let tip = self.store.commit_tip(before, &commits, &put, &[]).unwrap();
        self.store.move_ref(&self.reference(), before, tip).unwrap();
        (tip, commits)
    }

    /// Writes the tip in which one session changed.
    fn tip(&mut self, session: SessionName, commit: Oid) -> Oid {
        let put = [
            ("format".to_owned(), FORMAT.to_vec()),
            (shelf(session), self.noise(600)),
            ("head".to_owned(), self.noise(300)),
        ];
        let old = self.store.own_tip(&self.reference()).unwrap();
        let tip = self.store.commit_tip(old, &[commit], &put, &[]).unwrap();
        self.store.move_ref(&self.reference(), old, tip).unwrap();
        tip
    }
}

fn remote<'a>(sandbox: &'a Sandbox, device: &'a Device, url: &'a str) -> Remote<'a> {
    static NONE: GitSettings = GitSettings(Vec::new());
    Remote::new(&sandbox.git, &device.store, &NONE, url, VAULT).unwrap()
}

fn sent(outcome: Outcome) -> Traffic {
    match outcome {
        Outcome::Sent(sent) => sent.traffic,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_one_device_pushes_another_lists_and_fetches() {
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    let (mut one, two) = (Device::new(&sandbox, 1), Device::new(&sandbox, 2));
    let (commit, tip) = one.save(name(1), None, 1, 3000);

    let traffic = sent(remote(&sandbox, &one, &url).push(&one.reference(), tip, None));
    assert!(traffic.sent > 3900, "{traffic:?}");
    assert_eq!(remote(&sandbox, &one, &url).read_back(&one.reference()).unwrap(), Some(tip));

    let theirs = remote(&sandbox, &two, &url);
    let listing = theirs.list().unwrap();
    assert_eq!(listing.tips, [(one.reference(), tip)]);
    let fetched = theirs.fetch_tips(&[one.reference()], TIP_DOWNLOAD_MAX).unwrap();
    assert!(fetched.refused.is_empty());
    assert_eq!(two.store.seen_tip(&one.reference()).unwrap(), Some(tip));
    let read = two.store.read_tip(Where::Seen, tip).unwrap();
    assert_eq!(read, one.store.read_tip(Where::Own, tip).unwrap());
    assert_eq!(read.sessions.keys().copied().collect::<Vec<_>>(), [name(1)]);

    assert!(!two.store.has_commit(commit));
    theirs.fetch_session(name(1), commit, &one.reference(), None).unwrap();
    assert!(two.store.has_commit(commit));
    assert_eq!(two.store.list(commit, "saves").unwrap(), ["00000001"]);
    let path = &log_path(name(1), 1);
    assert_eq!(
        two.store.read_blob(commit, path).unwrap(),
        one.store.read_blob(commit, path).unwrap()
    );
}

/// How many different objects a repository holds.
fn objects_at(sandbox: &Sandbox, repo: &str) -> usize {
    sandbox.run(repo, &["cat-file", "--batch-check", "--batch-all-objects"]).lines().count()
}

/// A remote that holds `sessions` sessions of one device, and their last commits.
fn filled(sandbox: &Sandbox, sessions: u8, chunks: u32) -> (String, Device, Vec<Oid>) {
    let url = sandbox.bare("remote.git").display().to_string();
    let mut one = Device::new(sandbox, 1);
    let mut put = vec![("format".to_owned(), FORMAT.to_vec()), ("head".to_owned(), one.noise(300))];
    let mut commits = Vec::new();
    for session in (0..sessions).map(name) {
        let mut last = None;
        for number in 1..=chunks {
            last = Some(one.commit(session, last, number, 3000));
        }
        commits.extend(last);
        put.push((shelf(session), one.noise(600)));
    }
    let tip = one.store.commit_tip(None, &commits, &put, &[]).unwrap();
    one.store.move_ref(&one.reference(), None, tip).unwrap();
    sent(remote(sandbox, &one, &url).push(&one.reference(), tip, None));
    (url, one, commits)
}

fn refs_of(sandbox: &Sandbox, repo: &str) -> String {
    sandbox.run(repo, &["for-each-ref", "--format=%(refname)"])
}
