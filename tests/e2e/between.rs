//! A resume of several repositories, and the undo of it, are killed while they work on the second one: the first
//! one is done, and everything that stood before comes back all the same.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;

use convosync_tests::work::{seen, seen_in};
use convosync_tests::world::Way;
use convosync_tests::{Device, eventually, files, program};
use rustix::process::{Pid, Signal, kill_process};

use crate::SAVED_WITHIN;
use crate::repositories::{Stage, lib, text};

/// The first git that is started while the index is locked: nothing was changed yet.
const FIRST: &str = "";
/// The record is there, and the first change is being made.
const BEGUN: &str = "update-index";
/// All files are in place.
const LATE: &str = "update-ref";

/// Runs the client with a git that waits for ever once it is asked for `word` in a clone whose index is locked,
/// and kills it then.
fn kill_at(device: &Device, arguments: &[&str], (clone, word): (&Path, &str)) {
    let dir = device.home.root().join("waiting");
    let began = dir.join("began");
    let git = program::on_path("git").expect("git is installed");
    let script = format!(
        "#!/bin/sh\nif [ \"$PWD\" = '{}' ] && [ -e .git/index.lock ]; then case \"$*\" in *'{word}'*) \
         echo $$ >'{began}.new'; mv '{began}.new' '{began}'; exec sleep 600;; esac; fi\nexec '{}' \"$@\"\n",
        clone.display(),
        git.display(),
        began = began.display(),
    );
    files::write_program(&dir.join("git"), &script);
    let path = std::env::var("PATH").expect("there is a PATH");
    let mut command = device.home.command(program::binary("convosyncctl"));
    command.args(arguments).env("PATH", format!("{}:{path}", dir.display())).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut client = command.spawn().expect("the client was built");
    eventually("its git waits", SAVED_WITHIN, || {
        let ended = client.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "it ended before its git was asked for `{word}`");
        began.exists().then_some(())
    });
    client.kill().expect("a child may be killed");
    client.wait().expect("a child can be waited for");
    let waits = String::from_utf8(files::read(&began)).expect("it is a number");
    let waits = waits.trim().parse().ok().and_then(Pid::from_raw).expect("it is a process");
    // It may have ended with the client.
    kill_process(waits, Signal::KILL).unwrap_or_default();
    files::remove_tree(&dir);
}

/// What stands in both repositories of a device.
fn both(device: &Device) -> [Vec<String>; 2] {
    [seen(device), seen_in(device, &lib(device))]
}

fn check_unlocked(device: &Device) {
    for clone in [device.home.project(), &lib(device)] {
        assert!(!clone.join(".git/index.lock").exists(), "{}", clone.display());
    }
}

#[test]
fn a_resume_killed_in_the_second_of_two_repositories_is_taken_back_in_both_by_one_undo() {
    let mut stage = Stage::with_both(Way::File);
    let session = stage.writer.session().to_owned();
    let (ada, bob) = stage.pair();
    let before = both(bob);
    for word in [FIRST, BEGUN, LATE] {
        kill_at(bob, &["resume", &session], (&lib(bob), word));
        assert_eq!(seen(bob), seen(ada), "{word}: the first was done");
        assert!(lib(bob).join(".git/index.lock").exists(), "{word}: it died in the second");

        let told = format!("{}", bob.ctl(&["undo"]).ok());

        assert_eq!(both(bob), before, "{word}: {told}");
        check_unlocked(bob);
    }
    // From the second one, too, though nothing was done there.
    kill_at(bob, &["resume", &session], (&lib(bob), FIRST));
    bob.ctl(&["-C", text(&lib(bob)), "undo"]).ok();
    assert_eq!(both(bob), before);
    check_unlocked(bob);
    bob.ctl(&["resume", &session]).ok();
    assert_eq!(both(bob), both(ada));
}

#[test]
fn a_resume_after_one_that_was_killed_brings_the_rest_or_names_the_undo_that_ends_it() {
    let mut stage = Stage::with_both(Way::File);
    let session = stage.writer.session().to_owned();
    let (ada, bob) = stage.pair();
    let before = both(bob);

    kill_at(bob, &["resume", &session], (&lib(bob), FIRST));
    bob.ctl(&["resume", &session]).ok();
    assert_eq!(both(bob), both(ada));
    check_unlocked(bob);
    let told = format!("{}", bob.ctl(&["undo"]).ok());
    assert_eq!(both(bob), before, "both were one resume's: {told}");

    kill_at(bob, &["resume", &session], (&lib(bob), LATE));
    let told = format!("{}", bob.ctl(&["resume", &session]).ok());
    assert!(told.contains("interrupted") && told.contains("convosyncctl undo"), "{told}");
    assert_eq!(seen(bob), seen(ada));
    bob.ctl(&["undo"]).ok();
    assert_eq!(both(bob), before);
    bob.ctl(&["resume", &session]).ok();
    assert_eq!(both(bob), both(ada));
    check_unlocked(bob);

    // One that finds all of it here is not what an undo takes back.
    bob.ctl(&["resume", &session]).ok();
    bob.ctl(&["undo"]).ok();
    assert_eq!(both(bob), before);
}

#[test]
fn an_undo_killed_in_either_of_two_repositories_is_gone_on_with_by_the_next() {
    let mut stage = Stage::with_both(Way::File);
    let session = stage.writer.session().to_owned();
    let (_, bob) = stage.pair();
    let before = both(bob);
    bob.ctl(&["resume", &session]).ok();
    let restored = both(bob);
    let (first, second) = (bob.home.project().to_owned(), lib(bob));
    for (clone, word, from) in [
        (&second, FIRST, &first),
        (&second, LATE, &first),
        (&second, LATE, &second),
        (&first, LATE, &first),
    ] {
        let what = format!("{word} in {}, then undo in {}", clone.display(), from.display());
        kill_at(bob, &["undo"], (clone, word));
        assert_ne!(both(bob), restored, "{what}: it was under way");

        let told = format!("{}", bob.ctl(&["-C", text(from), "undo"]).ok());

        assert_eq!(both(bob), before, "{what}: {told}");
        check_unlocked(bob);
        let told = format!("{}", bob.ctl(&["-C", text(from), "undo"]).ok());
        assert_eq!(both(bob), restored, "{what}, and the next takes the undo back: {told}");
    }
}
