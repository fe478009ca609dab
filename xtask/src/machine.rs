//! `cargo xtask bench large | latency | idle`: what the machine is asked for.

use std::time::{Duration, Instant};

use convosync_tests::device::Events;
use convosync_tests::large::{self, Shape};
use convosync_tests::memory::{self, Memory, Peaks};
use convosync_tests::world::Way;
use convosync_tests::{Device, World, Writer, files};

use crate::failure::Failure;
use crate::table::{Table, bytes};
use crate::{pair, print, shell};

/// What the daemon and each of its children may take for any input.
const PEAK_KIB_MAX: u64 = 256 << 10;
/// What an idle daemon may take.
const IDLE_KIB_MAX: u64 = 20_000;
/// How much of one processor an idle daemon may take, in millionths.
const IDLE_CPU_MAX: u64 = 1_000;
/// A session that became idle is saved here within this time.
const SAVED_WITHIN: Duration = Duration::from_secs(2);
/// An answer of `status` takes at most this long, the client's start included.
const STATUS_WITHIN: Duration = Duration::from_millis(50);
/// Transcripts of gigabytes may take this long.
const LARGE_WITHIN: Duration = Duration::from_secs(3600);

const MIB: u64 = 1 << 20;

/// Saves and resumes what is large, and watches the memory of both daemons and of every child.
///
/// # Errors
/// When more memory is taken than may be, or the bytes differ.
pub(crate) fn large(mib: u64) -> Result<(), Failure> {
    if shell::again_with_released_programs()? {
        return Ok(());
    }
    let mut table = Table::new(&["what", "program", "peak KiB"]);
    let mut above = Vec::new();
    let shapes = [
        (format!("{mib} MiB"), Shape { bytes: mib * MIB, line: 64 << 10 }),
        ("a line of 100 MiB".to_owned(), Shape { bytes: 100 * MIB, line: 100 * MIB }),
    ];
    for (name, shape) in shapes {
        for (deed, peaks, took) in there_and_back(shape)? {
            print::line(&format!("{name}, {deed}: {:.1} s", took.as_secs_f32()));
            for (program, peak) in peaks {
                if peak > PEAK_KIB_MAX {
                    above.push(format!("{name}, {deed}: {program} took {peak} KiB"));
                }
                table.row([format!("{name}, {deed}"), program, bytes(peak)]);
            }
        }
    }
    print::line(&table.text());
    if above.is_empty() { Ok(()) } else { Err(Failure::Dear(above)) }
}

