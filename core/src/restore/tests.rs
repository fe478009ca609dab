//! Sessions restored onto a device that has nothing, a part, more, or something else.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use proptest::prelude::*;

use super::*;
use crate::disk;

const NOW: i64 = 1_800_000_000_000;

/// A device's project directory, and a session that was saved elsewhere.
struct World {
    dir: tempfile::TempDir,
    saved: Vec<Saved>,
}

struct Saved {
    log: LogId,
    bytes: Vec<u8>,
    older: Vec<Digest>,
}

fn inside(path: &str) -> LogId {
    LogId { role: Role::Inside, path: path.to_owned() }
}

impl World {
    fn new() -> Self {
        let mut world = Self { dir: tempfile::tempdir().unwrap(), saved: Vec::new() };
        world.save(LogId::main(), b"one\ntwo\nthree\n");
        world.save(inside("subagents/agent-1.jsonl"), b"sub\n");
        world.save(inside("tool-results/deep/er/t.txt"), b"no newline");
        world.save(LogId { role: Role::Beside, path: "agent-1.jsonl".to_owned() }, b"old\n");
        world
    }

    fn save(&mut self, log: LogId, bytes: &[u8]) {
        self.saved.retain(|saved| saved.log != log);
        self.saved.push(Saved { log, bytes: bytes.to_vec(), older: Vec::new() });
    }

    fn target(&self) -> Target {
        Target { slug_dir: self.dir.path().join("projects/-a"), session: "s1".parse().unwrap() }
    }

    fn path(&self, log: &LogId) -> PathBuf {
        self.target().path_of(log)
    }

    fn main(&self) -> PathBuf {
        self.path(&LogId::main())
    }

    /// Puts a file on the device.
    fn put(&self, log: &LogId, bytes: &[u8]) -> PathBuf {
        let path = self.path(log);
        disk::make_dirs(path.parent().unwrap()).unwrap();
        disk::write_atomic(&path, bytes).unwrap();
        path
    }

    fn incoming(&self) -> Vec<Incoming<'_>> {
        let incoming = |saved: &'_ Saved| {
            (saved.log.clone(), saved.bytes.len() as u64, Digest::of(&saved.bytes))
        };
        self.saved
            .iter()
            .map(|saved| {
                let (log, length, content) = incoming(saved);
                Incoming { log, length, content, older: saved.older.clone(), source: &saved.bytes }
            })
            .collect()
    }

    fn plan(&self) -> Result<Plan, Refusal> {
        plan(&examine(&self.target(), &self.incoming()).unwrap(), false)
    }

    fn apply(&self, plan: &Plan) -> Result<Report, RestoreError> {
        apply(&self.target(), plan, &self.incoming(), &|| false, NOW)
    }

    fn restore(&self) -> Report {
        self.apply(&self.plan().unwrap()).unwrap()
    }

    fn assert_restored(&self) {
        for saved in &self.saved {
            assert_eq!(fs::read(self.path(&saved.log)).unwrap(), saved.bytes, "{:?}", saved.log);
        }
        assert!(self.plan().unwrap().is_done());
    }
}

