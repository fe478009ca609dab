//! `diff`: two saves, of one session or of two.

use convosync_core::history::History;
use convosync_core::protocol::{Diff, DiffReply, DiffSide, Failure, SessionQuery};
use convosync_core::transcript::{Outline, Rest};

use super::{Clerk, browse, log};

/// How many of the user's words are told of each side.
const SAID_MAX: usize = 200;

/// How many files are told of each side.
const FILES_MAX: usize = 2000;

pub(super) fn diff(clerk: &Clerk<'_>, diff: &Diff) -> Result<DiffReply, Failure> {
    let (a, of_a) = open(clerk, &diff.a)?;
    let (b, of_b) = open(clerk, &diff.b)?;
    let lines = of_a.common(&of_b);
    let rest = of_a.behind(lines);
    Ok(DiffReply {
        common_messages: rest.messages_before,
        a: side(&a, rest),
        b: side(&b, of_b.behind(lines)),
    })
}

fn open(clerk: &Clerk<'_>, query: &SessionQuery) -> Result<(History, Outline), Failure> {
    let (place, holding) = browse::find(clerk.house, query)?;
    browse::fetch(clerk, &place, &holding)?;
    let held = place.desk.lock();
    let history = browse::at_save(&held, browse::open(&held, &holding)?, query)?;
    let mut outline = Outline::default();
    browse::open_main(&held, &history, &mut |raw| outline.push(raw))?;
    Ok((history, outline))
}

fn side(history: &History, mut rest: Rest) -> DiffSide {
    rest.said.drain(..rest.said.len().saturating_sub(SAID_MAX));
    let mut passages = log::passages_of(history);
    passages.retain(|passage| {
        passage.until > rest.from || (passage.from == passage.until && passage.from > rest.from)
    });
    DiffSide {
        session: history.session.clone(),
        save: browse::save_info(history.record.clone()),
        messages: rest.messages,
        said: rest.said,
        files: rest.files.iter().take(FILES_MAX).map(|path| path.display().to_string()).collect(),
        passages,
    }
}
