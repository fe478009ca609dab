//! Commits and pushes by a real git.

use std::path::PathBuf;

use super::*;
use crate::code::Guard;
use crate::commit::{Done, Stays, by_itself, look, plan};
use crate::config::Autosave;
use crate::git::sandbox::Sandbox;
use crate::project::{self, Project};

struct Stage {
    sandbox: Sandbox,
    project: Project,
    guard: Guard,
    variables: BTreeMap<OsString, OsString>,
    scratch: PathBuf,
}

impl Stage {
    /// A repository with a remote, and a secret that is tracked.
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.write(
            ".gitconfig",
            "[user]\nname = Test\nemail = test@example.org\n[protocol \"file\"]\nallow = always\n",
        );
        sandbox.bare("remote.git");
        let root = sandbox.repository("r");
        sandbox.write("r/.env", "TOKEN=1\n");
        sandbox.run("r", &["add", ".env"]);
        sandbox.run("r", &["commit", "-q", "-m", "a secret"]);
        sandbox.run("r", &["remote", "add", "origin", "../remote.git"]);
        sandbox.run("r", &["push", "-q", "origin", "main"]);
        sandbox.run("r", &["fetch", "-q"]);
        let project = project::discover(&root, &sandbox.git).unwrap();
        let home = sandbox.home();
        let guard = Guard::new(&root, &home, &[], &[]);
        let mut variables: BTreeMap<OsString, OsString> =
            [("HOME", home.as_os_str()), ("GIT_CONFIG_SYSTEM", "/dev/null".as_ref())]
                .map(|(name, value)| (name.into(), value.to_owned()))
                .into();
        variables.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
        let scratch = sandbox.path("scratch");
        Self { sandbox, project, guard, variables, scratch }
    }

    fn site(&self) -> Site<'_> {
        Site { project: &self.project, git: &self.sandbox.git, guard: &self.guard }
    }

    fn hands(&self) -> Hands<'_> {
        Hands {
            site: self.site(),
            variables: &self.variables,
            scratch: &self.scratch,
            is_attended: false,
            alone: None,
        }
    }

    fn plan(&self) -> Plan {
        plan(&look(&self.site()).unwrap().unwrap(), true).unwrap()
    }

    fn commit(&self) -> Committed {
        self.hands().commit(&self.plan(), "work").unwrap()
    }

    /// The index as git lists it, with all flags, and the short status.
    fn seen(&self) -> [String; 2] {
        [
            self.sandbox.run("r", &["ls-files", "--stage", "-v"]),
            self.sandbox.run("r", &["status", "--porcelain", "--untracked-files=all"]),
        ]
    }

    fn work(&self) {
        for (path, text) in [
            ("r/file", "two\n"),
            ("r/new file", "new\n"),
            ("r/d/:(top)x*", "odd\n"),
            ("r/key.pem", "k"),
        ] {
            self.sandbox.write(path, text);
        }
    }
}

#[test]
fn everything_is_committed_but_secrets_and_they_stay_as_they_are() {
    let stage = Stage::new();
    stage.work();
    stage.sandbox.write("r/.env", "TOKEN=2\n");
    assert!(matches!(stage.commit(), Committed::Done(_)));
    assert_eq!(stage.seen()[1], " M .env\n?? key.pem");
    assert_eq!(stage.sandbox.run("r", &["show", "HEAD:.env"]), "TOKEN=1");
    assert_eq!(stage.sandbox.run("r", &["show", "HEAD:d/:(top)x*"]), "odd");
    assert!(std::fs::read_dir(&stage.scratch).unwrap().next().is_none());
}

#[test]
fn a_staged_secret_stays_staged_and_out_of_the_commit() {
    let stage = Stage::new();
    stage.work();
    stage.sandbox.write("r/.env", "TOKEN=2\n");
    stage.sandbox.run("r", &["add", ".env", "key.pem"]);
    assert!(matches!(stage.commit(), Committed::Done(_)));
    assert_eq!(stage.seen()[1], "M  .env\nA  key.pem");
    assert_eq!(stage.plan().manner, None);
}

#[test]
fn a_hook_that_fails_leaves_the_index_as_it_was() {
    let stage = Stage::new();
    stage.work();
    stage.sandbox.write("r/staged", "half");
    stage.sandbox.run("r", &["add", "staged"]);
    stage.sandbox.write("r/staged", "whole");
    let before = stage.seen();
    for hook in ["pre-commit", "commit-msg", "prepare-commit-msg"] {
        let path = format!("r/.git/hooks/{hook}");
        stage.sandbox.script(&path, "exit 1");
        assert_eq!(stage.commit(), Committed::Refused(None), "{hook}");
        assert_eq!(stage.seen(), before, "{hook}");
        disk::remove_file(&stage.sandbox.path(&path)).unwrap();
    }
    stage.sandbox.run("r", &["config", "commit.gpgSign", "true"]);
    stage.sandbox.run("r", &["config", "gpg.program", "/nowhere"]);
    assert_eq!(stage.commit(), Committed::Refused(None));
    assert_eq!(stage.seen(), before, "signing");
}

