//! `list`, `show` and `read`: what there is, from all devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use convosync_core::history::{History, HistoryError};
use convosync_core::id::{DeviceId, LogId, LogName, Role, SessionId};
use convosync_core::project;
use convosync_core::protocol::{
    ErrorKind, Failure, FileInfo, List, ListReply, MakerInfo, Progress, Read, ReadReply,
    RepositoryInfo, SaveInfo, SessionInfo, SessionQuery, Show, ShowReply, ShownMessage, UsedInfo,
    Warning,
};
use convosync_core::remote;
use convosync_core::seal::{CodePoint, CodeSaved, Further, Maker, SaveRecord, Summary};
use convosync_core::transcript::{Reading, Used};

use super::{Clerk, address, home, status, step, vault};
use crate::clock::now_ms;
use crate::desk::{self, Holding, Listed};
use crate::fail;
use crate::house::{Asker, Home, House, Place};
use crate::work;

/// `list` leaves out sessions that were not saved for so long, unless all are asked for.
const RECENT_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// More bytes than these are announced before they are downloaded.
const LARGE_DOWNLOAD: u64 = 5_000_000;

/// How many saves `show` lists.
const SAVES_SHOWN_MAX: usize = 50;

/// How much text one page of `read` holds at most, in bytes: a reply is one line of the socket.
const PAGE_BYTES_MAX: usize = 256 << 10;

pub(super) fn list(clerk: &Clerk<'_>, list: &List) -> Result<ListReply, Failure> {
    let house = clerk.house;
    vault(house)?;
    let only = list.directory.as_deref().map(|directory| home(house, directory)).transpose()?;
    let mut reply = ListReply::default();
    let now_ms = now_ms();
    let mut places = house.places();
    places.retain(|place| only.as_ref().is_none_or(|home| home.store == place.key));
    // What a project is saved to comes first: what a remote that is only read has of the same is not told again.
    places.sort_by_key(|place| house.is_only_read(place));
    let mut newest: BTreeMap<SessionId, u32> = BTreeMap::new();
    for place in places {
        if list.refresh {
            step(clerk.tell, "asking the remote");
            if let Err(failure) = work::list(house, place.key, Asker::Person) {
                let problem = fail::problem_of(&failure, now_ms);
                reply.problems.push(status::with_way_out(house, &place, problem));
            }
        }
        let board = place.desk.board();
        let is_only_read = house.is_only_read(&place);
        // Those that are only read are asked on demand: beside others their age says nothing.
        if !is_only_read || house.homes().is_empty() {
            reply.listed_ms = [reply.listed_ms, board.listed_ms].into_iter().flatten().min();
        }
        reply.problems.extend(board.doubts.iter().cloned());
        reply.unsaved += unsaved(&place, only.as_deref());
        let ids = only.as_ref().map(|home| home.project.ids.as_slice());
        let wanted = board.sessions.iter().filter(|listed| is_wanted(list, listed, ids, now_ms));
        let mut wanted: Vec<&Listed> = wanted.collect();
        leave_out_told(&mut wanted, is_only_read, &mut newest);
        let homes = house.homes();
        let told = |listed| told(house, &place, &homes, listed, board.is_unsent);
        reply.sessions.extend(wanted.into_iter().map(told));
    }
    reply.sessions.sort_by_key(|info| std::cmp::Reverse(info.at_ms));
    Ok(reply)
}

/// Leaves out of what a store that is only read has what was told of another one already, and notes what is told.
fn leave_out_told(
    wanted: &mut Vec<&Listed>,
    is_only_read: bool,
    newest: &mut BTreeMap<SessionId, u32>,
) {
    wanted.retain(|listed| {
        let summary = &listed.holding.summary;
        !is_only_read || newest.get(&summary.session).is_none_or(|save| *save < summary.save)
    });
    for listed in wanted {
        let summary = &listed.holding.summary;
        let save = newest.entry(summary.session.clone()).or_default();
        *save = summary.save.max(*save);
    }
}

