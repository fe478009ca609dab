//! `save -b`: goes to a branch first, or makes it, and says what is pushed of it.

use convosync_tests::work::{seen, write};
use convosync_tests::world::Way;
use convosync_tests::{Opened, World};

use crate::saving::{assert_left_to_the_user, git, here, there};

fn opened() -> World {
    Opened::new(&["ada"], Way::Any).world
}

#[test]
fn a_branch_is_made_or_switched_to_first_and_pushed_with_its_upstream() {
    let mut world = opened();
    let ada = &mut world.devices[0];
    write(ada, "a", "1\n");
    let run = ada.ctl(&["save", "-b", "feature/oauth", "first"]).ok();
    assert!(run.text().contains("made the branch feature/oauth"), "{run}");
    assert_eq!(there(ada, "feature/oauth"), here(ada));
    assert_eq!(git(ada, &["rev-parse", "--abbrev-ref", "@{upstream}"]), "origin/feature/oauth");
    assert_ne!(there(ada, "main"), here(ada));

    write(ada, "b", "2\n");
    let run = ada.ctl(&["save", "-b", "main", "second"]).ok();
    assert!(run.text().contains("switched to main"), "{run}");
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
    assert_left_to_the_user(&run, "git did not switch to `side`", "nothing was changed");
    assert_eq!(seen(ada), before);
    assert_left_to_the_user(&ada.ctl(&["save", "-b", "no..name"]), "git did not switch", "");
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
    let run = ada.ctl(&["save", "-b", "other", "--dry-run"]).ok();
    let said = "push to origin/other: 3 commits not seen there yet, 2 of them made before";
    assert!(run.text().contains(&format!("would {said}")), "{run}");
    let reply = ada.ctl_json(&["save", "-b", "other", "--dry-run"]);
    assert_eq!(reply["commit"]["commits"], 3);
    let reply = ada.ctl_json(&["save", "--dry-run"]);
    assert_eq!(
        (&reply["commit"]["to"], &reply["commit"]["commits"]),
        (&"origin/main".into(), &1.into())
    );

    let run = ada.ctl(&["save", "-b", "other"]).ok();
    assert!(
        run.text().contains(
            "pushed to origin/other: 3 commits not seen there yet, 2 of them made before"
        ),
        "{run}"
    );
    assert_eq!(there(ada, "other"), here(ada));
    write(ada, "a", "2\n");
    let run = ada.ctl(&["save"]).ok();
    assert!(!run.text().contains("made before"), "{run}");
}
