//! What a save goes on from, and what is remembered of others: one history for each mistake that was made.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use convosync_core::id::{LogId, Role, SeededRandom};
use convosync_tests::{files, program};

use crate::bench::{Bench, bench};
use crate::carry;
use crate::device::{Device, session, write_in_place};

#[test]
fn a_transcript_without_a_complete_line_is_saved() {
    let mut bench = bench(1);
    bench.write(0, b"torn");
    assert_eq!(bench.save(0), Some(1));
    bench.write(0, b"torn no more\n");
    assert_eq!((bench.save(0), bench.saved(0)), (Some(2), b"torn no more\n".to_vec()));
    bench.write(0, b"");
    assert_eq!((bench.save(0), bench.saved(0)), (Some(3), b"".to_vec()));
}

#[test]
fn a_transcript_that_was_resumed_and_then_cut_goes_on_from_what_was_resumed() {
    let mut bench = bench(2);
    bench.write(0, b"one\n");
    bench.save(0);
    bench.write(0, b"one\ntwo\n");
    bench.save(0);
    bench.resume(0, 1);
    bench.devices[1].restart();
    bench.write(1, b"one\n");
    assert_eq!((bench.save(1), bench.saved(1)), (Some(3), b"one\n".to_vec()));
}

#[test]
fn what_a_transcript_never_held_is_not_gone_on_from() {
    let mut bench = bench(2);
    bench.write(0, b"one\ntwo\n");
    bench.save(0);
    bench.write(1, b"one\n");
    // As `show` does, which looks and resumes nothing.
    bench.fetch(0, 1);
    assert_eq!(bench.save(1), Some(1));
    let newest = bench.devices[1].desk.newest().pop().unwrap();
    assert_eq!(newest.summary.save, 1);
    assert!(
        !bench.devices[1]
            .desk
            .store
            .descends_from(bench.summary(1).commit, bench.summary(0).commit)
            .unwrap()
    );
}

#[test]
fn after_an_earlier_save_was_brought_back_no_number_is_given_twice() {
    let mut bench = bench(2);
    for bytes in [&b"one\n"[..], b"one\ntwo\n", b"one\ntwo\nthree\n"] {
        bench.write(0, bytes);
        bench.save(0);
    }
    bench.resume_at(0, 1, 1);
    bench.write(1, b"one\nanother\n");
    assert_eq!((bench.save(1), bench.saved(1)), (Some(4), b"one\nanother\n".to_vec()));
    let device = &bench.devices[1];
    let now = device.desk.own_history(&session()).unwrap().unwrap();
    let third = device.desk.reader().earlier(&now, 3).unwrap();
    assert_eq!(device.opened(&third)[&LogId::main()], b"one\ntwo\nthree\n");
}

/// It was saved as the newest state, though nobody had said anything, and hid what came later.
#[test]
fn an_earlier_save_that_was_brought_back_is_saved_only_once_somebody_goes_on() {
    let mut bench = bench(2);
    for bytes in [&b"one\n"[..], b"one\ntwo\n"] {
        bench.write(0, bytes);
        bench.save(0);
    }
    bench.resume_at(0, 1, 1);
    assert_eq!(bench.save(1), None);
    bench.devices[1].restart();
    assert_eq!(bench.save(1), None);
    assert_eq!(bench.devices[1].desk.newest().pop().unwrap().summary.save, 2);

    bench.write(1, b"one\nanother\n");
    assert_eq!((bench.save(1), bench.saved(1)), (Some(3), b"one\nanother\n".to_vec()));
    bench.write(1, b"one\n");
    assert_eq!(bench.save(1), Some(4), "what is cut by hand is saved as it is");
}

/// It was saved as the newest state where the device had written it itself: Claude Code had cleaned the transcript
/// away, and what was brought back was taken for one that somebody had cut.
#[test]
fn an_own_earlier_save_that_was_brought_back_is_saved_only_once_somebody_goes_on() {
    let mut bench = bench(1);
    for bytes in [&b"one\n"[..], b"one\ntwo\n"] {
        bench.write(0, bytes);
        bench.save(0);
    }
    let path = bench.devices[0].path(&LogId::main());
    files::remove_file(&path);
    bench.bring_own(0, 1);
    assert_eq!(bench.main(0), b"one\n");
    assert_eq!(bench.save(0), None);
    bench.devices[0].restart();
    assert_eq!(bench.save(0), None);
    assert_eq!((bench.summary(0).save, bench.saved(0)), (2, b"one\ntwo\n".to_vec()));

    // The newest comes back, too, and nothing is new.
    bench.bring_own(0, 2);
    assert_eq!((bench.save(0), bench.main(0)), (None, b"one\ntwo\n".to_vec()));

    files::remove_file(&path);
    bench.bring_own(0, 1);
    bench.write(0, b"one\nanother\n");
    assert_eq!((bench.save(0), bench.saved(0)), (Some(3), b"one\nanother\n".to_vec()));
    bench.write(0, b"one\n");
    assert_eq!(bench.save(0), Some(4), "what is cut by hand is saved as it is");
}

