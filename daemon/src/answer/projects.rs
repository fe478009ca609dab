//! `enable`, `disable` and `probe`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use convosync_core::config::excluded_by;
use convosync_core::id::{Digest, SystemRandom};
use convosync_core::project::{self, OwnSetting, Project};
use convosync_core::protocol::{
    self, Disable, Enable, EnableReply, EnabledProject, ErrorKind, Failure, OwnSettings, Probe,
    ProbeReply, ProbeResult,
};
use convosync_core::remote::{PermanentKind, without_credentials};
use convosync_core::store::RefKind;

use super::{Clerk, home, step, vault};
use crate::clock::now_ms;
use crate::enabled::{self, Enabled};
use crate::engine::Event;
use crate::fail;
use crate::house::{Asker, Home, House, Joined, Place, Survey};
use crate::{scan, work};

pub(super) fn enable(clerk: &Clerk<'_>, enable: &Enable) -> Result<EnableReply, Failure> {
    let house = clerk.house;
    vault(house)?;
    let mut surveys = Vec::new();
    for found in
        if enable.all { all_projects(house) } else { vec![discover(house, &enable.directory)?] }
    {
        let root = found.root.clone();
        let survey = refuse_unwanted(house, &root).and_then(|()| house.survey(found));
        surveys.extend(or_leave_out(survey, enable.all)?);
    }
    if enable.own_settings == OwnSettings::Ask {
        let asking = asking(house, &surveys)?;
        if !asking.is_empty() {
            return Ok(EnableReply { projects: asking, asks: true, ..EnableReply::default() });
        }
    }
    let mut projects = Vec::new();
    for survey in surveys {
        let enabled = enable_one(clerk, survey, enable.own_settings);
        projects.extend(or_leave_out(enabled, enable.all)?);
    }
    if projects.is_empty() {
        return Err(Failure::new(
            ErrorKind::NotEnabled,
            "no project with conversations was found on this device",
        )
        .with_hint("run `convosyncctl enable` in a project's folder"));
    }
    scan::scan_all(house, now_ms());
    for project in &mut projects {
        project.sessions = count_sessions(house, &project.root);
    }
    Ok(EnableReply { projects, ..EnableReply::default() })
}

/// Where all projects are wanted, one that cannot be had does not keep the others from it.
fn or_leave_out<T>(done: Result<T, Failure>, is_all: bool) -> Result<Option<T>, Failure> {
    match done {
        Err(failure) if is_all => {
            tracing::info!(reason = %failure.message, "a project was left out");
            Ok(None)
        }
        done => done.map(Some),
    }
}

/// Enables a project by what was seen of it: what the user is shown, agrees to, and what is used, are one.
fn enable_one(
    clerk: &Clerk<'_>,
    survey: Survey,
    wish: OwnSettings,
) -> Result<EnabledProject, Failure> {
    let house = clerk.house;
    let vault = vault(house)?;
    let mut entry = known(house, &survey.project.root)?;
    if wish == OwnSettings::Agree {
        entry.agreed.extend(survey.to_agree.iter().map(OwnSetting::digest));
    }
    let own_settings = shown(&survey.to_agree, &entry.agreed);
    keep(house, |enabled| enabled.add(entry.clone()))?;
    let home = house.open_project(&entry, &vault, survey)?;
    let place = house
        .place(home.store)
        .ok_or_else(|| Failure::new(ErrorKind::Failed, "the store was closed"))?;
    step(clerk.tell, "trying the remote");
    let result = probe_place(house, &place);
    if let Some(result) = result.as_ref().filter(|result| result.works) {
        go_where_it_works(house, &place, result.branches_only)?;
    }
    work::look_for_own(house, &place, Asker::Person);
    if result.as_ref().is_some_and(|result| result.works) {
        introduce(house, &home)?;
    }
    // What was refused before may work now.
    house.report(Event::Hurry { project: Some(home.key), retry: true });
    Ok(EnabledProject { own_settings, ..describe(&home, &place, result) })
}

/// The projects whose own configuration says what the user did not agree to.
fn asking(house: &House, surveys: &[Survey]) -> Result<Vec<EnabledProject>, Failure> {
    let mut asking = Vec::new();
    for Survey { project, to_agree, .. } in surveys {
        let own_settings = shown(to_agree, &known(house, &project.root)?.agreed);
        if own_settings.iter().any(|own| !own.agreed) {
            asking.push(EnabledProject {
                root: project.root.clone(),
                name: project.name.clone(),
                remote: project.push_url.as_deref().map(without_credentials),
                sessions: 0,
                probe: None,
                own_settings,
            });
        }
    }
    Ok(asking)
}

