//! `show`: one session with its saves and files.

use convosync_core::protocol::{Request, SessionQuery, Show, ShowReply};

use super::used;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{Text, ago, bytes, count, headline, place};

/// How many saves are printed; JSON has all of them.
const SAVES_MAX: usize = 20;

/// How many digits of a digest are printed.
const DIGEST_DIGITS: usize = 12;

/// Shows a session.
pub(crate) fn run(call: &mut Call<'_>, session: String) -> Result<ExitCode, CtlError> {
    let reply: ShowReply = call.ask(Request::Show(Show { session: SessionQuery(session) }))?;
    if call.print.json {
        call.print.answer(&reply)?;
        return Ok(ExitCode::Ok);
    }
    print_facts(call, &reply)?;
    print_repositories(call, &reply)?;
    print_saves(call, &reply)?;
    print_files(call, &reply)?;
    call.print.next(&format!("convosyncctl resume {}", reply.session.short))?;
    Ok(ExitCode::Ok)
}

fn print_facts(call: &mut Call<'_>, reply: &ShowReply) -> Result<(), CtlError> {
    let info = &reply.session;
    call.print.heading(&format!("Session {}", info.short))?;
    let saved = format!(
        "{} by {} ({}), save {}",
        ago(info.at_ms, (call.env.now_ms)()),
        info.device_name,
        info.device_kind,
        info.save
    );
    let root = info.root.as_ref().map_or_else(
        || format!("{} (not on this device)", info.project),
        |root| format!("{} ({})", info.project, root.display()),
    );
    let malformed = match info.malformed {
        0 => String::new(),
        number => format!(", {} (saved all the same)", count(number, "unreadable line")),
    };
    let size =
        format!("{}, {}{malformed}", count(info.messages, "message"), bytes(info.total_bytes));
    let remote = match info.on_remote {
        Some(true) => "yes",
        Some(false) => "not yet",
        None => "another device's",
    };
    let folder = if info.subdirectory.is_empty() { "." } else { &info.subdirectory };
    let facts = [
        ("Title", info.title.clone().unwrap_or_else(|| headline(info))),
        ("Id", info.session.to_string()),
        ("Saved", saved),
        ("Message", info.message.clone().unwrap_or_default()),
        ("Project", root),
        ("Folder", folder.to_owned()),
        ("Code", code(reply)),
        ("Size", size),
        ("On remote", remote.to_owned()),
        ("Runs here", if info.live { "yes, now" } else { "no" }.to_owned()),
    ];
    Ok(call
        .print
        .facts(&facts)
        .and_then(|()| call.print.facts(&used::facts(&reply.used, &reply.saves)))?)
}

/// Where the code stood, and whether that is all that was saved of it.
fn code(reply: &ShowReply) -> String {
    let info = &reply.session;
    let place = place(info.branch.as_deref(), info.commit.as_deref(), info.dirty);
    let newest = reply.saves.iter().find(|save| save.save == info.save);
    match newest.and_then(|save| save.withheld.as_deref()) {
        Some(why) => format!("{place}, named only: {why}"),
        None => place,
    }
}

fn print_repositories(call: &mut Call<'_>, reply: &ShowReply) -> Result<(), CtlError> {
    if reply.repositories.is_empty() {
        return Ok(());
    }
    call.print.line("")?;
    call.print.line(Text::new().strong("Other repositories"))?;
    for repository in &reply.repositories {
        let told = match (&repository.why, repository.is_saved) {
            (Some(why), _) => format!("not saved: {why}"),
            (None, false) => "not saved".to_owned(),
            (None, true) => {
                let (branch, commit) = (&repository.branch, &repository.commit);
                place(branch.as_deref(), commit.as_deref(), repository.dirty)
            }
        };
        let root = repository.root.as_ref().map(|root| format!("  {}", root.display()));
        let text = Text::new().plain("  ").plain(&repository.name).plain("  ").plain(&told);
        call.print.line(text.faint(&root.unwrap_or_default()))?;
    }
    Ok(())
}

fn print_saves(call: &mut Call<'_>, reply: &ShowReply) -> Result<(), CtlError> {
    let now_ms = (call.env.now_ms)();
    call.print.line("")?;
    call.print.line(Text::new().strong("Saves"))?;
    for save in reply.saves.iter().take(SAVES_MAX) {
        let code = place(save.branch.as_deref(), save.commit.as_deref(), save.dirty);
        let message = save.message.as_deref().unwrap_or_default();
        let facts = [ago(save.at_ms, now_ms), count(save.messages, "message"), code];
        let text = Text::new()
            .strong(&format!("{:>5}", save.save))
            .plain("  ")
            .plain(&facts.join(call.print.look.dot()))
            .faint(&format!("  {message}"));
        call.print.line(text)?;
    }
    match reply.saves.len().saturating_sub(SAVES_MAX) {
        0 => Ok(()),
        more => Ok(call.print.line(format!("       and {more} older (--json has all)"))?),
    }
}

fn print_files(call: &mut Call<'_>, reply: &ShowReply) -> Result<(), CtlError> {
    call.print.line("")?;
    call.print.line(Text::new().strong("Files"))?;
    for file in &reply.files {
        let digest: String = file.sha256.chars().take(DIGEST_DIGITS).collect();
        let text = Text::new()
            .plain(&format!("{:>12}  ", bytes(file.length)))
            .faint(&digest)
            .plain("  ")
            .plain(&file.path);
        call.print.line(text)?;
    }
    Ok(())
}
