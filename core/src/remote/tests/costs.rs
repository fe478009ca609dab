//! What travels and what does not: each byte is sent once.

use super::*;

#[test]
fn a_save_in_a_large_store_costs_little_more_than_its_chunk() {
    let sandbox = Sandbox::new();
    let (url, mut one, commits) = filled(&sandbox, 100, 3);
    let ours = one.reference();
    let push = |one: &Device, tip, lease| sent(remote(&sandbox, one, &url).push(&ours, tip, lease));

    // Chunk 3000, summary 600, head 300 bytes; then the same with a record of 300.
    let before = one.store.own_tip(&ours).unwrap();
    let put = [(log_path(name(50), 4), one.noise(3000))];
    let commit = one.store.commit_session(&[commits[50]], &put, &[]).unwrap();
    let tip = one.tip(name(50), commit);
    let bare = push(&one, tip, before);
    let objects = objects_at(&sandbox, "remote.git");
    let (_, with_record) = one.save(name(50), Some(commit), 5, 3000);
    let full = push(&one, with_record, Some(tip));

    assert!((3900..=4710).contains(&bare.sent), "{bare:?}");
    assert!((4200..=5120).contains(&full.sent), "{full:?}");
    // Two commits, four sealed objects, and the trees above them: four of the session, three of the tip.
    assert_eq!(objects_at(&sandbox, "remote.git") - objects, 13);
}

#[test]
fn listing_costs_the_summaries_once_and_then_only_what_changed() {
    let sandbox = Sandbox::new();
    let (url, mut one, commits) = filled(&sandbox, 100, 3);
    let two = Device::new(&sandbox, 2);
    let theirs = remote(&sandbox, &two, &url);

    let first = theirs.fetch_tips(&[one.reference()], TIP_DOWNLOAD_MAX).unwrap().traffic;
    let seen = objects_at(&sandbox, "device-2/seen.git");
    let lease = one.store.own_tip(&one.reference()).unwrap();
    let (_, tip) = one.save(name(50), Some(commits[50]), 4, 3000);
    sent(remote(&sandbox, &one, &url).push(&one.reference(), tip, lease));
    let second = theirs.fetch_tips(&[one.reference()], TIP_DOWNLOAD_MAX).unwrap().traffic;

    assert!((60_000..75_000).contains(&first.received), "{first:?}");
    assert!(second.received < 2_000, "{second:?}");
    assert_eq!(objects_at(&sandbox, "device-2/seen.git") - seen, 6);
}

#[test]
fn adopting_a_session_and_pushing_on_sends_no_chunk_twice() {
    let sandbox = Sandbox::new();
    let (url, one, commits) = filled(&sandbox, 10, 40);
    let mut two = Device::new(&sandbox, 2);

    let fetched = remote(&sandbox, &two, &url)
        .fetch_session(name(5), commits[5], &one.reference(), None)
        .unwrap();
    assert!(fetched.received > 40 * 3300 && fetched.received < 40 * 3700, "{fetched:?}");
    let (_, tip) = two.save(name(5), Some(commits[5]), 41, 3000);
    let traffic = sent(remote(&sandbox, &two, &url).push(&two.reference(), tip, None));

    assert!(traffic.sent < 5_120, "{traffic:?}");
}

/// Another device adopts sessions that have `chunks` chunks each, adds to all of them in `rounds`, and pushes
/// after each round or once in the end. Nothing that the remote has is sent to it again.
fn check_adopted_many(sessions: u8, chunks: u32, rounds: u32, push_each: bool) {
    let sandbox = Sandbox::new();
    let (url, one, commits) = filled(&sandbox, sessions, chunks);
    let mut two = Device::new(&sandbox, 2);
    let mut at: Vec<(SessionName, Oid)> = (0..sessions).map(name).zip(commits).collect();
    for (session, commit) in &at {
        let theirs = remote(&sandbox, &two, &url);
        theirs.fetch_session(*session, *commit, &one.reference(), None).unwrap();
    }
    let mut lease = None;
    for round in 1..=rounds {
        let before = two.store.own_tip(&two.reference()).unwrap();
        let (tip, new) = match before {
            None => two.go_on(&at, chunks + round),
            // Only the first commits go on from what was adopted.
            Some(_) => two.go_on_from_own(&at, chunks + round),
        };
        at = at.iter().map(|(session, _)| *session).zip(new).collect();
        if !push_each && round < rounds {
            continue;
        }
        let traffic = sent(remote(&sandbox, &two, &url).push(&two.reference(), tip, lease));
        // A session's save: chunk 3000, record 300, summary 600, and about 500 of commit and trees.
        let saves = u64::from(sessions) * if push_each { 1 } else { u64::from(rounds) };
        let most = saves * 4_500 + 4_096;
        assert!(traffic.sent < most, "round {round}: {traffic:?}, at most {most}");
        lease = Some(tip);
    }
    assert_eq!(remote(&sandbox, &two, &url).read_back(&two.reference()).unwrap(), lease);
    sandbox.run("remote.git", &["fsck", "--strict"]);
}

#[test]
fn going_on_with_many_sessions_of_another_device_sends_only_what_is_new() {
    check_adopted_many(70, 6, 3, true);
}

#[test]
fn going_on_with_many_sessions_and_pushing_later_sends_only_what_is_new() {
    check_adopted_many(30, 6, 4, false);
}

