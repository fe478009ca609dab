//! The name Claude Code gives to a project's directory. One way only: a slug is never decoded.

use std::path::Path;

use unicode_normalization::UnicodeNormalization;

/// The longest slug Claude Code makes without a hash.
pub const SLUG_MAX: usize = 200;

/// Computes the slug of a physical, absolute path (links already followed).
///
/// Every UTF-16 unit of the path in normal form C that is no ASCII letter or digit becomes a dash.
/// What is longer than [`SLUG_MAX`] is cut there, and a hash of the whole path is added.
pub fn slug(cwd: &Path) -> String {
    let path = normal(cwd);
    let name: String = path.encode_utf16().map(letter).collect();
    if name.len() <= SLUG_MAX { name } else { format!("{}-{}", &name[..SLUG_MAX], hash(&path)) }
}

/// The path as Claude Code compares it: normal form C, without a slash at the end.
pub(super) fn normal(path: &Path) -> String {
    let text: String = path.to_string_lossy().nfc().collect();
    match text.trim_end_matches('/') {
        "" => text,
        trimmed => trimmed.to_owned(),
    }
}

fn letter(unit: u16) -> char {
    u8::try_from(unit).ok().filter(u8::is_ascii_alphanumeric).map_or('-', char::from)
}

/// JavaScript's usual string hash (`h * 31 + unit` in 32 bits), in base 36.
fn hash(path: &str) -> String {
    let sum = path
        .encode_utf16()
        .fold(0_i32, |sum, unit| sum.wrapping_mul(31).wrapping_add(i32::from(unit)));
    base36(sum.unsigned_abs())
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(number % 36, 36));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_slug(cwd: &str, expected: &str) {
        assert_eq!(slug(Path::new(cwd)), expected, "{cwd}");
    }

    #[test]
    fn a_slug_is_the_path_with_dashes() {
        check_slug("/Users/me/proj", "-Users-me-proj");
        check_slug("/home/a/my_app.v2", "-home-a-my-app-v2");
        check_slug("/tmp/other_place/p", "-tmp-other-place-p");
        check_slug("/home/a/proj/", "-home-a-proj");
        check_slug("/", "-");
        check_slug(
            "C:\\Users\\madym\\repos\\nomos-1\\.claude\\worktrees\\github-issue-254-e4dc00",
            "C--Users-madym-repos-nomos-1--claude-worktrees-github-issue-254-e4dc00",
        );
    }

    #[test]
    fn letters_beyond_ascii_are_one_dash_per_utf16_unit_of_their_composed_form() {
        check_slug("/Users/zoë/文書", "-Users-zo----");
        check_slug("/Users/zoe\u{308}/文書", "-Users-zo----");
        check_slug("/tmp/😀", "-tmp---");
    }

    #[test]
    fn a_long_slug_is_cut_and_hashed() {
        let exact = format!("/{}", "a".repeat(SLUG_MAX - 1));
        assert_eq!(slug(Path::new(&exact)).len(), SLUG_MAX);
        let long = format!("/home/u/{}", "long-dir-name/".repeat(16));
        let expected = format!("-home-u-{}long-dir-n", "long-dir-name-".repeat(13));
        assert_eq!(slug(Path::new(&long))[..SLUG_MAX], expected);
        assert_eq!(hash(&long), "yul9at");
    }

    #[test]
    fn hashes_are_the_clients() {
        for (text, expected) in [("", "0"), ("a", "2p"), ("/", "1b")] {
            assert_eq!(hash(text), expected, "{text}");
        }
    }
}
