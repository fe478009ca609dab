//! Commits and pushes in a project by itself, where the user agreed to that: the one thing that the daemon ever
//! changes in a repository of the user's. It decides nothing: `core::commit` says what speaks against it, the
//! engine when it is tried, and `status` tells what came of it.

use std::path::Path;
use std::time::Duration;

use convosync_core::cause::with_causes;
use convosync_core::code::Guard;
use convosync_core::commit::{self, Alone, Done, Hands, Site, Stays};
use convosync_core::config::AutosaveCode;
use convosync_core::outbound::DEFAULT_MESSAGE;
use convosync_core::protocol::{Problem, Warning};

use crate::clock::now_ms;
use crate::enabled;
use crate::engine::{Event, ProjectKey};
use crate::house::{Home, House, Place, lock};

/// How long a commit may take with the user's hooks: those that take longer are no hooks for every few minutes.
const COMMIT_WITHIN: Duration = Duration::from_secs(120);

/// What passes by itself is tried again so much later.
const AGAIN_MS: i64 = 60_000;

/// What a project's saves have of the code when nobody asked for them.
pub fn code_of(house: &House, home: &Home) -> AutosaveCode {
    house.config().autosave.of(&home.project.root, &house.paths.home)
}

/// Whether such a save has nothing of it.
pub fn leaves_out_code(house: &House, home: &Home) -> bool {
    code_of(house, home) == AutosaveCode::Off
}

/// What `status` says of folders that are to be committed in and are no project here.
pub fn unknown(house: &House) -> Option<Problem> {
    let homes = house.homes();
    let roots: Vec<&Path> = homes.iter().map(|home| &*home.project.root).collect();
    let config = house.config();
    let unknown = config.autosave.unknown(&roots, &house.paths.home);
    let first = unknown.first()?;
    let more = unknown.len() - 1;
    let more = if more > 0 { format!(", nor are {more} more") } else { String::new() };
    Some(Problem {
        message: format!(
            "`autosave.commit_in` names `{first}`, which is not the folder of a project that is enabled here{more}"
        ),
        hint: Some(
            "name the top folder of the work tree, by its path without links, or run `convosyncctl enable` there"
                .to_owned(),
        ),
        since_ms: now_ms(),
    })
}

/// Commits in a project if the user agreed to that, notes for `status` why not, and reports to the engine.
pub fn commit(house: &House, key: ProjectKey) {
    let again_ms = house.home(key).and_then(|home| {
        let place = house.place(home.store)?;
        let is_meant = code_of(house, &home) == AutosaveCode::Commit;
        if !is_meant || enabled::is_off(&home.project.root) {
            lock(&place.uncommitted).remove(&key);
            return None;
        }
        let stays = match place.is_held() {
            true => Some((kept_here(), false)),
            false => try_commit(house, &home).err().map(|stays| told(&stays)),
        };
        let again_ms = stays.as_ref().filter(|(_, passes)| *passes).map(|_| AGAIN_MS);
        note(&place, key, stays.map(|(warning, _)| warning));
        again_ms
    });
    house.report(Event::Committed(key, again_ms));
}

fn try_commit(house: &House, home: &Home) -> Result<Done, Stays> {
    let config = house.config();
    let user_home = house.git.home().unwrap_or(Path::new(""));
    let guard = Guard::of(&config.code, &home.project.root, user_home);
    let git = house.remote_git();
    let site = Site { project: &home.project, git: &git, guard: &guard };
    let push = Duration::from_millis(config.git_deadline_ms.unsigned_abs());
    let hands = Hands {
        site,
        variables: &git.variables(),
        scratch: &house.paths.state_dir,
        is_attended: false,
        alone: Some(Alone { commit: COMMIT_WITHIN, push }),
    };
    // No turn on the network's line is taken: a hook that takes its time must not hold up any save.
    let quiet = (now_ms(), config.idle_after_ms);
    let rules = &config.autosave;
    let done = commit::by_itself(&hands, rules, DEFAULT_MESSAGE, &config.commit_suffix, quiet)?;
    if done != Done::default() {
        let Done { commit, is_pushed } = &done;
        tracing::info!(committed = commit.is_some(), pushed = is_pushed, "the branch was saved");
    }
    Ok(done)
}

fn told(stays: &Stays) -> (Warning, bool) {
    let message = match stays {
        Stays::NotPushed { .. } => with_causes(stays),
        _ => format!("not committed by itself: {}", with_causes(stays)),
    };
    let hint = stays.hint();
    (Warning { loud: !stays.is_passing(), message, hint }, stays.is_passing())
}

fn kept_here() -> Warning {
    Warning {
        loud: false,
        message: "not committed by itself: saves stay on this device since `save --no-push`"
            .to_owned(),
        hint: Some("`convosyncctl sync` sends them".to_owned()),
    }
}

fn note(place: &Place, key: ProjectKey, warning: Option<Warning>) {
    let mut uncommitted = lock(&place.uncommitted);
    match warning {
        Some(warning) => {
            tracing::debug!(reason = warning.message, "a project was not committed in");
            uncommitted.insert(key, warning);
        }
        None => drop(uncommitted.remove(&key)),
    }
}

/// What `status` says of the code of saves that nobody asked for.
pub fn status(house: &House, place: &Place, home: &Home) -> Option<Warning> {
    match code_of(house, home) {
        AutosaveCode::Snapshot => None,
        AutosaveCode::Off => Some(Warning {
            loud: false,
            message: "the code is not saved by itself (`autosave.code`)".to_owned(),
            hint: Some("`convosyncctl save` takes it along".to_owned()),
        }),
        AutosaveCode::Commit => lock(&place.uncommitted).get(&home.key).cloned(),
    }
}
