//! `cargo xtask demo`: two devices, a remote, and every file compared.
//!
//! Transcripts grow on the first device, and nothing but the idle timer saves them. The second one, which sees none
//! of the first one's folders, joins by the recovery phrase, resumes every session, adds to each; the first one takes
//! that back. Between them there is only the bare repository, reached over a stand-in that counts every byte.

mod code;

use std::collections::BTreeMap;
use std::path::Path;

use convosync_tests::device::Events;
use convosync_tests::synthetic::Conversation;
use convosync_tests::tree::{Times, Tree};
use convosync_tests::world::Way;
use convosync_tests::{Device, Remote, World, files};
use serde_json::Value;

use crate::corpus::Corpus;
use crate::failure::Failure;
use crate::pair::{self, Cost, Meter};
use crate::table::{Table, bytes};
use crate::{print, shell};

const NAMES: [&str; 2] = ["ada", "bob"];

/// Plays the demo with the transcripts below `transcripts`, or with synthetic ones.
///
/// # Errors
/// When something is not saved in time, or a file differs.
pub(crate) fn run(transcripts: Option<&Path>, keep: Option<&Path>) -> Result<(), Failure> {
    shell::build_programs()?;
    let mut world = match keep {
        Some(dir) => World::kept(dir, &NAMES, Way::Counted),
        None => World::new(&NAMES, Way::Counted),
    };
    let corpus = match transcripts {
        Some(dir) => Corpus::read(dir)?,
        None => Corpus::synthetic(world.devices[0].home.project()),
    };
    introduce(&world, &corpus);
    let mut table = Table::new(&["step", "new bytes", "sent", "received", "seconds"]);
    let played = play(&mut world, &corpus, &mut table);
    print::heading("what it cost");
    print::line(&table.text());
    totals(&world);
    played
}

fn introduce(world: &World, corpus: &Corpus) {
    print::heading("two devices");
    for device in &world.devices {
        print::line(&format!("    {}: {}", device.name(), device.home.project().display()));
    }
    let sight = if world.is_isolated() {
        "each in its own mount namespace: neither sees the other's folders"
    } else {
        "in separate folders (this system allows no mount namespaces)"
    };
    print::line(&format!("    {sight}"));
    print::line(&format!(
        "    {} files, growing in {} rounds",
        corpus.files.len(),
        corpus.rounds()
    ));
}

fn play(world: &mut World, corpus: &Corpus, table: &mut Table) -> Result<(), Failure> {
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let repository = Tree::of(ada.home.project(), Times::Counted);
    let told = ada.watch();

    print::heading("ada writes; saves come from the idle timer");
    for round in 0..corpus.rounds() {
        grow(ada, &told, corpus, round, table)?;
    }

    print::heading("bob joins by the recovery phrase and resumes everything");
    bob.start();
    step(table, bob, "bob joins", 0, || {
        bob.join(&phrase);
        Ok(())
    })?;
    let arrived = resume_all(bob, ada, table, "bob resumes")?;
    report("on bob's device", &ada.home.transcripts(), &bob.home.transcripts())?;

    print::heading("bob adds to each session, and ada takes it back");
    let added = add(bob, &arrived, table)?;
    resume_each(ada, &added, table, "ada resumes")?;
    report("back on ada's device", &bob.home.transcripts(), &ada.home.transcripts())?;

    repository.assert_same(&Tree::of(ada.home.project(), Times::Counted));
    print::line("    ada's repository: every byte and time as before");

    print::heading("ada leaves unfinished work: code and conversation travel together");
    code::play(ada, bob, table)
}

/// Writes one round on `ada` and waits until the remote holds it.
fn grow(
    ada: &Device,
    told: &Events,
    corpus: &Corpus,
    round: usize,
    table: &mut Table,
) -> Result<(), Failure> {
    let meter = Meter::start(ada);
    let written = corpus.write_round(&ada.home.transcripts(), round);
    pair::wait_until_all_saved(ada, told)?;
    add_row(table, &format!("ada saves, round {}", round + 1), written, meter.cost(ada));
    Ok(())
}

