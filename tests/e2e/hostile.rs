//! A repository somebody else prepared: nothing it names is run by what happens by itself. The user's own
//! programs are.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use convosync_tests::synthetic::Conversation;
use convosync_tests::work::seen;
use convosync_tests::world::Way;
use convosync_tests::{Device, Remote, World, Writer, eventually, files, program};
use serde_json::Value;

use crate::SAVED_WITHIN;
use crate::stage::{NEEDS_DECISION, commit, git, save};

/// Every hook git knows that a command of ours could start, on either side.
const HOOKS: &[&str] = &[
    "post-checkout",
    "post-index-change",
    "post-merge",
    "post-receive",
    "pre-auto-gc",
    "pre-commit",
    "pre-push",
    "pre-receive",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "update",
    "fsmonitor-watchman",
];

/// Where a repository's own configuration names a program, and what the program there does.
const PROGRAMS: &[(&str, &str)] = &[
    ("core.sshCommand", "exit 1"),
    ("core.gitProxy", "exit 1"),
    ("core.askPass", "echo secret"),
    ("core.fsmonitor", "exit 1"),
    ("core.editor", "exit 0"),
    ("core.pager", "exec cat"),
    ("core.alternateRefsCommand", "exit 0"),
    ("credential.helper", "exit 0"),
    ("credential.ssh://localhost.helper", "exit 0"),
    ("sequence.editor", "exit 0"),
    ("gpg.program", "exit 1"),
    ("gpg.ssh.program", "exit 1"),
    ("gpg.ssh.defaultKeyCommand", "exit 1"),
    ("diff.external", "exit 0"),
    ("diff.canary.command", "exit 0"),
    ("diff.canary.textconv", "exec cat \"$1\""),
    ("merge.canary.driver", "exit 1"),
    ("filter.canary.clean", "exec cat"),
    ("filter.canary.smudge", "exec cat"),
    ("interactive.diffFilter", "exec cat"),
    ("trailer.canary.command", "exit 0"),
    ("uploadpack.packObjectsHook", "exec \"$@\""),
    ("remote.origin.uploadpack", "exit 1"),
    ("remote.origin.receivepack", "exit 1"),
];

/// What makes git's commands look for more programs.
const SWITCHES: &[(&str, &str)] = &[
    ("commit.gpgSign", "true"),
    ("push.gpgSign", "true"),
    ("push.followTags", "true"),
    ("push.recurseSubmodules", "on-demand"),
    ("fetch.recurseSubmodules", "true"),
    ("status.submoduleSummary", "true"),
    ("remote.origin.vcs", "canary"),
    ("submodule.evil.url", "ext::sh -c true"),
    ("submodule.evil.update", "!exit 1"),
    ("submodule.recurse", "true"),
    ("protocol.ext.allow", "always"),
    ("http.proxy", "http://127.0.0.1:9"),
    ("http.sslVerify", "false"),
];

/// Programs that leave their name where a test finds it.
struct Canaries {
    dir: PathBuf,
}

impl Canaries {
    fn new(device: &Device) -> Self {
        let dir = device.home.root().join("canaries");
        files::make_dir(&dir);
        Self { dir }
    }

    /// Makes a program that says that it ran as `name`, then does what `body` says.
    fn program(&self, name: &str, body: &str) -> String {
        let path = self.dir.join(name);
        let text = format!("#!/bin/sh\necho {name} >>'{}'\n{body}\n", self.ran_file().display());
        files::write_program(&path, &text);
        path.to_str().expect("the tests' paths are text").to_owned()
    }

    fn ran_file(&self) -> PathBuf {
        self.dir.join("ran")
    }

