//! A bare repository that stands for the git host, and what went to it and came from it.
//!
//! Reached as `file://`, nothing is counted. Reached as `ssh://localhost/…` with `core.sshCommand`
//! set to `convosync-count-ssh <log>`, every byte of every connection is counted in both directions,
//! exactly as ssh would carry it before encryption. Over a real ssh or https the device's [`Relay`]
//! counts, encryption included.
//!
//! [`Relay`]: crate::relay::Relay

use std::path::{Path, PathBuf};

use crate::relay::Side;
use crate::{Home, files, program};

/// Bytes over the wire, both ways, and how many connections carried them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the device to the remote.
    pub sent: u64,
    /// From the remote to the device.
    pub received: u64,
    /// Connections made.
    pub connections: u64,
    /// How often the device spoke after the remote had spoken, or first: what a long way multiplies.
    pub turns: u64,
}

impl Traffic {
    /// Returns both directions together.
    pub fn total(self) -> u64 {
        self.sent + self.received
    }

    /// Returns what came on top since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
            connections: self.connections - earlier.connections,
            turns: self.turns - earlier.turns,
        }
    }

    /// Adds `length` bytes of `side`, after `last` had spoken.
    pub fn note(&mut self, length: u64, side: Side, last: &mut Side) {
        match side {
            Side::Client => {
                self.sent += length;
                self.turns += u64::from(*last == Side::Server);
            }
            Side::Server => self.received += length,
        }
        *last = side;
    }
}

/// The bare repository.
#[derive(Debug)]
pub struct Remote {
    dir: PathBuf,
}

impl Remote {
    /// Makes an empty one at `dir`.
    pub fn create(dir: &Path) -> Self {
        files::make_dir(dir);
        let mut init = program::command("git");
        init.args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(dir)
            .env("GIT_CONFIG_NOSYSTEM", "1");
        program::run(&mut init, b"", program::DEADLINE).ok();
        Self { dir: dir.to_owned() }
    }

    /// Returns where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the folder it lies in: what a host serves.
    pub fn folder(&self) -> &Path {
        self.dir.parent().expect("a repository lies in a folder")
    }

    /// Refuses every ref that is no branch, until the hook that this returns is removed.
    pub fn take_only_branches(&self) -> PathBuf {
        let hook = self.dir.join("hooks/update");
        files::write_program(
            &hook,
            "#!/bin/sh\ncase $1 in refs/heads/*) ;; *) echo only branches here >&2; exit 1;; esac\n",
        );
        hook
    }

    /// Returns its `file://` URL.
    pub fn file_url(&self) -> String {
        format!("file://{}", self.dir.display())
    }

    /// Returns its URL for counted connections.
    pub fn ssh_url(&self) -> String {
        format!("ssh://localhost{}", self.dir.display())
    }

    /// Runs git in it, as the host's administrator.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> program::Run {
        let mut git = program::command("git");
        git.args(arguments)
            .current_dir(&self.dir)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        program::run(&mut git, b"", program::DEADLINE)
    }

    /// Keeps what each push brings as a pack of its own, to be looked at.
    pub fn keep_every_pack(&self) {
        for (key, value) in
            [("receive.unpackLimit", "1"), ("receive.autogc", "false"), ("gc.auto", "0")]
        {
            self.git(&["config", key, value]).ok();
        }
    }

    /// Returns every ref with its commit.
    #[track_caller]
    pub fn refs(&self) -> Vec<(String, String)> {
        let listed = self.git(&["for-each-ref", "--format=%(refname) %(objectname)"]).ok().text();
        listed
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .collect()
    }

    /// Makes the project of `home` reach this remote over counted connections.
    #[track_caller]
    pub fn count_for(&self, home: &Home) {
        self.count_without(home, &[]);
    }

    /// The same, with a host that does not say that it can do `features`, and so is not asked to.
    #[track_caller]
    pub fn count_without(&self, home: &Home, features: &[&str]) {
        let without: String =
            features.iter().map(|feature| format!(" --without {feature}")).collect();
        let stand_in = format!(
            "'{}' '{}'{without}",
            program::binary("convosync-count-ssh").display(),
            traffic_log(home).display()
        );
        home.git(&["config", "--global", "core.sshCommand", &stand_in]).ok();
        home.git(&["config", "--global", "ssh.variant", "ssh"]).ok();
    }

    /// Returns what the programs of `home` sent and received so far.
    pub fn traffic(home: &Home) -> Traffic {
        if let Some(relay) = home.relay() {
            return relay.traffic();
        }
        let Ok(log) = std::fs::read_to_string(traffic_log(home)) else { return Traffic::default() };
        log.lines().fold(Traffic::default(), |sum, line| {
            let mut figures = line
                .split_whitespace()
                .skip(1)
                .map(|word| word.parse::<u64>().expect("the stand-in writes figures"));
            Traffic {
                sent: sum.sent + figures.next().unwrap_or(0),
                received: sum.received + figures.next().unwrap_or(0),
                connections: sum.connections + 1,
                turns: sum.turns + figures.next().unwrap_or(0),
            }
        })
    }
}

fn traffic_log(home: &Home) -> PathBuf {
    home.root().join("traffic.log")
}
