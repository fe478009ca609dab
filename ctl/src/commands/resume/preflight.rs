//! What a plan meets that is the user's to decide: settled by an option, by asking, or not at all.

use convosync_core::checkout::{Prepared, Restoring};
use convosync_core::findings::{Answer, Finding, findings, undecided};

use super::stash::{self, Stash};
use crate::args;
use crate::ask;
use crate::call::Call;
use crate::clone::Clone;
use crate::error::CtlError;
use crate::print::Frame;

/// What came of it.
pub(super) enum Planned<'a> {
    /// It can be carried out.
    Ready(Box<Prepared<'a>>),
    /// The code here is left alone, because of this.
    Stays(Finding),
    /// It was not decided: the message, and the hint that names every option.
    Undecided(String, String),
    /// The user left the question.
    Cancelled,
}

/// What was decided.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Decided {
    stash: bool,
    take: bool,
}

enum Settled {
    Go(Decided),
    End(Planned<'static>),
}

/// Looks at everything, and settles what is the user's to decide. Changes go into the stash only when nothing else
/// refuses. `name` is that of a further repository.
pub(super) fn plan<'a>(
    call: &mut Call<'_>,
    args: &args::Resume,
    name: Option<&str>,
    clone: &Clone,
    restoring: Restoring<'a>,
    stashed: &mut Vec<Stash>,
) -> Result<Planned<'a>, CtlError> {
    let mut restoring = Restoring { replace: true, take: false, ..restoring };
    let mut prepared = clone.plan(&restoring)?;
    let found = findings(&prepared.met(), prepared.outlook());
    let decided = match settle(call, args, name, &found)? {
        Settled::Go(decided) => decided,
        Settled::End(end) => return Ok(end),
    };
    if decided.take {
        drop(prepared);
        restoring.take = true;
        prepared = clone.plan(&restoring)?;
    }
    if decided.stash && !args.dry_run {
        drop(prepared);
        stash::push(restoring.place, stashed)?;
        // What the stash did not take is not replaced.
        restoring.replace = false;
        prepared = clone.plan(&restoring)?;
    }
    Ok(Planned::Ready(Box::new(prepared)))
}

fn settle(
    call: &mut Call<'_>,
    args: &args::Resume,
    name: Option<&str>,
    found: &[Finding],
) -> Result<Settled, CtlError> {
    let (mut decided, mut open) = (Decided::default(), Vec::new());
    for finding in found {
        let answer = match given(args, finding) {
            None if call.is_interactive() && !args.dry_run => Some(ask_about(call, name, finding)?),
            None => finding.default_answer(),
            given => given,
        };
        match answer {
            None => open.push(finding),
            Some(Answer::Stay) => return Ok(Settled::End(Planned::Stays(finding.clone()))),
            Some(Answer::Cancel) => return Ok(Settled::End(Planned::Cancelled)),
            Some(Answer::Stash) => decided.stash = true,
            Some(Answer::Take) => decided.take = true,
            Some(Answer::Switch | Answer::Replace | Answer::Beside) => {}
        }
    }
    if open.is_empty() {
        return Ok(Settled::Go(decided));
    }
    let (message, hint) = undecided(&open);
    Ok(Settled::End(Planned::Undecided(message, hint)))
}

/// What the command line says about a finding.
fn given(args: &args::Resume, finding: &Finding) -> Option<Answer> {
    // A work tree that was just made has nothing that could be lost.
    let asks_nothing = args.force || args.worktree.is_some();
    let choices = match finding {
        Finding::OtherBranch { .. } => [
            (args.stay_on_branch, Answer::Stay),
            (args.switch_branch || asks_nothing, Answer::Switch),
        ],
        Finding::Changes { .. } => {
            [(args.stash, Answer::Stash), (args.theirs || asks_nothing, Answer::Replace)]
        }
        Finding::Diverged { .. } => [
            (args.theirs && !args.beside, Answer::Take),
            (args.beside || asks_nothing, Answer::Beside),
        ],
    };
    choices.into_iter().find(|(is_said, _)| *is_said).map(|(_, answer)| answer)
}

/// Shows a finding in its box and has it decided.
fn ask_about(
    call: &mut Call<'_>,
    name: Option<&str>,
    finding: &Finding,
) -> Result<Answer, CtlError> {
    let title = name.map_or_else(String::new, |name| format!("`{name}`: "));
    let mut frame = Frame::new(&format!("{title}{}", finding.title()));
    for line in finding.lines() {
        frame = frame.line(&line);
    }
    call.print.frame(&frame)?;
    let ways = finding.ways();
    let label = |answer: Answer, label: &str| match (answer, name) {
        (Answer::Cancel, Some(name)) => format!("Leave `{name}` as it is"),
        _ => label.to_owned(),
    };
    let labels = ways.iter().map(|way| label(way.answer, &way.label)).collect();
    let chosen = ask::choose("What now?", labels, 0)?;
    Ok(ways[chosen].answer)
}
