//! `replay`: a session as it was at a commit or at a save. Nothing is touched.

use convosync_core::config::Config;
use convosync_core::git::Git;
use convosync_core::id::short_commit;
use convosync_core::protocol::{LogReply, PassageInfo, SessionQuery};

use super::log::{self, stood};
use super::read::read;
use crate::args;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::count;

/// The fewest digits that name a commit, as in git.
const DIGITS_MIN: usize = 4;

/// So many sessions are looked through for a commit.
const SESSIONS_MAX: usize = 50;

/// Prints a session as it was then.
pub(crate) fn run(call: &mut Call<'_>, args: args::Replay) -> Result<ExitCode, CtlError> {
    let sessions = match args.session {
        Some(session) => vec![SessionQuery(session)],
        None => log::candidates(call)?,
    };
    if let Some(args::SaveNumber(number)) = args.at {
        let session = SessionQuery(format!("{}@{number}", sessions[0].parts().0));
        read(call, &session, None, None)?;
        return Ok(ExitCode::Ok);
    }
    let commit = resolve(call, args.at_commit.as_deref().unwrap_or_default());
    let mut known: Vec<PassageInfo> = Vec::new();
    for session in sessions.into_iter().take(SESSIONS_MAX) {
        let reply = log::ask(call, session)?;
        if let Some(passage) = last_at(&reply, &commit)? {
            at_passage(call, &reply, passage)?;
            return Ok(ExitCode::Ok);
        }
        known.extend(reply.passages);
    }
    Err(CtlError::Refused {
        code: ExitCode::Failed,
        message: format!(
            "no message was written while the code stood at {}",
            short_commit(&commit)
        ),
        hint: Some(places(&known)),
    })
}

fn at_passage(
    call: &mut Call<'_>,
    reply: &LogReply,
    passage: &PassageInfo,
) -> Result<(), CtlError> {
    let save = reply.saves.first().map_or(reply.session.save, |save| save.save);
    let session = SessionQuery(format!("{}@{save}", reply.session.session));
    let all = passage.messages_before + passage.messages;
    let of = count(reply.saves.first().map_or(all, |save| save.messages), "message");
    let heading = format!("Session {} at {}: {all} of {of}", reply.session.short, stood(passage));
    read(call, &session, Some(passage.until), Some(&heading))
}

/// The last passage at a commit.
fn last_at<'a>(reply: &'a LogReply, commit: &str) -> Result<Option<&'a PassageInfo>, CtlError> {
    let is_it = |passage: &&PassageInfo| {
        passage.commit.as_deref().is_some_and(|other| other.starts_with(commit))
    };
    let mut names: Vec<_> = reply.passages.iter().filter(is_it).map(|one| &one.commit).collect();
    names.sort();
    names.dedup();
    if names.len() > 1 {
        return Err(CtlError::refused(
            ExitCode::NeedsDecision,
            &format!("`{commit}` begins the names of {} commits of the session", names.len()),
            "write more of its name",
        ));
    }
    Ok(reply.passages.iter().rfind(is_it))
}

/// Returns the commit's name or the beginning of it: what looks like one, else what git makes of it here. What
/// git does not know stays as it was typed, and is found nowhere.
fn resolve(call: &Call<'_>, typed: &str) -> String {
    let is_digits = typed.len() >= DIGITS_MIN && typed.chars().all(|c| c.is_ascii_hexdigit());
    let asked = if is_digits { None } else { ask_git(call, typed) };
    asked.unwrap_or_else(|| typed.to_ascii_lowercase())
}

fn ask_git(call: &Call<'_>, name: &str) -> Option<String> {
    let config = Config::load(&call.paths().ok()?.config_file).ok()?;
    let git = Git::find(config.git_program.as_deref(), &|name| call.env.get(name)).ok()?;
    let name = format!("{name}^{{commit}}");
    let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
    let output = git.command().dir(&call.directory()).args(args).run().ok()?;
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.success() && !id.is_empty()).then_some(id)
}

/// Names the commits that there is something of.
fn places(known: &[PassageInfo]) -> String {
    const SHOWN_MAX: usize = 8;
    let mut names: Vec<String> =
        known.iter().rev().filter(|passage| passage.commit.is_some()).map(stood).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names.truncate(SHOWN_MAX);
    match names.as_slice() {
        [] => "`convosyncctl log SESSION` shows what is known".to_owned(),
        names => format!("`convosyncctl log SESSION` shows what is known: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_each_commit_once_the_newest_first() {
        let passage = |commit: &str| PassageInfo {
            from: 0,
            until: 0,
            messages_before: 0,
            messages: 1,
            branch: Some("m".to_owned()),
            commit: Some(commit.repeat(10)),
            title: None,
            commands: Vec::new(),
            commands_left_out: 0,
            typed: Vec::new(),
        };
        let hint = places(&[passage("aaaa"), passage("bbbb"), passage("aaaa")]);
        assert!(hint.ends_with("known: m @ aaaaaaaaaaaa, m @ bbbbbbbbbbbb"), "{hint}");
        assert!(places(&[]).ends_with("known"));
    }
}
