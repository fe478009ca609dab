//! `join`: this device becomes one of the vault's, by the recovery phrase.

use std::io::Read as _;

use convosync_core::protocol::{EnableReply, InitReply, Recover, Request};
use serde::Serialize;

use super::enable::FirstEnable;
use super::init;
use crate::args::{self, PhraseSource};
use crate::ask::{self, AskError};
use crate::call::Call;
use crate::exit::{CtlError, ExitCode};
use crate::phrase;

/// The longest phrase that is read: 24 words of at most 8 letters, and room for odd spacing.
const PHRASE_BYTES_MAX: u64 = 4096;

/// What `join --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    join: &'a InitReply,
    enable: Option<&'a EnableReply>,
    problem: Option<String>,
}

/// Joins the vault that the phrase belongs to.
pub(crate) fn run(call: &mut Call<'_>, args: &args::Join) -> Result<ExitCode, CtlError> {
    let Some(source) = args.recover else {
        let message = "pairing with another device comes in a later version";
        let hint = "join by the recovery phrase: `convosyncctl join --recover`";
        return Err(CtlError::refused(ExitCode::Usage, message, hint));
    };
    init::refuse_initialised(call)?;
    let phrase = read_phrase(call, source)?;
    let (name, kind) = init::name_device(call, &args.device, source == PhraseSource::Input)?;
    let request = Recover {
        name,
        kind: kind.word().to_owned(),
        phrase,
        directory: call.directory(),
        remote: args.remote.clone(),
    };
    let reply: InitReply = call.ask(Request::Recover(request))?;
    let enabled = FirstEnable::try_now(call, false);
    report(call, &reply, &enabled)?;
    Ok(enabled.outcome())
}

fn read_phrase(call: &Call<'_>, source: PhraseSource) -> Result<String, CtlError> {
    if source == PhraseSource::Ask {
        if !call.is_interactive() {
            let instead = "pipe it in: `convosyncctl join --recover - < FILE`";
            return Err(AskError::NoTerminal { what: "the recovery phrase", instead }.into());
        }
        return Ok(ask::phrase()?);
    }
    let mut text = String::new();
    let mut input = call.env.input.borrow_mut();
    let read = input.by_ref().take(PHRASE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| CtlError::Refused {
        code: ExitCode::Failed,
        message: format!("read the recovery phrase from standard input: {error}"),
        hint: None,
    })?;
    phrase::check(&text)?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn report(call: &mut Call<'_>, reply: &InitReply, enabled: &FirstEnable) -> Result<(), CtlError> {
    if call.print.json {
        let problem = enabled.problem().map(CtlError::message);
        return Ok(call.print.answer(&Answer { join: reply, enable: enabled.reply(), problem })?);
    }
    call.print.done(&format!("this device belongs to vault {} now", reply.vault))?;
    call.print.done(&format!("its keys are in {}", reply.keys.display()))?;
    enabled.print(&mut call.print)?;
    match enabled.reply() {
        Some(_) => Ok(call.print.next("convosyncctl resume")?),
        None => Ok(call.print.next("go to a project with a git remote: convosyncctl enable")?),
    }
}
