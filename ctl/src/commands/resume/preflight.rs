//! What a plan meets that is the user's to decide: settled by an option, by asking, or not at all.

use std::cell::OnceCell;
use std::mem::{self, Discriminant};
use std::path::Path;

use convosync_core::checkout::{Merged, Opened, Prepared, Pulled, Restoring};
use convosync_core::code::RepoPath;
use convosync_core::findings::{Answer, Finding, Way, findings, undecided};

use super::aside::Aside;
use super::{commit, stash};
use crate::args;
use crate::ask;
use crate::call::Call;
use crate::clone::Clone;
use crate::error::CtlError;
use crate::print::Frame;
use crate::start;

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

/// The saved state where it does not go in as it was saved.
#[derive(Debug, Default)]
pub(super) struct Onward {
    pulled: OnceCell<Opened>,
    merged: OnceCell<Opened>,
}

/// What was decided.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Decided {
    stash: bool,
    commit: bool,
    merge: bool,
    take: bool,
}

/// What the user answered, by the kind of finding: nobody is asked twice.
type Answers = Vec<(Discriminant<Finding>, Answer)>;

enum Settled {
    Go(Decided),
    End(Planned<'static>),
}

/// Looks at everything, and settles what is the user's to decide. Changes go into the stash, or are committed, only
/// when nothing else refuses. `name` is that of a further repository.
pub(super) fn plan<'a>(
    call: &mut Call<'_>,
    args: &args::Resume,
    name: Option<&str>,
    (clone, mut restoring, onward): (&Clone, Restoring<'a>, &'a Onward),
    aside: &mut Aside,
) -> Result<Planned<'a>, CtlError> {
    restoring.replace = true;
    if args.pull
        && let Some(end) = pull(call, name, &mut restoring, onward)?
    {
        return Ok(end);
    }
    let (mut prepared, mut answers) = (clone.plan(&restoring)?, Answers::new());
    let mut decided = match settle(call, args, name, &prepared, &mut answers)? {
        Settled::Go(decided) => decided,
        Settled::End(end) => return Ok(end),
    };
    if decided.commit && args.dry_run {
        tell(
            call,
            "the changes would be committed here first; the branch may go two ways by it, and the code beside it",
        )?;
    } else if decided.commit {
        drop(prepared);
        commit::make(call, args, &restoring.place.project.root, &mut aside.committed)?;
        // The branch may have gone two ways by it.
        prepared = clone.plan(&restoring)?;
        decided = match settle(call, args, name, &prepared, &mut answers)? {
            Settled::Go(decided) => decided,
            Settled::End(end) => return Ok(end),
        };
    }
    if decided.merge {
        if let Some(end) = merge(call, args, name, &prepared, (&mut restoring, onward))? {
            return Ok(end);
        }
        drop(prepared);
        prepared = clone.plan(&restoring)?;
    }
    if decided.take {
        drop(prepared);
        restoring.take = true;
        prepared = clone.plan(&restoring)?;
    }
    if decided.stash && args.dry_run {
        tell(call, "the changes would go into `git stash`")?;
    } else if (decided.stash || decided.commit) && !args.dry_run {
        drop(prepared);
        if decided.stash {
            stash::push(restoring.place, &mut aside.stashed)?;
        }
        // What neither stash nor commit took is not replaced.
        restoring.replace = false;
        prepared = clone.plan(&restoring)?;
    }
    Ok(Planned::Ready(Box::new(prepared)))
}

/// Goes on to where the branch stands at the remote, or says why not. A further repository then comes as it was
/// saved: nobody named it.
fn pull<'a>(
    call: &mut Call<'_>,
    name: Option<&str>,
    restoring: &mut Restoring<'a>,
    onward: &'a Onward,
) -> Result<Option<Planned<'a>>, CtlError> {
    match restoring.pull()? {
        Pulled::Same => {}
        Pulled::Newer(opened) => {
            let of = name.map(|name| format!(" of `{name}`")).unwrap_or_default();
            tell(call, &format!("the branch{of} is newer at the remote, and comes from there"))?;
            restoring.opened = onward.pulled.get_or_init(|| *opened);
        }
        Pulled::Not(why) if name.is_some() => {
            let name = name.unwrap_or_default();
            let text =
                format!("`{name}` comes as it was saved, `--pull` cannot be done there: {why}");
            if !call.print.json {
                call.print.note(&text, None)?;
            }
        }
        Pulled::Not(why) => {
            let hint = "without `--pull`, the code comes as it was saved".to_owned();
            return Ok(Some(Planned::Undecided(format!("`--pull` cannot be done: {why}"), hint)));
        }
    }
    Ok(None)
}

/// Goes on to the merge with the branch here, or says why not.
fn merge<'a>(
    call: &mut Call<'_>,
    args: &args::Resume,
    name: Option<&str>,
    prepared: &Prepared<'a>,
    (restoring, onward): (&mut Restoring<'a>, &'a Onward),
) -> Result<Option<Planned<'a>>, CtlError> {
    let branch = restoring.opened.state.head.branch.clone().unwrap_or_default();
    let (conflicts, why) = match prepared.merge()? {
        Merged::Clean(opened) => {
            restoring.opened = onward.merged.get_or_init(|| *opened);
            let is = if args.dry_run { "would be" } else { "is" };
            tell(call, &format!("the session {is} merged into `{branch}`"))?;
            return Ok(None);
        }
        Merged::Conflicts(conflicts) => (conflicts, None),
        Merged::Not(why) => (Vec::new(), Some(why)),
    };
    let shown = conflicts.iter().map(RepoPath::shown).collect();
    let finding = Finding::NotMerged { branch, conflicts: shown, why };
    if !call.is_interactive() || args.dry_run {
        let (message, hint) = undecided(&[&finding]);
        return Ok(Some(Planned::Undecided(message, hint)));
    }
    match ask_about(call, name, &finding)? {
        Answer::Beside => Ok(None),
        Answer::Open => {
            open(call, &restoring.place.project.root, &conflicts)?;
            Ok(Some(Planned::Cancelled))
        }
        _ => Ok(Some(Planned::Cancelled)),
    }
}

