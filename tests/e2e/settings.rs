//! What a person told git about a remote is what the daemon goes by: each test takes away all other ways,
//! shows with plain git that the remote is out of reach, and then says one thing.

use convosync_tests::forward::Proxy;
use convosync_tests::sshd;
use convosync_tests::web;
use convosync_tests::world::Way;
use convosync_tests::{Home, Opened, World, files, program, skip};

/// Makes a device that reaches the remote by `way`, or reports the running test as skipped.
fn world(way: Way) -> Option<World> {
    if let Some(program) = way.missing() {
        skip::report(&format!("`{program}` is not installed"));
        return None;
    }
    Some(World::new(&["ada"], way))
}

fn set(home: &Home, key: &str, value: &str) {
    home.git(&["config", "--global", "--add", key, value]).ok();
}

fn unset(home: &Home, key: &str) {
    home.git(&["config", "--global", "--unset-all", key]).ok();
}

/// Where the remote listens for this device, as `127.0.0.1:port`.
fn place(home: &Home) -> String {
    let relay = home.relay().expect("the way is a real one");
    format!("127.0.0.1:{}", relay.port())
}

/// Panics when plain git reaches the remote, which is then no proof of anything.
#[track_caller]
fn assert_out_of_reach(home: &Home) {
    let mut git = home.command("git");
    git.args(["ls-remote", "--quiet", "origin"]).env("GIT_TERMINAL_PROMPT", "0");
    program::run(git.env("GIT_SSH_VARIANT", "ssh"), b"", program::DEADLINE).fails();
}

/// Takes something away, gives something else, and lets the daemon save a conversation.
#[track_caller]
fn check(way: Way, take: impl FnOnce(&mut World), give: impl FnOnce(&mut World)) {
    let Some(mut world) = world(way) else { return };
    take(&mut world);
    assert_out_of_reach(&world.devices[0].home);
    give(&mut world);
    let Opened { world, .. } = Opened::of(world);
    let refs = world.remote.refs();
    assert!(refs.iter().any(|(name, _)| name.contains("convosync/")), "{refs:?}");
}

/// Forgets the login.
fn take_login(world: &mut World) {
    unset(&world.devices[0].home, "credential.helper");
}

fn login(world: &mut World) -> String {
    let home = world.devices[0].home.clone();
    format!("{}:{}", home.user(), world.host.web().password(&home))
}

#[test]
fn a_credential_helper_that_is_a_program_is_asked() {
    check(Way::Https, take_login, |world| {
        let login = login(world);
        let (user, password) = login.split_once(':').expect("both");
        let home = &world.devices[0].home;
        let helper = home.dir().join("bin/helper");
        let answer = format!(
            "#!/bin/sh\ntest \"$1\" = get && printf 'username={user}\\npassword={password}\\n'\n"
        );
        files::write_program(&helper, &answer);
        set(home, "credential.helper", &helper.display().to_string());
    });
}

#[test]
fn a_credential_helper_of_one_host_is_asked_after_the_list_was_emptied() {
    check(
        Way::Https,
        |world| {
            take_login(world);
            set(
                &world.devices[0].home,
                "credential.helper",
                "!echo username=nobody; echo password=x #",
            );
        },
        |world| {
            let home = &world.devices[0].home;
            let key = format!("credential.https://{}.helper", place(home));
            let store = home.dir().join(".git-credentials");
            set(home, &key, "");
            set(home, &key, &format!("store --file '{}'", store.display()));
        },
    );
}

#[test]
fn a_header_of_the_users_own_is_sent() {
    check(Way::Https, take_login, |world| {
        let encoded = base64(&login(world));
        let home = &world.devices[0].home;
        let key = format!("http.https://{}/.extraHeader", place(home));
        set(home, &key, &format!("Authorization: Basic {encoded}"));
    });
}

fn base64(text: &str) -> String {
    let mut openssl = program::command("openssl");
    openssl.args(["base64", "-A"]);
    program::run(&mut openssl, text.as_bytes(), program::DEADLINE).ok().text()
}

