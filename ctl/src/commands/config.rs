//! `config`: where the configuration is, what it says, whether it is right.

use crate::args::ConfigCommand;
use crate::call::Call;
use crate::exit::{CtlError, ExitCode};
use crate::places;

/// Carries out a subcommand of `config`. None of them needs the daemon.
pub(crate) fn run(call: &mut Call<'_>, command: ConfigCommand) -> Result<ExitCode, CtlError> {
    match command {
        ConfigCommand::Path => path(call),
        ConfigCommand::Show => show(call),
        ConfigCommand::Check => check(call),
    }
}

fn path(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    let path = call.paths()?.config_file;
    if call.print.json {
        call.print.answer(&serde_json::json!({ "path": path, "exists": path.exists() }))?;
    } else {
        call.print.line(path.display().to_string())?;
    }
    Ok(ExitCode::Ok)
}

fn show(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    let path = call.paths()?.config_file;
    let text = places::check_config(&path)?.unwrap_or_default();
    call.print.verbatim(&text)?;
    Ok(ExitCode::Ok)
}

fn check(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    let path = call.paths()?.config_file;
    places::check_config(&path)?;
    if call.print.json {
        call.print.answer(&serde_json::json!({ "path": path, "good": true }))?;
    } else {
        call.print.done(&format!("{} is fine", path.display()))?;
    }
    Ok(ExitCode::Ok)
}
