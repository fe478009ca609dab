//! Names that some file system takes for `.git`: such a name is written nowhere.

/// What HFS+ leaves out of a name (git's `next_hfs_char`), and what others do not show.
const IGNORED: [std::ops::RangeInclusive<char>; 4] = [
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
];

/// Whether some file system takes a name for `.git`: those that ignore case, HFS+ (which ignores some
/// characters), and NTFS (which cuts dots, spaces and streams, has short names, and takes a backslash for a
/// separator). Stricter than git's own rules, which know one short name only.
pub fn is_taken_for_git(name: &[u8]) -> bool {
    name.split(|byte| *byte == b'\\').any(|name| is_git(name) || is_git(&plain(name)))
}

/// A name without what is ignored, in small letters; as it is where it is no text.
fn plain(name: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(name) else { return name.to_vec() };
    let seen = text.chars().filter(|c| !IGNORED.iter().any(|range| range.contains(c)));
    seen.flat_map(char::to_lowercase).collect::<String>().into_bytes()
}

fn is_git(name: &[u8]) -> bool {
    let mut name = name.split(|byte| *byte == b':').next().unwrap_or_default();
    while let [rest @ .., b'.' | b' '] = name {
        name = rest;
    }
    name.eq_ignore_ascii_case(b".git") || is_short(name)
}

/// Whether a name is one of those that NTFS makes for `.git` and its likes: `git~1` and so on.
fn is_short(name: &[u8]) -> bool {
    let (Some(start), Some(rest)) = (name.get(..4), name.get(4..)) else { return false };
    let is_number = !rest.is_empty() && rest.iter().all(u8::is_ascii_digit);
    start.eq_ignore_ascii_case(b"git~") && is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_disk_takes_for_a_git_directory_is_known() {
        for name in [
            ".git",
            ".GIT",
            ".Git.",
            ".git . .",
            ".git::$INDEX_ALLOCATION",
            ".git:x",
            ".g\u{200c}it",
            ".g\u{2060}it",
            "\u{feff}.git",
            ".git\u{200b}. ",
            "g\u{200d}it~1",
            "git~1",
            "GIT~1.",
            "git~2",
            "git~10",
            "Git~1234 ",
            "git~1:x",
            "a\\.git\\x",
            "a\\git~3",
        ] {
            assert!(is_taken_for_git(name.as_bytes()), "{name:?}");
        }
        assert!(is_taken_for_git(b"\xff\\.git"), "also beside what is no text");
    }

    #[test]
    fn other_names_are_not_taken_for_it() {
        for name in ["git", ".gitignore", ".git2", "x.git", "git~", "git~1a", "git-1", "agit~1", ""]
        {
            assert!(!is_taken_for_git(name.as_bytes()), "{name:?}");
        }
        assert!(!is_taken_for_git(b".gi\xfft"));
    }
}
