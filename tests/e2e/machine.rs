//! The machine has no room, no right to write, no descriptors and no processes left: it is told, nothing that
//! was acknowledged is lost, and when the cause ends everything is saved by itself.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use convosync_tests::large::{self, Shape};
use convosync_tests::synthetic::Conversation;
use convosync_tests::world::Way;
use convosync_tests::{Device, Run, World, Writer, eventually, files, home, program, skip, work};

use crate::SAVED_WITHIN;

/// `status` names what is wrong within this time.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// A failed save is tried again every ten seconds, on a busy machine.
const RECOVERS_WITHIN: Duration = Duration::from_secs(120);

const MIB: u64 = 1 << 20;

/// Mounts a small file system over the folder and becomes the command after it.
const SMALL_DISK: &str =
    r#"mount -t tmpfs -o size="$1",mode=0700 none "$2" || exit 125; shift 2; exec "$@""#;

/// Starts the daemon with a disk of its own in this place; `None` where that cannot be.
fn start_on_a_disk(ada: &mut Device, place: &Path, size: &str) -> Option<()> {
    skip::unless_on_path("nsenter")?;
    let Some(flags) = home::unshare_flags() else {
        skip::report("`unshare -m` is not allowed here");
        return None;
    };
    files::make_dir(place);
    let place = text(place);
    ada.home
        .start_daemon_with(&["unshare", flags, "--", "sh", "-c", SMALL_DISK, "sh", size, place]);
    ada.start();
    ada.init();
    Some(())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the tests' paths are text")
}

/// Starts a device whose state lies on a disk of its own, with one session saved; `None` where that cannot be.
fn on_a_small_disk(world: &mut World, size: &str) -> Option<Writer> {
    let ada = &mut world.devices[0];
    let state = state(ada);
    start_on_a_disk(ada, &state, size)?;
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    Some(writer)
}

fn state(device: &Device) -> PathBuf {
    device.home.convosync_dir().join("state")
}

/// Runs a command as root of the daemon's file systems, where only the daemon sees them.
fn inside(device: &Device, words: &[&str]) {
    try_inside(device, words).ok();
}

fn try_inside(device: &Device, words: &[&str]) -> Run {
    let pid = device.pid().expect("it runs").to_string();
    let mut command = program::command("nsenter");
    command.args(["--target", &pid, "--mount"]);
    if home::unshare_flags() == Some("-rm") {
        command.args(["--user", "--preserve-credentials"]);
    }
    program::run(command.args(words), b"", program::DEADLINE)
}

/// Waits until `status` tells a problem with these words, and returns its hint.
fn told_eventually(device: &Device, words: &str) -> String {
    eventually(&format!("`status` tells `{words}`"), TOLD_WITHIN, || problem_with(device, words))
}

/// The hint of a problem with these words, if `status` tells one.
fn problem_with(device: &Device, words: &str) -> Option<String> {
    let status = device.ctl_json(&["status"]);
    let projects = status["projects"].as_array().cloned().unwrap_or_default();
    let problems = status["problems"].as_array().cloned().unwrap_or_default();
    let all = projects.into_iter().map(|project| project["problem"].clone()).chain(problems);
    let told = all.into_iter().find(|problem| {
        problem["message"].as_str().is_some_and(|message| message.contains(words))
    })?;
    Some(told["hint"].as_str().unwrap_or_default().to_owned())
}

/// The store as the daemon sees it is whole.
fn assert_store_is_whole(device: &Device) {
    const CHECK: &str = r#"for own in "$1"/stores/*/own.git; do git -c safe.directory='*' --git-dir="$own" fsck --strict || exit; done"#;
    let state = state(device);
    inside(device, &["sh", "-c", CHECK, "sh", state.to_str().expect("the tests' paths are text")]);
}

#[test]
fn a_full_disk_is_told_and_everything_is_saved_when_there_is_room() {
    let mut world = World::new(&["ada"], Way::File);
    let Some(small) = on_a_small_disk(&mut world, "3m") else { return };
    let ada = &world.devices[0];
    let shape = Shape { bytes: 24 * MIB, line: 64 << 10 };
    let (id, path) = large::write(&ada.home.transcripts(), ada.home.project(), 7, shape);

    let hint = told_eventually(ada, "No space left on device");
    assert!(hint.contains("free some disk space"), "{hint}");
    let kept = ada.session(small.session()).expect("it was acknowledged");
    assert_eq!(kept["total_bytes"], small.total_bytes());
    assert_store_is_whole(ada);

    let disk = state(ada);
    let disk = disk.to_str().expect("the tests' paths are text");
    inside(ada, &["mount", "-o", "remount,size=64m", disk]);
    let length = path.metadata().expect("it was written").len();
    ada.saved_eventually(&id, length, RECOVERS_WITHIN);
    assert_store_is_whole(ada);
    assert_eq!(ada.ctl_json(&["status"])["problems"].as_array().map(Vec::len), Some(0));
}

