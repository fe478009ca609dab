//! Two devices of which the first has saved a session: where `resume` begins.

use std::path::PathBuf;

use convosync_tests::work::write;
use convosync_tests::world::Way;
use convosync_tests::{Device, World, Writer};

use crate::SAVED_WITHIN;

/// The exit code of "nothing was done, because the user has to decide first".
pub(crate) const NEEDS_DECISION: i32 = 4;

/// Two devices with clones of one remote, and a session of the first one that is saved as it stands.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) session: String,
    writer: Writer,
}

impl Stage {
    /// `work` is what the first device does before it saves.
    pub(crate) fn new(work: impl FnOnce(&Device)) -> Self {
        let mut world = World::new(&["ada", "bob"], Way::File);
        let (ada, bob) = world.pair();
        ada.start();
        let phrase = ada.init();
        work(ada);
        let mut writer = ada.writer(1);
        save(ada, &mut writer);
        bob.start();
        bob.join(&phrase);
        Self { session: writer.session().to_owned(), world, writer }
    }

    /// The first device goes on with the conversation, and saves it.
    pub(crate) fn save_again(&mut self) {
        save(self.world.pair().0, &mut self.writer);
    }

    pub(crate) fn pair(&mut self) -> (&mut Device, &mut Device, &str) {
        let (ada, bob) = self.world.pair();
        (ada, bob, &self.session)
    }
}

pub(crate) fn save(device: &Device, writer: &mut Writer) {
    writer.turn();
    device.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
}

pub(crate) fn git(device: &Device, words: &[&str]) -> String {
    device.home.git(words).ok().text()
}

pub(crate) fn commit(device: &Device, file: &str, text: &str) {
    write(device, file, text);
    git(device, &["add", "--", file]);
    git(device, &["commit", "-q", "-m", file]);
}

/// The first device works on a branch of its own.
pub(crate) fn on_a_topic(ada: &Device) {
    git(ada, &["switch", "-q", "-c", "feature/oauth"]);
    commit(ada, "oauth.js", "login\n");
}

/// The transcript of the session on the second device.
pub(crate) fn transcript(device: &Device, session: &str) -> PathBuf {
    device.home.transcripts().join(format!("{session}.jsonl"))
}

/// Changes of the second device where the first one has others.
pub(crate) fn own_work(bob: &Device) {
    write(bob, "README.md", "bob's own change\n");
    write(bob, "new/untracked file.txt", "bob's own file\n");
    write(bob, "elsewhere.txt", "bob's, and nobody else has it\n");
    write(bob, ".env", "TOKEN=of bob's own\n");
}

/// Both devices have commits on `main` that the other one has not.
pub(crate) fn diverged() -> Stage {
    let mut stage = Stage::new(|ada| {
        commit(ada, "one.txt", "of ada\n");
        commit(ada, "two.txt", "of ada\n");
    });
    let (_, bob, _) = stage.pair();
    commit(bob, "three.txt", "of bob\n");
    stage
}
