//! An agent of launchd, on macOS.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Facts, Need, ServiceError, Step, fill};

const TOOL: &str = "launchctl";
const LABEL: &str = "org.convosync.convosyncd";
const TEMPLATE: &str = include_str!("../../../launchd/org.convosync.convosyncd.plist");

/// Returns the path of the property list.
pub(super) fn file(facts: &Facts) -> PathBuf {
    facts.home.join("Library/LaunchAgents").join(format!("{LABEL}.plist"))
}

/// Returns the text of the property list.
pub(super) fn plist(facts: &Facts) -> Result<String, ServiceError> {
    let program = fill::xml(fill::text(&facts.program)?)?;
    let log = fill::xml(fill::text(&facts.log)?)?;
    let environment = fill::variables(&facts.variables, fill::launchd_variable)?;
    let values = [("PROGRAM", &*program), ("LOG", &*log), ("ENVIRONMENT", &*environment)];
    Ok(fill::fill(TEMPLATE, &values))
}

pub(super) fn install(facts: &Facts) -> Result<Vec<Step>, ServiceError> {
    let path = file(facts);
    // launchd opens the log itself, and makes no folder for it.
    let log_folder = facts.log.parent().unwrap_or(&facts.home).to_owned();
    Ok(vec![
        Step::Folder { path: log_folder, mode: 0o700 },
        Step::Write { path: path.clone(), text: plist(facts)?, mode: 0o644, folder_mode: 0o755 },
        run(["bootout".into(), agent(facts)], Need::May),
        run(["enable".into(), agent(facts)], Need::Must),
        // The old agent may still be leaving.
        Step::run(TOOL, vec!["bootstrap".into(), domain(facts), path.into()], Need::Soon),
    ])
}

pub(super) fn uninstall(facts: &Facts) -> Vec<Step> {
    vec![run(["bootout".into(), agent(facts)], Need::May), Step::Remove { path: file(facts) }]
}

pub(super) fn start(facts: &Facts) -> Vec<Step> {
    vec![run(["kickstart".into(), agent(facts)], Need::Must)]
}

pub(super) fn stop(facts: &Facts) -> Vec<Step> {
    vec![Step::run(TOOL, vec!["kill".into(), "TERM".into(), agent(facts)], Need::May)]
}

/// Returns the question whose exit status says whether the agent is loaded.
pub(super) fn ask(facts: &Facts) -> (&'static str, Vec<OsString>) {
    (TOOL, vec!["print".into(), agent(facts)])
}

fn run(args: [OsString; 2], need: Need) -> Step {
    Step::run(TOOL, args.into(), need)
}

fn domain(facts: &Facts) -> OsString {
    format!("gui/{}", facts.uid).into()
}

fn agent(facts: &Facts) -> OsString {
    format!("gui/{}/{LABEL}", facts.uid).into()
}
