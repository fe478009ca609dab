//! A runit service as termux-services keeps them, on Android.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Facts, Need, ServiceError, Step, fill};
use crate::env::DAEMON;

const TOOL: &str = "sv";
const RUN: &str = include_str!("../../../termux/convosyncd/run");
const FINISH: &str = include_str!("../../../termux/convosyncd/finish");
const LOG_RUN: &str = include_str!("../../../termux/convosyncd/log/run");
const DOWN: &str = include_str!("../../../termux/convosyncd/down");

/// What runit itself leaves in a service folder.
const SUPERVISE: [&str; 7] = ["control", "lock", "ok", "pid", "stat", "status", "status.new"];

fn folder(facts: &Facts) -> PathBuf {
    facts.prefix.join("var/service").join(DAEMON)
}

/// Returns the path of the script that runs the daemon.
pub(super) fn file(facts: &Facts) -> PathBuf {
    folder(facts).join("run")
}

/// Returns where runit notes the service's process.
pub(super) fn pid_file(facts: &Facts) -> PathBuf {
    folder(facts).join("supervise/pid")
}

/// Returns where the log is.
pub(super) fn log_file(facts: &Facts) -> PathBuf {
    facts.prefix.join("var/log/sv").join(DAEMON).join("current")
}

/// Returns the text of the script that runs the daemon.
pub(super) fn run_script(facts: &Facts) -> Result<String, ServiceError> {
    let program = fill::shell(fill::text(&facts.program)?);
    let environment = fill::variables(&facts.variables, fill::shell_variable)?;
    let shell = shell_path(facts)?;
    let values = [("SHELL", &*shell), ("PROGRAM", &*program), ("ENVIRONMENT", &*environment)];
    Ok(fill::fill(RUN, &values))
}

/// Returns the text of the script that runs the logger.
pub(super) fn log_script(facts: &Facts) -> Result<String, ServiceError> {
    let logger = facts.prefix.join("share/termux-services/svlogger");
    let logger = fill::shell(fill::text(&logger)?);
    Ok(fill::fill(LOG_RUN, &[("SHELL", &shell_path(facts)?), ("LOGGER", &logger)]))
}

fn shell_path(facts: &Facts) -> Result<String, ServiceError> {
    Ok(fill::text(&facts.prefix.join("bin/sh"))?.to_owned())
}

pub(super) fn install(facts: &Facts) -> Result<Vec<Step>, ServiceError> {
    let write = |name: &str, text: &str, mode| Step::Write {
        path: folder(facts).join(name),
        text: text.to_owned(),
        mode,
        folder_mode: 0o700,
    };
    let mut steps = vec![
        // First, so that the supervisor cannot start half a service.
        write("down", DOWN, 0o600),
        write("log/run", &log_script(facts)?, 0o700),
        write("finish", &fill::fill(FINISH, &[("SHELL", &shell_path(facts)?)]), 0o700),
        write("run", &run_script(facts)?, 0o700),
    ];
    steps.extend(start(facts));
    Ok(steps)
}

pub(super) fn uninstall(facts: &Facts) -> Vec<Step> {
    let folder = folder(facts);
    let mut steps = vec![run(&["-w", "20", "force-stop"], facts, Need::May)];
    steps.push(run(&["exit"], facts, Need::May));
    steps.extend(
        ["run", "finish", "log/run", "down"].map(|name| Step::Remove { path: folder.join(name) }),
    );
    for supervise in ["supervise", "log/supervise"] {
        let inside = SUPERVISE.map(|name| folder.join(supervise).join(name));
        steps.extend(inside.map(|path| Step::Remove { path }));
        steps.push(Step::RemoveFolder { path: folder.join(supervise) });
    }
    steps.push(Step::RemoveFolder { path: folder.join("log") });
    steps.push(Step::RemoveFolder { path: folder });
    steps
}

pub(super) fn start(facts: &Facts) -> Vec<Step> {
    vec![
        Step::Remove { path: folder(facts).join("down") },
        Step::Await {
            path: folder(facts).join("supervise/ok"),
            hint: "open a new Termux session, which starts the supervisor, \
                   then `convosyncctl service start`",
        },
        run(&["up"], facts, Need::Must),
    ]
}

pub(super) fn stop(facts: &Facts) -> Vec<Step> {
    vec![run(&["-w", "20", "down"], facts, Need::May)]
}

/// Returns the question that runit answers in a line.
pub(super) fn ask(facts: &Facts) -> (&'static str, Vec<OsString>) {
    (TOOL, vec!["status".into(), folder(facts).into()])
}

fn run(args: &[&str], facts: &Facts, need: Need) -> Step {
    let args = args.iter().map(OsString::from).chain([folder(facts).into()]);
    Step::run(TOOL, args.collect(), need)
}
