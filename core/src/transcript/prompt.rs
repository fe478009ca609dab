//! What a person typed, told apart from what programs put in a person's place.

use serde_json::value::RawValue;

use crate::claude::line::{elements, fields, string};

/// How texts begin that stand in a user's line but that no user typed.
const MACHINE_MADE: [&str; 12] = [
    "<local-command-stdout>",
    "<local-command-stderr>",
    "<local-command-caveat>",
    "<bash-stdout>",
    "<bash-stderr>",
    "<session-start-hook>",
    "<system-reminder>",
    "<task-notification>",
    "<ide_opened_file>",
    "<ide_selection>",
    "<tick>",
    "[Request interrupted by user",
];

/// What the content of a user's line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prompt {
    /// Somebody typed this; `None` when it holds no text (an image, say).
    Typed(Option<String>),
    /// Somebody called this command, of Claude Code or (with a `!`) of the shell.
    Command(String),
    /// The result of a tool, or another program's words.
    NotTyped,
}

/// Reads the `content` of a user's `message`.
pub(super) fn read(content: &RawValue) -> Prompt {
    if let Some(text) = string(content) {
        return of_text(text);
    }
    let Some(blocks) = elements(content) else { return Prompt::NotTyped };
    let mut typed = Prompt::NotTyped;
    for block in blocks {
        let Some([kind, text]) = fields(block, &["type", "text"]) else { continue };
        let found = match kind.and_then(string).as_deref() {
            Some("tool_result") => return Prompt::NotTyped,
            Some("text") => text.and_then(string).map_or(Prompt::NotTyped, of_text),
            Some("image" | "document") => Prompt::Typed(None),
            _ => Prompt::NotTyped,
        };
        if typed.rank() < found.rank() {
            typed = found;
        }
    }
    typed
}

impl Prompt {
    /// The first block with the most to say stands for the whole prompt.
    fn rank(&self) -> u8 {
        match self {
            Self::NotTyped => 0,
            Self::Typed(None) => 1,
            Self::Command(_) => 2,
            Self::Typed(Some(_)) => 3,
        }
    }
}

fn of_text(text: String) -> Prompt {
    let start = text.trim_start();
    if let Some(name) = between(start, "<command-", "<command-name>", "</command-name>") {
        return Prompt::Command(name);
    }
    if let Some(input) = between(start, "<bash-input>", "<bash-input>", "</bash-input>") {
        return Prompt::Command(format!("!{input}"));
    }
    if MACHINE_MADE.iter().any(|made| start.starts_with(made)) {
        return Prompt::NotTyped;
    }
    if start.is_empty() { Prompt::NotTyped } else { Prompt::Typed(Some(text)) }
}

/// Returns what stands between two tags of a text that begins as it must.
fn between(text: &str, start: &str, open: &str, close: &str) -> Option<String> {
    let (_, rest) = text.starts_with(start).then(|| text.split_once(open))??;
    let (inner, _) = rest.split_once(close)?;
    Some(inner.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_prompt(content: &str, expected: &Prompt) {
        let raw: &RawValue = serde_json::from_str(content).unwrap();
        assert_eq!(read(raw), *expected, "{content}");
    }

    fn typed(text: &str) -> Prompt {
        Prompt::Typed(Some(text.to_owned()))
    }

    #[test]
    fn what_somebody_typed_is_a_prompt() {
        check_prompt(r#""Hello""#, &typed("Hello"));
        check_prompt(r#"[{"type":"text","text":"Hello"}]"#, &typed("Hello"));
        check_prompt(
            r#"[{"type":"image","source":{}},{"type":"text","text":"See"}]"#,
            &typed("See"),
        );
        check_prompt(r#"[{"type":"image"}]"#, &Prompt::Typed(None));
        check_prompt(
            r#"[{"type":"text","text":"<ide_opened_file>x"},{"type":"text","text":"Hi"}]"#,
            &typed("Hi"),
        );
        check_prompt(r#""<div> is HTML""#, &typed("<div> is HTML"));
    }

    #[test]
    fn results_and_programs_words_are_not() {
        for content in [
            r#"[{"type":"tool_result","tool_use_id":"t","content":"x"}]"#,
            r#"[{"type":"tool_result"},{"type":"text","text":"x"}]"#,
            r#""<local-command-stdout>ok</local-command-stdout>""#,
            r#"[{"type":"text","text":"[Request interrupted by user for tool use]"}]"#,
            r#""""#,
            r#""  ""#,
            "[]",
            "{}",
            "null",
            "7",
            r#"["text",5]"#,
        ] {
            check_prompt(content, &Prompt::NotTyped);
        }
    }

    #[test]
    fn a_command_is_called_by_its_name() {
        let content =
            r#""<command-message>init is</command-message>\n<command-name>/init</command-name>""#;
        check_prompt(content, &Prompt::Command("/init".to_owned()));
        check_prompt(r#""<bash-input> ls </bash-input>""#, &Prompt::Command("!ls".to_owned()));
        check_prompt(r#""<command-x>""#, &typed("<command-x>"));
    }
}
