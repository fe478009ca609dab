//! `save` where the disk is full, git's folder cannot be written, or the host never answers: the repository is
//! as before, or exactly as it was told.

use std::net::TcpListener;

use convosync_tests::told::{shown, told};
use convosync_tests::work::write;
use convosync_tests::world::Way;
use convosync_tests::{Device, Opened, Run, eventually, home, program, skip};

use crate::SAVED_WITHIN;
use crate::saving::git;
use crate::terminal::{Terminal, plain};

/// Everything is kept on this device, but the remote does not have it.
const KEPT_LOCALLY: i32 = 6;

/// Puts git's folder (`$1/.git`) on a disk of its own, which is full.
const FULL: &str = r#"
    mkdir "$3" && mount -t tmpfs -o size=2m,mode=0755 none "$3" && cp -a "$1/.git/." "$3" || exit 125
    mount --bind "$3" "$1/.git" || exit 125
    cat /dev/zero > "$1/.git/fill" 2>/dev/null"#;
/// Lets nobody write into git's folder.
const READ_ONLY: &str = r#"
    mount --bind "$1/.git" "$1/.git" && mount -o remount,bind,ro "$1/.git" || exit 125"#;
/// Saves (by `$2`), and says what came of it.
const SAVE: &str = r#"
    seen() { git rev-parse HEAD; git --no-optional-locks status --porcelain; git ls-files --stage; ls "$1/.git"; }
    seen "$1" > "$3.before"
    "$2" save "never"; echo "exit $?"
    seen "$1" > "$3.after"
    cmp "$3.before" "$3.after" && echo "as before""#;
/// Makes room, and saves again.
const AGAIN: &str = r#"
    rm "$1/.git/fill"; "$2" save "with room" && git fsck --strict && git log -1 --format=%s"#;

/// Runs scripts in file systems of their own; `None` where that cannot be.
fn in_own_disks(ada: &Device, scripts: &[&str]) -> Option<Run> {
    let Some(flags) = home::unshare_flags() else {
        skip::report("`unshare -m` is not allowed here");
        return None;
    };
    let mut command = ada.home.command("unshare");
    command.args([flags, "--", "sh", "-c", &scripts.join("\n"), "sh"]);
    command.arg(ada.home.project()).arg(program::binary("convosyncctl"));
    command.arg(ada.home.root().join("side"));
    let run = program::run(&mut command, b"", program::DEADLINE);
    assert_ne!(run.status.code(), Some(125), "{run}");
    Some(run)
}

#[test]
fn on_a_full_disk_nothing_is_committed_and_everything_is_when_there_is_room() {
    let Opened { world, .. } = Opened::new(&["ada"], Way::File);
    let ada = &world.devices[0];
    write(ada, "README.md", "changed\n");
    let noise: String =
        (0..20_000).map(|n: u32| format!("{}\n", n.wrapping_mul(2_654_435_761))).collect();
    write(ada, "large.txt", &noise);
    let Some(run) = in_own_disks(ada, &[FULL, SAVE, AGAIN]) else { return };
    let text = run.text();
    assert!(text.contains("exit 1\nas before"), "{run}");
    assert!(run.errors().contains("o space left on device"), "{run}");
    assert!(run.errors().contains("nothing was committed"), "{run}");
    assert!(text.ends_with("with room [ConvoSync]"), "{run}");
}

#[test]
fn where_gits_folder_cannot_be_written_nothing_changes_and_it_is_told() {
    let Opened { world, .. } = Opened::new(&["ada"], Way::File);
    let ada = &world.devices[0];
    write(ada, "README.md", "changed\n");
    let Some(run) = in_own_disks(ada, &[READ_ONLY, SAVE]) else { return };
    assert!(run.text().contains("exit 1\nas before"), "{run}");
    assert!(run.errors().contains("ead-only file system"), "{run}");
    write(ada, "new", "1\n");
    let run = in_own_disks(ada, &[READ_ONLY, SAVE]).expect("as above");
    assert!(run.text().contains("exit 1\nas before"), "{run}");
    assert!(run.errors().contains("ead-only file system"), "{run}");
}

/// Has the user's own pushes go to a host that takes the connection and never answers.
fn silent_host(ada: &Device) -> TcpListener {
    let host = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let port = host.local_addr().expect("it is bound").port();
    let url = format!("http://127.0.0.1:{port}/shop.git");
    git(ada, &["remote", "set-url", "origin", &url]);
    host
}

/// The message of the only session's newest save.
fn saved_message(ada: &Device) -> String {
    ada.sessions()[0]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_host_that_never_answers_is_given_up_with_the_commit_and_the_session_kept() {
    let Opened { world, .. } = Opened::new(&["ada"], Way::File);
    let ada = &world.devices[0];
    let _host = silent_host(ada);
    ada.hold_still();
    write(ada, "README.md", "changed\n");
    let run = ada.ctl(&["save", "into silence"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ committed 1 changed file to main as [commit]: "into silence [ConvoSync]"
        ✓ saved "into silence" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl save --retry
        --- errors
        ! not pushed, kept on this device: `origin` cannot be reached: no answer within 5 s
        hint: `convosyncctl save --retry` when it can be
        --- exit code 6
        "#);
    assert_eq!(git(ada, &["log", "-1", "--format=%s"]), "into silence [ConvoSync]");
    assert_eq!(git(ada, &["status", "--porcelain"]), "");
    assert_eq!(saved_message(ada), "into silence");
}

#[test]
fn ctrl_c_ends_a_push_that_is_never_answered_and_says_what_stands() {
    let Opened { world, .. } = Opened::new(&["ada"], Way::File);
    let ada = &world.devices[0];
    let host = silent_host(ada);
    host.set_nonblocking(true).expect("it is ours");
    write(ada, "README.md", "changed\n");
    let mut terminal = Terminal::open(ada, &["save", "into silence"]);
    terminal.sees("committed 1 changed file to main");
    let _connection = eventually("git asks the host", SAVED_WITHIN, || host.accept().ok());
    terminal.types("\u{3}");
    let seen = plain(&terminal.sees("(?s)not pushed.*when it can be"));
    let begin = seen.find("! ").expect("it was seen");
    insta::assert_snapshot!(shown(&seen[begin..]), @r"
        ! not pushed, kept on this device: `origin` cannot be reached: no answer within 5 s
        hint: `convosyncctl save --retry` when it can be
        ");
    terminal.sees("convosyncctl save --retry");
    assert_eq!(terminal.ends(), KEPT_LOCALLY);
    assert_eq!(git(ada, &["log", "-1", "--format=%s"]), "into silence [ConvoSync]");
    assert_eq!(saved_message(ada), "into silence");
}
