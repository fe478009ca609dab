//! The program: hands the process's surroundings to the library and takes its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let env = convosyncctl::Env::of_process();
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr());
    convosyncctl::run(std::env::args_os(), &env, &mut out, &mut err).into()
}
