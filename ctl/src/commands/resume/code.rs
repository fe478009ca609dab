//! The code of a conversation, put into the clone here or into a work tree of its own.

use std::path::{Path, PathBuf};

use convosync_core::checkout::{self, CheckoutError, Opened, Prepared, Refusal, Report, Restoring};
use convosync_core::disk;
use convosync_core::id::SessionId;
use convosync_core::protocol::{
    Code, CodeReply, Request, ResumeReply, SavedCode, SessionQuery, Warning,
};

use super::aside::Aside;
use super::further::{self, Further, FurtherReport};
use super::preflight::{self, Onward, Planned};
use super::told::{self, Tense};
use crate::args;
use crate::ask::AskError;
use crate::call::Call;
use crate::clone::{Clone, Steps};
use crate::error::CtlError;
use crate::exit::ExitCode;

/// What became of the code.
#[derive(Default)]
pub(super) struct Put {
    /// What was done, if anything was.
    pub(super) report: Option<Report>,
    /// The work tree the conversation goes on in, where it is not the clone itself.
    pub(super) worktree: Option<PathBuf>,
    /// What was done to further repositories.
    pub(super) further: Vec<FurtherReport>,
    /// Why the code of the conversation is not here, or not all of it.
    pub(super) missing: Vec<Warning>,
    /// Whether the code here was left alone because the user said so.
    pub(super) stays: bool,
    /// Where changes are that stood here.
    pub(super) aside: Aside,
}

/// The code of a saved session, as the daemon opened it.
pub(super) struct Offer {
    reply: CodeReply,
    opened: Option<Opened>,
    /// What may be replaced unasked, because it is saved.
    known: Option<Opened>,
    /// The code of further repositories.
    further: Vec<Further>,
    /// The code, where it does not go in as it was saved.
    onward: Onward,
}

impl Drop for Offer {
    fn drop(&mut self) {
        // The opened code is for this one resume.
        let further = self.reply.further.iter().flat_map(|further| [&further.code, &further.known]);
        for code in [&self.reply.code, &self.reply.known].into_iter().chain(further) {
            if let SavedCode::State { log } = code {
                drop(disk::remove_file(log));
            }
        }
    }
}

impl Offer {
    /// Asks the daemon for the code of a session.
    pub(super) fn ask(
        call: &mut Call<'_>,
        session: Option<SessionQuery>,
    ) -> Result<Self, CtlError> {
        let request = Code { directory: call.directory(), session };
        let reply: CodeReply = call.ask(Request::Code(request))?;
        let opened = opened(&reply.code)?;
        // That what stood here cannot be told costs a question.
        let known = self::opened(&reply.known).ok().flatten();
        let further = reply.further.iter().map(Further::of).collect();
        Ok(Self { reply, opened, known, further, onward: Onward::default() })
    }

    /// The session it belongs to.
    pub(super) fn session(&self) -> SessionQuery {
        SessionQuery(self.reply.session.session.to_string())
    }

    /// As how large the download was announced.
    pub(super) fn announced(&self) -> Option<u64> {
        self.reply.announced
    }

    /// Bytes received for session and code.
    pub(super) fn received(&self) -> u64 {
        self.reply.received
    }

    /// What may be wrong with the code, once the conversation is there.
    pub(super) fn warnings(&self, conversation: &ResumeReply) -> Vec<Warning> {
        let mut warnings = self.reply.warnings.clone();
        let is_other = conversation.session.save != self.reply.session.save;
        warnings.extend(is_other.then(|| Warning {
            loud: true,
            message:
                "a newer save came in meanwhile: conversation and code are of two saves".to_owned(),
            hint: Some("resume again".to_owned()),
        }));
        warnings
    }

