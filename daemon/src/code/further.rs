//! The repositories that a session worked in beside the one it belongs to.
//!
//! Their code is captured like that of the session's own, into logs of their own, where their projects are
//! enabled here. The others are named with the reason, and what another device saved of a repository that is
//! not here is carried on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convosync_core::cause::with_causes;
use convosync_core::config::excluded_by;
use convosync_core::history::History;
use convosync_core::id::{DeviceId, Digest, LogId, RepositoryKey};
use convosync_core::project::{self, Project};
use convosync_core::protocol::Warning;
use convosync_core::remote;
use convosync_core::seal::{CodePoint, CodeSaved, FURTHER_MAX, Further};
use convosync_core::transcript::{LogFile, SessionFiles};

use super::{Before, Subject, Taken, capture_one, is_pushed_here};
use crate::autosave;
use crate::captures::Captures;
use crate::enabled;
use crate::house::{Home, House, Place, lock};
use crate::touched::Base;

/// Of so many repositories a session's code is saved, its own included: beyond that it is a tour, not work.
const REPOSITORIES_MAX: usize = 8;
/// So many further ones are named with the reason why they are not saved.
const NAMED_MAX: usize = 8;
/// Of so many sessions `status` names what was not saved.
const SESSIONS_TOLD_MAX: usize = 64;

/// Stands before the folder of a repository of which nothing else is known.
const FOLDER: &str = "dir:";

/// A further repository, as it is to be saved.
enum Wanted {
    /// It is enabled here.
    Here(Arc<Home>),
    /// It is not saved.
    Not { id: String, name: String, why: NotSaved },
}

/// Why the code of a repository that the session worked in is not saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NotSaved {
    #[error("it is not enabled on the device that it was changed on")]
    NotEnabled(PathBuf),
    #[error("`{}` is there", enabled::OFF_FILE)]
    Off,
    #[error("it is a further work tree or clone of a repository that is saved already")]
    Twin(PathBuf),
    #[error("the code of at most {REPOSITORIES_MAX} repositories is saved with a session")]
    TooMany,
}

/// What the next record of a session says of its further repositories.
#[derive(Debug, Default)]
pub struct Others {
    /// Each, with the code log that holds what changed.
    pub taken: Vec<(Further, Option<LogFile>)>,
    /// Whether they are worth a save though nothing changed: what the last one stands on is gone.
    pub insist: bool,
}

/// Captures the code of all further repositories of a session.
pub fn take(
    house: &House,
    (place, own): (&Place, &Home),
    captures: &mut Captures,
    (files, Before { base, device }): (&SessionFiles, &Before),
    by_hand: bool,
) -> Others {
    if !house.config().code.capture || (!by_hand && autosave::leaves_out_code(house, own)) {
        return Others::default();
    }
    let device = *device;
    let before = base.as_ref().map_or(&[][..], |base| &base.record.further);
    let length_of = |log: &LogId| {
        let mut logs = base.iter().flat_map(|base| base.logs.values());
        logs.find(|state| state.log == *log).map_or(0, |state| state.length)
    };
    let is_theirs = base.as_ref().is_some_and(|base| base.record.device != device);
    let look = captures.look(&files.id);
    let since = Base { length_of: &length_of, is_theirs };
    let mut roots = look.take(&files.files, since, &|dir| root_of(house, dir)).clone();
    // What was there when it was named may be gone: work trees of agents come and go.
    roots.retain(|root| root_of(house, root).as_ref() == Some(root));
    roots.extend(remembered(house, before, device));
    let Others { mut taken, mut insist } = Others::default();
    let mut told = Vec::new();
    let ours = before.iter().filter(|further| further.device == device);
    for wanted in wanted(house, own, &roots, ours) {
        match wanted {
            Wanted::Here(home) => {
                let key = key_of(before, &home.project.ids);
                if taken.iter().all(|(further, _): &(Further, _)| further.key != key) {
                    let subject = (place, &*home, key);
                    let one = one(house, subject, captures, files, (base.as_ref(), device));
                    insist |= one.as_ref().is_some_and(|(_, taken)| taken.insist);
                    taken.extend(one.map(|(further, taken)| (further, taken.log)));
                }
            }
            Wanted::Not { id, name, why } => {
                told.push(warning(&name, &why));
                taken.push((not_saved(device, id, name, &why), None));
            }
        }
    }
    taken.extend(carried_on(before, device, &taken));
    taken.truncate(FURTHER_MAX);
    tell(place, own, files, told);
    Others { taken, insist }
}

/// The root of the repository that a directory of this device lies in.
fn root_of(house: &House, directory: &Path) -> Option<PathBuf> {
    let real = std::fs::canonicalize(directory).ok()?;
    let is_claudes = house.claude_roots().iter().any(|root| real.starts_with(root));
    let root = house.repository_of(&real).filter(|_| !is_claudes)?;
    excluded_by(&house.config().exclude, &root, &house.paths.home).is_none().then_some(root)
}

/// Repositories that were not saved the last time, by their folders: they may be enabled now.
fn remembered(house: &House, before: &[Further], device: DeviceId) -> Vec<PathBuf> {
    let own = before.iter().filter(|further| further.device == device);
    let folder = |further: &Further| {
        let folder = further.ids.first()?.strip_prefix(FOLDER)?;
        root_of(house, &house.paths.home.join(folder))
    };
    own.filter_map(folder).collect()
}

