//! A test that goes on in a process of its own: with file systems that only it sees, or as another user.

use std::ffi::OsStr;
use std::time::Duration;

use convosync_tests::{home, program, skip};

/// How long a test may go on in a process of its own: the longest takes half a minute on a quiet machine.
const ENDS_WITHIN: Duration = Duration::from_secs(300);

/// Set in the process in which a test goes on.
const INSIDE: &str = "CONVOSYNC_TEST_GOES_ON";

/// Whether this is the process in which the test goes on.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Lets the test of this name go on in a process that is started through these words.
pub(crate) fn go_on<W: AsRef<OsStr>>(test: &str, words: &[W], variables: &[(&str, &OsStr)]) {
    let exe = std::env::current_exe().unwrap();
    let mut line = words.iter().map(AsRef::as_ref).chain([exe.as_os_str()]);
    let mut command = program::inheriting(line.next().unwrap());
    command.args(line);
    command.args(["--exact", "--nocapture", "--test-threads=1", test]).env(INSIDE, "1");
    command.envs(variables.iter().copied());
    let run = program::run(&mut command, b"", ENDS_WITHIN).ok();
    assert!(run.text().contains("1 passed"), "there is a test `{test}`\n{run}");
}

/// Returns `true` in a process whose file systems nobody else sees, in which the test then goes on, and
/// `false` in the one before, which has nothing more to do.
pub(crate) fn has_own_disks(test: &str) -> bool {
    if is_inside() {
        return true;
    }
    match home::unshare_flags() {
        Some(flags) => go_on(test, &["unshare", flags, "--"], &[]),
        None => skip::report("`unshare -m` is not allowed here"),
    }
    false
}

/// Returns `true` in a process whose temporary files are in memory, where the test goes on, and `false` in
/// the one before. Where there is no such thing, the test goes on at once: it only takes longer.
pub(crate) fn is_in_memory(test: &str) -> bool {
    const SCRIPT: &str =
        r#"mount -t tmpfs none "$1" || exit; TMPDIR=$1; export TMPDIR; shift; exec "$@""#;
    let Some(flags) = home::unshare_flags().filter(|_| !is_inside()) else { return true };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    go_on(test, &["unshare", flags, "--", "sh", "-c", SCRIPT, "sh", path], &[]);
    false
}

/// Mounts something in this process's own file systems.
pub(crate) fn mount(args: &[&OsStr]) {
    let mut command = program::command("mount");
    program::run(command.args(args), b"", program::DEADLINE).ok();
}
