//! `config`: where the configuration is, what it says, whether it is right.

use convosync_core::config::Config;
use convosync_core::protocol::{Nothing, Request};
use serde_json::json;

use crate::args::ConfigCommand;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;

/// Carries out a subcommand of `config`. Only `reload` needs the daemon.
pub(crate) fn run(call: &mut Call<'_>, command: ConfigCommand) -> Result<ExitCode, CtlError> {
    match command {
        ConfigCommand::Path => path(call),
        ConfigCommand::Show => show(call),
        ConfigCommand::Check => check(call),
        ConfigCommand::Reload => reload(call),
    }
}

fn path(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    let path = call.paths()?.config_file;
    if call.print.json {
        call.print.answer(&json!({ "path": path, "exists": path.exists() }))?;
    } else {
        call.print.line(path.display().to_string())?;
    }
    Ok(ExitCode::Ok)
}

fn show(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    let text = Config::load(&call.paths()?.config_file)?.to_toml();
    if call.print.json {
        let settings: serde_json::Value =
            toml::from_str(&text).expect("what `to_toml` writes is TOML");
        call.print.answer(&settings)?;
    } else {
        call.print.paragraph(text.trim_end())?;
    }
    Ok(ExitCode::Ok)
}

fn check(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    let path = call.paths()?.config_file;
    Config::load(&path)?;
    if call.print.json {
        call.print.answer(&json!({ "path": path, "exists": path.exists(), "good": true }))?;
        return Ok(ExitCode::Ok);
    }
    if path.exists() {
        call.print.done(&format!("{} is right", path.display()))?;
        call.print.next("convosyncctl config reload, so that the daemon follows it")?;
    } else {
        call.print.done(&format!("no {}: every setting has its default", path.display()))?;
        call.print.next("convosyncctl config show")?;
    }
    Ok(ExitCode::Ok)
}

fn reload(call: &mut Call<'_>) -> Result<ExitCode, CtlError> {
    Config::load(&call.paths()?.config_file)?;
    let Nothing {} = call.ask(Request::Reload(Nothing {}))?;
    if call.print.json {
        call.print.answer(&json!({}))?;
    } else {
        call.print.done("the daemon follows the configuration as it is now")?;
        call.print.next("convosyncctl status")?;
    }
    Ok(ExitCode::Ok)
}
