//! How bash, zsh and fish write what was typed into them.

use std::borrow::Cow;
use std::path::Path;

use super::Typed;

/// A shell whose history is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// Lines, each behind its time (`#1700000000`) where `HISTTIMEFORMAT` is set.
    Bash,
    /// Lines, each with its time before it (`: 1700000000:0;`) where `EXTENDED_HISTORY` is set.
    Zsh,
    /// Entries (`- cmd: …`), always with their time (`  when: 1700000000`).
    Fish,
}

/// What was found in a history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The lines that have a time, in the order of the file.
    pub typed: Vec<Typed>,
    /// Whether there are lines without one.
    pub has_untimed: bool,
}

/// Where zsh has a byte that means something to itself, it writes this one before it.
const META: u8 = 0x83;
/// And changes that byte so.
const META_BIT: u8 = 0x20;

impl Shell {
    /// The shell that a program is, by its name.
    pub fn of_program(program: &Path) -> Option<Self> {
        match program.file_name()?.to_str()? {
            "bash" => Some(Self::Bash),
            "zsh" => Some(Self::Zsh),
            "fish" => Some(Self::Fish),
            _ => None,
        }
    }

    /// How its user has it write times down; fish always does.
    pub fn way_to_times(self) -> Option<&'static str> {
        match self {
            Self::Bash => Some("`HISTTIMEFORMAT='%F %T '` in ~/.bashrc has bash write times"),
            Self::Zsh => Some("`setopt EXTENDED_HISTORY` in ~/.zshrc has zsh write times"),
            Self::Fish => None,
        }
    }

    /// Reads a history, or the end of one: then the line that it begins in is passed over.
    pub fn read(self, bytes: &[u8], is_end: bool) -> Found {
        let lines = bytes.split(|byte| *byte == b'\n').skip(usize::from(is_end));
        match self {
            Self::Bash => bash(lines),
            Self::Zsh => zsh(lines),
            Self::Fish => fish(lines),
        }
    }
}

/// Only the line right behind a time has it: what follows may be the rest of a command, or another one that was
/// written down without.
fn bash<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Found {
    let mut found = Found::default();
    let mut time = None;
    for line in lines {
        if let Some(seconds) = line.strip_prefix(b"#").and_then(seconds) {
            time = Some(seconds);
        } else if !line.is_empty() {
            found.take(time.take(), String::from_utf8_lossy(line));
        }
    }
    found
}

/// A line that ends in a backslash goes on in the next one.
fn zsh<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Found {
    let mut found = Found::default();
    while let Some(line) = lines.next() {
        let mut whole = line.to_vec();
        while whole.ends_with(b"\\")
            && let Some(more) = lines.next()
        {
            whole.pop();
            whole.push(b'\n');
            whole.extend_from_slice(more);
        }
        let whole = unmeta(&whole);
        match extended(&whole) {
            Some((seconds, text)) => found.take(Some(seconds), String::from_utf8_lossy(text)),
            None if whole.is_empty() => {}
            None => found.take(None, Cow::Borrowed("")),
        }
    }
    found
}

/// Splits `: 1700000000:12;text`, where 12 is how many seconds it took.
fn extended(line: &[u8]) -> Option<(i64, &[u8])> {
    let rest = line.strip_prefix(b": ")?;
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let (time, rest) = (&rest[..colon], &rest[colon + 1..]);
    let semicolon = rest.iter().position(|byte| *byte == b';')?;
    seconds(&rest[..semicolon])?;
    Some((seconds(time.trim_ascii_start())?, &rest[semicolon + 1..]))
}

fn unmeta(line: &[u8]) -> Vec<u8> {
    let mut bytes = line.iter().copied();
    let one = |byte: u8, next: &mut dyn Iterator<Item = u8>| match byte {
        META => next.next().map_or(META, |byte| byte ^ META_BIT),
        byte => byte,
    };
    std::iter::from_fn(|| bytes.next().map(|byte| one(byte, &mut bytes))).collect()
}

fn fish<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Found {
    let mut found = Found::default();
    let mut text = None;
    for line in lines {
        if let Some(command) = line.strip_prefix(b"- cmd: ") {
            if text.replace(command).is_some() {
                found.has_untimed = true;
            }
        } else if let Some(time) = line.strip_prefix(b"  when: ")
            && let Some(command) = text.take()
        {
            let command = String::from_utf8_lossy(command);
            found.take(seconds(time), Cow::Owned(unescaped(&command)));
        }
    }
    found
}

/// Fish writes a newline as `\n`, and a backslash as two.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('\\')) => plain.push('\\'),
            _ => {
                plain.push(c);
                continue;
            }
        }
        chars.next();
    }
    plain
}

