//! The only room that prints: text for people, JSON for programs, errors with their hints.
//!
//! A [`Text`] cleans whatever is put into it, so that no title, path or name from elsewhere can move
//! the cursor, colour the screen or turn the writing direction.

mod boxes;
mod clean;
mod measure;
mod session;
mod text;
mod wait;

use std::io::{self, Write};

use serde::Serialize;

use crate::env::Env;
use crate::error::CtlError;

pub(crate) use boxes::Frame;
pub(crate) use clean::clean;
pub(crate) use measure::{ago, bytes, count, until};
pub(crate) use session::{describe_session, headline, place, short_line};
pub(crate) use text::Text;
pub(crate) use wait::Wait;

/// What the reader's end can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Colours.
    pub(crate) colour: bool,
    /// Signs beyond ASCII.
    pub(crate) unicode: bool,
}

impl Look {
    /// Reads the look from terminal and locale.
    pub(crate) fn of(env: &Env) -> Self {
        let colour = env.terminal.colour && env.get("NO_COLOR").is_none();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| env.get(name));
        // Only a locale that is plainly not UTF-8 takes the signs away: Termux and macOS set none.
        let unicode = locale.is_none_or(|locale| {
            let locale = locale.to_string_lossy().to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Self { colour, unicode }
    }

    /// Picks the sign that can be shown.
    pub(crate) fn sign(self, sign: &'static str, plain: &'static str) -> &'static str {
        if self.unicode { sign } else { plain }
    }

    /// Stands before what went well.
    pub(crate) fn done(self) -> &'static str {
        self.sign("✓", "+")
    }

    /// Stands before what needs a look.
    pub(crate) fn attention(self) -> &'static str {
        "!"
    }

    /// Leads from one thing to the next.
    pub(crate) fn arrow(self) -> &'static str {
        self.sign("→", "->")
    }

    /// Separates short facts on one line.
    pub(crate) fn dot(self) -> &'static str {
        self.sign(" · ", ", ")
    }
}

/// Where answers and complaints go.
pub(crate) struct Printer<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// Whether answers are JSON.
    pub(crate) json: bool,
    /// Whether standard output is for a shell to run: answers go where complaints go.
    pub(crate) is_aside: bool,
    /// What the reader's end can show.
    pub(crate) look: Look,
}

impl<'a> Printer<'a> {
    /// Prints answers to `out` and the rest to `err`.
    pub(crate) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, look: Look) -> Self {
        Self { out, err, json: false, is_aside: false, look }
    }

    /// Prints one line of an answer.
    pub(crate) fn line(&mut self, text: impl Into<Text>) -> io::Result<()> {
        let line = text.into().render(self.look.colour);
        let out = if self.is_aside { &mut self.err } else { &mut self.out };
        writeln!(out, "{line}")?;
        out.flush()
    }

    /// Prints a line that a shell will run, byte for byte.
    pub(crate) fn shell(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.write_all(&[line, b"\n"].concat())?;
        self.out.flush()
    }

    /// Prints a line that says what went well.
    pub(crate) fn done(&mut self, text: &str) -> io::Result<()> {
        self.line(Text::new().good(self.look.done()).plain(" ").plain(text))
    }

    /// Prints a heading with a rule below it.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.line(Text::new().strong(text))?;
        self.line("=".repeat(text.chars().count()).as_str())
    }

    /// Prints facts by their names; those without a value are left out.
    pub(crate) fn facts(&mut self, facts: &[(&str, String)]) -> io::Result<()> {
        let mut known = facts.iter().filter(|(_, value)| !value.is_empty());
        known.try_for_each(|(name, value)| {
            self.line(Text::new().faint(&format!("{name:<12}")).plain(value))
        })
    }

    /// Prints the one obvious next step after a success.
    pub(crate) fn next(&mut self, step: &str) -> io::Result<()> {
        self.line("")?;
        self.line(Text::new().plain("Next: ").strong(step))
    }

    /// Prints an answer as JSON.
    pub(crate) fn answer<T: Serialize>(&mut self, answer: &T) -> io::Result<()> {
        let json = serde_json::to_string_pretty(answer).map_err(io::Error::other)?;
        writeln!(self.out, "{}", clean::clean_json(&json))?;
        self.out.flush()
    }

    /// Prints JSON on one line, for streams.
    pub(crate) fn answer_line<T: Serialize>(&mut self, answer: &T) -> io::Result<()> {
        let json = serde_json::to_string(answer).map_err(io::Error::other)?;
        writeln!(self.out, "{}", clean::clean_json(&json))?;
        self.out.flush()
    }

    /// Prints a text whose lines are data, as in a message of a conversation.
    pub(crate) fn paragraph(&mut self, text: &str) -> io::Result<()> {
        for line in text.split('\n') {
            self.line(line.trim_end_matches('\r').replace('\t', "    ").as_str())?;
        }
        Ok(())
    }

    /// Tells something beside the answer.
    pub(crate) fn note(&mut self, message: &str, hint: Option<&str>) -> io::Result<()> {
        let mark = Text::new().warn(self.look.attention()).plain(" ").plain(message);
        writeln!(self.err, "{}", mark.render(self.look.colour))?;
        self.hint(hint)
    }

    /// Prints what is wrong as a part of the answer.
    pub(crate) fn finding(&mut self, message: &str, hint: Option<&str>) -> io::Result<()> {
        let mark = self.look.attention();
        self.line(Text::new().plain("  ").warn(mark).plain(" ").plain(message))?;
        match hint {
            Some(hint) => self.line(Text::new().strong("    hint:").plain(" ").plain(hint)),
            None => Ok(()),
        }
    }

    /// Draws a frame beside the answer, for what nobody may overlook.
    pub(crate) fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        for line in frame.lines(self.look) {
            writeln!(self.err, "{}", line.render(self.look.colour))?;
        }
        Ok(())
    }

    fn hint(&mut self, hint: Option<&str>) -> io::Result<()> {
        match hint {
            Some(hint) => {
                let text = Text::new().strong("hint:").plain(" ").plain(hint);
                writeln!(self.err, "{}", text.render(self.look.colour))
            }
            None => Ok(()),
        }
    }

    /// Prints why a command failed.
    pub(crate) fn error(&mut self, error: &CtlError) {
        let hint = error.hint();
        let printed = if self.json {
            let json = clean::clean_json(&error_json(error, hint.as_deref()).to_string());
            writeln!(self.err, "{json}")
        } else {
            let text = Text::new().bad("convosyncctl:").plain(" ").plain(&error.message());
            writeln!(self.err, "{}", text.render(self.look.colour))
                .and_then(|()| self.hint(hint.as_deref()))
        };
        // Nobody is left to tell when standard error is gone; the exit code still says it.
        drop(printed);
    }
}

fn error_json(error: &CtlError, hint: Option<&str>) -> serde_json::Value {
    let kind = error.failure().map(|failure| failure.data.kind);
    serde_json::json!({
        "error": {
            "kind": kind,
            "message": error.message(),
            "hint": hint,
            "exit_code": error.exit_code() as u8,
        }
    })
}
