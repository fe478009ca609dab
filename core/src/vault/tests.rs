//! Keys on the disk.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;
use crate::id::SeededRandom;
use crate::seal::{KeyRing, Members};

const NOW_MS: i64 = 1_790_000_000_000;

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    home
}

fn phrase(seed: u64) -> Phrase {
    Phrase::create(&mut SeededRandom::new(50 + seed))
}

fn create(dir: &Path) -> Result<Vault, VaultError> {
    Vault::create(dir, &phrase(1), "desk", DeviceKind::Desktop, NOW_MS, &mut SeededRandom::new(1))
}

fn load(dir: &Path) -> Result<Vault, VaultError> {
    Ok(Vault::load(dir)?.expect("there are keys"))
}

fn folder(dir: &Path) -> std::path::PathBuf {
    dir.join(FOLDER)
}

#[expect(clippy::disallowed_methods, reason = "the test damages files on purpose")]
fn damage(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

fn check_same(one: &Vault, two: &Vault) {
    assert_eq!(one.identity.secrets(), two.identity.secrets());
    assert_eq!(one.identity.device(), two.identity.device());
    let secrets = |keys: &KeyRing| {
        let mut record = crate::wire::Writer::new();
        keys.write(&mut record, 1);
        (keys.vault(), record.finish())
    };
    assert_eq!(secrets(&one.keys), secrets(&two.keys));
    assert_eq!((&one.roster, &one.sealed_roster), (&two.roster, &two.sealed_roster));
    assert_eq!(
        (&one.name, one.kind, &one.card, &one.grants),
        (&two.name, two.kind, &two.card, &two.grants)
    );
}

/// Opens what paper was granted, as a device that has only the phrase does.
fn recovered(vault: &Vault, phrase: &Phrase) -> Result<Recovered, SealError> {
    let grant = vault.grants.values().next().expect("paper's grant");
    Recovered::open(phrase, grant, &vault.sealed_roster)
}

fn members(vault: &Vault) -> Members {
    vault.roster.verify().unwrap()
}

#[test]
fn keys_are_read_as_they_were_made() {
    let home = home();
    assert!(Vault::load(home.path()).unwrap().is_none());
    let made = create(home.path()).unwrap();
    check_same(&made, &load(home.path()).unwrap());
    assert_eq!(made.grants.keys().collect::<Vec<_>>(), [&Recovered::device(&phrase(1))]);
    assert_eq!(members(&made).iter().count(), 2);
}

#[test]
fn keys_are_for_our_eyes_only() {
    let home = home();
    create(home.path()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&folder(home.path())), 0o700);
    for file in ["identity", "keys", "public"] {
        assert_eq!(mode(&folder(home.path()).join(file)), 0o600, "{file}");
    }
    assert_eq!(fs::read_dir(folder(home.path())).unwrap().count(), 3);
}

#[test]
fn keys_are_never_made_over_others_whatever_their_state() {
    let home = home();
    let made = create(home.path()).unwrap();
    assert!(matches!(create(home.path()), Err(VaultError::Exists { .. })));
    let given = recovered(&made, &phrase(1)).unwrap();
    let random = &mut SeededRandom::new(9);
    let again = Vault::recover(home.path(), given, "desk", DeviceKind::Laptop, NOW_MS, random);
    assert!(matches!(again, Err(VaultError::Exists { .. })));
    check_same(&made, &load(home.path()).unwrap());

    let broken = self::home();
    symlink("nowhere", folder(broken.path())).unwrap();
    assert!(matches!(create(broken.path()), Err(VaultError::Exists { .. })));
}

#[test]
fn what_a_stopped_run_left_is_no_vault_and_makes_room() {
    let home = home();
    create(home.path()).unwrap();
    fs::rename(folder(home.path()), home.path().join(NEW_FOLDER)).unwrap();
    assert!(Vault::load(home.path()).unwrap().is_none());
    let made = Vault::create(
        home.path(),
        &phrase(2),
        "desk",
        DeviceKind::Desktop,
        NOW_MS,
        &mut SeededRandom::new(2),
    );
    check_same(&made.unwrap(), &load(home.path()).unwrap());
    assert!(!home.path().join(NEW_FOLDER).exists());
}

