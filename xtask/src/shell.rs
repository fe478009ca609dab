//! Runs the programs that tasks consist of, with their output on the terminal.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use convosync_tests::program;

use crate::failure::Failure;
use crate::print;

/// Returns the project's top folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Begins a cargo command in the project.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = program::inheriting(cargo);
    command.args(arguments).current_dir(root());
    command
}

/// Runs one step under its heading.
///
/// # Errors
/// When it cannot be started, or does not succeed.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<(), Failure> {
    print::heading(what);
    let status = command.status().map_err(|source| cannot_start(command, source))?;
    if status.success() { Ok(()) } else { Err(Failure::Step { what: what.to_owned(), status }) }
}

/// Runs one step under its heading and returns the lines it wrote on standard error and output, which
/// are shown as they come.
///
/// # Errors
/// As [`step`]; the lines are lost then, but were shown.
pub(crate) fn step_with_lines(what: &str, command: &mut Command) -> Result<Vec<String>, Failure> {
    print::heading(what);
    let (reader, writer) = io::pipe().map_err(|source| cannot_start(command, source))?;
    let again = writer.try_clone().map_err(|source| cannot_start(command, source))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(again)
        .spawn()
        .map_err(|source| cannot_start(command, source))?;
    // The command keeps the pipe's write ends; the lines end only when they are closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut lines = Vec::new();
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        writeln!(io::stdout().lock(), "{line}").unwrap_or_default();
        lines.push(line);
    }
    let status = child.wait().map_err(|source| cannot_start(command, source))?;
    if status.success() { Ok(lines) } else { Err(Failure::Step { what: what.to_owned(), status }) }
}

/// Builds the programs that devices run, and the stand-in that counts their bytes.
///
/// # Errors
/// When they do not build.
pub(crate) fn build_programs() -> Result<(), Failure> {
    step(
        "build",
        &mut cargo(&[
            "build",
            "--quiet",
            "--bins",
            "-p",
            "convosyncd",
            "-p",
            "convosyncctl",
            "-p",
            "convosync-tests",
        ]),
    )
}

/// Builds the programs as they are released and runs this very command with them, unless that is what runs
/// already; returns whether the work is done.
///
/// # Errors
/// When they do not build, or the work fails.
pub(crate) fn again_with_released_programs() -> Result<bool, Failure> {
    const BINARIES: &str = "CONVOSYNC_BIN_DIR";
    if std::env::var_os(BINARIES).is_some() {
        return Ok(false);
    }
    let packages = ["-p", "convosyncd", "-p", "convosyncctl"];
    step("build", cargo(&["build", "--quiet", "--release", "--bins"]).args(packages))?;
    let me = std::env::current_exe()
        .map_err(|source| Failure::Start { program: "xtask".to_owned(), source })?;
    let mut command = program::inheriting(me);
    command.args(std::env::args_os().skip(1)).env(BINARIES, root().join("target/release"));
    step("measure", &mut command).map(|()| true)
}

fn cannot_start(command: &Command, source: io::Error) -> Failure {
    Failure::Start { program: command.get_program().to_string_lossy().into_owned(), source }
}
