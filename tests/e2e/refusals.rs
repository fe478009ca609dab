//! Bad input: a clear error with a hint, and nothing lost or silently made anew.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use convosync_tests::tree::Times;
use convosync_tests::world::Way;
use convosync_tests::{Device, Opened, Remote, Run, Tree, World, eventually, files, program};
use serde_json::Value;

use crate::SAVED_WITHIN;

/// Returns the folder that holds the device's keys.
fn keys(device: &Device) -> PathBuf {
    device.home.convosync_dir().join("keys")
}

/// Panics unless the refusal names what is wrong and what to do.
#[track_caller]
fn assert_clear(run: Run, cause: &str) {
    let run = run.fails();
    let errors = run.errors().to_lowercase();
    assert!(errors.contains(cause) && errors.contains("hint"), "{run}");
}

#[test]
fn without_keys_nothing_is_made_and_the_way_out_is_named() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    for command in [&["save"][..], &["enable"], &["resume"], &["sync"]] {
        assert_clear(ada.ctl(command), "init");
    }
    assert_eq!(files::under(&keys(ada)), Vec::<PathBuf>::new(), "only `init` and `join` make keys");
}

#[test]
fn a_second_init_changes_nothing() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let before = Tree::of(&keys(ada), Times::Counted);
    let again = ada.home.root().join("again.txt");
    ada.ctl(&["init", "--yes", "--phrase-file", again.to_str().unwrap()]).fails();
    Tree::of(&keys(ada), Times::Counted).assert_same(&before);
}

#[test]
fn a_wrong_phrase_is_refused_before_anything_is_written() {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    ada.start();
    ada.init();
    bob.start();
    for phrase in
        ["hello world", &["abandon"; 24].join(" "), &format!("{} art", ["abandon"; 23].join(" "))]
    {
        bob.ctl_with(
            &["join", "--recover", "-", "--name", "bob", "--kind", "desktop"],
            format!("{phrase}\n").as_bytes(),
        )
        .fails();
        bob.ctl(&["save"]).fails();
    }
}

#[test]
fn a_broken_configuration_is_named_with_its_line() {
    let world = World::new(&["ada"], Way::Any);
    let ada = &world.devices[0];
    files::write(&ada.home.convosync_dir().join("config.toml"), "[save]\nidle_afer = \"1s\"\n");
    let refused = ada.ctl(&["config", "check"]).fails();
    let errors = refused.errors();
    assert!(errors.contains(":2:") && errors.contains("idle_after"), "{refused}");
}

#[test]
fn a_project_without_a_remote_is_told_so() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    ada.home.git(&["remote", "remove", "origin"]).ok();
    let answer = ada.ctl(&[
        "init",
        "--yes",
        "--name",
        "ada",
        "--kind",
        "laptop",
        "--phrase-file",
        ada.home.root().join("phrase.txt").to_str().unwrap(),
    ]);
    let said = format!("{}{}", answer.text(), answer.errors()).to_lowercase();
    assert!(said.contains("remote"), "{answer}");
}

#[test]
fn a_remote_that_refuses_the_ref_stops_nothing_and_is_reported() {
    let mut world = World::new(&["ada"], Way::Any);
    files::write_program(
        &world.remote.dir().join("hooks/pre-receive"),
        "#!/bin/sh\necho no space left in your account >&2\nexit 1\n",
    );
    let ada = &mut world.devices[0];
    ada.start();
    let phrase = ada.home.root().join("phrase.txt");
    let init = ada.ctl(&[
        "init",
        "--yes",
        "--name",
        "ada",
        "--kind",
        "laptop",
        "--phrase-file",
        phrase.to_str().unwrap(),
    ]);
    let mut writer = ada.writer(1);
    writer.turn();

    files::remove_tree(&world.remote.dir().join("hooks"));
    ada.ctl(&["enable"]).ok();
    ada.ctl(&["sync", "--retry"]).ok();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    let said = format!("{}{}", init.text(), init.errors());
    assert!(said.contains("no space left in your account"), "{init}");
}

