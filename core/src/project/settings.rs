//! The git settings that a remote's children need, as git itself resolves them, and which of them the
//! user has to agree to first.
//!
//! What the system's and the user's own files say always counts. What the repository's own configuration
//! says may come from somebody else (an unpacked archive, another user's folder, a script): where such a
//! setting names a program, or decides who is talked to and believed, it counts only if the user agreed
//! to exactly that value.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Project, ProjectError, address, refused};
use crate::git::Git;
use crate::id::Digest;

/// How much configuration is read.
const CONFIG_MAX: usize = 4 << 20;

/// Settings that say how a remote is reached: in git's order, the last of a key counts. May hold
/// credentials: they are never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GitSettings(pub Vec<(String, String)>);

impl GitSettings {
    /// The ssh that they name, if they name one.
    pub fn ssh(&self) -> Option<&str> {
        let mut named = self.0.iter().rev();
        let (_, ssh) = named.find(|(key, _)| key.eq_ignore_ascii_case("core.sshCommand"))?;
        Some(ssh).filter(|ssh| !ssh.is_empty()).map(String::as_str)
    }
}

impl std::fmt::Debug for GitSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GitSettings({} keys)", self.0.len())
    }
}

/// A setting of a repository's own configuration that counts only if the user agreed to it. May hold
/// credentials, as all settings may.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnSetting {
    /// The key, as git prints it.
    pub key: String,
    /// The value.
    pub value: String,
}

impl OwnSetting {
    /// What stands for an agreement to exactly this key and value.
    pub fn digest(&self) -> Digest {
        Digest::of(format!("{}\0{}", self.key, self.value).as_bytes())
    }

    /// The address of a remote that is a directory of this machine: its hooks run here, as the user. Any
    /// other address names no program.
    pub fn of_remote(url: &str) -> Option<Self> {
        let is_directory = url.starts_with('/') || url.to_ascii_lowercase().starts_with("file:");
        is_directory.then(|| Self { key: REMOTE_KEY.to_owned(), value: url.to_owned() })
    }

    /// Whether this is a remote's address.
    pub fn is_remote(&self) -> bool {
        self.key == REMOTE_KEY
    }
}

impl std::fmt::Debug for OwnSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnSetting({})", self.key)
    }
}

/// The key under which the address of a remote is agreed to, whatever the remote is called.
const REMOTE_KEY: &str = "remote.url";

/// All settings of a project that say how its remotes are reached.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    entries: Vec<Entry>,
    /// Where the user's own files say that addresses lead to.
    rewrites: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Entry {
    setting: OwnSetting,
    needs_agreement: bool,
}

impl Settings {
    /// Everything: for what the user runs in the repository, never for what happens by itself.
    pub fn everything(&self) -> GitSettings {
        let pair = |entry: &Entry| (entry.setting.key.clone(), entry.setting.value.clone());
        GitSettings(self.entries.iter().map(pair).collect())
    }

    /// Returns where an address that the user named leads to, by the user's own files: what a repository
    /// says about its remotes is resolved with them.
    pub fn written_out(&self, url: &str) -> String {
        address::written_out(url, &self.rewrites)
    }

    /// What needs the user's agreement, in git's order.
    pub fn to_agree(&self) -> Vec<OwnSetting> {
        let asking = self.entries.iter().filter(|entry| entry.needs_agreement);
        asking.map(|entry| entry.setting.clone()).collect()
    }

    /// What counts if the user agreed to these.
    pub fn with(&self, agreed: &BTreeSet<Digest>) -> GitSettings {
        let counts =
            |entry: &&Entry| !entry.needs_agreement || agreed.contains(&entry.setting.digest());
        let pair = |entry: &Entry| (entry.setting.key.clone(), entry.setting.value.clone());
        GitSettings(self.entries.iter().filter(counts).map(pair).collect())
    }
}

/// Reads the settings for the remotes of `project`, with what of them needs the user's agreement.
///
/// # Errors
/// [`ProjectError`] when git does not read the configuration.
pub fn settings(project: &Project, git: &Git) -> Result<Settings, ProjectError> {
    let dir = project.root.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let all = scoped(dir, git)?;
    let is_rewrite = |(scope, setting): &&(String, OwnSetting)| {
        is_users_own(scope) && setting.key.starts_with("url.")
    };
    let pair = |(_, setting): &(String, OwnSetting)| (setting.key.clone(), setting.value.clone());
    let rewrites = all.iter().filter(is_rewrite).map(pair).collect();
    let entries = all
        .into_iter()
        .filter(|(_, setting)| reaches_remotes(&setting.key))
        .map(|(scope, setting)| Entry {
            needs_agreement: !is_users_own(&scope) && needs_agreement(&setting.key),
            setting,
        })
        .collect();
    Ok(Settings { entries, rewrites })
}

/// Reads all settings that hold in `dir`, in git's order.
pub(super) fn all(dir: &Path, git: &Git) -> Result<Vec<(String, String)>, ProjectError> {
    let settings = scoped(dir, git)?.into_iter();
    Ok(settings.map(|(_, setting)| (setting.key, setting.value)).collect())
}

/// Reads all settings with the scope of each; an included file has the scope of the one that includes it.
fn scoped(dir: &Path, git: &Git) -> Result<Vec<(String, OwnSetting)>, ProjectError> {
    let command = git
        .command()
        .dir(dir)
        .args(["config", "--list", "--show-scope", "-z", "--includes"])
        .stdout_limit(CONFIG_MAX);
    let output =
        command.run().map_err(|source| ProjectError::Git { path: dir.to_owned(), source })?;
    // Without any configuration file git fails, and says nothing.
    if !output.success() && !output.stderr.trim().is_empty() {
        return Err(refused(dir, &output));
    }
    Ok(parse(&output.stdout))
}

