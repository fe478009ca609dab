//! `resume`: a session comes back on this device.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use convosync_core::claude::{self, ClaudeRoot};
use convosync_core::history::History;
use convosync_core::id::LogId;
use convosync_core::inbound::{BringError, Bringing, Brought, Target, bring_back};
use convosync_core::project::{self, Project};
use convosync_core::protocol::{
    ErrorKind, Failure, Resume, ResumeAction, ResumeReply, SessionQuery, Warning,
};
use convosync_core::restore::{Decision, Refusal};
use convosync_core::seal::CodePoint;

use super::browse::{self, Fetched};
use super::{Clerk, home, step};
use crate::clock::now_ms;
use crate::desk::Holding;
use crate::fail;
use crate::house::{Asker, Home, House, Place};
use crate::{scan, work};

/// A transcript that was written to so recently may belong to a running `claude -p`, which no registry
/// lists.
const RECENT_WRITE_MS: i64 = 2_000;

/// How long to wait for such a transcript to fall silent.
const SILENCE_WITHIN: Duration = Duration::from_secs(10);

/// What helps where no session is named and no project is enabled.
const NOT_HERE: &str = "run `convosyncctl enable` there; where the repository is not on this device yet, \
    `convosyncctl resume --clone` clones that of the newest session and goes on there";

/// What is to be resumed, and where.
struct Job {
    place: Arc<Place>,
    home: Arc<Home>,
    holding: Holding,
    target: Target,
    directory: PathBuf,
    warnings: Vec<Warning>,
}

pub(super) fn resume(clerk: &Clerk<'_>, resume: &Resume) -> Result<ResumeReply, Failure> {
    let house = clerk.house;
    let Wanted { place, home, holding, history, fetched, mut warnings } = find(clerk, resume)?;
    let root = resume.worktree.as_ref().unwrap_or(&home.project.root);
    let (target, directory) = target(house, (&home, root), &holding, &mut warnings)?;
    if !resume.code_is_here {
        warnings.extend(code_warnings(house, &home.project, history.record.code.as_ref()));
    }
    let job = Job { place, home, holding, target, directory, warnings };
    step(clerk.tell, "restoring the conversation");
    restore(house, job, &history, resume.dry_run, fetched)
}

/// A saved session that was found and fetched, and the clone of its repository here.
pub(super) struct Wanted {
    pub(super) place: Arc<Place>,
    pub(super) home: Arc<Home>,
    pub(super) holding: Holding,
    /// The session at the save that was asked for.
    pub(super) history: History,
    /// What was downloaded for it.
    pub(super) fetched: Fetched,
    /// What may be wrong with it: a remote that could not be asked.
    pub(super) warnings: Vec<Warning>,
}

/// Finds the session that is wanted, and fetches what is not here of it.
pub(super) fn find(clerk: &Clerk<'_>, resume: &Resume) -> Result<Wanted, Failure> {
    let house = clerk.house;
    let warnings = if resume.is_refreshed { Vec::new() } else { refresh(clerk, resume)? };
    let (place, holding) = choose(house, resume)?;
    if !resume.is_refreshed || has_moved(house, &place, &holding) {
        scan::scan_all(house, now_ms());
    }
    let home = project_here(house, resume, &holding)?;
    refuse_apart(house, (&place, &home), &holding)?;
    let fetched = browse::fetch(clerk, &place, &holding)?;
    let query =
        resume.session.clone().unwrap_or_else(|| SessionQuery(holding.summary.session.to_string()));
    let history = {
        let held = place.desk.lock();
        browse::at_save(&held, browse::open(&held, &holding)?, &query)?
    };
    Ok(Wanted { place, home, holding, history, fetched, warnings })
}

/// Whether a session's transcript is not where the last look at this device's transcripts found it.
pub(super) fn has_moved(house: &House, place: &Place, holding: &Holding) -> bool {
    let key = (place.key, holding.summary.session.clone());
    let found = house.registry().found.get(&key).map(|found| found.files.clone());
    found.is_some_and(|files| files.main().is_none_or(|main| !main.path.exists()))
}

