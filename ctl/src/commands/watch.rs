//! `watch`: what happens, as it happens.

use convosync_core::protocol::Event;

use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{Text, bytes, count};

/// Prints events until the daemon leaves or the user does.
pub(crate) fn run(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    call.client()?.watch()?;
    while let Some(event) = call.client()?.next_event()? {
        if call.print.json {
            call.print.answer_line(&event)?;
        } else {
            print(call, &event)?;
        }
    }
    Err(CtlError::refused(
        ExitCode::NoDaemon,
        "the daemon left",
        "any command starts it again, as does `convosyncctl service start`",
    ))
}

fn print(call: &mut Call<'_>, event: &Event) -> Result<(), CtlError> {
    let text = match event {
        Event::Saved { session, save, messages, sealed_bytes } => Text::new()
            .strong("saved")
            .plain(&format!("    {} save {save}: ", session.short()))
            .plain(&format!("{}, {} sealed", count(*messages, "message"), bytes(*sealed_bytes))),
        Event::OnRemote { remote, sent, received } => Text::new()
            .good("on remote")
            .plain(&format!(" {remote}"))
            .faint(&format!("  {} sent, {} received", bytes(*sent), bytes(*received))),
        Event::Arrived { device, session } => Text::new()
            .strong("arrived")
            .plain(&format!("  {} from {device}: convosyncctl resume {0}", session.short())),
        Event::Trouble { message, hint } => {
            return Ok(call.print.note(message, hint.as_deref())?);
        }
    };
    Ok(call.print.line(text)?)
}