    /// Puts the code in place, or says what that would do. A state that cannot be put anywhere is no error:
    /// the conversation comes back all the same.
    pub(super) fn put(
        &self,
        call: &mut Call<'_>,
        args: &args::Resume,
        aside: &mut Aside,
    ) -> Result<Put, CtlError> {
        if let Some(dir) = &args.worktree {
            let mut put = self.put_apart(call, args, dir)?;
            put.missing.extend(self.further.iter().map(Further::left_for_work_tree));
            return Ok(put);
        }
        let main = match &self.opened {
            Some(opened) => Some((opened, self.clone_at(call, &self.reply.root)?)),
            None => None,
        };
        let clones = further::clones(call, &self.further);
        let (mut put, mut planned) = (Put::default(), Vec::new());
        match &main {
            None => put.missing.push(self.missing()),
            Some((opened, clone)) => match self.plan(call, args, opened, clone, aside)? {
                Ok(prepared) => planned.push(((None, &clone.steps), prepared)),
                Err(put_off) => put = put_off,
            },
        }
        for (further, clone) in self.further.iter().zip(&clones) {
            match further.plan(call, args, &self.reply.session.session, clone, aside)? {
                Ok(Some((prepared, clone))) => {
                    planned.push(((Some(further), &clone.steps), prepared));
                }
                Ok(None) => {}
                Err(warning) => put.missing.push(warning),
            }
        }
        if !args.dry_run {
            let all: Vec<_> = planned.iter().map(|(_, prepared)| prepared).collect();
            checkout::bind_planned(&all)?;
        }
        for (whose, prepared) in planned {
            carry_out(call, args, whose, prepared, &mut put)?;
        }
        Ok(put)
    }

    /// Puts the code into a work tree of its own.
    fn put_apart(
        &self,
        call: &mut Call<'_>,
        args: &args::Resume,
        dir: &Path,
    ) -> Result<Put, CtlError> {
        let Some(opened) = &self.opened else { return Ok(Put::nothing(self.missing())) };
        let dir = call.resolve(dir);
        if args.dry_run {
            if !call.print.json {
                told::tell_work_tree(call, &dir, opened)?;
            }
            return Ok(Put { worktree: Some(dir), ..Put::default() });
        }
        let clone = Clone::of(call, &self.reply.root)?;
        checkout::new_work_tree(&clone.project, &clone.git, &dir)?;
        let put = self.put_into(call, args, opened, &dir);
        let is_used = match &put {
            Ok(put) => put.report.is_some(),
            Err(error) => matches!(error, CtlError::Checkout(CheckoutError::Halfway { .. })),
        };
        if !is_used {
            checkout::remove_work_tree(&clone.project, &clone.git, &dir)?;
        }
        put
    }

    fn clone_at(&self, call: &Call<'_>, dir: &Path) -> Result<Clone, CtlError> {
        Ok(Clone::of(call, dir)?.reached_by(&self.reply.reach))
    }

    fn put_into(
        &self,
        call: &mut Call<'_>,
        args: &args::Resume,
        opened: &Opened,
        dir: &Path,
    ) -> Result<Put, CtlError> {
        let clone = self.clone_at(call, dir)?;
        match self.plan(call, args, opened, &clone, &mut Aside::default())? {
            Err(put) => Ok(put),
            Ok(prepared) => {
                let mut put = Put { worktree: Some(dir.to_owned()), ..Put::default() };
                carry_out(call, args, (None, &clone.steps), prepared, &mut put)?;
                Ok(put)
            }
        }
    }

    /// Looks at everything and decides, or says why the conversation has to come alone.
    fn plan<'a>(
        &'a self,
        call: &mut Call<'_>,
        args: &args::Resume,
        opened: &'a Opened,
        clone: &'a Clone,
        aside: &mut Aside,
    ) -> Result<Result<Prepared<'a>, Put>, CtlError> {
        let session = &self.reply.session.session;
        let restoring = restoring(opened, self.known.as_ref(), session, clone, args);
        match preflight::plan(call, args, None, (clone, restoring, &self.onward), aside) {
            Ok(Planned::Ready(prepared)) => Ok(Ok(*prepared)),
            Ok(Planned::Stays(finding)) => {
                let message = format!(
                    "{}: the code here is not the code of the conversation",
                    finding.message()
                );
                let hint =
                    format!("`convosyncctl resume --switch-branch {}` brings it", session.short());
                let warning = Warning { loud: true, message, hint: Some(hint) };
                Ok(Err(Put { stays: true, ..Put::nothing(warning) }))
            }
            Ok(Planned::Undecided(message, hint)) => {
                let (code, hint) = (ExitCode::NeedsDecision, Some(hint));
                Err(CtlError::Refused { code, message, hint })
            }
            Ok(Planned::Cancelled) => Err(AskError::Cancelled.into()),
            Err(CtlError::Checkout(CheckoutError::Refused(refusal))) if is_hopeless(&refusal) => {
                Ok(Err(Put::nothing(hopeless(&refusal, session, args.no_pull))))
            }
            Err(error) => Err(error),
        }
    }

    fn missing(&self) -> Warning {
        let why = match &self.reply.code {
            SavedCode::Nothing { why: Some(why) } => format!("the code was not saved: {why}"),
            _ => "no code was saved with the conversation".to_owned(),
        };
        Warning { loud: true, message: why, hint: None }
    }
}

