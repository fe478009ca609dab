//! `enable` and `disable`: which projects are saved.

use convosync_core::protocol::{
    Disable, Enable, EnableReply, EnabledProject, ErrorKind, OwnSetting, OwnSettings, ProbeResult,
    Request,
};

use crate::args;
use crate::ask;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{Printer, count};

/// Enables this project, or every one.
pub(crate) fn run(call: &mut Call<'_>, all: bool) -> Result<ExitCode, CtlError> {
    let may_ask = call.is_interactive();
    let reply = enable(call, all, may_ask)?;
    if call.print.json {
        call.print.answer(&reply)?;
    } else {
        print(&mut call.print, &reply)?;
        next(&mut call.print, &reply)?;
    }
    Ok(outcome(&reply))
}

/// Disables this project, or every one, or lets go of a remote that is only read.
pub(crate) fn run_disable(call: &mut Call<'_>, args: args::Disable) -> Result<ExitCode, CtlError> {
    let is_of_remote = args.remote.is_some();
    let request = Disable { directory: call.directory(), all: args.which.all, remote: args.remote };
    let reply: EnableReply = call.ask(Request::Disable(request))?;
    if call.print.json {
        call.print.answer(&reply)?;
        return Ok(ExitCode::Ok);
    }
    for project in &reply.projects {
        call.print.done(&format!("{} is no longer saved", project.name))?;
    }
    for remote in &reply.remotes {
        call.print.done(&format!("{remote} is no longer read"))?;
    }
    if reply.projects.is_empty() && reply.remotes.is_empty() {
        call.print.line("Nothing was enabled.")?;
    }
    let step = match is_of_remote {
        true => "convosyncctl list; what lies at that remote stays there",
        false => "convosyncctl enable, whenever you want it back; what is saved stays",
    };
    call.print.next(step)?;
    Ok(ExitCode::Ok)
}

/// Asks the daemon to enable this project, or every one. What the repository's own configuration says of
/// programs counts only if the user agrees: when asked, or, where nobody can be asked, by running this in
/// that very repository.
pub(crate) fn enable(
    call: &mut Call<'_>,
    all: bool,
    may_ask: bool,
) -> Result<EnableReply, CtlError> {
    let first = match (may_ask, all) {
        (true, _) => OwnSettings::Ask,
        (false, true) => OwnSettings::Leave,
        (false, false) => OwnSettings::Agree,
    };
    let reply = request(call, all, first)?;
    if !reply.asks {
        return Ok(reply);
    }
    for project in &reply.projects {
        print_asking(&mut call.print, project)?;
    }
    let agreed = ask::confirm("Did you set these, and shall they be used to reach the remote?")?;
    request(call, all, if agreed { OwnSettings::Agree } else { OwnSettings::Leave })
}

fn request(
    call: &mut Call<'_>,
    all: bool,
    own_settings: OwnSettings,
) -> Result<EnableReply, CtlError> {
    let directory = call.directory();
    call.ask(Request::Enable(Enable { directory, all, own_settings }))
}

fn print_asking(print: &mut Printer<'_>, project: &EnabledProject) -> Result<(), CtlError> {
    print.line(format!("The configuration of {} itself says:", project.root.display()))?;
    for own in project.own_settings.iter().filter(|own| !own.agreed) {
        print.line(format!("  {} = {}", own.key, own.value))?;
    }
    Ok(())
}

/// What became of enabling the current project right after the keys were made.
pub(crate) enum FirstEnable {
    /// Projects are enabled.
    Done(EnableReply),
    /// There is no project to enable here, which is no failure of `init`.
    NotHere(CtlError),
    /// It failed.
    Failed(CtlError),
}

impl FirstEnable {
    /// Tries it.
    pub(crate) fn try_now(call: &mut Call<'_>, all: bool, may_ask: bool) -> Self {
        match enable(call, all, may_ask) {
            Ok(reply) => Self::Done(reply),
            Err(error) => match error.failure().map(|failure| failure.data.kind) {
                Some(ErrorKind::NotEnabled | ErrorKind::NoRemote) => Self::NotHere(error),
                _ => Self::Failed(error),
            },
        }
    }