/// Panics unless one of the problems names the cause and what to do.
#[track_caller]
fn assert_told(problems: &Value, cause: &str) {
    let problems = problems.as_array().expect("problems are a list");
    let tells = |problem: &Value| {
        problem["message"].as_str().is_some_and(|text| text.to_lowercase().contains(cause))
            && problem["hint"].is_string()
    };
    assert!(problems.iter().any(tells), "no problem says `{cause}`: {problems:?}");
}

/// Starts the daemon of a device that cannot start, by way of the client, and looks at what it says.
#[track_caller]
fn check_start(cause: &str, spoil: impl FnOnce(&Device)) {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    ada.stop();
    let before = world.remote.refs();
    spoil(&world.devices[0]);
    let keys_before = Tree::of(&keys(&world.devices[0]), Times::Counted);

    assert_clear(world.devices[0].ctl(&["status"]), cause);

    Tree::of(&keys(&world.devices[0]), Times::Counted).assert_same(&keys_before);
    assert_eq!(world.remote.refs(), before);
}

/// Returns the first of the device's key files.
#[track_caller]
fn key_file(device: &Device) -> PathBuf {
    let files = files::under(&keys(device));
    let is_key = |path: &&PathBuf| path.parent() != Some(&keys(device));
    files.iter().find(is_key).unwrap_or_else(|| panic!("no keys among {files:?}")).clone()
}

#[track_caller]
fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .unwrap_or_else(|error| panic!("cannot change {}: {error}", path.display()));
}

#[test]
fn a_git_that_is_missing_is_named() {
    check_start("git", |ada| ada.home.write_config("[git]\nprogram = \"/nowhere/git\"\n"));
}

#[test]
fn a_git_that_is_too_old_is_named() {
    check_start("2.20", |ada| {
        let old = ada.home.root().join("old-git");
        files::write_program(&old, "#!/bin/sh\necho git version 2.20.1\n");
        ada.home.write_config(&format!("[git]\nprogram = \"{}\"\n", old.display()));
    });
}

#[test]
fn a_broken_configuration_keeps_the_daemon_from_starting() {
    check_start("config.toml", |ada| ada.home.write_config("[watch\n"));
}

#[test]
fn keys_that_others_can_read_are_not_used() {
    check_start("chmod", |ada| {
        let file = key_file(ada);
        set_mode(file.parent().expect("keys lie in a folder"), 0o755);
    });
}

#[test]
fn a_damaged_key_file_is_named_and_left_alone() {
    check_start("keys", |ada| {
        let file = key_file(ada);
        let bytes = files::read(&file);
        files::write(&file, &bytes[..bytes.len() / 2]);
    });
}

#[test]
fn a_key_file_that_is_missing_among_others_is_named() {
    check_start("missing", |ada| {
        let file = key_file(ada);
        let away = ada.home.root().join("away");
        std::fs::rename(&file, away).expect("both are ours");
    });
}

#[test]
fn a_damaged_list_of_projects_is_named_and_left_alone() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    ada.stop();
    let list = keys(ada).join("projects.toml");
    files::write(&list, "[[project]]\nroot = 3\n");
    ada.start();
    assert_told(&ada.ctl_json(&["status"])["problems"], "line 2");
    assert_clear(ada.ctl(&["enable"]), "projects.toml");
    assert_eq!(files::read(&list), b"[[project]]\nroot = 3\n");
}

#[test]
fn a_socket_path_that_is_too_long_is_refused_with_the_variable_that_shortens_it() {
    let world = World::new(&["ada"], Way::Any);
    let home = &world.devices[0].home;
    let long = home.root().join("x".repeat(100));
    let mut status = home.command(program::binary("convosyncctl"));
    status.arg("status").env("CONVOSYNC_HOME", long);
    assert_clear(program::run(&mut status, b"", program::DEADLINE), "convosync_home");
}