/// Resumes on `here` every session that it lists and that `there` saved.
fn resume_all(
    here: &Device,
    there: &Device,
    table: &mut Table,
    what: &str,
) -> Result<BTreeMap<String, u64>, Failure> {
    step(table, here, &format!("{} asks for news", here.name()), 0, || {
        here.ctl_json(&["list", "--all", "--refresh"]);
        Ok(())
    })?;
    let is_theirs = |session: &&Value| session["device_name"] == there.name();
    let listed = here.sessions();
    let sessions: BTreeMap<String, u64> = listed
        .iter()
        .filter(is_theirs)
        .map(|session| (pair::id_of(session).to_owned(), pair::bytes_of(session)))
        .collect();
    resume_each(here, &sessions, table, what)?;
    Ok(sessions)
}

fn resume_each(
    here: &Device,
    sessions: &BTreeMap<String, u64>,
    table: &mut Table,
    what: &str,
) -> Result<(), Failure> {
    let total = sessions.values().sum();
    step(table, here, &format!("{what} {} sessions", sessions.len()), total, || {
        for id in sessions.keys() {
            here.ctl_json(&["resume", id]);
        }
        Ok(())
    })
}

/// Lets each session go on by one turn on `bob`; returns the sessions with their new lengths.
fn add(
    bob: &Device,
    sessions: &BTreeMap<String, u64>,
    table: &mut Table,
) -> Result<BTreeMap<String, u64>, Failure> {
    let told = bob.watch();
    let meter = Meter::start(bob);
    let mut lengths = BTreeMap::new();
    let mut written = 0;
    for (seed, (id, length)) in (1_000..).zip(sessions) {
        let path = bob.home.transcripts().join(format!("{id}.jsonl"));
        if !path.is_file() {
            continue;
        }
        let mut talk =
            Conversation::resumed(seed, bob.home.project(), id, leaf(&files::read(&path)));
        let lines: String = talk.turn().iter().map(|line| format!("{line}\n")).collect();
        files::append(&path, lines.as_bytes());
        written += lines.len() as u64;
        lengths.insert(id.clone(), length + lines.len() as u64);
    }
    pair::wait_until_saved(bob, &told, &lengths)?;
    add_row(table, "bob saves what he added", written, meter.cost(bob));
    Ok(lengths)
}

/// Returns the uuid of the last line that has one.
fn leaf(transcript: &[u8]) -> Option<String> {
    let uuid = |line: &[u8]| {
        serde_json::from_slice::<Value>(line).ok()?["uuid"].as_str().map(str::to_owned)
    };
    transcript.rsplit(|byte| *byte == b'\n').find_map(uuid)
}

fn report(place: &str, from: &Path, to: &Path) -> Result<(), Failure> {
    let (equal, different) = pair::compare(from, to);
    print::line(&format!(
        "    {equal} of {} files {place} equal by digest, to the last newline",
        equal + different.len()
    ));
    let torn = pair::only_torn(from).len();
    if torn > 0 {
        print::line(&format!("    ({torn} of them hold no complete line yet, and wait)"));
    }
    if different.is_empty() { Ok(()) } else { Err(Failure::Unequal(different)) }
}

fn step(
    table: &mut Table,
    device: &Device,
    what: &str,
    new: u64,
    run: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let meter = Meter::start(device);
    run()?;
    add_row(table, what, new, meter.cost(device));
    Ok(())
}

fn add_row(table: &mut Table, what: &str, new: u64, cost: Cost) {
    let seconds = format!("{:.1}", cost.took.as_secs_f64());
    print::line(&format!("    {what}: {} bytes in {seconds} s", bytes(new)));
    table.row([
        what.to_owned(),
        bytes(new),
        bytes(cost.traffic.sent),
        bytes(cost.traffic.received),
        seconds,
    ]);
}

fn totals(world: &World) {
    for device in &world.devices {
        let traffic = Remote::traffic(&device.home);
        let (sent, received) = (bytes(traffic.sent), bytes(traffic.received));
        print::line(&format!(
            "{} in all: {sent} sent, {received} received, {} connections",
            device.name(),
            traffic.connections
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leaf_is_the_last_line_with_a_uuid() {
        let text = b"{\"uuid\":\"a\"}\n{\"uuid\":\"b\"}\n{\"type\":\"mode\"}\nbroken\n";
        assert_eq!(leaf(text).as_deref(), Some("b"));
        assert_eq!(leaf(b""), None);
    }
}
