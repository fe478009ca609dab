//! Variables that travel with the session, as they stand here.

use convosync_core::config::Config;
use convosync_core::environment::{Variables, bounded, is_fit};

use crate::call::Call;
use crate::error::CtlError;

/// Takes the variables that the user named; `None` where none are named. Says which of them stay, and why.
pub(super) fn take(call: &mut Call<'_>) -> Result<Option<Variables>, CtlError> {
    let names = Config::load(&call.paths()?.config_file)?.environment;
    if names.is_empty() {
        return Ok(None);
    }
    let mut taken = Variables::new();
    for name in &names {
        let Some(value) = call.env.variables.get(name.as_ref() as &std::ffi::OsStr) else {
            continue;
        };
        match value.to_str().filter(|value| is_fit(value)) {
            Some(value) => drop(taken.insert(name.clone(), value.to_owned())),
            None => stays(call, name)?,
        }
    }
    let bounded = bounded(taken.clone());
    taken
        .keys()
        .filter(|name| !bounded.contains_key(*name))
        .try_for_each(|name| stays(call, name))?;
    Ok(Some(bounded))
}

fn stays(call: &mut Call<'_>, name: &str) -> Result<(), CtlError> {
    if call.print.json {
        return Ok(());
    }
    let why = "it is too long, no text, or holds a password or a private key";
    Ok(call.print.note(&format!("the variable `{name}` is not taken along: {why}"), None)?)
}

/// Says which variables travel with the session.
pub(super) fn tell(call: &mut Call<'_>, taken: Option<&Variables>) -> Result<(), CtlError> {
    let Some(taken) = taken.filter(|taken| !taken.is_empty() && !call.print.json) else {
        return Ok(());
    };
    let names: Vec<&str> = taken.keys().map(String::as_str).collect();
    Ok(call.print.done(&format!("environment taken along: {}", names.join(", ")))?)
}
