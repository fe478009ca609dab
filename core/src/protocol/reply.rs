//! What the daemon answers.

mod code;
mod diff;
mod log;
mod resume;
mod save;
mod used;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use code::{CloneReach, CodeLeftOut, CodeReply, FurtherCode, LeftOut, SavedCode};
pub use diff::{DiffReply, DiffSide};
pub use log::{CommandInfo, CommandResult, HereInfo, LogReply, PassageInfo, TypedInfo};
pub use resume::{ResumeAction, ResumeReply, Warning};
pub use save::{LargeSession, SaveInfo, SaveOutlookReply, SaveReply, ShellOutlook};
pub use used::{MakerInfo, UsedInfo};

use crate::id::{DeviceId, SessionId, VaultId};

/// Answer of `hello`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HelloReply {
    /// The daemon's protocol.
    pub protocol: u32,
    /// The daemon's version.
    pub version: String,
    /// The daemon's process.
    pub pid: u32,
    /// Whether this device has keys.
    pub initialised: bool,
}

/// Answer of `init` and `recover`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InitReply {
    /// The vault this device now belongs to.
    pub vault: VaultId,
    /// This device.
    pub device: DeviceId,
    /// Where the keys lie.
    pub keys: PathBuf,
    /// The remote that this device joined by and reads from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteStatus>,
}

/// A remote that is read, and that no project here is saved to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteStatus {
    /// Its address, without credentials.
    pub remote: String,
    /// Sessions known to lie there.
    pub sessions: u32,
    /// When it was last asked, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_ms: Option<i64>,
    /// Why it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Answer of `key-export`.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyExportReply {
    /// The text of the export: keys in the clear.
    pub text: String,
}

/// Answer of `enable` and `disable`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EnableReply {
    /// What changed, one entry a project.
    pub projects: Vec<EnabledProject>,
    /// Nothing was enabled yet: the user has to agree to the projects' own settings first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
    /// Remotes that are no longer read, without credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<String>,
}

/// One project that was enabled or disabled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnabledProject {
    /// Its folder on this device.
    pub root: PathBuf,
    /// Its name.
    pub name: String,
    /// The remote's address, without credentials.
    pub remote: Option<String>,
    /// Sessions found there.
    pub sessions: u32,
    /// What the probe found out: "custom refs", "branches only", or why not.
    pub probe: Option<ProbeResult>,
    /// Settings of the repository's own configuration that need the user's agreement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_settings: Vec<OwnSetting>,
}

/// A setting of a repository's own configuration that names a program, or decides who is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnSetting {
    /// The key, as git prints it.
    pub key: String,
    /// The value, without credentials where it is an address.
    pub value: String,
    /// Whether it counts.
    pub agreed: bool,
}

/// Answer of `probe`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeReply {
    /// One entry a remote.
    pub results: Vec<ProbeResult>,
}

/// Whether a remote can be pushed to from the daemon's own environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeResult {
    /// The remote's address, without credentials.
    pub remote: String,
    /// Whether a ref was pushed, read back and deleted.
    pub works: bool,
    /// Whether only branches are accepted, so that ours shows among them.
    pub branches_only: bool,
    /// Why it does not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Answer of `status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatusReply {
    /// The daemon's version.
    pub version: String,
    /// Whether this device has keys.
    pub initialised: bool,
    /// This device's name.
    pub device: Option<String>,
    /// The vault.
    pub vault: Option<VaultId>,
    /// The project of the directory asked about, if it is enabled.
    pub here: Option<PathBuf>,
    /// Every enabled project.
    pub projects: Vec<ProjectStatus>,
    /// Remotes that are read, and that no project here is saved to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<RemoteStatus>,
    /// Other devices as last seen.
    pub devices: Vec<DeviceStatus>,
    /// How transcripts are noticed: "watching" or why by rescan.
    pub watching: Vec<RootStatus>,
    /// What is wrong, newest first.
    pub problems: Vec<Problem>,
    /// Sessions of this device that have become very large; nobody was told yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large: Vec<LargeSession>,
    /// When this answer was put together, in Unix milliseconds.
    pub at_ms: i64,
}

/// How one Claude root is looked after.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootStatus {
    /// The folder.
    pub root: PathBuf,
    /// "events", or "rescan only".
    pub mode: String,
    /// Why not by events, or why not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Transcripts found.
    pub sessions: u32,
    /// Files that are left out, with the reason.
    pub skipped: Vec<SkippedFile>,
}

/// A file that is not saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFile {
    /// Which.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// How one project stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProjectStatus {
    /// Its folder.
    pub root: PathBuf,
    /// Its name.
    pub name: String,
    /// The remote's address, without credentials.
    pub remote: Option<String>,
    /// Sessions known here.
    pub sessions: u32,
    /// Sessions with unsaved lines or unsaved repository changes.
    pub unsaved: u32,
    /// How far a save of much is, which goes piece by piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saving: Option<Saving>,
    /// Where the last save stands.
    pub sync: SyncState,
    /// When the remote last proved to hold everything, in Unix milliseconds.
    pub on_remote_ms: Option<i64>,
    /// When a save was last made, in Unix milliseconds.
    pub saved_ms: Option<i64>,
    /// When the remote was last asked for news.
    pub listed_ms: Option<i64>,
    /// Bytes sent to the remote since the daemon started.
    pub sent: u64,
    /// Bytes received from it.
    pub received: u64,
    /// Whether the host takes only branches, so that ours shows among them.
    #[serde(default)]
    pub branches_only: bool,
    /// How far a push is that runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending: Option<Sending>,
    /// Whether the host gives no single session, so that other devices' refs are fetched with all their past.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fetched_whole: bool,
    /// What of its code was left out of the last save.
    #[serde(default, skip_serializing_if = "CodeLeftOut::is_nothing")]
    pub code: CodeLeftOut,
    /// What saves that nobody asked for do not do about the code, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autosave: Option<Warning>,
    /// Why it does not get through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// When that is tried again, in Unix milliseconds; absent while it is being tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<i64>,
}