    /// Returns the answer, if there is one.
    pub(crate) fn reply(&self) -> Option<&EnableReply> {
        match self {
            Self::Done(reply) => Some(reply),
            Self::NotHere(_) | Self::Failed(_) => None,
        }
    }

    /// Returns why there is none.
    pub(crate) fn problem(&self) -> Option<&CtlError> {
        match self {
            Self::Done(_) => None,
            Self::NotHere(error) | Self::Failed(error) => Some(error),
        }
    }

    /// Prints what became of it.
    pub(crate) fn print(&self, print: &mut Printer<'_>) -> Result<(), CtlError> {
        if let Some(reply) = self.reply() {
            self::print(print, reply)?;
        }
        if let Some(error) = self.problem() {
            print.note(
                &format!("the keys are made, but no project is enabled: {}", error.message()),
                error.hint().as_deref(),
            )?;
        }
        Ok(())
    }

    /// Returns how the command ends.
    pub(crate) fn outcome(&self) -> ExitCode {
        match self {
            Self::Done(reply) => outcome(reply),
            Self::NotHere(_) => ExitCode::Ok,
            Self::Failed(error) => error.exit_code(),
        }
    }
}

/// Prints what was enabled.
fn print(print: &mut Printer<'_>, reply: &EnableReply) -> Result<(), CtlError> {
    if reply.projects.is_empty() {
        print.line("No project with transcripts was found.")?;
    }
    for project in &reply.projects {
        print_project(print, project)?;
    }
    Ok(())
}

fn print_project(print: &mut Printer<'_>, project: &EnabledProject) -> Result<(), CtlError> {
    let remote = project.remote.as_deref().unwrap_or("no remote");
    let sessions = count(project.sessions, "session");
    print.done(&format!("{} is saved from now on: {sessions}, to {remote}", project.name))?;
    if let Some(probe) = &project.probe {
        print_probe(print, probe)?;
    }
    print_own_settings(print, &project.own_settings)
}

/// Prints what of the repository's own configuration is used, and what is not.
fn print_own_settings(print: &mut Printer<'_>, own: &[OwnSetting]) -> Result<(), CtlError> {
    for own in own {
        let setting = format!("{} = {}", own.key, own.value);
        if own.agreed {
            print.done(&format!("used, of the repository's own configuration: {setting}"))?;
        } else {
            let message = format!("not used, of the repository's own configuration: {setting}");
            print.note(&message, Some("run `convosyncctl enable` in it if that is yours"))?;
        }
    }
    Ok(())
}

/// Prints whether a remote can be pushed to.
pub(crate) fn print_probe(print: &mut Printer<'_>, probe: &ProbeResult) -> Result<(), CtlError> {
    if !probe.works {
        let problem = probe.problem.as_deref().unwrap_or("the reason is unknown");
        let message = format!("{} cannot be pushed to: {problem}", probe.remote);
        print.note(&message, probe.hint.as_deref())?;
    } else if probe.branches_only {
        print.done(&format!("{} takes pushes, but only as branches", probe.remote))?;
        let message =
            "a branch named convosync/… will show in its branch list, and may start its CI";
        print.note(message, probe.hint.as_deref())?;
    } else {
        print.done(&format!("{} takes pushes (pushed, read back, deleted)", probe.remote))?;
    }
    Ok(())
}

/// Prints the step after enabling.
pub(crate) fn next(print: &mut Printer<'_>, reply: &EnableReply) -> Result<(), CtlError> {
    let step = match outcome(reply) {
        ExitCode::Ok if reply.projects.is_empty() => {
            "start Claude Code in a project, then convosyncctl enable there"
        }
        ExitCode::Ok => "work as ever, and look with convosyncctl status",
        _ => "see to the remote, then convosyncctl sync --retry",
    };
    Ok(print.next(step)?)
}

fn outcome(reply: &EnableReply) -> ExitCode {
    let broken = |project: &EnabledProject| project.probe.as_ref().is_some_and(|it| !it.works);
    if reply.projects.iter().any(broken) { ExitCode::KeptLocally } else { ExitCode::Ok }
}
