//! One session's files, chunk by chunk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;

use super::{Ledger, OutboundError, Pen};
use crate::context::{Line, Trace};
use crate::disk;
use crate::history::{Reader, chunk_path, is_full, log_path, sequence_of, tail_path};
use crate::id::{Digest, Generation, LogId, LogName, Oid, Random, Role, SessionId, draw};
use crate::log::{
    Break, Cursor, Growth, Kind, LogError, PREFIX_MAX, cut, lines_within, needs_snapshot, stream,
};
use crate::seal::{Chunk, ChunkKind, ChunkPlace, LogState, Sealed, seal_chunk};
use crate::store::StoreError;
use crate::transcript::{Facts, LogFile, Scan};

/// How many snapshots of a generation stay in a session's newest tree beside the newest one (the
/// original specification keeps the last three in all).
const EARLIER_SNAPSHOTS_KEPT: usize = 2;

/// How much of a torn tail is kept: its sealed form must stay one object.
const TAIL_BYTES_MAX: usize = 900 << 10;

/// How many bytes of a record all logs together may take: a full record is one object of at most 1 MiB.
const STATES_BYTES_MAX: usize = 960 << 10;

/// What a log takes in a record beside its path, at most.
const STATE_BYTES: usize = 256;

/// A save in the making.
pub(super) struct Work<'a> {
    pen: Pen<'a>,
    session: &'a SessionId,
    /// What will be remembered.
    pub(super) ledger: Ledger,
    /// Every log, as of this save.
    pub(super) logs: BTreeMap<LogName, LogState>,
    /// Which of them are new in it.
    pub(super) changed: BTreeSet<LogName>,
    /// Whether anything is worth a save: that a torn line is gone is not.
    is_news: bool,
    /// Objects to add, written already: all of them together may be more than memory holds.
    pub(super) put: Vec<(String, Oid)>,
    /// Objects that leave the newest tree.
    pub(super) drop: Vec<String>,
    /// Sealed bytes of the new chunks.
    pub(super) sealed_bytes: u64,
    /// Bytes of the files that were taken in.
    pub(super) raw_bytes: u64,
    /// Whether something had to be left for the next save.
    pub(super) is_cut: bool,
    /// Follows where the code stood.
    pub(super) trace: Option<Trace>,
}

