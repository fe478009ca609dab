//! `cargo xtask bench upload`: what saves cost on the wire, beside gzip, zstd and plain git.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use convosync_tests::synthetic::Conversation;
use convosync_tests::world::Way;
use convosync_tests::{Device, Remote, World, Writer, files};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::corpus::{Corpus, Growing};
use crate::failure::Failure;
use crate::pair::{self, Meter};
use crate::table::{Table, bytes, ratio};
use crate::{print, shell};

/// The level both yardsticks use; gzip's best.
const LEVEL: u32 = 9;

/// Sessions in the store while the cost of one more save is measured.
const SESSIONS: u64 = 100;

/// Measures growing series, the cost of a save among many sessions, and of the way back.
///
/// # Errors
/// When something is not saved in time, or there is no series to measure.
pub(crate) fn upload(transcripts: Option<&Path>) -> Result<(), Failure> {
    shell::build_programs()?;
    let corpus = match transcripts {
        Some(dir) => Corpus::read(dir)?,
        None => Corpus::synthetic(Path::new("/home/ada/code/app")),
    };
    let is_series = |file: &&Growing| file.is_series && file.parts.len() > 1;
    let series: Vec<&Growing> = corpus.files.iter().filter(is_series).collect();
    if series.is_empty() {
        return Err(Failure::Empty(
            transcripts.unwrap_or(Path::new("the synthetic corpus")).to_owned(),
        ));
    }
    for file in series {
        measure_series(file)?;
    }
    among_many_sessions()?;
    there_and_back()
}

/// One series alone: ours over the wire, both directions, everything included.
fn measure_series(file: &Growing) -> Result<(), Failure> {
    let mut world = World::new(&["ada", "git"], Way::Counted);
    let (ada, plain) = world.pair();
    ada.start();
    ada.init();
    let told = ada.watch();
    let mut table = Table::new(&["save", "raw", "ours", "gzip -9", "zstd -9", "git push"]);
    let mut sums = [0; 5];
    for (index, part) in file.parts.iter().enumerate() {
        let meter = Meter::start(ada);
        files::append(&ada.home.transcripts().join(&file.path), part);
        pair::wait_until_all_saved(ada, &told)?;
        let ours = meter.cost(ada).traffic.total();
        let row =
            [part.len() as u64, ours, gzip(part), zstd(part), git_push(plain, &file.path, part)];
        sums.iter_mut().zip(row).for_each(|(sum, figure)| *sum += figure);
        table.row(std::iter::once((index + 1).to_string()).chain(row.map(bytes)));
    }
    table.row(std::iter::once("sum".to_owned()).chain(sums.map(bytes)));
    print::heading(&format!("series {}", file.path.display()));
    print::line(&table.text());
    let [_, ours, gzip, _, git] = sums;
    print::line(&format!(
        "ours / gzip -9 = {} (at most 0.75)   ours / git push = {} (at most 1.0)",
        ratio(ours, gzip),
        ratio(ours, git)
    ));
    Ok(())
}

/// The cost of one save beyond its chunk, with many sessions in the store.
fn among_many_sessions() -> Result<(), Failure> {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, _) = world.pair();
    ada.start();
    ada.init();
    let told = ada.watch();
    let mut writers: Vec<Writer> = (0..SESSIONS).map(|seed| ada.writer(seed)).collect();
    writers.iter_mut().for_each(Writer::turn);
    pair::wait_until_all_saved(ada, &told)?;
    print::heading(&format!("one save more, {SESSIONS} sessions in the store"));
    let mut table = Table::new(&["save", "raw", "sealed", "sent", "received", "sent beyond it"]);
    for (number, writer) in writers.iter_mut().take(5).enumerate() {
        while told.next(std::time::Duration::ZERO).is_some() {}
        let (meter, before) = (Meter::start(ada), writer.total_bytes());
        writer.turn();
        let sealed = told.expect("saved", convosync_tests::program::DEADLINE)["sealed_bytes"]
            .as_u64()
            .unwrap_or(0);
        pair::wait_until_all_saved(ada, &told)?;
        let traffic = meter.cost(ada).traffic;
        let beyond = traffic.sent.saturating_sub(sealed);
        let figures =
            [writer.total_bytes() - before, sealed, traffic.sent, traffic.received, beyond];
        table.row(std::iter::once((number + 1).to_string()).chain(figures.map(bytes)));
    }
    print::line(&table.text());
    print::line("beyond it: at most 2 560 bytes of pack; the rest is the protocol's own");
    Ok(())
}