/// What is known of a project from before: what the user agreed to, and what kind of ref its remote takes.
fn known(house: &House, root: &Path) -> Result<enabled::EnabledProject, Failure> {
    let enabled = Enabled::load(&house.paths.data_dir).map_err(|error| fail::list(&error))?;
    let known = enabled.projects.into_iter().find(|known| known.root == root);
    Ok(known.unwrap_or_else(|| enabled::EnabledProject::new(root.to_owned())))
}

fn shown(own: &[OwnSetting], agreed: &BTreeSet<Digest>) -> Vec<protocol::OwnSetting> {
    let show = |own: &OwnSetting| protocol::OwnSetting {
        agreed: agreed.contains(&own.digest()),
        value: without_credentials(&own.value),
        key: own.key.clone(),
    };
    own.iter().map(show).collect()
}

/// Gives our ref the kind of name that a probe found to be taken, and notes it for the next start.
fn go_where_it_works(house: &House, place: &Place, branches_only: bool) -> Result<(), Failure> {
    let kind = if branches_only { RefKind::Branch } else { RefKind::Custom };
    let renamed = place.desk.lock().rename(kind).map_err(|error| fail::store(&error))?;
    let homes = house.homes();
    let homes: Vec<_> = homes.iter().filter(|home| home.store == place.key).collect();
    keep(house, |enabled| {
        for home in &homes {
            enabled.send_to_branches(&home.project.root, branches_only);
        }
    })?;
    if let Some(home) = homes.first().filter(|_| renamed) {
        tracing::info!(branches_only, "our ref has another name from now on");
        house.report(Event::Enabled { project: home.key, store: place.key, unsent: true });
    }
    Ok(())
}

/// Looks for another name of our ref where the remote refuses this one. Returns whether one was found.
pub(super) fn look_for_another_name(clerk: &Clerk<'_>, place: &Place) -> bool {
    let is_refused = {
        let desk = place.desk.lock();
        let kind = desk.told.refusal().and_then(|cause| cause.kind);
        desk.is_unsent() && kind.is_some_and(PermanentKind::is_of_the_name)
    };
    if !is_refused {
        return false;
    }
    step(clerk.tell, "looking for a place the host accepts");
    let result = probe_place(clerk.house, place).filter(|result| result.works);
    result.is_some_and(|result| {
        let gone = go_where_it_works(clerk.house, place, result.branches_only);
        gone.inspect_err(
            |failure| tracing::warn!(reason = %failure.message, "our ref keeps its name"),
        )
        .is_ok()
    })
}

/// Lets the vault's other devices know of this one, now that the user agreed to send there.
fn introduce(house: &House, home: &Home) -> Result<(), Failure> {
    let Some(place) = house.place(home.store) else { return Ok(()) };
    let introduced = place.desk.lock().introduce(now_ms(), &mut SystemRandom);
    if introduced.map_err(|error| fail::outbound(&error))? {
        house.report(Event::Enabled { project: home.key, store: home.store, unsent: true });
    }
    Ok(())
}

fn describe(home: &Home, place: &Place, probe: Option<ProbeResult>) -> EnabledProject {
    EnabledProject {
        root: home.project.root.clone(),
        name: home.project.name.clone(),
        remote: place.url().map(|_| work::shown_url(place)),
        sessions: 0,
        probe,
        own_settings: Vec::new(),
    }
}

fn refuse_unwanted(house: &House, root: &Path) -> Result<(), Failure> {
    let refused =
        |why: String, hint: &str| Err(Failure::new(ErrorKind::NotEnabled, why).with_hint(hint));
    if enabled::is_off(root) {
        let off = enabled::OFF_FILE;
        return refused(
            format!("`{}` says of itself that it is never saved (`{off}`)", root.display()),
            "remove that file first",
        );
    }
    if let Some(pattern) = excluded_by(&house.config().exclude, root, &house.paths.home) {
        return refused(
            format!("`{}` is excluded by `{pattern}`", root.display()),
            "change `save.exclude` in the configuration first",
        );
    }
    if root.to_str().is_none() {
        return refused(format!("the path `{}` is not UTF-8", root.display()), "rename the folder");
    }
    Ok(())
}

fn discover(house: &House, directory: &Path) -> Result<Project, Failure> {
    project::discover(directory, &house.git).map_err(|error| fail::project(&error))
}

/// Every project that has transcripts on this device.
fn all_projects(house: &House) -> Vec<Project> {
    let mut found: Vec<Project> = Vec::new();
    for cwd in scan::all_cwds(house) {
        if let Ok(project) = project::discover(&cwd, &house.git)
            && found.iter().all(|known| known.root != project.root)
        {
            found.push(project);
        }
    }
    found
}

