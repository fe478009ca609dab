//! `key`: taking the keys out.

use std::path::PathBuf;

use convosync_core::disk;
use convosync_core::protocol::{KeyExportReply, Nothing, Request};

use super::init::at_home;
use crate::args::KeyCommand;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;

/// Where the keys go unless a file is named, below the home folder.
const KEY_FILE: &str = "convosync-keys.txt";

/// Carries out a subcommand of `key`.
pub(crate) fn run(call: &mut Call<'_>, command: KeyCommand) -> Result<ExitCode, CtlError> {
    let KeyCommand::Export { file, print } = command;
    if print {
        let reply = export(call)?;
        if call.print.json {
            call.print.answer(&reply)?;
        } else {
            call.print.paragraph(reply.text.trim_end())?;
        }
        return Ok(ExitCode::Ok);
    }
    write(call, file)
}

fn export(call: &mut Call<'_>) -> Result<KeyExportReply, CtlError> {
    call.ask(Request::KeyExport(Nothing {}))
}

fn write(call: &mut Call<'_>, file: Option<PathBuf>) -> Result<ExitCode, CtlError> {
    let path = match file {
        Some(file) => call.resolve(&file),
        None => at_home(call, KEY_FILE)?,
    };
    let reply = export(call)?;
    disk::create_new(&path, reply.text.as_bytes())?;
    if call.print.json {
        call.print.answer(&serde_json::json!({ "file": path }))?;
    } else {
        call.print.done(&format!("the keys are in {}", path.display()))?;
        call.print.note("whoever has this file can read every session", None)?;
        call.print.next("move it to a safe place off this device")?;
    }
    Ok(ExitCode::Ok)
}
