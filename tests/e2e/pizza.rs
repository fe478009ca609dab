//! The acceptance test of the original plugin, with the real client: said on one device, known on the other.

use convosync_tests::api::Api;
use convosync_tests::claude::Client;
use convosync_tests::world::Way;
use convosync_tests::{Device, World};

use crate::SAVED_WITHIN;

const SAID: &str = "By the way, my favorite pizza is Margherita";
const ASKED: &str = "What is my favorite pizza?";
const LATER: &str = "Then book a table for two at eight";
const SESSION: &str = "8f14e45f-ceea-467f-9b2d-0c9a1b7d3e55";

/// Asks on `device` and returns the conversation that the client sent.
fn ask(client: &Client, api: &Api, device: &Device, question: &str) -> (String, String) {
    api.take_messages();
    let answer = client.resume(&device.home, api, SESSION, question).ok().text();
    let asked = api.take_messages();
    let request = asked
        .iter()
        .map(convosync_tests::api::Request::conversation)
        .find(|sent| sent.contains(question));
    (request.expect("the question was sent"), answer)
}

#[test]
fn what_was_said_on_one_device_is_known_on_the_other_and_the_answer_goes_back() {
    let Some(client) = Client::find_or_skip() else { return };
    let api = Api::start();
    let mut world = World::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    client.say(&ada.home, &api, SESSION, SAID).ok();
    ada.transcript_saved_eventually(SESSION, SAVED_WITHIN);

    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", SESSION]);
    let (sent, answer) = ask(&client, &api, bob, ASKED);
    assert!(sent.contains(SAID), "{sent}");
    assert!(answer.contains("Margherita"), "{answer}");

    bob.transcript_saved_eventually(SESSION, SAVED_WITHIN);
    ada.ctl_json(&["resume", SESSION]);
    let (sent, _) = ask(&client, &api, ada, LATER);
    assert!(sent.contains(SAID) && sent.contains(ASKED), "{sent}");
}
