//! With what a conversation was written: versions of Claude Code, models, and the permission mode.

use super::facts::{Facts, Line};
use crate::claude::line::{Lines, text_of};

/// So many versions and models are told apart, the newest ones: nobody reads more.
const USED_MAX: usize = 16;

/// Gathers what was used from blocks of bytes.
#[derive(Debug, Default)]
pub struct Used {
    lines: Lines,
    facts: Facts,
    clients: Vec<String>,
    models: Vec<String>,
}

impl Used {
    /// Takes in the next block.
    pub fn push(&mut self, block: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(block, &mut |line| {
            if let Some(line) = line {
                self.take(&Line::read(line, &text_of(line)));
            }
        });
        self.lines = lines;
    }

    /// Takes in the next line.
    pub(super) fn take(&mut self, line: &Line<'_>) {
        self.facts.take(line);
        note(&mut self.clients, self.facts.version.as_deref());
        note(&mut self.models, self.facts.model.as_deref());
    }

    /// Returns the versions of Claude Code and the models, in the order in which they came, and the permission mode
    /// that the conversation was in last.
    pub fn finish(self) -> (Vec<String>, Vec<String>, Option<String>) {
        (self.clients, self.models, self.facts.permission_mode)
    }
}

/// What came back stands where it came first.
fn note(used: &mut Vec<String>, value: Option<&str>) {
    let Some(value) = value.filter(|value| !used.iter().any(|known| known == value)) else {
        return;
    };
    if used.len() == USED_MAX {
        used.remove(0);
    }
    used.push(value.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(text: &str) -> (Vec<String>, Vec<String>, Option<String>) {
        let mut used = Used::default();
        text.as_bytes().chunks(7).for_each(|block| used.push(block));
        used.finish()
    }

    fn answer(version: &str, model: &str) -> String {
        let message = format!(r#"{{"id":"m","model":"{model}","content":[]}}"#);
        format!("{{\"type\":\"assistant\",\"version\":\"{version}\",\"message\":{message}}}\n")
    }

    #[test]
    fn versions_and_models_are_told_once_each_in_the_order_they_came_and_the_last_mode() {
        let mode = |mode: &str| format!("{{\"type\":\"user\",\"permissionMode\":\"{mode}\"}}\n");
        let text = mode("default")
            + &answer("2.0.1", "opus")
            + &answer("2.0.1", "<synthetic>")
            + &mode("acceptEdits")
            + &answer("2.1.0", "sonnet")
            + &answer("2.0.1", "opus");
        let list = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
        let expected =
            (list(["2.0.1", "2.1.0"]), list(["opus", "sonnet"]), Some("acceptEdits".to_owned()));
        assert_eq!(used(&text), expected);
        assert_eq!(used("nothing\n"), Default::default());
    }

    #[test]
    fn of_many_versions_the_newest_are_told() {
        let text: String = (0..40).map(|number| answer(&format!("1.{number}"), "m")).collect();
        let (clients, _, _) = used(&text);
        assert_eq!(
            (clients.len(), clients[0].as_str(), clients[15].as_str()),
            (16, "1.24", "1.39")
        );
    }
}
