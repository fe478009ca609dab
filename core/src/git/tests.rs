//! Git's children: what they hear of us, and what ends them.

use super::sandbox::{gone, write_program};
use super::*;
use std::time::Instant;

fn real() -> Git {
    Git::find(None, &|name| std::env::var_os(name)).unwrap()
}

/// A program that poses as git: `version` answers well, all else runs `script`.
fn posing(dir: &Path, script: &str) -> Git {
    let path = dir.join("git");
    let version = "if [ \"$1\" = version ]; then echo git version 2.47.3; exit; fi";
    write_program(&real(), &path, &format!("{version}\n{script}"));
    Git::find(Some(&path), &|name| std::env::var_os(name)).unwrap()
}

fn check_version(text: &str, expected: Option<(u32, u32)>) {
    assert_eq!(
        Version::parse(text),
        expected.map(|(major, minor)| Version { major, minor }),
        "{text}"
    );
}

#[test]
fn a_version_is_read_with_whatever_vendors_add() {
    check_version("git version 2.47.3\n", Some((2, 47)));
    check_version("git version 2.39.5 (Apple Git-154)\n", Some((2, 39)));
    check_version("git version 2.34\n", Some((2, 34)));
    check_version("git version 3.0-rc1\n", Some((3, 0)));
    check_version("hg 1.2\n", None);
    check_version("", None);
}

#[test]
fn an_old_git_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("git");
    write_program(&real(), &path, "echo git version 2.33.8");

    let error = Git::find(Some(&path), &|name| std::env::var_os(name)).unwrap_err();

    assert!(
        matches!(error, GitError::TooOld { found: Version { major: 2, minor: 33 }, .. }),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("2.34"));
}

#[test]
fn a_missing_git_is_named() {
    let error = Git::find(Some(Path::new("/nowhere/git")), &|_| None).unwrap_err();
    assert!(matches!(error, GitError::Missing { place: Some(_) }), "{error}");
    let error = Git::find(None, &|_| None).unwrap_err();
    assert!(matches!(error, GitError::Missing { place: None }), "{error}");
}

#[test]
fn a_child_hears_of_no_git_variable_of_ours_and_of_no_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let git = {
        posing(dir.path(), "env");
        Git::find(Some(&dir.path().join("git")), &|name| match name {
            "GIT_DIR" | "GIT_INDEX_FILE" | "GIT_SSH_COMMAND" | "SSH_ASKPASS" | "LANGUAGE" => {
                Some("inherited".into())
            }
            _ => std::env::var_os(name),
        })
        .unwrap()
    };

    let output = git.command().arg("anything").run().unwrap();

    let env = String::from_utf8(output.stdout).unwrap();
    assert!(!env.contains("inherited"), "{env}");
    for line in [
        "LC_ALL=C",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_OPTIONAL_LOCKS=0",
        "GIT_ALLOW_PROTOCOL=none",
        "SSH_ASKPASS_REQUIRE=never",
    ] {
        assert!(env.lines().any(|other| other == line), "{line} in {env}");
    }
}

#[test]
fn hardening_comes_after_whatever_is_handed_over() {
    let command = real()
        .command()
        .config("core.hooksPath", "/tmp/evil")
        .config("gc.auto", "1")
        .args(["config", "--get", "core.hooksPath"]);
    assert_eq!(command.run().unwrap().stdout, b"/dev/null\n");
}

#[test]
fn a_failing_child_is_an_answer() {
    let output = real()
        .command()
        .args(["rev-parse", "--no-such-option-at-all", "--verify"])
        .dir(Path::new("/"))
        .run()
        .unwrap();
    assert!(!output.success());
    assert!(!output.stderr.is_empty());
}

#[test]
fn standard_input_reaches_the_child() {
    let output =
        real().command().args(["hash-object", "--stdin"]).stdin(b"hello\n".to_vec()).run().unwrap();
    assert_eq!(output.stdout, b"ce013625030ba8dba906f756967f9e9ca394464a\n");
}

#[test]
fn a_flood_of_output_ends_the_child() {
    let dir = tempfile::tempdir().unwrap();
    let git = posing(dir.path(), "yes");
    let error = git.command().arg("flood").stdout_limit(100_000).run().unwrap_err();
    assert!(matches!(error, GitError::TooMuchOutput { limit: 100_000, .. }), "{error}");
}

