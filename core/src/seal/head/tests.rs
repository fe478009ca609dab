//! Heads.

use super::super::fixture::*;
use super::*;
use crate::id::SeededRandom;

fn card(identity: &Identity) -> Card {
    Card::open(&Card::sign(identity, VAULT)).unwrap()
}

fn seal(head: &Head) -> Sealed {
    seal_head(&ring(), &identity(1), head, &mut SeededRandom::new(3)).unwrap()
}

fn check_round_trip(head: &Head) -> usize {
    let sealed = seal(head);
    assert_eq!(open_head(&ring(), &card(&identity(1)), &sealed).as_ref(), Ok(head));
    sealed.as_bytes().len()
}

#[test]
fn a_head_comes_back() {
    let logs = vec![(LogName([1; 8]), 0, digest(1)), (LogName([2; 8]), 1 << 40, digest(2))];
    let tombstone = Tombstone { session: uuid(), at_ms: AT_MS, logs };
    let bare = Tombstone { session: session("日本"), at_ms: -5, logs: Vec::new() };
    check_round_trip(&Head { tombstones: vec![tombstone, bare], ..head(&identity(1)) });
    let first = Head {
        epoch: 0,
        sequence: 0,
        previous: Digest::NONE,
        seen: Vec::new(),
        ..head(&identity(1))
    };
    check_round_trip(&first);
}

#[test]
fn a_typical_head_is_small() {
    let len = check_round_trip(&head(&identity(1)));
    assert!(len <= 560, "{len}");
}

#[test]
fn every_mutation_of_a_head_is_refused() {
    let card = card(&identity(1));
    check_sealed_mutations(&seal(&head(&identity(1))), |sealed| open_head(&ring(), &card, sealed));
}

#[test]
fn a_head_opens_for_its_own_device_and_vault_only() {
    let sealed = seal(&head(&identity(1)));
    let check = |keys: &KeyRing, card: &Card, expected: &str| {
        assert_eq!(variant(&open_head(keys, card, &sealed).unwrap_err()), expected);
    };
    check(&ring(), &card(&identity(2)), "Damaged");
    check(&other_ring(), &card(&identity(1)), "UnknownKey");
    let elsewhere = VaultId([8; 8]);
    check(&ring_of(elsewhere), &card(&identity(1)), "OtherVault");
    let moved = Card::open(&Card::sign(&identity(1), elsewhere)).unwrap();
    check(&ring_of(elsewhere), &moved, "OtherKey");
}

#[test]
fn a_head_signed_by_another_device_of_the_vault_is_refused() {
    let (ours, other) = (identity(1), identity(2));
    let record = other.sign(&context(VAULT, ours.device()), &write(&head(&ours)));
    let binding = binding(VAULT, ours.device());
    let sealed = binding.seal_record(&ring(), &record, padme, &mut SeededRandom::new(3)).unwrap();
    assert_eq!(
        open_head(&ring(), &card(&ours), &sealed),
        Err(SealError::BadSignature { what: WHAT })
    );
}

#[test]
fn nobody_seals_the_head_of_another_device_or_vault() {
    let seal = |head: &Head| {
        seal_head(&ring(), &identity(1), head, &mut SeededRandom::new(3)).unwrap_err()
    };
    assert_eq!(variant(&seal(&head(&identity(2)))), "OtherDevice");
    assert_eq!(
        variant(&seal(&Head { vault: VaultId([8; 8]), ..head(&identity(1)) })),
        "OtherVault"
    );
}

#[test]
fn a_root_says_which_name_has_which_summary() {
    let of = |pairs: &[(u8, u8)]| {
        root_of(
            &pairs
                .iter()
                .map(|&(name, summary)| (SessionName([name; 8]), digest(summary)))
                .collect(),
        )
    };
    assert_eq!(of(&[(1, 1), (2, 2)]), of(&[(2, 2), (1, 1)]));
    let roots = [
        of(&[]),
        of(&[(1, 1)]),
        of(&[(1, 2)]),
        of(&[(2, 1)]),
        of(&[(1, 1), (2, 2)]),
        of(&[(1, 2), (2, 1)]),
    ];
    let distinct: std::collections::BTreeSet<_> = roots.into();
    assert_eq!(distinct.len(), roots.len());
    assert_ne!(grants_of(&BTreeMap::new()), of(&[]));
}

#[test]
fn kinds_read_as_they_print_and_nobody_chooses_paper() {
    for kind in DeviceKind::ALL {
        let read = kind.to_string().parse::<DeviceKind>();
        assert_eq!(read.ok(), (kind != DeviceKind::Paper).then_some(kind));
    }
    assert!("Laptop".parse::<DeviceKind>().is_err());
}
