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
            Outcome::Sent(Sent { traffic: Traffic { sent: 4096, received: 0 }, moved_to: None }),
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
fn what_a_fetch_is_refused_has_its_cause() {
    use PermanentKind::*;
    for (said, kind) in [
        ("fatal: '/srv/none.git' does not appear to be a git repository\n", NoRepository),
        ("fatal: detected dubious ownership in repository at '/srv/x.git'\n", Foreign),
        ("fatal: unable to get password from user\n", Login),
        (
            "error: remote unpack failed: unable to create temporary object directory\nremote: error: insufficient permission for adding an object to repository database ./objects\n",
            Forbidden,
        ),
        (
            "fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate\n",
            Certificate,
        ),
        (
            "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none\n",
            Certificate,
        ),
        (
            "fatal: unable to access 'https://x/': SSL: certificate subject name (git.test) does not match target host name 'x'\n",
            Certificate,
        ),
        (
            "fatal: unable to access 'https://x/': SSL: no alternative certificate subject name matches target host name 'x'\n",
            Certificate,
        ),
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

/// One answer of `answers.txt`.
struct Answer<'a> {
    name: &'a str,
    expected: &'a str,
    summary: Option<&'a str>,
    said: String,
}

fn answers() -> Vec<Answer<'static>> {
    let mut answers: Vec<Answer<'_>> = Vec::new();
    for line in include_str!("answers.txt").lines() {
        if let Some((name, expected)) = line.strip_prefix("= ").and_then(|it| it.split_once(": ")) {
            answers.push(Answer { name, expected, summary: None, said: String::new() });
        } else if let Some(answer) = answers.last_mut().filter(|_| !line.starts_with('#')) {
            match line.strip_prefix("! ") {
                Some(summary) => answer.summary = Some(summary),
                None => answer.said += &format!("{line}\n"),
            }
        }
    }
    answers
}

#[test]
fn each_answer_of_the_hosts_has_its_cause() {
    let answers = answers();
    for Answer { name, expected, summary, said } in &answers {
        let outcome = match summary {
            Some(summary) => push('!', summary, said),
            None => of_push(Some(128), "", said, REF),
        };
        let found = match &outcome {
            Outcome::Permanent { kind, why } => {
                assert!(!why.is_empty() && !why.contains("===") && !why.contains('\n'), "{why}");
                format!("{kind:?}")
            }
            Outcome::Transient { .. } => "passes".to_owned(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(found, *expected, "{name}: {outcome:?}");
    }
    assert!(answers.len() > 90, "the table was read");
}

#[test]
fn each_cause_has_its_own_words_and_a_way_out() {
    let kinds: std::collections::BTreeSet<PermanentKind> =
        TABLE.iter().filter_map(|(_, kind)| *kind).collect();
    let causes: std::collections::BTreeSet<&str> = kinds.iter().map(|kind| kind.cause()).collect();
    assert_eq!(causes.len(), kinds.len());
    for kind in kinds {
        assert!(!kind.hint().is_empty(), "{kind:?}");
    }
}

#[test]
fn an_address_decides_nothing() {
    for address in ["https://quota/archived.git", "git@rate:limit/gh008.git", "/srv/not-found/dmca"]
    {
        check(
            &format!("fatal: unable to access '{address}': SSL certificate problem: x\n"),
            Some(PermanentKind::Certificate),
        );
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
