//! Rosters: what stands, and what does not.

use super::super::fixture::*;
use super::*;
use crate::id::SeededRandom;

const LATER_MS: i64 = AT_MS + 1000;

fn add(identity: &Identity, kind: DeviceKind) -> RosterAction {
    let card = Card::open(&Card::sign(identity, VAULT)).unwrap();
    RosterAction::Add(Enrolment::of(&card, kind, Some("new".to_owned())))
}

fn revoke(identity: &Identity) -> RosterAction {
    RosterAction::Revoke { device: identity.device(), sequence: 7, head: digest(7) }
}

fn rotate(counter: u32) -> RosterAction {
    RosterAction::Rotate { key: KeyId([counter as u8; 8]), counter }
}

fn with(entries: &[(&Identity, RosterAction)]) -> Roster {
    let mut roster = roster();
    for (actor, action) in entries {
        roster.append(actor, action.clone(), LATER_MS).unwrap();
    }
    roster
}

/// Signs an entry without asking whether it is allowed.
fn forge(roster: &Roster, signer: &Identity, entry: &Entry) -> Roster {
    let mut roster = roster.clone();
    roster.entries.push(signer.sign(&entry_context(roster.vault), &entry.write()));
    roster
}

fn entry(roster: &Roster, actor: &Identity, action: RosterAction) -> Entry {
    Entry { previous: roster.head(), actor: actor.device(), at_ms: LATER_MS, action }
}

fn check_refused(roster: &Roster, actor: &Identity, action: RosterAction, expected: &str) {
    let before = roster.clone();
    let mut after = roster.clone();
    assert_eq!(after.append(actor, action.clone(), LATER_MS).unwrap_err().to_string(), expected);
    assert_eq!(after, before);
    let forged = forge(roster, actor, &entry(roster, actor, action));
    assert_eq!(
        forged.verify().unwrap_err().to_string(),
        expected,
        "an opened roster is checked as well"
    );
}

#[test]
fn a_roster_begins_with_its_first_device_and_paper() {
    let members = roster().verify().unwrap();
    assert_eq!(members.iter().count(), 2);
    let first = members.active(identity(1).device()).unwrap();
    assert_eq!(
        (first.enrolment.kind, first.enrolled_by),
        (DeviceKind::Laptop, identity(1).device())
    );
    assert_eq!(first.enrolment.card, Digest::of(&Card::sign(&identity(1), VAULT)));
    let paper = members.active(paper().device()).unwrap();
    assert_eq!((paper.enrolment.kind, paper.enrolled_ms), (DeviceKind::Paper, AT_MS));
    assert!(members.has_entry(roster().head()) && !members.has_entry(Digest::NONE));
}

#[test]
fn a_roster_comes_back_with_everything_in_it() {
    let (one, two) = (identity(1), identity(2));
    let roster =
        with(&[(&one, add(&two, DeviceKind::Phone)), (&two, rotate(2)), (&two, revoke(&one))]);
    let sealed = roster.seal(&ring(), &mut SeededRandom::new(3)).unwrap();
    let opened = Roster::open(&ring(), &sealed).unwrap();
    assert_eq!(opened, roster);
    let members = opened.verify().unwrap();
    assert_eq!(members.rotated_keys(), [(2, KeyId([2; 8]))]);
    let end = members.get(one.device()).unwrap().revoked.unwrap();
    assert_eq!((end.by, end.sequence, end.head), (two.device(), 7, digest(7)));
    assert_eq!(members.active(one.device()), Err(SealError::Revoked(one.device())));
    assert_eq!(
        members.active(identity(3).device()),
        Err(SealError::NotEnrolled(identity(3).device()))
    );
}

/// Whether `ours` takes the device for one of the vault once it saw `theirs`.
fn knows(ours: &Roster, theirs: &Roster, device: &Identity) -> bool {
    ours.verify_with(theirs).unwrap().active(device.device()).is_ok()
}

#[test]
fn devices_that_joined_before_they_saw_each_other_know_each_other() {
    let (one, two, three, four, paper) =
        (identity(1), identity(2), identity(3), identity(4), paper());
    let ours = with(&[(&paper, add(&two, DeviceKind::Phone))]);
    let theirs =
        with(&[(&paper, add(&three, DeviceKind::Phone)), (&three, add(&four, DeviceKind::Phone))]);
    let knows = |device| knows(&ours, &theirs, device) && self::knows(&theirs, &ours, device);
    assert!([&one, &two, &three, &four, &paper].into_iter().all(knows));
    let longer = with(&[(&paper, add(&two, DeviceKind::Phone)), (&one, rotate(2))]);
    assert_eq!(ours.verify_with(&longer).unwrap(), longer.verify().unwrap());
    assert_eq!(longer.verify_with(&ours).unwrap(), longer.verify().unwrap());
}

