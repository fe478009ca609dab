//! The ConvoSync daemon: reads its arguments, runs, and says why it could not.

use clap::Parser as _;
use convosyncd::args::{Args, ExitCode};

#[expect(clippy::print_stderr, reason = "before the log there is only standard error")]
fn main() -> std::process::ExitCode {
    convosyncd::heap::begin_with_limits(&|name| std::env::var_os(name));
    let args = Args::parse();
    let Err(fatal) = convosyncd::start(&args, &|name| std::env::var_os(name)) else {
        return ExitCode::Left.into();
    };
    eprintln!("convosyncd: {}", fatal.describe());
    if let Some(hint) = fatal.hint() {
        eprintln!("hint: {hint}");
    }
    fatal.exit_code().into()
}
