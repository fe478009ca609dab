//! The client: asks the daemon, prints the answer.
//!
//! [`run`] is the whole program as a function of its arguments and surroundings, so that tests call
//! it in their own process. Each command is one file under `commands/`; sessions are reached through
//! the socket only. Modules stand in the order in which they may use each other.

mod exit;
mod args;
mod env;
mod files;
mod socket;
mod start;
mod ask;
mod service;
mod error;
mod print;
mod call;
mod clone;
mod signals;
mod commands;

use std::ffi::OsString;
use std::io::Write;

use clap::Parser as _;

pub use env::{Env, Terminal};
pub use exit::ExitCode;

use args::Args;
use call::Call;
use error::CtlError;
use print::{Look, Printer};

/// Runs one command line, `args[0]` being the program's name, and returns how it ended.
///
/// Answers go to `out`, everything else to `err`.
pub fn run<A>(args: A, env: &Env, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode
where
    A: IntoIterator<Item = OsString>,
{
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(refusal) => return explain(&refusal, env, out, err),
    };
    let mut call = Call::new(env, args.options, Printer::new(out, err, Look::of(env)));
    let end = commands::run(&mut call, args.command);
    end.unwrap_or_else(|error| call.fail(&error))
}

/// Prints what clap has to say: help and version on `out`, misuse on `err`.
fn explain(refusal: &clap::Error, env: &Env, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let text = refusal.render();
    let (target, code): (&mut dyn Write, _) =
        if refusal.use_stderr() { (err, ExitCode::Usage) } else { (out, ExitCode::Ok) };
    let text = if env.terminal.colour { text.ansi().to_string() } else { text.to_string() };
    match target.write_all(text.as_bytes()).and_then(|()| target.flush()) {
        Ok(()) => code,
        Err(source) => CtlError::Output(source).exit_code(),
    }
}
