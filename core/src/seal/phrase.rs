//! The recovery phrase: 24 English words of BIP 39 that stand for 32 random bytes and a checksum.
//!
//! The phrase is the seed of the *paper device* ([`super::Identity::from_phrase`]). It is shown once
//! and kept nowhere.

use std::fmt;

use bip39::{Error, Language, Mnemonic};
use zeroize::Zeroizing;

use super::key::{SECRET_LEN, Secret};
use crate::id::Random;

/// How many words a phrase has.
pub const WORDS: usize = 24;

/// The longest word of BIP 39's English list has eight letters; what is longer is not looked at.
const TEXT_MAX: usize = 1024;

/// A recovery phrase.
#[derive(Clone)]
pub struct Phrase(Secret);

/// Why a text is not a recovery phrase. Positions count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Not 24 words.
    #[error("a recovery phrase has {WORDS} words, this one has {0}")]
    Count(usize),
    /// A word the list does not have.
    #[error("word {position}, `{word}`, is not in the list of words")]
    Unknown {
        /// Where it stands.
        position: usize,
        /// The word.
        word: String,
        /// A word of the list that begins in the same way.
        near: Option<&'static str>,
    },
    /// All words exist, but not in this order.
    #[error("the words do not belong together: their checksum is wrong")]
    Checksum,
}

impl PhraseError {
    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Count(_) => "type all words with spaces between them".to_owned(),
            Self::Unknown { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::Unknown { near: None, .. } => "look at that word on your paper again".to_owned(),
            Self::Checksum => "one word was mistaken for another, or two changed places".to_owned(),
        })
    }
}

impl Phrase {
    /// Makes a new phrase.
    pub fn create(random: &mut dyn Random) -> Self {
        let mut seed = Zeroizing::new([0; SECRET_LEN]);
        random.fill(&mut *seed);
        Self(seed)
    }

    /// Reads a phrase as a person types it: any case, any white space.
    ///
    /// # Errors
    /// [`PhraseError`] says which word is wrong, if it is one.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let lower = Zeroizing::new(text.to_lowercase());
        let words: Vec<&str> = lower.split_whitespace().collect();
        if words.len() != WORDS || lower.len() > TEXT_MAX {
            return Err(PhraseError::Count(words.len()));
        }
        let joined = Zeroizing::new(words.join(" "));
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &joined).map_err(
            |error| match error {
                Error::UnknownWord(index) => unknown(index, words[index]),
                Error::BadWordCount(count) => PhraseError::Count(count),
                _ => PhraseError::Checksum,
            },
        )?;
        let (mut entropy, _) = mnemonic.to_entropy_array();
        let mut seed = Zeroizing::new([0; SECRET_LEN]);
        seed.copy_from_slice(&entropy[..SECRET_LEN]);
        zeroize::Zeroize::zeroize(&mut entropy);
        Ok(Self(seed))
    }

    /// Returns the 24 words.
    pub fn words(&self) -> Vec<&'static str> {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, &*self.0)
            .expect("32 bytes are an entropy BIP 39 allows");
        mnemonic.words().collect()
    }

    pub(super) fn seed(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(…)")
    }
}

fn unknown(index: usize, word: &str) -> PhraseError {
    let begins_alike = |letters: usize| {
        let (end, _) = word.char_indices().nth(letters)?;
        Language::English.words_by_prefix(&word[..end]).first().copied()
    };
    let near = begins_alike(4).or_else(|| begins_alike(3));
    PhraseError::Unknown { position: index + 1, word: word.chars().take(20).collect(), near }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SeededRandom;

    /// The last vector of BIP 39's own list for 32 bytes.
    const VECTOR: &str = "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing \
        screen patrol group space point ten exist slush involve unfold";
    const VECTOR_SEED: &str = "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f";

    fn check_refused(text: &str, expected: &PhraseError) {
        assert_eq!(Phrase::parse(text).unwrap_err(), *expected);
        assert!(expected.hint().is_some());
    }

    #[test]
    fn a_phrase_is_what_bip_39_says() {
        let phrase = Phrase::parse(VECTOR).unwrap();
        assert_eq!(crate::id::hex(phrase.seed()), VECTOR_SEED);
        assert_eq!(phrase.words().join(" "), VECTOR);
    }

    #[test]
    fn a_phrase_is_read_in_any_case_and_with_any_white_space() {
        let phrase = Phrase::create(&mut SeededRandom::new(4));
        let typed = format!("\n  {} \t\n", phrase.words().join("  \n ").to_uppercase());
        assert_eq!(Phrase::parse(&typed).unwrap().seed(), phrase.seed());
    }

    #[test]
    fn what_is_wrong_with_a_phrase_is_said() {
        check_refused("", &PhraseError::Count(0));
        check_refused("void come effort", &PhraseError::Count(3));
        check_refused(&format!("{VECTOR} void"), &PhraseError::Count(25));
        let swapped = VECTOR.replacen("void come", "come void", 1);
        check_refused(&swapped, &PhraseError::Checksum);
        let typo = VECTOR.replacen("suffer", "sufferr", 1);
        check_refused(
            &typo,
            &PhraseError::Unknown { position: 4, word: "sufferr".into(), near: Some("suffer") },
        );
        let nonsense = VECTOR.replacen("suffer", "日本", 1);
        check_refused(
            &nonsense,
            &PhraseError::Unknown { position: 4, word: "日本".into(), near: None },
        );
    }

    #[test]
    fn no_word_is_printed() {
        assert_eq!(format!("{:?}", Phrase::parse(VECTOR).unwrap()), "Phrase(…)");
    }
}
