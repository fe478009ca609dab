//! Repositories of every shape, read by real git and left as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::git::sandbox::Sandbox;
use crate::id::Oid;
use crate::seal::CodePoint;

fn find(sandbox: &Sandbox, below: &str) -> Project {
    discover(&sandbox.path(below), &sandbox.git).unwrap()
}

fn point(sandbox: &Sandbox, below: &str) -> CodePoint {
    code_point(&find(sandbox, below), &sandbox.git).unwrap().unwrap()
}

fn head(sandbox: &Sandbox, below: &str) -> String {
    sandbox.run(below, &["rev-parse", "HEAD"])
}

#[test]
fn a_repository_is_found_from_below_and_named_after_its_remotes() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("work");
    sandbox.write("work/src/deep/file", "x");
    for (name, url) in [
        ("origin", "https://github.com/Upstream/App.git"),
        ("fork", "git@github.com:me/app.git"),
        ("zeta", "/srv/zeta.git"),
    ] {
        sandbox.run("work", &["remote", "add", name, url]);
    }
    sandbox.run("work", &["config", "branch.main.pushRemote", "fork"]);

    let project = find(&sandbox, "work/src/deep");

    let git_dir = Some(root.join(".git"));
    let ids = ["github.com/me/app", "github.com/upstream/app", "file:/srv/zeta"]
        .map(str::to_owned)
        .to_vec();
    let push_url = Some("git@github.com:me/app.git".to_owned());
    assert_eq!(
        project,
        Project {
            root,
            git_dir: git_dir.clone(),
            common_dir: git_dir,
            ids,
            push_url,
            name: "app".to_owned()
        }
    );
}