    /// The names of those that ran.
    fn ran(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.ran_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Writes every hook into a folder.
    fn hooks(&self, into: &Path) {
        for hook in HOOKS {
            let canary = self.program(&format!("hook-{hook}"), "exit 0");
            files::write_program(&into.join(hook), &format!("#!/bin/sh\nexec '{canary}'\n"));
        }
    }
}

/// Plants a canary wherever a repository's own configuration can name a program.
fn plant(device: &Device, repository: &Path, canaries: &Canaries) {
    let git = |arguments: &[&str]| {
        let mut git = device.home.command("git");
        program::run(git.args(arguments).current_dir(repository), b"", program::DEADLINE).ok();
    };
    for (key, body) in PROGRAMS {
        let name = key.replace([':', '/'], "-");
        git(&["config", "--add", key, &canaries.program(&name, body)]);
    }
    for command in ["status", "push", "fetch", "ls-remote", "config", "rev-parse", "rev-list"] {
        let canary = canaries.program(&format!("alias.{command}"), "exit 0");
        git(&["config", &format!("alias.{command}"), &format!("!{canary}")]);
    }
    let included = canaries.program("included.sshCommand", "exit 1");
    files::write(
        &repository.join("planted.config"),
        format!("[core]\n\tsshCommand = {included}\n\tgitProxy = {included}\n"),
    );
    git(&["config", "--add", "include.path", "../planted.config"]);
    for (key, value) in SWITCHES {
        git(&["config", key, value]);
    }
    let hooks = canaries.dir.join("hooks");
    canaries.hooks(&hooks);
    canaries.hooks(&repository.join(".git/hooks"));
    let templates = canaries.dir.join("templates");
    canaries.hooks(&templates.join("hooks"));
    git(&["config", "core.hooksPath", hooks.to_str().expect("text")]);
    git(&["config", "init.templateDir", templates.to_str().expect("text")]);
    files::write(&repository.join(".gitattributes"), "* filter=canary diff=canary merge=canary\n");
    let process = canaries.program("filter.canary.process", "exit 1");
    git(&["config", "filter.canary.process", &process]);
    git(&["config", "filter.canary.required", "true"]);
}

/// What `status` reports as wrong.
fn problems(device: &Device) -> Vec<String> {
    let status = device.ctl_json(&["status"]);
    let problems = status["problems"].as_array().cloned().unwrap_or_default();
    problems.iter().filter_map(|problem| problem["message"].as_str().map(str::to_owned)).collect()
}

/// Lets the other device save something, and brings it back here.
fn fetch_from(other: &mut Device, here: &Device, phrase: &str) {
    other.start();
    other.join(phrase);
    let mut writer = other.writer(7);
    writer.turn();
    other.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    here.ctl(&["list", "--refresh", "--json"]).ok();
    // With the code the user's own filters would run, as in any checkout of theirs.
    here.ctl_json(&["resume", "--no-code", writer.session()]);
}

#[test]
fn nothing_that_is_planted_in_a_repository_after_it_was_enabled_is_ever_run() {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    let canaries = Canaries::new(ada);
    plant(ada, ada.home.project(), &canaries);

    let mut writer = ada.writer(1);
    for _ in 0..2 {
        writer.turn();
        files::append(&ada.home.project().join("README.md"), b"more\n");
        ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
        ada.stop();
        ada.start();
    }
    fetch_from(bob, ada, &phrase);
    ada.ctl(&["save", "--stash", "--json"]).ok();
    ada.ctl(&["sync", "--retry", "--json"]).ok();

    assert_eq!(canaries.ran(), Vec::<String>::new());
    let told = problems(ada).join("\n");
    for key in ["core.sshcommand", "core.gitproxy", "credential.helper", "http.proxy"] {
        assert!(told.contains(key), "{key} is not told: {told}");
    }
    // They were no dummies: what the user runs there does start them.
    ada.home.command("git").args(["diff"]).output().expect("git runs");
    assert!(!canaries.ran().is_empty());
}

#[test]
fn a_repository_that_nobody_enabled_is_left_alone_altogether() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let hostile = ada.home.dir().join("unpacked/app");
    files::make_dir(&hostile);
    let mut init = ada.home.command("git");
    program::run(init.args(["init", "-q"]).current_dir(&hostile), b"", program::DEADLINE).ok();
    files::write(&hostile.join("file"), "x");
    let canaries = Canaries::new(ada);
    plant(ada, &hostile, &canaries);

    let mut theirs = Writer::new(&ada.home.slug_dir(&hostile), Conversation::new(5, &hostile));
    let mut ours = ada.writer(1);
    for _ in 0..2 {
        theirs.turn();
        ours.turn();
        ada.saved_eventually(ours.session(), ours.total_bytes(), SAVED_WITHIN);
        ada.stop();
        ada.start();
    }
    let mut status = ada.home.command(program::binary("convosyncctl"));
    status.args(["status", "--json"]).current_dir(&hostile);
    program::run(&mut status, b"", program::DEADLINE).ok();

    assert_eq!(canaries.ran(), Vec::<String>::new());
    assert!(ada.session(theirs.session()).is_none(), "it is not saved");
}

