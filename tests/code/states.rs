//! Builds repositories in every state that `docs/code-state.md` names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use convosync_tests::{files, program};
use tempfile::TempDir;

/// A bare remote and two clones of it, `a` and `b`, under one temporary home.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    /// Makes the remote with two commits on `main`, and both clones.
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let settings = "[user]\n\tname = Ada\n\temail = ada@example.invalid\n[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";
        files::write(&place.path(".gitconfig"), settings);
        place.run("", &["init", "-q", "--bare", "remote.git"]);
        place.run("", &["init", "-q", "seed"]);
        place.write("seed/README", "hello\n");
        place.write("seed/src/main.txt", lines(200));
        place.write("seed/src/lib.txt", lines(30));
        place.write("seed/old/gone.txt", "to be deleted\n");
        place.program("seed/run.sh", "#!/bin/sh\nexit 0\n");
        place.link("seed/link", "README");
        place.run("seed", &["add", "."]);
        place.run("seed", &["commit", "-q", "-m", "first"]);
        place.write("seed/README", "hello again\n");
        place.run("seed", &["commit", "-q", "-am", "second"]);
        place.run("seed", &["push", "-q", "../remote.git", "main"]);
        for clone in ["a", "b"] {
            place.run("", &["clone", "-q", "remote.git", clone]);
        }
        place
    }

    /// Where something lies.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(below)
    }

    /// The home of both clones.
    pub(crate) fn home(&self) -> PathBuf {
        self.path("")
    }

    /// Runs git as the user would; whether it succeeds is the caller's matter.
    pub(crate) fn try_git(&self, below: &str, args: &[impl AsRef<OsStr>]) -> program::Run {
        self.feed(below, args, b"")
    }

    /// Runs git as the user would, with these bytes as its input.
    pub(crate) fn feed(
        &self,
        below: &str,
        args: &[impl AsRef<OsStr>],
        stdin: &[u8],
    ) -> program::Run {
        let mut command = program::command("git");
        command.current_dir(self.path(below)).env("HOME", self.path("")).env("LC_ALL", "C");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_EDITOR", "true").args(args);
        program::run(&mut command, stdin, program::DEADLINE)
    }

    /// Runs git as the user would; it must succeed. Returns what it printed.
    #[track_caller]
    pub(crate) fn git(&self, below: &str, args: &[impl AsRef<OsStr>]) -> Vec<u8> {
        self.try_git(below, args).ok().stdout
    }

    /// Runs git as the user would; it must succeed. Returns what it printed, as a line.
    #[track_caller]
    pub(crate) fn run(&self, below: &str, args: &[&str]) -> String {
        self.try_git(below, args).ok().text()
    }

    /// Writes a file.
    pub(crate) fn write(&self, below: &str, bytes: impl AsRef<[u8]>) {
        files::write(&self.path(below), bytes);
    }

    /// Writes a file whose name may be any bytes.
    pub(crate) fn write_named(&self, folder: &str, name: &[u8], bytes: impl AsRef<[u8]>) {
        files::write(&self.path(folder).join(OsStr::from_bytes(name)), bytes);
    }

    /// Writes a file that may be executed.
    pub(crate) fn program(&self, below: &str, text: &str) {
        files::write_program(&self.path(below), text);
    }

    /// Makes a symbolic link.
    pub(crate) fn link(&self, below: &str, target: &str) {
        symlink(target, self.path(below)).unwrap();
    }

    /// Makes a directory.
    pub(crate) fn folder(&self, below: &str) {
        files::make_dir(&self.path(below));
    }

    /// Makes a pipe.
    pub(crate) fn pipe(&self, below: &str) {
        let mut command = program::command("mkfifo");
        program::run(command.arg(self.path(below)), b"", program::DEADLINE).ok();
    }

    /// Removes a file or a link.
    pub(crate) fn remove(&self, below: &str) {
        files::remove_file(&self.path(below));
    }

    /// Sets the mode of a file.
    pub(crate) fn mode(&self, below: &str, mode: u32) {
        set_mode(&self.path(below), mode);
    }

    /// Reads a file.
    pub(crate) fn read(&self, below: &str) -> Vec<u8> {
        files::read(&self.path(below))
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Text of many lines, none of them alike.
pub(crate) fn lines(count: usize) -> String {
    (0..count).map(|line| format!("line {line} of a file that is long enough\n")).collect()
}

/// Brings clone `a` into a state.
pub(crate) type Build = fn(&Place);

/// Every state that a second clone can be brought into, by name.
pub(crate) const RESTORABLE: &[(&str, Build)] = &[
    ("clean", |_| {}),
    ("staged", staged),
    ("unstaged", unstaged),
    ("staged and unstaged", staged_and_unstaged),
    ("untracked", untracked),
    ("a folder became a file and a file a folder", swapped),
    ("deleted", deleted),
    ("renamed", renamed),
    ("unpushed", unpushed),
    ("unpushed above attributes and a submodule", unpushed_above_attributes),
    ("new branch", new_branch),
    ("detached", detached),
    ("intent to add", intent_to_add),
    ("empty directories", empty_directories),
    ("directories that deletions left empty", left_empty),
    ("unborn branch", unborn),
    ("merge with a conflict", merge_conflict),
    ("merge without a conflict", merge_clean),
    ("cherry-pick with a conflict", cherry_pick),
    ("revert with a conflict", revert),
    ("linked work tree", linked),
    ("submodule", submodule),
    ("submodule moved", submodule_moved),
    ("shallow clone", shallow),
    ("partial clone", partial),
    ("sparse checkout", sparse),
    ("filtered file without its filter", unfiltered),
    ("autocrlf", autocrlf),
    ("case-only rename", case_only),
    ("assume-unchanged and skip-worktree", flagged),
    ("ignored but tracked", ignored_but_tracked),
    ("mode changed only", mode_only),
];

/// States of which something stays behind, and is listed.
pub(crate) const PARTLY: &[(&str, Build)] = &[
    ("rebase with a conflict", rebase),
    ("submodule with changes of its own", submodule_dirty),
    ("nested repository", nested),
    ("secret files", secrets),
    ("file that is too large", too_large),
    ("pipe in the place of a file", special),
];

/// States that are not captured at all.
pub(crate) const WITHHELD: &[(&str, Build)] =
    &[("reftable", reftable), ("sha256", sha256), ("bisect", bisect)];

fn staged(place: &Place) {
    place.write("a/src/main.txt", lines(200).replace("line 7 ", "line seven "));
    place.write("a/new.txt", "new\n");
    place.git("a", &["rm", "-q", "old/gone.txt"]);
    place.git("a", &["add", "src/main.txt", "new.txt"]);
}

fn unstaged(place: &Place) {
    place.write("a/src/main.txt", lines(200).replace("line 7 ", "line seven "));
    place.mode("a/README", 0o755);
    place.mode("a/run.sh", 0o644);
    place.remove("a/link");
    place.link("a/link", "src/main.txt");
}

fn staged_and_unstaged(place: &Place) {
    let once = lines(200).replace("line 7 ", "line seven ");
    place.write("a/src/main.txt", &once);
    place.git("a", &["add", "src/main.txt"]);
    place.write("a/src/main.txt", once.replace("line 100 ", "line a hundred "));
}

fn untracked(place: &Place) {
    place.write("a/notes.txt", "notes\n");
    place.write("a/deep/down/with space.txt", "x");
    place.write("a/empty.txt", "");
    place.write_named("a", b"new\nline", "n");
    place.write_named("a", "日本語".as_bytes(), "u");
    place.write_named("a", b"raw\xff\xfe", "r");
    place.program("a/tool", "#!/bin/sh\n");
    place.link("a/dangling", "nowhere/at all");
}

fn swapped(place: &Place) {
    place.remove("a/old/gone.txt");
    std::fs::remove_dir(place.path("a/old")).unwrap();
    place.write("a/old", "a file now\n");
    place.remove("a/README");
    place.folder("a/README");
    assert_eq!(place.read("a/src/lib.txt"), lines(30).as_bytes());
    place.write("a/README/inside.txt", "x\n");
}

fn deleted(place: &Place) {
    place.remove("a/README");
    place.git("a", &["rm", "-q", "--cached", "src/lib.txt"]);
    place.git("a", &["rm", "-q", "old/gone.txt"]);
}

fn renamed(place: &Place) {
    place.git("a", &["mv", "src/main.txt", "src/moved.txt"]);
}

fn unpushed(place: &Place) {
    for round in 0..3 {
        place.write("a/src/lib.txt", format!("round {round}\n"));
        place.write(&format!("a/added/{round}.txt"), lines(round + 1));
        place.git("a", &["add", "."]);
        place.git("a", &["commit", "-q", "-m", &format!("round {round}")]);
    }
    place.write("a/src/lib.txt", "not committed\n");
}

fn unpushed_above_attributes(place: &Place) {
    with_submodule(place);
    place.write("seed/.gitattributes", "*.txt text\n");
    place.git("seed", &["add", "."]);
    place.git("seed", &["commit", "-q", "-m", "attributes"]);
    place.git("seed", &["push", "-q", "../remote.git", "main"]);
    place.git("a", &["pull", "-q"]);
    place.git("b", &["pull", "-q"]);
    unpushed(place);
}

fn new_branch(place: &Place) {
    place.git("a", &["checkout", "-q", "-b", "topic/new"]);
    place.write("a/topic.txt", "topic\n");
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "topic"]);
}

