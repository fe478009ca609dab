//! A user unit of systemd.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Facts, Need, ServiceError, Step, fill};

/// The tool that rules units.
pub(super) const TOOL: &str = "systemctl";

const UNIT: &str = "convosyncd.service";
const TEMPLATE: &str = include_str!("../../../systemd/convosyncd.service");

/// Returns the path of the unit.
pub(super) fn file(facts: &Facts) -> PathBuf {
    facts.config_home.join("systemd/user").join(UNIT)
}

/// Returns the text of the unit.
pub(super) fn unit(facts: &Facts) -> Result<String, ServiceError> {
    let program = fill::systemd_program(&facts.program)?;
    let environment = fill::variables(&facts.variables, fill::systemd_variable)?;
    Ok(fill::fill(TEMPLATE, &[("PROGRAM", &program), ("ENVIRONMENT", &environment)]))
}

pub(super) fn install(facts: &Facts) -> Result<Vec<Step>, ServiceError> {
    Ok(vec![
        Step::Write { path: file(facts), text: unit(facts)?, mode: 0o644, folder_mode: 0o755 },
        run(&["daemon-reload"], Need::Must),
        run(&["enable", UNIT], Need::Must),
        run(&["restart", UNIT], Need::Must),
    ])
}

pub(super) fn uninstall(facts: &Facts) -> Vec<Step> {
    vec![
        run(&["disable", "--now", UNIT], Need::May),
        Step::Remove { path: file(facts) },
        run(&["daemon-reload"], Need::May),
        run(&["reset-failed", UNIT], Need::May),
    ]
}

pub(super) fn start() -> Vec<Step> {
    vec![run(&["start", UNIT], Need::Must)]
}

pub(super) fn stop() -> Vec<Step> {
    vec![run(&["stop", UNIT], Need::Must)]
}

/// Returns the question that systemd answers in a word.
pub(super) fn ask(question: &str) -> (&'static str, Vec<OsString>) {
    (TOOL, arguments(&[question, UNIT]))
}

/// Returns the question for the service's process.
pub(super) fn ask_process() -> (&'static str, Vec<OsString>) {
    (TOOL, arguments(&["show", "--property=MainPID", "--value", UNIT]))
}

/// Returns the arguments with which `journalctl` shows the log.
pub(super) fn journal(lines: u32) -> Vec<OsString> {
    arguments(&["--unit", UNIT, "--no-pager", "--lines", &lines.to_string()])
}

fn run(args: &[&str], need: Need) -> Step {
    Step::run(TOOL, arguments(args), need)
}

fn arguments(args: &[&str]) -> Vec<OsString> {
    std::iter::once("--user").chain(args.iter().copied()).map(OsString::from).collect()
}
