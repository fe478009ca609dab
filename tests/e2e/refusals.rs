//! Bad input: a clear error with a hint, and nothing lost or silently made anew.

use std::path::PathBuf;

use convosync_tests::tree::Times;
use convosync_tests::world::Way;
use convosync_tests::{Device, Tree, World, files};

/// Returns the folder that holds the device's keys.
fn keys(device: &Device) -> PathBuf {
    device.home.convosync_dir().join("keys")
}

/// Panics unless the refusal names what is wrong and what to do.
#[track_caller]
fn assert_clear(run: convosync_tests::Run, cause: &str) {
    let run = run.fails();
    let errors = run.errors().to_lowercase();
    assert!(errors.contains(cause) && errors.contains("hint"), "{run}");
}

#[test]
fn without_keys_nothing_is_made_and_the_way_out_is_named() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.start();
    for command in [&["save"][..], &["enable"], &["resume"], &["sync"]] {
        assert_clear(ada.ctl(command), "init");
    }
    assert_eq!(files::under(&keys(ada)), Vec::<PathBuf>::new(), "only `init` and `join` make keys");
}

#[test]
fn a_second_init_changes_nothing() {
    let mut world = World::new(&["ada"], Way::File);
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
    let mut world = World::new(&["ada", "bob"], Way::File);
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
    let world = World::new(&["ada"], Way::File);
    let ada = &world.devices[0];
    files::write(&ada.home.convosync_dir().join("config.toml"), "[save]\nidle_afer = \"1s\"\n");
    let refused = ada.ctl(&["config", "check"]).fails();
    let errors = refused.errors();
    assert!(errors.contains(":2:") && errors.contains("idle_after"), "{refused}");
}

#[test]
fn a_project_without_a_remote_is_told_so() {
    let mut world = World::new(&["ada"], Way::File);
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
    let mut world = World::new(&["ada"], Way::File);
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
    ada.saved_eventually(writer.session(), writer.total_bytes(), crate::SAVED_WITHIN);
    let said = format!("{}{}", init.text(), init.errors());
    assert!(said.contains("no space left in your account"), "{init}");
}
