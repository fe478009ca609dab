//! Nothing that a person wrote, and no name of theirs, leaves the device readable.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use convosync_core::transcript;
use convosync_tests::work::write;
use convosync_tests::world::Way;
use convosync_tests::{Device, Home, World, eventually, files, program, skip};

use crate::SAVED_WITHIN;

const SENTENCE: &str = "canarysentence";
const BRANCH: &str = "canarybranch";
const FOLDER: &str = "canaryfolder";
const TITLE: &str = "canarytitle";
const USER: &str = "canaryuser";
/// What was typed into the shell.
const TYPED: &str = "canarytyped";

/// Names and contents of work that is saved: of commits, files and folders.
const WORK: [&str; 9] = [
    "canarycommit",
    "canarycommitted",
    "canarytextcommitted",
    "canarystaged",
    "canarytextstaged",
    "canarytextchanged",
    "canarynewfolder",
    "canaryuntracked",
    "canarytextuntracked",
];
/// What secrets by name hold, beside the work.
const SECRETS: [&str; 2] = ["canarytextenv", "canarytextkey"];
/// What is the clone's own: a stash, what it says, an ignored file.
const OWN: [&str; 4] = ["canarystash", "canarytextstash", "canaryignored", "canarytextignored"];

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

/// Types a line into the shell when the conversation ended.
fn types(device: &Device, session: &str) {
    let transcript = device.home.transcripts().join(format!("{session}.jsonl"));
    let ended_ms = transcript::ended_ms(&transcript).expect("it has lines with times");
    let history = format!("#{}\n{TYPED}\n", ended_ms / 1_000);
    files::write(&device.home.dir().join(".bash_history"), history);
}

/// Leaves work around the conversation in which everything is a canary.
fn work(device: &Device) {
    let git = |arguments: &[&str]| device.home.git(arguments).ok();
    write(device, "README.md", "canarytextstash\n");
    git(&["stash", "push", "--quiet", "--message", "canarystash"]);
    write(device, "canarycommitted", "canarytextcommitted\n");
    git(&["add", "canarycommitted"]);
    git(&["commit", "--quiet", "--message", "canarycommit"]);
    write(device, "canarystaged", "canarytextstaged\n");
    git(&["add", "canarystaged"]);
    write(device, "server.key", "canarytextkey\n");
    git(&["add", "server.key"]);
    write(device, "README.md", "canarytextchanged\n");
    write(device, "canarynewfolder/canaryuntracked", "canarytextuntracked\n");
    write(device, ".env", "canarytextenv\n");
    write(device, ".git/info/exclude", "canaryignored\n");
    write(device, "canaryignored", "canarytextignored\n");
}

fn world(way: Way) -> World {
    // The user's own first commit is by another name, so that every canary found is ours.
    let mut world = World::new(&["ada", "bob"], way);
    let mut home = Home::create(world.devices[0].home.root(), USER, &format!("{FOLDER}/app"));
    world.host.admit(&mut home, &world.remote);
    home.git(&["clone", "--quiet", &world.host.url(&world.remote), "."]).ok();
    world.devices[0] = Device::new(home);
    world
}

/// Returns every object of the repository at `dir`, inflated, with its refs.
#[track_caller]
fn everything(dir: &Path) -> Vec<u8> {
    let git = |arguments: &[&str]| {
        let mut git = program::command("git");
        git.args(["-c", "safe.directory=*"]).args(arguments).current_dir(dir);
        let git = git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        program::run(git, b"", program::DEADLINE).ok().stdout
    };
    let objects = git(&["cat-file", "--batch-all-objects", "--batch", "--buffer"]);
    [objects, git(&["for-each-ref"])].concat()
}

