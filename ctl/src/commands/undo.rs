//! `undo`: what stood in the work tree before the last resume comes back.

use convosync_core::checkout;

use super::resume::tell_report;
use crate::call::Call;
use crate::clone::{Clone, Steps};
use crate::error::CtlError;
use crate::exit::ExitCode;

/// Takes the last change of this work tree back.
pub(crate) fn run(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    let clone = Clone::of(call, &call.directory())?;
    let steps = Steps::of(call);
    let report = checkout::undo(clone.place(), &|step| steps.take(step))?;
    drop(steps);
    if call.print.json {
        call.print.answer(&report)?;
    } else if report.unlocked {
        call.print.done(
            "a restore that was killed had left its lock: it is gone, and no file was touched",
        )?;
    } else {
        call.print.done("what stood here before is back")?;
        tell_report(call, &report)?;
        if report.unfinished {
            call.print.note("a restore before it was interrupted, too", None)?;
            call.print.next("convosyncctl undo (ends it)")?;
        } else if report.again {
            call.print
                .next("convosyncctl undo (once more brings back what stood here until now)")?;
        }
    }
    Ok(if report.differences.is_empty() { ExitCode::Ok } else { ExitCode::Failed })
}
