//! The command that goes on with a conversation, as a shell reads it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use convosync_core::environment::Variables;
use convosync_core::protocol::ResumeReply;

use super::CLAUDE;

/// Returns the command to be shown.
pub(super) fn command_line(reply: &ResumeReply) -> String {
    String::from_utf8_lossy(&line(reply, &Variables::new())).into_owned()
}

/// Returns the command to be run, byte for byte: a path need not be text.
pub(super) fn line(reply: &ResumeReply, variables: &Variables) -> Vec<u8> {
    let id = quote(OsStr::new(reply.session.session.as_str()));
    let directory = quote_path(&reply.directory);
    let exports = exports(variables);
    let there = [b"cd ", directory.as_slice(), b" && ", &exports].concat();
    [&there, CLAUDE.as_bytes(), b" --resume ", &id].concat()
}

/// Sets variables; their names are letters, digits and underscores only ([`Along`](super::environment::Along)).
fn exports(variables: &Variables) -> Vec<u8> {
    let export = |(name, value): (&String, &String)| {
        [b"export ", name.as_bytes(), b"=", &quote(OsStr::new(value)), b" && "].concat()
    };
    variables.iter().flat_map(export).collect()
}

fn quote_path(path: &Path) -> Vec<u8> {
    quote(path.as_os_str())
}

/// Quotes a word for a POSIX shell where it needs it.
fn quote(word: &OsStr) -> Vec<u8> {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    match word.to_str() {
        Some(text)
            if !text.is_empty() && !text.starts_with(['-', '=']) && text.chars().all(plain) =>
        {
            text.as_bytes().to_vec()
        }
        _ => {
            let parts: Vec<&[u8]> = word.as_bytes().split(|byte| *byte == b'\'').collect();
            [b"'", parts.join(&br"'\''"[..]).as_slice(), b"'"].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_the_shell_would_misread_them() {
        for (word, expected) in [
            ("/home/a/shop", "/home/a/shop"),
            ("/home/a b", "'/home/a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
            ("~", "'~'"),
            ("", "''"),
            ("-x", "'-x'"),
            ("日本", "日本"),
        ] {
            assert_eq!(quote(OsStr::new(word)), expected.as_bytes());
        }
        assert_eq!(quote(OsStr::from_bytes(b"\xff\n")), b"'\xff\n'");
    }

    #[test]
    fn variables_are_set_to_exactly_their_values() {
        let pairs = [("A", "it's $HOME\n`x`"), ("B", ""), ("C", "1")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = "export A='it'\\''s $HOME\n`x`' && export B='' && export C=1 && ";
        assert_eq!(String::from_utf8(exports(&pairs.into())).unwrap(), expected);
        assert!(exports(&Variables::new()).is_empty());
    }
}
