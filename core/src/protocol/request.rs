//! What a client can ask.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::environment::Variables;
use crate::id::SessionId;
use crate::shell_history::Typed;

/// Every method with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "kebab-case")]
pub enum Request {
    /// Opens the connection. Answer: [`super::HelloReply`].
    Hello(Hello),
    /// Makes this device's keys. Answer: [`super::InitReply`].
    Init(Init),
    /// Joins an existing vault by its recovery phrase. Answer: [`super::InitReply`].
    Recover(Recover),
    /// Writes out this device's keys. Answer: [`super::KeyExportReply`].
    KeyExport(Nothing),
    /// Starts saving a project. Answer: [`super::EnableReply`].
    Enable(Enable),
    /// Stops saving a project. Answer: [`super::EnableReply`].
    Disable(Disable),
    /// Says how things stand. Answer: [`super::StatusReply`].
    Status(Status),
    /// Saves a session now. Answer: [`super::SaveReply`].
    Save(Save),
    /// Says which session `save` would save, and who would see it. Answer: [`super::SaveOutlookReply`].
    SaveOutlook(Save),
    /// Lists sessions of all devices. Answer: [`super::ListReply`].
    List(List),
    /// Describes one session with its saves. Answer: [`super::ShowReply`].
    Show(Show),
    /// Tells where the code stood while a session was written. Answer: [`super::LogReply`].
    Log(Log),
    /// Compares two saves, of one session or of two. Answer: [`super::DiffReply`].
    Diff(Diff),
    /// Reads a session's messages as text, a page at a time. Answer: [`super::ReadReply`].
    Read(Read),
    /// Opens the code of a saved session into a file, for the client to put in place. Answer:
    /// [`super::CodeReply`].
    Code(Code),
    /// Brings a session back on this device. Answer: [`super::ResumeReply`].
    Resume(Resume),
    /// Sends what is unsent and looks for news, now. Answer: [`super::SyncReply`].
    Sync(Sync),
    /// Turns this connection into a stream of [`super::Event`]s. Answer: an empty object at once.
    Watch(Nothing),
    /// Proves that the daemon itself, in its own environment, can push. Answer: [`super::ProbeReply`].
    Probe(Probe),
    /// Reads the configuration again, as SIGHUP does. Answer: an empty object.
    Reload(Nothing),
    /// Saves what is dirty and leaves, as SIGTERM does. Answer: an empty object.
    Stop(Nothing),
}

/// No parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Nothing {}

/// The first request of every connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// The client's [`super::PROTOCOL`].
    pub protocol: u32,
    /// The client's name, as in "convosyncctl".
    pub client: String,
    /// The client's version.
    pub version: String,
    /// The client's ssh agent socket; the daemon offers it to git when it has none of its own.
    #[serde(default)]
    pub ssh_auth_sock: Option<PathBuf>,
}

/// Parameters of `init`. The client made and showed the phrase before: nothing is written unless the
/// user has it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Init {
    /// What this device is called.
    pub name: String,
    /// What it is: desktop, laptop, phone, tablet or server.
    pub kind: String,
    /// The 24 words of the paper device.
    pub phrase: String,
}

impl std::fmt::Debug for Init {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Init")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Parameters of `recover`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Recover {
    /// What this device is called.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// The 24 words.
    pub phrase: String,
    /// A directory of the project whose remote holds the vault.
    pub directory: PathBuf,
    /// The remote's address, where it is not the project's own.
    #[serde(default)]
    pub remote: Option<String>,
}

impl std::fmt::Debug for Recover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recover").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Parameters of `enable`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enable {
    /// A directory of the project.
    pub directory: PathBuf,
    /// Every project that has transcripts here, instead of this one.
    #[serde(default)]
    pub all: bool,
    /// What becomes of settings in the repository's own configuration that need the user's agreement.
    #[serde(default)]
    pub own_settings: OwnSettings,
}

/// What becomes of a repository's own settings that name programs, or decide who is believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnSettings {
    /// They do not count, unless they were agreed to before.
    #[default]
    Leave,
    /// Where there are any that were not agreed to, nothing is enabled, and they are told.
    Ask,
    /// The user agrees to those that are there now.
    Agree,
}

/// Parameters of `disable`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Disable {
    /// A directory of the project.
    pub directory: PathBuf,
    /// Every project.
    #[serde(default)]
    pub all: bool,
    /// No project, but a remote that is read because this device joined by it: its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

