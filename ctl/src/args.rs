//! What was typed: the command line as types. `docs/commands.md` explains each with an example.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Continue a Claude Code conversation on another device.
#[derive(Debug, Parser)]
#[command(name = "convosyncctl", version, after_help = EXIT_CODES, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong command line, 3 no daemon, 4 needs your decision,
5 not set up yet (init), 6 kept on this device but not on the remote";

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Answer in JSON; errors come as JSON on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Fail instead of starting the daemon
    #[arg(long, global = true)]
    pub(crate) no_start: bool,
    /// Act as if started in DIR
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set up this device as the first one: keys, recovery phrase, this project
    Init(Init),
    /// Save this project's sessions from now on
    Enable(Which),
    /// Stop saving this project's sessions, or reading from a remote; what is saved stays
    Disable(Disable),
    /// Show how things stand
    Status,
    /// Commit and push what stands here, and save the session of this directory
    Save(Save),
    /// List saved sessions of all devices
    List(List),
    /// Show a session with its saves and files
    Show {
        /// Id, its first characters, or id@save
        session: String,
    },
    /// Show where the code stood while a session was written, and its saves
    Log {
        /// Id, its first characters, or id@save [default: the newest of this project]
        session: Option<String>,
        /// Show every shell command that was run, not only the last ones
        #[arg(long)]
        commands: bool,
    },
    /// Print a session as it was at a commit or at a save, and change nothing
    Replay(Replay),
    /// Show what two saves have and the other has not: messages, files, commits
    Diff {
        /// Id, its first characters, or id@save
        a: String,
        /// What it is compared with
        b: String,
    },
    /// Bring a session back on this device
    Resume(Resume),
    /// Bring back what stood in this work tree, and in others it changed, before the last resume
    Undo {
        /// Where a resume was interrupted and what stood before is lost: leave every file as it is, and let git
        /// work here again
        #[arg(long)]
        force: bool,
    },
    /// Send what is unsent and look for news, now
    Sync {
        /// Also try again what a remote refused
        #[arg(long)]
        retry: bool,
    },
    /// Print what happens, as it happens
    Watch,
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Take the keys out
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Join the vault of your other devices
    Join(Join),
    /// Run the daemon as a service of this system
    Service(Service),
}

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) device: Device,
    /// Enable every project that has transcripts here, not only this one
    #[arg(long)]
    pub(crate) all: bool,
    /// Ask nothing; the recovery phrase goes into a file only you can read
    #[arg(long)]
    pub(crate) yes: bool,
    /// Where --yes puts the phrase [default: convosync-recovery-phrase.txt at home]
    #[arg(long, value_name = "FILE", requires = "yes")]
    pub(crate) phrase_file: Option<PathBuf>,
}

/// What this device is called and what it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Device {
    /// Name of this device [default: the host name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What this device is
    #[arg(long, value_enum)]
    pub(crate) kind: Option<Kind>,
}

/// What a device can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A computer that stays where it is
    Desktop,
    /// A computer that travels
    Laptop,
    /// A phone
    Phone,
    /// A tablet
    Tablet,
    /// A machine nobody sits at
    Server,
}

impl Kind {
    /// Every kind, in the order of the question.
    pub(crate) const ALL: [Self; 5] =
        [Self::Desktop, Self::Laptop, Self::Phone, Self::Tablet, Self::Server];

    /// Returns the protocol's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Laptop => "laptop",
            Self::Phone => "phone",
            Self::Tablet => "tablet",
            Self::Server => "server",
        }
    }
}

/// Which projects are meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Every project that has transcripts here
    #[arg(long)]
    pub(crate) all: bool,
}

/// Arguments of `disable`.
#[derive(Debug, clap::Args)]
pub(crate) struct Disable {
    #[command(flatten)]
    pub(crate) which: Which,
    /// No project: only read no more from this remote, which this device joined by
    #[arg(long, value_name = "URL", conflicts_with = "all")]
    pub(crate) remote: Option<String>,
}

