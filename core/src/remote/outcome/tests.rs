//! What hosts answer, word for word, and what it means.

use super::*;

const REF: &str = "refs/convosync/0123456789abcdef/fedcba9876543210";

fn push(flag: char, summary: &str, stderr: &str) -> Outcome {
    let stdout = format!("To url\n{flag}\tabc:{REF}\t{summary}\nDone\n");
    of_push(Some(i32::from(flag == '!')), &stdout, stderr, REF)
}

#[test]
fn a_ref_that_moved_is_sent() {
    for (flag, summary) in [
        ('*', "[new reference]"),
        (' ', "1111111..2222222"),
        ('+', "1111111...2222222 (forced update)"),
        ('=', "[up to date]"),
        ('-', "[deleted]"),
    ] {
        let stderr = "Writing objects: 100% (9/9), 4.00 KiB | 4.00 MiB/s, done.\n";
        assert_eq!(
            push(flag, summary, stderr),
            Outcome::Sent(Traffic { sent: 4096, received: 0 }),
            "{summary}"
        );
    }
}

#[test]
fn a_ref_that_is_elsewhere_is_behind() {
    for summary in [
        "[rejected] (stale info)",
        "[rejected] (fetch first)",
        "[rejected] (non-fast-forward)",
        "[remote rejected] (failed to update ref)",
        "[remote rejected] (incorrect old value provided)",
        "[remote rejected] (cannot lock ref 'refs/convosync/x': is at a but expected b)",
        "[remote rejected] (reference already exists)",
    ] {
        assert_eq!(push('!', summary, ""), Outcome::Behind, "{summary}");
    }
}

fn check_refused(summary: &str, stderr: &str, expected: PermanentKind) {
    match push('!', summary, stderr) {
        Outcome::Permanent { kind, why } => {
            assert_eq!(kind, expected, "{summary} {stderr}");
            assert!(!why.is_empty() && !kind.hint().is_empty());
        }
        other => panic!("{summary} {stderr}: {other:?}"),
    }
}

#[test]
fn each_refusal_has_its_cause() {
    use PermanentKind::*;
    let hook = "[remote rejected] (pre-receive hook declined)";
    check_refused(hook, "remote: no reason\n", HookDeclined);
    check_refused("[remote rejected] (hook declined)", "", HookDeclined);
    check_refused(
        "[remote rejected] (push declined due to repository rule violations)",
        "remote: error: GH013: Repository rule violations found for refs/heads/x.\n",
        HookDeclined,
    );
    check_refused(
        "[remote rejected] (push declined due to repository rule violations)",
        "remote: error: GH013: Repository rule violations found.\nremote: - Push cannot contain secrets\n",
        SecretScan,
    );
    check_refused(hook, "remote: GL-HOOK-ERR: secrets detected by gitleaks\n", SecretScan);
    check_refused(
        hook,
        "remote: error: GH001: Large files detected.\nremote: error: File x is 120 MB; this exceeds GitHub's file size limit of 100 MB\n",
        TooLarge,
    );
    check_refused(hook, "remote: fatal: pack exceeds maximum allowed size\n", TooLarge);
    check_refused(
        hook,
        "remote: Your push has been rejected because this repository has exceeded its size limit of 10 GB\n",
        Quota,
    );
    check_refused(hook, "remote: disk quota exceeded for group\n", Quota);
    check_refused(hook, "remote: This repository was archived so it is read-only.\n", ReadOnly);
    check_refused("[remote rejected] (deny updating a hidden ref)", "", RefRefused);
    check_refused("[remote rejected] (funny refname)", "", RefRefused);
    check_refused(
        "[remote rejected] (prohibited by Gerrit: not permitted: create)",
        "",
        RefRefused,
    );
    check_refused(
        "[remote rejected] (you are not allowed to push this reference name)",
        "",
        RefRefused,
    );
    check_refused("[remote rejected] (something nobody ever saw)", "", RefRefused);
    check_refused("[remote rejected] (permission denied)", "", Forbidden);
    check_refused(
        hook,
        "remote: GitLab: You are not allowed to push code to protected branches on this project.\n",
        Forbidden,
    );
}

#[test]
fn what_lies_with_the_remotes_disk_or_mood_passes() {
    for summary in [
        "[remote rejected] (unpacker error)",
        "[remote rejected] (Internal Server Error)",
        "[remote rejected] (missing necessary objects)",
        "[remote failure] (remote failed to report status)",
    ] {
        let outcome = push('!', summary, "");
        assert!(matches!(outcome, Outcome::Transient { .. }), "{summary}: {outcome:?}");
    }
    let outcome = push(
        '!',
        "[remote rejected] (unpacker error)",
        "error: remote unpack failed: unpack-objects abnormal exit\nremote: fatal: write error: No space left on device\n",
    );
    assert!(matches!(outcome, Outcome::Transient { .. }), "{outcome:?}");
}

fn check(stderr: &str, expected: Option<PermanentKind>) {
    let found = match failure(stderr) {
        Failure::Permanent(kind, _) => Some(kind),
        Failure::Transient(_) => None,
    };
    assert_eq!(found, expected, "{stderr}");
    // Without a line of its own, a push means the same.
    let outcome = of_push(Some(128), "", stderr, REF);
    assert_eq!(matches!(outcome, Outcome::Permanent { .. }), expected.is_some(), "{stderr}");
}

