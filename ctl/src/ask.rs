//! Questions to the person at the terminal.

use convosync_core::seal::Phrase;
use inquire::validator::Validation;
use inquire::{Confirm, InquireError, MultiSelect, Password, PasswordDisplayMode, Select, Text};

use crate::args::Kind;

/// How many entries of a list are on the screen at once.
const PAGE: usize = 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The user left the question.
    #[error("cancelled")]
    Cancelled,
    /// Nobody is there to be asked.
    #[error("{what} must be asked for, and this is not a terminal")]
    NoTerminal { what: &'static str, instead: &'static str },
    /// The terminal failed.
    #[error("ask on the terminal")]
    Terminal(#[source] InquireError),
}

impl AskError {
    /// Returns what the user can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoTerminal { instead, .. } => Some((*instead).to_owned()),
            Self::Cancelled | Self::Terminal(_) => None,
        }
    }
}

impl From<InquireError> for AskError {
    fn from(error: InquireError) -> Self {
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => Self::Cancelled,
            other => Self::Terminal(other),
        }
    }
}

/// Asks for a line of text.
pub(crate) fn text(question: &str, default: &str) -> Result<String, AskError> {
    let answer = Text::new(question).with_default(default).prompt()?;
    Ok(answer.trim().to_owned())
}

/// Asks what this device is.
pub(crate) fn kind(guess: Kind) -> Result<Kind, AskError> {
    let words: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    let start = Kind::ALL.iter().position(|kind| *kind == guess).unwrap_or_default();
    let chosen = Select::new("What is it?", words).with_starting_cursor(start).raw_prompt()?;
    Ok(Kind::ALL[chosen.index])
}

/// Asks for one word of the recovery phrase until it is the right one.
pub(crate) fn word(number: usize, right: &str) -> Result<(), AskError> {
    let question = format!("Word {number} of the phrase:");
    let right = right.to_owned();
    let check = move |answer: &str| {
        Ok(if answer.trim().eq_ignore_ascii_case(&right) {
            Validation::Valid
        } else {
            Validation::Invalid("that is not the word at this place; look again".into())
        })
    };
    Text::new(&question).with_validator(check).prompt()?;
    Ok(())
}

/// Asks for the recovery phrase without showing it.
pub(crate) fn phrase() -> Result<String, AskError> {
    let check = |answer: &str| {
        Ok(match Phrase::parse(answer) {
            Ok(_) => Validation::Valid,
            Err(error) => {
                let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                Validation::Invalid(format!("{error}{hint}").into())
            }
        })
    };
    let question = Password::new("Recovery phrase (24 words):")
        .without_confirmation()
        .with_display_mode(PasswordDisplayMode::Masked)
        .with_display_toggle_enabled()
        .with_help_message("Ctrl-R shows what you type")
        .with_validator(check);
    Ok(question.prompt()?)
}

/// Lets one entry of a list be chosen and returns its index.
pub(crate) fn choose(
    question: &str,
    entries: Vec<String>,
    start: usize,
) -> Result<usize, AskError> {
    let chosen = Select::new(question, entries)
        .with_page_size(PAGE)
        .with_starting_cursor(start)
        .raw_prompt()?;
    Ok(chosen.index)
}

/// Lets entries of a list be ticked, all of them at first, and returns their indexes.
pub(crate) fn tick(question: &str, entries: Vec<String>) -> Result<Vec<usize>, AskError> {
    let ticked = MultiSelect::new(question, entries).with_all_selected_by_default().raw_prompt()?;
    Ok(ticked.into_iter().map(|entry| entry.index).collect())
}

/// Asks yes or no; no is the default.
pub(crate) fn confirm(question: &str) -> Result<bool, AskError> {
    Ok(Confirm::new(question).with_default(false).prompt()?)
}