/// How many sessions here are ahead of their last save, of one project or of all.
fn unsaved(place: &Place, only: Option<&Home>) -> u32 {
    let unsaved = place.pulse.now().unsaved.into_iter();
    let of_it = unsaved.filter(|(key, _)| only.is_none_or(|home| home.key == *key));
    of_it.map(|(_, unsaved)| unsaved.sessions).sum()
}

fn is_wanted(list: &List, listed: &Listed, ids: Option<&[String]>, now_ms: i64) -> bool {
    let Listed { holding, device_name, .. } = listed;
    let is_device = |name: &String| name == device_name || *name == holding.device.to_string();
    if !list.device.as_ref().is_none_or(is_device) {
        return false;
    }
    let summary = &holding.summary;
    let recent = list.all || summary.last_ms.unwrap_or(0).max(summary.at_ms) >= now_ms - RECENT_MS;
    let on_branch = list.branch.is_none() || list.branch == summary.branch;
    let of_project = ids.is_none_or(|ids| convosync_core::project::same(ids, &summary.project));
    recent && on_branch && of_project
}

pub(super) fn show(clerk: &Clerk<'_>, show: &Show) -> Result<ShowReply, Failure> {
    let (place, holding) = find(clerk.house, &show.session)?;
    fetch(clerk, &place, &holding)?;
    let held = place.desk.lock();
    let reader = held.reader();
    let history = open(&held, &holding)?;
    let records =
        reader.records(&history, SAVES_SHOWN_MAX).map_err(|error| fail::history(&error))?;
    let saves = records.into_iter().map(save_info);
    let files = history.files().map(|(_, state)| FileInfo {
        path: shown_path(&history.session, &state.log),
        length: state.length,
        sha256: state.content.to_string(),
    });
    let (saves, mut files): (Vec<_>, Vec<_>) = (saves.collect(), files.collect());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let repositories =
        history.record.further.iter().map(|further| repository(clerk.house, further)).collect();
    let session = info(clerk.house, &place, &held, &holding);
    let mut used = Used::default();
    open_main(&held, &history, &mut |raw| used.push(raw))?;
    Ok(ShowReply { session, repositories, used: used_info(&history, used), saves, files })
}

/// One save as people see it.
pub(super) fn save_info(record: SaveRecord) -> SaveInfo {
    let code = record.code.as_ref();
    SaveInfo {
        save: record.number,
        at_ms: record.at_ms,
        device: record.device,
        branch: code.and_then(|code| code.branch.clone()),
        commit: code.and_then(|code| code.commit).map(|commit| commit.to_string()),
        dirty: code.is_some_and(|code| code.dirty),
        withheld: code.and_then(why_withheld),
        message: record.message,
        messages: record.messages,
        made_by: record.surroundings.maker.map(maker_info),
    }
}

fn maker_info(maker: Maker) -> MakerInfo {
    MakerInfo { convosync: maker.convosync, git: maker.git, system: maker.system }
}

/// With what a conversation was written.
pub(super) fn used_info(history: &History, used: Used) -> UsedInfo {
    let (clients, models, permission_mode) = used.finish();
    let environment = history.environment.keys().cloned().collect();
    let shell_lines = history.shell.len();
    UsedInfo { clients, models, permission_mode, environment, shell_lines }
}

fn repository(house: &House, further: &Further) -> RepositoryInfo {
    let is_it = |home: &Arc<Home>| project::same(&home.project.ids, &further.ids);
    let home = house.homes().into_iter().find(is_it);
    let code = &further.code;
    RepositoryInfo {
        name: further.name.clone(),
        root: home.map(|home| home.project.root.clone()),
        branch: code.branch.clone(),
        commit: code.commit.map(|commit| commit.to_string()),
        dirty: code.dirty,
        is_saved: matches!(code.saved, CodeSaved::Plain | CodeSaved::Log),
        why: why_withheld(code),
    }
}

