//! Lists of what the user said, which lie beside the keys: read whole or not at all, and written at once.

use std::path::{Path, PathBuf};

use convosync_core::disk::{self, DiskError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One such list.
#[derive(Debug)]
pub struct List {
    /// The file's name, in the folder of the keys.
    pub file: &'static str,
    /// What it lists, in a word.
    pub what: &'static str,
    /// What it is kept for.
    pub kept: &'static str,
    /// The largest file that is read, in bytes.
    pub bytes_max: u64,
    /// What the user can do about a damaged one.
    pub mend: &'static str,
}

/// Why a list cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file cannot be read.
    #[error("read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error("`{}` is not a list of {}: {message}", path.display(), list.what)]
    Parse {
        /// The file.
        path: PathBuf,
        /// What it should be.
        list: &'static List,
        /// What is wrong with it, and where.
        message: String,
    },
    /// The file cannot be written.
    #[error("keep the list of {kept}")]
    Write {
        /// What it lists.
        kept: &'static str,
        /// Why.
        source: DiskError,
    },
}

impl ListError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { path, .. } => {
                Some(format!("make it readable: `chmod 600 '{}'`", path.display()))
            }
            Self::Parse { list, .. } => Some(list.mend.to_owned()),
            Self::Write { source, .. } => source.hint(),
        }
    }
}

impl List {
    /// Reads the list from the folder of the keys; no file is an empty list.
    ///
    /// # Errors
    /// [`ListError`] when the file is there but unreadable: what the user said is never guessed.
    pub fn load<T: DeserializeOwned + Default>(&'static self, keys: &Path) -> Result<T, ListError> {
        let path = keys.join(self.file);
        if std::fs::metadata(&path).is_ok_and(|found| found.len() > self.bytes_max) {
            let message = format!("it is larger than {} bytes", self.bytes_max);
            return Err(ListError::Parse { path, list: self, message });
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(T::default()),
            Err(source) => return Err(ListError::Read { path, source }),
        };
        toml::from_str(&text).map_err(|error| {
            let message = one_line(&text, &error);
            ListError::Parse { path, list: self, message }
        })
    }

    /// Writes the list.
    ///
    /// # Errors
    /// [`ListError::Write`]; the old list then still stands.
    pub fn store<T: Serialize>(&self, keys: &Path, list: &T) -> Result<(), ListError> {
        let text = toml::to_string(list).expect("texts and flags always serialise");
        let written = disk::write_atomic(&keys.join(self.file), text.as_bytes());
        written.map_err(|source| ListError::Write { kept: self.kept, source })
    }
}

/// What is wrong with the text, and on which line. Not the library's whole message: it quotes the line, which may hold
/// a password.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}