/// A long session goes to another device, grows there, and comes back.
fn there_and_back() -> Result<(), Failure> {
    const TURNS: usize = 60;
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let told = ada.watch();
    let mut writer = ada.writer(1);
    (0..TURNS).for_each(|_| writer.turn());
    pair::wait_until_all_saved(ada, &told)?;
    bob.start();
    bob.join(&phrase);
    print::heading(&format!("a session of {} bytes there and back", bytes(writer.total_bytes())));
    let mut table = Table::new(&["step", "raw", "sent", "received"]);

    let id = writer.session().to_owned();
    resume(bob, &id, writer.total_bytes(), "bob resumes it", &mut table);
    let before = writer.total_bytes();
    let meter = Meter::start(ada);
    writer.turn();
    pair::wait_until_all_saved(ada, &told)?;
    row(&mut table, "ada goes on", writer.total_bytes() - before, &meter, ada);
    resume(bob, &id, writer.total_bytes() - before, "bob resumes what is new", &mut table);

    let added = go_on(bob, &id, writer.total_bytes(), &mut table)?;
    resume(ada, &id, added, "ada resumes what bob added", &mut table);
    print::line(&table.text());
    print::line("bob's first save: at most its new bytes sealed, and 4 096");
    Ok(())
}

fn go_on(bob: &Device, id: &str, length: u64, table: &mut Table) -> Result<u64, Failure> {
    let told = bob.watch();
    let path = bob.home.transcripts().join(format!("{id}.jsonl"));
    let lines: String = Conversation::resumed(77, bob.home.project(), id, None)
        .turn()
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    let added = lines.len() as u64;
    let meter = Meter::start(bob);
    files::append(&path, lines.as_bytes());
    pair::wait_until_saved(bob, &told, &BTreeMap::from([(id.to_owned(), length + added)]))?;
    row(table, "bob's first save", added, &meter, bob);
    Ok(added)
}

fn resume(device: &Device, id: &str, raw: u64, what: &str, table: &mut Table) {
    let meter = Meter::start(device);
    let _: Value = device.ctl_json(&["resume", id]);
    row(table, what, raw, &meter, device);
}

fn row(table: &mut Table, what: &str, raw: u64, meter: &Meter, device: &Device) {
    let traffic = meter.cost(device).traffic;
    table.row([what.to_owned(), bytes(raw), bytes(traffic.sent), bytes(traffic.received)]);
}

/// What `git push` of the raw growing file sends and receives.
fn git_push(plain: &Device, name: &Path, part: &[u8]) -> u64 {
    let home = &plain.home;
    let name = name.to_string_lossy();
    files::append(&home.project().join(&*name), part);
    home.git(&["add", "--", &name]).ok();
    home.git(&["commit", "--quiet", "--message", "save"]).ok();
    let before = Remote::traffic(home);
    home.git(&["push", "--quiet", "origin", "HEAD:refs/heads/raw"]).ok();
    Remote::traffic(home).since(before).total()
}

fn gzip(bytes: &[u8]) -> u64 {
    let mut encoder = GzEncoder::new(Counted(0), Compression::new(LEVEL));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_or(0, |counted| counted.0)
}

fn zstd(bytes: &[u8]) -> u64 {
    zstd::bulk::compress(bytes, LEVEL.cast_signed()).map_or(0, |packed| packed.len() as u64)
}

/// Takes bytes and keeps only their number.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yardsticks_shrink_what_repeats() {
        let text = b"the same line again\n".repeat(100);
        assert!((1..200).contains(&gzip(&text)) && (1..200).contains(&zstd(&text)));
    }

    #[test]
    fn plain_git_is_counted_both_ways() {
        let mut world = World::new(&["ada", "git"], Way::Counted);
        let (_, plain) = world.pair();
        let first = git_push(plain, Path::new("a.jsonl"), &[b'x'; 10]);
        let again = git_push(plain, Path::new("a.jsonl"), b"y\n");
        assert!(first > 100 && again > 100, "{first} {again}");
    }
}