/// Opens files in the user's editor, as they stand here; those that only the session has are left out.
fn open(call: &Call<'_>, root: &Path, conflicts: &[RepoPath]) -> Result<(), CtlError> {
    let Some(editor) = start::editor(call.env) else { return Ok(()) };
    // A name that begins with `-` is no option.
    let named = conflicts.iter().map(|path| Path::new(".").join(path.as_path()));
    let files: Vec<_> = named.filter(|path| root.join(path).is_file()).collect();
    Ok(start::edit(call.env, &editor, root, &files)?)
}

fn tell(call: &mut Call<'_>, text: &str) -> Result<(), CtlError> {
    if call.print.json {
        return Ok(());
    }
    let arrow = call.print.look.arrow();
    Ok(call.print.line(format!("  {arrow} {text}"))?)
}

fn settle(
    call: &mut Call<'_>,
    args: &args::Resume,
    name: Option<&str>,
    prepared: &Prepared<'_>,
    answers: &mut Answers,
) -> Result<Settled, CtlError> {
    let (mut decided, mut open) = (Decided::default(), Vec::new());
    let found = findings(&prepared.met(), prepared.outlook());
    for finding in &found {
        let kind = mem::discriminant(finding);
        let before = answers.iter().find(|(answered, _)| *answered == kind);
        let answer = match before.map(|(_, answer)| *answer).or_else(|| given(args, name, finding))
        {
            None if call.is_interactive() && !args.dry_run => Some(ask_about(call, name, finding)?),
            None => finding.default_answer(),
            given => given,
        };
        answers.extend(answer.map(|answer| (kind, answer)));
        match answer {
            None => open.push(finding),
            Some(Answer::Stay) => return Ok(Settled::End(Planned::Stays(finding.clone()))),
            Some(Answer::Cancel) => return Ok(Settled::End(Planned::Cancelled)),
            Some(Answer::Stash) => decided.stash = true,
            Some(Answer::Commit) => decided.commit = true,
            Some(Answer::Merge) => decided.merge = true,
            Some(Answer::Take) => decided.take = true,
            Some(_) => {}
        }
    }
    if open.is_empty() {
        return Ok(Settled::Go(decided));
    }
    let (message, hint) = undecided(&open);
    Ok(Settled::End(Planned::Undecided(message, hint)))
}

/// What the command line says about a finding.
fn given(args: &args::Resume, name: Option<&str>, finding: &Finding) -> Option<Answer> {
    // A clone or a work tree that was just made has nothing that could be lost.
    let is_fresh = args.clone.is_some() && name.is_none();
    let asks_nothing = args.force || args.worktree.is_some() || is_fresh;
    let choices = match finding {
        Finding::OtherBranch { .. } => vec![
            (args.stay_on_branch, Answer::Stay),
            (args.switch_branch || asks_nothing, Answer::Switch),
        ],
        Finding::Changes { .. } => {
            vec![
                (args.stash, Answer::Stash),
                (args.commit, Answer::Commit),
                (args.theirs || asks_nothing, Answer::Replace),
            ]
        }
        Finding::NotMerged { .. } | Finding::NewerSave { .. } => Vec::new(),
        Finding::Diverged { .. } => vec![
            (args.merge, Answer::Merge),
            ((args.theirs || is_fresh) && !args.beside, Answer::Take),
            (args.beside || asks_nothing, Answer::Beside),
        ],
    };
    choices.into_iter().find(|(is_said, _)| *is_said).map(|(_, answer)| answer)
}

/// Shows a finding in its box and has it decided.
pub(super) fn ask_about(
    call: &mut Call<'_>,
    name: Option<&str>,
    finding: &Finding,
) -> Result<Answer, CtlError> {
    show(call, name, finding)?;
    let has_editor = start::editor(call.env).is_some();
    let is_possible = |way: &Way| way.answer != Answer::Open || has_editor;
    let ways: Vec<_> = finding.ways().into_iter().filter(is_possible).collect();
    let label = |answer: Answer, label: &str| match (answer, name) {
        (Answer::Cancel, Some(name)) => format!("Leave `{name}` as it is"),
        _ => label.to_owned(),
    };
    let labels = ways.iter().map(|way| label(way.answer, &way.label)).collect();
    let chosen = ask::choose("What now?", labels, 0)?;
    Ok(ways[chosen].answer)
}

/// Draws the box of a finding.
fn show(call: &mut Call<'_>, name: Option<&str>, finding: &Finding) -> Result<(), CtlError> {
    let title = name.map_or_else(String::new, |name| format!("`{name}`: "));
    let mut frame = Frame::new(&format!("{title}{}", finding.title()));
    for line in finding.lines() {
        frame = frame.line(&line);
    }
    Ok(call.print.frame(&frame)?)
}
