//! Which remotes are read although no project here may have them: those that this device joined by. That is the
//! user's word, so it lies beside the keys; `join` writes it, and `disable` takes it back.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::lists::{List, ListError};

/// The file's name, in the folder of the keys.
pub const FILE: &str = "remotes.toml";

static LIST: List = List {
    file: FILE,
    what: "remotes",
    kept: "remotes to read from",
    // Hundreds of the longest addresses.
    bytes_max: 256 << 10,
    mend: "mend it, or remove it: what is saved of enabled projects does not need it",
};

/// The remotes to read from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remotes {
    /// One entry a remote.
    #[serde(default, rename = "remote")]
    pub remotes: Vec<ReadFrom>,
}

/// One remote to read from. May hold credentials, as the user typed them: it is never printed whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadFrom {
    /// Its address.
    pub url: String,
}

impl std::fmt::Debug for ReadFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadFrom(…)")
    }
}

impl Remotes {
    /// Reads the list from the folder of the keys; no file is no remotes.
    ///
    /// # Errors
    /// [`ListError`] when the file is there but unreadable.
    pub fn load(keys: &Path) -> Result<Self, ListError> {
        LIST.load(keys)
    }

    /// Writes the list.
    ///
    /// # Errors
    /// [`ListError::Write`]; the old list then still stands.
    pub fn store(&self, keys: &Path) -> Result<(), ListError> {
        LIST.store(keys, self)
    }

    /// Adds a remote, once.
    pub fn add(&mut self, url: String) {
        self.remotes.retain(|known| known.url != url);
        self.remotes.push(ReadFrom { url });
    }
}

#[cfg(test)]
mod tests {
    use convosync_core::disk;

    use super::*;

    #[test]
    fn the_list_is_read_as_it_was_written_and_names_a_remote_once() {
        let keys = tempfile::tempdir().unwrap();
        let mut remotes = Remotes::load(keys.path()).unwrap();
        assert_eq!(remotes, Remotes::default());
        for url in ["git@host:a/app.git", "https://host/\"b\"", "git@host:a/app.git"] {
            remotes.add(url.to_owned());
        }
        assert_eq!(remotes.remotes.len(), 2);
        remotes.store(keys.path()).unwrap();
        assert_eq!(Remotes::load(keys.path()).unwrap(), remotes);
    }

    #[test]
    fn a_damaged_list_is_an_error_with_its_line_and_without_an_address() {
        let keys = tempfile::tempdir().unwrap();
        let text = b"[[remote]]\nurl = https://ada:secret@host/app\n";
        disk::write_atomic(&keys.path().join(FILE), text).unwrap();
        let error = Remotes::load(keys.path()).unwrap_err().to_string();
        assert!(error.contains("remotes.toml") && error.contains("line 2"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(!format!("{:?}", ReadFrom { url: "secret".to_owned() }).contains("secret"));
    }
}
