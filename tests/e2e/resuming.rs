//! `resume` in every situation a transcript here can be in: it never writes over anything.

use std::path::{Path, PathBuf};

use convosync_tests::home::IMPATIENT;
use convosync_tests::synthetic::Conversation;
use convosync_tests::told::told;
use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Remote, Run, World, Writer, files};

use crate::SAVED_WITHIN;

/// The exit code of "nothing was done, because the user has to decide first".
const NEEDS_DECISION: i32 = 4;

/// Two devices in one vault, with a conversation that the first one saved and the second one resumed.
struct Shared {
    world: World,
    here: Writer,
    there: Writer,
}

impl Shared {
    fn new() -> Self {
        let mut world = World::new(&["ada", "bob"], Way::Any);
        let (ada, bob) = world.pair();
        ada.start();
        let phrase = ada.init();
        let mut here = ada.writer(1);
        (0..2).for_each(|_| here.turn());
        save(ada, &here);
        bob.start();
        bob.join(&phrase);
        assert_eq!(bob.ctl_json(&["resume", here.session()])["action"], "created");
        let talk = Conversation::resumed(2, bob.home.project(), here.session(), None);
        let there = Writer::new(&bob.home.transcripts(), talk);
        Self { world, here, there }
    }
}

#[track_caller]
fn save(device: &Device, writer: &Writer) {
    device.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

/// Panics unless the run ended with the question that only the user can answer, and a way out.
#[track_caller]
fn assert_left_to_the_user(run: &Run) {
    assert_eq!(run.status.code(), Some(NEEDS_DECISION), "{run}");
    assert!(run.errors().to_lowercase().contains("hint"), "{run}");
}

#[test]
fn a_second_resume_with_nothing_new_changes_nothing() {
    let Shared { mut world, here, there } = Shared::new();
    let (_, bob) = world.pair();
    let before = files::read(&there.path());
    let reply = bob.ctl_json(&["resume", here.session()]);
    assert_eq!((&reply["action"], &reply["new_messages"]), (&"nothing".into(), &0.into()));
    assert_eq!(files::read(&there.path()), before);
}

#[test]
fn a_conversation_that_goes_back_and_forth_is_one_conversation() {
    let Shared { mut world, mut here, mut there } = Shared::new();
    let (ada, bob) = world.pair();
    for _ in 0..2 {
        there.turn();
        save(bob, &there);
        assert_eq!(ada.ctl_json(&["resume", here.session()])["action"], "extended");
        assert_eq!(files::read(&here.path()), files::read(&there.path()));
        here.turn();
        save(ada, &here);
        assert_eq!(bob.ctl_json(&["resume", here.session()])["action"], "extended");
        assert_eq!(files::read(&here.path()), files::read(&there.path()));
    }
}

#[test]
fn a_transcript_that_is_ahead_of_every_other_device_stays_as_it_is() {
    let Shared { mut world, here, mut there } = Shared::new();
    let (_, bob) = world.pair();
    there.turn();
    save(bob, &there);
    there.turn();
    let before = files::read(&there.path());
    let reply = bob.ctl_json(&["resume", &format!("{}@1", here.session())]);
    assert_eq!(reply["action"], "local-ahead", "{reply}");
    assert_eq!(files::read(&there.path()), before);
}

/// Claude Code cleans old transcripts away. What the device then brought back of its own was saved at once as the
/// newest state, and hid what came later.
#[test]
fn an_own_earlier_save_that_came_back_after_a_clean_up_hides_nothing() {
    let Shared { mut world, mut here, .. } = Shared::new();
    let (ada, _) = world.pair();
    here.turn();
    save(ada, &here);
    let newest = ada.session(here.session()).expect("it is saved")["save"].clone();
    let whole = files::read(&here.path());
    files::remove_file(&here.path());

    let first = format!("{}@1", here.session());
    assert_eq!(ada.ctl_json(&["resume", "--exact", &first])["action"], "created");
    assert!(files::read(&here.path()).len() < whole.len());
    ada.ctl(&["sync"]).ok();
    assert_eq!(ada.session(here.session()).expect("it is saved")["save"], newest);

    assert_eq!(ada.ctl_json(&["resume", here.session()])["action"], "extended");
    assert_eq!(files::read(&here.path()), whole);
    here.turn();
    save(ada, &here);
}

#[test]
fn two_conversations_that_went_apart_are_left_to_the_user() {
    let Shared { mut world, mut here, mut there } = Shared::new();
    let (ada, bob) = world.pair();
    here.turn();
    save(ada, &here);
    // Later than ada's: of two saves with one number, lists show the newer.
    there.turn();
    let before = files::read(&there.path());
    insta::assert_snapshot!(told(&bob.ctl(&["resume", here.session()])), @r"
        --- errors
        convosyncctl: the conversation here stays as it is: it went on differently here
        hint: both are kept: `convosyncctl show` lists what the other device saved; to continue theirs here, move the transcript here aside first
        --- exit code 4
        ");
    assert_eq!(files::read(&there.path()), before);

    save(bob, &there);
    let mine = files::read(&here.path());
    assert_left_to_the_user(&ada.ctl(&["resume", here.session()]));
    assert_eq!(files::read(&here.path()), mine);
}

#[test]
fn a_session_that_runs_here_is_not_written_to() {
    let Shared { mut world, mut here, there } = Shared::new();
    let (ada, bob) = world.pair();
    here.turn();
    save(ada, &here);
    let before = files::read(&there.path());
    let entry = bob.home.claude_dir().join(format!("sessions/{}.json", std::process::id()));
    let live = format!(
        "{{\"pid\":{},\"sessionId\":\"{}\",\"cwd\":\"{}\",\"status\":\"idle\"}}",
        std::process::id(),
        here.session(),
        bob.home.project().display()
    );
    files::write(&entry, live);

    insta::assert_snapshot!(told(&bob.ctl(&["resume", here.session()])), @r"
        --- errors
        convosyncctl: the conversation here stays as it is: the session is running here
        hint: end the session here first, or continue it where it runs
        --- exit code 4
        ");
    assert_eq!(files::read(&there.path()), before);

    files::remove_tree(&bob.home.claude_dir().join("sessions"));
    assert_eq!(bob.ctl_json(&["resume", here.session()])["action"], "extended");
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let Shared { mut world, mut here, there } = Shared::new();
    let (ada, bob) = world.pair();
    here.turn();
    save(ada, &here);
    let before = files::read(&there.path());
    let reply = bob.ctl_json(&["resume", here.session(), "--dry-run"]);
    assert_eq!(reply["action"], "extended", "{reply}");
    assert_eq!(files::read(&there.path()), before);
}

#[test]
fn without_a_name_the_newest_session_of_another_device_is_resumed() {
    let Shared { mut world, here, .. } = Shared::new();
    let (ada, bob) = world.pair();
    let mut newer = ada.writer(7);
    newer.turn();
    save(ada, &newer);
    let run = bob.ctl(&["resume"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ the code is here already
        ✓ conversation restored: 5 messages
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        --- exit code 0
        "#);
    assert!(run.text().contains(newer.session()), "not {}: {run}", here.session());
}

/// Makes a conversation in `below` of the project, saves it, and returns it.
fn talk_below(ada: &Device, below: &str) -> Writer {
    let cwd = ada.home.project().join(below);
    files::make_dir(&cwd);
    let mut writer = Writer::new(&ada.home.slug_dir(&cwd), Conversation::new(3, &cwd));
    writer.turn();
    writer.subagent();
    save(ada, &writer);
    writer
}

#[track_caller]
fn assert_at(reply: &serde_json::Value, directory: &Path, bytes: &[u8]) {
    assert_eq!(reply["directory"].as_str().map(Path::new), Some(directory), "{reply}");
    let transcript = PathBuf::from(reply["transcript"].as_str().expect("it is named"));
    assert_eq!(files::read(&transcript), bytes);
}

#[test]
fn a_session_of_a_subdirectory_continues_in_that_subdirectory() {
    let Shared { mut world, .. } = Shared::new();
    let (ada, bob) = world.pair();
    let writer = talk_below(ada, "src/deep");
    let bytes = saved_bytes(&writer.path());

    let below = bob.home.project().join("src/deep");
    files::make_dir(&below);
    let reply = bob.ctl_json(&["resume", writer.session()]);
    assert_at(&reply, &below, &bytes);
    assert!(
        reply["transcript"]
            .as_str()
            .is_some_and(|path| { Path::new(path).parent() == Some(&bob.home.slug_dir(&below)) })
    );
}

#[test]
fn a_session_of_a_subdirectory_that_is_not_here_continues_at_the_top() {
    let Shared { mut world, .. } = Shared::new();
    let (ada, bob) = world.pair();
    let writer = talk_below(ada, "only-on-ada");
    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--no-code", "--dry-run", writer.session()])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: main @ [commit]
        ✓ would restore the conversation: 4 messages
          → 3 files, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: convosyncctl resume [session]
        --- errors
        ! the conversation's folder `only-on-ada` is not here
        hint: it continues at the top of the repository
        --- exit code 0
        "#);
    let reply = bob.ctl_json(&["resume", "--no-code", writer.session()]);
    assert_at(&reply, bob.home.project(), &saved_bytes(&writer.path()));
}

#[test]
fn code_that_is_not_the_conversations_is_warned_of_loudly() {
    let Shared { mut world, mut here, .. } = Shared::new();
    let (ada, bob) = world.pair();
    ada.home.git(&["switch", "--quiet", "--create", "idea"]).ok();
    files::write(&ada.home.project().join("new.txt"), "new");
    ada.home.git(&["add", "new.txt"]).ok();
    ada.home.git(&["commit", "--quiet", "--message", "new"]).ok();
    here.turn();
    save(ada, &here);

    insta::assert_snapshot!(told(&bob.ctl(&["resume", "--no-code", here.session()])), @r#"
        ✓ found "Work on [session]" from ada, saved [age]
          → code then: idea @ [commit]
        ✓ conversation extended: 5 messages added
          → 1 file, [size] received: [world]/bob/home/bob/.claude/projects/[world]-bob-home-bob-work-src-my-app/[session id].jsonl

        Next: cd [world]/bob/home/bob/work/src/my_app && claude --resume [session id]
        --- errors
        ┏━━ WARNING: NOT THE SAME CODE ━━━━━━━━━━━━━━━━━
        ┃ the conversation is on idea, and here main is checked out
        ┃
        ┃ hint: `git switch idea`
        ┃
        ┃ the conversation's code is at commit [commit], and here at [commit 2]
        ┃
        ┃ hint: `git fetch`, then `git merge --ff-only [commit]` (or `git switch --detach [commit]`); if git does not know it, push it on the other device
        ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
        --- exit code 0
        "#);
}

/// Both keep their sessions in one place, and each has another project.
#[test]
fn a_session_of_another_project_is_told_with_both_names_and_nothing_is_done() {
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let other = Remote::create(&world.remote.folder().join("other.git"));
    let (store, other) = (world.host.url(&world.remote), world.host.url(&other));
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    save(ada, &writer);
    bob.home.git(&["remote", "set-url", "origin", &other]).ok();
    let remote = format!("remote = \"{store}\"\n");
    bob.home.write_config_whole(&format!("{IMPATIENT}{remote}"));
    bob.start();
    bob.join(&phrase);

    insta::assert_snapshot!(told(&bob.ctl(&["resume", writer.session()])), @r"
        --- errors
        convosyncctl: session [session] belongs to [remote]/app, which is not enabled on this device, and [remote]/other, where you are, is another project
        hint: `convosyncctl resume [session] --clone` clones it here and resumes there; so does a clone of your own, after `convosyncctl enable` in it
        --- exit code 4
        ");
    assert!(!bob.home.transcripts().join(format!("{}.jsonl", writer.session())).exists());
}
