//! `cargo xtask bench upload`: what saves cost on the wire, beside gzip, zstd and plain git.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use convosync_tests::device::Events;
use convosync_tests::program::DEADLINE;
use convosync_tests::synthetic::Conversation;
use convosync_tests::world::Way;
use convosync_tests::{Device, Remote, Traffic, World, Writer, files};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::corpus::{Corpus, Growing};
use crate::failure::Failure;
use crate::pair::{self, Meter};
use crate::table::{Table, bytes, thousandths};
use crate::{print, shell};

/// The level both yardsticks use; gzip's best.
const LEVEL: u32 = 9;

/// Sessions in the store while the cost of one more save is measured.
const SESSIONS: u64 = 100;
/// How many such saves are measured; the dearest counts.
const SAVES: usize = 5;
/// How long the session is that goes to another device.
const TURNS: usize = 60;

const THOUSAND: u64 = 1000;
/// Ours, in thousandths of what gzip makes of the same bytes.
const GZIP_SHARE: u64 = 750;
/// Ours, in thousandths of what plain git sends.
const GIT_SHARE: u64 = 1000;
/// A save beyond its chunks: commits, trees, record, summary and head.
const BEYOND_A_CHUNK: u64 = 2_560;
/// The same with the protocol of a push and of reading the ref back, both ways; our own figure.
const BEYOND_ON_THE_WIRE: u64 = 4_096;
/// The first save after resuming, both ways: the card, the roster, the grants and a negotiation come on top.
const FIRST_SAVE: u64 = 4_096;
/// What is received for learning of a newer save and getting it, beyond its chunks: three connections, the
/// new tip's trees, summary and head, the session's trees and record. Only what is new is asked for; this is
/// our own figure for it.
const NEWS: u64 = 8_192;

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
    let mut bounds = Bounds::default();
    for file in series {
        measure_series(file, &mut bounds)?;
    }
    among_many_sessions(&mut bounds)?;
    print::heading("what is asked, and what it came to");
    print::line(&bounds.table().text());
    bounds.verdict()
}

/// What the wire may cost, and what it did.
#[derive(Debug, Default)]
struct Bounds {
    rows: Vec<Bound>,
}

#[derive(Debug)]
struct Bound {
    what: String,
    /// In the unit of `measured`: thousandths of a yardstick, or bytes.
    most: u64,
    measured: u64,
    is_ratio: bool,
}

impl Bounds {
    fn ratio(&mut self, what: String, part: u64, whole: u64, most: u64) {
        let measured = (part * THOUSAND).div_ceil(whole.max(1));
        self.rows.push(Bound { what, most, measured, is_ratio: true });
    }

    fn bytes(&mut self, what: &str, measured: u64, most: u64) {
        self.rows.push(Bound { what: what.to_owned(), most, measured, is_ratio: false });
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["", "at most", "measured", ""]);
        for row in &self.rows {
            let figure = |count| if row.is_ratio { thousandths(count) } else { bytes(count) };
            let verdict = if row.measured <= row.most { "kept" } else { "MISSED" };
            let cells = [row.what.clone(), figure(row.most), figure(row.measured)];
            table.row(cells.into_iter().chain([verdict.to_owned()]));
        }
        table
    }

    fn verdict(&self) -> Result<(), Failure> {
        let missed = self.rows.iter().filter(|row| row.measured > row.most);
        let missed: Vec<String> = missed.map(|row| row.what.clone()).collect();
        if missed.is_empty() { Ok(()) } else { Err(Failure::Dear(missed)) }
    }
}

/// What one save, or one way of a session, came to on the wire and in git's packs.
#[derive(Debug, Clone, Copy)]
struct Step {
    raw: u64,
    sealed: u64,
    pack: u64,
    wire: Traffic,
}

impl Step {
    /// Both directions, beyond the sealed chunks.
    fn beyond(&self) -> u64 {
        self.wire.total().saturating_sub(self.sealed)
    }

    fn row(&self, table: &mut Table, what: &str) {
        let Self { raw, sealed, pack, wire } = *self;
        let figures = [raw, sealed, pack, wire.sent, wire.received, wire.connections];
        table.row(std::iter::once(what.to_owned()).chain(figures.map(bytes)));
    }
}

const STEPS: [&str; 7] = ["step", "raw", "sealed", "pack", "sent", "received", "connections"];

/// One series alone: ours over the wire, both directions, everything included.
fn measure_series(file: &Growing, bounds: &mut Bounds) -> Result<(), Failure> {
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
    let name = file.path.display();
    bounds.ratio(format!("(a) series {name}: ours / gzip -9"), ours, gzip, GZIP_SHARE);
    bounds.ratio(format!("(a) series {name}: ours / git push"), ours, git, GIT_SHARE);
    Ok(())
}

