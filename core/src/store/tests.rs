//! Our own repositories: their shape, hostile contents, and a kill at any moment.

use std::fs;

use super::*;
use crate::git::sandbox::Sandbox;
use crate::git::{Git, GitError};
use crate::id::VaultId;

const FORMAT: &str = "convosync 1\n";

fn reference(device: u8) -> RefName {
    RefName::new(RefKind::Custom, VaultId([1; 8]), DeviceId([device; 8]))
}

fn store(sandbox: &Sandbox) -> Store {
    Store::open(&sandbox.path("store")).unwrap()
}

fn files(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    list.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

/// Runs git on `own.git` with nothing but its own configuration.
fn git(sandbox: &Sandbox, args: &[&str]) -> String {
    sandbox.run("store/own.git", args)
}

#[test]
fn a_session_commit_holds_what_was_put_and_not_what_was_dropped() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let first = store
        .commit_session(
            &[],
            &files(&[
                ("log/a/00000001", "one"),
                ("log/a/tail", "torn"),
                ("log/b/00000001", "b"),
                ("saves/00000001", "s"),
            ]),
            &[],
        )
        .unwrap();
    let drop = ["log/a/tail", "log/b", "log/none", "none/at/all"].map(str::to_owned);
    let second =
        store.commit_session(&[first], &files(&[("log/a/00000002", "two")]), &drop).unwrap();

    assert_eq!(store.list(second, "log/a").unwrap(), ["00000001", "00000002"]);
    assert_eq!(store.list(second, "log").unwrap(), ["a"]);
    assert_eq!(store.list(second, "nothing").unwrap(), Vec::<String>::new());
    assert_eq!(store.read_blob(second, "log/a/00000002").unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(store.read_blob(second, "log/a/tail").unwrap(), None);
    assert_eq!(store.read_blob(first, "log/a/tail").unwrap().as_deref(), Some(&b"torn"[..]));
    assert_eq!(store.session_parent(second).unwrap(), Some(first));
    assert_eq!(store.session_parent(first).unwrap(), None);
    assert!(
        store.descends_from(second, first).unwrap() && !store.descends_from(first, second).unwrap()
    );
}

#[test]
fn our_trees_and_commits_are_as_git_itself_would_write_them() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    // A folder sorts as if its name ended in a slash: between `log-a` and `log0`.
    let put =
        files(&[("log/x", "1"), ("log-a", "2"), ("log0", "3"), ("a/b/c/d", "4"), ("empty", "")]);
    let commit = store.commit_session(&[], &put, &[]).unwrap();
    let tip =
        store.commit_tip(None, &[commit, commit], &files(&[("format", FORMAT)]), &[]).unwrap();
    store.move_ref(&reference(1), None, tip).unwrap();

    git(&sandbox, &["fsck", "--strict", "--full"]);
    let raw = git(&sandbox, &["cat-file", "commit", &tip.to_string()]);
    let person = "convosync <convosync@invalid> 0 +0000";
    let tree = git(&sandbox, &["rev-parse", &format!("{tip}^{{tree}}")]);
    assert_eq!(
        raw,
        format!("tree {tree}\nparent {commit}\nauthor {person}\ncommitter {person}\n\nconvosync")
    );
    let names = git(&sandbox, &["ls-tree", "-r", "--name-only", &commit.to_string()]);
    assert_eq!(names.lines().collect::<Vec<_>>(), ["a/b/c/d", "empty", "log-a", "log/x", "log0"]);
}

#[test]
fn the_same_save_gives_the_same_commit() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let save = || store.commit_session(&[], &files(&[("log/a/1", "x")]), &[]).unwrap();
    assert_eq!(save(), save());
}

#[test]
fn a_path_that_could_escape_is_refused() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    for path in
        ["", "/", "a//b", "../a", "a/..", "./a", ".git/config", "a/.GIT", "a\\b", "a\0b", "a/"]
    {
        let put = store.commit_session(&[], &files(&[(path, "x")]), &[]);
        assert!(matches!(put, Err(StoreError::BadPath { .. })), "{path:?}");
        let drop = store.commit_session(&[], &[], &[path.to_owned()]);
        assert!(matches!(drop, Err(StoreError::BadPath { .. })), "{path:?}");
    }
    let both = store.commit_session(&[], &files(&[("a", "x"), ("a/b", "y")]), &[]);
    assert!(matches!(both, Err(StoreError::BadPath { .. })));
}