#[test]
fn an_address_rewritten_to_a_program_or_to_a_folder_with_hooks_is_not_used() {
    let mut world = World::new(&["ada"], Way::Counted);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let canaries = Canaries::new(ada);
    let program = canaries.program("ext", "exit 1");
    let trap = ada.home.root().join("trap.git");
    Remote::create(&trap);
    canaries.hooks(&trap.join("hooks"));
    let mut writer = ada.writer(1);
    for base in [format!("ext::{program} %S "), format!("file://{}#", trap.display())] {
        let key = format!("url.{base}.insteadOf");
        ada.home.git(&["config", &key, "ssh://localhost"]).ok();
        ada.stop();
        ada.start();
        let events = ada.watch();
        writer.turn();
        events.expect("saved", SAVED_WITHIN);
        events.expect("trouble", SAVED_WITHIN);
        ada.home.git(&["config", "--unset", &key]).ok();
    }
    assert_eq!(canaries.ran(), Vec::<String>::new());
    ada.stop();
    ada.start();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

#[test]
fn a_remote_that_became_a_folder_of_this_machine_is_used_once_the_user_agrees() {
    let mut world = World::new(&["ada"], Way::Counted);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let folder = ada.home.root().join("moved.git");
    Remote::create(&folder);
    let canaries = Canaries::new(ada);
    canaries.hooks(&folder.join("hooks"));
    ada.home.git(&["remote", "set-url", "origin", folder.to_str().expect("text")]).ok();
    ada.stop();
    ada.start();
    let events = ada.watch();
    let mut writer = ada.writer(1);
    writer.turn();
    events.expect("trouble", SAVED_WITHIN);
    assert_eq!(canaries.ran(), Vec::<String>::new());
    assert!(problems(ada).iter().any(|told| told.contains("remote.url")), "{:?}", problems(ada));

    ada.ctl(&["enable", "--json"]).ok();

    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
    assert!(!canaries.ran().is_empty(), "a remote's own hooks do run");
}

/// Answers every request with "log in first".
fn closed_door() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || listener.incoming().flatten().for_each(refuse));
    format!("http://{address}/app.git")
}

fn refuse(mut stream: TcpStream) {
    const ANSWER: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // A client that hangs up early is none of this test's business.
    stream.read(&mut [0; 4096]).map(drop).unwrap_or_default();
    stream.write_all(ANSWER.as_bytes()).unwrap_or_default();
}

#[test]
fn the_users_own_credential_helper_is_asked_and_the_repositorys_is_not() {
    let mut world = World::new(&["ada"], Way::File);
    let ada = &mut world.devices[0];
    ada.home.git(&["remote", "set-url", "origin", &closed_door()]).ok();
    ada.start();
    let canaries = Canaries::new(ada);
    let mine = canaries.program("mine", "echo username=u; echo password=p");
    ada.home.git(&["config", "--global", "credential.helper", &mine]).ok();
    // Refused, as everything is there: the project is enabled all the same.
    let phrase = ada.home.root().join("phrase.txt");
    let init = ["init", "--yes", "--json", "--phrase-file", phrase.to_str().expect("text")];
    ada.ctl(&init);
    plant(ada, ada.home.project(), &canaries);
    ada.home.git(&["config", "--unset-all", "http.proxy"]).ok();
    files::remove_file(&canaries.ran_file());

    let events = ada.watch();
    let mut writer = ada.writer(1);
    writer.turn();
    events.expect("saved", SAVED_WITHIN);
    ada.ctl(&["sync", "--retry", "--json"]);

    let ran = eventually("a helper is asked", SAVED_WITHIN, || {
        Some(canaries.ran()).filter(|ran| !ran.is_empty())
    });
    assert!(ran.iter().all(|name| name == "mine"), "{ran:?}");
}

#[test]
fn the_users_own_ssh_command_is_run_and_the_repositorys_is_not() {
    let mut world = World::new(&["ada"], Way::Counted);
    let ada = &mut world.devices[0];
    let stand_in = ada.home.git(&["config", "core.sshCommand"]).ok().text();
    ada.home.git(&["config", "--global", "--unset", "core.sshCommand"]).ok();
    let canaries = Canaries::new(ada);
    let mine = canaries.program("mine", &format!("exec {stand_in} \"$@\""));
    ada.home.git(&["config", "--global", "core.sshCommand", &mine]).ok();
    ada.start();
    ada.init();
    plant(ada, ada.home.project(), &canaries);
    files::remove_file(&canaries.ran_file());

    let mut writer = ada.writer(1);
    writer.turn();
    ada.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);

    let ran = canaries.ran();
    assert!(!ran.is_empty() && ran.iter().all(|name| name == "mine"), "{ran:?}");
}

