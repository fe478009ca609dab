//! The user's git settings that a remote's children need, as git itself resolves them.

use std::path::Path;

use super::{Project, ProjectError, refused};
use crate::git::Git;

/// How much configuration is read.
const CONFIG_MAX: usize = 4 << 20;

/// Settings of the user's repository (its own, the user's and the system's, includes resolved) that say
/// how a remote is reached: in git's order, the last of a key counts. May hold credentials: it is never
/// printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GitSettings(pub Vec<(String, String)>);

impl std::fmt::Debug for GitSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GitSettings({} keys)", self.0.len())
    }
}

/// Reads the settings for the remotes of `project`.
///
/// # Errors
/// [`ProjectError`] when git does not read the configuration.
pub fn settings(project: &Project, git: &Git) -> Result<GitSettings, ProjectError> {
    let dir = project.root.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let mut all = all(dir, git)?;
    all.retain(|(key, _)| reaches_remotes(key));
    Ok(GitSettings(all))
}

/// Reads all settings that hold in `dir`, in git's order.
pub(super) fn all(dir: &Path, git: &Git) -> Result<Vec<(String, String)>, ProjectError> {
    let command = git
        .command()
        .dir(dir)
        .args(["config", "--list", "-z", "--includes"])
        .stdout_limit(CONFIG_MAX);
    let output =
        command.run().map_err(|source| ProjectError::Git { path: dir.to_owned(), source })?;
    // Without any configuration file git fails, and says nothing.
    if !output.success() && !output.stderr.trim().is_empty() {
        return Err(refused(dir, &output));
    }
    Ok(parse(&output.stdout))
}

/// Reads `key\nvalue\0`; a key without a value means true.
fn parse(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let entries = text.split('\0').filter(|entry| !entry.is_empty());
    entries
        .map(|entry| entry.split_once('\n').unwrap_or((entry, "true")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Whether a key says how a remote is reached. Keys come from git with section and name in lower case.
fn reaches_remotes(key: &str) -> bool {
    const SECTIONS: &[&str] = &["credential.", "http.", "https.", "ssh."];
    const KEYS: &[&str] =
        &["core.sshcommand", "core.gitproxy", "protocol.version", "safe.directory"];
    let rewrites =
        key.starts_with("url.") && (key.ends_with(".insteadof") || key.ends_with(".pushinsteadof"));
    rewrites || KEYS.contains(&key) || SECTIONS.iter().any(|section| key.starts_with(section))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_newlines_and_keys_without_a_value_are_read() {
        let read = parse(b"a.b\nx\ny\0core.bare\0c.d\n\0");
        let expected = [("a.b", "x\ny"), ("core.bare", "true"), ("c.d", "")];
        assert_eq!(read, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn only_what_reaches_remotes_is_handed_over() {
        for key in [
            "credential.helper",
            "http.https://x.example/.extraheader",
            "url.git@x:.insteadof",
            "core.sshcommand",
            "protocol.version",
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
            "remote.origin.url",
        ] {
            assert!(!reaches_remotes(key), "{key}");
        }
    }

    #[test]
    fn settings_do_not_print() {
        let settings =
            GitSettings(vec![("http.extraheader".to_owned(), "Authorization: secret".to_owned())]);
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
