//! Where a session worked, as its lines tell: the directories it was in, and those of the files it wrote.
//!
//! What was only read does not count, nor what a shell command did out of sight. Which repository a
//! directory belongs to is not known here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use crate::claude::line::{Lines, elements, fields, objects, string, text_of};

/// The tools that write to the file they name.
const WRITING: [&str; 4] = ["Edit", "Write", "MultiEdit", "NotebookEdit"];

/// The longest path that is looked at, in bytes: what systems take.
const PATH_BYTES_MAX: usize = 4096;

/// So many directories are kept between two times they are taken: the lines of one block name fewer.
const PLACES_MAX: usize = 4096;

/// Gathers places from blocks of a transcript; only complete lines count.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    lines: Lines,
    /// Whether the bytes up to the next newline are the rest of a line.
    is_within: bool,
    places: BTreeSet<PathBuf>,
    /// Nearly every line repeats it.
    cwd: Option<String>,
}

impl Touched {
    /// Begins at a place of a file that may lie within a line: that line does not count.
    pub fn within() -> Self {
        Self { is_within: true, ..Self::default() }
    }

    /// Takes in the next block.
    pub fn push(&mut self, mut block: &[u8]) {
        if self.is_within {
            let Some(end) = memchr::memchr(b'\n', block) else { return };
            (self.is_within, block) = (false, &block[end + 1..]);
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(block, &mut |line| line.into_iter().for_each(|line| self.feed(line)));
        self.lines = lines;
    }

    /// The directories that were named since this was asked last: absolute, as the lines have them.
    pub fn take(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.places)
    }

    fn feed(&mut self, line: &[u8]) {
        let text = text_of(line);
        for [cwd, relocated, message] in objects(&text, &["cwd", "relocatedCwd", "message"]).values
        {
            self.directory(cwd);
            self.directory(relocated);
            if let Some(message) = message.filter(|message| message.get().contains("tool_use")) {
                written(message).iter().filter_map(|path| path.parent()).for_each(|directory| {
                    self.place(directory);
                });
            }
        }
    }

    fn directory(&mut self, value: Option<&RawValue>) {
        if let Some(value) = value.filter(|value| self.cwd.as_deref() != Some(value.get())) {
            if let Some(path) = path(value) {
                self.place(&path);
            }
            self.cwd = (value.get().len() <= PATH_BYTES_MAX).then(|| value.get().to_owned());
        }
    }

    fn place(&mut self, directory: &Path) {
        if self.places.len() < PLACES_MAX && !self.places.contains(directory) {
            self.places.insert(directory.to_owned());
        }
    }
}

/// The files that the tool calls of a message write to.
pub(super) fn written(message: &RawValue) -> Vec<PathBuf> {
    let content = fields(message, &["content"]).and_then(|[content]| content).and_then(elements);
    let file = |block: &RawValue| {
        let [kind, name, input] = fields(block, &["type", "name", "input"])?;
        let is_call = kind.and_then(string)? == "tool_use";
        let is_writing = WRITING.contains(&name.and_then(string)?.as_str());
        let [file, notebook] =
            fields(input.filter(|_| is_call && is_writing)?, &["file_path", "notebook_path"])?;
        path(file.or(notebook)?)
    };
    content.into_iter().flatten().filter_map(file).collect()
}

/// A whole path without `..`, whose meaning depends on links.
fn path(value: &RawValue) -> Option<PathBuf> {
    use std::path::Component::ParentDir;
    let path = PathBuf::from(string(value).filter(|text| text.len() <= PATH_BYTES_MAX)?);
    (path.is_absolute() && !path.components().any(|part| part == ParentDir)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<String> {
        let mut touched = Touched::default();
        text.as_bytes().chunks(7).for_each(|block| touched.push(block));
        touched.take().iter().map(|path| path.display().to_string()).collect()
    }

    fn call(tool: &str, field: &str, path: &str) -> String {
        let input =
            format!(r#"{{"type":"tool_use","name":"{tool}","input":{{"{field}":"{path}"}}}}"#);
        format!(
            r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":"x"}},{input}]}}}}"#
        ) + "\n"
    }

    #[test]
    fn directories_a_session_was_in_and_those_of_files_it_wrote_are_touched() {
        let text = "{\"cwd\":\"/code/shop\"}\n{\"cwd\":\"/code/shop/src\"}\n{\"type\":\"relocated\",\"relocatedCwd\":\"/code/side\"}\n";
        assert_eq!(places(text), ["/code/shop", "/code/shop/src", "/code/side"]);
        let text = call("Edit", "file_path", "/lib/src/a.rs")
            + &call("Write", "file_path", "/new/b.rs")
            + &call("NotebookEdit", "notebook_path", "/notes/c.ipynb");
        assert_eq!(places(&text), ["/lib/src", "/new", "/notes"]);
    }

    #[test]
    fn what_is_only_read_or_leads_nowhere_certain_is_not_touched() {
        let text = call("Read", "file_path", "/lib/a.rs")
            + &call("Edit", "file_path", "b.rs")
            + &call("Edit", "file_path", "/lib/../c.rs")
            + "{\"cwd\":7}\n{\"cwd\":\"\"}\nnothing\n{\"message\":{\"content\":\"tool_use\"}}\n"
            + "{\"toolUseResult\":{\"cwd\":\"/no\"}}\n{\"cwd\":\"/torn\"}";
        assert_eq!(places(&text), [""; 0]);
    }

    #[test]
    fn a_look_that_begins_within_a_line_leaves_that_line_out() {
        let mut touched = Touched::within();
        touched.push(b"{\"cwd\":\"/no\"}");
        touched.push(b"\n{\"cwd\":\"/yes\"}\n");
        assert_eq!(touched.take(), BTreeSet::from([PathBuf::from("/yes")]));
        assert!(touched.take().is_empty());
    }
}