/// Asks the remotes for the newest state; if one does not answer, what is known has to do.
fn refresh(clerk: &Clerk<'_>, resume: &Resume) -> Result<Vec<Warning>, Failure> {
    let house = clerk.house;
    let here = match (&resume.session, home(house, &resume.directory)) {
        (_, Ok(home)) => Some(home),
        (Some(_), Err(failure)) if failure.data.kind == ErrorKind::NotEnabled => None,
        (None, Err(failure)) if failure.data.kind == ErrorKind::NotEnabled => {
            return Err(failure.with_hint(NOT_HERE));
        }
        (_, Err(failure)) => return Err(failure),
    };
    step(clerk.tell, "asking for the newest saves");
    let mut warnings = Vec::new();
    for place in house.places() {
        if here.as_ref().is_some_and(|home| home.store != place.key) {
            continue;
        }
        if let Err(failure) = work::list(house, place.key, Asker::Person) {
            warnings.push(Warning {
                loud: true,
                message: format!(
                    "the remote could not be asked, there may be newer saves: {}",
                    failure.message
                ),
                hint: failure.data.hint,
            });
        }
    }
    Ok(warnings)
}

fn choose(house: &House, resume: &Resume) -> Result<(Arc<Place>, Holding), Failure> {
    if let Some(query) = &resume.session {
        let (place, holding) = browse::find(house, query)?;
        let is_exact = query.parts().1.is_some();
        let holding = if is_exact { holding } else { place.desk.lock().apart_from(holding) };
        return Ok((place, holding));
    }
    let home = home(house, &resume.directory)?;
    let place = house.place(home.store).ok_or_else(|| none(&home))?;
    let held = place.desk.lock();
    let ours = held.vault.device();
    let newest = held
        .newest()
        .into_iter()
        .filter(|holding| {
            holding.device != ours && project::same(&home.project.ids, &holding.summary.project)
        })
        .max_by_key(|holding| holding.summary.at_ms);
    drop(held);
    newest.map(|holding| (place, holding)).ok_or_else(|| none(&home))
}

fn none(home: &Home) -> Failure {
    Failure::new(
        ErrorKind::UnknownSession,
        format!("no other device has saved a conversation of `{}` yet", home.project.name),
    )
    .with_hint("on the other device, `convosyncctl status` says what it has sent")
}

/// The clone of the session's repository on this device: where the user stands, else another enabled one.
fn project_here(house: &House, resume: &Resume, holding: &Holding) -> Result<Arc<Home>, Failure> {
    let ids = &holding.summary.project;
    let here = house.owner(&resume.directory).filter(|home| project::same(&home.project.ids, ids));
    let elsewhere = || browse::clone_of(&house.homes(), ids).cloned();
    here.or_else(elsewhere).ok_or_else(|| {
        let first = |ids: &[String]| ids.first().cloned();
        let theirs = first(ids).unwrap_or_else(|| "an unknown repository".to_owned());
        let ours = house.owner(&resume.directory).and_then(|home| first(&home.project.ids));
        let ours = ours.map(|ours| format!(", and {ours}, where you are, is another project"));
        let session = holding.summary.session.short();
        let message = format!(
            "session {session} belongs to {theirs}, which is not enabled on this device{}",
            ours.unwrap_or_default()
        );
        Failure::new(ErrorKind::OtherRepository, message)
            .with_hint(format!(
                "`convosyncctl resume {session} --clone` clones it here and resumes there; so does a clone of \
                 your own, after `convosyncctl enable` in it"
            ))
    })
}

/// A session at a remote that is only read does not go on in a project that is saved to another one: the devices
/// that saved it do not look there, and it would be two.
fn refuse_apart(
    house: &House,
    (place, home): (&Place, &Home),
    holding: &Holding,
) -> Result<(), Failure> {
    if home.store == place.key || !house.is_only_read(place) {
        return Ok(());
    }
    let other = house.place(home.store).map(|place| work::shown_url(&place)).unwrap_or_default();
    let message = format!(
        "session {} lies at {}, and `{}` is saved to {other}: your other devices would not see how it goes on",
        holding.summary.session.short(),
        work::shown_url(place),
        home.project.root.display(),
    );
    let hint = browse::set_store_remote(house, place);
    Err(Failure::new(ErrorKind::OtherRepository, message).with_hint(hint))
}