#[test]
fn enabling_tells_what_of_the_repositorys_own_configuration_is_used_from_then_on() {
    let mut world = World::new(&["ada"], Way::Counted);
    let ada = &mut world.devices[0];
    ada.start();
    ada.init();
    let stand_in = ada.home.git(&["config", "core.sshCommand"]).ok().text();
    ada.home.git(&["config", "--local", "core.sshCommand", stand_in.trim()]).ok();
    ada.home.git(&["config", "--local", "credential.helper", "store"]).ok();

    let reply = ada.ctl_json(&["enable"]);

    let own = reply["projects"][0]["own_settings"].as_array().cloned().unwrap_or_default();
    let told: Vec<(&str, bool)> = own
        .iter()
        .map(|own: &Value| {
            (own["key"].as_str().unwrap_or_default(), own["agreed"] == Value::Bool(true))
        })
        .collect();
    assert_eq!(told, [("core.sshcommand", true), ("credential.helper", true)]);
    assert!(!problems(ada).iter().any(|told| told.contains("did not agree")));
}

/// Two devices of which the first has pushed a commit and saved. On the second, a program called `mine` is the ssh
/// of its repository alone.
fn a_commit_to_fetch() -> (World, String, Canaries) {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    ada.start();
    let phrase = ada.init();
    commit(ada, "pushed.txt", "of ada\n");
    git(ada, &["push", "-q", "origin", "main"]);
    let mut writer = ada.writer(1);
    save(ada, &mut writer);
    bob.start();
    bob.join(&phrase);
    let stand_in = git(bob, &["config", "core.sshCommand"]);
    let canaries = Canaries::new(bob);
    let mine = canaries.program("mine", &format!("exec {} \"$@\"", stand_in.trim()));
    git(bob, &["config", "--local", "core.sshCommand", &mine]);
    (world, writer.session().to_owned(), canaries)
}

/// Plants programs that git would run in a fetch by the remote's address, and in one beside another's objects.
fn plant_for_a_fetch(device: &Device, canaries: &Canaries) {
    let url = git(device, &["remote", "get-url", "--push", "origin"]);
    let there = canaries.program("uploadpack", "exec git-upload-pack \"$@\"");
    git(device, &["config", &format!("remote.{}.uploadpack", url.trim()), &there]);
    git(device, &["config", "core.alternateRefsCommand", &canaries.program("alternate", "exit 0")]);
    let other = device.home.root().join("other.git");
    let place = other.to_str().expect("the tests' paths are text");
    git(device, &["clone", "-q", "--bare", ".", place]);
    let alternates = device.home.project().join(".git/objects/info/alternates");
    files::write(&alternates, format!("{place}/objects\n"));
}

#[test]
fn missing_commits_are_fetched_with_the_ssh_of_the_repository_that_was_agreed_to() {
    let (mut world, session, canaries) = a_commit_to_fetch();
    let (ada, bob) = world.pair();
    git(bob, &["config", "--global", "--unset", "core.sshCommand"]);
    bob.ctl(&["enable"]).ok();
    plant_for_a_fetch(bob, &canaries);
    files::remove_file(&canaries.ran_file());

    bob.ctl(&["resume", &session]).ok();
    assert_eq!(seen(bob), seen(ada));
    bob.ctl(&["resume", "--pull", &session]).ok();
    let ran = canaries.ran();
    assert!(!ran.is_empty() && ran.iter().all(|name| name == "mine"), "{ran:?}");
}

#[test]
fn what_the_repository_names_and_nobody_agreed_to_fetches_no_commits() {
    let (mut world, session, canaries) = a_commit_to_fetch();
    let (_, bob) = world.pair();
    plant(bob, bob.home.project(), &canaries);
    let before = git(bob, &["rev-parse", "HEAD"]);

    let run = bob.ctl(&["resume", &session]).ok();
    let said =
        "its own git configuration says something that you did not agree to: core.sshcommand";
    assert!(run.errors().contains("NOT THE SAME CODE") && run.errors().contains(said), "{run}");
    assert!(run.errors().contains("run `convosyncctl enable` there if it is yours"), "{run}");
    let run = bob.ctl(&["resume", "--pull", &session]);
    assert!(run.status.code() == Some(NEEDS_DECISION) && run.errors().contains(said), "{run}");
    assert_eq!(canaries.ran(), Vec::<String>::new());
    assert_eq!(git(bob, &["rev-parse", "HEAD"]), before);
    assert!(!bob.home.project().join("pushed.txt").exists());
}
