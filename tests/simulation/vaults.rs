//! Three devices of one vault, and one of another; made once, because keys take time.

use std::sync::{Arc, LazyLock};

use convosync_core::id::SeededRandom;
use convosync_core::seal::{DeviceKind, Phrase};
use convosync_core::vault::{Recovered, Vault};

/// When every device was enrolled, in Unix milliseconds.
const ENROLLED_MS: i64 = 1_700_000_000_000;

/// The devices of one vault, in the order in which they joined.
pub(crate) fn vaults() -> [Arc<Vault>; 3] {
    static VAULTS: LazyLock<[Arc<Vault>; 3]> = LazyLock::new(|| make(1));
    VAULTS.clone()
}

/// A device of somebody else.
pub(crate) fn stranger() -> Arc<Vault> {
    static STRANGER: LazyLock<[Arc<Vault>; 3]> = LazyLock::new(|| make(2));
    STRANGER[0].clone()
}

fn make(seed: u64) -> [Arc<Vault>; 3] {
    let mut random = SeededRandom::new(seed);
    let dir = tempfile::tempdir().expect("a folder for keys");
    let phrase = Phrase::create(&mut random);
    let first = Vault::create(
        &dir.path().join("a"),
        &phrase,
        "a",
        DeviceKind::Laptop,
        ENROLLED_MS,
        &mut random,
    )
    .expect("a new vault");
    let second = join(&dir.path().join("b"), &phrase, &first, "b", &mut random);
    let third = join(&dir.path().join("c"), &phrase, &second, "c", &mut random);
    [Arc::new(first), Arc::new(second), Arc::new(third)]
}

fn join(
    dir: &std::path::Path,
    phrase: &Phrase,
    from: &Vault,
    name: &str,
    random: &mut SeededRandom,
) -> Vault {
    let grant = &from.grants[&Recovered::device(phrase)];
    let recovered = Recovered::open(phrase, grant, &from.sealed_roster).expect("the phrase opens");
    Vault::recover(dir, recovered, name, DeviceKind::Phone, ENROLLED_MS, random).expect("a member")
}

/// A folder for devices, in memory where there is one.
pub(crate) fn fast_dir() -> std::path::PathBuf {
    let memory = std::path::PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}
