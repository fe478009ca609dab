//! `join`: this device becomes one of the vault's, by the recovery phrase.

use std::io::Read as _;

use convosync_core::protocol::{InitReply, Recover, Request};
use convosync_core::seal::Phrase;

use super::init;
use crate::args::{self, PhraseSource};
use crate::ask::{self, AskError};
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::count;

/// The longest phrase that is read: 24 words of at most 8 letters, and room for odd spacing.
const PHRASE_BYTES_MAX: u64 = 4096;

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
    report(call, &reply)?;
    Ok(ExitCode::Ok)
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
    Ok(Phrase::parse(&text)?.words().join(" "))
}

fn report(call: &mut Call<'_>, reply: &InitReply) -> Result<(), CtlError> {
    if call.print.json {
        return Ok(call.print.answer(reply)?);
    }
    call.print.done(&format!("this device belongs to vault {} now", reply.vault))?;
    call.print.done(&format!("its keys are in {}", reply.keys.display()))?;
    let Some(remote) = &reply.remote else {
        return Ok(call.print.next("convosyncctl list --refresh")?);
    };
    match &remote.problem {
        None => {
            let found = count(remote.sessions, "session");
            call.print.done(&format!("{found} of your other devices at {}", remote.remote))?;
        }
        Some(problem) => call.print.note(&problem.message, problem.hint.as_deref())?,
    }
    let step = "convosyncctl list; then convosyncctl resume --clone brings one here with a clone of its \
                repository, or, in a clone you have: convosyncctl enable, and convosyncctl resume";
    Ok(call.print.next(step)?)
}
