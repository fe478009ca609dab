//! `diff`: what two saves have and the other has not.

use convosync_core::protocol::{Diff, DiffReply, DiffSide, Request, SessionQuery};

use super::log::stood;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{Text, count};

/// How many lines of each kind are printed; JSON has more.
const SHOWN_MAX: usize = 20;

/// Compares two saves.
pub(crate) fn run(call: &mut Call<'_>, a: String, b: String) -> Result<ExitCode, CtlError> {
    let request = Diff { a: SessionQuery(a), b: SessionQuery(b) };
    let reply: DiffReply = call.ask(Request::Diff(request))?;
    if call.print.json {
        call.print.answer(&reply)?;
        return Ok(ExitCode::Ok);
    }
    call.print.heading(&format!("{} and {}", name(&reply.a), name(&reply.b)))?;
    let common = count(reply.common_messages, "message");
    call.print.line(format!("Both begin with the same {common}"))?;
    for side in [&reply.a, &reply.b] {
        print_side(call, side)?;
    }
    Ok(ExitCode::Ok)
}

fn name(side: &DiffSide) -> String {
    format!("{}@{}", side.session.short(), side.save.save)
}

fn print_side(call: &mut Call<'_>, side: &DiffSide) -> Result<(), CtlError> {
    call.print.line("")?;
    let title = format!("Only in {}: {}", name(side), count(side.messages, "message"));
    call.print.line(Text::new().strong(&title))?;
    let code: Vec<String> = side.passages.iter().map(stood).collect();
    for (what, lines) in [("said", &side.said), ("wrote", &side.files), ("code", &code)] {
        let hidden = lines.len().saturating_sub(SHOWN_MAX);
        if hidden > 0 {
            call.print.line(format!("  {what:<6}({hidden} before these; --json has more)"))?;
        }
        for line in &lines[hidden..] {
            call.print.line(Text::new().faint(&format!("  {what:<6}")).plain(line))?;
        }
    }
    Ok(())
}
