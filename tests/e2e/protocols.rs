//! Old and strict hosts: every version of git's protocol, hidden refs, no commit by its id, no tip without
//! its past. Each works or falls back, and never sends or fetches anything twice.

use convosync_tests::world::Way;
use convosync_tests::{Device, Remote, SAVED_WITHIN, Trip, World, files, skip};

/// What learning of one new save and fetching it may cost beyond the new bytes: our own figure, with room
/// for TLS on each of its connections.
const AROUND_NEWS: u64 = 32 << 10;

/// Makes two devices that reach the remote by `way`, or reports the running test as skipped.
fn world(way: Way) -> Option<World> {
    if let Some(program) = way.missing() {
        skip::report(&format!("`{program}` is not installed"));
        return None;
    }
    Some(World::new(&["ada", "bob"], way))
}

/// Sets the user's own git configuration on each device.
fn set_on_all(world: &World, key: &str, value: &str) {
    for device in &world.devices {
        device.home.git(&["config", "--global", key, value]).ok();
    }
}

/// Sets the configuration of the host's repository.
fn set_on_host(world: &World, key: &str, value: &str) {
    world.remote.git(&["config", key, value]).ok();
}

/// Takes the whole trip, and panics when anything that is not new was fetched or sent, or when the host
/// was fetched whole without need.
#[track_caller]
fn check_trip(world: World, is_fetched_whole: bool) {
    let mut world = world;
    let trip = Trip::take(&mut world);
    for what in ["list, a new save", "second resume", "resume of what came back"] {
        let step = trip.step(what);
        let most = step.new_bytes + AROUND_NEWS;
        assert!(step.traffic.received < most, "{what}: {:?}", step.traffic);
    }
    assert_eq!(trip.kept_full_copy, is_fetched_whole, "{trip:?}");
    let project = world.devices[1].ctl_json(&["status"])["projects"][0].clone();
    assert_eq!(project["fetched_whole"] == true, is_fetched_whole, "it is told: {project}");
    let (first, back) = (trip.step("first save"), trip.step("first save after resuming"));
    assert!(
        back.traffic.sent < first.traffic.sent * 2 / 3,
        "what the other device wrote was sent again: {:?} after {:?}",
        back.traffic,
        first.traffic
    );
}

fn has_branch(world: &World) -> bool {
    world.remote.refs().iter().any(|(name, _)| name.starts_with("refs/heads/convosync/"))
}

#[test]
fn over_a_real_sshd_nothing_is_fetched_twice() {
    let Some(world) = world(Way::Ssh) else { return };
    check_trip(world, false);
}

#[test]
fn over_a_real_web_host_nothing_is_fetched_twice() {
    let Some(world) = world(Way::Https) else { return };
    check_trip(world, false);
}

#[test]
fn an_sshd_as_debian_installs_it_is_fetched_whole() {
    let Some(world) = world(Way::Ssh) else { return };
    world.host.sshd().keep_protocol_out();
    check_trip(world, true);
}

#[test]
fn an_sshd_of_the_old_protocol_that_gives_commits_by_id_is_not_fetched_whole() {
    let Some(world) = world(Way::Ssh) else { return };
    world.host.sshd().keep_protocol_out();
    set_on_host(&world, "uploadpack.allowAnySHA1InWant", "true");
    check_trip(world, false);
}

#[test]
fn a_web_host_that_knows_only_the_old_protocol_is_fetched_whole() {
    let Some(mut world) = world(Way::Https) else { return };
    let repositories = world.remote.folder().to_owned();
    world.host.web().restart(&repositories, "fastcgi_param HTTP_GIT_PROTOCOL \"\";");
    check_trip(world, true);
}

#[test]
fn a_user_who_chose_protocol_version_0_is_obeyed() {
    let Some(world) = world(Way::Https) else { return };
    set_on_all(&world, "protocol.version", "0");
    check_trip(world, true);
}

#[test]
fn a_user_who_chose_protocol_version_1_is_obeyed() {
    let Some(world) = world(Way::Ssh) else { return };
    set_on_all(&world, "protocol.version", "1");
    check_trip(world, true);
}

#[test]
fn under_protocol_version_2_a_host_that_forbids_ids_gives_them_all_the_same() {
    let world = World::new(&["ada", "bob"], Way::Counted);
    for key in ["allowAnySHA1InWant", "allowReachableSHA1InWant", "allowTipSHA1InWant"] {
        set_on_host(&world, &format!("uploadpack.{key}"), "false");
    }
    check_trip(world, false);
}