#[test]
fn a_push_that_stopped_between_its_tips_goes_on_from_there() {
    let sandbox = Sandbox::new();
    let (url, one, commits) = filled(&sandbox, 30, 2);
    let mut two = Device::new(&sandbox, 2);
    let at: Vec<(SessionName, Oid)> = (0..30).map(name).zip(commits).collect();
    for (session, commit) in &at {
        let theirs = remote(&sandbox, &two, &url);
        theirs.fetch_session(*session, *commit, &one.reference(), None).unwrap();
    }
    let (tip, _) = two.go_on(&at, 3);
    let ours = remote(&sandbox, &two, &url);
    let plan = two.store.push_plan(None, tip).unwrap();
    assert!(plan.negotiate && plan.steps.len() == 3 && plan.steps[2].tip == tip, "{plan:?}");
    let reference = two.reference().to_string();
    sent(ours.push_one(&reference, Some(plan.steps[0].tip), None, true));
    sent(ours.push_one(&reference, Some(plan.steps[1].tip), Some(plan.steps[0].tip), true));

    assert_eq!(ours.push(&two.reference(), tip, None), Outcome::Behind);
    let there = ours.read_back(&two.reference()).unwrap();
    assert!(two.store.descends_from(tip, there.unwrap()).unwrap());
    let traffic = sent(ours.push(&two.reference(), tip, there));
    assert!(traffic.sent < 2 * 4_500 + 4_096, "{traffic:?}");
    let rest = two.store.push_plan(Some(tip), tip).unwrap();
    assert_eq!((rest.steps, rest.negotiate), (vec![Step { tip, bytes: 0 }], false));
}

#[test]
fn a_long_way_is_pushed_in_steps_and_what_was_taken_is_not_sent_again() {
    const TIP: usize = 3 << 20;
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    let mut one = Device::new(&sandbox, 1);
    let tips: Vec<Oid> = (0..4).map(|number| one.save(name(number), None, 1, TIP).1).collect();
    let plan = one.store.push_plan(None, tips[3]).unwrap();
    let steps: Vec<Oid> = plan.steps.iter().map(|step| step.tip).collect();
    assert_eq!(steps, [tips[1], tips[3]], "two at a time are below 8 MiB");
    let first = plan.steps[0].bytes as usize;
    assert!((2 * TIP..2 * TIP + 8_192).contains(&first), "{first}");

    let ours = remote(&sandbox, &one, &url);
    sent(ours.push_one(&one.reference().to_string(), Some(tips[1]), None, false));
    let rest = sent(ours.push(&one.reference(), tips[3], Some(tips[1])));
    assert!(rest.sent < 2 * TIP as u64 + 20_000, "{rest:?}");
    let whole = one.store.push_plan(Some(tips[1]), tips[3]).unwrap();
    assert_eq!(whole.steps.len(), 1);
}

#[test]
fn one_session_is_asked_for_without_naming_all_the_others() {
    let sandbox = Sandbox::new();
    let (url, mut one, commits) = filled(&sandbox, 100, 2);
    let two = Device::new(&sandbox, 2);
    let theirs = remote(&sandbox, &two, &url);
    for (session, commit) in (0..100).map(name).zip(&commits) {
        theirs.fetch_session(session, *commit, &one.reference(), None).unwrap();
    }
    let lease = one.store.own_tip(&one.reference()).unwrap();
    let (commit, tip) = one.save(name(99), Some(commits[99]), 3, 3000);
    sent(remote(&sandbox, &one, &url).push(&one.reference(), tip, lease));

    let traffic = theirs.fetch_session(name(99), commit, &one.reference(), None).unwrap();

    assert!(traffic.received < 5_000, "{traffic:?}");
}

#[test]
fn a_session_fetched_again_costs_only_its_new_chunks() {
    let sandbox = Sandbox::new();
    let (url, mut one, commits) = filled(&sandbox, 3, 10);
    let two = Device::new(&sandbox, 2);
    let theirs = remote(&sandbox, &two, &url);
    theirs.fetch_session(name(1), commits[1], &one.reference(), None).unwrap();
    let lease = one.store.own_tip(&one.reference()).unwrap();
    let (commit, tip) = one.save(name(1), Some(commits[1]), 11, 3000);
    sent(remote(&sandbox, &one, &url).push(&one.reference(), tip, lease));

    let traffic = theirs.fetch_session(name(1), commit, &one.reference(), None).unwrap();

    assert!(traffic.received < 5_000, "{traffic:?}");
    assert!(two.store.descends_from(commit, commits[1]).unwrap());
    assert_eq!(
        theirs.fetch_session(name(1), commit, &one.reference(), None).unwrap(),
        Traffic::default()
    );
}

#[test]
fn a_squashed_tip_costs_the_summaries_and_no_chunk() {
    let sandbox = Sandbox::new();
    let (url, mut one, commits) = filled(&sandbox, 20, 3);
    let old = one.store.own_tip(&one.reference()).unwrap().unwrap();
    let head = one.noise(300);

    let tip = one.store.squash_tip(old, &commits, &[("head".to_owned(), head)], &[]).unwrap();
    one.store.move_ref(&one.reference(), Some(old), tip).unwrap();
    let traffic = sent(remote(&sandbox, &one, &url).push(&one.reference(), tip, Some(old)));

    assert!(traffic.sent < 20_000, "{traffic:?}");
    assert_eq!(one.store.parents(Where::Own, tip).unwrap(), commits);
    sandbox.run("remote.git", &["fsck", "--strict"]);
}
