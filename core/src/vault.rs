//! This device's keys on the disk: made once, by `init` or `join`, and never again by themselves.
//!
//! ```text
//! <dir>/vault/           0700; appears whole or not at all, by a rename of `vault.new`
//!       ├── identity     0600  the device's id and its two secret keys; never rewritten
//!       ├── keys         0600  the vault's id and its keys
//!       └── public       0600  name and kind, the card, the sealed roster, the grants we carry
//! ```
//!
//! `docs/format.md` draws the files. What is unreadable, half there or open to others is an error
//! that says so: nothing here ever makes new keys in place of old ones.

mod error;
mod files;

use std::collections::BTreeMap;
use std::path::Path;

use zeroize::Zeroizing;

use crate::disk;
use crate::id::{DeviceId, Random, VaultId, draw, hex};
use crate::seal::{
    Card, DeviceKind, Enrolment, Identity, KeyRing, NAME_MAX, Phrase, Roster, RosterAction,
    SealError, Sealed, Seen, VaultKey, open_grant, seal_grant, seal_grant_to_member,
};

pub use error::VaultError;

/// Where the keys lie inside the data directory.
const FOLDER: &str = "vault";
/// Where they are written before they appear.
const NEW_FOLDER: &str = "vault.new";
/// Who makes keys holds this.
const LOCK: &str = "vault.lock";

/// The first line of exported keys.
const EXPORT_TITLE: &str = "# ConvoSync keys of one device: keep them secret. Each line is a file of its `vault` \
    folder in hex.\n";

/// Everything this device knows of its vault.
#[derive(Debug)]
pub struct Vault {
    /// This device.
    pub identity: Identity,
    /// The vault's keys.
    pub keys: KeyRing,
    /// Who belongs to the vault.
    pub roster: Roster,
    /// The roster as it is stored: sealing it again would change its bytes.
    pub sealed_roster: Sealed,
    /// What this device is called.
    pub name: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// This device's card as it is stored.
    pub card: Vec<u8>,
    /// The grants this device carries in its tip.
    pub grants: BTreeMap<DeviceId, Vec<u8>>,
}

/// What a recovery phrase opened: nothing was written yet.
#[derive(Debug)]
pub struct Recovered {
    /// The vault's keys.
    pub keys: KeyRing,
    /// Who belongs to the vault.
    pub roster: Roster,
    /// What the device that made the grant had seen.
    pub seen: Vec<Seen>,
    paper: Identity,
}

impl Recovered {
    /// Returns the device id under which grants for this phrase are stored.
    pub fn device(phrase: &Phrase) -> DeviceId {
        Identity::from_phrase(phrase).device()
    }

    /// Opens a grant for the paper device and the roster that lies beside it, and proves both: the
    /// paper device signed that it belongs to this vault, and a device of the roster signed the
    /// grant.
    ///
    /// # Errors
    /// [`SealError::NotForUs`] for a wrong phrase, and whatever is wrong with grant or roster.
    pub fn open(phrase: &Phrase, grant: &[u8], roster: &Sealed) -> Result<Self, SealError> {
        let paper = Identity::from_phrase(phrase);
        let grant = open_grant(&paper, grant)?;
        let roster = Roster::open(grant.unproven_keys(), roster)?;
        let members = roster.verify()?;
        let enrolment = &members.active(paper.device())?.enrolment;
        // Verifying the roster proved that whoever has this key accepted being this vault's paper.
        if enrolment.kind != DeviceKind::Paper || enrolment.verifying != paper.verifying() {
            return Err(SealError::NotEnrolled(paper.device()));
        }
        let seen = grant.seen.clone();
        Ok(Self { keys: grant.into_keys(&members)?, roster, seen, paper })
    }
}