#[test]
fn a_session_that_is_not_here_is_written_whole_and_for_us_only() {
    let world = World::new();
    let report = world.restore();
    world.assert_restored();
    assert_eq!((report.created.len(), report.equal.len(), report.kept.len()), (4, 0, 0));
    assert_eq!(report.created.last(), Some(&LogId::main()));
    assert!(!report.is_live);
    for path in [world.main(), world.path(&inside("tool-results/deep/er/t.txt"))] {
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
fn a_restore_that_is_done_does_nothing_but_make_the_files_young() {
    let world = World::new();
    world.restore();
    let file = fs::File::options().append(true).open(world.main()).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let report = world.restore();
    assert_eq!((report.created.len(), report.equal.len()), (0, 4));
    world.assert_restored();
    assert!(fs::metadata(world.main()).unwrap().mtime() > 1_600_000_000);
}

#[test]
fn a_transcript_that_is_a_beginning_is_extended_wherever_it_ends() {
    let world = World::new();
    let whole = world.saved[0].bytes.clone();
    for length in 0..whole.len() {
        let path = world.put(&LogId::main(), &whole[..length]);
        let inode = fs::metadata(&path).unwrap().ino();
        let report = world.restore();
        assert_eq!(report.extended, [LogId::main()], "{length}");
        world.assert_restored();
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    }
}

/// Checks that a main transcript of this content is refused and left alone.
fn check_refused(ours: &[u8], expected: Refusal) {
    let world = World::new();
    let path = world.put(&LogId::main(), ours);
    assert_eq!(world.plan(), Err(expected), "{:?}", String::from_utf8_lossy(ours));
    assert_eq!(fs::read(path).unwrap(), ours);
}

#[test]
fn a_transcript_that_went_on_here_is_refused_by_cause() {
    check_refused(b"one\ntwo\nthree\nfour\n", Refusal::Ahead { by: 5 });
    check_refused(b"one\ntwo\nthree\nf", Refusal::Ahead { by: 1 });
    check_refused(b"one\nTWO\n", Refusal::Diverged);
    check_refused(b"one\nTWO\nthree\n", Refusal::Diverged);
    check_refused(b"one\nTWO\nthree\nfour\n", Refusal::Diverged);
    check_refused(b"one\ntwX", Refusal::Unfinished);
    check_refused(b"one\ntwo and much, much more", Refusal::Unfinished);
}

#[test]
fn a_live_session_is_refused() {
    let world = World::new();
    let compared = examine(&world.target(), &world.incoming()).unwrap();
    assert_eq!(plan(&compared, true), Err(Refusal::Live));
}

#[test]
fn a_session_that_comes_alive_stops_the_restore_before_its_transcript() {
    let world = World::new();
    let plan = world.plan().unwrap();
    let asked = Cell::new(0);
    let comes_alive = || {
        asked.set(asked.get() + 1);
        asked.get() > 1
    };
    let stopped = apply(&world.target(), &plan, &world.incoming(), &comes_alive, NOW);
    assert!(matches!(stopped, Err(RestoreError::Live)), "{stopped:?}");
    assert!(!world.main().exists());
    world.restore();
    world.assert_restored();
}

#[test]
fn a_session_that_starts_at_the_last_moment_is_told() {
    let world = World::new();
    let plan = world.plan().unwrap();
    let starts_late = || world.main().exists();
    let report = apply(&world.target(), &plan, &world.incoming(), &starts_late, NOW).unwrap();
    assert!(report.is_live);
}

#[test]
fn the_transcript_is_written_last() {
    let world = World::new();
    let plan = world.plan().unwrap();
    let seen = Cell::new(0);
    let count = || {
        let others = world.saved.iter().filter(|saved| world.path(&saved.log).exists());
        seen.set(others.count());
        false
    };
    let mut without_main = plan.clone();
    without_main.steps.pop();
    apply(&world.target(), &without_main, &world.incoming(), &count, NOW).unwrap();
    assert_eq!((seen.get(), world.main().exists()), (3, false));
}

#[test]
fn other_files_that_went_on_here_are_kept_and_told() {
    let mut world = World::new();
    let sub = inside("subagents/agent-1.jsonl");
    world.put(&sub, b"other\n");
    let report = world.restore();
    assert_eq!(report.kept, [(sub.clone(), Refusal::Diverged)]);
    assert_eq!(fs::read(world.path(&sub)).unwrap(), b"other\n");
    world.save(sub, b"other\n");
    world.assert_restored();
}

#[test]
fn a_whole_file_is_replaced_only_when_ours_was_saved_before() {
    let mut world = World::new();
    let result = inside("tool-results/deep/er/t.txt");
    world.put(&result, b"no");
    assert_eq!(world.restore().kept, [(result.clone(), Refusal::Diverged)]);
    let saved = world.saved.iter_mut().find(|saved| saved.log == result).unwrap();
    saved.older = vec![Digest::of(b"x"), Digest::of(b"no")];
    assert_eq!(world.restore().replaced, [result]);
    world.assert_restored();
}

#[test]
fn what_changes_after_the_comparison_is_left_alone() {
    let mut world = World::new();
    world.saved.truncate(1);
    let path = world.put(&LogId::main(), b"one\n");
    let plan = world.plan().unwrap();
    for changed in [&b"one\nmine\n"[..], b"ONE\n", b""] {
        world.put(&LogId::main(), changed);
        let refused = world.apply(&plan).unwrap_err();
        assert!(matches!(refused, RestoreError::Changed(_)), "{refused}");
        assert!(refused.hint().is_some());
        assert_eq!(fs::read(&path).unwrap(), changed);
    }
    disk::remove_file(&path).unwrap();
    assert!(world.apply(&plan).is_err());
    assert!(!path.exists());
}

#[test]
fn a_file_that_appears_after_the_comparison_is_left_alone() {
    let world = World::new();
    let plan = world.plan().unwrap();
    let path = world.put(&LogId::main(), b"mine\n");
    assert!(matches!(world.apply(&plan), Err(RestoreError::Changed(_))));
    assert_eq!(fs::read(path).unwrap(), b"mine\n");
}

#[test]
fn hostile_paths_are_refused_before_anything_is_read_or_written() {
    for path in ["../x", "/etc/x", "a\0b", "a\\b", "a//b", "", ".git/hooks/post-checkout", "a/./b"]
    {
        let mut world = World::new();
        world.save(inside(path), b"x");
        let refused = examine(&world.target(), &world.incoming()).unwrap_err();
        assert!(matches!(refused, RestoreError::Path { .. }), "{path:?}: {refused}");
        assert!(!refused.to_string().contains('\0'));
    }
    let mut world = World::new();
    world.save(LogId { role: Role::Main, path: "x".to_owned() }, b"x");
    world.save(LogId { role: Role::Beside, path: "settings.json".to_owned() }, b"x");
    assert!(matches!(examine(&world.target(), &world.incoming()), Err(RestoreError::Path { .. })));
}

#[test]
fn two_files_for_one_place_and_a_session_without_transcript_are_refused() {
    let mut world = World::new();
    world.saved.push(Saved { log: LogId::main(), bytes: Vec::new(), older: Vec::new() });
    assert!(matches!(examine(&world.target(), &world.incoming()), Err(RestoreError::Twice(_))));
    world.saved.retain(|saved| saved.log != LogId::main());
    assert!(matches!(examine(&world.target(), &world.incoming()), Err(RestoreError::NoTranscript)));
}

#[test]
fn links_are_never_followed() {
    let world = World::new();
    let outside = world.dir.path().join("outside");
    disk::make_dirs(&world.target().slug_dir.join("s1")).unwrap();
    disk::make_dirs(&outside).unwrap();
    disk::write_atomic(&outside.join("file"), b"one\n").unwrap();

    symlink(&outside, world.target().slug_dir.join("s1/subagents")).unwrap();
    symlink(outside.join("file"), world.target().slug_dir.join("agent-1.jsonl")).unwrap();
    let report = world.restore();
    let kept: Vec<_> = report.kept.iter().map(|(_, why)| *why).collect();
    assert_eq!(kept, [Refusal::Blocked, Refusal::Blocked]);

    disk::remove_file(&world.main()).unwrap();
    symlink(outside.join("file"), world.main()).unwrap();
    assert_eq!(world.plan(), Err(Refusal::Blocked));
    disk::remove_file(&world.main()).unwrap();
    symlink(outside.join("new"), world.main()).unwrap();
    assert_eq!(world.plan(), Err(Refusal::Blocked));

    disk::remove_tree(&world.target().slug_dir).unwrap();
    let plan = world.plan().unwrap();
    symlink(&outside, world.target().slug_dir).unwrap();
    assert_eq!(world.plan(), Err(Refusal::Blocked));
    assert!(world.apply(&plan).is_err());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"one\n");
}

#[test]
fn a_link_put_in_the_way_after_the_comparison_is_not_followed() {
    let world = World::new();
    let outside = world.dir.path().join("outside");
    disk::make_dirs(&outside).unwrap();
    let plan = world.plan().unwrap();
    disk::make_dirs(&world.target().slug_dir).unwrap();
    symlink(&outside, world.target().slug_dir.join("s1")).unwrap();
    assert!(matches!(
        world.apply(&plan),
        Err(RestoreError::Disk(disk::DiskError::SymbolicLink(_)))
    ));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn bytes_that_are_not_what_was_announced_reach_no_file() {
    let world = World::new();
    let other: Vec<u8> = b"one\ntwo\nTHREE\n".to_vec();
    let mut files = world.incoming();
    files[0].source = &other;
    assert!(matches!(examine(&world.target(), &files), Err(RestoreError::OtherContent(_))));

    // Even when they were right while they were compared.
    let plan = world.plan().unwrap();
    assert!(matches!(
        apply(&world.target(), &plan, &files, &|| false, NOW),
        Err(RestoreError::OtherContent(_))
    ));
    assert!(!world.main().exists());
    world.put(&LogId::main(), b"one\n");
    let plan = world.plan().unwrap();
    assert!(matches!(
        apply(&world.target(), &plan, &files, &|| false, NOW),
        Err(RestoreError::OtherContent(_))
    ));
    assert_eq!(fs::read(world.main()).unwrap(), b"one\n");
}

#[test]
fn a_saved_transcript_must_end_with_a_newline() {
    let mut world = World::new();
    world.save(LogId::main(), b"one\ntwo");
    assert!(matches!(examine(&world.target(), &world.incoming()), Err(RestoreError::Torn(_))));
}

#[test]
fn what_an_interrupted_restore_left_is_taken_away() {
    let world = World::new();
    let leftover = world.target().slug_dir.join(format!("{}x", disk::TEMP_PREFIX));
    disk::make_dirs(&world.target().slug_dir).unwrap();
    disk::write_atomic(&leftover, b"half").unwrap();
    fs::File::options()
        .append(true)
        .open(&leftover)
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    world.restore();
    assert!(!leftover.exists());
}

#[test]
fn a_long_extension_is_made_of_complete_lines() {
    let mut world = World::new();
    let line = [vec![b'x'; 100_000], b"\n".to_vec()].concat();
    world.save(LogId::main(), &line.repeat(APPEND_MAX / line.len() + 10));
    world.put(&LogId::main(), &line);
    world.restore();
    world.assert_restored();
}

#[test]
fn a_staged_file_is_a_source_too() {
    let world = World::new();
    let staged = world.dir.path().join("staged");
    disk::write_atomic(&staged, &world.saved[0].bytes).unwrap();
    world.put(&LogId::main(), b"one\n");
    let mut files = world.incoming();
    files[0].source = &staged;
    let plan = plan(&examine(&world.target(), &files).unwrap(), false).unwrap();
    apply(&world.target(), &plan, &files, &|| false, NOW).unwrap();
    world.assert_restored();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing that stood in a file here is ever lost, and what a plan promises is what happens.
    #[test]
    fn no_byte_of_ours_is_lost(ours in "[ab\n]{0,6}", theirs in "([ab]{0,2}\n){0,3}") {
        let mut world = World::new();
        world.save(LogId::main(), theirs.as_bytes());
        let path = world.put(&LogId::main(), ours.as_bytes());
        match world.plan() {
            Ok(plan) => {
                world.apply(&plan).unwrap();
                prop_assert!(theirs.starts_with(&ours));
                world.assert_restored();
            }
            Err(refusal) => {
                prop_assert!(!theirs.starts_with(&ours), "{refusal}");
                prop_assert_eq!(fs::read(path).unwrap(), ours.as_bytes());
            }
        }
    }
}
