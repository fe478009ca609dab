//! Earlier saves, of this device or others, that were brought back here and that nobody went on from yet. A
//! transcript that stands as such a save has it holds nothing new, and saved as the newest state it would hide what
//! came later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use convosync_core::disk;
use convosync_core::history::{History, Reader};
use convosync_core::id::{LogId, SessionId};
use convosync_core::log::survey;
use convosync_core::transcript::SessionFiles;

/// The file in a store's folder that names them. Without it, each is saved as a state like any other.
const FILE: &str = "brought.json";

/// The longest such file.
const FILE_MAX: u64 = 64 << 10;

/// So many sessions are remembered.
const SESSIONS_MAX: usize = 256;

/// The number of the save that a session was brought back to.
#[derive(Debug, Default)]
pub(super) struct Brought {
    file: PathBuf,
    saves: BTreeMap<String, u32>,
}

impl Brought {
    /// Goes on from what was noted of the store in `dir`; nothing where that cannot be read.
    pub(super) fn open(dir: &Path) -> Self {
        let file = dir.join(FILE);
        let bytes = disk::read_at_most(&file, FILE_MAX);
        let saves = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { file, saves: saves.unwrap_or_default() }
    }

    /// Notes what a session was brought back to; `None` for its newest state, or one that went on.
    pub(super) fn note(&mut self, session: &SessionId, save: Option<u32>) {
        let before = match save {
            Some(save) => self.saves.insert(session.to_string(), save),
            None => self.saves.remove(session.as_str()),
        };
        while self.saves.len() > SESSIONS_MAX {
            self.saves.pop_first();
        }
        if before == save {
            return;
        }
        let written = serde_json::to_vec(&self.saves).map_err(std::io::Error::from);
        let written = written.map(|bytes| disk::write_atomic(&self.file, &bytes));
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("what a session was brought back to could not be noted");
        }
    }

    /// Whether an earlier save of a session was brought back, and nobody was seen to go on from it.
    pub(super) fn is_noted(&self, session: &SessionId) -> bool {
        self.saves.contains_key(session.as_str())
    }

    /// Whether a session's transcript stands as it was brought back, below the newest save `base`.
    pub(super) fn is_as_it_came(
        &self,
        reader: &Reader<'_>,
        base: &History,
        files: &SessionFiles,
    ) -> bool {
        let Some(save) = self.saves.get(files.id.as_str()) else { return false };
        let found = files.main().and_then(|main| {
            let mut file = disk::open_regular(&main.path).ok()?;
            survey(&mut file, &[]).ok()
        });
        let saved = reader.earlier(base, *save).ok();
        let state = |history: &History| {
            let main = history.logs.values().find(|state| state.log == LogId::main())?;
            Some((main.length, main.content))
        };
        let saved = saved.as_ref().and_then(state);
        saved.is_some() && saved == found.map(|found| (found.complete, found.complete_content))
    }
}
