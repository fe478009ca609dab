//! What a remote refuses, does not have, or never answers.

use super::*;

#[test]
fn a_commit_the_remote_does_not_have_is_gone() {
    let sandbox = Sandbox::new();
    let (url, one, _) = filled(&sandbox, 1, 1);
    let two = Device::new(&sandbox, 2);
    let error = remote(&sandbox, &two, &url)
        .fetch_session(name(0), Oid([9; 20]), &one.reference(), None)
        .unwrap_err();
    assert!(matches!(error, RemoteError::Gone { .. }), "{error:?}");
}

#[test]
fn a_stale_lease_means_behind_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let (url, mut one, commits) = filled(&sandbox, 1, 2);
    let there = one.store.own_tip(&one.reference()).unwrap();
    let (_, tip) = one.save(name(0), Some(commits[0]), 3, 100);
    let ours = remote(&sandbox, &one, &url);

    for lease in [None, Some(commits[0]), Some(tip)] {
        assert_eq!(ours.push(&one.reference(), tip, lease), Outcome::Behind, "{lease:?}");
        assert_eq!(ours.read_back(&one.reference()).unwrap(), there);
    }
    sent(ours.push(&one.reference(), tip, there));
    assert_eq!(ours.read_back(&one.reference()).unwrap(), Some(tip));
    // Said once more, it is there already.
    assert_eq!(sent(ours.push(&one.reference(), tip, Some(tip))).sent, 0);
}

#[test]
fn a_hooks_refusal_is_permanent_and_its_words_are_harmless() {
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    sandbox.script(
        "remote.git/hooks/pre-receive",
        "printf 'no \\033[31mred\\033[0m\\007 things \\342\\200\\256here\\n' >&2; exit 1",
    );
    let mut one = Device::new(&sandbox, 1);
    let (_, tip) = one.save(name(0), None, 1, 100);

    let outcome = remote(&sandbox, &one, &url).push(&one.reference(), tip, None);

    let Outcome::Permanent { kind: PermanentKind::HookDeclined, why } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(why.contains("no red"), "{why:?}");
    assert!(why.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{why:?}");
}

#[test]
fn a_remote_that_is_not_there_is_named_with_the_way_out() {
    let sandbox = Sandbox::new();
    let url = sandbox.path("nowhere.git").display().to_string();
    let mut one = Device::new(&sandbox, 1);
    let (_, tip) = one.save(name(0), None, 1, 100);
    let ours = remote(&sandbox, &one, &url);

    let error = ours.list().unwrap_err();
    assert!(
        matches!(error, RemoteError::Permanent { kind: PermanentKind::NoRepository, .. }),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("store.remote"));
    assert!(!error.is_transient());
    let outcome = ours.push(&one.reference(), tip, None);
    assert!(
        matches!(outcome, Outcome::Permanent { kind: PermanentKind::NoRepository, .. }),
        "{outcome:?}"
    );
}

#[test]
fn an_address_that_starts_a_program_is_refused() {
    let sandbox = Sandbox::new();
    let one = Device::new(&sandbox, 1);
    let none = GitSettings::default();
    for url in [
        "ext::sh -c touch% /tmp/x",
        "--upload-pack=touch /tmp/x",
        "-x",
        "",
        "relative/path",
        "https://a:b@",
        "fd::4",
    ] {
        let error = Remote::new(&sandbox.git, &one.store, &none, url, VAULT).unwrap_err();
        assert!(matches!(error, RemoteError::BadUrl { .. }), "{url}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_hanging_host_is_given_up_and_nothing_of_it_lives_on() {
    let sandbox = Sandbox::new();
    let mut one = Device::new(&sandbox, 1);
    let (_, tip) = one.save(name(0), None, 1, 100);
    let hang = sandbox.script("hang", "sleep 98764 & sleep 98764");
    let settings = GitSettings(vec![
        ("core.sshcommand".to_owned(), hang.display().to_string()),
        ("ssh.variant".to_owned(), "simple".to_owned()),
    ]);
    let short = Duration::from_millis(500);
    let ours = Remote::new(&sandbox.git, &one.store, &settings, "ssh://host/path", VAULT)
        .unwrap()
        .with_deadlines(short, short);

    assert!(ours.list().unwrap_err().is_transient());
    assert!(matches!(ours.push(&one.reference(), tip, None), Outcome::Transient { .. }));
    assert!(crate::git::sandbox::gone("98764"));
}

#[test]
fn the_users_ssh_command_is_honoured_and_a_refused_login_is_permanent() {
    let sandbox = Sandbox::new();
    let one = Device::new(&sandbox, 1);
    let ssh =
        sandbox.script("my-ssh", "echo 'git@host: Permission denied (publickey).' >&2; exit 255");
    let settings = GitSettings(vec![
        ("core.sshcommand".to_owned(), ssh.display().to_string()),
        ("ssh.variant".to_owned(), "simple".to_owned()),
    ]);
    let error = Remote::new(&sandbox.git, &one.store, &settings, "git@host:path", VAULT)
        .unwrap()
        .list()
        .unwrap_err();
    assert!(matches!(error, RemoteError::Permanent { kind: PermanentKind::Key, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("ssh-add"));
}

#[test]
fn nobody_is_asked_for_a_password() {
    let sandbox = Sandbox::new();
    let one = Device::new(&sandbox, 1);
    let url = refusing_web_host();
    let asked = sandbox.path("asked");
    let ask = sandbox.script("ask", &format!("touch {}", asked.display()));
    sandbox.write(".gitconfig", format!("[core]\n\taskPass = {}\n", ask.display()));

    let error = remote(&sandbox, &one, &url).list().unwrap_err();

    assert!(
        matches!(error, RemoteError::Permanent { kind: PermanentKind::Login, .. }),
        "{error:?}"
    );
    assert!(!asked.exists());
}

/// A web server that wants a login, on a port of its own; it answers a few times and is gone.
fn refusing_web_host() -> String {
    use std::io::{BufRead as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/app.git", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(3).flatten() {
            let mut stream = stream;
            let lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).find(String::is_empty);
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    url
}
