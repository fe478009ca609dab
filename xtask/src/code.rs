//! `cargo xtask bench code`: what capturing a work tree takes, beside `git status` in the same run.

use std::path::Path;
use std::time::{Duration, Instant};

use convosync_core::capture::{Captured, Memory, NONE_GONE, Objects, Scope, Spool, capture};
use convosync_core::code::{Guard, Limits};
use convosync_core::git::Git;
use convosync_core::project::{self, Project};
use convosync_tests::{files, program};

use crate::failure::Failure;
use crate::print;
use crate::table::{Table, thousandths};

/// An incremental capture, in thousandths of what `git status` takes.
const SHARE_MAX: u128 = 1_500;
/// How often each is measured; the median counts.
const ROUNDS: usize = 15;
/// How many files share a directory.
const FOLDER: usize = 100;
/// A time long after everything here: every stamp tells.
const LATER_MS: i64 = 4_000_000_000_000;

/// Measures captures of a work tree of `count` files.
///
/// # Errors
/// When a capture takes longer than it may.
pub(crate) fn code(count: usize) -> Result<(), Failure> {
    let failed = |source| Failure::File { deed: "make", path: "a folder".into(), source };
    let place = tempfile::tempdir().map_err(failed)?;
    let root = place.path().join("app");
    lay_out(&root, count);
    let mut rounds = Rounds::begin(place.path(), &root);
    let (first, captured) = rounds.capture();
    print::line(&format!("first capture: {} ms, {} bytes", first.as_millis(), captured.fresh));
    let mut table = Table::new(&["median of each", "git status, ms", "capture, ms", "ratio"]);
    let mut above = Vec::new();
    for (name, touch, is_bound) in [
        ("nothing changed", (|_, _| {}) as fn(&Path, usize), true),
        ("one file edited", |root, round| edit(root, "0/7.txt", round), true),
        ("one file added", |root, round| edit(root, &format!("3/new {round}.txt"), round), true),
        ("one file edited and staged", stage, false),
    ] {
        let (status, own) = rounds.play(&root, touch);
        let ratio = own.as_micros() * 1000 / status.as_micros().max(1);
        let cells = [status.as_millis().to_string(), own.as_millis().to_string()];
        let ratio_text = thousandths(u64::try_from(ratio).unwrap_or(u64::MAX));
        table.row([name.to_owned()].into_iter().chain(cells).chain([ratio_text]));
        if is_bound && ratio > SHARE_MAX {
            above.push(format!("{name}: {ratio} thousandths of `git status`"));
        }
    }
    print::line(&table.text());
    if above.is_empty() { Ok(()) } else { Err(Failure::Dear(above)) }
}

fn git(root: &Path, args: &[&str]) -> program::Run {
    let mut command = program::command("git");
    command.current_dir(root).env("HOME", root).env("GIT_CONFIG_NOSYSTEM", "1");
    command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.invalid"]).args(args);
    program::run(&mut command, b"", program::DEADLINE).ok()
}

fn lay_out(root: &Path, count: usize) {
    for number in 0..count {
        let place = root.join(format!("{}/{}.txt", number / FOLDER, number % FOLDER));
        files::write(&place, format!("file {number}\n"));
    }
    git(root, &["init", "-q", "-b", "main"]);
    git(root, &["add", "."]);
    git(root, &["commit", "-q", "-m", "all"]);
    git(root, &["config", "remote.origin.url", "https://host.invalid/app.git"]);
    git(root, &["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"]);
    git(root, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    git(root, &["status"]);
}

fn edit(root: &Path, file: &str, round: usize) {
    files::write(&root.join(file), format!("round {round}\n").repeat(20));
}

fn stage(root: &Path, round: usize) {
    edit(root, "5/5.txt", round);
    git(root, &["add", "5/5.txt"]);
}

struct Rounds {
    git: Git,
    project: Project,
    guard: Guard,
    spool: Spool,
    memory: Memory,
    round: usize,
}

impl Rounds {
    fn begin(place: &Path, root: &Path) -> Self {
        let git = Git::find(None, &|name| match name {
            "PATH" => std::env::var_os(name),
            "HOME" => Some(root.as_os_str().to_owned()),
            "GIT_CONFIG_NOSYSTEM" => Some("1".into()),
            _ => None,
        });
        let git = git.expect("git is on the path");
        let project = project::discover(root, &git).expect("the repository was just made");
        let guard = Guard::new(&project.root, root, &[], &[]);
        let spool = Spool::open(&place.join("log")).expect("nothing is there yet");
        Self { git, project, guard, spool, memory: Memory::default(), round: 0 }
    }

    fn capture(&mut self) -> (Duration, Captured) {
        let scope = Scope {
            project: &self.project,
            git: &self.git,
            guard: &self.guard,
            limits: Limits::default(),
            room: None,
            objects: Objects::Unpushed,
            gone: NONE_GONE,
            passed_over: None,
            heard: None,
            now_ms: LATER_MS,
        };
        let started = Instant::now();
        let captured = capture(&scope, &mut self.spool, &mut self.memory);
        let took = started.elapsed();
        (took, captured.expect("the log can be written").expect("the repository holds still"))
    }

    /// Measures both after each change; who is first alternates. Returns the medians.
    fn play(&mut self, root: &Path, touch: fn(&Path, usize)) -> (Duration, Duration) {
        let (mut statuses, mut captures) = (Vec::new(), Vec::new());
        for turn in 0..ROUNDS {
            self.round += 1;
            touch(root, self.round);
            let mut status = || {
                let run = git(root, &["--no-optional-locks", "status"]);
                statuses.push(run.took);
            };
            if turn % 2 == 0 {
                status();
                captures.push(self.capture().0);
            } else {
                captures.push(self.capture().0);
                status();
            }
        }
        (median(statuses), median(captures))
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