#[test]
fn a_save_whose_ref_moved_unnoticed_is_gone_on_from() {
    let mut bench = bench(1);
    bench.write(0, b"one\n");
    bench.save(0);
    let mut twin = Device::new(&bench.devices[0].dir, bench.devices[0].vault.clone());
    bench.write(0, b"one\ntwo\n");
    twin.save(&mut SeededRandom::new(9)).unwrap();
    bench.write(0, b"one\ntwo\nthree\n");
    assert!(bench.devices[0].save(&mut SeededRandom::new(8)).is_err());
    assert_eq!((bench.save(0), bench.saved(0)), (Some(3), b"one\ntwo\nthree\n".to_vec()));
}

#[test]
fn a_torn_line_alone_makes_one_save_and_no_more() {
    let mut bench = bench(2);
    bench.write(0, b"one\nto");
    assert_eq!((bench.save(0), bench.save(0)), (Some(1), None));
    bench.devices[0].restart();
    assert_eq!(bench.save(0), None);
    bench.resume(0, 1);
    assert_eq!((bench.main(1), bench.save(1)), (b"one\n".to_vec(), None));
    // The same torn bytes after another line are bound to another chunk.
    bench.write(0, b"one\nto\nto");
    assert_eq!(bench.save(0), Some(2));
    let device = &bench.devices[0];
    let history = device.desk.own_history(&session()).unwrap().unwrap();
    let log = device.vault.keys.log_name(&session(), &LogId::main());
    assert_eq!(device.desk.reader().tail(&history, log).unwrap(), Some(b"to".to_vec()));
}

#[test]
fn a_change_among_the_bytes_a_chunk_is_packed_with_can_be_opened_again() {
    let mut bench = bench(1);
    let mut bytes: Vec<u8> =
        (0..6000).flat_map(|line| format!("line {line:>40}\n").into_bytes()).collect();
    bench.write(0, &bytes);
    bench.save(0);
    bytes[10] = b'X';
    write_in_place(&bench.devices[0].path(&LogId::main()), &bytes);
    bytes.extend_from_slice(b"next\n");
    bench.write(0, &bytes);
    bench.save(0);
    assert!(bench.saved(0) == bytes);
}

#[test]
fn a_change_far_before_the_end_is_found_at_the_next_full_save() {
    let mut bench = bench(1);
    let mut bytes = vec![b'a'; 2 << 20];
    bytes.push(b'\n');
    bench.write(0, &bytes);
    bench.save(0);
    bytes[10] = b'X';
    write_in_place(&bench.devices[0].path(&LogId::main()), &bytes);
    for _ in 2..=64 {
        bytes.extend_from_slice(b"next\n");
        bench.write(0, &bytes);
        bench.save(0);
    }
    bytes.extend_from_slice(b"last\n");
    bench.write(0, &bytes);
    assert_eq!(bench.save(0), Some(65));
    assert!(bench.saved(0) == bytes);
}

#[test]
fn the_fourth_snapshot_lets_the_first_leave() {
    let mut bench = bench(1);
    let mut bytes = Vec::new();
    let mut saves = Vec::new();
    for messages in [1100, 4500, 18_500, 75_000] {
        while bytes.iter().filter(|byte| **byte == b'\n').count() < messages {
            for _ in 0..100 {
                bytes.extend_from_slice(
                    b"{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"x\"}}\n",
                );
            }
        }
        // A save that sees the messages, and one that makes the snapshot which is due then.
        bench.write(0, &bytes);
        saves.push((bench.save(0).unwrap(), bytes.len()));
        bytes.extend_from_slice(b"{}\n");
        bench.write(0, &bytes);
        saves.push((bench.save(0).unwrap(), bytes.len()));
        bench.devices[0].restart();
    }
    assert!(bench.saved(0) == bytes);
    let device = &bench.devices[0];
    let history = device.desk.own_history(&session()).unwrap().unwrap();
    let log = device.vault.keys.log_name(&session(), &LogId::main());
    assert_eq!(history.logs[&log].earlier.len(), 2);
    let opens = |number: u32| {
        let earlier = device.desk.reader().earlier(&history, number).unwrap();
        device.desk.reader().open_log(&earlier, log, &mut |_| Ok(())).is_ok()
    };
    let open: Vec<bool> = saves.iter().map(|(number, _)| opens(*number)).collect();
    assert!(!open[0] && open[saves.len() - 4..].iter().all(|open| *open), "{open:?}");
}

