//! One file, one command: asks the daemon and prints the answer.

mod config;
mod diff;
mod enable;
mod init;
mod join;
mod key;
mod large;
mod list;
mod log;
mod read;
mod replay;
mod resume;
mod save;
mod service;
mod show;
mod status;
mod sync;
mod undo;
mod used;
mod watch;

use crate::args::Command;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;

/// Carries out what was typed.
pub(crate) fn run(call: &mut Call<'_>, command: Command) -> Result<ExitCode, CtlError> {
    match command {
        Command::Init(args) => init::run(call, &args),
        Command::Enable(which) => enable::run(call, which.all),
        Command::Disable(disable) => enable::run_disable(call, disable),
        Command::Status => status::run(call),
        Command::Save(args) => save::run(call, &args),
        Command::List(args) => list::run(call, args),
        Command::Show { session } => show::run(call, session),
        Command::Log { session, commands } => log::run(call, session, commands),
        Command::Replay(args) => replay::run(call, args),
        Command::Diff { a, b } => diff::run(call, a, b),
        Command::Resume(args) => resume::run(call, &args),
        Command::Undo { force } => undo::run(call, force),
        Command::Sync { retry } => sync::run(call, retry),
        Command::Watch => watch::run(call),
        Command::Config { command } => config::run(call, command),
        Command::Key { command } => key::run(call, command),
        Command::Join(args) => join::run(call, &args),
        Command::Service(args) => service::run(call, &args),
    }
}