fn why_withheld(code: &CodePoint) -> Option<String> {
    match &code.saved {
        CodeSaved::Withheld(why) => Some(why.clone()),
        _ => None,
    }
}

fn shown_path(session: &SessionId, log: &LogId) -> String {
    match log.role {
        Role::Main => format!("{session}.jsonl"),
        Role::Inside => format!("{session}/{}", log.path),
        Role::Beside | Role::Code => log.path.clone(),
    }
}

pub(super) fn read(clerk: &Clerk<'_>, read: &Read) -> Result<ReadReply, Failure> {
    let (place, holding) = find(clerk.house, &read.session)?;
    fetch(clerk, &place, &holding)?;
    let held = place.desk.lock();
    let history = at_save(&held, open(&held, &holding)?, &read.session)?;
    let mut reading = Reading::new(read.from, PAGE_BYTES_MAX);
    let mut room = read.until.unwrap_or(u64::MAX);
    open_main(&held, &history, &mut |raw| {
        let most = usize::try_from(room).unwrap_or(usize::MAX).min(raw.len());
        room -= most as u64;
        reading.push(&raw[..most]);
    })?;
    let (messages, next) = reading.finish();
    let messages = messages.into_iter().map(|text| ShownMessage {
        role: text.role,
        at: text.at,
        text: text.text,
    });
    Ok(ReadReply { messages: messages.collect(), next })
}

/// Opens the main transcript of a session piece by piece.
pub(super) fn open_main(
    held: &desk::Desk,
    history: &History,
    each: &mut dyn FnMut(&[u8]),
) -> Result<(), Failure> {
    let name = held.vault.keys.log_name(&history.session, &LogId::main());
    match open_log(held, history, name, each) {
        Err(HistoryError::Missing { .. }) if history.logs.is_empty() => Ok(()),
        result => result.map_err(|error| fail::history(&error)),
    }
}

/// Opens any file of a session piece by piece.
pub(super) fn open_log(
    held: &desk::Desk,
    history: &History,
    name: LogName,
    each: &mut dyn FnMut(&[u8]),
) -> Result<(), HistoryError> {
    held.reader().open_log(history, name, &mut |raw| {
        each(raw);
        Ok(())
    })
}

/// The one session that answers to a name, among all stores.
pub(super) fn find(house: &House, query: &SessionQuery) -> Result<(Arc<Place>, Holding), Failure> {
    vault(house)?;
    find_in(house, &house.places(), query)
}

/// The one session that answers to a name, among these stores.
pub(super) fn find_in(
    house: &House,
    places: &[Arc<Place>],
    query: &SessionQuery,
) -> Result<(Arc<Place>, Holding), Failure> {
    let mut found: Vec<(Arc<Place>, Holding)> = Vec::new();
    for place in places {
        let holdings = place.desk.lock().find(query);
        found.extend(holdings.into_iter().map(|holding| (place.clone(), holding)));
    }
    let session =
        only(found.iter().map(|(_, holding)| holding.summary.session.clone()).collect(), &query.0)?;
    let newest = found.into_iter().filter(|(_, holding)| holding.summary.session == session);
    // The same repository may be another store under another address: it goes on where a project is saved to.
    let rank = |(place, holding): &(Arc<Place>, Holding)| {
        (holding.summary.save, !house.is_only_read(place))
    };
    newest.max_by_key(rank).ok_or_else(|| unknown(&query.0))
}

/// The one session of several found, or why it is not one.
pub(super) fn only(mut sessions: Vec<SessionId>, query: &str) -> Result<SessionId, Failure> {
    sessions.sort();
    sessions.dedup();
    match sessions.as_slice() {
        [session] => Ok(session.clone()),
        [] => Err(unknown(query)),
        several => {
            let names: Vec<&str> = several.iter().take(5).map(SessionId::as_str).collect();
            Err(Failure::new(
                ErrorKind::Ambiguous,
                format!("{} sessions answer to `{query}`", several.len()),
            )
            .with_hint(format!("write more of its id: {}", names.join(", "))))
        }
    }
}