/// How far a save of much is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saving {
    /// Bytes that are saved on this device already.
    pub saved_bytes: u64,
    /// Bytes of all sessions that are not wholly saved.
    pub bytes: u64,
}

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// Bytes that were handed to the connection.
    pub sent_bytes: u64,
    /// Bytes the push carries at most.
    pub bytes: u64,
}

/// Where what was saved has got to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncState {
    /// Nothing was saved yet.
    Empty,
    /// The remote was read back and holds everything that is saved here.
    OnRemote,
    /// Saved here; on its way or waiting for the next try.
    SavedLocally,
    /// The remote refuses until somebody acts.
    Stuck,
}

/// Something wrong, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What, and where.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Since when, in Unix milliseconds.
    pub since_ms: i64,
}

/// A device of the vault as last seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Which.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// desktop, laptop, phone, tablet or server.
    pub kind: String,
    /// Whether it is this one.
    pub this: bool,
    /// When it last saved, in Unix milliseconds.
    pub at_ms: i64,
    /// How many sessions it holds.
    pub sessions: u32,
}

/// Answer of `list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListReply {
    /// Newest first, each as its last finished save has it.
    pub sessions: Vec<SessionInfo>,
    /// How many sessions of this device have lines or changes that are in no save yet.
    #[serde(default)]
    pub unsaved: u32,
    /// When the remotes were last asked, in Unix milliseconds; the oldest of several.
    pub listed_ms: Option<i64>,
    /// Remotes that could not be asked, or refs that were refused.
    pub problems: Vec<Problem>,
}

/// One session as people see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Its id.
    pub session: SessionId,
    /// The first eight characters.
    pub short: String,
    /// Its title.
    pub title: Option<String>,
    /// The message of its last save.
    pub message: Option<String>,
    /// The name of the project.
    pub project: String,
    /// The project's folder on this device, if there is one.
    pub root: Option<PathBuf>,
    /// Who saved it last.
    pub device: DeviceId,
    /// That device's name.
    pub device_name: String,
    /// That device's kind.
    pub device_kind: String,
    /// Whether that is this device.
    pub this_device: bool,
    /// The number of its last save.
    pub save: u32,
    /// When that was, in Unix milliseconds.
    pub at_ms: i64,
    /// Messages so far.
    pub messages: u32,
    /// Bytes of all its files, to the last newline.
    pub total_bytes: u64,
    /// Lines that do not parse; they are saved all the same.
    pub malformed: u32,
    /// Branch at the last save.
    pub branch: Option<String>,
    /// Commit at the last save.
    pub commit: Option<String>,
    /// Whether the work tree had uncommitted changes.
    pub dirty: bool,
    /// Working directory, relative to the project's folder.
    pub subdirectory: String,
    /// Whether it runs here now.
    pub live: bool,
    /// Whether the remote holds this state; `None` for other devices' sessions.
    pub on_remote: Option<bool>,
    /// Claude Code's version.
    pub client: Option<String>,
    /// The model last used.
    pub model: Option<String>,
    /// Where its repository can be cloned from, without credentials, as far as that is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How many bytes the repository's whole history takes on the device that saved, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<u64>,
    /// Why it cannot go on in a clone that is made here: it would be saved to another remote than it lies at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<Warning>,
}

/// Answer of `show`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowReply {
    /// The session.
    pub session: SessionInfo,
    /// Other repositories that it worked in, as of its newest save.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<RepositoryInfo>,
    /// With what it was written.
    #[serde(default, skip_serializing_if = "UsedInfo::is_nothing")]
    pub used: UsedInfo,
    /// Its saves, newest first.
    pub saves: Vec<SaveInfo>,
    /// Its files.
    pub files: Vec<FileInfo>,
}

/// A further repository that a session worked in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RepositoryInfo {
    /// What people call it.
    pub name: String,
    /// Its clone on this device, if there is one that is enabled.
    pub root: Option<PathBuf>,
    /// Branch then.
    pub branch: Option<String>,
    /// Commit then.
    pub commit: Option<String>,
    /// Whether there were uncommitted changes.
    pub dirty: bool,
    /// Whether its code is saved with the session.
    pub is_saved: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One file of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileInfo {
    /// Path relative to the project's folder among the transcripts.
    pub path: String,
    /// Saved bytes.
    pub length: u64,
    /// SHA-256 of them, in hex.
    pub sha256: String,
}

/// Answer of `read`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadReply {
    /// Messages of this page.
    pub messages: Vec<ShownMessage>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<u64>,
}

/// One message as text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShownMessage {
    /// "user", "assistant" or "tool".
    pub role: String,
    /// The time in the transcript, as it stands there.
    pub at: Option<String>,
    /// The text; data from a transcript, to be cleaned before printing.
    pub text: String,
}

/// Answer of `sync`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncReply {
    /// The projects as they stand afterwards.
    pub projects: Vec<ProjectStatus>,
    /// New saves of other devices.
    pub arrived: u32,
    /// Remotes that are read, and that no project here is saved to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<RemoteStatus>,
}
