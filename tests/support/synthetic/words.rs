//! Prose and program text that compress about as well as people's do.

use convosync_core::id::{Random, SeededRandom};

const WORDS: [&str; 96] = [
    "the", "a", "this", "that", "we", "it", "and", "but", "then", "because", "when", "with",
    "without", "into", "from", "before", "file", "test", "line", "value", "error", "branch",
    "commit", "function", "module", "buffer", "request", "answer", "cache", "key", "index",
    "table", "server", "client", "session", "message", "config", "path", "parser", "token",
    "stream", "thread", "lock", "queue", "timer", "retry", "build", "release", "read", "write",
    "open", "close", "check", "change", "move", "rename", "remove", "add", "fix", "find", "return",
    "expect", "fail", "pass", "run", "start", "stop", "wait", "send", "receive", "small", "large",
    "first", "last", "next", "empty", "missing", "wrong", "right", "slow", "fast", "old", "new",
    "same", "other", "again", "instead", "already", "always", "never", "only", "also", "here",
    "there", "now", "later",
];

/// Returns a number below `below`.
pub(super) fn pick(random: &mut SeededRandom, below: usize) -> usize {
    let drawn = u32::from_le_bytes(random.bytes());
    drawn as usize % below.max(1)
}

/// Returns one word.
pub(super) fn word(random: &mut SeededRandom) -> &'static str {
    WORDS[pick(random, WORDS.len())]
}

/// Returns a sentence of about `length` words.
pub(super) fn sentence(random: &mut SeededRandom, length: usize) -> String {
    let count = length / 2 + pick(random, length) + 1;
    let words: Vec<&str> = (0..count).map(|_| word(random)).collect();
    let text = words.join(" ");
    text[..1].to_uppercase() + &text[1..] + "."
}

/// Returns `count` sentences, some with characters outside ASCII.
pub(super) fn paragraph(random: &mut SeededRandom, count: usize) -> String {
    let ends = ["", "", "", " → done", " (naïve)", " 日本語", " \u{1f355}"];
    let sentences: Vec<String> =
        (0..count).map(|_| sentence(random, 14) + ends[pick(random, ends.len())]).collect();
    sentences.join(" ")
}

/// Returns numbered lines of a program, as a reading tool prints them.
pub(super) fn listing(random: &mut SeededRandom, lines: usize) -> String {
    let line = |number: usize| {
        let (name, verb, thing) = (word(random), word(random), word(random));
        format!(
            "{number:>6}→    let {name}_{thing} = self.{verb}_{thing}({}, \"{name}\")?;\n",
            pick(random, 1000)
        )
    };
    (1..=lines).map(line).collect()
}
