//! One line of a transcript, read no deeper than needed and never as a whole tree of values.
//!
//! Lines are other people's bytes: glued, torn, with NULs, lone surrogates, bad UTF-8, repeated keys
//! or ten thousand levels. Nothing here fails on them; what cannot be read is simply not there.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde::de::{Deserialize, DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The longest line that is looked into, in bytes; longer ones are data only. Real ones reach 1 MB.
pub const LINE_MAX: usize = 4 << 20;

/// The most objects that are read from one line. Real damage glues two or three; a line made of
/// millions must not fill the memory.
const OBJECTS_MAX: usize = 64;

/// The values of chosen fields of one object, in the order in which they were asked for.
pub type Values<'a, const N: usize> = [Option<&'a RawValue>; N];

/// What one line turned out to be.
#[derive(Debug)]
pub struct Objects<'a, const N: usize> {
    /// The objects on the line; more than one where a newline got lost.
    pub values: Vec<Values<'a, N>>,
    /// Whether the line is exactly one object, as Claude Code writes it.
    pub is_clean: bool,
}

/// Returns the line as text, without a byte order mark; replaces what is not UTF-8.
pub fn text_of(line: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line))
}

/// Reads the objects on a line as far as they can be read, and of each only the fields `names`.
/// Of a repeated field the last value counts, as in JavaScript.
pub fn objects<'a, const N: usize>(line: &'a str, names: &[&str; N]) -> Objects<'a, N> {
    let mut values = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(line);
    let is_whole = loop {
        if reader.end().is_ok() {
            break true;
        }
        if values.len() == OBJECTS_MAX {
            break false;
        }
        match Fields(names).deserialize(&mut reader) {
            Ok(found) => values.push(found),
            Err(_) => break false,
        }
    };
    let is_clean = is_whole && values.len() == 1;
    Objects { values, is_clean }
}

/// Reads the fields `names` of a value, if it is an object.
pub fn fields<'a, const N: usize>(value: &'a RawValue, names: &[&str; N]) -> Option<Values<'a, N>> {
    Fields(names).deserialize(&mut serde_json::Deserializer::from_str(value.get())).ok()
}

/// Reads the elements of a value, if it is an array.
pub fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// Reads a value as text, if it is a string; lone surrogates are replaced.
pub fn string(value: &RawValue) -> Option<String> {
    serde_json::Deserializer::from_str(value.get()).deserialize_bytes(Text).ok()
}

/// Whether a value is `true`.
pub fn is_true(value: Option<&RawValue>) -> bool {
    value.is_some_and(|value| value.get() == "true")
}

struct Fields<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Fields<'_, N> {
    type Value = Values<'de, N>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = Values<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(index) = map.next_key_seed(Key(self.0))? {
            match index {
                Some(index) => values[index] = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

/// Reads a key and says which of the names it is.
struct Key<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        // As bytes: a key may hold a lone surrogate, which is no text.
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| name.as_bytes() == bytes))
    }
}

/// Reads a string whatever its escapes say.
struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

impl<'a, const N: usize> Objects<'a, N> {
    /// The first object on the line.
    pub fn first(&self) -> Option<&Values<'a, N>> {
        self.values.first()
    }
}

/// Cuts a stream of blocks into lines, holding no more than [`LINE_MAX`] bytes.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    carry: Vec<u8>,
    is_oversized: bool,
    /// How many bytes of the line that is not complete yet have come.
    begun: u64,
}

impl Lines {
    /// Takes the next block and calls `each` for every line it completes, without its newline;
    /// `None` stands for a line longer than [`LINE_MAX`].
    pub fn push(&mut self, block: &[u8], each: &mut dyn FnMut(Option<&[u8]>)) {
        self.push_measured(block, &mut |line, _| each(line));
    }

    /// Does the same, and tells how many bytes each line has, with its newline.
    pub fn push_measured(&mut self, mut block: &[u8], each: &mut dyn FnMut(Option<&[u8]>, u64)) {
        while let Some(end) = memchr(b'\n', block) {
            let (line, rest) = (&block[..end], &block[end + 1..]);
            let bytes = self.begun + line.len() as u64 + 1;
            if self.is_oversized || self.carry.len() + line.len() > LINE_MAX {
                each(None, bytes);
            } else if self.carry.is_empty() {
                each(Some(line), bytes);
            } else {
                self.carry.extend_from_slice(line);
                each(Some(&self.carry), bytes);
            }
            self.forget();
            self.begun = 0;
            block = rest;
        }
        self.begun += block.len() as u64;
        if self.carry.len() + block.len() > LINE_MAX {
            self.forget();
            self.is_oversized = true;
        } else if !self.is_oversized {
            self.carry.extend_from_slice(block);
        }
    }

    /// Whether the stream stands at the beginning of a line.
    pub fn is_at_start(&self) -> bool {
        self.carry.is_empty() && !self.is_oversized
    }

    fn forget(&mut self) {
        // A rare long line must not keep its memory for ever.
        if self.carry.capacity() > LINE_MAX / 16 {
            self.carry = Vec::new();
        }
        self.carry.clear();
        self.is_oversized = false;
    }
}

