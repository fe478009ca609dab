//! Devices and remotes with real git: what arrives, what it costs, and what is refused.

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
fn a_commit_the_remote_does_not_have_is_gone() {
    let sandbox = Sandbox::new();
    let (url, one, _) = filled(&sandbox, 1, 1);
    let two = Device::new(&sandbox, 2);
    let error = remote(&sandbox, &two, &url)
        .fetch_session(name(0), Oid([9; 20]), &one.reference(), None)
        .unwrap_err();
    assert!(matches!(error, RemoteError::Gone { .. }), "{error:?}");
}

#[test]
fn a_host_of_the_old_protocol_is_fetched_whole() {
    let sandbox = Sandbox::new();
    let (url, one, commits) = filled(&sandbox, 3, 3);
    let two = Device::new(&sandbox, 2);
    let old = GitSettings(vec![("protocol.version".to_owned(), "0".to_owned())]);
    let theirs = Remote::new(&sandbox.git, &two.store, &old, &url, VAULT).unwrap();
    assert!(!sandbox.path("device-2/full.git").exists());

    let traffic = theirs.fetch_session(name(1), commits[0], &one.reference(), None).unwrap();

    assert!(traffic.received > 27_000, "{traffic:?}");
    assert!(sandbox.path("device-2/full.git").exists() && two.store.has_commit(commits[0]));
    let error = theirs.fetch_session(name(0), Oid([9; 20]), &one.reference(), None).unwrap_err();
    assert!(matches!(error, RemoteError::Gone { .. }), "{error:?}");
}

#[test]
fn a_stale_lease_means_behind_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let (url, mut one, commits) = filled(&sandbox, 1, 2);
    let there = one.store.own_tip(&one.reference()).unwrap();
    let (_, tip) = one.save(name(0), Some(commits[0]), 3, 100);
    let ours = remote(&sandbox, &one, &url);

    for lease in [None, Some(commits[0]), Some(tip)] {
        assert_eq!(ours.push(&one.reference(), tip, lease), Outcome::Behind, "{lease:?}");
        assert_eq!(ours.read_back(&one.reference()).unwrap(), there);
    }
    sent(ours.push(&one.reference(), tip, there));
    assert_eq!(ours.read_back(&one.reference()).unwrap(), Some(tip));
    // Said once more, it is there already.
    assert_eq!(sent(ours.push(&one.reference(), tip, Some(tip))).sent, 0);
}

#[test]
fn a_hooks_refusal_is_permanent_and_its_words_are_harmless() {
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    sandbox.script(
        "remote.git/hooks/pre-receive",
        "printf 'no \\033[31mred\\033[0m\\007 things \\342\\200\\256here\\n' >&2; exit 1",
    );
    let mut one = Device::new(&sandbox, 1);
    let (_, tip) = one.save(name(0), None, 1, 100);

    let outcome = remote(&sandbox, &one, &url).push(&one.reference(), tip, None);

    let Outcome::Permanent { kind: PermanentKind::HookDeclined, why } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(why.contains("no red"), "{why:?}");
    assert!(why.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{why:?}");
}

#[test]
fn a_remote_that_is_not_there_is_named_with_the_way_out() {
    let sandbox = Sandbox::new();
    let url = sandbox.path("nowhere.git").display().to_string();
    let mut one = Device::new(&sandbox, 1);
    let (_, tip) = one.save(name(0), None, 1, 100);
    let ours = remote(&sandbox, &one, &url);

    let error = ours.list().unwrap_err();
    assert!(
        matches!(error, RemoteError::Permanent { kind: PermanentKind::NoRepository, .. }),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("store.remote"));
    assert!(!error.is_transient());
    let outcome = ours.push(&one.reference(), tip, None);
    assert!(
        matches!(outcome, Outcome::Permanent { kind: PermanentKind::NoRepository, .. }),
        "{outcome:?}"
    );
}

#[test]
fn an_address_that_starts_a_program_is_refused() {
    let sandbox = Sandbox::new();
    let one = Device::new(&sandbox, 1);
    let none = GitSettings::default();
    for url in [
        "ext::sh -c touch% /tmp/x",
        "--upload-pack=touch /tmp/x",
        "-x",
        "",
        "relative/path",
        "https://a:b@",
        "fd::4",
    ] {
        let error = Remote::new(&sandbox.git, &one.store, &none, url, VAULT).unwrap_err();
        assert!(matches!(error, RemoteError::BadUrl { .. }), "{url}");
    }
}

fn refs_of(sandbox: &Sandbox, repo: &str) -> String {
    sandbox.run(repo, &["for-each-ref", "--format=%(refname)"])
}

#[test]
fn a_probe_pushes_reads_back_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    let one = Device::new(&sandbox, 1);

    let probe = remote(&sandbox, &one, &url).probe(&mut SeededRandom::new(1)).unwrap();

    assert_eq!(probe, Probe { kind: RefKind::Custom, refused: None, left_behind: None });
    assert_eq!(refs_of(&sandbox, "remote.git"), "");
}

