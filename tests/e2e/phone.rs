//! A new device with nothing but the programs: it joins by the recovery phrase in any folder, sees what lies at the
//! remote that it joined by, and goes on in a clone that `resume` makes.

use std::path::{Path, PathBuf};

use convosync_tests::synthetic::Conversation;
use convosync_tests::work::{seen, seen_in, write};
use convosync_tests::world::Way;
use convosync_tests::writer::saved_bytes;
use convosync_tests::{Device, Opened, Remote, Run, World, Writer, files, program};
use serde_json::Value;

use crate::SAVED_WITHIN;
use crate::cloning::{at_home, run_in, terminal_at_home, transcript_in};
use crate::stage::{NEEDS_DECISION, git, on_a_topic};
use crate::terminal::{ENTER, plain};

/// The exit code of "everything is kept here".
const KEPT_LOCALLY: i32 = 6;

/// A desktop with unfinished work in a saved session, and a phone without a single repository.
struct Scene {
    world: World,
    phrase: String,
    writer: Writer,
    url: String,
}

impl Scene {
    fn new(way: Way) -> Self {
        let mut opened = Opened::new(&["desk", "phone"], way);
        opened.world.remote.git(&["config", "uploadpack.allowFilter", "true"]).ok();
        let url = opened.world.host.url(&opened.world.remote);
        let (desk, phone) = opened.world.pair();
        on_a_topic(desk);
        write(desk, "README.md", "changed, not staged\n");
        write(desk, "untracked.txt", "nobody added it\n");
        opened.writer.turn();
        let (session, bytes) = (opened.writer.session(), opened.writer.total_bytes());
        desk.saved_eventually(session, bytes, SAVED_WITHIN);
        empty(phone);
        phone.start();
        let Opened { world, phrase, writer } = opened;
        Self { world, phrase, writer, url }
    }

    fn join(&mut self) -> Run {
        join(&self.world.devices[1], &self.phrase, &self.url)
    }
}

/// Leaves of a device's project an empty folder, where the tests' programs start.
fn empty(device: &Device) {
    files::remove_tree(device.home.project());
    files::make_dir(device.home.project());
}

/// Joins in the home directory.
fn join(device: &Device, phrase: &str, url: &str) -> Run {
    let mut command = device.home.command(program::binary("convosyncctl"));
    command.args(["join", "--recover", "-", "--remote", url, "--name", "phone", "--kind", "phone"]);
    let phrase = format!("{phrase}\n");
    program::run(command.current_dir(device.home.dir()), phrase.as_bytes(), program::DEADLINE)
}

fn json_at_home(device: &Device, arguments: &[&str]) -> Value {
    at_home(device, &[arguments, &["--json"]].concat()).ok().json()
}

/// Where `resume --json` says that the transcript is.
fn transcript(resumed: &Value) -> PathBuf {
    resumed["transcript"].as_str().expect("it is told").into()
}

#[test]
fn a_phone_with_nothing_but_the_programs_joins_lists_goes_on_and_gives_back() {
    let mut scene = Scene::new(Way::Any);
    let joined = scene.join().ok();
    assert!(joined.text().contains("1 session of your other devices"), "{joined}");
    let before = scene.world.remote.refs();
    let (session, path) = (scene.writer.session().to_owned(), scene.writer.path());
    let phone = &mut scene.world.devices[1];

    let listed = at_home(phone, &["list"]).ok();
    assert!(listed.text().contains("desk"), "{listed}");
    assert!(listed.text().contains(&format!("resume {} --clone", &session[..8])), "{listed}");
    at_home(phone, &["resume", "--list"]).ok().text().find("desk").expect("it is listed");
    let status = at_home(phone, &["status"]).ok();
    assert!(status.text().contains("Read from: "), "{status}");
    let refused = at_home(phone, &["resume"]).fails();
    assert!(refused.errors().contains("resume --clone"), "{refused}");
    let refused = at_home(phone, &["resume", &session]).fails();
    assert!(refused.errors().contains("--clone"), "{refused}");
    at_home(phone, &["sync", "--retry"]).ok();
    phone.stop();
    phone.start();
    assert_eq!(json_at_home(phone, &["list"])["sessions"][0]["session"], session);
    let now = scene.world.remote.refs();
    assert_eq!(now, before, "nothing is sent before a project is enabled");

    let (desk, phone) = scene.world.pair();
    let (desk_seen, resumed) = (seen(desk), json_at_home(phone, &["resume", "--clone"]));
    let clone = phone.home.dir().join("app");
    assert_eq!(seen_in(phone, &clone), desk_seen);
    files::assert_same(&files::read(&transcript(&resumed)), &saved_bytes(&path));
    let status = json_at_home(phone, &["status"]);
    assert_eq!(status["remotes"], Value::Null, "it is the project's now");

    let folder = phone.home.slug_dir(&clone);
    let talk = Conversation::resumed(2, &clone, &session, None);
    let mut there = Writer::new(&folder, talk);
    there.turn();
    write_in(&clone, "phone.txt", "written on the way\n");
    phone.saved_eventually(&session, there.total_bytes(), SAVED_WITHIN);
    run_in(phone, &clone, &["save", "--stash", "from the phone"]).ok();
    desk.ctl(&["resume", &session, "--theirs"]).ok();
    files::assert_same(&files::read(&path), &files::read(&there.path()));
    assert_eq!(seen(desk), seen_in(phone, &clone));
}