/// What is to be done in one clone.
pub(super) fn restoring<'a>(
    opened: &'a Opened,
    known: Option<&'a Opened>,
    session: &'a SessionId,
    clone: &'a Clone,
    args: &args::Resume,
) -> Restoring<'a> {
    Restoring {
        opened,
        place: clone.place(),
        session,
        limits: clone.limits,
        replace: false,
        take: false,
        known: known.map(|known| &known.state),
        fetch: if args.no_pull { Err("`--no-pull` keeps it from that") } else { clone.route() },
    }
}

/// Carries a plan out, or says what that would do.
fn carry_out(
    call: &mut Call<'_>,
    args: &args::Resume,
    (further, steps): (Option<&Further>, &Steps),
    prepared: Prepared<'_>,
    put: &mut Put,
) -> Result<(), CtlError> {
    let report = if args.dry_run {
        Report { outlook: prepared.outlook().clone(), ..Report::default() }
    } else {
        let applied = prepared.apply(&|step| steps.take(step));
        steps.rest();
        match (applied, further) {
            (Err(CheckoutError::Refused(refusal)), Some(further)) => {
                put.missing.push(further.left(&refusal.to_string(), refusal.hint()));
                return Ok(());
            }
            (applied, _) => applied?,
        }
    };
    if !call.print.json {
        let name = further.map(|further| further.name.as_str());
        told::tell(call, name, &report, Tense::of(args))?;
    }
    match further {
        Some(further) => put.further.push(further.report(report)),
        None => put.report = Some(report),
    }
    Ok(())
}

pub(super) fn opened(code: &SavedCode) -> Result<Option<Opened>, CtlError> {
    Ok(match code {
        SavedCode::Nothing { .. } => None,
        SavedCode::Plain { branch, commit, upstream } => {
            let plain = |commit| Opened::plain(branch.as_deref(), commit, upstream.as_deref());
            commit.parse().ok().map(plain)
        }
        SavedCode::State { log } => Some(Opened::read(log)?),
    })
}

impl Put {
    fn nothing(missing: Warning) -> Self {
        Self { missing: vec![missing], ..Self::default() }
    }
}

/// Says why the code cannot come. What `--no-pull` kept from being fetched is not called missing at the remote.
fn hopeless(refusal: &Refusal, session: &SessionId, no_pull: bool) -> Warning {
    let (message, hint) = match refusal {
        Refusal::MissingCommits { commit: Some(commit), .. } if no_pull => (
            format!("commit {} is not in this clone, and `--no-pull` fetches none", commit.short()),
            Some("resume without `--no-pull`, or `git fetch` here and resume again".to_owned()),
        ),
        Refusal::NoWorkTree => {
            let clone = format!("`convosyncctl resume {} --clone` makes one", session.short());
            (refusal.to_string(), Some(format!("run it in a clone of the project; {clone}")))
        }
        refusal => (refusal.to_string(), refusal.hint()),
    };
    Warning { loud: true, message, hint }
}

/// Whether a refusal is one that no answer of the user's changes now; the conversation needs not wait for it.
fn is_hopeless(refusal: &Refusal) -> bool {
    !matches!(
        refusal,
        Refusal::Dirty { .. }
            | Refusal::Operation
            | Refusal::Locked(_)
            | Refusal::Busy
            | Refusal::InTheWay { .. }
            | Refusal::NoLinks { .. }
            | Refusal::NoRoom { .. }
            | Refusal::NoRoomToRecord { .. }
            | Refusal::Changing
    )
}