/// Reads `scope\0key\nvalue\0`; a key without a value means true.
fn parse(bytes: &[u8]) -> Vec<(String, OwnSetting)> {
    let text = String::from_utf8_lossy(bytes);
    let mut pieces = text.split('\0');
    let mut settings = Vec::new();
    while let (Some(scope), Some(entry)) = (pieces.next(), pieces.next()) {
        let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
        let setting = OwnSetting { key: key.to_owned(), value: value.to_owned() };
        settings.push((scope.to_owned(), setting));
    }
    settings
}

/// Whether a scope is the user's or the system's; `command` is what we hand over ourselves. Any other,
/// known to us or not, is the repository's.
fn is_users_own(scope: &str) -> bool {
    ["system", "global", "command"].contains(&scope)
}

/// Whether a key says how a remote is reached. Keys come from git with section and name in lower case.
/// What rewrites addresses is not among them: they are written out here, and git would do it once more.
fn reaches_remotes(key: &str) -> bool {
    const SECTIONS: &[&str] = &["credential.", "http.", "https.", "ssh."];
    const PROXIES: &[&str] = &[".proxy", ".proxyauthmethod"];
    const KEYS: &[&str] =
        &["core.sshcommand", "core.gitproxy", "protocol.version", "safe.directory"];
    // Of a remote, by its name or its address, only by whom it is reached.
    let is_proxy = key.starts_with("remote.") && PROXIES.iter().any(|name| key.ends_with(name));
    KEYS.contains(&key) || is_proxy || SECTIONS.iter().any(|section| key.starts_with(section))
}

/// Whether a key of a repository's own configuration needs the user's agreement. Named are those that do
/// not: new keys of git and its helpers keep coming.
fn needs_agreement(key: &str) -> bool {
    const CREDENTIAL: &[&str] = &["username", "usehttppath", "interactive"];
    const HTTP: &[&str] = &[
        "emptyauth",
        "extraheader",
        "keepalivecount",
        "keepaliveidle",
        "keepaliveinterval",
        "lowspeedlimit",
        "lowspeedtime",
        "maxrequests",
        "minsessions",
        "postbuffer",
        "useragent",
        "version",
    ];
    let (section, name) = (key.split('.').next(), key.rsplit('.').next().unwrap_or_default());
    match section {
        Some("credential") => !CREDENTIAL.contains(&name),
        Some("http" | "https") => !HTTP.contains(&name),
        Some("protocol" | "ssh") => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_newlines_and_keys_without_a_value_are_read() {
        let read = parse(b"local\0a.b\nx\ny\0global\0core.bare\0local\0c.d\n\0");
        let expected =
            [("local", "a.b", "x\ny"), ("global", "core.bare", "true"), ("local", "c.d", "")];
        let expected = expected.map(|(scope, key, value)| {
            let setting = OwnSetting { key: key.to_owned(), value: value.to_owned() };
            (scope.to_owned(), setting)
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn only_what_reaches_remotes_is_handed_over() {
        for key in [
            "credential.helper",
            "http.https://x.example/.extraheader",
            "core.sshcommand",
            "protocol.version",
            "remote.https://x.example/a.git.proxy",
            "remote.origin.proxyauthmethod",
        ] {
            assert!(reaches_remotes(key), "{key}");
        }
        for key in [
            "core.hookspath",
            "core.fsmonitor",
            "alias.x",
            "filter.lfs.clean",
            "include.path",
            "core.askpass",
            "push.followtags",
            "url.x.y",
            "url.git@x:.insteadof",
            "remote.origin.url",
        ] {
            assert!(!reaches_remotes(key), "{key}");
        }
    }

    #[test]
    fn what_names_a_program_or_who_is_believed_needs_agreement() {
        for key in [
            "core.sshcommand",
            "core.gitproxy",
            "credential.helper",
            "credential.https://host.example.helper",
            "credential.uihelper",
            "http.proxy",
            "http.sslverify",
            "http.https://host.example/.sslcainfo",
            "http.cookiefile",
            "http.savecookies",
            "safe.directory",
            "remote.origin.proxy",
        ] {
            assert!(needs_agreement(key), "{key}");
        }
        for key in [
            "credential.username",
            "credential.https://host.example.username",
            "http.postbuffer",
            "http.https://host.example/.extraheader",
            "protocol.version",
        ] {
            assert!(!needs_agreement(key), "{key}");
        }
    }

    #[test]
    fn a_directory_as_remote_needs_agreement_and_a_host_does_not() {
        for url in ["/srv/app.git", "file:///srv/app.git", "FILE:///srv/app.git"] {
            assert!(OwnSetting::of_remote(url).is_some_and(|own| own.is_remote()), "{url}");
        }
        for url in ["git@host:app.git", "https://host/app.git", "ssh://host/app.git"] {
            assert_eq!(OwnSetting::of_remote(url), None, "{url}");
        }
    }

    #[test]
    fn settings_do_not_print() {
        let settings =
            GitSettings(vec![("http.extraheader".to_owned(), "Authorization: secret".to_owned())]);
        assert!(!format!("{settings:?}").contains("secret"));
        let own = OwnSetting { key: "credential.helper".to_owned(), value: "secret".to_owned() };
        assert!(!format!("{own:?}").contains("secret"));
    }
}
