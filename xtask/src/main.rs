//! The project's automation: `cargo xtask demo | install | uninstall | test | simulate | kill | bench`.

mod bench;
mod code;
mod corpus;
mod demo;
mod failure;
mod gate;
mod hostile;
mod install;
mod machine;
mod pair;
mod print;
mod reconnect;
mod shell;
mod table;
mod wires;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Builds, shows, installs, tests and measures ConvoSync")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Plays two devices with a remote between them and compares every file
    Demo {
        /// Plays these transcripts: `.jsonl` files with their sidecars; a folder of 1.jsonl, 2.jsonl, … that
        /// extend each other is played as one that grows
        #[arg(long, value_name = "DIR")]
        transcripts: Option<PathBuf>,
        /// Keeps both devices and the remote in this folder, to look at
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// Builds both programs and puts them into ~/.local/bin
    Install {
        /// Puts them into DIR/bin instead
        #[arg(long, value_name = "DIR")]
        prefix: Option<PathBuf>,
    },
    /// Removes what `install` put there
    Uninstall {
        /// Where they were put
        #[arg(long, value_name = "DIR")]
        prefix: Option<PathBuf>,
    },
    /// Runs every check of the project; stops at the first that fails
    Test,
    /// Runs a campaign of random histories over real stores; the gate runs a short one
    Simulate {
        /// Where the histories begin; the same seed plays the same histories
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many histories
        #[arg(long, default_value_t = 2_000)]
        cases: u64,
    },
    /// Kills the daemon at random moments under load; the gate runs a short campaign
    Kill {
        /// Where the campaign begins; the same seed waits as long before each kill
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many times
        #[arg(long, default_value_t = 1_000)]
        cases: u64,
        /// Lets calls that change the disk fail instead, so many: no room, or the disk at fault
        #[arg(long)]
        errors: bool,
    },
    /// Measures
    Bench {
        #[command(subcommand)]
        what: Measure,
    },
}

/// What can be measured.
#[derive(Debug, Subcommand)]
enum Measure {
    /// Bytes over the wire beside gzip, zstd and plain git
    Upload {
        /// Measures the growing series below this folder, instead of synthetic ones
        #[arg(long, value_name = "DIR")]
        transcripts: Option<PathBuf>,
    },
    /// Bytes and round trips of each operation over a stand-in, ssh and https, and with old hosts
    Wires,
    /// The time from a network that is back to "on remote", in the worst case that nobody reports it
    Reconnect {
        /// How often the network goes away; each takes a minute and a half or more
        #[arg(long, default_value_t = 6)]
        rounds: u32,
    },
    /// Memory while a transcript of gigabytes and a line of a hundred megabytes are saved and resumed
    Large {
        /// How large the transcript is
        #[arg(long, value_name = "MIB", default_value_t = 4096)]
        mib: u64,
    },
    /// From the last byte to "saved locally", among a hundred sessions
    Latency,
    /// Capturing a work tree beside `git status`
    Code {
        /// How many files it has
        #[arg(long, default_value_t = 50_000)]
        files: usize,
    },
    /// Time and memory of refusing each hostile code state
    Hostile,
    /// CPU and memory of a daemon that has nothing to do, among ten thousand transcripts
    Idle {
        /// For how long it is watched
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// How many of the transcripts belong to the project and are saved
        #[arg(long, value_name = "NUMBER", default_value_t = 200)]
        saved: u64,
    },
}

fn measure(what: &Measure) -> Result<(), failure::Failure> {
    match what {
        Measure::Upload { transcripts } => bench::upload(transcripts.as_deref()),
        Measure::Wires => wires::wires(),
        Measure::Reconnect { rounds } => reconnect::reconnect(*rounds),
        Measure::Large { mib } => machine::large(*mib),
        Measure::Latency => machine::latency(),
        Measure::Code { files } => code::code(*files),
        Measure::Hostile => hostile::hostile(),
        Measure::Idle { minutes, saved } => machine::idle(*minutes, *saved),
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo { transcripts, keep } => demo::run(transcripts.as_deref(), keep.as_deref()),
        Command::Install { prefix } => install::install(prefix),
        Command::Uninstall { prefix } => install::uninstall(prefix),
        Command::Test => gate::run(),
        Command::Simulate { seed, cases } => gate::simulate(seed, cases),
        Command::Kill { seed, cases, errors: true } => gate::fail_calls(seed, cases),
        Command::Kill { seed, cases, errors: false } => gate::kill(seed, cases),
        Command::Bench { what } => measure(&what),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::failure(&failure);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
