//! A save that was named though there is a newer one.

use convosync_core::findings::{Answer, Finding};
use convosync_core::protocol::{Request, Resume, ResumeReply, SessionQuery, Warning};

use super::preflight;
use crate::args;
use crate::ask::AskError;
use crate::call::Call;
use crate::error::CtlError;
use crate::print::ago;

/// Settles which save is meant, before anything is fetched for it but the conversation. Whoever named one gets
/// it, with a warning, where nobody can be asked.
pub(super) fn settle(
    call: &mut Call<'_>,
    args: &args::Resume,
    session: Option<SessionQuery>,
) -> Result<(Option<SessionQuery>, Option<Warning>), CtlError> {
    let Some(query) = session else { return Ok((None, None)) };
    let (name, Some(named)) = query.parts() else { return Ok((Some(query), None)) };
    let newest = SessionQuery(name.to_owned());
    if args.newest {
        return Ok((Some(newest), None));
    }
    if args.exact || args.force {
        return Ok((Some(query), None));
    }
    let Some(finding) = find(call, &query, named)? else { return Ok((Some(query), None)) };
    let answer = match call.is_interactive() && !args.dry_run {
        true => preflight::ask_about(call, None, &finding)?,
        false => finding.default_answer().unwrap_or(Answer::Named),
    };
    match answer {
        Answer::Cancel => Err(AskError::Cancelled.into()),
        Answer::Newest => Ok((Some(newest), None)),
        _ => {
            let hint = Some(format!("`convosyncctl resume {name}` takes the newest"));
            let warning = Warning { loud: false, message: finding.message(), hint };
            Ok((Some(query), Some(warning)))
        }
    }
}

fn find(
    call: &mut Call<'_>,
    query: &SessionQuery,
    named: u32,
) -> Result<Option<Finding>, CtlError> {
    let rehearsal = Resume {
        directory: call.directory(),
        session: Some(query.clone()),
        dry_run: true,
        ..Resume::default()
    };
    let reply: ResumeReply = call.ask(Request::Resume(rehearsal))?;
    let info = reply.session;
    let device = if info.this_device { "this device" } else { &info.device_name };
    let made = format!("{device}, {}", ago(info.at_ms, (call.env.now_ms)()));
    let finding = Finding::NewerSave { named, newest: info.save, made };
    Ok(Some(finding).filter(|_| info.save > named))
}
