//! Makes data harmless: control characters and characters that turn or hide text become visible.

/// Returns `text` with every dangerous character written out, as in `\u{1b}`.
pub(crate) fn clean(text: &str) -> String {
    if !text.contains(is_dangerous) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 16), |mut clean, c| {
        match c {
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            c if is_dangerous(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
        clean
    })
}

/// Returns JSON in which dangerous characters inside strings are written as JSON escapes.
///
/// `serde_json` escapes the first 32 characters by itself; the line breaks left are its own layout.
pub(crate) fn clean_json(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if c == '\n' || !is_dangerous(c) {
            clean.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    clean
}

/// Whether a character controls the terminal, turns the writing direction, or hides.
pub(crate) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_dangerous_becomes_visible() {
        for (text, expected) in [
            ("plain ünïcode 日本 👩‍💻", "plain ünïcode 日本 👩‍💻"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\r\nb\tc\0", "a\\r\\nb\\tc\\u{0}"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("abc\u{202e}cba\u{2066}", "abc\\u{202e}cba\\u{2066}"),
        ] {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn json_says_the_same_after_cleaning() {
        let title = "a\u{9b}\u{202e}\n\u{e0041}\"\\\u{7f}";
        let json = serde_json::to_string_pretty(&serde_json::json!({ "title": title })).unwrap();
        let cleaned = clean_json(&json);
        assert!(!cleaned.contains(|c| is_dangerous(c) && c != '\n'), "{cleaned}");
        let back: serde_json::Value = serde_json::from_str(&cleaned).unwrap();
        assert_eq!(back["title"], title);
    }

    proptest! {
        #[test]
        fn nothing_dangerous_survives(text in any::<String>()) {
            prop_assert!(!clean(&text).contains(is_dangerous));
            let json = serde_json::to_string(&text).unwrap();
            let cleaned = clean_json(&json);
            prop_assert!(!cleaned.contains(is_dangerous));
            prop_assert_eq!(serde_json::from_str::<String>(&cleaned).unwrap(), text);
        }

        #[test]
        fn control_characters_never_survive(
            text in "[\\x00-\\x1f\\x7f-\\x9f\u{202a}-\u{202e}\u{2066}-\u{2069}a\u{1b}]{0,40}"
        ) {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.chars().any(char::is_control), "{:?}", cleaned);
            prop_assert_eq!(clean(&cleaned), cleaned.clone());
        }
    }
}
