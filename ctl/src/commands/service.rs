//! `service`: the daemon as a service of this system.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use convosync_core::protocol::{ErrorKind, HelloReply, Nothing, Probe, ProbeReply, Request};
use serde_json::json;

use super::enable::print_probe;
use crate::args::{self, ServiceCommand, ServiceKind};
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::files;
use crate::print::Wait;
use crate::service::{Facts, LogSource, STOP_LIMIT_S, ServiceError, Step};
use crate::socket::{Agent, Client, Limits, SocketError};
use crate::start;

/// Carries out a subcommand of `service`.
pub(crate) fn run(call: &mut Call<'_>, args: &args::Service) -> Result<ExitCode, CtlError> {
    let facts = Facts::of(call.env, &call.paths()?, args.kind)?;
    match args.command {
        ServiceCommand::Install { dry_run: true } => preview(call, &facts, &facts.install()?),
        ServiceCommand::Uninstall { dry_run: true } => preview(call, &facts, &facts.uninstall()),
        ServiceCommand::Install { .. } => install(call, &facts),
        ServiceCommand::Uninstall { .. } => uninstall(call, &facts),
        ServiceCommand::Status => status(call, &facts),
        ServiceCommand::Start => start(call, &facts),
        ServiceCommand::Stop => stop(call, &facts),
        ServiceCommand::Logs { lines, follow } => logs(call, &facts, lines, follow),
    }
}

fn preview(call: &mut Call<'_>, facts: &Facts, steps: &[Step]) -> Result<ExitCode, CtlError> {
    if call.print.json {
        call.print.answer(&json!({ "kind": facts.kind, "steps": steps }))?;
        return Ok(ExitCode::Ok);
    }
    if steps.is_empty() {
        call.print
            .line("A plain background process has no files; it is only started or stopped.")?;
    }
    for step in steps {
        call.print.line(step.describe())?;
        if let Step::Write { text, .. } = step {
            for line in text.lines() {
                call.print.line(format!("    {line}"))?;
            }
        }
    }
    call.print.next("the same without --dry-run")?;
    Ok(ExitCode::Ok)
}

fn install(call: &mut Call<'_>, facts: &Facts) -> Result<ExitCode, CtlError> {
    facts.is_installed()?;
    let steps = facts.install()?;
    end_daemon(call)?;
    perform(call, &steps)?;
    let mut client = reach(call, facts)?;
    let hello = client.hello().clone();
    check_process(call, facts, &hello)?;
    let probe = prove(call, &mut client)?;
    if call.print.json {
        let answer =
            json!({ "kind": facts.kind, "file": facts.file(), "daemon": hello, "probe": probe });
        call.print.answer(&answer)?;
    } else {
        report_install(call, facts, &hello, probe.as_ref())?;
    }
    let proven = probe.iter().flat_map(|probe| &probe.results).all(|result| result.works);
    Ok(if proven { ExitCode::Ok } else { ExitCode::KeptLocally })
}

fn perform(call: &Call<'_>, steps: &[Step]) -> Result<(), ServiceError> {
    steps.iter().try_for_each(|step| step.perform(call.env))
}

/// Connects to the service's daemon as a stranger: without handing it this terminal's ssh agent.
fn reach(call: &Call<'_>, facts: &Facts) -> Result<Client, CtlError> {
    let paths = call.paths()?;
    let open = || Client::connect(&paths.socket, &Agent(None), Limits::default());
    if facts.kind != ServiceKind::Plain {
        return Ok(start::wait_for(&open)?);
    }
    match open() {
        Err(SocketError::Absent { .. }) => Ok(start::daemon(call.env, &paths, &open)?),
        other => Ok(other?),
    }
}

/// Refuses a proof by another daemon than the service's.
fn check_process(call: &Call<'_>, facts: &Facts, hello: &HelloReply) -> Result<(), ServiceError> {
    match facts.process(call.env) {
        Some(service) if service != hello.pid => {
            Err(ServiceError::OtherDaemon { answers: hello.pid, service })
        }
        _ => Ok(()),
    }
}