#[test]
fn code_there_is_no_room_for_is_told_and_saved_when_there_is_and_the_conversation_goes_on() {
    let mut world = World::new(&["ada"], Way::File);
    world.devices[0].home.write_config("[watch]\ncode_check_every = \"1s\"\n");
    let Some(mut writer) = on_a_small_disk(&mut world, "8m") else { return };
    let ada = &world.devices[0];
    work::write(ada, "small.txt", "captured\n");
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    let before = code_logs(ada);
    assert!(before.contains(writer.session()), "{before}");
    // It is there as a whole: nobody captures a part of it that fits.
    let (aside, place) = (ada.home.root().join("raw"), ada.home.project().join("large.raw"));
    large::write_noise(&aside, 1, 8 * MIB);
    std::fs::rename(aside, place).expect("both are on one disk");

    writer.turn();
    let withheld = eventually("it is told", TOLD_WITHIN, || {
        let withheld = why_withheld(ada);
        withheld["message"].is_string().then_some(withheld)
    });
    assert!(withheld["message"].to_string().contains("No space left on device"), "{withheld}");
    assert!(withheld["hint"].to_string().contains("free some disk space"), "{withheld}");
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    assert_eq!(code_logs(ada), before, "the log is as it was, and nothing lies beside it");

    inside(ada, &["mount", "-o", "remount,size=64m", text(&state(ada))]);
    eventually("the code is saved", RECOVERS_WITHIN, || why_withheld(ada).is_null().then_some(()));
    assert_ne!(code_logs(ada), before);
    assert_store_is_whole(ada);
}

/// Why the project's code is not saved.
fn why_withheld(device: &Device) -> serde_json::Value {
    device.ctl_json(&["status"])["projects"][0]["code"]["withheld"].clone()
}

/// The code logs as the daemon sees them, with their sizes and all that lies beside them.
fn code_logs(device: &Device) -> String {
    const LIST: &str = r#"cd "$1/code" && stat -c '%n %s' $(ls -A)"#;
    let state = state(device);
    try_inside(device, &["sh", "-c", LIST, "sh", text(&state)]).ok().text()
}

#[test]
fn a_state_folder_that_became_read_only_is_told_and_saved_to_when_it_can_be_written() {
    let mut world = World::new(&["ada"], Way::File);
    let Some(mut writer) = on_a_small_disk(&mut world, "32m") else { return };
    let ada = &world.devices[0];
    let saved = writer.total_bytes();
    let stores = state(ada).join("stores");
    let stores = stores.to_str().expect("the tests' paths are text");
    // Files are open for writing elsewhere on this disk, so that only a part of it can become read-only.
    inside(ada, &["mount", "--bind", stores, stores]);
    inside(ada, &["mount", "-o", "remount,bind,ro", stores]);
    writer.turn();

    let hint = told_eventually(ada, "Read-only file system");
    assert!(hint.contains("mount it writable"), "{hint}");
    assert_eq!(ada.session(writer.session()).expect("it was acknowledged")["total_bytes"], saved);

    inside(ada, &["umount", "--lazy", stores]);
    ada.saved_eventually(writer.session(), writer.total_bytes(), RECOVERS_WITHIN);
    assert_store_is_whole(ada);
}

#[test]
fn a_root_that_is_unmounted_and_mounted_again_deletes_nothing_and_sends_nothing_again() {
    const MOUNT: &str = r#"mkdir "$2" && mount -t tmpfs -o mode=0700 none "$2" && cp -a "$3/." "$2" && mount --move "$2" "$1""#;
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.home.write_config("[watch]\nrescan_every = \"1s\"\n");
    let root = ada.home.claude_dir();
    if start_on_a_disk(ada, &root, "16m").is_none() {
        return;
    }
    let there =
        format!("/proc/{}/root{}", ada.pid().expect("it runs"), text(&ada.home.transcripts()));
    let talk = Conversation::new(1, ada.home.project());
    let mut writer = Writer::new(Path::new(&there), talk);
    (0..3).for_each(|_| writer.turn());
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    let (saved, refs) = (ada.session(writer.session()), world.remote.refs());
    let (copy, side) = (ada.home.root().join("copy"), ada.home.root().join("side"));
    inside(ada, &["cp", "-a", text(&root), text(&copy)]);

    eventually("nobody keeps it from being unmounted", TOLD_WITHIN, || {
        try_inside(ada, &["umount", text(&root)]).status.success().then_some(())
    });
    ada.ctl(&["sync", "--json"]).ok();
    assert_eq!(ada.session(writer.session()), saved);
    inside(ada, &["sh", "-c", MOUNT, "sh", text(&root), text(&side), text(&copy)]);
    ada.ctl(&["sync", "--json"]).ok();
    assert_eq!((ada.session(writer.session()), world.remote.refs()), (saved, refs));

    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), RECOVERS_WITHIN);
}

