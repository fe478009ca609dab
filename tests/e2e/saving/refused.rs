//! What keeps `save` from committing, or from pushing: what is told, and what stands.

use convosync_tests::told::told;
use convosync_tests::work::{seen, write};
use convosync_tests::world::Way;
use convosync_tests::{Opened, World, files, work};

use super::{git, here, hook, opened, saved, subject, there, unhook};

#[test]
fn commits_with_secrets_are_kept_here_until_the_user_decides() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, ".env", "TOKEN=1\n");
    git(ada, &["add", ".env"]);
    git(ada, &["commit", "-q", "-m", "oops"]);
    write(ada, "README.md", "changed\n");
    let before = there(ada, "main");
    let run = ada.ctl(&["save"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ committed 1 changed file to main as [commit]: "WIP: sync session [ConvoSync]"
        ✓ saved "Work on [session]" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ on the remote, read back

        Next: convosyncctl save --retry
        --- errors
        ! not pushed, kept on this device: commits that are not pushed hold `.env`, whose name says that it holds a secret
        hint: take it out of the commits, push them yourself, or allow it under `code.include_secrets`
        ! code: main @ [commit], named only: commits that are not pushed hold `.env`, and its name says that it holds a secret
        hint: take it out of the commits, push them yourself, or allow it under `code.include_secrets`
        --- exit code 6
        "#);
    assert_eq!(there(ada, "main"), before);
}

#[test]
fn a_hook_or_signing_that_fails_leaves_everything_as_it_was() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    work::leave(ada);
    let before = (seen(ada), there(ada, "main"));
    let refused = |what: &str| {
        let run = ada.ctl(&["save", "never", "--branch", "other"]);
        assert_eq!(run.status.code(), Some(1), "{what}: {run}");
        assert!(run.errors().contains("git did not commit"), "{what}: {run}");
        assert_eq!((seen(ada), there(ada, "main")), before, "{what}");
        assert_eq!(git(ada, &["branch", "--list", "other"]), "", "{what}");
        assert_ne!(saved(ada).1, "never", "{what}");
        run
    };
    let by_hook = |name: &str| {
        hook(ada, name, "echo the reason of the hook; exit 1");
        let run = refused(name);
        unhook(ada, name);
        told(&run)
    };
    let by_one = by_hook("pre-commit");
    insta::assert_snapshot!(by_one, @r"
        --- errors
        the reason of the hook
        convosyncctl: git did not commit; what it, a hook or signing said stands above
        hint: index and files are as before: mend it and save again, or save with `--stash`
        --- exit code 1
        ");
    assert_eq!(by_hook("commit-msg"), by_one);
    git(ada, &["config", "commit.gpgSign", "true"]);
    git(ada, &["config", "gpg.program", "/nowhere/gpg"]);
    refused("signing");
}

#[test]
fn a_push_that_is_rejected_leaves_the_commit_and_the_way_out() {
    let Opened { mut world, .. } = Opened::new(&["ada", "bob"], Way::Any);
    let (ada, bob) = world.pair();
    write(bob, "theirs", "1\n");
    git(bob, &["add", "."]);
    git(bob, &["commit", "-q", "-m", "theirs"]);
    git(bob, &["push", "-q", "origin", "main"]);
    let theirs = here(bob);
    ada.hold_still();

    write(ada, "ours", "1\n");
    let run = ada.ctl(&["save", "ours"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ committed 1 new file to main as [commit]: "ours [ConvoSync]"
        ✓ saved "ours" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl save --retry
        --- errors
        To [remote]/app.git
         ! [rejected]        main -> main (fetch first)
        error: failed to push some refs to '[remote]/app.git'
        hint: Updates were rejected because the remote contains work that you do not
        hint: have locally. This is usually caused by another repository pushing to
        hint: the same ref. If you want to integrate the remote changes, use
        hint: 'git pull' before pushing again.
        hint: See the 'Note about fast-forwards' in 'git push --help' for details.
        ! not pushed, kept on this device: `origin/main` has commits that are not here
        hint: `git pull origin main`, resolve what conflicts, then `convosyncctl save --retry`
        --- exit code 6
        "#);
    assert_eq!((there(ada, "main"), subject(ada)), (theirs, "ours [ConvoSync]".to_owned()));
    assert_eq!(saved(ada).1, "ours");

    git(ada, &["pull", "-q", "--no-rebase", "--no-edit", "origin", "main"]);
    ada.ctl(&["save", "--retry"]).ok();
    assert_eq!(there(ada, "main"), here(ada));
}

#[test]
fn a_pre_push_hook_that_refuses_keeps_the_commit_here() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    hook(ada, "pre-push", "echo not today >&2; exit 1");
    write(ada, "a", "1\n");
    let before = there(ada, "main");
    let run = ada.ctl(&["save", "kept"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ committed 1 new file to main as [commit]: "kept [ConvoSync]"
        ✓ saved "kept" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl save --retry
        --- errors
        not today
        error: failed to push some refs to '[remote]/app.git'
        ! not pushed, kept on this device: `origin/main` did not take it; what the remote or a hook of yours said stands above
        hint: mend it, then `convosyncctl save --retry`
        --- exit code 6
        "#);
    assert_eq!((there(ada, "main"), subject(ada)), (before, "kept [ConvoSync]".to_owned()));
    unhook(ada, "pre-push");
    ada.ctl(&["save", "--retry"]).ok();
    assert_eq!(there(ada, "main"), here(ada));
}

#[test]
fn what_keeps_from_committing_is_told_with_its_way_out_and_a_stash_goes_through() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, "README.md", "changed\n");
    let git_dir = ada.home.project().join(".git");

    files::write(&git_dir.join("index.lock"), "");
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: another git works here, or was killed: `[world]/ada/home/ada/code/app/.git/index.lock` is there
        hint: wait until it is done; if no git is running, remove `[world]/ada/home/ada/code/app/.git/index.lock`
        --- exit code 4
        ");
    files::write(&git_dir.join("index.lock"), convosync_core::capture::RESTORE_MARK);
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: a `resume` is under way here, or was interrupted
        hint: run `convosyncctl undo`, if no resume is running
        --- exit code 4
        ");
    files::remove_file(&git_dir.join("index.lock"));

    git(ada, &["bisect", "start"]);
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: a `git bisect` is running
        hint: end it with `git bisect reset`, then save
        --- exit code 4
        ");
    git(ada, &["bisect", "reset"]);

    git(ada, &["checkout", "-q", "--detach"]);
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: cannot commit: HEAD is on no branch, but at [commit]
        hint: switch to a branch (`git switch main`), or make one with `convosyncctl save -b NAME`; `convosyncctl save --stash` saves everything as it stands
        --- exit code 4
        ");
    let run = ada.ctl(&["save", "--stash", "detached"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ saved "detached" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit] with uncommitted changes
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        --- exit code 0
        "#);
    assert_eq!(saved(ada).1, "detached");
    ada.ctl(&["save", "--branch", "rescued"]).ok();
    assert_eq!(git(ada, &["branch", "--show-current"]), "rescued");
    assert_eq!(there(ada, "rescued"), here(ada));
}

#[test]
fn conflicts_and_unfinished_operations_are_told_with_their_way_out() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    git(ada, &["checkout", "-q", "-b", "side"]);
    write(ada, "README.md", "side\n");
    git(ada, &["commit", "-q", "-a", "-m", "side"]);
    git(ada, &["checkout", "-q", "main"]);
    write(ada, "README.md", "main\n");
    git(ada, &["commit", "-q", "-a", "-m", "main"]);
    ada.home.git(&["merge", "side"]).fails();
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: conflicts are not resolved in `README.md`
        hint: resolve them and `git add` them; `convosyncctl save --stash` saves everything as it stands
        --- exit code 4
        ");
    write(ada, "README.md", "both\n");
    git(ada, &["add", "README.md"]);
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: a merge is not finished
        hint: finish it or end it (`git merge --abort`); `convosyncctl save --stash` saves everything as it stands
        --- exit code 4
        ");
    let before = seen(ada);
    ada.ctl(&["save", "--stash", "in the middle"]).ok();
    assert_eq!((seen(ada), saved(ada).1), (before, "in the middle".into()));
}

#[test]
fn a_repository_without_a_remote_is_told_how_to_get_one() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, "README.md", "changed\n");
    git(ada, &["remote", "remove", "origin"]);
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: the repository has no remote
        hint: add one with `git remote add origin URL`; `convosyncctl save --stash` saves everything as it stands
        --- exit code 4
        ");
    assert_eq!(subject(ada), "begin");
}