fn detached(place: &Place) {
    place.git("a", &["checkout", "-q", "--detach", "HEAD~1"]);
    place.write("a/README", "detached\n");
}

fn intent_to_add(place: &Place) {
    place.write("a/meant.txt", "meant\n");
    place.write("a/meant and gone.txt", "gone\n");
    place.git("a", &["add", "-N", "meant.txt", "meant and gone.txt"]);
    place.remove("a/meant and gone.txt");
}

fn empty_directories(place: &Place) {
    place.write("a/.gitignore", "ignored/\n");
    place.folder("a/empty");
    place.folder("a/src/inner");
    place.folder("a/new/deep/down");
    place.write("a/new/file", "x");
    place.folder("a/ignored/empty");
    place.folder("a/new/ignored/empty");
}

fn left_empty(place: &Place) {
    for name in ["deep/er/one.txt", "gone/too/two.txt", "wide/three.txt", "wide/four.txt"] {
        place.write(&format!("a/{name}"), name);
    }
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "more folders"]);
    for name in ["old/gone.txt", "deep/er/one.txt", "gone/too/two.txt", "wide/three.txt"] {
        place.remove(&format!("a/{name}"));
    }
    std::fs::remove_dir(place.path("a/gone/too")).unwrap();
    place.git("a", &["rm", "-q", "--cached", "wide/three.txt"]);
}