/// Returns the daemon's folder, byte for byte, and the objects of its stores, inflated.
fn kept(device: &Device) -> (Vec<u8>, Vec<u8>) {
    let dir = device.home.convosync_dir();
    let found = files::under(&dir);
    // Not its socket; and what is written anew just now is there under another name.
    let raw = found.iter().filter(|file| file.is_file());
    let raw = raw.flat_map(|file| std::fs::read(file).unwrap_or_default()).collect();
    let heads = found.iter().filter(|file| file.ends_with("HEAD"));
    let stores = heads.filter_map(|head| head.parent()).filter(|dir| dir.join("objects").is_dir());
    let stores: Vec<u8> = stores.flat_map(everything).collect();
    assert!(!stores.is_empty(), "no store below {}", dir.display());
    (raw, stores)
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

#[track_caller]
fn assert_present(place: &str, bytes: &[u8], canaries: &[&str]) {
    for canary in canaries {
        let is_there = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(is_there, "`{canary}` does not stand in {place}");
    }
}

#[track_caller]
fn check_nothing_leaves_readable(way: Way) {
    if let Some(program) = way.missing() {
        return skip::report(&format!("`{program}` is not installed"));
    }
    let mut world = world(way);
    let before = everything(world.remote.dir()).len();
    let (device, bob) = world.pair();
    device.home.export("SHELL", "/bin/bash");
    device.home.write_config("[context]\nshell_history = true\n");
    device.start();
    let phrase = device.init();
    let (session, total) = talk(device);
    work(device);
    types(device, &session);
    let saved = device.saved_eventually(&session, total, SAVED_WITHIN);
    write(device, "canarynewfolder/canaryuntracked", "canarytextuntracked\nand more\n");
    let said = device.ctl_json(&["save", "--stash", "canarysaid"]);
    assert_eq!(said["shell_lines"], 1, "{said}");
    let is_later = |now: &serde_json::Value| now["save"].as_u64() > saved["save"].as_u64();
    eventually("the next save is on the remote", SAVED_WITHIN, || {
        let now = device.session(&session)?;
        (is_later(&now) && now["on_remote"] == true).then_some(())
    });

    let host = host_name();
    let words = [SENTENCE, BRANCH, FOLDER, TITLE, USER, TYPED, "canarysaid", session.as_str()];
    let canaries = words.into_iter().chain(WORK).chain(SECRETS).chain(OWN);
    let all: Vec<&str> = canaries.chain(host.as_deref()).collect();
    let unsaid = [&WORK[..], &SECRETS, &OWN, &[SENTENCE, TYPED, "canarysaid"]].concat();
    let (raw, stores) = kept(device);
    assert_absent("an object or ref of a store here", &stores, &all);
    // What is to be sealed lies here as plainly as in the work tree; what is not to be saved does not.
    assert_present("the daemon's folder", &raw, &["canarytextuntracked"]);
    assert_absent("the daemon's folder", &raw, &[&SECRETS[..], &OWN].concat());
    assert_absent(
        "the log",
        &files::read(&device.log_path()),
        &[&unsaid, &[BRANCH, FOLDER, TITLE][..]].concat(),
    );
    for status in [device.ctl(&["status"]).ok(), device.ctl(&["status", "--json"]).ok()] {
        let told = [status.stdout, status.stderr].concat();
        assert_absent("status", &told, &[&unsaid, &[BRANCH, TITLE][..]].concat());
        assert_present("status", &told, &[".env", "server.key"]);
    }

    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", "--switch-branch", &session]);
    let log = bob.ctl(&["log", &session]).ok();
    assert_present("what the other device shows", &log.stdout, &[TYPED]);
    let clone = bob.home.project();
    let named = |file: &PathBuf| [file.as_os_str().as_bytes(), b"\n", &files::read(file)].concat();
    let work_tree = files::under(clone).iter().map(named).collect::<Vec<_>>().concat();
    let theirs = [everything(&clone.join(".git")), work_tree].concat();
    assert_present("the other clone", &theirs, &WORK);
    assert_absent("the other clone", &theirs, &[&SECRETS[..], &OWN].concat());
    let (raw, stores) = kept(bob);
    assert_absent(
        "the other daemon's folder",
        &[raw, stores].concat(),
        &[&SECRETS[..], &OWN].concat(),
    );
    let pushed = everything(world.remote.dir());
    assert!(pushed.len() > before);
    assert_absent("a pushed object or ref", &pushed, &all);
    if way == Way::Https {
        let requests = world.host.web().requests();
        assert_absent(
            "the host's log of requests",
            requests.as_bytes(),
            &[&unsaid, &[BRANCH][..]].concat(),
        );
    }
}

#[test]
fn no_canary_of_conversation_or_code_is_in_a_pushed_object_ref_log_line_or_status() {
    check_nothing_leaves_readable(Way::File);
}

#[test]
fn no_canary_of_conversation_or_code_is_on_a_web_host() {
    check_nothing_leaves_readable(Way::Https);
}

#[test]
fn no_canary_is_in_arguments_or_environment_of_a_child() {
    let Some(strace) = skip::unless_on_path("strace") else { return };
    let mut world = world(Way::File);
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