#[test]
fn only_one_process_makes_keys() {
    let home = home();
    let held = disk::lock(&home.path().join(LOCK)).unwrap();
    assert!(matches!(create(home.path()), Err(VaultError::Busy { .. })));
    drop(held);
    assert!(create(home.path()).is_ok());
}

#[test]
fn a_name_or_kind_no_device_can_have_is_refused_before_anything_is_written() {
    let home = home();
    let long = "n".repeat(NAME_MAX + 1);
    for name in ["", "  ", "a\nb", "\x1b[31m", &long] {
        let random = &mut SeededRandom::new(1);
        let refused =
            Vault::create(home.path(), &phrase(1), name, DeviceKind::Laptop, NOW_MS, random);
        assert!(matches!(refused, Err(VaultError::BadName(_))), "{name:?}");
    }
    let paper = Vault::create(
        home.path(),
        &phrase(1),
        "a",
        DeviceKind::Paper,
        NOW_MS,
        &mut SeededRandom::new(1),
    );
    assert!(matches!(paper, Err(VaultError::Paper)));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn keys_open_to_others_are_refused_with_the_command_that_closes_them() {
    let home = home();
    create(home.path()).unwrap();
    let paths = ["", "identity", "keys", "public"].map(|file| folder(home.path()).join(file));
    for path in paths {
        let before = fs::metadata(&path).unwrap().permissions();
        let mode = before.mode() & 0o7777;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o044)).unwrap();
        let error = load(home.path()).unwrap_err();
        let hint = format!("run `chmod {mode:o} '{}'`", path.components().as_path().display());
        assert!(matches!(error, VaultError::TooOpen { .. }), "{error}");
        assert_eq!(error.hint().unwrap().replace("/'", "'"), hint);
        fs::set_permissions(&path, before).unwrap();
    }
    assert!(load(home.path()).is_ok());
}

#[test]
fn keys_that_are_half_there_are_an_error_and_not_no_keys() {
    for file in ["identity", "keys", "public"] {
        let home = home();
        create(home.path()).unwrap();
        let path = folder(home.path()).join(file);
        fs::remove_file(&path).unwrap();
        let error = load(home.path()).unwrap_err();
        assert!(matches!(error, VaultError::Missing { .. }), "{error}");
        assert!(error.hint().unwrap().contains("join --recover"));
        symlink("/dev/null", &path).unwrap();
        assert!(matches!(load(home.path()), Err(VaultError::WrongKind { .. })));
    }
    let home = home();
    damage(&folder(home.path()), b"");
    assert!(matches!(load(home.path()), Err(VaultError::WrongKind { .. })));
}

#[test]
fn every_changed_bit_in_a_key_file_is_noticed() {
    let home = home();
    create(home.path()).unwrap();
    for file in ["identity", "keys"] {
        let path = folder(home.path()).join(file);
        let bytes = fs::read(&path).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            damage(&path, &flipped);
            let error = load(home.path()).unwrap_err();
            assert!(
                matches!(error, VaultError::Damaged { .. } | VaultError::Newer { .. }),
                "{file}, bit {bit}"
            );
        }
        for len in 0..bytes.len() {
            damage(&path, &bytes[..len]);
            assert!(
                matches!(load(home.path()), Err(VaultError::Damaged { .. })),
                "{file}, cut to {len}"
            );
        }
        damage(&path, &bytes);
    }
    assert!(load(home.path()).is_ok());
}

