//! What others say, made fit to be shown: a remote chooses these words.

/// How much of it is kept, in characters.
const WORDS_MAX: usize = 400;

/// Keeps what can be printed on one line: no control or direction character, no escape sequence, no
/// credential of an address, a bounded length.
pub(super) fn printable(text: &str) -> String {
    let mut clean = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' {
            skip_escape(&mut characters);
        } else if c.is_whitespace() || c.is_control() {
            if !clean.ends_with(' ') {
                clean.push(' ');
            }
        } else if !is_invisible(c) {
            clean.push(c);
        }
    }
    without_credentials(clean.trim()).chars().take(WORDS_MAX).collect()
}

/// Skips `[…letter` or one character after an escape.
fn skip_escape(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if characters.next_if_eq(&'[').is_none() {
        characters.next();
        return;
    }
    while characters.next_if(|c| !c.is_ascii_alphabetic() && !c.is_control()).is_some() {}
    characters.next();
}

/// Characters that change the direction of what follows, or join or hide.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Replaces `//user:password@` by `//***@`.
pub fn without_credentials(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        clean.push_str(before);
        let end = after.find(['/', ' ', '\'', '"']).unwrap_or(after.len());
        let authority = &after[..end];
        match authority.rfind('@') {
            Some(at) => clean.push_str(&format!("***{}", &authority[at..])),
            None => clean.push_str(authority),
        }
        rest = &after[end..];
    }
    clean + rest
}

/// An address as it can be told: without a password, and without a name where it may be a token.
pub fn address_to_tell(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once('@') {
        Some((user, host)) if scheme.starts_with("http") || user.contains(':') => host,
        _ => authority,
    };
    format!("{scheme}://{host}{path}")
}

/// Chooses what of a child's last words tells most: what the remote said, else git's own reason.
pub(super) fn reason(stderr: &str) -> String {
    // Hosts frame what they say with rulers.
    let is_text = |line: &&str| line.trim_start_matches("remote:").contains(char::is_alphanumeric);
    let lines = || stderr.split(['\r', '\n']).map(str::trim_end).filter(is_text);
    let said =
        lines().filter_map(|line| line.strip_prefix("remote: ")).filter(|line| !is_progress(line));
    let remote: Vec<_> = said.map(str::trim).filter(|line| !line.is_empty()).collect();
    let own = lines().filter(|line| !line.starts_with("remote:") && !is_progress(line));
    let (advice, own): (Vec<_>, Vec<_>) = own.partition(|line| is_advice(line));
    let words = match (remote.is_empty(), own.is_empty(), advice.first()) {
        (false, _, _) => remote.join(" "),
        (true, false, _) => own.join("; "),
        (true, true, Some(first)) => (*first).to_owned(),
        (true, true, None) => "git said nothing".to_owned(),
    };
    printable(&words)
}

/// Leaves out addresses, paths and names of refs, a line at a time: a repository may be called anything.
pub(super) fn without_names(text: &str) -> String {
    let is_name = |word: &str| word.contains(['/', '@']);
    let plain = |line: &str| {
        let words = line.split_whitespace().map(|word| if is_name(word) { "''" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    text.split(['\r', '\n']).map(plain).collect::<Vec<_>>().join("\n")
}

/// `Counting objects: 50% …` and the like.
fn is_progress(line: &str) -> bool {
    let counts = ["objects: ", "deltas: ", "Total ", "compression using"];
    counts.iter().any(|word| line.contains(word))
        && (line.contains('%')
            || line.contains("done")
            || line.contains("Total")
            || line.contains("using"))
        || line.starts_with("Enumerating objects")
}

/// Lines git adds to every failure, which explain none.
fn is_advice(line: &str) -> bool {
    let advice = [
        "hint: ",
        "error: failed to push some refs",
        "fatal: Could not read from remote repository",
        "Please make sure you have the correct access rights",
        "and the repository exists",
        "warning: push negotiation failed",
        "To ",
    ];
    advice.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(
            printable("\u{1b}[31;1mred\u{1b}[0m \u{7}bell\u{1b}]0;title\u{7}\ttab\n\u{9b}31m"),
            "red bell0;title tab 31m"
        );
        assert_eq!(printable("a\u{202e}b\u{2066}c\u{200b}d"), "abcd");
        assert_eq!(printable(&"x".repeat(5000)).len(), WORDS_MAX);
        assert!(printable("\u{1b}").is_empty());
    }

    #[test]
    fn credentials_are_left_out() {
        assert_eq!(
            printable("unable to access 'https://me:secret@host/x': no"),
            "unable to access 'https://***@host/x': no"
        );
        assert_eq!(printable("https://a@b:c@d/e http://f/g@h"), "https://***@d/e http://f/g@h");
    }

    #[test]
    fn an_address_is_told_without_what_opens_it() {
        for (url, told) in [
            ("git@host:a/lib.git", "git@host:a/lib.git"),
            ("ssh://git@host:22/a/lib.git", "ssh://git@host:22/a/lib.git"),
            ("ssh://git:secret@host/a", "ssh://host/a"),
            ("https://token@host/a/lib.git", "https://host/a/lib.git"),
            ("https://me:secret@host/a?key=secret", "https://host/a"),
            ("file:///srv/a@b/lib.git", "file:///srv/a@b/lib.git"),
            ("/srv/lib.git", "/srv/lib.git"),
        ] {
            assert_eq!(address_to_tell(url), told);
        }
    }

    #[test]
    fn the_remotes_words_come_before_gits() {
        let stderr = "Enumerating objects: 3, done.\nremote: Resolving deltas: 100% (1/1), done.\nremote: =====\nremote: GH013: no.\nremote: \nremote: - because\nTo x\nerror: failed to push some refs to 'x'\n";
        assert_eq!(reason(stderr), "GH013: no. - because");
        assert_eq!(
            reason("fatal: unable to access 'https://x/': Could not resolve host: x\n"),
            "fatal: unable to access 'https://x/': Could not resolve host: x"
        );
        assert_eq!(reason(""), "git said nothing");
        let last = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n";
        assert_eq!(
            reason(&format!("git@x: Permission denied (publickey).\n{last}")),
            "git@x: Permission denied (publickey)."
        );
        assert_eq!(reason(last), "fatal: Could not read from remote repository.");
    }

    #[test]
    fn names_are_left_out_of_what_is_judged() {
        assert_eq!(
            without_names("fatal: unable to access 'https://x/archived/': no\nTo git@quota:a/b\n"),
            "fatal: unable to access '' no\nTo ''\n"
        );
    }
}
