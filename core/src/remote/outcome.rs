//! What a push or fetch came to, decided from what git printed: a pure function with a table of cases.

use super::{Traffic, progress, words};

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The remote took it.
    Sent(Traffic),
    /// The ref is not where we thought: list, then decide anew.
    Behind,
    /// Trying again later may work.
    Transient {
        /// What was said, made printable.
        why: String,
    },
    /// Trying again is of no use before the user has done something.
    Permanent {
        /// The cause.
        kind: PermanentKind,
        /// What was said, made printable.
        why: String,
    },
}

/// Causes that do not go away by waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PermanentKind {
    /// No credentials, wrong ones, or an ssh key that would ask for a passphrase or a touch.
    Login,
    /// The host's key is unknown or has changed.
    HostKey,
    /// The host's certificate is not trusted.
    Certificate,
    /// The login is good, but may not write.
    Forbidden,
    /// The repository was archived.
    ReadOnly,
    /// There is no such repository (or nobody may know that there is).
    NoRepository,
    /// The host takes no refs of this name.
    RefRefused,
    /// A hook or rule of the host refused.
    HookDeclined,
    /// The host took something for a secret.
    SecretScan,
    /// An object or the push is larger than the host takes.
    TooLarge,
    /// The repository or account is full.
    Quota,
    /// The repository uses another hash.
    ObjectFormat,
    /// The repository is a directory of another user.
    Foreign,
    /// The address uses a protocol that is not allowed.
    ProtocolRefused,
    /// The host gives no commit by its id (protocol version 0).
    IdsRefused,
    /// The host gives no tip without its past (no shallow fetches).
    PastRequired,
    /// What was asked for is not there.
    NotThere,
    /// What was sent is not well formed.
    Damaged,
}

impl PermanentKind {
    /// Returns the one way out.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Login => {
                "log in once by hand (`git ls-remote <address>`), or load the key into an agent (`ssh-add`): the daemon cannot be asked for a passphrase or a touch"
            }
            Self::HostKey => "connect once by hand (`ssh <host>`) and compare the host's key",
            Self::Certificate => {
                "check the certificate with `git ls-remote <address>`; `http.sslCAInfo` names your own authority"
            }
            Self::Forbidden => {
                "ask for the right to push, or name a repository of your own under `store.remote` in the configuration"
            }
            Self::ReadOnly => {
                "the repository is archived: name another one under `store.remote` in the configuration"
            }
            Self::NoRepository => {
                "check the address and your rights (`git ls-remote <address>`), or name another repository under `store.remote`"
            }
            Self::RefRefused => {
                "run `convosyncctl enable` again to look for a place the host accepts, or set `store.remote`"
            }
            Self::HookDeclined => {
                "ask whoever runs the host to accept `refs/convosync/*`, or set `store.remote`"
            }
            Self::SecretScan => {
                "what we push is encrypted; allow it on the host, or set `store.remote`"
            }
            Self::TooLarge => {
                "ask whoever runs the host to accept packs of this size, or set `store.remote`"
            }
            Self::Quota => "make room on the host, or set `store.remote`",
            Self::ObjectFormat => {
                "the repository uses SHA-256: name a SHA-1 repository under `store.remote`"
            }
            Self::Foreign => {
                "if you trust the directory, run `git config --global --add safe.directory <path>`"
            }
            Self::ProtocolRefused => "use an address with https or ssh",
            Self::IdsRefused => {
                "let the host's sshd pass GIT_PROTOCOL on (`AcceptEnv GIT_PROTOCOL`)"
            }
            Self::PastRequired => "ask whoever runs the host for a newer git",
            Self::NotThere => "run `convosyncctl sync` to list the remote anew",
            Self::Damaged => "run `convosyncctl verify`",
        }
    }
}

/// Why a child on the network failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    Transient(String),
    Permanent(PermanentKind, String),
}

