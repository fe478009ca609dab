//! A remote as the first version wrote it: conversations with their code open on a new device, for ever.

use std::path::{Path, PathBuf};

use convosync_core::id::Digest;
use convosync_tests::work::{self, seen, write};
use convosync_tests::world::Way;
use convosync_tests::{Device, World, eventually, files};

use crate::SAVED_WITHIN;

/// Both devices' clones have a remote of this name, so that they are of one repository wherever they lie.
const KNOWN_AS: &str = "https://git.test/kept.git";

/// Where the fixture lies: `remote.bundle`, every ref of a remote; `expected`, what opens it and what it opens to.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/remote/v1")
}

/// The digests of a transcript and of each part of what a person sees of a clone.
fn digests(device: &Device, session: &str) -> Vec<String> {
    let transcript = device.home.transcripts().join(format!("{session}.jsonl"));
    let code = seen(device).into_iter().map(String::into_bytes);
    let parts = std::iter::once(files::read(&transcript)).chain(code);
    parts.map(|part| Digest::of(&part).to_string()).collect()
}

/// Makes the fixture: two saves of one conversation, with work of every common kind, changed in between.
fn make(dir: &Path) {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.home.git(&["remote", "add", "known", KNOWN_AS]).ok();
    ada.start();
    let phrase = ada.init();
    work::leave(ada);
    let mut writer = ada.writer(1);
    writer.turn();
    let first = ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    write(ada, "README.md", "changed again\n");
    ada.home.git(&["mv", "staged.txt", "moved.txt"]).ok();
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    ada.ctl(&["save", "--stash", "the second state", "--json"]).ok();
    eventually("everything is on the remote", SAVED_WITHIN, || {
        let now = ada.session(writer.session())?;
        (now["on_remote"] == true && now["save"].as_u64() > first["save"].as_u64()).then_some(())
    });

    files::make_dir(dir);
    let bundle = dir.join("remote.bundle");
    let bundle = bundle.to_str().expect("the tests' paths are text");
    world.remote.git(&["bundle", "create", "--quiet", bundle, "--all"]).ok();
    let session = writer.session();
    let lines = [vec![phrase, session.to_owned()], digests(&world.devices[0], session)].concat();
    files::write(&dir.join("expected"), lines.join("\n") + "\n");
}

/// A remote as it was first written must open for ever. With `CONVOSYNC_WRITE_VECTORS` a missing one is made.
#[test]
fn the_first_remote_that_was_ever_written_still_opens_with_its_code() {
    let dir = fixture();
    if std::env::var_os("CONVOSYNC_WRITE_VECTORS").is_some() && !dir.exists() {
        make(&dir);
    }
    let expected = String::from_utf8(files::read(&dir.join("expected"))).expect("it is text");
    let expected: Vec<&str> = expected.lines().collect();
    let [phrase, session, expected @ ..] = expected.as_slice() else { panic!("{expected:?}") };
    let mut world = World::new(&["bob"], Way::File);
    let bundle = dir.join("remote.bundle");
    let bundle = bundle.to_str().expect("the tests' paths are text");
    world.remote.git(&["fetch", "--quiet", "--update-head-ok", bundle, "+refs/*:refs/*"]).ok();
    let bob = &mut world.devices[0];
    bob.home.git(&["remote", "add", "known", KNOWN_AS]).ok();
    bob.home.git(&["fetch", "--quiet", "origin"]).ok();
    bob.home.git(&["reset", "--quiet", "--hard", "origin/main"]).ok();
    bob.start();
    bob.join(phrase);

    let reply = bob.ctl_json(&["resume", session]);

    assert_eq!(reply["action"], "created", "{reply}");
    assert_eq!(reply["code"]["differences"], serde_json::json!([]), "{reply}");
    assert_eq!(digests(bob, session), expected, "{reply}");
    let shown = bob.ctl_json(&["show", session]);
    assert!(shown["saves"].as_array().is_some_and(|saves| saves.len() >= 2), "{shown}");
}