type Measured = (&'static str, Peaks, Duration);

fn there_and_back(shape: Shape) -> Result<[Measured; 2], Failure> {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let watched = Memory::watch(ada.pid().unwrap_or_default());
    let (id, path) = large::write(&ada.home.transcripts(), ada.home.project(), 7, shape);
    let length = path.metadata().map_or(0, |found| found.len());
    let started = Instant::now();
    wait_for_all(ada, &id, length)?;
    let saved = ("save and push", watched.peaks(), started.elapsed());
    bob.start();
    bob.join(&phrase);
    let watched = Memory::watch(bob.pid().unwrap_or_default());
    let started = Instant::now();
    let mut resume = bob.home.command(convosync_tests::program::binary("convosyncctl"));
    convosync_tests::program::run(resume.args(["resume", &id, "--json"]), b"", LARGE_WITHIN).ok();
    let resumed = ("fetch and resume", watched.peaks(), started.elapsed());
    let there = bob.home.transcripts().join(format!("{id}.jsonl"));
    if large::is_same(&path, &there) {
        Ok([saved, resumed])
    } else {
        Err(Failure::Unequal(vec![there.display().to_string()]))
    }
}

/// Waits until the remote holds everything, and shows what `status` says meanwhile.
fn wait_for_all(device: &Device, id: &str, length: u64) -> Result<(), Failure> {
    let (started, told) = (Instant::now(), device.watch());
    let mut said = String::new();
    while started.elapsed() < LARGE_WITHIN {
        let status = &device.ctl_json(&["status"])["projects"][0];
        let now = format!("saving {}, {}", status["saving"], status["sync"]);
        if now != said {
            print::line(&format!("{:>7.1} s  {now}", started.elapsed().as_secs_f32()));
            said = now;
        }
        let session = device.session(id);
        let is_there = |session: serde_json::Value| {
            session["total_bytes"] == length && session["on_remote"] == true
        };
        if session.is_some_and(is_there) {
            return Ok(());
        }
        told.next(Duration::from_secs(5));
    }
    Err(Failure::Late { what: device.log(), seconds: LARGE_WITHIN.as_secs() })
}

/// Measures how long an idle session waits for its save, and a user for an answer.
///
/// # Errors
/// When that is too long.
pub(crate) fn latency() -> Result<(), Failure> {
    const SESSIONS: u64 = 100;
    const SAVES: usize = 60;
    const ANSWERS: usize = 200;
    const IDLE_AFTER: Duration = Duration::from_millis(500);
    if shell::again_with_released_programs()? {
        return Ok(());
    }
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    files::write(
        &ada.home.convosync_dir().join("config.toml"),
        "[save]\nidle_after = \"500ms\"\n[store]\npush_at_most_every = \"0s\"\n",
    );
    ada.start();
    ada.init();
    let told = ada.watch();
    let mut writers: Vec<Writer> = (0..SESSIONS).map(|seed| ada.writer(seed)).collect();
    writers.iter_mut().for_each(Writer::turn);
    pair::wait_until_all_saved(ada, &told)?;
    let mut saved: Vec<Duration> = Vec::new();
    for number in (0..writers.len()).take(SAVES) {
        saved.push(one_save(&told, &mut writers[number]).saturating_sub(IDLE_AFTER));
    }
    let mut answered: Vec<Duration> =
        (0..ANSWERS).map(|_| ada.ctl(&["status", "--json"]).ok().took).collect();
    let mut table = Table::new(&["", "p50 ms", "p99 ms", "most ms"]);
    let rows = [
        ("idle fires to saved locally", spread(&mut saved), SAVED_WITHIN),
        ("`status`, with the client's start", spread(&mut answered), STATUS_WITHIN),
    ];
    let mut late = Vec::new();
    for (what, [half, nearly, most], within) in rows {
        table.row([what.to_owned(), ms(half), ms(nearly), ms(most)]);
        if nearly > within {
            late.push(format!("{what}: {} ms", ms(nearly)));
        }
    }
    print::line(&table.text());
    if late.is_empty() { Ok(()) } else { Err(Failure::Dear(late)) }
}

/// Lets a session grow, and returns how long after its last byte it was saved.
fn one_save(told: &Events, writer: &mut Writer) -> Duration {
    while told.next(Duration::ZERO).is_some() {}
    writer.turn();
    let written = Instant::now();
    told.expect("saved", Duration::from_secs(60));
    written.elapsed()
}

/// The half, the ninety-ninth of a hundred, and the longest.
fn spread(times: &mut [Duration]) -> [Duration; 3] {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    [at(50), at(99), at(100)]
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

/// Watches a daemon that has nothing to do.
///
/// # Errors
/// When it does too much, or keeps too much.
pub(crate) fn idle(minutes: u64, saved: u64) -> Result<(), Failure> {
    const TRANSCRIPTS: u64 = 10_000;
    const IN_A_FOLDER: u64 = 100;
    if shell::again_with_released_programs()? {
        return Ok(());
    }
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    // As it is delivered: only the wait for the saves at the beginning is shorter.
    files::write(&ada.home.convosync_dir().join("config.toml"), "[save]\nidle_after = \"1s\"\n");
    for number in saved..TRANSCRIPTS {
        let folder = ada.home.dir().join(format!("code/other-{}", number / IN_A_FOLDER));
        files::make_dir(&folder);
        let talk = convosync_tests::synthetic::Conversation::new(number, &folder);
        Writer::new(&ada.home.slug_dir(&folder), talk).turn();
    }
    ada.start();
    ada.init();
    let told = ada.watch();
    (0..saved).for_each(|number| ada.writer(number).turn());
    pair::wait_until_all_saved(ada, &told)?;
    drop(told);
    let pid = ada.pid().unwrap_or_default();
    print::line(&format!(
        "{TRANSCRIPTS} transcripts, {saved} of them saved; watching for {minutes} minutes"
    ));
    let settle = Instant::now();
    while settle.elapsed() < Duration::from_secs(30) {
        std::thread::park_timeout(Duration::from_secs(1));
    }
    let ((own_before, before), started) = (cpu_ticks(pid), Instant::now());
    while started.elapsed() < Duration::from_secs(minutes * 60) {
        std::thread::park_timeout(Duration::from_secs(1));
    }
    // A tick is a hundredth of a second on every Linux.
    let (own_after, after) = cpu_ticks(pid);
    let (own_ticks, ticks) = (own_after - own_before, after - before);
    let share = ticks * 10_000_000 / 1_000 / started.elapsed().as_secs().max(1);
    let kib = memory::field(pid, "VmRSS:").unwrap_or(u64::MAX);
    let own = memory::field(pid, "RssAnon:").unwrap_or(u64::MAX);
    let threads = memory::field(pid, "Threads:").unwrap_or(0);
    print::line(&format!(
        "{ticks} ticks ({own_ticks} of them without children) in {} s: {}.{:03} %; RSS {kib} KiB, {own} KiB of them its own; {threads} threads",
        started.elapsed().as_secs(),
        share / 10_000,
        share % 10_000 / 10
    ));
    let mut above = Vec::new();
    if share > IDLE_CPU_MAX {
        above.push(format!("{share} millionths of a processor"));
    }
    if kib > IDLE_KIB_MAX {
        above.push(format!("{kib} KiB"));
    }
    if above.is_empty() { Ok(()) } else { Err(Failure::Dear(above)) }
}

/// The processor's time a daemon took so far in hundredths of a second: alone, and with its children.
fn cpu_ticks(pid: u32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // Fields 14 to 17 of the line: of the process and of the children it waited for.
    let fields = after_name.split_whitespace().skip(11).take(4);
    let ticks: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    (ticks.iter().take(2).sum(), ticks.iter().sum())
}
