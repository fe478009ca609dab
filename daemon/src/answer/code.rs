//! `code`: the code of a saved session, opened for the client to put in place.

use convosync_core::disk;
use convosync_core::history::History;
use convosync_core::protocol::{Code, CodeReply, Failure, Resume, SavedCode};
use convosync_core::seal::{CodePoint, CodeSaved};

use super::resume::{self, Wanted};
use super::{Clerk, browse, step};
use crate::desk::Desk;
use crate::{code, fail};

pub(super) fn code(clerk: &Clerk<'_>, code: &Code) -> Result<CodeReply, Failure> {
    let house = clerk.house;
    let wish = Resume {
        directory: code.directory.clone(),
        session: code.session.clone(),
        ..Resume::default()
    };
    let Wanted { place, home, holding, history, received, warnings } = resume::find(clerk, &wish)?;
    let held = place.desk.lock();
    step(clerk.tell, "opening the code");
    Ok(CodeReply {
        session: browse::info(house, &place, &held, &holding),
        save: history.record.number,
        root: home.project.root.clone(),
        code: saved_code(clerk, &held, &history, "")?,
        known: known(clerk, &held, &history),
        received,
        warnings,
    })
}

/// The state that the clone here is known to have stood at. That it cannot be told costs a question.
fn known(clerk: &Clerk<'_>, held: &Desk, wanted: &History) -> SavedCode {
    let base = held.base_of(&wanted.session);
    base.and_then(|base| saved_code(clerk, held, &base, ".known").ok())
        .unwrap_or(SavedCode::Nothing { why: None })
}

/// Opens what a save has of the code; `suffix` tells the files of one answer apart.
fn saved_code(
    clerk: &Clerk<'_>,
    held: &Desk,
    history: &History,
    suffix: &str,
) -> Result<SavedCode, Failure> {
    let Some(point) = &history.record.code else { return Ok(SavedCode::Nothing { why: None }) };
    match (&point.saved, point.commit) {
        (CodeSaved::Withheld(why), _) => Ok(SavedCode::Nothing { why: Some(why.clone()) }),
        (CodeSaved::Plain, Some(commit)) => {
            let CodePoint { branch, upstream, .. } = point.clone();
            Ok(SavedCode::Plain { branch, commit: commit.to_string(), upstream })
        }
        (CodeSaved::Log, _) => open(clerk, held, history, suffix),
        _ => Ok(SavedCode::Nothing { why: None }),
    }
}

/// Opens the code log beside everything else.
fn open(
    clerk: &Clerk<'_>,
    held: &Desk,
    history: &History,
    suffix: &str,
) -> Result<SavedCode, Failure> {
    let Some((name, _)) = history.code_log() else { return Ok(SavedCode::Nothing { why: None }) };
    let dir = clerk.house.paths.state_dir.join(code::OPENED);
    disk::private_dir(&dir).map_err(|error| fail::disk(&error))?;
    let log = dir.join(format!("{}{suffix}", history.session));
    code::open_into(held.reader(), history, name, &log)?;
    Ok(SavedCode::State { log })
}
