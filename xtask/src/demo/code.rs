//! The demo's second half: unfinished work travels with the conversation, and `undo` brings back what stood there.

use convosync_tests::synthetic::Conversation;
use convosync_tests::work::{leave, seen};
use convosync_tests::{Device, SAVED_WITHIN, Writer};

use super::step;
use crate::failure::Failure;
use crate::print;
use crate::table::Table;

/// Any number that no conversation of the first half has.
const SEED: u64 = 77_777;

/// Leaves work on `ada`, resumes it on `bob`, and takes it back there.
pub(super) fn play(ada: &Device, bob: &Device, table: &mut Table) -> Result<(), Failure> {
    let before = seen(bob);
    leave(ada);
    let mut talk =
        Writer::new(&ada.home.transcripts(), Conversation::new(SEED, ada.home.project()));
    talk.turn();
    step(table, ada, "ada saves work and words", talk.total_bytes(), || {
        ada.saved_eventually(talk.session(), talk.total_bytes(), SAVED_WITHIN);
        Ok(())
    })?;
    let theirs = seen(ada);
    step(table, bob, "bob resumes both", 0, || {
        bob.ctl_json(&["resume", talk.session()]);
        Ok(())
    })?;
    compare(
        "on bob's device: HEAD, branch, index, status, diffs, untracked files",
        &theirs,
        &seen(bob),
    )?;
    bob.ctl(&["undo"]).ok();
    compare("after `undo` there: as before", &before, &seen(bob))
}

fn compare(what: &str, wanted: &[String], found: &[String]) -> Result<(), Failure> {
    let different: Vec<String> =
        found.iter().filter(|line| !wanted.contains(line)).cloned().collect();
    if different.is_empty() && wanted.len() == found.len() {
        print::line(&format!("    {what}: equal"));
        return Ok(());
    }
    Err(Failure::Unequal(different))
}