#[test]
fn an_index_that_cannot_be_locked_is_left_as_it_was() {
    let stage = Stage::new();
    stage.work();
    let (before, plan) = (stage.seen(), stage.plan());
    let lock = stage.sandbox.write("r/.git/index.lock", "");
    let error = stage.hands().commit(&plan, "work").unwrap_err();
    assert!(error.to_string().contains("index.lock"), "{error}");
    disk::remove_file(&lock).unwrap();
    assert_eq!(stage.seen(), before);
}

#[test]
fn a_branch_is_pushed_to_where_git_would_push_it_and_never_by_force() {
    let stage = Stage::new();
    stage.sandbox.run("r", &["config", "remote.origin.push", "+refs/heads/*:refs/heads/*"]);
    stage.work();
    stage.commit();
    let way = stage.hands().way("main", "origin", None).unwrap();
    assert_eq!((way.shown().as_str(), way.is_first), ("origin/main", true));
    assert_eq!(stage.hands().push(&way).unwrap(), Pushed::Done);
    assert_eq!(
        stage.sandbox.run("r", &["rev-parse", "--abbrev-ref", "@{upstream}"]),
        "origin/main"
    );

    stage.sandbox.run("", &["clone", "-q", "remote.git", "other"]);
    stage.sandbox.write("other/theirs", "x");
    stage.sandbox.run("other", &["add", "."]);
    stage.sandbox.run("other", &["commit", "-q", "-m", "theirs"]);
    stage.sandbox.run("other", &["push", "-q", "origin", "HEAD:main"]);
    let theirs = stage.sandbox.run("remote.git", &["rev-parse", "main"]);
    stage.sandbox.write("r/file", "three\n");
    stage.commit();
    assert_eq!(stage.hands().push(&way).unwrap(), Pushed::Behind);
    assert_eq!(stage.sandbox.run("remote.git", &["rev-parse", "main"]), theirs);
}

#[test]
fn commits_that_hold_secrets_are_not_pushed() {
    let stage = Stage::new();
    stage.sandbox.write("r/.env", "TOKEN=2\n");
    stage.sandbox.run("r", &["commit", "-q", "-a", "-m", "oops"]);
    let way = stage.hands().way("main", "origin", None).unwrap();
    let guarded = vec![RepoPath::new(".env").unwrap()];
    assert_eq!(stage.hands().push(&way).unwrap(), Pushed::Guarded(guarded));
}

#[test]
fn what_refuses_a_push_is_told_apart() {
    let stage = Stage::new();
    stage.work();
    stage.commit();
    let way = stage.hands().way("main", "origin", None).unwrap();
    stage.sandbox.script("r/.git/hooks/pre-push", "exit 1");
    assert_eq!(stage.hands().push(&way).unwrap(), Pushed::Refused(None));
    stage.sandbox.run("r", &["remote", "set-url", "origin", "http://127.0.0.1:1/x.git"]);
    let pushed = stage.hands().push(&way).unwrap();
    assert!(matches!(pushed, Pushed::Unreachable(_)), "{pushed:?}");
}

/// Commits by itself on `branch`, with two seconds for everything.
fn alone(stage: &Stage) -> Result<Done, Stays> {
    const WITHIN: Duration = Duration::from_secs(2);
    let alone = Some(Alone { commit: WITHIN, push: WITHIN });
    let hands = Hands { alone, ..stage.hands() };
    by_itself(&hands, &Autosave::default(), "wip", "[C]", (0, 0))
}

#[test]
fn a_hook_that_never_ends_is_ended_and_leaves_no_lock() {
    let stage = Stage::new();
    stage.sandbox.run("r", &["switch", "-q", "-c", "wip"]);
    stage.sandbox.write("r/new", "1\n");
    stage.sandbox.script("r/.git/hooks/pre-commit", "exec sleep 600");
    let before = stage.sandbox.run("r", &["rev-parse", "HEAD"]);
    let stays = alone(&stage).unwrap_err();
    assert!(stays.to_string().contains("`git commit`: no end after 2 s"), "{stays}");
    assert!(!stage.sandbox.path("r/.git/index.lock").exists());
    let status = stage.sandbox.run("r", &["status", "--porcelain"]);
    assert_eq!((stage.sandbox.run("r", &["rev-parse", "HEAD"]), &*status), (before, "?? new"));
}