#[track_caller]
fn check_without(features: &[&str], version: &str, is_fetched_whole: bool) {
    let world = World::new(&["ada", "bob"], Way::Counted);
    for device in &world.devices {
        world.remote.count_without(&device.home, features);
    }
    set_on_all(&world, "protocol.version", version);
    check_trip(world, is_fetched_whole);
}

#[test]
fn a_host_without_shallow_fetches_is_fetched_whole() {
    check_without(&["shallow"], "2", true);
}

#[test]
fn a_host_of_the_old_protocol_without_shallow_fetches_is_fetched_whole() {
    check_without(&["shallow"], "0", true);
}

/// Two devices and a host that cannot be asked before a push what it has.
fn world_without_negotiation() -> World {
    let world = World::new(&["ada", "bob"], Way::Counted);
    for device in &world.devices {
        world.remote.count_without(&device.home, &["wait-for-done"]);
    }
    world
}

#[test]
fn a_host_that_cannot_negotiate_a_push_is_not_sent_what_its_refs_show() {
    check_trip(world_without_negotiation(), false);
}

/// What such a host's refs do not show is sent once more: the session was saved before another one, and this
/// device never listed in between. The price is that session, once.
#[test]
fn a_host_that_cannot_negotiate_a_push_gets_an_older_session_once_more_and_once() {
    let mut world = world_without_negotiation();
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let mut old = ada.writer(1);
    let before = Remote::traffic(&ada.home);
    (0..12).for_each(|_| old.turn());
    ada.saved_eventually(old.session(), old.total_bytes(), SAVED_WITHIN);
    let whole = Remote::traffic(&ada.home).since(before).sent;
    let mut new = ada.writer(2);
    new.turn();
    ada.saved_eventually(new.session(), new.total_bytes(), SAVED_WITHIN);
    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", old.session()]);

    let sent = || {
        let before = Remote::traffic(&bob.home);
        let path = bob.home.transcripts().join(format!("{}.jsonl", old.session()));
        files::append(&path, b"{\"type\":\"system\"}\n");
        bob.saved_eventually(old.session(), files::read(&path).len() as u64, SAVED_WITHIN);
        Remote::traffic(&bob.home).since(before).sent
    };
    let (first, second) = (sent(), sent());
    assert!(first > whole / 2, "it need not be sent any more: {first} after {whole}");
    assert!(first < whole + AROUND_NEWS && second < whole / 2, "{first}, {second} after {whole}");
}

#[test]
fn a_host_of_ten_years_ago_is_good_enough() {
    let features = [
        "shallow",
        "deepen-since",
        "deepen-not",
        "deepen-relative",
        "object-format",
        "report-status-v2",
        "push-options",
        "atomic",
        "allow-tip-sha1-in-want",
        "allow-reachable-sha1-in-want",
        "filter",
    ];
    check_without(&features, "0", true);
}

#[track_caller]
fn check_hidden(way: Way, key: &str, prepare: impl FnOnce(&World)) {
    let Some(mut world) = world(way) else { return };
    set_on_host(&world, key, "refs/convosync");
    prepare(&world);
    let trip = Trip::take(&mut world);
    assert!(has_branch(&world), "{:?}\n{trip:?}", world.remote.refs());
}

#[test]
fn a_host_that_hides_our_refs_from_everybody_gets_branches() {
    check_hidden(Way::Ssh, "transfer.hideRefs", |_| ());
}

#[test]
fn a_host_that_takes_our_refs_and_does_not_show_them_gets_branches() {
    check_hidden(Way::Https, "uploadpack.hideRefs", |_| ());
}

#[test]
fn a_host_that_refuses_our_refs_gets_branches() {
    check_hidden(Way::Counted, "receive.hideRefs", |_| ());
}

#[test]
fn a_host_of_the_old_protocol_that_hides_our_refs_gets_branches() {
    check_hidden(Way::Ssh, "uploadpack.hideRefs", |world| world.host.sshd().keep_protocol_out());
}

#[test]
fn a_host_that_hides_every_name_of_ours_is_told_apart_from_one_that_is_away() {
    let mut world = World::new(&["ada"], Way::Counted);
    for hidden in ["refs/convosync", "refs/heads/convosync"] {
        world.remote.git(&["config", "--add", "transfer.hideRefs", hidden]).ok();
    }
    let ada = &mut world.devices[0];
    ada.start();
    let run = init(ada);
    let said = format!("{}{}", run.text(), run.errors()).to_lowercase();
    assert!(said.contains("hidden") && said.contains("store.remote"), "{run}");
}

fn init(device: &Device) -> convosync_tests::Run {
    let phrase = device.home.root().join("phrase.txt");
    let phrase = phrase.to_str().expect("the tests' paths are text");
    device.ctl(&["init", "--yes", "--name", "ada", "--kind", "laptop", "--phrase-file", phrase])
}
