//! Code of a size nobody expects: whoever captures, restores or records it holds little of it in memory.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use convosync_tests::memory::{Memory, Peaks};
use convosync_tests::world::Way;
use convosync_tests::{Device, World, files, home, large, program, skip, work};

use crate::SAVED_WITHIN;

/// What each of our programs and of their children may take here: 256 MiB are allowed for any input.
const PEAK_KIB_MAX: u64 = 100 << 10;

/// Packs what is pushed, and what a capture takes; on the way back it is the remote's, which maps what it sends.
const HOSTS_OWN: &str = "git pack-objects";

/// Large code is saved and sent within this time, also by an unoptimised build on a busy machine.
const LARGE_WITHIN: Duration = Duration::from_secs(240);

const MIB: u64 = 1 << 20;

/// How many large files there are, each as large as one may be.
const FILES: u64 = 10;

/// Both devices take what is a little more than the usual limit.
const CONFIG: &str = "[code]\ntotal_max = \"128 MiB\"\n";

fn large_files(device: &Device) -> Vec<PathBuf> {
    (0..FILES).map(|number| device.home.project().join(format!("large/{number}.raw"))).collect()
}

fn write_large_files(device: &Device) {
    files::make_dir(&device.home.project().join("large"));
    for (number, path) in (1..).zip(large_files(device)) {
        large::write_noise(&path, number, 10 * MIB);
    }
}

/// Watches everything that this test starts, from now on.
fn watch() -> Memory {
    Memory::watch(std::process::id())
}

#[track_caller]
fn assert_bounded(peaks: &Peaks, programs: &[&str]) {
    let own = std::env::current_exe().expect("Linux tells");
    let own = own.file_name().expect("it is a file").to_string_lossy().into_owned();
    let is_ours =
        |name: &String| *name != own && (name != HOSTS_OWN || programs.contains(&HOSTS_OWN));
    let above: Vec<_> =
        peaks.iter().filter(|(name, peak)| is_ours(name) && **peak > PEAK_KIB_MAX).collect();
    let is_seen = programs.iter().all(|program| peaks.contains_key(*program));
    assert!(above.is_empty() && is_seen, "{above:?} of {peaks:?}");
}

/// Two devices, of which the first saves a conversation once `lay_out` has made code beside it; the second
/// one resumes it. All programs are watched.
fn check_travels(lay_out: fn(&Device)) {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    for device in [&*ada, &*bob] {
        device.home.write_config(CONFIG);
    }
    ada.start();
    let phrase = ada.init();
    lay_out(ada);
    let memory = watch();
    let told = ada.watch();
    let mut writer = ada.writer(1);
    writer.turn();
    told.expect("saved", LARGE_WITHIN);
    told.expect("on-remote", LARGE_WITHIN);
    assert_bounded(&memory.peaks(), &["convosyncd", HOSTS_OWN]);
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    assert_eq!(left_out(ada), 0);

    bob.start();
    bob.join(&phrase);
    let memory = watch();
    let mut resume = bob.home.command(program::binary("convosyncctl"));
    resume.args(["resume", writer.session(), "--json"]);
    let reply = program::run(&mut resume, b"", LARGE_WITHIN).ok().json();
    assert_bounded(&memory.peaks(), &["convosyncd", "convosyncctl"]);
    assert_eq!(reply["code"]["differences"], serde_json::json!([]), "{reply}");
    for (here, there) in large_files(ada).iter().zip(large_files(bob)) {
        assert!(large::is_same(here, &there), "{}", there.display());
    }
}

/// How many paths of the project were not captured.
fn left_out(device: &Device) -> u64 {
    let status = device.ctl_json(&["status"]);
    let code = &status["projects"][0]["code"];
    assert!(code["withheld"].is_null(), "{status}");
    code["paths"].as_array().map_or(0, |paths| paths.len() as u64)
}

#[test]
fn a_hundred_megabytes_of_untracked_files_travel_in_bounded_memory() {
    check_travels(write_large_files);
}

#[test]
fn a_hundred_megabytes_of_commits_that_are_not_pushed_travel_in_bounded_memory() {
    check_travels(|ada| {
        write_large_files(ada);
        ada.home.git(&["add", "."]).ok();
        ada.home.git(&["commit", "-q", "-m", "large, and not pushed"]).ok();
    });
}

/// Writes a file with holes: much to be read, and little on the disk.
fn write_sparse(path: &Path, bytes: u64) {
    files::write(path, "");
    let file = File::options().write(true).open(path).expect("it was just made");
    file.set_len(bytes).expect("there is room for nothing");
    for at in [0, bytes / 2, bytes - 4] {
        file.write_all_at(b"mark", at).expect("there is room");
    }
}

/// Two devices: the first one saves a conversation with a change of the code, and the second one has a file in
/// the way of nothing that is much too large to be thought of.
fn with_a_large_file_in_the_way() -> (World, String, PathBuf) {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    work::write(ada, "README.md", "ada's\n");
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    bob.start();
    bob.join(&phrase);
    let video = bob.home.project().join("video.raw");
    write_sparse(&video, 300 * MIB);
    (world, writer.session().to_owned(), video)
}

#[test]
fn an_untracked_file_of_hundreds_of_megabytes_is_recorded_in_bounded_memory_and_comes_back() {
    let (mut world, session, video) = with_a_large_file_in_the_way();
    let (_, bob) = world.pair();
    let copy = bob.home.root().join("video.raw");
    write_sparse(&copy, 300 * MIB);

    let memory = watch();
    bob.ctl_json(&["resume", "--force", &session]);
    assert_bounded(&memory.peaks(), &["convosyncctl"]);
    assert!(!video.exists());

    let memory = watch();
    bob.ctl_json(&["undo"]);
    assert_bounded(&memory.peaks(), &["convosyncctl"]);
    assert!(large::is_same(&video, &copy));
}

/// Mounts a small file system over the folder, for the command after it.
const SMALL_DISK: &str =
    r#"mount -t tmpfs -o size=72m,mode=0700 none "$1" || exit 125; shift; exec "$@""#;

#[test]
fn what_is_too_large_to_be_recorded_is_refused_with_the_way_out_before_the_disk_is_full() {
    let (mut world, session, video) = with_a_large_file_in_the_way();
    let (_, bob) = world.pair();
    let Some(_) = home::unshare_flags() else {
        skip::report("`unshare -m` is not allowed here");
        return;
    };
    let records = bob.home.convosync_dir().join("state/undo");
    files::make_dir(&records);
    let mut resume = bob.home.command("sh");
    resume.args(["-c", SMALL_DISK, "sh"]).arg(&records);
    resume.arg(program::binary("convosyncctl"));
    resume.args(["resume", "--force", "--json", &session]);

    let run = program::run(&mut resume, b"", program::DEADLINE);

    assert_eq!(run.status.code(), Some(4), "{run}");
    for part in ["video.raw", "314572", "state/undo", "free some disk space", "--worktree"] {
        assert!(run.errors().contains(part), "{part}: {run}");
    }
    assert_eq!(video.metadata().expect("it is there").len(), 300 * MIB);
    assert_ne!(files::read(&bob.home.project().join("README.md")), b"ada's\n");
}