/// Moves a setting from the user's file into another one, which nothing includes yet.
fn move_away(home: &Home, keys: &[&str]) {
    let other = home.dir().join("work.gitconfig").display().to_string();
    for key in keys {
        let value = home.git(&["config", "--global", key]).ok().text();
        unset(home, key);
        home.git(&["config", "--file", &other, key, &value]).ok();
    }
}

#[test]
fn what_the_users_file_includes_counts() {
    check(
        Way::Https,
        |world| move_away(&world.devices[0].home, &["credential.helper", "http.sslCAInfo"]),
        |world| set(&world.devices[0].home, "include.path", "work.gitconfig"),
    );
}

#[test]
fn what_is_included_for_the_projects_folder_only_counts() {
    check(
        Way::Ssh,
        |world| move_away(&world.devices[0].home, &["core.sshCommand"]),
        |world| {
            let home = &world.devices[0].home;
            let above = home.project().parent().expect("a project lies in a folder");
            let key = format!("includeIf.gitdir:{}/.path", above.display());
            set(home, &key, "work.gitconfig");
        },
    );
}

#[test]
fn what_is_included_for_the_remotes_address_only_counts() {
    check(
        Way::Ssh,
        |world| move_away(&world.devices[0].home, &["core.sshCommand"]),
        |world| {
            let key = format!("includeIf.hasconfig:remote.*.url:ssh://{}/**.path", sshd::HOST);
            set(&world.devices[0].home, &key, "work.gitconfig");
        },
    );
}

#[test]
fn the_users_own_ssh_command_is_run() {
    check(
        Way::Ssh,
        |world| unset(&world.devices[0].home, "core.sshCommand"),
        |world| {
            let home = &world.devices[0].home;
            let config = home.dir().join(".ssh/config");
            let tunnel = home.dir().join("bin/tunnel");
            let words = format!("#!/bin/sh\nexec ssh -F '{}' \"$@\"\n", config.display());
            files::write_program(&tunnel, &words);
            set(home, "core.sshCommand", &tunnel.display().to_string());
            set(home, "ssh.variant", "ssh");
        },
    );
}

#[test]
fn an_ssh_that_keeps_its_connection_open_holds_nothing_up() {
    let Some(world) = world(Way::Ssh) else { return };
    let folder = world.devices[0].home.dir().join(".ssh");
    let settings = String::from_utf8(files::read(&folder.join("config"))).expect("it is text");
    let shared = format!(
        "{settings}  ControlMaster auto\n  ControlPath {}/c\n  ControlPersist 5\n",
        folder.display()
    );
    files::write(&folder.join("config"), shared);
    drop(Opened::of(world));
}

#[test]
fn an_address_in_short_is_written_out() {
    check(
        Way::Ssh,
        |world| {
            let short = format!("work:{}", world.remote.dir().display());
            world.devices[0].home.git(&["remote", "set-url", "origin", &short]).ok();
        },
        |world| {
            let key = format!("url.ssh://{}/.insteadOf", sshd::HOST);
            set(&world.devices[0].home, &key, "work:/");
        },
    );
}

#[test]
fn an_address_is_written_out_once() {
    check(
        Way::Https,
        |world| {
            let home = &world.devices[0].home;
            let key = format!("url.https://{}/.insteadOf", place(home));
            unset(home, &key);
        },
        |world| {
            // Applied to its own result, this would lead to another path each time.
            let home = &world.devices[0].home;
            let login = home.user();
            set(home, &format!("url.https://{login}@{}/.insteadOf", place(home)), web::HOST);
            set(home, "url.https://127.0.0.1:9/.insteadOf", &format!("https://{login}@"));
        },
    );
}

#[test]
fn an_address_for_pushes_only_is_used() {
    check(
        Way::Ssh,
        |world| {
            let away = format!("https://127.0.0.1:9{}", world.remote.dir().display());
            world.devices[0].home.git(&["remote", "set-url", "origin", &away]).ok();
        },
        |world| {
            let key = format!("url.ssh://{}/.pushInsteadOf", sshd::HOST);
            set(&world.devices[0].home, &key, "https://127.0.0.1:9/");
        },
    );
}

