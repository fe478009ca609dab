//! Transcripts to be played: from a folder, or synthetic ones.
//!
//! A corpus is files that grow part by part. A folder of `1.jsonl, 2.jsonl, …` of which each extends the one
//! before is one file that grows; any other transcript is cut into a few parts at line ends. Beside a
//! transcript `ID.jsonl`, everything below a folder `ID` belongs to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use convosync_tests::files;
use convosync_tests::synthetic::{Conversation, Sidecar};

use crate::failure::Failure;

/// Into how many parts a transcript without a history of its own is cut.
const PARTS: usize = 3;

/// One file with the bytes that are added to it one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Growing {
    /// Where it goes, below the project's folder of transcripts.
    pub(crate) path: PathBuf,
    /// What is added in each round.
    pub(crate) parts: Vec<Vec<u8>>,
    /// Whether the parts are its real history.
    pub(crate) is_series: bool,
}

/// All files.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    /// In the order in which they are written.
    pub(crate) files: Vec<Growing>,
    taken: BTreeSet<PathBuf>,
}

impl Corpus {
    /// Reads every transcript below `dir`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn read(dir: &Path) -> Result<Self, Failure> {
        let mut corpus = Self::default();
        corpus.enter(dir);
        // Sessions before the older subagents' files beside them, which name the session they belong to.
        corpus.files.sort_by_key(|file| is_old_agent(&file.path));
        if corpus.files.is_empty() { Err(Failure::Empty(dir.to_owned())) } else { Ok(corpus) }
    }

    /// Makes up a few sessions of the project at `cwd`: growing ones, one compacted, one with subagents and
    /// spilled results, one with a torn tail.
    pub(crate) fn synthetic(cwd: &Path) -> Self {
        const ROUNDS: usize = 4;
        let mut corpus = Self::default();
        for seed in 1..=4 {
            let mut talk = Conversation::new(seed, cwd);
            let turns = 3 + usize::try_from(seed).unwrap_or_default();
            let mut parts: Vec<Vec<u8>> = (0..ROUNDS)
                .map(|_| (0..turns).flat_map(|_| text(&talk.turn())).collect())
                .collect();
            let path = PathBuf::from(format!("{}.jsonl", talk.session()));
            if seed == 2 {
                parts[2].extend(text(&talk.compaction()));
            }
            if seed == 3 {
                parts[ROUNDS - 1].extend(b"{\"type\":\"user\",\"message\":{\"role\":\"us");
            }
            corpus.files.push(Growing { path, parts, is_series: true });
            if seed == 4 {
                let sidecars =
                    [talk.subagent().to_vec(), vec![talk.spilled_result(2_000)]].concat();
                corpus.files.extend(sidecars.into_iter().map(whole));
            }
        }
        corpus
    }

    /// Returns how many rounds it takes until every file is complete.
    pub(crate) fn rounds(&self) -> usize {
        self.files.iter().map(|file| file.parts.len()).max().unwrap_or(0)
    }

    /// Adds to each file below `folder` what comes in `round`, and returns how many bytes that were.
    pub(crate) fn write_round(&self, folder: &Path, round: usize) -> u64 {
        let parts = self
            .files
            .iter()
            .filter_map(|file| Some((folder.join(&file.path), file.parts.get(round)?)));
        parts.fold(0, |sum, (path, part)| {
            // Several writes, as the client gathers a few lines into one.
            split_at_lines(part, PARTS).iter().for_each(|piece| files::append(&path, piece));
            sum + part.len() as u64
        })
    }

    fn enter(&mut self, dir: &Path) {
        if let Some(parts) = series(dir) {
            let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy();
            let path = self.unique(dir, &name);
            return self.files.push(Growing { path, parts, is_series: true });
        }
        let entries = entries(dir);
        let is_transcript = |path: &&PathBuf| {
            path.is_file() && path.extension().is_some_and(|ending| ending == "jsonl")
        };
        let mut owners = BTreeSet::new();
        for transcript in entries.iter().filter(is_transcript) {
            let stem = transcript.file_stem().unwrap_or_default().to_string_lossy();
            let path = self.unique(dir, &stem);
            let parts = split_at_lines(&files::read(transcript), PARTS);
            self.files.push(Growing { path: path.clone(), parts, is_series: false });
            owners.insert(transcript.with_extension(""));
            self.sidecars(&transcript.with_extension(""), &path.with_extension(""));
        }
        entries
            .iter()
            .filter(|path| path.is_dir() && !owners.contains(*path))
            .for_each(|path| self.enter(path));
    }

    fn sidecars(&mut self, from: &Path, to: &Path) {
        for file in files::under(from) {
            let below = file.strip_prefix(from).expect("it was found below it");
            let path = to.join(below);
            self.files.push(Growing { path, parts: vec![files::read(&file)], is_series: false });
        }
    }

    /// A session's identity is its file's stem: two files of one name become two sessions by their folders' names.
    fn unique(&mut self, dir: &Path, stem: &str) -> PathBuf {
        let mut name = PathBuf::from(format!("{stem}.jsonl"));
        for folder in dir.ancestors().filter_map(Path::file_name) {
            if self.taken.insert(name.clone()) {
                return name;
            }
            name = PathBuf::from(format!("{}-{}", folder.to_string_lossy(), name.display()));
        }
        name
    }
}

