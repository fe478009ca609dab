//! Transcripts and files of any size, written block by block: what nobody has, and some day somebody will.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use convosync_core::id::{Random, SeededRandom, hex};

use crate::files;

/// How much is written at once.
const BLOCK: usize = 1 << 20;

/// How much of a line's words is new at a time.
const NOISE: usize = 512;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What is said between.
const SAID: &[u8; 1536] = &[b'.'; 1536];

/// A transcript that is large.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many bytes it has, about.
    pub bytes: u64,
    /// How many bytes each of its lines has, about.
    pub line: u64,
}

/// Writes the transcript of a session of this `seed` into `folder` and returns its id and its path.
///
/// # Panics
/// When it cannot be written.
pub fn write(folder: &Path, cwd: &Path, seed: u64, shape: Shape) -> (String, PathBuf) {
    let mut random = SeededRandom::new(seed);
    let id = uuid(&mut random);
    let path = folder.join(format!("{id}.jsonl"));
    files::write(&path, "");
    let file = File::options().append(true).open(&path).expect("it was just made");
    let mut out = BufWriter::with_capacity(BLOCK, file);
    let mut left = shape.bytes;
    while left > 0 {
        left = left.saturating_sub(line(&mut out, &mut random, &id, cwd, shape.line));
    }
    out.flush().expect("there is room");
    (id, path)
}

/// Writes a file of this many bytes that nothing makes smaller.
///
/// # Panics
/// When it cannot be written.
pub fn write_noise(path: &Path, seed: u64, bytes: u64) {
    let mut random = SeededRandom::new(seed);
    files::write(path, "");
    let mut file = File::options().append(true).open(path).expect("it was just made");
    let mut block = vec![0; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let size = left.min(BLOCK as u64);
        random.fill(&mut block);
        file.write_all(&block[..size as usize]).expect("there is room");
        left -= size;
    }
}

/// Whether two files hold the same bytes; neither is held in memory.
pub fn is_same(left: &Path, right: &Path) -> bool {
    let open = |path| File::open(path).ok();
    let (Some(mut left), Some(mut right)) = (open(left), open(right)) else { return false };
    let read = |file: &mut File| {
        let mut block = Vec::with_capacity(BLOCK);
        file.take(BLOCK as u64).read_to_end(&mut block).map(|_| block).ok()
    };
    loop {
        match (read(&mut left), read(&mut right)) {
            (Some(one), Some(other)) if one.is_empty() && other.is_empty() => return true,
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// Writes one line of a user's words and returns its length: noise that is nowhere else, and words that are
/// said again and again.
fn line(out: &mut impl Write, random: &mut SeededRandom, id: &str, cwd: &Path, length: u64) -> u64 {
    let uuid = uuid(random);
    let head = format!(
        "{{\"type\":\"user\",\"uuid\":\"{uuid}\",\"sessionId\":\"{id}\",\"cwd\":\"{}\",\"message\":{{\"role\":\"user\",\"content\":\"",
        cwd.display()
    );
    let tail = "\"}}\n";
    out.write_all(head.as_bytes()).expect("there is room");
    let mut written = (head.len() + tail.len()) as u64;
    let mut noise = vec![0; NOISE];
    while written < length {
        random.fill(&mut noise);
        // Base 64 without its padding, more or less: six bits a character.
        noise.iter_mut().for_each(|byte| *byte = ALPHABET[usize::from(*byte & 63)]);
        out.write_all(&noise).and_then(|()| out.write_all(SAID)).expect("there is room");
        written += (NOISE + SAID.len()) as u64;
    }
    out.write_all(tail.as_bytes()).expect("there is room");
    written
}

fn uuid(random: &mut SeededRandom) -> String {
    let hex = hex(&random.bytes::<16>());
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
