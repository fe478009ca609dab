//! Nothing that a person wrote, and no name of theirs, leaves the device readable.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use convosync_tests::world::Way;
use convosync_tests::{Device, Home, Remote, World, eventually, files, program, skip};

use crate::SAVED_WITHIN;

const SENTENCE: &str = "canarysentence";
const BRANCH: &str = "canarybranch";
const FOLDER: &str = "canaryfolder";
const TITLE: &str = "canarytitle";
const USER: &str = "canaryuser";

/// Makes a conversation that holds every canary, in a folder and on a branch that are canaries themselves.
fn talk(device: &Device) -> (String, u64) {
    device.home.git(&["checkout", "--quiet", "-b", BRANCH]).ok();
    let mut writer = device.writer(1);
    writer.say(SENTENCE);
    let title = format!(
        "{{\"type\":\"custom-title\",\"customTitle\":\"{TITLE}\",\"sessionId\":\"{}\"}}\n",
        writer.session()
    );
    files::append(&writer.path(), title.as_bytes());
    writer.turn();
    (writer.session().to_owned(), writer.total_bytes())
}

fn world() -> World {
    // The user's own first commit is by another name, so that every canary found is ours.
    let mut world = World::new(&["ada", "bob"], Way::File);
    let home = Home::create(world.devices[0].home.root(), USER, &format!("{FOLDER}/app"));
    home.git(&["clone", "--quiet", &world.remote.file_url(), "."]).ok();
    world.devices[0] = Device::new(home);
    world
}

/// Returns every object of the repository, inflated, with its refs.
fn everything(remote: &Remote) -> Vec<u8> {
    let objects =
        remote.git(&["cat-file", "--batch-all-objects", "--batch", "--buffer"]).ok().stdout;
    let refs = remote.refs().iter().map(|(name, _)| format!("{name}\n")).collect::<String>();
    [objects, refs.into_bytes()].concat()
}

#[track_caller]
fn assert_absent(place: &str, bytes: &[u8], canaries: &[&str]) {
    const AROUND: usize = 200;
    for canary in canaries {
        let found = bytes.windows(canary.len()).position(|window| window == canary.as_bytes());
        let Some(at) = found else { continue };
        let around = &bytes[at.saturating_sub(AROUND)..bytes.len().min(at + AROUND)];
        panic!("`{canary}` stands in {place}: {}", String::from_utf8_lossy(around));
    }
}

/// Returns this machine's name, unless it is so short that it stands in any bytes by chance.
fn host_name() -> Option<String> {
    const TELLING: usize = 6;
    let name =
        program::run(program::command("uname").arg("-n"), b"", program::DEADLINE).ok().text();
    (name.len() >= TELLING).then_some(name)
}

#[test]
fn no_canary_is_in_a_pushed_object_ref_or_log_line() {
    let mut world = world();
    let before = everything(&world.remote).len();
    let device = &mut world.devices[0];
    device.start();
    device.init();
    let (session, total) = talk(device);
    device.saved_eventually(&session, total, SAVED_WITHIN);

    let log = files::read(&device.log_path());
    let pushed = everything(&world.remote);
    assert!(pushed.len() > before);
    let host = host_name();
    let canaries = [SENTENCE, BRANCH, FOLDER, TITLE, USER, session.as_str()]
        .into_iter()
        .chain(host.as_deref());
    assert_absent("a pushed object or ref", &pushed, &canaries.collect::<Vec<_>>());
    assert_absent("the log", &log, &[SENTENCE, BRANCH, FOLDER, TITLE]);
}

#[test]
fn no_canary_is_in_arguments_or_environment_of_a_child() {
    let Some(strace) = skip::unless_on_path("strace") else { return };
    let mut world = world();
    let device = &mut world.devices[0];
    let trace = device.home.root().join("trace");
    let mut traced = device.home.command(&strace);
    traced
        .args(["-f", "-v", "-s", "65536", "-e", "trace=execve", "-o"])
        .arg(&trace)
        .arg(program::binary("convosyncd"));
    let mut daemon = traced
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is installed");
    eventually("the daemon answers", SAVED_WITHIN, || {
        device.ctl(&["--no-start", "status"]).status.success().then_some(())
    });

    device.init();
    let (session, total) = talk(device);
    device.saved_eventually(&session, total, SAVED_WITHIN);

    // The tracer and the daemon are one group.
    program::kill_group(rustix::process::Pid::from_child(&daemon));
    daemon.wait().expect("a child can be waited for");
    let children = String::from_utf8_lossy(&files::read(&trace)).into_owned();
    let of_the_daemon: String = children.lines().skip(1).collect();
    assert!(of_the_daemon.contains("git"), "the daemon started git");
    // The user's name stands in HOME and USER, without which git finds no settings and ssh no keys.
    let host = host_name();
    let canaries = [SENTENCE, BRANCH, FOLDER, TITLE, session.as_str()].into_iter();
    assert_absent(
        "a child's arguments or environment",
        of_the_daemon.as_bytes(),
        &canaries.chain(host.as_deref()).collect::<Vec<_>>(),
    );
}
