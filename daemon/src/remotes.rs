//! Which remotes are read although no project here may have them: those that this device joined by. That is the
//! user's word, so it lies beside the keys; `join` writes it, and `disable` takes it back.

use std::path::{Path, PathBuf};

use convosync_core::disk::{self, DiskError};
use serde::{Deserialize, Serialize};

/// The file's name, in the folder of the keys.
pub const FILE: &str = "remotes.toml";

/// The largest file that is read: hundreds of the longest addresses.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Why the list cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RemotesError {
    /// The file cannot be read.
    #[error("read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error("`{}` is not a list of remotes: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The file cannot be written.
    #[error("keep the list of remotes to read from")]
    Write(#[from] DiskError),
}

impl RemotesError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { path, .. } => {
                Some(format!("make it readable: `chmod 600 '{}'`", path.display()))
            }
            Self::Parse { .. } => Some(
                "mend it, or remove it: what is saved of enabled projects does not need it"
                    .to_owned(),
            ),
            Self::Write(error) => error.hint(),
        }
    }
}

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
    /// [`RemotesError`] when the file is there but unreadable.
    pub fn load(keys: &Path) -> Result<Self, RemotesError> {
        let path = keys.join(FILE);
        if std::fs::metadata(&path).is_ok_and(|found| found.len() > FILE_BYTES_MAX) {
            let message = format!("it is larger than {FILE_BYTES_MAX} bytes");
            return Err(RemotesError::Parse { path, message });
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(source) => return Err(RemotesError::Read { path, source }),
        };
        // Not the library's whole message: it quotes the line, which may hold a password.
        toml::from_str(&text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            RemotesError::Parse { path, message: format!("line {line}: {}", error.message()) }
        })
    }

    /// Writes the list.
    ///
    /// # Errors
    /// [`RemotesError::Write`]; the old list then still stands.
    pub fn store(&self, keys: &Path) -> Result<(), RemotesError> {
        let text = toml::to_string(self).expect("texts always serialise");
        Ok(disk::write_atomic(&keys.join(FILE), text.as_bytes())?)
    }

    /// Adds a remote, once.
    pub fn add(&mut self, url: String) {
        self.remotes.retain(|known| known.url != url);
        self.remotes.push(ReadFrom { url });
    }
}

#[cfg(test)]
mod tests {
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
