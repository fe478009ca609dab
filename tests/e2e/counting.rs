//! The counting stand-in for ssh is exact, shown with plain git.

use convosync_tests::home::Home;
use convosync_tests::world::Way;
use convosync_tests::{Remote, Tree, World, files, tree::Times};

fn commit(home: &Home, name: &str, bytes: &[u8]) {
    files::write(&home.project().join(name), bytes);
    home.git(&["add", "--", name]).ok();
    home.git(&["commit", "--quiet", "--message", name]).ok();
}

/// Bytes that no compression shrinks.
fn noise(length: usize) -> Vec<u8> {
    use convosync_core::id::{Random, SeededRandom};
    let mut bytes = vec![0; length];
    SeededRandom::new(3).fill(&mut bytes);
    bytes
}

#[test]
fn a_push_is_counted_as_sent_and_a_fetch_as_received() {
    const SIZE: usize = 100_000;
    const AROUND_IT: u64 = 2_000;
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    commit(&ada.home, "noise", &noise(SIZE));

    let before = Remote::traffic(&ada.home);
    ada.home.git(&["push", "--quiet", "origin", "main"]).ok();
    let pushed = Remote::traffic(&ada.home).since(before);
    assert_eq!(pushed.connections, 1);
    assert!(pushed.sent > SIZE as u64 && pushed.sent < SIZE as u64 + AROUND_IT, "{pushed:?}");
    assert!(pushed.received < AROUND_IT, "{pushed:?}");

    let before = Remote::traffic(&bob.home);
    bob.home.git(&["pull", "--quiet", "--ff-only", "origin", "main"]).ok();
    let pulled = Remote::traffic(&bob.home).since(before);
    assert!(
        pulled.received > SIZE as u64 && pulled.received < SIZE as u64 + AROUND_IT,
        "{pulled:?}"
    );
    assert!(pulled.sent < AROUND_IT, "{pulled:?}");
}

#[test]
fn a_refused_push_is_refused_over_the_stand_in_too() {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    commit(&ada.home, "a", b"a");
    commit(&bob.home, "b", b"b");
    ada.home.git(&["push", "--quiet", "origin", "main"]).ok();
    let refused = bob.home.git(&["push", "--porcelain", "origin", "main"]).fails();
    assert!(refused.text().contains("[rejected]"), "{refused}");
}

#[test]
fn protocol_version_2_passes_through_the_stand_in() {
    let mut world = World::new(&["ada", "bob"], Way::Counted);
    let (ada, bob) = world.pair();
    commit(&ada.home, "a", b"a");
    commit(&ada.home, "b", b"b");
    ada.home.git(&["push", "--quiet", "origin", "main"]).ok();
    let wanted = ada.home.git(&["rev-parse", "HEAD~1"]).ok().text();

    // Only protocol version 2 gives out a commit that no ref points at.
    bob.home.git(&["fetch", "--quiet", "--depth=1", "origin", &wanted]).ok();
    bob.home.git(&["cat-file", "-e", &wanted]).ok();
}

#[test]
fn looking_at_a_repository_as_the_tests_do_changes_nothing_in_it() {
    let mut world = World::new(&["ada", "bob"], Way::File);
    let (ada, _) = world.pair();
    let before = Tree::of(ada.home.project(), Times::Counted);
    ada.home.git(&["--no-optional-locks", "status", "--porcelain"]).ok();
    Tree::of(ada.home.project(), Times::Counted).assert_same(&before);
}
