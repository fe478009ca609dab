//! `code`: the code of a saved session, opened for the client to put in place.

use std::sync::Arc;

use convosync_core::disk;
use convosync_core::history::History;
use convosync_core::id::LogName;
use convosync_core::project;
use convosync_core::protocol::{
    CloneReach, Code, CodeReply, Failure, FurtherCode, Resume, SavedCode, Warning,
};
use convosync_core::seal::{CodePoint, CodeSaved, Further};

use super::resume::{self, Wanted};
use super::{Clerk, browse, step};
use crate::desk::Desk;
use crate::house::Home;
use crate::{code, fail};

/// What there is where nothing was saved, or nobody knows why.
const NOTHING: SavedCode = SavedCode::Nothing { why: None };

pub(super) fn code(clerk: &Clerk<'_>, code: &Code) -> Result<CodeReply, Failure> {
    let house = clerk.house;
    let wish = Resume {
        directory: code.directory.clone(),
        session: code.session.clone(),
        ..Resume::default()
    };
    let Wanted { place, home, holding, history, fetched, warnings } = resume::find(clerk, &wish)?;
    let held = place.desk.lock();
    step(clerk.tell, "opening the code");
    Ok(CodeReply {
        session: browse::info(house, &place, &held, &holding),
        save: history.record.number,
        root: home.project.root.clone(),
        code: saved_code(clerk, &held, &history, "")?,
        known: known(clerk, &held, &history),
        reach: house.clone_reach(&home),
        further: further(clerk, &held, &home, &history),
        received: fetched.received,
        announced: fetched.announced,
        warnings,
    })
}

/// The state that the clone here is known to have stood at. That it cannot be told costs a question.
fn known(clerk: &Clerk<'_>, held: &Desk, wanted: &History) -> SavedCode {
    let base = held.base_of(&wanted.session);
    let known = base.and_then(|base| saved_code(clerk, held, &base, ".known").ok());
    known.unwrap_or(NOTHING)
}

/// Opens what a save has of the code; `suffix` tells the files of one answer apart.
fn saved_code(
    clerk: &Clerk<'_>,
    held: &Desk,
    history: &History,
    suffix: &str,
) -> Result<SavedCode, Failure> {
    let name = format!("{}{suffix}", history.session);
    let point = history.record.code.as_ref();
    point.map_or(Ok(NOTHING), |point| {
        let log = history.code_log().map(|(log, _)| log);
        opened(clerk, held, history, (point, log, &name))
    })
}

fn opened(
    clerk: &Clerk<'_>,
    held: &Desk,
    history: &History,
    (point, log, name): (&CodePoint, Option<LogName>, &str),
) -> Result<SavedCode, Failure> {
    match (&point.saved, point.commit, log) {
        (CodeSaved::Withheld(why), ..) => Ok(SavedCode::Nothing { why: Some(why.clone()) }),
        (CodeSaved::Plain, Some(commit), _) => {
            let CodePoint { branch, upstream, .. } = point.clone();
            Ok(SavedCode::Plain { branch, commit: commit.to_string(), upstream })
        }
        (CodeSaved::Log, _, Some(log)) => open(clerk, held, history, log, name),
        _ => Ok(NOTHING),
    }
}

/// Opens a code log beside everything else.
fn open(
    clerk: &Clerk<'_>,
    held: &Desk,
    history: &History,
    log: LogName,
    name: &str,
) -> Result<SavedCode, Failure> {
    let dir = clerk.house.paths.state_dir.join(code::OPENED);
    disk::private_dir(&dir).map_err(|error| fail::disk(&error))?;
    let path = dir.join(name);
    code::open_into(held.reader(), history, log, &path)?;
    Ok(SavedCode::State { log: path })
}

/// The code of the further repositories. What this device saved itself and another one only carried on stays as
/// it is here.
fn further(clerk: &Clerk<'_>, held: &Desk, own: &Home, history: &History) -> Vec<FurtherCode> {
    let device = held.vault.device();
    let is_news = |further: &&Further| further.device != device || history.record.device == device;
    let news = history.record.further.iter().filter(is_news);
    news.filter_map(|further| one(clerk, held, own, (history, further))).collect()
}

fn one(
    clerk: &Clerk<'_>,
    held: &Desk,
    own: &Home,
    (history, further): (&History, &Further),
) -> Option<FurtherCode> {
    let name = further.name.clone();
    let told = |missing| FurtherCode {
        name: name.clone(),
        root: None,
        code: NOTHING,
        known: NOTHING,
        reach: CloneReach::default(),
        missing: Some(missing),
    };
    if let CodeSaved::Withheld(why) = &further.code.saved {
        return Some(told(not_saved(&name, Some(why))));
    }
    if further.code.saved == CodeSaved::Nothing {
        return Some(told(not_saved(&name, None)));
    }
    let homes = clerk.house.homes();
    let is_it = |home: &&Arc<Home>| project::same(&home.project.ids, &further.ids);
    let Some(home) = homes.iter().find(is_it) else { return Some(told(not_here(further))) };
    if home.key == own.key {
        return None;
    }
    let open = |history: &History, further: &Further, suffix: &str| {
        let name = format!("{}-{}{suffix}", further.key, history.session);
        let log = history.code_log_of(further).map(|(log, _)| log);
        opened(clerk, held, history, (&further.code, log, &name))
    };
    let code = match open(history, further, "") {
        Ok(code) => code,
        Err(failure) => {
            let message = format!("the code of `{name}` cannot be read: {}", failure.message);
            return Some(told(Warning { loud: true, message, hint: failure.data.hint }));
        }
    };
    let base = held.base_of(&history.session);
    let known = base.and_then(|base| {
        let known = base.record.further.iter().find(|known| known.key == further.key)?;
        open(&base, known, ".known").ok()
    });
    let root = Some(home.project.root.clone());
    let known = known.unwrap_or(NOTHING);
    let reach = clerk.house.clone_reach(home);
    Some(FurtherCode { name, root, code, known, reach, missing: None })
}

fn not_saved(name: &str, why: Option<&String>) -> Warning {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let message =
        format!("the conversation worked in `{name}` too, and its code was not saved{why}");
    let hint = "what is there arrives with a push; to have it saved with the conversation, see `convosyncctl status` on that device";
    Warning { loud: false, message, hint: Some(hint.to_owned()) }
}

fn not_here(further: &Further) -> Warning {
    // It is there to be copied into a shell.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%~".contains(c);
    let plain = |address: &&String| address.chars().all(is_plain) && !address.starts_with('-');
    let clone = match further.address.as_ref().filter(plain) {
        Some(address) => format!("`git clone {address}`"),
        None => "clone it here".to_owned(),
    };
    Warning {
        loud: true,
        message: format!(
            "the conversation worked in `{}` too, which is not enabled on this device: its code stays where it is saved",
            further.name
        ),
        hint: Some(format!("{clone}, run `convosyncctl enable` in the clone, and resume again")),
    }
}