fn unborn(place: &Place) {
    place.git("a", &["checkout", "-q", "--orphan", "fresh"]);
    place.git("a", &["rm", "-rfq", "."]);
    place.write("a/first.txt", "first\n");
    place.git("a", &["add", "first.txt"]);
    place.write("a/second.txt", "second\n");
}

/// Makes two branches, `mine` and `theirs`, that change one line differently.
fn two_branches(place: &Place) {
    for branch in ["theirs", "mine"] {
        place.git("a", &["checkout", "-q", "-B", branch, "origin/main"]);
        place.write("a/src/lib.txt", lines(30).replace("line 3 ", branch));
        place.write(&format!("a/{branch}.txt"), branch);
        place.git("a", &["add", "."]);
        place.git("a", &["commit", "-q", "-m", branch]);
    }
}

fn merge_conflict(place: &Place) {
    two_branches(place);
    place.try_git("a", &["merge", "-q", "theirs"]).fails();
}

fn merge_clean(place: &Place) {
    two_branches(place);
    place.git("a", &["merge", "-q", "--no-commit", "--no-ff", "-s", "ours", "theirs"]);
}

fn cherry_pick(place: &Place) {
    two_branches(place);
    place.try_git("a", &["cherry-pick", "theirs"]).fails();
}

fn revert(place: &Place) {
    two_branches(place);
    place.write("a/src/lib.txt", "something else\n");
    place.git("a", &["commit", "-q", "-am", "else"]);
    place.try_git("a", &["revert", "HEAD~1"]).fails();
}

fn rebase(place: &Place) {
    two_branches(place);
    place.try_git("a", &["rebase", "-q", "theirs"]).fails();
}

fn linked(place: &Place) {
    files::rename(&place.path("a"), &place.path("a-main"));
    place.git("a-main", &["worktree", "add", "-q", "-b", "side", "../a"]);
    unstaged(place);
}

/// Adds a submodule to the remote, and brings both clones there.
pub(crate) fn with_submodule(place: &Place) {
    place.run("", &["clone", "-q", "--bare", "remote.git", "module.git"]);
    place.git("seed", &["submodule", "--quiet", "add", "../module.git", "lib/module"]);
    place.git("seed", &["commit", "-q", "-m", "module"]);
    place.git("seed", &["push", "-q", "../remote.git", "main"]);
    for clone in ["a", "b"] {
        place.git(clone, &["pull", "-q"]);
        place.git(clone, &["submodule", "--quiet", "update", "--init"]);
    }
}