#[test]
fn a_session_of_too_many_files_is_saved_with_those_that_fit() {
    let mut bench = bench(1);
    bench.write(0, b"one\n");
    let long = ["d".repeat(200), "e".repeat(200), "f".repeat(200), "g".repeat(200)].join("/");
    for index in 0..1200 {
        let path = format!("tool-results/{long}/{index}.txt");
        let log = LogId { role: Role::Inside, path };
        files::write(&bench.devices[0].make_room(&log), b"x");
    }
    assert_eq!(bench.save(0), Some(1));
    assert!(bench.summary(0).logs > 500, "{}", bench.summary(0).logs);
    assert_eq!(bench.saved(0), b"one\n");
    assert_eq!(bench.save(0), None);
}

#[test]
fn a_history_that_was_left_stays_within_reach() {
    let mut bench = bench(2);
    bench.write(0, b"one\n");
    bench.save(0);
    bench.write(1, b"other\n");
    bench.save(1);
    let left = bench.summary(1).commit;
    fs::rename(
        bench.devices[1].path(&LogId::main()),
        PathBuf::from(&bench.devices[1].dir).join("aside"),
    )
    .unwrap();
    bench.resume(0, 1);
    bench.write(1, b"one\ntwo\n");
    assert_eq!(bench.save(1), Some(2));
    assert!(bench.devices[1].desk.store.descends_from(bench.summary(1).commit, left).unwrap());
    bench.resume(1, 0);
    assert_eq!(bench.main(0), b"one\ntwo\n");
}

#[test]
fn a_device_knows_its_older_tips_across_a_squash() {
    let mut bench = bench(2);
    let mut bytes = Vec::new();
    let mut tips = Vec::new();
    for index in 0..203 {
        bytes.extend_from_slice(format!("{index}\n").as_bytes());
        bench.write(0, &bytes);
        bench.save(0);
        tips.push(bench.tip(0));
    }
    let desk = &bench.devices[0].desk;
    assert!(!desk.store.descends_from(tips[202], tips[197]).unwrap());
    assert!(desk.went_on_from(tips[197]) && desk.went_on_from(tips[201]));
    assert!(!desk.went_on_from(tips[202]), "this is where we stand");
    bench.resume(0, 1);
    assert!(bench.main(1) == bytes);
}

#[test]
fn an_older_tip_is_refused_also_after_a_restart() {
    let mut bench = bench(2);
    bench.write(0, b"one\n");
    bench.save(0);
    let old = bench.tip(0);
    bench.write(0, b"one\ntwo\n");
    bench.save(0);
    assert!(bench.list(0, 1));
    bench.devices[1].restart();
    assert!(!bench.shows(0, old, 1));
    assert!(bench.doubt(0, 1).contains("went back"), "{}", bench.doubt(0, 1));
    // The ref now lies there as it was put back: what was believed is still what counts.
    bench.devices[1].restart();
    assert_eq!(bench.devices[1].desk.newest().pop().unwrap().summary.save, 2);

    // Without any listing left, our own head remembers, over any number of saves.
    bench.write(1, b"mine\n");
    bench.save(1);
    files::remove_tree(&bench.devices[1].desk.store.seen_dir());
    bench.devices[1].restart();
    bench.write(1, b"mine\nmore\n");
    bench.save(1);
    assert!(!bench.shows(0, old, 1));
    assert!(bench.list(0, 1));
}

#[test]
fn an_older_tip_than_another_device_has_seen_is_refused() {
    let mut bench = bench(3);
    bench.write(0, b"one\n");
    bench.save(0);
    let old = bench.tip(0);
    bench.write(0, b"one\ntwo\n");
    bench.save(0);
    bench.resume(0, 1);
    bench.write(1, b"one\ntwo\nthree\n");
    bench.save(1);
    assert!(bench.list(1, 2));
    assert!(!bench.shows(0, old, 2));
    assert!(bench.list(0, 2));
}