#[test]
fn files_of_two_vaults_do_not_mix() {
    let (one, two) = (home(), home());
    create(one.path()).unwrap();
    Vault::create(
        two.path(),
        &phrase(2),
        "b",
        DeviceKind::Phone,
        NOW_MS,
        &mut SeededRandom::new(2),
    )
    .unwrap();
    for file in ["identity", "keys", "public"] {
        let path = folder(one.path()).join(file);
        let ours = fs::read(&path).unwrap();
        damage(&path, &fs::read(folder(two.path()).join(file)).unwrap());
        assert!(matches!(load(one.path()), Err(VaultError::Disagree { .. })), "{file}");
        damage(&path, &ours);
    }
    let (identity, keys) = (folder(one.path()).join("identity"), folder(one.path()).join("keys"));
    fs::copy(&identity, &keys).unwrap();
    assert!(matches!(load(one.path()), Err(VaultError::Damaged { .. })));
}

#[test]
fn exported_keys_are_the_files_line_by_line() {
    let home = home();
    create(home.path()).unwrap();
    let text = Vault::export(home.path()).unwrap();
    let (title, lines) = text.split_once('\n').unwrap();
    assert!(title.starts_with("# ConvoSync keys") && text.capacity() - text.len() < 64);
    for (line, file) in lines.lines().zip(["identity", "keys", "public"]) {
        let bytes = fs::read(folder(home.path()).join(file)).unwrap();
        assert_eq!(line, format!("{file} {}", hex(&bytes)));
    }
    assert_eq!(lines.lines().count(), 3);
}

#[test]
fn the_phrase_brings_a_new_device_into_the_vault() {
    let (one, two, three) = (home(), home(), home());
    let first = create(one.path()).unwrap();
    let given = recovered(&first, &phrase(1)).unwrap();
    let random = &mut SeededRandom::new(9);
    let second =
        Vault::recover(two.path(), given, "phone", DeviceKind::Phone, NOW_MS + 1, random).unwrap();
    check_same(&second, &load(two.path()).unwrap());
    assert_eq!(second.keys.vault(), first.keys.vault());
    assert_ne!(second.identity.device(), first.identity.device());
    assert!(second.roster.verify().unwrap().has_entry(first.roster.head()));
    let member = members(&second);
    let member = member.active(second.identity.device()).unwrap();
    assert_eq!(member.enrolled_by, Recovered::device(&phrase(1)));
    assert_eq!(member.enrolment.card, Card::open(&second.card).unwrap().digest());
    assert_eq!(member.enrolment.name.as_deref(), Some("phone"));

    let given = recovered(&second, &phrase(1)).unwrap();
    let third =
        Vault::recover(three.path(), given, "c", DeviceKind::Server, NOW_MS, random).unwrap();
    assert_eq!(members(&third).iter().count(), 4);
}

#[test]
fn a_wrong_phrase_opens_nothing() {
    let home = home();
    let vault = create(home.path()).unwrap();
    assert_eq!(recovered(&vault, &phrase(2)).unwrap_err(), SealError::NotForUs);
}

#[test]
fn a_vault_made_up_around_the_papers_public_keys_is_refused() {
    let (real, fake) = (home(), home());
    let paper = Identity::from_phrase(&phrase(1));
    create(real.path()).unwrap();
    let random = &mut SeededRandom::new(3);
    let forger =
        Vault::create(fake.path(), &phrase(3), "x", DeviceKind::Server, NOW_MS, random).unwrap();
    let card = Card::open(&Card::sign(&paper, forger.keys.vault())).unwrap();
    let grant =
        seal_grant(&forger.keys, &forger.identity, &card, forger.roster.head(), &[]).unwrap();
    let refused = Recovered::open(&phrase(1), &grant, &forger.sealed_roster).unwrap_err();
    assert_eq!(refused, SealError::NotEnrolled(paper.device()));

    let mut roster = forger.roster.clone();
    let enrolled = RosterAction::Add(Enrolment::of(&card, DeviceKind::Server, None));
    roster.append(&forger.identity, enrolled, NOW_MS).unwrap();
    let sealed = roster.seal(&forger.keys, random).unwrap();
    let refused = Recovered::open(&phrase(1), &grant, &sealed).unwrap_err();
    assert_eq!(
        refused,
        SealError::NotEnrolled(paper.device()),
        "as an ordinary device it never accepted"
    );
}