/// What ssh and git add to whatever happened.
const LAST: &str = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n";

#[test]
fn what_passes_by_itself_is_tried_again() {
    for said in [
        "fatal: unable to access 'https://github.com/x/': Could not resolve host: github.com\n",
        "fatal: unable to access 'https://x/': Failed to connect to x port 443 after 1 ms: Couldn't connect to server\n",
        "fatal: unable to access 'https://x/': The requested URL returned error: 502\n",
        "fatal: unable to access 'https://x/': The requested URL returned error: 429\n",
        "fatal: unable to access 'https://x/': Operation too slow. Less than 1000 bytes/sec transferred the last 30 seconds\n",
        "remote: You have exceeded a secondary rate limit.\nfatal: unable to access 'https://x/': The requested URL returned error: 403\n",
        "error: RPC failed; curl 56 GnuTLS recv error (-110)\nfatal: early EOF\nfatal: fetch-pack: unexpected disconnect\n",
        "",
    ] {
        check(said, None);
    }
    for said in [
        "ssh: Could not resolve hostname x: Temporary failure in name resolution\n",
        "ssh: connect to host x port 22: Connection refused\n",
        "ssh: connect to host x port 22: No route to host\n",
        "kex_exchange_identification: Connection reset by peer\n",
        "Connection closed by 1.2.3.4 port 22\n",
    ] {
        check(&format!("{said}{LAST}"), None);
    }
}

#[test]
fn what_ssh_refuses_is_not_tried_again() {
    use PermanentKind::*;
    for (said, kind) in [
        ("git@github.com: Permission denied (publickey).\n", Login),
        (
            "sign_and_send_pubkey: signing failed for ED25519-SK \"k\" from agent: agent refused operation\ngit@x: Permission denied (publickey).\n",
            Login,
        ),
        ("Received disconnect from 1.2.3.4 port 22:2: Too many authentication failures\n", Login),
        ("Host key verification failed.\n", HostKey),
        (
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n",
            HostKey,
        ),
        ("ERROR: Repository not found.\n", NoRepository),
        ("fatal: '/srv/none.git' does not appear to be a git repository\n", NoRepository),
        (
            "remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.\n",
            NoRepository,
        ),
        ("ERROR: Permission to a/b.git denied to c.\n", Forbidden),
        ("ERROR: The key you are authenticating with has been marked as read only.\n", Forbidden),
        ("ERROR: This repository was archived so it is read-only.\n", ReadOnly),
        ("fatal: detected dubious ownership in repository at '/srv/x.git'\n", Foreign),
    ] {
        check(&format!("{said}{LAST}"), Some(kind));
    }
}

#[test]
fn what_needs_the_user_is_not_tried_again() {
    use PermanentKind::*;
    for (said, kind) in [
        ("fatal: could not read Username for 'https://x': terminal prompts disabled\n", Login),
        ("fatal: unable to get password from user\n", Login),
        (
            "remote: Invalid username or password.\nfatal: Authentication failed for 'https://x/'\n",
            Login,
        ),
        (
            "remote: Support for password authentication was removed on August 13, 2021.\nfatal: Authentication failed\n",
            Login,
        ),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 401\n", Login),
        (
            "remote: Write access to repository not granted.\nfatal: unable to access 'https://x/': The requested URL returned error: 403\n",
            Forbidden,
        ),
        (
            "error: remote unpack failed: unable to create temporary object directory\nremote: error: insufficient permission for adding an object to repository database ./objects\n",
            Forbidden,
        ),
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found\n", NoRepository),
        (
            "fatal: unable to access 'https://x/': The requested URL returned error: 404\n",
            NoRepository,
        ),
        (
            "fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate\n",
            Certificate,
        ),
        (
            "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none\n",
            Certificate,
        ),
        ("error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413\n", TooLarge),
        (
            "fatal: the receiving end does not support this repository's hash algorithm\n",
            ObjectFormat,
        ),
        ("fatal: mismatched algorithms: client sha1; server sha256\n", ObjectFormat),
        ("fatal: transport 'ext' not allowed\n", ProtocolRefused),
        ("error: Server does not allow request for unadvertised object 1111\n", IdsRefused),
        ("fatal: Server does not support shallow requests\n", PastRequired),
        ("fatal: Server does not support shallow clients\n", PastRequired),
        ("fatal: remote error: upload-pack: not our ref 1111\n", NotThere),
        ("fatal: couldn't find remote ref refs/convosync/x/y\n", NotThere),
        (
            "error: object 1111: hasDotgit: contains '.git'\nfatal: fsck error in packed object\nfatal: fetch-pack: invalid index-pack output\n",
            Damaged,
        ),
    ] {
        check(said, Some(kind));
    }
}

#[test]
fn another_refs_line_is_not_ours() {
    let stdout =
        format!("To url\n \tabc:{REF}x\tok\n!\tabc:{REF}\t[rejected] (stale info)\nDone\n");
    assert_eq!(of_push(Some(1), &stdout, "", REF), Outcome::Behind);
}

#[test]
fn a_success_without_an_exit_code_of_0_is_none() {
    let stdout = format!("To url\n \tabc:{REF}\t1..2\nDone\n");
    assert!(matches!(of_push(None, &stdout, "", REF), Outcome::Transient { .. }));
}
