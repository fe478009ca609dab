//! Requests that are answered while somebody works at the desk.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use convosync_core::claude::{self, ClaudeRoot};
use convosync_core::config::{Config, Paths};
use convosync_core::disk;
use convosync_core::git::Git;
use convosync_core::id::{SessionId, SystemRandom};
use convosync_core::project;
use convosync_core::protocol::{Disable, List, Resume, SessionQuery, Status};
use convosync_core::seal::{DeviceKind, Phrase};

use super::*;
use crate::clock::now_ms;
use crate::desk::Desk;
use crate::enabled::EnabledProject;
use crate::engine::Unsaved;
use crate::pulse::Beat;
use crate::scan;
use crate::work::{self, Wish};

/// Long enough for any answer that waits for nobody.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

struct Silent;

impl Tell for Silent {
    fn progress(&self, _: &Progress) {}
}

/// A daemon's house with keys and no project.
fn bare_house(dir: &Path) -> Arc<House> {
    let variable = |name: &str| match name {
        "HOME" | "CONVOSYNC_HOME" => Some(OsString::from(dir)),
        "PATH" => std::env::var_os(name),
        _ => None,
    };
    let (paths, git) = (Paths::from_env(&variable).unwrap(), Git::find(None, &variable).unwrap());
    let config = Config::parse("", &paths.config_file).unwrap();
    let phrase = Phrase::create(&mut SystemRandom);
    let kind = DeviceKind::Laptop;
    let vault = Vault::create(&paths.data_dir, &phrase, "ada", kind, now_ms(), &mut SystemRandom);
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    Arc::new(House::new(paths, git, config, Some(vault.unwrap()), events))
}

/// A daemon's house with one enabled folder that has no remote.
fn house(dir: &Path) -> Arc<House> {
    let house = bare_house(dir);
    open_folder(&house, dir, None);
    house
}

/// Opens the project of the tests, which is sent to `url`.
fn open_folder(house: &House, dir: &Path, url: Option<&str>) {
    let root = dir.join("project");
    disk::make_dirs(&root).unwrap();
    let mut project = project::discover(&root, &house.git).unwrap();
    project.push_url = url.map(str::to_owned);
    let survey = house.survey(project).unwrap();
    house.open_project(&EnabledProject::new(root), &house.vault().unwrap(), survey).unwrap();
}

/// Writes a transcript of the enabled folder, and saves it.
fn save_one(house: &House) -> SessionId {
    let session: SessionId = "11111111-2222-4333-8444-555555555555".parse().unwrap();
    let (root, home) = (house.claude_roots().remove(0), house.homes().remove(0));
    let cwd = &home.project.root;
    let folder = claude::slug_dir_for(&ClaudeRoot::new(root), cwd);
    std::fs::create_dir_all(&folder).unwrap();
    let line = serde_json::json!({
        "type": "user", "sessionId": session, "cwd": cwd, "uuid": "u", "message": {"role": "user", "content": "hi"},
    });
    let line = format!("{line}\n");
    disk::write_atomic(&folder.join(format!("{session}.jsonl")), line.as_bytes()).unwrap();
    scan::scan_all(house, now_ms());
    let saved = work::save(house, home.store, std::slice::from_ref(&session), &Wish::default());
    assert_eq!(saved.unwrap().recorded.len(), 1);
    session
}

/// Asks while somebody sits at the desk, who did `work` and goes on with it.
fn ask_beside(house: &Arc<House>, request: Request, work: impl FnOnce(&mut Desk)) -> Value {
    let place = house.places().remove(0);
    std::thread::scope(|scope| {
        let mut at_work = place.desk.lock();
        work(&mut at_work);
        let (told, answers) = mpsc::channel();
        scope.spawn(move || {
            let roots = RootReports::default();
            let clerk = Clerk { house, roots: &roots, tell: &Silent };
            told.send(answer(&clerk, request)).unwrap();
        });
        answers.recv_timeout(ANSWERED_WITHIN).expect("the answer waited for the save").unwrap()
    })
}

/// A save of a large transcript kept `status` waiting for seconds.
#[test]
fn status_is_answered_while_a_save_holds_the_desk_and_tells_what_it_left() {
    let dir = tempfile::tempdir().unwrap();
    let house = house(dir.path());
    let place = house.places().remove(0);
    place.desk.lock().saved_ms = Some(7);

    let status = Request::Status(Status::default());
    let answered = ask_beside(&house, status, |desk| desk.saved_ms = Some(8));

    assert_eq!(answered["projects"][0]["saved_ms"], 7);
    assert_eq!(place.desk.board().saved_ms, Some(8));
}