fn submodule(place: &Place) {
    with_submodule(place);
    place.write("a/notes.txt", "x\n");
}

fn submodule_moved(place: &Place) {
    with_submodule(place);
    place.git("a/lib/module", &["checkout", "-q", "HEAD~1"]);
}

fn submodule_dirty(place: &Place) {
    with_submodule(place);
    place.write("a/lib/module/README", "changed inside\n");
}

fn nested(place: &Place) {
    place.run("a", &["init", "-q", "inner"]);
    place.write("a/inner/file.txt", "inner\n");
    place.folder("a/inner/empty");
    place.write("a/beside.txt", "beside\n");
}

/// Clones `a` anew.
fn clone_anew(place: &Place, args: &[&str]) {
    files::remove_tree(&place.path("a"));
    let url = format!("file://{}", place.path("remote.git").display());
    place.run("remote.git", &["config", "uploadpack.allowFilter", "true"]);
    place.run("", &[&["clone", "-q"], args, &[&url, "a"]].concat());
}

fn shallow(place: &Place) {
    clone_anew(place, &["--depth", "1"]);
    unpushed(place);
}

fn partial(place: &Place) {
    clone_anew(place, &["--filter=blob:none"]);
    unpushed(place);
}

fn sparse(place: &Place) {
    place.git("a", &["sparse-checkout", "set", "src"]);
    place.write("a/src/lib.txt", "changed\n");
}

fn unfiltered(place: &Place) {
    place.write("a/.gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    place.write(
        "a/large.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
    );
    place.git("a", &["add", "."]);
    place.git("a", &["commit", "-q", "-m", "pointers"]);
    place.git("a", &["push", "-q"]);
    place.write("a/large.bin", b"the real bytes, \0 and all");
}

fn autocrlf(place: &Place) {
    place.git("a", &["config", "core.autocrlf", "true"]);
    place.remove("a/src/lib.txt");
    place.git("a", &["checkout", "-q", "--", "src/lib.txt"]);
    let text = String::from_utf8(place.read("a/src/lib.txt")).unwrap();
    assert!(text.contains("\r\n"));
    place.write("a/src/lib.txt", text.replace("line 5 ", "line five "));
}

fn case_only(place: &Place) {
    place.git("a", &["mv", "README", "readme"]);
}

fn flagged(place: &Place) {
    place.git("a", &["update-index", "--assume-unchanged", "src/lib.txt"]);
    place.git("a", &["update-index", "--skip-worktree", "src/main.txt"]);
    place.git("a", &["update-index", "--skip-worktree", "run.sh"]);
    place.write("a/src/lib.txt", "nobody looks here\n");
    place.write("a/src/main.txt", "nor here\n");
}

fn ignored_but_tracked(place: &Place) {
    place.write("a/.gitignore", "*.log\n");
    place.write("a/kept.log", "one\n");
    place.git("a", &["add", ".gitignore"]);
    place.git("a", &["add", "-f", "kept.log"]);
    place.git("a", &["commit", "-q", "-m", "log"]);
    place.write("a/kept.log", "two\n");
    place.write("a/other.log", "not captured\n");
}

fn mode_only(place: &Place) {
    place.mode("a/README", 0o755);
    place.git("a", &["update-index", "--chmod=-x", "run.sh"]);
}

fn secrets(place: &Place) {
    place.write("a/.env", "SECRET=1\n");
    place.write("a/sub/.env.local", "SECRET=2\n");
    place.write("a/fine.txt", "fine\n");
}

fn too_large(place: &Place) {
    place.write("a/large.raw", "");
    files::truncate(&place.path("a/large.raw"), 100 << 20);
    place.write("a/fine.txt", "fine\n");
}

fn special(place: &Place) {
    place.remove("a/src/lib.txt");
    place.pipe("a/src/lib.txt");
    place.pipe("a/untracked pipe");
}

fn reftable(place: &Place) {
    files::remove_tree(&place.path("a"));
    place.run("", &["init", "-q", "--ref-format=reftable", "a"]);
}

fn sha256(place: &Place) {
    files::remove_tree(&place.path("a"));
    place.run("", &["init", "-q", "--object-format=sha256", "a"]);
}

fn bisect(place: &Place) {
    place.git("a", &["bisect", "start"]);
    place.git("a", &["bisect", "bad"]);
}