#[test]
fn includes_and_rewritten_addresses_count_as_git_resolves_them() {
    let sandbox = Sandbox::new();
    sandbox.repository("work/app");
    sandbox.write(
        ".gitconfig",
        format!(
            "[includeIf \"gitdir:{}/\"]\n\tpath = work.config\n",
            sandbox.path("work").display()
        ),
    );
    sandbox.write("work.config", "[url \"git@host.example:\"]\n\tpushInsteadOf = https://host.example/\n[core]\n\tsshCommand = ssh -i work\n[http]\n\textraHeader = secret\n[credential]\n\thelper = store\n\thelper = cache\n");
    sandbox.run("work/app", &["remote", "add", "origin", "https://host.example/team/app"]);

    let project = find(&sandbox, "work/app");

    assert_eq!(project.push_url.as_deref(), Some("git@host.example:team/app"));
    assert_eq!(project.ids, ["host.example/team/app"]);
    let settings = settings(&project, &sandbox.git).unwrap();
    assert_eq!(settings.to_agree(), [], "the user's own files, included ones too");
    assert_eq!(settings.written_out("https://host.example/own"), "git@host.example:own");
    let settings = settings.with(&BTreeSet::new());
    let value = |key: &str| {
        settings
            .0
            .iter()
            .filter(|(other, _)| other == key)
            .map(|(_, value)| value.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(value("core.sshcommand"), ["ssh -i work"]);
    assert_eq!(value("credential.helper"), ["store", "cache"]);
    assert_eq!(value("http.extraheader"), ["secret"]);
    assert_eq!(
        value("url.git@host.example:.pushinsteadof"),
        Vec::<&str>::new(),
        "git would do it again"
    );
    assert_eq!(value("remote.origin.url"), Vec::<&str>::new());
}

#[test]
fn what_a_repository_itself_says_counts_only_where_the_user_agreed() {
    let sandbox = Sandbox::new();
    sandbox.repository("app");
    sandbox.write(".gitconfig", "[credential]\n\thelper = mine\n");
    sandbox.write("app/evil.config", "[core]\n\tsshCommand = evil\n");
    sandbox.run("app", &["config", "include.path", "../evil.config"]);
    sandbox.run("app", &["config", "extensions.worktreeConfig", "true"]);
    sandbox.run("app", &["config", "--worktree", "credential.https://h.example.helper", "evil"]);
    sandbox.run("app", &["config", "http.postBuffer", "1000"]);
    sandbox.run("app", &["config", "url.https://evil.example/.insteadOf", "https://mine.example/"]);

    let settings = settings(&find(&sandbox, "app"), &sandbox.git).unwrap();

    let own = settings.to_agree();
    let keys: Vec<&str> = own.iter().map(|own| own.key.as_str()).collect();
    assert_eq!(keys, ["core.sshcommand", "credential.https://h.example.helper"]);
    let has = |agreed: &[&OwnSetting], key: &str, value: &str| {
        let agreed = agreed.iter().map(|own| own.digest()).collect();
        settings.with(&agreed).0.contains(&(key.to_owned(), value.to_owned()))
    };
    assert_eq!(settings.written_out("https://mine.example/own"), "https://mine.example/own");
    assert!(has(&[], "credential.helper", "mine"));
    assert!(has(&[], "http.postbuffer", "1000"));
    assert!(!has(&[], "core.sshcommand", "evil"));
    assert!(!has(&[], "credential.https://h.example.helper", "evil"));
    assert!(has(&[&own[0]], "core.sshcommand", "evil"));
    assert!(!has(&[&own[0]], "credential.https://h.example.helper", "evil"));
    let changed = OwnSetting { value: "other".to_owned(), ..own[0].clone() };
    assert!(!has(&[&changed], "core.sshcommand", "evil"), "the value is agreed to, not the key");
}

#[test]
fn settings_without_a_repository_are_the_users_own() {
    let sandbox = Sandbox::new();
    sandbox.write(".gitconfig", "[credential]\n\thelper = store\n");
    fs::create_dir(sandbox.path("plain")).unwrap();
    let settings = settings(&find(&sandbox, "plain"), &sandbox.git).unwrap().with(&BTreeSet::new());
    assert!(settings.0.contains(&("credential.helper".to_owned(), "store".to_owned())));
}

#[test]
fn without_a_remote_the_first_commit_names_the_repository() {
    let sandbox = Sandbox::new();
    sandbox.repository("work");
    let first = head(&sandbox, "work");
    sandbox.write("work/file", "two\n");
    sandbox.run("work", &["commit", "-qam", "second"]);
    let project = find(&sandbox, "work");
    assert_eq!(project.ids, [format!("root:{first}")]);
    assert_eq!((project.name.as_str(), project.push_url), ("work", None));
}

#[test]
fn without_history_or_repository_the_place_below_home_is_the_name() {
    let sandbox = Sandbox::new();
    sandbox.run("", &["init", "-q", "code/unborn"]);
    fs::create_dir(sandbox.path("notes")).unwrap();
    sandbox.repository("long");
    sandbox.run(
        "",
        &[
            "clone",
            "-q",
            "--depth=1",
            &format!("file://{}", sandbox.path("long").display()),
            "shallow",
        ],
    );
    sandbox.run("shallow", &["remote", "remove", "origin"]);

    assert_eq!(find(&sandbox, "code/unborn").ids, ["dir:code/unborn"]);
    assert_eq!(find(&sandbox, "shallow").ids, ["dir:shallow"]);
    let plain = find(&sandbox, "notes");
    assert_eq!(
        (plain.ids, plain.name.as_str(), plain.git_dir),
        (vec!["dir:notes".to_owned()], "notes", None)
    );
    let outside = discover(Path::new("/"), &sandbox.git).unwrap();
    assert_eq!((outside.ids, outside.name.as_str()), (vec!["dir:/".to_owned()], "/"));
}

#[test]
fn a_directory_that_is_gone_belongs_to_its_living_ancestors_repository() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("work");
    assert_eq!(find(&sandbox, "work/.claude/worktrees/gone").root, root);
    let nowhere = find(&sandbox, "never/was");
    assert_eq!(
        (nowhere.root, nowhere.ids),
        (sandbox.path("never/was"), vec!["dir:never/was".to_owned()])
    );
}

#[test]
fn linked_work_trees_and_submodules_are_known_for_what_they_are() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("work");
    sandbox.repository("library");
    sandbox.run("work", &["remote", "add", "origin", "https://host/app"]);
    sandbox.run("work", &["worktree", "add", "-q", "-b", "side", "../side"]);
    sandbox.run(
        "work",
        &["submodule", "--quiet", "add", &sandbox.path("library").display().to_string(), "lib"],
    );
    sandbox.run("work", &["commit", "-qm", "submodule"]);

    let side = find(&sandbox, "side");
    assert_eq!(side.root, sandbox.path("side"));
    assert_eq!(side.git_dir, Some(root.join(".git/worktrees/side")));
    assert_eq!(side.common_dir, Some(root.join(".git")));
    assert_eq!(side.ids, ["host/app"]);
    assert_eq!(point(&sandbox, "side").branch.as_deref(), Some("side"));
    let module = find(&sandbox, "work/lib");
    assert_eq!(
        (module.root, module.git_dir),
        (root.join("lib"), Some(root.join(".git/modules/lib")))
    );

    // Edits inside of a submodule are its own; another commit checked out there is ours too.
    assert!(!point(&sandbox, "work").dirty);
    sandbox.write("work/lib/file", "changed\n");
    assert!(!point(&sandbox, "work").dirty);
    assert!(point(&sandbox, "work/lib").dirty);
    sandbox.run("work/lib", &["commit", "-qam", "ahead"]);
    assert!(point(&sandbox, "work").dirty);
}