#[test]
fn a_tips_parents_are_the_previous_tip_and_the_sessions_that_changed() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let sessions: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|text| store.commit_session(&[], &files(&[("log/x/1", text)]), &[]).unwrap())
        .collect();
    let first = store
        .commit_tip(None, &sessions, &files(&[("format", FORMAT), ("card", "c")]), &[])
        .unwrap();
    let second =
        store.commit_tip(Some(first), &sessions[..1], &files(&[("head", "h")]), &[]).unwrap();

    assert_eq!(store.parents(Where::Own, first).unwrap(), sessions);
    assert_eq!(store.parents(Where::Own, second).unwrap(), [first, sessions[0]]);
    assert_eq!(store.chain_length(second, 100).unwrap(), 2);
    let squashed = store.squash_tip(second, &sessions, &[], &[]).unwrap();
    assert_eq!(store.parents(Where::Own, squashed).unwrap(), sessions);
    assert_eq!(store.chain_length(squashed, 100).unwrap(), 1);
    assert_eq!(
        store.read_tip(Where::Own, squashed).unwrap(),
        store.read_tip(Where::Own, second).unwrap()
    );
    assert_eq!(store.chain_length(second, 1).unwrap(), 1);
}

#[test]
fn a_chain_of_200_tips_is_counted_and_squashed() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let session = store.commit_session(&[], &files(&[("log/x/1", "x")]), &[]).unwrap();
    let mut tip = None;
    for number in 0..SQUASH_EVERY {
        tip = Some(
            store
                .commit_tip(
                    tip,
                    &[session],
                    &files(&[("format", FORMAT), ("head", &number.to_string())]),
                    &[],
                )
                .unwrap(),
        );
    }
    let tip = tip.unwrap();
    store.move_ref(&reference(1), None, tip).unwrap();
    assert_eq!(store.chain_length(tip, SQUASH_EVERY).unwrap(), SQUASH_EVERY);
    let squashed = store.squash_tip(tip, &[session], &[], &[]).unwrap();
    store.move_ref(&reference(1), Some(tip), squashed).unwrap();
    assert_eq!(git(&sandbox, &["rev-list", "--count", &reference(1).to_string()]), "2");
}

#[test]
fn a_tip_is_read_back_as_it_was_written() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let (device, name) = (DeviceId([0xab; 8]), SessionName([0xcd; 8]));
    let put = files(&[
        ("format", FORMAT),
        ("card", "card"),
        ("head", "head"),
        ("roster", "roster"),
        (&format!("grants/{device}"), "grant"),
        (&format!("sessions/c/{name}"), "summary"),
        ("sessions/c/not-a-name", "?"),
        ("sessions/d/cdcdcdcdcdcdcdcd", "wrong shelf"),
        ("sessions/long/cdcdcdcdcdcdcdcd", "no shelf"),
        ("grants/x", "?"),
        ("later/thing", "of a later version"),
    ]);
    let id = store.commit_tip(None, &[], &put, &[]).unwrap();
    let tip = store.read_tip(Where::Own, id).unwrap();
    let bytes = |text: &str| text.as_bytes().to_vec();
    let expected = Tip {
        format: FORMAT.to_owned(),
        card: Some(bytes("card")),
        head: Some(bytes("head")),
        roster: Some(bytes("roster")),
        grants: [(device, bytes("grant"))].into(),
        sessions: [(name, bytes("summary"))].into(),
    };
    assert_eq!(tip, expected);
}

