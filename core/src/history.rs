//! One session's saves as they stand in a store: which files it has, how far, and their bytes.
//!
//! Everything read here is checked against the digest that the session's summary pins: the summary
//! names the newest save record, each record the one before it, and each record the last chunk of every
//! log. Nothing can be cut, swapped or spliced without an error that names it. This room reads; it never
//! writes.

mod course;

use std::collections::BTreeMap;
use std::io;

use sha2::{Digest as _, Sha256};

use crate::context::Course;
use crate::environment::Variables;
use crate::id::{Digest, LogId, LogName, Oid, Role, SessionId};
use crate::seal::{
    ChunkKind, ChunkPlace, CodeSaved, Further, KeyRing, LogState, PREFIX_MAX, SaveRecord,
    SealError, Sealed, open_chunk, open_save,
};
use crate::shell_history::{self, ShellLines};
use crate::store::{Store, StoreError};

/// Every so many saves a record lists all logs, so that reading a session never opens more records.
pub const FULL_RECORD_EVERY: u32 = 64;

/// Whether the save with this number lists all logs.
pub fn is_full(number: u32) -> bool {
    number % FULL_RECORD_EVERY == 1
}

/// Why a session's saves cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store could not be read.
    #[error("read the saves of session {session}")]
    Store {
        /// Which session.
        session: SessionId,
        /// Why.
        source: StoreError,
    },
    /// A sealed object is damaged, or not what its place says.
    #[error("open {what} of session {session}")]
    Seal {
        /// Which session.
        session: SessionId,
        /// Which object: its path in the session's commit.
        what: String,
        /// Why.
        source: SealError,
    },
    /// An object that must be there is missing.
    #[error("{what} of session {session} is missing from the store")]
    Missing {
        /// Which session.
        session: SessionId,
        /// Which object.
        what: String,
    },
    /// An object is there, but it is not the one that its successor pins.
    #[error("{what} of session {session} is not the one that was saved")]
    Mismatch {
        /// Which session.
        session: SessionId,
        /// Which object.
        what: String,
    },
    /// The receiver of the bytes failed.
    #[error("write out session {session}")]
    Sink {
        /// Which session.
        session: SessionId,
        /// Why.
        source: io::Error,
    },
}

impl HistoryError {
    /// Whether the saved data itself is at fault, rather than this device's disk.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Seal { .. } | Self::Missing { .. } | Self::Mismatch { .. } => true,
            Self::Store { source, .. } => matches!(source, StoreError::Missing { .. }),
            Self::Sink { .. } => false,
        }
    }
}

/// A session at one of its saves.
#[derive(Debug, Clone)]
pub struct History {
    /// Which session.
    pub session: SessionId,
    /// The session commit everything is read from.
    pub commit: Oid,
    /// The save itself.
    pub record: SaveRecord,
    /// The digest of that record as it is sealed: what the next one will name.
    pub digest: Digest,
    /// Every log, as of this save.
    pub logs: BTreeMap<LogName, LogState>,
    /// Where the code stood while the main log's lines were written, as of this save.
    pub course: Course,
    /// Variables that travel with the session, as of this save.
    pub environment: Variables,
    /// Lines of the shell that travel with the session, as of this save.
    pub shell: ShellLines,
}

impl History {
    /// The log that ends with the code state of this save, if that was saved.
    pub fn code_log(&self) -> Option<(LogName, &LogState)> {
        let code = self.record.code.as_ref()?;
        self.log(&LogId::code()).filter(|_| code.saved == CodeSaved::Log)
    }

    /// The log that ends with the code state of a further repository, if that was saved.
    pub fn code_log_of(&self, further: &Further) -> Option<(LogName, &LogState)> {
        self.log(&LogId::code_of(further.key)).filter(|_| further.code.saved == CodeSaved::Log)
    }

    /// How many bytes the main log has.
    pub fn length(&self) -> u64 {
        self.log(&LogId::main()).map_or(0, |(_, state)| state.length)
    }

    fn log(&self, log: &LogId) -> Option<(LogName, &LogState)> {
        let (name, state) = self.logs.iter().find(|(_, state)| state.log == *log)?;
        Some((*name, state))
    }