#[test]
fn nobody_revoked_here_comes_back_or_brings_others_by_a_roster_that_does_not_know() {
    let (one, two, three, four, paper) =
        (identity(1), identity(2), identity(3), identity(4), paper());
    let both = [(&paper, add(&two, DeviceKind::Phone)), (&paper, add(&three, DeviceKind::Phone))];
    let with_more = |more: &[(&Identity, RosterAction)]| with(&[both.as_slice(), more].concat());
    let ours = with_more(&[(&one, revoke(&two))]);
    let theirs = with_more(&[(&two, add(&four, DeviceKind::Phone)), (&two, revoke(&three))]);
    assert!(!knows(&ours, &theirs, &two) && !knows(&ours, &theirs, &four));
    assert!(knows(&ours, &theirs, &three), "what a revoked device says does not count");
    assert!(!knows(&theirs, &ours, &two), "a revocation counts wherever it is seen");
}

#[test]
fn the_roster_of_another_vault_made_up_around_our_paper_adds_nobody() {
    let (five, two, paper) = (identity(5), identity(2), paper());
    let mut made_up = Roster::genesis(&five, DeviceKind::Laptop, &paper, VAULT, AT_MS);
    made_up.append(&five, add(&two, DeviceKind::Phone), AT_MS).unwrap();
    assert_eq!(roster().verify_with(&made_up).unwrap(), roster().verify().unwrap());
}

#[test]
fn an_entry_nobody_was_allowed_to_make_is_refused() {
    let (one, two, three, paper) = (identity(1), identity(2), identity(3), paper());
    let roster = with(&[(&one, add(&two, DeviceKind::Phone)), (&two, revoke(&one))]);
    let device = |identity: &Identity| identity.device().to_string();
    check_refused(
        &roster,
        &three,
        rotate(2),
        &format!("device {} is not in the roster", device(&three)),
    );
    check_refused(&roster, &one, rotate(2), &format!("device {} was revoked", device(&one)));
    let refused = |rule: &str| format!("entry 4 of the roster is not allowed: {rule}");
    check_refused(
        &roster,
        &two,
        add(&one, DeviceKind::Laptop),
        &refused("the device was enrolled before"),
    );
    check_refused(
        &roster,
        &two,
        add(&two, DeviceKind::Laptop),
        &refused("the device was enrolled before"),
    );
    check_refused(
        &roster,
        &two,
        add(&three, DeviceKind::Paper),
        &refused("only paper can enrol paper"),
    );
    check_refused(&roster, &two, revoke(&paper), &refused("only paper can revoke paper"));
    check_refused(&roster, &two, revoke(&three), &refused("the revoked device is not enrolled"));
    check_refused(&roster, &two, revoke(&one), &refused("the revoked device is not enrolled"));
    check_refused(
        &roster,
        &two,
        rotate(1),
        &refused("a rotation's counter follows the first key's"),
    );
    let rotated = with(&[(&one, rotate(2))]);
    let again = "entry 3 of the roster is not allowed: the key was announced before";
    check_refused(&rotated, &one, rotate(2), again);
}

#[test]
fn paper_may_do_everything_and_make_room_for_another_paper() {
    let (one, old) = (identity(1), paper());
    let new = Identity::from_phrase(&crate::seal::Phrase::create(&mut SeededRandom::new(5)));
    let mut roster = with(&[(&old, revoke(&one)), (&old, add(&identity(2), DeviceKind::Tablet))]);
    let accepted = Enrolment::own(&new, VAULT, DeviceKind::Paper, roster.head(), old.device());
    roster.append(&old, RosterAction::Add(accepted), LATER_MS).unwrap();
    roster.append(&new, revoke(&old), LATER_MS).unwrap();
    assert!(roster.verify().unwrap().active(new.device()).is_ok());
}

#[test]
fn a_paper_device_that_did_not_accept_this_vault_is_refused() {
    let (one, paper) = (identity(1), paper());
    let mut genesis = Roster { vault: VAULT, entries: Vec::new() };
    let own = |previous| Enrolment::own(&paper, VAULT, DeviceKind::Paper, previous, one.device());
    let first = Enrolment::own(&one, VAULT, DeviceKind::Laptop, genesis.head(), one.device());
    genesis.append(&one, RosterAction::Add(first), AT_MS).unwrap();
    let mut check = |acceptance| {
        let enrolment = Enrolment { acceptance, ..own(genesis.head()) };
        let refused = genesis.append(&one, RosterAction::Add(enrolment), AT_MS).unwrap_err();
        assert_eq!(refused, SealError::BadSignature { what: WHAT });
    };
    check(None);
    check(own(digest(1)).acceptance);
    check(Some([0; 64]));
}