#[test]
fn a_bare_repository_has_no_code_point() {
    let sandbox = Sandbox::new();
    let bare = sandbox.bare("bare.git");
    let project = find(&sandbox, "bare.git");
    assert_eq!(project.git_dir, Some(bare));
    assert_eq!(code_point(&project, &sandbox.git).unwrap(), None);
    fs::create_dir(sandbox.path("plain")).unwrap();
    assert_eq!(code_point(&find(&sandbox, "plain"), &sandbox.git).unwrap(), None);
}

#[test]
fn formats_libgit2_does_not_know_are_read_all_the_same() {
    for (name, option) in
        [("reftable", "--ref-format=reftable"), ("sha256", "--object-format=sha256")]
    {
        let sandbox = Sandbox::new();
        sandbox.run("", &["init", "-q", option, name]);
        sandbox.write(&format!("{name}/file"), "one\n");
        sandbox.run(name, &["add", "."]);
        sandbox.run(name, &["commit", "-qm", "first"]);

        let id = head(&sandbox, name);
        assert_eq!(find(&sandbox, name).ids, [format!("root:{id}")]);
        let point = point(&sandbox, name);
        assert_eq!((point.branch.as_deref(), point.dirty), (Some("main"), false));
        assert_eq!(point.commit, id.parse::<Oid>().ok(), "{name}");
    }
}

#[test]
fn a_code_point_says_where_the_code_stands() {
    let sandbox = Sandbox::new();
    sandbox.bare("remote.git");
    sandbox.run("", &["init", "-q", "work"]);
    let unborn = point(&sandbox, "work");
    assert_eq!(
        (unborn.branch.as_deref(), unborn.commit, unborn.dirty),
        (Some("main"), None, false)
    );

    sandbox.write("work/file", "one\n");
    assert!(point(&sandbox, "work").dirty);
    sandbox.run("work", &["add", "."]);
    sandbox.run("work", &["commit", "-qm", "first"]);
    sandbox.run("work", &["remote", "add", "origin", "../remote.git"]);
    sandbox.run("work", &["push", "-q", "-u", "origin", "main"]);
    let clean = point(&sandbox, "work");
    assert_eq!(clean.commit, head(&sandbox, "work").parse().ok());
    assert_eq!((clean.upstream.as_deref(), clean.dirty), (Some("origin/main"), false));

    sandbox.run("work", &["checkout", "-q", "--detach"]);
    assert_eq!(point(&sandbox, "work").branch, None);
}