/// So it did with `list`.
#[test]
fn list_is_answered_while_a_save_holds_the_desk_and_shows_the_saves_that_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let house = house(dir.path());
    let session = save_one(&house);
    let place = house.places().remove(0);
    let unsaved = Unsaved { sessions: 2, ..Unsaved::default() };
    let unsaved = [(house.homes()[0].key, unsaved)].into();
    place.pulse.set(Beat { unsaved, busy: true, retry_ms: None });

    let list = || Request::List(List { all: true, ..List::default() });
    let answered = ask_beside(&house, list(), |desk| {
        desk.listed_ms = Some(8);
        desk.own.sessions.clear();
        desk.own.tip = None;
    });

    assert_eq!(answered["sessions"][0]["session"], session.as_str(), "{answered}");
    assert_eq!(answered["sessions"][0]["save"], 1, "{answered}");
    assert_eq!(answered["listed_ms"], Value::Null, "{answered}");
    assert_eq!(answered["unsaved"], 2, "{answered}");
    assert_eq!(place.desk.board().sessions.len(), 0);
}

/// `resume` looked at all transcripts three times: for the code, for the rehearsal and for the deed.
#[test]
fn what_was_looked_at_a_moment_ago_is_looked_at_again_only_where_a_transcript_moved() {
    let dir = tempfile::tempdir().unwrap();
    let house = house(dir.path());
    let session = save_one(&house);
    let place = house.places().remove(0);
    let holding = place.desk.lock().newest().remove(0);
    let key = (place.key, session.clone());
    let path = |house: &House| house.registry().found[&key].files.main().unwrap().path.clone();
    let resume = |is_refreshed| Resume {
        directory: house.homes()[0].project.root.clone(),
        session: Some(SessionQuery(session.to_string())),
        is_refreshed,
        dry_run: true,
        ..Resume::default()
    };
    let roots = RootReports::default();
    let clerk = Clerk { house: &house, roots: &roots, tell: &Silent };

    assert!(!resume::has_moved(&house, &place, &holding));
    let before = path(&house);
    let elsewhere =
        before.parent().unwrap().with_extension("elsewhere").join(before.file_name().unwrap());
    disk::make_dirs(elsewhere.parent().unwrap()).unwrap();
    disk::write_atomic(&elsewhere, &std::fs::read(&before).unwrap()).unwrap();
    disk::remove_file(&before).unwrap();
    assert!(resume::has_moved(&house, &place, &holding));

    answer(&clerk, Request::Resume(resume(true))).unwrap();
    assert_eq!(path(&house), elsewhere);
}

/// The address by which a device joined may only be good for reading, or be plain `http`.
#[test]
fn what_an_enabled_project_saves_goes_to_its_own_address_and_not_to_that_the_device_joined_by() {
    let dir = tempfile::tempdir().unwrap();
    let house = bare_house(dir.path());
    let place = house.read_from("https://git.example/ada/shop.git").unwrap();

    let own = "git@git.example:ada/shop.git";
    open_folder(&house, dir.path(), Some(own));
    assert_eq!(house.homes()[0].store, place.key, "it is one repository, and one store");
    assert_eq!(place.url().as_deref(), Some(own));

    // `git remote set-url`, then `enable`.
    let moved = "ssh://git@git.example/ada/shop.git";
    open_folder(&house, dir.path(), Some(moved));
    assert_eq!(place.url().as_deref(), Some(moved));
}

/// What `store.remote` is to be is an address that can be reached: `***@` is nobody.
#[test]
fn the_way_out_of_a_private_remote_names_an_address_that_works() {
    let dir = tempfile::tempdir().unwrap();
    let house = bare_house(dir.path());
    let said = |url: &str| browse::set_store_remote(&house, &house.read_from(url).unwrap());
    let ssh = said("ssh://git@git.example:2222/me/store.git");
    assert!(ssh.contains("remote = \"ssh://git@git.example:2222/me/store.git\""), "{ssh}");
    let https = said("https://ada:token@git.example/me/private.git");
    assert!(https.contains("remote = \"https://git.example/me/private.git\""), "{https}");
}