fn unknown(query: &str) -> Failure {
    Failure::new(ErrorKind::UnknownSession, format!("no saved session answers to `{query}`"))
        .with_hint("`convosyncctl list --all --refresh` shows every session of every device")
}

/// What was downloaded.
#[derive(Clone, Copy, Default)]
pub(super) struct Fetched {
    /// Bytes received.
    pub(super) received: u64,
    /// As how large it was announced, where that was worth it.
    pub(super) announced: Option<u64>,
}

/// Makes sure that the session's objects are here: asks the remote only if they are not.
pub(super) fn fetch(
    clerk: &Clerk<'_>,
    place: &Place,
    holding: &Holding,
) -> Result<Fetched, Failure> {
    let name = vault(clerk.house)?.keys.session_name(&holding.summary.session);
    let (store, reference, ours) = {
        let held = place.desk.lock();
        if held.store.has_commit(holding.summary.commit) {
            return Ok(Fetched::default());
        }
        let peer = held.peers.get(&holding.device);
        let reference = peer
            .map(|peer| peer.reference)
            .ok_or_else(|| unknown(holding.summary.session.as_str()))?;
        let ours = held.own.sessions.get(&name).map(|(summary, _)| summary.commit);
        (held.store.clone(), reference, ours)
    };
    let announced = large(&holding.summary);
    let step = download(&holding.summary);
    clerk.tell.progress(&Progress { step, download: announced, ..Progress::default() });
    let commit = holding.summary.commit;
    let fetched = work::with_remote(clerk.house, place, &store, Asker::Person, |remote| {
        remote.fetch_session(name, commit, &reference, ours)
    })
    .ok_or_else(|| unreachable_store(place))?;
    let traffic = fetched.and_then(|traffic| traffic).map_err(|error| fail::remote(&error))?;
    place.desk.lock().traffic += traffic;
    Ok(Fetched { received: traffic.received, announced })
}

fn unreachable_store(place: &Place) -> Failure {
    if place.reach().is_remote_refused() {
        let message = format!(
            "the remote {} is a folder of this machine, and you did not agree to use it",
            work::shown_url(place)
        );
        return Failure::new(ErrorKind::Refused, message)
            .with_hint("if it is yours, run `convosyncctl enable` in the project");
    }
    Failure::new(ErrorKind::NoRemote, "this project has no remote")
}

/// How many bytes a download has at most, where that is worth knowing before.
fn large(summary: &Summary) -> Option<u64> {
    let most = summary.total.saturating_add(summary.code);
    (most > LARGE_DOWNLOAD).then_some(most)
}

/// What is downloaded; how much at most, where that is worth knowing before.
fn download(summary: &Summary) -> String {
    let Some(most) = large(summary) else { return "downloading the conversation".to_owned() };
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    match summary.code {
        code if code > LARGE_DOWNLOAD => {
            format!("downloading the conversation and {} MB of code", megabytes(code))
        }
        _ => format!("downloading the conversation, at most {} MB", megabytes(most)),
    }
}

/// Opens a session at the save its summary pins.
pub(super) fn open(held: &desk::Desk, holding: &Holding) -> Result<History, Failure> {
    let Summary { session, commit, save, record, .. } = &*holding.summary;
    held.reader().history(session, *commit, *save, *record).map_err(|error| fail::history(&error))
}

/// Goes back to the save that the name asks for, if it asks for one.
pub(super) fn at_save(
    held: &desk::Desk,
    history: History,
    query: &SessionQuery,
) -> Result<History, Failure> {
    let (_, Some(number)) = query.parts() else { return Ok(history) };
    held.reader().earlier(&history, number).map_err(|error| match error {
        HistoryError::Missing { .. } => Failure::new(
            ErrorKind::UnknownSession,
            format!("session {} has no save {number}", history.session.short()),
        )
        .with_hint(format!("`convosyncctl show {}` lists its saves", history.session.short())),
        error => fail::history(&error),
    })
}