fn write_in(clone: &Path, name: &str, text: &str) {
    files::write(&clone.join(name), text);
}

#[test]
fn a_device_that_lost_its_disk_joins_again_and_goes_on() {
    let mut scene = Scene::new(Way::Any);
    let (session, seen_before) = (scene.writer.session().to_owned(), seen(&scene.world.devices[0]));
    let saved = saved_bytes(&scene.writer.path());
    let (desk, _) = scene.world.pair();
    desk.kill();
    for lost in ["keys", "state"] {
        files::remove_tree(&desk.home.convosync_dir().join(lost));
    }
    files::remove_tree(&desk.home.claude_dir());
    empty(desk);
    desk.start();

    join(desk, &scene.phrase, &scene.url).ok();
    let resumed = json_at_home(desk, &["resume", "--clone", &session]);
    files::assert_same(&files::read(&transcript(&resumed)), &saved);
    assert_eq!(seen_in(desk, &desk.home.dir().join("app")), seen_before);
}

#[test]
fn a_remote_to_read_from_that_cannot_be_asked_is_told_with_its_age_and_its_way_out() {
    let mut scene = Scene::new(Way::Any);
    let away = scene.world.remote.folder().join("away.git");
    files::rename(scene.world.remote.dir(), &away);
    let refused = scene.join().fails();
    assert!(refused.errors().contains("hint: "), "{refused}");
    let unknown = join(&scene.world.devices[1], &scene.phrase, "../app.git").fails();
    assert!(unknown.errors().contains("is no address of a remote"), "{unknown}");
    files::rename(&away, scene.world.remote.dir());
    scene.join().ok();

    files::rename(scene.world.remote.dir(), &away);
    let phone = &scene.world.devices[1];
    let listed = json_at_home(phone, &["list", "--refresh"]);
    assert_eq!(
        listed["sessions"].as_array().map(Vec::len),
        Some(1),
        "what was seen stays: {listed}"
    );
    assert_eq!(listed["problems"].as_array().map(Vec::len), Some(1), "{listed}");
    let status = json_at_home(phone, &["status"]);
    let remote = &status["remotes"][0];
    assert!(remote["listed_ms"].is_i64() && remote["problem"]["message"].is_string(), "{remote}");
    assert_eq!(at_home(phone, &["sync"]).status.code(), Some(KEPT_LOCALLY));
    files::rename(&away, scene.world.remote.dir());
    at_home(phone, &["sync"]).ok();
    assert_eq!(json_at_home(phone, &["status"])["remotes"][0]["problem"], Value::Null);
}