#[test]
fn what_is_large_is_committed_only_when_the_user_insists() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    let path = ada.home.project().join("film.bin");
    files::write(&path, "");
    std::fs::File::options().write(true).open(&path).unwrap().set_len(51 << 20).unwrap();
    let before = seen(ada).len();
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: what would be committed is large: `film.bin` (51.0 MiB)
        hint: keep large files out of git with `git lfs track`, or name them in `.gitignore`; many hosts refuse files of more than 100 MiB; `--force` commits them all the same
        --- exit code 4
        ");
    assert_eq!((seen(ada).len(), subject(ada)), (before, "begin".to_owned()));
    insta::assert_snapshot!(told(&ada.ctl(&["save", "--force"])), @r#"
        ✓ committed 1 new file to main as [commit]: "WIP: sync session [ConvoSync]"
        ✓ pushed to origin/main
        ✓ saved "Work on [session]" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        ! what would be committed is large: `film.bin` (51.0 MiB)
        hint: keep large files out of git with `git lfs track`, or name them in `.gitignore`; many hosts refuse files of more than 100 MiB
        To [remote]/app.git
           [commits]  main -> main
        --- exit code 0
        "#);
    assert_eq!(there(ada, "main"), here(ada));
}

#[test]
fn outside_of_an_enabled_project_nothing_is_committed() {
    let mut world = World::new(&["ada"], Way::Any);
    let ada = &mut world.devices[0];
    ada.start();
    write(ada, "README.md", "changed\n");
    let before = seen(ada);
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: this device has no keys yet
        hint: run `convosyncctl init` on your first device, or `convosyncctl join --recover` on every other one
        --- exit code 5
        ");
    ada.init();
    ada.ctl(&["disable"]).ok();
    insta::assert_snapshot!(told(&ada.ctl(&["save"])), @r"
        --- errors
        convosyncctl: `[world]/ada/home/ada/code/app` belongs to no enabled project
        hint: run `convosyncctl enable` there
        --- exit code 1
        ");
    assert_eq!(seen(ada), before);
}
