//! `save -b`: goes to a branch first, or makes it, and says what is pushed of it.

use convosync_tests::told::{complaint, told};
use convosync_tests::work::{seen, write};
use convosync_tests::world::Way;
use convosync_tests::{Opened, World};

use crate::saving::{git, here, there};

fn opened() -> World {
    let Opened { world, .. } = Opened::new(&["ada"], Way::Any);
    world.devices[0].hold_still();
    world
}

#[test]
fn a_branch_is_made_or_switched_to_first_and_pushed_with_its_upstream() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, "a", "1\n");
    let run = ada.ctl(&["save", "-b", "feature/oauth", "first"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ made the branch feature/oauth
        ✓ committed 1 new file to feature/oauth as [commit]: "first [ConvoSync]"
        ✓ pushed to origin/feature/oauth
        ✓ saved "first" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: feature/oauth @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        To [remote]/app.git
         * [new branch]      feature/oauth -> feature/oauth
        branch 'feature/oauth' set up to track 'origin/feature/oauth'.
        --- exit code 0
        "#);
    assert_eq!(there(ada, "feature/oauth"), here(ada));
    assert_eq!(git(ada, &["rev-parse", "--abbrev-ref", "@{upstream}"]), "origin/feature/oauth");
    assert_ne!(there(ada, "main"), here(ada));

    write(ada, "b", "2\n");
    let run = ada.ctl(&["save", "-b", "main", "second"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ switched to main
        ✓ committed 1 new file to main as [commit]: "second [ConvoSync]"
        ✓ pushed to origin/main
        ✓ saved "second" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: main @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        To [remote]/app.git
           [commits]  main -> main
        --- exit code 0
        "#);
    assert_eq!(git(ada, &["show", "--name-only", "--format=", "HEAD"]), "b");
    assert_eq!(there(ada, "main"), here(ada));
}

#[test]
fn a_switch_that_would_lose_work_does_not_happen() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, "README.md", "side\n");
    ada.ctl(&["save", "-b", "side"]).ok();
    git(ada, &["checkout", "-q", "main"]);
    write(ada, "README.md", "unsaved\n");
    let before = seen(ada);
    let run = ada.ctl(&["save", "-b", "side"]);
    insta::assert_snapshot!(complaint(&run), @r"
        convosyncctl: git did not switch to `side`; what it said stands above
        hint: nothing was changed; save on `main` first, or switch yourself
        --- exit code 4
        ");
    assert_eq!(seen(ada), before);
    insta::assert_snapshot!(complaint(&ada.ctl(&["save", "-b", "no..name"])), @r"
        convosyncctl: git did not switch to `no..name`; what it said stands above
        hint: nothing was changed; save on `main` first, or switch yourself
        --- exit code 4
        ");
    assert_eq!(seen(ada), before);
}

#[test]
fn commits_of_the_branch_that_nobody_pushed_are_counted_before_they_are_pushed() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    git(ada, &["switch", "-q", "-c", "other"]);
    for message in ["one", "two"] {
        git(ada, &["commit", "-q", "--allow-empty", "-m", message]);
    }
    git(ada, &["switch", "-q", "main"]);
    write(ada, "a", "1\n");
    let run = ada.ctl(&["save", "-b", "other", "--dry-run"]);
    insta::assert_snapshot!(told(&run), @r#"
        would go to the branch other, or make it
        would commit 1 new file (2 B) to other
        would push to origin/other: 3 commits not seen there yet, 2 of them made before
        would save "Work on [session]"
        nothing was done
        --- errors
        --- exit code 0
        "#);
    let reply = ada.ctl_json(&["save", "-b", "other", "--dry-run"]);
    assert_eq!(reply["commit"]["commits"], 3);
    let reply = ada.ctl_json(&["save", "--dry-run"]);
    assert_eq!(
        (&reply["commit"]["to"], &reply["commit"]["commits"]),
        (&"origin/main".into(), &1.into())
    );

    let run = ada.ctl(&["save", "-b", "other"]);
    insta::assert_snapshot!(told(&run), @r#"
        ✓ switched to other
        ✓ committed 1 new file to other as [commit]: "WIP: sync session [ConvoSync]"
        ✓ pushed to origin/other: 3 commits not seen there yet, 2 of them made before
        ✓ saved "Work on [session]" as save [number]
        ✓ conversation: 0 new messages, 5 in all, [size] sealed
        ✓ code: other @ [commit]
        ✓ on the remote, read back

        Next: convosyncctl resume [session]   (on another device)
        --- errors
        To [remote]/app.git
         * [new branch]      other -> other
        branch 'other' set up to track 'origin/other'.
        --- exit code 0
        "#);
    assert_eq!(there(ada, "other"), here(ada));
    write(ada, "a", "2\n");
    let run = ada.ctl(&["save"]).ok();
    assert!(!run.text().contains("made before"), "{run}");
}
