//! One conversation's way through a remote and back, step by step, and what each step cost on the wire.

use crate::synthetic::Conversation;
use crate::writer::saved_bytes;
use crate::{Device, Remote, SAVED_WITHIN, Traffic, World, Writer, files, work};

/// How long the conversation is when the second device first sees it.
const TURNS: usize = 12;

/// A step and its cost.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was done.
    pub what: &'static str,
    /// What it cost the device that did it.
    pub traffic: Traffic,
    /// How many bytes of conversation were new to whoever got them.
    pub new_bytes: u64,
}

/// The steps, in the order in which they were taken.
#[derive(Debug, Clone)]
pub struct Trip {
    /// All of them.
    pub steps: Vec<Step>,
    /// Whether the second device had to fetch the first one's ref with all its past.
    pub kept_full_copy: bool,
}

impl Trip {
    /// Lets the first device of `world` save, the second one resume and go on, and the first one resume.
    ///
    /// # Panics
    /// When a step fails, or a byte differs.
    #[track_caller]
    pub fn take(world: &mut World) -> Self {
        Self::walk(world).0
    }

    /// Takes the same trip, and then one with unfinished work around the conversation: see [`work::leave`].
    ///
    /// # Panics
    /// As [`Trip::take`]; and when the code differs.
    #[track_caller]
    pub fn take_with_code(world: &mut World) -> Self {
        let (mut trip, mut writer) = Self::walk(world);
        let (ada, bob) = world.pair();
        code(ada, bob, &mut writer, &mut trip.steps);
        trip
    }

    #[track_caller]
    fn walk(world: &mut World) -> (Self, Writer) {
        let (ada, bob) = world.pair();
        let mut steps = Vec::new();
        let phrase = begin(ada, &mut steps);
        let mut writer = there(ada, bob, &phrase, &mut steps);
        news(ada, bob, &mut writer, &mut steps);
        back(ada, bob, &writer, &mut steps);
        let stores = files::under(&bob.home.convosync_dir().join("state/stores"));
        let is_full = |path: &std::path::PathBuf| path.to_string_lossy().contains("/full.git/");
        (Self { steps, kept_full_copy: stores.iter().any(is_full) }, writer)
    }

    /// Returns what a step cost.
    ///
    /// # Panics
    /// When there was no such step.
    #[track_caller]
    pub fn step(&self, what: &str) -> &Step {
        let found = self.steps.iter().find(|step| step.what == what);
        found.unwrap_or_else(|| panic!("no step `{what}`: {self:?}"))
    }
}

/// Does `deed` on `device` and returns its cost with its result.
#[track_caller]
fn cost<T>(device: &Device, deed: impl FnOnce() -> T) -> (Traffic, T) {
    let before = Remote::traffic(&device.home);
    let done = deed();
    (Remote::traffic(&device.home).since(before), done)
}

#[track_caller]
fn begin(ada: &mut Device, steps: &mut Vec<Step>) -> String {
    ada.start();
    let (traffic, phrase) = cost(ada, || {
        let told = ada.watch();
        let phrase = ada.init();
        // Its card is sent after the answer.
        told.expect("on-remote", SAVED_WITHIN);
        phrase
    });
    steps.push(Step { what: "init", traffic, new_bytes: 0 });
    phrase
}

#[track_caller]
fn there(ada: &Device, bob: &mut Device, phrase: &str, steps: &mut Vec<Step>) -> Writer {
    let mut writer = ada.writer(1);
    let (traffic, ()) = cost(ada, || save(ada, &mut writer, TURNS));
    steps.push(Step { what: "first save", traffic, new_bytes: writer.total_bytes() });
    let before = writer.total_bytes();
    let (traffic, ()) = cost(ada, || save(ada, &mut writer, 1));
    steps.push(Step { what: "next save", traffic, new_bytes: writer.total_bytes() - before });
    bob.start();
    let (traffic, ()) = cost(bob, || {
        let told = bob.watch();
        bob.join(phrase);
        told.expect("on-remote", SAVED_WITHIN);
    });
    steps.push(Step { what: "join", traffic, new_bytes: 0 });
    let (traffic, ()) = cost(bob, || resume(bob, writer.session()));
    steps.push(Step { what: "first resume", traffic, new_bytes: writer.total_bytes() });
    assert_same(ada, bob, &writer);
    writer
}

