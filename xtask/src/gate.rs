//! `cargo xtask test`: every check of the project, in the order in which they are quick to fail.

use std::fs;
use std::io::ErrorKind;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use convosync_tests::way::{self, Way};
use convosync_tests::{program, skip};

use crate::failure::Failure;
use crate::{print, shell};

/// Runs all of it and stops at the first check that fails.
///
/// # Errors
/// The first failure.
pub(crate) fn run() -> Result<(), Failure> {
    shell::step("format", &mut shell::cargo(&["fmt", "--all", "--", "--check"]))?;
    shell::step(
        "lints",
        &mut shell::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    )?;
    shell::step("programs", &mut shell::cargo(&["build", "--workspace", "--bins"]))?;
    let skipped = skipped_file();
    forget(&skipped)?;
    let mut summary = tests(&skipped)?;
    for way in ["ssh", "https"] {
        summary.extend(tests_over(way, &skipped)?);
    }
    shell::step("documentation tests", &mut shell::cargo(&["test", "--workspace", "--doc"]))?;
    shell::step(
        "documentation",
        shell::cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    dependencies(&skipped)?;
    conclude(&summary, &skipped)
}

/// Runs a campaign of the simulation: `cases` histories from `seed` on. A failing one prints the seed that
/// plays it again.
///
/// # Errors
/// When a history fails.
pub(crate) fn simulate(seed: u64, cases: u64) -> Result<(), Failure> {
    let words = ["test", "--package", "convosync-tests", "--test", "simulation", "--", "histories"];
    let mut command = shell::cargo(&words);
    command
        .env("CONVOSYNC_SIM_SEED", seed.to_string())
        .env("CONVOSYNC_SIM_CASES", cases.to_string());
    shell::step("simulation", &mut command)
}

/// Kills the daemon `cases` times at random moments under load, and once at every effect it has on the disk;
/// prints what came of it.
///
/// # Errors
/// When something acknowledged was lost, or anything else did not hold.
pub(crate) fn kill(seed: u64, cases: u64) -> Result<(), Failure> {
    let cases = cases.to_string();
    campaign(
        "kills",
        "kills::",
        seed,
        &[("CONVOSYNC_KILL_CASES", &cases), ("CONVOSYNC_KILL_EFFECTS", "all")],
    )
}

/// Lets `cases` of the calls with which the daemon changes the disk fail, one in a run; prints what came of it.
///
/// # Errors
/// When something that was told was not so, was lost, or was not recovered from.
pub(crate) fn fail_calls(seed: u64, cases: u64) -> Result<(), Failure> {
    campaign(
        "failing calls",
        "kills::errors",
        seed,
        &[("CONVOSYNC_KILL_ERRORS", &cases.to_string())],
    )
}

/// Runs tests of kills in another size than the gate's.
fn campaign(what: &str, tests: &str, seed: u64, variables: &[(&str, &str)]) -> Result<(), Failure> {
    shell::step("programs", &mut shell::cargo(&["build", "--workspace", "--bins"]))?;
    let words =
        ["test", "--package", "convosync-tests", "--test", "e2e", "--", tests, "--nocapture"];
    let mut command = shell::cargo(&words);
    command.env("CONVOSYNC_KILL_SEED", seed.to_string()).envs(variables.iter().copied());
    shell::step(what, &mut command)
}

/// Runs the tests and returns the runner's own closing lines.
fn tests(skipped: &Path) -> Result<Vec<String>, Failure> {
    let (mut command, closing) = if program::on_path("cargo-nextest").is_some() {
        (nextest(), "Summary [")
    } else {
        let words = ["test", "--workspace", "--lib", "--bins", "--tests"];
        (snapshots_hold(shell::cargo(&words)), "test result:")
    };
    let lines = shell::step_with_lines("tests", command.env(skip::SKIPPED_FILE, skipped))?;
    Ok(lines.into_iter().filter(|line| line.contains(closing)).collect())
}

/// The runner of tests. One test more at a time than there are processors: many wait for a network that is
/// away, or for a host that wants to be left alone for a minute.
///
/// It runs the whole workspace always: of one package alone other features are wanted, and all is built anew.
fn nextest() -> Command {
    let at_once = thread::available_parallelism().map_or(1, NonZero::get) + 1;
    let mut command = shell::cargo(&["nextest", "run", "--workspace"]);
    command.args(["--test-threads", &at_once.to_string()]);
    snapshots_hold(command)
}

/// A snapshot that is missing or differs fails, whatever the caller's environment says, and none is written.
fn snapshots_hold(mut command: Command) -> Command {
    command.env("INSTA_UPDATE", "no").env("INSTA_FORCE_PASS", "0");
    command
}

/// Runs the end-to-end tests that leave the way to the remote open once more over `way`: the profile
/// `wires` says which they are.
fn tests_over(name: &str, skipped: &Path) -> Result<Vec<String>, Failure> {
    let what = format!("end-to-end tests over {name}");
    let way = if name == "ssh" { Way::Ssh } else { Way::Https };
    let lacks = way
        .missing()
        .or_else(|| program::on_path("cargo-nextest").is_none().then_some("cargo-nextest"));
    if let Some(program) = lacks {
        missing(skipped, &what, &format!("`{program}` is not installed"))?;
        return Ok(Vec::new());
    }
    let mut command = nextest();
    command.args(["--profile", "wires"]).env(way::VARIABLE, name).env(skip::SKIPPED_FILE, skipped);
    let lines = shell::step_with_lines(&what, &mut command)?;
    // What the profile leaves out has run before, over `file://`; it was not skipped.
    let without_rest = |line: &String| line.rsplit_once(", ").map(|(ran, _)| ran.to_owned());
    let closing = lines.iter().filter(|line| line.contains("Summary ["));
    Ok(closing.filter_map(without_rest).map(|line| format!("{line}, over {name}")).collect())
}

/// Checks licences and sources, and known weaknesses where their database can be had.
fn dependencies(skipped: &Path) -> Result<(), Failure> {
    if program::on_path("cargo-deny").is_none() {
        return missing(skipped, "cargo deny", "`cargo-deny` is not installed");
    }
    shell::step(
        "licences, bans, sources",
        &mut shell::cargo(&["deny", "check", "licenses", "bans", "sources"]),
    )?;
    let has_database =
        shell::step("database of known weaknesses", &mut shell::cargo(&["deny", "fetch", "db"]));
    if has_database.is_err() {
        print::line("not reachable: known weaknesses are not checked here");
        return Ok(());
    }
    shell::step("known weaknesses", &mut shell::cargo(&["deny", "check", "advisories"]))
}

/// Notes a check that could not be made, like a skipped test.
fn missing(skipped: &Path, what: &str, why: &str) -> Result<(), Failure> {
    let text = fs::read_to_string(skipped).unwrap_or_default();
    convosync_tests::files::write(skipped, format!("{text}skipped: {what}: {why}\n"));
    if std::env::var_os(skip::REQUIRE_ALL).is_some() { Err(Failure::Skipped(1)) } else { Ok(()) }
}

fn conclude(summary: &[String], skipped: &Path) -> Result<(), Failure> {
    let named = fs::read_to_string(skipped).unwrap_or_default();
    print::heading("result");
    summary.iter().for_each(|line| print::line(line.trim()));
    named.lines().for_each(print::line);
    let count = named.lines().count() + summary.iter().map(|line| passed_over(line)).sum::<usize>();
    if count > 0 && std::env::var_os(skip::REQUIRE_ALL).is_some() {
        return Err(Failure::Skipped(count));
    }
    print::line(&format!("every check passed; {count} skipped"));
    Ok(())
}

/// Returns how many tests the runner itself passed over, as its closing line says.
fn passed_over(line: &str) -> usize {
    let words: Vec<&str> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    let passed_over = words.windows(2).filter(|pair| ["skipped", "ignored"].contains(&pair[1]));
    passed_over.filter_map(|pair| pair[0].parse::<usize>().ok()).sum()
}

fn skipped_file() -> PathBuf {
    shell::root().join("target/skipped.txt")
}

fn forget(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(Failure::File { deed: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runner_passed_over_counts() {
        for (line, count) in [
            ("     Summary [   0.712s] 8 tests run: 8 passed, 58 skipped", 58),
            ("     Summary [   0.712s] 8 tests run: 8 passed (1 slow), 0 skipped", 0),
            ("test result: ok. 2 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out", 3),
        ] {
            assert_eq!(passed_over(line), count, "{line}");
        }
    }
}
