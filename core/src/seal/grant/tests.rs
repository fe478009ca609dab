//! Grants.

use super::super::fixture::*;
use super::super::{DeviceKind, Enrolment, Roster, RosterAction};
use super::*;

fn card(identity: &Identity) -> Card {
    Card::open(&Card::sign(identity, VAULT)).unwrap()
}

/// The vault's roster, with a second device.
fn roster() -> Roster {
    let mut roster = super::super::fixture::roster();
    let enrolment = Enrolment::of(&card(&identity(2)), DeviceKind::Phone, None);
    roster.append(&identity(1), RosterAction::Add(enrolment), AT_MS).unwrap();
    roster
}

fn grant(approver: &Identity, to: &Identity) -> Vec<u8> {
    seal_grant(&ring(), approver, &card(to), roster().head(), &seen(2)).unwrap()
}

fn secrets(ring: &KeyRing) -> Vec<u8> {
    let mut record = Writer::new();
    ring.write(&mut record, 1);
    record.finish()
}

#[test]
fn a_grant_carries_every_key_to_its_device() {
    let opened = open_grant(&identity(2), &grant(&identity(1), &identity(2))).unwrap();
    assert_eq!(
        (opened.vault, opened.recipient, opened.approver),
        (VAULT, identity(2).device(), identity(1).device())
    );
    assert_eq!(
        (opened.card, opened.roster, &opened.seen),
        (card(&identity(2)).digest(), roster().head(), &seen(2))
    );
    let sealed = roster().seal(&ring(), &mut crate::id::SeededRandom::new(3)).unwrap();
    let members = Roster::open(opened.unproven_keys(), &sealed).unwrap().verify().unwrap();
    assert_eq!(secrets(&opened.into_keys(&members).unwrap()), secrets(&ring()));
}

#[test]
fn paper_opens_what_was_granted_to_it_by_its_entry_in_the_roster() {
    let members = roster().verify().unwrap();
    let to = |device| {
        seal_grant_to_member(&ring(), &identity(2), (&members, device), roster().head(), &[])
    };
    let opened = open_grant(&paper(), &to(paper().device()).unwrap()).unwrap();
    assert_eq!(opened.verify(&members), Ok(()));
    assert_eq!(opened.card, card(&paper()).digest());
    assert_eq!(to(identity(9).device()), Err(SealError::NotEnrolled(identity(9).device())));
}

#[test]
fn a_grant_for_another_device_is_refused() {
    let refused = open_grant(&paper(), &grant(&identity(1), &identity(2))).unwrap_err();
    assert_eq!(refused, SealError::NotForUs);
    let mut planted = card(&identity(2));
    planted.device = identity(3).device();
    let bytes = seal_grant(&ring(), &identity(1), &planted, roster().head(), &[]).unwrap();
    assert_eq!(variant(&open_grant(&identity(2), &bytes).unwrap_err()), "OtherDevice");
}

#[test]
fn a_grant_counts_only_when_the_roster_vouches_for_it() {
    let members = roster().verify().unwrap();
    let check = |approver: &Identity, to: &Identity, head, expected: &str| {
        let bytes = seal_grant(&ring(), approver, &card(to), head, &[]).unwrap();
        let grant = open_grant(to, &bytes).unwrap();
        assert_eq!(variant(&grant.into_keys(&members).unwrap_err()), expected);
    };
    check(&identity(9), &identity(2), roster().head(), "NotEnrolled");
    check(&identity(1), &identity(9), roster().head(), "NotEnrolled");
    check(&identity(1), &identity(2), digest(1), "OtherRoster");
    let impostor = Identity::from_parts(
        identity(1).device(),
        Zeroizing::new([1; 32]),
        &Zeroizing::new([2; 32]),
    );
    check(&impostor, &identity(2), roster().head(), "BadSignature");
}

#[test]
fn a_grant_of_a_revoked_device_no_longer_counts() {
    let bytes = grant(&identity(1), &identity(2));
    let mut later = roster();
    let revoke =
        RosterAction::Revoke { device: identity(1).device(), sequence: 1, head: digest(1) };
    later.append(&paper(), revoke, AT_MS).unwrap();
    let opened = open_grant(&identity(2), &bytes).unwrap();
    assert_eq!(opened.verify(&roster().verify().unwrap()), Ok(()));
    let members = later.verify().unwrap();
    assert_eq!(opened.verify(&members), Err(SealError::Revoked(identity(1).device())));
}

#[test]
fn a_grant_is_of_one_vault_only() {
    let other = ring_of(VaultId([8; 8]));
    let refused =
        seal_grant(&other, &identity(1), &card(&identity(2)), digest(1), &[]).unwrap_err();
    assert_eq!(variant(&refused), "OtherVault");
    let genesis = Roster::genesis(&identity(1), DeviceKind::Laptop, &paper(), other.vault(), AT_MS);
    let opened = open_grant(&paper(), &grant(&identity(1), &paper())).unwrap();
    assert_eq!(variant(&opened.verify(&genesis.verify().unwrap()).unwrap_err()), "OtherVault");
}

#[test]
fn a_recipient_this_version_does_not_know_is_refused_by_name() {
    let mut strange = card(&identity(2));
    strange.recipient = "age1pq1later".to_owned();
    let refused = seal_grant(&ring(), &identity(1), &strange, digest(1), &[]);
    assert_eq!(refused, Err(SealError::BadRecipient(identity(2).device())));
}

#[test]
fn a_grant_that_is_too_large_is_not_even_looked_at() {
    assert_eq!(
        variant(&open_grant(&identity(2), &vec![0; GRANT_MAX + 1]).unwrap_err()),
        "TooLarge"
    );
    assert_eq!(variant(&open_grant(&identity(2), b"").unwrap_err()), "Damaged");
    assert_eq!(
        variant(&open_grant(&identity(2), b"age-encryption.org/v1\n").unwrap_err()),
        "Damaged"
    );
}

#[test]
fn every_mutation_of_a_grant_is_refused() {
    let bytes = grant(&identity(1), &identity(2));
    check_mutations(&bytes, |bytes| open_grant(&identity(2), bytes));
}

#[test]
fn every_mutation_inside_a_grant_is_refused() {
    let members = roster().verify().unwrap();
    let recipient: Recipient = identity(2).recipient().parse().unwrap();
    let signed = decrypt(&identity(2), &grant(&identity(1), &identity(2))).unwrap();
    let mut flipped = signed.to_vec();
    // One bit of every byte: each takes an encryption and a signature check.
    for at in 0..signed.len() {
        flipped[at] ^= 1 << (at % 8);
        let opened = open_grant(&identity(2), &encrypt(&recipient, &flipped).unwrap());
        assert!(opened.and_then(|grant| grant.verify(&members)).is_err(), "byte {at}");
        flipped[at] ^= 1 << (at % 8);
    }
}

#[test]
fn no_key_is_printed() {
    let opened = open_grant(&identity(2), &grant(&identity(1), &identity(2))).unwrap();
    let printed = format!("{opened:?}");
    assert!(printed.len() < 120 && printed.ends_with("…)"), "{printed}");
}