#[test]
fn a_flood_of_messages_keeps_only_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let git = posing(dir.path(), "yes noise | head -c 3000000 >&2; echo the reason >&2; exit 3");
    let output = git.command().arg("flood").run().unwrap();
    assert_eq!(output.code, Some(3));
    assert!(output.stderr.ends_with("the reason\n") && output.stderr.len() <= 64 << 10);
}

#[test]
#[cfg(target_os = "linux")]
fn a_hanging_child_dies_at_its_deadline_with_all_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let git = posing(dir.path(), "sleep 98761 & sleep 98761");
    for network in [false, true] {
        let command = git.command().arg("hang").deadline(Duration::from_millis(200));
        let command = if network { command.network("https") } else { command };
        let error = command.run().unwrap_err();
        assert!(matches!(error, GitError::Deadline { .. }), "{error}");
        assert!(gone("98761"));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_child_that_says_nothing_any_more_dies_before_its_deadline_and_one_that_speaks_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let git = posing(
        dir.path(),
        "case $1 in mute) echo so far >&2; sleep 98764;;
        *) for word in 1 2 3 4 5 6; do sleep 0.4; echo $word >&2; done;; esac",
    );
    let silence = Duration::from_millis(1500);
    let patient = |what: &str| git.command().arg(what).network("https").silence(silence);

    let error = patient("mute").run().unwrap_err();
    assert!(matches!(error, GitError::Deadline { after, .. } if after == silence), "{error}");
    assert!(gone("98764"));
    assert!(patient("speak").run().unwrap().success());
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_child_leaves_running_is_ended_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let git = posing(dir.path(), "sleep 98762 & echo done");
    let started = Instant::now();
    let output = git.command().arg("leave").run().unwrap();
    assert_eq!(output.stdout, b"done\n");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(gone("98762"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_child_on_the_network_dies_with_us() {
    // The parent stands for our own process: it starts a child with the same watcher, then is killed.
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = dir.path().display();
    posing(dir.path(), &format!("touch {place}/started; sleep 98763; exit"));
    let script = format!(
        "mkfifo {place}/pipe
        setsid sh -c '(sh -c \"$0\" <{place}/pipe) & exec {place}/git wait' '{}' & exec 9>{place}/pipe
        until [ -e {place}/started ]; do :; done; kill -KILL $$",
        command::WATCH
    );

    let output = posing(other.path(), &script).command().arg("parent").run().unwrap();

    assert_eq!(output.signal, Some(9), "{output:?}");
    assert!(gone("98763"));
}

#[test]
fn no_file_grows_beyond_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let git = posing(dir.path(), "head -c 1000000 /dev/zero > \"$2\"");
    let file = dir.path().join("big");
    let output = git.command().arg("write").arg(&file).file_size_limit(100_000).run().unwrap();
    assert!(!output.success());
    assert!(std::fs::metadata(&file).unwrap().len() <= 100_352);
}

#[test]
fn a_lent_agent_is_used_only_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, lent) = (dir.path().join("ours"), dir.path().join("lent"));
    std::fs::File::options().create_new(true).write(true).open(&lent).unwrap();
    let path = std::env::var_os("PATH");
    let find = |own: bool| {
        let env = |name: &str| match name {
            "PATH" => path.clone(),
            "SSH_AUTH_SOCK" => own.then(|| ours.clone().into_os_string()),
            _ => None,
        };
        Git::find(None, &env).unwrap()
    };
    let agent_of = |git: &Git| git.variable("SSH_AUTH_SOCK").map(PathBuf::from);
    assert_eq!(agent_of(&find(false).with_agent(&lent, false)), Some(lent.clone()));
    assert_eq!(agent_of(&find(true).with_agent(&lent, false)), Some(lent.clone()), "ours is gone");
    std::fs::File::options().create_new(true).write(true).open(&ours).unwrap();
    assert_eq!(agent_of(&find(true).with_agent(&lent, false)), Some(ours.clone()));
    assert_eq!(agent_of(&find(true).with_agent(&lent, true)), Some(lent.clone()), "instead");
    assert_eq!(agent_of(&find(false).with_agent(&dir.path().join("nowhere"), true)), None);
}