    /// Every log of the conversation: all but the code's.
    pub fn files(&self) -> impl Iterator<Item = (LogName, &LogState)> {
        let files = self.logs.iter().filter(|(_, state)| state.log.role != Role::Code);
        files.map(|(name, state)| (*name, state))
    }

    /// Whether a log's torn tail lies in the session's commit.
    pub fn has_tail(&self, log: LogName) -> bool {
        self.logs.get(&log).is_some_and(|state| state.tail.is_some())
    }
}

/// Where a save's record lies in its session's commit.
pub fn record_path(number: u32) -> String {
    format!("saves/{number:08x}")
}

/// Where a log's objects lie in its session's commit.
pub fn log_path(log: LogName) -> String {
    format!("log/{log}")
}

/// Where a chunk's part lies in its session's commit.
pub fn chunk_path(log: LogName, sequence: u32, part: usize, parts: usize) -> String {
    if parts == 1 {
        format!("log/{log}/{sequence:08x}")
    } else {
        format!("log/{log}/{sequence:08x}.{part:04x}")
    }
}

/// The sequence number in the name of a chunk's object; a torn tail has none.
pub fn sequence_of(object: &str) -> Option<u32> {
    let digits = object.split_once('.').map_or(object, |(sequence, _)| sequence);
    u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 8)
}

/// Where a log's torn tail lies.
pub fn tail_path(log: LogName) -> String {
    format!("log/{log}/tail")
}

/// Opens sessions from one store with one ring of keys.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    store: &'a Store,
    keys: &'a KeyRing,
}

impl<'a> Reader<'a> {
    /// Reads from `store` with `keys`.
    pub fn new(store: &'a Store, keys: &'a KeyRing) -> Self {
        Self { store, keys }
    }

    /// Reads the save `number` of `session`, whose sealed record has `digest`, from `commit`.
    ///
    /// # Errors
    /// [`HistoryError`] names the first object that is missing, damaged or not the one pinned.
    pub fn history(
        &self,
        session: &SessionId,
        commit: Oid,
        number: u32,
        digest: Digest,
    ) -> Result<History, HistoryError> {
        let newest = self.record(session, commit, number, digest)?;
        let mut logs: BTreeMap<LogName, LogState> = BTreeMap::new();
        let (mut records, mut environment, mut shell) = (Vec::new(), None, ShellLines::new());
        let mut record = newest.clone();
        loop {
            for state in &record.logs {
                logs.entry(self.keys.log_name(session, &state.log))
                    .or_insert_with(|| state.clone());
            }
            let (is_last, number, previous) =
                (record.full || record.number <= 1, record.number, record.previous);
            environment = environment.or_else(|| record.surroundings.environment.clone());
            shell.extend(record.surroundings.shell.iter().cloned());
            records.push(record);
            if is_last {
                break;
            }
            record = self.record(session, commit, number - 1, previous)?;
        }
        let (course, shell) =
            (course::of(records.into_iter().rev()), shell_history::bounded(shell));
        let (session, environment) = (session.clone(), environment.unwrap_or_default());
        Ok(History { session, commit, record: newest, digest, logs, course, environment, shell })
    }

