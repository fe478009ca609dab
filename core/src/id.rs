//! Names of things: who wrote it, what it belongs to, which bytes it is.
//!
//! All ids are random or digests and print as lower-case hex, except a session's, which is the file
//! stem Claude Code gave the transcript. This room does no I/O; randomness is an argument.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A source of random bytes. Production uses [`SystemRandom`]; tests and simulations a seeded one.
pub trait Random {
    /// Fills `bytes` with random bytes.
    fn fill(&mut self, bytes: &mut [u8]);

    /// Returns `N` random bytes.
    fn bytes<const N: usize>(&mut self) -> [u8; N]
    where
        Self: Sized,
    {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

/// Draws `N` bytes from a source that is known only by its trait.
pub fn draw<const N: usize>(random: &mut dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// The operating system's randomness.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives randomness once it has booted");
    }
}

/// Randomness that repeats for a given seed: for tests and simulations, never for keys.
#[derive(Debug, Clone)]
pub struct SeededRandom {
    seed: u64,
    counter: u64,
}

impl SeededRandom {
    /// Starts the sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(self.seed.to_le_bytes())
                .chain_update(self.counter.to_le_bytes())
                .finalize();
            self.counter += 1;
            piece.copy_from_slice(&block[..piece.len()]);
        }
    }
}

/// What is wrong with the text of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the right number of lower-case hex digits.
    #[error("`{text}` is not {digits} lower-case hex digits")]
    NotHex {
        /// What was given.
        text: String,
        /// How many digits the id has.
        digits: usize,
    },
    /// A session id that cannot be a file name on every platform.
    #[error(
        "`{0}` cannot name a session: it must be 1 to 128 bytes, without separators or control characters, and not start with a dot"
    )]
    BadSession(String),
}

/// Writes `bytes` as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Reads exactly `N` bytes of lower-case hex.
///
/// # Errors
/// [`IdError::NotHex`] for any other length or character.
pub fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let refuse = || IdError::NotHex { text: text.chars().take(80).collect(), digits: N * 2 };
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(refuse()),
    };
    if text.len() != N * 2 {
        return Err(refuse());
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Makes a new one.
            pub fn random(random: &mut impl Random) -> Self {
                Self(random.bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                from_hex(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id!(
    /// All devices of one person that share keys.
    VaultId, 8
);
hex_id!(
    /// One installation of ConvoSync, or the paper that holds the recovery phrase.
    DeviceId, 8
);
hex_id!(
    /// One remote's ConvoSync refs, as one vault sees them.
    StoreId, 8
);
hex_id!(
    /// One vault key.
    KeyId, 8
);
hex_id!(
    /// What a session is called on the remote: nobody without the vault's first key can compute it.
    SessionName, 8
);
hex_id!(
    /// What a log is called inside its session's commits.
    LogName, 8
);
hex_id!(
    /// What a session's further repository is called, by the name that devices know it by.
    RepositoryKey, 8
);
hex_id!(
    /// One uninterrupted append history of one file.
    Generation, 16
);
hex_id!(
    /// A git object id (SHA-1).
    Oid, 20
);
hex_id!(
    /// A SHA-256 digest.
    Digest, 32
);

impl Digest {
    /// Stands where there is nothing before: the first of a chain.
    pub const NONE: Self = Self([0; 32]);

    /// Computes the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of all that `reader` gives.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_reader(reader: &mut dyn std::io::Read) -> std::io::Result<Self> {
        let mut sum = Sha256::new();
        std::io::copy(reader, &mut sum)?;
        Ok(Self(sum.finalize().into()))
    }
}

/// How many digits of a commit people are shown, wherever it is: enough for one name among 16 million objects by git's
/// own rule (half as many bits as the number of objects has, and one more), and what the Linux kernel asks for.
/// A command that names a commit has to work in a large repository, too.
pub const COMMIT_SHOWN: usize = 12;

/// Returns what people see of a commit's name.
pub fn short_commit(name: &str) -> &str {
    name.char_indices().nth(COMMIT_SHOWN).map_or(name, |(end, _)| &name[..end])
}

impl Oid {
    /// Returns what people see.
    pub fn short(&self) -> String {
        short_commit(&self.to_string()).to_owned()
    }
}

/// A session's identity: the stem of its transcript's file name, a UUID in practice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

impl SessionId {
    /// The longest id in bytes: with `.jsonl` it must stay a file name everywhere.
    pub const LEN_MAX: usize = 128;

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what people see: the first eight characters.
    pub fn short(&self) -> &str {
        self.0.char_indices().nth(8).map_or(&self.0, |(end, _)| &self.0[..end])
    }
}

impl FromStr for SessionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
        let refused = text.is_empty()
            || text.len() > Self::LEN_MAX
            || text.starts_with('.')
            || text.ends_with(['.', ' '])
            || text.chars().any(bad);
        if refused {
            Err(IdError::BadSession(text.chars().take(80).collect()))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl TryFrom<String> for SessionId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.0)
    }
}

/// Which of a session's files a log holds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// `<slug>/<id>.jsonl`; the path is empty.
    Main,
    /// A file under `<slug>/<id>/`; the path is relative to that folder.
    Inside,
    /// An older subagent's `agent-*.jsonl` in `<slug>/` itself; the path is its file name.
    Beside,
    /// The session's code states, one behind the other; no file of Claude Code's. The path is empty, or names
    /// the further repository they are of.
    Code,
}

/// One file of a session: its role and its path, which is relative and uses `/`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct LogId {
    /// Which kind of file it is.
    pub role: Role,
    /// Where it lies, relative to what [`Role`] says.
    pub path: String,
}

impl LogId {
    /// The main transcript.
    pub fn main() -> Self {
        Self { role: Role::Main, path: String::new() }
    }

    /// The code states of the session's own repository.
    pub fn code() -> Self {
        Self { role: Role::Code, path: String::new() }
    }

    /// The code states of a further repository that the session worked in.
    pub fn code_of(key: RepositoryKey) -> Self {
        Self { role: Role::Code, path: key.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_as_it_is_read() {
        let id = Generation::random(&mut SeededRandom::new(1));
        assert_eq!(id.to_string().parse::<Generation>(), Ok(id));
    }

    #[test]
    fn hex_of_another_length_or_case_is_refused() {
        for text in ["", "00", "000000000000000G", "ABCDEF0123456789", "00000000000000000"] {
            assert!(text.parse::<DeviceId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_session_id_is_one_harmless_file_name() {
        for text in
            ["", ".", "..", ".git", "a/b", "a\\b", "C:x", "a\nb", "nul\0", "x.", &"a".repeat(129)]
        {
            assert!(text.parse::<SessionId>().is_err(), "{text:?}");
        }
        for text in ["4d5611e5-241a-462a-8d15-5122611a9569", "agent-a2898e3", "日本", "with space"]
        {
            assert!(text.parse::<SessionId>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn seeded_randomness_repeats_and_differs_between_seeds() {
        let draw = |seed| SeededRandom::new(seed).bytes::<40>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
