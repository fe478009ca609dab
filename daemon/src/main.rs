//! The ConvoSync daemon: reads its arguments, runs, and says why it could not.

use clap::Parser as _;
use convosyncd::args::{Args, ExitCode};

#[expect(clippy::print_stderr, reason = "before the log there is only standard error")]
fn main() -> std::process::ExitCode {
    convosyncd::heap::begin_with_limits(&|name| std::env::var_os(name));
    end_with_the_main_thread();
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

/// Ends the process where its main thread panics. It would wait for what the others do, for ever perhaps, and
/// answer nobody; whoever watches over the daemon starts an ended one anew, and nothing is lost by its end.
fn end_with_the_main_thread() {
    let tell = std::panic::take_hook();
    let main = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        if std::thread::current().id() == main {
            std::process::abort();
        }
    }));
}
