//! `resume --pull` where a session worked in several repositories.

use convosync_tests::files;
use convosync_tests::told::told;
use convosync_tests::work::seen_in;
use convosync_tests::world::Way;

use crate::repositories::{Stage, edit, git_in, lib};

/// Two devices with clones of two repositories. The first one has saved them, clean but for `more` in the second one,
/// and then pushed a commit there.
fn clean(more: &str) -> Stage {
    let mut stage = Stage::new(Way::File);
    stage.enable();
    let clone = lib(stage.pair().0);
    if !more.is_empty() {
        files::write(&clone.join("lib.txt"), more);
    }
    edit(&stage.writer, &clone.join("lib.txt"));
    stage.saved();
    stage.told("both are saved", |lib| lib["is_saved"] == true);
    stage.join(true);
    let (ada, _) = stage.pair();
    ada.stop();
    let text = files::read(&clone.join("lib.txt"));
    git_in(ada, &clone, &["checkout", "-q", "--", "."]);
    files::write(&clone.join("later.txt"), "after the last save\n");
    git_in(ada, &clone, &["add", "later.txt"]);
    git_in(ada, &clone, &["commit", "-q", "-m", "later"]);
    git_in(ada, &clone, &["push", "-q"]);
    files::write(&clone.join("lib.txt"), text);
    stage
}

#[test]
fn pulling_brings_further_repositories_as_they_stand_at_their_remotes() {
    let mut stage = clean("");
    let session = stage.writer.session().to_owned();
    let (ada, bob) = stage.pair();
    bob.ctl(&["resume", &session]).ok();
    assert_ne!(seen_in(bob, &lib(bob)), seen_in(ada, &lib(ada)), "the exact commit of the save");
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--pull", &session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
          → the branch of `lib` is newer at the remote, and comes from there
        ✓ the code is here already
        ✓ code of `lib` restored
          → main at [commit 2], 1 new commit
          → 1 file written, 0 files removed
          → verified: it is what was saved
        ✓ the conversation is here already, word for word
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        fetching commits that the saved code builds on (git cannot say how large they are)
        --- exit code 0
        "#);
    assert_eq!(seen_in(bob, &lib(bob)), seen_in(ada, &lib(ada)));
}

#[test]
fn a_further_repository_that_cannot_be_pulled_comes_as_it_was_saved() {
    let mut stage = clean("not committed\n");
    let session = stage.writer.session().to_owned();
    let (_, bob) = stage.pair();
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--pull", &session])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ the code is here already
        ✓ code of `lib` restored
          → main at [commit 2]
          → 1 file written, 0 files removed
          → verified: it is what was saved
        ✓ conversation restored: 6 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ! `lib` comes as it was saved, `--pull` cannot be done there: the session has uncommitted changes, which stand on its own commit
        --- exit code 0
        "#);
    assert_eq!(files::read(&lib(bob).join("lib.txt")), b"not committed\n");
    assert!(!lib(bob).join("later.txt").exists());
}