/// Where the transcript belongs here, and where Claude Code has to be started.
fn target(
    house: &House,
    (home, root): (&Home, &PathBuf),
    holding: &Holding,
    warnings: &mut Vec<Warning>,
) -> Result<(Target, PathBuf), Failure> {
    let session = holding.summary.session.clone();
    let found = house.registry().found.get(&(home.store, session.clone())).cloned();
    if let Some(found) = found.filter(|_| *root == home.project.root)
        && let Some(cwd) = found.cwd.filter(|cwd| cwd.is_dir()).or_else(|| Some(root.clone()))
        && claude::slug(&cwd)
            == found.files.slug_dir.file_name().unwrap_or_default().to_string_lossy()
    {
        return Ok((Target { slug_dir: found.files.slug_dir, session }, cwd));
    }
    let subdirectory = &holding.summary.subdirectory;
    let below = if subdirectory.is_empty() { root.clone() } else { root.join(subdirectory) };
    let directory = if below.is_dir() && below.starts_with(root) {
        below
    } else {
        warnings.push(Warning {
            loud: false,
            message: format!(
                "the conversation's folder `{}` is not here",
                holding.summary.subdirectory
            ),
            hint: Some("it continues at the top of the repository".to_owned()),
        });
        root.clone()
    };
    let claude = house.claude_roots().into_iter().next().ok_or_else(|| {
        Failure::new(ErrorKind::BadConfig, "no folder of Claude Code is configured")
            .with_hint("set `claude.roots`")
    })?;
    let slug_dir = claude::slug_dir_for(&ClaudeRoot::new(claude), &directory);
    Ok((Target { slug_dir, session }, directory))
}

fn restore(
    house: &House,
    job: Job,
    history: &History,
    dry_run: bool,
    fetched: Fetched,
) -> Result<ResumeReply, Failure> {
    let session = history.session.clone();
    let transcript = job.target.slug_dir.join(format!("{session}.jsonl"));
    if !dry_run {
        wait_for_silence(&transcript)?;
    }
    let scratch = house.paths.state_dir.join("opened").join(session.as_str());
    let is_live = || house.is_live(&session);
    let held = job.place.desk.lock();
    let before = held.known_messages(&session);
    let ours = held.own_history(&session).ok().flatten();
    let bringing = Bringing {
        reader: held.reader(),
        history,
        ours: ours.as_ref(),
        target: &job.target,
        scratch: &scratch,
        is_live: &is_live,
        dry_run,
    };
    let brought = bring_back(&bringing, now_ms());
    drop(held);
    let (action, mut warnings) = read_outcome(history, brought, job.warnings)?;
    if !dry_run && action != ResumeAction::LocalAhead {
        job.place.desk.lock().rebase(history.clone());
    }
    warnings.sort_by_key(|warning| !warning.loud);
    let held = job.place.desk.lock();
    Ok(ResumeReply {
        session: browse::info(house, &job.place, &held, &job.holding),
        action,
        transcript,
        directory: job.directory,
        new_messages: match action {
            ResumeAction::Created => history.record.messages,
            ResumeAction::Extended => history.record.messages.saturating_sub(before),
            _ => 0,
        },
        received: fetched.received,
        announced: fetched.announced,
        files: u32::try_from(history.files().count()).unwrap_or(u32::MAX),
        warnings,
        environment: history.environment.clone(),
    })
    .inspect(|_| {
        tracing::info!(session = session.short(), project = job.home.key.0, ?action, "resumed")
    })
}

/// What the restore came to. A transcript that is ahead of every save is no failure: the newest state is
/// here already.
fn read_outcome(
    history: &History,
    brought: Result<Brought, BringError>,
    mut warnings: Vec<Warning>,
) -> Result<(ResumeAction, Vec<Warning>), Failure> {
    let brought = match brought {
        Ok(brought) => brought,
        Err(BringError::Refused(Refusal::Ahead { .. })) => {
            return Ok((ResumeAction::LocalAhead, warnings));
        }
        Err(error) => return Err(fail::bring(&error)),
    };
    let action = match brought.main() {
        Some(Decision::Create) => ResumeAction::Created,
        Some(Decision::Append { .. } | Decision::Replace { .. }) => ResumeAction::Extended,
        _ => ResumeAction::Nothing,
    };
    for step in &brought.plan.steps {
        if let Decision::Keep(why) = step.decision
            && step.log != LogId::main()
        {
            warnings.push(Warning {
                loud: false,
                message: format!(
                    "a side file of session {} stays as it is here: {why}",
                    history.session.short()
                ),
                hint: None,
            });
        }
    }
    if brought.report.is_some_and(|report| report.is_live) {
        warnings.push(Warning {
            loud: true,
            message: "the conversation was started here while it was restored".to_owned(),
            hint: Some(
                "end it and resume again, so that it goes on from the newest message".to_owned(),
            ),
        });
    }
    Ok((action, warnings))
}

