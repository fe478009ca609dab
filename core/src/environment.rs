//! Variables of the environment that travel with a session because its user named them: which names are refused,
//! and which values.
//!
//! Pure: reading variables, and setting them for a program, is the client's. Everything that is not certainly
//! harmless is refused: what a variable does is up to programs that nobody here knows.

use std::collections::BTreeMap;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// So many variables are named at most: more is a whole environment.
pub const VARIABLES_MAX: usize = 64;

/// The longest name, in bytes.
pub const NAME_MAX: usize = 128;

/// The longest value, in bytes.
pub const VALUE_MAX: usize = 1 << 10;

/// As many bytes names and values have at most together: they stand in a save's record, beside everything else.
pub const VARIABLES_BYTES_MAX: usize = 16 << 10;

/// Names that are never taken along and never set: they say which programs and what code run, what is trusted, or
/// who and where somebody is.
const NEVER: &[&str] = &[
    "_",
    "ALL_PROXY",
    "AR",
    "AS",
    "BROWSER",
    "CC",
    "CLASSPATH",
    "CXX",
    "DISPLAY",
    "EDITOR",
    "ENV",
    "EUID",
    "FCEDIT",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "HISTFILE",
    "HOME",
    "HOSTALIASES",
    "HOSTNAME",
    "IFS",
    "LD",
    "LESS",
    "LESSCLOSE",
    "LESSKEY",
    "LESSOPEN",
    "LOGNAME",
    "MAIL",
    "MAKE",
    "MAKEFILES",
    "MORE",
    "NLSPATH",
    "OLDPWD",
    "OPENSSL_CONF",
    "PAGER",
    "PATHEXT",
    "PWD",
    "RES_OPTIONS",
    "RUSTC",
    "RUSTDOC",
    "SHELL",
    "SHLVL",
    "TERM",
    "TMPDIR",
    "UID",
    "USER",
    "VISUAL",
];

/// The same by how names begin.
const NEVER_BEGINNINGS: &[&str] = &[
    "ANTHROPIC_",
    "AWS_",
    "BASH",
    "CARGO_",
    "CLAUDE",
    "CONVOSYNC_",
    "DBUS_",
    "DOCKER_",
    "DYLD_",
    "ELECTRON_",
    "FISH_",
    "GEM_",
    "GIT_",
    "GNUPG",
    "GPG_",
    "JAVA",
    "KUBE",
    "LD_",
    "LUA",
    "MALLOC_",
    "NIX_",
    "NPM_",
    "PERL",
    "PIP_",
    "PROMPT",
    "PS",
    "PYTHON",
    "RUBY",
    "SSH_",
    "SSL_",
    "SUDO_",
    "SYSTEMD_",
    "TERMUX_",
    "XDG_",
];

/// The same by how names end.
const NEVER_ENDINGS: &[&str] = &[
    "BUNDLE", "CERTS", "CMD", "COMMAND", "DIR", "EDITOR", "FLAGS", "HOME", "HOOK", "OPTIONS",
    "OPTS", "PAGER", "PATH", "PRELOAD", "PROXY", "SHELL", "WRAPPER",
];

/// Parts of names, between underscores, that say that the value is a secret.
const SECRET_PARTS: &[&str] = &[
    "AUTH", "BEARER", "COOKIE", "CREDS", "DSN", "JWT", "PASS", "PAT", "PIN", "PRIVATE", "PW",
    "PWD", "SESSION",
];

/// How such parts may end: `GHTOKEN`, `APIKEY`.
const SECRET_ENDINGS: &[&str] = &["KEY", "KEYS", "TOKEN", "TOKENS", "SALT", "SEED"];

/// The same anywhere in a name.
const SECRET_WORDS: &[&str] =
    &["CREDENTIAL", "LICENSE", "PASSPHRASE", "PASSWD", "PASSWORD", "SECRET", "WEBHOOK"];

/// Why a variable is not taken along, nor set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no name of a variable.
    Name,
    /// It may say which programs run, or what is trusted.
    Runs,
    /// Its value is a secret, as its name says.
    Secret,
}

impl Refusal {
    /// The reason, as it stands behind the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "is not the name of a variable",
            Self::Runs => {
                "may decide which programs run or whom they trust, so it is never taken along"
            }
            Self::Secret => "holds a secret by its name, so it is never taken along",
        }
    }
}

/// Says why a variable of this name is refused; `None` when it may travel.
pub fn refusal(name: &str) -> Option<Refusal> {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !name.starts_with(is_first) || !is_word || name.len() > NAME_MAX {
        return Some(Refusal::Name);
    }
    // Some are read in small letters, too: http_proxy, npm_config_….
    let upper = name.to_ascii_uppercase();
    if NEVER.contains(&upper.as_str())
        || NEVER_BEGINNINGS.iter().any(|beginning| upper.starts_with(beginning))
        || NEVER_ENDINGS.iter().any(|ending| upper.ends_with(ending))
    {
        return Some(Refusal::Runs);
    }
    is_secret(&upper).then_some(Refusal::Secret)
}