/// A status takes part in the same second as an edit, and still sees it.
#[test]
fn whatever_changes_the_code_changes_the_fingerprint() {
    let sandbox = Sandbox::new();
    sandbox.repository("work");
    let mut last = point(&sandbox, "work").fingerprint;
    assert_eq!(point(&sandbox, "work").fingerprint, last);
    let mut check = |what: &str| {
        let now = point(&sandbox, "work").fingerprint;
        assert_ne!(now, last, "{what}");
        assert_eq!(point(&sandbox, "work").fingerprint, now, "{what}");
        last = now;
    };

    sandbox.write("work/file", "edited\n");
    check("an edit");
    sandbox.write("work/file", "edited again\n");
    check("an edit of an edited file");
    sandbox.write("work/new/deep/file", "new");
    check("a new file");
    sandbox.write("work/new/deep/file", "more");
    check("an edit of a new file");
    sandbox.run("work", &["add", "file"]);
    check("staging");
    sandbox.run("work", &["commit", "-qm", "second"]);
    check("a commit");
    sandbox.run("work", &["checkout", "-qb", "other"]);
    check("a branch");
    fs::remove_file(sandbox.path("work/file")).unwrap();
    check("a deletion");
}

#[test]
fn what_git_ignores_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.repository("work");
    sandbox.write("work/.git/info/exclude", "target\n");
    let before = point(&sandbox, "work");
    sandbox.write("work/target/big", "x");
    assert_eq!(point(&sandbox, "work"), before);
}

#[test]
fn paths_of_any_bytes_are_read() {
    let sandbox = Sandbox::new();
    sandbox.repository("work");
    for name in ["with space", "with\nnewline", "-dash", "ünï", "\"quoted\""] {
        sandbox.write(&format!("work/{name}"), "x");
    }
    let before = point(&sandbox, "work").fingerprint;
    sandbox.write("work/with\nnewline", "longer");
    assert_ne!(point(&sandbox, "work").fingerprint, before);
}

/// Every file below a directory: content, time and inode.
fn everything(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, i64, i64, u64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        found.insert(path.clone(), (content, meta.mtime(), meta.mtime_nsec(), meta.ino()));
        if meta.is_dir() {
            found.extend(everything(&path));
        }
    }
    found
}

#[test]
fn reading_changes_not_a_byte_and_not_a_time_of_the_repository() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("work");
    sandbox.run("work", &["remote", "add", "origin", "https://host/app"]);
    sandbox.write("work/file", "other\n");
    // The index is older than the file and its stamps are stale: git would love to refresh it.
    sandbox.write("work/touched", "same\n");
    sandbox.run("work", &["add", "touched"]);
    sandbox.write("work/touched", "same\n");
    let before = everything(&root);

    let project = find(&sandbox, "work");
    settings(&project, &sandbox.git).unwrap();
    point(&sandbox, "work");
    fs::File::create_new(root.join(".git/index.lock")).unwrap();
    point(&sandbox, "work");
    fs::remove_file(root.join(".git/index.lock")).unwrap();

    let without_time_of = |mut all: BTreeMap<PathBuf, (Vec<u8>, i64, i64, u64)>| {
        // Our own lock above touched this directory.
        all.remove(&root.join(".git"));
        all
    };
    assert_eq!(without_time_of(everything(&root)), without_time_of(before));
}