/// Waits until nothing has been written to a transcript for a moment.
fn wait_for_silence(transcript: &Path) -> Result<(), Failure> {
    let started_ms = now_ms();
    loop {
        let Some(age_ms) = age_ms(transcript).filter(|age_ms| *age_ms < RECENT_WRITE_MS) else {
            return Ok(());
        };
        if u128::try_from(now_ms() - started_ms).unwrap_or(0) > SILENCE_WITHIN.as_millis() {
            return Err(Failure::new(
                ErrorKind::Live,
                "something is writing to the conversation here",
            )
            .with_hint("end the session here first, or continue it where it runs"));
        }
        std::thread::sleep(Duration::from_millis(
            u64::try_from(RECENT_WRITE_MS - age_ms).unwrap_or(0),
        ));
    }
}

fn age_ms(path: &Path) -> Option<i64> {
    let modified = std::fs::symlink_metadata(path).ok()?;
    Some((now_ms() - convosync_core::disk::modified_ms(&modified)).max(0))
}

/// Compares the code here with the code of the conversation, and says loudly where they differ: the
/// conversation may then speak of what is not here.
fn code_warnings(house: &House, project: &Project, then: Option<&CodePoint>) -> Vec<Warning> {
    let now = project::code_point(project, &house.git).ok().flatten();
    match (then, now) {
        (Some(then), Some(now)) => compare(then, &now),
        _ => Vec::new(),
    }
}

fn compare(then: &CodePoint, now: &CodePoint) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let name =
        |branch: &Option<String>| branch.clone().unwrap_or_else(|| "a detached HEAD".to_owned());
    if then.branch != now.branch {
        warnings.push(Warning {
            loud: true,
            message: format!(
                "the conversation is on {}, and here {} is checked out",
                name(&then.branch),
                name(&now.branch)
            ),
            hint: then.branch.as_ref().map(|branch| format!("`git switch {branch}`")),
        });
    }
    if let Some(commit) = then.commit.filter(|_| then.commit != now.commit) {
        let there = commit.short();
        let here = now.commit.map_or_else(|| "no commit".to_owned(), |id| id.short());
        warnings.push(Warning {
            loud: true,
            message: format!(
                "the conversation's code is at commit {there}, and here at {here}"
            ),
            hint: Some(format!(
                "`git fetch`, then `git merge --ff-only {there}` (or `git switch --detach {there}`); if git does not know it, push it on the other device"
            )),
        });
    }
    if then.dirty {
        warnings.push(Warning {
            loud: true,
            message: "there were uncommitted changes on the other device, and they are not here"
                .to_owned(),
            hint: Some("commit and push them there, or resume without `--no-code`".to_owned()),
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use convosync_core::id::{Digest, Oid};
    use convosync_core::seal::CodeSaved;

    fn code(branch: &str, commit: u8, dirty: bool) -> CodePoint {
        CodePoint {
            branch: Some(branch.to_owned()),
            commit: Some(Oid([commit; 20])),
            upstream: None,
            dirty,
            fingerprint: Digest::NONE,
            saved: CodeSaved::Nothing,
        }
    }

    fn check(then: &CodePoint, now: &CodePoint, expected: &[&str]) {
        let found: Vec<String> =
            compare(then, now).into_iter().map(|warning| warning.message).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (message, part) in found.iter().zip(expected) {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn code_that_is_not_the_conversations_is_named_loudly() {
        check(&code("main", 1, false), &code("main", 1, true), &[]);
        check(&code("main", 1, false), &code("work", 1, false), &["main, and here work"]);
        check(
            &code("main", 1, false),
            &code("main", 2, false),
            &["01010101, and here at 02020202"],
        );
        check(&code("main", 1, true), &code("main", 1, false), &["uncommitted"]);
        check(&code("a", 1, true), &code("b", 2, false), &["on a", "commit", "uncommitted"]);
        assert!(
            compare(&code("a", 1, true), &code("b", 2, false)).iter().all(|warning| warning.loud)
        );
    }
}