#[test]
fn a_hostile_tip_is_refused_before_it_is_read() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let large = "x".repeat(CARD_MAX + 1);
    let many: Vec<_> =
        (0..=GRANTS_MAX).map(|number| (format!("grants/{number:016x}"), b"g".to_vec())).collect();
    for (put, expected) in [
        (files(&[("format", "convosync 2\n")]), "newer"),
        (files(&[]), "newer"),
        (files(&[("format", FORMAT), ("card", &large)]), "large"),
        (files(&[("format", FORMAT), ("sessions/a/abcdefabcdefabcd", &large)]), "large"),
        ([files(&[("format", FORMAT)]), many].concat(), "large"),
        (files(&[("format", FORMAT), ("card/x", "folder")]), "strange"),
        (files(&[("format", FORMAT), ("sessions", "file")]), "strange"),
    ] {
        let id = store.commit_tip(None, &[], &put, &[]).unwrap();
        let error = store.read_tip(Where::Own, id).unwrap_err();
        let found = match error {
            StoreError::NewerFormat { .. } => "newer",
            StoreError::TooLarge { .. } => "large",
            StoreError::Strange { .. } => "strange",
            other => panic!("{other}"),
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn links_and_modules_in_a_tree_are_refused() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let commit = store.commit_session(&[], &files(&[("x", "target")]), &[]).unwrap();
    let blob = git(&sandbox, &["rev-parse", &format!("{commit}:x")]);
    for line in [
        format!("120000 blob {blob}\tlink"),
        format!("100755 blob {blob}\trun"),
        format!("160000 commit {commit}\tmodule"),
    ] {
        sandbox.write("lines", format!("{line}\n"));
        let tree = sandbox
            .git
            .command()
            .git_dir(&store.own_dir())
            .args(["mktree"])
            .stdin(fs::read(sandbox.path("lines")).unwrap())
            .run()
            .unwrap();
        let tree: Oid = String::from_utf8(tree.stdout).unwrap().trim().parse().unwrap();
        let hostile = object::write_commit(&store.lock(Where::Own), tree, &[]).unwrap();
        assert!(matches!(store.list(hostile, "a"), Err(StoreError::Strange { .. })), "{line}");
        assert!(
            matches!(store.read_tip(Where::Own, hostile), Err(StoreError::Strange { .. })),
            "{line}"
        );
    }
}

#[test]
fn a_ref_moves_only_from_where_it_is_believed_to_be() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let tips: Vec<_> = ["1", "2"]
        .iter()
        .map(|text| store.commit_tip(None, &[], &files(&[("head", text)]), &[]).unwrap())
        .collect();
    let mine = reference(1);
    assert_eq!(store.own_tip(&mine).unwrap(), None);

    assert!(matches!(
        store.move_ref(&mine, Some(tips[0]), tips[1]),
        Err(StoreError::Moved { found: None, .. })
    ));
    store.move_ref(&mine, None, tips[0]).unwrap();
    assert!(matches!(store.move_ref(&mine, None, tips[1]), Err(StoreError::Moved { .. })));
    assert!(matches!(store.move_ref(&mine, Some(tips[1]), tips[1]), Err(StoreError::Moved { .. })));
    assert_eq!(store.own_tip(&mine).unwrap(), Some(tips[0]));
    store.move_ref(&mine, Some(tips[0]), tips[1]).unwrap();
    assert_eq!(store.own_tip(&mine).unwrap(), Some(tips[1]));
}

/// Git itself lets a ref name a commit whose blobs are missing.
#[test]
fn a_ref_never_names_a_commit_that_is_not_whole() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let session = store.commit_session(&[], &files(&[("log/a/1", "chunk")]), &[]).unwrap();
    let tip = store.commit_tip(None, &[session], &files(&[("format", FORMAT)]), &[]).unwrap();
    let blob: Oid = git(&sandbox, &["rev-parse", &format!("{session}:log/a/1")]).parse().unwrap();
    let path = object::loose_path(&store.lock(Where::Own), blob);
    fs::remove_file(&path).unwrap();

    let error = store.move_ref(&reference(1), None, tip).unwrap_err();

    assert!(matches!(error, StoreError::Missing { id } if id == blob), "{error}");
    assert_eq!(store.own_tip(&reference(1)).unwrap(), None);
    assert!(!store.has_commit(tip));
}