/// Arguments of `save`.
#[derive(Debug, clap::Args)]
pub(crate) struct Save {
    /// What this save is about, and the commit's message [default: "WIP: sync session"]
    #[arg(conflicts_with = "message")]
    pub(crate) text: Option<String>,
    /// The same as an option
    #[arg(short, long)]
    pub(crate) message: Option<String>,
    /// Go to this branch first, or make it
    #[arg(short, long, value_name = "NAME", conflicts_with = "stash")]
    pub(crate) branch: Option<String>,
    /// Commit nothing: everything goes into the session as it stands
    #[arg(long)]
    pub(crate) stash: bool,
    /// Let nothing leave this device: neither the branch nor, until `sync`, the session
    #[arg(long)]
    pub(crate) no_push: bool,
    /// Have other devices show no notification of this save
    #[arg(long)]
    pub(crate) no_notify: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Ask nothing; guards and hooks hold all the same
    #[arg(long)]
    pub(crate) force: bool,
    /// Show what there is, and ask what to do with it
    #[arg(short, long, conflicts_with_all = ["stash", "dry_run"])]
    pub(crate) interactive: bool,
    /// Commit nothing, but push what the last save could not
    #[arg(long, conflicts_with_all = ["interactive", "text", "message", "branch", "stash", "no_push", "dry_run"])]
    pub(crate) retry: bool,
    /// Save this session [default: the running one of this directory, else the newest]
    #[arg(long, value_name = "SESSION")]
    pub(crate) session: Option<String>,
}

/// Arguments of `list`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct List {
    /// Old sessions too
    #[arg(long)]
    pub(crate) all: bool,
    /// Only sessions on this branch
    #[arg(long)]
    pub(crate) branch: Option<String>,
    /// Only sessions last saved by this device, by name
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Only sessions of the project in DIR
    #[arg(long, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// Ask the remote first
    #[arg(long)]
    pub(crate) refresh: bool,
}

