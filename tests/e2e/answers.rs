//! What hosts answer: the cause and the way out stand in `status`, the user is notified once, saves go on, and
//! everything arrives when the cause is mended.

mod passing;
mod told;

use std::path::{Path, PathBuf};

use convosync_tests::host::{Answer, Host};
use convosync_tests::world::Way;
use convosync_tests::{Device, World, Writer, eventually, files, program, skip};
use serde_json::Value;

use crate::SAVED_WITHIN;

/// The hosts' own words, which the core's tests sort.
const ANSWERS: &str = include_str!("../../core/src/remote/outcome/answers.txt");

/// What a host prints, by the name it has in the table: standard error without `remote: `, and whether a ref
/// was refused.
fn words_of(name: &str) -> String {
    let begin = format!("= {name}: ");
    let lines = ANSWERS.lines().skip_while(|line| !line.starts_with(&begin)).skip(1);
    let lines = lines.take_while(|line| !line.starts_with("= "));
    let said = lines.filter(|line| !line.starts_with(['#', '!']) && !line.is_empty());
    let said: Vec<_> = said.map(|line| line.strip_prefix("remote: ").unwrap_or(line)).collect();
    assert!(!said.is_empty(), "no answer `{name}`");
    said.join("\n") + "\n"
}

/// A device with a notifier that notes what it is told, and a session.
struct Stage {
    world: World,
    writer: Writer,
    notified: usize,
}

fn notes(device: &Device) -> PathBuf {
    device.home.root().join("notified")
}

