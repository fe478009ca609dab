//! What of a desk can be read while somebody works at it: a save may take seconds, and whoever asks how things
//! stand does not wait for it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use convosync_core::id::{DeviceId, Oid, SessionName};
use convosync_core::protocol::{DeviceStatus, LargeSession, Problem, SyncState};
use convosync_core::remote::{PermanentKind, Traffic};
use convosync_core::store::RefKind;

use super::{Desk, Holding};

/// How a store stood when its desk was last left.
#[derive(Debug, Clone)]
pub struct Board {
    /// Where the last save has got to.
    pub sync: SyncState,
    /// Whether our ref has something that the remote was not seen to hold.
    pub is_unsent: bool,
    /// When our ref was last read back, in Unix milliseconds.
    pub confirmed_ms: Option<i64>,
    /// When a save was last made.
    pub saved_ms: Option<i64>,
    /// When the remote was last listed.
    pub listed_ms: Option<i64>,
    /// Bytes to and from the remote since the start.
    pub traffic: Traffic,
    /// What kind of name our ref has.
    pub kind: RefKind,
    /// Whether refs are fetched with all their past, because the host cannot do otherwise.
    pub fetched_whole: bool,
    /// Why the remote does not get our saves, or refuses to.
    pub stuck: Option<Problem>,
    /// Why other devices' saves are not seen.
    pub unlisted: Option<Problem>,
    /// The refusal of our saves that stands.
    pub refused: Option<PermanentKind>,
    /// Where the remote says it has moved to.
    pub moved_to: Option<String>,
    /// Refs that are not believed.
    pub doubts: Vec<Problem>,
    /// Sessions that cannot be saved.
    pub ailing: Vec<Problem>,
    /// This device and the others, as far as this store knows them.
    pub devices: Vec<DeviceStatus>,
    /// Every session of every device, at its newest save.
    pub sessions: Arc<[Listed]>,
    /// Our own sessions that are very large, of which nobody was told yet, with their names on the remote.
    pub large: Vec<(SessionName, LargeSession)>,
    tips: Tips,
}

/// Where all devices' refs stand: as long as these are the same, so are the sessions.
type Tips = Vec<(DeviceId, Option<Oid>)>;

/// A session at its newest save, with what is to be told of the device that made it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The session, as that device holds it.
    pub holding: Holding,
    /// The device's name.
    pub device_name: String,
    /// What kind of device it is.
    pub device_kind: String,
    /// Whether it is this one.
    pub is_own: bool,
}

impl Desk {
    /// Adds to a session what is to be told of the device that holds it.
    pub fn listed(&self, holding: Holding) -> Listed {
        Listed {
            device_name: self.device_name(holding.device),
            device_kind: self.device_kind(holding.device),
            is_own: holding.device == self.vault.device(),
            holding,
        }
    }

    fn large(&self) -> Vec<(SessionName, LargeSession)> {
        let own = self
            .own
            .sessions
            .iter()
            .filter(|(name, (summary, _))| self.told.is_large_news(**name, summary.messages));
        let told = own.map(|(name, (summary, _))| {
            let (session, messages) = (summary.session.clone(), summary.messages);
            let short = session.short().to_owned();
            (*name, LargeSession { session, short, messages })
        });
        told.collect()
    }

    fn tips(&self) -> Tips {
        let own = (self.vault.device(), self.own.tip);
        let peers = self.peers.iter().map(|(device, peer)| (*device, Some(peer.tip)));
        std::iter::once(own).chain(peers).collect()
    }
}

impl Board {
    /// Writes down how a desk stands; what has not changed since `before` is taken from there.
    fn of(desk: &Desk, before: Option<&Self>) -> Self {
        let tips = desk.tips();
        let known = before.filter(|before| before.tips == tips);
        let listed = || desk.newest().into_iter().map(|holding| desk.listed(holding)).collect();
        Self {
            sync: desk.sync_state(),
            is_unsent: desk.is_unsent(),
            confirmed_ms: desk.confirmed_ms,
            saved_ms: desk.saved_ms,
            listed_ms: desk.listed_ms,
            traffic: desk.traffic,
            kind: desk.own.reference.kind,
            fetched_whole: desk.store.is_fetched_whole(),
            stuck: desk.stuck.as_ref().map(|(problem, _)| problem.clone()),
            unlisted: desk.unlisted.clone(),
            refused: desk.told.refusal().and_then(|cause| cause.kind),
            moved_to: desk.told.moved_to().map(str::to_owned),
            doubts: desk.doubts.values().cloned().collect(),
            ailing: desk.ailing.values().cloned().collect(),
            devices: devices(desk),
            sessions: known.map_or_else(listed, |before| before.sessions.clone()),
            large: desk.large(),
            tips,
        }
    }
}

fn devices(desk: &Desk) -> Vec<DeviceStatus> {
    let count = |sessions: usize| u32::try_from(sessions).unwrap_or(u32::MAX);
    let own = DeviceStatus {
        device: desk.vault.device(),
        name: desk.vault.name.clone(),
        kind: desk.vault.kind.to_string(),
        this: true,
        at_ms: desk.saved_ms.unwrap_or(0),
        sessions: count(desk.own.sessions.len()),
    };
    let peers = desk.peers.values().map(|peer| DeviceStatus {
        device: peer.reference.device,
        name: peer.head.name.clone(),
        kind: peer.head.kind.to_string(),
        this: false,
        at_ms: peer.head.at_ms,
        sessions: count(peer.sessions.len()),
    });
    std::iter::once(own).chain(peers).collect()
}

/// A desk that several threads work at, one at a time, and whose board all can read.
pub struct SharedDesk {
    desk: Mutex<Desk>,
    board: Mutex<Arc<Board>>,
}

impl SharedDesk {
    /// Shares a desk.
    pub fn new(desk: Desk) -> Self {
        let board = Mutex::new(Arc::new(Board::of(&desk, None)));
        Self { desk: Mutex::new(desk), board }
    }

    /// Takes the seat, when whoever has it leaves. One who panicked there left nothing half done.
    pub fn lock(&self) -> Seat<'_> {
        let desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        Seat { desk, board: &self.board, was_used: false }
    }

    /// Takes the seat if it is free.
    pub fn try_lock(&self) -> Option<Seat<'_>> {
        let desk = match self.desk.try_lock() {
            Ok(desk) => desk,
            Err(TryLockError::Poisoned(left)) => left.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Seat { desk, board: &self.board, was_used: false })
    }

    /// How things stood when the seat was last left. Never waits for work.
    pub fn board(&self) -> Arc<Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The place of the one who works at a desk. Leaving it writes the board, if anything may have changed.
pub struct Seat<'a> {
    desk: MutexGuard<'a, Desk>,
    board: &'a Mutex<Arc<Board>>,
    was_used: bool,
}

impl Deref for Seat<'_> {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl DerefMut for Seat<'_> {
    fn deref_mut(&mut self) -> &mut Desk {
        self.was_used = true;
        &mut self.desk
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if self.was_used {
            let read = || self.board.lock().unwrap_or_else(PoisonError::into_inner);
            let before = read().clone();
            let now = Arc::new(Board::of(&self.desk, Some(&before)));
            *read() = now;
        }
    }
}