#[track_caller]
fn news(ada: &Device, bob: &Device, writer: &mut Writer, steps: &mut Vec<Step>) {
    list(bob);
    let (traffic, ()) = cost(bob, || list(bob));
    steps.push(Step { what: "list, nothing new", traffic, new_bytes: 0 });
    let before = writer.total_bytes();
    save(ada, writer, 1);
    let (traffic, ()) = cost(bob, || list(bob));
    steps.push(Step { what: "list, a new save", traffic, new_bytes: 0 });
    let (traffic, ()) = cost(bob, || resume(bob, writer.session()));
    let new_bytes = writer.total_bytes() - before;
    steps.push(Step { what: "second resume", traffic, new_bytes });
    assert_same(ada, bob, writer);
}

#[track_caller]
fn back(ada: &Device, bob: &Device, writer: &Writer, steps: &mut Vec<Step>) {
    let id = writer.session();
    let talk = Conversation::resumed(5, bob.home.project(), id, None);
    let path = bob.home.transcripts().join(format!("{id}.jsonl"));
    let text: String = { talk }.turn().iter().map(|line| format!("{line}\n")).collect();
    let new_bytes = text.len() as u64;
    let (traffic, ()) = cost(bob, || {
        files::append(&path, text.as_bytes());
        bob.saved_eventually(id, writer.total_bytes() + new_bytes, SAVED_WITHIN);
    });
    steps.push(Step { what: "first save after resuming", traffic, new_bytes });
    let (traffic, ()) = cost(ada, || resume(ada, id));
    steps.push(Step { what: "resume of what came back", traffic, new_bytes });
    files::assert_same(&files::read(&writer.path()), &files::read(&path));
}

#[track_caller]
fn code(ada: &Device, bob: &Device, writer: &mut Writer, steps: &mut Vec<Step>) {
    work::leave(ada);
    let before = writer.total_bytes();
    let (traffic, ()) = cost(ada, || save(ada, writer, 1));
    let new_bytes = writer.total_bytes() - before;
    steps.push(Step { what: "save with code", traffic, new_bytes });
    let (traffic, ()) = cost(bob, || resume(bob, writer.session()));
    steps.push(Step { what: "resume that brings code", traffic, new_bytes });
    assert_eq!(work::seen(bob), work::seen(ada));
    work::write(ada, "README.md", "changed once more\n");
    let before = writer.total_bytes();
    let (traffic, ()) = cost(ada, || save(ada, writer, 1));
    let new_bytes = writer.total_bytes() - before;
    steps.push(Step { what: "save with a changed file", traffic, new_bytes });
    let (traffic, ()) = cost(bob, || resume(bob, writer.session()));
    steps.push(Step { what: "resume of a changed file", traffic, new_bytes });
    assert_eq!(work::seen(bob), work::seen(ada));
}

#[track_caller]
fn save(device: &Device, writer: &mut Writer, turns: usize) {
    (0..turns).for_each(|_| writer.turn());
    device.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

#[track_caller]
fn list(device: &Device) {
    device.ctl_json(&["list", "--all", "--refresh"]);
}

#[track_caller]
fn resume(device: &Device, session: &str) {
    device.ctl_json(&["resume", session]);
}

#[track_caller]
fn assert_same(here: &Device, there: &Device, writer: &Writer) {
    let path = there.home.transcripts().join(format!("{}.jsonl", writer.session()));
    assert!(here.home.transcripts() != there.home.transcripts());
    files::assert_same(&saved_bytes(&writer.path()), &files::read(&path));
}