/// Has the service prove that it can push; `None` while there is nothing to push with.
fn prove(call: &Call<'_>, client: &mut Client) -> Result<Option<ProbeReply>, CtlError> {
    let mut wait = Wait::new(call.env.terminal.errors && !call.options.json);
    match client.call(Request::Probe(Probe { directory: None }), &mut wait) {
        Ok(reply) => Ok(Some(reply)),
        Err(SocketError::Failed(failure)) if failure.data.kind == ErrorKind::NotInitialised => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn report_install(
    call: &mut Call<'_>,
    facts: &Facts,
    hello: &HelloReply,
    probe: Option<&ProbeReply>,
) -> Result<(), CtlError> {
    if let Some(file) = facts.file() {
        call.print.done(&format!("installed {}", file.display()))?;
    }
    call.print.done(&format!("the daemon runs (process {}, {})", hello.pid, hello.version))?;
    if facts.kind == ServiceKind::Plain {
        let hint = "`convosyncctl service start` starts it again, as does any other command";
        call.print.note(
            "this system has no service manager: the daemon ends with a restart",
            Some(hint),
        )?;
    }
    let Some(probe) = probe else {
        return Ok(call.print.next("convosyncctl init")?);
    };
    for result in &probe.results {
        print_probe(&mut call.print, result)?;
        if !result.works {
            hint_agent(call, facts, &result.remote)?;
        }
    }
    let step = if probe.results.is_empty() {
        "convosyncctl enable, in a project you want saved"
    } else if probe.results.iter().all(|result| result.works) {
        "convosyncctl status"
    } else {
        "give the service what is missing, then convosyncctl service install again"
    };
    Ok(call.print.next(step)?)
}

/// Says how the service gets the ssh agent that this terminal has.
fn hint_agent(call: &mut Call<'_>, facts: &Facts, remote: &str) -> Result<(), CtlError> {
    let Some(agent) = call.env.get("SSH_AUTH_SOCK") else { return Ok(()) };
    if !is_ssh(remote) {
        return Ok(());
    }
    let agent = agent.to_string_lossy();
    let file = facts.config_home.join("environment.d/ssh-agent.conf");
    let hint = match facts.kind {
        ServiceKind::Systemd => format!(
            "if your key is in this terminal's ssh agent, put the line SSH_AUTH_SOCK={agent} into \
             {} and log in again (an agent whose path changes at each login needs a fixed one)",
            file.display()
        ),
        ServiceKind::Termux => {
            "if your key is in an ssh agent: `sv-enable ssh-agent`, then `ssh-add`".to_owned()
        }
        ServiceKind::Launchd => {
            "if your key has a passphrase: `ssh-add --apple-use-keychain`".to_owned()
        }
        ServiceKind::Plain => return Ok(()),
    };
    Ok(call.print.note("the service does not have this terminal's ssh agent", Some(&hint))?)
}

/// Whether a remote is reached by ssh: `ssh://`, or `host:path`.
fn is_ssh(remote: &str) -> bool {
    match remote.split_once("://") {
        Some((scheme, _)) => scheme.ends_with("ssh"),
        None => remote.split_once(':').is_some_and(|(host, _)| !host.contains('/')),
    }
}

fn uninstall(call: &mut Call<'_>, facts: &Facts) -> Result<ExitCode, CtlError> {
    let installed = facts.is_installed()?;
    if installed {
        perform(call, &facts.uninstall())?;
    }
    end_daemon(call)?;
    if call.print.json {
        call.print.answer(&json!({ "kind": facts.kind, "was_installed": installed }))?;
        return Ok(ExitCode::Ok);
    }
    match facts.file() {
        Some(file) if installed => call.print.done(&format!("removed {}", file.display()))?,
        _ => call.print.line("No service was installed; the daemon is stopped.")?,
    }
    call.print.next("nothing; any command starts the daemon when it is needed")?;
    Ok(ExitCode::Ok)
}

fn status(call: &mut Call<'_>, facts: &Facts) -> Result<ExitCode, CtlError> {
    let installed = facts.is_installed()?;
    let hello = peek(call)?;
    let word = if installed { facts.word(call.env) } else { None };
    if call.print.json {
        call.print.answer(&json!({
            "kind": facts.kind,
            "file": facts.file().filter(|_| installed),
            "installed": installed,
            "manager": word,
            "daemon": hello,
        }))?;
    } else {
        report_status(call, facts, installed, word.as_deref(), hello.as_ref())?;
    }
    Ok(if hello.is_some() { ExitCode::Ok } else { ExitCode::NoDaemon })
}

fn report_status(
    call: &mut Call<'_>,
    facts: &Facts,
    installed: bool,
    word: Option<&str>,
    hello: Option<&HelloReply>,
) -> Result<(), CtlError> {
    match facts.file() {
        Some(file) if installed => {
            let word = word.map(|word| format!(" ({word})")).unwrap_or_default();
            call.print.done(&format!("installed: {}{word}", file.display()))?;
        }
        Some(file) => call.print.line(format!("not installed: no {}", file.display()))?,
        None => call.print.line("no service manager here: a plain background process")?,
    }
    match hello {
        Some(hello) => {
            call.print.done(&format!("runs: process {}, version {}", hello.pid, hello.version))?;
        }
        None => call.print.line("does not run")?,
    }
    let step = match (installed, hello) {
        (_, None) => "convosyncctl service start",
        (false, Some(_)) if facts.file().is_some() => "convosyncctl service install",
        (_, Some(_)) => "convosyncctl status",
    };
    Ok(call.print.next(step)?)
}

fn start(call: &mut Call<'_>, facts: &Facts) -> Result<ExitCode, CtlError> {
    let running = peek(call)?;
    let hello = match running {
        Some(hello) => hello,
        None => {
            let installed = facts.is_installed()?;
            if installed {
                perform(call, &facts.start())?;
            }
            let kind = if installed { facts.kind } else { ServiceKind::Plain };
            reach(call, &Facts { kind, ..facts.clone() })?.hello().clone()
        }
    };
    if call.print.json {
        call.print.answer(&json!({ "daemon": hello }))?;
    } else {
        call.print.done(&format!("the daemon runs (process {})", hello.pid))?;
        call.print.next("convosyncctl status")?;
    }
    Ok(ExitCode::Ok)
}

fn stop(call: &mut Call<'_>, facts: &Facts) -> Result<ExitCode, CtlError> {
    let was_running = peek(call)?.is_some();
    if facts.is_installed()? {
        perform(call, &facts.stop())?;
    }
    end_daemon(call)?;
    if call.print.json {
        call.print.answer(&json!({ "was_running": was_running }))?;
    } else {
        let text = if was_running { "the daemon is stopped" } else { "the daemon did not run" };
        call.print.done(text)?;
        call.print.next("convosyncctl service start")?;
    }
    Ok(ExitCode::Ok)
}

/// Asks whoever listens who they are, without starting anything.
fn peek(call: &Call<'_>) -> Result<Option<HelloReply>, CtlError> {
    let paths = call.paths()?;
    match Client::connect(&paths.socket, &Agent(None), Limits::default()) {
        Ok(client) => Ok(Some(client.hello().clone())),
        Err(SocketError::Absent { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Stops whatever daemon listens, and waits until it has left.
fn end_daemon(call: &mut Call<'_>) -> Result<(), CtlError> {
    call.hang_up();
    let socket = call.paths()?.socket;
    let connect = || Client::connect(&socket, &Agent(None), Limits::default());
    let mut client = match connect() {
        Ok(client) => client,
        Err(SocketError::Absent { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match client.call::<Nothing>(Request::Stop(Nothing {}), &mut Wait::new(false)) {
        // It may be gone before its answer is read.
        Ok(_) | Err(SocketError::Closed | SocketError::Receive { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    drop(client);
    let gone = || matches!(connect(), Err(SocketError::Absent { .. })).then_some(());
    let left = start::until(Duration::from_secs(STOP_LIMIT_S), gone);
    Ok(left.ok_or(ServiceError::StillRuns)?)
}

fn logs(
    call: &mut Call<'_>,
    facts: &Facts,
    lines: u32,
    follow: bool,
) -> Result<ExitCode, CtlError> {
    // Without a service the daemon was started on demand and writes to its file.
    let kind = if facts.is_installed()? { facts.kind } else { ServiceKind::Plain };
    let source = Facts { kind, ..facts.clone() }.log_source(lines);
    if follow {
        return Err(follow_log(call, &source, lines));
    }
    let text = match &source {
        LogSource::Journal(args) => {
            let program = tool(call, "journalctl")?;
            let output = start::tool(call.env, &program, args)?;
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        LogSource::File(file) => files::read(file).map_err(ServiceError::from)?.unwrap_or_default(),
    };
    let all: Vec<_> = text.lines().collect();
    let last = &all[all.len().saturating_sub(lines as usize)..];
    if call.print.json {
        call.print.answer(&json!({ "lines": last }))?;
    } else {
        last.iter().try_for_each(|line| call.print.line(*line))?;
    }
    Ok(ExitCode::Ok)
}

/// Becomes the program that follows the log; returns only when that fails.
fn follow_log(call: &Call<'_>, source: &LogSource, lines: u32) -> CtlError {
    let (name, args) = match source {
        LogSource::Journal(args) => {
            let follow = args.iter().cloned().chain([OsString::from("--follow")]);
            ("journalctl", follow.collect::<Vec<_>>())
        }
        LogSource::File(file) => {
            ("tail", vec!["-n".into(), lines.to_string().into(), "-F".into(), file.into()])
        }
    };
    let args: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
    match tool(call, name) {
        Ok(program) => {
            start::replace(call.env, &program, &args, Path::new("/"), &Default::default()).into()
        }
        Err(error) => error.into(),
    }
}

fn tool(call: &Call<'_>, program: &'static str) -> Result<std::path::PathBuf, ServiceError> {
    let hint = "look at the daemon's log with what this system has";
    call.env.find_program(program).ok_or(ServiceError::NoTool { program, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_remotes_are_told_from_others() {
        for remote in ["git@github.com:u/r.git", "ssh://h/r", "git+ssh://h/r", "host:r"] {
            assert!(is_ssh(remote), "{remote}");
        }
        for remote in ["https://h/r", "file:///srv/r", "/srv/r", "./a:b"] {
            assert!(!is_ssh(remote), "{remote}");
        }
    }
}