/// Parameters of `status`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Where the user stands; its project is described first.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// Whether a person reads the answer: what is told once is not told again then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tells: bool,
}

/// Parameters of `save`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Save {
    /// Where the user stands: the live session of this directory, else the newest of its project.
    pub directory: PathBuf,
    /// This session instead; see [`SessionQuery`].
    #[serde(default)]
    pub session: Option<SessionQuery>,
    /// The save's message; "WIP: sync session" when absent.
    #[serde(default)]
    pub message: Option<String>,
    /// Whether it stays on this device, with all that is saved to the same remote later, until `sync` or a
    /// save by hand that is not held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
    /// Whether other devices are to show no notification of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quiet: bool,
    /// Variables that travel with the session from now on, instead of those it has; absent: it keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Variables>,
    /// Lines that were typed into the shell, and that the session does not have yet. Where `save-outlook` is asked
    /// with any, or none in a list, it answers what they are chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell_history: Option<Vec<Typed>>,
}

/// A session as a person names it: the whole id, a prefix of at least four characters, or
/// `session-` and a prefix; `@7` behind it means its 7th save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionQuery(pub String);

impl SessionQuery {
    /// The shortest prefix that may name a session.
    pub const PREFIX_MIN: usize = 4;

    /// Splits the text into the id or prefix and the save's number. The number is `None` where there is
    /// none, and the whole text is the id where what follows `@` is no number.
    pub fn parts(&self) -> (&str, Option<u32>) {
        let text = self.0.strip_prefix("session-").unwrap_or(&self.0);
        match text.rsplit_once('@').map(|(id, save)| (id, save.parse())) {
            Some((id, Ok(save))) => (id, Some(save)),
            _ => (text, None),
        }
    }

    /// Whether `session` answers to this name.
    pub fn matches(&self, session: &SessionId) -> bool {
        let (text, _) = self.parts();
        session.as_str() == text
            || session.as_str() == self.0
            || (text.len() >= Self::PREFIX_MIN && session.as_str().starts_with(text))
    }
}

/// Parameters of `list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct List {
    /// Only the project of this directory.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// Old sessions too; otherwise those of the last 30 days.
    #[serde(default)]
    pub all: bool,
    /// Only sessions on this branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// Only sessions last saved by this device, by name.
    #[serde(default)]
    pub device: Option<String>,
    /// Asks the remote first; otherwise answers from what is known and says how old that is.
    #[serde(default)]
    pub refresh: bool,
}

/// Parameters of `show`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Show {
    /// Which session.
    pub session: SessionQuery,
}

/// Parameters of `log`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Log {
    /// Where the user stands.
    pub directory: PathBuf,
    /// Which session, at which save.
    pub session: SessionQuery,
}

/// Parameters of `diff`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Diff {
    /// Which session, at which save.
    pub a: SessionQuery,
    /// What it is compared with.
    pub b: SessionQuery,
}

/// Parameters of `read`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Read {
    /// Which session, at which save.
    pub session: SessionQuery,
    /// Where to go on: 0, or [`super::ReadReply::next`] of the page before.
    #[serde(default)]
    pub from: u64,
    /// No further than to this byte of the main transcript; to the end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// Parameters of `resume`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Resume {
    /// Where the user stands.
    pub directory: PathBuf,
    /// Which session; the newest from another device when absent.
    #[serde(default)]
    pub session: Option<SessionQuery>,
    /// Says what would be done, and does nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Goes on although the code here is not the code of the conversation.
    #[serde(default)]
    pub force: bool,
    /// The work tree to go on in, instead of the project's clone here.
    #[serde(default)]
    pub worktree: Option<PathBuf>,
    /// The client looks after the code itself: it is not compared.
    #[serde(default)]
    pub code_is_here: bool,
    /// Asks no remote, and does not look for transcripts that moved: both was done a moment ago.
    #[serde(default)]
    pub is_refreshed: bool,
}

/// Parameters of `code`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Code {
    /// Where the user stands.
    pub directory: PathBuf,
    /// Which session; the newest from another device when absent.
    #[serde(default)]
    pub session: Option<SessionQuery>,
}

/// Parameters of `sync`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sync {
    /// Only the project of this directory.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// Tries again what a remote refused.
    #[serde(default)]
    pub retry: bool,
}

/// Parameters of `probe`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Probe {
    /// Only the project of this directory; all enabled ones when absent.
    #[serde(default)]
    pub directory: Option<PathBuf>,
}
