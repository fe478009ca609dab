//! Hosts that cannot do everything: what is found out about them, and what is done instead.

use super::*;

#[test]
fn a_host_of_the_old_protocol_is_fetched_whole() {
    let sandbox = Sandbox::new();
    let (url, one, commits) = filled(&sandbox, 3, 3);
    let two = Device::new(&sandbox, 2);
    let old = GitSettings(vec![("protocol.version".to_owned(), "0".to_owned())]);
    let theirs = Remote::new(&sandbox.git, &two.store, &old, &url, VAULT).unwrap();
    assert!(!sandbox.path("device-2/full.git").exists());

    let traffic = theirs.fetch_session(name(1), commits[0], &one.reference(), None).unwrap();

    assert!(traffic.received > 27_000, "{traffic:?}");
    assert!(sandbox.path("device-2/full.git").exists() && two.store.has_commit(commits[0]));
    let error = theirs.fetch_session(name(0), Oid([9; 20]), &one.reference(), None).unwrap_err();
    assert!(matches!(error, RemoteError::Gone { .. }), "{error:?}");
}

#[test]
fn a_probe_pushes_reads_back_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    let one = Device::new(&sandbox, 1);

    let probe = remote(&sandbox, &one, &url).probe(&mut SeededRandom::new(1)).unwrap();

    assert_eq!(probe, Probe { kind: RefKind::Custom, refused: None, left_behind: None });
    assert_eq!(refs_of(&sandbox, "remote.git"), "");
}

#[test]
fn a_host_that_hides_our_refs_is_found_out() {
    for (key, why) in [
        ("uploadpack.hideRefs", "hides"),
        ("receive.hideRefs", "hidden"),
        ("transfer.hideRefs", "hidden"),
    ] {
        let sandbox = Sandbox::new();
        let url = sandbox.bare("remote.git").display().to_string();
        sandbox.run("remote.git", &["config", key, "refs/convosync"]);
        let one = Device::new(&sandbox, 1);

        let probe = remote(&sandbox, &one, &url).probe(&mut SeededRandom::new(1)).unwrap();

        assert_eq!(probe.kind, RefKind::Branch, "{key}");
        assert!(probe.refused.as_ref().unwrap().contains(why), "{key}: {probe:?}");
        assert_eq!(refs_of(&sandbox, "remote.git"), "", "{key}");
    }
}

#[test]
fn a_host_that_takes_only_branches_gets_branches() {
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    sandbox.script(
        "remote.git/hooks/update",
        "case $1 in refs/heads/*) exit 0;; esac; echo 'only branches here' >&2; exit 1",
    );
    let one = Device::new(&sandbox, 1);

    let probe = remote(&sandbox, &one, &url).probe(&mut SeededRandom::new(1)).unwrap();

    assert_eq!(probe.kind, RefKind::Branch);
    assert!(probe.refused.unwrap().contains("only branches here"));
    assert_eq!(refs_of(&sandbox, "remote.git"), "");
}

#[test]
fn a_host_that_takes_nothing_says_why() {
    let sandbox = Sandbox::new();
    let url = sandbox.bare("remote.git").display().to_string();
    sandbox.script("remote.git/hooks/pre-receive", "echo 'closed on sundays' >&2; exit 1");
    let one = Device::new(&sandbox, 1);
    let error = remote(&sandbox, &one, &url).probe(&mut SeededRandom::new(1)).unwrap_err();
    assert!(
        matches!(&error, RemoteError::Permanent { kind: PermanentKind::RefRefused, why } if why.contains("sundays")),
        "{error:?}"
    );
}