#[test]
fn a_roster_that_begins_otherwise_is_refused() {
    let (one, two, paper) = (identity(1), identity(2), paper());
    let empty = Roster { vault: VAULT, entries: Vec::new() };
    assert_eq!(variant(&empty.verify().unwrap_err()), "Cut");
    let check = |roster: &Roster, actor: &Identity, action, expected: &str| {
        let forged = forge(roster, actor, &entry(roster, actor, action));
        assert_eq!(variant(&forged.verify().unwrap_err()), expected);
    };
    check(&empty, &paper, add(&paper, DeviceKind::Paper), "NotAllowed");
    check(&empty, &one, add(&two, DeviceKind::Laptop), "NotEnrolled");
    check(&empty, &one, rotate(2), "NotEnrolled");
    let started = forge(&empty, &one, &entry(&empty, &one, add(&one, DeviceKind::Laptop)));
    check(&started, &one, add(&two, DeviceKind::Laptop), "NotAllowed");
    check(&started, &one, rotate(2), "NotAllowed");
}

#[test]
fn entries_cannot_be_taken_out_moved_or_signed_by_others() {
    let (one, two) = (identity(1), identity(2));
    let roster =
        with(&[(&one, rotate(2)), (&one, rotate(3)), (&one, add(&two, DeviceKind::Phone))]);
    let check = |change: fn(&mut Vec<Vec<u8>>), expected: &str| {
        let mut changed = roster.clone();
        change(&mut changed.entries);
        assert_eq!(variant(&changed.verify().unwrap_err()), expected);
    };
    check(|entries| entries.swap(2, 3), "BrokenChain");
    check(|entries| drop(entries.remove(3)), "BrokenChain");
    check(|entries| drop(entries.remove(0)), "BrokenChain");
    check(|entries| entries.push(entries[4].clone()), "BrokenChain");
    check(|entries| entries[4][0] ^= 1, "BadSignature");
    check(|entries| entries[4].truncate(63), "Cut");
    let forged = forge(&roster, &two, &entry(&roster, &one, rotate(4)));
    assert_eq!(forged.verify(), Err(SealError::BadSignature { what: WHAT }));
}

#[test]
fn a_roster_is_of_one_vault_only() {
    let other = VaultId([8; 8]);
    let moved = Roster { vault: other, ..roster() };
    assert_eq!(variant(&moved.verify().unwrap_err()), "BadSignature");
    let sealed = roster().seal(&ring(), &mut SeededRandom::new(3)).unwrap();
    assert_eq!(variant(&Roster::open(&ring_of(other), &sealed).unwrap_err()), "OtherKey");
    assert_eq!(variant(&Roster::open(&other_ring(), &sealed).unwrap_err()), "UnknownKey");
}

#[test]
fn every_mutation_of_a_roster_is_refused() {
    let sealed = roster().seal(&ring(), &mut SeededRandom::new(3)).unwrap();
    assert!(sealed.as_bytes().len() < 900, "{}", sealed.as_bytes().len());
    check_sealed_mutations(&sealed, |sealed| Roster::open(&ring(), sealed));
}

#[test]
fn every_mutation_of_an_entry_is_refused_even_inside_the_seal() {
    let roster = roster();
    for index in 0..roster.entries.len() {
        check_mutations(&roster.entries[index], |bytes| {
            let mut changed = roster.clone();
            changed.entries[index] = bytes.to_vec();
            changed.verify()
        });
    }
}

#[test]
fn an_action_of_a_later_version_is_refused_and_a_later_field_is_kept() {
    let one = identity(1);
    let roster = roster();
    let later = |action: u64, extra: &[u8]| {
        let mut record = Writer::new();
        record
            .bytes(tag::PREVIOUS, &roster.head().0)
            .bytes(tag::ACTOR, &one.device().0)
            .time(tag::AT, Some(AT_MS))
            .number(tag::ACTION, action)
            .bytes(tag::KEY, &[2; 8])
            .number(tag::COUNTER, 2)
            .bytes(200, extra);
        let mut longer = roster.clone();
        longer.entries.push(one.sign(&entry_context(VAULT), &record.finish()));
        longer
    };
    assert_eq!(variant(&later(9, b"").verify().unwrap_err()), "Malformed");
    let kept = later(u64::from(ROTATE), b"from a later version");
    let sealed = kept.seal(&ring(), &mut SeededRandom::new(3)).unwrap();
    assert_eq!(Roster::open(&ring(), &sealed).unwrap(), kept);
}

#[test]
fn a_roster_does_not_grow_for_ever() {
    let mut members = Members::new(VAULT);
    let mut roster = roster();
    roster.entries.iter().for_each(|entry| members.apply(entry).unwrap());
    for counter in 2..ENTRIES_MAX as u32 {
        let action = RosterAction::Rotate { key: KeyId((counter as u64).to_le_bytes()), counter };
        roster = forge(&roster, &identity(1), &entry(&roster, &identity(1), action));
        members.apply(roster.entries.last().unwrap()).unwrap();
    }
    let more = forge(&roster, &identity(1), &entry(&roster, &identity(1), rotate(9)));
    assert_eq!(variant(&members.apply(more.entries.last().unwrap()).unwrap_err()), "TooLarge");
}