impl Vault {
    /// Makes a new vault with this device as its first and the phrase's paper as its second. The phrase is
    /// kept nowhere: the user must have it before this is called.
    ///
    /// # Errors
    /// [`VaultError::Exists`] when there are keys already, in whatever state.
    pub fn create(
        dir: &Path,
        phrase: &Phrase,
        name: &str,
        kind: DeviceKind,
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<Self, VaultError> {
        check_name(name, kind)?;
        let _lock = lock(dir)?;
        let id = VaultId(draw(random));
        let keys = KeyRing::new(id, VaultKey::create(1, random));
        let identity = Identity::create(random);
        let paper = Identity::from_phrase(phrase);
        let roster = Roster::genesis(&identity, kind, &paper, id, now_ms);
        let card = Card::open(&Card::sign(&paper, id))?;
        let grant = seal_grant(&keys, &identity, &card, roster.head(), &[])?;
        let device = Device { identity, name, kind };
        let vault = device.join(keys, roster, BTreeMap::from([(paper.device(), grant)]), random)?;
        vault.write(dir)?;
        Ok(vault)
    }

    /// Makes this device a new member of the vault that the phrase opened, enrolled by paper.
    ///
    /// # Errors
    /// [`VaultError::Exists`] when there are keys already, in whatever state.
    pub fn recover(
        dir: &Path,
        recovered: Recovered,
        name: &str,
        kind: DeviceKind,
        now_ms: i64,
        random: &mut dyn Random,
    ) -> Result<Self, VaultError> {
        check_name(name, kind)?;
        let _lock = lock(dir)?;
        let Recovered { keys, mut roster, seen, paper } = recovered;
        let identity = Identity::create(random);
        let card = Card::open(&Card::sign(&identity, keys.vault()))?;
        let enrolment = Enrolment::of(&card, kind, Some(name.to_owned()));
        roster.append(&paper, RosterAction::Add(enrolment), now_ms)?;
        let to = (&roster.verify()?, paper.device());
        let grant = seal_grant_to_member(&keys, &identity, to, roster.head(), &seen)?;
        let device = Device { identity, name, kind };
        let vault = device.join(keys, roster, BTreeMap::from([(paper.device(), grant)]), random)?;
        vault.write(dir)?;
        Ok(vault)
    }

    /// This device.
    pub fn device(&self) -> DeviceId {
        self.identity.device()
    }

    /// The vault.
    pub fn id(&self) -> VaultId {
        self.keys.vault()
    }

    /// Reads the keys. `None` means that none were ever made here.
    ///
    /// # Errors
    /// When the keys are there but unreadable, incomplete, damaged, not ours, or open to others.
    pub fn load(dir: &Path) -> Result<Option<Self>, VaultError> {
        let folder = dir.join(FOLDER);
        if !files::exists(&folder)? {
            return Ok(None);
        }
        files::check_dir(&folder)?;
        let vault = files::read(&folder)?;
        vault.check().map_err(|source| VaultError::Disagree { path: folder, source })?;
        Ok(Some(vault))
    }

    /// Writes out this device's keys as text, to be kept off the device: the three files, each as one line
    /// of hex under its name. Whoever has it has the keys.
    ///
    /// # Errors
    /// As [`Vault::load`]; [`VaultError::Io`] when there are no keys.
    pub fn export(dir: &Path) -> Result<Zeroizing<String>, VaultError> {
        let folder = dir.join(FOLDER);
        files::check_dir(&folder)?;
        files::read(&folder)?;
        let names = files::names();
        let read = |name: &&str| files::read_private(&folder.join(name));
        let contents = names.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let lines = contents.iter().map(|bytes| 16 + 2 * bytes.len()).sum::<usize>();
        // Room for all of it at once: a text that grew would leave secrets behind.
        let mut text = Zeroizing::new(String::with_capacity(EXPORT_TITLE.len() + lines));
        text.push_str(EXPORT_TITLE);
        for (name, bytes) in names.iter().zip(&contents) {
            for piece in [name, " ", &Zeroizing::new(hex(bytes)), "\n"] {
                text.push_str(piece);
            }
        }
        Ok(text)
    }

    fn write(&self, dir: &Path) -> Result<(), VaultError> {
        let (folder, new) = (dir.join(FOLDER), dir.join(NEW_FOLDER));
        // Left over from a run that was stopped: nobody was ever told of these keys.
        if files::exists(&new)? {
            disk::remove_tree(&new)?;
        }
        disk::private_dir(&new)?;
        files::write(&new, self)?;
        disk::fsync_dir(&new)?;
        std::fs::rename(&new, &folder).map_err(|source| VaultError::Io {
            deed: "rename to",
            path: folder,
            source,
        })?;
        Ok(disk::fsync_dir(dir)?)
    }

    /// Checks that the three files belong together.
    fn check(&self) -> Result<(), SealError> {
        let device = self.identity.device();
        let card = Card::open(&self.card)?;
        if card.device != device || card.verifying != self.identity.verifying() {
            return Err(SealError::OtherDevice {
                what: "card",
                found: card.device,
                expected: device,
            });
        }
        if card.vault != self.keys.vault() {
            return Err(SealError::OtherVault {
                what: "card",
                found: card.vault,
                expected: self.keys.vault(),
            });
        }
        match self.roster.verify()?.get(device) {
            Some(member) if member.enrolment.verifying == self.identity.verifying() => Ok(()),
            _ => Err(SealError::NotEnrolled(device)),
        }
    }
}

/// A new device before it belongs to a vault.
struct Device<'a> {
    identity: Identity,
    name: &'a str,
    kind: DeviceKind,
}

impl Device<'_> {
    fn join(
        self,
        keys: KeyRing,
        roster: Roster,
        grants: BTreeMap<DeviceId, Vec<u8>>,
        random: &mut dyn Random,
    ) -> Result<Vault, SealError> {
        let Self { identity, name, kind } = self;
        let sealed_roster = roster.seal(&keys, random)?;
        let card = Card::sign(&identity, keys.vault());
        Ok(Vault {
            identity,
            keys,
            roster,
            sealed_roster,
            name: name.to_owned(),
            kind,
            card,
            grants,
        })
    }
}

/// Takes the lock, and refuses when there are keys.
fn lock(dir: &Path) -> Result<disk::FileLock, VaultError> {
    disk::private_dir(dir)?;
    let lock =
        disk::lock(&dir.join(LOCK))?.ok_or_else(|| VaultError::Busy { path: dir.to_owned() })?;
    let folder = dir.join(FOLDER);
    if files::exists(&folder)? { Err(VaultError::Exists { path: folder }) } else { Ok(lock) }
}

fn check_name(name: &str, kind: DeviceKind) -> Result<(), VaultError> {
    let bad = name.trim().is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control);
    match kind {
        _ if bad => Err(VaultError::BadName(
            name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect(),
        )),
        DeviceKind::Paper => Err(VaultError::Paper),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