/// What is to be saved: `before`, what this device saved the last time, and what the session worked in since.
fn wanted<'a>(
    house: &House,
    own: &Home,
    roots: &BTreeSet<PathBuf>,
    before: impl Iterator<Item = &'a Further>,
) -> Vec<Wanted> {
    let homes = house.homes();
    let known = before.filter_map(|further| {
        homes.iter().find(|home| project::same(&home.project.ids, &further.ids)).cloned()
    });
    let is_twin = |one: &Home, other: &Home| one.project.is_twin_of(&other.project);
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut not = Vec::new();
    let mut here: Vec<Arc<Home>> = Vec::new();
    for (root, home) in known
        .map(|home| (home.project.root.clone(), Some(home)))
        .chain(roots.iter().map(|root| (root.clone(), house.owner(root))))
    {
        let is_taken = |home: &Home| here.iter().any(|other| other.key == home.key);
        let why = match &home {
            None => NotSaved::NotEnabled(root.clone()),
            Some(home) if home.project.root != root => NotSaved::Twin(root.clone()),
            Some(home) if home.key == own.key || is_taken(home) => continue,
            // On another device they could not be told apart.
            Some(home) if is_twin(own, home) || here.iter().any(|other| is_twin(other, home)) => {
                NotSaved::Twin(root.clone())
            }
            Some(home) if enabled::is_off(&home.project.root) => NotSaved::Off,
            Some(_) if here.len() + 1 >= REPOSITORIES_MAX => NotSaved::TooMany,
            Some(home) => {
                here.push(home.clone());
                continue;
            }
        };
        not.push(Wanted::Not {
            id: folder_id(house, &root),
            name: project::folder_name(&root),
            why,
        });
    }
    not.truncate(NAMED_MAX);
    wanted.extend(here.into_iter().map(Wanted::Here));
    wanted.extend(not);
    wanted
}

fn folder_id(house: &House, root: &Path) -> String {
    let below = root.strip_prefix(&house.paths.home).unwrap_or(root);
    format!("{FOLDER}{}", below.display())
}

/// The name of a repository's code log: the one it has already.
fn key_of(before: &[Further], ids: &[String]) -> RepositoryKey {
    let known = before.iter().find(|further| project::same(&further.ids, ids));
    known.map_or_else(|| new_key(ids.first().map_or("", String::as_str)), |further| further.key)
}

fn new_key(id: &str) -> RepositoryKey {
    let digest = Digest::of(id.as_bytes()).0;
    RepositoryKey(std::array::from_fn(|at| digest[at]))
}

fn one(
    house: &House,
    (place, home, key): (&Place, &Home, RepositoryKey),
    captures: &mut Captures,
    files: &SessionFiles,
    (base, device): (Option<&History>, DeviceId),
) -> Option<(Further, Taken)> {
    let point = project::code_point(&home.project, &house.git).transpose()?;
    let before = base.and_then(|base| {
        let is_it = |further: &&Further| further.key == key;
        let further = base.record.further.iter().find(is_it)?;
        Some((further.device == device && base.record.device == device, &further.code))
    });
    let (session, further) = (&files.id, Some(key));
    let listed = house.place(home.store).filter(|at| is_pushed_here(at, home));
    let listed = listed.as_deref();
    let subject = Subject { place, listed, home, session, further, base, before };
    let taken = match point {
        Ok(point) => capture_one(house, subject, captures, point),
        Err(error) => Taken { point: nothing(with_causes(&error)), log: None, insist: false },
    };
    let Project { ids, name, push_url, .. } = &home.project;
    let address = push_url.as_deref().map(remote::address_to_tell);
    let (ids, name, code) = (ids.clone(), name.clone(), taken.point.clone());
    Some((Further { key, device, name, ids, address, code }, taken))
}

fn not_saved(device: DeviceId, id: String, name: String, why: &NotSaved) -> Further {
    let code = nothing(why.to_string());
    Further { key: new_key(&id), device, name, ids: vec![id], address: None, code }
}

/// What is known of a repository of which nothing is saved.
fn nothing(why: String) -> CodePoint {
    CodePoint {
        branch: None,
        commit: None,
        upstream: None,
        dirty: false,
        fingerprint: Digest::NONE,
        saved: CodeSaved::Withheld(why),
    }
}

/// What was saved, or named by another device, of repositories that are not here now.
fn carried_on(
    before: &[Further],
    device: DeviceId,
    taken: &[(Further, Option<LogFile>)],
) -> Vec<(Further, Option<LogFile>)> {
    let is_saved = |code: &CodePoint| matches!(code.saved, CodeSaved::Plain | CodeSaved::Log);
    let is_left = |further: &&Further| {
        (further.device != device || is_saved(&further.code))
            && taken.iter().all(|(own, _)| own.key != further.key)
    };
    before.iter().filter(is_left).map(|further| (further.clone(), None)).collect()
}

/// Keeps for `status` what of a session is not saved.
fn tell(place: &Place, own: &Home, files: &SessionFiles, told: Vec<Warning>) {
    let mut beside = lock(&place.beside);
    if beside.len() >= SESSIONS_TOLD_MAX && !beside.contains_key(&files.id) {
        beside.clear();
    }
    if told.is_empty() {
        beside.remove(&files.id);
    } else {
        beside.insert(files.id.clone(), (own.key, told));
    }
}

fn warning(name: &str, why: &NotSaved) -> Warning {
    let hint = match why {
        NotSaved::NotEnabled(root) => {
            format!("to save it, run `convosyncctl enable` in `{}`", root.display())
        }
        NotSaved::Off => format!("remove `{}` to save it", enabled::OFF_FILE),
        NotSaved::Twin(root) => format!(
            "commit and push what is in `{}`, or work where the repository is enabled",
            root.display()
        ),
        NotSaved::TooMany => "commit and push what is there".to_owned(),
    };
    let message = format!("a session worked in `{name}` too, and its code is not saved: {why}");
    Warning { loud: false, message, hint: Some(hint) }
}
