//! What everybody of the vault sees of a session without fetching it.

use std::path::Path;

use super::Request;
use crate::history::History;
use crate::id::{DeviceId, LogId, Random};
use crate::seal::{SealError, Sealed, Summary, seal_summary};
use crate::transcript::Facts;
use crate::vault::Vault;

/// The project a session belongs to, as far as its summary tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectFacts {
    /// Its identities, the primary one first.
    pub ids: Vec<String>,
    /// Its name.
    pub name: String,
    /// The session's working directory relative to the repository; empty for its top.
    pub subdirectory: String,
    /// How many bytes its history takes in its packs here, where it is whole.
    pub packed: Option<u64>,
}

impl ProjectFacts {
    /// Describes a session that was started in `cwd` within the project at `root`.
    pub fn new(ids: &[String], name: &str, root: &Path, cwd: Option<&Path>) -> Self {
        let below = cwd.and_then(|cwd| cwd.strip_prefix(root).ok()).and_then(Path::to_str);
        Self {
            ids: ids.to_vec(),
            name: name.to_owned(),
            subdirectory: below.unwrap_or_default().to_owned(),
            packed: None,
        }
    }
}

/// Puts the summary of a session together.
pub(super) fn of(
    history: &History,
    facts: &Facts,
    request: &Request<'_>,
    device: DeviceId,
) -> Summary {
    let record = &history.record;
    let main = history.logs.values().find(|state| state.log == LogId::main());
    let files = || history.files().map(|(_, state)| state);
    let code = record.code.as_ref();
    let further = record.further.iter().filter_map(|further| history.code_log_of(further));
    Summary {
        session: history.session.clone(),
        commit: history.commit,
        save: record.number,
        record: history.digest,
        at_ms: record.at_ms,
        device,
        first_ms: facts.first_ms,
        last_ms: facts.last_ms,
        project: request.project.ids.clone(),
        project_name: request.project.name.clone(),
        subdirectory: request.project.subdirectory.clone(),
        title: facts.title(),
        message: record.message.clone(),
        branch: code.and_then(|code| code.branch.clone()).or_else(|| facts.branch.clone()),
        head: code.and_then(|code| code.commit),
        dirty: code.is_some_and(|code| code.dirty),
        messages: facts.messages,
        lines: facts.lines,
        malformed: facts.malformed,
        length: main.map_or(0, |state| state.length),
        total: files().map(|state| state.length).sum(),
        logs: u16::try_from(files().count()).unwrap_or(u16::MAX),
        code: further.chain(history.code_log()).map(|(_, state)| state.sealed).sum(),
        quiet: request.quiet,
        packed: request.project.packed.unwrap_or_default(),
        client: facts.version.clone(),
        model: facts.model.clone(),
    }
}

pub(super) fn seal(
    vault: &Vault,
    summary: &Summary,
    random: &mut dyn Random,
) -> Result<Sealed, SealError> {
    seal_summary(&vault.keys, vault.device(), summary, random)
}