/// How a file is gone on with.
struct Run {
    name: LogName,
    state: LogState,
    ranges: Vec<Range<u64>>,
    is_snapshot: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        pen: Pen<'a>,
        ledger: Ledger,
        session: &'a SessionId,
        trace: Option<Trace>,
    ) -> Self {
        let logs = ledger.base.as_ref().map(|base| base.logs.clone()).unwrap_or_default();
        let (changed, put, drop) = (BTreeSet::new(), Vec::new(), Vec::new());
        Self {
            pen,
            session,
            ledger,
            logs,
            changed,
            is_news: false,
            put,
            drop,
            sealed_bytes: 0,
            raw_bytes: 0,
            is_cut: false,
            trace,
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.is_news
    }

    /// Whether a file that was never saved still fits into the session's records. The main transcript comes
    /// first and always does.
    pub(super) fn has_room_for(&self, found: &LogFile) -> bool {
        let name = self.pen.vault.keys.log_name(self.session, &found.log);
        let size = |log: &LogId| log.path.len() + STATE_BYTES;
        let taken: usize = self.logs.values().map(|state| size(&state.log)).sum();
        self.logs.contains_key(&name) || taken + size(&found.log) <= STATES_BYTES_MAX
    }

    /// Takes in what is new in one file; all of it or nothing.
    pub(super) fn take(
        &mut self,
        found: &LogFile,
        random: &mut dyn Random,
    ) -> Result<(), OutboundError> {
        let (puts, drops, sealed_bytes) = (self.put.len(), self.drop.len(), self.sealed_bytes);
        let (logs, changed, is_news) = (self.logs.clone(), self.changed.clone(), self.is_news);
        let result = self.take_file(found, random);
        if result.is_err() {
            self.pen.store.unwrite(&self.put[puts..]);
            self.put.truncate(puts);
            self.drop.truncate(drops);
            (self.sealed_bytes, self.logs, self.changed) = (sealed_bytes, logs, changed);
            self.is_news = is_news;
        }
        result
    }

    fn take_file(&mut self, found: &LogFile, random: &mut dyn Random) -> Result<(), OutboundError> {
        let read_error = |source| OutboundError::Read { path: found.path.clone(), source };
        let open_error = |source| OutboundError::Open { path: found.path.clone(), source };
        let mut file = disk::open_regular(&found.path).map_err(open_error)?;
        let name = self.pen.vault.keys.log_name(self.session, &found.log);
        let mut cursor = self.cursor(name, &found.log);
        let growth = self.measure(&mut cursor, &mut file).map_err(read_error)?;
        let Some(growth) = self.limit(growth, &found.log, &mut file).map_err(read_error)? else {
            return Ok(());
        };
        if found.log == LogId::main() && matches!(growth, Growth::Append { .. }) {
            // After a restart nothing is known of the messages before.
            self.catch_up(&mut file, cursor.length()).map_err(read_error)?;
        }
        if let Some(run) = self.plan(name, &found.log, growth, random) {
            if run.is_snapshot {
                cursor = cursor.restart();
            }
            self.seal_run(run, &mut cursor, &mut file, random)
                .map_err(|error| error.at(found, self.session))?;
        }
        if found.log == LogId::main() {
            self.catch_up(&mut file, cursor.length()).map_err(read_error)?;
        }
        self.take_tail(name, &cursor, &mut file, random)
            .map_err(|error| error.at(found, self.session))?;
        self.ledger.cursors.insert(name, cursor);
        Ok(())
    }

    /// Looks what is new. Far before the end of a long file a change shows only when all of it is read: that
    /// is done for every full save.
    fn measure(&self, cursor: &mut Cursor, file: &mut File) -> Result<Growth, LogError> {
        let growth = cursor.measure(file)?;
        let number = self.ledger.base.as_ref().map_or(1, |base| base.record.number + 1);
        let is_long = cursor.length() > PREFIX_MAX as u64;
        let to = match growth {
            Growth::Nothing => cursor.length(),
            Growth::Append { to, .. } => to,
            Growth::NewGeneration { .. } => return Ok(growth),
        };
        if !is_full(number) || !is_long || cursor.audit(file)? {
            return Ok(growth);
        }
        Ok(Growth::NewGeneration { to, why: Break::Rewritten })
    }

    /// Takes no more of a growth than there is room for, to the end of a line: the rest waits for the next
    /// save. `None` when all of it waits. A file that is no lines is taken whole.
    fn limit(
        &mut self,
        growth: Growth,
        log: &LogId,
        file: &mut File,
    ) -> Result<Option<Growth>, LogError> {
        let (from, to) = match growth {
            Growth::Nothing => return Ok(Some(growth)),
            Growth::Append { from, to } => (from, to),
            Growth::NewGeneration { to, .. } => (0, to),
        };
        let room = self.pen.room.saturating_sub(self.raw_bytes);
        if room == 0 && from < to {
            self.is_cut = true;
            return Ok(None);
        }
        let end = match Kind::of(log) {
            Kind::Lines if to - from > room => lines_within(file, from..to, room)?,
            _ => to,
        };
        self.is_cut |= end < to;
        self.raw_bytes += end - from;
        Ok(Some(match growth {
            Growth::NewGeneration { why, .. } => Growth::NewGeneration { to: end, why },
            _ => Growth::Append { from, to: end },
        }))
    }

    fn cursor(&self, name: LogName, log: &LogId) -> Cursor {
        let known = self.ledger.cursors.get(&name).cloned();
        let saved = || self.logs.get(&name).map(Cursor::resume);
        known.or_else(saved).unwrap_or_else(|| Cursor::start(Kind::of(log)))
    }

    /// Decides which bytes are sealed, and whether they go on from the last chunk or begin anew.
    fn plan(
        &mut self,
        name: LogName,
        log: &LogId,
        growth: Growth,
        random: &mut dyn Random,
    ) -> Option<Run> {
        let state = self.logs.get(&name).cloned();
        match (growth, state) {
            (Growth::Nothing, Some(_)) => None,
            // A file without a complete line is saved as empty, so that it exists elsewhere too.
            (Growth::Nothing, None) => Some(self.new_generation(name, log, None, 0, random)),
            (Growth::NewGeneration { to, .. }, state) => {
                Some(self.new_generation(name, log, state, to, random))
            }
            (Growth::Append { to, .. }, None) => {
                Some(self.new_generation(name, log, None, to, random))
            }
            (Growth::Append { from, to }, Some(state)) => Some(self.go_on(name, state, from, to)),
        }
    }

    fn go_on(&mut self, name: LogName, state: LogState, from: u64, to: u64) -> Run {
        let is_snapshot = needs_snapshot(&state, self.ledger.scan.facts.messages, to);
        let ranges = cut(if is_snapshot { 0 } else { from }, to);
        Run { name, state, ranges, is_snapshot }
    }

    fn new_generation(
        &mut self,
        name: LogName,
        log: &LogId,
        state: Option<LogState>,
        to: u64,
        random: &mut dyn Random,
    ) -> Run {
        if *log == LogId::main() {
            (self.ledger.scan, self.ledger.scanned) = (Scan::default(), 0);
            let base = self.ledger.base.as_ref();
            let is_own = base.is_none_or(|base| base.record.device == self.pen.vault.device());
            if let Some(trace) = &mut self.trace {
                // Which of them another device wrote is not known any more.
                trace.begin_anew(if is_own { 0 } else { to });
            }
        }
        let state = LogState {
            log: log.clone(),
            generation: Generation(draw(random)),
            length: 0,
            sequence: state.map_or_else(|| self.last_sequence(name), |state| state.sequence),
            snapshot: 0,
            earlier: Vec::new(),
            snapshot_length: 0,
            snapshot_messages: 0,
            sealed: 0,
            last: Digest::NONE,
            content: Digest::NONE,
            window: Digest::NONE,
            tail: None,
        };
        let ranges = if to == 0 { std::iter::once(0..0).collect() } else { cut(0, to) };
        Run { name, state, ranges, is_snapshot: true }
    }

    /// The last number used for a log that the base's records say nothing of: none, unless they are damaged.
    fn last_sequence(&self, name: LogName) -> u32 {
        let Some(base) = &self.ledger.base else { return 0 };
        let names = self.pen.store.list(base.commit, &log_path(name)).unwrap_or_default();
        names.iter().filter_map(|object| sequence_of(object)).max().unwrap_or(0)
    }

    fn seal_run(
        &mut self,
        run: Run,
        cursor: &mut Cursor,
        file: &mut File,
        random: &mut dyn Random,
    ) -> Result<(), Cause> {
        let Run { name, mut state, ranges, is_snapshot } = run;
        if is_snapshot {
            self.begin_snapshot(name, &mut state, ranges.last().map_or(0, |range| range.end));
        }
        for (index, range) in ranges.into_iter().enumerate() {
            let kind =
                if is_snapshot && index == 0 { ChunkKind::Snapshot } else { ChunkKind::Delta };
            let piece = cursor.read(file, range).map_err(Cause::Read)?;
            cursor.accept(&piece);
            state.sequence += 1;
            let previous = if kind == ChunkKind::Snapshot { Digest::NONE } else { state.last };
            let prefix: &[u8] = if kind == ChunkKind::Snapshot { &[] } else { &piece.prefix };
            let chunk = self.seal(&state, kind, previous, prefix, &piece.raw, random)?;
            state.last = chunk.digest();
            state.sealed += chunk.len() as u64;
            self.put_chunk(name, state.sequence, chunk)?;
        }
        (state.length, state.content, state.window) =
            (cursor.length(), cursor.content(), cursor.window());
        // That the code here is another than on the device that saved last says nothing about the session.
        self.is_news |= state.log.role != Role::Code;
        self.note_changed(name, state);
        Ok(())
    }

    fn seal(
        &self,
        state: &LogState,
        kind: ChunkKind,
        previous: Digest,
        prefix: &[u8],
        raw: &[u8],
        random: &mut dyn Random,
    ) -> Result<Chunk, Cause> {
        let (generation, sequence) = (state.generation, state.sequence);
        let place = ChunkPlace {
            session: self.session,
            log: &state.log,
            generation,
            sequence,
            kind,
            previous,
        };
        seal_chunk(&self.pen.vault.keys, &place, self.pen.codec, prefix, raw, random)
            .map_err(Cause::Seal)
    }

    fn put_chunk(&mut self, name: LogName, sequence: u32, chunk: Chunk) -> Result<(), Cause> {
        self.sealed_bytes += chunk.len() as u64;
        let parts = chunk.parts.len();
        for (part, sealed) in chunk.parts.into_iter().enumerate() {
            self.write(chunk_path(name, sequence, part, parts), sealed)?;
        }
        Ok(())
    }

    fn write(&mut self, path: String, sealed: Sealed) -> Result<(), Cause> {
        let id = self.pen.store.write(&sealed.into_bytes()).map_err(Cause::Store)?;
        self.put.push((path, id));
        Ok(())
    }

    /// Notes that the next chunk begins at byte 0, and lets the oldest snapshot with its deltas leave the
    /// newest tree when there are too many.
    fn begin_snapshot(&mut self, name: LogName, state: &mut LogState, length: u64) {
        if state.snapshot > 0 {
            state.earlier.push(state.snapshot);
        }
        state.snapshot = state.sequence + 1;
        state.snapshot_length = length;
        state.snapshot_messages = self.ledger.scan.facts.messages;
        state.sealed = 0;
        if state.earlier.len() > EARLIER_SNAPSHOTS_KEPT {
            let leaves = state.earlier.remove(0)..state.earlier[0];
            self.drop.extend(self.objects_in(name, &leaves));
        }
    }

    fn objects_in(&self, name: LogName, sequences: &Range<u32>) -> Vec<String> {
        let Some(base) = &self.ledger.base else { return Vec::new() };
        let names = self.pen.store.list(base.commit, &log_path(name)).unwrap_or_default();
        let is_in = |object: &String| {
            sequence_of(object).is_some_and(|sequence| sequences.contains(&sequence))
        };
        names
            .into_iter()
            .filter(is_in)
            .map(|object| format!("{}/{object}", log_path(name)))
            .collect()
    }

    /// Lets the facts see everything that is recorded of the main transcript, once.
    fn catch_up(&mut self, file: &mut File, to: u64) -> Result<(), LogError> {
        let Ledger { scan, scanned, .. } = &mut self.ledger;
        let mut trace = self.trace.as_mut();
        let mut follow = |facts: &Facts, messages: u32, bytes: u64| {
            if let Some(trace) = &mut trace {
                let branch = facts.branch.as_deref().filter(|_| facts.line.has_branch);
                let (at_ms, is_answer) = (facts.line.at_ms, facts.line.is_answer);
                let cwd = facts.cwd_last.as_deref();
                trace.line(&Line { bytes, messages, at_ms, cwd, branch, is_answer });
            }
        };
        if *scanned < to {
            stream(file, *scanned..to, &mut |block| scan.push_told(block, &mut follow))?;
            *scanned = to;
        }
        Ok(())
    }

    /// Keeps a line that is still being written (or never will be finished) beside the log, for rescue.
    fn take_tail(
        &mut self,
        name: LogName,
        cursor: &Cursor,
        file: &mut File,
        random: &mut dyn Random,
    ) -> Result<(), Cause> {
        let Some(mut state) = self.logs.get(&name).cloned() else { return Ok(()) };
        let tail = cursor.torn_tail(file).map_err(Cause::Read)?;
        let Some(mut raw) = tail else {
            if self.ledger.base.as_ref().is_some_and(|base| base.has_tail(name)) {
                self.drop.push(tail_path(name));
            }
            self.ledger.tails.remove(&name);
            if state.tail.take().is_some() {
                self.note_changed(name, state);
            }
            return Ok(());
        };
        raw.truncate(TAIL_BYTES_MAX);
        let digest = Digest::of(&raw);
        // A tail is bound to the chunk before it: after a new chunk even an equal one is another.
        let is_bound = state.tail.is_some() && !self.changed.contains(&name);
        if is_bound && self.known_tail(name) == Some(digest) {
            return Ok(());
        }
        let chunk = self.seal(&state, ChunkKind::Tail, Digest::NONE, &[], &raw, random)?;
        state.tail = Some(chunk.digest());
        self.sealed_bytes += chunk.len() as u64;
        for sealed in chunk.parts {
            self.write(tail_path(name), sealed)?;
        }
        self.ledger.tails.insert(name, digest);
        self.note_changed(name, state);
        self.is_news = true;
        Ok(())
    }

    /// The digest of the torn tail that the base holds, read once where it is not remembered.
    fn known_tail(&mut self, name: LogName) -> Option<Digest> {
        if let Some(digest) = self.ledger.tails.get(&name) {
            return Some(*digest);
        }
        let base = self.ledger.base.as_ref()?;
        let reader = Reader::new(self.pen.store, &self.pen.vault.keys);
        let digest = Digest::of(&reader.tail(base, name).ok()??);
        self.ledger.tails.insert(name, digest);
        Some(digest)
    }

    fn note_changed(&mut self, name: LogName, state: LogState) {
        self.changed.insert(name);
        self.logs.insert(name, state);
    }
}

/// Why a chunk was not made; which file and session it was, the caller knows.
enum Cause {
    Read(LogError),
    Seal(crate::seal::SealError),
    Store(StoreError),
}

impl Cause {
    fn at(self, found: &LogFile, session: &SessionId) -> OutboundError {
        match self {
            Self::Read(source) => OutboundError::Read { path: found.path.clone(), source },
            Self::Seal(source) => OutboundError::Seal { session: session.clone(), source },
            Self::Store(source) => OutboundError::Store(source),
        }
    }
}