/// A crash between writing and moving the ref leaves the old state: nothing points to what was written.
#[test]
fn a_crash_before_the_ref_moves_leaves_the_old_state() {
    let sandbox = Sandbox::new();
    let before = {
        let store = store(&sandbox);
        let session = store.commit_session(&[], &files(&[("log/a/1", "one")]), &[]).unwrap();
        let tip = store.commit_tip(None, &[session], &files(&[("format", FORMAT)]), &[]).unwrap();
        store.move_ref(&reference(1), None, tip).unwrap();
        let next = store.commit_session(&[session], &files(&[("log/a/2", "two")]), &[]).unwrap();
        store.commit_tip(Some(tip), &[next], &files(&[("head", "h")]), &[]).unwrap();
        tip
    };
    // What a killed process leaves besides.
    let refs = sandbox.path("store/own.git").join(reference(1).to_string()).with_extension("lock");
    marker(&refs);
    marker(&sandbox.path("store/seen.git/shallow.lock"));
    let left =
        ["objects/pack/tmp_pack_abc", "objects/tmp_object_git2_abc", "objects/0a/tmp_obj_abc"]
            .map(|left| sandbox.path("store/own.git").join(left));
    crate::disk::make_dirs(left[2].parent().unwrap()).unwrap();
    left.iter().for_each(|left| marker(left));

    let again = store(&sandbox);

    assert_eq!(again.own_tip(&reference(1)).unwrap(), Some(before));
    let session = again.parents(Where::Own, before).unwrap()[0];
    let next = again.commit_session(&[session], &files(&[("log/a/2", "two")]), &[]).unwrap();
    let tip = again.commit_tip(Some(before), &[next], &files(&[("head", "h")]), &[]).unwrap();
    again.move_ref(&reference(1), Some(before), tip).unwrap();
    assert!(!left.iter().any(|left| left.exists()));
    git(&sandbox, &["fsck", "--strict", "--full"]);
}

/// After a power failure an object's file may be there and be empty; git would call it written.
#[test]
fn an_object_that_a_power_failure_emptied_is_written_again() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let save = || store.commit_session(&[], &files(&[("log/a/1", "chunk")]), &[]).unwrap();
    let session = save();
    for id in
        git(&sandbox, &["cat-file", "--batch-check=%(objectname)", "--batch-all-objects"]).lines()
    {
        let path = object::loose_path(&store.lock(Where::Own), id.parse().unwrap());
        fs::remove_file(&path).unwrap();
        marker(&path);
    }

    let again = store_anew(&sandbox);
    assert_eq!(again.commit_session(&[], &files(&[("log/a/1", "chunk")]), &[]).unwrap(), session);
    let tip = again.commit_tip(None, &[session], &files(&[("format", FORMAT)]), &[]).unwrap();
    again.move_ref(&reference(1), None, tip).unwrap();
    git(&sandbox, &["fsck", "--strict", "--full"]);
}

fn store_anew(sandbox: &Sandbox) -> Store {
    store(sandbox)
}

#[test]
fn a_store_half_made_is_made_whole() {
    let sandbox = Sandbox::new();
    sandbox.write("store/own.new/HEAD", "half");
    sandbox.write("store/own.new/objects/x", "half");
    let store = store(&sandbox);
    store.commit_session(&[], &files(&[("a", "x")]), &[]).unwrap();
    assert!(!sandbox.path("store/own.new").exists());
}

#[test]
fn the_users_wishes_for_new_repositories_do_not_reach_ours() {
    let sandbox = Sandbox::new();
    sandbox.script("template/hooks/post-commit", "true");
    sandbox.write(".gitconfig", format!("[init]\n\ttemplateDir = {}\n\tdefaultRefFormat = reftable\n\tdefaultObjectFormat = sha256\n\tdefaultBranch = x\n[core]\n\tsharedRepository = all\n\tlogAllRefUpdates = always\n", sandbox.path("template").display()));
    let store = store(&sandbox);
    let tip = store.commit_tip(None, &[], &files(&[("format", FORMAT)]), &[]).unwrap();
    store.move_ref(&reference(1), None, tip).unwrap();

    for repo in ["own.git", "seen.git"] {
        let dir = sandbox.path("store").join(repo);
        assert!(!dir.join("hooks").exists() && !dir.join("logs").exists(), "{repo}");
        assert_eq!(
            sandbox.run(
                &format!("store/{repo}"),
                &["rev-parse", "--show-object-format", "--show-ref-format"]
            ),
            "sha1\nfiles"
        );
    }
    assert!(store.own_dir().join(reference(1).to_string()).is_file());
    for (key, value) in
        [("gc.auto", "0"), ("core.hooksPath", "/dev/null"), ("repack.writeBitmaps", "false")]
    {
        assert_eq!(git(&sandbox, &["config", "--local", key]), value);
    }
}