fn count_sessions(house: &House, root: &Path) -> u32 {
    let registry = house.registry();
    let key =
        registry.projects.values().find(|home| home.project.root == root).map(|home| home.key);
    let count = registry.found.values().filter(|found| Some(found.project) == key).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn keep(house: &House, change: impl FnOnce(&mut Enabled)) -> Result<(), Failure> {
    let keys = &house.paths.data_dir;
    let mut enabled = Enabled::load(keys).map_err(|error| fail::list(&error))?;
    change(&mut enabled);
    enabled.store(keys).map_err(|error| fail::list(&error))
}

pub(super) fn disable(house: &House, disable: &Disable) -> Result<EnableReply, Failure> {
    vault(house)?;
    // What cannot be read is told before anything is done.
    let joined = house.joined()?;
    if let Some(url) = &disable.remote {
        return let_go(house, joined, url);
    }
    let homes = if disable.all { house.homes() } else { vec![home(house, &disable.directory)?] };
    let (mut projects, mut left) = (Vec::new(), Vec::new());
    for home in homes {
        keep(house, |enabled| {
            enabled.remove(&home.project.root);
        })?;
        if let Some(place) = house.place(home.store) {
            projects.push(describe(&home, &place, None));
            left.push(place);
        }
        house.close_project(home.key);
    }
    // A remote goes with the last project that is saved to it; with all of them go those that are only read.
    left.retain(|place| house.is_only_read(place));
    let unwanted = if disable.all { house.only_read() } else { left };
    let gone = house.read_no_more(joined, &unwanted)?;
    Ok(EnableReply { projects, remotes: shown_urls(&gone), ..EnableReply::default() })
}

/// Reads no more from one remote that this device joined by.
fn let_go(house: &House, joined: Joined, url: &str) -> Result<EnableReply, Failure> {
    let places = house.only_joined();
    let is_it =
        |place: &&Arc<Place>| house.leads_to(&joined, url, place) || work::shown_url(place) == url;
    let Some(place) = places.iter().find(is_it) else {
        return Err(not_only_read(url, &shown_urls(&places)));
    };
    let gone = house.read_no_more(joined, std::slice::from_ref(place))?;
    Ok(EnableReply { remotes: shown_urls(&gone), ..EnableReply::default() })
}

fn not_only_read(url: &str, those: &[String]) -> Failure {
    let message = format!(
        "`{}` is no remote that is read because this device joined by it, and that no project here is saved to",
        without_credentials(url)
    );
    let hint = match those {
        [] => "there is none: `convosyncctl disable` in a project stops saving that, and `store.remote` stands in the configuration".to_owned(),
        those => format!("those that there are: {}", those.join(", ")),
    };
    Failure::new(ErrorKind::NoRemote, message).with_hint(hint)
}

fn shown_urls(places: &[Arc<Place>]) -> Vec<String> {
    places.iter().map(|place| work::shown_url(place)).collect()
}

pub(super) fn probe(clerk: &Clerk<'_>, probe: &Probe) -> Result<ProbeReply, Failure> {
    let house = clerk.house;
    vault(house)?;
    let only = probe.directory.as_deref().map(|directory| home(house, directory)).transpose()?;
    let places = house
        .places()
        .into_iter()
        .filter(|place| only.as_ref().is_none_or(|home| home.store == place.key))
        // Nothing is pushed where the user did not agree to it.
        .filter(|place| !house.is_only_read(place));
    let mut results = Vec::new();
    for place in places {
        step(clerk.tell, &format!("trying {}", work::shown_url(&place)));
        results.extend(probe_place(house, &place));
    }
    Ok(ProbeReply { results })
}

/// Pushes, reads back and deletes a ref; `None` where there is no remote at all.
fn probe_place(house: &House, place: &Place) -> Option<ProbeResult> {
    let store = place.desk.lock().store.clone();
    let tried = work::with_remote(house, place, &store, Asker::Person, |remote| {
        remote.probe(&mut SystemRandom)
    })?;
    let remote = work::shown_url(place);
    Some(match tried {
        Ok(Ok(probe)) => {
            let branches_only = probe.kind == RefKind::Branch;
            let hint = branches_only.then(|| {
                "this host takes only branches: ours will show in its branch list and may start CI; `store.remote` can name a private repository instead".to_owned()
            });
            ProbeResult { remote, works: true, branches_only, problem: probe.refused, hint }
        }
        Ok(Err(error)) | Err(error) => {
            let failure = fail::remote(&error);
            ProbeResult {
                remote,
                works: false,
                branches_only: false,
                problem: Some(failure.message),
                hint: failure.data.hint,
            }
        }
    })
}