/// Whether a name in capital letters says that the value is a secret.
pub(crate) fn is_secret(upper: &str) -> bool {
    let is_secret = |part: &str| {
        SECRET_PARTS.contains(&part) || SECRET_ENDINGS.iter().any(|ending| part.ends_with(ending))
    };
    let has_word = SECRET_WORDS.iter().any(|word| upper.contains(word));
    has_word || upper.split('_').any(is_secret)
}

/// Whether a value may travel: not one that is too long, or that holds a password or a private key.
pub fn is_fit(value: &str) -> bool {
    value.len() <= VALUE_MAX
        && !value.contains('\0')
        && !value.contains("PRIVATE KEY")
        && !value.match_indices("://").any(|(at, mark)| has_password(&value[at + mark.len()..]))
}

/// Whether a name and a password may stand in what is behind the `://` of an address. Some programs take a password
/// with a `/`, `?` or `#` in it as it is, so that it does not end there.
pub(crate) fn has_password(rest: &str) -> bool {
    let word = rest.split(char::is_whitespace).next().unwrap_or_default();
    word.split_once(':').is_some_and(|(_, behind)| behind.contains('@'))
}

/// Keeps what may travel of what somebody else sent.
#[must_use]
pub fn bounded(variables: Variables) -> Variables {
    let fit =
        variables.into_iter().filter(|(name, value)| refusal(name).is_none() && is_fit(value));
    let mut room = VARIABLES_BYTES_MAX;
    let has_room = |(name, value): &(String, String)| {
        let rest = room.checked_sub(name.len() + value.len());
        room = rest.unwrap_or(room);
        rest.is_some()
    };
    fit.take(VARIABLES_MAX).filter(has_room).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_makes_programs_run_or_tells_a_secret_is_refused() {
        let check = |expected: Option<Refusal>, names: &str| {
            for name in names.split_whitespace() {
                assert_eq!(refusal(name), expected, "{name}");
            }
        };
        check(None, "NODE_ENV RUST_LOG DEBUG RAILS_ENV TZ LANG LC_ALL TOKENIZERS_PARALLELISM _x");
        check(
            Some(Refusal::Runs),
            "PATH Path HOME SHELL LD_PRELOAD LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES BASH_ENV ENV IFS PS4 _ \
             PROMPT_COMMAND NODE_OPTIONS NODE_PATH PYTHONSTARTUP PERL5OPT RUBYOPT JAVA_TOOL_OPTIONS \
             _JAVA_OPTIONS RUSTC_WRAPPER RUSTFLAGS CC EDITOR GIT_SSH_COMMAND GIT_DIR PAGER LESSOPEN LESS \
             BROWSER SSH_ASKPASS http_proxy HTTPS_PROXY NODE_EXTRA_CA_CERTS npm_config_script_shell TMPDIR \
             ANTHROPIC_BASE_URL CLAUDE_CONFIG_DIR CONVOSYNC_HOME CARGO_TARGET_DIR XDG_CONFIG_HOME",
        );
        check(
            Some(Refusal::Secret),
            "GITHUB_TOKEN GHTOKEN API_KEY APIKEY STRIPE_KEYS DB_PASSWORD PGPASSWORD DB_PASS DB_PW PW CLIENT_SECRET \
             SECRETS MY_PAT SENTRY_DSN BASIC_AUTH SLACK_WEBHOOK_URL secret_x",
        );
        check(Some(Refusal::Name), "1A A-B A=B A;B Ä $A A.B");
        for name in ["", "A B", "A\n", &"A".repeat(NAME_MAX + 1)] {
            assert_eq!(refusal(name), Some(Refusal::Name), "{name}");
        }
    }

    #[test]
    fn a_value_with_a_password_or_a_key_or_too_long_stays() {
        for value in [
            "",
            "debug",
            "convosync=trace,warn",
            "http://localhost:80/x",
            "https://h/@a:b",
            "ssh://git@host:22/x",
            "a\nb",
            "user@host",
        ] {
            assert!(is_fit(value), "{value}");
        }
        let long = "x".repeat(VALUE_MAX + 1);
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----";
        for value in [
            "postgres://me:pass@db/x",
            "postgres://me:pa#ss@db/x",
            "postgres://me:pa/ss@db/x",
            "https://me:pa?ss@host",
            "http://localhost http://me:pa/ss@host",
            "a,redis://:x@h b",
            "x\0y",
            key,
            &long,
        ] {
            assert!(!is_fit(value), "{value}");
        }
    }

    #[test]
    fn of_what_somebody_sends_only_what_is_harmless_is_kept() {
        let pairs = [("DEBUG", "1"), ("PATH", "/evil"), ("API_KEY", "k"), ("A", "http://u:p@h")];
        let sent = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(bounded(sent.into()), Variables::from([("DEBUG".to_owned(), "1".to_owned())]));
        let many = (0..100).map(|number| (format!("A{number}"), String::new())).collect();
        assert_eq!(bounded(many).len(), VARIABLES_MAX);
        let long = (0..60).map(|number| (format!("A{number}"), "x".repeat(VALUE_MAX))).collect();
        assert_eq!(bounded(long).len(), VARIABLES_BYTES_MAX / (VALUE_MAX + 3));
    }
}