/// Arguments of `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    /// Id, its first characters, or id@save [default: choose; without a terminal the newest from another device]
    pub(crate) session: Option<String>,
    /// List what can be resumed here
    #[arg(short, long, conflicts_with_all = ["session", "read_only", "dry_run", "launch", "force", "shell"])]
    pub(crate) list: bool,
    /// Print the conversation and change nothing
    #[arg(long, conflicts_with_all = ["dry_run", "launch", "force", "shell"])]
    pub(crate) read_only: bool,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with_all = ["launch", "shell"])]
    pub(crate) dry_run: bool,
    /// Start `claude --resume` afterwards
    #[arg(long)]
    pub(crate) launch: bool,
    /// Print only what a shell has to run to go on: eval "$(convosyncctl resume --shell)"
    #[arg(long, conflicts_with_all = ["launch", "json"])]
    pub(crate) shell: bool,
    /// Take the newest save, whichever was named
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) newest: bool,
    /// Take the save that was named, though there is a newer one
    #[arg(long, conflicts_with_all = ["newest", "read_only"])]
    pub(crate) exact: bool,
    /// Where HEAD is on another branch than the session, go to the session's
    #[arg(long, conflicts_with_all = ["stay_on_branch", "no_code"])]
    pub(crate) switch_branch: bool,
    /// Where HEAD is on another branch than the session, leave the code here alone
    #[arg(long, conflicts_with = "worktree")]
    pub(crate) stay_on_branch: bool,
    /// Put uncommitted changes that stand here into `git stash`, with untracked files
    #[arg(long, conflicts_with_all = ["no_code", "worktree"])]
    pub(crate) stash: bool,
    /// Commit uncommitted changes that stand here, as `save` does, but push nothing
    #[arg(long, conflicts_with_all = ["stash", "theirs", "no_code", "worktree"])]
    pub(crate) commit: bool,
    /// Replace uncommitted changes that stand here, and move the branch where it has commits of its own (all of it
    /// is recorded)
    #[arg(long, conflicts_with = "no_code")]
    pub(crate) theirs: bool,
    /// Where the branch has commits of its own here, merge the session's into it
    #[arg(long, conflicts_with_all = ["no_code", "beside"])]
    pub(crate) merge: bool,
    /// Where the branch has commits of its own here, put the code on a new one [without a terminal: the default]
    #[arg(long, conflicts_with = "no_code")]
    pub(crate) beside: bool,
    /// Put the session's branch in place as it stands at the remote now, where that holds the session's commit
    #[arg(long, conflicts_with_all = ["no_pull", "no_code"])]
    pub(crate) pull: bool,
    /// Fetch no commits: use those that came with the session or are here
    #[arg(long)]
    pub(crate) no_pull: bool,
    /// Ask nothing: go to the session's branch, replace changes that stand here (they are recorded), and go on although
    /// the code here is not the code of the conversation
    #[arg(long)]
    pub(crate) force: bool,
    /// Bring back the conversation only
    #[arg(long, conflicts_with = "worktree")]
    pub(crate) no_code: bool,
    /// Where no clone of the session's repository is on this device: clone it without the files' past into DIR, have it
    /// saved from now on, and go on there [default: a folder of its name here]
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    #[arg(conflicts_with_all = ["list", "read_only", "worktree", "stay_on_branch", "stash", "commit"])]
    pub(crate) clone: Option<Option<PathBuf>>,
    /// Put the code into a new work tree at DIR, and go on there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["list", "read_only"])]
    pub(crate) worktree: Option<PathBuf>,
}

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("moment").required(true))]
pub(crate) struct Replay {
    /// Id, its first characters, or id@save [default: the newest of this project, with --at-commit the newest
    /// that was there]
    pub(crate) session: Option<String>,
    /// Up to the last message that was written while the code stood at COMMIT: at least four of its digits, or
    /// a name that git knows here
    #[arg(long, value_name = "COMMIT", group = "moment")]
    pub(crate) at_commit: Option<String>,
    /// Up to this save, by its number
    #[arg(long, value_name = "SAVE", group = "moment")]
    pub(crate) at: Option<SaveNumber>,
}

/// The number of a save, as `7` or `@7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SaveNumber(pub(crate) u32);

impl std::str::FromStr for SaveNumber {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('@').unwrap_or(text).parse().map(Self)
    }
}

/// Subcommands of `config`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print where the configuration file is
    Path,
    /// Print the settings in force
    Show,
    /// Check the file
    Check,
    /// Have the daemon read it again
    Reload,
}

/// Subcommands of `key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Write this device's keys into a file only you can read
    Export {
        /// Where to [default: convosync-keys.txt at home]
        file: Option<PathBuf>,
        /// Print them instead
        #[arg(long, conflicts_with = "file")]
        print: bool,
    },
}

/// Arguments of `join`.
#[derive(Debug, clap::Args)]
pub(crate) struct Join {
    /// Join by the recovery phrase, which is asked for; with `-` it is read from standard input
    #[arg(long, value_name = "-", num_args = 0..=1, default_missing_value = "ask")]
    pub(crate) recover: Option<PhraseSource>,
    #[command(flatten)]
    pub(crate) device: Device,
    /// Address of the remote that holds the vault, which is read from now on [default: the project's own]
    #[arg(long, value_name = "URL")]
    pub(crate) remote: Option<String>,
}

/// Where the recovery phrase comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PhraseSource {
    /// From the person at the terminal.
    #[value(hide = true)]
    Ask,
    /// From standard input.
    #[value(name = "-")]
    Input,
}

/// Arguments of `service`.
#[derive(Debug, clap::Args)]
pub(crate) struct Service {
    #[command(subcommand)]
    pub(crate) command: ServiceCommand,
    /// Use this kind of service [default: what this system has]
    #[arg(long, value_enum, global = true)]
    pub(crate) kind: Option<ServiceKind>,
}

