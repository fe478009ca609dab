//! What passes by itself, told apart by how soon trying again is worth it.

use super::{Outcome, PermanentKind, RemoteError};

/// Said when a web page came instead of git's answer.
pub const PORTAL: &str = "the network answers with a page of its own: log in to it";

/// Why something failed that may work later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// Nobody answered: no network, no such name, no route, a time-out.
    Unreached,
    /// A network answers in the host's place and wants a login, or shows its own certificate.
    Portal,
    /// The host asks for fewer requests.
    Limited,
    /// The host was reached and could not do it.
    Failing,
}

/// Which words mean what, in lower case; the first match counts, everything else is [`Passing::Failing`].
const TABLE: &[(Passing, &[&str])] = &[
    (
        Passing::Portal,
        &[
            PORTAL,
            // Of a redirection that leads away from the repository.
            "unable to update url base from redirection",
            // Of a page where a list of refs should be.
            "info/refs not valid",
            // Of a push to a server without git's own protocol, and of a fetch from one.
            "git-http-push failed",
            "cannot obtain needed object",
            "network authentication required",
            "returned error: 511",
        ],
    ),
    (
        Passing::Limited,
        &["rate limit", "too many requests", "returned error: 429", "abuse detection"],
    ),
    (
        Passing::Unreached,
        &[
            "could not resolve",
            "name resolution",
            "name or service not known",
            "connection refused",
            "connection timed out",
            "operation timed out",
            "network is unreachable",
            "network is down",
            "no route to host",
            "host is down",
            "couldn't connect",
            "failed to connect",
            NO_ANSWER,
        ],
    ),
];

/// Whether a connection broke, or was never one, before the host answered anything: reset by what stands in
/// between, or closed in its handshake.
fn is_before_any_answer(why: &str) -> bool {
    let has = |words: &str| why.contains(words);
    let is_http = has("unable to access '") && !has("returned error") && !has("too slow");
    is_http || has("kex_exchange_identification") || has("ssh_exchange_identification")
}

/// How our own deadline is told: a host that was reached and then stalls is given up by http and ssh before.
pub(super) const NO_ANSWER: &str = "no answer within";

/// What helps where a network swallows what is sent to a host, instead of refusing it.
const SWALLOWED: &str = "nothing to do for now: it is tried again; if it stays so, a firewall may stand in between: try another network, or the host's other way (https for ssh)";

/// Says in plain words what git says of a web page.
pub(super) fn plain(why: String) -> String {
    if Passing::of(&why) == Passing::Portal { PORTAL.to_owned() } else { why }
}

impl Passing {
    /// Decides from what was said of a failure that is not final.
    pub fn of(why: &str) -> Self {
        let why = why.to_lowercase();
        let found = TABLE.iter().find(|(_, words)| words.iter().any(|word| why.contains(word)));
        match found {
            Some((passing, _)) => *passing,
            None if is_before_any_answer(&why) => Self::Unreached,
            None => Self::Failing,
        }
    }

    /// What the user can do about what was said of a failure that passes by itself, where that is known.
    pub fn way_out(why: &str) -> Option<&'static str> {
        match Self::of(why) {
            Self::Portal => {
                Some("open any page in a browser; if no login comes up, check the remote's address")
            }
            Self::Unreached => {
                let is_unanswered = why.contains(NO_ANSWER) || why.contains("timed out");
                is_unanswered.then_some(SWALLOWED)
            }
            _ => None,
        }
    }

    fn of_kind(kind: PermanentKind) -> Option<Self> {
        // The certificate of a network that wants a login is nobody's: the host's own is back afterwards.
        (kind == PermanentKind::Certificate).then_some(Self::Portal)
    }
}

impl Outcome {
    /// How soon trying again is worth it; `None` when it is of no use before the user has done something.
    pub fn passing(&self) -> Option<Passing> {
        match self {
            Self::Permanent { kind, .. } => Passing::of_kind(*kind),
            Self::Transient { why } => Some(Passing::of(why)),
            Self::Sent(_) | Self::Behind => Some(Passing::Failing),
        }
    }
}

impl RemoteError {
    /// How soon trying again is worth it; `None` when it is of no use before the user has done something.
    pub fn passing(&self) -> Option<Passing> {
        match self {
            Self::Permanent { kind, .. } => Passing::of_kind(*kind),
            Self::Transient { why } => Some(Passing::of(why)),
            Self::BadUrl { .. } => None,
            _ => Some(Passing::Failing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_and_ssh_say_of_the_network_is_told_apart() {
        let cases = [
            (
                "fatal: unable to access 'https://h/x/': Could not resolve host: h",
                Passing::Unreached,
            ),
            (
                "fatal: unable to access 'http://h/x/': Failed to connect to h port 1 after 0 ms: Couldn't connect to server",
                Passing::Unreached,
            ),
            ("ssh: connect to host h port 22: Connection timed out", Passing::Unreached),
            ("ssh: connect to host h port 22: Network is unreachable", Passing::Unreached),
            (
                "ssh: Could not resolve hostname h: Temporary failure in name resolution",
                Passing::Unreached,
            ),
            ("no answer within 45 s", Passing::Unreached),
            (
                "fatal: unable to update url base from redirection:; asked for: http://h/x/info/refs",
                Passing::Portal,
            ),
            (
                "error: Cannot access URL http://h/x/, return code 22; fatal: git-http-push failed",
                Passing::Portal,
            ),
            ("fatal: http://h/x/info/refs not valid: is this a git repository?", Passing::Portal),
            (
                "fatal: unable to access 'http://h/x/': The requested URL returned error: 511",
                Passing::Portal,
            ),
            (
                "fatal: unable to access 'http://h/x/': Recv failure: Connection reset by peer",
                Passing::Unreached,
            ),
            (
                "fatal: unable to access 'https://h/x/': OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to h:443",
                Passing::Unreached,
            ),
            ("kex_exchange_identification: read: Connection reset by peer", Passing::Unreached),
            (PORTAL, Passing::Portal),
            (
                "fatal: unable to access 'http://h/x/': The requested URL returned error: 429",
                Passing::Limited,
            ),
            ("You have exceeded a secondary rate limit", Passing::Limited),
            (
                "fatal: unable to access 'http://h/x/': The requested URL returned error: 503",
                Passing::Failing,
            ),
            (
                "fatal: unable to access 'http://h/x/': Operation too slow. Less than 1000 bytes/sec transferred the last 30 seconds",
                Passing::Failing,
            ),
            ("error: RPC failed; curl 56 Recv failure: Connection reset by peer", Passing::Failing),
            ("git said nothing", Passing::Failing),
        ];
        for (why, passing) in cases {
            assert_eq!(Passing::of(why), passing, "{why}");
        }
    }

    #[test]
    fn whoever_gets_no_answer_hears_of_firewalls() {
        let hints = [
            ("no answer within 45 s", Some(SWALLOWED)),
            ("ssh: connect to host h port 22: Connection timed out", Some(SWALLOWED)),
            ("ssh: connect to host h port 22: Connection refused", None),
            ("fatal: unable to access 'http://h/x/': The requested URL returned error: 503", None),
        ];
        for (why, hint) in hints {
            assert_eq!(Passing::way_out(why), hint, "{why}");
        }
    }

    #[test]
    fn a_certificate_nobody_trusts_may_be_the_networks_own() {
        let permanent =
            |kind| Outcome::Permanent { kind, why: "SSL certificate problem".to_owned() }.passing();
        assert_eq!(permanent(PermanentKind::Certificate), Some(Passing::Portal));
        assert_eq!(permanent(PermanentKind::Login), None);
    }
}