#[test]
fn a_signature_that_waits_for_a_passphrase_ends_and_changes_nothing() {
    let stage = Stage::new();
    stage.sandbox.run("r", &["switch", "-q", "-c", "wip"]);
    stage.sandbox.write("r/new", "1\n");
    stage.sandbox.run("r", &["config", "commit.gpgSign", "true"]);
    let gpg = stage.sandbox.path("gpg");
    stage.sandbox.run("r", &["config", "gpg.program", gpg.to_str().unwrap()]);
    let before = stage.sandbox.run("r", &["rev-parse", "HEAD"]);
    let unchanged = || {
        assert!(!stage.sandbox.path("r/.git/index.lock").exists());
        let status = stage.sandbox.run("r", &["status", "--porcelain"]);
        assert_eq!(
            (&stage.sandbox.run("r", &["rev-parse", "HEAD"]), &*status),
            (&before, "?? new")
        );
    };
    stage.sandbox.script("gpg", "exec sleep 600");
    let stays = alone(&stage).unwrap_err();
    assert!(stays.to_string().contains("`git commit`: no end after 2 s"), "{stays}");
    unchanged();
    // As it says where there is no terminal to ask at.
    stage.sandbox.script("gpg", "echo \"gpg: no pinentry${GPG_TTY:+ at $GPG_TTY}\" >&2; exit 2");
    let stays = alone(&stage).unwrap_err();
    assert!(
        matches!(&stays, Stays::NotCommitted { said } if said.contains("no pinentry")),
        "{stays}"
    );
    assert!(!stays.to_string().contains(" at "), "{stays}");
    unchanged();
}

#[test]
fn what_would_ask_somebody_fails_and_changes_nothing() {
    let stage = Stage::new();
    stage.sandbox.run("r", &["switch", "-q", "-c", "wip"]);
    stage.sandbox.write("r/new", "1\n");
    stage.sandbox.script(
        "r/.git/hooks/pre-commit",
        "echo $GIT_TERMINAL_PROMPT $SSH_ASKPASS_REQUIRE >&2; test -t 0",
    );
    let stays = alone(&stage).unwrap_err();
    assert!(matches!(&stays, Stays::NotCommitted { said } if said == "0 never"), "{stays}");
    assert_eq!(stage.sandbox.run("r", &["status", "--porcelain"]), "?? new");
    stage.sandbox.script("r/.git/hooks/pre-commit", "exit 0");
    let done = alone(&stage).unwrap();
    assert!(done.commit.is_some() && done.is_pushed);
    assert_eq!(alone(&stage).unwrap(), Done::default(), "nothing is new");
}

#[test]
fn a_branch_that_was_deleted_at_the_remote_is_not_brought_back() {
    let stage = Stage::new();
    stage.sandbox.run("r", &["switch", "-q", "-c", "wip"]);
    stage.sandbox.write("r/new", "1\n");
    alone(&stage).unwrap();
    stage.sandbox.run("remote.git", &["branch", "-q", "-D", "wip"]);
    stage.sandbox.write("r/new", "2\n");
    let stays = alone(&stage).unwrap_err();
    assert!(matches!(stays, Stays::Gone { .. }), "{stays}");
    assert_eq!(stage.sandbox.run("r", &["status", "--porcelain"]), " M new");
}

#[test]
fn a_commit_that_is_not_pushed_is_told_as_it_stands() {
    let stage = Stage::new();
    stage.sandbox.run("r", &["switch", "-q", "-c", "wip"]);
    stage.sandbox.write("r/new", "1\n");
    stage.sandbox.script("r/.git/hooks/pre-push", "echo not today >&2; exit 1");
    let stays = alone(&stage).unwrap_err();
    let commit = stage.sandbox.run("r", &["rev-parse", "HEAD"]);
    let said =
        format!("committed as {}, but not pushed: git or a hook refused: not today", &commit[..12]);
    assert_eq!(stays.to_string(), said);
    assert!(stays.hint().unwrap().contains("save --retry"));
    let stays = alone(&stage).unwrap_err();
    assert!(stays.to_string().starts_with("commits of before are not pushed: "), "{stays}");
    stage.sandbox.script("r/.git/hooks/pre-push", "exit 0");
    assert!(alone(&stage).unwrap().is_pushed);
}

/// `git switch -c wip origin/main` follows `main`, and is pushed under its own name: nothing was deleted there.
#[test]
fn a_branch_that_follows_another_one_is_pushed_under_its_own_name() {
    let stage = Stage::new();
    stage.sandbox.run("r", &["switch", "-q", "-c", "wip", "origin/main"]);
    stage.sandbox.write("r/new", "1\n");
    let main = stage.sandbox.run("remote.git", &["rev-parse", "main"]);
    let done = alone(&stage).unwrap();
    assert!(done.is_pushed);
    let at = |branch| stage.sandbox.run("remote.git", &["rev-parse", branch]);
    assert_eq!((at("wip"), at("main")), (done.commit.unwrap().to_string(), main));
}