#[test]
fn a_host_that_hides_our_refs_is_found_out() {
    for (key, why) in [
        ("uploadpack.hideRefs", "hides"),
        ("receive.hideRefs", "hidden"),
        ("transfer.hideRefs", "hidden"),
    ] {
        let sandbox = Sandbox::new();
        let url = sandbox.bare("remote.git").display().to_string();
        sandbox.run("remote.git", &["config", key, "refs/convosync"]);
        let one = Device::new(&sandbox, 1);

        let probe = remote(&sandbox, &one, &url).probe(&mut SeededRandom::new(1)).unwrap();

        assert_eq!(probe.kind, RefKind::Branch, "{key}");
        assert!(probe.refused.as_ref().unwrap().contains(why), "{key}: {probe:?}");
        assert_eq!(refs_of(&sandbox, "remote.git"), "", "{key}");
    }
}

#[test]
fn a_host_that_takes_only_branches_gets_branches() {
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    sandbox.script(
        "remote.git/hooks/update",
        "case $1 in refs/heads/*) exit 0;; esac; echo 'only branches here' >&2; exit 1",
    );
    let one = Device::new(&sandbox, 1);

    let probe = remote(&sandbox, &one, &url).probe(&mut SeededRandom::new(1)).unwrap();

    assert_eq!(probe.kind, RefKind::Branch);
    assert!(probe.refused.unwrap().contains("only branches here"));
    assert_eq!(refs_of(&sandbox, "remote.git"), "");
}

#[test]
fn a_host_that_takes_nothing_says_why() {
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    sandbox.script("remote.git/hooks/pre-receive", "echo 'closed on sundays' >&2; exit 1");
    let one = Device::new(&sandbox, 1);
    let error = remote(&sandbox, &one, &url).probe(&mut SeededRandom::new(1)).unwrap_err();
    assert!(
        matches!(&error, RemoteError::Permanent { kind: PermanentKind::RefRefused, why } if why.contains("sundays")),
        "{error:?}"
    );
}

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

#[test]
#[cfg(target_os = "linux")]
fn a_hanging_host_is_given_up_and_nothing_of_it_lives_on() {
    let sandbox = Sandbox::new();
    let mut one = Device::new(&sandbox, 1);
    let (_, tip) = one.save(name(0), None, 1, 100);
    let hang = sandbox.script("hang", "sleep 98764 & sleep 98764");
    let settings = GitSettings(vec![
        ("core.sshcommand".to_owned(), hang.display().to_string()),
        ("ssh.variant".to_owned(), "simple".to_owned()),
    ]);
    let short = Duration::from_millis(500);
    let ours = Remote::new(&sandbox.git, &one.store, &settings, "ssh://host/path", VAULT)
        .unwrap()
        .with_deadlines(short, short);

    assert!(ours.list().unwrap_err().is_transient());
    assert!(matches!(ours.push(&one.reference(), tip, None), Outcome::Transient { .. }));
    assert!(crate::git::sandbox::gone("98764"));
}

#[test]
fn the_users_ssh_command_is_honoured_and_a_refused_login_is_permanent() {
    let sandbox = Sandbox::new();
    let one = Device::new(&sandbox, 1);
    let ssh =
        sandbox.script("my-ssh", "echo 'git@host: Permission denied (publickey).' >&2; exit 255");
    let settings = GitSettings(vec![
        ("core.sshcommand".to_owned(), ssh.display().to_string()),
        ("ssh.variant".to_owned(), "simple".to_owned()),
    ]);
    let error = Remote::new(&sandbox.git, &one.store, &settings, "git@host:path", VAULT)
        .unwrap()
        .list()
        .unwrap_err();
    assert!(matches!(error, RemoteError::Permanent { kind: PermanentKind::Key, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("ssh-add"));
}

#[test]
fn nobody_is_asked_for_a_password() {
    let sandbox = Sandbox::new();
    let one = Device::new(&sandbox, 1);
    let url = refusing_web_host();
    let asked = sandbox.path("asked");
    let ask = sandbox.script("ask", &format!("touch {}", asked.display()));
    sandbox.write(".gitconfig", format!("[core]\n\taskPass = {}\n", ask.display()));

    let error = remote(&sandbox, &one, &url).list().unwrap_err();

    assert!(
        matches!(error, RemoteError::Permanent { kind: PermanentKind::Login, .. }),
        "{error:?}"
    );
    assert!(!asked.exists());
}

/// A web server that wants a login, on a port of its own; it answers a few times and is gone.
fn refusing_web_host() -> String {
    use std::io::{BufRead as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/app.git", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(3).flatten() {
            let mut stream = stream;
            let lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).find(String::is_empty);
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    url
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
