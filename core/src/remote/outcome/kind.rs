//! The causes that do not go away by waiting, each with the words and the way out for the user.

use serde::{Deserialize, Serialize};

/// Causes that do not go away by waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PermanentKind {
    /// No credentials, wrong or expired ones.
    Login,
    /// None of the ssh keys that could be offered is accepted; one that would ask for a passphrase is not
    /// offered.
    Key,
    /// An agent has the key and would not sign: it waits for a passphrase or a touch.
    KeyLocked,
    /// A second factor is asked for.
    SecondFactor,
    /// The organisation wants the login authorised for single sign-on.
    SingleSignOn,
    /// The proxy wants a login.
    Proxy,
    /// The host's key is unknown or has changed.
    HostKey,
    /// The host's certificate is not trusted.
    Certificate,
    /// The login is good, but may not write.
    Forbidden,
    /// The host takes nothing from this network.
    WrongNetwork,
    /// The host has blocked the account or the repository.
    Blocked,
    /// The repository was archived, or is a mirror.
    ReadOnly,
    /// There is no such repository (or nobody may know that there is).
    NoRepository,
    /// The repository has another address, and git was not allowed to follow.
    Moved,
    /// The host takes no refs of this name.
    RefRefused,
    /// A rule of the host protects refs of this name.
    Protected,
    /// A hook or rule of the host refused.
    HookDeclined,
    /// The host took something for a secret.
    SecretScan,
    /// The host misses LFS objects.
    Lfs,
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
    /// Returns what is the matter, in our own words: a remote chooses what it says besides.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Login => "the host does not accept the login",
            Self::Key => "the host accepts none of the ssh keys it was offered",
            Self::KeyLocked => "the ssh key waits for a passphrase or a touch",
            Self::SecondFactor => "the host wants a second factor",
            Self::SingleSignOn => "the organisation wants this login authorised for single sign-on",
            Self::Proxy => "the proxy wants a login",
            Self::HostKey => "the host's key is unknown or has changed",
            Self::Certificate => "the host's certificate is not trusted",
            Self::Forbidden => "the login may not push here",
            Self::WrongNetwork => "the host takes nothing from this network",
            Self::Blocked => "the host has blocked the account or the repository",
            Self::ReadOnly => "the repository is archived or read-only",
            Self::NoRepository => "there is no such repository, or the login may not see it",
            Self::Moved => "the repository has another address now",
            Self::RefRefused => "the host takes no refs of this name",
            Self::Protected => "a rule of the host protects refs of this name",
            Self::HookDeclined => "a rule of the host refuses the push",
            Self::SecretScan => "the host took sealed data for a secret",
            Self::Lfs => "the host misses LFS objects",
            Self::TooLarge => "the push is larger than the host takes",
            Self::Quota => "the repository or the account is full",
            Self::ObjectFormat => "the repository uses another hash",
            Self::Foreign => "the directory belongs to another user",
            Self::ProtocolRefused => "the address uses a protocol that is not allowed",
            Self::IdsRefused => "the host gives no commit by its id",
            Self::PastRequired => "the host gives no tip without its past",
            Self::NotThere => "what was asked for is not there",
            Self::Damaged => "what was sent is not well formed",
        }
    }

    /// Returns the one way out.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Login => {
                "log in once by hand with `git ls-remote <address>`, so that git's credential helper knows it"
            }
            Self::Key => {
                "load the key into an agent with `ssh-add`, then run `convosyncctl sync --retry` in that terminal: it lends the agent to the daemon, which cannot be asked for a passphrase"
            }
            Self::KeyLocked => {
                "unlock the agent with `ssh-add`, or use a key without touch for this device: nobody is there to answer when the daemon pushes"
            }
            Self::SecondFactor => {
                "use a token over https, or an ssh key that the host takes without a second factor"
            }
            Self::SingleSignOn => {
                "authorise the token or the ssh key for the organisation on the host's settings page, or log in again (`gh auth login`)"
            }
            Self::Proxy => "put the proxy's user and password into git's `http.proxy`",
            Self::HostKey => "connect once by hand (`ssh <host>`) and compare the host's key",
            Self::Certificate => {
                "check the certificate with `git ls-remote <address>`; `http.sslCAInfo` names your own authority"
            }
            Self::Forbidden => {
                "ask for the right to push, log in again if the token may have expired, or name a repository of your own under `store.remote` in the configuration"
            }
            Self::WrongNetwork => "connect from a network the organisation allows (its VPN)",
            Self::Blocked => "see the host's mail or support, or set `store.remote`",
            Self::ReadOnly => {
                "unarchive it on the host, or name another repository under `store.remote` in the configuration"
            }
            Self::NoRepository => {
                "check the address and your rights (`git ls-remote <address>`), or name another repository under `store.remote`"
            }
            Self::Moved => {
                "give the project the new address with `git remote set-url origin <address>`, then run `convosyncctl enable`"
            }
            Self::RefRefused => {
                "run `convosyncctl enable` to look for a place the host accepts, or set `store.remote`"
            }
            Self::Protected => {
                "let the host's rule leave out `convosync/*`, run `convosyncctl enable` to look for another place, or set `store.remote`"
            }
            Self::HookDeclined => {
                "ask whoever runs the host to accept `refs/convosync/*`, run `convosyncctl enable` to look for another place, or set `store.remote`"
            }
            Self::SecretScan => {
                "what we push is encrypted: allow it on the host, or set `store.remote`"
            }
            Self::Lfs => {
                "run `git lfs push --all <remote>` in the project, or set `store.remote`: what we push refers to no LFS object"
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

    /// Whether a ref of another name may be accepted where this one is not.
    pub fn is_of_the_name(self) -> bool {
        matches!(self, Self::RefRefused | Self::Protected | Self::HookDeclined | Self::Forbidden)
    }

    /// Whether an ssh agent may be what is missing.
    pub fn wants_agent(self) -> bool {
        matches!(self, Self::Key | Self::KeyLocked)
    }

    /// Whether what the remote says besides belongs to the cause: another rule is another cause.
    pub fn is_told_apart_by_words(self) -> bool {
        matches!(self, Self::HookDeclined | Self::RefRefused)
    }
}
