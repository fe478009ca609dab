//! How the devices of a world reach their remote, and the hosts that stand for it.

use std::path::Path;

use crate::sshd::Sshd;
use crate::web::Web;
use crate::{Home, Remote};

/// Chooses the way of all tests that leave it open: `file`, `ssh` or `https`.
pub const VARIABLE: &str = "CONVOSYNC_TEST_WAY";

/// How the devices reach the remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Whatever `CONVOSYNC_TEST_WAY` names; without it `file://`.
    Any,
    /// `file://`.
    File,
    /// `ssh://localhost`, over the stand-in that counts bytes.
    Counted,
    /// A real sshd, with the user's own key.
    Ssh,
    /// A real web host, with TLS and a login that a credential helper knows.
    Https,
}

impl Way {
    /// Returns the way that is meant.
    ///
    /// # Panics
    /// When the variable names none.
    pub fn decided(self) -> Self {
        if self != Self::Any {
            return self;
        }
        match std::env::var(VARIABLE).as_deref() {
            Err(_) | Ok("" | "file") => Self::File,
            Ok("ssh") => Self::Ssh,
            Ok("https") => Self::Https,
            Ok(other) => panic!("{VARIABLE} is file, ssh or https, not `{other}`"),
        }
    }

    /// Names the program without which this way cannot be gone on this machine, if one is missing.
    pub fn missing(self) -> Option<&'static str> {
        match self.decided() {
            Self::Ssh => Sshd::missing(),
            Self::Https => Web::missing(),
            _ => None,
        }
    }
}

/// What serves the remote's repository.
#[derive(Debug)]
pub enum Host {
    /// The file system: a directory, or the stand-in for ssh.
    Directory {
        /// Whether the stand-in counts.
        is_counted: bool,
    },
    /// A real sshd.
    Ssh(Sshd),
    /// A real web host.
    Web(Web),
}

impl Host {
    /// Starts what serves `remote`, with its own files in `dir`.
    pub fn start(way: Way, dir: &Path, remote: &Remote) -> Self {
        match way.decided() {
            Way::Any | Way::File => Self::Directory { is_counted: false },
            Way::Counted => Self::Directory { is_counted: true },
            Way::Ssh => Self::Ssh(Sshd::create(dir)),
            Way::Https => {
                // `git http-backend` takes pushes only where it is told to.
                remote.git(&["config", "http.receivepack", "true"]).ok();
                Self::Web(Web::start(dir, remote.folder()))
            }
        }
    }

    /// Gives the user of `home` what it takes to reach the host: keys, logins, the way.
    #[track_caller]
    pub fn admit(&self, home: &mut Home, remote: &Remote) {
        match self {
            Self::Directory { is_counted: false } => {}
            Self::Directory { is_counted: true } => remote.count_for(home),
            Self::Ssh(sshd) => {
                let relay = sshd.admit(home);
                home.keep(relay);
            }
            Self::Web(web) => {
                let relay = web.admit(home);
                home.keep(relay);
            }
        }
    }

    /// Returns the address of `remote`.
    pub fn url(&self, remote: &Remote) -> String {
        match self {
            Self::Directory { is_counted: false } => remote.file_url(),
            Self::Directory { is_counted: true } => remote.ssh_url(),
            Self::Ssh(sshd) => sshd.url(remote.dir()),
            Self::Web(web) => {
                let name = remote.dir().file_name().unwrap_or_default();
                web.url(&name.to_string_lossy())
            }
        }
    }

    /// Returns the real sshd.
    ///
    /// # Panics
    /// When the host is another.
    #[track_caller]
    pub fn sshd(&self) -> &Sshd {
        let Self::Ssh(sshd) = self else { panic!("the world was made with another way") };
        sshd
    }

    /// Returns the real web host.
    ///
    /// # Panics
    /// When the host is another.
    #[track_caller]
    pub fn web(&mut self) -> &mut Web {
        let Self::Web(web) = self else { panic!("the world was made with another way") };
        web
    }
}