/// A port of its own makes one repository two stores: that of the address the device joined by, and the project's.
fn two_stores(dir: &Path) -> (Arc<House>, SessionId) {
    let house = bare_house(dir);
    let joined = "https://git.example/ada/shop.git";
    house.read_from(joined).unwrap();
    open_folder(&house, dir, Some(joined));
    save_one(&house);
    house.close_project(house.homes()[0].key);
    open_folder(&house, dir, Some("ssh://git@git.example:2222/ada/shop.git"));
    let session = save_one(&house);
    assert_eq!(house.places().len(), 2);
    // That of the project comes after or before: it does not matter.
    assert_eq!(house.only_read().len(), 1);
    (house, session)
}

#[test]
fn a_session_that_lies_in_two_stores_is_that_of_the_store_a_project_is_saved_to() {
    let dir = tempfile::tempdir().unwrap();
    let (house, session) = two_stores(dir.path());
    let (own, read) = (house.homes()[0].store, house.only_read().remove(0).key);
    for (first, last) in [(own, read), (read, own)] {
        let places = [first, last].map(|key| house.place(key).unwrap());
        let (place, _) =
            browse::find_in(&house, &places, &SessionQuery(session.to_string())).unwrap();
        assert_eq!(place.key, own);
    }
    let roots = RootReports::default();
    let clerk = Clerk { house: &house, roots: &roots, tell: &Silent };
    let listed = answer(&clerk, Request::List(List { all: true, ..List::default() })).unwrap();
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["sessions"][0]["on_remote"], false, "it is the project's: {listed}");
}

/// A remote that is only read is asked on demand: its age says nothing of the others.
#[test]
fn how_old_a_list_is_is_said_by_the_remotes_that_projects_are_saved_to_where_there_are_any() {
    let dir = tempfile::tempdir().unwrap();
    let house = bare_house(dir.path());
    let read = house.read_from("https://git.example/ada/shop.git").unwrap();
    read.desk.lock().listed_ms = Some(7);
    let roots = RootReports::default();
    let clerk = Clerk { house: &house, roots: &roots, tell: &Silent };
    let listed = || answer(&clerk, Request::List(List::default())).unwrap()["listed_ms"].clone();
    assert_eq!(listed(), 7);

    open_folder(&house, dir.path(), Some("https://git.example/ada/other.git"));
    house.place(house.homes()[0].store).unwrap().desk.lock().listed_ms = Some(9);
    assert_eq!(listed(), 9);
}

#[test]
fn a_remote_that_the_device_joined_by_is_let_go_of_by_its_address_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let (house, _) = two_stores(dir.path());
    let roots = RootReports::default();
    let clerk = Clerk { house: &house, roots: &roots, tell: &Silent };
    let disable = |url: &str| {
        let remote = Some(url.to_owned());
        answer(
            &clerk,
            Request::Disable(Disable { directory: dir.path().into(), all: false, remote }),
        )
    };
    for unknown in ["https://git.example/eve/shop.git", "ssh://git@git.example:2222/ada/shop.git"] {
        let hint = disable(unknown).unwrap_err().data.hint.unwrap();
        assert!(hint.contains("https://git.example/ada/shop.git"), "{hint}");
    }
    let own = house.homes()[0].store;

    let gone = disable("https://git.example/ada/shop").unwrap();
    assert_eq!(gone["remotes"][0], "https://git.example/ada/shop.git", "{gone}");
    assert_eq!(house.places().iter().map(|place| place.key).collect::<Vec<_>>(), [own]);
    assert_eq!(house.homes().len(), 1);
    let hint = disable("https://git.example/ada/shop").unwrap_err().data.hint.unwrap();
    assert!(hint.contains("there is none"), "{hint}");
}

/// It was said to have failed, and was done.
#[test]
fn a_project_stays_enabled_where_the_list_of_remotes_to_read_from_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let house = house(dir.path());
    let list = house.paths.data_dir.join(crate::remotes::FILE);
    disk::write_atomic(&list, b"[[remote]]\nurl = \n").unwrap();
    let roots = RootReports::default();
    let clerk = Clerk { house: &house, roots: &roots, tell: &Silent };
    let directory = house.homes()[0].project.root.clone();
    let disable = Request::Disable(Disable { directory, all: false, remote: None });
    let failure = answer(&clerk, disable).unwrap_err();
    assert!(failure.message.contains("remotes.toml"), "{failure:?}");
    assert_eq!(house.homes().len(), 1);
}
