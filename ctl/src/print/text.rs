//! One line for people: pieces of text with a meaning, cleaned when they are added.

use anstyle::{AnsiColor, Style};

use super::clean;

/// A line, or a part of one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text(Vec<(Style, String)>);

impl Text {
    /// Starts an empty line.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds text as it is.
    pub(crate) fn plain(self, text: &str) -> Self {
        self.styled(Style::new(), text)
    }

    /// Adds what the eye should find first.
    pub(crate) fn strong(self, text: &str) -> Self {
        self.styled(Style::new().bold(), text)
    }

    /// Adds what is of lesser interest.
    pub(crate) fn faint(self, text: &str) -> Self {
        self.styled(Style::new().dimmed(), text)
    }

    /// Adds what went well.
    pub(crate) fn good(self, text: &str) -> Self {
        self.styled(AnsiColor::Green.on_default(), text)
    }

    /// Adds what needs a look.
    pub(crate) fn warn(self, text: &str) -> Self {
        self.styled(AnsiColor::Yellow.on_default().bold(), text)
    }

    /// Adds what went wrong.
    pub(crate) fn bad(self, text: &str) -> Self {
        self.styled(AnsiColor::Red.on_default().bold(), text)
    }

    fn styled(mut self, style: Style, text: &str) -> Self {
        self.0.push((style, clean(text)));
        self
    }

    /// Returns the line, with escape sequences of our own if `colour`.
    pub(crate) fn render(&self, colour: bool) -> String {
        self.0.iter().fold(String::new(), |mut line, (style, text)| {
            if colour && !text.is_empty() {
                line.push_str(&format!("{style}{text}{style:#}"));
            } else {
                line.push_str(text);
            }
            line
        })
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new().plain(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_cleaned_and_our_own_colours_are_not() {
        let text = Text::new().plain("a").bad("\u{1b}[2J");
        assert_eq!(text.render(false), "a\\u{1b}[2J");
        assert_eq!(text.render(true), "a\u{1b}[1m\u{1b}[31m\\u{1b}[2J\u{1b}[0m");
    }
}
