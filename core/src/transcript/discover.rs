//! Finds sessions by looking at names and `stat` only; older subagents' files cost one short read.
//!
//! Links are never followed below `projects`, and nothing that is odd stops the search: it is listed
//! as [`Skipped`].

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirEntry, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::path::{check_path, is_old_agent};
use super::{BadPath, LogFile, SessionFiles, TranscriptError};
use crate::claude::ClaudeRoot;
use crate::claude::line::{LINE_MAX, Lines, objects, string, text_of};
use crate::disk::{self, TEMP_PREFIX};
use crate::id::{LogId, Role, SessionId};

/// The most files of one session that are looked at; further ones are skipped.
pub const FILES_MAX: usize = 10_000;
/// How deep a session's directory is searched. Real ones have three levels.
pub const DEPTH_MAX: usize = 12;
/// How much of an older subagent's file is read at once: its first line names its session.
const HEAD: usize = 16 << 10;

/// What a look at one or all projects found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The sessions, by id and then by directory: after a move one id may be in two of them.
    pub sessions: Vec<SessionFiles>,
    /// What is there but is not saved.
    pub skipped: Vec<Skipped>,
}

/// Something that is not saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub path: PathBuf,
    /// Why not.
    pub reason: Why,
}

/// Why something is not saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It leads elsewhere.
    #[error("is a symbolic link")]
    SymbolicLink,
    /// A pipe, a socket or a device.
    #[error("is not a regular file")]
    Special,
    /// Its name cannot be written on every device.
    #[error("has a name that {0}")]
    Name(BadPath),
    /// Its name is not UTF-8, or no session's.
    #[error("has a name that no session can have")]
    NotASession,
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// A directory of a session whose transcript is not beside it.
    #[error("belongs to a transcript that is not there")]
    NoTranscript,
    /// Not a kind of file that this version knows.
    #[error("is of an unknown kind")]
    Unknown,
    /// More files, or deeper ones, than a session ever has.
    #[error("is one file or level too many")]
    TooMany,
}

/// Finds all sessions of one Claude Code directory.
///
/// # Errors
/// When `projects` is missing or cannot be listed; nothing inside it is ever an error.
pub fn discover(root: &ClaudeRoot) -> Result<Discovery, TranscriptError> {
    Scanner::default().discover(root)
}

/// Finds the sessions of one project's directory.
///
/// # Errors
/// When it is missing or cannot be listed.
pub fn discover_dir(slug_dir: &Path) -> Result<Discovery, TranscriptError> {
    Scanner::default().discover_dir(slug_dir)
}

/// Looks for sessions again and again, and remembers what it had to read to find out.
#[derive(Debug, Clone, Default)]
pub struct Scanner {
    /// Which session an older subagent's file names.
    owners: HashMap<PathBuf, Owner>,
    /// Counts the looks at everything.
    round: u64,
}

/// What an older subagent's file said about its session.
#[derive(Debug, Clone)]
struct Owner {
    /// In which round it was seen last: what is gone is forgotten.
    round: u64,
    inode: u64,
    length: u64,
    session: Option<SessionId>,
}

impl Scanner {
    /// As [`discover`].
    ///
    /// # Errors
    /// When `projects` is missing or cannot be listed.
    pub fn discover(&mut self, root: &ClaudeRoot) -> Result<Discovery, TranscriptError> {
        let mut all = Discovery::default();
        self.visit(root, &mut |found| {
            all.sessions.extend(found.sessions);
            all.skipped.extend(found.skipped);
        })?;
        Ok(all.sorted())
    }

    /// Finds all sessions of one Claude Code directory, one project's directory at a time: ten thousand
    /// transcripts at once would be megabytes.
    ///
    /// # Errors
    /// As [`Self::discover`].
    pub fn visit(
        &mut self,
        root: &ClaudeRoot,
        take: &mut dyn FnMut(Discovery),
    ) -> Result<(), TranscriptError> {
        self.round += 1;
        for entry in list(&root.projects())? {
            let mut found = Discovery::default();
            if kind_of(&entry, &mut found).is_some_and(|kind| kind.is_dir()) {
                match list(&entry.path()) {
                    Ok(entries) => self.project(&entry.path(), entries, &mut found),
                    Err(TranscriptError::Missing(_)) => {}
                    Err(TranscriptError::Unreadable { path, source }) => {
                        found.skip(path, Why::Unreadable(source.kind()));
                    }
                }
            }
            take(found.sorted());
        }
        self.owners.retain(|_, owner| owner.round == self.round);
        Ok(())
    }