/// One save more with many sessions in the store; then one of them goes to another device, grows there, and
/// comes back.
fn among_many_sessions(bounds: &mut Bounds) -> Result<(), Failure> {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let told = ada.watch();
    let mut writers: Vec<Writer> = (0..SESSIONS).map(|seed| ada.writer(seed)).collect();
    writers.iter_mut().for_each(Writer::turn);
    (0..TURNS).for_each(|_| writers[0].turn());
    pair::wait_until_all_saved(ada, &told)?;
    print::heading(&format!("one save more, {SESSIONS} sessions in the store"));
    let mut table = Table::new(&STEPS);
    let mut dearest = (0, 0);
    for (number, writer) in writers.iter_mut().skip(1).take(SAVES).enumerate() {
        let step = one_turn(ada, &told, writer)?;
        step.row(&mut table, &format!("save {}", number + 1));
        let pack = step.pack.saturating_sub(step.sealed);
        dearest = (dearest.0.max(pack), dearest.1.max(step.beyond()));
    }
    print::line(&table.text());
    bounds.bytes("(b) a save beyond its chunks, in git's pack", dearest.0, BEYOND_A_CHUNK);
    bounds.bytes("(b) the same on the wire, both ways, read back", dearest.1, BEYOND_ON_THE_WIRE);
    bob.start();
    bob.join(&phrase);
    there_and_back((ada, bob), &told, &mut writers[0], bounds)
}

/// Lets a session grow by one turn and measures the save.
fn one_turn(device: &Device, told: &Events, writer: &mut Writer) -> Result<Step, Failure> {
    // What was told of earlier saves is not about this one.
    while told.next(Duration::ZERO).is_some() {}
    let before = writer.total_bytes();
    let meter = Meter::start(device);
    writer.turn();
    let length = writer.total_bytes();
    let lengths = BTreeMap::from([(writer.session().to_owned(), length)]);
    measure_save(device, told, &meter, length - before, &lengths)
}

/// Waits for the one save that is due, and tells what it cost.
fn measure_save(
    device: &Device,
    told: &Events,
    meter: &Meter,
    raw: u64,
    lengths: &BTreeMap<String, u64>,
) -> Result<Step, Failure> {
    let figure = |kind: &str, field: &str| told.expect(kind, DEADLINE)[field].as_u64();
    let sealed = figure("saved", "sealed_bytes").unwrap_or(0);
    let pack = figure("on-remote", "sent").unwrap_or(0);
    pair::wait_until_saved(device, told, lengths)?;
    Ok(Step { raw, sealed, pack, wire: meter.cost(device).traffic })
}

/// A long session goes to another device, grows there, and comes back.
fn there_and_back(
    (ada, bob): (&Device, &Device),
    told: &Events,
    writer: &mut Writer,
    bounds: &mut Bounds,
) -> Result<(), Failure> {
    let id = writer.session().to_owned();
    let long = bytes(writer.total_bytes());
    print::heading(&format!("a session of {long} bytes there and back, among {SESSIONS}"));
    let mut table = Table::new(&STEPS);
    bob.ctl_json(&["list", "--all", "--refresh"]);
    resume(bob, &id).row(&mut table, "bob resumes it");
    let gone_on = one_turn(ada, told, writer)?;
    gone_on.row(&mut table, "ada goes on");
    let newer = resume(bob, &id);
    newer.row(&mut table, "bob resumes what is new");
    let added = add_on(bob, &id, writer.total_bytes())?;
    added.row(&mut table, "bob's first save");
    let back = resume(ada, &id);
    back.row(&mut table, "ada resumes what bob added");
    print::line(&table.text());
    let beyond = |step: Step, new: Step| step.wire.received.saturating_sub(new.sealed);
    bounds.bytes("(c) a first save after resuming, beyond its chunks", added.beyond(), FIRST_SAVE);
    bounds.bytes("(d) downloaded for what is new, beyond its chunks", beyond(newer, gone_on), NEWS);
    bounds.bytes("(d) the same on the way back", beyond(back, added), NEWS);
    Ok(())
}

/// Adds a turn on the device that resumed the session.
fn add_on(bob: &Device, id: &str, length: u64) -> Result<Step, Failure> {
    let told = bob.watch();
    let path = bob.home.transcripts().join(format!("{id}.jsonl"));
    let lines: String = Conversation::resumed(77, bob.home.project(), id, None)
        .turn()
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    let raw = lines.len() as u64;
    let meter = Meter::start(bob);
    files::append(&path, lines.as_bytes());
    measure_save(bob, &told, &meter, raw, &BTreeMap::from([(id.to_owned(), length + raw)]))
}

fn resume(device: &Device, id: &str) -> Step {
    let meter = Meter::start(device);
    let _: Value = device.ctl_json(&["resume", id]);
    Step { raw: 0, sealed: 0, pack: 0, wire: meter.cost(device).traffic }
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
