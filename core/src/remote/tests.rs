use super::*;
use crate::git::sandbox::Sandbox;
use crate::id::{DeviceId, Random as _, SeededRandom};
use crate::store::Where;

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

    /// Saves one chunk of a session and returns its commit and the new tip.
    fn save(
        &mut self,
        session: SessionName,
        parent: Option<Oid>,
        number: u32,
        length: usize,
    ) -> (Oid, Oid) {
        let chunk = (format!("log/00000000000000aa/{number:08x}"), self.noise(length));
        let record = (format!("saves/{number:08x}"), self.noise(300));
        let commit = self.store.commit_session(parent, &[chunk, record], &[]).unwrap();
        let put = [
            ("format".to_owned(), FORMAT.to_vec()),
            (shelf(session), self.noise(600)),
            ("head".to_owned(), self.noise(300)),
        ];
        let old = self.store.own_tip(&self.reference()).unwrap();
        let tip = self.store.commit_tip(old, &[commit], &put, &[]).unwrap();
        self.store.move_ref(&self.reference(), old, tip).unwrap();
        (commit, tip)
    }
}

fn remote<'a>(sandbox: &'a Sandbox, device: &'a Device, url: &'a str) -> Remote<'a> {
    static NONE: GitSettings = GitSettings(Vec::new());
    Remote::new(&sandbox.git, &device.store, &NONE, url, VAULT).unwrap()
}

fn sent(outcome: Outcome) -> Traffic {
    match outcome {
        Outcome::Sent(traffic) => traffic,
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
    theirs.fetch_session(name(1), commit, &one.reference()).unwrap();
    assert!(two.store.has_commit(commit));
    assert_eq!(two.store.list(commit, "saves").unwrap(), ["00000001"]);
    let path = "log/00000000000000aa/00000001";
    assert_eq!(
        two.store.read_blob(commit, path).unwrap(),
        one.store.read_blob(commit, path).unwrap()
    );
}
