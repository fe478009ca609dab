//! A real sshd for one world: its own host key and configuration, keys only, as the user who runs the tests.
//!
//! One `sshd -i` serves each connection of a [`Relay`], so there is no listener to tear down and no port to
//! race for: an sshd ends with its connection.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::relay::{Relay, Target};
use crate::{Home, files, program};

/// The name by which devices know the host; their own ssh configuration says where it is.
pub const HOST: &str = "git.test";

/// Where sshd puts its unprivileged half, when root runs it.
const EMPTY_FOLDER: &str = "/run/sshd";

/// The environment variable that names git's protocol must be let in by name; plain Debian does not.
const LETS_PROTOCOL_IN: &str = "AcceptEnv GIT_PROTOCOL\n";

/// The host.
#[derive(Debug)]
pub struct Sshd {
    program: PathBuf,
    dir: PathBuf,
    user: String,
}

impl Sshd {
    /// Names what is missing for a host on this machine, if anything is.
    pub fn missing() -> Option<&'static str> {
        ["sshd", "ssh", "ssh-keygen"].into_iter().find(|name| program::server(name).is_none())
    }

    /// Makes a host whose files lie in `dir`.
    ///
    /// # Panics
    /// When sshd is not installed: ask [`Sshd::missing`] first.
    pub fn create(dir: &Path) -> Self {
        let program = program::server("sshd").expect("`sshd` is installed (openssh-server)");
        let id = program::run(program::command("id").arg("-un"), b"", program::DEADLINE).ok();
        if rustix::process::geteuid().is_root() {
            make_empty_folder();
        }
        let sshd = Self { program, dir: dir.to_owned(), user: id.text() };
        files::make_dir(&dir.join("home"));
        files::write(&dir.join("authorized_keys"), "");
        make_key(&sshd.host_key());
        sshd.configure(LETS_PROTOCOL_IN);
        sshd
    }

    /// Writes the configuration; `more` is what the host's administrator adds, and holds from the next
    /// connection on.
    pub fn configure(&self, more: &str) {
        let Self { dir, .. } = self;
        let path = std::env::var("PATH").unwrap_or_default();
        let settings = format!(
            "HostKey {host_key}
AuthorizedKeysFile {dir}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PidFile none
PrintMotd no
PrintLastLog no
UseDNS no
X11Forwarding no
AllowTcpForwarding no
LogLevel VERBOSE
SetEnv HOME={dir}/home GIT_CONFIG_NOSYSTEM=1 \"PATH={path}\"
{more}",
            host_key = self.host_key().display(),
            dir = dir.display(),
        );
        files::write(&dir.join("config"), settings);
    }

    /// Makes the host as Debian installs it: it does not pass git's protocol version on, so all speak
    /// version 0.
    pub fn keep_protocol_out(&self) {
        self.configure("");
    }

    /// Gives the user of `home` a key that the host knows, and a configuration of ssh that leads there.
    /// Returns the way, which counts.
    #[track_caller]
    pub fn admit(&self, home: &Home) -> Relay {
        let folder = home.dir().join(".ssh");
        let key = folder.join("id_ed25519");
        make_key(&key);
        let public = files::read(&key.with_extension("pub"));
        files::append(&self.dir.join("authorized_keys"), &public);
        let host_key = files::read(&self.host_key().with_extension("pub"));
        files::write(
            &folder.join("known_hosts"),
            [HOST.as_bytes(), b" ", host_key.as_slice()].concat(),
        );
        let relay = Relay::start(self.target());
        files::write(&folder.join("config"), self.client_settings(&folder, relay.port()));
        let command = format!("ssh -F '{}'", folder.join("config").display());
        home.git(&["config", "--global", "core.sshCommand", &command]).ok();
        relay
    }

    /// Returns the address of a repository on this machine.
    pub fn url(&self, repository: &Path) -> String {
        format!("ssh://{HOST}{}", repository.display())
    }

    /// Returns what the host said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Returns what one connection is carried to.
    pub fn target(&self) -> Target {
        let (program, config, log) =
            (self.program.clone(), self.dir.join("config"), self.dir.join("log"));
        Target::Program(Box::new(move || serve(&program, &config, &log)))
    }

    fn host_key(&self) -> PathBuf {
        self.dir.join("host_key")
    }

    fn client_settings(&self, folder: &Path, port: u16) -> String {
        format!(
            "Host {HOST}
  HostName 127.0.0.1
  Port {port}
  HostKeyAlias {HOST}
  User {user}
  IdentityFile {folder}/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  CheckHostIP no
",
            user = self.user,
            folder = folder.display(),
        )
    }
}

fn serve(program: &Path, config: &Path, log: &Path) -> Command {
    let mut sshd = program::command(program);
    sshd.arg("-i").arg("-f").arg(config).arg("-E").arg(log).stderr(Stdio::null());
    sshd
}

/// Makes a key without a passphrase.
#[track_caller]
fn make_key(path: &Path) {
    files::make_dir(path.parent().expect("a file lies in a directory"));
    let mut keygen = program::command("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path);
    program::run(&mut keygen, b"", program::DEADLINE).ok();
}

/// What the service's start script would do.
fn make_empty_folder() {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().mode(0o755).recursive(true).create(EMPTY_FOLDER);
    made.unwrap_or_else(|error| panic!("cannot make {EMPTY_FOLDER}: {error}"));
}