#[test]
fn a_remote_to_read_from_that_is_gone_for_good_is_let_go_of_by_its_address() {
    let mut scene = Scene::new(Way::Any);
    scene.join().ok();
    files::rename(scene.world.remote.dir(), &scene.world.remote.folder().join("away.git"));
    let phone = &scene.world.devices[1];
    let stuck = at_home(phone, &["sync"]);
    assert_eq!(stuck.status.code(), Some(KEPT_LOCALLY), "{stuck}");
    let listed = json_at_home(phone, &["list", "--refresh"]);
    for told in [stuck.text(), listed["problems"].to_string()] {
        assert!(told.contains("`convosyncctl disable --remote "), "{told}");
    }

    let unknown = at_home(phone, &["disable", "--remote", "https://git.example/app.git"]).fails();
    assert!(unknown.errors().contains("those that there are: "), "{unknown}");
    let gone = at_home(phone, &["disable", "--remote", &scene.url]).ok();
    assert!(gone.text().contains("is no longer read"), "{gone}");
    at_home(phone, &["sync"]).ok();
    assert_eq!(json_at_home(phone, &["status"])["remotes"], Value::Null);
    assert_eq!(json_at_home(phone, &["list"])["sessions"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_remote_is_read_until_its_last_project_is_disabled_or_all_are() {
    let mut scene = Scene::new(Way::File);
    scene.join().ok();
    let (_, phone) = scene.world.pair();
    let count =
        |phone: &Device| json_at_home(phone, &["list"])["sessions"].as_array().map(Vec::len);
    at_home(phone, &["resume", "--clone"]).ok();
    let clone = phone.home.dir().join("app");

    // The clone is lost, the daemon begins anew: what the device joined by still counts.
    files::remove_tree(&clone);
    phone.stop();
    phone.start();
    assert_eq!(count(phone), Some(1));
    at_home(phone, &["resume", "--clone"]).ok();
    let left = run_in(phone, &clone, &["disable"]).ok();
    assert!(left.text().contains("is no longer read"), "{left}");
    assert_eq!(count(phone), Some(0));
    phone.stop();
    phone.start();
    assert_eq!(count(phone), Some(0));

    files::remove_tree(&phone.home.convosync_dir().join("keys"));
    phone.stop();
    phone.start();
    scene.join().ok();
    let (_, phone) = scene.world.pair();
    assert_eq!(count(phone), Some(1));
    let left = at_home(phone, &["disable", "--all"]).ok();
    assert!(left.text().contains("is no longer read"), "{left}");
    assert_eq!(count(phone), Some(0));
}

/// A clone brings no configuration of the other repository, but a remote that is a folder of this machine asks for
/// agreement, and so does what the user's own template for repositories holds.
#[test]
fn what_a_new_clone_says_by_itself_is_asked_for_before_it_is_used() {
    let mut scene = Scene::new(Way::File);
    scene.join().ok();
    let session = scene.writer.session().to_owned();
    let (desk, phone) = scene.world.pair();
    let template = phone.home.dir().join("template");
    files::make_dir(&template);
    files::write(&template.join("config"), "[http]\n\tproxy = http://127.0.0.1:9\n");
    let named = template.to_str().expect("the tests' paths are text");
    git(phone, &["config", "--global", "init.templateDir", named]);
    let clone = phone.home.dir().join("fresh");

    let mut terminal = terminal_at_home(phone, &["resume", "--clone=fresh", &session]);
    let told = plain(&terminal.sees("Did you set these"));
    assert!(told.contains("http.proxy = http://127.0.0.1:9"), "{told}");
    assert!(told.contains("remote.url = file://"), "{told}");
    terminal.types(&format!("n{ENTER}"));
    let told = plain(&terminal.sees("the clone stands in"));
    assert!(told.contains("you did not agree to use it"), "{told}");
    assert!(told.contains("enable"), "{told}");
    assert_ne!(terminal.ends(), 0);
    assert!(!transcript_in(phone, &clone, &session).exists());

    run_in(phone, &clone, &["enable"]).ok();
    run_in(phone, &clone, &["resume", "--switch-branch", &session]).ok();
    assert!(transcript_in(phone, &clone, &session).exists());
    assert_eq!(seen_in(phone, &clone), seen(desk));
}

/// A vault with one private repository for everything.
#[test]
fn what_lies_at_a_private_remote_goes_on_only_where_it_is_saved_to_that_one_too() {
    let mut world = World::new(&["desk", "phone"], Way::File);
    let private = Remote::create(&world.remote.folder().join("private.git"));
    // The configuration ends with `[store]`.
    let config = format!("remote = \"{}\"\n", private.file_url());
    let (desk, phone) = world.pair();
    desk.home.write_config(&config);
    let Opened { mut world, phrase, writer } = {
        empty(phone);
        Opened::of(world)
    };
    let public = world.remote.file_url();
    world.remote.git(&["config", "uploadpack.allowFilter", "true"]).ok();
    let (_, phone) = world.pair();
    phone.start();
    join(phone, &phrase, &private.file_url()).ok();
    let session = writer.session();

    let refused = at_home(phone, &["resume", "--clone"]);
    assert_eq!(refused.status.code(), Some(NEEDS_DECISION), "{refused}");
    let said = refused.errors();
    assert!(said.contains("under `[store]`") && said.contains("private.git"), "{refused}");
    let clone = phone.home.dir().join("app");
    assert!(!clone.exists());
    // A clone of the user's own, which would be saved to the public one.
    git(phone, &["clone", "-q", &public, clone.to_str().expect("it is text")]);
    run_in(phone, &clone, &["enable"]).ok();
    let refused = run_in(phone, &clone, &["resume", session]);
    assert_eq!(refused.status.code(), Some(NEEDS_DECISION), "{refused}");
    assert!(refused.errors().contains("under `[store]`"), "{refused}");
    run_in(phone, &clone, &["disable"]).ok();
    files::remove_tree(&clone);

    phone.home.write_config(&config);
    at_home(phone, &["config", "reload"]).ok();
    at_home(phone, &["resume", "--clone"]).ok();
    let talk = Conversation::resumed(2, &clone, session, None);
    let mut there = Writer::new(&phone.home.slug_dir(&clone), talk);
    there.turn();
    phone.saved_eventually(session, there.total_bytes(), SAVED_WITHIN);
    world.pair().0.ctl(&["resume", session]).ok();
    files::assert_same(&files::read(&writer.path()), &files::read(&there.path()));
}
