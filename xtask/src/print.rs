//! The only room of the automation that prints.

use std::error::Error;
use std::io::{self, Write};

use crate::failure::Failure;

/// Prints one line.
pub(crate) fn line(text: &str) {
    // Nobody reads any more: there is nobody to tell either.
    writeln!(io::stdout().lock(), "{text}").unwrap_or_default();
}

/// Prints the heading of a step.
pub(crate) fn heading(text: &str) {
    line(&format!("\n==> {text}"));
}

/// Prints a failure with its causes.
pub(crate) fn failure(failure: &Failure) {
    let mut text = format!("\nxtask: failed to {failure}");
    if !matches!(failure, Failure::Start { .. } | Failure::File { .. }) {
        text = format!("\nxtask: {failure}");
    }
    let mut cause = failure.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
}
