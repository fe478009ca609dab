//! One person's place on one machine: a home, a project, ConvoSync's folder, Claude's folder.
//!
//! Nothing of the machine the tests run on shows through: a clean environment, own git settings,
//! and, where mount namespaces can be had, not even the other devices' folders exist.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::relay::Relay;
use crate::{files, program};

/// How long a save waits in tests after the last new byte.
pub const IDLE_AFTER: &str = "1s";

/// Mounts an empty file system over each path up to `--`, then becomes the command after it.
const MASK_SCRIPT: &str = r#"while [ "$1" != -- ]; do mount -t tmpfs -o size=64k,mode=0700 none "$1" || exit 125; shift; done; shift; exec "$@""#;

/// Where everything of one device lies.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
    user: String,
    project: PathBuf,
    masked: Vec<PathBuf>,
    before_daemon: Vec<OsString>,
    before_all: Vec<OsString>,
    relay: Option<Arc<Relay>>,
    exported: Vec<(&'static str, OsString)>,
}

impl Home {
    /// Makes the folders of `user` under `root`, with the project at `project` below the home.
    pub fn create(root: &Path, user: &str, project: &str) -> Self {
        let root = root.to_owned();
        let project = root.join("home").join(user).join(project);
        let home = Self {
            root,
            user: user.to_owned(),
            project,
            masked: Vec::new(),
            before_daemon: Vec::new(),
            before_all: Vec::new(),
            relay: None,
            exported: Vec::new(),
        };
        for dir in [
            home.dir(),
            home.project.clone(),
            home.convosync_dir(),
            // Of somebody who has used Claude Code before; a folder that is missing is looked for rarely.
            home.claude_dir().join("projects"),
            home.root.join("tmp"),
            home.root.join("run"),
        ] {
            files::make_dir(&dir);
        }
        files::write(&home.dir().join(".gitconfig"), git_settings(user));
        home
    }

    /// Starts the daemon through these words from now on: `env NAME=value`, `prlimit …`.
    pub fn start_daemon_with(&mut self, words: &[&str]) {
        self.before_daemon = words.iter().map(OsString::from).collect();
    }

    /// Starts every program through these words from now on: `setpriv …`.
    pub fn start_all_with(&mut self, words: &[&str]) {
        self.before_all = words.iter().map(OsString::from).collect();
    }

    /// Begins the daemon's command.
    pub fn daemon(&self) -> Command {
        let mut words = self.before_daemon.clone();
        words.push(program::binary("convosyncd").into());
        let mut command = self.command(words.remove(0));
        command.args(words);
        command
    }

    /// Hides `paths` from every program started here, where the system allows it.
    pub fn hide(&mut self, paths: Vec<PathBuf>) {
        self.masked = paths;
    }

    /// Puts a variable into the environment of every program started here.
    pub fn export(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.exported.push((name, value.into()));
    }

    /// Keeps the way that leads from here to the remote.
    pub fn keep(&mut self, relay: Relay) {
        self.relay = Some(Arc::new(relay));
    }

    /// Returns the way that leads to the remote, where it counts.
    pub fn relay(&self) -> Option<&Relay> {
        self.relay.as_deref()
    }

    /// Whether the hidden paths really are out of reach.
    pub fn is_isolated(&self) -> bool {
        !self.masked.is_empty() && unshare_flags().is_some()
    }

    /// Returns the home directory.
    pub fn dir(&self) -> PathBuf {
        self.root.join("home").join(&self.user)
    }

    /// Returns the folder that holds everything of this device.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the project's directory.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// Returns the folder `CONVOSYNC_HOME` names; short, because a socket's path must be.
    pub fn convosync_dir(&self) -> PathBuf {
        self.root.join("cs")
    }

    /// Returns Claude Code's folder.
    pub fn claude_dir(&self) -> PathBuf {
        self.dir().join(".claude")
    }

    /// Returns the folder of Claude Code that holds the transcripts of `cwd`.
    pub fn slug_dir(&self, cwd: &Path) -> PathBuf {
        self.claude_dir().join("projects").join(slug(cwd))
    }

    /// Returns the folder that holds the project's transcripts.
    pub fn transcripts(&self) -> PathBuf {
        self.slug_dir(&self.project)
    }

    /// Writes the tests' configuration; `more` is TOML that follows it.
    pub fn write_config(&self, more: &str) {
        files::write(&self.convosync_dir().join("config.toml"), test_config(more));
    }

    /// Writes a configuration of which nothing but `text` is set.
    pub fn write_config_whole(&self, text: &str) {
        files::write(&self.convosync_dir().join("config.toml"), text);
    }

    /// Begins a command of this user, in the project's directory.
    pub fn command(&self, name: impl Into<OsString>) -> Command {
        let mut words = self.isolation();
        words.extend(self.before_all.iter().cloned());
        words.push(name.into());
        let mut command = program::command(&words[0]);
        command.args(&words[1..]).current_dir(&self.project).envs(self.environment());
        command
    }