/// Which words mean what, in lower case. The first match counts: what is said in addition to every
/// failure (`could not read from remote repository`) is therefore not here at all, and what passes by
/// itself comes first.
const TABLE: &[(&[&str], Option<PermanentKind>)] = &[
    (&["rate limit", "too many requests", "returned error: 429", "abuse detection"], None),
    (
        &[
            "returned error: 5",
            "internal server error",
            "service unavailable",
            "temporarily unavailable",
        ],
        None,
    ),
    (&["no space left on device"], None),
    (
        &[
            "could not resolve",
            "connection refused",
            "connection timed out",
            "connection reset",
            "network is unreachable",
            "no route to host",
            "operation timed out",
            "couldn't connect",
            "failed to connect",
        ],
        None,
    ),
    (
        &["host key verification failed", "remote host identification has changed"],
        Some(PermanentKind::HostKey),
    ),
    (
        &[
            "ssl certificate problem",
            "certificate verification failed",
            "certificate verify failed",
            "self-signed certificate",
        ],
        Some(PermanentKind::Certificate),
    ),
    (&["dubious ownership"], Some(PermanentKind::Foreign)),
    (&["hash algorithm", "mismatched algorithms"], Some(PermanentKind::ObjectFormat)),
    (&["not allowed\nfatal", "transport '"], Some(PermanentKind::ProtocolRefused)),
    (&["unadvertised object"], Some(PermanentKind::IdsRefused)),
    (&["does not support shallow"], Some(PermanentKind::PastRequired)),
    (
        &["not our ref", "couldn't find remote ref", "no such remote ref"],
        Some(PermanentKind::NotThere),
    ),
    (
        &[
            "push protection",
            "secret detected",
            "secrets detected",
            "cannot contain secrets",
            "secret scanning",
            "secret-scanning",
            "gitleaks",
        ],
        Some(PermanentKind::SecretScan),
    ),
    (
        &[
            "gh001",
            "file size limit",
            "maximum allowed size",
            "returned error: 413",
            "too large",
            "exceeds the maximum",
            "larger than the",
        ],
        Some(PermanentKind::TooLarge),
    ),
    (&["quota", "size limit", "storage limit", "exceeded its"], Some(PermanentKind::Quota)),
    (
        &["archived", "read-only repository", "repository is read-only", "repository is read only"],
        Some(PermanentKind::ReadOnly),
    ),
    (
        &[
            "hidden ref",
            "funny refname",
            "invalid ref",
            "not a valid ref",
            "internal ref",
            "reference name",
            "prohibited by gerrit",
        ],
        Some(PermanentKind::RefRefused),
    ),
    // A hook that says who may push is about rights, whatever declined in the end.
    (&["not allowed to push", "protected branch"], Some(PermanentKind::Forbidden)),
    (
        &["hook declined", "rule violations", "gh013", "gh006", "denied by policy"],
        Some(PermanentKind::HookDeclined),
    ),
    (
        &[
            "permission denied (",
            "authentication failed",
            "could not read username",
            "could not read password",
            "unable to get password",
            "terminal prompts disabled",
            "invalid username or",
            "access denied: invalid",
            "http basic: access denied",
            "returned error: 401",
            "password authentication was removed",
            "too many authentication failures",
            "agent refused operation",
            "no mutual signature",
            "invalid credentials",
            "logon failed",
        ],
        Some(PermanentKind::Login),
    ),
    (
        &[
            "repository not found",
            "does not appear to be a git repository",
            "returned error: 404",
            "could not be found",
            "' not found",
            "no such project",
            "does not exist",
        ],
        Some(PermanentKind::NoRepository),
    ),
    (
        &[
            "returned error: 403",
            "write access",
            "denied to",
            "insufficient permission",
            "unable to create temporary",
            "permission denied",
            "marked as read only",
            "access denied",
        ],
        Some(PermanentKind::Forbidden),
    ),
    (
        &[
            "bad object",
            "invalid index-pack",
            "fsck error",
            "did not send all necessary objects",
            "in fsck",
            "malformed",
            "badtree",
            "index-pack failed",
        ],
        Some(PermanentKind::Damaged),
    ),
];

/// Decides from standard error why a child on the network failed.
pub(super) fn failure(stderr: &str) -> Failure {
    judge(stderr, words::reason(stderr)).unwrap_or_else(Failure::Transient)
}

/// Looks the words up; without a match they are given back.
fn judge(text: &str, why: String) -> Result<Failure, String> {
    let text = text.to_lowercase();
    let found = TABLE.iter().find(|(words, _)| words.iter().any(|word| text.contains(word)));
    match found {
        Some((_, Some(kind))) => Ok(Failure::Permanent(*kind, why)),
        Some((_, None)) => Ok(Failure::Transient(why)),
        None => Err(why),
    }
}

/// Decides what a push came to: by the ref's own line of `--porcelain` if there is one, else by what was
/// said.
pub(super) fn of_push(code: Option<i32>, stdout: &str, stderr: &str, reference: &str) -> Outcome {
    match line_of(stdout, reference) {
        Some(('!', summary)) => rejected(summary, stderr),
        Some(_) if code == Some(0) => Outcome::Sent(progress::traffic(stderr)),
        _ => failure(stderr).into(),
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Transient(why) => Self::Transient { why },
            Failure::Permanent(kind, why) => Self::Permanent { kind, why },
        }
    }
}

/// Finds `<flag> TAB <from>:<to> TAB <summary> (<reason>)`.
fn line_of<'a>(stdout: &'a str, reference: &str) -> Option<(char, &'a str)> {
    stdout.lines().find_map(|line| {
        let mut fields = line.splitn(3, '\t');
        let (flag, refs, summary) =
            (fields.next()?.chars().next()?, fields.next()?, fields.next()?);
        refs.rsplit_once(':').is_some_and(|(_, to)| to == reference).then_some((flag, summary))
    })
}

/// Reasons that mean that the ref is not where we thought, or blocked by another.
const BEHIND: &[&str] = &[
    "stale info",
    "failed to update ref",
    "fetch first",
    "non-fast-forward",
    "needs force",
    "already exists",
    "cannot lock ref",
    "incorrect old value",
    "failed to lock",
    "reference already exists",
    "remote ref updated since checkout",
];
/// Reasons that lie with the remote's disk or its mood.
const PASSING: &[&str] = &[
    "unpacker error",
    "internal server error",
    "missing necessary objects",
    "[remote failure]",
    "remote unpack failed",
    "failed to read",
    "timeout",
    "atomic push failed",
];

fn rejected(summary: &str, stderr: &str) -> Outcome {
    let lower = summary.to_lowercase();
    if BEHIND.iter().any(|reason| lower.contains(reason)) {
        return Outcome::Behind;
    }
    let said = words::reason(stderr);
    let from_remote = stderr.contains("remote: ");
    let why = if from_remote { said } else { words::printable(summary) };
    match judge(&format!("{summary}\n{stderr}"), why) {
        Ok(failure) => failure.into(),
        Err(why) if PASSING.iter().any(|reason| lower.contains(reason)) => {
            Outcome::Transient { why }
        }
        Err(why) => Outcome::Permanent { kind: PermanentKind::RefRefused, why },
    }
}

#[cfg(test)]
mod tests;
