//! What never enters a code state, and how much may.

use std::path::Path;

use super::RepoPath;
use crate::config::{Code, excluded_by};
use crate::id::Digest;

/// Names of files that usually hold secrets; `*` and `?` as in the shell. The last five are ssh's.
const SECRETS: [&str; 9] = [
    ".env*",
    "*.pem",
    "*.key",
    "credentials.json",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "id_xmss*",
];
/// What an ssh key of any other name begins with.
const KEY_PREFIX: &str = "id_";
/// The endings with which such a name is that of source code or a text about it, and no key (`id_map.rs`). Whatever
/// is not named here is guarded: data (`id_token.json`) may be a secret, and a copy of a key may be called anything.
const SOURCE_ENDINGS: [&str; 50] = [
    "adoc", "bash", "c", "cc", "cjs", "clj", "cpp", "cs", "css", "cxx", "dart", "el", "erl", "ex",
    "exs", "fs", "go", "graphql", "h", "hpp", "hs", "htm", "html", "java", "jl", "js", "jsx", "kt",
    "kts", "less", "lua", "md", "mjs", "ml", "php", "pl", "proto", "py", "pyi", "rb", "rs", "rst",
    "scala", "scss", "sh", "sql", "svelte", "swift", "ts", "tsx",
];
/// Names that look like them and are made to be shared.
const SAMPLES: [&str; 3] = ["*.example", "*.sample", "*.pub"];

/// How much of a work tree is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest single file in bytes.
    pub file: u64,
    /// All changed files, or all unpushed objects, together, in bytes.
    pub total: u64,
    /// How many changed files.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: 10 << 20, total: 100 << 20, files: 10_000 }
    }
}

impl Limits {
    /// The limits that are configured.
    pub fn of(config: &Code) -> Self {
        let Code { file_max, total_max, files_max, .. } = *config;
        Self { file: file_max, total: total_max, files: files_max as usize }
    }

    /// No limits, for states that stay on the device.
    pub const NONE: Self = Self { file: u64::MAX, total: u64::MAX, files: usize::MAX };
}

/// Tells which paths of one work tree never enter a code state.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    root: std::path::PathBuf,
    home: std::path::PathBuf,
    more: Vec<String>,
    allowed: Vec<String>,
    is_off: bool,
}

impl Guard {
    /// Guards the work tree at `root`: our own patterns and `more`, but for `allowed`. Both are patterns as
    /// of `save.exclude`, compared with the absolute path.
    pub fn new(root: &Path, home: &Path, more: &[String], allowed: &[String]) -> Self {
        Self {
            root: root.to_owned(),
            home: home.to_owned(),
            more: more.to_vec(),
            allowed: allowed.to_vec(),
            is_off: false,
        }
    }

    /// Guards the work tree at `root` as it is configured.
    pub fn of(config: &Code, root: &Path, home: &Path) -> Self {
        Self::new(root, home, &config.guard, &config.include_secrets)
    }

    /// Guards nothing, for states that stay on the device.
    pub fn none() -> Self {
        Self { is_off: true, ..Self::default() }
    }

    /// What tells it from a guard of other patterns.
    pub fn digest(&self) -> Digest {
        Digest::of(format!("{self:?}").as_bytes())
    }

    /// Whether a path must not be taken: its own name or that of a folder it lies in says that it holds
    /// a secret.
    pub fn covers(&self, path: &RepoPath) -> bool {
        if self.is_off {
            return false;
        }
        let place = self.root.join(path.as_path());
        let is_named = |patterns: &[String]| excluded_by(patterns, &place, &self.home).is_some();
        (path.names().any(is_secret) || is_named(&self.more)) && !is_named(&self.allowed)
    }
}

fn is_secret(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_lowercase();
    let fits = |pattern: &str| {
        excluded_by(&[(*pattern).to_owned()], Path::new(&name), Path::new("")).is_some()
    };
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.trim_end_matches('~'));
    let is_key = name.starts_with(KEY_PREFIX)
        && ending.is_none_or(|ending| !SOURCE_ENDINGS.contains(&ending));
    (is_key || SECRETS.iter().any(|pattern| fits(pattern)))
        && !SAMPLES.iter().any(|pattern| fits(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::new(text).unwrap()
    }

    #[test]
    fn what_holds_secrets_by_its_name_is_guarded() {
        let guard =
            Guard::new(Path::new("/w/shop"), Path::new("/home/a"), &["*.kdbx".to_owned()], &[]);
        for text in [
            ".env",
            ".env.local",
            "a/.ENV",
            "server.pem",
            "x/tls.key",
            "credentials.json",
            "id_rsa",
            "id_ed25519",
            "id_rsa.old",
            "id_work",
            "id_work.bak",
            "id_work~",
            "vault.kdbx",
            ".env.d/production",
        ] {
            assert!(guard.covers(&path(text)), "{text}");
        }
        for text in [
            ".env.example",
            "a/.env.sample",
            "id_rsa.pub",
            "id_map.rs",
            "keys.rs",
            "environment",
            "src/main.rs",
            "my.env",
        ] {
            assert!(!guard.covers(&path(text)), "{text}");
        }
    }

    #[test]
    fn a_name_that_begins_like_a_key_is_guarded_unless_it_is_one_of_source_code() {
        let guard = Guard::new(Path::new("/w/shop"), Path::new("/home/a"), &[], &[]);
        let table = [
            ("id_work", true),
            ("ID_WORK", true),
            ("id_", true),
            ("id_work.2024", true),
            ("id_work.bak", true),
            ("id_work.txt", true),
            ("id_token.json", true),
            ("id_map.rs.bak", true),
            ("id_work/README.md", true),
            // Those of ssh itself, whatever follows.
            ("id_rsa.rs", true),
            ("id_ed25519_sk.old", true),
            ("id_map.rs", false),
            ("src/id_map.RS", false),
            ("id_map.rs~", false),
            ("id_generator.test.ts", false),
            ("id_work.pub", false),
            ("id_work.example", false),
            ("idle", false),
            ("grid_map", false),
        ];
        for (text, is_guarded) in table {
            assert_eq!(guard.covers(&path(text)), is_guarded, "{text}");
        }
    }

    #[test]
    fn a_secret_travels_where_the_user_said_so_and_only_there() {
        let allowed = ["/w/shop/.env".to_owned()];
        let guard = Guard::new(Path::new("/w/shop"), Path::new("/home/a"), &[], &allowed);
        assert!(!guard.covers(&path(".env")));
        assert!(guard.covers(&path("api/.env")) && guard.covers(&path(".env.local")));
        assert!(
            Guard::new(Path::new("/w/other"), Path::new("/home/a"), &[], &allowed)
                .covers(&path(".env"))
        );
        assert!(!Guard::none().covers(&path(".env")));
    }
}
