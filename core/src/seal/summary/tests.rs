//! Summaries.

use proptest::prelude::*;

use super::super::fixture::*;
use super::*;
use crate::id::{SeededRandom, VaultId};

const HOLDER: DeviceId = DeviceId([6; 8]);

fn seal(summary: &Summary) -> Sealed {
    seal_summary(&ring(), HOLDER, summary, &mut SeededRandom::new(3)).unwrap()
}

fn open(session: &SessionId, sealed: &Sealed) -> Result<Summary, SealError> {
    open_summary(&ring(), HOLDER, ring().session_name(session), sealed)
}

fn check_round_trip(summary: &Summary, size: usize) {
    let sealed = seal(summary);
    assert_eq!(sealed.as_bytes().len(), size);
    assert_eq!(open(&summary.session, &sealed).as_ref(), Ok(summary));
}

#[test]
fn a_summary_comes_back_in_one_of_two_sizes() {
    check_round_trip(&summary(), 512);
    check_round_trip(&Summary { session: session("日本 a"), device: HOLDER, ..summary() }, 512);
    check_round_trip(
        &Summary { session: session("4D5611E5-241A-462A-8D15-5122611A9569"), ..summary() },
        512,
    );
    let roomy = Summary {
        title: Some("t".repeat(120)),
        message: Some("m".repeat(120)),
        subdirectory: "packages/web/".repeat(5) + "src",
        ..summary()
    };
    check_round_trip(&roomy, 1024);
    let bare = Summary {
        first_ms: None,
        last_ms: None,
        project: Vec::new(),
        project_name: String::new(),
        title: None,
        message: Some(String::new()),
        branch: None,
        head: None,
        client: None,
        model: None,
        dirty: false,
        ..summary()
    };
    check_round_trip(&bare, 512);
}

#[test]
fn long_texts_are_cut_and_facts_are_not() {
    let long = |character: &str| character.repeat(3000);
    let full = Summary {
        session: session(&"s".repeat(128)),
        project: (0..100).map(|n| format!("github.com/{}/{n}", "p".repeat(100))).collect(),
        project_name: long("n"),
        subdirectory: long("directory/"),
        title: Some(long("日")),
        message: Some(long("m")),
        branch: Some(long("é")),
        client: Some(long("c")),
        model: Some(long("o")),
        lines: u32::MAX,
        malformed: u32::MAX,
        length: u64::MAX,
        total: u64::MAX,
        logs: u16::MAX,
        ..summary()
    };
    let sealed = seal(&full);
    assert_eq!(sealed.as_bytes().len(), 1024);
    let opened = open(&full.session, &sealed).unwrap();
    assert_eq!(
        (opened.commit, opened.record, opened.total),
        (full.commit, full.record, full.total)
    );
    assert_eq!(opened.project, full.project[..2], "each id is there whole or not at all");
    assert!(opened.title.unwrap().starts_with("日日") && opened.branch.unwrap().ends_with("é…"));
    assert!(
        full.subdirectory.starts_with(&opened.subdirectory)
            && opened.subdirectory.ends_with("directory")
    );
}

#[test]
fn a_very_long_project_id_still_compares() {
    let id = format!("dir:{}", "x".repeat(500));
    let opened = open(&uuid(), &seal(&Summary { project: vec![id.clone()], ..summary() })).unwrap();
    assert_eq!(opened.project, [project_key(&id)]);
    assert_eq!(project_key("github.com/a/b"), "github.com/a/b");
    assert_ne!(project_key(&id), project_key(&format!("{id}x")));
}

#[test]
fn every_mutation_of_a_summary_is_refused() {
    check_sealed_mutations(&seal(&summary()), |sealed| open(&uuid(), sealed));
}

#[test]
fn a_summary_opens_in_its_own_place_only() {
    let (sealed, name) = (seal(&summary()), ring().session_name(&uuid()));
    let check = |keys: &KeyRing, device, name, expected: &str| {
        assert_eq!(variant(&open_summary(keys, device, name, &sealed).unwrap_err()), expected);
    };
    check(&ring(), identity(1).device(), name, "Damaged");
    check(&ring(), HOLDER, ring().session_name(&session("another")), "Damaged");
    check(&other_ring(), HOLDER, name, "UnknownKey");
    check(&ring_of(VaultId([8; 8])), HOLDER, name, "OtherKey");
}

#[test]
fn a_summary_under_a_name_that_is_not_its_sessions_is_refused() {
    let name = ring().session_name(&session("another"));
    let record = write(HOLDER, &summary());
    let sealed = binding(&ring(), HOLDER, name).seal_record(
        &ring(),
        &record,
        |len| len,
        &mut SeededRandom::new(3),
    );
    assert_eq!(
        open_summary(&ring(), HOLDER, name, &sealed.unwrap()),
        Err(SealError::Damaged { what: WHAT })
    );
}

#[test]
fn texts_are_cut_where_it_hurts_least() {
    assert_eq!(ellipsis("short", 5), "short");
    assert_eq!(ellipsis("longer", 5), "lo…");
    assert_eq!(ellipsis("日本語", 8), "日…");
    assert_eq!(ellipsis("ab", 1), "a");
    assert_eq!(ancestor("a/b/c", 5), "a/b/c");
    assert_eq!(ancestor("a/bb/c", 4), "a/bb");
    assert_eq!(ancestor("a/bb/c", 3), "a");
    assert_eq!(ancestor("abc", 2), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_it_says_it_has_one_of_two_sizes(
        texts in prop::collection::vec(prop::option::of(".{0,400}"), 5),
        project in prop::collection::vec(".{0,300}", 0..6),
        directory in "([a-zé]{1,9}/){0,60}",
        total: u64,
    ) {
        let [title, message, branch, client, model] = <[_; 5]>::try_from(texts).unwrap();
        let subdirectory = directory.trim_end_matches('/').to_owned();
        let full = Summary { title, message, branch, client, model, project, subdirectory, total, ..summary() };
        let sealed = seal(&full);
        prop_assert!(SIZES.contains(&sealed.as_bytes().len()));
        let opened = open(&uuid(), &sealed).unwrap();
        prop_assert_eq!(opened.total, total);
        prop_assert!(full.subdirectory.starts_with(&opened.subdirectory));
    }
}