/// One session as people see it.
pub(super) fn info(
    house: &House,
    place: &Place,
    held: &desk::Desk,
    holding: &Holding,
) -> SessionInfo {
    let listed = held.listed(holding.clone());
    told(house, place, &house.homes(), &listed, held.is_unsent())
}

/// The enabled clone of a repository; one that is gone only where there is no other.
pub(super) fn clone_of<'a>(homes: &'a [Arc<Home>], ids: &[String]) -> Option<&'a Arc<Home>> {
    let clones = homes.iter().filter(|home| project::same(&home.project.ids, ids));
    clones.min_by_key(|home| !home.project.root.join(".git").exists())
}

fn told(
    house: &House,
    place: &Place,
    homes: &[Arc<Home>],
    listed: &Listed,
    is_unsent: bool,
) -> SessionInfo {
    let Listed { holding, device_name, device_kind, is_own } = listed;
    let summary = &holding.summary;
    let home = clone_of(homes, &summary.project);
    let named = house.named(place).map(|named| named.url);
    let url = place.url();
    let address = address::of(&summary.project, named.as_deref(), url.as_deref());
    let is_only_read = homes.iter().all(|home| home.store != place.key);
    SessionInfo {
        session: summary.session.clone(),
        short: summary.session.short().to_owned(),
        title: summary.title.clone(),
        message: summary.message.clone(),
        project: summary.project_name.clone(),
        root: home.map(|home| home.project.root.clone()),
        device: holding.device,
        device_name: device_name.clone(),
        device_kind: device_kind.clone(),
        this_device: *is_own,
        save: summary.save,
        at_ms: summary.at_ms,
        messages: summary.messages,
        total_bytes: summary.total,
        malformed: summary.malformed,
        branch: summary.branch.clone(),
        commit: summary.head.map(|head| head.to_string()),
        dirty: summary.dirty,
        subdirectory: summary.subdirectory.clone(),
        live: house.is_live(&summary.session),
        on_remote: (*is_own && url.is_some()).then_some(!is_unsent),
        client: summary.client.clone(),
        model: summary.model.clone(),
        apart: is_only_read.then(|| apart(house, place, summary, address.as_deref())).flatten(),
        address,
        packed: Some(summary.packed).filter(|bytes| *bytes > 0),
    }
}

/// Why a session that lies at a remote which is only read cannot go on here: what a clone of its repository
/// saves goes to another one, and the devices that saved it do not look there.
fn apart(
    house: &House,
    place: &Place,
    summary: &Summary,
    address: Option<&str>,
) -> Option<Warning> {
    let is_apart = address.is_some_and(|address| house.is_saved_elsewhere(place, address));
    is_apart.then(|| Warning {
        loud: true,
        message: format!(
            "session {} lies at {}, and what is saved of a clone of `{}` on this device goes elsewhere: your \
             other devices would not see how it goes on",
            summary.session.short(),
            work::shown_url(place),
            summary.project_name
        ),
        hint: Some(set_store_remote(house, place)),
    })
}

/// How everything is saved to the remote of a store that is only read.
pub(super) fn set_store_remote(house: &House, place: &Place) -> String {
    let url = house.named(place).map(|named| named.url).or_else(|| place.url());
    format!(
        "say `remote = \"{}\"` under `[store]` in `{}`, run `convosyncctl config reload`, and resume again",
        remote::address_to_tell(&url.unwrap_or_default()),
        house.paths.config_file.display()
    )
}

/// The session as this device's own last save has it.
pub(super) fn info_of(
    house: &House,
    place: &Place,
    session: &SessionId,
) -> Result<SessionInfo, Failure> {
    let held = place.desk.lock();
    let device: DeviceId = held.vault.device();
    let name = held.vault.keys.session_name(session);
    let holdings = held.holdings().remove(&name).unwrap_or_default();
    let own = holdings.iter().find(|holding| holding.device == device).or_else(|| holdings.first());
    own.map(|holding| info(house, place, &held, holding)).ok_or_else(|| unknown(session.as_str()))
}