#[test]
fn maintenance_packs_everything_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let (mut session, mut tip) = (None, None);
    for number in 0..40 {
        session = Some(
            store
                .commit_session(
                    session.as_slice(),
                    &files(&[(&format!("log/a/{number:08x}"), &format!("chunk {number}"))]),
                    &[],
                )
                .unwrap(),
        );
        let next = store
            .commit_tip(
                tip,
                session.as_slice(),
                &files(&[("format", FORMAT), ("head", &number.to_string())]),
                &[],
            )
            .unwrap();
        store.move_ref(&reference(1), tip, next).unwrap();
        tip = Some(next);
        store.maintain(&sandbox.git).unwrap();
    }
    // Written, and not yet named by any ref.
    let dangling =
        store.commit_session(session.as_slice(), &files(&[("log/b/1", "later")]), &[]).unwrap();
    store.maintain(&sandbox.git).unwrap();

    assert!(durable::packs(&store.own_dir()).unwrap() <= upkeep::PACKS_MAX);
    assert_eq!(store.list(session.unwrap(), "log/a").unwrap().len(), 40);
    assert_eq!(store.read_blob(dangling, "log/b/1").unwrap().as_deref(), Some(&b"later"[..]));
    let next = store.commit_tip(tip, &[dangling], &files(&[("head", "x")]), &[]).unwrap();
    store.move_ref(&reference(1), tip, next).unwrap();
    git(&sandbox, &["fsck", "--strict", "--full"]);
    let count = git(&sandbox, &["count-objects", "-v"]);
    assert!(count.contains("garbage: 0"), "{count}");
    let bitmaps = fs::read_dir(store.own_dir().join("objects/pack"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "bitmap"));
    assert_eq!(bitmaps.count(), 0);
}

/// How much of the store's files is in this process's memory: what libgit2 maps.
#[cfg(target_os = "linux")]
fn mapped(store: &Store) -> u64 {
    let (own, maps) = (store.own_dir(), fs::read_to_string("/proc/self/smaps").unwrap());
    let mut is_own = false;
    let mut kib = 0;
    for line in maps.lines() {
        if let Some(rss) = line.strip_prefix("Rss:").filter(|_| is_own) {
            kib += rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        } else if line.split(' ').next().is_some_and(|range| range.contains('-')) {
            is_own = line.contains(own.to_str().unwrap());
        }
    }
    kib << 10
}

#[test]
#[cfg(target_os = "linux")]
fn a_store_that_was_read_through_keeps_little_of_it_in_memory() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    // Noise that git cannot compress, so that the packs are as large as what is read.
    let noise = |seed: u64| -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..1 << 20).map(|_| next()).collect()
    };
    let path = |number: u64| format!("log/a/{number:08x}");
    let put: Vec<_> = (0..40).map(|number| (path(number), noise(number))).collect();
    let session = store.commit_session(&[], &put, &[]).unwrap();
    let tip = store.commit_tip(None, &[session], &files(&[("head", "x")]), &[]).unwrap();
    store.move_ref(&reference(1), None, tip).unwrap();
    store.maintain(&sandbox.git).unwrap();

    for (path, bytes) in &put {
        assert_eq!(store.read_blob(session, path).unwrap().as_ref(), Some(bytes));
    }
    let (mapped, read) = (mapped(&store), 40 << 20);
    assert!(mapped > 0, "nothing was read from a pack");
    assert!(mapped <= repository::MAPPED_MAX + (4 << 20), "{mapped} of {read} bytes");
}

#[test]
fn a_pack_is_synced_once_and_again_when_it_was_made_anew() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    let packs = store.own_dir().join("objects/pack");
    let make = |name: &str| crate::disk::write_atomic(&packs.join(name), name.as_bytes()).unwrap();
    let sync = || store.synced.sync_packs(&store.own_dir()).unwrap();
    make("pack-1.pack");
    make("pack-1.idx");
    assert_eq!((sync(), sync()), (2, 0));

    make("pack-2.pack");
    assert_eq!((sync(), sync()), (1, 0));

    make("pack-1.pack");
    assert_eq!((sync(), sync()), (1, 0));

    let restarted = Store::open(&sandbox.path("store")).unwrap();
    assert_eq!(restarted.synced.sync_packs(&store.own_dir()).unwrap(), 3);
}