    /// As [`discover_dir`].
    ///
    /// # Errors
    /// When the directory is missing or cannot be listed.
    pub fn discover_dir(&mut self, slug_dir: &Path) -> Result<Discovery, TranscriptError> {
        let mut found = Discovery::default();
        self.project(slug_dir, list(slug_dir)?, &mut found);
        Ok(found.sorted())
    }

    fn project(&mut self, slug_dir: &Path, entries: Vec<DirEntry>, found: &mut Discovery) {
        let (mut sessions, mut agents, mut dirs) = (BTreeMap::new(), Vec::new(), Vec::new());
        for entry in entries {
            match sort_entry(&entry, found) {
                Entry::Transcript(id, file) => drop(sessions.insert(id, vec![file])),
                Entry::OldAgent(id, file) => agents.push((id, file)),
                Entry::Directory(name) => dirs.push((name, entry.path())),
                Entry::Other => {}
            }
        }
        for (id, file) in agents {
            let owner = self.owner(&file).filter(|owner| sessions.contains_key(owner));
            match owner.and_then(|owner| sessions.get_mut(&owner)) {
                Some(files) => files.push(file),
                // Its session is not here: kept as a session of its own, so that nothing is lost.
                None => drop(sessions.insert(id, vec![LogFile { log: LogId::main(), ..file }])),
            }
        }
        for (name, path) in dirs {
            match name.parse().ok().and_then(|id: SessionId| sessions.get_mut(&id)) {
                Some(files) => Inside { files, found }.walk(&path, "", 0),
                None => found.skip(path, Why::NoTranscript),
            }
        }
        let session = |(id, mut files): (SessionId, Vec<LogFile>)| {
            files.sort_by(|a, b| a.log.cmp(&b.log));
            SessionFiles { id, slug_dir: slug_dir.to_owned(), files }
        };
        found.sessions.extend(sessions.into_iter().map(session));
    }

    /// Which session an older subagent's file says it belongs to.
    fn owner(&mut self, file: &LogFile) -> Option<SessionId> {
        let known = self.owners.get_mut(&file.path);
        if let Some(known) = known.filter(|known| known.inode == file.inode) {
            known.round = self.round;
            // The first line never changes; a file without one may have it by now.
            if known.session.is_some() || known.length == file.length {
                return known.session.clone();
            }
        }
        let session = read_owner(&file.path);
        let owner = Owner {
            round: self.round,
            inode: file.inode,
            length: file.length,
            session: session.clone(),
        };
        self.owners.insert(file.path.clone(), owner);
        session
    }
}

impl Discovery {
    fn skip(&mut self, path: PathBuf, reason: Why) {
        self.skipped.push(Skipped { path, reason });
    }

    fn sorted(mut self) -> Self {
        self.sessions.sort_by(|a, b| (&a.id, &a.slug_dir).cmp(&(&b.id, &b.slug_dir)));
        self.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        self
    }
}

fn list(dir: &Path) -> Result<Vec<DirEntry>, TranscriptError> {
    let listed = fs::read_dir(dir).and_then(Iterator::collect);
    listed.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => TranscriptError::Missing(dir.to_owned()),
        _ => TranscriptError::Unreadable { path: dir.to_owned(), source },
    })
}

/// What an entry of a project's directory is.
enum Entry {
    Transcript(SessionId, LogFile),
    OldAgent(SessionId, LogFile),
    Directory(String),
    Other,
}

fn sort_entry(entry: &DirEntry, found: &mut Discovery) -> Entry {
    let name = entry.file_name();
    let Some(name) = name.to_str() else {
        found.skip(entry.path(), Why::NotASession);
        return Entry::Other;
    };
    if is_not_synced(name) {
        return Entry::Other;
    }
    let Some(kind) = kind_of(entry, found) else { return Entry::Other };
    if kind.is_dir() {
        return Entry::Directory(name.to_owned());
    }
    let Some(stem) = name.strip_suffix(".jsonl") else {
        found.skip(entry.path(), Why::Unknown);
        return Entry::Other;
    };
    let Ok(id) = stem.parse() else {
        found.skip(entry.path(), Why::NotASession);
        return Entry::Other;
    };
    let is_agent = is_old_agent(name);
    let beside = LogId { role: Role::Beside, path: name.to_owned() };
    match log_file(entry, if is_agent { beside } else { LogId::main() }, found) {
        Some(file) if is_agent => Entry::OldAgent(id, file),
        Some(file) => Entry::Transcript(id, file),
        None => Entry::Other,
    }
}