    /// Runs git in the project's directory, as the user would.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> program::Run {
        program::run(self.command("git").args(arguments), b"", program::DEADLINE)
    }

    /// Returns what this user's programs find in their environment.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let home = self.dir();
        let place = |relative: &str| home.join(relative).into_os_string();
        let mut variables = vec![
            ("HOME", home.clone().into()),
            ("USER", self.user().into()),
            ("LOGNAME", self.user().into()),
            ("TERM", "xterm".into()),
            ("LANG", "C.UTF-8".into()),
            ("TZ", "UTC".into()),
            ("TMPDIR", self.root.join("tmp").into()),
            ("XDG_CONFIG_HOME", place(".config")),
            ("XDG_DATA_HOME", place(".local/share")),
            ("XDG_STATE_HOME", place(".local/state")),
            ("XDG_CACHE_HOME", place(".cache")),
            ("XDG_RUNTIME_DIR", self.root.join("run").into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("CONVOSYNC_HOME", self.convosync_dir().into()),
        ];
        variables.extend(self.exported.iter().cloned());
        variables
    }

    fn isolation(&self) -> Vec<OsString> {
        let Some(flags) = unshare_flags().filter(|_| !self.masked.is_empty()) else {
            return Vec::new();
        };
        let mut words: Vec<OsString> =
            ["unshare", flags, "--", "sh", "-c", MASK_SCRIPT, "sh"].map(OsString::from).into();
        words.extend(self.masked.iter().map(|path| path.clone().into_os_string()));
        words.push("--".into());
        words
    }
}

/// Returns the configuration of every test device; `more` is TOML that follows it.
pub fn test_config(more: &str) -> String {
    format!(
        "[save]\nidle_after = \"{IDLE_AFTER}\"\n\n[store]\npush_at_most_every = \"0s\"\n\n{more}"
    )
}

/// A configuration that saves almost at once and pushes every save, and says nothing else.
pub const IMPATIENT: &str =
    "[save]\nidle_after = \"100ms\"\n[store]\npush_at_most_every = \"0s\"\n";

/// Returns the folder name Claude Code gives `cwd`: each UTF-16 unit that is no ASCII letter or digit becomes `-`.
///
/// # Panics
/// When `cwd` does not exist, or is so long that Claude Code would add a hash.
#[track_caller]
pub fn slug(cwd: &Path) -> String {
    const LENGTH_MAX: usize = 200;
    let real = cwd
        .canonicalize()
        .unwrap_or_else(|error| panic!("cannot resolve {}: {error}", cwd.display()));
    let text = real.to_str().expect("the tests' paths are text");
    let keep = |unit: u16| {
        u8::try_from(unit).map(char::from).ok().filter(char::is_ascii_alphanumeric).unwrap_or('-')
    };
    let slug: String = text.encode_utf16().map(keep).collect();
    assert!(slug.len() <= LENGTH_MAX, "the tests' paths are short");
    slug
}

/// Returns the flags with which `unshare` gives a mount namespace here, if it does.
pub fn unshare_flags() -> Option<&'static str> {
    static FLAGS: OnceLock<Option<&'static str>> = OnceLock::new();
    *FLAGS.get_or_init(|| {
        program::on_path("unshare")?;
        let place = tempfile::tempdir().ok()?;
        let works = |flags: &&&str| {
            let mut command = program::command("unshare");
            command
                .args([flags, "--", "sh", "-c", MASK_SCRIPT, "sh"])
                .arg(place.path())
                .args(["--", "true"]);
            program::run(&mut command, b"", Duration::from_secs(10)).status.success()
        };
        ["-m", "-rm"].iter().find(works).copied()
    })
}

fn git_settings(user: &str) -> String {
    format!(
        "[user]\n\tname = {user}\n\temail = {user}@example.invalid\n[init]\n\tdefaultBranch = main\n[commit]\n\tgpgSign = false\n[safe]\n\tdirectory = *\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_keeps_runs_and_replaces_every_other_character() {
        let place = tempfile::tempdir().unwrap();
        let cwd = place.path().join("my_app.v2 ü");
        files::make_dir(&cwd);
        assert!(slug(&cwd).ends_with("-my-app-v2--"), "{}", slug(&cwd));
    }

    #[test]
    fn a_hidden_folder_is_empty_for_the_programs_of_the_home() {
        let place = tempfile::tempdir().unwrap();
        let other = place.path().join("other");
        files::write(&other.join("secret"), "x");
        let mut home = Home::create(&place.path().join("a"), "ada", "code/app");
        home.hide(vec![other.clone()]);
        if !home.is_isolated() {
            return crate::skip::report("`unshare -m` is not allowed here");
        }
        let listed =
            program::run(home.command("ls").arg("-A").arg(&other), b"", program::DEADLINE).ok();
        assert_eq!(listed.text(), "");
        assert!(other.join("secret").is_file());
    }
}
