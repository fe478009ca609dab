//! Refs that are not ours: too large, gone, or in the way.

use super::*;

#[test]
fn a_huge_ref_of_a_stranger_is_not_downloaded_and_stops_nobody() {
    let sandbox = Sandbox::new();
    let (url, one, _) = filled(&sandbox, 3, 1);
    let mut stranger = Device::new(&sandbox, 3);
    let blob = stranger.noise(30 << 20);
    let tip = stranger.store.commit_tip(None, &[], &[("card".to_owned(), blob)], &[]).unwrap();
    stranger.store.move_ref(&stranger.reference(), None, tip).unwrap();
    sent(remote(&sandbox, &stranger, &url).push(&stranger.reference(), tip, None));
    let two = Device::new(&sandbox, 2);

    let fetched = remote(&sandbox, &two, &url)
        .fetch_tips(&[one.reference(), stranger.reference()], 1 << 20)
        .unwrap();

    assert_eq!(fetched.refused.len(), 1);
    assert!(
        matches!(fetched.refused[0], (name, RemoteError::TooLarge { limit: 1_048_576 }) if name == stranger.reference()),
        "{fetched:?}"
    );
    assert!(two.store.seen_tip(&one.reference()).unwrap().is_some());
    assert_eq!(two.store.seen_tip(&stranger.reference()).unwrap(), None);
    assert!(size_of(&sandbox.path("device-2/seen.git")) < 2 << 20);
}

/// All bytes below a directory.
fn size_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                size_of(&entry.path())
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}

#[test]
fn a_ref_that_is_gone_stops_nobody() {
    let sandbox = Sandbox::new();
    let (url, one, _) = filled(&sandbox, 3, 1);
    let two = Device::new(&sandbox, 2);
    let absent = RefName::new(RefKind::Custom, VAULT, DeviceId([8; 8]));
    let fetched = remote(&sandbox, &two, &url)
        .fetch_tips(&[absent, one.reference()], TIP_DOWNLOAD_MAX)
        .unwrap();
    assert_eq!(fetched.refused.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [absent]);
    assert!(two.store.seen_tip(&one.reference()).unwrap().is_some());
}

#[test]
fn a_ref_in_our_way_is_listed_and_can_be_removed() {
    for blocking in [
        format!("refs/convosync/{VAULT}"),
        format!("refs/convosync/{VAULT}/{}/x", DeviceId([1; 8])),
    ] {
        let sandbox = Sandbox::new();
        let url = sandbox.bare("remote.git").display().to_string();
        let mut one = Device::new(&sandbox, 1);
        let (commit, tip) = one.save(name(0), None, 1, 100);
        let ours = remote(&sandbox, &one, &url);
        sent(ours.push_one(&blocking, Some(commit), None, false));

        assert_eq!(ours.push(&one.reference(), tip, None), Outcome::Behind, "{blocking}");
        let listing = ours.list().unwrap();
        assert_eq!(listing.blocking, [(blocking.clone(), commit)]);
        assert_eq!(ours.remove(&blocking, tip), Outcome::Behind);
        sent(ours.remove(&blocking, commit));
        sent(ours.push(&one.reference(), tip, None));
    }
}

#[test]
fn nothing_but_our_refs_is_ever_removed() {
    let sandbox = Sandbox::new();
    let one = Device::new(&sandbox, 1);
    let url = sandbox.bare("remote.git").display().to_string();
    for name in ["refs/heads/main", "refs/tags/v1", "refs/convosyncx/a", "refs/heads/convo"] {
        let outcome = remote(&sandbox, &one, &url).remove(name, Oid([1; 20]));
        assert!(
            matches!(outcome, Outcome::Permanent { kind: PermanentKind::RefRefused, .. }),
            "{name}"
        );
    }
}
