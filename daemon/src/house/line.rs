//! Who may have a git child on the network now: few at once, and a person before the daemon's own work.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::ON_LINE_MAX;

/// So many are on the network at once, whoever asks. One place more than the engine fills by itself: remotes
/// that do not answer may hold all of those for minutes, and a person does not wait for them.
const CHILDREN_MAX: usize = ON_LINE_MAX + 1;

/// Nobody waits longer than this without looking again.
const LOOKS_AGAIN: Duration = Duration::from_secs(3600);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A person who waits for the answer of a request.
    Person,
    /// A save that first wants to know something, if that is known soon.
    Save,
    /// The engine: it has time.
    Engine,
}

/// Lets few on the network at once.
#[derive(Debug, Default)]
pub struct Line {
    turns: Mutex<Turns>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    urgent: usize,
    engine: usize,
    urgent_waiting: usize,
}

impl Turns {
    fn has_room(&self, asker: Asker) -> bool {
        let is_free = self.urgent + self.engine < CHILDREN_MAX;
        match asker {
            Asker::Person | Asker::Save => is_free,
            Asker::Engine => is_free && self.engine < ON_LINE_MAX && self.urgent_waiting == 0,
        }
    }

    fn taken(&mut self, asker: Asker) -> &mut usize {
        match asker {
            Asker::Person | Asker::Save => &mut self.urgent,
            Asker::Engine => &mut self.engine,
        }
    }
}

impl Line {
    /// Waits for a turn. Whoever has one starts one child after another and asks for no second turn: everybody
    /// gets one in the end. `None` when there was none within `patience`.
    pub fn turn(&self, asker: Asker, patience: Option<Duration>) -> Option<Turn<'_>> {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut turns = self.lock();
        turns.urgent_waiting += usize::from(asker != Asker::Engine);
        while !turns.has_room(asker) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            let waited = self.freed.wait_timeout(turns, left.unwrap_or(LOOKS_AGAIN));
            turns = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        turns.urgent_waiting -= usize::from(asker != Asker::Engine);
        let has_room = turns.has_room(asker);
        *turns.taken(asker) += usize::from(has_room);
        drop(turns);
        // Who waited behind a person that gave up looks again.
        self.freed.notify_all();
        has_room.then(|| Turn { line: self, asker })
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn on the network; the next one begins where it ends.
#[derive(Debug)]
pub struct Turn<'a> {
    line: &'a Line,
    asker: Asker,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.line.lock().taken(self.asker) -= 1;
        self.line.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Long enough for any thread to get its turn.
    const WITHIN: Duration = Duration::from_secs(30);
    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn the_engine_leaves_a_place_to_persons_and_nobody_gets_a_fifth() {
        let line = Line::default();
        let engine: Vec<_> =
            (0..ON_LINE_MAX).map_while(|_| line.turn(Asker::Engine, AT_ONCE)).collect();
        assert_eq!(engine.len(), 3);
        assert!(line.turn(Asker::Engine, AT_ONCE).is_none());
        let person = line.turn(Asker::Person, AT_ONCE);
        assert!(person.is_some());
        assert!(line.turn(Asker::Person, AT_ONCE).is_none());
        drop(engine);
        assert_eq!((0..9).map_while(|_| line.turn(Asker::Person, AT_ONCE)).count(), 9);
    }

    #[test]
    fn a_person_goes_before_the_engine_that_waited_longer_and_both_get_their_turn() {
        let line = Line::default();
        let persons: Vec<_> =
            (0..CHILDREN_MAX).map_while(|_| line.turn(Asker::Person, AT_ONCE)).collect();
        assert_eq!(persons.len(), CHILDREN_MAX);

        std::thread::scope(|scope| {
            let (told, went) = mpsc::channel();
            let wait = |asker| {
                let (line, told) = (&line, told.clone());
                scope.spawn(move || {
                    let turn = line.turn(asker, None);
                    told.send((asker, turn)).unwrap();
                });
            };
            wait(Asker::Engine);
            wait(Asker::Person);
            while line.lock().urgent_waiting == 0 {
                std::thread::yield_now();
            }
            let mut persons = persons.into_iter();
            drop(persons.next());
            let (first, turn) = went.recv_timeout(WITHIN).unwrap();
            assert_eq!(first, Asker::Person);
            assert!(went.try_recv().is_err(), "nothing is free");
            drop(turn);
            assert_eq!(went.recv_timeout(WITHIN).unwrap().0, Asker::Engine);
        });
    }

    #[test]
    fn a_person_who_gives_up_holds_up_nobody() {
        let line = Line::default();
        let mut taken: Vec<_> =
            (0..CHILDREN_MAX).map_while(|_| line.turn(Asker::Person, AT_ONCE)).collect();
        assert!(line.turn(Asker::Person, AT_ONCE).is_none());
        drop(taken.pop());
        assert!(line.turn(Asker::Engine, AT_ONCE).is_some());
    }
}