/// Lets the daemon have so many descriptors more than it has now; all it may have when absent.
fn limit_descriptors(device: &Device, more: Option<usize>) {
    let pid = device.pid().expect("it runs");
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it is ours").count();
    let soft = more.map_or_else(|| "1024".to_owned(), |more| (open + more).to_string());
    let mut command = program::command("prlimit");
    command.args(["--pid", &pid.to_string(), &format!("--nofile={soft}:")]);
    program::run(&mut command, b"", program::DEADLINE).ok();
}

#[test]
fn a_daemon_without_descriptors_stays_and_saves_when_it_has_some() {
    if skip::unless_on_path("prlimit").is_none() {
        return;
    }
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    // What happens to be open while they are counted is closed later, and would be enough for a save.
    eventually("`status` tells that there are too few", TOLD_WITHIN, || {
        limit_descriptors(ada, Some(4));
        let known = ada.session(writer.session()).expect("it was acknowledged");
        if known["total_bytes"] == writer.total_bytes() {
            writer.turn();
        }
        problem_with(ada, "Too many open files").map(drop)
    });
    limit_descriptors(ada, None);

    ada.saved_eventually(writer.session(), writer.total_bytes(), RECOVERS_WITHIN);
}

#[test]
fn a_machine_that_starts_no_process_keeps_saves_here_and_sends_them_later() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    let git = ada.home.root().join("git");
    files::write_program(&git, "#!/bin/sh\nexec git \"$@\"\n");
    ada.home.write_config(&format!("[git]\nprogram = \"{}\"\n", git.display()));
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    let allow = |mode| {
        std::fs::set_permissions(&git, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    allow(0o600);
    writer.turn();
    told_eventually(ada, "Permission denied");
    let here = ada.session(writer.session()).expect("it is saved here");
    assert_eq!(
        (&here["total_bytes"], &here["on_remote"]),
        (&writer.total_bytes().into(), &false.into())
    );
    allow(0o700);

    ada.saved_eventually(writer.session(), writer.total_bytes(), RECOVERS_WITHIN);
}

/// What Android leaves to all programs of an app, Termux among them.
const PROCESSES_ON_A_PHONE: &str = "32";

/// Gives everything in a world to a user of its own, who may have 32 processes and threads; `None` where that
/// cannot be.
fn as_a_user_of_its_own(world: &mut World) -> Option<String> {
    const FIRST: u32 = 100_000;
    skip::unless_on_path("setpriv")?;
    skip::unless_on_path("prlimit")?;
    let user = (FIRST + std::process::id()).to_string();
    let become_user = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"];
    let mut probe = program::command(become_user[0]);
    probe.args(&become_user[1..]).arg("test").arg("-x").arg(program::binary("convosyncd"));
    if !program::run(&mut probe, b"", program::DEADLINE).status.success() {
        skip::report("another user cannot be become, or cannot start the daemon, here");
        return None;
    }
    give_to(&user, world.dir());
    let home = &mut world.devices[0].home;
    home.start_all_with(&become_user);
    home.start_daemon_with(&["prlimit", &format!("--nproc={PROCESSES_ON_A_PHONE}")]);
    Some(user)
}

fn give_to(user: &str, path: &Path) {
    let mut chown = program::command("chown");
    chown.args(["-R", &format!("{user}:{user}")]).arg(path);
    program::run(&mut chown, b"", program::DEADLINE).ok();
}

#[test]
fn among_32_processes_everything_is_saved_and_with_fewer_it_is_told_and_saved_later() {
    let mut world = World::new(&["ada"], Way::File);
    let Some(user) = as_a_user_of_its_own(&mut world) else { return };
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let mut writer = ada.writer(1);
    let mut turn = || {
        writer.turn();
        give_to(&user, &ada.home.claude_dir());
        (writer.session().to_owned(), writer.total_bytes())
    };
    let (id, total) = turn();
    ada.saved_eventually(&id, total, SAVED_WITHIN);

    limit_processes(ada, "1");
    let (_, total) = turn();
    told_eventually(ada, "Resource temporarily unavailable");
    limit_processes(ada, PROCESSES_ON_A_PHONE);

    ada.saved_eventually(&id, total, RECOVERS_WITHIN);
}

fn limit_processes(device: &Device, number: &str) {
    let pid = device.pid().expect("it runs").to_string();
    let mut command = device.home.command("prlimit");
    command.args(["--pid", &pid, &format!("--nproc={number}:{PROCESSES_ON_A_PHONE}")]);
    program::run(&mut command, b"", program::DEADLINE).ok();
}
