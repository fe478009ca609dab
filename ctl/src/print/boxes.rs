//! Frames around what nobody may overlook.

use super::{Look, Text};

/// How wide the rules of a frame are, in characters: fits a phone held upright in Termux.
const WIDTH: usize = 48;

/// A title with lines below it, set apart from everything else.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    title: String,
    lines: Vec<String>,
}

impl Frame {
    /// Starts a frame.
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), lines: Vec::new() }
    }

    /// Adds a line.
    #[must_use]
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Returns the drawn lines. The right side stays open, since nobody knows how wide data is.
    pub(crate) fn lines(&self, look: Look) -> Vec<Text> {
        let [corner, end, side] =
            if look.unicode { ["┏", "┗", "┃"] } else { ["+", "+", "|"] };
        let rule = look.sign("━", "-");
        let rest = WIDTH.saturating_sub(self.title.chars().count() + 5).max(3);
        let top = format!("{corner}{rule}{rule} {} {}", self.title, rule.repeat(rest));
        let bottom = format!("{end}{}", rule.repeat(WIDTH - 1));
        let body = self.lines.iter().map(|line| {
            if line.is_empty() {
                Text::new().warn(side)
            } else {
                Text::new().warn(side).plain(" ").plain(line)
            }
        });
        std::iter::once(Text::new().warn(&top))
            .chain(body)
            .chain([Text::new().warn(&bottom)])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_rules_above_and_below() {
        let look = Look { colour: false, unicode: false };
        let frame = Frame::new("WARNING").line("two\nlines").line("");
        let lines: Vec<_> = frame.lines(look).iter().map(|line| line.render(false)).collect();
        assert_eq!(lines[0], format!("+-- WARNING {}", "-".repeat(36)));
        assert_eq!(lines[1..3], ["| two\\nlines", "|"]);
        assert_eq!(lines[3], format!("+{}", "-".repeat(47)));
    }
}