#[test]
fn two_heads_for_one_place_are_told_apart() {
    let mut bench = bench(2);
    bench.write(0, b"one\n");
    bench.save(0);
    let copy = bench.devices[0].dir.with_extension("copy");
    carry::copy_tree(&bench.devices[0].dir, &copy);
    let mut twin = Device::new(&copy, bench.devices[0].vault.clone());
    bench.write(0, b"one\ntwo\n");
    bench.save(0);
    assert!(bench.list(0, 1));
    for bytes in [&b"one\nelse\n"[..], b"one\nelse\nmore\n"] {
        files::write(&twin.path(&LogId::main()), bytes);
        twin.save(&mut SeededRandom::new(99)).unwrap();
    }
    assert!(!carry::tip(&twin, &mut bench.devices[1]));
    assert!(bench.doubt(0, 1).contains("another head"), "{}", bench.doubt(0, 1));
}

#[test]
fn a_tip_of_one_remote_is_refused_on_another() {
    let mut bench = bench(2);
    bench.write(0, b"one\n");
    bench.save(0);
    assert!(bench.list(0, 1));
    bench.write(1, b"mine\n");
    bench.save(1);
    let store = |bench: &Bench, who: usize| bench.devices[who].desk.own.store_id().unwrap();
    assert_eq!(store(&bench, 0), store(&bench, 1), "one remote has one id");

    let mut elsewhere =
        Device::new(&bench.devices[0].dir.join("elsewhere"), bench.devices[0].vault.clone());
    files::write(&elsewhere.make_room(&LogId::main()), b"a secret of another project\n");
    for _ in 0..3 {
        elsewhere.save(&mut SeededRandom::new(11)).unwrap();
        files::write(&elsewhere.make_room(&LogId::main()), b"changed\n");
    }
    bench.devices[1].restart();
    assert!(!carry::tip(&elsewhere, &mut bench.devices[1]));
    assert!(bench.doubt(0, 1).contains("another remote"), "{}", bench.doubt(0, 1));
}

#[test]
fn a_tip_that_could_not_be_fetched_is_asked_for_again() {
    let mut bench = bench(2);
    bench.write(0, b"one\n");
    bench.save(0);
    let tips = [(bench.devices[0].desk.own.reference, bench.tip(0))];
    let desk = &mut bench.devices[1].desk;
    let (news, _) = desk.news_among(&tips);
    assert_eq!(news, [tips[0]]);
    assert_eq!(desk.news_among(&tips).0, [tips[0]], "nobody fetched it");
    desk.looked_at(news.first());
    assert!(desk.news_among(&tips).0.is_empty());
}

#[test]
fn an_old_tip_of_our_own_that_was_put_back_takes_nothing_back() {
    let mut bench = bench(2);
    bench.write(0, b"one\n");
    bench.save(0);
    let old = bench.tip(0);
    for bytes in [&b"one\ntwo\n"[..], b"one\ntwo\nthree\n"] {
        bench.write(0, bytes);
        bench.save(0);
        let desk = &mut bench.devices[0].desk;
        desk.rejoin(old, 1, &mut SeededRandom::new(12)).unwrap();
        assert!(bench.list(0, 1), "{}", bench.doubt(0, 1));
        assert_eq!(bench.saved(0), bytes);
    }
    bench.resume(0, 1);
    assert_eq!(bench.main(1), b"one\ntwo\nthree\n");
}

/// The record of the last save was damaged on the disk, and every later save of the session failed with "go
/// on from the last save". The next save now holds everything anew and needs nothing of the damaged one.
#[test]
fn a_damaged_last_save_is_healed_from_the_transcript() {
    let mut bench = bench(2);
    bench.write(0, b"one\n");
    bench.save(0);
    bench.write(0, b"one\ntwo\n");
    assert_eq!(bench.save(0), Some(2));
    let store = bench.devices[0].desk.store.clone();
    let record = format!("{}:saves/00000002", bench.summary(0).commit);
    let mut git = program::command("git");
    git.args(["--git-dir", store.own_dir().to_str().unwrap(), "rev-parse", &record]);
    let id = program::run(&mut git, b"", Duration::from_secs(30)).ok().text().trim().to_owned();
    files::remove_file(&store.own_dir().join("objects").join(&id[..2]).join(&id[2..]));

    bench.devices[0].restart();
    bench.write(0, b"one\ntwo\nthree\n");

    assert_eq!(bench.save(0), Some(3));
    assert_eq!(bench.saved(0), b"one\ntwo\nthree\n");
    bench.write(0, b"one\ntwo\nthree\nfour\n");
    assert_eq!(bench.save(0), Some(4));
    assert_eq!(bench.saved(0), b"one\ntwo\nthree\nfour\n");
}