/// Subcommands of `service`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Install, start, and prove that the service reaches the remotes
    Install {
        /// Print what would be written and run
        #[arg(long)]
        dry_run: bool,
    },
    /// Stop, and remove exactly what `install` made
    Uninstall {
        /// Print what would be removed and run
        #[arg(long)]
        dry_run: bool,
    },
    /// Say whether it is installed and runs
    Status,
    /// Start it
    Start,
    /// Stop it; what is unsaved is saved first
    Stop,
    /// Print what the daemon logged
    Logs {
        /// How many lines
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: u32,
        /// Go on as more is logged
        #[arg(short, long)]
        follow: bool,
    },
}

/// How services are run on a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServiceKind {
    /// A user unit of systemd
    Systemd,
    /// An agent of launchd (macOS)
    Launchd,
    /// A runit service of termux-services (Android)
    Termux,
    /// A background process, gone after a restart
    Plain,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn check_parses(line: &str, good: bool) {
        let words = std::iter::once("convosyncctl").chain(line.split_whitespace());
        assert_eq!(Args::try_parse_from(words).is_ok(), good, "{line}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_belongs_together_parses_and_what_contradicts_does_not() {
        for line in [
            "init --name desk --kind desktop --yes --phrase-file p --all",
            "save text --session 1a2b",
            "save -m text --json",
            "save -b work text --dry-run --force",
            "save --stash --no-push text",
            "save --retry",
            "save -i text --no-push",
            "disable --all",
            "disable --remote u",
            "list --all --branch b --device d --project . --refresh",
            "resume 4d56@7 --dry-run --force --no-start",
            "resume -l",
            "undo --force",
            "log",
            "log 4d56@7",
            "replay 4d56 --at-commit main~1",
            "replay --at @7",
            "resume --shell --switch-branch --stash --beside",
            "resume 4d56@7 --exact",
            "resume --clone 4d56 --launch",
            "resume --clone=shop --dry-run",
            "resume --commit --merge --switch-branch --force",
            "resume --stay-on-branch --theirs --launch",
            "resume --worktree d --no-pull --theirs",
            "resume --pull --merge --theirs",
            "diff 4d56@3 4d56",
            "join --recover - --remote u",
            "join --recover",
            "service logs -n 5 -f --kind plain",
            "service --kind termux install --dry-run",
            "key export --print",
        ] {
            check_parses(line, true);
        }
        for line in [
            "",
            "disable --all --remote u",
            "save one -m two",
            "save --retry text",
            "save -i --stash",
            "save --stash -b work",
            "init --kind toaster",
            "init --phrase-file p",
            "resume -l --force",
            "resume --read-only --launch",
            "replay 4d56",
            "diff 4d56",
            "replay --at 7 --at-commit abcd",
            "replay --at seven",
            "resume --switch-branch --stay-on-branch",
            "resume --merge --beside",
            "resume --pull --no-pull",
            "resume --shell --launch",
            "resume --shell --json",
            "resume --worktree d --stash",
            "resume --commit --stash",
            "resume --newest --exact",
            "resume --clone --worktree d",
            "resume --commit --theirs",
            "key export f --print",
            "join --recover words",
            "nonsense",
        ] {
            check_parses(line, false);
        }
    }

    fn check_documented(command: &clap::Command, text: &str) {
        assert!(text.contains(&format!("`{}", command.get_name())), "{}", command.get_name());
        for option in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(text.contains(&format!("`--{option}")), "{} --{option}", command.get_name());
        }
    }

    #[test]
    fn every_command_and_option_is_in_the_document() {
        let text = include_str!("../../docs/commands.md");
        for command in Args::command().get_subcommands() {
            check_documented(command, text);
            for below in command.get_subcommands() {
                let name = format!("`{} {}", command.get_name(), below.get_name());
                assert!(text.contains(&name), "{name}");
                check_documented(&below.clone().name(""), text);
            }
        }
    }
}
