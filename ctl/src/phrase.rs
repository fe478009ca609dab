//! The recovery phrase as the client needs it: a thin stand-in for `convosync_core::seal::phrase`.

use convosync_core::id::Random;

/// Why a text is no recovery phrase.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PhraseError {
    /// The words do not make a phrase.
    #[error("this is not a recovery phrase: {0}")]
    NotAPhrase(String),
}

/// Makes a new phrase and returns its words.
pub(crate) fn create(random: &mut impl Random) -> Vec<String> {
    let entropy: [u8; 32] = random.bytes();
    let phrase = bip39::Mnemonic::from_entropy(&entropy).expect("32 bytes make 24 words");
    phrase.words().map(str::to_owned).collect()
}

/// Says what is wrong with a phrase that was typed, if anything.
pub(crate) fn check(text: &str) -> Result<(), PhraseError> {
    let words: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
    let parsed = bip39::Mnemonic::parse_normalized(&words.join(" "));
    parsed.map(|_| ()).map_err(|error| PhraseError::NotAPhrase(error.to_string()))
}
