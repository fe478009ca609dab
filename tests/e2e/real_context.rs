//! Reading back what the real client wrote while it made commits, also before the daemon ever ran.

use convosync_tests::api::{Api, RUN};
use convosync_tests::claude::Client;
use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, World, files};
use serde_json::{Value, json};

use crate::SAVED_WITHIN;

const SESSION: &str = "1c9d7a52-6a0e-4b6f-8a35-3f0c2b7d9e11";

/// Git's reflog knows seconds, and the stand-in answers within one: what is asked for and what is done must not
/// be of the same second.
const LATER: &str = "sleep 1.1";

/// On a busy machine the client ends now and then before it has written its last line. When it goes on it writes
/// this in its place.
const LOST: &str = "No response requested.";

/// What Claude is asked to run in each turn, and what that says.
const TURNS: [(&str, &str); 5] = [
    ("git commit --quiet --allow-empty --message one; echo 1", "1"),
    (
        "git switch --quiet --create feature/oauth; git commit --quiet --allow-empty --message two; echo 2",
        "2",
    ),
    ("git commit --quiet --allow-empty --message three; echo 3; exit 9", "Exit code 9\n3"),
    ("git switch --quiet main; git commit --quiet --allow-empty --message four; echo 4", "4"),
    ("git commit --quiet --allow-empty --message five; echo 5", "5"),
];

fn prompt(turn: usize) -> String {
    format!("{RUN}{LATER}; {}", TURNS[turn].0)
}

/// Asks Claude for one turn, and returns the commit that it made.
#[track_caller]
fn take_turn(client: &Client, api: &Api, device: &Device, turn: usize) -> String {
    let session = if turn == 0 { "--session-id" } else { "--resume" };
    let words = [session, SESSION, "--allowedTools", "Bash", "-p", &prompt(turn)];
    let answer = client.run(&device.home, api, &words).ok().text();
    assert!(answer.contains(&format!("It said: {}", TURNS[turn].1)), "{answer}");
    device.home.git(&["rev-parse", "HEAD"]).ok().text().trim().to_owned()
}

#[track_caller]
fn saved(device: &Device) {
    let path = device.home.transcripts().join(format!("{SESSION}.jsonl"));
    device.saved_eventually(SESSION, saved_bytes(&path).len() as u64, SAVED_WITHIN);
}

/// What the user and Claude said up to a commit.
#[track_caller]
fn replayed(device: &Device, commit: &str) -> Vec<String> {
    let reply = device.ctl_json(&["replay", SESSION, "--at-commit", commit]);
    let messages = reply["messages"].as_array().cloned().unwrap_or_default();
    let text = |message: &Value| message["text"].as_str().unwrap_or_default().to_owned();
    let said = messages.iter().filter(|message| message["role"] != "tool").map(text);
    said.filter(|text| text != LOST).collect()
}

/// So many whole turns, and what was asked in the next one; of the answers those that the transcript holds.
fn said(turns: usize, transcript: &str) -> Vec<String> {
    let call = || "[Bash]".to_owned();
    let answer = |turn: usize| {
        let text = format!("It said: {}", TURNS[turn].1);
        transcript.contains(&format!("\"text\":{}", json!(text))).then_some(text)
    };
    let whole = |turn| [Some(prompt(turn)), Some(call()), answer(turn)];
    let asked = (turns < TURNS.len()).then(|| [prompt(turns), call()]);
    (0..turns).flat_map(whole).flatten().chain(asked.into_iter().flatten()).collect()
}

#[test]
fn what_the_real_client_said_at_each_commit_it_made_is_shown_also_from_before_the_daemon_ran() {
    let Some(client) = Client::find_or_skip() else { return };
    let api = Api::start();
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    let mut commits: Vec<String> = (0..3).map(|turn| take_turn(&client, &api, ada, turn)).collect();

    // Only now does the daemon run for the first time.
    ada.start();
    let phrase = ada.init();
    saved(ada);
    commits.extend((3..5).map(|turn| take_turn(&client, &api, ada, turn)));
    saved(ada);

    bob.start();
    bob.join(&phrase);
    // HEAD came back to the first commit for a moment, after the fourth turn was asked for.
    let until = [3, 2, 3, 4, 5];
    let transcript = files::read(&ada.home.transcripts().join(format!("{SESSION}.jsonl")));
    let transcript = String::from_utf8(transcript).expect("the client writes text");
    for device in [&*ada, &*bob] {
        for (commit, turns) in commits.iter().zip(until) {
            let expected = said(turns, &transcript);
            assert_eq!(replayed(device, commit), expected, "{} at {commit}", device.name());
        }
    }
    let log = bob.ctl_json(&["log", SESSION]);
    assert_ran(log["passages"].as_array().expect("a list"));
    assert_eq!(log["used"]["clients"].as_array().map(Vec::len), Some(1), "{}", log["used"]);
}

/// Each command stands in the passage in which it was asked for, with what became of it.
#[track_caller]
fn assert_ran(passages: &[Value]) {
    let commands = passages.iter().flat_map(|passage| {
        let commands = passage["commands"].as_array().cloned().unwrap_or_default();
        commands.into_iter().map(|command| (passage["branch"].clone(), command))
    });
    let ran = |(branch, command): (Value, Value)| {
        (
            branch,
            command["command"].clone(),
            command["result"].clone(),
            command["exit_code"].clone(),
        )
    };
    let expected = |turn: usize| {
        let branch = if [2, 3].contains(&turn) { "feature/oauth" } else { "main" };
        let command = format!("{LATER}; {}", TURNS[turn].0);
        let (result, code) = if turn == 2 { ("failed", json!(9)) } else { ("ok", Value::Null) };
        (json!(branch), json!(command), json!(result), code)
    };
    assert_eq!(commands.map(ran).collect::<Vec<_>>(), (0..5).map(expected).collect::<Vec<_>>());
}