#[test]
fn a_push_address_of_the_remote_is_used_as_it_stands() {
    check(
        Way::Ssh,
        |world| {
            let away = format!("https://127.0.0.1:9{}", world.remote.dir().display());
            world.devices[0].home.git(&["remote", "set-url", "origin", &away]).ok();
        },
        |world| {
            let url = world.host.url(&world.remote);
            let home = &world.devices[0].home;
            home.git(&["remote", "set-url", "--push", "origin", &url]).ok();
            // Git leaves an explicit push address alone.
            set(home, "url.https://127.0.0.1:9/.pushInsteadOf", &format!("ssh://{}/", sshd::HOST));
        },
    );
}

#[test]
fn the_remote_of_our_own_configuration_may_be_written_in_short() {
    check(
        Way::Ssh,
        |world| {
            let device = &world.devices[0];
            device.home.git(&["remote", "set-url", "origin", "https://127.0.0.1:9/app.git"]).ok();
            let short = format!("remote = \"mine:{}\"", world.remote.dir().display());
            let config = files::read(&device.home.convosync_dir().join("config.toml"));
            let config = String::from_utf8(config).expect("it is text");
            let config = config.replace("[store]\n", &format!("[store]\n{short}\n"));
            files::write(&device.home.convosync_dir().join("config.toml"), config);
        },
        |world| {
            let key = format!("url.ssh://{}/.insteadOf", sshd::HOST);
            set(&world.devices[0].home, &key, "mine:/");
        },
    );
}

#[test]
fn the_remote_one_pushes_to_by_default_is_used() {
    check(
        Way::Ssh,
        |world| {
            let home = &world.devices[0].home;
            home.git(&["remote", "rename", "origin", "fork"]).ok();
            home.git(&["remote", "add", "origin", "https://127.0.0.1:9/app.git"]).ok();
        },
        |world| {
            let home = &world.devices[0].home;
            home.git(&["config", "remote.pushDefault", "fork"]).ok();
        },
    );
}

/// Makes the remote's address a name that resolves nowhere: only a proxy leads there.
fn behind_a_proxy(world: &mut World) {
    let login = login(world);
    let home = &world.devices[0].home;
    let (_, port) =
        place(home).split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("both");
    unset(home, &format!("url.https://{}/.insteadOf", place(home)));
    let store = home.dir().join(".git-credentials");
    files::append(&store, format!("https://{login}@git.test:{port}\n").as_bytes());
    let url = format!("https://git.test:{port}/app.git");
    home.git(&["remote", "set-url", "origin", &url]).ok();
}

#[test]
fn a_proxy_of_the_configuration_is_used() {
    let proxy = Proxy::start(None);
    let url = proxy.url("");
    check(Way::Https, behind_a_proxy, |world| set(&world.devices[0].home, "http.proxy", &url));
    assert!(
        skipped(Way::Https) || proxy.asked().iter().all(|asked| asked.starts_with("git.test:"))
    );
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let proxy = Proxy::start(None);
    let url = proxy.url("");
    check(Way::Https, behind_a_proxy, |world| world.devices[0].home.export("https_proxy", &url));
    assert!(skipped(Way::Https) || !proxy.asked().is_empty());
}

#[test]
fn a_proxy_that_wants_a_login_gets_it() {
    let line = format!("Proxy-Authorization: Basic {}", base64("me:open sesame"));
    let proxy = Proxy::start(Some(&line));
    let url = proxy.url("me:open%20sesame@");
    check(Way::Https, behind_a_proxy, |world| set(&world.devices[0].home, "http.proxy", &url));
}

#[test]
fn a_proxy_for_one_host_is_used_for_that_host() {
    let proxy = Proxy::start(None);
    let url = proxy.url("");
    check(Way::Https, behind_a_proxy, |world| {
        let home = &world.devices[0].home;
        set(home, "http.proxy", "http://127.0.0.1:9");
        set(home, "http.https://git.test.proxy", "http://127.0.0.1:9");
        let (_, port) =
            place(home).split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("both");
        set(home, &format!("http.https://git.test:{port}/.proxy"), &url);
    });
}

#[test]
fn what_needs_no_proxy_goes_without() {
    check(
        Way::Https,
        |world| world.devices[0].home.export("https_proxy", "http://127.0.0.1:9"),
        |world| world.devices[0].home.export("no_proxy", "127.0.0.1"),
    );
}

fn skipped(way: Way) -> bool {
    way.missing().is_some()
}