/// What lies in a project's directory and is the project's, or only this device's.
fn is_not_synced(name: &str) -> bool {
    matches!(name, "memory" | "sessions-index.json" | ".session-aliases" | ".DS_Store")
        || is_fleeting(name)
}

/// What comes and goes: locks, and our own unfinished files.
fn is_fleeting(name: &str) -> bool {
    name.ends_with(".lock") || name.starts_with(TEMP_PREFIX)
}

/// The kind of an entry, if it is a directory or a regular file; else it is skipped.
fn kind_of(entry: &DirEntry, found: &mut Discovery) -> Option<FileType> {
    match entry.file_type() {
        Ok(kind) if kind.is_dir() || kind.is_file() => Some(kind),
        Ok(kind) => {
            found.skip(
                entry.path(),
                if kind.is_symlink() { Why::SymbolicLink } else { special(kind) },
            );
            None
        }
        Err(error) => {
            skip_unreadable(entry, &error, found);
            None
        }
    }
}

fn special(kind: FileType) -> Why {
    if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
        Why::Special
    } else {
        Why::Unknown
    }
}

fn log_file(entry: &DirEntry, log: LogId, found: &mut Discovery) -> Option<LogFile> {
    let read = |stat: &Metadata| LogFile {
        log,
        path: entry.path(),
        length: stat.len(),
        modified_ms: disk::modified_ms(stat),
        inode: stat.ino(),
    };
    match entry.metadata() {
        // Since the listing something else may have taken the name.
        Ok(stat) => stat.is_file().then(|| read(&stat)),
        Err(error) => {
            skip_unreadable(entry, &error, found);
            None
        }
    }
}

/// Lists what cannot be read, unless it is gone: then there is nothing to tell.
fn skip_unreadable(entry: &DirEntry, error: &io::Error, found: &mut Discovery) {
    if error.kind() != io::ErrorKind::NotFound {
        found.skip(entry.path(), Why::Unreadable(error.kind()));
    }
}

/// The search of one session's own directory.
struct Inside<'a> {
    files: &'a mut Vec<LogFile>,
    found: &'a mut Discovery,
}

impl Inside<'_> {
    fn walk(&mut self, dir: &Path, prefix: &str, depth: usize) {
        match list(dir) {
            Ok(entries) => entries.iter().for_each(|entry| self.entry(entry, prefix, depth)),
            Err(TranscriptError::Missing(_)) => {}
            Err(TranscriptError::Unreadable { path, source }) => {
                self.found.skip(path, Why::Unreadable(source.kind()));
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry, prefix: &str, depth: usize) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return self.found.skip(entry.path(), Why::Name(BadPath::Character));
        };
        if is_fleeting(name) || name == ".DS_Store" {
            return;
        }
        let path = format!("{prefix}{name}");
        let Some(kind) = kind_of(entry, self.found) else { return };
        if let Err(bad) = check_path(&path) {
            return self.found.skip(entry.path(), Why::Name(bad));
        }
        if depth >= DEPTH_MAX || self.files.len() >= FILES_MAX {
            return self.found.skip(entry.path(), Why::TooMany);
        }
        if kind.is_dir() {
            return self.walk(&entry.path(), &format!("{path}/"), depth + 1);
        }
        let file = log_file(entry, LogId { role: Role::Inside, path }, self.found);
        self.files.extend(file);
    }
}

/// Reads which session is named first in a transcript.
fn read_owner(path: &Path) -> Option<SessionId> {
    let mut file = disk::open_regular(path).ok()?;
    let (mut lines, mut session) = (Lines::default(), None);
    let (mut block, mut read) = (vec![0; HEAD], 0);
    while session.is_none() && read <= LINE_MAX {
        let count = file.read(&mut block).ok().filter(|count| *count > 0)?;
        read += count;
        lines.push(&block[..count], &mut |line| {
            if session.is_none() {
                session = line.and_then(owner_in);
            }
        });
    }
    session
}

fn owner_in(line: &[u8]) -> Option<SessionId> {
    let text = text_of(line);
    let found = objects(&text, &["sessionId"]);
    found.values.iter().find_map(|[session]| session.and_then(string)?.parse().ok())
}

#[cfg(test)]
mod tests;