#[test]
fn keys_that_are_gone_are_never_made_anew() {
    let Opened { mut world, mut writer, .. } = Opened::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.stop();
    let remote = world.remote.refs();

    let away = ada.home.root().join("away");
    std::fs::rename(keys(ada), &away).expect("both are ours");
    ada.start();
    writer.turn();
    assert_told(&ada.ctl_json(&["status"])["problems"], "gone");
    assert_clear(ada.ctl(&["sync"]), "gone");
    assert_eq!(files::under(&keys(ada)), Vec::<PathBuf>::new());
    assert_eq!(world.remote.refs(), remote);

    ada.stop();
    if keys(ada).exists() {
        files::remove_tree(&keys(ada));
    }
    std::fs::rename(&away, keys(ada)).expect("both are ours");
    ada.start();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

#[test]
fn a_root_that_cannot_be_read_is_named_and_the_others_are_saved() {
    let world = World::new(&["ada"], Way::Any);
    let no_folder = world.devices[0].home.root().join("no-folder");
    files::write(&no_folder.join("projects"), "a file");
    world.devices[0]
        .home
        .write_config(&format!("[claude]\nroots = [\"{}\", \"~/.claude\"]\n", no_folder.display()));
    let Opened { mut world, .. } = Opened::of(world);
    let ada = &mut world.devices[0];
    assert_told(&ada.ctl_json(&["status"])["problems"], "no-folder");
}

#[test]
fn a_project_that_is_off_is_not_saved_until_it_is_on_again() {
    let Opened { mut world, mut writer, .. } = Opened::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    let before = world.remote.refs();

    let off = ada.home.project().join(".convosync/off");
    files::write(&off, "");
    writer.turn();
    ada.ctl(&["sync"]);
    let status = ada.ctl_json(&["status"]);
    assert_told(&Value::Array(vec![status["projects"][0]["problem"].clone()]), ".convosync/off");
    assert_eq!(world.remote.refs(), before);

    ada.stop();
    ada.start();
    let status = ada.ctl_json(&["status"]);
    assert_told(&Value::Array(vec![status["projects"][0]["problem"].clone()]), ".convosync/off");
    assert_eq!(world.remote.refs(), before);

    files::remove_tree(off.parent().expect("it lies in a folder"));
    ada.ctl(&["sync"]).ok();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

#[test]
fn a_project_that_is_away_when_the_daemon_starts_is_saved_when_it_is_back() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.home.write_config("[watch]\nrescan_every = \"1s\"\n");
    ada.start();
    ada.init();
    ada.stop();
    let mut writer = ada.writer(1);
    writer.turn();
    let away = ada.home.root().join("away");
    std::fs::rename(ada.home.project(), &away).expect("both are ours");
    let mut daemon = ada
        .home
        .command(program::binary("convosyncd"))
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it was built");
    let home = ada.home.clone();
    let status = || {
        let mut ctl = home.command(program::binary("convosyncctl"));
        ctl.args(["--no-start", "status", "--json"]).current_dir("/");
        let run = program::run(&mut ctl, b"", program::DEADLINE);
        run.status.success().then(|| run.json())
    };
    let named = eventually("the daemon answers", SAVED_WITHIN, status);
    assert_told(&named["problems"], "ada");

    std::fs::rename(&away, ada.home.project()).expect("both are ours");
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    assert_eq!(ada.ctl_json(&["status"])["problems"], serde_json::json!([]));
    program::kill_group(rustix::process::Pid::from_child(&daemon));
    daemon.wait().expect("a child can be waited for");
}

#[test]
fn a_remote_that_is_gone_and_comes_back_gets_everything() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let away = world.remote.dir().with_extension("away");
    std::fs::rename(world.remote.dir(), &away).expect("both are ours");
    let mut writer = ada.writer(1);
    writer.turn();

    let problem = eventually("the daemon says that it cannot send", SAVED_WITHIN, || {
        let status = ada.ctl_json(&["status"]);
        Some(status["projects"][0]["problem"].clone()).filter(|problem| !problem.is_null())
    });
    assert!(problem["hint"].is_string(), "{problem}");
    assert_ne!(ada.ctl_json(&["status"])["projects"][0]["sync"], "on-remote");

    std::fs::rename(&away, world.remote.dir()).expect("both are ours");
    ada.ctl(&["sync", "--retry"]).ok();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

#[test]
fn a_remote_that_was_made_anew_gets_everything_again() {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let [ada, bob] = world.devices.as_mut_slice() else { panic!("there are two") };
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    files::remove_tree(world.remote.dir());
    Remote::create(world.remote.dir());
    ada.ctl(&["sync", "--retry"]).ok();
    eventually("it is noticed and sent again", SAVED_WITHIN, || {
        (!world.remote.refs().is_empty()).then_some(())
    });
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    let restored = files::read(&bob.home.transcripts().join(format!("{}.jsonl", writer.session())));
    assert_eq!(restored, files::read(&writer.path()));
}

#[test]
fn a_remote_that_takes_only_branches_gets_a_branch() {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    world.remote.take_only_branches();
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    let is_ours = |name: &String| name.starts_with("refs/heads/convosync/");
    assert!(world.remote.refs().iter().any(|(name, _)| is_ours(name)), "{:?}", world.remote.refs());
}

/// Replaces a file in the tip of the only device on the remote, as a newer version would write it.
fn rewrite_tip(remote: &Remote, (name, at): &(String, String), file: &str, bytes: &[u8]) {
    let content = remote.dir().with_extension("content");
    files::write(&content, bytes);
    let blob = remote.git(&["hash-object", "-w", content.to_str().expect("text")]).ok().text();
    remote.git(&["read-tree", at]).ok();
    let entry = format!("100644,{blob},{file}");
    remote.git(&["update-index", "--add", "--cacheinfo", &entry]).ok();
    let tree = remote.git(&["write-tree"]).ok().text();
    let author = ["-c", "user.name=a", "-c", "user.email=a"];
    let commit = ["commit-tree", &tree, "-p", at, "-m", "a"];
    let made = remote.git(&[&author[..], &commit].concat()).ok().text();
    remote.git(&["update-ref", name, &made]).ok();
}

#[track_caller]
fn check_foreign(file: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>, cause: &str) {
    let Opened { mut world, phrase, writer } = Opened::new(&["ada", "bob"], Way::Any);
    let ada = &mut world.devices[0];
    ada.kill();
    let of_ada = world.remote.refs().into_iter().find(|(name, _)| name.contains("convosync"));
    let of_ada = of_ada.expect("ada's ref, before there is any other");
    let bob = &mut world.devices[1];
    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);

    let object = format!("{}:{file}", of_ada.1);
    let bytes = world.remote.git(&["cat-file", "blob", &object]).ok().stdout;
    rewrite_tip(&world.remote, &of_ada, file, &change(bytes));

    let bob = &world.devices[1];
    let listed = bob.ctl_json(&["list", "--all", "--refresh"]);
    assert_told(&listed["problems"], cause);
    let known = listed["sessions"].as_array().expect("a list");
    assert!(known.iter().any(|session| session["session"] == writer.session()), "{listed}");
    bob.ctl_json(&["resume", writer.session()]);
}

#[test]
fn a_store_of_a_newer_format_is_named_and_what_was_known_stays() {
    check_foreign("format", |_| b"convosync 2\n".to_vec(), "convosync 2");
}

#[test]
fn a_sealed_object_of_a_newer_format_is_named_and_what_was_known_stays() {
    check_foreign(
        "head",
        |mut bytes| {
            bytes[4] = 2;
            bytes
        },
        "format",
    );
}

#[test]
fn a_tip_of_something_else_is_named_and_what_was_known_stays() {
    check_foreign("format", |_| b"something else\n".to_vec(), "format");
}