/// Whether this is a subagent's file of the older layout, beside its session.
pub(crate) fn is_old_agent(path: &Path) -> bool {
    path.components().count() == 1 && path.to_string_lossy().starts_with("agent-")
}

/// Cuts `bytes` into at most `count` parts, each but the last ending with a line.
fn split_at_lines(bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut parts = Vec::new();
    for left in (1..=count).rev() {
        let aim = rest.len() / left;
        let end = rest[aim..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(rest.len(), |at| aim + at + 1);
        let (part, after) = rest.split_at(if left == 1 { rest.len() } else { end });
        if !part.is_empty() || (parts.is_empty() && left == 1) {
            parts.push(part.to_vec());
        }
        rest = after;
    }
    parts
}

/// Returns what each of 1.jsonl, 2.jsonl, … adds to the one before, if that is what `dir` holds.
fn series(dir: &Path) -> Option<Vec<Vec<u8>>> {
    let name = |number: usize| dir.join(format!("{number}.jsonl"));
    let states: Vec<Vec<u8>> =
        (1..).map(name).take_while(|path| path.is_file()).map(|path| files::read(&path)).collect();
    let extends = |pair: &[Vec<u8>]| pair[1].starts_with(&pair[0]);
    if states.len() < 2 || !states.windows(2).all(extends) {
        return None;
    }
    let before = std::iter::once(0).chain(states.iter().map(Vec::len));
    Some(states.iter().zip(before).map(|(state, before)| state[before..].to_vec()).collect())
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn text(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

fn whole(sidecar: Sidecar) -> Growing {
    Growing { path: sidecar.path.into(), parts: vec![sidecar.bytes], is_series: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_read(given: &[(&str, &str)], read: &[(&str, &[&str])]) {
        let place = tempfile::tempdir().unwrap();
        given.iter().for_each(|(path, text)| files::write(&place.path().join(path), text));
        let corpus = Corpus::read(place.path()).unwrap();
        let found: Vec<(String, Vec<String>)> = corpus
            .files
            .iter()
            .map(|file| {
                (
                    file.path.display().to_string(),
                    file.parts
                        .iter()
                        .map(|part| String::from_utf8_lossy(part).into_owned())
                        .collect(),
                )
            })
            .collect();
        let wanted: Vec<(String, Vec<String>)> = read
            .iter()
            .map(|(path, parts)| {
                ((*path).to_owned(), parts.iter().map(|part| (*part).to_owned()).collect())
            })
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_folder_whose_files_extend_each_other_is_one_growing_file() {
        check_read(
            &[("s/1.jsonl", "a\nb"), ("s/2.jsonl", "a\nb\nc\n")],
            &[("s.jsonl", &["a\nb", "\nc\n"])],
        );
    }

    #[test]
    fn numbered_files_that_do_not_extend_each_other_are_sessions_of_their_own() {
        check_read(
            &[("s/1.jsonl", "a\n"), ("s/2.jsonl", "b\n")],
            &[("1.jsonl", &["a\n"]), ("2.jsonl", &["b\n"])],
        );
    }

    #[test]
    fn a_transcript_takes_its_folder_with_it_and_older_agents_come_last() {
        check_read(
            &[
                ("p/agent-1.jsonl", "x\n"),
                ("p/id.jsonl", "a\n"),
                ("p/id/tool-results/t.txt", "t"),
                ("p/README.md", "no"),
            ],
            &[
                ("id.jsonl", &["a\n"]),
                ("id/tool-results/t.txt", &["t"]),
                ("agent-1.jsonl", &["x\n"]),
            ],
        );
    }

    #[test]
    fn two_files_of_one_name_become_two_sessions() {
        check_read(
            &[("a/full.jsonl", "1\n"), ("b/full.jsonl", "2\n"), ("b/full/x.txt", "x")],
            &[("full.jsonl", &["1\n"]), ("b-full.jsonl", &["2\n"]), ("b-full/x.txt", &["x"])],
        );
    }

    #[test]
    fn parts_end_with_lines_and_lose_nothing() {
        let text = b"one\ntwo\nthree\nfour\nfive\ntorn";
        let parts = split_at_lines(text, 3);
        assert_eq!(parts.concat(), text);
        assert!(
            parts.len() == 3 && parts[..2].iter().all(|part| part.ends_with(b"\n")),
            "{parts:?}"
        );
        assert_eq!(split_at_lines(b"", 3), [b""]);
        assert_eq!(split_at_lines(b"torn", 3), [b"torn"]);
    }

    #[test]
    fn synthetic_sessions_grow_and_have_company() {
        let corpus = Corpus::synthetic(Path::new("/home/ada/app"));
        assert_eq!(corpus.rounds(), 4);
        assert!(
            corpus.files.iter().any(|file| file.path.to_string_lossy().contains("tool-results"))
        );
        assert!(corpus.files.iter().any(|file| !file.parts.concat().ends_with(b"\n")));
    }
}