    /// Reads the newest save that a commit of our own store holds. Only for commits that were checked
    /// when they came: nothing pins the record here.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub fn newest_at(&self, session: &SessionId, commit: Oid) -> Result<History, HistoryError> {
        let store_error = |source| HistoryError::Store { session: session.clone(), source };
        let names = self.store.list(commit, "saves").map_err(store_error)?;
        let missing =
            || HistoryError::Missing { session: session.clone(), what: "saves".to_owned() };
        let number = names.iter().filter_map(|name| sequence_of(name)).max().ok_or_else(missing)?;
        let digest = Digest::of(&self.blob(session, commit, &record_path(number))?);
        self.history(session, commit, number, digest)
    }

    /// Goes from the save `number` back to the first one that the commit still holds, at most `count`.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub fn records(
        &self,
        history: &History,
        count: usize,
    ) -> Result<Vec<SaveRecord>, HistoryError> {
        let mut records = vec![history.record.clone()];
        while let Some(last) = records.last()
            && last.number > 1
            && records.len() < count
        {
            let (number, digest) = (last.number - 1, last.previous);
            match self.record(&history.session, history.commit, number, digest) {
                Ok(record) => records.push(record),
                // What is gone or damaged does not hide what can be read.
                Err(error) if error.is_damage() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(records)
    }

    /// Returns the session as it was at an earlier save.
    ///
    /// # Errors
    /// [`HistoryError::Missing`] where there is no such save any more.
    pub fn earlier(&self, history: &History, number: u32) -> Result<History, HistoryError> {
        let session = &history.session;
        let missing =
            || HistoryError::Missing { session: session.clone(), what: format!("save {number}") };
        let back =
            history.record.number.checked_sub(number).filter(|_| number > 0).ok_or_else(missing)?;
        if back == 0 {
            return Ok(history.clone());
        }
        let records = self.records(history, back as usize)?;
        let next =
            records.last().filter(|record| record.number == number + 1).ok_or_else(missing)?;
        self.history(session, history.commit, number, next.previous)
    }

    /// Opens one log from its newest snapshot on, gives its raw bytes to `sink` piece by piece, and
    /// checks the whole against the save's digest at the end: `sink`'s bytes count only if this returns
    /// without an error.
    ///
    /// # Errors
    /// [`HistoryError`]; what `sink` got so far must then be thrown away.
    pub fn open_log(
        &self,
        history: &History,
        log: LogName,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), HistoryError> {
        let session = &history.session;
        let missing = || HistoryError::Missing { session: session.clone(), what: log_path(log) };
        let state = history.logs.get(&log).ok_or_else(missing)?;
        let parts = self.parts(history, log)?;
        let mut opened =
            Opened { previous: Digest::NONE, prefix: Vec::new(), length: 0, hasher: Sha256::new() };
        for sequence in state.snapshot..=state.sequence {
            let raw = self.open_piece(history, log, state, sequence, &parts, &opened)?;
            sink(&raw).map_err(|source| HistoryError::Sink { session: session.clone(), source })?;
            opened.take_in(&raw);
            opened.previous = self.digest_of(history, log, sequence, &parts)?;
        }
        let whole = opened.previous == state.last
            && opened.length == state.length
            && Digest(opened.hasher.finalize().into()) == state.content;
        if whole {
            Ok(())
        } else {
            Err(HistoryError::Mismatch { session: session.clone(), what: log_path(log) })
        }
    }

    /// Returns the digest of a log with its torn tail behind it, as the file stood when it was saved; `None`
    /// when there was no torn tail.
    ///
    /// # Errors
    /// As [`Self::open_log`].
    pub fn torn_content(
        &self,
        history: &History,
        log: LogName,
    ) -> Result<Option<Digest>, HistoryError> {
        let Some(tail) = self.tail(history, log)? else { return Ok(None) };
        let mut hasher = Sha256::new();
        self.open_log(history, log, &mut |raw| {
            hasher.update(raw);
            Ok(())
        })?;
        hasher.update(tail);
        Ok(Some(Digest(hasher.finalize().into())))
    }

    /// Returns the torn tail of a log, if there is one.
    ///
    /// # Errors
    /// As [`Self::open_log`].
    pub fn tail(&self, history: &History, log: LogName) -> Result<Option<Vec<u8>>, HistoryError> {
        let session = &history.session;
        let Some((state, digest)) =
            history.logs.get(&log).and_then(|state| Some((state, state.tail?)))
        else {
            return Ok(None);
        };
        let what = tail_path(log);
        let bytes = self.blob(session, history.commit, &what)?;
        if Digest::of(&bytes) != digest {
            return Err(HistoryError::Mismatch { session: session.clone(), what });
        }
        let place = ChunkPlace {
            session,
            log: &state.log,
            generation: state.generation,
            sequence: state.sequence,
            kind: ChunkKind::Tail,
            previous: Digest::NONE,
        };
        Sealed::from_bytes(bytes)
            .and_then(|sealed| open_chunk(self.keys, &place, &[], &[sealed]))
            .map(Some)
            .map_err(|source| HistoryError::Seal { session: session.clone(), what, source })
    }

    fn open_piece(
        &self,
        history: &History,
        log: LogName,
        state: &LogState,
        sequence: u32,
        parts: &Parts,
        opened: &Opened,
    ) -> Result<Vec<u8>, HistoryError> {
        let session = &history.session;
        let is_snapshot = sequence == state.snapshot;
        let place = ChunkPlace {
            session,
            log: &state.log,
            generation: state.generation,
            sequence,
            kind: if is_snapshot { ChunkKind::Snapshot } else { ChunkKind::Delta },
            previous: opened.previous,
        };
        let sealed = self.sealed(history, log, sequence, parts)?;
        open_chunk(self.keys, &place, &opened.prefix, &sealed).map_err(|source| {
            HistoryError::Seal {
                session: session.clone(),
                what: chunk_path(log, sequence, 0, 1),
                source,
            }
        })
    }

    fn digest_of(
        &self,
        history: &History,
        log: LogName,
        sequence: u32,
        parts: &Parts,
    ) -> Result<Digest, HistoryError> {
        let mut hasher = Sha256::new();
        for sealed in self.sealed(history, log, sequence, parts)? {
            hasher.update(sealed.as_bytes());
        }
        Ok(Digest(hasher.finalize().into()))
    }

    fn sealed(
        &self,
        history: &History,
        log: LogName,
        sequence: u32,
        parts: &Parts,
    ) -> Result<Vec<Sealed>, HistoryError> {
        let session = &history.session;
        let what = || chunk_path(log, sequence, 0, 1);
        let missing = || HistoryError::Missing { session: session.clone(), what: what() };
        let names = parts.get(&sequence).ok_or_else(missing)?;
        let open = |name: &String| {
            let path = format!("{}/{name}", log_path(log));
            let bytes = self.blob(session, history.commit, &path)?;
            Sealed::from_bytes(bytes).map_err(|source| HistoryError::Seal {
                session: session.clone(),
                what: path,
                source,
            })
        };
        names.iter().map(open).collect()
    }

    fn record(
        &self,
        session: &SessionId,
        commit: Oid,
        number: u32,
        digest: Digest,
    ) -> Result<SaveRecord, HistoryError> {
        let what = record_path(number);
        let bytes = self.blob(session, commit, &what)?;
        if Digest::of(&bytes) != digest {
            return Err(HistoryError::Mismatch { session: session.clone(), what });
        }
        Sealed::from_bytes(bytes)
            .and_then(|sealed| open_save(self.keys, session, number, &sealed))
            .map_err(|source| HistoryError::Seal { session: session.clone(), what, source })
    }

    fn blob(&self, session: &SessionId, commit: Oid, path: &str) -> Result<Vec<u8>, HistoryError> {
        self.store
            .read_blob(commit, path)
            .map_err(|source| HistoryError::Store { session: session.clone(), source })?
            .ok_or_else(|| HistoryError::Missing {
                session: session.clone(),
                what: path.to_owned(),
            })
    }

    /// Lists a log's objects by sequence number, parts in order.
    fn parts(&self, history: &History, log: LogName) -> Result<Parts, HistoryError> {
        let names = self
            .store
            .list(history.commit, &log_path(log))
            .map_err(|source| HistoryError::Store { session: history.session.clone(), source })?;
        let mut parts = Parts::new();
        for name in names {
            if let Some(sequence) = sequence_of(&name) {
                parts.entry(sequence).or_default().push(name);
            }
        }
        parts.values_mut().for_each(|names| names.sort());
        Ok(parts)
    }
}

type Parts = BTreeMap<u32, Vec<String>>;

/// What is remembered while a log is opened chunk by chunk.
struct Opened {
    previous: Digest,
    prefix: Vec<u8>,
    length: u64,
    hasher: Sha256,
}

impl Opened {
    fn take_in(&mut self, raw: &[u8]) {
        self.length += raw.len() as u64;
        self.hasher.update(raw);
        self.prefix.extend_from_slice(raw);
        let surplus = self.prefix.len().saturating_sub(PREFIX_MAX);
        self.prefix.drain(..surplus);
    }
}