impl Found {
    fn take(&mut self, seconds: Option<i64>, text: Cow<'_, str>) {
        match seconds.and_then(|seconds| seconds.checked_mul(1_000)) {
            Some(at_ms) => self.typed.push(Typed { at_ms, text: text.into_owned() }),
            None => self.has_untimed = true,
        }
    }
}

/// Reads digits and nothing else.
fn seconds(digits: &[u8]) -> Option<i64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(shell: Shell, text: &[u8], expected: &[(i64, &str)], has_untimed: bool) {
        let found = shell.read(text, false);
        let typed: Vec<(i64, &str)> =
            found.typed.iter().map(|one| (one.at_ms / 1_000, one.text.as_str())).collect();
        assert_eq!((typed.as_slice(), found.has_untimed), (expected, has_untimed));
    }

    #[test]
    fn bash_writes_a_time_before_each_line() {
        check(Shell::Bash, b"#10\nls\n#20\n git push\n", &[(10, "ls"), (20, " git push")], false);
        check(Shell::Bash, b"ls\nmake\n", &[], true);
        // What has no time of its own, and what was typed as a comment, is nobody's.
        check(Shell::Bash, b"ls\n#10\ncat <<E\nbody\nE\n# x\n#10x\n", &[(10, "cat <<E")], true);
        check(Shell::Bash, b"#10\n#20\nls\n#99999999999999999999\nx\n", &[(20, "ls")], true);
        check(Shell::Bash, b"", &[], false);
    }

    #[test]
    fn zsh_writes_the_time_and_how_long_it_took_before_each_line() {
        check(Shell::Zsh, b": 10:0;ls\n: 20:7;a; b:c\n", &[(10, "ls"), (20, "a; b:c")], false);
        check(
            Shell::Zsh,
            b": 10:0;for x\\\ndo\\\ndone\n: 20:0;y",
            &[(10, "for x\ndo\ndone"), (20, "y")],
            false,
        );
        check(Shell::Zsh, b"ls\n: 10:0;x\n: 5:y;z\n: :0;z\n", &[(10, "x")], true);
        check(
            Shell::Zsh,
            b": 10:0; secret\n: 10:0;torn\\",
            &[(10, " secret"), (10, "torn\\")],
            false,
        );
    }

    #[test]
    fn zshs_own_bytes_are_turned_back() {
        // `ß` is c3 9f, and zsh writes 9f as 83 bf; 83 itself as 83 a3.
        let line = b": 10:0;echo \xc3\x83\xbf \xc2\x83\xa3 \x83";
        check(Shell::Zsh, line, &[(10, "echo ß \u{83} \u{fffd}")], false);
    }

    #[test]
    fn fish_writes_entries() {
        let text = b"- cmd: echo a\\nb \\\\n\n  when: 10\n  paths:\n    - when: 9\n- cmd: ls\n  when: 20\n";
        check(Shell::Fish, text, &[(10, "echo a\nb \\n"), (20, "ls")], false);
        check(Shell::Fish, b"  when: 5\n- cmd: a\n- cmd: b\n  when: x\n", &[], true);
        check(Shell::Fish, b"- cmd: a\\x\\\n  when: 1\n", &[(1, "a\\x\\")], false);
    }

    #[test]
    fn of_the_end_of_a_file_the_first_line_is_passed_over() {
        let found = Shell::Zsh.read(b": 10:0;rest\n: 20:0;ls\n", true);
        assert_eq!(found.typed, [Typed { at_ms: 20_000, text: "ls".to_owned() }]);
        assert_eq!(Shell::Bash.read(b"ls", true), Found::default());
    }

    #[test]
    fn a_shell_is_known_by_its_program() {
        let of = |path: &str| Shell::of_program(Path::new(path));
        assert_eq!(of("/bin/bash"), Some(Shell::Bash));
        assert_eq!((of("/usr/bin/zsh"), of("fish")), (Some(Shell::Zsh), Some(Shell::Fish)));
        assert_eq!((of("/bin/sh"), of("/"), of("")), (None, None, None));
    }

    proptest! {
        #[test]
        fn whatever_a_file_holds_there_is_a_result(bytes: Vec<u8>, rows in rows(), is_end: bool) {
            let mut file = rows.concat().into_bytes();
            file.splice(file.len() / 2..file.len() / 2, bytes);
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                prop_assert!(shell.read(&file, is_end).typed.len() <= file.len());
            }
        }
    }

    fn rows() -> impl Strategy<Value = Vec<String>> {
        let row = prop_oneof![
            Just("#10\n".to_owned()),
            Just(": 10:0;x\\\n".to_owned()),
            Just("- cmd: x\n".to_owned()),
            Just("  when: 10\n".to_owned()),
            ".{0,20}\n",
        ];
        proptest::collection::vec(row, 0..30)
    }
}
