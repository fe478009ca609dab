//! What the real client does with transcripts, without ConvoSync: the ground the whole thing stands on.

use convosync_tests::api::Api;
use convosync_tests::claude::Client;
use convosync_tests::synthetic::{self, Conversation};
use convosync_tests::world::Way;
use convosync_tests::{Home, World, Writer, files};

const SAID: &str = "By the way, my favorite pizza is Margherita";
const ASKED: &str = "What is my favorite pizza?";
const SESSION: &str = "5b0e4c1e-7a0f-4a51-9d0c-0d5a0c6a1f01";

fn transcript(home: &Home, session: &str) -> std::path::PathBuf {
    home.transcripts().join(format!("{session}.jsonl"))
}

/// Copies the transcript byte for byte into the other home's folder for its own project path.
fn copy(from: &Home, to: &Home, session: &str) {
    let bytes = files::read(&transcript(from, session));
    files::append(&transcript(to, session), &bytes);
}

#[test]
fn a_transcript_copied_byte_for_byte_is_resumed_under_another_home_and_path() {
    let Some(client) = Client::find_or_skip() else { return };
    let api = Api::start();
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    client.say(&ada.home, &api, SESSION, SAID).ok();
    assert!(api.take_messages().iter().any(|request| request.conversation().contains(SAID)));

    copy(&ada.home, &bob.home, SESSION);
    let answer = client.resume(&bob.home, &api, SESSION, ASKED).ok();

    let asked = api.take_messages();
    let request = asked
        .iter()
        .find(|request| request.conversation().contains(ASKED))
        .expect("the question was sent");
    assert!(request.conversation().contains(SAID), "{}", request.conversation());
    assert!(answer.text().contains("Margherita"), "{answer}");
}

#[test]
fn the_client_appends_to_a_copied_transcript_and_changes_none_of_its_bytes() {
    let Some(client) = Client::find_or_skip() else { return };
    let api = Api::start();
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    client.say(&ada.home, &api, SESSION, SAID).ok();
    copy(&ada.home, &bob.home, SESSION);
    let before = files::read(&transcript(&bob.home, SESSION));

    client.resume(&bob.home, &api, SESSION, ASKED).ok();

    let after = files::read(&transcript(&bob.home, SESSION));
    assert!(after.starts_with(&before) && after.len() > before.len());
    assert!(after.ends_with(b"\n"));
}

#[test]
fn the_client_resumes_a_synthetic_transcript() {
    let Some(client) = Client::find_or_skip() else { return };
    let api = Api::start();
    let world = World::new(&["ada"], Way::File);
    let home = &world.devices[0].home;
    let mut writer = Writer::new(&home.transcripts(), Conversation::new(5, home.project()));
    writer.turn();
    writer.say(SAID);
    writer.subagent();
    writer.turn();

    let answer = client.resume(home, &api, writer.session(), ASKED).ok();

    assert!(answer.text().contains("Margherita"), "{answer}");
    let sent = api
        .take_messages()
        .iter()
        .map(convosync_tests::api::Request::conversation)
        .collect::<String>();
    assert!(
        sent.contains(SAID) && sent.contains("tool_result") && sent.contains("signature"),
        "{sent}"
    );
}

#[test]
fn without_its_transcript_a_session_cannot_be_resumed() {
    let Some(client) = Client::find_or_skip() else { return };
    let api = Api::start();
    let world = World::new(&["ada"], Way::File);
    let unknown = synthetic::uuid(&mut convosync_core::id::SeededRandom::new(1));
    let refused = client.resume(&world.devices[0].home, &api, &unknown, ASKED).fails();
    assert!(refused.to_string().contains("No conversation found"), "{refused}");
}
