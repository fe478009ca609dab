//! Grows a transcript as the client does: whole lines, several in one write, files 0600.

use std::path::{Path, PathBuf};

use crate::files;
use crate::synthetic::{Conversation, Sidecar};

/// Lines the client gathers into one write, about a hundred milliseconds' worth.
const BATCH: usize = 3;

/// Writes one conversation into one folder of transcripts.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    talk: Conversation,
    torn: Option<Vec<u8>>,
    sidecars: Vec<PathBuf>,
}

impl Writer {
    /// Begins to write `talk` into `folder`; the file appears with the first turn.
    pub fn new(folder: &Path, talk: Conversation) -> Self {
        Self { folder: folder.to_owned(), talk, torn: None, sidecars: Vec::new() }
    }

    /// Returns the session's id.
    pub fn session(&self) -> &str {
        self.talk.session()
    }

    /// Returns how many messages a person would count.
    pub fn messages(&self) -> u32 {
        self.talk.messages()
    }

    /// Returns the main transcript's path.
    pub fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.jsonl", self.talk.session()))
    }

    /// Goes on with what `other` wrote, in a copy of the file that lies in `folder`.
    pub fn resumed(folder: &Path, other: &Self, cwd: &Path) -> Self {
        const SEED: u64 = 77;
        let talk = Conversation::resumed(SEED, cwd, other.session(), None);
        Self::new(folder, talk)
    }

    /// Moves the session into another folder, as the client does when it changes its directory.
    pub fn move_to(&mut self, folder: &Path) {
        let beside = self.path().with_extension("");
        let old = self.folder.clone();
        self.move_alone(folder);
        if beside.is_dir() {
            files::rename(&beside, &self.path().with_extension(""));
        }
        for file in &mut self.sidecars {
            let below = file.strip_prefix(&old).expect("it lay there").to_owned();
            *file = folder.join(below);
        }
    }

    /// Moves the main transcript, and leaves the session's other files where they are.
    pub fn move_alone(&mut self, folder: &Path) {
        let from = self.path();
        files::make_dir(folder);
        self.folder = folder.to_owned();
        files::rename(&from, &self.path());
    }

    /// Writes one turn.
    pub fn turn(&mut self) {
        let lines = self.talk.turn();
        self.write(&lines);
    }

    /// Writes one turn with `prompt` as what the user says.
    pub fn say(&mut self, prompt: &str) {
        let lines = self.talk.turn_saying(prompt);
        self.write(&lines);
    }

    /// Writes a compaction.
    pub fn compact(&mut self) {
        let lines = self.talk.compaction();
        self.write(&lines);
    }

    /// Writes a subagent's transcript with its description.
    pub fn subagent(&mut self) {
        let files = self.talk.subagent();
        self.write_sidecars(&files);
    }

    /// Writes a tool result of so many lines into a file of its own.
    pub fn spill(&mut self, lines: usize) {
        let file = self.talk.spilled_result(lines);
        self.write_sidecars(&[file]);
    }

    /// Writes the first half of a line, as a crash leaves it.
    ///
    /// # Panics
    /// When a torn line waits already.
    pub fn tear(&mut self) {
        assert!(self.torn.is_none(), "the last line is torn already");
        let line = self.talk.turn().swap_remove(1).into_bytes();
        let (head, rest) = line.split_at(line.len() / 2);
        files::append(&self.path(), head);
        self.torn = Some(rest.to_vec());
    }

    /// Completes the line that [`Writer::tear`] began.
    pub fn mend(&mut self) {
        let mut rest = self.torn.take().expect("a line was torn before");
        rest.push(b'\n');
        files::append(&self.path(), &rest);
    }

    /// Returns every file of the session: the main transcript first.
    pub fn files(&self) -> Vec<PathBuf> {
        std::iter::once(self.path()).chain(self.sidecars.iter().cloned()).collect()
    }

    /// Returns the bytes of all files, each as [`saved_bytes`] gives it.
    pub fn total_bytes(&self) -> u64 {
        self.files().iter().map(|file| saved_bytes(file).len() as u64).sum()
    }

    fn write(&mut self, lines: &[String]) {
        for batch in lines.chunks(BATCH) {
            let text: String = batch.iter().map(|line| format!("{line}\n")).collect();
            files::append(&self.path(), text.as_bytes());
        }
    }

    fn write_sidecars(&mut self, sidecars: &[Sidecar]) {
        for sidecar in sidecars {
            let path = self.folder.join(&sidecar.path);
            files::append(&path, &sidecar.bytes);
            self.sidecars.push(path);
        }
    }
}

/// Returns what a save holds of `file`: a transcript to its last newline, anything else whole.
pub fn saved_bytes(file: &Path) -> Vec<u8> {
    let bytes = files::read(file);
    if file.extension().is_some_and(|extension| extension == "jsonl") {
        files::complete(&bytes).to_vec()
    } else {
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_no_part_of_a_save_until_it_is_mended() {
        let place = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(place.path(), Conversation::new(1, place.path()));
        writer.turn();
        let before = saved_bytes(&writer.path());
        writer.tear();
        assert_eq!(saved_bytes(&writer.path()), before);
        assert_ne!(files::read(&writer.path()), before);
        writer.mend();
        assert!(saved_bytes(&writer.path()).len() > before.len());
    }
}
