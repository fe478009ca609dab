//! A home of its own for tests with real git: nothing of the machine's configuration is seen.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Git, GitCommand};

/// A temporary home, and git as it sees it.
pub(crate) struct Sandbox {
    dir: TempDir,
    pub(crate) git: Git,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap();
        let git = Git::find(None, &|name| match name {
            "PATH" => std::env::var_os(name),
            "HOME" => Some(home.clone().into_os_string()),
            "GIT_CONFIG_SYSTEM" => Some("/dev/null".into()),
            _ => None,
        });
        Self { dir, git: git.unwrap() }
    }

    /// The home itself, without links.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.home().join(below)
    }

    pub(crate) fn write(&self, below: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        crate::disk::make_dirs(path.parent().unwrap()).unwrap();
        crate::disk::write_atomic(&path, text.as_ref()).unwrap();
        path
    }

    /// Writes a program.
    pub(crate) fn script(&self, below: &str, body: &str) -> PathBuf {
        let path = self.path(below);
        crate::disk::make_dirs(path.parent().unwrap()).unwrap();
        write_program(&self.git, &path, body);
        path
    }

    fn command(&self, dir: &Path) -> GitCommand {
        let identity = [
            ("user.name", "Test"),
            ("user.email", "test@example.org"),
            ("init.defaultBranch", "main"),
            ("protocol.file.allow", "always"),
        ];
        identity
            .iter()
            .fold(self.git.command().dir(dir).network("file"), |command, (key, value)| {
                command.config(*key, *value)
            })
    }

    /// Runs git in a directory of the sandbox; it must succeed. Returns what it printed.
    pub(crate) fn run(&self, below: &str, args: &[&str]) -> String {
        let output = self.command(&self.path(below)).args(args.iter().copied()).run().unwrap();
        assert!(output.success(), "git {args:?}: {}", output.stderr);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Makes a repository with one commit.
    pub(crate) fn repository(&self, below: &str) -> PathBuf {
        self.run("", &["init", "-q", below]);
        self.write(&format!("{below}/file"), "one\n");
        self.run(below, &["add", "."]);
        self.run(below, &["commit", "-q", "-m", "first"]);
        self.path(below)
    }

    /// Makes an empty bare repository.
    pub(crate) fn bare(&self, below: &str) -> PathBuf {
        self.run("", &["init", "-q", "--bare", below]);
        self.path(below)
    }
}

/// Waits until no process has the marker in its command line.
#[cfg(target_os = "linux")]
pub(crate) fn gone(marker: &str) -> bool {
    let is_marked = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(marker)
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while std::time::Instant::now() < until {
        if !std::fs::read_dir("/proc").unwrap().flatten().any(is_marked) {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// Writes a shell script from another process: while we hold a file open for writing, a child that
/// another test starts at the same moment holds it too, and the script cannot be run ("text file busy").
pub(crate) fn write_program(git: &Git, path: &Path, body: &str) {
    let put = git.command().config("alias.put", "!f() { cat >\"$1\" && chmod 700 \"$1\"; }; f");
    let text = format!("#!/bin/sh\n{body}\n");
    let output = put.arg("put").arg(path).stdin(text.into_bytes()).run().unwrap();
    assert!(output.success(), "{}", output.stderr);
}