#[test]
fn no_program_the_repository_names_is_run() {
    let sandbox = Sandbox::new();
    sandbox.repository("work");
    let ran = sandbox.path("ran");
    let canary = sandbox
        .script("canary", &format!("echo \"$0 $@\" >> {}; cat", ran.display()))
        .display()
        .to_string();
    for hook in [
        "post-index-change",
        "reference-transaction",
        "pre-auto-gc",
        "fsmonitor-watchman",
        "post-checkout",
    ] {
        sandbox.script(
            &format!("work/.git/hooks/{hook}"),
            &format!("echo {hook} >> {}", ran.display()),
        );
        sandbox.script(&format!("hooks/{hook}"), &format!("echo {hook} >> {}", ran.display()));
    }
    let hooks = sandbox.path("hooks").display().to_string();
    let keys = [
        "core.fsmonitor",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.process.process",
        "filter.with.dot.clean",
        "diff.external",
        "diff.evil.textconv",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "credential.helper",
        "core.askPass",
        "gpg.program",
        "core.alternateRefsCommand",
    ];
    for name in ["next", "last"] {
        sandbox.write(&format!("work/{name}"), "one\n");
    }
    sandbox.run("work", &["add", "."]);
    for key in keys {
        sandbox.run("work", &["config", key, &canary]);
    }
    sandbox.run("work", &["config", "filter.evil.required", "true"]);
    sandbox.run("work", &["config", "core.hooksPath", &hooks]);
    sandbox.write(
        "work/.gitattributes",
        "file filter=evil diff=evil\nnext filter=process\nlast filter=with.dot\n",
    );
    // Of the same length as before, so that only reading the files tells, which is what filters are for.
    for (name, text) in [("next", "two\n"), ("last", "two\n"), ("file", "new\n"), ("next", "new\n")]
    {
        sandbox.write(&format!("work/{name}"), text);
    }
    fs::remove_file(&ran).ok();

    let point = point(&sandbox, "work");
    settings(&find(&sandbox, "work"), &sandbox.git).unwrap();

    assert!(point.dirty);
    assert!(!ran.exists(), "{}", fs::read_to_string(&ran).unwrap());
}

#[test]
fn a_repository_git_cannot_read_is_an_error_with_a_way_out() {
    let sandbox = Sandbox::new();
    sandbox.repository("work");
    sandbox.write("work/.git/config", "[core]\n\trepositoryformatversion = 99\n");
    let error = discover(&sandbox.path("work"), &sandbox.git).unwrap_err();
    assert!(matches!(error, ProjectError::Unreadable { .. }), "{error}");
    assert!(error.hint().unwrap().contains("status"));
}

#[test]
fn the_heads_of_all_work_trees_are_told_with_their_moves_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("work");
    let first: Oid = head(&sandbox, "work").parse().unwrap();
    sandbox.run("work", &["switch", "-q", "-c", "topic"]);
    sandbox.run("work", &["commit", "-q", "--allow-empty", "-m", "second"]);
    let second: Oid = head(&sandbox, "work").parse().unwrap();
    sandbox.run("work", &["worktree", "add", "-q", "-b", "aside", "../linked", "main"]);
    let before = everything(&root);

    let stands = |tree: &crate::context::Tree| {
        let stand = |one: &crate::context::Move| {
            (one.stand.branch.clone().unwrap_or_default(), one.stand.commit.unwrap())
        };
        tree.moves.all().iter().map(stand).collect::<Vec<_>>()
    };
    let of = |branch: &str, commit| (branch.to_owned(), commit);
    let own = vec![of("main", first), of("topic", first), of("topic", second)];
    for (below, other) in [("work", "linked"), ("linked", "work")] {
        let trees = trees(&find(&sandbox, below));
        let roots: Vec<_> = trees.iter().map(|tree| tree.root.clone()).collect();
        assert_eq!(roots, [sandbox.path(below), sandbox.path(other)]);
        let (work, linked) = if below == "work" { (0, 1) } else { (1, 0) };
        assert_eq!(stands(&trees[work]), own);
        assert_eq!(stands(&trees[linked]), [of("aside", first)]);
    }
    assert_eq!(everything(&root), before);
}

#[test]
fn a_reflog_that_is_gone_or_no_file_tells_no_moves() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("work");
    let reflog = root.join(".git/logs/HEAD");
    fs::remove_file(&reflog).unwrap();
    let moves = |sandbox: &Sandbox| trees(&find(sandbox, "work"))[0].moves.clone();
    assert_eq!(moves(&sandbox), crate::context::Moves::default());
    fs::create_dir(&reflog).unwrap();
    assert_eq!(moves(&sandbox), crate::context::Moves::default());
    assert_eq!(trees(&plain(&sandbox.path("none"), &sandbox.git)), []);
}