#[test]
fn packing_is_wanted_by_what_lies_about_and_not_again_by_what_no_ref_reaches() {
    let sandbox = Sandbox::new();
    let store = store(&sandbox);
    // Five objects each: the chunk, three trees, the commit.
    let litter = |first: usize| {
        for number in first..first + upkeep::LOOSE_MAX.div_ceil(5) {
            let files = files(&[(&format!("log/a/{number:08x}"), &format!("chunk {number}"))]);
            store.commit_session(&[], &files, &[]).unwrap();
        }
    };
    let is_wanted = || (0..upkeep::COUNTS_EVERY).any(|_| store.wants_packing().unwrap());
    assert!(!is_wanted());
    litter(0);
    assert!(is_wanted());

    store.maintain(&sandbox.git).unwrap();
    assert!(!is_wanted(), "no ref reaches them: packing them again is no use");
    litter(1_000);
    assert!(is_wanted());
}

#[test]
fn a_store_may_be_used_by_several_threads() {
    fn check<T: Send + Sync + Clone>() {}
    check::<Store>();
    check::<crate::git::Git>();
}

/// Leaves an empty file.
fn marker(path: &Path) {
    crate::disk::write_atomic(path, b"").unwrap();
}

/// The victim of the test below, which starts it with a folder and kills it: saves again and again, and
/// notes each save once it is acknowledged. Without a folder there is nothing to do.
#[test]
fn saves_for_ever_where_it_is_told() {
    let Some(dir) = std::env::var_os("CONVOSYNC_TEST_DIR").map(PathBuf::from) else { return };
    let store = Store::open(&dir.join("store")).unwrap();
    loop {
        let old = store.own_tip(&reference(1)).unwrap();
        let session = old.map(|old| *store.parents(Where::Own, old).unwrap().last().unwrap());
        let number = old.map_or(0, |old| number_of(&store, old)) + 1;
        let put = [(format!("log/a/{number:08x}"), vec![b'x'; 5000])];
        let commit = store.commit_session(session.as_slice(), &put, &[]).unwrap();
        let put = files(&[("format", FORMAT), ("head", &number.to_string())]);
        let tip = store.commit_tip(old, &[commit], &put, &[]).unwrap();
        store.move_ref(&reference(1), old, tip).unwrap();
        crate::disk::write_atomic(&dir.join("acknowledged"), number.to_string().as_bytes())
            .unwrap();
    }
}

fn number_of(store: &Store, tip: Oid) -> u32 {
    let head = store.read_tip(Where::Own, tip).unwrap().head.unwrap();
    String::from_utf8(head).unwrap().parse().unwrap()
}

#[test]
fn a_kill_at_any_moment_leaves_the_last_acknowledged_save_or_the_next() {
    let sandbox = Sandbox::new();
    let place = sandbox.home();
    let own = std::env::current_exe().unwrap();
    let victim = format!(
        "if [ \"$1\" = version ]; then echo git version 2.47; exit; fi
        CONVOSYNC_TEST_DIR={} exec {} --exact store::tests::saves_for_ever_where_it_is_told",
        place.display(),
        own.display()
    );
    let program = sandbox.script("victim", &victim);
    let victim = Git::find(Some(&program), &|name| std::env::var_os(name)).unwrap();
    let mut last = 0;
    for round in 0..12 {
        let after = std::time::Duration::from_millis(60 + 17 * (round * 7 % 12));
        let killed = victim.command().arg("save").deadline(after).run();
        assert!(matches!(killed, Err(GitError::Deadline { .. })), "{killed:?}");

        let acknowledged =
            fs::read_to_string(place.join("acknowledged")).unwrap_or_default().parse().unwrap_or(0);
        let store = store(&sandbox);
        let found = store.own_tip(&reference(1)).unwrap().map_or(0, |tip| number_of(&store, tip));
        let least = last.max(acknowledged);
        assert!((least..=least + 1).contains(&found), "{last} {acknowledged} {found}");
        git(&sandbox, &["fsck", "--strict", "--full"]);
        last = found;
    }
    assert!(last > 0);
}
