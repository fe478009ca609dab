//! A conversation as text, page by page: in the pager of a terminal, else on standard output.

use std::fs::File;
use std::io::{self, Seek as _};

use convosync_core::disk;
use convosync_core::protocol::{Read, ReadReply, Request, SessionQuery};

use crate::call::Call;
use crate::error::CtlError;
use crate::print::{Printer, Text};
use crate::start;

/// Shows a conversation below a heading, to the end or to a byte of its transcript. The pager takes the place of
/// this process.
pub(super) fn read(
    call: &mut Call<'_>,
    session: &SessionQuery,
    until: Option<u64>,
    heading: Option<&str>,
) -> Result<(), CtlError> {
    let pager = start::pager(call.env).filter(|_| call.env.terminal.output && !call.print.json);
    let mut paged = pager.as_ref().map(|_| scratch(call)).transpose()?;
    let (mut from, mut all, mut heading) = (0, Vec::new(), heading);
    loop {
        let request = Read { session: session.clone(), from, until };
        let page: ReadReply = call.ask(Request::Read(request))?;
        let (look, heading) = (call.print.look, heading.take());
        match &mut paged {
            _ if call.print.json => all.extend(page.messages),
            Some(file) => print(&mut Printer::new(file, &mut io::sink(), look), heading, &page)?,
            None => print(&mut call.print, heading, &page)?,
        }
        match page.next {
            // A daemon that does not move on must not keep us here for ever.
            Some(next) if next > from => from = next,
            _ => break,
        }
    }
    if let (Some(mut file), Some(pager)) = (paged, pager) {
        file.rewind()?;
        return Err(start::page(call.env, &pager, file).into());
    }
    if call.print.json {
        call.print.answer(&serde_json::json!({ "messages": all }))?;
    }
    Ok(())
}

/// A file without a name, beside the state: the pager reads it.
fn scratch(call: &Call<'_>) -> Result<File, CtlError> {
    let folder = call.paths()?.state_dir;
    disk::private_dir(&folder)?;
    Ok(tempfile::tempfile_in(folder)?)
}

fn print(print: &mut Printer<'_>, heading: Option<&str>, page: &ReadReply) -> io::Result<()> {
    if let Some(heading) = heading {
        print.heading(heading)?;
        print.line("")?;
    }
    for message in &page.messages {
        let at = message.at.as_deref().unwrap_or_default();
        print.line(Text::new().strong(&message.role).faint(&format!("  {at}")))?;
        print.paragraph(message.text.trim_end())?;
        print.line("")?;
    }
    Ok(())
}