/// Returns what the device's user was notified of.
pub(crate) fn notified(device: &Device) -> Vec<String> {
    let text = std::fs::read_to_string(notes(device)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn give_notifier(device: &Device, more: &str) {
    let notifier = device.home.root().join("notifier");
    let body = format!("#!/bin/sh\necho \"$1 | $2\" >> '{}'\n", notes(device).display());
    files::write_program(&notifier, &body);
    device.home.write_config(&format!("[notify]\nprogram = \"{}\"\n\n{more}", notifier.display()));
}

impl Stage {
    /// A device whose remote is reached in a way that `prepare` sets up, and took a first save.
    fn new(prepare: impl FnOnce(&World)) -> Self {
        let world = World::new(&["ada"], Way::File);
        prepare(&world);
        Self::of(world)
    }

    fn of(mut world: World) -> Self {
        let ada = &mut world.devices[0];
        give_notifier(ada, "");
        ada.start();
        ada.init();
        let mut writer = ada.writer(1);
        writer.turn();
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
        Self { world, writer, notified: 0 }
    }

    fn ada(&self) -> &Device {
        &self.world.devices[0]
    }

    /// Walks through what a host says, by the names in the table, and the cause that the user is told.
    fn refused_and_mended(&mut self, answers: &[(&str, &str)]) {
        for (name, cause) in answers {
            files::write(&self.answer_file(), words_of(name));
            self.refused(name, cause);
            files::remove_file(&self.answer_file());
            self.mended();
        }
    }

    fn answer_file(&self) -> PathBuf {
        answer_file(&self.world)
    }

    fn project(&self) -> Value {
        self.ada().ctl_json(&["status"])["projects"][0].clone()
    }

    /// Writes a turn, waits until the refusal stands in `status` with its cause and the way out, and makes sure
    /// that it was notified of once, however often it is tried again.
    #[track_caller]
    fn refused(&mut self, what: &str, cause: &str) {
        self.writer.turn();
        let project =
            eventually(&format!("{what} stands in status as `{cause}`"), SAVED_WITHIN, || {
                let project = self.project();
                let says = project["problem"]["message"].as_str()?.starts_with(cause);
                (says && project["sync"] == "stuck").then_some(project)
            });
        let (message, hint) = (&project["problem"]["message"], &project["problem"]["hint"]);
        assert!(!message.as_str().unwrap().contains('\n'), "{what}: {message}");
        assert!(hint.as_str().is_some_and(|hint| !hint.is_empty()), "{what}: {project}");
        let shown = self.ada().ctl(&["status"]).text();
        assert!(shown.contains(cause), "{what}: {shown}");
        self.notified += 1;
        self.notified_eventually(what, cause);
        self.ada().ctl(&["sync", "--retry"]);
        assert_eq!(notified(self.ada()).len(), self.notified, "{what}: {:?}", notified(self.ada()));
        let known = self.ada().session(self.writer.session()).expect("it is saved here");
        assert_eq!(known["total_bytes"], self.writer.total_bytes(), "{what}: saves go on");
    }

    #[track_caller]
    fn notified_eventually(&self, what: &str, cause: &str) {
        let (ada, wanted) = (self.ada(), self.notified);
        eventually(&format!("{what} is notified of"), SAVED_WITHIN, || {
            (notified(ada).len() >= wanted).then_some(())
        });
        let told = notified(ada);
        assert_eq!(told.len(), wanted, "{what}: {told:?}");
        let last = told.last().expect("something was told");
        assert!(last.contains(cause) && last.contains("Way out: "), "{what}: {last}");
    }

    /// Everything arrives once the cause is gone and a retry is asked for.
    #[track_caller]
    fn mended(&self) {
        self.ada().ctl(&["sync", "--retry"]).ok();
        self.arrives();
    }

    #[track_caller]
    fn arrives(&self) {
        let (session, bytes) = (self.writer.session(), self.writer.total_bytes());
        self.ada().saved_eventually(session, bytes, SAVED_WITHIN);
        eventually("no problem is left", SAVED_WITHIN, || {
            let project = self.project();
            (project["sync"] == "on-remote" && project["problem"].is_null()).then_some(())
        });
    }
}

/// What the remote's hook, or the stand-in for ssh, prints and then refuses; it accepts while there is none.
fn answer_file(world: &World) -> PathBuf {
    world.remote.dir().with_extension("answer")
}

fn refuse_by_hook(world: &World) {
    let answer = answer_file(world);
    let hook = format!(
        "#!/bin/sh\n[ -f '{0}' ] || exit 0\ncat '{0}' >&2\n[ -f '{0}.accept' ] && exit 0\nexit 1\n",
        answer.display()
    );
    files::write_program(&world.remote.dir().join("hooks/pre-receive"), &hook);
}

/// Reaches the remote by a program that stands for ssh: it says what it is told to, or does what ssh would do.
fn refuse_by_ssh(world: &World) {
    let home = &world.devices[0].home;
    let answer = answer_file(world);
    let text = format!(
        "#!/bin/sh\nif [ -f '{0}' ]; then cat '{0}' >&2; exit 255; fi\nshift\nexec sh -c \"$*\"\n",
        answer.display()
    );
    reach_by(world, &home.root().join("my-ssh"), &text);
}

fn reach_by(world: &World, ssh: &Path, text: &str) {
    let home = &world.devices[0].home;
    files::write_program(ssh, text);
    home.git(&["remote", "set-url", "origin", &world.remote.ssh_url()]).ok();
    home.git(&["config", "core.sshCommand", ssh.to_str().expect("the tests' paths are text")]).ok();
    home.git(&["config", "ssh.variant", "simple"]).ok();
}

#[test]
fn what_a_hosts_hook_refuses_is_told_once_and_mended() {
    let mut stage = Stage::new(refuse_by_hook);
    stage.refused_and_mended(&[
        ("github large file", "the push is larger than the host takes"),
        ("github lfs", "the host misses LFS objects"),
        ("gitlab lfs", "the host misses LFS objects"),
        ("github push protection", "the host took sealed data for a secret"),
        ("gitlab secrets", "the host took sealed data for a secret"),
        ("github ruleset", "a rule of the host refuses the push"),
        ("gitlab protected branch", "a rule of the host protects refs of this name"),
        ("gitlab repository size", "the repository or the account is full"),
        ("forgejo quota", "the repository or the account is full"),
        ("bitbucket over the size limit", "the repository or the account is full"),
        ("gitea no right", "the login may not push here"),
    ]);
}

#[test]
fn a_cause_that_changes_is_told_again_and_one_that_stays_is_not() {
    let mut stage = Stage::new(refuse_by_hook);
    files::write(&stage.answer_file(), words_of("forgejo quota"));
    stage.refused("a quota", "the repository or the account is full");
    files::write(&stage.answer_file(), words_of("gitlab repository size"));
    stage.writer.turn();
    stage.ada().ctl(&["sync", "--retry"]);
    assert_eq!(notified(stage.ada()).len(), 1, "another host's words for the same cause");
    files::write(&stage.answer_file(), words_of("gitlab custom hook"));
    stage.ada().ctl(&["sync", "--retry"]);
    stage.refused("a rule", "a rule of the host refuses the push");
    files::remove_file(&stage.answer_file());
    stage.mended();
    let told = notified(stage.ada()).join("\n");
    assert!(!told.contains("sundays"), "what a remote says is not passed on: {told}");
}

#[test]
fn what_ssh_refuses_is_told_once_and_mended() {
    let mut stage = Stage::new(refuse_by_ssh);
    stage.refused_and_mended(&[
        ("ssh key with a passphrase", "the host accepts none of the ssh keys it was offered"),
        ("ssh key with a touch", "the ssh key waits for a passphrase or a touch"),
        ("ssh unknown host", "the host's key is unknown or has changed"),
        ("github archived over ssh", "the repository is archived or read-only"),
        ("github deploy key", "the login may not push here"),
        ("github not found over ssh", "there is no such repository"),
        ("gitlab one-time password", "the host wants a second factor"),
        ("gitlab blocked account", "the host has blocked the account or the repository"),
    ]);
}

#[test]
fn what_a_web_host_refuses_is_told_once_and_mended() {
    let mut host = None;
    let mut stage = Stage::new(|world| {
        let served = Host::start(world.remote.folder());
        let url = served.url("app.git");
        world.devices[0].home.git(&["remote", "set-url", "origin", &url]).ok();
        host = Some(served);
    });
    let host = host.expect("it was started");
    for (status, words, cause) in [
        (401, "HTTP Basic: Access denied", "the host does not accept the login"),
        (403, "Write access to repository not granted.", "the login may not push here"),
        (
            403,
            "The 'x' organization has enabled or enforced SAML SSO.",
            "the organisation wants this login authorised for single sign-on",
        ),
        (403, "This repository was archived so it is read-only.", "the repository is archived"),
        (404, "Repository not found.", "there is no such repository"),
        (413, "", "the push is larger than the host takes"),
        (451, "", "the host has blocked the account or the repository"),
        (507, "", "the repository or the account is full"),
    ] {
        host.answer(Answer::Refuse(status, words));
        stage.refused(&format!("{status} {words}"), cause);
        host.answer(Answer::Serve);
        stage.mended();
    }
}

#[test]
fn a_repository_that_moved_goes_on_working_and_its_new_address_is_told_once() {
    let mut stage = Stage::new(refuse_by_hook);
    let said =
        "This repository moved. Please use the new location:\n  https://git.example/new/app.git\n";
    files::write(&stage.answer_file(), said);
    files::write(&stage.answer_file().with_extension("answer.accept"), "");
    for _ in 0..2 {
        stage.writer.turn();
        stage.arrives();
    }
    let status = stage.ada().ctl_json(&["status"]);
    let problems = status["problems"].as_array().expect("a list");
    let [problem] = problems.as_slice() else { panic!("one notice: {problems:?}") };
    assert!(problem["message"].as_str().unwrap().contains("https://git.example/new/app.git"));
    assert!(problem["hint"].as_str().unwrap().contains("git remote set-url origin"));
    let told = eventually("it is notified of", SAVED_WITHIN, || {
        Some(notified(stage.ada())).filter(|told| !told.is_empty())
    });
    assert_eq!(told.len(), 1, "{told:?}");

    files::remove_file(&stage.answer_file());
    stage.writer.turn();
    stage.arrives();
    assert_eq!(stage.ada().ctl_json(&["status"])["problems"], Value::Array(Vec::new()));
}

#[test]
fn a_redirection_is_followed_and_the_new_address_can_be_taken() {
    let mut host = None;
    let mut stage = Stage::new(|world| {
        let served = Host::start(world.remote.folder());
        served.answer(Answer::Redirect("/old/", "/"));
        let url = served.url("old/app.git");
        world.devices[0].home.git(&["remote", "set-url", "origin", &url]).ok();
        host = Some(served);
    });
    let host = host.expect("it was started");
    let status = stage.ada().ctl_json(&["status"]);
    let message = status["problems"][0]["message"].as_str().expect("the move is told").to_owned();
    assert!(message.contains(&host.url("app.git")), "{message}");

    stage.ada().home.git(&["remote", "set-url", "origin", &host.url("app.git")]).ok();
    stage.ada().ctl(&["enable"]).ok();
    stage.writer.turn();
    stage.arrives();
    assert_eq!(stage.ada().ctl_json(&["status"])["problems"], Value::Array(Vec::new()));
}

/// An ssh agent of one test, ended with it.
struct Agent {
    child: std::process::Child,
    socket: PathBuf,
}

impl Agent {
    fn start(home: &convosync_tests::Home) -> Self {
        let socket = home.root().join("agent");
        let mut agent = home.command("ssh-agent");
        agent.arg("-D").arg("-a").arg(&socket).stdout(std::process::Stdio::null());
        let child = agent.spawn().expect("it was found");
        eventually("the agent listens", SAVED_WITHIN, || socket.exists().then_some(()));
        Self { child, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// A device that reaches a real sshd, if there is one on this machine.
fn real_ssh() -> Option<Stage> {
    match Way::Ssh.missing() {
        Some(name) => {
            skip::report(&format!("`{name}` is not installed"));
            None
        }
        None => Some(Stage::of(World::new(&["ada"], Way::Ssh))),
    }
}

#[test]
fn a_key_with_a_passphrase_works_through_the_agent_that_a_client_lends() {
    for name in ["ssh-agent", "ssh-add"] {
        let Some(_) = skip::unless_on_path(name) else { return };
    }
    let Some(mut stage) = real_ssh() else { return };
    let home = stage.ada().home.clone();
    let key = home.dir().join(".ssh/id_ed25519");
    let mut keygen = home.command("ssh-keygen");
    keygen.args(["-q", "-p", "-P", "", "-N", "secret words", "-f"]).arg(&key);
    program::run(&mut keygen, b"", program::DEADLINE).ok();
    stage.refused("no agent", "the host accepts none of the ssh keys it was offered");
    let hint = stage.project()["problem"]["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("ssh-add"), "{hint}");

    let agent = Agent::start(&home);
    let ask = home.root().join("ask");
    files::write_program(&ask, "#!/bin/sh\necho secret words\n");
    let mut add = home.command("ssh-add");
    add.arg(&key).env("SSH_AUTH_SOCK", &agent.socket);
    add.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":0");
    program::run(&mut add, b"", program::DEADLINE).ok();
    let mut status = home.command(program::binary("convosyncctl"));
    status.arg("status").env("SSH_AUTH_SOCK", &agent.socket);
    program::run(&mut status, b"", program::DEADLINE).ok();
    // Nobody asked for a retry: the agent that was lent is tried at once.
    stage.arrives();
}

#[test]
fn a_host_key_that_is_unknown_or_has_changed_is_told_and_mended() {
    let Some(mut stage) = real_ssh() else { return };
    let known = stage.ada().home.dir().join(".ssh/known_hosts");
    let right = files::read(&known);
    let other = stage.ada().home.root().join("other");
    let mut keygen = stage.ada().home.command("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&other);
    program::run(&mut keygen, b"", program::DEADLINE).ok();
    let name = right.split(|byte| *byte == b' ').next().expect("a line begins with a name");
    let changed = [name, b" ", &files::read(&other.with_extension("pub"))].concat();
    for wrong in [Vec::new(), changed] {
        files::write(&known, &wrong);
        stage.refused("another host", "the host's key is unknown or has changed");
        files::write(&known, &right);
        stage.mended();
    }
}

/// Returns the refs of ours on the remote, by their kind.
fn kinds(world: &World) -> (usize, usize) {
    let refs = world.remote.refs();
    let count = |prefix: &str| refs.iter().filter(|(name, _)| name.starts_with(prefix)).count();
    (count("refs/convosync/"), count("refs/heads/convosync/"))
}

#[test]
fn a_host_that_begins_to_refuse_our_refs_gets_a_branch_and_readers_follow() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let [ada, bob] = world.devices.as_mut_slice() else { panic!("there are two") };
    give_notifier(bob, "[fetch]\npoll_every = \"1s\"\n");
    ada.start();
    let phrase = ada.init();
    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    bob.start();
    bob.join(&phrase);
    bob.ctl_json(&["resume", writer.session()]);
    let hook = world.remote.take_only_branches();
    writer.turn();
    eventually("the refusal is told", SAVED_WITHIN, || {
        let project = ada.ctl_json(&["status"])["projects"][0].clone();
        let hint = project["problem"]["hint"].as_str()?.contains("convosyncctl enable");
        (project["sync"] == "stuck" && hint).then_some(())
    });

    ada.ctl(&["sync", "--retry"]).ok();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    assert_eq!(ada.ctl_json(&["status"])["projects"][0]["branches_only"], true);
    assert!(ada.ctl(&["status"]).text().contains("kept as a branch"));
    ada.stop();
    ada.start();
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    // Ada's old ref is still there: the host does not let it be removed either.
    let listed = bob.ctl_json(&["list", "--all", "--refresh"]);
    assert_eq!(listed["problems"], Value::Array(Vec::new()), "{listed}");
    bob.stop();
    bob.start();
    let listed = bob.ctl_json(&["list", "--all", "--refresh"]);
    assert_eq!(listed["problems"], Value::Array(Vec::new()), "{listed}");
    bob.ctl_json(&["resume", writer.session()]);
    let transcript = |device: &Device| {
        files::read(&device.home.transcripts().join(format!("{}.jsonl", writer.session())))
    };
    assert_eq!(transcript(bob), transcript(ada));
    let told = eventually("bob is notified of ada's saves", SAVED_WITHIN, || {
        Some(notified(bob)).filter(|told| !told.is_empty())
    });
    assert!(told.iter().any(|line| line.contains("saved on another device")), "{told:?}");

    files::remove_file(&hook);
    ada.ctl(&["enable"]).ok();
    ada.ctl(&["sync"]).ok();
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    ada.ctl(&["sync"]).ok();
    let (ours, _) = kinds(&world);
    assert_eq!(ours, 2, "ada's and bob's: {:?}", world.remote.refs());
    let of_ada = |name: &String| name.starts_with("refs/heads/convosync/");
    assert!(!world.remote.refs().iter().any(|(name, _)| of_ada(name)), "the branch is gone");
    let [ada, bob] = world.devices.as_slice() else { panic!("there are two") };
    let listed = bob.ctl_json(&["list", "--all", "--refresh"]);
    assert_eq!(listed["problems"], Value::Array(Vec::new()), "{listed}");
    bob.ctl_json(&["resume", writer.session()]);
    let transcript = |device: &Device| {
        files::read(&device.home.transcripts().join(format!("{}.jsonl", writer.session())))
    };
    assert_eq!(transcript(bob), transcript(ada));
}
