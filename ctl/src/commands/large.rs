//! A conversation that has become very large, as `status` and `save` tell it: once.

use std::io;

use crate::print::{Printer, count};

/// Tells of a session, by the first characters of its id.
pub(crate) fn tell(print: &mut Printer<'_>, short: &str, messages: u32) -> io::Result<()> {
    let what = format!("the conversation {short} is very large: {}", count(messages, "message"));
    let hint = "another device downloads all of it when it resumes for the first time; a save sends what is new \
                only. For another task, start a fresh one with `claude`. This is told once";
    print.note(&what, Some(hint))
}