/// Reads a number of milliseconds, or a date as Claude Code writes it.
pub fn time_ms(value: &RawValue) -> Option<i64> {
    if let Some(text) = string(value) {
        return text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
    }
    Number::deserialize(&mut serde_json::Deserializer::from_str(value.get()))
        .ok()
        .and_then(Number::whole)
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Number(serde_json::Number);

impl Number {
    fn whole(self) -> Option<i64> {
        self.0.as_i64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_type(line: &[u8], expected: &[&str], is_clean: bool) {
        let text = text_of(line);
        let found = objects(&text, &["type"]);
        let types: Vec<_> =
            found.values.iter().map(|[kind]| kind.and_then(string).unwrap_or_default()).collect();
        assert_eq!(types, expected, "{}", text.chars().take(100).collect::<String>());
        assert_eq!(found.is_clean, is_clean, "{}", text.chars().take(100).collect::<String>());
    }

    #[test]
    fn a_field_is_found_at_the_top_only_and_its_last_value_counts() {
        check_type(br#"{"type":"user"}"#, &["user"], true);
        check_type(br#" { "a" : {"type":"no"}, "type" : "user" } "#, &["user"], true);
        check_type(br#"{"type":"user","type":"system"}"#, &["system"], true);
        check_type(br#"{"type":5}"#, &[""], true);
        check_type(br#"{}"#, &[""], true);
    }

    #[test]
    fn damaged_lines_give_what_can_be_read() {
        check_type(br#"{"type":"a"}{"type":"b"}"#, &["a", "b"], false);
        check_type(br#"{"type":"a"} x"#, &["a"], false);
        check_type(br#"{"type":"a","text":"torn"#, &[], false);
        check_type(b"\0\0\0\0", &[], false);
        check_type(b"{\"type\":\"a\"}\r", &["a"], true);
        check_type(b"\xef\xbb\xbf{\"type\":\"a\"}", &["a"], true);
        check_type(b"", &[], false);
        check_type(b"[1]", &[], false);
        check_type(b"5", &[], false);
        check_type(b"{\"type\":\"a\",\"x\":\"\xff\xfe\"}", &["a"], true);
    }

    #[test]
    fn a_line_of_many_objects_is_read_only_so_far() {
        let line = "{}".repeat(LINE_MAX / 2);
        assert_eq!(objects(&line, &["type"]).values.len(), OBJECTS_MAX);
    }

    #[test]
    fn lone_surrogates_hurt_neither_keys_nor_values() {
        check_type(br#"{"\ud83d":1,"type":"a"}"#, &["a"], true);
        check_type(br#"{"x":"\ud83d","type":"a\ud83d!"}"#, &["a\u{fffd}\u{fffd}\u{fffd}!"], true);
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = format!(r#"{{"x":{}{},"type":"a"}}"#, "[".repeat(100_000), "]".repeat(100_000));
        check_type(deep.as_bytes(), &["a"], true);
        let torn = format!(r#"{{"type":{}"#, "[{\"a\":".repeat(10_000));
        check_type(torn.as_bytes(), &[], false);
        let nested = format!(r#"{{"type":{}1{}}}"#, "{\"a\":".repeat(10_000), "}".repeat(10_000));
        check_type(nested.as_bytes(), &[""], true);
    }

    #[test]
    fn times_are_numbers_or_dates() {
        let check = |json: &str, expected| {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(time_ms(raw), expected, "{json}");
        };
        check("1700000000123", Some(1_700_000_000_123));
        check("\"2023-11-14T22:13:20.123Z\"", Some(1_700_000_000_123));
        for odd in ["1.5", "\"yesterday\"", "null", "[]", "1e400", "\"\""] {
            check(odd, None);
        }
    }

    #[test]
    fn blocks_are_cut_into_the_same_lines_wherever_they_end() {
        let text = b"one\n\ntwo\r\nthree";
        for size in 1..=text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            let mut measured = Vec::new();
            for block in text.chunks(size) {
                lines.push_measured(block, &mut |line, bytes| {
                    found.push(line.unwrap().to_vec());
                    measured.push(bytes);
                });
            }
            assert_eq!(found, [&b"one"[..], b"", b"two\r"], "blocks of {size}");
            assert_eq!(measured, [4, 1, 5], "blocks of {size}");
            assert!(!lines.is_at_start());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_not_kept() {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let mut measured = 0;
        let mut each = |line: Option<&[u8]>, bytes| {
            found.push(line.map(<[u8]>::len));
            measured += bytes;
        };
        lines.push_measured(b"a\n", &mut each);
        for _ in 0..100 {
            lines.push_measured(&vec![b'x'; 1 << 20], &mut each);
        }
        lines.push_measured(b"\nbb\n", &mut each);
        lines.push_measured(&vec![b'y'; LINE_MAX], &mut each);
        lines.push_measured(b"\n", &mut each);
        assert_eq!(found, [Some(1), None, Some(2), Some(LINE_MAX)]);
        assert_eq!(measured, 2 + (100 << 20) + 1 + 3 + LINE_MAX as u64 + 1);
    }
}
